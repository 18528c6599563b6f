#!/usr/bin/env python3
"""The manual pages are well-formed mdoc."""

import os
import subprocess

from lint import SOURCE, conclude, need, tree

MANDOC = need("mandoc")


def complaints(text, name):
    """mandoc's, from style advice upward; where the page lives is not its business."""
    output = subprocess.run([MANDOC, "-T", "lint", "-W", "warning"], input=text, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    return [f"{name}: {line}" for line in output.splitlines()]


pages = tree(os.path.join("docs", "man"), suffixes=(".5", ".8", ".3"))
assert pages, f"no manual pages in {SOURCE}"
PLANTED = ".Dd $Mdocdate$\n.Dt SINKD 8\n.Sh NAME\n.Nm sinkd\n.Bl -tag\n.It x\n"
conclude([line for name, text in pages.items() for line in complaints(text, name)],
         [complaints(PLANTED, "planted")])
