#!/usr/bin/env python3
"""What the program has, the documents have: options of the configuration file in the
sample and in sinkd.conf(5), events of the log with their keys and options of the command
line in sinkd(8), commands, options and metrics of sinkctl in sinkctl(8)."""

import os
import re
import subprocess

from lint import BUILD, conclude, read, skip, tree

SINKD = os.path.join(BUILD, "src", "sinkd")
SINKCTL = os.path.join(BUILD, "src", "sinkctl")


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


def help_of(program):
    return subprocess.run([program, "--help"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def control_commands(help_text):
    return set(re.findall(r"^  ([a-z][a-z-]*)", help_text, re.M))


def metric_names(source):
    return set(re.findall(r'^\t\{"(sinkd_\w+)"', source, re.M))


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


def arguments(text, start):
    """The text from start, behind an opening parenthesis, to its closing one."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    raise ValueError("a parenthesis is not closed")


def keys_in(text):
    """Keys of the fields made in it."""
    found = set(re.findall(r'\bLOG_(?:TEXT|STR|NUM)\(\s*"(\w+)"', text))
    return found | ({"reason"} if re.search(r"\bLOG_ERRNO\(", text) else set())


def kinds(files):
    """What each struct helper_kind has in its members."""
    for text in files.values():
        for body in re.findall(r"\bstruct helper_kind \w+ = \{(.*?)^\};", text, re.M | re.S):
            yield dict(re.findall(r'\.(\w+) = "?(\w+)"?', body))


def logged_keys(files, header):
    """(path, event, key) for each field of each log_event.  Where a variable names the
    event, it is every event that the function speaks of; where a member of a kind does,
    that of each kind, with the key that this has for its pid."""
    names = dict(re.findall(r'\bX\((EV_\w+), "([a-z.]+)"\)', header))
    for path, text in files.items():
        for function in re.findall(r"^\{\n.*?^\}", text, re.M | re.S):
            for call in re.finditer(r"\blog_event\(", function):
                fields = arguments(function, call.end())
                member = re.match(r"[^,]*,\s*kind->(\w+)", fields)
                if member:
                    own_key = {"key"} if "kind->key" in fields else set()
                    yield from ((path, names[kind[member[1]]], key) for kind in kinds(files)
                                for key in keys_in(fields) | {kind[k] for k in own_key})
                    continue
                events = re.findall(r"\bEV_\w+", fields) or re.findall(r"\bEV_\w+", function)
                if not events:
                    yield path, "(an event that this lint does not see)", ""
                yield from ((path, names[event], key)
                            for event in events for key in keys_in(fields))


def documented_keys(page):
    """For each event its keys in the page; \"\" has those of every line."""
    log = re.search(r"^\.Sh LOG\n(.*?)^\.Sh ", page, re.M | re.S)[1]
    items = re.split(r"^\.It Ic (.*)\n", log, flags=re.M)
    found = {"": set(re.findall(r"^\.Ic (\w+)", items[0], re.M))}
    for event, text in zip(items[1::2], items[2::2]):
        listed = " ".join(re.findall(r"^\.Ic (.*)", text, re.M))
        found[event] = set(re.findall(r"\w+", listed))
        for other in re.findall(r"[Kk]eys as for (\S+)[.;]", text):
            found[event] |= found[other]
    return found


def missing_keys(used, documented):
    for path, event, key in sorted(set(used)):
        if key not in documented.get(event, set()):
            yield f"sinkd(8): nothing about {key} of {event or 'every line'} ({path})"


IN_SECTION = r"^\.(?:It|Ss|Sh)\s(?:.*[\s\"])?%s(?![\w-])"
AS_OPTION = r"\bFl -%s(?![\w-])"
AS_COMMAND = r"^\.It Cm %s(?![\w-])"
AS_METRIC = r"^\.It Ic %s$"
ANYWHERE = r"(?<![\w.-])%s(?![\w-])"

if not (os.path.exists(SINKD) and os.path.exists(SINKCTL)):
    skip("sinkd and sinkctl are not built")
names = configured_names(tree("src/config"))
events = logged_events(read("src/base/log.h"))
options = command_line_options(help_of(SINKD))
ctl_help = help_of(SINKCTL)
ctl_options = command_line_options(ctl_help)
commands = control_commands(ctl_help)
metrics = metric_names(read("src/ctl/metrics.c"))
sources = tree("src")
header = read("src/base/log.h")
keys = list(logged_keys(sources, header))
# What the log itself adds to every line, but for events of its own.
own = {key for path, _, key in keys if path == "src/base/log.c"}
keys += [("src/base/log.c", "", key)
         for key in keys_in(sources["src/base/log.c"]) if key not in own]
# Each table was found, or this lint would have nothing to look for.
assert {"hostname", "limits", "bare-newline", "address", "file-mode"} <= names, names
assert {"message.accepted", "server.start"} <= events, events
assert {"config", "ready-fd", "help"} <= options, options
assert {"socket", "format"} <= ctl_options, ctl_options
assert {"status", "log-level", "passwd"} <= commands, commands
assert {"sinkd_build", "sinkd_sessions", "sinkd_delivery_seconds"} <= metrics, metrics
assert {("message.accepted", "size"), ("message.aborted", "size"), ("worker.failed", "reason"),
        ("", "session")} <= {(event, key) for _, event, key in keys}, keys

sample, conf_page, page, ctl_page = (
    read("etc/sinkd.conf"), read("docs/man/sinkd.conf.5"), read("docs/man/sinkd.8"),
    read("docs/man/sinkctl.8"))
documented = documented_keys(page)
PLANTED = """{
	log_event(LOG_INFO, EV_SERVER_STOP, LOG_NUM("status", f(1)),
		LOG_STR(
			"planted", x));
}"""
PLANTED_KIND = """
static const struct helper_kind planted = {
	.key = "planted",
	.exit = EV_KEYS_EXIT,
};
void f(void)
{
	log_event(level, kind->exit, LOG_NUM(kind->key, pid));
}"""
PLANTED_VARIABLE = """{
	enum log_event event = EV_MESSAGE_ABORTED;
	log_event(LOG_INFO, event, LOG_TEXT("planted", ""));
}"""
conclude(
    [*missing_in_sample(names, sample),
     *missing_in_page(names, conf_page, IN_SECTION, "sinkd.conf(5)"),
     *missing_in_page(events, page, ANYWHERE, "sinkd(8)"),
     *missing_in_page(options, page, AS_OPTION, "sinkd(8)"),
     *missing_in_page(ctl_options, ctl_page, AS_OPTION, "sinkctl(8)"),
     *missing_in_page(commands, ctl_page, AS_COMMAND, "sinkctl(8)"),
     *missing_in_page(metrics, ctl_page, AS_METRIC, "sinkctl(8)"),
     *missing_keys(keys, documented)],
    [list(missing_in_sample({"planted"}, sample)),
     list(missing_in_page({"planted"}, conf_page, IN_SECTION, "")),
     list(missing_in_page({"message.planted"}, page, ANYWHERE, "")),
     list(missing_in_page({"planted"}, page, AS_OPTION, "")),
     list(missing_in_page({"planted"}, ctl_page, AS_COMMAND, "")),
     list(missing_in_page({"sinkd_planted"}, ctl_page, AS_METRIC, "")),
     *(list(missing_keys(logged_keys({"planted.c": text}, header), documented))
       for text in (PLANTED, PLANTED_VARIABLE, PLANTED_KIND)),
     list(missing_keys(keys, {**documented, "": set()}))])
