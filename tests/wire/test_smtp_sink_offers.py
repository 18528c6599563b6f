"""What docs/SMTP-SINK.md says to those who come from smtp-sink, about what is offered, where,
to how many, and what is seen and kept; about the rest see test_smtp_sink.py."""

import os
import pwd
import re
import select

from commands import keys_of
from lmtp import LmtpClient
from sinkd_server import SINKCTL, SINKD, Client, Server, read_file, status_of
from smtp_sink import (DOCUMENT, ROWS, SERVER, Original, Sink, all_instead_of, code_of,
                       instead_of)
from wire_test import need_root, output_of, run

# What smtp-sink offers, and what it has to be told to leave out.
BOTH = {"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"}
THERE_ALONE = {"AUTH", "XCLIENT", "XFORWARD"}


def extensions_of(client):
    client.expect("220 ")
    lines = client.command("EHLO client.example", "250").split("\n")[1:]
    return {line[4:].split(" ")[0] for line in lines} - {""}


def offered(*lines, **options):
    with Sink(*lines, **options) as server, server.connect() as client:
        return extensions_of(client)


def what_is_not_offered_anyway():
    usual = offered()
    assert usual > BOTH and not usual & THERE_ALONE, usual
    for option in "-a", "-C":
        assert "the default" in ROWS[f"`{option}`"]
        assert offered(offers=[instead_of(option)]) == usual
    assert ROWS["`-F`"] == "there is no XFORWARD"
    with Original() as original, original.connect() as client:
        assert extensions_of(client) == BOTH | THERE_ALONE


def what_is_left_out():
    usual = offered()
    configured = output_of(SINKD, "--print-config", "-f", "/dev/null")
    every = set(code_of(re.search("extensions = {(.*)}", configured)[1].replace('"', "`")))
    for option in "-8", "-E", "-N", "-p":
        first, *left_out = (piece.strip('"') for piece in all_instead_of(option))
        assert first == "extensions" and left_out
        rest = ", ".join(f'"{name}"' for name in sorted(every - set(left_out)))
        found = offered(offers=[f"extensions = {{{rest}}}"])
        assert found == usual - set(left_out), (option, found)
        with Original(option) as original, original.connect() as client:
            assert BOTH - extensions_of(client) == BOTH & set(left_out), option


def commands_that_are_not_for_everybody():
    assert "(550 and 500)" in ROWS["`XCLIENT`, `XFORWARD`"]
    with Sink() as server, server.connect() as client:
        client.greet()
        client.command("XCLIENT NAME=spike.example", "550 ")
        client.command("XFORWARD NAME=spike.example", "500 ")


def no_extended_smtp():
    for option, lines in ("-e", ()), ("-P", [all_instead_of("-P")[1]]):
        assert instead_of(option) == "extensions = {}"
        with Sink(*lines, offers=[instead_of(option)]) as server, Original(option) as original, \
                server.connect() as here, original.connect() as there:
            ours, theirs = here.expect("220 "), there.expect("220 ")
            if option == "-P":
                assert ours == theirs == "220 ********", (ours, theirs)
            assert " ESMTP" not in ours and (option == "-P" or " SMTP " in ours), ours
            for client in here, there:
                client.command("EHLO client.example", "50")
                client.command("HELO client.example", "250 ")
            here.open_message()
            here.send(b"text\r\n.\r\n")
            here.expect("250 Ok: ")


def the_name():
    line = instead_of("-h HOST").replace("HOST", "mx.example.test")
    with Sink(line) as server, Original("-h", "mx.example.test") as original:
        for client in server.connect(), original.connect():
            with client:
                client.expect("220 mx.example.test ESMTP")
                assert client.command("EHLO c.example", "250-mx.example.test\n")


def the_local_protocol():
    with Sink(offers=[instead_of("-L")]) as server, Original("-L") as original:
        for address in server.addresses[0], original.address:
            with LmtpClient(address) as client:
                client.greet()
                client.address_message()
                client.command("RCPT TO:<c@example.net>", "250 ")
                client.command("DATA", "354 ")
                client.send(b"text\r\n.\r\n")
                client.expect("250 2.")
                client.expect("250 2.")


def addresses():
    """They are only read: these ports may be taken."""
    pieces = [instead_of("[inet:]HOST:PORT"), *all_instead_of("-4"), code_of(ROWS["BACKLOG"])[0]]
    with Server() as server:
        for piece in pieces:
            with open(server.path("other"), "w") as file:
                # The last one counts.
                file.write(f'listen "x" {{ address = {{"[::1]:25"}}  {piece} }}\n')
            shown = output_of(SINKD, "--print-config", "-f", server.path("other"))
            assert f"\t{piece}\n" in shown, (piece, shown)
        option = all_instead_of("[inet:]HOST:PORT")[1].split(" ")
        shown = output_of(SINKD, "--print-config", "-f", "/dev/null", *option)
        assert f'"{option[1]}"' in shown, shown


def a_socket_in_the_file_system():
    line = instead_of("unix:PATH").replace("/PATH", "${HERE}/work/sink")
    with Sink(SERVER.partition("deliver")[0].replace('"sink"', '"other"', 1)
              .replace('address = {"0.0.0.0:2525"}', line)) as server:
        with Client(server.path("work", "sink")) as client:
            client.greet()
            client.deliver(b"text\r\n")


def who_is_beyond_waits():
    line = instead_of("-m 256")
    assert "256" in line
    for options in ({"config": line.replace("256", "1")},
                    {"words": all_instead_of("-m 256")[1].replace("256", "1").split(" ")}):
        with Server("--discard", *options.pop("words", ()), **options) as server, \
                server.connect() as first:
            first.greet()
            with server.connect() as second:
                assert not select.select([second.socket], [], [], 0.2)[0]
                first.close()
                second.greet()


def another_user():
    need_root()
    with Sink(instead_of("-u USER").replace("USER", "daemon")) as server:
        wanted = str(pwd.getpwnam("daemon").pw_uid)
        for pid in server.workers():
            assert set(status_of(pid)["Uid"]) == {wanted}


def numbers():
    status, metrics = all_instead_of("-c")
    with Sink() as server:
        with server.connect() as client:
            client.greet()
            client.deliver(b"text\r\n")
            client.command("QUIT", "221 ")
        assert status.split(" ")[0] == os.path.basename(SINKCTL)
        assert server.sinkctl(*status.split(" ")[1:])[0]
        text = server.sinkctl(*metrics.split(" ")[1:])[0]
        for line in "sinkd_sessions_total 1", 'sinkd_messages_total{result="accepted"} 1', \
                'sinkd_commands_total{verb="QUIT",result="accepted"} 1':
            assert line + "\n" in text, (line, text)


def commands_that_are_logged():
    rule, event, log = all_instead_of("-s RCPT")
    with Sink(rule) as server, server.connect() as client:
        client.greet()
        client.address_message()
        client.command("RCPT TO:<c@example.net>", "250 ")
        assert [keys_of(line)["rule"] for line in server.events(event)] == ["seen"] * 2
        with open(server.path("other"), "w") as file:
            file.write(log + "\n")
        output_of(SINKD, "--test", "-f", server.path("other"))


def a_conversation_that_is_shown():
    option, switch = all_instead_of("-v")
    with Sink() as server, Server(option.split(" ")[1], "--discard") as verbose:
        server.sinkctl(*switch.split(" ")[1:])
        for shown in server, verbose:
            with shown.connect() as client:
                client.greet()
                client.command("NOOP", "250 ")
            assert "EHLO client.example" in shown.log() and "NOOP" in shown.log()


MESSAGE = b"Subject: kept\r\n\r\ntext\r\n"
# Above the message, what the client has said.
ENVELOPE = ": helo=client.example\n", ": mail=FROM:<a@example.com>\n", ": rcpt=TO:<b@example.net>\n"


def deliver(server):
    with server.connect() as client:
        client.greet()
        client.deliver(MESSAGE)


def a_file_for_each_message():
    with Sink(deliver=instead_of("-d TEMPLATE"), places={'"/dump"': '"${HERE}/dump"'}) as server:
        for _ in range(2):
            deliver(server)
        files = os.listdir(server.path("dump", "new"))
        assert len(files) == 2, files
        text = read_file(server.path("dump", "new", files[0])).decode()
        assert all(piece in text for piece in ENVELOPE), text
        assert "\nReceived: from client.example" in text, text
        assert text.endswith("Subject: kept\n\ntext\n"), text


def a_file_for_all_messages():
    section = instead_of("-D TEMPLATE")
    places = {"/var/spool/sinkd/dump": "${HERE}/work/dump"}
    commands = re.search(r'\{"sh", "-c", ".*?"\}', section)[0], instead_of("-S STRING")
    for command in commands:
        with Sink(deliver=section.replace(commands[0], command), places=places) as server:
            for _ in range(3):
                deliver(server)
            text = read_file(server.path("work", "dump")).decode()
            assert all(text.count(piece) == 3 for piece in ENVELOPE), text
            assert text.count("Subject: kept\n\ntext\n") == 3, text
            assert text.count("STRING\n") == (3 if "STRING" in command else 0), text


def a_server_without_options():
    assert "`smtp-sink` without options is `sinkd --discard`" in DOCUMENT
    with Server("--discard") as server:
        deliver(server)
        assert not os.path.exists(server.maildir)


run(what_is_not_offered_anyway, what_is_left_out, commands_that_are_not_for_everybody,
    no_extended_smtp, the_name, the_local_protocol, addresses, a_socket_in_the_file_system,
    who_is_beyond_waits, another_user, numbers, commands_that_are_logged,
    a_conversation_that_is_shown, a_file_for_each_message, a_file_for_all_messages,
    a_server_without_options, together=True)
