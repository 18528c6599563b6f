"""The process that runs commands: one for each user, small, with nothing that it does not
need; whatever it is asked it stays, and when it is killed another one takes its place."""

import contextlib
import os
import pwd
import signal
import socket

from channels import channel_of
from commands import HERE, Gate, PipeServer, ask, equip, is_running, listen, section
from sinkd_server import (BUILD, LEVEL, Server, built_with_sanitizers, read_file, status_of,
                          wait_until)
from upgraded_server import Upgraded
from wire_test import Skip, need_program, need_root, run

INTRUDER = os.path.join(BUILD, "tests", "wire", "intruder")
# The message is the script.
SHELL = "/bin/sh"
NOBODY = (65534, 65534)
HELD = "echo $$ >> started\nread line < gate\necho $$ >> finished\n"


@contextlib.contextmanager
def greeted(server, **options):
    with server.connect(**options) as client:
        client.greet()
        yield client


class House:
    """A server whose commands may be held at a gate.  With its configuration and class."""

    def __init__(self, config=None, kind=Server, workers=1, **options):
        self.config = config or section("handler", SHELL, directory=HERE + "/work", **options)
        self.server = equip(kind(config=self.config, workers=workers))
        self.gate = Gate(self.server)

    def __enter__(self):
        try:
            self.server.__enter__()
        except BaseException:
            self.gate.close()
            raise
        return self

    def __exit__(self, *failure):
        try:
            self.server.__exit__(*failure)
        finally:
            self.gate.close()

    def pids_in(self, name):
        path = self.server.path("work", name)
        return list(map(int, read_file(path).split())) if os.path.exists(path) else []

    def wait_for(self, name, count=1):
        """The pids of the commands that have come so far, once they are so many."""
        wait_until(lambda: len(self.pids_in(name)) >= count, what=f"'{name}'")
        return self.pids_in(name)

    def spawner(self):
        [pid] = wait_until(lambda: len(self.server.spawners()) == 1 and self.server.spawners(),
                           what="one spawner")
        return pid


def gone(*pids):
    return not any(map(is_running, pids))


# --- what it is -------------------------------------------------------------------------


def there_is_one_for_each_user():
    need_root()
    sections = [section(f"s{number}", "/bin/true", **({"user": user} if user else {}))
                for number, user in enumerate((None, "daemon", "games", "daemon", None))]
    sections.append(section("inbox", type="maildir", path="Maildir"))
    with PipeServer(*sections, workers=2) as server:
        server.wait_idle(2)
        [worker] = {status_of(pid)["Uid"][0] for pid in server.workers()}
        name = pwd.getpwuid(int(worker)).pw_name
        assert sorted(server.spawners().values()) == sorted({"daemon", "games", name})
        for pid, user in server.spawners().items():
            account = pwd.getpwnam(user)
            status = status_of(pid)
            assert set(status["Uid"]) == {str(account.pw_uid)}, status["Uid"]
            assert set(status["Gid"]) == {str(account.pw_gid)}, status["Gid"]
        assert len(server.workers()) == 2


def without_commands_there_is_none():
    with Server(workers=1) as server:
        server.wait_idle(1)
        assert not server.spawners() and not server.events("spawner.start")


def it_has_given_up_what_it_does_not_need():
    with House() as house:
        pid = house.spawner()
        status = status_of(pid)
        for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
            assert os.geteuid() != 0 or int(status[kind][0], 16) == 0, (kind, status)
        if os.geteuid() != 0:
            return
        assert "0" not in status["Uid"] + status["Gid"] + status["Groups"], status
        if not built_with_sanitizers():
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0
        # The three standard ones, and the channel; no listener, no key.
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert len(held) == 4 and sum(name.startswith("socket:") for name in held) == 1, held
        assert not [name for name in held if "memfd" in name], held


class Privileged(PipeServer):
    """A server that is not root, and has been given a capability to be handed on, as
    AmbientCapabilities= of systemd does it."""

    def start(self):
        user, group = self.user
        self.words = ["setpriv", "--clear-groups", f"--regid={group}", f"--reuid={user}",
                      "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service",
                      self.program()]
        self.user = None  # setpriv does it.
        super().start()

    def command(self):
        return self.words


def commands_get_no_right_that_a_server_was_given():
    need_root()
    need_program("setpriv")
    sections = section("handler", HERE + "/witness", "tell", HERE + "/work")
    with Privileged(sections, workers=1, user=NOBODY) as server:
        assert int(status_of(server.process.pid)["CapAmb"][0], 16) != 0
        with greeted(server) as client:
            ask(client, "text\n")
            client.expect("250 ")
        [run] = server.runs()
        for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
            assert int(run.status[kind][0], 16) == 0, (kind, run.status)


def it_stays_small():
    """As many files and as much memory after many runs as after some."""
    need_root()
    if built_with_sanitizers():
        raise Skip("a sanitizer keeps what is freed")
    with House() as house:
        pid = house.spawner()
        sizes = []
        with greeted(house.server) as client:
            for _ in range(3):
                for number in range(60):
                    ask(client, f"head -c 5000 /dev/zero; exit {number % 3}\n")
                    client.expect(("250 ", "451 ")[number % 3 > 0])
                wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 4, what="all files closed")
                rollup = read_file(f"/proc/{pid}/smaps_rollup").decode().splitlines()[1:]
                memory = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
                sizes.append(memory["Private_Clean"] + memory["Private_Dirty"])
        print(f"    private memory {sizes[-1]} KiB", flush=True)
        assert sizes[2] - sizes[1] <= 16 and sizes[2] < 1024, sizes


def its_workers_are_as_without_it():
    with House(workers=2) as house:
        server = house.server
        server.wait_idle(2)
        for pid in server.workers():
            status = status_of(pid)
            assert status["NoNewPrivs"] == ["1"], status
            for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
                assert int(status[kind][0], 16) == 0, (kind, status)
            if "advice=" not in "".join(server.events("server.sandbox")) and LEVEL != "off":
                assert status["Seccomp"] == ["2"], status


def its_workers_cannot_run_programs_themselves():
    if built_with_sanitizers():
        raise Skip("built with sanitizers, every level is off")
    config = section("handler", "/bin/true") + 'sandbox { level = "kill" }\n'
    with Server(config=config, workers=1, program=INTRUDER, tries=True) as server:
        server.wait_idle(1)
        if "advice=" in "".join(server.events("server.sandbox")):
            raise Skip("there is no sandbox here")
        for number, attempt in enumerate(("exec /bin/true", "fork", "kill {}", "ptrace {}"), 1):
            [spawner] = server.spawners()
            with server.connect() as client:
                client.send(attempt.format(spawner).encode() + b"\n")
                wait_until(lambda n=number: len(server.events("worker.exit")) == n,
                           what=f"the death of {attempt}")
            assert len(server.denied()) == number, server.denied()
            server.wait_idle(1)
            assert list(server.spawners()) == [spawner]


# --- bad requests ---------------------------------------------------------------------------


def things_to_send(directory):
    """Descriptors of all kinds, none of which is a message."""
    yield os.open(directory, os.O_RDONLY)
    yield os.open(directory, os.O_PATH)
    yield os.open("/etc/passwd", os.O_RDONLY)
    yield os.open("/etc/passwd", os.O_PATH)
    yield os.open("/dev/zero", os.O_RDWR)
    yield os.memfd_create("message")
    yield socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach()
    yield from os.pipe()


def whatever_it_is_asked_it_stays():
    need_root()
    config = section("handler", SHELL) + listen("mx", "handler", tls="off")
    server = equip(Server(config=config, listen=None, workers=1))
    with server:
        server.wait_idle(1)
        [pid] = server.spawners()

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))

        before, sent = descriptors(), 0
        junk = [b"", b"x", b"\0" * 8, b"\0" * 200, b"\xff" * 200, os.urandom(1000),
                b"\0" * 60000, b"\xff" * 100000, bytes(range(256)) * 100]
        with channel_of(server.workers()[0]) as channel, greeted(server) as client:
            for text in junk:
                for count in 0, 1, 2, 3, 20:
                    things = list(things_to_send(server.directory))
                    with contextlib.suppress(BrokenPipeError):
                        socket.send_fds(channel, [text], (things * 3)[:count])
                        sent += 1
                    for fd in things:
                        os.close(fd)
                ask(client, "exit 0\n")
                client.expect("250 ")
            # One that waits for the answer is told that there will be none.
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                ours.settimeout(20)
                with theirs, open("/etc/passwd", "rb") as file:
                    socket.send_fds(channel, [b"\0" * 100], [theirs.fileno(), file.fileno()])
                assert ours.recv(100) == b""
            # So is one who has gone, and whoever asks next is answered.
            ask(client, "exit 77\n")
            client.expect("550 5.7.0 ")
        assert sent > 40 and list(server.spawners()) == [pid]
        assert not server.events("spawner.exit")
        wait_until(lambda: descriptors() == before, what="all files closed")
        wait_until(lambda: len(server.events("command.end")) == len(junk) + 1, what="all ends")


def signals_do_not_end_it():
    """Who stops the processes of a server one by one, or a terminal, all of them at once."""
    with House() as house, greeted(house.server) as client:
        pid = house.spawner()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1,
                       signal.SIGUSR2, signal.SIGPIPE):
            ask(client, HELD)
            house.wait_for("started", len(house.pids_in("finished")) + 1)
            os.kill(pid, number)
            house.gate.let_go()
            client.expect("250 ")
        assert house.spawner() == pid and not house.server.events("spawner.exit")


# --- death ------------------------------------------------------------------------------------


def one_that_is_killed_comes_back():
    with House(workers=3, max_running=1) as house, greeted(house.server) as running, \
            greeted(house.server) as waiting:
        server = house.server
        pid = house.spawner()
        ask(running, HELD)
        [command] = house.wait_for("started")
        ask(waiting, "echo > never\n")
        os.kill(pid, signal.SIGKILL)
        # The second one may not have been taken yet; then the next spawner has it run.
        running.expect("451 4.3.0 ")
        reply = waiting.reply()
        assert reply[:9] in ("451 4.3.0", "250 2.0.0"), reply
        assert reply.startswith("250 ") == os.path.exists(server.path("work", "never")), reply
        wait_until(lambda: gone(command), what="the end of its command")
        assert not house.pids_in("finished")
        wait_until(lambda: server.events("spawner.exit"), what="its funeral")
        [line] = server.events("spawner.exit")
        for field in "level=warn", f"spawner={pid}", "signal=KILL", "wait_ms=0":
            assert f" {field}" in line, line
        assert house.spawner() != pid and len(server.workers()) == 3
        for client in running, waiting:
            ask(client, "exit 0\n")
            client.expect("250 ")
        [failed] = [line for line in server.events("delivery.failed")][:1]
        assert " delivery=handler" in failed, failed


def a_question_waits_for_the_next_one():
    with House() as house, greeted(house.server) as client:
        pid = house.spawner()
        os.kill(pid, signal.SIGSTOP)
        ask(client, "echo $$ >> run\n")
        os.kill(pid, signal.SIGKILL)
        client.expect("250 2.0.0 Ok: ")
        assert len(house.pids_in("run")) == 1


def one_that_hangs_is_replaced():
    """And what is too late is not run by the next one."""
    if LEVEL:
        raise Skip("waits for a clock that no level changes")
    with House(timeout="1s") as house, greeted(house.server, seconds=30) as client:
        pid = house.spawner()
        os.kill(pid, signal.SIGSTOP)
        ask(client, "echo $$ >> late\n")
        client.expect("451 4.3.0 ")
        [line] = house.server.events("delivery.failed")
        assert " delivery=handler" in line, line
        wait_until(lambda: house.server.spawners() and pid not in house.server.spawners(), 30,
                   "another spawner")
        [line] = house.server.events("spawner.failed")
        assert f" step=answer spawner={pid}" in line, line
        ask(client, "echo $$ >> again\n")
        client.expect("250 2.0.0 Ok: ")
        assert len(house.pids_in("again")) == 1 and not house.pids_in("late")
        assert not house.server.events("worker.hung")


def a_worker_that_is_killed_disturbs_no_command():
    with House(workers=2) as house:
        server = house.server
        pid = house.spawner()
        with greeted(server) as client:
            ask(client, HELD)
            house.wait_for("started")
            [busy] = [worker for worker, title in server.titles().items() if title.endswith("]")]
            os.kill(busy, signal.SIGKILL)
            client.expect_closed()
        house.gate.let_go()
        house.wait_for("finished")
        wait_until(lambda: server.events("command.end"), what="its line")
        assert house.spawner() == pid
        with greeted(server) as client:
            ask(client, "exit 0\n")
            client.expect("250 ")


def nothing_outlives_the_master():
    with House() as house, greeted(house.server) as client:
        pid = house.spawner()
        ask(client, HELD)
        [command] = house.wait_for("started")
        house.server.process.kill()
        wait_until(lambda: gone(pid, command), what="the end of spawner and command")
        house.server.status = -signal.SIGKILL
        client.expect("451 4.3.0 ")


# --- reload -------------------------------------------------------------------------------------


def a_reload_brings_new_ones():
    config = section("handler", SHELL, directory=HERE + "/work")
    other = section("handler", SHELL, "-c", "echo $$ >> other", directory=HERE + "/work")
    with House(config, Upgraded, workers=2) as house:
        server = house.server
        old = house.spawner()
        pool = read_file(server.path("sinkd.conf")).decode().replace(config, "")
        with greeted(server) as before:
            ask(before, HELD)
            house.wait_for("started")
            server.reload(other + pool)
            [new] = set(server.spawners()) - {old}
            assert set(server.spawners()) == {old, new}
            with greeted(server) as after:
                ask(after, "not run\n")
                after.expect("250 ")
            assert len(house.pids_in("other")) == 1
            # Who began with the old one goes on with it, even with its next message.
            house.gate.let_go()
            before.expect("250 ")
            ask(before, "echo $$ >> old\n")
            before.expect("250 ")
            assert len(house.pids_in("old")) == 1
            # And even when it has to be another process.
            os.kill(old, signal.SIGKILL)
            wait_until(lambda: len(server.spawners()) == 2, what="its successor")
            ask(before, "echo $$ >> old\n")
            before.expect("250 ")
            before.command("QUIT", "221 ")
        wait_until(lambda: list(server.spawners()) == [new], what="the end of the old one")


def one_without_commands_leaves_none():
    config = section("handler", SHELL, directory=HERE + "/work")
    with House(config, Upgraded, workers=2) as house:
        server = house.server
        server.reload('deliver "null" { type = "discard" }\n')
        wait_until(lambda: not server.spawners(), what="no spawner")
        server.reload(config)
        with greeted(server) as client:
            ask(client, "exit 65\n")
            client.expect("550 5.6.0 ")


def an_upgrade_leaves_the_old_one_to_old_clients():
    config = section("handler", SHELL, directory=HERE + "/work")
    with House(config, Upgraded, workers=2) as house:
        server = house.server
        with greeted(server) as before:
            ask(before, HELD)
            house.wait_for("started")
            server.upgrade()
            with greeted(server) as after:
                ask(after, "exit 0\n")
                after.expect("250 ")
            house.gate.let_go()
            before.expect("250 ")
            before.command("QUIT", "221 ")
        titles = wait_until(lambda: (found := [title for title in server.all_titles().values()
                                               if ": spawner " in title]) and len(found) == 1
                            and found, what="the spawner of the new server alone")
        assert len(titles) == 1


def clients_of_a_server_that_drains_have_it():
    with House() as house:
        server = house.server
        pid = house.spawner()
        with greeted(server) as client:
            client.address_message()
            server.sinkctl("drain")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: list(server.spawners()) not in ([], [pid]), what="another one")
            client.command("DATA", "354 ")
            client.send(b"exit 0\r\n.\r\n")
            client.expect("250 ")
        server.wait_exit()


run(there_is_one_for_each_user, without_commands_there_is_none,
    it_has_given_up_what_it_does_not_need, commands_get_no_right_that_a_server_was_given,
    it_stays_small, its_workers_are_as_without_it,
    its_workers_cannot_run_programs_themselves, whatever_it_is_asked_it_stays,
    signals_do_not_end_it, one_that_is_killed_comes_back, a_question_waits_for_the_next_one,
    one_that_hangs_is_replaced, a_worker_that_is_killed_disturbs_no_command,
    nothing_outlives_the_master, a_reload_brings_new_ones, one_without_commands_leaves_none,
    an_upgrade_leaves_the_old_one_to_old_clients, clients_of_a_server_that_drains_have_it, together=True)
