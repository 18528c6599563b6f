"""With no configuration, in an empty directory, it is useful at once and says how."""

import os
import re
import socket

from sinkd_server import Server, read_file
from wire_test import need_program, output_of, run, skip

DEFAULT = ("127.0.0.1", 1025)


def need_default_port():
    try:
        with socket.create_server(DEFAULT):
            pass
    except OSError:
        skip("port 1025 is taken")


def what_it_prints_is_true():
    need_default_port()
    with Server(listen=None) as server:
        said = server.log() + read_file(server.path("out")).decode()
        assert DEFAULT in server.addresses, server.addresses
        assert "127.0.0.1:1025" in said or "localhost:1025" in said, said
        assert os.path.realpath(server.path("Maildir")) in said or "./Maildir" in said, said
        [command] = re.findall(r"try it +(.*curl .*)$", said, re.M)
        with server.connect() as client:
            client.greet()
            client.deliver(b"Subject: first\r\n\r\n")
        assert len(server.stored()) == 1
        need_program("curl")
        output_of("sh", "-c", command, cwd=server.directory)
        assert len(server.stored()) == 2


run(what_it_prints_is_true)
