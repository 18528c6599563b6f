#!/usr/bin/env python3
"""A file holds one idea (600 lines), a function fits one screen (60)."""

import os
import re
import shutil
import subprocess
import tempfile

from lint import SOURCE, conclude, tree

FILE_MAX = 600
FUNCTION_MAX = 60


def long_files(files):
    for path, text in files.items():
        lines = text.count("\n")
        if lines > FILE_MAX:
            yield f"{path}: {lines} lines"


def long_functions(paths):
    """By ctags, which knows where functions end; without it, files only."""
    if not shutil.which("ctags"):
        return
    tags = subprocess.run(["ctags", "--languages=C", "--kinds-C=f", "--fields=+ne", "-f", "-",
                           *paths], cwd=SOURCE, text=True, check=True, stdout=subprocess.PIPE)
    for tag in tags.stdout.splitlines():
        match = re.match(r"(\S+)\t(\S+)\t.*\tline:(\d+).*\tend:(\d+)", tag)
        if match:
            name, path, first, last = match.groups()
            lines = int(last) - int(first) + 1
            if lines > FUNCTION_MAX:
                yield f"{path}:{first}: {name} has {lines} lines"


def planted():
    text = "int planted(void)\n{\n" + "\treturn 1;\n" * 60 + "}\n"
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "planted.c")
        with open(path, "w") as file:
            file.write(text)
        functions = list(long_functions([path])) if shutil.which("ctags") else ["skipped"]
    return [functions, list(long_files({"planted.c": text * 10}))]


sources = tree("src", "tests")
conclude(list(long_files(sources)) + list(long_functions(list(sources))), planted())
