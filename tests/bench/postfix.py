"""A Postfix of our own: on loopback, with its queue, data and configuration below a
temporary directory, started and stopped by us.  Of the system's own Postfix it has
nothing but the programs, and what it is given cannot leave the machine: it has no client
for SMTP.  Only root can run one."""

import collections
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from sinkd_server import Client, is_running_in_session, read_file, wait_until

# Tuned to be fast: more processes than clients, no look-ups of names, and nothing that
# slows down clients because the queue is long.
MAIN = """compatibility_level = {version}
queue_directory = {queue}
data_directory = {directory}/data
maillog_file = {log}
maillog_file_prefixes = {directory}
myhostname = bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
notify_classes =
default_process_limit = 100
default_transport = bench
virtual_transport = bench
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
virtual_mailbox_base = {directory}
virtual_mailbox_maps = static:Maildir/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""
MASTER = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""
PIPE = """bench unix - n n - {at_once} pipe
  flags= user=nobody argv={command}
"""
VIRTUAL = "bench unix - n n - {at_once} virtual\n"

# Parts of a queue directory and their modes; all are Postfix's but "pid".
PARTS = {"incoming": 0o700, "active": 0o700, "deferred": 0o700, "bounce": 0o700,
         "defer": 0o700, "trace": 0o700, "flush": 0o700, "hold": 0o700, "corrupt": 0o700,
         "saved": 0o700, "private": 0o700, "public": 0o710, "maildrop": 0o730, "pid": 0o755}


def postconf():
    return shutil.which("postconf", path=os.environ["PATH"] + ":/usr/sbin")


def default_of(parameter):
    """As it was built; what the system's own Postfix is told is not our business."""
    done = subprocess.run([postconf(), "-d", "-h", parameter], text=True, check=True,
                          stdout=subprocess.PIPE)
    return done.stdout.strip()


def why_not():
    """Why there is no Postfix to compare with, or None."""
    if not postconf():
        return "not installed"
    return None if os.geteuid() == 0 else "only root can start one"


class Postfix:
    """at_once     how many deliveries
    command     what each message is piped to; None: they are stored in maildir"""

    def __init__(self, at_once, command=None):
        self.directory = tempfile.mkdtemp(prefix="sinkd-bench-")
        os.chmod(self.directory, 0o755)
        self.queue, self.maildir, self.log = (
            os.path.join(self.directory, name) for name in ("queue", "Maildir", "log"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.addresses = [free.getsockname()]
        self.at_once = at_once
        self.command = command
        self.process = None

    # --- life --------------------------------------------------------------------

    def __enter__(self):
        try:
            self.make_directories()
            self.configure()
            master = os.path.join(default_of("daemon_directory"), "master")
            # All its processes are then known by their session.
            self.process = subprocess.Popen(
                [master, "-c", os.path.join(self.directory, "etc")], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(self.answers, 10, "Postfix")
        except BaseException:
            self.__exit__()
            raise
        return self

    def make_directories(self):
        postfix, nobody = default_of("mail_owner"), "nobody"
        self.make_directory(self.queue)
        for name, mode in PARTS.items():
            self.make_directory(os.path.join(self.queue, name), mode,
                                "root" if name == "pid" else postfix)
        self.make_directory(os.path.join(self.directory, "data"), 0o700, postfix)
        self.make_directory(os.path.join(self.directory, "etc"))
        for name in "", "tmp", "new", "cur":
            self.make_directory(os.path.join(self.maildir, name), 0o700, nobody)

    @staticmethod
    def make_directory(path, mode=0o755, owner="root"):
        os.mkdir(path)
        os.chmod(path, mode)
        shutil.chown(path, owner)

    def configure(self):
        nobody = pwd.getpwnam("nobody")
        known = {"directory": self.directory, "queue": self.queue, "log": self.log,
                 "version": ".".join(default_of("mail_version").split(".")[:2]),
                 "port": self.addresses[0][1], "at_once": self.at_once,
                 "command": self.command, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
        for name, text in (("main.cf", MAIN + ("" if self.command else MAILBOX)),
                           ("master.cf", MASTER + (PIPE if self.command else VIRTUAL))):
            with open(os.path.join(self.directory, "etc", name), "w") as file:
                file.write(text.format(**known))

    def answers(self):
        assert self.process.poll() is None, f"Postfix has left:\n{self.end_of_log()}"
        try:
            with Client(self.addresses[0]) as client:
                return client.reply()
        except ConnectionRefusedError:
            return None

    def __exit__(self, *_):
        try:
            if self.process:
                self.process.terminate()  # The master hands it on to its children.
                self.process.wait()
                wait_until(lambda: not self.processes(), what="the end of Postfix")
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)

    def processes(self):
        return [int(pid) for pid in os.listdir("/proc") if self.process and pid.isdigit()
                and is_running_in_session(int(pid), self.process.pid)]

    # --- what it did ---------------------------------------------------------------

    def is_busy(self):
        """Whether it still has a message that it has not tried to deliver."""
        # In this order: they go from one to the other.
        return any(has_entries(os.path.join(self.queue, name)) for name in ("incoming", "active"))

    def check_delivered(self, count):
        """That it has delivered so many since it began, and put off or sent back none."""
        def tried():
            return re.findall(rb" status=(\w+)", read_file(self.log))

        wait_until(lambda: len(tried()) >= count, what="a line in Postfix's log for each message")
        assert tried() == [b"sent"] * count, \
            f"{count} messages: {collections.Counter(tried())}\n{self.end_of_log()}"

    def end_of_log(self):
        with open(self.log, "ab+") as log:
            log.seek(max(0, log.tell() - 2000))
            return log.read().decode(errors="replace")


def has_entries(path):
    with os.scandir(path) as entries:
        return next(entries, None) is not None
