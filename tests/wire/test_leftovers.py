"""What deliveries that never ended left in tmp is removed at the next start once it is 36 hours
old (maildir(5)), and nothing else.  `ahead` is sinkd with a clock 40 hours ahead."""

import contextlib
import ctypes
import os
import select
import socket
import time

from commands import keys_of, section
from sinkd_server import BUILD, SINKD, Server, wait_until
from wire_test import run

AHEAD = os.path.join(BUILD, "tests", "wire", "ahead")
HOUR = 3600
WORKER = 65534
IN_CLOSE_NOWRITE = 0x10

SECTIONS = (section("one", type="maildir", path="one")
            + section("each", type="maildir", path="mail/%{recipient.domain}/x/%{recipient.local}")
            + section("empty", type="maildir", path="empty") + section("null", type="discard"))


def make(*names, size=3, age=0):
    """A file that somebody wrote so many seconds ago, as far as it can be told."""
    path = os.path.join(*names)
    with open(path, "wb") as file:
        file.write(b"x" * size)
    if age:
        os.utime(path, (time.time() - age,) * 2)
    return path


def make_mailbox(*names):
    path = os.path.join(*names)
    for part in "tmp", "new", "cur":
        os.makedirs(os.path.join(path, part))
    return path


def give_away(directory):
    """To the workers, if they are to be somebody else."""
    if os.geteuid() == 0:
        for path, names, files in os.walk(directory):
            for name in names + files:
                os.chown(os.path.join(path, name), WORKER, WORKER, follow_symlinks=False)


def server_with(program=AHEAD, config=SECTIONS):
    user = 'user = "nobody"\n' if os.geteuid() == 0 else ""
    return Server("-w", "1", program=program, config=user + config)


def cleaned(server, name):
    """How many files the log says were removed from a section."""
    lines = map(keys_of, server.events("delivery.cleaned"))
    return [int(line["files"]) for line in lines if line["delivery"] == name]


def old_files_go_and_all_else_stays():
    server = server_with()
    one = make_mailbox(server.path("one"))
    ann = make_mailbox(server.path("mail", "example.net", "x", "ann"))
    bob = make_mailbox(server.path("mail", "example.org", "x", "bob"))

    go = [make(one, "tmp", "old"), make(one, "tmp", ".hidden"), make(one, "tmp", "empty", size=0),
          make(one, "tmp", "very old", age=1000 * HOUR), make(ann, "tmp", "old"),
          make(bob, "tmp", "old"), make(bob, "tmp", "older")]
    os.chmod(make(one, "tmp", "unreadable"), 0)
    go.append(os.path.join(one, "tmp", "unreadable"))

    elsewhere = make_mailbox(server.path("elsewhere"))
    stay = [make(one, "new", "old"), make(one, "cur", "old"), make(ann, "new", "old"),
            make(one, "old"), make(elsewhere, "tmp", "old"),
            # 40 - 6 hours
            make(one, "tmp", "younger", age=-6 * HOUR), make(bob, "tmp", "younger", age=-6 * HOUR)]
    # Things of other kinds
    os.mkdir(os.path.join(one, "tmp", "directory"))
    stay.append(make(one, "tmp", "directory", "old"))
    os.symlink(stay[0], os.path.join(one, "tmp", "link"))
    os.mkfifo(os.path.join(one, "tmp", "fifo"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(one, "tmp", "socket"))
    stay += [os.path.join(one, "tmp", name) for name in ("link", "fifo", "socket")]
    # Links to mailboxes, and to a tmp
    os.symlink(elsewhere, server.path("mail", "example.net", "x", "link"))
    os.symlink(server.path("mail", "example.net"), server.path("mail", "link.example"))
    halfway = make_mailbox(server.path("mail", "example.net", "x", "halfway"))
    os.rmdir(os.path.join(halfway, "tmp"))
    os.symlink(os.path.join(elsewhere, "tmp"), os.path.join(halfway, "tmp"))
    # Directories called tmp that are no part of a mailbox, or not where one can be
    for names in (("example.net", "x", "incomplete", "tmp"), ("example.net", "tmp"), ("tmp",),
                  ("example.net", "x", "ann", "deeper", "tmp"), ("example.net", "y", "carl", "tmp")):
        os.makedirs(server.path("mail", *names), exist_ok=True)
        stay.append(make(server.path("mail", *names), "old"))
    for part in "new", "cur":
        for names in ((), ("example.net",), ("example.net", "x", "ann", "deeper"),
                      ("example.net", "y", "carl")):
            os.mkdir(server.path("mail", *names, part))
    os.mkdir(server.path("mail", "example.net", "x", "incomplete", "new"))
    give_away(server.directory)

    with server:
        wait_until(lambda: cleaned(server, "one") and cleaned(server, "each"), what="the cleaning")
        assert cleaned(server, "one") == [5] and cleaned(server, "each") == [3]
        assert cleaned(server, "empty") == [] == cleaned(server, "null")
        left = [path for path in go if os.path.lexists(path)]
        lost = [path for path in stay if not os.path.lexists(path)]
        assert not left and not lost, (left, lost)


def what_came_lately_stays_whatever_its_date():
    server = server_with(program=SINKD)
    one = make_mailbox(server.path("one"))
    copied = make(one, "tmp", "copied with its date", age=100 * HOUR)
    give_away(server.directory)
    with watch(os.path.join(one, "tmp")) as was_read, server:
        wait_until(was_read, what="the cleaning")
        assert os.path.exists(copied) and not server.events("delivery.cleaned")


@contextlib.contextmanager
def watch(directory):
    """Gives a function that says whether somebody has read the directory to its end."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    assert fd >= 0 and libc.inotify_add_watch(fd, directory.encode(), IN_CLOSE_NOWRITE) >= 0
    try:
        yield lambda: bool(select.select([fd], [], [], 0)[0])
    finally:
        os.close(fd)


def one_that_cannot_be_entered_does_not_keep_the_rest_from_it():
    server = server_with()
    mailboxes = [make_mailbox(server.path("mail", "example.net", "x", name)) for name in "amz"]
    files = [make(path, "tmp", "old") for path in mailboxes]
    give_away(server.directory)
    os.chmod(mailboxes[1], 0)
    with server:
        try:
            wait_until(lambda: cleaned(server, "each") == [2], what="the cleaning")
            assert [os.path.exists(path) for path in (files[0], files[2])] == [False] * 2
        finally:
            os.chmod(mailboxes[1], 0o700)
        assert os.path.exists(files[1])


def many_are_removed_while_the_server_serves():
    server = server_with()
    one = make_mailbox(server.path("one"))
    for number in range(3000):
        make(one, "tmp", str(number))
    give_away(server.directory)
    with server, server.connect() as client:
        client.greet()
        wait_until(lambda: cleaned(server, "one") == [3000], what="the cleaning")
        assert os.listdir(os.path.join(one, "tmp")) == []
        client.command("NOOP", "250 ")


run(old_files_go_and_all_else_stays, what_came_lately_stays_whatever_its_date,
    one_that_cannot_be_entered_does_not_keep_the_rest_from_it,
    many_are_removed_while_the_server_serves)
