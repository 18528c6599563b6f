"""Rules against the live server: whom they concern, how long they wait, what they say, what an
address may name, and how they are seen and switched from outside."""

import concurrent.futures
import json
import re

from certificates import any_certificate
from commands import keys_of, quoted
from stages import FIN, RST, SETTINGS, end_of, ruled, seconds_of
from wire_test import run

REFUSED = "452 4.7.9 Hit"
PROXIED = SETTINGS.replace('listen "in" {', 'listen "in" {\n\tproxy-protocol = {"127.0.0.1"}\n'
                           '\txclient = {"127.0.0.3"}')


def talk(server, *lines, source=None):
    """Say these lines, "TLS" being a handshake; the last reply."""
    with server.connect(source=source) as client:
        if lines[0].startswith("PROXY "):
            client.send(lines[0].encode() + b"\r\n")
            lines = lines[1:]
        client.expect("220 ")
        for line in lines:
            if line == "TLS":
                client.start_tls(any_certificate())
                continue
            client.send(line.encode() + b"\r\n")
            reply = client.reply()
        return reply


GREETED = "EHLO client.example"
MAIL = "MAIL FROM:<a@example.com>"
RCPT = "RCPT TO:<b@example.net>"
LOGIN = "AUTH PLAIN AGpvZQBzZWNyZXQ="
UP_TO_TEXT = GREETED, MAIL, RCPT, "DATA"
# A stage and a condition; conversations that it concerns and that it does not, from an
# address that may stand in front.  END: it is their last line that tells; else a NOOP.
CASES = [
    ("noop", 'client = {"127.0.0.2"}', [["127.0.0.2"]], [["127.0.0.1"], ["127.0.0.3"]]),
    ("noop", 'client = {"127.0.1.0/24", "::1", "unix"}', [["127.0.1.7"]], [["127.0.2.7"]]),
    ("noop", 'client = {"192.0.2.0/24"}',
     [["PROXY TCP4 192.0.2.7 127.0.0.1 4000 25"],
      ["127.0.0.3", GREETED, "XCLIENT ADDR=192.0.2.9", GREETED]],
     [["PROXY TCP4 192.0.3.7 127.0.0.1 4000 25"], ["PROXY UNKNOWN"], ["127.0.0.3"]]),
    ("noop", 'helo = "*.bad.example"', [["EHLO a.bad.example"], ["HELO A.B.BAD.EXAMPLE"]],
     [["EHLO bad.example"], ["EHLO a.bad.example.net"], []]),
    ("helo", 'helo = "~^[[]"', [["EHLO [192.0.2.1]", "END"]], [["EHLO client.example", "END"]]),
    ("noop", 'sender = "a?@*"', [[GREETED, "MAIL FROM:<ab@example.com>"]],
     [[GREETED, MAIL], [GREETED, "MAIL FROM:<ab@example.com>", "RSET"], [GREETED]]),
    ("mail", 'sender = ""', [[GREETED, "MAIL FROM:<>", "END"]], [[GREETED, MAIL, "END"]]),
    ("rcpt", 'recipient = "~^(x|y)@"', [[GREETED, MAIL, "RCPT TO:<Y@example.net>", "END"]],
     [[GREETED, MAIL, RCPT, "END"], [GREETED, MAIL, "RCPT TO:<xy@example.net>", "END"]]),
    ("data", 'recipient = "x@*"', [[GREETED, MAIL, RCPT, "RCPT TO:<x@example.net>", "DATA", "END"]],
     [[*UP_TO_TEXT, "END"]]),
    ("noop", 'user = "j?e"', [[GREETED, LOGIN]], [[GREETED], [GREETED, "TLS", GREETED]]),
    ("noop", 'user = ""', [[GREETED]], [[GREETED, LOGIN]]),
    ("noop", 'listener = "i?"', [[GREETED]], []),
    ("noop", 'listener = "other"', [], [[GREETED]]),
    ("noop", "tls = yes", [[GREETED, "TLS", GREETED], [GREETED, "TLS"]], [[GREETED], []]),
    ("noop", "tls = no", [[GREETED], []], [[GREETED, "TLS", GREETED]]),
    ("mail", 'size = "1K"', [[GREETED, f"{MAIL} SIZE=1024", "END"]],
     [[GREETED, f"{MAIL} SIZE=1023", "END"], [GREETED, MAIL, "END"]]),
    ("message", 'size = "1K"', [[*UP_TO_TEXT, "x" * 1022 + "\r\n.", "END"]],
     [[*UP_TO_TEXT, "x" * 1021 + "\r\n.", "END"],
      [GREETED, f"{MAIL} SIZE=2000", RCPT, "DATA", "x\r\n.", "END"]]),
    # All of them have to hold.
    ("rcpt", 'sender = "a@*"  recipient = "b@*"  client = {"127.0.0.2"}',
     [["127.0.0.2", GREETED, MAIL, RCPT, "END"]],
     [[GREETED, MAIL, RCPT, "END"], ["127.0.0.2", GREETED, MAIL, "RCPT TO:<c@example.net>", "END"],
      ["127.0.0.2", GREETED, "MAIL FROM:<b@example.com>", RCPT, "END"]]),
]


def conditions():
    for stage, condition, concerned, others in CASES:
        is_proxied = any("PROXY" in line for lines in concerned for line in lines)
        with ruled(f'rule "r" {{ on = "{stage}"  {condition}  reply = "{REFUSED}" }}',
                   config=PROXIED if is_proxied else SETTINGS) as server:
            for lines in [*concerned, *others]:
                source = lines[0] if lines and lines[0].startswith("127.") else None
                said = lines[1:] if source else lines
                said = said[:-1] if said[-1:] == ["END"] else [*said, "NOOP"]
                reply = talk(server, *said, source=source)
                assert (reply == REFUSED) == (lines in concerned), (stage, condition, lines, reply)


# ---------------------------------------------------------------------------- waits

def waits_of(delay, count):
    """How many ms so many NOOPs take in one session, and how many they are told to."""
    with ruled(f'rule "r" {{ on = "noop"  delay = "{delay}" }}') as server, \
            server.connect() as client:
        client.greet()
        times = [seconds_of(client.command, "NOOP", "250 ") * 1000 for _ in range(count)]
        return times, [int(keys_of(line)["delay_ms"]) for line in server.events("rule.fired")]


# What is written, and between which times each answer comes.
WAITS = [
    ("200ms", [(200, 200)] * 3),
    ("100ms-400ms", [(100, 400)] * 3),
    ("0s+100ms", [(0, 0), (100, 100), (200, 200), (300, 300)]),
    ("50ms+100ms-200ms", [(50, 50), (150, 150), (200, 200), (200, 200)]),
    ("10ms-300ms", [(10, 300)] * 8),
    ("10ms-300ms", [(10, 300)] * 8),
]


def waits():
    """None is shorter than it should be.  The machine may be slow, but mostly it is not."""
    with concurrent.futures.ThreadPoolExecutor(len(WAITS)) as pool:
        found = list(pool.map(lambda row: waits_of(row[0], len(row[1])), WAITS))
    for (delay, limits), (times, told) in zip(WAITS, found):
        assert len(told) == len(times), (delay, told)
        assert all(ms > due - 1 for ms, due in zip(times, told)), (delay, times, told)
        assert all(least <= due <= most for due, (least, most) in zip(told, limits)), (delay, told)
        on_time = [ms < due + 1000 for ms, due in zip(times, told)]
        assert sum(on_time) > len(limits) / 2, (delay, times, told)
    # Another run of the server draws the same.
    (_, one), (_, other) = found[-2:]
    assert one == other and max(one) - min(one) > 50, (one, other)


def a_wait_before_a_refusal_and_an_end():
    with ruled('rule "slow" { on = "noop"  delay = "100ms" }',
               'rule "no" { on = "noop"  delay = "100ms"  reply = "452 4.7.9 Hit"  first = 1 }',
               'rule "end" { on = "noop"  delay = "100ms"  action = "disconnect" }') as server, \
            server.connect() as client:
        client.greet()
        assert seconds_of(client.command, "NOOP", REFUSED) > 0.19
        client.send(b"NOOP\r\n")
        assert seconds_of(end_of, client) > 0.05
        assert [keys_of(line)["rule"] for line in server.events("rule.fired")] == \
            ["slow", "no", "slow", "end"]


# --------------------------------------------------------------------------- replies

def macros():
    text = "%{rule}|%{client}|%{helo}|%{sender}|%{recipient}|%{id}|100%%"
    with ruled(f'rule "r 1" {{ on = "rcpt"  recipient = "b@*"  reply = "452 4.7.9 {text}" }}',
               f'rule "r 2" {{ on = "message"  reply = "554 5.7.9 {text}" }}',
               f'rule "r 3" {{ on = "noop"  reply = "450 4.7.9 {text}" }}') as server, \
            server.connect() as client:
        client.expect("220 ")
        client.command("NOOP", "450 4.7.9 r 3|127.0.0.1|||||100%")
        client.command(GREETED, "250-")
        client.command(MAIL, "250 ")
        first = client.command(RCPT, "452 4.7.9 r 1|127.0.0.1|client.example|a@example.com|"
                                     "b@example.net|")
        client.command("RCPT TO:<c@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"text\r\n.\r\n")
        last = client.expect("554 5.7.9 r 2|127.0.0.1|client.example|a@example.com|c@example.net|")
        [line] = server.events("message.refused")
        identity = keys_of(line)["id"]
        assert first.split("|")[5:] == last.split("|")[5:] == [identity, "100%"], (first, last)


def what_is_told_is_harmless():
    """Text of clients fits into a line, and has no bytes that do not belong there."""
    with ruled('rule "r" { on = "rcpt"  reply = "452 4.7.9 %{recipient}" }') as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com> SMTPUTF8", "250 ")
        client.send("RCPT TO:<b\u00fc@example.net>\r\n".encode())
        client.expect("452 4.7.9 b??@example.net")
        reply = client.command(f"RCPT TO:<{'x' * 64}@{'.'.join(['y' * 60] * 4)}>", "452 4.7.9 xxxx")
        assert len(reply) <= 10 + 255, reply


BY_ADDRESS = [
    ("452", "452 4."), ("452-4.2.2", "452 4.2.2 As told"), ("550", "550 5."), ("554-5.7.1+tag", "554 5.7.1"),
    ("DISCONNECT", FIN), ("reset", RST), ("drop", "250 "), ("delay250ms", "250 "),
    ("delay250ms-452", "452 4."), ("delay0-disconnect", FIN), ("421", "421 4."), ("421-4.2.1", "421 4.2.1"),
    # These name nothing.
    ("b", "250 "), ("352", "250 "), ("600", "250 "), ("452-5.2.2", "250 "), ("delayed", "250 "),
    ("delay2h", "250 "), ("drops", "250 "),
]


def addresses_that_name_a_fault():
    for stage, said in ("rcpt", [GREETED, MAIL, "RCPT TO:<NAME@fault.example>"]), \
            ("mail", [GREETED, "MAIL FROM:<NAME@fault.example>"]):
        whom = "recipient" if stage == "rcpt" else "sender"
        rule = (f'rule "r" {{ on = "{stage}"  {whom} = "*@fault.example"  match-address = true'
                f'  reply = "450 As told" }}')
        with ruled(rule) as server:
            for name, answer in BY_ADDRESS:
                with server.connect() as client:
                    client.expect("220 ")
                    for line in said[:-1]:
                        client.command(line, "250")
                    client.send(said[-1].replace("NAME", name).encode() + b"\r\n")
                    took = seconds_of(expect_answer, client, name, answer)
                    assert took > 0.1 or "250ms" not in name, (name, took)
                    if answer.startswith("421"):
                        assert end_of(client) == FIN
            # Elsewhere addresses mean nothing.
            assert talk(server, GREETED, "MAIL FROM:<452@example.com>",
                        "RCPT TO:<452@example.net>").startswith("250 ")
            fired = len(server.events("rule.fired"))
            assert fired == sum(name not in ("b", "352", "600", "452-5.2.2", "delayed", "delay2h", "drops")
                                for name, _ in BY_ADDRESS), fired
    with ruled('rule "r" { on = "rcpt"  recipient = "*@fault.example"  delay = "1ms" }') as server:
        assert talk(server, GREETED, MAIL, "RCPT TO:<452@fault.example>").startswith("250 ")


def expect_answer(client, name, answer):
    found = end_of(client) if answer in (FIN, RST) else client.reply()
    assert found.startswith(answer), (name, found)


# ----------------------------------------------------------------- seen and switched

def rows_of(server):
    rules = json.loads(server.sinkctl("--format", "json", "rules")[0])["rules"]
    return {rule["name"]: rule for rule in rules}


def hits_of(server):
    """By both ways to ask."""
    found = {name: row["hits"] for name, row in rows_of(server).items()}
    metrics = server.sinkctl("metrics")[0]
    counted = re.findall(r'^sinkd_rule_hits_total\{rule="(.*)"\} (\d+)$', metrics, re.M)
    assert found == {re.sub(r"\\(.)", r"\1", name): int(count) for name, count in counted}, counted
    return found


def hits():
    odd = r'a "name" with \x41 \ and {}'
    with ruled('rule "no" { on = "noop"  reply = "452 4.7.9 Hit" }',
               f'rule {quoted(odd)} {{ on = "vrfy"  reply = "452 4.7.9 %{{rule}}" }}',
               'rule "never" { on = "noop"  reply = "453 4.7.9 Never" }',
               'rule "seldom" { on = "rset"  percent = 0  reply = "452 4.7.9 Seldom" }',
               'rule "always" { on = "rset"  percent = 100  delay = "1ms" }', workers=2) as server:
        clients = [server.connect() for _ in range(2)]
        for client in clients:
            client.greet()
            for _ in range(3):
                client.command("NOOP", REFUSED)
            client.command("RSET", "250 ")
            client.command("VRFY b", f"452 4.7.9 {odd}")
        wanted = {"no": 6, odd: 2, "never": 0, "seldom": 0, "always": 2}
        assert hits_of(server) == wanted
        logged = [keys_of(line)["rule"] for line in server.events("rule.fired")]
        assert sorted(logged) == [odd] * 2 + ["always"] * 2 + ["no"] * 6, logged
        assert re.search("no .*noop .* 6$", server.sinkctl("rules")[0], re.M)
        server.sinkctl("rule", odd, "off")
        clients[0].command("VRFY b", "252 ")
        for client in clients:
            client.close()


def switches():
    """At once, and in sessions that are open; over a worker that comes later."""
    with ruled('rule "up" { on = "noop"  reply = "452 4.7.9 Hit" }',
               'rule "down" { on = "rset"  enabled = false  reply = "452 4.7.9 Hit" }') as server:
        with server.connect() as client:
            client.greet()
            for up, down in ("on", "off"), ("off", "on"), ("on", "on"), ("off", "off"):
                server.sinkctl("rule", "up", up)
                server.sinkctl("rule", "down", down)
                client.command("NOOP", REFUSED if up == "on" else "250 ")
                client.command("RSET", REFUSED if down == "on" else "250 ")
        # What is off counts nothing.
        assert hits_of(server) == {"up": 2, "down": 2}


run(conditions, waits, a_wait_before_a_refusal_and_an_end, macros, what_is_told_is_harmless,
    addresses_that_name_a_fault, hits, switches, together=True)
