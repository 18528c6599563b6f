"""What a worker shows of itself, how long it lives, and how many one client may have."""

import collections
import contextlib
import os
import re
import threading

from sinkd_server import Client, Server, wait_until
from wire_test import run


def titles_tell_what_a_worker_does():
    with Server(workers=3) as server:
        server.wait_idle(3)
        assert sorted(server.titles().values()) == [
            f"sinkd: worker {number} (idle)" for number in (1, 2, 3)], server.titles()
        with server.connect() as busy, server.connect() as waiting:
            waiting.greet()
            busy.greet()
            busy.open_message()

            def doing():
                return collections.Counter(
                    re.sub(r"worker \d+", "worker N", title) for title in server.titles().values())

            wait_until(lambda: doing() == {"sinkd: worker N (idle)": 1,
                                           "sinkd: worker N [127.0.0.1 COMMAND]": 1,
                                           "sinkd: worker N [127.0.0.1 DATA]": 1},
                       what="titles of two busy workers and an idle one")
        server.wait_idle(3)


def only_workers_wait_for_the_processor_like_batch_jobs():
    with Server(workers=2) as server:
        server.wait_idle(2)
        policies = {os.sched_getscheduler(pid) for pid in server.titles()}
        assert policies == {os.SCHED_BATCH}, policies
        assert os.sched_getscheduler(server.process.pid) == os.SCHED_OTHER


def the_policy_that_somebody_chose_stays():
    def choose_idle():
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    with Server(workers=2, prepare=choose_idle) as server:
        server.wait_idle(2)
        policies = {os.sched_getscheduler(pid) for pid in server.titles()}
        assert policies == {os.SCHED_IDLE}, policies


def a_worker_is_replaced_after_its_sessions():
    with Server(config='log { level = "debug" }\n'
                       "workers { start = 2  min-spare = 2  max-spare = 2  max = 2"
                       "  max-sessions = 5 }\n") as server:
        server.wait_idle(2)
        failures = []

        def deliver_all():
            try:
                for _ in range(20):
                    with server.connect() as client:
                        client.greet()
                        client.deliver(b"Subject: one of many\r\n\r\n")
                        client.command("QUIT", "221 ")
            except (AssertionError, OSError) as failure:
                failures.append(failure)

        clients = [threading.Thread(target=deliver_all) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert not failures, failures
        assert len(server.stored()) == 60
        # No more than the two that have not had their five yet are left.
        wait_until(lambda: len(server.events("worker.exit")) >= 11, what="their ends")
        for line in server.events("worker.exit"):
            assert line.endswith(" status=0 sessions=5"), line
        server.wait_idle(2)


def one_client_has_so_many_sessions():
    server = Server(workers=8, config="limits { sessions-per-client = 2 }\n")
    os.chmod(server.directory, 0o777)
    server.arguments += ["-l", "unix:" + server.path("socket")]
    with server, contextlib.ExitStack() as stack:
        tcp, local = server.addresses

        def connect(address, source=None):
            return stack.enter_context(Client(address, source=source))

        first, second = connect(tcp, "127.0.0.1"), connect(tcp, "127.0.0.1")
        first.greet()
        second.greet()
        for _ in range(3):  # What is refused does not count itself.
            third = connect(tcp, "127.0.0.1")
            third.expect("421 4.7.0 ")
            third.expect_closed()
        other = connect(tcp, "127.0.0.2")
        other.greet()
        other.deliver(b"Subject: from elsewhere\r\n\r\n")
        for client in [connect(local) for _ in range(3)]:
            client.greet()
        first.command("QUIT", "221 ")
        connect(tcp, "127.0.0.1").greet()  # Who has its 221 has gone.
        lines = server.events("session.refused")
        assert len(lines) == 3, lines
        for line in lines:
            assert line.endswith(" client=127.0.0.1 sessions=3 limit=2"), line


run(titles_tell_what_a_worker_does, only_workers_wait_for_the_processor_like_batch_jobs,
    the_policy_that_somebody_chose_stays, a_worker_is_replaced_after_its_sessions,
    one_client_has_so_many_sessions, together=True)
