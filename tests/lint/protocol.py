#!/usr/bin/env python3
"""docs/PROTOCOL.md and the tests: what a row is shown by is there, each row is shown by
something, and no transcript is left out."""

import glob
import os
import re

from lint import SOURCE, conclude, read

TESTS = os.path.join(SOURCE, "tests")
TRANSCRIPTS = os.path.join(TESTS, "transcripts")


def transcripts():
    """Their names, as the document has them."""
    for path in glob.glob(os.path.join(TRANSCRIPTS, "*", "*.smtp")):
        folder, name = os.path.split(os.path.relpath(path, TRANSCRIPTS))
        yield name.removesuffix(".smtp") if folder == "cases" else f"{folder}/{name[:-5]}"


def rows(text):
    """(number of the line, names in the last field) of each row of each table."""
    for number, line in enumerate(text.splitlines(), 1):
        fields = [field.strip() for field in line.strip().strip("|").split("|")]
        if line.startswith("|") and not line.startswith("|-") and fields[-1] != "Shown by":
            yield number, re.findall(r"`([^`]+)`", fields[-1])


def complaints(text, known):
    named = set()
    for number, names in rows(text):
        if not names:
            yield f"docs/PROTOCOL.md:{number}: nothing shows this"
        for name in names:
            if name.endswith((".c", ".py")):
                if not os.path.exists(os.path.join(TESTS, name)):
                    yield f"docs/PROTOCOL.md:{number}: no test tests/{name}"
            elif name not in known:
                yield f"docs/PROTOCOL.md:{number}: no transcript {name}"
            named.add(name)
    for name in sorted(known - named):
        yield f"docs/PROTOCOL.md: transcript {name} shows nothing"


KNOWN = set(transcripts())
HEAD = "| What | Shown by |\n|---|---|\n"
PLANTED = [("| x | none |\n", {}), ("| x | `planted` |\n", {}), ("| x | `unit/planted.c` |\n", {}),
           ("", {"planted"})]
conclude(list(complaints(read("docs/PROTOCOL.md"), KNOWN)),
         [list(complaints(HEAD + row, set(known))) for row, known in PLANTED])
