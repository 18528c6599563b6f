#!/usr/bin/env python3
"""What a message costs on this machine: sinkd, and smtp-sink where it is installed.

Each server is started on a free port of the loopback interface, loaded, and stopped;
the servers take turns, round after round, so that whatever else the machine does
strikes all of them.  Of what is printed the system calls are exact, the CPU time of
the server is steady, and messages per second depend on everything: read them as
ratios.  All of it ends by itself.  Run by `make bench`; BENCH_FLAGS are its options."""

import argparse
import collections
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "wire"))
from sinkd_server import BUILD, SINKD, Client, Server, read_file, wait_until  # noqa: E402

LOAD = os.path.join(BUILD, "tests", "bench", "load")

# What clients do, and the options of the load generator for it.
WORKLOADS = {
    "single": ("10 KiB, one message per connection", ["-c50", "-m1", "-s10K"]),
    "many": ("10 KiB, 100 messages per connection", ["-c50", "-m100", "-s10K"]),
    "pipelined": ("the same with PIPELINING", ["-c50", "-m100", "-s10K", "-P"]),
    "big": ("1 MiB, 10 messages per connection", ["-c20", "-m10", "-s1M"]),
}
# To a disk only so many, or they would fill it.
STORED_MAX = 5000

CONFIG = 'log { level = "warn" }\ndeliver "bench" { %s }\n'
DISCARD = 'type = "discard"'

# Clients for a pool that may have as many workers, and how it gets there.
GROWTH_MAX = 64
GROWTH_WORKLOADS = ["single", "many"]
GROWING = f"workers {{ start = 2  min-spare = 2  max = {GROWTH_MAX} }}\n"


class Sinkd(Server):
    """sinkd with 50 workers, unless pool says otherwise, and a delivery; it logs warnings
    only."""

    def __init__(self, delivery, workers=50, prefix=(), pool=""):
        self.prefix = prefix
        super().__init__(workers=None if pool else workers, config=CONFIG % delivery + pool)

    def command(self):
        return [*self.prefix, *super().command()]


class SmtpSink:
    """Postfix's test sink: one process, discards."""

    def __init__(self, prefix=()):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.addresses = [free.getsockname()]
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.command = [*prefix, smtp_sink(), *account, "-m", "1000",
                        "127.0.0.1:%d" % self.addresses[0][1], "1000"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.answers, what="smtp-sink")
        return self

    def answers(self):
        try:
            with Client(self.addresses[0]) as client:
                return client.reply()
        except ConnectionRefusedError:
            return None

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def workers(self):
        return []


def smtp_sink():
    return shutil.which("smtp-sink", path=os.environ["PATH"] + ":/usr/sbin")


# --- one load ---------------------------------------------------------------------


def load(server, *arguments):
    """Run the load generator to its end; what it found."""
    host, port = server.addresses[0]
    done = subprocess.run([LOAD, "-j", *arguments, f"{host}:{port}"], text=True,
                          stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"bench: the load generator failed: {done.stdout}")
    return json.loads(done.stdout)


def cpu_seconds(server):
    """CPU time of the server's processes so far, those that have left included."""
    master = server.process.pid
    # User and system time of the children that were waited for.
    waited_for = read_file(f"/proc/{master}/stat").rpartition(b")")[2].split()[13:15]
    total = sum(int(ticks) for ticks in waited_for) / os.sysconf("SC_CLK_TCK")
    for pid in [master, *server.workers()]:
        try:
            # Nanoseconds; stat has hundredths of a second, too coarse for 50 workers.
            total += int(read_file(f"/proc/{pid}/schedstat").split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has just left.
    return total


Measured = collections.namedtuple("Measured", "rate cpu_us median_ms p99_ms")


def measure(server, arguments):
    before = cpu_seconds(server)
    result = load(server, *arguments)
    cpu = cpu_seconds(server) - before
    return Measured(result["messages_per_second"], cpu * 1e6 / result["messages"],
                    result["latency_ms"]["median"], result["latency_ms"]["p99"])


# --- system calls -----------------------------------------------------------------


def traced_calls(start, arguments, messages):
    """System calls of a server that takes so many messages from one client."""
    summary = os.path.join(BUILD, "tests", "bench", "strace.out")
    # With -D strace is the grandchild, and what we start and stop is the server.
    with start(["strace", "-D", "-f", "-c", "-o", summary]) as server:
        load(server, *arguments, "-c1", f"-n{messages}", "-t60")
    wait_until(lambda: os.path.exists(summary) and read_file(summary), what="strace")
    text = read_file(summary).decode()
    os.unlink(summary)
    return int(re.search(r"(\d+) +(?:\d+ +)?total$", text, re.M).group(1))


def calls_per_message(start, workload):
    """What each further message costs, without start and stop of the server."""
    arguments = WORKLOADS[workload][1]
    few, many = 100, 300
    return (traced_calls(start, arguments, many) - traced_calls(start, arguments, few)) / (many - few)


# --- the table --------------------------------------------------------------------


class Contest:
    """A server with a delivery, and what it is asked to do."""

    def __init__(self, name, start, workloads, load_flags=(), is_warmed=True):
        self.name = name
        self.is_warmed = is_warmed
        self.start = start  # of a prefix and a number of workers
        self.workloads = workloads
        self.load_flags = load_flags
        self.results = collections.defaultdict(list)

    def run_round(self, seconds):
        with self.start() as server:
            for workload in self.workloads:
                arguments = WORKLOADS[workload][1]
                if self.is_warmed:
                    load(server, *arguments, "-n500", "-t10")
                self.results[workload].append(
                    measure(server, [*arguments, *self.load_flags, f"-t{seconds}"]))

    def median(self, workload):
        if workload not in self.results:
            return None
        return Measured(*map(statistics.median, zip(*self.results[workload])))


def contests():
    def sinkd(delivery):
        return lambda prefix=(): Sinkd(delivery, 1 if prefix else 50, prefix)

    store = 'type = "maildir" path = "Maildir" sync = "%s"'
    found = [
        Contest("sinkd, discard", sinkd(DISCARD), list(WORKLOADS)),
        Contest("sinkd, maildir, not synced", sinkd(store % "none"), ["many"], [f"-n{STORED_MAX}"]),
        Contest("sinkd, maildir, durable", sinkd(store % "full"), ["many"], [f"-n{STORED_MAX}"]),
    ]
    if smtp_sink():
        found.append(Contest("smtp-sink", lambda prefix=(): SmtpSink(prefix), list(WORKLOADS)))
    return found


def growth_contests():
    """Pairs of a pool that has all its workers and one that has to grow, for each workload.
    Each is new, and is measured from its first client on."""
    def pair(workload):
        clients = [f"-c{GROWTH_MAX}"]
        return [Contest(name, start, [workload], clients, is_warmed=False) for name, start in (
            ("fixed", lambda: Sinkd(DISCARD, GROWTH_MAX)),
            ("growing", lambda: Sinkd(DISCARD, pool=GROWING)))]

    return {workload: pair(workload) for workload in GROWTH_WORKLOADS}


def introduce(arguments):
    print(f"sinkd: {SINKD}, 50 workers, log level warn")
    print(f"smtp-sink: {smtp_sink() or 'not installed, no ratios'}")
    print(f"machine: {os.cpu_count()} CPUs, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.1f}")
    print(f"{arguments.rounds} rounds of {arguments.seconds} s each, medians; x: times "
          "smtp-sink's figure for the same clients\n", flush=True)


def ratio(value, of):
    return f"{value / of:6.2f} x" if of else " " * 8


def print_table(all_contests, with_calls):
    peer = all_contests[-1] if smtp_sink() else None
    for workload, (text, flags) in WORKLOADS.items():
        print(f"{workload}: {text} (load {' '.join(flags)})")
        print(f"    {'':27} messages/s             CPU us            median ms  99 % ms  calls")
        for contest in all_contests:
            m = contest.median(workload)
            if m is None:
                continue
            base = peer and peer is not contest and peer.median(workload)
            calls = f"{calls_per_message(contest.start, workload):6.1f}" if with_calls else "     -"
            print(f"    {contest.name:27} {m.rate:10.0f} {ratio(m.rate, base and base.rate)} "
                  f"{m.cpu_us:8.1f} {ratio(m.cpu_us, base and base.cpu_us)} "
                  f"{m.median_ms:11.2f} {m.p99_ms:8.2f} {calls}", flush=True)
        print()


def print_growth(pairs):
    print(f"growth: a pool that grows from 2 to {GROWTH_MAX} under load beside a fixed one of "
          f"{GROWTH_MAX} (load -c{GROWTH_MAX}, discard)")
    print(f"    {'':12} messages/s: fixed   growing    ratio")
    for workload, (fixed, growing) in pairs.items():
        base, rate = fixed.median(workload).rate, growing.median(workload).rate
        print(f"    {workload:12} {base:17.0f} {rate:9.0f} {rate / base:8.2f}", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=1, help="of each load (1)")
    options.add_argument("--no-calls", action="store_true", help="do not count system calls")
    options.add_argument("--growth", action="store_true", help="nothing but the growing pool")
    arguments = options.parse_args()
    # Told to stop, it unwinds, and so stops the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    introduce(arguments)
    all_contests = [] if arguments.growth else contests()
    pairs = growth_contests()
    for _ in range(arguments.rounds):
        for contest in [*all_contests, *(one for pair in pairs.values() for one in pair)]:
            contest.run_round(arguments.seconds)
    if all_contests:
        print_table(all_contests, shutil.which("strace") and not arguments.no_calls)
    print_growth(pairs)


if __name__ == "__main__":
    main()
