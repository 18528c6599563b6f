"""sinkctl passwd: lines for the users file, from a terminal and from a pipe."""

import base64
import hashlib
import hmac
import os
import pty
import re
import select
import subprocess

from sinkd_server import SINKCTL
from wire_test import run

PASSWORD = "a secret: {of} ours"
USAGE, FAILURE = 64, 1
WAIT_S = 30


def passwd(*arguments, stdin=PASSWORD + "\n", status=0):
    """What it writes, and what it says."""
    typed = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run([SINKCTL, *arguments], input=typed, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=WAIT_S)
    assert done.returncode == status, (arguments, done)
    assert not re.search(rb"a secret", done.stderr), done
    return done.stdout.decode(), done.stderr.decode()


def each_scheme_makes_a_line():
    for scheme, form in (
            (None, r"joe:\$y\$j9T\$[./A-Za-z0-9]{22}\$[./A-Za-z0-9]{43}\n"),
            ("yescrypt", r"joe:\$y\$j9T\$[./A-Za-z0-9]{22}\$[./A-Za-z0-9]{43}\n"),
            ("sha512", r"joe:\$6\$[./A-Za-z0-9]{16}\$[./A-Za-z0-9]{86}\n"),
            ("bcrypt", r"joe:\$2b\$10\$[./A-Za-z0-9]{53}\n"),
            ("scram-sha-256", r"joe:\{SCRAM-SHA-256\}10000,[+/=\w]{24},[+/=\w]{44},[+/=\w]{44}\n"),
            ("plain", re.escape("joe:{PLAIN}" + PASSWORD) + r"\n")):
        options = [] if scheme is None else ["--scheme", scheme]
        for arguments in (["passwd", *options, "joe"], [*options, "passwd", "joe"]):
            line, said = passwd(*arguments)
            assert re.fullmatch(form, line), (scheme, line)
            assert said == "", said


def two_lines_are_never_the_same():
    for scheme in "yescrypt", "sha512", "bcrypt", "scram-sha-256":
        assert len({passwd("--scheme", scheme, "passwd", "joe")[0] for _ in range(3)}) == 3, scheme


def keys_are_those_of_scram():
    line, _ = passwd("--scheme", "scram-sha-256", "passwd", "joe")
    iterations, *rest = line.strip().partition("}")[2].split(",")
    salt, stored, server = map(base64.b64decode, rest)
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, int(iterations))
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    assert stored == hashlib.sha256(client).digest()
    assert server == hmac.new(salted, b"Server Key", "sha256").digest()


def only_the_first_line_counts():
    for stdin in PASSWORD, PASSWORD + "\n", PASSWORD + "\nanother\n":
        assert passwd("--scheme", "plain", "passwd", "joe", stdin=stdin)[0] == \
            "joe:{PLAIN}" + PASSWORD + "\n"
    longest = "x" * 511
    assert passwd("--scheme", "plain", "passwd", "joe", stdin=longest)[0].endswith(longest + "\n")


def what_cannot_be_is_refused():
    for name, stdin, text in (
            ("joe", "", "the password is empty"),
            ("joe", "\n", "the password is empty"),
            ("joe", "x" * 512, "the password is longer than 511 bytes"),
            ("joe", "x" * 100000 + "\n", "the password is longer than 511 bytes"),
            ("joe", "a\tb", "the password has a control character in it"),
            ("joe", b"a\0b", "the password has a control character in it"),
            ("joe", "a\r\n", "the password has a control character in it"),
            ("", "x", "the name is empty"),
            ("a:b", "x", "a name cannot begin with '#' or have ':' in it"),
            ("#a", "x", "a name cannot begin with '#' or have ':' in it"),
            ("a\nb:{PLAIN}x", "x", "the name has a control character in it"),
            (" a", "x", "the name begins or ends with a blank"),
            ("a" * 256, "x", "the name is longer than 255 bytes")):
        assert passwd("passwd", name, stdin=stdin, status=FAILURE) == ("", f"sinkctl: {text}\n"), name
    assert passwd("--scheme", "scram-sha-256", "passwd", "joe", stdin=b"\xff", status=FAILURE)[1] == \
        "sinkctl: the password has characters that SCRAM forbids (RFC 4013)\n"


def a_bad_command_line_is_64():
    for arguments, named in (
            (["passwd"], "name of a user"), (["passwd", "joe", "ann"], "ann"),
            (["--scheme", "md5", "passwd", "joe"], "md5"),
            (["--scheme", "plain", "status"], "--scheme"),
            (["--format", "json", "passwd", "joe"], "json")):
        line, said = passwd(*arguments, status=USAGE)
        assert line == "" and named in said, (arguments, said)


def output_that_cannot_be_written_is_told():
    with open("/dev/full", "w") as full:
        done = subprocess.run([SINKCTL, "passwd", "joe"], input=b"x\n", stdout=full,
                              stderr=subprocess.PIPE, timeout=WAIT_S)
    assert done.returncode == FAILURE and b"cannot write" in done.stderr, done


class Terminal:
    """sinkctl with a terminal of its own; its standard output is a pipe."""

    def __init__(self, *arguments):
        reader, writer = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.dup2(writer, 1)
            os.execv(SINKCTL, [SINKCTL, *arguments])
        os.close(writer)
        self.output = os.fdopen(reader)
        self.shown = b""

    def wait_for(self, text):
        while text not in self.shown:
            assert select.select([self.fd], [], [], WAIT_S)[0], self.shown
            self.shown += os.read(self.fd, 4096)

    def type(self, text):
        os.write(self.fd, text)

    def end(self):
        """Its exit status, its output, and all that the terminal has shown."""
        line = self.output.read()
        self.output.close()
        while select.select([self.fd], [], [], WAIT_S)[0]:
            try:
                piece = os.read(self.fd, 4096)
            except OSError:  # The other side has gone.
                break
            self.shown += piece
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), line, self.shown


def on_a_terminal_it_asks_twice_and_shows_nothing():
    for again, status, output, text in (
            (b"sesame\n", 0, "joe:{PLAIN}sesame\n", b""),
            (b"sesamo\n", FAILURE, "", b"the two passwords differ")):
        terminal = Terminal("--scheme", "plain", "passwd", "joe")
        terminal.wait_for(b"Password: ")
        terminal.type(b"sesame\n")
        terminal.wait_for(b"Once more: ")
        terminal.type(again)
        got_status, got_output, shown = terminal.end()
        assert (got_status, got_output) == (status, output), (got_status, got_output, shown)
        assert text in shown and b"sesam" not in shown, shown


run(each_scheme_makes_a_line, two_lines_are_never_the_same, keys_are_those_of_scram,
    only_the_first_line_counts, what_cannot_be_is_refused, a_bad_command_line_is_64,
    output_that_cannot_be_written_is_told, on_a_terminal_it_asks_twice_and_shows_nothing)
