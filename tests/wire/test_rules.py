"""Rules against the live server: what each does at each stage of a session, in the middle of
message text, and after it for one recipient of several (LMTP)."""

import concurrent.futures
import errno
import os
import select
import socket

from certificates import any_certificate
from commands import keys_of
from lmtp import LmtpClient
from sinkd_server import Client, read_file, wait_until
from stages import FIN, RST, SETTINGS, STAGES, TEXT, end_of, ruled, seconds_of, walk_to
from wire_test import run


def at_each_stage(rules, check, stages=STAGES):
    """check(name, server, client) with a client whose last line has not been answered yet;
    "ON" stands in rules for the stage."""
    for name in stages:
        with ruled(rules.replace("ON", f'on = "{name}"')) as server, server.connect() as client:
            walk_to(client, STAGES[name].lines)
            check(name, server, client)


def expect_fired(server, *names):
    """These rules have fired and no others, each told with its session."""
    lines = [keys_of(line) for line in server.events("rule.fired")]
    assert [line["rule"] for line in lines] == list(names), lines
    sessions = {keys_of(line)["session"] for line in server.events("session.start")}
    assert {line["session"] for line in lines} <= sessions, lines


def replies():
    def check(name, server, client):
        client.expect("452 4.7.9 No, says r at")
        expect_fired(server, "r at")
        fired = keys_of(server.events("rule.fired")[0])
        assert (fired["stage"], fired["action"], fired["code"]) == (name, "reply", "452"), fired
        if name == "connect":
            assert end_of(client) == FIN, name
            return
        client.command("NOOP" if name != "noop" else "RSET", "250 ")
        assert server.listing("new") == server.listing("tmp") == [], name

    at_each_stage('rule "r at" { ON  reply = "452 4.7.9 No, says %{rule}" }', check)


def replies_that_close():
    def check(name, _, client):
        client.expect("421 4.7.9 Go")
        assert end_of(client) == FIN, name

    at_each_stage('rule "r" { ON  reply = "421 4.7.9 Go" }', check)


def exceptions():
    """Of two that concern the same the first one decides."""
    def check(name, server, client):
        client.expect(STAGES[name].usual)
        expect_fired(server, "yes")

    at_each_stage('rule "yes" { ON  action = "accept" }\n'
                  'rule "no" { ON  reply = "452 4.7.9 No" }', check)


def disconnects():
    def check(name, server, client):
        assert end_of(client) == FIN, name
        expect_fired(server, "r")
        assert server.listing("new") == server.listing("tmp") == [], name

    at_each_stage('rule "r" { ON  action = "disconnect" }', check)


def resets():
    def check(name, server, client):
        assert end_of(client) == RST, name
        expect_fired(server, "r")
        assert server.listing("new") == server.listing("tmp") == [], name

    rule = 'rule "r" { ON  action = "reset" }'
    at_each_stage(rule, check, [name for name in STAGES if name != "connect"])
    with ruled(rule.replace("ON", 'on = "connect"')) as server:
        try:
            with server.connect() as client:
                assert end_of(client) == RST
        except ConnectionResetError:
            pass  # Before connect(2) had returned.
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        expect_fired(server, "r")


def expect_silence(client):
    assert not client.received
    assert not select.select([client.socket], [], [], 0.1)[0], client.socket.recv(4096)


def stalls():
    """Not a word, whatever the client says; when it goes, the worker is free."""
    def check(name, server, client):
        expect_silence(client)
        expect_fired(server, "r")
        client.send(b"NOOP\r\n")
        expect_silence(client)
        client.close()
        server.wait_idle(1)

    at_each_stage('rule "r" { ON  action = "stall" }', check)


def a_stall_that_lasts_too_long():
    with ruled('rule "r" { on = "noop"  action = "stall" }', 'timeouts { command = "1s" }') \
            as server, server.connect() as client:
        client.greet()
        client.send(b"NOOP\r\n")
        assert end_of(client) == FIN
        server.wait_idle(1)


def waits():
    def check(name, server, client):
        took = seconds_of(client.expect, STAGES[name].usual)
        # The clock here starts when the server may have waited for a while.
        assert took > 0.1, (name, took)
        expect_fired(server, "r", "also")

    at_each_stage('rule "r" { ON  delay = "150ms" }\nrule "also" { ON  delay = "50ms" }', check)


def who_goes_is_not_waited_for():
    """One that has closed looks like one that says no more and listens: that gets its time."""
    def answers_who_listens():
        with ruled('rule "r" { on = "noop"  delay = "1s" }') as server, server.connect() as client:
            client.greet()
            client.send(b"NOOP\r\n")
            client.end_of_input()
            client.expect("250 2.0.0 ")
            assert end_of(client) == FIN

    def frees_the_worker(leave):
        with ruled('rule "r" { on = "noop"  delay = "1h" }', 'timeouts { command = "1s" }') \
                as server, server.connect() as client:
            client.greet()
            client.send(b"NOOP\r\nNOOP\r\n")
            wait_until(lambda: server.events("rule.fired"))
            leave(client)
            server.wait_idle(1)
            [line] = server.events("session.end")
            assert keys_of(line)["how"] == ("broken" if leave is Client.reset else "gone"), line

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(answers_who_listens),
                     *(pool.submit(frees_the_worker, leave)
                       for leave in (Client.close, Client.reset, Client.end_of_input))]:
            done.result()


def deadlines_in_a_wait():
    """That of commands is none; that of the session ends it, with the answer."""
    short = " ".join(f'{name} = "1s"' for name in ("command", "data", "data-total", "tls"))
    with ruled('rule "r" { on = "noop"  delay = "1500ms" }', f"timeouts {{ {short} }}") as server, \
            ruled('rule "r" { on = "noop"  delay = "1h" }',
                  f'timeouts {{ {short}  session = "1s" }}') as ending, \
            server.connect() as client, ending.connect() as late:
        for one in client, late:
            one.greet()
            one.send(b"NOOP\r\n")
        late.expect("250 2.0.0 ")
        late.expect("421 4.4.2 ")
        assert end_of(late) == FIN
        client.expect("250 2.0.0 ")
        client.command("QUIT", "221 ")


def drops():
    """Replies are as ever, and nothing is stored of it; the next message is."""
    def check(name, server, client):
        client.expect(STAGES[name].usual)
        rest = {"mail": (*STAGES["message"].lines[2:],), "data": (f"{TEXT}.",),
                "rcpt": STAGES["message"].lines[3:]}.get(name, ())
        for line in rest:
            client.command(line, "354 " if line == "DATA" else "250 2.")
        assert server.listing("new") == server.listing("tmp") == [], name
        expect_fired(server, "r")
        [line] = server.events("message.discarded")
        assert keys_of(line)["to"] == "b@example.net", line
        client.deliver(TEXT.encode())
        assert len(server.listing("new")) == 1, name

    at_each_stage('rule "r" { ON  action = "drop"  first = 1 }', check,
                  ("mail", "rcpt", "data", "bdat", "message"))


def other_sections():
    """A recipient of two goes elsewhere, and where it went has only its own."""
    with ruled('rule "r" { on = "rcpt"  recipient = "other@*"  action = "deliver"'
               '  deliver = {"other"} }') as server, server.connect() as client:
        client.greet()
        client.address_message()
        client.command("RCPT TO:<other@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(f"{TEXT}.\r\n".encode())
        client.expect("250 2.0.0 Ok: ")
        expect_fired(server, "r")
        [other] = os.listdir(server.path("Other", "new"))
        for text, name in ((read_file(server.path("Other", "new", other)), b"other"),
                           (server.stored()[0], b"b")):
            assert b"Delivered-To: " + name + b"@example.net\n" in text, text
            assert text.endswith(b"text\n") and text.count(b"Delivered-To") == 1, text
        assert len(server.stored()) == 1


def under_tls():
    """A reset is one there, too; a disconnect is still told as TLS wants it."""
    rules = [f'rule "{action}" {{ on = "rcpt"  recipient = "{action}@*"  action = "{action}" }}'
             for action in ("disconnect", "reset", "stall")]
    with ruled(*rules, workers=3) as server:
        for action in "disconnect", "reset", "stall":
            with server.connect() as client:
                client.greet()
                client.start_tls(any_certificate())
                client.socket.suppress_ragged_eofs = False
                client.command("EHLO client.example", "250-")
                client.command("MAIL FROM:<a@example.com>", "250 ")
                client.send(f"RCPT TO:<{action}@example.net>\r\n".encode())
                if action == "stall":
                    expect_silence(client)
                elif action == "disconnect":
                    assert client.socket.recv(4096) == b""
                else:
                    # OpenSSL does not tell the one from the other.
                    with socket.socket(fileno=client.socket.detach()) as below:
                        select.select([below], [], [])
                        assert below.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == \
                            errno.ECONNRESET
        expect_fired(server, "disconnect", "reset", "stall")


# -------------------------------------------------------- in the middle of the text

LINE = b"x" * 62 + b"\r\n"
BEFORE = LINE * 15 + b"x" * 63  # of 1K


def in_the_middle(command, action, check):
    """check(server, client, rest) when 1023 octets of the text have been sent, and nothing
    has happened yet."""
    rule = f'rule "r" {{ on = "{command.lower()}"  after = "1K"  {action} }}'
    with ruled(rule) as server, server.connect() as client:
        client.greet()
        client.address_message()
        if command == "DATA":
            client.command("DATA", "354 ")
            client.send(BEFORE)
            rest = b"\n\r\n.\r\n"
        else:
            client.send(b"BDAT 1000\r\n" + BEFORE[:1000])
            client.expect("250 ")
            client.send(b"BDAT 1000 LAST\r\n" + BEFORE[1000:])
            rest = b"\n" * 977
        expect_silence(client)
        expect_fired(server)
        check(server, client, rest)


def told_behind(server, client, rest):
    client.send(rest[:1])
    expect_silence(client)
    expect_fired(server, "r")
    client.send(rest[1:])
    client.expect("452 4.3.1 Full")
    assert server.listing("new") == server.listing("tmp") == []
    client.command("NOOP", "250 ")


def told_and_closed(server, client, rest):
    client.send(rest)
    client.expect("421 4.3.2 Go")
    assert end_of(client) == FIN
    assert server.listing("new") == server.listing("tmp") == []


def ended(server, client, rest, end=FIN):
    client.send(rest[:1])
    assert end_of(client) == end
    expect_fired(server, "r")
    client.close()
    server.wait_idle(1)
    assert server.listing("new") == server.listing("tmp") == []


def reset(server, client, rest):
    ended(server, client, rest, RST)


def stalled(server, client, rest):
    client.send(rest)
    expect_silence(client)
    expect_fired(server, "r")


def dropped(server, client, rest):
    client.send(rest)
    client.expect("250 2.0.0 Ok: ")
    assert len(server.events("message.discarded")) == 1
    assert server.listing("new") == server.listing("tmp") == []


def waited(server, client, rest):
    client.send(rest)
    assert seconds_of(client.expect, "250 2.0.0 Ok: ") > 0.15
    assert len(server.stored()) == 1


def faults_in_the_middle():
    for command in "DATA", "BDAT":
        in_the_middle(command, 'reply = "452 4.3.1 Full"', told_behind)
        in_the_middle(command, 'reply = "421 4.3.2 Go"', told_and_closed)
        in_the_middle(command, 'action = "disconnect"', ended)
        in_the_middle(command, 'action = "reset"', reset)
        in_the_middle(command, 'action = "stall"', stalled)
        in_the_middle(command, 'action = "drop"', dropped)
        in_the_middle(command, 'delay = "300ms"', waited)


def clients_that_are_cut_off_while_they_send():
    """Who is disconnected may go on for a while, and then sees that; who is reset may not."""
    for action in "disconnect", "reset":
        with ruled(f'rule "r" {{ on = "data"  after = "64K"  action = "{action}" }}') as server, \
                server.connect() as client:
            client.greet()
            client.deliver(LINE * 1023)
            client.open_message()
            try:
                for _ in range(100 if action == "disconnect" else 10000):
                    client.send(LINE * 1024)
                assert end_of(client) == FIN
            except (BrokenPipeError, ConnectionResetError):
                assert action == "reset"
            client.close()
            server.wait_idle(1)
            assert len(server.listing("new")) == 1 and not server.listing("tmp")


# ---------------------------------------------------------------- for one recipient

def for_one_recipient():
    """LMTP: faults after the dot are those of the recipients they are about."""
    rules = ('rule "full" { on = "message"  recipient = "full@*"  reply = "452 4.2.2 Full" }',
             'rule "gone" { on = "message"  recipient = "gone@*"  reply = "550 5.1.1 %{recipient}" }',
             'rule "lost" { on = "message"  recipient = "lost@*"  action = "drop" }',
             'rule "named" { on = "message"  match-address = true  reply = "450 As it says" }')
    names = ["b@x.example", "full@x.example", "gone@x.example", "lost@x.example",
             "452-4.3.5@x.example", "c@x.example"]
    config = SETTINGS.replace('listen "in" {', 'listen "in" {\n\tprotocol = "lmtp"')
    with ruled(*rules, config=config.replace("./Maildir", "./Boxes/%{recipient.local}")) as server, \
            LmtpClient(server.addresses[0]) as client:
        client.greet()
        found = client.results(names)
        wanted = ("250 2.0.0 Ok: ", "452 4.2.2 Full", "550 5.1.1 gone@x.example", "250 2.0.0 Ok: ",
                  "452 4.3.5 As it says", "250 2.0.0 Ok: ")
        assert len(found) == len(wanted) and all(map(str.startswith, found, wanted)), found
        expect_fired(server, "full", "gone", "lost", "named")
        stored = [name for name in os.listdir(server.path("Boxes"))
                  if os.listdir(server.path("Boxes", name, "new"))]
        assert sorted(stored) == ["b", "c"], stored


run(replies, replies_that_close, exceptions, disconnects, resets, stalls,
    a_stall_that_lasts_too_long, waits, who_goes_is_not_waited_for,
    deadlines_in_a_wait, drops, other_sections, under_tls, faults_in_the_middle,
    clients_that_are_cut_off_while_they_send, for_one_recipient, together=True)
