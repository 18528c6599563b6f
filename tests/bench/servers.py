"""The servers that are measured."""

import os
import shutil
import socket
import subprocess

from sinkd_server import Client, Server, wait_until

CONFIG = 'log { level = "warn" }\ndeliver "bench" { %s }\n'


class Sinkd(Server):
    """sinkd with 50 workers, unless pool says otherwise, and a delivery; it logs warnings
    only."""

    def __init__(self, delivery, workers=50, prefix=(), pool=""):
        self.prefix = prefix
        super().__init__(workers=None if pool else workers, config=CONFIG % delivery + pool)

    def command(self):
        return [*self.prefix, *super().command()]


class SmtpSink:
    """Postfix's test sink: one process, discards."""

    def __init__(self, prefix=()):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.addresses = [free.getsockname()]
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.command = [*prefix, smtp_sink(), *account, "-m", "1000",
                        "127.0.0.1:%d" % self.addresses[0][1], "1000"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.answers, what="smtp-sink")
        return self

    def answers(self):
        try:
            with Client(self.addresses[0]) as client:
                return client.reply()
        except ConnectionRefusedError:
            return None

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def smtp_sink():
    return shutil.which("smtp-sink", path=os.environ["PATH"] + ":/usr/sbin")
