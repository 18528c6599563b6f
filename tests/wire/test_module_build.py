"""Modules are built as sinkd-module(3) says, out of what `make install` puts in place: the
words of the manual page and of the examples, typed as they stand there."""

import os
import re
import shutil

from modules import ModuleShop, module_section, test_of
from sinkd_server import BUILD, Server, read_file, wait_until
from wire_test import need_program, output_of, run

EXAMPLES = {"email_server": "", "greylist": "5", "json_lines": "{shop}/lines"}


class Installation(ModuleShop):
    """What is installed, below this place; the programs are not needed."""

    def __enter__(self):
        for name in "make", "pkg-config", "cc":
            need_program(name)
        # What an enclosing make wants is its own business.
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TESTS")}
        try:
            output_of("make", "-s", "-C", BUILD, "install-data", f"DESTDIR={self.path('root')}",
                      env=environment)
            self.environment = {
                **os.environ,
                "PKG_CONFIG_PATH": os.path.dirname(self.installed("sinkd.pc")),
                "PKG_CONFIG_SYSROOT_DIR": self.path("root"),
                # Or what is to be below /usr/include would be left out.
                "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}
        except BaseException:
            self.__exit__()
            raise
        return super().__enter__()

    def installed(self, name):
        [path] = [os.path.join(directory, name)
                  for directory, _, files in os.walk(self.path("root")) if name in files]
        return path

    def type(self, command):
        """What the shell says to it."""
        return output_of("/bin/sh", "-c", command, cwd=self.directory, env=self.environment)

    def page(self):
        return read_file(self.installed("sinkd-module.3")).decode()


def the_page_and_its_example():
    with Installation() as shop:
        [command] = re.findall(r"^\.Dl (cc .*)$", shop.page(), re.M)
        [source] = re.findall(r"^\.Sh EXAMPLES\n.*?^\.Bd .*?\n(.*?)^\.Ed$", shop.page(), re.M | re.S)
        shop.file("name.c", source.replace("\\e", "\\").encode())
        assert shop.type(command.replace("cc ", "cc -Wall -Wextra -Werror ", 1)) == ""
        os.chmod(shop.path("name.so"), 0o755)
        with Server(config=module_section(shop.path("name.so")), workers=1) as server, \
                server.connect() as client:
            client.greet()
            client.command("MAIL FROM:<a@example.com>", "250 ")
            client.command("RCPT TO:<nobody@example.net>", "550 5.7.1 ")
            client.command("RCPT TO:<somebody@example.net>", "250 ")


def each_example_as_it_says_itself():
    with Installation() as shop:
        config = ""
        for name, argument in EXAMPLES.items():
            path = shutil.copy(shop.installed(name + ".c"), shop.directory)
            [command] = re.findall(r"^ \*   (cc .*)$", read_file(path).decode(), re.M)
            assert shop.type(command) == ""
            os.chmod(shop.path(name + ".so"), 0o755)
            config += module_section(shop.path(name + ".so"),
                                     argument.format(shop=shop.directory))
        assert test_of(config, shop, 0) == ""
        with Server(config=config, workers=1) as server, server.connect() as client:
            client.expect("220 mock smtp server greets you")
            client.command("EHLO client.example", "250-mock.smtp.server.local")
            # email_server does not ask on.
            client.deliver(b"Subject: x\r\n\r\n")
            client.command("QUIT", "221 ")
            wait_until(lambda: "received_email: " in server.log(), what="its line")


def the_header_is_for_c_and_cpp():
    with Installation() as shop:
        shop.file("name.c", b"#include <sinkd_module.h>\n")
        flags = "$(pkg-config --cflags sinkd) -Wall -Wextra -pedantic -Werror -fsyntax-only name.c"
        assert shop.type("cc -std=c99 " + flags) == ""
        if shutil.which("c++"):
            assert shop.type("c++ -x c++ -std=c++11 " + flags) == ""
        assert re.fullmatch(r"\d+\.\d+\.\d+\n", shop.type("pkg-config --modversion sinkd"))
        assert shop.type("pkg-config --variable=moduledir sinkd").endswith("/sinkd\n")


if __name__ == "__main__":
    run(the_page_and_its_example, each_example_as_it_says_itself, the_header_is_for_c_and_cpp)
