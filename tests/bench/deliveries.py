"""What a delivery costs: sinkd beside a program that does only what cannot be left out,
the limit, and beside a Postfix where we can start one.

Postfix says yes to a message before it delivers it; so it has two figures, how many it
accepts and how many are delivered by the time that its queue is empty."""

import collections
import os
import shutil
import tempfile
import time

from measure import (calls_per_message, cpu_seconds, load, measure, measure_limit, medians,
                     ratio)
from servers import PostfixServer, Sinkd, why_no_postfix
from sinkd_server import read_file, wait_until
from wire_test import output_of

LIMIT, SINKD = "limit", "sinkd"
ACCEPTED, DELIVERED = "Postfix, accepted", "Postfix, delivered"

CLIENTS = 50

COMMANDS = ["/bin/true", "/bin/cat"]
RUNNING = 16  # at the same time
PIPE = f'type = "pipe" command = {{"%s"}} max-running = {RUNNING}'

MAILDIR = 'type = "maildir" path = "Maildir" sync = "full"'
STORED_MAX = 10000  # 120 MB


class Comparison:
    """load_flags  what clients do
    limit       measures the limit; of the option that says for how long
    start       makes a sinkd; of words before its command line
    start_peer  makes a Postfix
    is_stored   whether messages can be counted afterwards"""

    def __init__(self, title, load_flags, limit, start, start_peer, is_stored):
        self.title = title
        self.load_flags = load_flags
        self.limit = limit
        self.start = start
        self.start_peer = start_peer
        self.is_stored = is_stored
        self.results = collections.defaultdict(list)

    def run_round(self, seconds):
        duration = f"-t{seconds}"
        self.results[LIMIT].append(self.limit(duration))
        with self.start() as server:
            warm = load(server, *self.load_flags, "-n500", "-t10")
            result = measure(server, [*self.load_flags, duration])
            self.check_stored(server, warm["messages"] + result.messages)
        self.results[SINKD].append(result)
        if not why_no_postfix():
            self.run_postfix(duration)

    def run_postfix(self, duration):
        with self.start_peer() as server:
            warm = load(server, *self.load_flags, "-n200", "-t10")
            wait_until(lambda: not server.is_busy(), 60, "an empty queue")
            begun, cpu_begun = time.monotonic(), cpu_seconds(server)
            accepted = measure(server, [*self.load_flags, duration])
            wait_until(lambda: not server.is_busy(), 60, "an empty queue")
            took, cpu = time.monotonic() - begun, cpu_seconds(server) - cpu_begun
            server.check_delivered(warm["messages"] + accepted.messages)
            self.check_stored(server, warm["messages"] + accepted.messages)
        # Of the CPU time until then a part went into deliveries, who knows how much.
        self.results[ACCEPTED].append(accepted._replace(cpu_us=None))
        self.results[DELIVERED].append(accepted._replace(
            rate=accepted.messages / took, cpu_us=cpu * 1e6 / accepted.messages,
            median_ms=None, p99_ms=None))

    def check_stored(self, server, count):
        if self.is_stored:
            stored = len(os.listdir(os.path.join(server.maildir, "new")))
            assert stored == count, f"{count} messages accepted, {stored} stored"

    def print_table(self, with_calls):
        found = {name: medians(results) for name, results in self.results.items()}
        print(f"{self.title} (load {' '.join(self.load_flags)})")
        print(f"    {'':18} messages/s  of limit x accepted x delivered   CPU us  "
              "median ms  99 % ms  lowest-highest/s")
        for name, m in found.items():
            peers = [ratio(m.rate, found[peer].rate if peer in found else None)
                     for peer in (LIMIT, ACCEPTED, DELIVERED)]
            rates = [result.rate for result in self.results[name]]
            print(f"    {name:18} {m.rate:10.0f}  {peers[0]}   {peers[1]}    {peers[2]} "
                  f"{figure(m.cpu_us, 9, 1)} {figure(m.median_ms, 10, 2)} "
                  f"{figure(m.p99_ms, 8, 2)}  {min(rates):.0f}-{max(rates):.0f}", flush=True)
        if with_calls:
            ours, of_command = calls_per_message(self.start, self.load_flags)
            print(f"    system calls of sinkd per message: {ours:.1f}"
                  + (f"; of the command after its execve: {of_command:.1f}" if of_command else ""))
        print(flush=True)


def figure(value, width, digits):
    return " " * width if value is None else f"{value:{width}.{digits}f}"


def pipe(command):
    return Comparison(
        f"pipe to {command}, {RUNNING} at once: 1 KiB, {CLIENTS} connections",
        [f"-c{CLIENTS}", "-m100", "-s1K"],
        lambda duration: measure_limit("limit_pipe", f"-c{RUNNING}", "-s1K", duration, command),
        lambda prefix=(): Sinkd(PIPE % command, 1 if prefix else CLIENTS, prefix),
        lambda: PostfixServer(RUNNING, command), is_stored=False)


def maildir():
    def limit(duration):
        with tempfile.TemporaryDirectory(prefix="sinkd-bench-") as directory:
            return measure_limit("limit_maildir", f"-c{CLIENTS}", "-s10K", f"-n{STORED_MAX}",
                                 duration, directory)

    return Comparison(
        f"durable maildir: 10 KiB, {CLIENTS} connections",
        [f"-c{CLIENTS}", "-m100", "-s10K", f"-n{STORED_MAX}"], limit,
        lambda prefix=(): Sinkd(MAILDIR, 1 if prefix else CLIENTS, prefix),
        lambda: PostfixServer(100), is_stored=True)


def file_system(directory):
    """What kind it is; whether it has a journal decides what a sync costs."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    # ... major:minor root mount-point options ... - type source options
    for line in read_file("/proc/self/mountinfo").decode().splitlines():
        if line.split()[2] == number:
            kind, source = line.partition(" - ")[2].split()[:2]
            journal = os.path.isdir(f"/proc/fs/jbd2/{os.path.basename(source)}-8")
            return kind + ("" if kind != "ext4" else ", journal" if journal else ", no journal")
    return "unknown"


def compare(arguments):
    comparisons = [pipe(command) for command in COMMANDS] if arguments.pipe else []
    if arguments.maildir:
        # All that is stored, the queue of Postfix included.
        tempfile.tempdir = os.path.abspath(arguments.maildir)
        comparisons.append(maildir())
    version = why_no_postfix() or output_of("postconf", "-d", "-h", "mail_version").strip()
    print(f"Postfix: {version}")
    print(f"{tempfile.gettempdir()}: {file_system(tempfile.gettempdir())}\n", flush=True)
    for _ in range(arguments.rounds):
        for comparison in comparisons:
            comparison.run_round(arguments.seconds)
    for comparison in comparisons:
        comparison.print_table(shutil.which("strace") and not arguments.no_calls)
