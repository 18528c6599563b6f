"""20,000 messages to a command that notes what it was given: each 250 has its run, and each
run had a whole message.  Without disturbance there is no run that is not told of, and no
message has two; then workers, commands and the spawner are killed under the same load."""

import os
import random
import re
import signal
import time
import zlib

from commands import HERE, PipeServer, keys_of, section
from load import Load
from sinkd_server import LEVEL, PATIENCE, built_with_sanitizers, read_file, wait_until
from wire_test import run

IS_SHORT = LEVEL or built_with_sanitizers()
MESSAGES = 1000 if IS_SHORT else 20000
# One that is killed in its first second is young, and the next one has to wait.
YOUNG = 1.2
KILLS = {"workers": 20, "commands": 20, "spawners": 2} if IS_SHORT else \
    {"workers": 100, "commands": 100, "spawners": 6}
SECONDS = 60
CLIENTS = 16
# One in eight takes so long that it can be met.
LINGER_MS = "20"


class Storm(Load):
    """Clients that say all that they may at once, and go on after a 451."""

    def __init__(self, address):
        super().__init__(address, clients=CLIENTS, size_max=4096)
        self.sent = {}  # token: what the command must see of it
        self.refused = set()

    def attempt(self, client, token, rng):
        body = rng.randbytes(rng.randint(1, self.size_max) // 2).hex()
        text = f"X-Token: {token}\n\n{body}\n".encode()
        with self.lock:
            self.sent[token] = (str(len(text)), f"{zlib.crc32(text):08x}")
        has_sent_dot = False
        try:
            client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
            for code in "250 ", "250 ", "354 ":
                client.expect(code)
            has_sent_dot = True
            client.send(text.replace(b"\n", b"\r\n") + b".\r\n")
            reply = client.reply()
            assert reply and reply[:4] in ("250 ", "451 "), reply
        except (AssertionError, OSError):
            with self.lock:
                (self.lost_after_dot if has_sent_dot else self.lost_in_data).add(token)
            return False
        with self.lock:
            if reply.startswith("250 "):
                self.accepted[token] = reply
            else:
                self.refused.add(token)
        return True

    def check(self, text):
        """Compare what commands have noted with what was promised; the tokens noted."""
        lines = [line.split(" ") for line in text.decode().splitlines()]
        partial = [line for line in lines if line[1:] != list(self.sent.get(line[0], ()))]
        assert not partial, f"commands with half a message: {partial[:5]}"
        tokens = [line[0] for line in lines]
        assert len(tokens) == len(set(tokens)), "a message had two runs"
        tokens = set(tokens)
        missing = set(self.accepted) - tokens
        assert not missing, f"{len(missing)} messages got 250 and no run: {list(missing)[:5]}"
        early = tokens & self.lost_in_data
        assert not early, f"runs for messages without an end: {list(early)[:5]}"
        return tokens


class StormServer(PipeServer):
    def __init__(self, *more):
        super().__init__(section("handler", HERE + "/witness", "count", HERE + "/work/runs", *more),
                         workers=CLIENTS + 4)
        with open(self.path("work", "runs"), "w"):
            os.chmod(self.path("work", "runs"), 0o666)

    def noted(self):
        return read_file(self.path("work", "runs"))


def none_missing_none_twice_none_partial():
    with StormServer() as server:
        before = time.monotonic()
        load = Storm(server.addresses[0]).send(MESSAGES)
        load.join()
        seconds = time.monotonic() - before
        tokens = load.check(server.noted())
        assert not load.refused and not load.count_failures(), (load.refused, load.problems)
        assert tokens == set(load.accepted) and len(tokens) >= MESSAGES
        server.ends(len(tokens))
        print(f"    {len(tokens)} messages, each with one run, in {seconds:.1f} s", flush=True)


# --- with kills ---------------------------------------------------------------------------


def children_of(pid):
    try:
        return [int(child) for child in read_file(f"/proc/{pid}/task/{pid}/children").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill_one(pids, parents):
    """Kill any of these, as long as it is a child of one of the parents; whether it was."""
    if not pids:
        return False
    pid = random.choice(pids)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Now the number cannot become that of another process.
        parent = re.search(rb"^PPid:\t(\d+)$", read_file(f"/proc/{pid}/status"), re.M)
        if int(parent[1]) not in parents:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(handle)
    return True


def kill_any(server, kind, births):
    if kind == "workers":
        busy = [pid for pid, title in server.titles().items() if title.endswith("]")]
        return kill_one(busy, [server.pid])
    spawners = list(server.spawners())
    if kind == "spawners":
        now = time.monotonic()
        return kill_one([pid for pid in spawners if now - births.setdefault(pid, now) > YOUNG],
                        [server.pid])
    commands = [child for pid in spawners for child in children_of(pid)]
    return kill_one(commands, spawners)


def every_promise_is_kept_while_all_are_killed():
    with StormServer(LINGER_MS) as server:
        load = Storm(server.addresses[0]).send(10**9)
        kills, births = dict.fromkeys(KILLS, 0), {}
        deadline = time.monotonic() + SECONDS * PATIENCE
        while left := [kind for kind in KILLS if kills[kind] < KILLS[kind]]:
            assert time.monotonic() < deadline, kills
            # The load goes on between two kills.
            accepted = len(load.accepted)
            wait_until(lambda: len(load.accepted) > accepted + 5 or load.problems, 20, "more mail")
            assert not load.problems, load.problems
            kind = random.choice(left)
            kills[kind] += kill_any(server, kind, births)
        load.stop()
        load.join()
        tokens = load.check(server.noted())
        lost = load.lost_after_dot
        print(f"    killed: {', '.join(f'{count} {kind}' for kind, count in kills.items())}; "
              f"{len(load.accepted)} accepted, each with its run; {len(load.refused)} refused "
              f"({len(load.refused & tokens)} of them after the run), {len(lost)} lost with "
              f"their worker ({len(lost & tokens)} after the run)", flush=True)
        # What killing was for.
        assert load.refused and lost, "no message met its end"
        assert len(server.events("spawner.exit")) == kills["spawners"]
        ends = [keys_of(line) for line in server.events("command.end")]
        assert all(end["code"] != "250" for end in ends if end["how"] != "exit")
        assert len([end for end in ends if end["how"] == "signal"]) > kills["commands"] / 2


run(none_missing_none_twice_none_partial, every_promise_is_kept_while_all_are_killed)
