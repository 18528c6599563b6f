"""Reloads, upgrades and deaths of workers under a steady load of real messages."""

import os
import random
import signal
import time

from load import Load
from sinkd_server import PATIENCE, status_of, wait_until
from upgraded_server import Upgraded, greeted
from wire_test import run

RELOADS = 20
UPGRADES = 5
KILLS = 100
SECONDS = 20
CONFIG = "workers { start = 6  min-spare = 2  max-spare = 8  max = 60 }\n"


def kill_a_worker(server):
    """Any worker, of any server; returns how many that were."""
    titles = server.all_titles()

    def is_victim(pid):
        # The child of a worker is that of the checker of leaks, which waits for it for ever.
        try:
            parent = int(status_of(pid)["PPid"][0])
        except (FileNotFoundError, ProcessLookupError):
            return False
        return not titles.get(parent, "").startswith("sinkd: worker")

    workers = [pid for pid, title in titles.items()
               if title.startswith("sinkd: worker") and is_victim(pid)]
    if not workers:
        return 0
    try:
        os.kill(random.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return 0  # It has left just now.
    return 1


class Storm:
    """A server under load; counts what is done to it."""

    def __init__(self, server, kills=0):
        self.server = server
        self.load = Load(server.addresses[0], clients=6, size_max=4096, quits=0.5)
        self.load.send(10**9)
        self.kills_wanted = kills
        self.kills = 0
        self.deadline = time.monotonic() + SECONDS * PATIENCE

    def go_on(self):
        """Some more messages; whether there is time left."""
        assert time.monotonic() < self.deadline, "it takes too long"
        accepted = len(self.load.accepted)
        wait_until(lambda: len(self.load.accepted) > accepted + 3 or self.load.problems, 10,
                   "more mail")
        assert not self.load.problems, self.load.problems

    def kill_some(self, share):
        """So many workers that this share of all has been killed."""
        while self.kills < self.kills_wanted * share:
            self.kills += kill_a_worker(self.server)
            self.go_on()

    def reload(self):
        """A reload whose only worker is killed has failed, and is made once more."""
        done = self.server.reloads("done")
        while self.server.reloads("done") == done:
            failed = self.server.reloads("failed")
            os.kill(self.server.pid_in_file(), signal.SIGHUP)
            wait_until(lambda: self.server.reloads("done") > done
                       or self.server.reloads("failed") > failed, 10, "the end of a reload")
        self.go_on()

    def upgrade(self):
        ready = self.server.results().count("ready")
        self.server.upgrade()
        wait_until(lambda: self.server.results().count("ready") > ready, 10, "an upgrade")
        self.go_on()

    def run(self):
        for number in range(RELOADS + UPGRADES):
            if number % (1 + RELOADS // UPGRADES) == 2:
                self.upgrade()
            else:
                self.reload()
            self.kill_some((number + 1) / (RELOADS + UPGRADES))
        self.load.stop()
        self.load.join()
        self.load.check(self.server.stored())
        print(f"{self.server.reloads('done')} reloads, "
              f"{self.server.results().count('ready')} upgrades, {self.kills} workers killed: "
              f"{len(self.load.accepted)} messages accepted, {self.load.sessions} sessions, "
              f"{self.load.count_failures()} failed", flush=True)


def reloads_and_upgrades_disturb_nobody():
    with Upgraded(config=CONFIG) as server:
        storm = Storm(server)
        storm.run()
        assert storm.load.count_failures() == 0
        assert server.reloads("failed") == 0 and "failed" not in server.results()


def kills_break_no_promise():
    with Upgraded(config=CONFIG) as server:
        storm = Storm(server, KILLS)
        storm.run()
        assert storm.kills >= KILLS


def the_next_client_is_never_forgotten():
    """The first one takes the only worker, and the master hears of it however soon it looks."""
    for _ in range(15):
        with Upgraded(config="workers { start = 1  min-spare = 1  max-spare = 1  max = 2 }\n") \
                as server, greeted(server), greeted(server):
            pass


run(the_next_client_is_never_forgotten, reloads_and_upgrades_disturb_nobody, kills_break_no_promise)
