"""Clients that speak before they were greeted: noted in the log, and refused where it is said
so.  A PROXY header is no such thing, and neither is a ClientHello."""

import time

from certificates import any_certificate
from commands import keys_of
from sinkd_server import Client, Server, wait_until
from wire_test import run

REFUSE = 'limits { early-talker = "refuse" }\n'
BUSY = "workers { start = 1  min-spare = 1  max-spare = 1  max = 1 }\n"
EARLY = b"EHLO early.example\r\nQUIT\r\n"
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.9 40007 25\r\n"


def early_client(server, data=EARLY, address=None):
    """All workers are busy, so that what this client sends is there before it is served."""
    with server.connect() as first:
        first.expect("220 ")
        client = Client(address or server.addresses[0])
        client.send(data)
        first.command("QUIT", "221 ")
    return client


def the_early_one(server):
    [line] = wait_until(lambda: server.events("session.early"), what="the line of the log")
    assert " level=info " in line, line
    return keys_of(line)


def allowed():
    with Server(config=BUSY) as server, early_client(server) as client:
        client.expect("220 ")
        client.expect("250-")
        client.expect("221 ")
        keys = the_early_one(server)
        assert keys["session"] == keys_of(server.events("session.start")[1])["session"], keys
        assert keys["input"] == "EHLO early.example", keys


def passwords_are_not_logged():
    """Whoever does not wait for replies does not wait with AUTH either."""
    with Server(config=BUSY + "auth { accept-any = true }\n") as server:
        for line in b"auth PLAIN AHUAc2VjcmV0\r\n", b"EHLO x\r\nAUTH PLAIN AHUAc2VjcmV0\r\n", \
                b"EHLO x\nAUTH PLAIN AHUAc2VjcmV0\n":
            with early_client(server, line) as client:
                client.expect("220 ")
        inputs = [keys_of(line)["input"] for line in wait_until(
            lambda: server.events("session.early")[2:] and server.events("session.early"))]
        assert inputs == ["AUTH (hidden)", "EHLO x", "EHLO x"], inputs
        assert "AHUA" not in server.log()


def allowed_and_not_looked_at():
    with Server(config=BUSY + 'log { level = "warn" }\n') as server, early_client(server) as client:
        client.expect("220 ")
        client.expect("250-")
        client.expect("221 ")
        assert not server.events("session.early")


def refused():
    with Server(config=BUSY + REFUSE) as server, early_client(server) as client:
        assert client.expect("554 5.5.1 ") == "554 5.5.1 You spoke before the greeting"
        client.expect_closed()
        assert the_early_one(server)["code"] == "554"
        # And the next one is served.
        with server.connect() as other:
            other.greet()


def refused_within_a_short_wait():
    """It was not there when the connection was, and came soon after."""
    with Server(config=REFUSE) as server, server.connect() as client:
        client.send(EARLY)
        client.expect("554 5.5.1 ")
        client.expect_closed()


def who_waits_is_greeted():
    with Server(config=REFUSE) as server:
        started = time.monotonic()
        with server.connect() as client:
            client.greet()
            assert time.monotonic() - started < 5, "a short wait it was to be"
            client.deliver(b"text\r\n")
        assert not server.events("session.early")


def all_octets_are_escaped():
    with Server(config=BUSY) as server, \
            early_client(server, b"\x16\x03\x01\0\xff\r\nevent=fake.event\n" + b"x" * 500) as client:
        client.expect("220 ")
        keys = the_early_one(server)
        assert not server.events("fake.event")
        assert max(map(len, keys.values())) <= 64 * 4, keys


def a_header_is_not_early():
    config = REFUSE + 'listen "behind" { address = {"127.0.0.1:0"}  proxy-protocol = {"127.0.0.1"} }\n'
    with Server(config=config, listen=None) as server:
        with server.connect() as client:
            client.send(HEADER)
            client.greet()
        assert not server.events("session.early")
        with server.connect() as client:
            client.send(HEADER + EARLY)
            client.expect("554 5.5.1 ")
            client.expect_closed()
        early = the_early_one(server)["session"]
        assert any(keys["session"] == early and keys["client"] == "192.0.2.7"
                   for keys in map(keys_of, server.events("session.proxy"))), server.log()


def a_client_hello_is_not_early():
    config = REFUSE + 'listen "tls" { address = {"127.0.0.1:0"}  tls = "implicit" }\n'
    with Server(config=config, listen=None) as server, server.connect() as client:
        client.wrap(any_certificate())
        client.greet()
        assert not server.events("session.early")


run(allowed, passwords_are_not_logged, allowed_and_not_looked_at, refused, refused_within_a_short_wait,
    who_waits_is_greeted, all_octets_are_escaped, a_header_is_not_early,
    a_client_hello_is_not_early, together=True)
