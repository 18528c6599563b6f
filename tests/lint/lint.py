"""What the lints share: reading the source tree, skipping, the verdict.

A lint is a function from {path: text} to a list of complaints.  Each one is first
shown a planted violation, which it must find: a lint that is blind passes forever.
Exit status: 0 clean, 1 complaints, 77 skipped, 99 blind."""

import os
import re
import shutil
import sys

SOURCE = os.environ.get("abs_top_srcdir") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("abs_top_builddir", SOURCE)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def tree(*folders, suffixes=(".c", ".h")):
    """The files below the folders, by their path in the source tree."""
    found = {}
    for folder in folders:
        for where, _, names in os.walk(os.path.join(SOURCE, folder)):
            for name in names:
                if name.endswith(suffixes):
                    path = os.path.relpath(os.path.join(where, name), SOURCE)
                    found[path] = read(path)
    return dict(sorted(found.items()))


def code(text):
    """C without comments and the insides of strings; lines keep their numbers."""
    def blank(match):
        kept = re.sub(r"[^\n]", " ", match.group(0))
        return kept if match.group(0).startswith("/") else '"' + kept[2:] + '"'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def need(program):
    return shutil.which(program) or skip(f"{program} is not installed")


def conclude(complaints, planted):
    """End the lint.  planted: the complaints about each planted violation."""
    if not all(planted):
        print("this lint does not see the violation planted for it")
        sys.exit(99)
    for complaint in complaints:
        print(complaint)
    print(f"{len(complaints)} complaints")
    sys.exit(1 if complaints else 0)
