"""A rule that draws (percent) gives the same mail the same fate in every run of the server,
over however many connections it comes and whichever worker serves it."""

import concurrent.futures
import random
import threading

from sinkd_server import PATIENCE, Server
from wire_test import run

MESSAGES = 1000
CONNECTIONS = 20
PERCENT = 20
TEXT = b"Subject: x\r\n\r\ntext\r\n.\r\n"


def send(server, numbers, others):
    """These messages over one connection, in one go; those that were refused."""
    with server.connect() as client:
        client.greet()
        others.wait()
        parts = []
        for number in numbers:
            parts.append(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<user{number}@example.net>\r\n"
                         "DATA\r\n".encode() + TEXT)
        client.send(b"".join(parts))
        failed = set()
        for number in numbers:
            for beginning in "250 2.1.0 ", "250 2.1.5 ", "354 ":
                client.expect(beginning)
            reply = client.reply()
            if reply == "451 4.3.0 Bad luck":
                failed.add(number)
            else:
                assert reply.startswith("250 2.0.0 Ok: "), reply
        return failed


def fates(seed, order, connections=CONNECTIONS):
    """Who is refused in a fresh server, each message over any of the connections; then who of
    these when they are sent again, and so on until all are taken."""
    rule = (f'rule "r" {{ on = "message"  percent = {PERCENT}  seed = {seed}'
            f'  reply = "451 4.3.0 Bad luck" }}\n')
    shuffle = random.Random(order).shuffle
    together = threading.Barrier(connections, timeout=10 * PATIENCE)
    queue, rounds = list(range(MESSAGES)), []
    with Server(config='deliver "null" { type = "discard" }\n' + rule, workers=connections) as server, \
            concurrent.futures.ThreadPoolExecutor(connections) as pool:
        while queue:
            shuffle(queue)
            parts = [queue[i::connections] for i in range(connections)]
            refused = pool.map(lambda part: send(server, part, together), parts)
            rounds.append(set().union(*refused))
            queue = sorted(rounds[-1])
        serving = {line.split(" pid=")[1].split(" ")[0] for line in server.events("session.start")}
        assert len(serving) == connections, serving
    return rounds


def share(part, whole, percent):
    """Whether so many of them are what is to be expected, give or take five standard
    deviations."""
    deviation = (whole * percent * (100 - percent)) ** 0.5 / 100
    return abs(part - whole * percent / 100) < 5 * deviation


def the_same_mail_has_the_same_fate():
    rounds = fates(seed=7, order=1)
    assert share(len(rounds[0]), MESSAGES, PERCENT), len(rounds[0])
    # The second attempt is drawn anew.
    assert share(len(rounds[1]), len(rounds[0]), PERCENT), list(map(len, rounds))
    assert fates(seed=7, order=1) == rounds
    assert fates(seed=7, order=2) == rounds, "in another order, over other connections"
    assert fates(seed=7, order=3, connections=3) == rounds, "over fewer connections"


def another_seed_is_another_fate():
    one, other = fates(seed=7, order=1)[0], fates(seed=8, order=1)[0]
    assert share(len(other), MESSAGES, PERCENT), len(other)
    # Of two sets that have nothing to do with each other.
    assert share(len(one & other), len(one), PERCENT), len(one & other)


run(the_same_mail_has_the_same_fate, another_seed_is_another_fate)
