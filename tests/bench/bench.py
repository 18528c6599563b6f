#!/usr/bin/env python3
"""What a message costs on this machine: sinkd, and smtp-sink where it is installed.

Each server is started on a free port of the loopback interface, loaded, and stopped;
the servers take turns, round after round, so that whatever else the machine does
strikes all of them.  Of what is printed the system calls are exact, the CPU time of
the server is steady, and messages per second depend on everything: read them as
ratios.  All of it ends by itself.  Run by `make bench`; BENCH_FLAGS are its options."""

import argparse
import collections
import os
import platform
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "wire"))
from sinkd_server import SINKD  # noqa: E402

import deliveries  # noqa: E402
import layers  # noqa: E402
from measure import calls_per_message, load, measure, medians, ratio  # noqa: E402
from servers import DISCARD, Sinkd, SmtpSink, smtp_sink  # noqa: E402

# What clients do, and the options of the load generator for it.
WORKLOADS = {
    "single": ("10 KiB, one message per connection", ["-c50", "-m1", "-s10K"]),
    "many": ("10 KiB, 100 messages per connection", ["-c50", "-m100", "-s10K"]),
    "pipelined": ("the same with PIPELINING", ["-c50", "-m100", "-s10K", "-P"]),
    "big": ("1 MiB, 10 messages per connection", ["-c20", "-m10", "-s1M"]),
}
# To a disk only so many, or they would fill it.
STORED_MAX = 5000

# Clients for a pool that may have as many workers, and how it gets there.
GROWTH_MAX = 64
GROWTH_WORKLOADS = ["single", "many"]
GROWING = f"workers {{ start = 2  min-spare = 2  max = {GROWTH_MAX} }}\n"


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
        return medians(self.results[workload])


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
    print(f"machine: {os.cpu_count()} CPUs, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.1f}")
    print(f"{arguments.rounds} rounds of {arguments.seconds} s each, medians")


def print_table(all_contests, peer, with_calls):
    for workload, (text, flags) in WORKLOADS.items():
        if not any(contest.median(workload) for contest in all_contests):
            continue
        print(f"{workload}: {text} (load {' '.join(flags)})")
        print(f"    {'':27} messages/s             CPU us            median ms  99 % ms  calls")
        for contest in all_contests:
            m = contest.median(workload)
            if m is None:
                continue
            base = peer and peer is not contest and peer.median(workload)
            calls = f"{calls_per_message(contest.start, flags)[0]:6.1f}" if with_calls else "     -"
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


def compare_layers(arguments):
    print("x: times the figure where nobody decides, for the same clients\n", flush=True)
    with layers.layers() as found:
        all_contests = [Contest(name, layers.start(text), layers.WORKLOADS)
                        for name, text in found]
        for _ in range(arguments.rounds):
            for contest in all_contests:
                contest.run_round(arguments.seconds)
        print_table(all_contests, all_contests[0], can_trace(arguments))


def can_trace(arguments):
    return shutil.which("strace") and not arguments.no_calls


def run_contests(arguments):
    print(f"smtp-sink: {smtp_sink() or 'not installed, no ratios'}; x: times its figure for the "
          "same clients\n", flush=True)
    all_contests = [] if arguments.growth else contests()
    pairs = growth_contests()
    for _ in range(arguments.rounds):
        for contest in [*all_contests, *(one for pair in pairs.values() for one in pair)]:
            contest.run_round(arguments.seconds)
    if all_contests:
        print_table(all_contests, all_contests[-1] if smtp_sink() else None,
                    can_trace(arguments))
    print_growth(pairs)


def unwind(*_):
    """Told to stop, end in a way that stops the servers; once is enough."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.exit("terminated")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=1, help="of each load (1)")
    options.add_argument("--no-calls", action="store_true", help="do not count system calls")
    options.add_argument("--growth", action="store_true", help="nothing but the growing pool")
    options.add_argument("--pipe", action="store_true",
                         help="nothing but commands: sinkd, a limit and Postfix")
    options.add_argument("--layers", action="store_true",
                         help="nothing but what rules, a module and a policy service cost")
    options.add_argument("--maildir", metavar="DIRECTORY",
                         help="nothing but durable storage, on the file system of DIRECTORY: "
                              "sinkd, a limit and Postfix")
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, unwind)
    introduce(arguments)
    if arguments.pipe or arguments.maildir:
        deliveries.compare(arguments)
    elif arguments.layers:
        compare_layers(arguments)
    else:
        run_contests(arguments)


if __name__ == "__main__":
    main()
