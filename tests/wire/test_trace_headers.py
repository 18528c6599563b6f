"""X-Original-To and X-Sinkd-Envelope say all that the sender said, and binary text is stored as
it came."""

import os

from sinkd_server import Server, read_file
from wire_test import run

CONFIG = """
limits { line-length = 65536  memory-per-session = "16M" }
deliver "inbox" {
    type = "maildir"  path = "mail/%{recipient.local}"
    headers = { "X-Original-To", "X-Sinkd-Envelope" }
}
"""
NAME = b"X-Sinkd-Envelope: "


def stored(server, mailbox):
    """The header fields of ours, unfolded, and the text of the only message there."""
    directory = server.path("mail", mailbox, "new")
    [name] = os.listdir(directory)
    message = read_file(os.path.join(directory, name))
    eol = b"\r\n" if message.split(b"\n", 1)[0].endswith(b"\r") else b"\n"
    fields, _, text = message.partition(eol + b"Subject: ")
    assert max(map(len, fields.split(eol))) <= 998
    return fields.replace(eol + b" ", b" ").split(eol), b"Subject: " + text


def facts(fields):
    return [field.removeprefix(NAME) for field in fields if field.startswith(NAME)]


def all_that_the_sender_said():
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.command("mail from:<ann@example.test> SIZE=9 BODY=8BITMIME ENVID=x+2By", "250 ")
        client.command("RCPT TO:<joe@Example.test> NOTIFY=NEVER ORCPT=rfc822;j+2Boe@x", "250 ")
        client.command("RCPT TO:<refused@> NOTIFY=NEVER", "501 ")
        client.command("rcpt  to: <Postmaster>", "250 ")
        client.command("RCPT TO:<joe@Example.test>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: x\r\n\r\nno Bcc here\r\n.\r\n")
        reply = client.expect("250 2.0.0 Ok: ")
        port = client.socket.getsockname()[1]
        for mailbox, originals in (("joe", [b"joe@Example.test"] * 2),
                                   ("postmaster", [b"Postmaster"])):
            fields, text = stored(server, mailbox)
            assert text == b"Subject: x\n\nno Bcc here\n", text
            assert fields[:len(originals)] == [b"X-Original-To: " + to for to in originals]
            known = facts(fields)
            assert known[0] == b"client=127.0.0.1" and known[1] == b"port=%d" % port, known
            assert b"helo=client.example" in known and b"protocol=ESMTP" in known, known
            assert b"id=" + reply.rsplit(" ", 1)[1].strip().encode() in known, (known, reply)
            assert known[-4:] == [
                b"mail=from:<ann@example.test> SIZE=9 BODY=8BITMIME ENVID=x+2By",
                b"rcpt=TO:<joe@Example.test> NOTIFY=NEVER ORCPT=rfc822;j+2Boe@x",
                b"rcpt=to: <Postmaster>", b"rcpt=TO:<joe@Example.test>"], known


def utf8_only_where_it_was_asked_for():
    to = "jörg@bücher.example.test"
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.send(f"MAIL FROM:<ä@example.test> SMTPUTF8\r\nRCPT TO:<{to}>\r\n".encode())
        client.expect("250 ")
        client.expect("250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: x\r\n\r\n.\r\n")
        client.expect("250 ")
        fields, _ = stored(server, "j%C3%B6rg")
        assert fields[0].decode() == "X-Original-To: " + to
        assert facts(fields)[-1].decode() == f"rcpt=TO:<{to}>"
        assert b"protocol=UTF8SMTP" in facts(fields)
        client.send(f"MAIL FROM:<>\r\nRCPT TO:<{to}>\r\n".encode())
        client.expect("250 ")
        client.expect("553 5.6.7")


def long_arguments():
    """500 recipients, each with about as much as ORCPT may say; all are in each copy."""
    arguments = [f"TO:<{'ab'[number % 2]}@example.test> ORCPT=rfc822;{number:04}{'x' * 480}"
                 for number in range(500)]
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<>", "250 ")
        client.send("".join(f"RCPT {argument}\r\n" for argument in arguments).encode())
        for _ in arguments:
            client.expect("250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: x\r\n\r\n.\r\n")
        client.expect("250 ")
        for mailbox in "a", "b":
            fields, _ = stored(server, mailbox)
            assert fields.count(b"X-Original-To: %s@example.test" % mailbox.encode()) == 250
            rcpt = [fact.decode() for fact in facts(fields) if fact.startswith(b"rcpt=")]
            assert rcpt == ["rcpt=" + argument for argument in arguments]


def binary_text():
    body = b"Subject: x\r\n\r\n" + bytes(range(256)) * 700 + b"\n.\n\r\r\n.\r\nthe end"
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<> BODY=BINARYMIME", "250 ")
        client.command("RCPT TO:<a@example.test>", "250 ")
        client.command("RCPT TO:<b@example.test>", "250 ")
        for piece in body[:14], body[14:100001]:
            client.send(b"BDAT %d\r\n" % len(piece) + piece)
            client.expect("250 ")
        client.send(b"BDAT %d LAST\r\n" % len(body[100001:]) + body[100001:])
        client.expect("250 2.0.0 Ok: ")
        for mailbox in "a", "b":
            fields, text = stored(server, mailbox)
            assert fields[0] == b"X-Original-To: %s@example.test" % mailbox.encode(), fields[0]
            assert text == body


run(all_that_the_sender_said, utf8_only_where_it_was_asked_for, long_arguments, binary_text)
