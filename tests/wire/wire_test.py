"""How a wire test is run: a script with functions, one line of result for each.

The script ends with run(function, ...).  A function fails by an exception; it
skips by raising Skip("reason").  Exit status: 0 passed, 1 failed, 77 all skipped.
"""

import collections
import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import traceback


class Skip(Exception):
    """This machine cannot show it; the text says why."""


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def need_program(name):
    return shutil.which(name) or skip(f"{name} is not installed")


def skip(reason):
    raise Skip(reason)


def result_of(function):
    try:
        function()
    except Skip as reason:
        return "skip", str(reason)
    except Exception:
        return "FAILED", traceback.format_exc()
    return "ok", ""


# What takes long, and has no need to be run in each build.
LONG = {"test_kill_storm.py", "test_life_storm.py", "test_pipe_limits.py", "test_pipe_storm.py",
        "test_pool_faults.py", "test_pool_full.py", "test_pool_ramp.py", "test_storm.py"}


def run(*functions, together=False):
    """Run the tests one after the other, or together when they mostly wait."""
    if os.path.basename(sys.argv[0]) in LONG and "SINKD_TEST_SHORT" in os.environ:
        print("skip   all (SINKD_TEST_SHORT is set)")
        sys.exit(77)
    # A test that is told to stop unwinds, and so stops its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        results = (pool.map if together else map)(result_of, functions)
        counts = collections.Counter(report(*pair) for pair in zip(functions, results))
    if counts["FAILED"]:
        sys.exit(1)
    sys.exit(0 if counts["ok"] else 77)


def report(function, result_and_text):
    result, text = result_and_text
    print(f"{result:6} {function.__name__}", f"({text})" if result == "skip" else "", flush=True)
    if result == "FAILED":
        print(text, file=sys.stderr, flush=True)
    return result


def output_of(*command, status=0, **options):
    """Run a program to its end, with this exit status (None: any but 0); what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, timeout=60, **options)
    is_expected = done.returncode != 0 if status is None else done.returncode == status
    assert is_expected, f"{command}: status {done.returncode}, expected {status}:\n{done.stdout}"
    return done.stdout
