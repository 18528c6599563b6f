"""What the caller gives to the server: a terminal, input, many addresses to listen on."""

import os
import pty
import time

from sinkd_server import Server
from wire_test import need_root, run


def a_terminal_that_is_held():
    screen, terminal = pty.openpty()
    with Server("-w", "2", "-v", prepare=lambda: os.dup2(terminal, 2)) as server:
        for _ in range(60):
            with server.connect() as client:
                client.greet()
                client.deliver(b"Subject: nobody looks\r\n\r\n")
        assert len(server.stored()) == 60
        started = time.monotonic()
        server.terminate()
        server.wait_exit(5)
        assert time.monotonic() - started < 5
    os.close(terminal)
    os.close(screen)


def what_the_caller_types_is_not_for_workers():
    need_root()  # Workers show their descriptors to nobody else.
    with Server("-w", "1") as server:
        [pid] = server.workers()
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1)] == ["/dev/null"] * 2


def all_listeners_that_are_allowed():
    addresses = ", ".join('"127.0.0.1:0"' for _ in range(60))
    with Server("--discard", "-w", "1", listen=None,
                config=f'listen "many" {{ address = {{{addresses}}} }}\n') as server:
        assert len(server.addresses) == 60
        client = server.connect()
        client.greet()
        client.close()


run(a_terminal_that_is_held, what_the_caller_types_is_not_for_workers,
    all_listeners_that_are_allowed)
