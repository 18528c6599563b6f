"""Workers are killed under load, and no promise is broken.

At least 100 workers get SIGKILL while they serve: some in DATA, some between the
dot and the rename, some between the rename and the reply.  Each message that got
its 250 is in new, whole and once; none that did not is half there."""

import os
import random
import re
import signal
import time

from load import Load
from sinkd_server import PATIENCE, Server, read_file, wait_until
from wire_test import run

KILLS = 100
SECONDS = 30


def kill_a_busy_worker(server):
    """Whether there was one to kill."""
    busy = [pid for pid, title in server.titles().items() if title.endswith("]")]
    if not busy:
        return False
    try:
        os.kill(random.choice(busy), signal.SIGKILL)
    except ProcessLookupError:
        return False  # It was killed before, and its master has just noticed.
    return True


def attempts_cut_off(server, load):
    """How many attempts ended in DATA, before publication, and after it."""
    tokens = set()
    for name in server.listing("new"):
        tokens |= set(re.findall(rb"^X-Token: (.*)$",
                                 read_file(server.path("Maildir", "new", name)), re.M))
    with load.lock:
        published = {token for token in load.lost_after_dot if token.encode() in tokens}
        return {"in DATA": len(load.lost_in_data),
                "in prepare": len(load.lost_after_dot - published),
                "in commit": len(published)}


def kills_break_no_promise():
    with Server(workers=40) as server:
        load = Load(server.addresses[0]).send(10**9)
        deadline = time.monotonic() + SECONDS * PATIENCE
        kills, cut_off = 0, {}
        while kills < KILLS or not all(cut_off.values()):
            assert time.monotonic() < deadline, f"{kills} kills, attempts cut off: {cut_off}"
            # The load goes on between two kills.
            accepted = len(load.accepted)
            wait_until(lambda: len(load.accepted) > accepted + 5, what="more mail")
            kills += kill_a_busy_worker(server)
            if kills >= KILLS:
                cut_off = attempts_cut_off(server, load)
        load.stop()
        load.join()
        load.check(server.stored())
        print(f"{kills} workers killed, {len(load.accepted)} messages accepted, "
              f"attempts cut off: {attempts_cut_off(server, load)}")


run(kills_break_no_promise)
