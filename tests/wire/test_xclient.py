"""XCLIENT (Postfix, XCLIENT_README): who may use it, what it changes in log, trace header and
environment of commands, and that it begins the session anew."""

import contextlib
import subprocess

from certificates import any_certificate
from commands import PipeServer, keys_of, listen, section
from lmtp import LmtpClient
from sinkd_server import Client, Server
from wire_test import need_program, run

ATTRIBUTES = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
STORE = section("inbox", type="maildir", path="./Maildir", headers=["Received", "X-Sinkd-Envelope"])
CONFIG = (STORE + listen("in", "inbox", xclient=["127.0.0.1"], auth="optional")
          + "auth { accept-any = true }\n")
LMTP_CONFIG = STORE + listen("in", "inbox", xclient=["127.0.0.0/8"], protocol="lmtp")


def unfolded(text):
    return text.decode().replace("\n\t", " ").replace("\n ", " ")


def last_stored(server):
    name = max(server.listing("new"), key=lambda name: name.split(".")[1])
    with open(server.path("Maildir", "new", name), "rb") as file:
        return unfolded(file.read())


def all_that_it_tells():
    with Server(config=CONFIG, listen=None) as server, server.connect() as client:
        reply = client.greet()
        assert f"250-XCLIENT {ATTRIBUTES}\n" in reply, reply
        greeting = client.command("XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=40007", "220 ")
        assert not greeting[4].isdigit(), greeting
        # All is as at the start.
        client.command("MAIL FROM:<a@example.com>", "503 5.5.1")
        client.command("XCLIENT HELO=told.example PROTO=ESMTP LOGIN=ann+40example.com"
                       " DESTADDR=198.51.100.9 DESTPORT=25", "220 ")
        client.command("MAIL FROM:<a@example.com>", "250 ")
        client.command("RSET", "250 ")
        client.command("EHLO real.example", "250-")
        client.deliver(b"text\r\n")
        stored = last_stored(server)
        assert "from real.example (spike.example [192.0.2.7]) " in stored, stored
        assert " with ESMTPA " in stored, stored
        for line in "client=192.0.2.7", "port=40007", "name=spike.example", "helo=real.example", \
                "destination=198.51.100.9:25", "user=ann@example.com":
            assert f"X-Sinkd-Envelope: {line}\n" in stored, (line, stored)
        first, second = map(keys_of, server.events("session.xclient"))
        assert (first["client"], first["port"], first["name"]) == \
            ("192.0.2.7", "40007", "spike.example"), first
        assert (second["helo"], second["user"]) == ("told.example", "ann@example.com"), second
        assert second["destination"] == "198.51.100.9:25", second
        # The peer stays who it is.
        assert keys_of(server.events("session.start")[0])["client"] == "127.0.0.1"


def addresses():
    with Server(config=CONFIG, listen=None) as server, server.connect() as client:
        client.greet()
        for told, shown in (("IPV6:2001:db8::7", "[IPv6:2001:db8::7]"), ("192.0.2.7", "[192.0.2.7]"),
                            ("IPv6:2001:DB8::0:9", "[IPv6:2001:db8::9]"), ("[UNAVAILABLE]", None),
                            ("[TEMPUNAVAIL]", None)):
            client.command(f"XCLIENT ADDR={told} NAME=[UNAVAILABLE]", "220 ")
            client.command("EHLO real.example", "250-")
            client.deliver(b"text\r\n")
            stored = last_stored(server)
            if shown:
                assert f"from real.example ({shown}) by " in stored, (told, stored)
            else:
                assert "from real.example by " in stored and "client=" not in stored, (told, stored)


WRONG = (
    "XCLIENT", "XCLIENT  ", "XCLIENT ADDR", "XCLIENT =x", "XCLIENT FOO=x", "XCLIENT ADDR=192.0.2.300",
    "XCLIENT ADDR=2001:db8::7", "XCLIENT ADDR=IPV6:192.0.2.7", "XCLIENT ADDR=spike.example",
    "XCLIENT ADDR=127.1", "XCLIENT PORT=65536", "XCLIENT PORT=-1", "XCLIENT PORT=x", "XCLIENT PROTO=HTTP",
    "XCLIENT NAME=a+0Ab", "XCLIENT NAME=a+00b", "XCLIENT NAME=a+C3+A9", "XCLIENT NAME=a+4", "XCLIENT HELO=a+0Db",
    "XCLIENT LOGIN=a+0D+0AX-Header:+20x", "XCLIENT DESTADDR=x", "XCLIENT DESTPORT=99999999999999999999",
    "XCLIENT ADDR=192.0.2.8 FOO=x", "XCLIENT NAME=" + "x" * 1000,
)


def wrong_ones_change_nothing():
    with Server(config=CONFIG + "limits { errors = 100 }\n", listen=None) as server, \
            server.connect() as client:
        client.greet()
        client.command("XCLIENT ADDR=192.0.2.7", "220 ")
        client.command("EHLO real.example", "250-")
        for line in WRONG:
            client.command(line, "501 5.5.")
        client.deliver(b"text\r\n")
        assert "from real.example ([192.0.2.7])" in last_stored(server), last_stored(server)
        # In a transaction it has no place.
        client.address_message()
        client.command("XCLIENT ADDR=192.0.2.8", "503 5.5.1")
        client.command("DATA", "354 ")
        client.send(b"text\r\n.\r\n")
        client.expect("250 ")
        assert "from real.example ([192.0.2.7])" in last_stored(server), last_stored(server)


def others_may_not():
    with Server(config=CONFIG, listen=None) as server:
        with server.connect(source="127.0.0.2") as client:
            assert "XCLIENT" not in client.greet()
            client.command("XCLIENT ADDR=192.0.2.7", "550 5.7.0")
            client.deliver(b"text\r\n")
            assert "[127.0.0.2]" in last_stored(server), last_stored(server)
        assert not server.events("session.xclient")
    with Server() as server, server.connect() as client:
        assert "XCLIENT" not in client.greet()
        client.command("XCLIENT ADDR=192.0.2.7", "550 5.7.0")


def a_login_that_was_before_is_forgotten():
    with Server(config=CONFIG, listen=None) as server, server.connect() as client:
        client.greet()
        client.command("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ")
        client.command("XCLIENT NAME=spike.example", "220 ")
        client.command("EHLO real.example", "250-")
        client.deliver(b"text\r\n")
        stored = last_stored(server)
        assert " with ESMTP id" in stored and "user=" not in stored, stored


def who_is_told_is_not_on_this_machine():
    """Passwords in plain text are for clients on this machine; one that is only told of is not."""
    with Server(config=CONFIG, listen=None) as server, server.connect() as client:
        assert " PLAIN" in client.greet()
        client.command("XCLIENT ADDR=192.0.2.7", "220 ")
        reply = client.command("EHLO real.example", "250-")
        assert " PLAIN" not in reply, reply
        # Nor does one become it by saying so, if a proxy has told of another.
        assert "XCLIENT" in reply, reply


def without_tls_it_stays():
    """TLS is between us and the peer."""
    with Server(config=CONFIG, listen=None) as server, server.connect() as client:
        client.greet()
        client.start_tls(any_certificate())
        client.command("EHLO proxy.example", "250-")
        client.command("XCLIENT ADDR=192.0.2.7", "220 ")
        assert "STARTTLS" not in client.command("EHLO real.example", "250-")
        client.deliver(b"text\r\n")
        assert " with ESMTPS " in last_stored(server), last_stored(server)


def by_lmtp():
    with Server(config=LMTP_CONFIG, listen=None) as server, \
            LmtpClient(server.addresses[0]) as client:
        client.greet()
        client.command("XCLIENT ADDR=192.0.2.7 PROTO=LMTP", "220 ")
        client.command("LHLO real.example", "250-")
        assert client.results(["b@example.net"])[0].startswith("250 ")
        assert "from real.example ([192.0.2.7])" in last_stored(server), last_stored(server)


def commands_are_told():
    here = "${HERE}"
    with PipeServer(section("handler", here + "/witness", "tell", here + "/work"),
                    listen("in", "handler", xclient=["127.0.0.1"]), listen=None) as server, \
            Client(server.addresses[0]) as client:
        client.greet()
        client.command("XCLIENT ADDR=IPV6:2001:db8::7 PORT=40007 LOGIN=ann", "220 ")
        client.command("EHLO real.example", "250-")
        client.deliver(b"text\r\n")
        [told] = server.runs()
        assert told.environment["CLIENT_ADDRESS"] == b"2001:db8::7", told.environment
        assert told.environment["CLIENT_PORT"] == b"40007", told.environment
        assert told.environment["AUTH_USER"] == b"ann", told.environment


def swaks_says_it():
    need_program("swaks")
    with Server(config=CONFIG, listen=None) as server:
        host, port = server.addresses[0]
        done = subprocess.run(
            ["swaks", "--server", host, "--port", str(port), "--from", "a@example.com", "--to",
             "b@example.net", "--xclient-addr", "192.0.2.7", "--xclient-name", "spike.example",
             "--xclient-helo", "told.example", "--xclient-port", "40007"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        [line] = server.events("session.xclient")
        keys = keys_of(line)
        assert (keys["client"], keys["name"], keys["helo"]) == \
            ("192.0.2.7", "spike.example", "told.example"), keys
        assert "(spike.example [192.0.2.7])" in last_stored(server), last_stored(server)


def a_long_line_of_them():
    """Everything at once and in another case, in one command."""
    with Server(config=CONFIG, listen=None) as server, server.connect() as client, \
            contextlib.suppress(BrokenPipeError):
        client.greet()
        client.command("xclient name=spike.example addr=192.0.2.7 port=1 proto=SMTP"
                       " helo=[192.0.2.7] login=[UNAVAILABLE] destaddr=IPV6:2001:db8::9 destport=587",
                       "220 ")
        client.deliver(b"text\r\n")
        stored = last_stored(server)
        assert "from [192.0.2.7] (spike.example [192.0.2.7]) by " in stored, stored
        assert " with SMTP id" in stored and "destination=[2001:db8::9]:587\n" in stored, stored


run(all_that_it_tells, addresses, wrong_ones_change_nothing, others_may_not,
    a_login_that_was_before_is_forgotten, who_is_told_is_not_on_this_machine,
    without_tls_it_stays, by_lmtp, commands_are_told, swaks_says_it, a_long_line_of_them,
    together=True)
