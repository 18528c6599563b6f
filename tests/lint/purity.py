#!/usr/bin/env python3
"""The protocol engine does no I/O, reads no clock, writes no log: what it asks of
the outside is on a short list."""

import os
import re
import subprocess
import tempfile

from lint import BUILD, conclude, need, skip

LIBRARY = os.path.join(BUILD, "src", "libsinkproto.a")

# Memory, bytes, numbers as text, asserts, addresses checked and written; then what
# compilers add by themselves.  Not gmtime_r: glibc's opens /etc/localtime when first
# called.
ALLOWED = set("""
    malloc calloc realloc reallocarray free
    memchr memcmp memcpy memmem memmove memrchr memset strchr strcmp strlen strnlen strrchr
    explicit_bzero
    snprintf vsnprintf __assert_fail
    inet_pton inet_ntop
    bcmp __stack_chk_fail __snprintf_chk __vsnprintf_chk
    __memcpy_chk __memmove_chk __memset_chk __explicit_bzero_chk _GLOBAL_OFFSET_TABLE_
""".split())


def symbols(library):
    """(undefined, defined) names of all its members."""
    text = subprocess.run(["nm", library], check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    names = re.findall(r"^(?:[0-9a-f]+)? *([A-Za-z]) (\S+)$", text, re.M)
    return ({name for kind, name in names if kind in "Uvw"},
            {name for kind, name in names if kind.isupper() and kind != "U"})


def complaints(library):
    undefined, defined = symbols(library)
    return [f"libsinkproto.a needs {name}" for name in sorted(undefined - defined - ALLOWED)]


def planted():
    """An object that reads the clock must be found out."""
    with tempfile.TemporaryDirectory() as directory:
        source = os.path.join(directory, "planted.c")
        with open(source, "w") as file:
            file.write("#include <time.h>\nlong planted(void);\n"
                       "long planted(void) { return (long)time(NULL); }\n")
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-c", source, "-o", source + ".o"], check=True)
        return complaints(source + ".o")


need("nm")
if not os.path.exists(LIBRARY):
    skip("libsinkproto.a is not built")
with open(os.path.join(BUILD, "config.h")) as config:
    if "#define WITH_SANITIZERS 1" in config.read():
        skip("sanitizers add calls of their own")
if any(name.startswith("__sanitizer_cov") for name in symbols(LIBRARY)[0]):
    skip("fuzzing adds calls of its own")
conclude(complaints(LIBRARY), [planted()])
