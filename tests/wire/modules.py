"""Modules for the servers of tests: the examples of the documentation, and those that the
tests build for themselves.

    with ModuleShop() as shop, Server(config=shop.section("greylist", "1")) as server:

A shop has copies of them, which every user can read: workers of a server started by root
are another one."""

import os
import re

from commands import quoted
from sinkd_server import BUILD, SINKD, copy_program
from wire_test import output_of
from workshop import Workshop

PLACES = ("docs/examples/{}.so", "tests/wire/{}_module.so", "tests/unit/{}_module.so")


class ModuleShop(Workshop):
    def module(self, name, copy=None):
        """The path of a module; copy: its name here, for one that is there twice."""
        path = self.path((copy or name) + ".so")
        if not os.path.exists(path):
            [built] = filter(os.path.exists, (os.path.join(BUILD, place.format(name))
                                              for place in PLACES))
            os.chmod(copy_program(built, path), 0o755)
        return path

    def section(self, name, argument="", copy=None):
        """A section of the configuration."""
        return module_section(self.module(name, copy), argument)

    def file(self, name, content=b"", mode=0o755):
        with open(self.path(name), "wb") as file:
            file.write(content)
        os.chmod(self.path(name), mode)
        return self.path(name)


def module_section(path, argument=""):
    return f"module {quoted(path)} {{ argument = {quoted(argument)} }}\n"


def test_of(config, shop, status):
    """What `sinkd -t` says of this configuration, and that it leaves with that status."""
    return output_of(SINKD, "-t", "-f", shop.file("tested.conf", config.encode()), status=status)


def notes(server, name=None):
    """What modules have said, (of the module of that file name): [(session, text)]."""
    found = []
    for line in server.events("module.note"):
        session, module, text = re.search(
            r' session=(\S+) module=(\S+) text=(".*"|\S*)', line).groups()
        if name is None or module.endswith(f"/{name}.so"):
            found.append((session, text.strip('"')))
    return found
