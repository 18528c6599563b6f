"""One event is one line, whatever a client says; -v tells the whole conversation."""

import fcntl
import json
import os
import re

from sinkd_server import SINKD, Server, read_file, wait_until
from wire_test import output_of, run

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
HOSTILE_JSON = [
    b'NOOP ","event":"message.accepted","forged":"1',
    b'NOOP "}\\n{"event":"message.accepted"}',
    b"NOOP \\u0022 \\",
    b"NOOP \xf0\x9f\x93\xab \xe2\x80\xa8 \xed\xa0\x80 \xc0\x80",
]


def assert_well_formed(log):
    for line in log.splitlines():
        assert not line.startswith("time=") or LINE.fullmatch(line), line
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        assert "forged" not in bare or line.split(" event=")[1].startswith("session."), line


def refuse(what):
    raise AssertionError(f"not JSON: {what}")


def object_of(line):
    """The JSON object that a line is, read strictly; its values are texts and numbers."""
    def without_repetition(pairs):
        assert len(dict(pairs)) == len(pairs), line
        return dict(pairs)

    assert re.fullmatch(r"[ -~]+", line), line
    found = json.loads(line, object_pairs_hook=without_repetition, parse_constant=refuse,
                       parse_float=refuse)
    assert all(type(value) in (str, int) for value in found.values()), line
    assert list(found)[:4] == ["time", "level", "pid", "event"], line
    return found


def objects_of(log, event):
    assert log.endswith("\n") and log.count("\n") == len(log.splitlines())
    return [found for found in map(object_of, log.splitlines()) if found["event"] == event]


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


def hostile_bytes_are_kept_in_json():
    with Server("-w", "1", "-v", config='log { format = "json" }\n') as server, \
            server.connect() as client:
        client.greet()
        for line in HOSTILE + HOSTILE_JSON:
            client.send(line + b"\r\n")
            client.reply()
        client.command("RSET", "250 ")
        client.deliver(b"Subject: secret text\r\n\r\nsecret text\r\n")
        log = server.log()
        assert len(objects_of(log, "message.accepted")) == 1
        assert "secret text" not in log
        # A character for each byte: nothing is lost.
        commands = [found["line"].encode("latin-1")
                    for found in objects_of(log, "session.command")]
        assert commands[1:1 + len(HOSTILE + HOSTILE_JSON)] == HOSTILE + HOSTILE_JSON, commands


def both_formats_have_the_same_keys():
    with Server("-w", "1", config='log { format = "json" }\n') as server, \
            server.connect() as client:
        client.greet()
        reply = client.deliver(b"Subject: x\r\n\r\n")
        [accepted] = objects_of(server.log(), "message.accepted")
        [start] = objects_of(server.log(), "session.start")
        assert accepted["id"] == reply.split()[-1] and accepted["session"] == start["session"]
        assert start["client"] == "127.0.0.1" and 0 < start["port"] < 65536
        assert accepted["pid"] == server.workers()[0]
        assert (accepted["size"], accepted["recipients"], accepted["code"]) == (14, 1, 250)
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n")
        [line] = server.events("message.accepted")
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        assert re.findall(r"(?:^| )(\w+)=", bare) == list(accepted), line


def what_stops_the_server_is_in_the_format():
    server = Server("-w", "1", config='log { target = "/dev/null/x" format = "json" }\n')
    log = output_of(SINKD, *server.arguments, "--maildir", server.maildir, status=78)
    server.discard_all()
    [failed] = objects_of(log, "server.failed")
    assert failed["reason"] == "Not a directory" and failed["level"] == "fatal"


def verbose_logs_commands_and_replies():
    for options, level, expected in (["-v"], "error", 1), (["-v"], "info", 1), ([], "info", 0):
        with Server("-w", "1", *options, config=f"log {{ level = {level} }}\n") as server, \
                server.connect() as client:
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


def a_reader_that_stops_stops_nobody():
    """Lines are lost, and counted; clients are served and the server can be stopped."""
    reader, log = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reader, False)
    with Server("-w", "1", "-v", prepare=lambda: os.dup2(log, 2)) as server:
        for _ in range(20):
            with server.connect() as client:
                client.greet()
                client.deliver(b"Subject: nobody reads\r\n\r\n")
                client.command("QUIT", "221 ")
        assert len(server.stored()) == 20
        text = os.read(reader, 65536).decode()
        assert "event=log.lost" not in text
        with server.connect() as client:
            client.greet()
            wait_until(lambda: b" event=log.lost " in read_pipe(reader),
                       what="the number of lost lines")
    os.close(log)
    os.close(reader)


def read_pipe(reader):
    try:
        return os.read(reader, 65536)
    except BlockingIOError:
        return b""


def the_level_is_obeyed():
    with Server("-w", "1", config='log { level = "warn" }\n') as server, \
            server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n")
        assert not server.events("message.accepted"), server.log()


run(a_message_leaves_its_trace, hostile_bytes_forge_nothing, hostile_bytes_are_kept_in_json,
    both_formats_have_the_same_keys, what_stops_the_server_is_in_the_format,
    a_reader_that_stops_stops_nobody, verbose_logs_commands_and_replies, a_file_takes_the_log, the_level_is_obeyed)
