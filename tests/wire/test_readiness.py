"""Whoever waits for the server is told when it serves, and when it stops."""

import os
import socket
import tempfile

from sinkd_server import Server, wait_until
from wire_test import run


def the_ready_line_names_all_addresses():
    config = """
    listen "a" { address = {"127.0.0.1:0", "127.0.0.1:0"} }
    listen "b" { address = {"127.0.0.2:0"} }
    """
    with Server("-w", "1", config=config, listen=None) as server:
        assert [host for host, _ in server.addresses] == ["127.0.0.1"] * 2 + ["127.0.0.2"]
        assert len(set(server.addresses)) == 3 and all(port for _, port in server.addresses)
        for address in server.addresses:
            server.addresses = [address]
            with server.connect() as client:
                client.greet()


def ipv6_addresses_have_brackets():
    with Server("-w", "1", listen="[::1]:0") as server, server.connect() as client:
        assert server.addresses[0][0] == "::1"
        client.greet()


def a_worker_is_idle_when_ready_is_said():
    with Server("-w", "1") as server:
        assert server.idle_workers(), server.titles()


def notify(address):
    """Start and stop with $NOTIFY_SOCKET; what the socket got."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address.replace("@", "\0", 1))
        notified.setblocking(False)
        with Server("-w", "1", environment={"NOTIFY_SOCKET": address}) as server:
            ready = wait_until(lambda: receive(notified), what="READY=1")
            assert "READY=1" in ready.splitlines(), ready
            server.terminate()
            stopping = wait_until(lambda: receive(notified), what="STOPPING=1")
            assert "STOPPING=1" in stopping.splitlines(), stopping
        assert receive(notified) is None


def receive(notified):
    """The next state; what systemctl status shows comes at any time."""
    try:
        while (state := notified.recv(4096).decode()).startswith("STATUS="):
            pass
        return state
    except BlockingIOError:
        return None


def notify_socket_with_a_path():
    with tempfile.TemporaryDirectory() as directory:
        notify(os.path.join(directory, "notify"))


def notify_socket_abstract():
    notify(f"@sinkd-wire-{os.getpid()}")


def a_dead_notify_socket_harms_nobody():
    with Server("-w", "1", environment={"NOTIFY_SOCKET": "/nowhere/notify"}) as server, \
            server.connect() as client:
        client.greet()


run(the_ready_line_names_all_addresses, ipv6_addresses_have_brackets,
    a_worker_is_idle_when_ready_is_said, notify_socket_with_a_path, notify_socket_abstract,
    a_dead_notify_socket_harms_nobody)
