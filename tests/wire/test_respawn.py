"""A worker that dies is replaced and takes nobody with it; what cannot start is not
tried again and again without a pause."""

import contextlib
import os
import signal

from sinkd_server import Server, wait_until
from wire_test import run


def one_death_costs_one_session():
    with Server(workers=3) as server:
        server.wait_idle(3)
        before = set(server.workers())
        victim = server.connect()
        victim.greet()
        [killed] = before - set(server.idle_workers())
        with server.connect() as other:
            other.greet()
            other.open_message()
            other.send(b"Subject: unharmed\r\n")
            os.kill(killed, signal.SIGKILL)
            victim.expect_closed()
            wait_until(lambda: len(server.idle_workers()) == 2, what="a new worker")
            assert len(set(server.workers()) - before) == 1
            other.send(b"\r\n.\r\n")
            other.expect("250 2.0.0 Ok: ")
        [line] = server.events("worker.exit")
        assert f" worker={killed} signal=KILL state=command client=127.0.0.1 " in line, line


def the_totals_survive_the_workers():
    with Server("-w", "2") as server:
        for number in range(3):
            with server.connect() as client:
                client.greet()
                client.deliver(b"Subject: counted\r\n\r\n")
        server.wait_idle(2)
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(server.events("worker.exit")) == 2, what="their end")
        server.terminate()
        server.wait_exit()
        [line] = server.events("server.stop")
        assert " sessions=3 messages=3 refused=0 bytes=60" in line, line


def workers_that_cannot_start_are_tried_slowly():
    config = 'deliver "inbox" { type = "maildir"  path = "home/Maildir" }'
    with Server("-w", "2", config=config) as server:
        # A worker of root could not make it again; one that starts opens it as root.
        os.rename(server.path("home"), server.path("gone"))
        for pid in server.workers():
            with contextlib.suppress(ProcessLookupError):  # A newborn may have ended.
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(server.events("worker.throttle")) >= 2, 10, "a second try")
        assert len(server.events("worker.exit")) <= 8, server.log()
        os.rename(server.path("gone"), server.path("home"))
        server.wait_idle(2, seconds=20)
        with server.connect() as client:
            client.greet()
            client.deliver(b"Subject: back\r\n\r\n")


def a_caller_that_ignores_its_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The server inherits it.
    try:
        server = Server("-w", "2")
        with server:
            server.wait_idle(2)
            os.kill(server.workers()[0], signal.SIGKILL)
            wait_until(lambda: server.events("worker.exit"), what="the notice of a death")
            server.wait_idle(2)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


run(one_death_costs_one_session, the_totals_survive_the_workers,
    workers_that_cannot_start_are_tried_slowly,
    a_caller_that_ignores_its_children)
