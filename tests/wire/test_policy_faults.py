"""A policy service that is not there, hangs, breaks off or talks nonsense, and comes back; the
process that connects to it; and many clients, reloads and stops meanwhile."""

import concurrent.futures
import contextlib
import os
import signal
import socket
import struct
import time

from channels import channel_of
from commands import keys_of, listen
from policy_service import SILENCE, Cut, Drip, PolicyServer, PolicyService, policy
from sinkd_server import LEVEL, Server, read_file, status_of, wait_until
from upgraded_server import Upgraded, greeted
from wire_test import Skip, need_root, run

TEXT = b"Subject: x\r\n\r\ntext\r\n"
RCPT = "RCPT TO:<b@example.net>"
UNREACHABLE = "the policy service cannot be reached"
SILENT = "the policy service does not answer"


class AtRcpt(PolicyServer):
    """It is asked where services usually are."""

    def __init__(self, service, *arguments, **options):
        super().__init__(service, *arguments, stages=["rcpt"], **options)

    def connector(self):
        """The pid of the process that connects."""
        def find():
            return [pid for pid, title in self.children().items()
                    if title.partition(": ")[2] == "connector"]
        [pid] = wait_until(lambda: len(find()) == 1 and find(), what="one connector")
        return pid


def mail(client):
    client.command("MAIL FROM:<a@example.com>", "250 ")


# --- the connection -----------------------------------------------------------------------


def a_worker_keeps_its_connection(kind):
    with PolicyService(kind) as service, AtRcpt(service) as server:
        def deliver():
            with greeted(server) as client:
                client.deliver(TEXT)

        for _ in range(3):
            deliver()
        assert service.connections == 1 and len(service.requests) == 3
        service.hang_up()
        deliver()
        assert service.connections == 2
        with greeted(server) as client:
            mail(client)
            client.command(RCPT, "250 ")
            service.restart()
            client.command("RCPT TO:<c@example.net>", "250 ")
        assert service.connections == 3
        # It takes the question, and ends over it: asked again on another one, and no more.
        service.answers["RCPT"] = lambda request: Cut() if request.connection == 3 else "OK"
        deliver()
        assert service.connections == 4 and len(service.asked()) == 8
        assert len(server.stored()) == 5 and not server.failures()


def it_is_kept_over_unix():
    a_worker_keeps_its_connection("unix")


def it_is_kept_over_tcp():
    a_worker_keeps_its_connection("tcp")


def it_is_found_by_either_address_of_localhost():
    has_ipv6 = os.path.exists("/proc/net/if_inet6") and read_file("/proc/net/if_inet6")
    for kind in ("tcp", "tcp6") if has_ipv6 else ("tcp",):
        with PolicyService(kind) as service, \
                Server(config=policy(f"localhost:{service.port}"), workers=1) as server, \
                greeted(server) as client:
            client.deliver(TEXT)
            assert len(service.requests) == 1 and not server.events("policy.failed")


def one_that_comes_later(kind="unix", reason="No such file or directory"):
    service = PolicyService(kind)
    with AtRcpt(service) as server, greeted(server) as client:
        mail(client)
        assert client.command(RCPT, "451 ") == "451 4.3.0 Try later"
        [line] = server.events("policy.failed")
        keys = keys_of(line)
        assert (keys["socket"], keys["error"], keys["reason"]) == \
            (service.address, UNREACHABLE, reason), line
        with service:
            client.command(RCPT, "250 ")
            service.stop()
            client.command(RCPT, "451 4.3.0 ")
            service.start()
            client.command(RCPT, "250 ")
        client.command(RCPT, "451 4.3.0 ")
        assert len(server.failures()) == 3


def one_that_comes_later_over_tcp():
    one_that_comes_later("tcp", "Connection refused")


def who_connects_is_nobody_special():
    need_root()
    with PolicyService() as service, AtRcpt(service) as server, greeted(server) as client:
        status = status_of(server.connector())
        assert "0" not in status["Uid"] + status["Gid"], status
        assert int(status["CapEff"][0], 16) == 0 and status["NoNewPrivs"] == ["1"], status
        is_caged = not LEVEL and "advice=" not in "".join(server.events("server.sandbox"))
        assert not is_caged or status["Seccomp"] == ["2"], status
        os.chmod(service.path, 0o600)
        mail(client)
        client.command(RCPT, "451 4.3.0 ")
        [line] = server.events("policy.failed")
        assert keys_of(line)["reason"] == "Permission denied", line
        os.chmod(service.path, 0o666)
        client.command(RCPT, "250 ")


# --- what is no answer ------------------------------------------------------------------------

FAILURES = {
    # on-failure: what the client is told
    None: "451 4.3.0 Try later",
    "accept": "250 2.1.5 ",
    "450 4.7.1 Not yet": "450 4.7.1 Not yet",
    "550 Never": "550 5.",
    "421 4.3.2 Away": "421 4.3.2 Away",
}

NONSENSE = {
    # what it says: why that is none
    Cut(): SILENT,
    Cut(b"action=OK\n"): SILENT,
    Cut(b"act"): SILENT,
    b"\n": "the answer has no action",
    b"action=\n\n": "the answer has no action",
    b"reply=OK\n\n": "the answer has no action",
    b"250 Ok\n\n": "a line of the answer is not name=value",
    b"\0\0\0\n\n": "a line of the answer is not name=value",
    b"HTTP/1.1 400 Bad Request\r\n\r\n": "a line of the answer is not name=value",
    b"action=OK\naction=REJECT\n\n": "the answer has several actions",
    b"a=" + b"x" * 10000 + b"\n\n": "the answer is too long",
    b"\xff" * 100000: "the answer is too long",
}


def each_way_to_fail_has_its_reply():
    with PolicyService(answers={"RCPT": SILENCE}) as service:
        for on_failure, reply in FAILURES.items():
            options = {"on_failure": on_failure} if on_failure else {}
            with AtRcpt(service, timeout="500ms", **options) as server, greeted(server) as client:
                mail(client)
                client.command(RCPT, reply)
                if reply.startswith("421"):
                    client.expect_closed()
                assert server.failures() == [SILENT], server.failures()


def nonsense():
    """After it comes a new connection: whose answer would the rest be?"""
    with PolicyService() as service, AtRcpt(service, timeout="20s") as server, \
            greeted(server) as client:
        mail(client)
        for answer in NONSENSE:
            service.answers["RCPT"] = answer
            client.command(RCPT, "451 4.3.0 ")
            service.answers["RCPT"] = "OK"
            client.command(RCPT, "250 ")
        assert server.failures() == list(NONSENSE.values()), server.failures()
        # These are odd, but answers.
        for answer, reply in (b"x=y\naction=REJECT a\0b\n\n", "554 5.7.1 a?b"), \
                (b"action=reject x\r\n\r\n", "554 5.7.1 x"), \
                (b"ACTION = no\naction= DEFER  y\n\n", "450 4.7.1 y"), \
                (b"action=OK\0\n\n", "250 "), \
                (b"action=REJECT " + b"x" * 8000 + b"\n\n", "554 5.7.1 xxx"), \
                (b"action=OK\n\naction=REJECT\n\n", "250 "):
            service.answers["RCPT"] = answer
            client.command(RCPT, reply)
        service.answers["RCPT"] = "OK"
        client.command(RCPT, "250 ")
        assert len(server.failures()) == len(NONSENSE)


def there_is_one_deadline_for_an_answer():
    with PolicyService() as service, AtRcpt(service, timeout="1s") as server, \
            greeted(server) as client:
        mail(client)
        for answer in SILENCE, Drip(b"x" * 1000, 0.05):
            service.answers["RCPT"] = answer
            started = time.monotonic()
            client.command(RCPT, "451 4.3.0 ")
            assert 0.98 <= time.monotonic() - started < 5, time.monotonic() - started
        assert server.failures() == [SILENT] * 2


def a_late_answer_is_nobodys():
    with PolicyService() as service, AtRcpt(service, timeout="1s") as server, \
            greeted(server) as client:
        mail(client)
        service.answers["RCPT"] = Drip(b"action=REJECT late\n\n", 0.3)
        client.command(RCPT, "451 4.3.0 ")
        service.answers["RCPT"] = "452 4.2.2 This one"
        client.command(RCPT, "452 4.2.2 This one")
        assert service.connections == 2


def a_worker_that_waits_for_it_does_not_hang():
    """However many questions come of one read, and however short other times are."""
    if LEVEL:
        raise Skip("waits for a clock that no level changes")
    with PolicyService(answers={"RCPT": SILENCE}) as service, \
            AtRcpt(service, timeout="2500ms", config='timeouts { data = "1s" }\n') as server, \
            greeted(server) as client:
        [pid] = server.workers()
        mail(client)
        client.send(f"{RCPT}\r\n".encode() * 3)
        for _ in range(3):
            client.expect("451 4.3.0 ")
        service.answers = {}
        client.command(RCPT, "250 ")
        assert not server.events("worker.hung") and server.workers() == [pid]
        assert len(server.failures()) == 3


def between_questions_it_looks_around():
    """What one packet asks about may take long; the replies are not kept until all are there,
    a client that goes, or a server that stops, is noticed."""
    packet = f"{RCPT}\r\n".encode() * 30
    with PolicyService(answers={"RCPT": SILENCE}) as service, \
            AtRcpt(service, timeout="200ms") as server:
        with greeted(server) as client:
            mail(client)
            client.send(packet)
            client.expect("451 4.3.0 ")
            assert len(service.requests) <= 5, len(service.requests)
            client.reset()
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        assert len(service.requests) <= 8, len(service.requests)
        service.requests.clear()
        with greeted(server) as client:
            mail(client)
            client.send(packet)
            client.expect("451 4.3.0 ")
            server.sinkctl("stop")
            replies = iter(client.reply, None)
            assert [reply[:9] for reply in replies if not reply.startswith("451 4.3.0 ")] == \
                ["421 4.3.2"]
            assert len(service.requests) < 30, len(service.requests)


# --- the process that connects -------------------------------------------------------------------


def a_connector_that_is_killed_comes_back():
    with PolicyService() as service, AtRcpt(service) as server, greeted(server) as client:
        mail(client)
        for number in range(2):
            pid = server.connector()
            # A question that waits for it waits for the next one.
            os.kill(pid, signal.SIGSTOP)
            service.hang_up()
            client.send(f"{RCPT}\r\n".encode())
            os.kill(pid, signal.SIGKILL)
            client.expect("250 ")
            wait_until(lambda n=number: len(server.events("connector.exit")) == n + 1,
                       what="its funeral")
            assert keys_of(server.events("connector.exit")[-1])["signal"] == "KILL"
            assert server.connector() != pid
        client.command("DATA", "354 ")
        client.send(TEXT + b".\r\n")
        client.expect("250 ")
        assert len(server.stored()) == 1 and not server.failures()


def one_that_hangs_costs_what_a_service_may():
    with PolicyService() as service, AtRcpt(service, timeout="1s") as server, \
            greeted(server) as client:
        pid = server.connector()
        os.kill(pid, signal.SIGSTOP)
        mail(client)
        client.command(RCPT, "451 4.3.0 ")
        assert server.failures() == [UNREACHABLE], server.failures()
        os.kill(pid, signal.SIGCONT)
        client.command(RCPT, "250 ")
        assert server.connector() == pid


def whatever_it_is_asked_it_stays():
    """As by a worker that somebody has taken over: it connects to what is configured, and
    its questions cost it nothing."""
    need_root()
    config = 'deliver "null" { type = "discard" }\n' + listen("in", "null", tls="off")
    with PolicyService() as service, AtRcpt(service, config=config) as server:
        server.wait_idle(1)
        pid = server.connector()

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))

        before, number = descriptors(), 0
        soon = int(time.monotonic() * 1000) + 60000
        junk = [b"", b"x", b"\0" * 16, b"\xff" * 16, os.urandom(1000), b"\0" * 60000,
                struct.pack("=QII", soon, 1, 0), struct.pack("=QII", soon, 2 ** 32 - 1, 0)]
        with channel_of(server.workers()[0]) as channel, greeted(server) as client:
            mail(client)
            for text in junk:
                for count in 0, 1, 2, 9, 20:
                    files = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(count)]
                    with contextlib.suppress(BrokenPipeError):
                        socket.send_fds(channel, [text], files)
                    for fd in files:
                        os.close(fd)
                number += 1
                service.hang_up()
                client.command(RCPT, "250 ")
                assert len(service.requests) == number
            # One that asks as it should gets a connection, and nothing else.
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                ours.settimeout(20)
                socket.send_fds(channel, [struct.pack("=QII", soon, 0, 0)], [theirs.fileno()])
                answer, [fd], _, _ = socket.recv_fds(ours, 100, 10)
                assert answer == b"\0" * 4, answer
                with socket.socket(fileno=fd) as taken:
                    assert taken.getpeername() == service.path, taken
        assert server.connector() == pid and not server.events("connector.exit")
        assert server.events("connector.refused") and not server.failures()
        wait_until(lambda: descriptors() == before, what="all files closed")


# --- clients, reloads, stops -----------------------------------------------------------------------


def many_clients():
    """Each worker has one connection, and hears no answer but its own."""
    workers, clients, messages = 6, 24, 5

    def answer(request):
        return f"451 4.7.1 {request['recipient']}" if "no" in request["recipient"] else "OK"

    def talk(server, number):
        with greeted(server) as client:
            for message in range(messages):
                mail(client)
                name = f"no.{number}.{message}@example.net"
                whole = client.command(f"RCPT TO:<{name}>", "451 ")
                assert whole == f"451 4.7.1 {name}", whole
                client.command(f"RCPT TO:<yes.{number}.{message}@example.net>", "250 ")
                client.command("DATA", "354 ")
                client.send(TEXT + b".\r\n")
                client.expect("250 ")
            client.command("QUIT", "221 ")

    with PolicyService(answers={"RCPT": answer}) as service, \
            AtRcpt(service, workers=workers) as server, \
            concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(talk, server, number) for number in range(clients)]:
            done.result()
        assert len(service.requests) == 2 * clients * messages
        assert service.connections <= workers, service.connections
        assert len(server.stored()) == clients * messages and not server.failures()


def a_reload_changes_who_is_asked():
    with PolicyService() as old, PolicyService("tcp", {"RCPT": "REJECT new"}) as new, \
            Upgraded(config=policy(old), workers=2) as server:
        pool = "workers {" + open(server.path("sinkd.conf")).read().partition("workers {")[2]
        with greeted(server) as before:
            mail(before)
            before.command(RCPT, "250 ")
            server.reload(policy(new) + pool)
            with greeted(server) as after:
                mail(after)
                after.command(RCPT, "554 5.7.1 new")
            # Who began with the old one goes on with it, and even connects anew.
            before.command(RCPT, "250 ")
            old.hang_up()
            before.command(RCPT, "250 ")
            server.reload(pool)
            with greeted(server) as without:
                without.deliver(TEXT)
            server.reload(policy("unix:relative") + pool, action="refused")
        assert len(old.requests) == 3 and len(new.requests) == 1
        wait_until(lambda: not [title for title in server.children().values() if "conn" in title],
                   what="the end of all connectors")
        server.reload(policy(new) + pool)
        with greeted(server) as again:
            mail(again)
            again.command(RCPT, "554 5.7.1 new")
        assert not server.events("policy.failed")


def old_clients_keep_their_connector(leave):
    """While there are new ones, and even if it dies."""
    with PolicyService() as service, Upgraded(config=policy(service), workers=1) as server:
        def connectors():
            return {pid for pid, title in server.all_titles().items() if ": connector" in title}

        with greeted(server) as before:
            mail(before)
            before.command(RCPT, "250 ")
            [old] = connectors()
            leave(server)
            os.kill(old, signal.SIGKILL)
            service.hang_up()
            before.command(RCPT, "250 ")
            assert old not in connectors()
            before.command("QUIT", "221 ")
        assert len(service.requests) == 2 and not server.events("policy.failed")
        if leave is Upgraded.upgrade:
            with greeted(server) as after:
                mail(after)
                after.command(RCPT, "250 ")
            wait_until(lambda: len(connectors()) == 1, what="the new connector alone")
        else:
            server.wait_exit()


def an_upgrade_leaves_it_to_old_clients():
    old_clients_keep_their_connector(Upgraded.upgrade)


def a_drain_leaves_it_to_old_clients():
    old_clients_keep_their_connector(lambda server: server.sinkctl("drain"))


def it_holds_up_no_stop():
    config = policy("unix:%s", stages=["rcpt"], timeout="1h") + 'timeouts { grace = "500ms" }\n'
    with PolicyService(answers={"RCPT": SILENCE}) as service, \
            Server(config=config % service.path, workers=1) as server, greeted(server) as client:
        mail(client)
        client.send(f"{RCPT}\r\n".encode())
        wait_until(lambda: service.requests, what="the question")
        server.terminate()
        server.wait_exit()


run(it_is_kept_over_unix, it_is_kept_over_tcp, it_is_found_by_either_address_of_localhost,
    one_that_comes_later, one_that_comes_later_over_tcp, who_connects_is_nobody_special,
    each_way_to_fail_has_its_reply, nonsense, there_is_one_deadline_for_an_answer,
    a_late_answer_is_nobodys, a_worker_that_waits_for_it_does_not_hang,
    between_questions_it_looks_around, a_connector_that_is_killed_comes_back, one_that_hangs_costs_what_a_service_may,
    whatever_it_is_asked_it_stays, many_clients, a_reload_changes_who_is_asked,
    an_upgrade_leaves_it_to_old_clients, a_drain_leaves_it_to_old_clients, it_holds_up_no_stop, together=True)
