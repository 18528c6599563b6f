"""Postfix and Exim relay through the server, by SMTP and by LMTP, with and without TLS: text
with dots, 8-bit text, addresses in UTF-8, requests for notifications, and 20 MB.  What is
stored is what was submitted, below the fields that the relay has added; what the relay
asked for on the way is in the log.  Exim sends with BDAT (RFC 3030), Postfix never does."""

import os
import re

from commands import keys_of, listen, section
from exim import Exim, Route, need_exim
from postfix import Postfix, need_postfix
from sinkd_server import Server, read_file, wait_until
from wire_test import run

SENDER = "sender@back.example"
DOMAIN = "relayed.example"
HEADERS = ("From: sender@back.example\nTo: b@relayed.example\nMessage-Id: <{name}@back.example>\n"
           "Date: Mon, 02 Mar 2026 10:00:00 +0000\nSubject: {subject}\n")
MIME = "MIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n"

DOTS = b".\n..\n...\n.text\n.\n\n.\n"
OCTETS = b"".join(bytes([octet]) * 3 + b" " for octet in range(128, 256)) + b"\n"
UTF8 = "Grüße aus Ελλάδα\n".encode()
# 20 MB and a bit, no two lines of it the same.
LARGE = b"".join(b"%07d %s\n" % (number, b"x" * 91) for number in range(200_000))

# What a relay adds on top.
ADDED = re.compile(rb"((Received|DKIM-Signature|Return-Path):.*\n([ \t].*\n)*)+")


def message(name, body, charset="utf-8", subject="relayed"):
    return (HEADERS.format(name=name, subject=subject) + MIME.format(charset=charset)).encode() \
        + b"\n" + body


MESSAGES = {
    # local part: text
    "dots": message("dots", DOTS),
    "octets": message("octets", OCTETS, charset="iso-8859-1"),
    "josé": message("utf8", UTF8, subject="Grüße"),
    "notified": message("notified", b"text\n"),
}
if "SINKD_TEST_SHORT" not in os.environ:
    MESSAGES["large"] = message("large", LARGE)


class Sink(Server):
    """It keeps a mailbox for each recipient, without fields of its own, and one of what it
    was asked for."""

    def __init__(self, protocol, tls):
        super().__init__("-v", listen=None, config=(
            'limits { message-size = "30M" }\n'
            + section("inbox", type="maildir", path="mail/%{recipient.local}", headers=[])
            + section("envelopes", type="maildir", path="envelopes/%{recipient.local}",
                      headers=["Received", "X-Original-To", "X-Sinkd-Envelope"])
            + listen("sink", "inbox", "envelopes", protocol=protocol, tls=tls)))

    @property
    def port(self):
        return self.addresses[0][1]

    def mail_of(self, local_part, below="mail"):
        # As a piece of a path: octets outside a small set are percent-encoded.
        name = "".join(chr(octet) if octet < 128 else f"%{octet:02X}" for octet in local_part.encode())
        names = [self.path(below, each, "new") for each in (name, name.lower())]
        found = next(filter(os.path.isdir, names), None)
        return [read_file(os.path.join(found, each)) for each in os.listdir(found)] if found else []

    def said(self, verb, about=""):
        """What clients sent that begins with this, and has this in it."""
        lines = [keys_of(line)["line"] for line in self.events("session.command")]
        return [line for line in lines if line.upper().startswith(verb) and about in line]

    def check_stored(self, local_part):
        """It is there once, as it was submitted."""
        wait_until(lambda: self.mail_of(local_part, "envelopes"), 10, local_part)
        [stored] = self.mail_of(local_part)
        text = MESSAGES[local_part]
        assert stored.endswith(text), (local_part, stored[:2000])
        assert ADDED.fullmatch(stored[:-len(text)]), (local_part, stored[:-len(text)][:2000])

    def check_asked(self):
        """Of whom, and for what, the relay has told us."""
        [mail] = self.said("MAIL ", "ENVID=")
        assert " RET=HDRS" in mail and " ENVID=QQ314159" in mail, mail
        [rcpt] = self.said("RCPT ", "<notified@")
        assert re.search(r" NOTIFY=SUCCESS,(FAILURE,)?DELAY", rcpt), rcpt
        assert " ORCPT=rfc822;notified@relayed.example" in rcpt, rcpt
        [envelope] = self.mail_of("notified", "envelopes")
        for line in (f"mail={mail[5:]}", f"rcpt={rcpt[5:]}"):
            assert f"X-Sinkd-Envelope: {line}\n".encode() in unfold(envelope), (line, envelope)
        assert b"X-Original-To: notified@relayed.example\n" in envelope, envelope

    def check_utf8(self, protocol):
        # The log has other octets than ASCII escaped.
        assert len([line for line in self.said("MAIL ", " SMTPUTF8")]) == 1, self.said("MAIL ")
        [envelope] = self.mail_of("josé", "envelopes")
        trace = unfold(envelope)
        assert f" with UTF8{protocol} id ".encode() in trace, trace
        assert " for <josé@relayed.example>".encode() in trace, trace
        assert "X-Original-To: josé@relayed.example\n".encode() in trace, trace


def unfold(text):
    return re.sub(rb"\n[ \t]+", b" ", text)


def postfix_relays(protocol, tls):
    need_postfix()
    security = f"{protocol}_tls_security_level = " + ("none" if tls == "off" else "may")
    with Sink(protocol, tls) as sink, Postfix(
            {DOMAIN: f"{protocol}:inet:[127.0.0.1]:{sink.port}" if protocol == "lmtp"
             else f"smtp:[127.0.0.1]:{sink.port}"}, security) as postfix:
        for name, text in MESSAGES.items():
            options = ["-N", "success,delay", "-R", "hdrs", "-V", "QQ314159"] if name == "notified" else []
            postfix.send(SENDER, [f"{name}@{DOMAIN}"], text, *options)
        for name in MESSAGES:
            sink.check_stored(name)
        sink.check_asked()
        sink.check_utf8(("LMTP" if protocol == "lmtp" else "SMTP") + ("" if tls == "off" else "S"))
        assert len(sink.said("DATA")) == len(MESSAGES) and not sink.said("BDAT"), sink.said("DATA")
        # Exim asks for nothing: it sends eight bits to anyone.
        assert len(sink.said("MAIL ", " BODY=8BITMIME")) == len(MESSAGES), sink.said("MAIL ")


def exim_relays(protocol, tls):
    need_exim()
    with Sink(protocol, tls) as sink, Exim(
            {DOMAIN: Route(protocol, sink.port), "back.example": Route(protocol, sink.port)}) as exim:
        for name, text in MESSAGES.items():
            mail = "BODY=8BITMIME" + (" SMTPUTF8" if not name.isascii() else "")
            rcpt = ""
            if name == "notified":
                mail += " RET=HDRS ENVID=QQ314159"
                rcpt = f"NOTIFY=SUCCESS,DELAY ORCPT=rfc822;{name}@{DOMAIN}"
            exim.send(SENDER, [f"{name}@{DOMAIN}"], text, mail=mail, rcpt=rcpt)
            sink.check_stored(name)
        sink.check_asked()
        sink.check_utf8(("LMTP" if protocol == "lmtp" else "SMTP") + ("" if tls == "off" else "S"))

        # Each message went in chunks, the last of which says so; the log tells how many octets.
        assert not sink.said("DATA"), sink.said("DATA")
        chunks = sink.said("BDAT")
        assert len([chunk for chunk in chunks if chunk.endswith(" LAST")]) == len(MESSAGES), chunks
        assert sum(int(chunk.split()[1]) for chunk in chunks) == \
            sum(int(keys_of(line)["size"]) for line in sink.events("message.accepted")), chunks
        print(f"       exim, {protocol}: {len(chunks)} chunks, the largest "
              f"{max(chunks, key=lambda chunk: int(chunk.split()[1]))!r}")


def postfix_by_smtp():
    postfix_relays("smtp", "off")


def postfix_by_lmtp():
    postfix_relays("lmtp", "starttls")


def exim_by_smtp():
    exim_relays("smtp", "starttls")


def exim_by_lmtp():
    exim_relays("lmtp", "off")


def exim_sends_too_much():
    """Not told of the limit, it hears of it only after a chunk that is read and thrown away, or,
    when that would be too long, at once; either way it knows that trying again is of no use."""
    need_exim()
    with Server("-v", listen=None, config=(
            'limits { message-size = "100K" }\n'
            + section("inbox", type="maildir", path="mail/%{recipient.local}", headers=[])
            + listen("sink", "inbox", tls="off", extensions=["CHUNKING"]))) as server, \
            Exim({DOMAIN: Route("smtp", server.addresses[0][1]),
                  "back.example": Route("smtp", server.addresses[0][1])}) as exim:
        for size, end in (500_000, "quit"), (5_000_000, "closed"):
            name = f"n{size}@{DOMAIN}"
            exim.send(SENDER, [name], message("large", b"x" * 99 + b"\n" + LARGE[:size]))
            assert f"** {name} " in exim.log() and "552 Message is larger" in exim.log(), exim.log()
            # What brought the message, and then what told the sender of its fate.
            ends = [keys_of(line)["how"] for line in server.events("session.end")][-2:]
            assert ends == [end, "quit"], ends
        codes = [keys_of(line)["code"] for line in server.events("message.refused")]
        assert codes == ["552", "552"], codes
        stored = {name: len(os.listdir(server.path("mail", name, "new")))
                  for name in os.listdir(server.path("mail"))}
        assert stored == {"n500000": 0, "n5000000": 0, "sender": 2}, stored


run(postfix_by_smtp, postfix_by_lmtp, exim_by_smtp, exim_by_lmtp, exim_sends_too_much,
    together=True)
