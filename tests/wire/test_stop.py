"""Stop and sudden death in the middle of a reload or an upgrade: nobody's mail is lost, the
port is free, and nothing is left.  (The plain cases are in test_drain and
test_master_death.)"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import time

from sinkd_server import PATIENCE, Server, wait_until
from upgraded_server import Upgraded, greeted, slow_start
from wire_test import run

PR_SET_CHILD_SUBREAPER = 36

# Moments of a reload or an upgrade at which something happens, in seconds.
MOMENTS = [0, 0.001, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03]


def become_reaper():
    """Orphans of a server are ours from here on, and we hear how they end."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def at(moment):
    """Busy, since a sleep of a millisecond may take many."""
    end = time.monotonic() + moment
    while time.monotonic() < end:
        pass


def can_bind(address):
    with contextlib.closing(socket.socket()) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(address)
            s.listen()
        except OSError:
            return False
    return True


def kill_master(server):
    server.status = -signal.SIGKILL
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    return time.monotonic()


def reap(pids):
    """Wait for these processes, children of the killed master; their exit statuses."""
    ends = {}

    def are_over():
        for pid in set(pids) - set(ends):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ends[pid] = os.waitstatus_to_exitcode(status)
        return len(ends) == len(pids)

    wait_until(are_over, 10, "the end of the workers")
    return ends


def a_killed_master_leaves_whole_mail_and_no_zombie():
    with Server("-w", "4") as server:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(greeted(server)) for _ in range(3)]
            for client in clients:
                client.open_message()
                client.send(b"Subject: orphan\r\n\r\n")
            # Those that are not yet set up would say that there is no master.
            wait_until(lambda: len([title for title in server.titles().values()
                                    if title.endswith(("]", "(idle)"))]) == 4, what="4 workers")
            workers = server.workers()
            killed = kill_master(server)
            wait_until(lambda: can_bind(server.addresses[0]), 2, "a free port")
            assert time.monotonic() - killed < PATIENCE  # A second, on a quiet machine.
            for client in clients:
                client.send(b"text\r\n.\r\n")
                client.expect("250 2.0.0 Ok: ")
        assert set(reap(workers).values()) == {0}
        assert len(server.stored()) == 3
        # The next server finds the pid file of the dead one, and the port.
        with Server("-w", "1", listen="127.0.0.1:%d" % server.addresses[0][1],
                    environment={"RUNTIME_DIRECTORY": server.path("run")}) as other:
            assert not other.events("server.runtime"), other.log()
            with open(server.path("run", "sinkd.pid")) as file:
                assert int(file.read()) == other.pid
        assert os.listdir(server.path("run")) == []


def a_master_killed_in_a_reload_leaves_nothing():
    for moment in MOMENTS:
        with Upgraded("-w", "4", config="") as server:
            server.stop = lambda server=server: Server.stop(server)
            with greeted(server) as client:
                client.open_message()
                os.kill(server.pid, signal.SIGHUP)
                at(moment)
                kill_master(server)
                wait_until(lambda: can_bind(server.addresses[0]), 2, "a free port")
                client.send(b"Subject: orphan\r\n\r\n.\r\n")
                client.expect("250 2.0.0 Ok: ")
            wait_until(lambda: not server.processes(), 5, "the end of all workers")
            assert len(server.stored()) == 1


def a_master_killed_in_an_upgrade_leaves_the_new_server():
    with Upgraded("-w", "4", config="") as server, slow_start(server) as go_on:
        with greeted(server) as client:
            client.open_message()
            old = server.ask()
            server.wait_result("started")
            kill_master(server)
            # The sockets are open all the time: this one waits for the new server.
            with server.connect() as waiting:
                go_on("")
                waiting.greet()
                waiting.deliver(b"Subject: to the new one\r\n\r\n")
            client.send(b"Subject: orphan\r\n\r\n.\r\n")
            client.expect("250 2.0.0 Ok: ")
        assert server.wait_for_other(old) in server.processes()
        assert len(server.stored()) == 2
        assert not server.events("server.runtime"), server.log()


def term_stops_in_the_middle_of(number):
    for moment in MOMENTS:
        with Upgraded("-w", "4", config="") as server:
            with greeted(server) as client:
                client.open_message()
                os.kill(server.pid, number)
                at(moment)
                server.terminate()
                # An upgrade that was ready first goes on, and is told by stop().
                client.send(b"Subject: in flight\r\n\r\n.\r\n")
                client.expect("250 2.0.0 Ok: ")
                client.expect("421 4.3.2")
                client.expect_closed()
            assert server.wait_exit() == 0
            assert len(server.stored()) == 1


def term_stops_a_reload():
    term_stops_in_the_middle_of(signal.SIGHUP)


def term_stops_an_upgrade():
    term_stops_in_the_middle_of(signal.SIGUSR2)


def a_second_term_ends_a_reload_at_once():
    with Upgraded("-w", "4", config="") as server, greeted(server) as client:
        client.open_message()
        os.kill(server.pid, signal.SIGHUP)
        server.terminate()
        wait_until(lambda: "action=stop" in server.log(), what="the first signal")
        started = time.monotonic()
        server.terminate()
        client.expect("421 4.3.2")
        client.expect_closed()
        assert server.wait_exit(5) == 0
        assert time.monotonic() - started < 3 * PATIENCE
        assert server.listing("new") == server.listing("tmp") == []


def who_hangs_does_not_keep_a_drained_server():
    config = 'timeouts { command = "1s"  busy-command = "1s"  data = "1s" }\n'
    with Upgraded(config=config) as server, greeted(server):
        [worker] = [pid for pid, title in server.titles().items() if title.endswith("]")]
        os.kill(worker, signal.SIGSTOP)
        server.upgrade()
        assert server.wait_exit(10) == 0
        [hung] = server.events("worker.hung")
        assert f"worker={worker} " in hung, hung


def term_again_and_again_puts_nothing_off():
    with Server("-w", "1", config='timeouts { grace = "1s" }\n') as server, greeted(server):
        [worker] = server.workers()
        os.kill(worker, signal.SIGSTOP)
        started = time.monotonic()
        server.terminate()

        def has_ended():
            # Now and then, as an impatient script does.
            if time.monotonic() - started > 0.3 * has_ended.sent:
                has_ended.sent += 1
                with contextlib.suppress(ProcessLookupError):
                    server.terminate()
            return server.process.poll() is not None

        has_ended.sent = 1
        wait_until(has_ended, 6, "the end")
        assert server.process.returncode == 0
        assert has_ended.sent > 3, "nothing was tried"


def who_drains_under_stress_is_as_patient_as_ever():
    config = ('workers { start = 1  max = 1 }\n'
              'timeouts { command = "30s"  busy-command = "1s" }\n')
    with Server(config=config) as server, greeted(server) as client:
        def is_stressed():
            client.command("NOOP", "250")
            return json.loads(server.sinkctl("status", "--format", "json")[0])["workers"]["stressed"]

        wait_until(is_stressed, what="stress")
        server.sinkctl("drain")
        client.socket.settimeout(2.5)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(client.socket.recv(100))
        client.socket.settimeout(10)
        client.command("NOOP", "250")
        client.command("QUIT", "221")
        assert server.wait_exit() == 0


def drain_ends_an_upgrade():
    with Upgraded("-w", "1", config="") as server, slow_start(server):
        server.ask()
        server.wait_result("started")
        server.sinkctl("drain")
        assert server.wait_exit() == 0
        wait_until(lambda: not server.processes(), 5, "the end of the new server")


become_reaper()
run(a_killed_master_leaves_whole_mail_and_no_zombie, a_master_killed_in_a_reload_leaves_nothing,
    a_master_killed_in_an_upgrade_leaves_the_new_server, term_stops_a_reload,
    term_stops_an_upgrade, a_second_term_ends_a_reload_at_once,
    who_hangs_does_not_keep_a_drained_server, term_again_and_again_puts_nothing_off,
    who_drains_under_stress_is_as_patient_as_ever, drain_ends_an_upgrade)
