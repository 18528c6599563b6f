"""No client holds a worker longer than the configured times, whatever it does.

The server has one worker; a second client that is greeted proves that the worker
is free again."""

import select
import time

from sinkd_server import Server
from wire_test import run

# The tick is one second, and the machine may be busy.
SLACK_SECONDS = 4
TIMED_OUT = "421 4.4.2"


def server_with(**timeouts):
    lines = "".join(f'    {name.replace("_", "-")} = "{value}"\n'
                    for name, value in timeouts.items())
    return Server(config=f"workers {{ max = 1 }}\ntimeouts {{\n{lines}}}\n")


def drip(client, data):
    """Send data ten times a second until the server says something or closes."""
    give_up = time.monotonic() + 10 + SLACK_SECONDS
    while not select.select([client.socket], [], [], 0.1)[0]:
        assert time.monotonic() < give_up, "it would go on for ever"
        client.send(data)


def expect_farewell(client, started, limit):
    """A 421 and the end, not before the limit and not long after it."""
    client.expect(TIMED_OUT)
    client.expect_closed()
    took = time.monotonic() - started
    assert limit - 0.2 <= took <= limit + SLACK_SECONDS, f"{took:.1f} s, limit {limit} s"


def expect_free_worker(server):
    with server.connect() as next_client:
        next_client.greet()


def silence_before_a_command():
    with server_with(command="1s") as server, server.connect() as client:
        client.greet()
        expect_farewell(client, time.monotonic(), 1)
        expect_free_worker(server)


def a_command_that_drips():
    with server_with(command="2s") as server, server.connect() as client:
        client.greet()
        started = time.monotonic()
        drip(client, b"N")
        expect_farewell(client, started, 2)
        expect_free_worker(server)


def lines_that_never_end_with_a_read():
    """Each command is whole in time; what has begun behind it changes nothing."""
    with server_with(command="2s") as server, server.connect() as client:
        client.greet()
        client.send(b"NO")
        for _ in range(8):
            select.select([], [], [], 0.5)
            client.send(b"OP\r\nNO")
            client.expect("250 ")


def silence_in_data():
    with server_with(data="1s") as server, server.connect() as client:
        client.greet()
        client.open_message()
        client.send(b"Subject: x\r\n\r\nbegun")
        expect_farewell(client, time.monotonic(), 1)
        assert server.listing("new") == server.listing("tmp") == []
        expect_free_worker(server)


def data_that_drips():
    with server_with(data="2s", data_total="3s") as server, server.connect() as client:
        client.greet()
        client.open_message()
        started = time.monotonic()
        drip(client, b"x")
        expect_farewell(client, started, 3)
        assert server.listing("new") == server.listing("tmp") == []
        expect_free_worker(server)


def a_message_that_is_too_slow():
    with server_with(min_rate="1K") as server, server.connect() as client:
        client.greet()
        client.open_message()
        started = time.monotonic()
        drip(client, b"x" * 10)
        expect_farewell(client, started, 2)
        assert server.listing("new") == server.listing("tmp") == []
        expect_free_worker(server)


def a_message_that_is_fast_enough():
    with server_with(min_rate="1K") as server, server.connect() as client:
        client.greet()
        client.open_message()
        started = time.monotonic()
        while time.monotonic() < started + 4:
            client.send(b"x" * 499 + b"\r\n")
            assert not select.select([client.socket], [], [], 0.1)[0], client.reply()
        client.send(b".\r\n")
        client.expect("250 ")


def chunks_far_apart():
    """The time between chunks does not count for the rate; within one it does."""
    with server_with(min_rate="1K") as server, server.connect() as client:
        client.greet()
        client.address_message()
        for last in "", " LAST":
            client.send(f"BDAT 1000{last}\r\n".encode() + b"x" * 500)
            assert not select.select([client.socket], [], [], 0.1)[0], client.reply()
            client.send(b"x" * 500)
            client.expect("250 ")
            assert not select.select([client.socket], [], [], 0 if last else 4)[0], client.reply()
        client.address_message()
        started = time.monotonic()
        client.send(b"BDAT 100000\r\n")
        drip(client, b"x" * 10)
        expect_farewell(client, started, 2)
        assert len(server.listing("new")) == 1 and server.listing("tmp") == []
        expect_free_worker(server)


def chunks_that_are_never_waited_for():
    """Each comes whole, with its command; the message is late all the same."""
    with server_with(command="2s", data="2s", data_total="3s") as server, \
            server.connect() as client:
        client.greet()
        client.address_message()
        started = time.monotonic()
        reply = "250 "
        while reply.startswith("250 ") and time.monotonic() < started + 3 + SLACK_SECONDS:
            client.send(b"BDAT 1\r\nx")
            reply = client.reply()
            select.select([client.socket], [], [], 0.1)
        assert reply.startswith(TIMED_OUT), reply
        assert time.monotonic() - started >= 2.8
        client.expect_closed()
        assert server.listing("new") == server.listing("tmp") == []
        expect_free_worker(server)


def a_refused_chunk_long_after_a_message():
    """Its octets have a time of their own."""
    with server_with(data="1s", data_total="1s") as server, server.connect() as client:
        client.greet()
        client.open_message()
        client.send(b"begun")
        assert not select.select([client.socket], [], [], 0.1)[0], client.reply()
        client.send(b"\r\n.\r\n")
        client.expect("250 ")
        assert not select.select([client.socket], [], [], 1.2)[0], client.reply()
        client.send(b"BDAT 5\r\nNO")
        client.expect("503 5.5.1")
        assert not select.select([client.socket], [], [], 0.3)[0], client.reply()
        client.send(b"OP\n")
        client.command("NOOP", "250 ")


def a_session_of_good_commands():
    with server_with(command="2s", data="2s", data_total="2s", session="3s") as server, \
            server.connect() as client:
        started = time.monotonic()
        client.greet()
        reply = "250 "
        while reply.startswith("250 ") and time.monotonic() < started + 3 + SLACK_SECONDS:
            client.send(b"NOOP\r\n")
            reply = client.reply()
            select.select([client.socket], [], [], 0.1)
        assert reply.startswith(TIMED_OUT), reply
        assert time.monotonic() - started >= 2.8
        expect_free_worker(server)


def replies_that_nobody_reads():
    with server_with(command="2s", data="2s") as server, \
            server.connect(receive_buffer=4096) as client:
        client.greet()
        started = time.monotonic()
        try:
            while True:  # The worker stops reading when it cannot write any more.
                client.send(b"EHLO client.example\r\nHELP\r\n" * 100)
        except OSError:
            pass
        assert time.monotonic() - started <= 2 + 2 * SLACK_SECONDS
        expect_free_worker(server)


run(silence_before_a_command, a_command_that_drips, lines_that_never_end_with_a_read,
    silence_in_data, data_that_drips,
    a_message_that_is_too_slow, a_message_that_is_fast_enough, chunks_far_apart,
    chunks_that_are_never_waited_for, a_refused_chunk_long_after_a_message,
    a_session_of_good_commands, replies_that_nobody_reads, together=True)
