"""A place for the commands of pipe sections, for sockets and for what commands leave behind.

    with Workshop() as shop, Server(config=f'... command = {{"{shop.script("x", "cat")}"}}'):

Every user can reach and write it: a server started by root runs its commands as another.
"""

import os
import shutil
import tempfile

from sinkd_server import read_file


class Workshop:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="sinkd-shop-")
        os.chmod(self.directory, 0o1777)
        self.make_directory("ran")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def make_directory(self, name):
        os.mkdir(self.path(name))
        os.chmod(self.path(name), 0o1777)
        return self.path(name)

    def script(self, name, body):
        """A command for /bin/sh, which finds this place in $SHOP; its path."""
        with open(self.path(name), "w") as file:
            file.write(f"#!/bin/sh\nSHOP={self.directory}\n{body}\n")
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def ran(self):
        """What runs left in $SHOP/ran: {name: bytes}."""
        return {name: read_file(self.path("ran", name))
                for name in sorted(os.listdir(self.path("ran")))}

    def forget(self):
        for name in os.listdir(self.path("ran")):
            os.remove(self.path("ran", name))
