"""The pool grows at once when clients come, and its workers are small."""

import resource
import statistics
import time

from crowd import Crowd
from sinkd_server import PATIENCE, Server, built_with_sanitizers, read_file, wait_until
from wire_test import need_root, run, skip


def a_burst_is_served_at_once():
    with Server("--discard", config="workers { start = 4  max = 256 }\n") as server:
        server.wait_idle(4)
        with Crowd(server.addresses[0], 200) as crowd:
            # A pool that grew in steps of a second would take twice as long; a machine that
            # is busy with other tests, a second.
            seconds = crowd.listen(lambda: len(crowd.greeted()) == 200, 3 * PATIENCE)
            assert seconds, f"{len(crowd.greeted())} of 200 were greeted"
            print(f"200 clients were greeted by a pool of 4 within {seconds:.3f} s")
            assert len(server.workers()) <= 256


def growth_begins_when_a_worker_turns_busy():
    """Not when the master looks the next time, which may be a second later."""
    sessions = 20
    with Server("--discard", config="workers { start = 2  min-spare = 2  max = 64 }\n") as server, \
            Crowd(server.addresses[0], 0) as crowd:
        server.wait_idle(2)
        waits = []
        for number in range(1, sessions + 1):
            started = time.monotonic()
            crowd.join(1)
            wait_until(lambda: len(server.workers()) >= number + 2, what="one worker more")
            waits.append(time.monotonic() - started)
        assert crowd.listen(lambda: len(crowd.greeted()) == sessions, 5 * PATIENCE)
        print(f"the next worker was born after {statistics.median(waits) * 1000:.1f} ms, "
              f"at most {max(waits) * 1000:.1f} ms")
        assert statistics.median(waits) < 0.3, waits


def pss_kib(pid):
    for line in read_file(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"no Pss of {pid}")


def a_worker_is_small():
    sessions = 2000
    if built_with_sanitizers():
        skip("built with sanitizers")
    need_root()  # Workers hide from their own user.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files[1] != resource.RLIM_INFINITY and files[1] < sessions + 100:
        skip(f"may have {files[1]} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files[0], sessions + 100), files[1]))
    config = f'workers {{ start = 4  max = {sessions} }}\nlog {{ level = "warn" }}\n'
    with Server("--discard", config=config) as server:
        server.wait_idle(4)
        with Crowd(server.addresses[0], sessions) as crowd:
            seconds = crowd.listen(lambda: len(crowd.greeted()) == sessions, 10 * PATIENCE)
            assert seconds, f"{len(crowd.greeted())} of {sessions} were greeted"
            pids = [server.pid, *server.workers()]
            each = sum(map(pss_kib, pids)) / (len(pids) - 1)
            print(f"{sessions} sessions were reached within {seconds:.2f} s; "
                  f"{each:.0f} KiB per worker, of {len(pids) - 1}")
            assert len(pids) == sessions + 1
            assert each <= 150


run(a_burst_is_served_at_once, growth_begins_when_a_worker_turns_busy,
    a_worker_is_small)
