"""A message of 200 MB costs a worker no more memory than a small one."""

import hashlib
import os
import re

from sinkd_server import Server, built_with_sanitizers, read_file
from wire_test import run, skip

CONFIG = """
workers { max = 1 }
limits { message-size = "300M" }
deliver "inbox" { type = "maildir"  path = "./Maildir"  headers = {} }
"""
LINE = b"0123456789abcdef" * 4 + b"\r\n"
PIECE = LINE * 1000
PIECES = 200_000_000 // len(PIECE) + 1


def peak_memory_kib(pid):
    return int(re.search(rb"VmHWM:\s+(\d+) kB", read_file(f"/proc/{pid}/status"))[1])


def stored_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def peak_memory_stays_small():
    if built_with_sanitizers():
        skip("sanitizers take memory of their own")
    with Server(config=CONFIG) as server, server.connect(seconds=60) as client:
        [worker] = server.workers()
        client.greet()
        client.deliver(LINE * 150)
        small = peak_memory_kib(worker)
        client.open_message()
        sent = hashlib.sha256()
        for _ in range(PIECES):
            client.send(PIECE)
            sent.update(PIECE.replace(b"\r\n", b"\n"))
        client.send(b".\r\n")
        client.expect("250 2.0.0 Ok: ")
        peak = peak_memory_kib(worker)
        print(f"peak {peak} KiB, after a message of 10 KB {small} KiB")
        assert peak < 8 * 1024 and peak < small + 512, (small, peak)
        assert server.workers() == [worker]
        big = max((server.path("Maildir", "new", name) for name in server.listing("new")),
                  key=os.path.getsize)
        assert stored_digest(big) == sent.hexdigest()


run(peak_memory_stays_small)
