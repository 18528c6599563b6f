"""A module that crashes, ends its process, makes a call that it may not make, or hangs:
it costs the session that it was told of, and the log says which."""

import re

from modules import ModuleShop
from sinkd_server import Server, built_with_sanitizers, wait_until
from upgraded_server import Upgraded
from wire_test import Skip, run

# What is done, and how the log tells the end of the worker.
FAULTS = [("abort", "signal=ABRT"), ("exit0", "status=0"), ("exit9", "status=9"),
          ("segv", "signal=SEGV"), ("recurse", "signal=SEGV")]
# A sanitizer would tell of these by itself, as of a mistake of the server.
TOLD_BY_SANITIZERS = "segv", "recurse"


def ends_of(server, count):
    """The lines of the log about the ends of so many workers."""
    wait_until(lambda: len(server.events("worker.exit")) >= count, what=f"{count} ends")
    ends = server.events("worker.exit")
    assert len(ends) == count, ends
    return ends


def is_served(server):
    with server.connect() as client:
        client.greet()
        client.deliver(b"Subject: served\r\n\r\n")
        client.command("QUIT", "221 ")


def commit(server, local):
    """A session in which the module does this; the client sees no reply to it, but the end."""
    with server.connect() as client:
        client.greet()
        hook = local.partition(".")[2]
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.send(f"RCPT TO:<{local}@example.net>\r\n".encode())
        if hook:
            client.expect("250 ")
            client.send(b"DATA\r\n")
        if hook and hook != "data_command":
            client.expect("354 ")
            client.send(b"Subject: lost\r\n\r\n.\r\n")
        if hook == "connection_ended":
            client.expect("250 ")
            client.command("QUIT", "221 ")
        client.expect_closed()


def a_crash_costs_one_session():
    with ModuleShop() as shop, \
            Server(config=shop.section("wilful", "wilful"), workers=2) as server:
        server.wait_idle(2)
        count = 0
        with server.connect() as other:
            other.greet()
            other.open_message()
            for local, told in FAULTS:
                if built_with_sanitizers() and local in TOLD_BY_SANITIZERS:
                    continue
                commit(server, local)
                count += 1
                line = ends_of(server, count)[-1]
                assert f" {told} " in line and " state=command client=127.0.0.1 " in line, line
                assert " level=warn " in line, line
                is_served(server)
            other.send(b"Subject: unharmed\r\n\r\n.\r\n")
            other.expect("250 2.0.0 Ok: ")
        assert len(server.stored()) == count + 1


def so_it_does_in_any_hook():
    with ModuleShop() as shop, \
            Server(config=shop.section("wilful", "wilful"), workers=2) as server:
        server.wait_idle(2)
        hooks = "data_command", "data_chunk", "message", "transaction", "connection_ended"
        for count, hook in enumerate(hooks):
            commit(server, "abort." + hook)
            line = ends_of(server, count + 1)[-1]
            assert " signal=ABRT " in line and " client=127.0.0.1 " in line, line
        is_served(server)
        # `transaction` and `connection_ended` come when it has been stored.
        assert [b"Subject: lost" in text for text in server.stored()].count(True) == 2


def calls_that_are_not_on_the_list():
    if built_with_sanitizers():
        raise Skip("built with sanitizers, every level is off")
    for level, told in ("kill", " signal=SYS "), ("trap", " status="):
        config = f'sandbox {{ level = "{level}" }}\n'
        with ModuleShop() as shop, \
                Server(config=config + shop.section("wilful", "wilful"), workers=2,
                       tries=True) as server:
            if any("advice=" in line for line in server.events("server.sandbox")):
                raise Skip("there is no sandbox here")
            for count, fault in enumerate(("fork", "socket", "print")):
                commit(server, fault)
                line = ends_of(server, count + 1)[-1]
                assert told in line and " client=127.0.0.1 " in line, line
                server.wait_idle(2)
            if level == "trap":
                called = [re.search("call '(.*?)'", line).group(1) for line in server.denied()]
                assert called[:2] == ["clone", "socket"] and "fstat" in called[2], called
            with server.connect() as client:
                client.greet()
                client.command("MAIL FROM:<a@example.com>", "250 ")
                # A call that is, for a file that is none of its business: EACCES.
                client.command("RCPT TO:<open@example.net>", "450 4.7.1 open 13")
            is_served(server)


def what_hangs_is_ended():
    config = 'timeouts { command = "1s"  data = "1s" }\n'
    with ModuleShop() as shop, \
            Server(config=config + shop.section("wilful", "wilful"), workers=2) as server:
        server.wait_idle(2)
        with server.connect() as victim:
            victim.greet()
            victim.command("MAIL FROM:<a@example.com>", "250 ")
            victim.send(b"RCPT TO:<hang@example.net>\r\n")
            is_served(server)
            [line] = wait_until(lambda: server.events("worker.hung"), 12, "its end")
            assert " state=command client=127.0.0.1 " in line, line
            victim.expect_closed()
        assert " signal=KILL " in ends_of(server, 1)[0]
        is_served(server)


def what_hangs_when_it_is_closed_is_ended():
    config = 'timeouts { data = "1s"  grace = "60s" }\n'
    with ModuleShop() as shop, \
            Upgraded(config=config + shop.section("wilful", "late-hang"), workers=2) as server:
        server.wait_idle(2)
        before = set(server.workers())
        is_served(server)
        server.reload()
        wait_until(lambda: not before & set(server.processes()), 12, "the end of all before")
        [line] = [line for line in ends_of(server, 1) if "signal=" in line]
        assert " signal=KILL state=idle " in line, line
        assert " state=idle " in server.events("worker.hung")[0]


if __name__ == "__main__":
    run(a_crash_costs_one_session, so_it_does_in_any_hook, calls_that_are_not_on_the_list,
        what_hangs_is_ended, what_hangs_when_it_is_closed_is_ended, together=True)
