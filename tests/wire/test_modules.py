"""Modules of the configuration in the real server: the examples, several one above the
other, and what the host does for them."""

import json
import os
import re
import resource
import signal
import threading

from commands import listen, section
from modules import ModuleShop, notes
from sinkd_server import Client, Server, wait_until
from upgraded_server import Upgraded
from wire_test import need_root, run

def texts_of(server, name):
    return [text for _, text in notes(server, name)]


def worker_of(server, session):
    """The pid of the worker that serves this session."""
    [line] = [line for line in server.events("session.start") if f"session={session} " in line]
    return int(re.search(r" pid=(\d+) ", line).group(1))


# --- the examples ---------------------------------------------------------------------


def email_server_is_told_each_step():
    with ModuleShop() as shop, \
            Server(config='log { level = "debug" }\n' + shop.section("email_server"),
                   workers=1) as server:
        with server.connect() as client:
            assert client.expect("220 ") == "220 mock smtp server greets you with impunity"
            client.command("EHLO client.example", "250-mock.smtp.server.local")
            client.deliver(b"Subject: x\r\n\r\n..dot\r\n")
            client.command("QUIT", "221 ")
            client.expect_closed()
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        said = notes(server, "email_server")
        calls = [text.partition("(")[0] for _, text in said if text.endswith(")")]
        # The text comes in as many pieces as it wants.
        assert [call for call, before in zip(calls, [None] + calls) if call != before] == [
            "get_server_domain", "get_server_greeting", "receive_ehlo_domain",
            "get_server_domain", "receive_transaction", "receive_sender", "receive_recipient",
            "receive_data_command", "get_server_domain", "receive_data_chunk",
            "receive_message", "receive_transaction", "connection_ended"], said
        assert "received_email: sender a@example.com, recipient b@example.net, " \
            "ehlo_domain client.example, 20 octets" in [text for _, text in said]
        # Each line has the session that all other lines of this client have.
        [start] = server.events("session.start")
        assert all(f" session={session} " in start for session, _ in said), said
        [message] = server.stored()
        assert message.endswith(b"Subject: x\n\n.dot\n")
        assert b" by mock.smtp.server.local " in message.replace(b"\n\t", b" "), message


def knock(client):
    """The reply to RCPT of a transaction that goes no further."""
    client.command("MAIL FROM:<a@example.com>", "250 ")
    client.send(b"RCPT TO:<b@example.net>\r\n")
    reply = client.reply()
    client.command("RSET", "250 ")
    return reply


def greylist_is_one_for_all_workers():
    with ModuleShop() as shop, \
            Server(config=shop.section("greylist", "1"), workers=3) as server:
        server.wait_idle(3)
        with server.connect() as first, server.connect() as second:
            first.greet()
            second.greet()
            reply = "450 4.7.1 Greylisted, please try again in 1 seconds"
            assert knock(first) == reply
            # Another worker knows, and lets in who comes again, when it is time.
            assert knock(second) == reply
            wait_until(lambda: knock(second).startswith("250 "), what="the end of the delay")
            # Then all do; and those that come when others are gone.
            first.deliver(b"Subject: welcome\r\n\r\n")
            sessions = [re.search(" session=(\\S+)", line).group(1)
                        for line in server.events("session.start")]
            assert len({worker_of(server, session) for session in sessions}) == 2
            client_of_nobody = server.workers()
            for pid in client_of_nobody:
                os.kill(pid, signal.SIGKILL)
            first.expect_closed()
            second.expect_closed()
        wait_until(lambda: not set(client_of_nobody) & set(server.workers()), what="new workers")
        server.wait_idle(3)
        with server.connect() as client:
            client.greet()
            assert knock(client).startswith("250 ")
        [message] = server.stored()
        assert b"X-Greylist: passed\n" in message


def json_config(shop, path):
    return (shop.section("json_lines", path) +
            section("json", type="module", module=shop.module("json_lines")))


def lines_of(path):
    """Each line must be one; blank ones are nothing."""
    with open(path, "rb") as file:
        content = file.read()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.decode("ascii").splitlines() if line.strip()]


def text_of(entry):
    return entry["text"].encode("latin-1")


def json_lines_has_all_messages():
    with ModuleShop() as shop:
        lines = shop.path("lines")
        with Server(config=json_config(shop, lines), workers=3) as server:
            bodies = [b"Subject: %d\r\n\r\n" % number + os.urandom(30).hex().encode() + b"\r\n" +
                      bytes(byte for byte in range(1, 256) if byte not in b"\r\n.") + b"\r\n" +
                      b"long " * (number * 3000) + b"\r\n" for number in range(12)]

            def send(some):
                with server.connect() as client:
                    client.greet()
                    for body in some:
                        replies.append(client.deliver(body, recipient=f"{len(body)}@example.net"))

            replies = []
            threads = [threading.Thread(target=send, args=(bodies[k::3],)) for k in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            entries = lines_of(lines)
            assert sorted(map(text_of, entries)) == sorted(bodies)
            assert {entry["id"] for entry in entries} == \
                {reply.rpartition(" ")[2] for reply in replies} and len(replies) == 12
            for entry in entries:
                assert entry["recipients"] == [f"{len(text_of(entry))}@example.net"], entry
                assert entry["section"] == "json" and entry["client"] == "127.0.0.1"
                assert entry["sender"] == "a@example.com"
            assert not os.path.exists(server.maildir)


def a_full_disk_leaves_no_half_of_a_line():
    with ModuleShop() as shop:
        lines = shop.path("lines")
        with Upgraded(config=json_config(shop, lines), workers=1) as server:
            # Workers of now on have them from their master.
            old = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (20000, old[1]))
            server.reload()
            with server.connect() as client:
                client.greet()
                client.deliver(b"one " * 3000 + b"\r\n")
                for text in b"half " * 3000, b"none at all ":
                    client.fail_to_deliver(text + b"\r\n", "452 4.3.1 ")
                assert len(lines_of(lines)) == 1
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, old)
            server.reload()
            with server.connect() as client:
                client.greet()
                client.deliver(b"two\r\n")
            assert [text_of(entry)[:4] for entry in lines_of(lines)] == [b"one ", b"two\r"]


# --- several, and what the host does ----------------------------------------------------


def pair(shop):
    return shop.section("wilful", "upper", "upper") + shop.section("wilful", "lower", "lower")


def each_can_ask_the_next():
    with ModuleShop() as shop, Server(config=pair(shop), workers=1) as server, \
            server.connect() as client:
        assert client.expect("220 ") == "220 upper"
        client.command("EHLO client.example", "250-")
        # Who does not ask on decides alone; who does hears what was decided below.
        client.command("MAIL FROM:<upper@example.com>", "550 5.7.1 upper 0")
        client.command("MAIL FROM:<lower@example.com>", "550 5.7.1 lower 0")
        client.deliver(b"Subject: x\r\n\r\n")
        client.command("QUIT", "221 ")
        client.expect_closed()
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        said = [text for _, text in notes(server)]
        begin, end = said.index("upper sender upper@example.com"), said.index("upper message heard 0")
        assert said[begin:end + 1] == [
            "upper sender upper@example.com",
            "upper sender lower@example.com", "lower sender lower@example.com",
            "upper sender heard 550",
            "upper sender a@example.com", "lower sender a@example.com", "lower sender heard 0",
            "upper sender heard 0",
            "lower recipient heard 0", "upper recipient heard 0",
            "lower data_command heard 0", "upper data_command heard 0",
            "lower message heard 0", "upper message heard 0"], said
        # What only tells is told from above, to all.
        assert said[end + 1:] == ["upper transaction", "lower transaction",
                                  "upper connection_ended", "lower connection_ended"], said
        assert said[:said.index("upper connect heard 0") + 1] == [
            "upper connect 127.0.0.1", "upper session 1",
            "lower connect 127.0.0.1", "lower session 1", "lower connect heard 0",
            "upper connect heard 0"], said
        [message] = server.stored()
        # The upper one was called first.
        assert b"X-Wilful: upper\nX-Wilful: lower\n" in message, message


def rules_come_first_and_know_what_modules_do_not():
    rule = 'rule "first" { on = "mail"  sender = "upper@*"  reply = "451 4.3.0 Ruled" }\n'
    with ModuleShop() as shop, Server(config=pair(shop) + rule, workers=1) as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<upper@example.com>", "451 4.3.0 Ruled")
        assert "upper sender upper@example.com" not in texts_of(server, "upper")
        client.command("MAIL FROM:<lower@example.com>", "550 5.7.1 lower 0")


def state_of_sessions_workers_and_all():
    with ModuleShop() as shop, \
            Server(config=shop.section("wilful", "wilful"), workers=2) as server:
        server.wait_idle(2)

        def ask(client, what):
            client.send(f"RCPT TO:<{what}@example.net>\r\n".encode())
            reply = client.expect(f"450 4.7.1 {what} ")
            return int(reply.rpartition(" ")[2])

        with server.connect() as held, server.connect() as other:
            for client in held, other:
                client.greet()
                client.command("MAIL FROM:<a@example.com>", "250 ")
            # Each worker has its own sessions; what is counted is counted together.
            assert ask(held, "session") == ask(other, "session") == 1
            assert [ask(held, "count"), ask(other, "count"), ask(held, "count")] == [1, 2, 3]
            other.close()
            wait_until(lambda: len(server.idle_workers()) == 1, what="the other worker")
            with server.connect() as next_one:
                next_one.greet()
                next_one.command("MAIL FROM:<a@example.com>", "250 ")
                assert ask(next_one, "session") == 2
                assert ask(held, "session") == 1
                # A worker that dies takes its own with it, and nothing of the others.
                next_one.send(b"RCPT TO:<abort@example.net>\r\n")
                next_one.expect_closed()
            wait_until(lambda: len(server.idle_workers()) == 1, what="a new worker")
            with server.connect() as last:
                last.greet()
                last.command("MAIL FROM:<a@example.com>", "250 ")
                assert ask(last, "session") == 1 and ask(last, "count") == 4


def with_lmtp_each_recipient_has_its_fate():
    with ModuleShop() as shop:
        lines = shop.path("lines")
        config = json_config(shop, lines) + pair(shop) + \
            listen("a", deliver=["json"], protocol="lmtp")
        with Server(config=config, workers=1, listen=None) as server, \
                server.connect() as client:
            client.expect("220 upper")
            client.command("LHLO client.example", "250-")
            client.command("MAIL FROM:<a@example.com>", "250 ")
            for name in "one", "late", "two":
                client.command(f"RCPT TO:<{name}@example.net>", "250 ")
            client.command("DATA", "354 ")
            client.send(b"Subject: x\r\n\r\n.\r\n")
            client.expect("250 2.0.0 Ok: ")
            client.expect("452 4.7.1 upper 0")
            client.expect("250 2.0.0 Ok: ")
            [entry] = lines_of(lines)
            assert entry["recipients"] == ["one@example.net", "two@example.net"], entry
            said = [text for _, text in notes(server)]
            assert [text for text in said if "message" in text] == [
                "lower message heard 0", "upper message heard 0"] + [
                "lower message_recipient heard 0", "upper message_recipient heard 0"] * 2, said


def another_file_of_that_name_counts_from_the_next_reload_on():
    with ModuleShop() as shop, \
            Upgraded(config=shop.section("wilful", "wilful"), workers=1) as server:
        with server.connect() as before:
            before.expect("220 wilful")
            os.rename(shop.module("email_server"), shop.module("wilful"))
            server.reload()
            with server.connect() as after:
                after.expect("220 mock smtp server greets you with impunity")
            # Who was there keeps what it began with.
            before.command("EHLO client.example", "250-")
            before.command("MAIL FROM:<wilful@example.com>", "550 5.7.1 wilful 0")


def recipients_go_where_it_says():
    config = (section("inbox", type="maildir", path="Maildir") +
              section("away", type="maildir", path="away") + listen("main", "inbox"))
    with ModuleShop() as shop, \
            Server(config=config + shop.section("wilful", "wilful"), workers=1,
                   listen=None) as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")
        for name in "here", "away", "nowhere":
            client.command(f"RCPT TO:<{name}@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: both\r\n\r\n.\r\n")
        client.expect("250 2.0.0 Ok: ")
        client.open_message(recipient="nowhere@example.net")
        client.send(b"Subject: neither\r\n\r\n.\r\n")
        client.expect("250 2.0.0 Ok: ")
        assert len(server.stored()) == len(os.listdir(server.path("away", "new"))) == 1
        assert b"Subject: both" in server.stored()[0]
        # One recipient of the first message, and the second one.
        assert len(server.events("message.discarded")) == 2
        assert len(server.events("message.accepted")) == 1


def an_ordinary_user_has_all_of_it():
    need_root()
    with ModuleShop() as shop:
        lines = shop.path("lines")
        config = json_config(shop, lines) + shop.section("greylist", "1")
        with Server(config=config, workers=2, user=(65534, 65534)) as server, \
                server.connect() as client:
            client.greet()
            assert knock(client).startswith("450 ")
            wait_until(lambda: knock(client).startswith("250 "), what="the end of the delay")
            client.deliver(b"Subject: x\r\n\r\n")
            [entry] = lines_of(lines)
            # What one module puts in front of the message the other one stores.
            assert text_of(entry) == b"X-Greylist: passed\r\nSubject: x\r\n\r\n", entry
            assert os.stat(lines).st_uid == 65534


def a_backend_takes_what_is_its_own():
    """Beside a Maildir, for one of two listeners; and a module without a backend is none."""
    with ModuleShop() as shop:
        config = (section("inbox", type="maildir", path="Maildir") +
                  section("taken", type="module", module=shop.module("wilful")) +
                  listen("a", "inbox") + listen("b", "inbox", "taken"))
        with Server(config=config + shop.section("wilful", "wilful"), workers=1,
                    listen=None) as server:
            for address, commits in zip(server.addresses, (0, 1)):
                with Client(address) as client:
                    client.greet()
                    client.deliver(b"Subject: x\r\n\r\n")
                assert texts_of(server, "wilful").count("wilful commit") == commits
            assert len(server.stored()) == 2


if __name__ == "__main__":
    run(email_server_is_told_each_step, greylist_is_one_for_all_workers,
        json_lines_has_all_messages, a_full_disk_leaves_no_half_of_a_line,
        each_can_ask_the_next, rules_come_first_and_know_what_modules_do_not,
        with_lmtp_each_recipient_has_its_fate, state_of_sessions_workers_and_all,
        another_file_of_that_name_counts_from_the_next_reload_on, recipients_go_where_it_says,
        an_ordinary_user_has_all_of_it, a_backend_takes_what_is_its_own, together=True)
