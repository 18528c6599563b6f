"""STARTTLS and implicit TLS: what is said when, and what is forgotten (RFC 3207, 8314)."""

import socket
import ssl
import time

from certificates import any_certificate
from sinkd_server import LEVEL, Server, wait_until
from wire_test import Skip, run


def configuration(tls, more=""):
    return f'listen "a" {{ address = {{"127.0.0.1:0"}}  tls = "{tls}"  auth = "optional" }}\n{more}'


def server_with(tls, more="", **options):
    return Server(config=configuration(tls, more), listen=None, **options)


def fail_handshake(client, reason=None):
    try:
        client.wrap(any_certificate())
    except (ssl.SSLError, OSError) as error:
        assert reason is None or reason in str(error), error
    else:
        raise AssertionError("the handshake succeeded")


def a_message_under_tls():
    with server_with("starttls") as server, server.connect() as client:
        assert "250-STARTTLS" in client.greet()
        client.start_tls(any_certificate())
        assert client.socket.version() == "TLSv1.3"
        hello = client.command("EHLO client.example", "250-")
        assert "STARTTLS" not in hello, hello
        client.deliver(b"Subject: secret\r\n\r\ntext\r\n")
        client.command("QUIT", "221 ")
        client.expect_closed()
        [message] = server.stored()
        assert b" with ESMTPS id " in message, message
        assert b"TLSv1.3" in message.partition(b"Subject")[0], message
        [line] = server.events("tls.accepted")
        assert " version=TLSv1.3 " in line, line
    with server_with("starttls") as server, server.connect() as client:
        context = any_certificate()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client.greet()
        client.start_tls(context)
        assert client.socket.version() == "TLSv1.2"
        client.command("HELO client.example", "250 ")
        client.deliver(b"Subject: old\r\n\r\n")


def all_is_forgotten():
    with server_with("starttls") as server, server.connect() as client:
        client.greet()
        client.address_message()
        client.start_tls(any_certificate())
        client.command("MAIL FROM:<a@example.com>", "503 5.5.1 ")
        client.command("EHLO again.example", "250-")
        client.command("DATA", "503 5.5.1 ")
        client.command("STARTTLS", "503 5.5.1 ")
        client.deliver(b"Subject: x\r\n\r\n")
        [message] = server.stored()
        assert b"from again.example" in message


def what_is_behind_starttls_in_plaintext():
    """CVE-2011-0411: whatever is injected there must not be taken for what TLS protects."""
    for injected in (b"RSET\r\n", b"N", b"\n", b"\r\n", b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n",
                     b"STARTTLS\r\n", b"\x16\x03\x01"):
        with server_with("starttls") as server, server.connect() as client:
            client.greet()
            client.send(b"STARTTLS\r\n" + injected)
            client.expect("554 5.5.1 ")
            client.expect_closed()
    with server_with("starttls") as server, server.connect() as client:
        client.greet()
        client.send(b"NOOP\r\nSTARTTLS\r\nNOOP\r\n")
        client.expect("250 ")
        client.expect("554 5.5.1 ")
        client.expect_closed()


def what_is_injected_in_a_packet_of_its_own():
    with server_with("starttls") as server, server.connect() as client:
        client.greet()
        client.command("STARTTLS", "220 ")
        client.send(b"RSET\r\nNOOP\r\n")
        assert client.socket.recv(100)[:1] not in (b"2", b"5")
        wait_until(lambda: server.events("tls.failed"), what="the end of it")
        wait_until(lambda: len(server.events("session.end")) == 1, what="the end of the session")


def arguments_and_order():
    with server_with("starttls") as server, server.connect() as client:
        client.expect("220 ")
        client.command("STARTTLS now", "501 5.5.4 ")
        client.start_tls(any_certificate())  # RFC 3207 does not ask for EHLO.
        client.command("EHLO x", "250-")
    with server_with("off") as server, server.connect() as client:
        assert "STARTTLS" not in client.greet()
        client.command("STARTTLS", "50")
        client.command("NOOP", "250 ")


def required_before_mail():
    with server_with("required") as server, server.connect() as client:
        assert "AUTH" not in client.greet()
        for command in ("MAIL FROM:<a@example.com>", "VRFY a", "AUTH PLAIN AGEAYg=="):
            client.command(command, "530 5.7.0 ")
        client.command("NOOP", "250 ")
        client.start_tls(any_certificate())
        client.command("EHLO x", "250-")
        client.deliver(b"Subject: x\r\n\r\n")
        assert len(server.stored()) == 1


def implicit():
    with server_with("implicit") as server:
        with server.connect() as client:
            client.wrap(any_certificate())
            assert "STARTTLS" not in client.greet()
            client.command("STARTTLS", "503 5.5.1 ")
            client.deliver(b"Subject: x\r\n\r\n")
            client.command("QUIT", "221 ")
        with server.connect() as client:  # It says nothing before it has been asked for TLS.
            client.socket.settimeout(0.2)
            try:
                assert not client.socket.recv(1), "a greeting in plaintext"
            except socket.timeout:
                pass
            client.socket.settimeout(10)
            client.send(b"EHLO client.example\r\n")
            assert client.socket.recv(3)[:1] != b"5"
        [line] = wait_until(lambda: server.events("tls.failed"), what="a line about it")
        assert "plaintext" in line, line


def a_failed_handshake():
    with server_with("starttls") as server:
        with server.connect() as client:
            client.greet()
            client.command("STARTTLS", "220 ")
            context = any_certificate()
            context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("AES128-SHA")
            try:
                client.wrap(context)
            except ssl.SSLError:
                pass
            else:
                raise AssertionError("a weak cipher was taken")
        [line] = wait_until(lambda: server.events("tls.failed"), what="a line about it")
        assert "reason=" in line and "cipher" in line, line
        with server.connect() as client:  # Untrusted by the client, who says so.
            client.greet()
            client.command("STARTTLS", "220 ")
            try:
                client.wrap(ssl.create_default_context())
            except ssl.SSLError:
                pass
            else:
                raise AssertionError("a self-signed certificate was trusted")
        lines = wait_until(lambda: len(server.events("tls.failed")) == 2
                           and server.events("tls.failed"), what="another line")
        assert "reason=" in lines[1], lines[1]
        with server.connect() as client:
            client.greet()


def stalled_handshakes():
    with server_with("starttls", 'timeouts { tls = "1s" }\n') as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.greet()
            client.command("STARTTLS", "220 ")
        clients[1].send(b"\x16\x03\x01")  # The beginning of a record.
        for client in clients[:2]:
            client.expect_closed()
        # Drop by drop: each byte comes in time, all of them do not.
        drops = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        clients[2].socket.settimeout(0.1)
        for drop in drops:
            try:
                clients[2].send(bytes([drop]))
                if not clients[2].socket.recv(1):
                    break
            except socket.timeout:
                pass
            except OSError:
                break
        else:
            raise AssertionError("the handshake went on and on")
        for client in clients:
            client.close()
        lines = wait_until(lambda: len(server.events("tls.failed")) == 3
                           and server.events("tls.failed"), what="three lines")
        assert all("timed out" in line for line in lines), lines


def a_record_that_drips():
    """Byte by byte in each wait, that for the end of the client too: it lasts longer than a
    wait should, and is no hang of the worker."""
    if LEVEL:
        raise Skip("waits for a clock that no level changes")
    with server_with("starttls", 'timeouts { command = "2s" }\n') as server, \
            server.connect() as client:
        client.greet()
        client.start_tls(any_certificate())
        client.command("EHLO x", "250-")
        plain = socket.socket(fileno=client.socket.detach())
        plain.settimeout(0.93)
        for drop in b"\x17\x03\x03\x40\x00" + bytes(20):
            next_at = time.monotonic() + 0.93
            try:
                plain.sendall(bytes([drop]))
                server.sinkctl("status")  # The master looks at its workers, too.
                while plain.recv(1000):
                    pass
                # Its last words have come; it still waits for ours.
                wait_until(lambda at=next_at: time.monotonic() > at, what="the next drop's time")
            except socket.timeout:
                pass
            except OSError:
                break
        else:
            raise AssertionError("the session went on and on")
        plain.close()
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        assert not server.events("worker.hung"), server.events("worker.hung")


def begin_message(client, is_chunked):
    """Half of it."""
    if is_chunked:
        client.address_message()
        client.send(b"BDAT 100 LAST\r\nSubject: half\r\n")
    else:
        client.open_message()
        client.send(b"Subject: half\r\n")


def the_end_of_tls_is_the_end():
    """CVE-2026-45185: after close_notify nothing is read or said in plaintext."""
    for state in "command", "data", "chunk":
        with server_with("starttls") as server, server.connect() as client:
            client.greet()
            client.start_tls(any_certificate())
            client.command("EHLO x", "250-")
            if state != "command":
                begin_message(client, is_chunked=state == "chunk")
            plain = socket.socket(fileno=client.socket.detach())
            # An alert in plaintext: it is not the client's, since it does not verify.
            plain.sendall(b"\x15\x03\x03\x00\x02\x01\x00NOOP\r\n.\r\nQUIT\r\n")
            plain.settimeout(10)
            received = b""
            while piece := plain.recv(1000):
                received += piece
            assert b"250" not in received and b"221" not in received, received
            plain.close()
            wait_until(lambda: server.events("session.end"), what="the end of the session")
            assert server.stored() == []
    for is_chunked in False, True:
        with server_with("starttls") as server, server.connect() as client:
            client.greet()
            client.start_tls(any_certificate())
            client.command("EHLO x", "250-")
            begin_message(client, is_chunked)
            plain = client.socket.unwrap()  # close_notify from both sides
            try:
                plain.sendall(b"\r\n.\r\nNOOP\r\n")
                assert plain.recv(100) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
            wait_until(lambda: server.events("session.end"), what="the end of the session")
            assert server.stored() == []


run(a_message_under_tls, all_is_forgotten, what_is_behind_starttls_in_plaintext,
    what_is_injected_in_a_packet_of_its_own, arguments_and_order, required_before_mail, implicit,
    a_failed_handshake, stalled_handshakes, a_record_that_drips, the_end_of_tls_is_the_end)
