"""A disk that is full, read-only or gone, a quota, and a table of open files that is full:
each costs the client a retry, never a message; nothing is half delivered, no command runs for
a message that could not be kept, and all is well again when the fault has gone.

Prints a table: what the client, the log and the disk showed, for a maildir, for a command
(whose large messages are spooled) and for both together."""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

from commands import keys_of, listen, section
from lmtp import LmtpClient, lmtp_listener
from sinkd_server import Client, Server, read_file, status_of, wait_until
from wire_test import need_program, need_root, output_of, run, skip
from workshop import Workshop

IN_NAMESPACE = "SINKD_WIRE_IN_NAMESPACE"
LINE = b"x" * 998 + b"\r\n"
SMALL, BIG = b"Subject: small\r\n\r\n", LINE * 600
SIZES = {"small": SMALL, "big": BIG}

WAYS = {"maildir": ["inbox"], "pipe": ["handler"], "both": ["handler", "inbox"]}
ACCEPTED, FULL, LATER = "250 2.0.0", "452 4.3.1", "451 4.3.0"


class Bench:
    """A server with one worker, a listener for each way, and disks of its own."""

    def __init__(self, shop):
        self.shop = shop
        self.store, self.spool = shop.path("store"), shop.path("spool")
        # A shell would want more descriptors than this.
        handler = shutil.which("dd"), f"of={shop.path('ran', 'message')}", "status=none"
        self.server = Server(workers=1, listen=None, config=(
            f'spool-dir = "{self.spool}/dir"\n'
            + section("inbox", type="maildir", path=f"{self.store}/top/inbox")
            + section("handler", *handler)
            + "".join(listen(way, *names) for way, names in WAYS.items())))

    def __enter__(self):
        for path in os.path.join(self.store, "top"), os.path.join(self.spool, "dir"):
            os.makedirs(path, exist_ok=True)
        os.chmod(os.path.join(self.spool, "dir"), 0o1777)
        self.server.__enter__()
        return self

    def __exit__(self, *failure):
        return self.server.__exit__(*failure)

    def process(self, kind):
        """The pid of the only child of this kind; a child has its parent's title at first."""
        def found():
            return [pid for pid, title in self.server.children().items()
                    if title.partition(": ")[2].startswith(kind)]

        return wait_until(lambda: len(pids := found()) == 1 and pids, what=f"one {kind}")[0]

    def connect(self, way):
        client = Client(self.server.addresses[list(WAYS).index(way)])
        client.greet()
        return client

    def disk(self):
        """What is in the mailbox and what commands have got: how many of each."""
        inbox = os.path.join(self.store, "top", "inbox")
        with contextlib.suppress(FileNotFoundError):
            assert os.listdir(os.path.join(inbox, "tmp")) == []
        with contextlib.suppress(FileNotFoundError):
            assert os.listdir(os.path.join(self.spool, "dir")) == []
        stored = []
        with contextlib.suppress(FileNotFoundError):
            new = os.path.join(inbox, "new")
            stored = [read_file(os.path.join(new, name)) for name in os.listdir(new)]
        return stored, list(self.shop.ran().values())

    def forget(self):
        self.shop.forget()
        with contextlib.suppress(FileNotFoundError):
            new = os.path.join(self.store, "top", "inbox", "new")
            for name in os.listdir(new):
                os.remove(os.path.join(new, name))

    def attempt(self, client, text):
        """Try to deliver; the reply to DATA or to the dot, and whether it was the dot."""
        client.address_message()
        client.send(b"DATA\r\n")
        reply = client.reply()
        has_begun = reply.startswith("354 ")
        if has_begun:
            client.send(text + b".\r\n")
            reply = client.reply()
        if not reply.startswith("250 "):
            client.command("RSET", "250 ")
        return reply, has_begun

    def events_since(self, seen, is_good):
        """What the log has of a message from there on; nothing as long as the reason for a
        failure is not there.  What becomes of a command its spawner tells."""
        told = re.findall(r" event=((?:message|delivery|command)\.\w+)(.*)", self.server.log()[seen:])
        # The cleaner has its own troubles, from the start of the server on.
        told = [(name, keys) for name, keys in told if ' step="clean' not in keys]
        return told if is_good or {"delivery.failed", "command.end"} & set(dict(told)) else None

    def check(self, fault, way, size, text, client, allowed):
        """One row of the table.  Returns the reply."""
        seen = len(self.server.log())
        reply, has_begun = self.attempt(client, text)
        stored, ran = self.disk()
        is_good = reply.startswith("250 ")
        told = wait_until(lambda: self.events_since(seen, is_good), what="the reason in the log")
        print(f"{fault:22} {size:5} {way:7} {reply[:44]:44} {', '.join(map(in_short, told)):70} "
              f"stored {len(stored)}, ran {len(ran)}", flush=True)
        assert reply.startswith(allowed), (fault, way, size, reply, allowed)
        assert len(stored) == (is_good and "inbox" in WAYS[way]), (fault, way, size, stored)
        assert len(ran) == (is_good and "handler" in WAYS[way]), (fault, way, size, ran)
        for message in stored + ran:
            assert message.endswith(text.replace(b"\r\n", b"\n")), message[:300]
        names = [name for name, _ in told]
        assert names.count("message.accepted") == is_good, told
        # What is refused at DATA is no message.
        assert names.count("message.refused") == (has_begun and not is_good), told
        assert not is_good or "delivery.failed" not in names, told
        if is_good:
            self.forget()
        return reply


def in_short(event):
    """What is worth showing of an event."""
    name, keys = event[0], keys_of(event[1])
    return " ".join([name, *(keys[key] for key in ("step", "reason") if key in keys)])


# --- faults of disks, which only root can make -------------------------------------------

def mount(directory, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=1777", "tmpfs", directory],
                   check=True)


def remount(directory, options):
    subprocess.run(["mount", "-o", f"remount,{options}", directory], check=True)


@contextlib.contextmanager
def nothing(_):
    yield


@contextlib.contextmanager
def no_room(directory):
    path = os.path.join(directory, "filler")
    try:
        with open(path, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
        yield
    finally:
        os.remove(path)


@contextlib.contextmanager
def no_inodes(directory):
    paths = (os.path.join(directory, f"filler{number}") for number in range(10000))
    made = []
    try:
        with contextlib.suppress(OSError):
            for path in paths:
                with open(path, "x"):
                    made.append(path)
        yield
    finally:
        for path in made:
            os.remove(path)


@contextlib.contextmanager
def read_only(directory):
    remount(directory, "ro")
    try:
        yield
    finally:
        remount(directory, "rw")


# Fault, where, size of the message, and the replies expected from maildir, pipe and both.
DISK_FAULTS = [
    ("none", nothing, None, "small", (ACCEPTED, ACCEPTED, ACCEPTED)),
    ("none", nothing, None, "big", (ACCEPTED, ACCEPTED, ACCEPTED)),
    ("mailbox disk full", no_room, "store", "small", (FULL, ACCEPTED, FULL)),
    ("mailbox disk full", no_room, "store", "big", (FULL, ACCEPTED, FULL)),
    ("no room for more", nothing, None, "huge", (FULL, FULL, FULL)),
    ("spool disk full", no_room, "spool", "small", (ACCEPTED, ACCEPTED, ACCEPTED)),
    ("spool disk full", no_room, "spool", "big", (ACCEPTED, FULL, FULL)),
    ("mailbox: no inodes", no_inodes, "store", "small", (FULL, ACCEPTED, FULL)),
    ("spool: no inodes", no_inodes, "spool", "big", (ACCEPTED, FULL, FULL)),
    ("mailbox read-only", read_only, "store", "small", (LATER, ACCEPTED, LATER)),
    ("mailbox read-only", read_only, "store", "big", (LATER, ACCEPTED, LATER)),
    ("spool read-only", read_only, "spool", "small", (ACCEPTED, ACCEPTED, ACCEPTED)),
    ("spool read-only", read_only, "spool", "big", (ACCEPTED, LATER, LATER)),
]


def faults_of_disks():
    need_root()
    if IN_NAMESPACE not in os.environ:
        # All but its own lines of result.
        print(*(line for line in run_in_namespace().splitlines() if not line.startswith("ok ")),
              sep="\n")
        return
    with Workshop() as shop:
        for name in "store", "spool":
            mount(shop.make_directory(name), "size=1m,nr_inodes=64")
        with Bench(shop) as bench:
            for fault, make, where, size, replies in DISK_FAULTS:
                text = SIZES.get(size, LINE * 2000)
                for way, reply in zip(WAYS, replies):
                    with bench.connect(way) as client:
                        with make(where and shop.path(where)):
                            bench.check(fault, way, size, text, client, reply)
                        bench.check("and after it", way, "big", BIG, client, ACCEPTED)


def room_for_some_of_the_copies():
    """With LMTP those who still fit have their message; with SMTP nobody has."""
    names = [f"u{number}" for number in range(10)]
    with Workshop() as shop:
        store = shop.make_directory("store")
        mount(store, "size=1m")
        config = (section("each", type="maildir", path=f"{store}/each/%{{recipient.local}}")
                  + listen("smtp", "each") + lmtp_listener("each"))
        with Server(workers=1, listen=None, config=config) as server:
            def stored():
                found = {}
                for name in os.listdir(os.path.join(store, "each")):
                    assert os.listdir(os.path.join(store, "each", name, "tmp")) == []
                    new = os.path.join(store, "each", name, "new")
                    found[name] = [os.stat(os.path.join(new, file)).st_size > 150000
                                   for file in os.listdir(new)]
                return {name: whole for name, whole in found.items() if whole}

            with Client(server.addresses[0]) as client:
                client.greet()
                client.command("MAIL FROM:<>", "250 ")
                for name in names:
                    client.command(f"RCPT TO:<{name}@example.net>", "250 ")
                client.command("DATA", "354 ")
                client.send(LINE * 150 + b".\r\n")
                client.expect(FULL)
                assert stored() == {}, stored()
            with LmtpClient(server.addresses[1]) as client:
                client.greet()
                replies = client.results([f"{name}@example.net" for name in names], LINE * 150)
                print("copies, by LMTP:", *(reply[:9] for reply in replies))
                good = [name for name, reply in zip(names, replies) if reply.startswith(ACCEPTED)]
                assert 3 <= len(good) <= 7, replies
                assert all(reply.startswith((ACCEPTED, FULL)) for reply in replies), replies
                assert stored() == {name: [True] for name in good}, stored()


def run_in_namespace():
    """Run this script again where a mount is seen by nobody else; what it printed."""
    unshare = [need_program("unshare"), "--mount", "--"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        skip("no mount namespaces here")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        return output_of(*unshare, sys.executable, __file__,
                         env={**os.environ, IN_NAMESPACE: "1", "TMPDIR": directory})


# --- limits of a process -----------------------------------------------------------------

@contextlib.contextmanager
def limited(pid, name, row, value):
    """With a soft limit, by the name that prlimit(1) has for it and that of its row in /proc."""
    [line] = [line for line in read_file(f"/proc/{pid}/limits").decode().splitlines()
              if line.startswith(row)]
    before = line[len(row):].split()[0]
    status = status_of(pid)
    identity = {"user": int(status["Uid"][0]), "group": int(status["Gid"][0]), "extra_groups": []}

    def set_limit(soft):
        # Only whoever has the same user may, or a root that has all its rights.
        output_of(need_program("prlimit"), f"--pid={pid}", f"--{name}={soft}:",
                  **(identity if os.geteuid() == 0 else {}))

    set_limit(value)
    try:
        yield
    finally:
        set_limit(before)


def a_quota():
    """A limit for files, whether they have names or not."""
    with Workshop() as shop, Bench(shop) as bench:
        worker = bench.process("worker")
        for way in WAYS:
            with bench.connect(way) as client:
                for kib in 100, 256, 400:
                    with limited(worker, "fsize", "Max file size", kib * 1024):
                        bench.check(f"quota of {kib} KiB", way, "big", BIG, client, FULL)
                        bench.check(f"quota of {kib} KiB", way, "small", SMALL, client, ACCEPTED)
                bench.check("and after it", way, "big", BIG, client, ACCEPTED)
        assert bench.process("worker") == worker, "it is another one"


def no_descriptors():
    """One more in each round, until there are enough for a message."""
    with Workshop() as shop, Bench(shop) as bench:
        for kind, ways in ("worker", WAYS), ("spawner", ("pipe", "both")):
            pid = bench.process(kind)
            for way in ways:
                for size, text in SIZES.items():
                    with bench.connect(way) as client:
                        sweep_descriptors(bench, client, kind, pid, way, size, text)
                        bench.check("and after it", way, size, text, client, ACCEPTED)
            assert bench.process(kind) == pid, "it is another one"


def sweep_descriptors(bench, client, kind, pid, way, size, text):
    # Fewer than are open, and nothing can be waited for.  Descriptors on their way to another
    # process are counted for all processes of a user, so it may take many more.
    least = len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 12
    for count in itertools.chain(range(least, least + 12), (64, 128, 256, 512, 1024)):
        with limited(pid, "nofile", "Max open files", count):
            reply = bench.check(f"{kind}: {count} files", way, size, text, client, (ACCEPTED, LATER))
        if reply.startswith(ACCEPTED):
            return
    raise AssertionError("1024 descriptors are not enough")


# --- directories -------------------------------------------------------------------------

def vanished_directories():
    """Roots are opened once: what takes the place of one that has gone is found by new workers."""
    with Workshop() as shop, Bench(shop) as bench:
        for name, size, replies in (("store/top", "small", (LATER, ACCEPTED, LATER)),
                                    ("spool/dir", "small", (ACCEPTED, ACCEPTED, ACCEPTED)),
                                    ("spool/dir", "big", (ACCEPTED, LATER, LATER))):
            shutil.move(shop.path(name), shop.path("aside"))
            shutil.rmtree(shop.path("aside"))
            for way, reply in zip(WAYS, replies):
                with bench.connect(way) as client:
                    bench.check(f"{name} gone", way, size, SIZES[size], client, reply)
            os.mkdir(shop.path(name))
            os.chmod(shop.path(name), 0o1777)
            before = bench.process("worker")
            bench.server.sinkctl("reload")
            # One that is about to go may take a last client.
            wait_until(lambda: before not in bench.server.workers(), what="the end of the old worker")
            for way in WAYS:
                def is_well():
                    with bench.connect(way) as client:
                        reply, _ = bench.attempt(client, SIZES[size])
                    bench.forget()
                    return reply.startswith("250 ")

                wait_until(is_well, 10, f"{way} after a reload")


def a_mailbox_that_vanishes_while_the_command_runs():
    """That it cannot be published is found only then; a directory that is needed is made."""
    for body, is_lost in (('rm -r "$SHOP/inbox"', True), ('chmod 500 "$SHOP/inbox/new"', True),
                          ('rm -r "$SHOP/inbox/tmp"', True), ('rm "$SHOP/inbox/tmp/"*', True),
                          ('rm -r "$SHOP/inbox/new"', False)):
        with Workshop() as shop:
            config = ("".join(section(name, type="maildir", path=shop.path(name))
                              for name in ("other", "inbox"))
                      + section("handler", shop.script("handler", body))
                      + listen("l", "other", "inbox", "handler"))
            with Server(workers=1, config=config, listen=None) as server, server.connect() as client:
                client.greet()
                if is_lost:
                    client.fail_to_deliver(SMALL, "451 4.3.0")
                else:
                    client.deliver(SMALL)
                for mailbox in ("other",) if is_lost else ("other", "inbox"):
                    assert os.listdir(shop.path(mailbox, "tmp")) == [], body
                    assert len(os.listdir(shop.path(mailbox, "new"))) == (not is_lost), body
                assert bool(server.events("delivery.failed")) == is_lost
                assert bool(server.events("message.accepted")) == (not is_lost)


def directories_that_cannot_be_written():
    for part in "tmp", "new":
        with Server("-w", "1") as server, server.connect() as client:
            client.greet()
            client.deliver(b"Subject: one\r\n\r\n")
            os.chmod(os.path.join(server.maildir, part), 0o500)
            client.fail_to_deliver(b"Subject: two\r\n\r\n", "451 4.3.0")
            os.chmod(os.path.join(server.maildir, part), 0o700)
            client.deliver(b"Subject: three\r\n\r\n")
            assert server.listing("tmp") == [] and len(server.listing("new")) == 2
            assert server.events("delivery.failed")


def a_mailbox_that_vanished_is_made_again():
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: one\r\n\r\n")
        shutil.rmtree(server.maildir)
        if os.geteuid() == 0:
            # The directory above is root's; a worker could not make a mailbox there.
            os.chmod(server.directory, 0o777)
        client.deliver(b"Subject: two\r\n\r\n")
        [stored] = server.stored()
        assert stored.endswith(b"Subject: two\n\n")


def a_file_in_the_place_of_new():
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        new = os.path.join(server.maildir, "new")
        os.rmdir(new)
        with open(new, "w"):
            pass
        client.fail_to_deliver(b"Subject: nowhere to go\r\n\r\n", "451 4.3.0")
        assert server.listing("tmp") == []


if IN_NAMESPACE in os.environ:
    run(faults_of_disks, room_for_some_of_the_copies)
run(faults_of_disks, a_quota, no_descriptors, vanished_directories,
    a_mailbox_that_vanishes_while_the_command_runs, directories_that_cannot_be_written,
    a_mailbox_that_vanished_is_made_again, a_file_in_the_place_of_new)
