"""What a worker that was taken over cannot do: the program `intruder`, run in a worker's
place, tries each thing; started by root and by an ordinary user, at each level."""

import ctypes
import os
import signal
import struct

from sinkd_server import (BUILD, Server, built_with_sanitizers, read_file, status_of,
                          wait_until)
from wire_test import Skip, need_root, run

INTRUDER = os.path.join(BUILD, "tests", "wire", "intruder")
NOBODY = (65534, 65534)

# What is tried, and the call that is not on the list.  {master}, {other}: pids.
NOT_ON_THE_LIST = [
    ("exec /bin/true", "execve"),
    ("fork", "clone"),
    ("clone3", "clone3"),
    ("socket", "socket"),
    ("connect 0", "connect"),
    ("listener_shutdown read", "shutdown"),
    ("listener_shutdown both", "shutdown"),
    ("listener_tick read", "setsockopt"),
    ("listener_tick write", "setsockopt"),
    ("listener_tick linger", "setsockopt"),
    ("symlink Maildir/link", "symlink"),
    ("chmod Maildir", "chmod"),
    ("kill {master}", "kill"),
    ("kill {other}", "kill"),
    ("tgkill {other}", "tgkill"),
    ("ptrace {master}", "ptrace"),
    ("ptrace {other}", "ptrace"),
    ("vm_write {master}", "process_vm_writev"),
    ("vm_write {other}", "process_vm_writev"),
    ("setuid 0", "setuid"),
    ("code", "mmap"),
    ("keys_shutdown read", "shutdown"),
    ("keys_shutdown write", "shutdown"),
    ("keys_shutdown both", "shutdown"),
    ("keys_close", "close"),
    ("keys_copy", "dup"),
    ("keys_receive", "recvmsg"),
    ("spawner_shutdown", "shutdown"),
    ("spawner_close", "close"),
    ("hand_on", "sendmsg"),
    ("pair", "socketpair"),
]
# What is tried with calls that are, and the error.
REFUSED = [
    ("read /etc/passwd", "EACCES"),
    ("read /proc/{master}/mem", "EACCES"),
    ("write /proc/{master}/mem", "EACCES"),
    ("write /proc/{other}/mem", "EACCES"),
    ("write /dev/null", "EACCES"),
    ("create /tmp/sinkd-intruder", "EACCES"),
    ("mkdir /tmp/sinkd-intruder", "EACCES"),
    ("create {outside}/file", "EACCES"),
    ("read Maildir/new/message", "EACCES"),
    ("truncate Maildir/new/message", "EACCES"),
    ("board_protect", "EPERM"),
    ("board_remap", "ENOSYS"),
    ("slot_remap", "ENOSYS"),
    ("counters_remap", "ENOSYS"),
    ("counters_code", "EPERM"),
    ("keys_read", "EAGAIN"),
    # A key that is not there; algorithms (GnuTLS's numbers) and lengths that do not fit.
    ("keys_sign 1 14 32", "EPERM"),
    ("keys_sign 4294967295 14 32", "EPERM"),
    ("keys_sign 0 14 31", "EPERM"),
    ("keys_sign 0 14 0", "EPERM"),
    ("keys_sign 0 40 32", "EPERM"),
    ("keys_sign 0 36 51", "EPERM"),
    ("keys_sign 0 4294967295 32", "EPERM"),
    ("spawner_receive", "EAGAIN"),
    # A section that has no command, or is not there; what is no message.
    ("spawner_run 0 memory", "EPIPE"),
    ("spawner_run 7 memory", "EPIPE"),
    ("spawner_run 4294967295 memory", "EPIPE"),
    ("spawner_run 1 write Maildir/new/message", "EPIPE"),
    ("spawner_run 1 opath Maildir/new/message", "EPIPE"),
    ("spawner_run 1 opath /etc/passwd", "EPIPE"),
    ("spawner_run 1 directory /etc", "EPIPE"),
    ("spawner_run 1 listener", "EPIPE"),
]
# What cannot be kept from it, and harms nobody.
LEFT = ["keys_sign 0 14 32", "keys_garbage", "keys_flood 2000", "keys_sign 0 14 32",
        "spawner_run 1 memory", "spawner_garbage", "spawner_run 1 memory"]
# What is refused even without list and Landlock.
REFUSED_AT_ANY_LEVEL = [
    ("fork", "EAGAIN"),
    ("setuid 0", "EPERM"),
    ("board_protect", "EACCES"),
    # There is nobody to hand a file of root to a worker, nor root's memory.
    ("read /etc/shadow", "EACCES"),
    ("write /proc/{master}/mem", "EACCES"),
    ("ptrace {master}", "EPERM"),
    ("kill {master}", "EPERM"),
]


def need_sandbox(server, *words):
    """Skip where there is less than the test is about; the log says so."""
    for line in server.events("server.sandbox"):
        if "advice=" in line and any(word in line for word in words):
            raise Skip(line.partition("advice=")[2])


class House:
    """A server whose workers are intruders, with a message and a directory outside."""

    def __init__(self, level, user):
        config = (f'sandbox {{ level = "{level}" }}\n'
                  'deliver "inbox" { type = "maildir"  path = "mail/Maildir" }\n'
                  'deliver "handler" { type = "pipe"  command = {"/bin/cat"} }\n')
        self.server = Server("-w", "2", config=config, program=INTRUDER, user=user, tries=True)

    def __enter__(self):
        outside = self.server.path("outside")
        os.mkdir(outside)
        os.chmod(outside, 0o777)
        self.server.__enter__()
        try:
            self.server.wait_idle(2)
            # Everybody may read and write it, but for the cage.
            with open(self.server.path("mail", "Maildir", "new", "message"), "w") as file:
                file.write("a message")
            os.chmod(file.name, 0o666)
            # One worker is kept busy, and tried upon by the other one.
            self.held = self.server.connect()
            self.other = self.pid_of(self.held)
        except BaseException as failure:
            self.server.__exit__(failure)
            raise
        return self

    def __exit__(self, *failure):
        self.held.close()
        self.server.__exit__(*failure)

    def attempt(self, what):
        """Have a worker try it: the answer, or None if it died."""
        text = what.format(master=self.server.pid, other=self.other,
                           outside=self.server.path("outside"))
        text = text.replace("Maildir", self.server.path("mail", "Maildir"))
        with self.server.connect() as client:
            assert self.pid_of(client) != self.other
            client.send(text.encode() + b"\n")
            return self.receive(client)

    def pid_of(self, client):
        return int(self.receive(client))

    @staticmethod
    def receive(client):
        line = b""
        while not line.endswith(b"\n"):
            try:
                piece = client.socket.recv(1)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            line += piece
        return line.decode().strip()


def deaths(server):
    return len(server.events("worker.exit"))


def tries_at(level, user):
    if built_with_sanitizers():
        raise Skip("built with sanitizers, every level is off")
    with House(level, user) as house:
        server = house.server
        need_sandbox(server, "seccomp", "Landlock")
        for what, call in NOT_ON_THE_LIST:
            before, lines = deaths(server), len(server.denied())
            answer = house.attempt(what)
            assert answer is None, f"{what}: {answer}"
            wait_until(lambda: deaths(server) > before, what=f"the death of {what}")
            if level == "kill":
                assert len(server.denied()) == lines + 1, f"{what}: {server.log()}"
            else:
                assert server.denied()[lines:] == [
                    f"sinkd: a worker made the system call '{call}', which is not on its list"
                ], f"{what}: {server.denied()[lines:]}"
            server.wait_idle(2)
        refused(house, REFUSED)
        # A directory that could not be made durable is removed again; and a listening
        # socket, which has nothing to write, goes on.
        for what in "mkdir Maildir/made", "rmdir Maildir/made", "listener_shutdown write":
            assert house.attempt(what) == "done", what
        keys, spawners = server.keys(), server.spawners()
        for what in LEFT:
            assert house.attempt(what) == "done", what
        assert server.keys() == keys and not server.events("keys.exit")
        assert server.spawners() == spawners and not server.events("spawner.exit")
        # Neither of these is a denied call.
        for what, name in ("board_store", "SEGV"), ("abort", "ABRT"):
            assert house.attempt(what) is None
            wait_until(lambda: f"signal={name}" in "".join(server.events("worker.exit")),
                       what=f"the death of {what}")
        server.wait_idle(2)
        # And after all that: what a worker is for.
        assert house.attempt("create Maildir/tmp/mine") == "done"
        assert os.path.exists(server.path("mail", "Maildir", "tmp", "mine"))
        assert not os.path.exists("/tmp/sinkd-intruder")
        assert read_file(server.path("mail", "Maildir", "new", "message")) == b"a message"


def refused(house, attempts):
    for what, error in attempts:
        answer = house.attempt(what)
        assert answer == f"refused {error}", f"{what}: {answer}"


def killed_started_by_root():
    need_root()
    tries_at("kill", None)


def killed_started_by_a_user():
    tries_at("kill", NOBODY if os.geteuid() == 0 else None)


def trapped_started_by_root():
    need_root()
    tries_at("trap", None)


def trapped_started_by_a_user():
    tries_at("trap", NOBODY if os.geteuid() == 0 else None)


def off_is_not_open():
    need_root()
    if built_with_sanitizers():
        raise Skip("sanitizers fork, and report what is tried here")
    with House("off", None) as house:
        refused(house, REFUSED_AT_ANY_LEVEL)
        assert house.attempt("board_store") is None


def what_a_worker_counted_ends_with_it():
    """The counters are open to all workers; the master puts right what a death left."""
    with House("off", None) as house:
        server = house.server

        def counted_right():
            # One worker is held; the other one is asked, when there is one again.
            wait_until(lambda: server.idle_workers(), what="a new worker")
            return house.attempt("idle_expect are 0") == "done"

        assert house.attempt("idle_expect are 0") == "done"
        assert house.attempt("counters_claim 42") == "done"
        assert house.attempt("counters_expect 42 1") == "done"
        assert house.attempt("counters_lie") == "done"
        assert house.attempt("abort") is None
        wait_until(counted_right, what="the right number of idle workers")
        # The slot of the dead one is free, the others say what they were made to say.
        assert house.attempt("counters_expect -1 16447") == "done"


def what_a_sibling_asks_of_the_keys_is_its_own():
    with House("kill", None) as house:
        server = house.server
        keys = server.keys()
        for pid in keys:
            os.kill(pid, signal.SIGSTOP)
        try:
            house.held.send(b"keys_wait\n")
            assert house.receive(house.held) == "asked"
            # The question is in the channel now, and nobody else can take it out.
            assert house.attempt("keys_read") == "refused EAGAIN"
        finally:
            for pid in keys:
                os.kill(pid, signal.SIGCONT)
        assert house.receive(house.held) == "done"


def a_mailbox_per_recipient_can_be_read():
    """Copies for further recipients are made from the first one's file."""
    config = 'deliver "inbox" { type = "maildir"  path = "mail/%{recipient.local}" }\n'
    with Server("-w", "1", config=config) as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "250 ")
        for name in "one", "two", "three":
            client.command(f"RCPT TO:<{name}@example.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: thrice\r\n\r\n.\r\n")
        client.expect("250 ")
        for name in "one", "two", "three":
            assert len(os.listdir(server.path("mail", name, "new"))) == 1, name


def every_process_is_what_it_should_be():
    is_root = os.geteuid() == 0
    with Server("-w", "3", config='sandbox { level = "kill" }\n') as server:
        server.wait_idle(3)
        # The cleaner comes and goes.
        wait_until(lambda: set(server.processes()) ==
                   {server.pid, *server.workers(), *server.keys()}, what="these alone")
        for pid in server.workers():
            status = status_of(pid)
            assert status["NoNewPrivs"] == ["1"], status
            kinds = ["Inh", "Prm", "Eff", "Amb"] + (["Bnd"] if is_root else [])
            for kind in kinds:
                assert int(status["Cap" + kind][0], 16) == 0, (kind, status)
            if is_root:
                assert "0" not in status["Groups"] + status["Uid"] + status["Gid"], status
            limits = read_file(f"/proc/{pid}/limits").decode()
            names = ["Max core file size"]
            names += [] if built_with_sanitizers() else ["Max processes"]
            for name in names:
                [line] = [line for line in limits.splitlines() if line.startswith(name)]
                assert line[len(name):].split()[:2] == ["0", "0"], line
            # Not dumpable: its files in /proc are root's, whoever it is.
            if not built_with_sanitizers():
                assert os.stat(f"/proc/{pid}/mem").st_uid == 0
        if is_root:
            held = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in server.workers()
                    for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not [name for name in held if "memfd" in name], held
        # The master forks, and so keeps what that needs.
        assert status_of(server.pid)["Seccomp"] == ["0"]
        need_sandbox(server, "seccomp", "sanitizers")
        assert all(status_of(pid)["Seccomp"] == ["2"] for pid in server.workers())


def levels_are_told_in_the_log():
    for level in "kill", "trap", "off":
        with Server("-w", "1", config=f'sandbox {{ level = "{level}" }}\n') as server:
            [line] = server.events("server.sandbox")
            assert f" sandbox={level}" in line or "advice=" in line, line
            filtered = status_of(server.workers()[0])["Seccomp"] == ["2"]
            assert filtered == (level != "off") or "advice=" in line, line


def lose(*calls):
    """For this process and its children these system calls do not exist."""
    def instruction(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    load, equal, give = 0x20, 0x15, 0x06  # BPF; see seccomp(2)
    enosys, allow = 0x00050000 | 38, 0x7fff0000
    code = instruction(load, 0, 0, 0)
    for call in calls:
        code += instruction(equal, 0, 1, call) + instruction(give, 0, 0, enosys)
    code += instruction(give, 0, 0, allow)
    memory = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(memory))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(38, 1, 0, 0, 0) == 0  # no_new_privs
    assert prctl(22, 2, ctypes.create_string_buffer(program)) == 0


def a_kernel_that_has_less_is_told_of_and_served():
    if os.uname().machine != "x86_64" or built_with_sanitizers():
        raise Skip("needs the numbers of x86-64, and no sanitizers")
    landlock, seccomp = 444, 317
    for lost, words, filters in (((landlock,), "no Landlock", "4"),
                                 ((seccomp,), "no seccomp", "1"),
                                 ((landlock, seccomp), "no seccomp", "1")):
        # The filter that takes them away counts too.
        with Server("-w", "1", config='sandbox { level = "kill" }\n',
                    prepare=lambda lost=lost: lose(*lost)) as server, server.connect() as client:
            [line] = server.events("server.sandbox")
            assert "level=warn" in line and words in line, line
            [pid] = server.workers()
            assert status_of(pid)["Seccomp_filters"] == [filters], line
            client.greet()
            client.deliver(b"Subject: less\r\n\r\n")


run(killed_started_by_root, killed_started_by_a_user, trapped_started_by_root,
    trapped_started_by_a_user, off_is_not_open, what_a_worker_counted_ends_with_it,
    what_a_sibling_asks_of_the_keys_is_its_own, a_mailbox_per_recipient_can_be_read,
    every_process_is_what_it_should_be, levels_are_told_in_the_log,
    a_kernel_that_has_less_is_told_of_and_served)
