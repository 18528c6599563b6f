"""Each extension that a listener may offer, with it and without it: what EHLO says, and what
becomes of a client that uses it all the same.  And limits that are about commands."""

import re

from certificates import any_certificate
from commands import keys_of, listen, section
from lmtp import LmtpClient
from sinkd_server import Client, Server
from wire_test import run

ALL = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME",
       "SMTPUTF8", "DSN", "LIMITS", "NO-SOLICITING", "REQUIRETLS", "HELP", "VRFY", "EXPN", "ETRN")
# Never announced, wherever they are switched on: RFC 5321, 3.5.2, and they answer 502.
SILENT = {"EXPN", "ETRN"}
# Those that mean nothing without the other.
WITH = {"CHUNKING": ["BINARYMIME"], "8BITMIME": ["SMTPUTF8"]}

MAIL = "MAIL FROM:<a@example.com>"
RCPT = "RCPT TO:<b@example.net>"

# The lines of a client that uses the extension: each with its reply where it is offered, and
# where it is not.
USES = {
    "SIZE": [(f"{MAIL} SIZE=10", "250 2.1.0", "555 5.5.4")],
    "8BITMIME": [(f"{MAIL} BODY=8BITMIME", "250 2.1.0", "555 5.5.4")],
    "BINARYMIME": [(f"{MAIL} BODY=BINARYMIME", "250 2.1.0", "555 5.5.4")],
    "CHUNKING": [(MAIL, "250 2.1.0", "250 2.1.0"), (RCPT, "250 2.1.5", "250 2.1.5"),
                 ("BDAT 0 LAST", "250 2.0.0 Ok: ", "502 5.5.1")],
    "SMTPUTF8": [(f"{MAIL} SMTPUTF8", "250 2.1.0", "555 5.5.4"), ("RSET", "250 2.0.0", "250 2.0.0"),
                 ("MAIL FROM:<é@example.com> SMTPUTF8", "250 2.1.0", "553 5.6.7"),
                 ("RSET", "250 2.0.0", "250 2.0.0"),
                 ("MAIL FROM:<é@example.com>", "553 5.6.7", "553 5.6.7")],
    "DSN": [(f"{MAIL} RET=HDRS", "250 2.1.0", "555 5.5.4"), ("RSET", "250 2.0.0", "250 2.0.0"),
            (f"{MAIL} ENVID=x", "250 2.1.0", "555 5.5.4"), ("RSET", "250 2.0.0", "250 2.0.0"),
            (MAIL, "250 2.1.0", "250 2.1.0"),
            (f"{RCPT} NOTIFY=NEVER", "250 2.1.5", "555 5.5.4"),
            (f"{RCPT} ORCPT=rfc822;c@example.net", "250 2.1.5", "555 5.5.4")],
    "NO-SOLICITING": [(f"{MAIL} SOLICIT=org.example:ADV", "250 2.1.0", "555 5.5.4")],
    "REQUIRETLS": [(f"{MAIL} REQUIRETLS", "250 2.1.0", "555 5.5.4")],
    "HELP": [("HELP", "214 2.0.0", "502 5.5.1")],
    "VRFY": [("VRFY b@example.net", "252 2.", "502 5.5.1")],
    "EXPN": [("EXPN list", "502 5.5.1", "502 5.5.1")],
    "ETRN": [("ETRN example.net", "502 5.5.1", "502 5.5.1")],
}


def without(*names):
    return [name for name in ALL if name not in names]


def name_of(extension):
    return "no-" + extension.lower()


LISTENERS = {"all": list(ALL), "none": [],
             **{name_of(each): without(each, *WITH.get(each, [])) for each in ALL}}
CONFIG = (section("inbox", type="maildir", path="./Maildir", headers=["Received"])
          + "".join(listen(name, "inbox", extensions=offered) for name, offered in LISTENERS.items())
          + listen("lmtp-none", "inbox", protocol="lmtp", extensions=[])
          + "limits { recipients = 77 }\n")


def address_of(server, name):
    return server.addresses[[*LISTENERS, "lmtp-none"].index(name)]


def offered_by(reply):
    """The keywords of a reply to EHLO, without the name of the server."""
    return [line[4:].split()[0] for line in reply.splitlines()[1:]]


def expect_use(client, extension, is_offered, codes=True):
    for line, with_it, without_it in USES[extension]:
        reply = with_it if is_offered else without_it
        client.command(line, reply if codes else reply[:4])
    client.command("RSET", "250 ")


def without_tls(names):
    return [name for name in names if name != "REQUIRETLS"]


def all_of_them():
    with Server(config=CONFIG, listen=None) as server, \
            Client(address_of(server, "all")) as client:
        client.expect("220 ")
        lines = client.command("EHLO client.example", "250-").splitlines()
        expected = [name for name in without_tls(ALL) if name not in SILENT]
        assert sorted(offered_by("\n".join(lines))) == sorted([*expected, "STARTTLS"]), lines
        assert lines[-1] == "250 ENHANCEDSTATUSCODES", lines
        assert "250-LIMITS RCPTMAX=77" in lines and "250-SIZE 20971520" in lines, lines
        for extension in without_tls(USES):
            expect_use(client, extension, True)
        # The text of a binary message may be anything.
        client.command(f"{MAIL} BODY=BINARYMIME", "250 ")
        client.command(RCPT, "250 ")
        client.command("DATA", "503 5.5.1")
        binary = bytes(range(256)) + b"\r.\r\n.\r\n\n"
        client.send(b"BDAT 10\r\n" + binary[:10] + b"BDAT %d LAST\r\n" % (len(binary) - 10)
                    + binary[10:])
        client.expect("250 2.0.0 10 octets received")
        client.expect("250 2.0.0 Ok: ")
        assert any(text.endswith(b"\r\n" + binary) for text in server.stored()), server.stored()
        # Only under TLS.
        client.command(f"{MAIL} REQUIRETLS", "555 5.5.4")
        client.start_tls(any_certificate())
        reply = client.command("EHLO client.example", "250-")
        assert sorted(offered_by(reply)) == sorted([*expected, "REQUIRETLS"]), reply
        expect_use(client, "REQUIRETLS", True)
        client.command("QUIT", "221 2.0.0")


def each_switched_off():
    with Server(config=CONFIG, listen=None) as server:
        for extension in ALL:
            missing = {extension, *WITH.get(extension, [])}
            with Client(address_of(server, name_of(extension))) as client:
                client.expect("220 ")
                client.command("EHLO client.example", "250-")
                client.command("STARTTLS", "220 ")
                client.wrap(any_certificate())
                reply = client.command("EHLO client.example", "250-")
                expected = set(ALL) - missing - SILENT
                assert set(offered_by(reply)) == expected, (extension, reply)
                codes = extension != "ENHANCEDSTATUSCODES"
                for each in USES:
                    expect_use(client, each, each not in missing, codes)
                client.command("QUIT", "221 2.0.0" if codes else "221 ")
                client.expect_closed()


def commands_behind_each_other_without_pipelining():
    """Whoever does not wait is served all the same (RFC 2920 binds the client)."""
    with Server(config=CONFIG, listen=None) as server, \
            Client(address_of(server, name_of("PIPELINING"))) as client:
        client.expect("220 ")
        client.send(f"EHLO client.example\r\n{MAIL}\r\n{RCPT}\r\nRSET\r\n".encode())
        for code in "250-", "250 2.1.0", "250 2.1.5", "250 2.0.0":
            client.expect(code)


def no_enhanced_codes():
    """In no reply at all, of whatever kind."""
    with Server(config=CONFIG, listen=None) as server:
        for name in name_of("ENHANCEDSTATUSCODES"), "none":
            with Client(address_of(server, name)) as client:
                client.expect("220 ")
                client.command("HELO client.example" if name == "none" else "EHLO client.example", "250")
                lines = ("NOOP", "HELP", "VRFY x", "EXPN x", "WRONG", "RCPT TO:<a@b>", MAIL, "MAIL",
                         "RCPT TO:<", RCPT, "XCLIENT ADDR=192.0.2.1", "BDAT x", "RSET", "AUTH PLAIN",
                         "DATA", "STARTTLS x", "NOOP \x01", "QUIT")
                for line in lines:
                    client.send(line.encode() + b"\r\n")
                    for part in client.reply().splitlines():
                        assert not re.match(r"\d{3}[ -]\d\.\d{1,3}\.\d{1,3}\b", part), (name, line, part)


def none_at_all():
    """The greeting does not promise ESMTP, EHLO is not known, and all of RFC 821 works."""
    with Server(config=CONFIG, listen=None) as server:
        with Client(address_of(server, "none")) as client:
            assert " SMTP " in client.expect("220 ")
            client.command("EHLO client.example", "502 ")
            client.command("HELO client.example", "250 ")
            client.command(f"{MAIL} SIZE=10", "555 ")
            client.command(MAIL, "250 ")
            client.command(RCPT, "250 ")
            client.command("DATA", "354 ")
            client.send(b"text\r\n.\r\n")
            client.expect("250 Ok: ")
            [stored] = server.stored()
            assert b" with SMTP id " in stored, stored
            # What is announced is read all the same, and is no command.
            for line in "HELP", "VRFY x", "EXPN x", "ETRN x", "BDAT 6 LAST\r\nQUIT":
                client.command(line, "502 ")
            client.command("QUIT", "221 ")
            client.expect_closed()

        # LMTP has no other greeting than LHLO (RFC 2033, 4.1).
        with LmtpClient(address_of(server, "lmtp-none")) as client:
            client.expect("220 ")
            reply = client.command("LHLO client.example", "250")
            assert offered_by(reply) in ([], ["STARTTLS"]), reply
            client.command(MAIL, "250 ")
            client.command(RCPT, "250 ")


def commands_without_mail():
    """They are counted anew after a message, and not within a transaction."""
    with Server(config="limits { commands-without-mail = 5 }\n") as server, \
            server.connect() as client:
        client.greet()
        for _ in range(2):
            client.command("NOOP", "250 ")
        client.deliver(b"text\r\n")
        answers = 0
        client.send(b"NOOP\r\n" * 10)
        while (reply := client.reply()).startswith("250 "):
            answers += 1
        assert answers == 5 and reply.startswith("421 4.7.0 "), (answers, reply)
        client.expect_closed()
        assert keys_of(server.events("session.end")[-1])["messages"] == "1"


def messages_per_session():
    with Server(config="limits { messages-per-session = 2 }\n") as server:
        with server.connect() as client:
            reply = client.greet()
            assert re.search(r"^250[ -]LIMITS .*\bMAILMAX=2\b", reply, re.M), reply
            client.deliver(b"text\r\n")
            client.deliver(b"text\r\n")
            client.command(MAIL, "421 4.7.0 ")
            client.expect_closed()
        assert len(server.stored()) == 2
        with server.connect() as client:
            client.greet()
            client.deliver(b"text\r\n")


run(all_of_them, each_switched_off, commands_behind_each_other_without_pipelining,
    no_enhanced_codes, none_at_all, commands_without_mail, messages_per_session)
