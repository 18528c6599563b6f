"""Commands that hang, flood, leave children behind or are too many: nobody waits longer than
the configuration says.

The command is a shell, and each message tells it what to do."""

import contextlib
import os
import signal
import threading
import time

from commands import HERE, Gate, PipeServer, ShellServer, ask, is_running, section
from sinkd_server import built_with_sanitizers, status_of, wait_until
from wire_test import run

# Between TERM and KILL.
KILL_AFTER = 5


@contextlib.contextmanager
def connected(server, count=1):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect(seconds=30)) for _ in range(count)]
        for client in clients:
            client.greet()
        yield clients if count > 1 else clients[0]


def seconds_until_reply(client, beginning):
    before = time.monotonic()
    client.expect(beginning)
    return time.monotonic() - before


def wait_for_end_of(*pids):
    wait_until(lambda: not any(map(is_running, pids)), what=f"the end of {pids}")


# --- time ---------------------------------------------------------------------------------


def term_comes_first():
    with ShellServer(timeout="1s") as server, connected(server) as client:
        ask(client, "trap 'echo TERM >> term; exit 0' TERM\n"
                    "sleep 1000 & echo $! > child\n"
                    "echo 250 2.0.0 fine; echo 550 5.0.0 bad\nwait\n")
        [child] = map(int, server.wait_for("child"))
        seconds = seconds_until_reply(client, "451 4.3.0 ")
        assert 0.5 < seconds < 1 + KILL_AFTER, seconds
        assert server.out("term") == b"TERM\n"
        wait_for_end_of(child)
        [end] = server.ends(1)
        assert end["how"] == "timeout" and end["level"] == "warn" and end["code"] == "451", end
        assert 1000 <= int(end["ms"]) < 1000 * (1 + KILL_AFTER), end


def kill_comes_next_to_all_of_them():
    with ShellServer(timeout="1s") as server, connected(server) as client:
        # Who ignores a signal has children that do.
        ask(client, "trap '' TERM\n"
                    "sh -c 'sleep 1000 & echo $! >> pids; wait' &\n"
                    "sleep 1000 & echo $! >> pids\n"
                    "echo $$ >> pids\nwait\n")
        pids = list(map(int, server.wait_for("pids", 3)))
        seconds = seconds_until_reply(client, "451 4.3.0 ")
        assert seconds > KILL_AFTER, seconds
        wait_for_end_of(*pids)
        [end] = server.ends(1)
        assert end["how"] == "timeout" and int(end["ms"]) >= 1000 * (1 + KILL_AFTER), end


def what_is_left_after_term_is_killed():
    """The command obeys, and its child does not."""
    with ShellServer(timeout="1s") as server, connected(server) as client:
        ask(client, "(trap '' TERM; exec sleep 1000) & echo $! > child\nwait\n")
        [child] = map(int, server.wait_for("child"))
        assert seconds_until_reply(client, "451 4.3.0 ") < 1 + KILL_AFTER
        wait_for_end_of(child)


def one_that_is_stopped_ends_too():
    with ShellServer(timeout="1s") as server, connected(server) as client:
        ask(client, "echo $$ > pid\nkill -STOP $$\n")
        [pid] = map(int, server.wait_for("pid"))
        client.expect("451 4.3.0 ")
        wait_for_end_of(pid)


def the_session_goes_on_after_a_timeout():
    with ShellServer(timeout="1s") as server, connected(server) as client:
        for _ in range(2):
            ask(client, "exec sleep 1000\n")
            client.expect("451 4.3.0 ")
            ask(client, "exit 0\n")
            client.expect("250 2.0.0 Ok: ")


def who_holds_the_output_is_not_waited_for():
    """Nor is it disturbed, after a normal end."""
    with ShellServer(timeout="60s") as server, connected(server) as client:
        pids = []
        try:
            for start in "", "setsid ":
                for status, reply in (0, "250 2.0.0 Ok: "), (1, "550 5.7.1 for a reason"):
                    ask(client, f"{start}sleep 1000 & echo $! >> pids\n"
                                f"echo 550 5.7.1 for a reason\nexit {status}\n")
                    assert seconds_until_reply(client, reply) < 30
                    pids = list(map(int, server.wait_for("pids", len(pids) + 1)))
            assert all(map(is_running, pids))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


# --- output ---------------------------------------------------------------------------------


def a_flood_harms_nobody():
    with ShellServer(timeout="30s") as server, connected(server) as client:
        ask(client, "head -c 100000000 /dev/zero\n")
        client.expect("250 2.0.0 Ok: ")
        ask(client, "head -c 100000000 /dev/zero | tr '\\000' x\necho\n"
                    "echo 550 5.7.1 too late\nexit 1\n")
        client.expect("451 4.3.0 ")
        ask(client, "yes 'a line' | head -c 60000000 >&2\nexit 75\n")
        client.expect("451 4.3.0 ")
        assert all(len(line) <= 2048 for line in server.log().splitlines())
        if not built_with_sanitizers():
            [spawner] = server.spawners()
            assert int(status_of(spawner)["VmHWM"][0]) < 16 * 1024, status_of(spawner)


def a_flood_without_end_ends_in_time():
    with ShellServer(timeout="1s", workers=2) as server, connected(server, 2) as clients:
        flooding, other = clients
        ask(flooding, "echo > started\nexec yes 550 5.7.1 no\n")
        server.wait_for("started")
        # Others are served meanwhile.
        ask(other, "exit 0\n")
        other.expect("250 2.0.0 Ok: ")
        flooding.expect("451 4.3.0 ")


# --- how many -------------------------------------------------------------------------------

# How many run is seen from within: each makes a directory that is there as long as it runs.
COUNTED = ("mkdir running.$$\nls -d running.* | wc -l >> running\necho >> started\n"
           "read line < gate\nrmdir running.$$\n")


def never_more_than_may_run():
    for most in 1, 3:
        with ShellServer(max_running=most, workers=8) as server, connected(server, 8) as clients:
            for client in clients:
                ask(client, COUNTED)
            for number in range(len(clients)):
                server.wait_for("started", min(number + most, len(clients)))
                server.gate.let_go()
            for client in clients:
                client.expect("250 2.0.0 Ok: ")
            counts = list(map(int, server.out("running").split()))
            assert len(counts) == len(clients) and max(counts) == most, counts


def who_waits_too_long_is_told_so():
    with ShellServer(max_running=1, timeout="2s", workers=3) as server, \
            connected(server, 3) as (stubborn, second, third):
        ask(stubborn, "trap '' TERM\necho > started\nwhile :; do sleep 1; done\n")
        server.wait_for("started")
        ask(second, "echo > second\n")
        ask(third, "echo > third\n")
        for client in second, third:
            reply = client.expect("451 4.3.2 ")
            assert "running" in reply, reply
        stubborn.expect("451 4.3.0 ")
        # The place is free again; who was told to try again was not run later after all.
        ask(second, "echo > again\n")
        second.expect("250 2.0.0 Ok: ")
        assert server.out("again") and not server.out("second") and not server.out("third")


def one_section_does_not_wait_for_another():
    server = PipeServer(
        section("slow", "/bin/sh", directory=HERE + "/work", max_running=1),
        section("fast", "/bin/true", max_running=1),
        config='listen "a" { address = {"127.0.0.1:0"}  deliver = {"slow"} }\n'
               'listen "b" { address = {"127.0.0.1:0"}  deliver = {"fast"} }\n',
        listen=None, workers=2)
    with server, contextlib.closing(Gate(server)) as gate, connected(server) as slow:
        ask(slow, "echo > started\nread line < gate\n")
        wait_until(lambda: server.out("started"), what="the slow one")
        server.addresses.reverse()
        with connected(server) as fast:
            fast.deliver(b"Subject: fast\r\n\r\n")
        gate.let_go()
        slow.expect("250 2.0.0 Ok: ")


# --- together --------------------------------------------------------------------------------


def a_stop_waits_for_the_command():
    with ShellServer(workers=1) as server, connected(server) as client:
        ask(client, "echo > started\nread line < gate\necho > finished\n")
        server.wait_for("started")
        server.terminate()
        wait_until(lambda: server.events("server.stop", "server.signal"), what="the signal")
        server.gate.let_go()
        client.expect("250 2.0.0 Ok: ")
        client.expect("421 ")
        assert server.out("finished")
        server.wait_exit()


def a_second_stop_does_not():
    with ShellServer(workers=1) as server, connected(server) as client:
        ask(client, "echo $$ > started\nread line < gate\necho > finished\n")
        [command] = map(int, server.wait_for("started"))
        for count in 1, 2:
            server.terminate()
            wait_until(lambda count=count: len(server.events("server.signal")) == count,
                       what="the signal")
        server.wait_exit()
        wait_for_end_of(command)
        client.expect_closed()
        assert not server.out("finished") and not server.events("message.accepted")


def commands_side_by_side():
    """As many workers as there are, each with a command; all have one reply and one run."""
    clients, messages = 12, 15
    with ShellServer(workers=clients, max_running=5) as server:
        problems = []

        def converse(number):
            try:
                with connected(server) as client:
                    for message in range(messages):
                        status = (number + message) % 3
                        ask(client, f"echo {number}.{message} >> done\nexit {status and 66 + status}\n")
                        client.expect(("250 2.0.0 Ok: ", "550 5.1.1 ", "550 5.1.2 ")[status])
            except Exception as problem:
                problems.append(repr(problem))

        threads = [threading.Thread(target=converse, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        done = server.out("done").split()
        assert len(done) == len(set(done)) == len(server.ends(clients * messages))


run(term_comes_first, kill_comes_next_to_all_of_them, what_is_left_after_term_is_killed,
    one_that_is_stopped_ends_too, the_session_goes_on_after_a_timeout,
    who_holds_the_output_is_not_waited_for, a_flood_harms_nobody,
    a_flood_without_end_ends_in_time, never_more_than_may_run, who_waits_too_long_is_told_so,
    one_section_does_not_wait_for_another, a_stop_waits_for_the_command, a_second_stop_does_not,
    commands_side_by_side, together=True)
