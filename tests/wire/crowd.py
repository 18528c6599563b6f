"""Many clients at once that mostly wait, in one thread.

    with Crowd(server.addresses[0], 200) as crowd:
        crowd.listen(lambda: len(crowd.greeted()) == 200, 0.5)

Members connect at once, say nothing of themselves, and remember what they were told
and when.
"""

import errno
import os
import select
import socket
import time

from sinkd_server import family_of


class Member:
    def __init__(self, address):
        self.socket = socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.born = time.monotonic()
        error = self.socket.connect_ex(address)
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))
        self.text = b""
        self.told_at = None  # when its first line had come
        self.ended_at = None

    def hear(self):
        """Take all that has come."""
        while not self.ended_at:
            try:
                piece = self.socket.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                piece = b""
            self.text += piece
            if not piece:
                self.ended_at = time.monotonic()
            elif self.told_at is None and b"\r\n" in self.text:
                self.told_at = time.monotonic()

    def is_told(self, code):
        return self.told_at is not None and self.text.startswith(code)

    def waited(self):
        """How long it took until it was told something."""
        return self.told_at - self.born


class Crowd:
    def __init__(self, address, count):
        self.epoll = select.epoll()
        self.address = address
        self.members = {}
        self.started = time.monotonic()
        self.join(count)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave(list(self.members.values()))
        self.epoll.close()

    def join(self, count):
        for _ in range(count):
            member = Member(self.address)
            self.members[member.socket.fileno()] = member
            self.epoll.register(member.socket, select.EPOLLIN)

    def leave(self, members):
        for member in members:
            del self.members[member.socket.fileno()]
            member.socket.close()

    def listen(self, is_done, seconds):
        """Hear what members are told until is_done(), for so long at most; how long it
        took since the first of them came, or None."""
        deadline = time.monotonic() + seconds
        while not is_done():
            now = time.monotonic()
            if now > deadline:
                return None
            # What is_done() looks at besides changes without an event.
            for number, _ in self.epoll.poll(min(deadline - now, 0.05)):
                member = self.members[number]
                member.hear()
                if member.ended_at:
                    self.epoll.unregister(number)
        return time.monotonic() - self.started

    def ended(self):
        return [member for member in self.members.values() if member.ended_at]

    def say(self, members, text):
        """From here on only what they are told after it counts."""
        for member in members:
            member.text = b""
            member.socket.send(text)

    def told(self, code):
        return [member for member in self.members.values() if member.is_told(code)]

    def greeted(self):
        return self.told(b"220 ")

    def asked(self, members, command, code, seconds):
        """Whether all of these answer a command with this code."""
        self.say(members, command + b"\r\n")
        return self.listen(lambda: all(member.text.startswith(code) and b"\r\n" in member.text
                                       for member in members), seconds) is not None
