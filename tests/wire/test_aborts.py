"""Clients that leave in the middle leave nothing behind."""

import os
import socket

from sinkd_server import Server, wait_until
from wire_test import run

WORKERS = 4


def assert_nothing_stored(server):
    wait_until(lambda: server.listing("tmp") == [], what="an empty tmp")
    assert server.listing("new") == []


def begin_data(client):
    client.greet()
    client.open_message()
    client.send(b"Subject: half\r\n\r\n" + b"text\r\n" * 1000)


def reset_inside_data():
    with Server("-w", str(WORKERS)) as server:
        client = server.connect()
        begin_data(client)
        wait_until(lambda: server.listing("tmp"), what="a message begun")
        client.reset()
        server.wait_idle(WORKERS)
        assert_nothing_stored(server)


def end_of_stream_inside_data():
    with Server("-w", str(WORKERS)) as server, server.connect() as client:
        begin_data(client)
        client.end_of_input()
        client.expect_closed()
        assert_nothing_stored(server)


def begin_chunk(client):
    client.greet()
    client.address_message()
    client.send(b"BDAT 15\r\nSubject: half\r\nBDAT 100 LAST\r\n\r\ntext")


def half_closed_inside_a_chunk():
    with Server("-w", str(WORKERS)) as server, server.connect() as client:
        begin_chunk(client)
        client.end_of_input()
        client.expect("250 2.0.0 15 octets received")
        client.expect_closed()
        assert_nothing_stored(server)


def urgent_bytes():
    """They go past the stream (RFC 9293, 3.8.5), and what is in it stays as it is."""
    with Server("-w", str(WORKERS)) as server, server.connect() as client:
        client.greet()
        client.send(b"NOO")
        client.socket.send(b"!", socket.MSG_OOB)
        client.send(b"P\r\n")
        client.expect("250 ")
        client.open_message()
        client.send(b"Subject: urgent\r\n\r\n")
        client.socket.send(b"!", socket.MSG_OOB)
        client.send(b"text\r\n.\r\n")
        client.expect("250 2.0.0 Ok: ")
        [stored] = server.stored()
        assert stored.endswith(b"\nSubject: urgent\n\ntext\n"), stored


def end_of_stream_after_the_dot():
    with Server("-w", str(WORKERS)) as server, server.connect() as client:
        client.send(b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n"
                    b"RCPT TO:<b@example.net>\r\nDATA\r\nSubject: whole\r\n\r\n.\r\n")
        client.end_of_input()
        for beginning in "220 ", "250-", "250 ", "250 ", "354 ", "250 2.0.0 Ok: ":
            client.expect(beginning)
        client.expect_closed()
        assert len(server.stored()) == 1


def open_descriptors(server):
    """Of workers only for root: they hide from their own user."""
    pids = [server.pid, *(server.workers() if os.geteuid() == 0 else [])]
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in pids}


def a_thousand_aborts_leave_all_as_it_was():
    def after_connect(client):
        pass

    def after_greeting(client):
        client.expect("220 ")

    def mid_command(client):
        client.greet()
        client.send(b"MAIL FROM:<half")

    def mid_envelope(client):
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")

    def with_refused_octets(client):
        client.greet()
        client.send(b"BDAT 1000\r\nhalf")

    def after_the_dot(client):
        begin_data(client)
        client.send(b"\r\n.\r")

    def after_starttls(client):
        client.greet()
        client.command("STARTTLS", "220 ")
        client.send(b"\x16\x03\x01")

    places = (after_connect, after_greeting, mid_command, mid_envelope, begin_data, begin_chunk,
              with_refused_octets, after_the_dot, after_starttls)
    with Server("-w", str(WORKERS)) as server:
        with server.connect() as client:
            client.greet()
            client.deliver(b"Subject: warm\r\n\r\n")
        server.wait_idle(WORKERS)
        before = open_descriptors(server)
        for number in range(1000):
            client = server.connect()
            places[number % len(places)](client)
            client.reset() if number % 2 else client.close()
        server.wait_idle(WORKERS)
        # The same processes, so none died, and no zombie was added.
        assert open_descriptors(server) == before
        assert len(server.listing("new")) == 1
        wait_until(lambda: server.listing("tmp") == [], what="an empty tmp")


run(reset_inside_data, end_of_stream_inside_data, half_closed_inside_a_chunk, urgent_bytes,
    end_of_stream_after_the_dot,
    a_thousand_aborts_leave_all_as_it_was)
