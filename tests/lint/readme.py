#!/usr/bin/env python3
"""The commands that README.md shows are there: targets of ./bootstrap, options of sinkd
and of curl."""

import itertools
import os
import re
import shlex
import shutil
import subprocess

from lint import BUILD, SOURCE, conclude, read

SINKD = os.path.join(BUILD, "src", "sinkd")
SINKCTL = os.path.join(BUILD, "src", "sinkctl")
# Of every automake Makefile, and the one word that ./bootstrap adds.
STANDARD_TARGETS = {"all", "check", "install", "distcheck", "clean", "build"}


def commands(text):
    """The commands in fenced sh blocks, without comments; continued lines are joined and
    pipelines taken apart."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for _, command in itertools.groupby(words, lambda word: word not in ("|", "&&", ";")):
                yield list(command)


def help_of(*command):
    if not shutil.which(command[0]):
        return None
    return subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout


def unknown_options(words, help_text):
    """Options among words that the program's help does not have."""
    for word in words:
        # Of short ones that stand together the first; the rest may be its argument.
        option = word.split("=")[0] if word.startswith("--") else word[:2]
        if re.fullmatch(r"--?[A-Za-z][\w-]*", option) and not re.search(
                rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text):
            yield option


def complaints(text, targets):
    helps = {"sinkd": help_of(SINKD, "--help"), "sinkctl": help_of(SINKCTL, "--help"),
             "curl": help_of("curl", "--help", "all")}
    for words in commands(text):
        program = os.path.basename(words[0])
        if program == "bootstrap":
            if not os.access(os.path.join(SOURCE, words[0]), os.X_OK):
                yield f"README.md: no {words[0]}"
            # The first word is a target; what follows is for make or the server.
            for target in words[1:2]:
                if target not in targets | STANDARD_TARGETS:
                    yield f"README.md: no target {target}"
        elif helps.get(program):
            for option in unknown_options(words[1:], helps[program]):
                yield f"README.md: {program} has no {option}"


rules = read("Makefile.am") + read("tests/local.mk")
targets = set(re.findall(r"^([a-z][\w-]*):", rules, re.M))
readme = read("README.md")
found = list(complaints(readme, targets))
if not any(words[0] == "./bootstrap" for words in commands(readme)):
    found.append("README.md does not show ./bootstrap")
PLANTED = ["```sh\n./bootstrap planted\n```\n", "```sh\ntrue | sinkd \\\n  --planted\n```\n"]
if not os.path.exists(SINKD):
    PLANTED.pop()
conclude(found, [list(complaints(text, targets)) for text in PLANTED])
