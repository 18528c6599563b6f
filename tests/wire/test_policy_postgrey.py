"""Debian's postgrey as the policy service, over TCP and over a Unix socket: who comes for the
first time is told to come again, who does is let in, and the message says how long it took."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from commands import keys_of
from policy_service import policy
from postfix import Postfix, need_postfix
from sinkd_server import Server, free_ports, read_file, wait_until
from upgraded_server import greeted
from wire_test import need_program, run

TEXT = b"Subject: x\r\n\r\ntext\r\n"


class Postgrey:
    """One that greylists for a second."""

    def __init__(self, kind):
        self.program = need_program("postgrey")
        self.directory = tempfile.mkdtemp(prefix="sinkd-postgrey-")
        os.chmod(self.directory, 0o755)
        os.mkdir(self.path("db"))
        self.process = None
        # It gives up root by itself.
        user, group = ("nobody", "nogroup") if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        if os.geteuid() == 0:
            shutil.chown(self.path("db"), user, group)
        if kind == "tcp":
            self.address = "127.0.0.1:%d" % free_ports(1)[0]
            place = "--inet=" + self.address
        else:
            # Where it makes the socket once it is no longer root.
            place = "--unix=" + self.path("db", "socket")
            self.address = "unix:" + self.path("db", "socket")
        self.words = [self.program, place, "--dbdir=" + self.path("db"), f"--user={user}",
                      f"--group={group}", "--delay=1", "--whitelist-clients=/dev/null",
                      "--whitelist-recipients=/dev/null", "--hostname=grey.example",
                      "--auto-whitelist-clients=0"]

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def start(self):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        wait_until(lambda: self.is_up() or self.process.poll() is not None, 20, "postgrey")
        assert self.process.poll() is None, self.log()

    def is_up(self):
        kind = socket.AF_UNIX if self.address.startswith("unix:") else socket.AF_INET
        host, _, port = self.address.partition(":")
        with socket.socket(kind) as client:
            return client.connect_ex(port if kind == socket.AF_UNIX else (host, int(port))) == 0

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __exit__(self, failure, *_):
        self.stop()
        if failure:
            print(f"--- log of postgrey:\n{self.log()[-4000:]}---", flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        return read_file(self.path("log")).decode(errors="backslashreplace")


def first_try(client, recipient):
    client.command("MAIL FROM:<a@example.com>", "250 ")
    reply = client.command(f"RCPT TO:<{recipient}>", "450 4.2.0 Greylisted, see http")
    client.command("DATA", "554 5.5.1 ")
    client.command("RSET", "250 ")
    return reply


def next_tries(client, recipient):
    """Until it is accepted; the message goes the same way."""
    def is_accepted():
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.send(f"RCPT TO:<{recipient}>\r\n".encode())
        reply = client.reply()
        if reply.startswith("450 "):
            client.command("RSET", "250 ")
        return reply.startswith("250 ")

    wait_until(is_accepted, 10, "the end of greylisting")
    client.command("DATA", "354 ")
    client.send(TEXT + b".\r\n")
    client.expect("250 2.0.0 ")


def greylisting(kind):
    with Postgrey(kind) as postgrey, Server(config=policy(postgrey), workers=2) as server:
        with greeted(server) as client:
            told = first_try(client, "b@example.net")
        with greeted(server) as client:
            next_tries(client, "b@example.net")
            [stored] = server.stored()
            [line] = re.findall(rb"^X-Greylist: delayed [1-9]\d* seconds by postgrey-\S+ at "
                                rb"grey\.example; .*\n", stored, re.M)
            assert stored.index(b"\nReceived: ") < stored.index(line) < stored.index(b"\nSubject: ")
            # Known by now, and only its first message says so.
            client.deliver(TEXT)
            assert sum(b"X-Greylist" in text for text in server.stored()) == 1
            first_try(client, "c@example.net")
            # It keeps what it knows, and the workers find it again.
            postgrey.stop()
            client.command("MAIL FROM:<a@example.com>", "250 ")
            client.command("RCPT TO:<b@example.net>", "451 4.3.0 Try later")
            postgrey.start()
            client.command("RCPT TO:<b@example.net>", "250 ")
        [failed] = map(keys_of, server.events("policy.failed"))
        assert failed["error"] == "the policy service cannot be reached", failed
        print(f"       {kind}: {told!r}, {line.decode().strip()!r}")


def over_tcp():
    greylisting("tcp")


def over_unix():
    greylisting("unix")


def postfix_is_greylisted():
    """Its queue does what greylisting is about."""
    need_postfix()
    with Postgrey("unix") as postgrey, Server(config=policy(postgrey), workers=2) as server, \
            Postfix({"grey.example": "smtp:[127.0.0.1]:%d" % server.addresses[0][1]}) as postfix:
        postfix.send("a@back.example", ["b@grey.example"], TEXT.replace(b"\r", b""))
        wait_until(lambda: postfix.tries("b@grey.example"), 20, "the first try")
        [(status, text)] = postfix.tries("b@grey.example")
        assert status == "deferred" and " said: 450 4.2.0 Greylisted" in text, (status, text)
        print(f"       postfix: {status} ({text})")

        def is_sent():
            postfix.flush()
            return postfix.tries("b@grey.example")[-1][0] == "sent"

        wait_until(is_sent, 20, "the last try")
        [stored] = server.stored()
        assert b"\nX-Greylist: delayed " in stored, stored


run(over_tcp, over_unix, postfix_is_greylisted, together=True)
