"""HUP and USR1: another configuration, another log; nobody is cut off, and what cannot be
used changes nothing."""

import contextlib
import os
import re
import signal
import socket
import threading

from commands import section
from sinkd_server import PATIENCE, Client, free_ports, read_file, wait_until
from upgraded_server import Upgraded, greeted, slow_start
from wire_test import run

FEW = "workers { start = 1  min-spare = 1  max-spare = 1  max = %d }\n"


def connect_to(port):
    return Client(("127.0.0.1", port))


def listen_on(*ports):
    return 'listen "a" { address = {%s} }\n' % ", ".join(f'"127.0.0.1:{port}"' for port in ports)


def inode_of(port, table="tcp"):
    """The socket that listens on this port."""
    for fields in map(str.split, read_file(f"/proc/net/{table}").decode().splitlines()[1:]):
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]
    return None


def is_refused(port):
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(10)
        return client.connect_ex(("127.0.0.1", port)) != 0


def greeting_of(server):
    with server.connect() as client:
        return client.expect("220 ")


def children_of(pid):
    """Those that have ended and were not waited for among them."""
    return read_file(f"/proc/{pid}/task/{pid}/children").split()


# --- settings ---------------------------------------------------------------------


def each_session_has_the_settings_it_began_with():
    config = ('hostname = "{0}.example"\ngreeting = "{0}"\n'
              'limits {{ message-size = "{1}"  recipients = {2} }}\n'
              'deliver "inbox" {{ type = "maildir"  path = "{0}" }}\n')
    with Upgraded(config=config.format("old", "10K", 1)) as server, \
            server.connect() as before:
        assert before.expect("220 ") == "220 old"
        assert "SIZE 10240" in before.command("EHLO client.example", "250-old.example")
        server.reload(config.format("new", "20K", 2))
        with server.connect() as after:
            assert after.expect("220 ") == "220 new"
            assert "SIZE 20480" in after.command("EHLO client.example", "250-new.example")
            after.command("MAIL FROM:<a@example.com>", "250 ")
            after.command("RCPT TO:<b@example.net>", "250 ")
            after.command("RCPT TO:<c@example.net>", "250 ")
            after.command("DATA", "354 ")
            after.send(b"Subject: to the new one\r\n\r\n.\r\n")
            after.expect("250 ")
        before.address_message()
        before.command("RCPT TO:<c@example.net>", "452 ")
        before.command("RSET", "250 ")
        before.deliver(b"Subject: to the old one\r\n\r\n")
        before.command("HELO again.example", "250 old.example")
        before.command("QUIT", "221 ")
        assert [len(os.listdir(server.path(name, "new"))) for name in ("old", "new")] == [1, 1]


def what_a_listener_offers_changes_without_its_socket():
    port, = free_ports(1)
    with Upgraded(config=listen_on(port), listen=None) as server:
        inode = inode_of(port)
        with connect_to(port) as before:
            before.greet()
            server.reload(listen_on(port).replace("}", "} extensions = {}", 1))
            with connect_to(port) as after:
                after.expect("220 ")
                after.command("EHLO client.example", "502 ")
                after.command("HELO client.example", "250 ")
            before.command("VRFY a", "252 ")
        server.reload(listen_on(port).replace("}", '} extensions = {"SIZE"}', 1))
        with connect_to(port) as client:
            client.greet()
            client.command("VRFY a", "502 ")
        assert inode and inode_of(port) == inode


def a_reload_that_is_over_is_over_for_all():
    """sinkctl says so when no idle worker is left that could take a client with the old settings."""
    config = 'greeting = "%d"\nworkers { start = 8  min-spare = 8  max-spare = 16 }\n'
    with Upgraded(config=config % 0) as server:
        for number in range(1, 31):
            with open(server.path("sinkd.conf"), "w") as file:
                file.write(config % number)
            server.sinkctl("reload")
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(server.connect()) for _ in range(8)]
                greetings = {client.expect("220 ") for client in clients}
            assert greetings == {f"220 {number}"}, (number, greetings)


def grace_lets_transactions_finish():
    with Upgraded(config='timeouts { grace = "1s" }\n') as server, greeted(server) as idle, \
            greeted(server) as busy, greeted(server) as in_data:
        busy.command("MAIL FROM:<a@example.com>", "250 ")
        in_data.open_message()
        server.reload()
        idle.expect("421 4.3.2")
        idle.expect_closed()
        # These two are past the grace time as well.
        in_data.send(b"Subject: finished\r\n\r\n.\r\n")
        in_data.expect("250 2.0.0 Ok: ")
        in_data.expect("421 4.3.2")
        in_data.expect_closed()
        busy.command("RCPT TO:<b@example.net>", "250 ")
        busy.command("DATA", "354 ")
        busy.send(b"Subject: finished\r\n\r\n.\r\n")
        busy.expect("250 2.0.0 Ok: ")
        busy.expect("421 4.3.2")
        busy.expect_closed()
        assert len(server.stored()) == 2


def the_pool_follows():
    config = "workers {{ start = {0}  min-spare = {0}  max-spare = {0}  max = {1} }}\n"
    with Upgraded(config=config.format(1, 2)) as server:
        with greeted(server), greeted(server), server.connect(seconds=20) as third:
            wait_until(lambda: len(server.workers()) == 2, what="a full pool")
            server.reload(config.format(1, 4))
            third.greet()
        server.reload(config.format(6, 8))
        server.wait_idle(6, 20)
        server.reload(config.format(1, 2))
        server.wait_idle(1, 20)


# --- listeners --------------------------------------------------------------------


def listeners_come_and_go():
    kept, gone, new = free_ports(3)
    with Upgraded(config=listen_on(kept, gone), listen=None) as server:
        inode = inode_of(kept)
        with connect_to(gone) as busy:
            busy.greet()
            server.reload(listen_on(new, kept))
            with connect_to(new) as client:
                client.greet()
            wait_until(lambda: is_refused(gone), 2, "a listener that is gone")
            busy.deliver(b"Subject: still served\r\n\r\n")
        assert inode and inode_of(kept) == inode
        with connect_to(kept) as client:
            client.greet()


def listeners_of_all_kinds_are_kept():
    config = ('listen "a" {{ address = {{"127.0.0.1:0", "localhost:0", "unix:{0}/one"}} }}\n'
              'listen "b" {{ address = {{"unix:{0}/{1}"}}  backlog = {2} }}\n')
    server = Upgraded(config="", listen=None)
    os.chmod(server.directory, 0o1777)
    server.write_config(config.format(server.directory, "two", 10))
    with server:
        ports = [address[1] for address in server.addresses if isinstance(address, tuple)]
        assert len(set(ports)) == 2 <= len(ports), ports

        def sockets():
            return [inode_of(port, table) for port in ports for table in ("tcp", "tcp6")] + \
                [os.stat(server.path(name)).st_ino for name in ("one", "two")]

        before = sockets()
        assert any(before)
        for backlog in 20, 30:
            server.reload(config.format(server.directory, "two", backlog))
            assert sockets() == before
            for address in server.addresses:
                with Client(address) as client:
                    client.greet()
        server.reload(config.format(server.directory, "three", 10))
        assert not os.path.exists(server.path("two"))
        with Client(server.path("three")) as client:
            client.greet()
        # Somebody removes it; nobody would find the socket any more.
        os.unlink(server.path("three"))
        server.reload(config.format(server.directory, "three", 10))
        with Client(server.path("three")) as client:
            client.greet()
    # Leaving has found the directory without processes; the sockets went with them.


def nobody_is_refused():
    with Upgraded(config="") as server:
        served, problems, is_over = [0, 0, 0], [], threading.Event()

        def connect(number):
            try:
                while not is_over.is_set():
                    with greeted(server) as client:
                        client.command("QUIT", "221 ")
                        client.expect_closed()
                    served[number] += 1
            except Exception as problem:
                problems.append(repr(problem))

        threads = [threading.Thread(target=connect, args=(i,)) for i in range(len(served))]
        inode = inode_of(server.addresses[0][1])
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                before = sum(served)
                server.reload()
                wait_until(lambda: problems or sum(served) > before + 3, 10, "more sessions")
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not problems, problems
        assert inode_of(server.addresses[0][1]) == inode


# --- what cannot be used -----------------------------------------------------------


def goes_on(server, text):
    """The server is as it was, and has said why."""
    assert text in server.log(), (text, server.log())
    with server.connect() as client:
        assert client.expect("220 ") == "220 old"
        client.command("HELO client.example", "250 ")
        client.deliver(b"Subject: as before\r\n\r\n")


def mistakes_change_nothing():
    wrong = 'greeting = "new"\nlimits { recipients = 0 }\n\ntimeouts { grace = "never" }\n'
    with Upgraded(config='greeting = "old"\n') as server:
        conf = server.path("sinkd.conf")
        server.reload(wrong, "refused")
        mistakes = [line for line in server.events("server.reload") if f"{conf}:" in line]
        assert [re.search(r"sinkd\.conf:(\d+): ", line)[1] for line in mistakes] == ["2", "4"], \
            mistakes
        goes_on(server, "never")
        os.unlink(conf)
        server.reload(action="refused")
        goes_on(server, "No such file")
        server.reload('greeting = "new"\n')
        assert greeting_of(server) == "220 new"


def an_address_that_is_taken_changes_nothing():
    kept, = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Upgraded(config='greeting = "old"\n' + listen_on(kept), listen=None)
        os.chmod(server.directory, 0o1777)
        with server:
            port = taken.getsockname()[1]
            server.reload(f'listen "b" {{ address = {{"unix:{server.path("socket")}"}} }}\n'
                          + listen_on(kept, port), "refused")
            goes_on(server, f"127.0.0.1:{port}")
            assert "Address already in use" in server.log()
            assert not os.path.exists(server.path("socket"))


def a_directory_that_cannot_be_used_changes_nothing():
    config = 'greeting = "{0}"\ndeliver "inbox" {{ type = "maildir"  path = "{1}" }}\n'
    with Upgraded(config=config.format("old", "Maildir")) as server:
        server.reload(config.format("new", "out/below/a/file"), "refused")
        goes_on(server, "subject=out/below/a/file")
        server.make_readonly_maildir("readonly")
        server.reload(config.format("new", "readonly"), "failed")
        goes_on(server, 'step="write to delivery"')


def a_log_that_cannot_be_opened_changes_nothing():
    with Upgraded(config='greeting = "old"\n') as server:
        server.reload('greeting = "new"\nlog { target = "/nonexistent/log" }\n', "refused")
        goes_on(server, "/nonexistent/log")


def nothing_leaks():
    good = FEW % 4
    bad = ["nonsense = 1\n", good + 'log { target = "/nonexistent/log" }\n',
           good + 'deliver "inbox" { type = "maildir"  path = "out/below" }\n',
           good + 'deliver "inbox" { type = "maildir"  path = "readonly" }\n']
    with Upgraded(config=good) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        server.make_readonly_maildir("readonly")
        # The address is that of the command line.
        bad.append(f'{good}listen "b" {{ address = {{"127.0.0.1:{taken.getsockname()[1]}"}} }}\n')
        server.wait_idle(1)
        server.wait_cleaned()

        def descriptors():
            return sorted(os.listdir(f"/proc/{server.pid}/fd"), key=int)

        def is_settled():
            return (len(descriptors()) == len(before)
                    and len(children_of(server.pid)) == children)

        before = descriptors()
        children = len(children_of(server.pid))  # A worker, and some keys processes.
        for number in range(50):
            text = bad[number % 4]
            server.reload(text, "failed" if "readonly" in text else "refused")
        wait_until(is_settled, what=f"as many descriptors as {before}")
        for _ in range(50):
            server.reload(good)
        wait_until(is_settled, what=f"as many descriptors as {before}")
        greeted(server).close()


# --- the log ----------------------------------------------------------------------


def size_of(path):
    return os.stat(path).st_size


def logged_by(path):
    """{pid: [event, ...]} of a log."""
    found = {}
    for pid, event in re.findall(r" pid=(\d+) event=(\S+)", read_file(path).decode()):
        found.setdefault(int(pid), []).append(event)
    return found


class Logging(Upgraded):
    """Its log is the file "first"."""

    def __init__(self, extra=""):
        super().__init__(config="")
        self.write_config(self.to("first") + extra)
        os.chmod(self.directory, 0o1777)

    def to(self, name):
        return f'log {{ target = "{self.path(name)}" }}\n'

    def log(self):
        paths = [self.path(name) for name in ("log", "first.1", "first", "second")]
        return "".join(read_file(path).decode() for path in paths if os.path.exists(path))


def a_log_is_opened_anew():
    with Logging() as server:
        with greeted(server) as client:
            os.rename(server.path("first"), server.path("first.1"))
            server.reload(number=signal.SIGUSR1)
            [worker] = [pid for pid, title in server.titles().items() if title.endswith("]")]
            # A session that began before stays in the old one.
            client.command("QUIT", "221 ")
            client.expect_closed()
        wait_until(lambda: worker not in server.workers(), what="the end of the old worker")
        assert "session.end" in logged_by(server.path("first.1"))[worker]
        size = size_of(server.path("first.1"))
        with greeted(server) as client:
            client.deliver(b"Subject: logged\r\n\r\n")
        server.reload(server.to("second"))
        events = logged_by(server.path("first"))
        assert "server.reload" in events.pop(server.pid)
        assert ["session.start", "message.accepted"] in [names[:2] for names in events.values()]
        with greeted(server) as client:
            client.deliver(b"Subject: logged\r\n\r\n")
        events = logged_by(server.path("second"))
        assert "server.reload" in events.pop(server.pid)
        assert ["session.start", "message.accepted"] in [names[:2] for names in events.values()]
        assert size_of(server.path("first.1")) == size


def runs_of_commands_are_in_the_new_log():
    def runs_in(name):
        events = logged_by(server.path(name)) if os.path.exists(server.path(name)) else {}
        return sum(names.count("command.end") for names in events.values())

    def run_one(name):
        before = runs_in(name)
        with greeted(server) as client:
            client.open_message()
            client.send(b"text\r\n.\r\n")
            client.expect("250 ")
        wait_until(lambda: runs_in(name) == before + 1, what=f"its line in '{name}'")

    with Logging(section("handler", "/bin/true")) as server:
        run_one("first")
        os.rename(server.path("first"), server.path("first.1"))
        server.reload(number=signal.SIGUSR1)
        run_one("first")
        assert runs_in("first.1") == 1
        # What sinkctl has said of the level is so for them too.
        server.sinkctl("log-level", "info")
        server.reload(server.to("second").replace("}", ' level = "error" }')
                      + section("handler", "/bin/true"))
        run_one("second")
        assert runs_in("second") == 1 and runs_in("first") == 1


def a_log_is_opened_anew_after_a_reload_under_way():
    with Logging(FEW % 4) as server:
        for number in range(10):
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda: server.events("server.signal")[-1:], what="a reload under way")
            os.rename(server.path("first"), server.path(f"old.{number}"))
            os.kill(server.pid, signal.SIGUSR1)
            # Whoever has the old file open leaves it without another signal.
            wait_until(lambda: is_logged(server), 5, "a session in the new file")


def is_logged(server):
    """Whether a new session is in the file that lies there now."""
    greeted(server).close()
    path = server.path("first")
    return os.path.exists(path) and b"event=session.start" in read_file(path)


# --- one thing after the other ------------------------------------------------------


def the_last_file_wins():
    with Upgraded(config='greeting = "0"\n') as server:
        for number in range(1, 41):
            server.write_config(f'greeting = "{number}"\n')
            os.kill(server.pid, signal.SIGHUP)
            if number % 4 == 0:
                greeted(server).close()
        wait_until(lambda: greeting_of(server) == "220 40", 10, "the last configuration")
        assert server.reloads("refused") == server.reloads("failed") == 0


def a_reload_waits_for_the_first_worker():
    def hang_up():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        os.kill(os.getpid(), signal.SIGHUP)

    with Upgraded(config="", prepare=hang_up) as server:
        wait_until(lambda: server.reloads("done") == 1, what="a reload")
        [done] = server.events("server.reload")
        start = server.events("server.start")[0]
        assert server.log().index(start) < server.log().index(done)
        server.reload()


def a_reload_waits_for_an_upgrade():
    with Upgraded(config='greeting = "old"\n') as server, slow_start(server) as go_on:
        old = server.ask()
        server.wait_result("started")
        os.kill(old, signal.SIGHUP)
        wait_until(lambda: "signal=HUP" in server.log(), what="the signal")
        assert greeting_of(server) == "220 old"
        # The new server reads this file, and then, since we asked for it, another.
        go_on('greeting = "old"\n', then='greeting = "new"\n')
        server.wait_for_other(old)
        assert server.wait_exit() == 0
        wait_until(lambda: greeting_of(server) == "220 new", 10, "the configuration asked for")


def a_reload_is_made_up_for_after_a_failed_upgrade():
    with Upgraded(config='greeting = "old"\n') as server, slow_start(server) as go_on:
        server.ask()
        server.wait_result("started")
        text = server.sinkctl("reload")[0]
        assert text == "will reload when what is under way has ended\n", text
        go_on("nonsense = 1\n", then='greeting = "new"\n')
        server.wait_result("failed")
        wait_until(lambda: server.reloads("done") == 1, what="the reload")
        wait_until(lambda: greeting_of(server) == "220 new", 10, "the configuration asked for")


def an_upgrade_waits_for_a_reload():
    kept, new = free_ports(2)
    with Upgraded(config=listen_on(kept), listen=None) as server:
        server.write_config(listen_on(kept, new))
        old = server.pid
        os.kill(old, signal.SIGHUP)
        os.kill(old, signal.SIGUSR2)
        server.wait_for_other(old)
        assert server.wait_exit() == 0
        assert server.results() == ["started", "ready"], server.results()
        for port in kept, new:
            with connect_to(port) as client:
                client.greet()


def whoever_started_us_is_told():
    address = f"@sinkd-wire-reload-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address.replace("@", "\0", 1))
        notified.settimeout(5 * PATIENCE)

        def told():
            while (text := notified.recv(4096)).startswith(b"STATUS="):
                pass
            return text

        def expect_reload():
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", told())
            assert told() == b"READY=1"

        with Upgraded(config="", environment={"NOTIFY_SOCKET": address}) as server:
            assert told() == b"READY=1"
            server.reload()
            expect_reload()
            server.reload("nonsense = 1\n", "refused")
            expect_reload()
            server.reload('log { target = "/nonexistent/log" }\n', "refused")
            expect_reload()
            server.make_readonly_maildir("readonly")
            server.reload('deliver "a" { type = "maildir"  path = "readonly" }\n', "failed")
            expect_reload()
            os.kill(server.pid, signal.SIGUSR1)
            expect_reload()


run(each_session_has_the_settings_it_began_with,
    what_a_listener_offers_changes_without_its_socket, a_reload_that_is_over_is_over_for_all,
    grace_lets_transactions_finish, the_pool_follows, listeners_come_and_go, listeners_of_all_kinds_are_kept, nobody_is_refused,
    mistakes_change_nothing, an_address_that_is_taken_changes_nothing,
    a_directory_that_cannot_be_used_changes_nothing,
    a_log_that_cannot_be_opened_changes_nothing, nothing_leaks, a_log_is_opened_anew,
    runs_of_commands_are_in_the_new_log, a_log_is_opened_anew_after_a_reload_under_way, the_last_file_wins,
    a_reload_waits_for_the_first_worker, a_reload_waits_for_an_upgrade,
    a_reload_is_made_up_for_after_a_failed_upgrade, an_upgrade_waits_for_a_reload,
    whoever_started_us_is_told, together=True)
