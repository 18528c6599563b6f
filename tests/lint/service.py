#!/usr/bin/env python3
"""The files for systemd fit the program: its options, signals and paths are those that
sinkd(8) and the program have, and systemd takes the unit."""

import os
import re
import shutil
import subprocess
import tempfile

from lint import BUILD, conclude, read, skip

SINKD = os.path.join(BUILD, "src", "sinkd")


def settings(unit):
    """(name, value) of all lines."""
    return re.findall(r"^(\w+)=(.*)$", unit, re.M)


def unknown_options(unit, help_text):
    for name, value in settings(unit):
        if name == "ExecStart":
            for option in re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", value):
                if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text):
                    yield f"sinkd.service: sinkd has no {option}"


def unknown_signals(unit, page):
    for signal in re.findall(r"kill -(\w+)", unit):
        if f"SIG{signal}" not in page:
            yield f"sinkd.service: sinkd(8) knows no SIG{signal}"


def hears_workers(unit):
    """A worker could name another main process, if systemd listened to it."""
    if [value for name, value in settings(unit) if name == "NotifyAccess"] != ["main"]:
        yield "sinkd.service: not the main process alone is heard (NotifyAccess)"


def odd_paths(unit, rules):
    """A path in the unit is one that configure chose, or that of a directory setting."""
    for name, value in settings(unit):
        for path in re.findall(r"(?<!\S)[@/%]\S+", value):
            if not re.match(r"@sbindir@/|%S/sinkd$|/bin/kill$", path):
                yield f"sinkd.service: {name} has a path of its own: {path}"
        for variable in re.findall(r"@(\w+)@", value):
            if f"[@]{variable}@" not in rules:
                yield f"sinkd.service: etc/local.mk does not replace @{variable}@"


def odd_statuses(unit, page):
    known = set(re.findall(r"^\.It (\d+)$", page, re.M))
    for name, value in settings(unit):
        if name == "RestartPreventExitStatus":
            for status in set(value.split()) - known:
                yield f"sinkd.service: sinkd(8) knows no exit status {status}"


def socket_differs(socket_unit, printed):
    """The sockets are the listeners of the built-in configuration."""
    addresses = {value for name, value in settings(socket_unit) if name == "ListenStream"}
    [configured] = re.findall(r"address = \{(.*?)\}", printed, re.S)
    expected = {re.sub("^localhost", host, address)
                for address in re.findall(r'"([^"]+)"', configured)
                for host in ("127.0.0.1", "[::1]")}
    if addresses != expected:
        yield f"sinkd.socket: {sorted(addresses)}, but sinkd listens on {sorted(expected)}"


def account_differs(sysusers, header):
    [account] = re.findall(r'IDENTITY_DEFAULT_USER\s+"(\w+)"', header)
    if not re.search(rf"^u {account} ", sysusers, re.M):
        yield f"sinkd.sysusers: no account {account}"


def rejected(unit, socket_unit):
    """What systemd has to say, where there is one."""
    if not shutil.which("systemd-analyze"):
        return
    # A program that is there, with directories that need not be.
    unit = unit.replace("@sbindir@/sinkd", shutil.which("true"))
    unit = re.sub(r"^(Documentation)=.*\n", "", unit, flags=re.M)
    with tempfile.TemporaryDirectory() as directory:
        for name, text in ("sinkd.service", unit), ("sinkd.socket", socket_unit):
            with open(os.path.join(directory, name), "w") as file:
                file.write(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", os.path.join(directory, "sinkd.socket")],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    # It also tells of other units of this machine.
    for line in done.stdout.splitlines():
        if "sinkd." in line:
            yield line


if not os.path.exists(SINKD):
    skip("sinkd is not built")


def output_of(*command):
    return subprocess.run([SINKD, *command], check=True, text=True, cwd="/",
                          stdout=subprocess.PIPE).stdout


unit, socket_unit = read("etc/sinkd.service.in"), read("etc/sinkd.socket")
page, rules, help_text = read("docs/man/sinkd.8"), read("etc/local.mk"), output_of("--help")
header, sysusers = read("src/proc/identity.h"), read("etc/sinkd.sysusers")
with tempfile.NamedTemporaryFile(suffix=".conf") as empty:
    printed = output_of("--print-config", "--config", empty.name)
found = [*unknown_options(unit, help_text), *hears_workers(unit),
         *unknown_signals(unit, page), *odd_paths(unit, rules), *odd_statuses(unit, page),
         *socket_differs(socket_unit, printed), *account_differs(sysusers, header), *rejected(unit, socket_unit)]
planted = [list(hears_workers("NotifyAccess=all\n")), list(hears_workers("")),
           list(unknown_options("ExecStart=@sbindir@/sinkd --planted\n", help_text)),
           list(unknown_signals("ExecReload=/bin/kill -PLANTED $MAINPID\n", page)),
           list(odd_paths("ExecStart=/usr/planted/sinkd\n", rules)),
           list(odd_paths("ExecStart=@sbindir@/@planted@\n", rules)),
           list(odd_statuses("RestartPreventExitStatus=99\n", page)),
           list(socket_differs("ListenStream=127.0.0.1:25\n", printed)),
           list(account_differs("u planted - -\n", header))]
if shutil.which("systemd-analyze"):
    planted.append(list(rejected(unit.replace("Type=notify", "Type=planted"), socket_unit)))
conclude(found, planted)
