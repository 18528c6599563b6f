"""Many clients at once, and the account of what they were promised.

Each attempt to send a message has a token of its own and a checksum of its text,
so that whatever is stored says which attempt it belongs to and whether it is
whole.  A client that lost its connection makes a new one and goes on with a new
token: what becomes of the old one is then a question to the mailbox alone.
"""

import hashlib
import random
import re
import threading

from sinkd_server import Client


class Load:
    """quits: the share of messages after which a client says QUIT and comes again."""

    def __init__(self, address, clients=40, size_max=16384, quits=0):
        self.address = address
        self.quits = quits
        self.sessions = 0
        self.size_max = size_max
        self.threads = [threading.Thread(target=self.run_client, args=(number,), daemon=True)
                        for number in range(clients)]
        self.lock = threading.Lock()
        self.attempts = 0
        self.wanted = 0
        self.accepted = {}  # token: reply
        self.lost_in_data = set()  # tokens whose final dot was never sent
        self.lost_after_dot = set()
        self.failed_greetings = 0
        self.failed_farewells = 0
        self.problems = []

    def send(self, messages):
        """Start sending until so many messages were accepted, or stop()."""
        self.wanted = messages
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.wanted = 0

    def join(self):
        for thread in self.threads:
            thread.join()
        assert not self.problems, self.problems

    def count_failures(self):
        """Sessions that did not go as they should."""
        return (self.failed_greetings + len(self.lost_in_data) + len(self.lost_after_dot)
                + self.failed_farewells)

    def is_done(self):
        return not any(thread.is_alive() for thread in self.threads)

    def run_client(self, number):
        rng = random.Random(number)
        client = None
        try:
            while token := self.next_token():
                if client is None:
                    client = self.connect()
                if client and not self.attempt(client, token, rng):
                    client.close()
                    client = None
                elif client and rng.random() < self.quits:
                    self.quit(client)
                    client = None
            if client:
                client.close()
        except Exception as problem:  # It would be lost in this thread.
            self.problems.append(repr(problem))

    def next_token(self):
        with self.lock:
            if len(self.accepted) >= self.wanted:
                return None
            self.attempts += 1
            return f"token-{self.attempts}"

    def connect(self):
        """A greeted client, or None when its worker was killed meanwhile."""
        client = Client(self.address, seconds=20)
        try:
            client.greet()
        except (AssertionError, OSError):
            client.close()
            with self.lock:
                self.failed_greetings += 1
            return None
        with self.lock:
            self.sessions += 1
        return client

    def quit(self, client):
        try:
            client.command("QUIT", "221 ")
            client.expect_closed()
        except (AssertionError, OSError):
            with self.lock:
                self.failed_farewells += 1
        client.close()

    def attempt(self, client, token, rng):
        """Send one message in three pieces; whether the connection is still good."""
        body = rng.randbytes(rng.randint(1, self.size_max) // 2).hex().encode()
        text = b"X-Token: %s\r\nX-Digest: %s\r\n\r\n%s\r\n" % (
            token.encode(), hashlib.sha256(body).hexdigest().encode(), body)
        has_sent_dot = False
        try:
            client.open_message()
            client.send(text[:len(text) // 2])
            client.send(text[len(text) // 2:])
            has_sent_dot = True
            client.send(b".\r\n")
            reply = client.expect("250 2.0.0 Ok: ")
        except (AssertionError, OSError):
            # Whether anything was stored is known only to the mailbox.
            with self.lock:
                (self.lost_after_dot if has_sent_dot else self.lost_in_data).add(token)
            return False
        with self.lock:
            self.accepted[token] = reply
        return True

    def check(self, stored):
        """Compare the mailbox with what was promised; the set of stored tokens."""
        tokens = [token_of(text) for text in stored]
        assert len(tokens) == len(set(tokens)), "a message was stored twice"
        tokens = set(tokens)
        missing = set(self.accepted) - tokens
        assert not missing, f"{len(missing)} messages got 250 and are not there: {missing}"
        assert not tokens & self.lost_in_data, "a message without an end was stored"
        assert tokens <= set(self.accepted) | self.lost_after_dot
        return tokens


def token_of(text):
    """The token of a stored message, after the proof that it is whole."""
    match = re.search(rb"^X-Token: (.*)\nX-Digest: (.*)\n\n(.*)\n\Z", text, re.M | re.S)
    assert match, f"half a message was stored: {text[:500]!r}"
    token, digest, body = match.groups()
    assert hashlib.sha256(body).hexdigest().encode() == digest, f"{token!r} is damaged"
    return token.decode()
