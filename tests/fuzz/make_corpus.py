#!/usr/bin/env python3
"""Make the seed corpus of fuzz_session from the transcripts.

    make_corpus.py [DIRECTORY]

Each transcript gives one input: what its client says, behind a header that chooses
quiet hooks.  Some are given again with troublesome ones, and some sessions below
are written for corners that no transcript has.  Large transcripts are left out: a
small corpus runs in `make check`.  Files of other names (found by fuzzing, or crashes that
are mended) are left alone."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "..", "transcripts", "cases")
SIZE_MAX = 8192
MODES = {"normalize": 0, "reject": 1, "preserve": 2}


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


def client_bytes(path):
    """All that the client sends, and the mode of bare newlines."""
    said, mode = b"", "normalize"
    for line in open(path):
        line = line.rstrip("\n")
        how, text = line[:2], line[3:]
        if line.startswith("! limit bare-newline "):
            mode = line.split()[-1]
        elif how == "C:":
            said += text.encode() + b"\r\n"
        elif how == "C-":
            said += unescape(text)
        elif how == "C*":
            count, text = text.split(" ", 1)
            said += unescape(text) * int(count)
    return said, MODES[mode]


def header(limits=0, hooks=0, sink=0, end=0, seed=1):
    return bytes([limits, hooks, sink, end, seed])


def message(text=b"text\r\n", count=1):
    return (b"MAIL FROM:<a@example.org>\r\n" + b"RCPT TO:<b@example.org>\r\n" * count +
            b"DATA\r\n" + text + b".\r\n")


HELLO = b"EHLO client.example\r\n"
SESSION = HELLO + message() + message(b"..two\r\n") + b"RSET\r\nNOOP\r\nQUIT\r\n"
SENDERS = HELLO + b"".join(b"MAIL FROM:<%c@example.org>\r\nRSET\r\n" % c for c in b"abcdefgh")
RECIPIENTS = HELLO + b"MAIL FROM:<a@b>\r\n" + b"".join(
    b"RCPT TO:<%c@example.org>\r\n" % c for c in b"abcdefghijkl") + b"DATA\r\nx\r\n.\r\n"

CORNERS = {
    "hooks-all": header(hooks=127) + SESSION,
    "hooks-connect": header(hooks=1) + SESSION,
    "hooks-command": header(hooks=2) + SESSION * 3,
    "hooks-ehlo": header(hooks=4) + b"".join(b"EHLO %c\r\n" % c for c in b"abcdefghijklm"),
    "hooks-sender": header(hooks=8) + SENDERS,
    "hooks-recipient": header(hooks=16) + RECIPIENTS,
    "hooks-data": header(hooks=32) + HELLO + message() * 6,
    "hooks-message": header(hooks=64) + HELLO + message() * 6,
    "text-refused": header(sink=0x50) + SESSION,
    "text-refused-late": header(sink=0x60) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "text-dropped": header(sink=0xa0) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "text-closed": header(sink=0xe0) + HELLO + message(b"0123456789abcdef\r\n" * 9) + SESSION,
    "sink-begin": header(sink=1) + SESSION,
    "sink-prepare": header(sink=2) + SESSION,
    "sink-commit": header(sink=4) + SESSION,
    "sink-chunk": header(sink=0x10) + SESSION,
    "sink-chunk-late": header(sink=0x20) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "size-small": header(limits=4) + HELLO + message(b"x" * 18 + b"\r\n") + message(b"x" * 19 + b"\r\n"),
    "size-late": header(limits=8) + HELLO + message(b"x" * 5000 + b"\r\n") + SESSION,
    "recipients-one": header(limits=16) + HELLO + message(count=3) + RECIPIENTS,
    "errors-few": header(limits=64) + b"X\r\nX\r\n" + SESSION + b"X\r\nX\r\nX\r\nX\r\n",
    "memory-small": header(hooks=128) + HELLO + b"MAIL FROM:<a@b>\r\n" +
                    b"RCPT TO:<someone.with.a.name@example.org>\r\n" * 700 + b"DATA\r\nx\r\n.\r\n",
    "output-full": header() + HELLO + b"NOOP\r\nHELP\r\n" * 400,
    "end-timeout": header(end=1) + HELLO + b"MAIL FROM:<a@b>\r\nRC",
    "end-expired-in-text": header(end=2) + HELLO + message()[:-3],
    "end-drain": header(end=3) + HELLO,
    "end-drain-in-text": header(end=3) + HELLO + message()[:-3],
    "end-drain-now": header(end=4) + HELLO + message()[:-3],
    "end-after-text": header(end=0) + HELLO + message()[:-2],
}


def main(directory):
    os.makedirs(directory, exist_ok=True)
    inputs = dict(CORNERS)
    for name in sorted(os.listdir(CASES)):
        said, mode = client_bytes(os.path.join(CASES, name))
        if len(said) <= SIZE_MAX:
            inputs["transcript-" + name.removesuffix(".smtp")] = header(limits=mode) + said
    for name, content in inputs.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(content)
    print(f"{len(inputs)} inputs")


main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus"))
