"""A policy service of a test's own (the policy delegation protocol of Postfix), and servers
that ask it.

    with PolicyService("tcp") as service, PolicyServer(service) as server:
        service.answers["RCPT"] = "REJECT not here"
        ...
        [request] = service.asked("RCPT")
        assert request["recipient"] == "b@example.net"
"""

import collections
import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading

from commands import keys_of, quoted
from sinkd_server import Server, family_of, free_ports, split_address, wait_until

STAGES = ["connect", "helo", "mail", "rcpt", "data", "message"]

# Instead of an answer; all of them but SILENCE close the connection, after the bytes.
SILENCE = object()
Cut = collections.namedtuple("Cut", "text", defaults=(b"",))
Drip = collections.namedtuple("Drip", "text pause")


def policy(service, **options):
    """A section; on_failure="accept" is on-failure = "accept"."""
    options = {"socket": service if isinstance(service, str) else service.address, **options}
    return "policy {\n" + "".join(f"\t{key.replace('_', '-')} = {quoted(value)}\n"
                                  for key, value in options.items()) + "}\n"


class Request(dict):
    """The attributes, and the number of the connection it came on."""

    def __init__(self, text, connection):
        lines = text.decode().splitlines()
        super().__init__(line.split("=", 1) for line in lines)
        assert len(self) == len(lines), lines
        self.connection = connection

    @property
    def state(self):
        return self["protocol_state"]


def drip(connection, answer):
    """Until there is nobody any more who would read it."""
    for octet in answer.text:
        connection.sendall(bytes([octet]))
        if select.select([connection], [], [], answer.pause)[0]:
            return


def read_request(lines):
    """The lines up to an empty one; empty at the end of the connection."""
    text = b""
    for line in lines:
        if line == b"\n":
            return text
        text += line
    assert not text, text
    return text


class PolicyService:
    """kind: "unix", "tcp" or "tcp6".  answers: {state: answer}; an answer is an action, or bytes that
    are sent as they are, or SILENCE, Cut or Drip, or a function of the request that returns one
    of these.  Where there is none, the answer is DUNNO."""

    def __init__(self, kind="unix", answers=None):
        self.kind = kind
        self.answers = answers or {}
        self.requests = []
        self.connections = 0
        self.open = {}  # connection: its number
        self.lock = threading.Lock()
        self.listener = None
        self.directory = tempfile.mkdtemp(prefix="sinkd-policy-")
        # Whoever connects is no more than nobody.
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "socket")
        self.address = f"unix:{self.path}"
        if kind != "unix":
            [self.port] = free_ports(1)
            self.address = ("127.0.0.1:%d" if kind == "tcp" else "[::1]:%d") % self.port

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        if self.kind != "unix":
            address = split_address(self.address)
            self.listener = socket.create_server(address, family=family_of(address), backlog=200)
        else:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            os.chmod(self.path, 0o666)
            self.listener.listen(200)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """As one that ends: nobody listens, and all connections are closed."""
        if self.listener:
            # A thread that waits in it wakes up.
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.hang_up()

    def hang_up(self):
        """Close the connections."""
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not self.open, what="the end of all connections")

    def restart(self):
        self.stop()
        self.start()

    def accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open[connection] = self.connections
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        number = self.open[connection]
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while text := read_request(lines):
                request = Request(text, number)
                self.requests.append(request)
                answer = self.answers.get(request.state, "DUNNO")
                if callable(answer):
                    answer = answer(request)
                if answer is SILENCE:
                    continue
                if isinstance(answer, Drip):
                    drip(connection, answer)
                    break
                connection.sendall(answer.text if isinstance(answer, Cut) else
                                   answer if isinstance(answer, bytes) else
                                   f"action={answer}\n\n".encode())
                if isinstance(answer, Cut):
                    break
        with self.lock:
            del self.open[connection]

    def asked(self, *states):
        return [request for request in self.requests if not states or request.state in states]

    def states(self):
        return [request.state for request in self.requests]


class PolicyServer(Server):
    """A server that asks it, at all stages unless the options of the section say otherwise;
    with listen sections, if the configuration has some."""

    def __init__(self, service, *arguments, config="", workers=1, **options):
        section = policy(service, **{"stages": STAGES, **options})
        own = {"listen": None} if "listen " in config else {}
        super().__init__(*arguments, config=config + section, workers=workers, **own)

    def failures(self):
        """Why there was no answer, as the log has it."""
        return [keys_of(line)["error"] for line in self.events("policy.failed")]
