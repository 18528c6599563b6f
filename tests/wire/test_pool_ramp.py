"""The pool follows its clients, up and down, and leaves those that are served alone."""

from crowd import Crowd
from sinkd_server import PATIENCE, Server, built_with_sanitizers, wait_until
from wire_test import run

MIN_SPARE, MAX_SPARE = 2, 8
RAMP = (1, 10, 100) if built_with_sanitizers() else (1, 10, 100, 500)
CONFIG = (f"workers {{ start = 4  min-spare = {MIN_SPARE}  max-spare = {MAX_SPARE}"
          "  max = 1000 }\n")


def serving(server):
    """Pids of the workers that have a client."""
    return {pid for pid, title in server.titles().items() if title.endswith("]")}


def wait_settled(server, sessions, seconds):
    """Wait until the spare workers are as many as they should be, and stay as many."""
    wait_until(lambda: MIN_SPARE <= len(server.workers()) - sessions <= MAX_SPARE, seconds,
               f"spare workers besides {sessions} sessions")
    wait_until(lambda: len(server.idle_workers()) + sessions == len(server.workers()), 2,
               "workers that wait")
    assert MIN_SPARE <= len(server.idle_workers()) <= MAX_SPARE


def the_pool_follows():
    with Server("--discard", config=CONFIG) as server, Crowd(server.addresses[0], 0) as crowd:
        for sessions in RAMP:
            crowd.join(sessions - len(crowd.members))
            assert crowd.listen(lambda: len(crowd.greeted()) == sessions, 5 * PATIENCE), \
                f"{len(crowd.greeted())} of {sessions} were greeted"
            wait_until(lambda: len(server.workers()) >= sessions + MIN_SPARE, 2,
                       f"spare workers besides {sessions} sessions")
            assert len(serving(server)) == sessions
        members = list(crowd.members.values())
        assert crowd.asked(members, b"NOOP", b"250 ", 5 * PATIENCE)
        # Those that stay are the ones that came first, in the middle, and last.
        stay = members[::len(members) // 20]
        workers = serving(server)
        crowd.leave([member for member in members if member not in stay])
        wait_settled(server, len(stay), 30)
        assert len(serving(server)) == len(stay) and serving(server) <= workers
        assert crowd.asked(stay, b"NOOP", b"250 ", 5 * PATIENCE)
        assert not any(member.ended_at for member in stay)
        assert server.events("worker.exit") == []


def few_are_left_alone():
    """Nobody is sent away or born where the spare workers are as many as they may be."""
    with Server("--discard", config=CONFIG) as server, \
            Crowd(server.addresses[0], MAX_SPARE) as crowd:
        assert crowd.listen(lambda: len(crowd.greeted()) == MAX_SPARE, 5 * PATIENCE)
        wait_settled(server, MAX_SPARE, 10)
        crowd.leave(list(crowd.members.values()))
        wait_settled(server, 0, 15)
        before = set(server.workers())
        with Crowd(server.addresses[0], MAX_SPARE - MIN_SPARE) as more:
            assert more.listen(lambda: len(more.greeted()) == len(more.members), 5 * PATIENCE)
            assert len(serving(server)) == MAX_SPARE - MIN_SPARE
        wait_settled(server, 0, 15)
        assert set(server.workers()) == before


run(the_pool_follows, few_are_left_alone, together=True)
