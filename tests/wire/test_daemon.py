"""--daemon: the command returns when the server is ready, or with what is wrong."""

import os
import re
import signal
import socket
import subprocess
import tempfile

from sinkd_server import SINKD, Client, PATIENCE, read_file, split_address, wait_until
from wire_test import run


class Place:
    """A directory for servers that leave their caller; they are known by their pid file,
    and by the directory they work in."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="sinkd-wire-")
        self.directory = self.temporary.name
        os.chmod(self.directory, 0o755)
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": self.path("run")}
        return self

    def __exit__(self, *_):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), what="the end of what was left")
        self.temporary.cleanup()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def config(self, text):
        with open(self.path("conf"), "w") as file:
            file.write(text)
        return ["-f", self.path("conf")]

    def sinkd(self, *arguments, status=0, **options):
        """Run the command; returns what it said when it has left and nobody holds its
        output any more."""
        done = subprocess.run([SINKD, "-D", *arguments], cwd=self.directory, text=True,
                              env=self.environment, stdin=subprocess.DEVNULL, timeout=20 * PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        assert done.returncode == status, (done.returncode, done.stdout)
        return done.stdout

    def pid(self):
        try:
            return int(re.fullmatch(rb"(\d+)\n", read_file(self.path("run", "sinkd.pid")))[1])
        except FileNotFoundError:
            return None

    def processes(self):
        """All sinkd that work here."""
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.is_ours(pid)]

    def is_ours(self, pid):
        try:
            return (os.readlink(f"/proc/{pid}/cwd") == os.path.realpath(self.directory)
                    and read_file(f"/proc/{pid}/comm") == b"sinkd\n")
        except (OSError, ProcessLookupError):
            return False

    def stop(self):
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: self.pid() is None and pid not in self.processes(), 5,
                   "the end of the daemon")
        wait_until(lambda: not self.processes(), 5, "the end of its workers")


LOG = 'log {{ target = "{}" }}\n'


def ready_when_the_command_returns():
    with Place() as place:
        said = place.sinkd("-l", "unix:" + place.path("sink"),
                           *place.config(LOG.format(place.path("log"))))
        assert said == "", said
        pid = place.pid()
        assert pid in place.processes() and os.getsid(pid) == pid
        with Client(place.path("sink")) as client:
            client.greet()
            client.deliver(b"Subject: to a daemon\r\n\r\n")
        # The directory is still that of the caller.
        assert len(os.listdir(place.path("Maildir", "new"))) == 1
        for fd in 0, 1, 2:
            assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
        place.stop()
        assert not os.path.exists(place.path("sink"))


def ready_fd_works_too():
    with Place() as place:
        ready, ready_of_server = os.pipe()
        place.sinkd("--discard", "-l", "127.0.0.1:0", "--ready-fd", str(ready_of_server),
                    *place.config(LOG.format(place.path("log"))), pass_fds=[ready_of_server])
        os.close(ready_of_server)
        with open(ready) as lines:
            [line] = lines
        with Client(split_address(line.split()[1])) as client:
            client.greet()
        place.stop()


def a_start_that_fails_is_told():
    with Place() as place, socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        said = place.sinkd("--discard", "-l", address, status=1)
        assert address in said and "in use" in said, said
        said = place.sinkd(*place.config("nonsense = 1\n"), status=78)
        assert "conf:1:" in said, said
        assert place.pid() is None and place.processes() == []


def a_first_worker_that_fails_is_told():
    with Place() as place:
        with open(place.path("file"), "w"):
            pass
        log = place.path("log")
        said = place.sinkd("--maildir", place.path("file", "Maildir"), "-l", "127.0.0.1:0",
                           *place.config(LOG.format(log)), status=78)
        assert log in said and b"event=server.failed" in read_file(log), said
        assert place.pid() is None and place.processes() == []


def what_would_go_to_stderr_goes_to_syslog():
    with Place() as place:
        with open(place.path("file"), "w"):
            pass
        said = place.sinkd("--maildir", place.path("file", "Maildir"), "-l", "127.0.0.1:0",
                           status=78)
        assert "cannot start, see syslog" in said, said


def a_second_server_leaves_the_pid_file_alone():
    with Place() as place:
        log, other_log = place.path("log"), place.path("other-log")
        place.sinkd("--discard", "-l", "127.0.0.1:0", *place.config(LOG.format(log)))
        first = place.pid()
        ready, ready_of_server = os.pipe()
        second = subprocess.Popen(
            [SINKD, "--discard", "-l", "127.0.0.1:0", "--ready-fd", str(ready_of_server),
             *place.config(LOG.format(other_log))],
            cwd=place.directory, env=place.environment, pass_fds=[ready_of_server])
        os.close(ready_of_server)
        with open(ready) as lines:
            assert next(lines).startswith("ready ")
        assert place.pid() == first
        assert b"event=server.runtime" in read_file(other_log)
        assert b"event=server.runtime" not in read_file(log)
        second.terminate()
        assert second.wait() == 0
        assert place.pid() == first
        place.stop()


def a_pid_file_that_was_left_behind_is_replaced():
    with Place() as place:
        config = place.config(LOG.format(place.path("log")))
        place.sinkd("--discard", "-l", "127.0.0.1:0", *config)
        killed = place.pid()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not place.processes(), what="the end of the workers")
        assert place.pid() == killed
        place.sinkd("--discard", "-l", "127.0.0.1:0", *config)
        assert place.pid() not in (None, killed)
        place.stop()


def a_directory_that_cannot_be_had_is_no_end():
    with Place() as place:
        os.mkdir(place.path("run"))
        os.chmod(place.path("run"), 0o777)
        log = place.path("log")
        ready, ready_of_server = os.pipe()
        server = subprocess.Popen(
            [SINKD, "--discard", "-l", "127.0.0.1:0", "--ready-fd", str(ready_of_server),
             *place.config(LOG.format(log))],
            cwd=place.directory, env=place.environment, pass_fds=[ready_of_server])
        os.close(ready_of_server)
        with open(ready) as lines:
            assert next(lines).startswith("ready ")
        assert b"event=server.runtime" in read_file(log)
        assert os.listdir(place.path("run")) == []
        server.terminate()
        assert server.wait() == 0


def an_upgrade_of_a_daemon():
    with Place() as place:
        sink, log = place.path("sink"), place.path("log")
        place.sinkd("--discard", "-l", "unix:" + sink, *place.config(LOG.format(log)))
        old = place.pid()
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: place.pid() != old and old not in place.processes(), 10, "a new daemon")
        assert os.getsid(place.pid()) == old, "it has detached once more"
        with Client(sink) as client:
            client.greet()
        place.stop()
        assert not os.path.exists(sink)


def why_an_upgrade_of_a_daemon_fails():
    """Nobody reads its standard error, so it is in the log."""
    with Place() as place, socket.create_server(("127.0.0.1", 0)) as taken:
        config, log = LOG.format(place.path("log")), place.path("log")
        listen = 'listen "a" { address = {"127.0.0.1:%d"} }\n'
        place.sinkd("--discard", *place.config(config + listen % 0))
        for wrong, why in (("nonsense = 1\n", rb"result=failed new=\d+ line=\S*conf:1: .*nonsense"),
                           (config + listen % taken.getsockname()[1], rb"server.failed .*in use")):
            place.config(wrong)
            pid = place.pid()
            os.kill(pid, signal.SIGUSR2)
            wait_until(lambda: re.search(rb"result=failed.* status=", read_file(log)), 10, "failure")
            assert re.search(why, read_file(log).replace(b'"', b"")), read_file(log)
            assert place.pid() == pid
            os.truncate(log, 0)
        place.stop()


run(ready_when_the_command_returns, ready_fd_works_too, a_start_that_fails_is_told,
    a_first_worker_that_fails_is_told, what_would_go_to_stderr_goes_to_syslog,
    a_second_server_leaves_the_pid_file_alone, a_pid_file_that_was_left_behind_is_replaced,
    a_directory_that_cannot_be_had_is_no_end, an_upgrade_of_a_daemon,
    why_an_upgrade_of_a_daemon_fails)
