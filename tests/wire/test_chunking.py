"""BDAT on the wire: what transcripts cannot show, which is time, signals, and how the
connection ends."""

import os
import time

from sinkd_server import Server, wait_until
from wire_test import run

GOING = "421 4.3.2"
TIMED_OUT = "421 4.4.2"
SLACK_SECONDS = 4
MIB = 1 << 20


def open_chunks(client):
    """As far as the first chunk, which is not the last."""
    client.greet()
    client.address_message()
    client.send(b"BDAT 14\r\nSubject: x\r\n\r\n")
    client.expect("250 2.0.0 14 octets received")


def expect_nothing_left(server):
    wait_until(lambda: server.events("session.end"), what="the end of the session")
    assert server.listing("new") == server.listing("tmp") == []
    assert len(server.events("message.aborted")) == 1


def octets_arrive_as_sent():
    text = os.urandom(3 * MIB)
    with Server(config='deliver "inbox" { type = "maildir"  path = "./Maildir"  headers = {} }\n'
                       'limits { message-size = "4M" }\n') as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com> BODY=BINARYMIME", "250 ")
        client.command("RCPT TO:<b@example.net>", "250 ")
        for piece in text[:MIB], text[MIB:MIB + 1], text[MIB + 1:2 * MIB]:
            client.send(b"BDAT %d\r\n" % len(piece) + piece)
            client.expect(f"250 2.0.0 {len(piece)} octets received")
        client.send(b"BDAT %d LAST\r\n" % MIB + text[2 * MIB:])
        client.expect("250 2.0.0 Ok: ")
        assert server.stored() == [text]


def more_than_is_read():
    """The reply arrives although the client goes on sending."""
    with Server(config='limits { message-size = "1M" }\n') as server, \
            server.connect() as client:
        open_chunks(client)
        client.send(b"BDAT %d LAST\r\n" % (3 * MIB) + b"x" * 100000)
        client.expect("552 5.3.4")
        client.expect_closed()
        wait_until(lambda: server.events("message.refused"), what="the refusal")
        assert server.listing("new") == server.listing("tmp") == []


def silence_in_a_chunk():
    with Server(config='timeouts { data = "1s" }\n') as server, server.connect() as client:
        open_chunks(client)
        started = time.monotonic()
        client.send(b"BDAT 100 LAST\r\nbegun")
        client.expect(TIMED_OUT)
        client.expect_closed()
        assert 0.8 <= time.monotonic() - started <= 1 + SLACK_SECONDS
        expect_nothing_left(server)


def silence_between_chunks():
    with Server(config='timeouts { command = "1s" }\n') as server, server.connect() as client:
        open_chunks(client)
        started = time.monotonic()
        client.expect(TIMED_OUT)
        client.expect_closed()
        assert 0.8 <= time.monotonic() - started <= 1 + SLACK_SECONDS
        expect_nothing_left(server)


def silence_in_what_is_thrown_away():
    with Server(config='timeouts { data = "1s" }\n') as server, server.connect() as client:
        client.greet()
        client.send(b"BDAT 100\r\nbegun")
        client.expect("503 5.5.1")
        client.expect(TIMED_OUT)
        client.expect_closed()


def gone_between_chunks():
    with Server() as server, server.connect() as client:
        open_chunks(client)
        client.reset()
        expect_nothing_left(server)


def a_message_in_flight_finishes():
    with Server("-w", "2") as server, server.connect() as client, server.connect() as idle:
        idle.greet()
        open_chunks(client)
        server.terminate()
        idle.expect(GOING)
        client.send(b"BDAT 4\r\ntext")
        client.expect("250 2.0.0 4 octets received")
        client.send(b"BDAT 2 LAST\r\n\r\n")
        client.expect("250 2.0.0 Ok: ")
        client.expect(GOING)
        client.expect_closed()
        assert server.wait_exit(5) == 0
        [stored] = server.stored()
        assert stored.endswith(b"Subject: x\n\ntext\n")


def what_is_aborted_is_logged_once():
    with Server() as server, server.connect() as client:
        open_chunks(client)
        client.command("RSET", "250 ")
        client.address_message()
        client.send(b"BDAT 3 LAST\r\nx\r\n")
        client.expect("250 2.0.0 Ok: ")
        client.command("QUIT", "221 ")
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        assert len(server.events("message.aborted")) == 1
        assert len(server.events("message.accepted")) == 1
        assert len(server.stored()) == 1 and server.listing("tmp") == []


run(octets_arrive_as_sent, more_than_is_read, silence_in_a_chunk, silence_between_chunks,
    silence_in_what_is_thrown_away, gone_between_chunks, a_message_in_flight_finishes,
    what_is_aborted_is_logged_once, together=True)
