"""A client of the Local Mail Transfer Protocol (RFC 2033)."""

from commands import listen
from sinkd_server import Client

TEXT = b"Subject: for each\r\n\r\ntext\r\n"


class LmtpClient(Client):
    def greet(self):
        self.expect("220 ")
        return self.command("LHLO client.example", "250-")

    def results(self, recipients, text=TEXT, sender="a@example.com"):
        """Send a message to these, all of which are accepted: the replies after the dot."""
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{name}>" for name in recipients), "DATA", ""]
        self.send("\r\n".join(lines).encode())
        for _ in lines[:-2]:
            self.expect("250 ")
        self.expect("354 ")
        self.send(text + b".\r\n")
        return self.replies(len(recipients))

    def replies(self, count):
        """So many replies and, as that to a NOOP shows, not one more."""
        self.send(b"NOOP\r\n")
        found = [self.reply() for _ in range(count)]
        assert None not in found, found
        after = self.expect("250 2.0.0 ")
        assert "Ok: " not in after, f"more than {count} replies: {after}"
        return found


def lmtp_listener(*deliver, **options):
    """A listen section."""
    return listen("lmtp", *deliver, protocol="lmtp", **options)
