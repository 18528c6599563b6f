"""Sockets that the server is started with (LISTEN_FDS) take the place of its own."""

import contextlib
import os
import signal
import socket

from sinkd_server import Server, read_file, split_address, wait_until
from wire_test import run


class Activated(Server):
    """A server that gets these sockets from whoever starts it, as systemd does it."""

    def __init__(self, *arguments, sockets, names=None, pid="$$", **options):
        def hand_over():
            # Above all that is open, so that no copy hits one that is still to be copied.
            high = [os.dup2(s.fileno(), 500 + i) for i, s in enumerate(sockets)]
            for number, fd in enumerate(high, 3):
                os.dup2(fd, number)
                os.close(fd)

        super().__init__(*arguments, prepare=hand_over, **options)
        self.environment["LISTEN_FDS"] = str(len(sockets))
        if names:
            self.environment["LISTEN_FDNAMES"] = names
        self.passed = range(3, 3 + len(sockets))
        self.pid_of_sockets = pid

    def command(self):
        # A shell that becomes the server knows what its pid will be.
        return ["/bin/sh", "-c", f'LISTEN_PID={self.pid_of_sockets} exec "$0" "$@"',
                self.program()]

    def start(self):
        # The descriptor of --ready-fd must be out of the way of 3, 4, ...
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(open(os.devnull))
            super().start()


def listening(address="127.0.0.1", port=0):
    return socket.create_server((address, port))


def address_of(s):
    return "%s:%d" % s.getsockname()[:2]


def refused(text, *arguments, **options):
    """The server does not start, and says text."""
    server = Activated(*arguments, **options)
    try:
        server.start()
    except AssertionError:
        assert server.process.wait() == 1, server.process.returncode
        assert text in server.log(), (text, server.log())
    else:
        raise AssertionError(f"it started, without: {text}")
    finally:
        server.discard_all()


def inherited(server, s):
    """A client of this socket is served, with nothing waiting for the socket itself."""
    server.addresses = [s.getsockname()[:2] if s.family != socket.AF_UNIX else s.getsockname()]
    with server.connect() as client:
        client.greet()
        client.deliver(b"Subject: inherited\r\n\r\n")


def is_master(pid):
    try:
        return read_file(f"/proc/{pid}/cmdline").startswith(b"sinkd: master")
    except (FileNotFoundError, ProcessLookupError):
        return False  # It has just left.


def masters(server):
    return [pid for pid in server.processes() if is_master(pid)]


def the_socket_of_a_listener_is_used():
    with listening() as s, Activated("-w", "2", sockets=[s], listen=address_of(s)) as server:
        inherited(server, s)
        server.terminate()
        server.wait_exit()
        # It is not ours to close: systemd would start us for the next client.
        with socket.create_connection(s.getsockname()):
            pass


def names_are_taken_and_others_are_bound():
    with listening() as one, listening() as two:
        with Activated("-w", "1", "-l", "127.0.0.1:0", "-l", address_of(two), sockets=[one, two],
                       names="smtp:second", listen=address_of(one)) as server:
            assert len(server.addresses) == 3
            for s in one, two:
                inherited(server, s)
            assert len(server.stored()) == 2


def any_port_takes_what_is_there():
    with listening() as s, Activated("-w", "1", sockets=[s], listen="127.0.0.1:0") as server:
        assert server.addresses == [s.getsockname()]
        inherited(server, s)


def a_unix_socket_keeps_its_path():
    with socket.socket(socket.AF_UNIX) as s:
        server = Activated("-w", "1", sockets=[s], listen=None)
        os.chmod(server.directory, 0o777)
        path = server.path("sink")
        s.bind(path)
        s.listen()
        server.arguments += ["-l", "unix:" + path]
        with server:
            inherited(server, s)
            # Nor is it ours after an upgrade.
            server.process.send_signal(signal.SIGUSR2)
            server.wait_exit()
            inherited(server, s)
            # A child has its parent's title until it has one of its own.
            wait_until(lambda: len(masters(server)) == 1, 10, "the titles of the children")
            os.kill(masters(server)[0], signal.SIGTERM)
            wait_until(lambda: not server.processes(), 10, "the end of the second server")
            assert os.path.exists(path)


def one_that_no_listener_wants_is_an_error():
    with listening() as s, listening() as other:
        refused(address_of(other), sockets=[s, other], listen=address_of(s))


def two_of_the_same_are_an_error():
    with listening() as s, contextlib.closing(s.dup()) as twin:
        refused(address_of(s), sockets=[s, twin], listen=address_of(s))


def what_does_not_listen_is_an_error():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        refused("descriptor 3", sockets=[s], listen=address_of(s))
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        refused("descriptor 3", sockets=[s])


def what_is_for_another_process_is_left_alone():
    with listening() as s, Activated("-w", "1", sockets=[s], pid=1) as server:
        assert server.addresses != [split_address(address_of(s))]


def an_option_is_set_on_what_is_inherited():
    """A worker does not block in accept: the next client of the other socket is served."""
    with listening() as one, listening() as two:
        with Activated("-w", "1", "-l", address_of(two), sockets=[one, two],
                       listen=address_of(one)) as server:
            for s in (one, two) * 3:
                inherited(server, s)
            assert len(server.stored()) == 6


run(the_socket_of_a_listener_is_used, names_are_taken_and_others_are_bound,
    any_port_takes_what_is_there, a_unix_socket_keeps_its_path,
    one_that_no_listener_wants_is_an_error, two_of_the_same_are_an_error,
    what_does_not_listen_is_an_error, what_is_for_another_process_is_left_alone,
    an_option_is_set_on_what_is_inherited)
