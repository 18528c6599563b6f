"""TERM and INT: what is in flight may finish, everybody else is told, nothing is left."""

import signal
import time

from sinkd_server import Server, wait_until
from wire_test import run

GOING = "421 4.3.2"


def is_refused(server):
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # The listener was closed just now; ask once more.
    return False


def in_flight_finishes(stop=signal.SIGTERM):
    with Server("-w", "4") as server, server.connect() as idle, server.connect() as busy, \
            server.connect() as mid_envelope:
        idle.greet()
        mid_envelope.greet()
        mid_envelope.command("MAIL FROM:<a@example.com>", "250 ")
        busy.greet()
        busy.open_message()
        busy.send(b"Subject: in flight\r\n")
        server.process.send_signal(stop)
        for client in idle, mid_envelope:
            client.expect(GOING)
            client.expect_closed()
        wait_until(lambda: is_refused(server), 2, "a closed port")
        busy.send(b"\r\nfinished\r\n.\r\n")
        busy.expect("250 2.0.0 Ok: ")
        busy.expect(GOING)
        busy.expect_closed()
        assert server.wait_exit(2) == 0
        [stored] = server.stored()
        assert stored.endswith(b"Subject: in flight\n\nfinished\n")
        with Server("-w", "1", listen="127.0.0.1:%d" % server.addresses[0][1]):
            pass  # The port was free at once.


def int_is_like_term():
    in_flight_finishes(signal.SIGINT)


def second_term_stops_now():
    with Server("-w", "2") as server, server.connect() as busy:
        busy.greet()
        busy.open_message()
        busy.send(b"Subject: cut off\r\n")
        server.terminate()
        wait_until(lambda: is_refused(server), 2, "a closed port")
        started = time.monotonic()
        server.terminate()
        server.wait_exit(2)
        assert time.monotonic() - started < 3
        assert (busy.reply() or GOING).startswith(GOING)
        assert server.listing("new") == server.listing("tmp") == []


def grace_ends():
    with Server("-w", "2", config='timeouts { grace = "1s" }\n') as server, \
            server.connect() as busy:
        busy.greet()
        busy.open_message()
        busy.send(b"Subject: never finished\r\n")
        server.terminate()
        busy.expect(GOING)
        busy.expect_closed()
        server.wait_exit(3)
        assert server.listing("new") == server.listing("tmp") == []


def stop_without_clients_is_quick():
    with Server() as server:
        started = time.monotonic()
        server.terminate()
        assert server.wait_exit(1) == 0
        assert time.monotonic() - started < 2


run(in_flight_finishes, int_is_like_term, second_term_stops_now, grace_ends,
    stop_without_clients_is_quick, together=True)
