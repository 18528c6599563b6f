"""The servers that are measured."""

import collections
import os
import pwd
import re
import shutil
import socket
import subprocess

from postfix import Postfix
from sinkd_server import Client, Server, wait_until

DISCARD = 'type = "discard"'
CONFIG = 'log { level = "warn" }\ndeliver "bench" { %s }\n'


class Sinkd(Server):
    """sinkd with 50 workers, unless pool says otherwise, and a delivery; it logs warnings
    only.  more: sections of the configuration."""

    def __init__(self, delivery, workers=50, prefix=(), pool="", more=""):
        self.prefix = prefix
        super().__init__(workers=None if pool else workers,
                         config=CONFIG % delivery + pool + more)

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
        wait_until(lambda: has_greeted(self.addresses[0]), what="smtp-sink")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def has_greeted(address):
    try:
        with Client(address) as client:
            return client.reply()
    except ConnectionRefusedError:
        return None


def system_program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


def smtp_sink():
    return system_program("smtp-sink")


# --- Postfix ----------------------------------------------------------------------

# Tuned to be fast: more processes than clients, no look-ups of names, and nothing that
# slows down clients because the queue is long.
OPTIONS = """local_recipient_maps =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
default_process_limit = 100
bench_initial_destination_concurrency = {at_once}
bench_destination_concurrency_limit = {at_once}
bench_destination_recipient_limit = 1
bench_destination_rate_delay = 0
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject
"""
MAILBOX = """virtual_mailbox_domains = load.example
virtual_mailbox_base = $queue_directory/..
virtual_mailbox_maps = static:Maildir/
virtual_minimum_uid = 1
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
"""
SMTPD = "127.0.0.1:{port} inet n - n - - smtpd\n"
PIPE = "bench unix - n n - {at_once} pipe\n  flags= user=nobody argv={command}\n"
VIRTUAL = "bench unix - n n - {at_once} virtual\n"


class PostfixServer(Postfix):
    """A Postfix that takes mail by SMTP, on loopback.

    at_once     how many deliveries at the same time
    command     what each message is piped to; None: they are stored in maildir"""

    def __init__(self, at_once, command=None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.addresses = [free.getsockname()]
        known = {"at_once": at_once, "command": command, "port": self.addresses[0][1],
                 "nobody": pwd.getpwnam("nobody")}
        options = OPTIONS + ("" if command else MAILBOX)
        services = SMTPD + (PIPE if command else VIRTUAL)
        super().__init__({"load.example": "bench:"}, options.format(**known),
                         services.format(**known))
        self.maildir = os.path.join(self.directory, "Maildir")

    def __enter__(self):
        for name in "", "tmp", "new", "cur":
            os.mkdir(os.path.join(self.maildir, name), 0o700)
            shutil.chown(os.path.join(self.maildir, name), "nobody")
        super().__enter__()
        try:
            wait_until(lambda: has_greeted(self.addresses[0]), what="smtpd")
        except BaseException as failure:
            self.__exit__(failure)
            raise
        return self

    def is_busy(self):
        """Whether it still has a message that it has not tried to deliver."""
        # In this order: they go from one to the other.
        return any(has_entries(os.path.join(self.directory, "spool", name))
                   for name in ("incoming", "active"))

    def check_delivered(self, count):
        """That it has delivered so many since it began, and put off or sent back none."""
        def tried():
            return re.findall(r" status=(\w+)", self.log())

        wait_until(lambda: len(tried()) >= count, what="a line in Postfix's log for each message")
        assert tried() == ["sent"] * count, f"{count} messages: {collections.Counter(tried())}"


def has_entries(path):
    with os.scandir(path) as entries:
        return next(entries, None) is not None


def why_no_postfix():
    """Why there is no Postfix to compare with, or None."""
    if not system_program("postfix"):
        return "not installed"
    return None if os.geteuid() == 0 else "only root can start one"
