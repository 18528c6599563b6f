"""LMTP (RFC 2033) over TCP and over a Unix socket: every recipient gets a result of its own."""

import os
import re
import select
import smtplib
import ssl
import tempfile

from commands import keys_of, listen, section
from lmtp import TEXT, LmtpClient, lmtp_listener
from sinkd_server import SINKD, Client, Server, read_file, wait_until
from wire_test import need_program, output_of, run
from workshop import Workshop

DISCARD = section("inbox", type="discard")
ONE_MAILBOX = section("inbox", type="maildir", path="Maildir")
MAILBOX_EACH = section("inbox", type="maildir", path="mail/%{recipient}", sync="none")

# What it makes of a message the name of its recipient says.
HANDLER = """
case "$1" in
never*) echo "5.1.1 No such user here"; exit 67 ;;
later*) echo "not a code"; exit 75 ;;
closing*) echo "421 4.3.2 Going away"; exit 1 ;;
esac
cat > "$SHOP/ran/$1 $$"
"""


def connect(server, index=0, **options):
    return LmtpClient(server.addresses[index], **options)


def messages_of(server, recipient):
    """What is in the mailbox of a recipient; there must be nothing in its tmp."""
    new, tmp = (server.path("mail", recipient, part) for part in ("new", "tmp"))
    if not os.path.isdir(new):
        return []
    assert os.listdir(tmp) == []
    return [read_file(os.path.join(new, name)) for name in os.listdir(new)]


def block(server, recipient):
    """Put a file where the mailbox of this recipient should be."""
    with open(server.path("mail", recipient), "w"):
        pass


def both(shop):
    return ["127.0.0.1:0", "unix:" + shop.path("sink")]


def each_transport_has_the_commands():
    with Workshop() as shop, Server(listen=None, config=DISCARD + lmtp_listener(
            "inbox", address=both(shop))) as server:
        for index in range(2):
            with connect(server, index) as client:
                greeting = client.expect("220 ")
                assert "LMTP" in greeting and "ESMTP" not in greeting, greeting
                client.command("MAIL FROM:<a@example.com>", "503 5.5.1 ")
                for command in "EHLO client.example", "HELO client.example":
                    client.command(command, "500 5.5.1 ")
                client.command("LHLO", "501 ")
                offered = client.command("LHLO client.example", "250-").splitlines()[1:]
                words = {line[4:].split()[0] for line in offered}
                assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE"} <= words, words
                help_text = client.command("HELP", "214")
                assert "LHLO" in help_text and "EHLO" not in help_text, help_text
                client.command("EHLO client.example", "500 5.5.1 ")
                assert client.results(["b@example.net"])[0].startswith("250 2.0.0 Ok: ")
                client.command("LHLO again.example", "250-")
                client.command("QUIT", "221 ")
                client.expect_closed()


def smtp_does_not_know_it():
    with Server("--discard", "-w", "1") as server, server.connect() as client:
        client.expect("220 ")
        client.command("LHLO client.example", "500 ")
        client.command("EHLO client.example", "250-")
        client.command("LHLO client.example", "500 ")
        client.deliver(TEXT)


def a_reply_for_each_accepted_recipient():
    with Server(listen=None, config=DISCARD + lmtp_listener("inbox")) as server, \
            connect(server) as client:
        client.greet()
        client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n"
                    b"RCPT TO:<no address\r\nRCPT TO:<c@example.net>\r\n"
                    b"RCPT TO:<b@example.net>\r\nRCPT TO:<d@>\r\nDATA\r\n")
        for code in "250 ", "250 ", "501 ", "250 ", "250 ", "501 ", "354 ":
            client.expect(code)
        client.send(TEXT + b".\r\n")
        replies = client.replies(3)
        assert len(set(replies)) == 1 and replies[0].startswith("250 2.0.0 Ok: "), replies
        [line] = server.events("message.accepted")
        assert keys_of(line)["recipients"] == "3", line


def without_recipients_there_is_no_message():
    with Server(listen=None, config=DISCARD + lmtp_listener("inbox")) as server, \
            connect(server) as client:
        client.greet()
        client.command("DATA", "503 5.5.1 ")
        client.command("MAIL FROM:<>", "250 ")
        client.command("DATA", "503 5.5.1 ")
        client.command("RCPT TO:<no address", "501 ")
        client.command("DATA", "503 5.5.1 ")
        client.command("RCPT TO:<b@example.net>", "250 ")
        client.command("RSET", "250 ")
        client.command("DATA", "503 5.5.1 ")
        assert client.results(["b@example.net"], sender="")[0].startswith("250 ")


def what_the_whole_message_suffers_each_is_told():
    config = (DISCARD + lmtp_listener("inbox")
              + 'limits { message-size = "1K"  bare-newline = "reject" }\n')
    with Server(listen=None, config=config) as server, connect(server) as client:
        client.greet()
        three = ["b@example.net", "b@example.net", "c@example.net"]
        for text, beginning in ((b"x" * 2000 + b"\r\n", "552 5.3.4"),
                                (b"alone: \n\r\n", "554 5.6.0"), (TEXT, "250 2.0.0 Ok: ")):
            replies = client.results(three, text)
            assert len(set(replies)) == 1 and replies[0].startswith(beginning), replies


def each_mailbox_has_its_own_result():
    with Server(listen=None, config=MAILBOX_EACH + lmtp_listener("inbox")) as server, \
            connect(server) as client:
        client.greet()
        names = [f"{word}@example.net" for word in ("first", "bad", "second", "worse", "third")]
        block(server, names[1])
        block(server, names[3])
        replies = client.results(names)
        assert [reply[:9] for reply in replies] == [
            "250 2.0.0", "451 4.3.0", "250 2.0.0", "451 4.3.0", "250 2.0.0"], replies
        assert len(set(replies)) == 2, replies
        identifier = replies[0].split()[-1]
        for number, name in enumerate(names):
            stored = messages_of(server, name)
            assert len(stored) == (number % 2 == 0), (name, stored)
            for text in stored:
                assert text.endswith(TEXT.replace(b"\r\n", b"\n"))
                assert b"\nDelivered-To: " + name.encode() + b"\n" in text
                assert b" with LMTP id " + identifier.encode() in text.replace(b"\n\t", b" "), text

        # Accepted ones are told of together, and each refused one alone.
        [accepted] = map(keys_of, server.events("message.accepted"))
        refused = list(map(keys_of, server.events("message.refused")))
        assert (accepted["to"], accepted["recipients"]) == (names[0], "3"), accepted
        assert {line["to"] for line in refused} == {names[1], names[3]}, refused
        for line in refused:
            assert (line["recipients"], line["code"], line["id"]) == ("1", "451", identifier), line
        assert server.events("delivery.failed")


def all_mailboxes_may_fail():
    with Server(listen=None, config=MAILBOX_EACH + lmtp_listener("inbox")) as server, \
            connect(server) as client:
        client.greet()
        block(server, "b@example.net")
        # There is no need to send the text then.
        client.fail_to_deliver(TEXT, "451 4.3.0", recipient="b@example.net")
        assert not server.events("message.accepted")
        os.remove(server.path("mail", "b@example.net"))
        replies = client.results(["b@example.net"] * 3)
        assert [reply[:9] for reply in replies] == ["250 2.0.0"] * 3, replies
        assert len(messages_of(server, "b@example.net")) == 1


def each_command_has_its_own_result():
    with Workshop() as shop, Server(listen=None, config=(
            section("inbox", shop.script("handler", HANDLER), "%{recipient}")
            + lmtp_listener("inbox"))) as server, connect(server) as client:
        client.greet()
        names = [f"{word}@example.net" for word in ("b", "never", "b", "later", "c")]
        replies = client.results(names)
        assert [reply[:9] for reply in replies] == [
            "250 2.0.0", "550 5.1.1", "250 2.0.0", "451 4.3.0", "250 2.0.0"], replies
        assert replies[1] == "550 5.1.1 No such user here", replies
        ran = shop.ran()
        # One that was named twice has its message twice, as it was told twice that it has.
        assert sorted(name.split()[0] for name in ran) == [names[0], names[2], names[4]], ran
        assert set(ran.values()) == {TEXT.replace(b"\r\n", b"\n")}, ran
        wait_until(lambda: len(server.events("command.end")) == 5, what="all runs in the log")
        [accepted] = map(keys_of, server.events("message.accepted"))
        assert accepted["recipients"] == "3", accepted
        assert len(server.events("message.refused")) == 2


def the_connection_ends_behind_all_results():
    with Workshop() as shop, Server(listen=None, config=(
            section("inbox", shop.script("handler", HANDLER), "%{recipient}")
            + lmtp_listener("inbox"))) as server, connect(server) as client:
        client.greet()
        client.send(b"MAIL FROM:<>\r\n"
                    + b"".join(b"RCPT TO:<%s@example.net>\r\n" % name
                               for name in (b"b", b"closing", b"never", b"c"))
                    + b"DATA\r\n")
        for code in *["250 "] * 5, "354 ":
            client.expect(code)
        client.send(TEXT + b".\r\nNOOP\r\n")
        for reply in ("250 2.0.0 Ok: ", "421 4.3.2 Going away", "550 5.1.1 No such user here",
                      "250 2.0.0 Ok: "):
            client.expect(reply)
        client.expect_closed()
        assert len(shop.ran()) == 2


def one_command_for_all_has_one_result():
    body = 'case "$*" in *never*) exit 67 ;; esac; echo "$*" > "$SHOP/ran/$$"'
    with Workshop() as shop, Server(listen=None, config=(
            section("inbox", shop.script("handler", body), "%{recipients}")
            + lmtp_listener("inbox"))) as server, connect(server) as client:
        client.greet()
        replies = client.results(["b@example.net", "c@example.net"])
        assert [reply[:9] for reply in replies] == ["250 2.0.0"] * 2, replies
        assert list(shop.ran().values()) == [b"b@example.net c@example.net\n"], shop.ran()
        replies = client.results(["b@example.net", "never@example.net", "c@example.net"])
        assert [reply[:9] for reply in replies] == ["550 5.1.1"] * 3, replies
        assert len(shop.ran()) == 1


def a_thousand_results_in_their_order():
    with Server(listen=None, config=MAILBOX_EACH + lmtp_listener("inbox")) as server:
        # The second client takes its replies in small pieces.
        for turn, options in enumerate(({}, {"receive_buffer": 2048})):
            names = [f"u{number}-{turn}@example.net" for number in range(1000)]
            bad = set(range(7, 1000, 93))
            with connect(server, **options) as client:
                client.greet()
                for number in bad:
                    block(server, names[number])
                replies = client.results(names)
                wrong = {number for number, reply in enumerate(replies)
                         if not reply.startswith("451 4.3.0 " if number in bad else "250 2.0.0 Ok: ")}
                assert not wrong, {number: replies[number] for number in wrong}
                for number, name in enumerate(names):
                    assert number in bad or len(messages_of(server, name)) == 1, name
                client.command("QUIT", "221 ")
                client.expect_closed()


MANY = 20000  # Their replies do not fit the buffers of a Unix socket.


def server_for_many(shop, options=""):
    return Server("-w", "1", listen=None, config=(
        f'limits {{ recipients = {MANY}  memory-per-session = "64M" }}\n{options}' + ONE_MAILBOX
        + lmtp_listener("inbox", address=["unix:" + shop.path("sink")])))


def send_to_many(client):
    """As far as the end of the message; no reply to it is read."""
    client.greet()
    client.command("MAIL FROM:<a@example.com>", "250 ")
    for first in range(0, MANY, 1000):
        client.send(b"".join(b"RCPT TO:<u%d@example.net>\r\n" % number
                             for number in range(first, first + 1000)))
        for _ in range(1000):
            client.expect("250 ")
    client.command("DATA", "354 ")
    client.send(TEXT + b".\r\nQUIT\r\n")


def stored_once(server):
    [text] = wait_until(server.stored, what="the message")
    assert text.endswith(TEXT.replace(b"\r\n", b"\n"))
    [accepted] = map(keys_of, wait_until(lambda: server.events("message.accepted"),
                                           what="the line in the log"))
    assert accepted["recipients"] == str(MANY) and not server.events("message.refused"), accepted


def a_client_that_reads_late_gets_all_results():
    with Workshop() as shop, server_for_many(shop) as server, connect(server) as client:
        send_to_many(client)
        stored_once(server)
        for number in range(MANY):
            client.expect("250 2.0.0 Ok: ")
        client.expect("221 ")
        client.expect_closed()


def a_client_that_never_reads_results_is_let_go():
    with Workshop() as shop, server_for_many(shop, 'timeouts { data = "2s" }\n') as server, \
            connect(server) as client:
        send_to_many(client)
        stored_once(server)
        [line] = wait_until(lambda: server.events("session.end"), 10, "the end of the session")
        assert keys_of(line)["how"] == "broken", line
        with connect(server) as following:
            following.greet()


def a_client_that_reads_results_slowly_gets_all():
    """All in all for longer than one that does not read may take."""
    with Workshop() as shop, server_for_many(shop, 'timeouts { data = "3s" }\n') as server, \
            connect(server) as client:
        send_to_many(client)
        stored_once(server)
        for _ in range(4):
            select.select([], [], [], 1.5)
            for _ in range(MANY // 4):
                client.expect("250 2.0.0 Ok: ")
        client.expect("221 ")
        client.expect_closed()


def a_client_that_leaves_amid_its_results():
    with Workshop() as shop, server_for_many(shop) as server:
        with connect(server) as client:
            send_to_many(client)
            stored_once(server)
            client.expect("250 2.0.0 Ok: ")
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        stored_once(server)
        with connect(server) as following:
            following.greet()


def a_server_that_stops_amid_results():
    with Workshop() as shop, server_for_many(shop) as server, connect(server) as client:
        send_to_many(client)
        stored_once(server)
        server.terminate()
        # Whoever reads what was promised is told all of it.
        for _ in range(MANY):
            client.expect("250 2.0.0 Ok: ")
        assert client.expect("")[:4] in ("221 ", "421 ")
        client.expect_closed()
        server.wait_exit()
        stored_once(server)


def all_in_one_packet():
    with Server(listen=None, config=ONE_MAILBOX + lmtp_listener("inbox")) as server, \
            connect(server) as client:
        message = b"MAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n"
        client.send(b"LHLO client.example\r\n" + (message + TEXT + b".\r\n") * 3 + b"QUIT\r\n")
        client.expect("220 ")
        client.expect("250-")
        for _ in range(3):
            for code in "250 2.1.0", *["250 2.1.5"] * 2, "354 ", *["250 2.0.0 Ok: "] * 2:
                client.expect(code)
        client.expect("221 ")
        client.expect_closed()
        assert len(server.stored()) == 3


def it_can_be_secured():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    config = ONE_MAILBOX + lmtp_listener("inbox", tls="required")
    with Server(listen=None, config=config) as server, connect(server) as client:
        assert "250-STARTTLS" in client.greet()
        client.command("MAIL FROM:<>", "530 5.7.0 ")
        client.start_tls(context)
        client.command("MAIL FROM:<>", "503 5.5.1 ")
        assert "STARTTLS" not in client.command("LHLO client.example", "250-")
        assert client.results(["b@example.net"])[0].startswith("250 2.0.0 Ok: ")
        assert b" with LMTPS id " in server.stored()[0].replace(b"\n\t", b" "), server.stored()


def both_protocols_in_one_server():
    config = ONE_MAILBOX + lmtp_listener("inbox") + listen("smtp", "inbox")
    with Server("-w", "1", listen=None, config=config) as server:
        for turn in range(2):
            with connect(server) as client:
                client.greet()
                assert len(client.results(["b@example.net", "c@example.net"])) == 2
            with Client(server.addresses[1]) as client:
                client.greet()
                client.deliver(TEXT)
        assert len(server.stored()) == 4


def mistakes_are_named():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.conf")

        def check(status, **options):
            with open(path, "w") as file:
                file.write(DISCARD + listen("l", "inbox", **options))
            return output_of(SINKD, "-t", "-f", path, status=status, cwd=directory)

        check(0, protocol="lmtp", address=["127.0.0.1:24", "unix:/run/sinkd/lmtp", "[::1]:2525"])
        check(0, protocol="smtp", address=["127.0.0.1:25"])
        for options, expected in (({"protocol": "uucp"}, "uucp|protocol"),
                                  # RFC 2033, 5
                                  ({"protocol": "lmtp", "address": ["127.0.0.1:25"]}, "25"),
                                  ({"protocol": "lmtp", "address": ["unix:/x", "[::1]:25"]}, "25")):
            text = check(78, **options)
            assert re.search(rf"x\.conf:\d+: .*({expected})", text), (options, text)


def serve_both(shop):
    return Server(listen=None, config=ONE_MAILBOX + lmtp_listener("inbox", address=both(shop)))


def smtplib_delivers():
    """It reads one reply, however many recipients there are."""
    with Workshop() as shop, serve_both(shop) as server:
        for address in server.addresses[0], (shop.path("sink"), 0):
            with smtplib.LMTP(*address) as client:
                for recipient in "b@example.net", "c@example.net":
                    assert client.sendmail("a@example.com", [recipient], TEXT) == {}
        assert len(server.stored()) == 4


def swaks_delivers():
    swaks = need_program("swaks")
    with Workshop() as shop, serve_both(shop) as server:
        host, port = server.addresses[0]
        for where in ["--server", host, "--port", str(port)], ["--socket", shop.path("sink")]:
            text = output_of(swaks, "--protocol", "LMTP", *where, "--from", "a@example.com",
                             "--to", "b@example.net,c@example.net")
            assert "LHLO " in text and re.search(r"^<-  250 2\.0\.0 Ok: ", text, re.M), text
        assert len(server.stored()) == 2


run(each_transport_has_the_commands, smtp_does_not_know_it, a_reply_for_each_accepted_recipient,
    without_recipients_there_is_no_message, what_the_whole_message_suffers_each_is_told,
    each_mailbox_has_its_own_result, all_mailboxes_may_fail, each_command_has_its_own_result,
    the_connection_ends_behind_all_results,
    one_command_for_all_has_one_result, a_thousand_results_in_their_order,
    a_client_that_reads_late_gets_all_results, a_client_that_never_reads_results_is_let_go,
    a_client_that_reads_results_slowly_gets_all, a_client_that_leaves_amid_its_results,
    a_server_that_stops_amid_results, all_in_one_packet, it_can_be_secured,
    both_protocols_in_one_server, mistakes_are_named, smtplib_delivers, swaks_delivers)
