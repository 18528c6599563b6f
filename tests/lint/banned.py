#!/usr/bin/env python3
"""Calls that have a safer neighbour, and waits that only guess."""

import re

from lint import code, conclude, tree

BANNED = ("strcpy strcat sprintf vsprintf strtok gets atoi atol alloca system popen mktemp "
          "tmpnam signal").split()
# Tests may use what they like but must never sleep in the hope that something happens.
BANNED_IN_TESTS = "sleep usleep nanosleep".split()


def complaints(files):
    for path, text in files.items():
        names = BANNED + (BANNED_IN_TESTS if path.startswith("tests/") else [])
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
        for number, line in enumerate(code(text).splitlines(), 1):
            for name in pattern.findall(line):
                yield f"{path}:{number}: {name}"


PLANTED = [
    {"src/planted.c": "void f(char *a, char *b) { strcpy(a, b); }"},
    {"src/planted.c": "int f(char *a) { return atoi (a); }"},
    {"tests/planted.c": "void f(void) { usleep(1); }"},
]
CLEAN = {"src/planted.c": '/* strcpy(a, b) */ char *a = "system(x)"; void g(void) { my_signal(); }'}
assert not list(complaints(CLEAN))
conclude(list(complaints(tree("src", "tests"))), [list(complaints(files)) for files in PLANTED])
