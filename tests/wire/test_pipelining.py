"""Replies to a group of commands go out in one write, and none is lost."""

import socket
import struct

from sinkd_server import Server
from wire_test import run

# struct tcp_info of <linux/tcp.h>: segments with data that came in.
TCPI_DATA_SEGS_IN = 152

# Clients that bring no mail are put out else.
PATIENT = "limits { commands-without-mail = 0 }\n"


def segments_received(client):
    info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("I", info, TCPI_DATA_SEGS_IN)[0]


def two_hundred_commands_one_write():
    with Server("-w", "1", config=PATIENT) as server, server.connect() as client:
        client.greet()
        before = segments_received(client)
        client.send(b"NOOP\r\n" * 200)
        for _ in range(200):
            client.expect("250 ")
        # On loopback a write of up to 64 KiB is one segment.
        assert segments_received(client) - before == 1


def a_transaction_in_one_piece():
    with Server("-w", "1") as server, server.connect() as client:
        client.expect("220 ")
        client.send(b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n"
                    + b"RCPT TO:<b@example.net>\r\n" * 100 + b"DATA\r\n")
        client.expect("250-")
        for _ in range(101):
            client.expect("250 ")
        client.expect("354 ")
        client.send(b"Subject: one\r\n\r\n.\r\nMAIL FROM:<a@example.com>\r\n"
                    b"RCPT TO:<b@example.net>\r\nDATA\r\n")
        client.expect("250 2.0.0 Ok: ")
        client.expect("250 ")
        client.expect("250 ")
        client.expect("354 ")
        client.send(b"Subject: two\r\n\r\n.\r\nQUIT\r\n")
        client.expect("250 2.0.0 Ok: ")
        client.expect("221 ")
        client.expect_closed()
        assert len(server.stored()) == 2


def a_flood_that_is_read_slowly():
    """More replies than fit anywhere: the server waits for the reader, loses nothing."""
    with Server("-w", "1", config=PATIENT) as server, server.connect(receive_buffer=4096) as client:
        client.greet()
        client.socket.setblocking(False)
        sent = 0
        try:
            while sent < 10_000_000:
                sent += client.socket.send(b"NOOP\r\n" * 1000)
        except BlockingIOError:
            pass
        client.socket.settimeout(30)
        for _ in range(sent // 6):
            client.expect("250 ")
        # The last command may be cut, and its rest goes only now that all is read.
        client.send(b"NOOP\r\n"[sent % 6:])
        client.expect("250 ")


run(two_hundred_commands_one_write, a_transaction_in_one_piece, a_flood_that_is_read_slowly)
