"""A real sinkd for a test, and a client that says exactly what it is told.

    with Server("-w", "2") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\ntext\r\n")
        assert len(server.stored()) == 1

The server runs in a directory of its own on a free port of the loopback
interface.  Entering waits for its ready line; leaving stops it and checks that
it left with the status it should, that no process of it is left, and that no
sanitizer complained.  Nothing here ever signals a process it did not start.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# `make check` says where; by hand it is the directory that ./bootstrap makes.
BUILD = os.environ.get("abs_top_builddir", os.path.join(SOURCE, "build"))
SINKD = os.path.join(BUILD, "src", "sinkd")
SINKCTL = os.path.join(BUILD, "src", "sinkctl")

# A server that a test starts by itself is not to take the place of one that really runs
# on this machine.
os.environ["RUNTIME_DIRECTORY"] = "/dev/null/none"

# The level that every server with a configuration runs at, but for those that name
# one; None: the default.  For test_level_*.py.
LEVEL = os.environ.get("SINKD_TEST_SANDBOX")


def built_with_sanitizers():
    with open(os.path.join(BUILD, "config.h")) as config:
        return "#define WITH_SANITIZERS 1" in config.read()


# Deadlines are for a quiet machine; a sanitized server on a busy one is slower.
PATIENCE = 5 if built_with_sanitizers() else 3


def wait_until(predicate, seconds=5, what="the expected state"):
    """Poll until predicate() is true and return what it returned.

    This is the only place where a test waits for something to happen elsewhere."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (result := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds * PATIENCE} s")
        time.sleep(0.005)
    return result


def copy_program(source, target):
    """By another process: a child that a thread of ours forks meanwhile would have the copy
    open for writing, and then it cannot be run."""
    subprocess.run(["cp", source, target], check=True)
    return target


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def status_of(pid):
    """/proc/PID/status as {field: [value, ...]}."""
    lines = read_file(f"/proc/{pid}/status").decode().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


class Server:
    """Options:

    config      text of a configuration file, given with -f
    listen      the address given with -l; None leaves it to config or the default
    environment variables on top of those of the test
    user        (uid, gid) to run the server as; only root can
    status      the exit status with which the server is expected to leave
    program     another program in the place of sinkd
    prepare     called in the new process before it becomes the server
    workers     so many workers, never more nor fewer; -w N may start with fewer
    tries       workers are expected to make calls that the sandbox denies them
    pipe        the words after --pipe, which takes all that is left of the command line
    """

    def __init__(self, *arguments, config=None, listen="127.0.0.1:0", environment=None,
                 user=None, status=0, program=SINKD, tries=False,
                 prepare=None, workers=None, pipe=()):
        self.directory = tempfile.mkdtemp(prefix="sinkd-wire-")
        # A worker of a server started by root is another user.
        os.chmod(self.directory, 0o755)
        if user:
            os.chown(self.directory, *user)
        self.maildir = self.path("Maildir")
        self.arguments = list(arguments)
        if workers:
            config = (config or "") + (f"\nworkers {{ start = {workers}  min-spare = {workers}  "
                                       f"max-spare = {workers}  max = {workers} }}\n")
        if LEVEL and "sandbox {" not in (config or ""):
            config = (config or "") + f'\nsandbox {{ level = "{LEVEL}" }}\n'
        if config is not None:
            with open(self.path("sinkd.conf"), "w") as file:
                file.write(config)
            self.arguments += ["-f", self.path("sinkd.conf")]
        if listen:
            self.arguments += ["-l", listen]
        if pipe:
            self.arguments += ["--pipe", *pipe]
        # The place of its pid file, which two servers cannot share.
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": self.path("run"),
                            **(environment or {})}
        self.user = user
        self.status = status
        self.binary = program
        self.tries = tries
        self.prepare = prepare
        self.passed = []  # descriptors that it gets besides
        self.process = None
        self.readonly = []
        self.addresses = []

    def path(self, *names):
        return os.path.join(self.directory, *names)

    # --- life --------------------------------------------------------------------

    def start(self):
        """Start the server and wait until it says that it is ready."""
        ready, ready_of_server = os.pipe()
        identity = dict(zip(("user", "group"), self.user), extra_groups=[]) if self.user else {}
        with open(self.path("log"), "ab") as log, open(self.path("out"), "ab") as out:
            self.process = subprocess.Popen(
                [*self.command(), "--ready-fd", str(ready_of_server), *self.arguments],
                cwd=self.directory, env=self.environment, pass_fds=[ready_of_server, *self.passed],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                # All its processes are then known by their session.
                start_new_session=True, preexec_fn=self.prepare, **identity)
        os.close(ready_of_server)
        try:
            self.addresses = self.read_addresses(ready)
        finally:
            os.close(ready)

    def command(self):
        """What is run, without the options: for those who put words before it."""
        return [self.program()]

    def program(self):
        """The program; for another user a copy that this user can reach."""
        if not self.user:
            return self.binary
        return copy_program(self.binary, self.path("sinkd"))

    def read_addresses(self, ready):
        os.set_blocking(ready, False)
        line = b""

        def complete():
            nonlocal line
            try:
                piece = os.read(ready, 4096)
            except BlockingIOError:
                return False
            line += piece
            return line.endswith(b"\n") or not piece

        wait_until(complete, 10, "the ready line")
        if not re.fullmatch(rb"ready( \S+)+\n", line):
            self.process.wait()
            raise AssertionError(f"ready line {line!r}, status {self.process.returncode}:\n"
                                 + self.log())
        return [split_address(text) for text in line.decode().split()[1:]]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, seconds=10):
        """Wait until the master has left and return its exit status."""
        return wait_until(lambda: self.process.poll() is not None and self, seconds,
                          "exit of the server").process.returncode

    def stop(self):
        """Stop the server (unless the test has) and check how it left."""
        if self.process.poll() is None:
            self.terminate()
        status = self.wait_exit()
        assert status == self.status, f"exit status {status}, expected {self.status}"
        wait_until(lambda: not self.processes(), 2, "the end of all workers")
        reports = [line for line in self.log().splitlines()
                   if re.search(r"runtime error:|(Address|Leak|Memory)Sanitizer", line)]
        assert not reports, reports
        assert self.tries or not self.denied(), self.denied()

    def denied(self):
        """What the log has of workers that made a call the sandbox denies."""
        return re.findall(r"^sinkd: (?:a worker|the keys process) made .*"
                          r"| event=[a-z]+\.exit .* signal=SYS.*$", self.log(), re.M)

    def kill(self):
        """End whatever is left, after a failure."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not self.processes(), what="the end of killed processes")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.discard_all()
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                self.stop()
        except BaseException:
            failure = True
            raise
        finally:
            if failure:
                print(f"--- log of the failed server:\n{self.log()[-4000:]}---",
                      file=sys.stderr)
            self.discard_all()

    def discard_all(self):
        if self.process:
            self.kill()
        for path in reversed(self.readonly):
            os.chmod(path, 0o755)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- processes -----------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    def processes(self):
        """Pids of the master and all its descendants that still run."""
        return [int(pid) for pid in os.listdir("/proc")
                if pid.isdigit() and is_running_in_session(int(pid), self.pid)]

    def children(self):
        """What each child of the master calls itself, oldest first."""
        titles = {}
        for pid in read_file(f"/proc/{self.pid}/task/{self.pid}/children").split():
            try:
                title = read_file(f"/proc/{int(pid)}/cmdline").partition(b"\0")[0].decode()
                # One that is as long as the command line was gets a space at its end.
                titles[int(pid)] = title.rstrip()
            except (FileNotFoundError, ProcessLookupError):
                pass  # It has just left.
        return titles

    def titles(self):
        """What each worker calls itself: {pid: "sinkd: worker 3 (idle)"}."""
        return {pid: title for pid, title in self.children().items()
                if title.partition(": ")[2].startswith("worker")}

    def workers(self):
        """Pids of the workers, oldest first."""
        return list(self.titles())

    def keys(self):
        """Pids of the processes that have private keys, oldest first."""
        return [pid for pid, title in self.children().items() if title.partition(": ")[2] == "keys"]

    def spawners(self):
        """Who runs the commands: {pid: "daemon"}, oldest first."""
        names = {pid: title.partition(": ")[2] for pid, title in self.children().items()}
        return {pid: name[8:] for pid, name in names.items() if name.startswith("spawner ")}

    def wait_cleaned(self):
        """Until the cleaner, which is started before the server is ready, has gone."""
        lasting = "sinkd: worker", "sinkd: keys", "sinkd: spawner", "sinkd: connector"
        wait_until(lambda: all(title.startswith(lasting) for title in self.children().values()),
                   what="the end of the cleaner")

    def idle_workers(self):
        return [pid for pid, title in self.titles().items() if title.endswith("(idle)")]

    def make_readonly_maildir(self, name):
        """A Maildir that nobody may write to, not even its owner."""
        parts = [self.path(name, part) for part in ("new", "cur", "tmp", "")]
        for path in parts[:3]:
            os.makedirs(path)
        for path in parts:
            os.chmod(path, 0o555)
        self.readonly += parts

    def wait_idle(self, count, seconds=5):
        """Wait until all workers, count of them, wait for a client."""
        wait_until(lambda: len(self.idle_workers()) == len(self.workers()) == count,
                   seconds, f"{count} idle workers")

    # --- what it did ---------------------------------------------------------------

    def sinkctl(self, *words, status=0):
        """Run sinkctl against this server; what it wrote to standard output and error."""
        done = subprocess.run([SINKCTL, "-s", self.path("run", "control"), *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=20 * PATIENCE)
        assert done.returncode == status, \
            f"sinkctl {words}: status {done.returncode}, expected {status}: {done.stderr}"
        return done.stdout, done.stderr

    def connect(self, **options):
        return Client(self.addresses[0], **options)

    def log(self):
        return read_file(self.path("log")).decode(errors="backslashreplace")

    def events(self, *names):
        """The lines of the log that tell of this event, or of these."""
        name = "|".join(re.escape(name) for name in names)
        line = re.compile(rf"time=\S+ level=\S+ pid=\d+ event=({name})( .*)?")
        return [text for text in self.log().splitlines() if line.fullmatch(text)]

    def stored(self):
        """The messages delivered to the default mailbox, as bytes."""
        return [read_file(os.path.join(self.maildir, "new", name)) for name in self.listing("new")]

    def listing(self, part):
        """The names in a part of the default mailbox: "tmp", "new" or "cur"."""
        return sorted(os.listdir(os.path.join(self.maildir, part)))


class Client:
    """A client that sends bytes and reads replies; it knows no protocol of its own."""

    def __init__(self, address, seconds=10, receive_buffer=None, source=None):
        self.socket = socket.socket(family_of(address), socket.SOCK_STREAM)
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds * PATIENCE)
        self.socket.connect(address)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Close so that the server gets an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end_of_input(self):
        """Send a FIN, go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next line without its end; None when the server has closed."""
        while b"\r\n" not in self.received:
            try:
                piece = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError):
                piece = b""
            if not piece:
                assert not self.received, f"closed inside a line: {self.received!r}"
                return None
            self.received += piece
        line, _, self.received = self.received.partition(b"\r\n")
        return line.decode("ascii")

    def reply(self):
        """The next reply, its lines joined with newlines; None at the end."""
        lines = [self.line()]
        while lines[-1] and lines[-1][3:4] == "-":
            lines.append(self.line())
        return None if lines[-1] is None else "\n".join(lines)

    def expect(self, beginning):
        """Read a reply, which must begin so; return all of it."""
        reply = self.reply()
        assert reply is not None and reply.startswith(beginning), \
            f"expected {beginning!r}, got {reply!r}"
        return reply

    def expect_closed(self):
        reply = self.reply()
        assert reply is None, f"expected the end of the connection, got {reply!r}"

    def command(self, line, beginning):
        """Send a command and expect a reply that begins so."""
        self.send(line.encode() + b"\r\n")
        return self.expect(beginning)

    def greet(self):
        self.expect("220 ")
        return self.command("EHLO client.example", "250-")

    def address_message(self, recipient="b@example.net", sender="a@example.com"):
        self.command(f"MAIL FROM:<{sender}>", "250 ")
        self.command(f"RCPT TO:<{recipient}>", "250 ")

    def wrap(self, context, name="localhost", session=None):
        """Shake hands."""
        assert not self.received
        self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)

    def start_tls(self, context, **options):
        self.command("STARTTLS", "220 2.0.0 ")
        self.wrap(context, **options)

    def open_message(self, **envelope):
        """As far as the 354."""
        self.address_message(**envelope)
        self.command("DATA", "354 ")

    def deliver(self, text, **envelope):
        """A whole transaction with text as it goes over the wire; the final reply."""
        self.open_message(**envelope)
        self.send(text + b".\r\n")
        return self.expect("250 2.0.0 Ok: ")

    def fail_to_deliver(self, text, beginning, **envelope):
        """A transaction whose DATA, or whose dot, must be refused with this reply."""
        self.address_message(**envelope)
        self.send(b"DATA\r\n")
        reply = self.reply()
        if reply.startswith("354 "):
            self.send(text + b".\r\n")
            reply = self.reply()
        assert reply.startswith(beginning), f"expected {beginning!r}, got {reply!r}"
        self.command("RSET", "250 ")


def split_address(text):
    """ "127.0.0.1:25", "[::1]:25" and "unix:/path" to what socket.connect takes."""
    if text.startswith("unix:"):
        return text[5:]
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def free_ports(count):
    """Ports that nobody listens on, below those that the kernel gives to clients.  What
    another thread of ours starts just now has a copy of each socket for a moment: so they
    are not only closed."""
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < count:
            with contextlib.suppress(OSError):
                port = random.randrange(20000, 32000)
                taken = stack.enter_context(socket.create_server(("127.0.0.1", port)))
                stack.callback(taken.shutdown, socket.SHUT_RDWR)
                ports.append(port)
        return ports


def family_of(address):
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def is_running_in_session(pid, session):
    try:
        # The fields after the name: state, parent, group, session, ...
        fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(fields[3]) == session and fields[0] not in (b"Z", b"X")
