"""One event is one line, whatever a client says; -v tells the whole conversation."""

import re

from sinkd_server import Server, read_file, wait_until
from wire_test import run

VALUE = r'(?:[!#-\[\]-~]+|"(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9a-fA-F]{2})*")'
LINE = re.compile(rf"time=\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z level=[a-z]+ pid=\d+ "
                  rf"event=[a-z]+\.[a-z]+(?: [a-z_-]+={VALUE})*")

HOSTILE = [
    b'NOOP x" event=message.accepted forged="1',
    b"NOOP \\\" event=message.accepted forged=1",
    b"NOOP \rtime=2026-01-01 event=message.accepted forged=1",
    b"NOOP \x1b[2J\x00\xff\x7f\x08",
    b"EHLO forged.example event=message.accepted",
    b"MAIL FROM:<\"a\\\" event=message.accepted \\\"\"@example.com>",
    b"\x1b]0;title\x07",
]


def assert_well_formed(log):
    for line in log.splitlines():
        assert not line.startswith("time=") or LINE.fullmatch(line), line
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        assert "forged" not in bare or line.split(" event=")[1].startswith("session."), line


def a_message_leaves_its_trace():
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        reply = client.deliver(b"Subject: x\r\n\r\n")
        client.command("QUIT", "221 ")
        client.expect_closed()
        wait_until(lambda: server.events("session.end"), what="the end in the log")
        [accepted] = server.events("message.accepted")
        for field in (f"id={reply.split()[-1]}", "from=a@example.com", "to=b@example.net",
                      "session="):
            assert f" {field}" in accepted, (field, accepted)
        [start], [end] = server.events("session.start"), server.events("session.end")
        session = re.search(r" session=(\S+)", start)[0]
        assert session in end and session in accepted
        assert_well_formed(server.log())


def hostile_bytes_forge_nothing():
    with Server("-w", "1", "-v") as server, server.connect() as client:
        client.greet()
        for line in HOSTILE:
            client.send(line + b"\r\n")
            client.reply()
        client.command("RSET", "250 ")
        client.deliver(b"Subject: secret text\r\n\r\nsecret text\r\n")
        log = server.log()
        assert_well_formed(log)
        assert re.fullmatch(r"[\n -~]*", log), "a raw byte reached the log"
        assert len(server.events("message.accepted")) == 1
        assert "secret text" not in log


def verbose_logs_commands_and_replies():
    for options, expected in (["-v"], 1), ([], 0):
        with Server("-w", "1", *options) as server, server.connect() as client:
            client.greet()
            client.command("NOOP find-this", "250 2.0.0")
            found = [line for line in server.events("session.command") if "find-this" in line]
            assert len(found) == expected, server.log()
            assert bool(server.events("session.reply")) == bool(expected)


def a_file_takes_the_log():
    server = Server("-w", "1")
    config = f'log {{ target = "{server.path("sinkd.log")}" }}\n'
    with open(server.path("sinkd.conf"), "w") as file:
        file.write(config)
    server.arguments += ["-f", server.path("sinkd.conf")]
    with server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n")
        written = read_file(server.path("sinkd.log")).decode()
        assert "event=message.accepted" in written
        assert "event=message.accepted" not in server.log()
        assert_well_formed(written)


def the_level_is_obeyed():
    with Server("-w", "1", config='log { level = "warn" }\n') as server, \
            server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n")
        assert not server.events("message.accepted"), server.log()


run(a_message_leaves_its_trace, hostile_bytes_forge_nothing, verbose_logs_commands_and_replies,
    a_file_takes_the_log, the_level_is_obeyed)
