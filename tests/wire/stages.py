"""The stages of a session at which rules are asked, and how a connection ends there."""

import collections
import time

from commands import listen, section
from sinkd_server import Server

OPENED = "EHLO client.example",
ADDRESSED = *OPENED, "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>"
TEXT = "Subject: x\r\n\r\ntext\r\n"

# lines: what is said up to what the stage is about, and that; none: it is the connection
# itself.  usual: how the answer begins when nobody interferes.
Stage = collections.namedtuple("Stage", "lines usual")
STAGES = {
    "connect": Stage((), "220 "),
    "helo": Stage(OPENED, "250-"),
    "starttls": Stage((*OPENED, "STARTTLS"), "220 2.0.0 "),
    "auth": Stage((*OPENED, "AUTH PLAIN AGpvZQBzZWNyZXQ="), "235 2.7.0 "),
    "mail": Stage(ADDRESSED[:2], "250 2.1.0 "),
    "rcpt": Stage(ADDRESSED, "250 2.1.5 "),
    "data": Stage((*ADDRESSED, "DATA"), "354 "),
    "bdat": Stage((*ADDRESSED, f"BDAT {len(TEXT)} LAST\r\n{TEXT.removesuffix(chr(13) + chr(10))}"),
                  "250 2.0.0 Ok: "),
    "message": Stage((*ADDRESSED, "DATA", f"{TEXT}."), "250 2.0.0 Ok: "),
    "rset": Stage((*ADDRESSED, "RSET"), "250 2.0.0 "),
    "noop": Stage((*OPENED, "NOOP"), "250 2.0.0 "),
    "vrfy": Stage((*OPENED, "VRFY b"), "252 2.5.0 "),
    "quit": Stage((*OPENED, "QUIT"), "221 2.0.0 "),
}

# Any password will do, and what is stored is not synced.
SETTINGS = (listen("in", "inbox", auth="optional") + "auth { accept-any = true }\n"
            + section("inbox", type="maildir", path="./Maildir", sync="none")
            + section("other", type="maildir", path="./Other", sync="none", required=True))


def ruled(*rules, **options):
    """A server with these rules."""
    settings = options.pop("config", SETTINGS)
    return Server(config="\n".join([settings, *rules, ""]), listen=None,
                  **{"workers": 1, **options})


def walk_to(client, lines):
    """Say all of it; the answer to the last line is still to come."""
    if not lines:
        return
    client.expect("220 ")
    for line in lines[:-1]:
        client.command(line, "354 " if line == "DATA" else "250")
    client.send(lines[-1].encode() + b"\r\n")


# How a connection ends.
FIN, RST = "FIN", "RST"


def end_of(client):
    """How the server ends the connection, with not a word before it."""
    assert not client.received, client.received
    try:
        said = client.socket.recv(4096)
    except ConnectionResetError:
        return RST
    assert not said, said
    return FIN


def seconds_of(function, *arguments):
    started = time.monotonic()
    function(*arguments)
    return time.monotonic() - started
