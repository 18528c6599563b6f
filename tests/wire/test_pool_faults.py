"""What breaks a worker, or would use one up, does not break the pool."""

import datetime
import os
import random
import re
import signal
import threading
import time

from sinkd_server import PATIENCE, Server, status_of, wait_until
from wire_test import run

ABORTS = 10000


def serve_one(server):
    with server.connect() as client:
        client.greet()
        client.deliver(b"Subject: served\r\n\r\n")
        client.command("QUIT", "221 ")


def a_worker_that_hangs_is_replaced():
    # It is stopped while it waits, or while it does what it has been told: both end soon.
    config = 'timeouts { command = "1s"  data = "1s" }\n'
    with Server("--discard", workers=3, config=config) as server:
        server.wait_idle(3)
        before = set(server.workers())
        with server.connect() as victim:
            victim.greet()
            [hung] = before - set(server.idle_workers())
            started = time.monotonic()
            os.kill(hung, signal.SIGSTOP)

            for _ in range(20):
                serve_one(server)
            wait_until(lambda: hung not in server.workers(), 12, "its end")
            seconds = time.monotonic() - started
            victim.expect_closed()
        print(f"a worker that hung was killed after {seconds:.1f} s")
        assert seconds > 1, "it was not late yet"
        [line] = server.events("worker.hung")
        assert f" worker={hung} state=command client=127.0.0.1 late_ms=" in line, line
        # It is gone before its master has buried it.
        wait_until(lambda: server.events("worker.exit"), what="its funeral")
        [line] = server.events("worker.exit")
        assert f" worker={hung} signal=KILL state=command client=127.0.0.1 " in line, line
        server.wait_idle(3)
        assert len(set(server.workers()) & before) == 2


def time_of(line):
    return datetime.datetime.fromisoformat(re.match(r"time=(\S+)", line).group(1))


def newborns_are_killed(is_ripe):
    """Kill each new worker once it is ripe: the next ones are born ever more slowly."""
    with Server("--discard", workers=1, config='log { level = "debug" }\n') as server:
        server.wait_idle(1)
        with server.connect(seconds=20) as client:
            # It is served by nobody yet.
            client.expect("220 ")
            os.kill(server.workers()[0], signal.SIGKILL)
            client.expect_closed()
            wait_until(lambda: server.idle_workers(), what="the first newborn")
            waits = [1000, 2000, 4000]
            for number, wait_ms in enumerate(waits):
                [newborn] = wait_until(lambda: is_ripe(server), 5, "a newborn")
                os.kill(newborn, signal.SIGKILL)
                wait_until(lambda: server.workers() == [], what="its end")
                wait_until(lambda: len(server.events("worker.throttle")) > number,
                           what="the notice of a slow birth")
                assert len(server.events("worker.throttle")) == number + 1
                assert server.events("worker.throttle")[-1].endswith(f" wait_ms={wait_ms}")
        with server.connect(seconds=10) as client:
            client.greet()
        # The first one, the one that died for its client, and those after each wait.
        births = [time_of(line) for line in server.events("worker.start")]
        gaps = [(later - earlier).total_seconds() for earlier, later in zip(births, births[1:])]
        assert len(gaps) == len(waits) + 1, gaps
        for gap, wait_ms in zip(gaps[1:], waits):
            # The clock of the log is another, and is cut to milliseconds.
            assert wait_ms / 1000 - 0.1 < gap < wait_ms / 1000 + PATIENCE, gaps
        server.wait_idle(1)
        serve_one(server)


def newborns_that_never_come_to_wait():
    newborns_are_killed(lambda server: server.workers())


def newborns_that_serve_nobody():
    newborns_are_killed(lambda server: server.idle_workers())


def idle_workers_that_do_not_wake_are_not_counted_on():
    with Server(config='workers { start = 2  min-spare = 1  max = 8 }\n') as server:
        server.wait_idle(2)
        stopped = server.idle_workers()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            # The master looks every ten seconds, and then doubts them for one.
            with server.connect(seconds=15 * PATIENCE) as client:
                client.greet()
                client.deliver(b"Subject: served at last\r\n\r\n")
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


def abort_sessions(server, count, seed, failures):
    """Connect and go away, with an RST, at some point of a session."""
    script = (b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n"
              b"RCPT TO:<b@example.net>\r\nDATA\r\nSubject: half\r\n\r\n" + b"text\r\n" * 100)
    rng = random.Random(seed)
    try:
        for _ in range(count):
            client = server.connect()
            if rng.random() < 0.5:
                client.send(script[:rng.randrange(1, len(script))])
            if rng.random() < 0.5:
                client.line()
            client.reset()
    except Exception as failure:  # It would be lost in this thread.
        failures.append(repr(failure))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ten_thousand_aborts_leave_all_as_it_was():
    config = "workers { start = 4  min-spare = 4  max-spare = 4  max = 16 }\n"
    with Server(config=config) as server:
        serve_one(server)
        server.wait_idle(4)
        master, worker = descriptors(server.pid), None
        if os.geteuid() == 0:  # Workers hide from their own user.
            worker = {descriptors(pid) for pid in server.workers()}
        failures = []
        started = time.monotonic()
        clients = [threading.Thread(target=abort_sessions,
                                    args=(server, ABORTS // 4, seed, failures))
                   for seed in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        print(f"{ABORTS} sessions were aborted within {time.monotonic() - started:.1f} s")
        assert not failures, failures
        # All of them were served, with the one before, as far as they wished.
        wait_until(lambda: len(server.idle_workers()) == len(server.workers()) >= 4,
                   what="idle workers")
        assert len(server.events("session.start")) == ABORTS + 1
        assert descriptors(server.pid) == master
        if worker:
            assert {descriptors(pid) for pid in server.workers()} == worker
        states = [status_of(pid)["State"][0] for pid in server.workers()]
        assert len(states) <= 16 and "Z" not in states, states
        wait_until(lambda: server.listing("tmp") == [], what="an empty tmp")
        assert len(server.listing("new")) == 1 and server.events("worker.exit") == []
        serve_one(server)


run(a_worker_that_hangs_is_replaced, newborns_that_never_come_to_wait,
    newborns_that_serve_nobody, idle_workers_that_do_not_wake_are_not_counted_on,
    ten_thousand_aborts_leave_all_as_it_was, together=True)
