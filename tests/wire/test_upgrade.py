"""USR2: a new server takes over the sockets; nobody is refused, cut off or told to go."""

import concurrent.futures
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading

from sinkd_server import SINKD, Client, read_file, wait_until
from upgraded_server import Upgraded, greeted, slow_start
from wire_test import need_program, need_root, run, skip


def the_new_server_has_the_port():
    with Upgraded("-w", "2") as server:
        old = server.pid_in_file()
        assert old == server.pid
        new = server.upgrade()
        assert server.wait_exit() == 0
        assert new in server.processes()
        with greeted(server) as client:
            client.deliver(b"Subject: to the new one\r\n\r\n")
        assert len(server.stored()) == 1
        with socket.socket() as refused:
            refused.settimeout(10)
            os.kill(new, signal.SIGTERM)
            wait_until(lambda: not server.processes(), 10, "the end of the new server")
            assert refused.connect_ex(server.addresses[0]) != 0


class Callers:
    """Threads of clients that connect, say hello and quit, one after the other."""

    def __init__(self, server, count=3):
        self.server = server
        self.served = 0
        self.is_over = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(count)
        self.callers = [self.pool.submit(self.call) for _ in range(count)]

    def call(self):
        while not self.is_over.is_set():
            with greeted(self.server) as client:
                client.command("QUIT", "221 ")
                client.expect_closed()
            self.served += 1

    def wait_more(self, count=10):
        enough = self.served + count
        wait_until(lambda: self.served >= enough or any(c.done() for c in self.callers), 10,
                   "more clients served")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.pool.shutdown()
        for caller in self.callers:
            caller.result()  # raises what went wrong


def nobody_is_refused_or_cut_off():
    with Upgraded("-w", "4") as server:
        with Callers(server) as callers:
            for _ in range(5):
                callers.wait_more()
                old = server.ask()
                callers.wait_more(1)
                server.wait_for_other(old)
                wait_until(lambda: old not in server.processes(), 10, "the end of the old server")
        assert server.results() == ["started", "ready"] * 5, server.results()


def a_session_ends_as_it_would_have():
    with Upgraded("-w", "2") as server, greeted(server) as idle, greeted(server) as busy:
        busy.open_message()
        busy.send(b"Subject: begun\r\n")
        new = server.upgrade()
        with greeted(server) as other:
            other.deliver(b"Subject: meanwhile\r\n\r\n")
        # Two ticks of a worker: it has seen the notice, and says nothing of it.
        for worker in [pid for pid in server.workers() if pid != new]:
            wait_until(lambda: closed_its_listeners(worker), 5, "a worker that takes nobody new")
        busy.send(b"\r\nfinished\r\n.\r\n")
        busy.expect("250 2.0.0 Ok: ")
        for client in idle, busy:
            client.command("NOOP", "250 ")
            client.deliver(b"Subject: as before\r\n\r\n")
            assert server.process.poll() is None
            client.command("QUIT", "221 ")
            client.expect_closed()
        assert server.wait_exit() == 0
        assert len(server.stored()) == 4


def closed_its_listeners(worker):
    """Whether no socket of it listens; only root may look."""
    if os.geteuid() != 0:
        return True
    inodes = set()
    for fd in os.listdir(f"/proc/{worker}/fd"):
        with contextlib.suppress(FileNotFoundError):  # It has just been closed.
            inodes.add(os.readlink(f"/proc/{worker}/fd/{fd}"))
    lines = read_file("/proc/net/tcp").decode().splitlines()[1:]
    listening = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[3] == "0A"}
    return not inodes & listening


def term_ends_the_sessions_of_the_old_server():
    with Upgraded("-w", "2") as server, greeted(server) as idle:
        server.upgrade()
        server.terminate()
        idle.expect("421 4.3.2")
        idle.expect_closed()
        assert server.wait_exit() == 0


def a_new_server_that_cannot_start_changes_nothing():
    with Upgraded("-w", "2", config="", listen="127.0.0.1:0") as server, greeted(server) as client:
        conf = server.path("sinkd.conf")
        with open(conf, "w") as file:
            file.write("nonsense = 1\n")
        old = server.ask()
        # First what it says, then how it ended.
        wait_until(lambda: server.results().count("failed") == 2, 10, "the failure")
        said, ended = [text for text in server.events("server.upgrade") if "=failed" in text]
        assert "sinkd.conf:1: " in said and " status=78 " in ended, server.log()
        assert server.pid_in_file() == old
        client.deliver(b"Subject: still there\r\n\r\n")
        with greeted(server) as other:
            other.command("QUIT", "221 ")
        client.command("QUIT", "221 ")
        open(conf, "w").close()
        server.upgrade()
        assert server.wait_exit() == 0
        greeted(server).close()


def a_new_server_whose_port_is_taken_leaves_the_paths():
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as s:
        path = os.path.join(directory, "sink")
        os.chmod(directory, 0o777)
        config = f'listen "a" {{ address = {{"unix:{path}"}} }}\n'
        with Upgraded("-w", "1", config=config, listen=None) as server:
            with open(server.path("sinkd.conf"), "w") as file:
                file.write(config.replace("{\"", '{"127.0.0.1:%d", "' % s.getsockname()[1]))
            server.ask()
            server.wait_result("failed")
            greeted(server).close()
        assert not os.path.exists(path)


def sockets_follow_the_configuration():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        one, two, three = (os.path.join(directory, name) for name in ("one", "two", "three"))
        config = 'listen "a" {{ address = {{"unix:{}", "unix:{}"}} }}\n'
        with Upgraded("-w", "1", config=config.format(one, two), listen=None) as server:
            with open(server.path("sinkd.conf"), "w") as file:
                file.write(config.format(two, three))
            server.upgrade()
            assert server.wait_exit() == 0
            assert not os.path.exists(one)
            for path in two, three:
                with Client(path) as client:
                    client.greet()
        assert os.listdir(directory) == []


def one_upgrade_at_a_time():
    with Upgraded("-w", "1", config="") as server, slow_start(server) as go_on:
        old = server.ask()
        server.wait_result("started")
        server.ask()
        server.wait_result("refused")
        greeted(server).close()
        go_on("")
        server.wait_for_other(old)
        assert server.wait_exit() == 0
        assert server.results() == ["started", "refused", "ready"]


def term_stops_both():
    with Upgraded("-w", "1", config="") as server, slow_start(server):
        server.ask()
        server.wait_result("started")
        server.terminate()
        assert server.wait_exit() == 0
        wait_until(lambda: not server.processes(), 5, "the end of the new server")


def a_binary_that_is_gone_is_told():
    if not os.access(os.path.dirname(SINKD), os.W_OK):
        skip("built by another user")
    # A link where links are possible: while another thread forks, a file that is written
    # may be held open, and cannot be executed.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(SINKD)) as directory:
        copy = os.path.join(directory, "sinkd")
        os.link(SINKD, copy)
        with Upgraded("-w", "1", program=copy) as server:
            os.rename(copy, copy + ".old")
            server.ask()
            # The process that could not become a server says why, then its parent that it ended.
            wait_until(lambda: server.results().count("failed") == 2, 10, "the failure")
            assert f'path={copy} reason="No such file or directory"' in server.log(), server.log()
            greeted(server).close()
            # What lies there now is executed, whatever the directory is by then.
            os.rename(copy + ".old", copy)
            server.upgrade()
            assert server.wait_exit() == 0


def whoever_started_us_is_told():
    address = f"@sinkd-wire-upgrade-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address.replace("@", "\0", 1))
        notified.settimeout(20)

        def receive():
            while (state := notified.recv(4096)).startswith(b"STATUS="):
                pass
            return state

        with Upgraded("-w", "1", environment={"NOTIFY_SOCKET": address}) as server:
            assert receive() == b"READY=1"
            new = server.upgrade()
            assert receive() == b"READY=1"
            assert receive() == b"MAINPID=%d" % new
            assert server.wait_exit() == 0
            os.kill(new, signal.SIGTERM)
            # The first one has not said so.
            assert receive() == b"STOPPING=1"


def pid_1_stays():
    need_root()
    isolate = [need_program("unshare"), "--pid", "--fork", "--kill-child"]
    if subprocess.run([*isolate, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("no namespace for processes")

    class Isolated(Upgraded):
        def command(self):
            return [*isolate, self.program()]

        def terminate(self):
            [init] = self.children()  # the child of unshare
            os.kill(init, signal.SIGTERM)

    with Isolated("-w", "1") as server:
        [init] = server.children()
        os.kill(init, signal.SIGUSR2)
        server.wait_result("refused")
        greeted(server).close()


run(the_new_server_has_the_port, nobody_is_refused_or_cut_off, a_session_ends_as_it_would_have,
    term_ends_the_sessions_of_the_old_server, a_new_server_that_cannot_start_changes_nothing,
    a_new_server_whose_port_is_taken_leaves_the_paths, sockets_follow_the_configuration,
    one_upgrade_at_a_time, term_stops_both, a_binary_that_is_gone_is_told,
    whoever_started_us_is_told, pid_1_stays, together=True)
