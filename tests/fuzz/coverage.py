#!/usr/bin/env python3
"""How much of the protocol engine the corpora of the fuzz targets reach.

    coverage.py SOURCE_DIRECTORY LEAST_PERCENT FLAG...

Builds the targets that need only the engine once more, with gcov's counters, in the
directory it is called in; runs their corpora; prints each file of room smtp with its
lines and those that were not reached.  The compiler is $CC.  Exit status 1 if the total is
below LEAST_PERCENT."""

import glob
import os
import re
import shlex
import subprocess
import sys

TARGETS = ("session", "address", "data")
SHARED = ("src/base/arena.c", "src/base/base64.c", "src/base/buf.c", "src/base/date.c",
          "src/base/str.c", "src/base/utf8.c", "src/delivery/macro.c", "src/delivery/mailbox.c", "tests/tools/rig.c", "tests/tools/rig_hooks.c",
          "tests/tools/rig_sasl.c", "tests/tools/fuzz.c", "tests/tools/fuzz_main.c")


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          errors="replace").stdout


def build(top, compiler, flags):
    """One object of each source, so that the programs count together."""
    room = sorted(os.path.relpath(path, top) for path in glob.glob(f"{top}/src/smtp/*.c"))
    targets = [f"tests/fuzz/fuzz_{target}.c" for target in TARGETS]
    objects = {}
    for source in (*room, *SHARED, *targets):
        objects[source] = os.path.basename(source)[:-2] + ".o"
        run(*compiler, *flags, "-O0", "--coverage", "-c", os.path.join(top, source), "-o",
            objects[source])
    for target in targets:
        run(*compiler, "--coverage", objects[target],
            *(objects[source] for source in (*room, *SHARED)), "-o", objects[target][:-2])
    return room


def missed_lines(text):
    """(number of lines of code, those that never ran) of an annotated source."""
    lines = re.findall(r"^ *(#####|=====|\d+)\*?: *(\d+):", text, re.M)
    return len(lines), [int(line) for count, line in lines if not count.isdigit()]


def main(top, least, flags):
    compiler = shlex.split(os.environ.get("CC", "cc"))
    gcov = ["llvm-cov", "gcov"] if "clang" in run(*compiler, "--version") else ["gcov"]
    for old in glob.glob("*.gc*"):
        os.remove(old)
    room = build(top, compiler, flags)
    for target in TARGETS:
        run(f"./fuzz_{target}", *sorted(glob.glob(f"{top}/tests/fuzz/corpus/{target}/*")))
    all_lines = all_missed = 0
    for source in room:
        name = os.path.basename(source)
        run(*gcov, "-o", ".", name[:-2] + ".gcda")
        with open(name + ".gcov", errors="replace") as file:
            lines, missed = missed_lines(file.read())
        all_lines += lines
        all_missed += len(missed)
        where = ", not " + " ".join(map(str, missed)) if missed else ""
        print(f"{100 - 100 * len(missed) / lines:6.1f} %  {source}: {lines} lines{where}")
    percent = 100 - 100 * all_missed / all_lines
    print(f"{percent:6.1f} %  src/smtp: {all_lines} lines, {all_missed} not reached")
    return 0 if percent >= least else 1


sys.exit(main(os.path.abspath(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
