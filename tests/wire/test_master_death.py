"""When the master is killed its workers leave and the port is free within a second."""

import os
import signal
import time

from sinkd_server import PATIENCE, Server, wait_until
from wire_test import run


def kill_master(server):
    server.status = -signal.SIGKILL
    os.kill(server.pid, signal.SIGKILL)
    return time.monotonic()


def idle_workers_leave():
    with Server("-w", "4") as server:
        killed = kill_master(server)
        wait_until(lambda: not server.processes(), 2, "the end of idle workers")
        assert time.monotonic() - killed < 2


def busy_workers_free_the_port_and_finish():
    with Server("-w", "4") as server, server.connect() as reading, server.connect() as idle:
        idle.greet()
        reading.greet()
        reading.open_message()
        reading.send(b"Subject: orphan\r\n\r\n")
        killed = kill_master(server)
        wait_until(lambda: can_start_on(server.addresses[0]), 2, "a free port")
        assert time.monotonic() - killed < PATIENCE  # A second, on a quiet machine.
        reading.send(b"text\r\n.\r\n")
        reading.expect("250 2.0.0 Ok: ")
        assert len(server.stored()) == 1


def can_start_on(address):
    """Whether another server can take the address."""
    try:
        with Server("-w", "1", listen="%s:%d" % address):
            return True
    except AssertionError:
        return False


run(idle_workers_leave, busy_workers_free_the_port_and_finish)
