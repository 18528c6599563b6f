"""PROXY headers, versions 1 and 2: HAProxy in front of the server, and headers made by hand.
What they tell of the client is in the log and in the trace header; from peers that are not
listed they are nothing but bad commands."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from certificates import any_certificate
from commands import keys_of, section
from sinkd_server import Client, Server, is_running_in_session, wait_until
from wire_test import need_program, run


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


HAS_IPV6 = has_ipv6()

# A listener for each kind, since one address can only be bound once.
CONFIG = ("workers { start = 2  min-spare = 1  max-spare = 2  max = 4 }\n"
          'timeouts { tls = "2s" }\nauth { accept-any = true }\n'
          + section("inbox", type="maildir", path="./Maildir",
                    headers=["Received", "X-Sinkd-Envelope"])
          + 'listen "behind" { address = {"127.0.0.1:0", "unix:${HERE}/behind"}'
          '  proxy-protocol = {"127.0.0.1", "unix"}  auth = "optional" }\n'
          'listen "secret" { address = {"127.0.0.1:0"}  tls = "implicit"'
          '  proxy-protocol = {"127.0.0.0/30"} }\n'
          + ('listen "six" { address = {"[::1]:0"}  proxy-protocol = {"::1"} }\n' if HAS_IPV6 else ""))
BEHIND, UNIX, SECRET, SIX = range(4)


class Behind(Server):
    def __init__(self, config=""):
        super().__init__(config=CONFIG + config, listen=None)
        self.environment["HERE"] = self.directory


HAPROXY = """
global
    log stderr local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
"""
ROAD = """
listen {name}
    bind fd@{fd}
    server sink {host}:{port} {options}
"""

V2 = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UDP4, TCP_UNIX = 0x11, 0x21, 0x12, 0x31


class HAProxy:
    """roads: {name: (address of the server, options)}; its own ports are in .addresses.  It
    listens where we have bound before."""

    def __init__(self, roads):
        self.program = need_program("haproxy")
        self.directory = tempfile.mkdtemp(prefix="sinkd-haproxy-")
        self.sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in roads}
        self.addresses = {name: each.getsockname() for name, each in self.sockets.items()}
        self.configuration = os.path.join(self.directory, "haproxy.cfg")
        with open(self.configuration, "w") as file:
            file.write(HAPROXY + "".join(
                ROAD.format(name=name, fd=self.sockets[name].fileno(), host=host, port=port,
                            options=options)
                for name, ((host, port), options) in roads.items()))
        self.process = None

    def __enter__(self):
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "-db", "-f", self.configuration], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                pass_fds=[each.fileno() for each in self.sockets.values()])
        return self

    def __exit__(self, failure, *_):
        self.process.terminate()
        self.process.wait()
        pid = self.process.pid
        wait_until(lambda: not any(name.isdigit() and is_running_in_session(int(name), pid)
                                   for name in os.listdir("/proc")), what="the end of HAProxy")
        for each in self.sockets.values():
            each.close()
        if failure:
            with open(os.path.join(self.directory, "log"), errors="backslashreplace") as log:
                print(f"--- log of HAProxy:\n{log.read()}---", flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def version1(text):
    return f"PROXY {text}\r\n".encode()


def version2(command=PROXY, family=TCP4, body=None, length=None):
    if body is None:
        body = tcp4("192.0.2.7", 40007, "198.51.100.9", 25)
    return V2 + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def tcp4(source, source_port, destination, destination_port):
    return struct.pack("!4s4sHH", socket.inet_aton(source), socket.inet_aton(destination),
                       source_port, destination_port)


def tcp6(source, source_port, destination, destination_port):
    addresses = (socket.inet_pton(socket.AF_INET6, text) for text in (source, destination))
    return struct.pack("!16s16sHH", *addresses, source_port, destination_port)


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


V1_GOOD = version1("TCP4 192.0.2.7 198.51.100.9 40007 25")
V6_TEXT = "2001:db8::7 2001:db8::9 40007 25"
SEVEN, V6_SEVEN = ("192.0.2.7", "40007"), ("2001:db8::7", "40007")

GOOD = {
    # name: (header, address and port that are told of the client; None: those of the peer)
    "v1 TCP4": (V1_GOOD, SEVEN),
    "v1 TCP6": (version1(f"TCP6 {V6_TEXT}"), V6_SEVEN),
    "v1 mapped": (version1("TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.9 40007 25"), SEVEN),
    "v1 UNKNOWN": (version1("UNKNOWN"), None),
    "v1 UNKNOWN with text": (version1("UNKNOWN " + "f" * 90), None),
    "v2 TCP4": (version2(), SEVEN),
    "v2 UDP4": (version2(family=UDP4), SEVEN),
    "v2 TCP6": (version2(family=TCP6, body=tcp6("2001:db8::7", 40007, "2001:db8::9", 25)), V6_SEVEN),
    "v2 unix": (version2(family=TCP_UNIX, body=b"/from".ljust(108, b"\0") + b"/to".ljust(108, b"\0")),
                None),
    "v2 LOCAL": (version2(LOCAL, 0, b""), None),
    "v2 LOCAL with an address": (version2(LOCAL), None),
    "v2 unspecified": (version2(family=0, body=b"?" * 9), None),
    "v2 TLVs": (version2(body=tcp4("192.0.2.7", 40007, "198.51.100.9", 25) + tlv(0x01, b"h2")
                         + tlv(0x04, b"\0" * 400) + tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3"))),
                SEVEN),
}

BAD = {
    "SMTP at once": b"EHLO client.example\r\n",
    "a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "HTTP": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "v1 other case": b"proxy TCP4 192.0.2.7 198.51.100.9 40007 25\r\n",
    "v1 LF alone": b"PROXY TCP4 192.0.2.7 198.51.100.9 40007 25\n" + b"\0" * 80,
    "v1 too long": b"PROXY UNKNOWN " + b"f" * 200 + b"\r\n",
    "v1 no family": version1(""),
    "v1 unknown family": version1("UDP4 192.0.2.7 198.51.100.9 40007 25"),
    "v1 port too large": version1("TCP4 192.0.2.7 198.51.100.9 65536 25"),
    "v1 port with zeros": version1("TCP4 192.0.2.7 198.51.100.9 040007 25"),
    "v1 negative port": version1("TCP4 192.0.2.7 198.51.100.9 -1 25"),
    "v1 address with zeros": version1("TCP4 192.0.002.7 198.51.100.9 40007 25"),
    "v1 address of the other family": version1(f"TCP4 {V6_TEXT}"),
    "v1 a name": version1("TCP4 localhost localhost 40007 25"),
    "v1 two blanks": version1("TCP4  192.0.2.7 198.51.100.9 40007 25"),
    "v1 too few": version1("TCP4 192.0.2.7 198.51.100.9 40007"),
    "v1 too many": version1("TCP4 192.0.2.7 198.51.100.9 40007 25 25"),
    "v1 with a NUL": version1("TCP4 192.0.2.7\0 198.51.100.9 40007 25"),
    "v2 wrong signature": b"\r\n\r\n\0\r\nQUIT\r" + version2()[12:],
    "v2 version 1": version2(0x11),
    "v2 version 3": version2(0x31),
    "v2 unknown command": version2(0x22),
    "v2 unknown family": version2(family=0x41),
    "v2 unknown protocol": version2(family=0x13),
    "v2 too short": version2(body=b"\0" * 11),
    "v2 too short for TCP6": version2(family=TCP6),
    "v2 too long": version2(body=tcp4("192.0.2.7", 1, "192.0.2.8", 2) + b"\0" * 5000),
    "v2 longest": version2(length=65535),
}


def last_start(server):
    return keys_of(server.events("session.start")[-1])


def greet_and_deliver(server, client, helo="client.example"):
    """The keys of session.start, and what was stored, unfolded."""
    before = set(server.listing("new")) if os.path.isdir(server.maildir) else set()
    client.expect("220 ")
    start = last_start(server)
    client.command(f"EHLO {helo}", "250-")
    client.deliver(b"Subject: x\r\n\r\ntext\r\n")
    [name] = set(server.listing("new")) - before
    with open(os.path.join(server.maildir, "new", name), "rb") as file:
        text = file.read().decode()
    client.command("QUIT", "221 ")
    client.expect_closed()
    return start, text.replace("\n\t", " ").replace("\n ", " ")


def client_of(server, number, data=b"", **options):
    client = Client(server.addresses[number], **options)
    try:
        client.send(data)
    except BaseException:
        client.close()
        raise
    return client


def haproxy_in_front():
    """Of one client at a time, so that the end of the log tells of it."""
    need_program("haproxy")
    with Behind() as server, HAProxy({
            "one": (server.addresses[BEHIND], "send-proxy"),
            "two": (server.addresses[BEHIND], "send-proxy-v2"),
            "more": (server.addresses[BEHIND],
                     "send-proxy-v2-ssl proxy-v2-options crc32c,unique-id"),
            "secret": (server.addresses[SECRET], "send-proxy-v2")}) as proxy:
        for number, (name, address) in enumerate(proxy.addresses.items()):
            source = f"127.0.0.{number + 7}"
            with Client(address, source=source) as client:
                port = str(client.socket.getsockname()[1])
                if name == "secret":
                    client.wrap(any_certificate())
                start, stored = greet_and_deliver(server, client)
            assert start["client"] == source and start["port"] == port, (name, start)
            [told] = [keys for keys in map(keys_of, server.events("session.proxy"))
                      if keys["client"] == source]
            assert told["peer"] == "127.0.0.1" and told["port"] == port, (name, told)
            assert f"from client.example ([{source}]) " in stored, (name, stored)
            for line in f"client={source}", f"port={port}", \
                    f"destination=127.0.0.1:{address[1]}":
                assert f"\nX-Sinkd-Envelope: {line}\n" in "\n" + stored, (name, line, stored)
            print(f"       haproxy, {name}: client={start['client']} port={start['port']}, "
                  f"{stored[stored.index('from client'):stored.index(' by ')]}")


def checks_of_haproxy():
    """It asks whether we are there, with a header (LOCAL) and without any client."""
    need_program("haproxy")
    with Behind() as server, HAProxy({
            "two": (server.addresses[BEHIND], "send-proxy-v2 check check-send-proxy inter 100ms\n"
                    "    option smtpchk EHLO check.example")}) as proxy:
        wait_until(lambda: len(server.events("session.end")) >= 3, what="checks")
        for line in server.events("session.proxy", "session.start"):
            assert keys_of(line)["client"] == "127.0.0.1" and " level=info " in line, line
        with Client(proxy.addresses["two"], source="127.0.0.9") as client:
            greeting = client.expect("220 ")
            assert " sinkd" in greeting, greeting


def good_headers():
    with Behind() as server:
        for name, (header, told) in GOOD.items():
            # In one piece with what must be left for the engine: nothing of it may be eaten.
            with client_of(server, BEHIND, header + b"NOOP\r\n") as client:
                peer = client.socket.getsockname()
                client.expect("220 ")
                client.expect("250 ")
                start = last_start(server)
                expected = told or (peer[0], str(peer[1]))
                assert (start["client"], start["port"]) == expected, (name, start)
                client.command("QUIT", "221 ")
        assert len(server.events("session.proxy")) == len(GOOD)

        for number, header, told in (SIX, version2(), SEVEN), (UNIX, V1_GOOD, SEVEN), \
                (SIX, version1("UNKNOWN"), ("::1", None)):
            if number == SIX and not HAS_IPV6:
                continue
            with Client(server.addresses[number]) as client:
                client.send(header)
                client.expect("220 ")
                assert last_start(server)["client"] == told[0], last_start(server)


def each_split():
    """Also with the header in pieces, and with more behind it in the last one."""
    with Behind() as server:
        for header in V1_GOOD, GOOD["v2 TLVs"][0]:
            for at in (1, 5, 11, 12, 13, 15, 16, 20, 27, len(header) - 2, len(header) - 1):
                with client_of(server, BEHIND, header[:at]) as client:
                    client.send(header[at:] + b"EHLO client.example\r\n")
                    client.expect("220 ")
                    client.expect("250-")
                    assert last_start(server)["client"] == "192.0.2.7", (header, at)
                    client.command("QUIT", "221 ")
        # One octet at a time, each in a segment of its own.
        with client_of(server, BEHIND) as client:
            for octet in V1_GOOD:
                client.send(bytes([octet]))
            client.expect("220 ")
            assert last_start(server)["client"] == "192.0.2.7"


def expect_closed_at_once(client):
    """Without a word: no greeting, no reply."""
    try:
        assert client.socket.recv(100) == b""
    except ConnectionResetError:
        pass  # There was more than we had read.


def bad_headers():
    with Behind() as server:
        for name, header in BAD.items():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError), \
                    client_of(server, BEHIND, header) as client:
                expect_closed_at_once(client)
            wait_until(lambda: len(server.events("session.proxy")) > count_of(name), what=name)
        # Cut short by the end of the stream, and by none at all.
        for header in V1_GOOD[:-1], V1_GOOD[:3], version2()[:15], version2()[:-1], b"":
            with client_of(server, BEHIND, header) as client:
                client.end_of_input()
                expect_closed_at_once(client)
        lines = server.events("session.proxy")
        wait_until(lambda: len(server.events("session.proxy")) >= len(BAD) + 5)
        for line in server.events("session.proxy"):
            # To look whether somebody is there is no mistake.
            level = "info" if "the peer has gone" in line else "warn"
            assert f" level={level} " in line and keys_of(line)["error"], line
        assert sum(" level=info " in line for line in server.events("session.proxy")) == 5
        assert not server.events("session.start"), server.events("session.start")
        assert lines


def count_of(name):
    return list(BAD).index(name)


def late_headers():
    """Who does not say it within timeouts.tls, or drips it, has had its time."""
    with Behind() as server:
        started = time.monotonic()
        with client_of(server, BEHIND) as silent, \
                client_of(server, BEHIND, V1_GOOD[:-1]) as unfinished:
            expect_closed_at_once(silent)
            expect_closed_at_once(unfinished)
        took = time.monotonic() - started
        assert 1.8 <= took <= 6, took
        assert len(wait_until(lambda: server.events("session.proxy")[1:])) == 1
        assert not server.events("session.start")


def one_header_only():
    with Behind() as server:
        for header in V1_GOOD, version2():
            with client_of(server, BEHIND, header + header) as client:
                client.expect("220 ")
                # What follows is a command, and no good one.
                client.expect("500 ")
                assert last_start(server)["client"] == "192.0.2.7"


def of_others_it_is_a_command():
    """127.0.0.2 is not listed: it is greeted, and not believed."""
    with Behind() as server:
        for header in V1_GOOD, version2():
            with client_of(server, BEHIND, source="127.0.0.2") as client:
                client.expect("220 ")
                client.send(header)
                client.expect("500 ")
                client.send(b"\r\nQUIT\r\n")
                while not (reply := client.reply()).startswith("221 "):
                    assert reply.startswith("500 "), reply
                assert last_start(server)["client"] == "127.0.0.2"
        assert not server.events("session.proxy"), server.events("session.proxy")


def before_the_client_hello():
    with Behind() as server:
        with client_of(server, SECRET, version2(), source="127.0.0.3") as client:
            client.wrap(any_certificate())
            start, stored = greet_and_deliver(server, client)
            assert start["client"] == "192.0.2.7", start
            assert "from client.example ([192.0.2.7])" in stored and " with ESMTPS " in stored, stored
        # A header inside of TLS is too late.
        with client_of(server, SECRET) as client, contextlib.suppress(OSError):
            client.wrap(any_certificate())
            raise AssertionError("it shook hands without a header")


def passwords_in_plain_text_are_for_clients_here():
    """A proxy on this machine does not make its clients clients on this machine."""
    with Behind() as server:
        for header, is_here in ((V1_GOOD, False), (version1("UNKNOWN"), False),
                                (version2(family=0, body=b""), False),
                                (version1("TCP4 127.0.0.9 127.0.0.1 1 25"), True),
                                (version2(LOCAL, 0, b""), True)):
            with client_of(server, BEHIND, header) as client:
                reply = client.greet()
                assert (" PLAIN" in reply) == is_here, (header, reply)


def limits_count_what_was_told():
    """Sessions of a client are those of the address that was told, not those of the proxy."""
    with Behind("limits { sessions-per-client = 1 }\n") as server, \
            client_of(server, BEHIND, V1_GOOD) as first:
        first.expect("220 ")
        with client_of(server, BEHIND, version1("TCP4 192.0.2.8 198.51.100.9 1 25")) as other:
            other.expect("220 ")
        with client_of(server, BEHIND, V1_GOOD) as second:
            second.expect("421 ")
            second.expect_closed()


run(haproxy_in_front, checks_of_haproxy, good_headers, each_split, bad_headers, late_headers,
    one_header_only, of_others_it_is_a_command, before_the_client_hello,
    passwords_in_plain_text_are_for_clients_here, limits_count_what_was_told, together=True)
