"""What rules count, they count over all workers: exactly, whoever serves whom, and whichever
worker has died in between; and over reloads."""

import collections
import concurrent.futures
import contextlib
import json
import os
import signal
import threading

from sinkd_server import PATIENCE, Server, wait_until
from wire_test import run

WORKERS = 5
SESSIONS = 20  # so many at once as there are workers
COMMANDS = 10  # in each
REFUSED = "452 4.7.9 Hit"

Asked = collections.namedtuple("Asked", "session client sender recipient is_hit")


def rule(options):
    return f'rule "r" {{ on = "rcpt"  {options}  reply = "{REFUSED}" }}\n'


def counting(options, **settings):
    config = f'deliver "null" {{ type = "discard" }}\n{rule(options)}'
    return Server(config=config, **{"workers": WORKERS, **settings})


def ask(server, number, others=None):
    """A session that names some recipients in one packet, when others are ready to, too; what
    became of each.  There are four clients, five senders, and ten recipients, which all of
    them name."""
    client, sender = f"127.0.0.{1 + number % 4}", f"s{number % 5}@example.com"
    names = [f"r{i}@example.net" for i in range(COMMANDS)]
    lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{name}>" for name in names), ""]
    with server.connect(source=client) as connection:
        connection.greet()
        if others:
            others.wait()
        connection.send("\r\n".join(lines).encode())
        connection.expect("250 ")
        replies = [connection.reply() for _ in names]
    assert all(reply == REFUSED or reply.startswith("250 ") for reply in replies), replies
    return [Asked(number, client, sender, name, reply == REFUSED)
            for name, reply in zip(names, replies)]


def ask_all(server, sessions=range(SESSIONS)):
    together = threading.Barrier(WORKERS, timeout=10 * PATIENCE)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        results = pool.map(lambda number: ask(server, number, together), sessions)
        return [asked for some in results for asked in some]


def hits_of(server):
    """As the server tells."""
    [row] = json.loads(server.sinkctl("--format", "json", "rules")[0])["rules"]
    return row["hits"]


def hits_by(asked, key):
    counts = collections.Counter({getattr(one, key): 0 for one in asked})
    counts.update(getattr(one, key) for one in asked if one.is_hit)
    return counts


# Options; how many of the 200 are refused; and by what there are as many for each.
CASES = [
    ("first = 37", 37, None),
    ("every = 7", 28, None),
    ('rate = "50/1h"', 150, None),
    ('first = 5  per = "client"', 20, "client"),
    ('first = 3  per = "sender"', 15, "sender"),
    ('first = 2  per = "recipient"', 20, "recipient"),
    ('first = 4  per = "session"', 80, "session"),
    ('every = 3  per = "client"', 64, "client"),
    ('every = 6  per = "sender"', 30, "sender"),
    ('every = 4  per = "recipient"', 50, "recipient"),
    ('every = 3  per = "session"', 60, "session"),
    ('rate = "12/1h"  per = "client"', 152, "client"),
    ('rate = "38/1h"  per = "sender"', 10, "sender"),
    ('rate = "19/1h"  per = "recipient"', 10, "recipient"),
    ('rate = "9/1h"  per = "session"', 20, "session"),
    # Each counts what those before it let through.
    ("every = 2  first = 9", 9, None),
    ('every = 2  rate = "60/1h"', 40, None),
    ('every = 2  rate = "60/1h"  first = 11', 11, None),
    ('rate = "195/1h"  first = 11', 5, None),
]


def many_workers_count_as_one():
    for options, hits, key in CASES:
        with counting(options) as server:
            asked = ask_all(server)
            found = sum(one.is_hit for one in asked)
            assert found == hits_of(server) == hits, (options, found)
            counts = hits_by(asked, key) if key else {}
            assert len(set(counts.values())) <= 1, (options, counts)


def kill(server, pid):
    """A worker, from outside; another one takes its place."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in server.workers() and len(server.idle_workers()) >= WORKERS - 1,
               what="the next worker")


def the_busy_one(server):
    """Alone in a set; not yet, while others are still to become idle."""
    busy = set(server.workers()) - set(server.idle_workers())
    return busy if len(busy) == 1 else None


def dead_workers_take_nothing_along():
    for options, hits in (("first = 150", 150), ("every = 7", 28), ('rate = "50/1h"', 150),
                          ('first = 5  per = "client"', 20), ('every = 4  per = "recipient"', 50)):
        with counting(options) as server:
            old = server.workers()
            asked = ask_all(server, range(SESSIONS // 4))
            # Half of them while they wait, one in the middle of a session.
            for pid in old[:WORKERS // 2]:
                kill(server, pid)
            asked += ask_all(server, range(SESSIONS // 4, SESSIONS // 2))
            with server.connect() as client:
                client.greet()
                client.command("MAIL FROM:<a@example.com>", "250 ")
                [busy] = wait_until(lambda: the_busy_one(server), what="one worker, and no other")
                kill(server, busy)
                client.expect_closed()
            for pid in old[WORKERS // 2:]:
                if pid != busy:
                    kill(server, pid)
            assert not set(old) & set(server.workers())
            asked += ask_all(server, range(SESSIONS // 2, SESSIONS))
            found = sum(one.is_hit for one in asked)
            assert found == hits_of(server) == hits, (options, found)


def ask_one_by_one(server, stop):
    """RCPT after RCPT over session after session, whether they end well or not, until one is
    accepted by anybody; how many were refused, and how many have no answer."""
    refused = unanswered = 0
    while not stop.is_set():
        with server.connect() as client:
            client.reply()
            # By small steps, so that workers die at any of them.
            for line in ("EHLO client.example", "MAIL FROM:<a@example.com>",
                         *["RCPT TO:<b@example.net>"] * 50):
                with contextlib.suppress(ConnectionError):
                    client.send(line.encode() + b"\r\n")
                reply = client.reply()
                refused += reply == REFUSED
                if line.startswith("RCPT") and reply and reply.startswith("250 "):
                    stop.set()
                if reply is None:
                    unanswered += line.startswith("RCPT")
                    break
    return refused, unanswered


def workers_that_die_while_they_count():
    """What a dying worker was about to count may be lost, but nothing else, and nothing hangs."""
    first, kills = 4000, 0
    stop = threading.Event()
    with counting(f"first = {first}") as server, \
            concurrent.futures.ThreadPoolExecutor(WORKERS - 1) as pool:
        asking = [pool.submit(ask_one_by_one, server, stop) for _ in range(WORKERS - 1)]
        try:
            while not stop.is_set():
                hits = hits_of(server)
                for pid in set(server.workers()) - set(server.idle_workers()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        kills += 1
                # The others go on, if there are any, or the next ones.
                wait_until(lambda: hits_of(server) > hits + first // 40 or stop.is_set())
        finally:
            stop.set()
        refused, unanswered = map(sum, zip(*(done.result() for done in asking)))
        assert kills > 2 and unanswered <= kills, (kills, unanswered)
        assert first - unanswered <= refused <= hits_of(server) <= first, (refused, unanswered)


def configure(server, options):
    path = server.path("sinkd.conf")
    with open(path) as file:
        lines = file.read().splitlines(keepends=True)
    with open(path, "w") as file:
        file.writelines(rule(options) if line.startswith("rule") else line for line in lines)
    server.sinkctl("reload")


def hits_in_a_session(server):
    return sum(one.is_hit for one in ask(server, 0))


def a_reload_takes_nothing_away():
    """What has been counted is the rule's, by its name and seed, whatever else changes."""
    with counting("first = 25", workers=2) as server:
        assert hits_in_a_session(server) == 10
        configure(server, "first = 25")
        assert hits_in_a_session(server) == 10
        configure(server, "first = 24")
        assert hits_in_a_session(server) == 4
        configure(server, "first = 27")
        # Those that were too many have been counted, too.
        assert hits_in_a_session(server) == 0
        configure(server, "first = 45")
        assert hits_in_a_session(server) == 5
        configure(server, "first = 5  seed = 1")
        assert hits_in_a_session(server) == 5
        configure(server, 'every = 4  per = "all"')
        assert [hits_in_a_session(server) for _ in range(2)] == [2, 3]
        configure(server, "every = 4  enabled = false")
        assert hits_in_a_session(server) == 0
        configure(server, "every = 4")
        # The 24th and 28th: those that came while it was off do not count.
        assert hits_in_a_session(server) == 2


def a_rate_begins_again():
    with counting('rate = "4/1s"', workers=2) as server:
        def hits_again():
            return hits_in_a_session(server) == 6

        assert hits_in_a_session(server) in (6, 7)
        # Now all are beyond it, until the second is over.
        wait_until(hits_again, what="another second")


run(many_workers_count_as_one, dead_workers_take_nothing_along,
    workers_that_die_while_they_count, a_reload_takes_nothing_away,
    a_rate_begins_again, together=True)
