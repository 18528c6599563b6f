"""A mailbox per recipient, whatever the recipient is called, and never outside the root."""

import os

from sinkd_server import Server, read_file
from wire_test import run

CONFIG = """
deliver "inbox" { type = "maildir"  path = "mail/%{recipient.domain}/%{recipient.local}" }
"""

# Recipient and the directory below the root.
NAMES = (
    ("plain@Example.NET", "example.net/plain"),
    ("Case+tag@example.net", "example.net/Case+tag"),
    ('"../../escape"@example.net', "example.net/%2E.%2F..%2Fescape"),
    ('"/etc/passwd"@example.net', "example.net/%2Fetc%2Fpasswd"),
    ('".."@example.net', "example.net/%2E."),
    ('"-rf"@example.net', "example.net/%2Drf"),
    ('""@example.net', "example.net/%"),
    ('"a b"@[127.0.0.1]', "%5B127.0.0.1%5D/a%20b"),
)


def mailboxes(root):
    """Every directory below root that has a message in its new, with the messages."""
    return {os.path.relpath(os.path.dirname(directory), root):
            [read_file(os.path.join(directory, name)) for name in names]
            for directory, _, names in os.walk(root)
            if os.path.basename(directory) == "new" and names}


def each_recipient_has_a_mailbox():
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        before = set(os.listdir(server.directory))
        for recipient, _ in NAMES:
            client.deliver(b"Subject: one\r\n\r\n", recipient=recipient)
        found = mailboxes(server.path("mail"))
        assert sorted(found) == sorted(directory for _, directory in NAMES), sorted(found)
        assert all(len(messages) == 1 for messages in found.values())
        assert set(os.listdir(server.directory)) - before <= {"mail"}


def several_recipients_get_one_each():
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<>", "250 ")
        for number in range(300):
            client.command(f"RCPT TO:<user{number}@example.net>", "250 ")
        client.command("RCPT TO:<user0@EXAMPLE.net>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: to all\r\n\r\ntext\r\n.\r\n")
        client.expect("250 2.0.0 Ok: ")
        found = mailboxes(server.path("mail"))
        assert len(found) == 300
        for directory, [message] in found.items():
            local = os.path.basename(directory)
            assert message.startswith(b"Return-Path: <>\n"), message
            assert b"\nDelivered-To: %s@example.net\n" % local.encode() in message
            assert message.endswith(b"Subject: to all\n\ntext\n")


def equal_copies_are_one_file():
    for config, links in (CONFIG.replace('" }', '"  headers = {} }'), 5), (CONFIG, 1):
        with Server("-w", "1", config=config) as server, server.connect() as client:
            client.greet()
            client.command("MAIL FROM:<>", "250 ")
            for number in range(5):
                client.command(f"RCPT TO:<user{number}@example.net>", "250 ")
            client.command("DATA", "354 ")
            client.send(b"Subject: to all\r\n\r\ntext\r\n.\r\n")
            client.expect("250 2.0.0 Ok: ")
            paths = [os.path.join(directory, name)
                     for directory, _, names in os.walk(server.path("mail")) for name in names]
            assert [os.stat(path).st_nlink for path in paths] == [links] * 5, paths
            for path in paths:
                assert path.endswith(f",S={os.stat(path).st_size}"), path


def a_link_in_the_way_is_not_followed():
    with Server("-w", "1", config=CONFIG) as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: one\r\n\r\n", recipient="first@example.net")
        os.mkdir(server.path("elsewhere"))
        os.chmod(server.path("elsewhere"), 0o777)
        os.symlink(server.path("elsewhere"), server.path("mail", "example.net", "link"))
        client.fail_to_deliver(b"Subject: x\r\n\r\n", "451 4.3.0",
                               recipient="link@example.net")
        assert os.listdir(server.path("elsewhere")) == []


run(each_recipient_has_a_mailbox, several_recipients_get_one_each,
    equal_copies_are_one_file, a_link_in_the_way_is_not_followed)
