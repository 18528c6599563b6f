"""What docs/SMTP-SINK.md says to those who come from smtp-sink, about refusals, waits and
disconnects: it does what smtp-sink does, or what the document says that is different."""

import concurrent.futures
import gzip
import os
import re
import select
import time

from commands import keys_of
from sinkd_server import wait_until
from smtp_sink import (ROWS, Original, Sink, all_instead_of, code_of, instead_of,
                       rules_once_in_a_while, stage_of)
from stages import FIN, RST, end_of, seconds_of
from wire_test import Skip, run

# Of Postfix 3.7.
OPTIONS = set("468aAbBcCdDeEfFhHLmMnNpPqQrRsStTuvwW")
MANUAL = "/usr/share/man/man1/smtp-sink.1.gz"

LONGEST_SLACK_SECONDS = 4  # The machine may be busy.

TEXT = "Subject: x\r\n\r\ntext\r\n."
UNTIL_DATA = "EHLO c.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"
# What is said up to a command that an option names, and that command.
DIALOGUES = {
    "HELO": ("HELO c.example",),
    "EHLO": ("EHLO c.example",),
    "LHLO": ("LHLO c.example",),
    "MAIL": UNTIL_DATA[:2],
    "RCPT": UNTIL_DATA[:3],
    "DATA": UNTIL_DATA,
    ".": (*UNTIL_DATA, TEXT),
    "RSET": (*UNTIL_DATA[:2], "RSET"),
    "NOOP": ("EHLO c.example", "NOOP"),
    "VRFY": ("EHLO c.example", "VRFY b"),
    "QUIT": ("EHLO c.example", "QUIT"),
    "AUTH": ("EHLO c.example", "AUTH PLAIN AGpvZQBzZWNyZXQ="),
}
ANSWERS = {
    "-r RCPT": "450 4.3.0 Error: command failed",
    "-f RCPT": "500 5.3.0 Error: command failed",
    "-q RCPT": FIN,
    "-Q RCPT": "421 4.0.0 Server closing connection",
}


def the_document_has_all_options():
    options = {option for row in ROWS for name in code_of(row)
               for option in re.findall("^-(.)", name)}
    assert options == OPTIONS, options ^ OPTIONS


def it_is_all_that_the_manual_has():
    if not os.path.exists(MANUAL):
        raise Skip("there is no smtp-sink(1)")
    with gzip.open(MANUAL, "rt") as manual:
        options = set(re.findall(r'^\.IP "?\\fB\\-(.)\b', manual.read(), re.M))
    assert options == OPTIONS, options ^ OPTIONS


def answer_to(client, dialogue):
    """What the last line is answered with, or how the connection ends: the rest is taken."""
    client.expect("220 ")
    for line in dialogue[:-1]:
        client.command(line, "354 " if line == "DATA" else "250")
    client.send(dialogue[-1].encode() + b"\r\n")
    return client.reply() or end_of(client)


def rule_for(option, command):
    """What is there instead of the option, for another command than RCPT."""
    rule = instead_of(option)
    assert 'on = "rcpt"' in rule, rule
    return rule.replace('on = "rcpt"', stage_of(command))


def for_each_case(check):
    """check(option, command, lmtp) for all of them."""
    for option in ANSWERS:
        for command in DIALOGUES:
            check(option, command, command == "LHLO")


def each_command_meets_what_is_written():
    def check(option, command, lmtp):
        offers = (instead_of("-L"),) if lmtp else ()
        with Sink(rule_for(option, command), offers=offers) as server, \
                server.connect() as client:
            answer = answer_to(client, DIALOGUES[command])
            assert answer == ANSWERS[option], (option, command, answer)
            assert len(server.events("rule.fired")) == 1
            if answer.startswith("421"):
                client.expect_closed()
            elif answer != FIN:
                client.command("NOOP" if command != "NOOP" else "RSET", "250 ")

    for_each_case(check)


def it_is_what_smtp_sink_says():
    def check(option, command, lmtp):
        options = (option.split()[0], command, *(("-L",) if lmtp else ()))
        with Original(*options) as original, original.connect() as client:
            answer = answer_to(client, DIALOGUES[command])
            assert answer == ANSWERS[option], (option, command, answer)

    for_each_case(check)


def who_is_refused_before_the_greeting_is_closed():
    for option, answer in ANSWERS.items():
        with Sink(rule_for(option, "CONNECT")) as server, server.connect() as client:
            assert (client.reply() or end_of(client)) == answer, option
            if answer != FIN:
                assert end_of(client) == FIN, option


def several_commands_are_several_rules():
    """-r "MAIL RCPT": the MAIL that is refused now is accepted once its rule is off."""
    soft = rule_for("-r RCPT", "MAIL")
    with Sink(soft, instead_of("-r RCPT").replace("soft", "soft too")) as server, \
            server.connect() as client:
        # Unlike there, PIPELINING is offered.
        assert "PIPELINING" in client.greet()
        client.command("MAIL FROM:<a@example.com>", "450 4.3.0 Error: command failed")
        server.sinkctl("rule", "soft", "off")
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.command("RCPT TO:<b@example.net>", "450 4.3.0 Error: command failed")


def other_texts():
    """-b and -B; there the first digit has to be 4 and 5."""
    assert "400 to 599" in ROWS["`-b TEXT`"] and "likewise" in ROWS["`-B TEXT`"]
    texts = {text: text for text in ("400 4.0.0 Low", "499 4.7.99 High", "599 5.7.1 No")}
    # What is missing is what is usual for a recipient.
    texts["451 Without a code"] = "451 4.7.1 Without a code"
    texts["500"] = "500 5.7.1 "
    for text, reply in texts.items():
        rule = instead_of("-r RCPT").replace("450 4.3.0 Error: command failed", text)
        with Sink(rule) as server, server.connect() as client:
            client.greet()
            client.command("MAIL FROM:<a@example.com>", "250 ")
            client.command("RCPT TO:<b@example.net>", reply)


def a_reset_instead_of_an_end():
    assert all_instead_of("-q RCPT")[1] == '"reset"'
    for command, dialogue in DIALOGUES.items():
        offers = (instead_of("-L"),) if command == "LHLO" else ()
        rule = rule_for("-q RCPT", command).replace('"disconnect"', '"reset"')
        with Sink(rule, offers=offers) as server, server.connect() as client:
            client.expect("220 ")
            for line in dialogue[:-1]:
                client.command(line, "354 " if line == "DATA" else "250")
            client.send(dialogue[-1].encode() + b"\r\n")
            assert end_of(client) == RST, command


def expect_seconds(wanted, function, *arguments):
    took = seconds_of(function, *arguments)
    # The server may have begun before we look at the clock.
    assert wanted - 0.5 <= took < wanted + LONGEST_SLACK_SECONDS, f"{took:.2f} s, not {wanted} s"


def an_answer_to_data_that_waits():
    with Sink(instead_of("-w 5")) as server, server.connect() as client:
        client.greet()
        client.address_message()
        expect_seconds(5, client.command, "DATA", "354 ")
        client.send(TEXT.encode() + b"\r\n")
        client.expect("250 2.0.0 Ok: ")


def an_answer_to_any_command_that_waits():
    """All at once: each has a server of its own."""
    def check(command):
        offers = (instead_of("-L"),) if command == "LHLO" else ()
        rule = instead_of("-W RCPT:2").replace('on = "rcpt"', stage_of(command))
        with Sink(rule, offers=offers) as server:
            with server.connect() as client:
                if command == "CONNECT":
                    return expect_seconds(2, client.expect, "220 ")
                client.expect("220 ")
                for line in DIALOGUES[command][:-1]:
                    client.command(line, "354 " if line == "DATA" else "250")
                assert not server.events("rule.fired")
                client.send(DIALOGUES[command][-1].encode() + b"\r\n")
                expect_seconds(2, client.expect, "")

    commands = ("CONNECT", *DIALOGUES)
    with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(check, commands))


def waits_of(rule, names):
    """How many ms the answer to the RCPT for each of these names is to wait, each in a session
    of its own, which then leaves."""
    found = {}
    with Sink(rule) as server:
        def fired(name):
            return [keys_of(line) for line in server.events("rule.fired") if f"to={name}@" in line]

        for name in names:
            with server.connect() as client:
                client.greet()
                client.command("MAIL FROM:<a@example.com>", "250 ")
                client.send(f"RCPT TO:<{name}@example.net>\r\n".encode())
                # It is told before the answer.
                wait_until(lambda n=name, c=client: fired(n) or
                           select.select([c.socket], [], [], 0)[0], what="a rule, or an answer")
                found[name] = sum(int(one["delay_ms"]) for one in fired(name))
    return found


def a_wait_that_is_drawn():
    """Evenly, and the same in each run."""
    names = [f"r{i}" for i in range(16)]
    rule = instead_of("-W RCPT:2:50")
    assert 'delay = "0s-8s"' in rule
    one, other = waits_of(rule, names), waits_of(rule, names)
    assert one == other
    # Of sixteen between 0 s and 8 s six or so take less than 3 s.
    short = [wait for wait in one.values() if wait < 3000]
    assert 2 <= len(short) <= 11 and max(one.values()) <= 8000, one


def a_wait_for_every_second_one():
    names = [f"r{i}" for i in range(16)]
    assert all_instead_of("-W RCPT:2:50")[1] == "percent = 50"
    rule = instead_of("-W RCPT:2").replace("delay", "percent = 50  delay")
    waits = waits_of(rule, names)
    assert set(waits.values()) == {0, 2000}, waits
    assert 3 <= list(waits.values()).count(2000) <= 13, waits


def a_wait_that_grows():
    growing = all_instead_of("-W RCPT:2:50")[2]
    with Sink(instead_of("-W RCPT:2").replace('delay = "2s"', growing)) as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")
        for wait in 0, 2, 4:
            took = seconds_of(client.command, "RCPT TO:<b@example.net>", "250 ")
            assert wait - 0.01 <= took < wait + 1.9, (wait, took)


def data_that_is_cut_off():
    with Sink(instead_of("-A 5")) as server, server.connect() as client:
        client.greet()
        client.open_message()
        client.send(b"Subject: x\r\n\r\nte")
        started = time.monotonic()
        assert end_of(client) == FIN
        assert 4.5 < time.monotonic() - started < 5 + LONGEST_SLACK_SECONDS


def data_that_is_read_late():
    with Sink(instead_of("-H 5")) as server, server.connect() as client:
        client.greet()
        client.open_message()
        client.send(TEXT.encode() + b"\r\n")
        expect_seconds(5, client.expect, "250 2.0.0 Ok: ")
        client.command("NOOP", "250 ")


def one_in_ten():
    with Sink(rules_once_in_a_while()["one-in-ten"]) as server, server.connect() as client:
        client.greet()
        failed = 0
        for i in range(100):
            client.open_message(recipient=f"r{i}@example.net")
            client.send(b"text\r\n.\r\n")
            reply = client.reply()
            assert reply == "451 4.3.0 Bad luck" or reply.startswith("250 2.0.0 Ok: "), reply
            failed += reply.startswith("451")
        # What is drawn is the same each time, so this cannot fail now and then.
        assert 4 <= failed <= 18, failed


def one_recipient():
    with Sink(rules_once_in_a_while()["full"]) as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.command("RCPT TO:<full-1@example.net>", "452 4.2.2 Mailbox full")
        client.command("RCPT TO:<FULL-@example.org>", "452 4.2.2 Mailbox full")
        client.command("RCPT TO:<full@example.org>", "250 ")


def the_second_time():
    with Sink(rules_once_in_a_while()["second-time"]) as server:
        for reply in "450 4.2.0 Later", "250 ", "250 ":
            with server.connect() as client:
                client.greet()
                client.command("MAIL FROM:<a@example.com>", "250 ")
                client.command("RCPT TO:<b@example.net>", reply)
                client.command("RCPT TO:<c@example.net>", reply)


def too_fast():
    with Sink(rules_once_in_a_while()["too-fast"]) as server:
        with server.connect() as client:
            client.greet()
            for _ in range(10):
                client.command("MAIL FROM:<a@example.com>", "250 ")
                client.command("RSET", "250 ")
            client.command("MAIL FROM:<a@example.com>", "421 4.7.0 Slow down")
            assert end_of(client) == FIN
        with server.connect() as again, server.connect(source="127.0.0.2") as another:
            again.greet()
            again.command("MAIL FROM:<a@example.com>", "421 4.7.0 Slow down")
            another.greet()
            another.command("MAIL FROM:<a@example.com>", "250 ")


def cut():
    with Sink(rules_once_in_a_while()["cut"]) as server, server.connect() as client:
        client.greet()
        line = b"x" * 1022 + b"\r\n"
        client.deliver(line * 63)
        client.open_message()
        client.send(line * 64)
        assert end_of(client) == RST


def number_of(server, option):
    """What the number is at that the document has for the option."""
    [text] = [piece for piece in all_instead_of(option) if piece.startswith("sinkd_")]
    name, count = text.split(" ")
    assert count == option.split()[1], text
    return re.search(f"^{re.escape(name)} (.*)$", server.sinkctl("metrics")[0], re.M)[1]


def expect_enough(option, closes_before_the_greeting):
    """The rule that takes the place of an option that ends smtp-sink; here after three."""
    rule = instead_of(option)
    count = option.split()[1]
    assert f'rate = "{count}/' in rule, rule
    with Sink(rule.replace(f'"{count}/', '"3/'), workers=2) as server:
        for done in range(3):
            assert number_of(server, option) == str(done)
            with server.connect() as client:
                client.greet()
                client.deliver(b"text\r\n")
        assert number_of(server, option) == "3"
        with server.connect() as client:
            if not closes_before_the_greeting:
                client.greet()
                client.send(b"MAIL FROM:<a@example.com>\r\n")
            client.expect("421 4.3.2 Enough")
            assert end_of(client) == FIN


def after_so_many_messages():
    expect_enough("-M 1000", False)


def after_so_many_sessions():
    expect_enough("-n 100", True)


def a_silent_client_is_told():
    """-t; its 100 s are a second here."""
    rule = instead_of("-t 100")
    assert '"100s"' in rule
    with Sink(rule.replace('"100s"', '"1s"')) as server, server.connect() as client, \
            server.connect() as sender:
        client.greet()
        sender.greet()
        sender.open_message()
        for silent in client, sender:
            silent.expect("421 4.4.2")
            assert end_of(silent) == FIN


run(the_document_has_all_options, it_is_all_that_the_manual_has,
    each_command_meets_what_is_written, it_is_what_smtp_sink_says,
    who_is_refused_before_the_greeting_is_closed, several_commands_are_several_rules, other_texts,
    a_reset_instead_of_an_end, an_answer_to_data_that_waits, an_answer_to_any_command_that_waits,
    a_wait_that_is_drawn, a_wait_for_every_second_one, a_wait_that_grows, data_that_is_cut_off,
    data_that_is_read_late, one_in_ten, one_recipient, the_second_time, too_fast, cut,
    after_so_many_messages, after_so_many_sessions, a_silent_client_is_told, together=True)
