#!/usr/bin/env python3
"""C sources look as .clang-format says."""

import os
import re
import subprocess

from lint import SOURCE, conclude, need, skip, tree

CLANG_FORMAT = need("clang-format")


def complaints(paths, text=None):
    """Of the files, or of text as if it stood in paths[0]."""
    command = [CLANG_FORMAT, "--dry-run", "-style=file"]
    command += paths if text is None else ["--assume-filename=" + paths[0]]
    output = subprocess.run(command, input=text, text=True, cwd=SOURCE,
                            stderr=subprocess.PIPE).stderr
    return sorted(set(re.findall(r"^(\S+:\d+):\d+: (?:warning|error)", output, re.M)))


version = subprocess.run([CLANG_FORMAT, "--version"], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
if int(re.search(r"version (\d+)", version).group(1)) < 14:
    skip("needs clang-format 14")
PLANTED = "int f(void)\n{\n    return  1;\n}\n"
conclude([f"{place}: not formatted" for place in complaints(list(tree("src", "tests")))],
         [complaints([os.path.join(SOURCE, "src", "planted.c")], PLANTED)])
