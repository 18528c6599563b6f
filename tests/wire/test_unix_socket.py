"""A Unix socket is listened on like a port, and nothing but a dead one is removed."""

import os
import socket

from sinkd_server import SINKD, Server, read_file
from wire_test import output_of, run


def listening(*arguments, **options):
    """A server on the socket "sink" in its own directory."""
    server = Server(*arguments, listen=None, **options)
    os.chmod(server.directory, 0o1777)
    server.arguments += ["-l", "unix:" + server.path("sink")]
    return server


def a_message_over_a_unix_socket():
    with listening("-w", "2") as server:
        with server.connect() as client:
            client.greet()
            client.deliver(b"Subject: local\r\n\r\n")
            client.command("QUIT", "221 ")
            client.expect_closed()
        [stored] = server.stored()
        assert b"Received: from client.example\n" in stored, stored
        assert " client=unix " in server.events("session.start")[0]
        server.terminate()
        server.wait_exit()
        assert not os.path.exists(server.path("sink")), "the socket is left behind"


def a_silent_client_is_let_go():
    config = 'timeouts { command = "1s" }'
    with listening("-w", "1", config=config) as server, server.connect() as client:
        client.greet()
        client.expect("421 4.4.2")
        client.expect_closed()


def a_client_that_never_reads_is_let_go():
    config = 'timeouts { command = "60s"  data = "2s" }'
    with listening("-w", "1", config=config) as server, server.connect() as client:
        client.greet()
        try:
            while True:  # The worker stops reading when it cannot write any more.
                client.send(b"EHLO client.example\r\nHELP\r\n" * 100)
        except OSError as error:
            assert not isinstance(error, TimeoutError), "it would go on for ever"
        with server.connect() as following:
            following.greet()


def a_silent_client_notices_the_end():
    with listening("-w", "1") as server, server.connect() as client:
        client.greet()
        server.terminate()
        client.expect("421 4.3.2")
        client.expect_closed()
        server.wait_exit()


def a_dead_socket_is_replaced():
    server = listening("-w", "1")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(server.path("sink"))
    dead.close()
    with server, server.connect() as client:
        client.greet()


def what_is_no_dead_socket_stays():
    with listening("-w", "1") as server:
        args = [SINKD, "--discard", "-l"]
        text = output_of(*args, "unix:" + server.path("sink"), status=1)
        assert "Address already in use" in text, text
        with open(server.path("precious"), "w") as file:
            file.write("precious")
        os.symlink(server.path("precious"), server.path("link"))
        for name in "precious", "link":
            output_of(*args, "unix:" + server.path(name), status=1)
            assert read_file(server.path(name)) == b"precious"
        with server.connect() as client:
            client.greet()


def a_full_backlog_does_not_hang_the_next_start():
    with listening("-w", "1") as server:
        other = socket.socket(socket.AF_UNIX)
        other.bind(server.path("full"))
        other.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            try:
                client.connect(server.path("full"))
            except BlockingIOError:
                break
        text = output_of(SINKD, "--discard", "-l", "unix:" + server.path("full"), status=1)
        assert "Address already in use" in text, text
        for client in waiting + [other]:
            client.close()


run(a_message_over_a_unix_socket, a_silent_client_is_let_go,
    a_client_that_never_reads_is_let_go, a_silent_client_notices_the_end, a_dead_socket_is_replaced,
    what_is_no_dead_socket_stays, a_full_backlog_does_not_hang_the_next_start)
