"""docs/SMTP-SINK.md as servers: what it says is here instead of an option of smtp-sink.

    with Sink(instead_of("-r RCPT")) as server, server.connect() as client:
        ...

A test that takes its configuration from there cannot tell of another one than the
document does.  And smtp-sink(1) itself, where it is installed, to compare with.
"""

import os
import re
import signal
import subprocess

from sinkd_server import PATIENCE, SOURCE, Client, Server, free_ports, wait_until
from wire_test import need_program

with open(os.path.join(SOURCE, "docs", "SMTP-SINK.md")) as document:
    DOCUMENT = document.read()

# Rows of all tables, as {"`-r RCPT`": "`rule ...`"}; and what stands between ``` and ```.
ROWS = dict(re.findall(r"^\| (.+?) \| (.+) \|$", DOCUMENT, re.M))
SERVER, ONCE_IN_A_WHILE = re.findall(r"^```\n(.*?)^```$", DOCUMENT, re.M | re.S)


def code_of(cell):
    return re.findall("`([^`]+)`", cell)


def all_instead_of(option):
    """The pieces of code that are named for an option, as "-r RCPT", or for a command."""
    [cell] = [there for here, there in ROWS.items() if option in code_of(here)]
    return code_of(cell)


def instead_of(option):
    """The first of them."""
    return all_instead_of(option)[0]


def stage_of(command):
    """What a rule has for a command of smtp-sink: 'on = "rcpt"'."""
    [row] = [row for row in ROWS if command in code_of(row)]
    stages = [piece for piece in code_of(ROWS[row]) if piece.startswith("on = ")]
    return stages[0] if len(stages) == 1 else stages[code_of(row).index(command)]


def rules_once_in_a_while():
    """The rules that stand together, by their names."""
    return {re.match('rule "([^"]+)"', line)[1]: line for line in ONCE_IN_A_WHILE.splitlines()}


class Sink(Server):
    """The server of the document with these lines at the top level.

    offers      lines in its section "listen"
    deliver     a section in the place of the document's
    places      what stands here in the place of paths there: {there: here}; HERE as in
                commands.py"""

    def __init__(self, *lines, offers=(), deliver=None, places=None, **options):
        listen, default = re.fullmatch(r"(listen .*?^}\n)(.*)", SERVER, re.M | re.S).groups()
        inside = "".join(f"    {line}\n" for line in offers)
        listen = listen.replace("0.0.0.0:2525", "127.0.0.1:0").replace("\n}", f"\n{inside}}}")
        config = "\n".join([listen, deliver or default, *lines, ""])
        for there, here in (places or {}).items():
            assert there in config, (there, config)
            config = config.replace(there, here)
        super().__init__(config=config, listen=None, **options)
        self.environment["HERE"] = self.directory
        os.mkdir(self.path("work"))
        os.chmod(self.path("work"), 0o777)


class Original:
    """smtp-sink itself with these options; other, that it is not."""

    def __init__(self, *options):
        self.options = [need_program("smtp-sink"), *options]
        if os.geteuid() == 0:
            self.options += ["-u", "nobody"]

    def __enter__(self):
        self.address = ("127.0.0.1", free_ports(1)[0])
        self.process = subprocess.Popen([*self.options, f"127.0.0.1:{self.address[1]}", "10"],
                                        stdin=subprocess.DEVNULL)
        try:
            wait_until(self.is_listening, what="smtp-sink that listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_listening(self):
        assert self.process.poll() is None, self.process.returncode
        # By looking: a client would count.
        with open("/proc/net/tcp") as table:
            return f" 0100007F:{self.address[1]:04X} 00000000:0000 0A " in table.read()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def connect(self):
        return Client(self.address)
