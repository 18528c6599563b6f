"""syslogd gets a datagram for each line; when it is away or slow, lines are lost and
nothing else is."""

import contextlib
import os
import re
import socket
import time

from sinkd_server import SINKD, Server, wait_until
from wire_test import output_of, run

MESSAGE = b"Subject: x\r\n\r\n"
HEADER = re.compile(r"<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) sinkd\[(\d+)\]: (\S.*)")


class Syslogd:
    """The socket of a syslogd; leaving it is its end."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(path)
        # Workers of a server started by root are another user.
        os.chmod(path, 0o666)
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        # The server may have taken its directory with it.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def read(self):
        """All lines up to now, a datagram each."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines.append(self.socket.recv(65536).decode("ascii"))
        return self.lines

    def wait_for(self, text):
        """The lines that have text in them, once there is one."""
        return wait_until(lambda: [line for line in self.read() if text in line],
                          what=f"{text!r} in syslog")

    def fill(self, senders):
        """Fill the queue until nobody can send any more."""
        has_room = True
        while has_room:
            sender = senders.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sender.setblocking(False)
            has_room = False
            with contextlib.suppress(BlockingIOError):
                while True:
                    sender.sendto(b"filler", self.path)
                    has_room = True


def server_for_syslog(*arguments, options="", **environment):
    """A server, and the path where it looks for its syslogd."""
    server = Server("-w", "1", *arguments, environment=environment)
    path = server.path("syslogd")
    with open(server.path("sinkd.conf"), "w") as file:
        file.write(f'log {{ target = "syslog:{path}" {options} }}\n')
    server.arguments += ["-f", server.path("sinkd.conf")]
    return server, path


def deliver(server):
    with server.connect() as client:
        client.greet()
        return client.deliver(MESSAGE).split()[-1]


def lines_are_as_the_c_library_sends_them():
    # A zone far from UTC; the name means nothing.
    server, path = server_for_syslog(TZ="TEST-5:30")
    with Syslogd(path) as syslogd, server:
        message_id = deliver(server)
        [line] = syslogd.wait_for(f" id={message_id} ")
        priority, when, pid, text = HEADER.fullmatch(line).groups()
        # mail.info
        assert int(priority) == 2 * 8 + 6, line
        assert int(pid) == server.workers()[0], line
        assert re.match(rf"time=\S+Z level=info pid={pid} event=message.accepted ", text), line
        now = time.time() + 5.5 * 3600
        assert when in {time.strftime("%b %e %H:%M:%S", time.gmtime(now - age))
                        for age in range(-1, 60)}, line
        syslogd.wait_for("event=session.end")
        assert all(HEADER.fullmatch(line) for line in syslogd.lines)
        assert "event=server.start" not in server.log()


def json_goes_there_too():
    server, path = server_for_syslog("-v", options='format = "json"')
    with Syslogd(path) as syslogd, server, server.connect() as client:
        client.greet()
        # Ten lines may be all that fits into the queue.
        syslogd.read()
        client.send(b"NOOP <0>forged\x00\xff\r\n")
        client.reply()
        for line in syslogd.wait_for("NOOP") + syslogd.lines:
            assert re.fullmatch(r'\{"time":"[ -~]*\}', HEADER.fullmatch(line)[4]), line


def a_restarted_syslogd_is_found():
    server, path = server_for_syslog()
    with Syslogd(path) as syslogd:
        server.start()
    with contextlib.ExitStack() as stack:
        # Started already; leaving stops and checks it.
        stack.push(server.__exit__)
        lost = deliver(server)
        with Syslogd(path) as syslogd:
            found = deliver(server)
            syslogd.wait_for(f" id={found} ")
            assert not any(lost in line for line in syslogd.lines), syslogd.lines


def a_late_syslogd_is_found():
    server, path = server_for_syslog()
    with server:
        deliver(server)
        with Syslogd(path) as syslogd:
            syslogd.wait_for(f" id={deliver(server)} ")
        assert server.log() == "", server.log()


def a_full_queue_holds_nobody():
    server, path = server_for_syslog()
    with Syslogd(path) as syslogd, server, contextlib.ExitStack() as senders:
        syslogd.read()
        syslogd.fill(senders)
        lost = deliver(server)
        assert len(server.stored()) == 1
        assert not any(lost in line for line in syslogd.read()), syslogd.lines
        syslogd.wait_for(f" id={deliver(server)} ")


def what_stops_the_server_is_told():
    """A fatal line goes to standard error when there is no syslogd to take it."""
    server, path = server_for_syslog()
    command = [SINKD, *server.arguments, "--maildir", "/dev/null/Maildir"]
    try:
        said = output_of(*command, status=78)
        assert "level=fatal" in said and 'reason="Not a directory"' in said, said
        with Syslogd(path) as syslogd:
            assert output_of(*command, status=78) == f"sinkd: cannot start, see syslog:{path}\n"
            [line] = syslogd.wait_for("event=server.failed")
            assert line.startswith(f"<{2 * 8 + 2}>"), line
    finally:
        server.discard_all()


run(lines_are_as_the_c_library_sends_them, json_goes_there_too, a_restarted_syslogd_is_found,
    a_late_syslogd_is_found, a_full_queue_holds_nobody, what_stops_the_server_is_told)
