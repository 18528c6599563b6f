#!/usr/bin/env python3
"""What the program has, the documents have: options of the configuration file in the
sample and in sinkd.conf(5), events of the log and options of the command line in
sinkd(8)."""

import os
import re
import subprocess

from lint import BUILD, conclude, read, skip, tree

SINKD = os.path.join(BUILD, "src", "sinkd")


def configured_names(files):
    """Names in the tables of options and sections, and of the titled sections."""
    names = {"listen", "deliver"}
    for text in files.values():
        for table in re.findall(r"const struct option(?:_section)? \w+\[\] = \{\n(.*?)\n\};",
                                text, re.S):
            names.update(re.findall(r'^\t\{(?:\w+\()?"([a-z-]+)"', table, re.M))
    return names


def logged_events(header):
    return set(re.findall(r'\bX\(EV_\w+, "([a-z.]+)"\)', header))


def command_line_options(help_text):
    return set(re.findall(r"(?<!\S)--([a-z][a-z-]*)", help_text))


def missing_in_sample(names, sample):
    for name in sorted(names):
        if not re.search(rf'(?<![\w-]){name}\s*(\+?=|\{{|"[^"]*"\s*\{{)', sample):
            yield f"etc/sinkd.conf: nothing about {name}"


def missing_in_page(names, page, pattern, where):
    """pattern: how the page shows a name, with %s for it."""
    page = page.replace("\\-", "-")
    for name in sorted(names):
        if not re.search(pattern % re.escape(name), page, re.M):
            yield f"{where}: nothing about {name}"


IN_SECTION = r"^\.(?:It|Ss|Sh)\s(?:.*[\s\"])?%s(?![\w-])"
AS_OPTION = r"\bFl -%s(?![\w-])"
ANYWHERE = r"(?<![\w.-])%s(?![\w-])"

if not os.path.exists(SINKD):
    skip("sinkd is not built")
names = configured_names(tree("src/config"))
events = logged_events(read("src/base/log.h"))
options = command_line_options(
    subprocess.run([SINKD, "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout)
# Each table was found, or this lint would have nothing to look for.
assert {"hostname", "limits", "bare-newline", "address", "file-mode"} <= names, names
assert {"message.accepted", "server.start"} <= events, events
assert {"config", "ready-fd", "help"} <= options, options

sample, conf_page, page = (
    read("etc/sinkd.conf"), read("docs/man/sinkd.conf.5"), read("docs/man/sinkd.8"))
conclude(
    [*missing_in_sample(names, sample),
     *missing_in_page(names, conf_page, IN_SECTION, "sinkd.conf(5)"),
     *missing_in_page(events, page, ANYWHERE, "sinkd(8)"),
     *missing_in_page(options, page, AS_OPTION, "sinkd(8)")],
    [list(missing_in_sample({"planted"}, sample)),
     list(missing_in_page({"planted"}, conf_page, IN_SECTION, "")),
     list(missing_in_page({"message.planted"}, page, ANYWHERE, "")),
     list(missing_in_page({"planted"}, page, AS_OPTION, ""))])
