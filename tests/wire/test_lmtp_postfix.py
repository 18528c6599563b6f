"""Postfix hands mail on by LMTP, over TCP with TLS and over a Unix socket: what a recipient got
is stored as it was sent, one with 4xx stays in the queue, one with 5xx comes back."""

import os
import re

from commands import section
from lmtp import lmtp_listener
from postfix import Postfix, need_postfix
from sinkd_server import Server, read_file, wait_until
from wire_test import run
from workshop import Workshop

# The first run for a recipient that begins with "later" asks for another try.
HANDLER = """
case "$1" in
never*) echo "5.7.1 We do not like you, $2"; exit 1 ;;
later*) [ -e "$SHOP/$1" ] || { > "$SHOP/$1"; echo "4.2.1 Come again"; exit 1; } ;;
esac
cat > "$SHOP/ran/$1 $$"
"""

SENDER = "sender@back.example"
HEADERS = b"From: sender@back.example\nTo: b@tcp.example\nMessage-Id: <1@back.example>\n"
DATE = b"Date: Mon, 02 Mar 2026 10:00:00 +0000\n"
TEXTS = {
    "short": b"Subject: short\n\ntext\n",
    "dots": b"Subject: dots\n\n.\n..\n...\n.text\n.\n\n.\n",
    "octets": b"Subject: octets\n\n" + bytes(range(1, 10)) + bytes(range(32, 256)) + b"\n",
    "empty": b"Subject: no text\n\n",
    "large": b"Subject: large\n\n" + b"".join(b"%06d %s\n" % (number, b"x" * 900)
                                             for number in range(3000)),
}


def listeners(shop, *deliver):
    return lmtp_listener(*deliver, address=["127.0.0.1:0", "unix:" + shop.path("sink")])


def transports(server, shop):
    host, port = server.addresses[0]
    over_unix = "lmtp:unix:" + shop.path("sink")
    return {"tcp.example": f"lmtp:inet:[{host}]:{port}", "unix.example": over_unix,
            "back.example": over_unix}


def stored_for(server, recipient):
    directory = server.path("mail", recipient, "new")
    if not os.path.isdir(directory):
        return []
    return [read_file(os.path.join(directory, name)) for name in os.listdir(directory)]


def runs_for(shop, recipient):
    return [text for name, text in shop.ran().items() if name.startswith(recipient + " ")]


def each_recipient_has_its_own_fate(domain):
    need_postfix()
    with Workshop() as shop, Server(listen=None, config=(
            section("handler", shop.script("handler", HANDLER), "%{recipient}", "%{sender}")
            + section("inbox", type="maildir", path="mail/%{recipient}", headers=[])
            + listeners(shop, "handler", "inbox"))) as server, \
            Postfix(transports(server, shop), "lmtp_tls_security_level = may") as postfix:
        well, later, never, other = (f"{name}@{domain}" for name in ("well", "later", "never", "other"))
        postfix.send(SENDER, [well, later, never, other], HEADERS + DATE + TEXTS["dots"])
        [(queue_id, reason)] = postfix.wait_queue(later).values()
        assert "451 4.2.1 Come again" in reason, reason
        text = postfix.text_of(queue_id)
        assert TEXTS["dots"] in text, text

        # Stored by the command and in the mailbox, byte by byte as Postfix has it; or in neither.
        for recipient in well, other:
            assert stored_for(server, recipient) == [text] == runs_for(shop, recipient), recipient
        for recipient in later, never:
            assert stored_for(server, recipient) == [] == runs_for(shop, recipient), recipient

        # One transaction it was, and each recipient had its reply.
        [accepted] = server.events("message.accepted")[:1]
        assert " recipients=2 " in accepted and " delivery=handler,inbox " in accepted, accepted
        log = postfix.log()
        for recipient, status in ((well, "sent"), (other, "sent"), (later, "deferred"),
                                  (never, "bounced")):
            assert re.search(rf"lmtp\[.* {queue_id}: to=<{recipient}>.* status={status} ", log), log

        # The sender hears of the one that was refused, in our words.
        [bounce] = wait_until(lambda: stored_for(server, SENDER), 20, "the bounce")
        assert f"550 5.7.1 We do not like you, {SENDER}".encode() in join_lines(bounce), bounce
        assert never.encode() in bounce and later.encode() not in bounce, bounce

        postfix.tool("postqueue", "-f")
        postfix.wait_queue()
        assert stored_for(server, later) == [text] == runs_for(shop, later)
        for recipient in well, other:
            assert stored_for(server, recipient) == [text] == runs_for(shop, recipient), recipient

        [secured] = {bool(server.events("tls.accepted"))}
        assert secured == (domain == "tcp.example"), "TLS"


def join_lines(text):
    return re.sub(rb"\s+", b" ", text)


def over_tcp():
    each_recipient_has_its_own_fate("tcp.example")


def over_a_unix_socket():
    each_recipient_has_its_own_fate("unix.example")


def all_kinds_of_text_arrive_as_they_are():
    need_postfix()
    with Workshop() as shop, Server(listen=None, config=(
            section("handler", shop.script("handler", HANDLER), "%{recipient}")
            + listeners(shop, "handler"))) as server, Postfix(transports(server, shop)) as postfix:
        for kind, text in TEXTS.items():
            for domain in "tcp.example", "unix.example":
                # The one that waits is there to be compared with.
                names = [f"{kind}@{domain}", f"later-{kind}@{domain}"]
                postfix.send(SENDER, names, HEADERS + DATE + text)
        queue = postfix.wait_queue(*(f"later-{kind}@{domain}" for kind in TEXTS
                                     for domain in ("tcp.example", "unix.example")))
        for later, (queue_id, _) in queue.items():
            text = postfix.text_of(queue_id)
            kind = later.partition("-")[2]
            assert text.endswith(TEXTS[kind.partition("@")[0]]), (later, text[:500])
            assert runs_for(shop, kind) == [text], kind


run(over_tcp, over_a_unix_socket, all_kinds_of_text_arrive_as_they_are)
