"""What a load did, and what it cost the server."""

import collections
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

from sinkd_server import BUILD, read_file, wait_until

PROGRAMS = os.path.join(BUILD, "tests", "bench")

# How many messages are counted, and how many went before them.
TRACED, TRACED_BEFORE = 200, 100

# rate: messages a second; median_ms and p99_ms: from MAIL to the reply to the dot.  What
# cannot be said is None.
Measured = collections.namedtuple("Measured", "messages rate cpu_us median_ms p99_ms")


def run_program(name, *arguments):
    """Run one of ours that prints JSON; what it found."""
    with subprocess.Popen([os.path.join(PROGRAMS, name), *arguments], text=True,
                          stdout=subprocess.PIPE) as program:
        try:
            said = program.stdout.read()
        except BaseException:
            program.terminate()
            program.stdout.read()  # All its processes have left at the end of it.
            raise
    if program.returncode != 0:
        sys.exit(f"bench: {name} failed: {said}")
    return json.loads(said)


def load(server, *arguments):
    """Run the load generator to its end."""
    host, port = server.addresses[0]
    return run_program("load", "-j", *arguments, f"{host}:{port}")


def cpu_seconds(server):
    """CPU time of the server's processes so far, those that have left included."""
    master = server.process.pid
    children = read_file(f"/proc/{master}/task/{master}/children").split()
    total = 0
    for pid in [master, *map(int, children)]:
        try:
            # User and system time of the children that were waited for.
            waited_for = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[13:15]
            total += sum(int(ticks) for ticks in waited_for) / os.sysconf("SC_CLK_TCK")
            # Nanoseconds; stat has hundredths of a second, too coarse for 50 workers.
            total += int(read_file(f"/proc/{pid}/schedstat").split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has just left.
    return total


def measure(server, arguments):
    before = cpu_seconds(server)
    result = load(server, *arguments)
    cpu = cpu_seconds(server) - before
    return Measured(result["messages"], result["messages_per_second"],
                    cpu * 1e6 / result["messages"],
                    result["latency_ms"]["median"], result["latency_ms"]["p99"])


def medians(results):
    """Of each figure over the rounds."""
    return Measured(*(None if None in column else statistics.median(column)
                      for column in zip(*results)))


def measure_limit(name, *arguments):
    """One of the programs that do only what cannot be left out."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run_program(name, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Measured(result["messages"], result["messages_per_second"],
                    cpu * 1e6 / result["messages"], None, None)


# --- system calls -----------------------------------------------------------------


def traced_calls(start, arguments, messages):
    """What a server calls that takes so many messages from one client, from its start to
    its end: the number of its own calls, and of those that commands make after execve."""
    with tempfile.TemporaryDirectory() as directory:
        # With -D strace is the grandchild, and what we start and stop is the server.
        with start(["strace", "-D", "-ff", "-o", os.path.join(directory, "process")]) as server:
            load(server, *arguments, "-c1", f"-n{messages}", "-t60")
        paths = [os.path.join(directory, name) for name in os.listdir(directory)]
        traces = wait_until(lambda: whole_traces(paths), what="the end of strace")
    calls = [split_calls(lines) for lines in traces]
    return [sum(numbers) for numbers in zip(*calls)]


def whole_traces(paths):
    """The lines of each file, once each has the end of its process."""
    traces = [read_file(path).splitlines() for path in paths]
    return all(lines and lines[-1].startswith(b"+++ ") for lines in traces) and traces


def split_calls(lines):
    """Of one process: calls that belong to the server, calls that belong to a command."""
    calls = [line for line in lines if not line.startswith((b"+++ ", b"--- "))]
    executed = [number for number, line in enumerate(calls)
                if line.startswith(b"execve(") and line.endswith(b" = 0")]
    # The server begins with one of its own.
    ours = executed[0] + 1 if executed and executed[0] > 0 else len(calls)
    return ours, len(calls) - ours


def calls_per_message(start, arguments):
    """What each further message costs, without start and stop of the server."""
    few, many = (traced_calls(start, arguments, n) for n in (TRACED_BEFORE, TRACED_BEFORE + TRACED))
    return [(b - a) / TRACED for a, b in zip(few, many)]


# --- tables -----------------------------------------------------------------------


def ratio(value, of):
    return f"{value / of:6.2f} x" if value and of else " " * 8
