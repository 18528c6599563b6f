"""Servers that hand mail to commands, and what a command was given.

    with PipeServer(section("handler", HERE + "/witness", "tell", HERE + "/work")) as server:
        ...
        [run] = server.runs()
        assert run.arguments[3:] == [b"a@example.com"]

HERE stands for the directory of the server; below it, everybody may write to `work`.
"""

import os
import re

from sinkd_server import BUILD, Server, copy_program, read_file, wait_until

WITNESS = os.path.join(BUILD, "tests", "wire", "witness")

# The server expands it.
HERE = "${HERE}"

# What every command finds in its environment; RECIPIENT only if there is but one.
ALWAYS = {"PATH", "SENDER", "RECIPIENTS", "CLIENT_ADDRESS", "CLIENT_PORT", "HELO", "AUTH_USER",
          "TLS", "TLS_SUBJECT", "SIZE", "MESSAGE_ID", "LISTENER", "PROTOCOL", "ENVID"}


def quoted(value):
    """A value as it stands in a configuration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return "{" + ", ".join(map(quoted, value)) + "}"


def section(name, *command, **options):
    """A deliver section, of type "pipe" if it has a command; max_running=1 is
    max-running = 1."""
    options = {**({"type": "pipe", "command": command} if command else {}), **options}
    lines = [f"\t{key.replace('_', '-')} = {quoted(value)}\n" for key, value in options.items()]
    return f'deliver "{name}" {{\n{"".join(lines)}}}\n'


def listen(name, *deliver, **options):
    """A listen section on a free port."""
    options = {"address": ["127.0.0.1:0"], "deliver": deliver, **options}
    lines = [f"\t{key.replace('_', '-')} = {quoted(value)}\n" for key, value in options.items()]
    return f'listen "{name}" {{\n{"".join(lines)}}}\n'


def equip(server):
    """What commands need, in the directory of a server that has not started."""
    server.environment["HERE"] = server.directory
    try:
        os.mkdir(server.path("work"))
        os.chmod(server.path("work"), 0o777)
        copy_program(WITNESS, server.path("witness"))
    except BaseException:
        server.discard_all()
        raise
    return server


class PipeServer(Server):
    """A server with these sections besides what else is in its configuration."""

    def __init__(self, *sections, config="", **options):
        super().__init__(config="".join(sections) + config, **options)
        equip(self)

    def script(self, name, text, mode=0o755):
        """An executable file of that name in the directory."""
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self

    def out(self, name):
        """What a command has written to the file; empty if there is none."""
        path = self.path("work", name)
        return read_file(path) if os.path.exists(path) else b""

    def runs(self):
        """What the witness has told, as the runs began."""
        return [Run(self.path("work", name)) for name in sorted(os.listdir(self.path("work")))
                if re.match(r"\d{12}\.", name)]

    def ends(self, count):
        """What the log has of each run, as {key: text}, once all have their line; the client
        has its reply before that."""
        wait_until(lambda: len(self.events("command.end")) >= count, what=f"{count} ends")
        ends = [keys_of(line) for line in self.events("command.end")]
        assert len(ends) == count, ends
        return ends


class Gate:
    """Where commands of a server wait until they are let go: "read line < gate" in `work`."""

    def __init__(self, server):
        path = server.path("work", "gate")
        os.mkfifo(path)
        os.chmod(path, 0o666)
        self.end = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def let_go(self, count=1):
        os.write(self.end, b"\n" * count)

    def close(self):
        os.close(self.end)


class ShellServer(PipeServer):
    """A server whose command is a shell: each message tells it what to do."""

    def __init__(self, workers=1, **options):
        super().__init__(section("handler", "/bin/sh", directory=HERE + "/work", **options),
                         workers=workers)
        self.gate = Gate(self)

    def __exit__(self, *failure):
        try:
            super().__exit__(*failure)
        finally:
            self.gate.close()

    def wait_for(self, name, lines=1):
        """What commands have written to the file, once there are so many lines."""
        wait_until(lambda: self.out(name).count(b"\n") >= lines, what=f"'{name}'")
        return self.out(name).decode().split()


def ask(client, script, **envelope):
    """Send a message with a script as far as its end; the reply is still to come."""
    client.open_message(**envelope)
    client.send(script.replace("\n", "\r\n").encode() + b"\r\n.\r\n")


class Run:
    """What a command was given; see witness.c."""

    def __init__(self, path):
        self.path = path
        self.parts = {}
        rest = read_file(path)
        while rest:
            head, _, rest = rest.partition(b"\n")
            name, size = head.decode().split(" ")
            self.parts[name], rest = rest[:int(size)], rest[int(size) + 1:]
        self.arguments = self.parts["arguments"].split(b"\0")[:-1]
        self.message = self.parts["message"]
        pairs = [entry.partition(b"=") for entry in self.parts["environment"].split(b"\0")[:-1]]
        self.environment = {name.decode(): value for name, _, value in pairs}
        assert len(self.environment) == len(pairs), pairs
        lines = self.parts["status"].decode().splitlines()
        self.status = {key: value.split() for key, _, value in (x.partition(":") for x in lines)}

    def number(self, name):
        return int(self.parts[name])

    def limit(self, name):
        [line] = [line for line in self.parts["limits"].decode().splitlines()
                  if line.startswith(name)]
        return line[len(name):].split()[:2]


def keys_of(line):
    """The key=value pairs of a line of the log."""
    pairs = re.findall(r'(?:^| )([a-z_-]+)=("(?:[^"\\]|\\.)*"|[^" ]*)', line)
    return {key: re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            for key, value in pairs}


def is_running(pid):
    """Whether there is such a process that has not ended."""
    try:
        return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False
