"""A policy service that is asked: when, with what, and what its answers come to (Postfix,
SMTPD_POLICY_README and access(5))."""

import re
import subprocess

from certificates import any_certificate
from commands import keys_of, listen, section
from lmtp import LmtpClient
from policy_service import PolicyServer, PolicyService, policy
from sinkd_server import SINKD, Server, read_file
from wire_test import run

# As Postfix has them, of version 3.2 and later.
ATTRIBUTES = {
    "request", "protocol_state", "protocol_name", "helo_name", "queue_id", "sender", "recipient",
    "recipient_count", "client_address", "client_name", "reverse_client_name", "instance",
    "sasl_method", "sasl_username", "sasl_sender", "size", "ccert_subject", "ccert_issuer",
    "ccert_fingerprint", "encryption_protocol", "encryption_cipher", "encryption_keysize",
    "etrn_domain", "stress", "ccert_pubkey_fingerprint", "client_port", "policy_context",
    "server_address", "server_port"}

TEXT = b"Subject: x\r\n\r\ntext\r\n"


def check(request, /, **expected):
    found = {name: request[name] for name in expected}
    assert found == expected, (request.state, found, expected)


# --- what it is asked -------------------------------------------------------------------


def each_stage(kind):
    with PolicyService(kind) as service, PolicyServer(service) as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com> SIZE=4711", "250 ")
        client.command("RCPT TO:<b@example.net>", "250 ")
        client.command("RCPT TO:<\"c d\"@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(TEXT + b".\r\n")
        message_id = client.expect("250 2.0.0 Ok: ").rpartition(" ")[2]
        client.command("HELO again.example", "250 ")
        client.address_message()
        client.command("RSET", "250 ")
        assert service.states() == ["CONNECT", "EHLO", "MAIL", "RCPT", "RCPT", "DATA",
                                    "END-OF-MESSAGE", "HELO", "MAIL", "RCPT"], service.states()
        port = str(client.socket.getsockname()[1])
        for request in service.requests:
            assert request.keys() == ATTRIBUTES, request.keys() ^ ATTRIBUTES
            check(request, request="smtpd_access_policy", client_address="127.0.0.1", client_port=port,
                  client_name="unknown", reverse_client_name="unknown",
                  policy_context="command-line", encryption_protocol="", encryption_cipher="",
                  encryption_keysize="0", sasl_username="", ccert_subject="", stress="")
        connect, ehlo, mail, first, second, data, end, helo, other, _ = service.requests
        check(connect, protocol_name="SMTP", helo_name="", sender="", queue_id="", size="0")
        check(ehlo, protocol_name="ESMTP", helo_name="client.example", sender="")
        check(mail, protocol_name="ESMTP", helo_name="client.example", sender="a@example.com",
              recipient="", recipient_count="0", size="4711", queue_id="")
        check(first, recipient="b@example.net", recipient_count="0", size="4711",
              queue_id=message_id)
        check(second, recipient='"c d"@example.net', recipient_count="0", queue_id=message_id)
        check(data, recipient="", recipient_count="2", size="4711", queue_id=message_id)
        check(end, recipient="", recipient_count="2", size=str(len(TEXT)), queue_id=message_id)
        check(helo, protocol_name="SMTP", helo_name="again.example", sender="", queue_id="")
        check(other, protocol_name="SMTP", sender="a@example.com", size="0")
        # All that is about one message has the same.
        assert len({request["instance"] for request in (mail, first, second, data, end)}) == 1
        assert end["instance"] != other["instance"]
        assert service.connections == 1


def each_stage_over_unix():
    each_stage("unix")


def each_stage_over_tcp():
    each_stage("tcp")


def only_where_it_is_to_be_asked():
    with PolicyService() as service, PolicyServer(service, stages=["rcpt"]) as server, \
            server.connect() as client:
        client.greet()
        client.deliver(TEXT)
        assert service.states() == ["RCPT"], service.states()
    with PolicyService() as service, Server(config=policy(service)) as server, \
            server.connect() as client:
        client.greet()
        client.deliver(TEXT)
        assert service.states() == ["RCPT"], service.states()


def with_chunks_it_is_asked_once():
    with PolicyService() as service, PolicyServer(service, stages=["data", "message"]) as server, \
            server.connect() as client:
        client.greet()
        client.address_message()
        client.send(b"BDAT 4\r\nX: y")
        client.expect("250 ")
        client.send(b"BDAT 8 LAST\r\n\r\n\r\nhi\r\n")
        client.expect("250 ")
        assert service.states() == ["DATA", "END-OF-MESSAGE"], service.states()
        check(service.requests[1], size="12", recipient="b@example.net", recipient_count="1")


def what_tls_auth_and_proxies_tell():
    config = (section("null", type="discard")
              + listen("in", "null", xclient=["127.0.0.1"], auth="optional")
              + "auth { accept-any = true }\n")
    with PolicyService() as service, \
            PolicyServer(service, config=config) as server, \
            server.connect() as client:
        client.greet()
        client.start_tls(any_certificate())
        client.command("EHLO client.example", "250-")
        client.command("XCLIENT NAME=spike.example ADDR=IPV6:2001:db8::7 PORT=40007"
                       " DESTADDR=198.51.100.9 DESTPORT=25", "220 ")
        client.command("EHLO client.example", "250-")
        client.command("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ")
        client.command("MAIL FROM:<a@example.com> AUTH=joe+3Dx@example.com", "250 ")
        assert service.states() == ["CONNECT", "EHLO", "EHLO", "CONNECT", "EHLO", "MAIL"]
        mail = service.requests[-1]
        check(mail, client_address="2001:db8::7", client_name="spike.example",
              client_port="40007", server_address="198.51.100.9", server_port="25",
              sasl_username="ann", encryption_protocol="TLSv1.3", policy_context="in",
              sasl_sender="joe=x@example.com")
        cipher, bits = mail["encryption_cipher"], mail["encryption_keysize"]
        assert cipher.startswith("TLS_") and bits in ("128", "256"), (cipher, bits)
        assert bits in cipher or "CHACHA20" in cipher, (cipher, bits)
        check(service.requests[0], client_name="unknown", encryption_protocol="")


def what_clients_say_stays_in_its_line():
    """A line end, or what could be taken for one, would begin an attribute of theirs."""
    with PolicyService() as service, PolicyServer(service, stages=["helo", "mail", "rcpt"]) as server, \
            server.connect() as client:
        client.expect("220 ")
        for text in b"a\x0bb", b"x\rrequest=y", b"a\0b", b"\xc2\x85", b"\xe2\x80\xa8x", b"=", b"\xff":
            client.send(b"EHLO " + text + b"\r\n")
            assert client.reply()[:3] in ("250", "501", "500"), text
            client.send(b"MAIL FROM:<\"" + text + b"\"@example.com>\r\n")
            client.reply()
            client.command("RSET", "250 ")
        for request in service.requests:
            assert request.keys() == ATTRIBUTES, request
            assert all(value.isprintable() for value in request.values()), request


# --- what it answers -----------------------------------------------------------------------

REPLIES = {
    # what it says: the reply
    "REJECT": "554 5.7.1 ",
    "reject  No such luck ": "554 5.7.1 No such luck",
    "REJECT 5.7.9 Who?": "554 5.7.9 Who?",
    "REJECT 4.7.9 Class": "554 5.7.1 Class",
    "DEFER": "450 4.7.1 ",
    "DEFER Later": "450 4.7.1 Later",
    "DEFER_IF_PERMIT Service temporarily unavailable": "450 4.7.1 Service temporarily unavailable",
    "452 4.2.2 Mailbox full": "452 4.2.2 Mailbox full",
    "451 Not now": "451 4.7.1 Not now",
    "550": "550 5.7.1 ",
    "550 5.1.1 Nobody": "550 5.1.1 Nobody",
    "571 Odd code": "571 5.7.1 Odd code",
    "REJECT tab\there \x01\x7f\u00fc": "554 5.7.1 tab here ????",
}


def refusals_at_each_stage():
    with PolicyService() as service, PolicyServer(service) as server, server.connect() as client:
        client.greet()
        for action, reply in REPLIES.items():
            service.answers = {"MAIL": action}
            whole = client.command("MAIL FROM:<a@example.com>", reply)
            assert reply.endswith(" ") or whole == reply, (action, whole)
        for state, command in ("RCPT", "RCPT TO:<b@example.net>"), ("DATA", "DATA"), \
                ("EHLO", "EHLO client.example"), ("HELO", "HELO client.example"):
            service.answers = {}
            client.command("RSET", "250 ")
            client.command("MAIL FROM:<a@example.com>", "250 ")
            client.command("RCPT TO:<first@example.net>", "250 ")
            service.answers = {state: "REJECT at " + state}
            assert client.command(command, "554 ") == "554 5.7.1 at " + state
        service.answers = {}
        client.command("EHLO client.example", "250-")
        service.answers = {"END-OF-MESSAGE": "451 4.7.8 at the end"}
        client.fail_to_deliver(TEXT, "451 4.7.8 at the end")
        assert not server.stored() and not server.failures()


def refusals_that_close():
    with PolicyService() as service, PolicyServer(service) as server:
        service.answers = {"CONNECT": "REJECT not you"}
        with server.connect() as client:
            assert client.expect("554 ") == "554 5.7.1 not you"
            client.expect_closed()
        service.answers = {"CONNECT": "421 4.7.0 Busy"}
        with server.connect() as client:
            client.expect("421 4.7.0 Busy")
            client.expect_closed()
        service.answers = {"RCPT": "421 4.7.0 Enough"}
        with server.connect() as client:
            client.greet()
            client.command("MAIL FROM:<a@example.com>", "250 ")
            client.command("RCPT TO:<b@example.net>", "421 4.7.0 Enough")
            client.expect_closed()


def words_that_accept():
    """Those that mean nothing here are told."""
    with PolicyService() as service, PolicyServer(service, stages=["rcpt"]) as server, \
            server.connect() as client:
        client.greet()
        told = ["HOLD for a while", "FILTER smtp:x", "REDIRECT c@example.net", "WARN look",
                "BCC d@example.net", "nonsense", "PREPEND no header line", "INFO x",
                "PREPEND X-Long: " + 991 * "x", "4xx", "45"]
        for action in ["OK", "ok", "DUNNO", "dunno text", "permit", "DEFER_IF_REJECT x", "250 Fine",
                       *told]:
            service.answers = {"RCPT": action}
            client.deliver(TEXT)
        ignored = [keys_of(line)["action"] for line in server.events("policy.ignored")]
        # The log cuts long values.
        assert [action[:100] for action in ignored] == \
            [action[:100] for action in told if action != "45"], ignored
        assert not server.failures()


def discard():
    states = "CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"
    with PolicyService() as service, PolicyServer(service) as server:
        for state in states:
            service.answers = {state: "DISCARD quietly"}
            with server.connect() as client:
                client.greet()
                client.deliver(TEXT)
        assert server.stored() == []
        assert len(server.events("message.discarded")) == len(states)
        # One recipient is enough, and it is over with the message.
        service.answers = {"RCPT": lambda request:
                           "DISCARD" if request["recipient"] == "c@example.net" else "OK"}
        with server.connect() as client:
            client.greet()
            client.address_message()
            client.command("RCPT TO:<c@example.net>", "250 ")
            client.command("DATA", "354 ")
            client.send(TEXT + b".\r\n")
            client.expect("250 2.0.0 ")
            assert server.stored() == []
            client.deliver(TEXT)
        assert len(server.stored()) == 1


def prepend():
    """Below what we add, above all that the client sent; at the end it is too late."""
    config = section("inbox", type="maildir", path="Maildir", headers=["Received"])
    states = "CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"
    answers = {state: f"PREPEND X-Policy: at {state}" for state in states}
    with PolicyService(answers=answers) as service, \
            PolicyServer(service, config=config) as server, server.connect() as client:
        client.greet()
        client.deliver(TEXT)
        [stored] = server.stored()
        trace, first, rest = stored.partition(b"X-Policy:")
        assert re.fullmatch(rb"Received: .*\n([ \t].*\n)*", trace), stored
        assert first + rest == b"".join(b"X-Policy: at %s\n" % state.encode()
                                        for state in states[:-1]) + TEXT.replace(b"\r", b""), stored
        [ignored] = server.events("policy.ignored")
        assert keys_of(ignored)["action"] == "PREPEND X-Policy: at END-OF-MESSAGE", ignored
        # Not in front of the next one, if this is given up.
        service.answers = {"RCPT": "PREPEND X-Policy: again"}
        client.address_message()
        client.command("RSET", "250 ")
        service.answers = {}
        client.deliver(TEXT)
        assert sum(b"again" in text for text in server.stored()) == 0


# --- besides others --------------------------------------------------------------------------


def rules_come_first():
    rules = ('rule "accept" { on = "rcpt"  recipient = "yes@*"  action = "accept" }\n'
             'rule "reply" { on = "rcpt"  recipient = "no@*"  reply = "552 5.2.2 By rule" }\n'
             'rule "wait" { on = "rcpt"  delay = "1ms" }\nlog { level = "debug" }\n')
    with PolicyService() as service, \
            PolicyServer(service, config=rules, stages=["rcpt"]) as server, \
            server.connect() as client:
        service.answers = {"RCPT": "550 5.7.1 By service"}
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.command("RCPT TO:<yes@example.net>", "250 ")
        client.command("RCPT TO:<no@example.net>", "552 5.2.2 By rule")
        client.command("RCPT TO:<other@example.net>", "550 5.7.1 By service")
        assert [request["recipient"] for request in service.requests] == ["other@example.net"]
        fired = [keys_of(line)["rule"] for line in server.events("rule.fired")]
        assert fired == ["accept", "reply", "wait"], fired
        asked = [keys_of(line)["layer"] for line in server.events("layer.asked")]
        assert asked == ["rules"] * 3 + ["policy"], asked
        decided = [keys_of(line) for line in server.events("layer.decided")]
        decided = [(each["layer"], each["code"], each["reply"]) for each in decided]
        assert decided[:2] == [("rules", "552", "By rule"), ("policy", "550", "By service")], decided


def lmtp():
    config = (section("inbox", type="maildir", path="mail/%{recipient.local}", headers=[])
              + listen("lmtp", "inbox", protocol="lmtp"))
    with PolicyService() as service, PolicyServer(service, config=config) as server, \
            LmtpClient(server.addresses[0]) as client:
        client.greet()
        replies = client.results(["b@example.net", "c@example.net"])
        assert all(reply.startswith("250 ") for reply in replies), replies
        assert service.states() == ["CONNECT", "EHLO", "MAIL", "RCPT", "RCPT", "DATA",
                                    "END-OF-MESSAGE"], service.states()
        assert {request["protocol_name"] for request in service.requests} == {"LMTP"}
        service.answers = {"END-OF-MESSAGE": "REJECT at the end",
                           "RCPT": lambda request:
                           "REJECT not c" if request["recipient"].startswith("c") else "OK"}
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.command("RCPT TO:<b@example.net>", "250 ")
        client.command("RCPT TO:<c@example.net>", "554 5.7.1 not c")
        client.command("RCPT TO:<d@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(TEXT + b".\r\n")
        assert client.replies(2) == ["554 5.7.1 at the end"] * 2
        check(service.requests[-1], recipient_count="2")


def what_is_printed_and_what_is_wrong():
    def sinkd(option, text, status):
        with Server() as server:
            path = server.path("other.conf")
            with open(path, "w") as file:
                file.write(text)
            done = subprocess.run([SINKD, option, "-f", path], capture_output=True, text=True,
                                  timeout=60)
            assert done.returncode == status, done
            return done.stdout + done.stderr

    text = policy("[::1]:10023", stages=["message", "helo"], on_failure="450 4.3.2 Not yet",
                  timeout="2s")
    printed = sinkd("-p", 'rule "r" { on = "rcpt"  delay = "1s" }\n' + text, 0)
    assert printed.index("\nrule ") < printed.index("\npolicy "), printed
    for line in 'socket = "[::1]:10023"', 'stages = {"helo", "message"}', 'timeout = "2s"', \
            'on-failure = "450 4.3.2 Not yet"':
        assert f"\t{line}\n" in printed.partition("\npolicy ")[2], (line, printed)
    for options, wrong in ({"stages": []}, "stages: at least one"), \
            ({"stages": ["quit"]}, "stages: 'quit'"), ({"timeout": "0s"}, "timeout: '0s'"), \
            ({"on_failure": "250 2.0.0 Ok"}, "on-failure: "), ({"on_failure": ""}, "on-failure: "):
        told = sinkd("-t", policy("unix:/run/policy", **options), 78)
        assert wrong in told, (options, told)
    for address in "policy", "unix:relative", "127.0.0.1", "example.com:10023", \
            "unix:/" + "x" * 200, "0.0.0.0:0":
        told = sinkd("-t", policy(address), 78)
        assert "policy: socket: " in told, (address, told)
    sinkd("-t", policy("unix:/nobody/is/there"), 0)


run(each_stage_over_unix, each_stage_over_tcp, only_where_it_is_to_be_asked,
    with_chunks_it_is_asked_once, what_tls_auth_and_proxies_tell,
    what_clients_say_stays_in_its_line, refusals_at_each_stage, refusals_that_close,
    words_that_accept, discard, prepend, rules_come_first, lmtp,
    what_is_printed_and_what_is_wrong, together=True)
