#!/usr/bin/env python3
"""Every transcript against a running server over TCP.

Transcripts that need the same options share one server; each begins with an empty
mailbox.  Prints one line per transcript and the count."""

import collections
import glob
import os
import subprocess
import sys

SOURCE = os.environ.get("abs_top_srcdir") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "tests", "wire"))

from sinkd_server import BUILD, Server  # noqa: E402

TRANSCRIPT = os.path.join(BUILD, "tests", "transcripts", "transcript")
CASES = os.path.join(SOURCE, "tests", "transcripts", "cases")

# Stored as decoded, so that a transcript sees every byte.
CONFIG = """\
hostname = "sink.example.test"
workers {{ max = 2 }}
{sections}
listen "mx" {{
	address = {{"127.0.0.1:0"}}
{listener}}}
deliver "inbox" {{
	type = "maildir"
	path = "{maildir}"
	sync = "none"
	line-ending = "crlf"
	headers = {{}}
}}
"""


def needs_of(path, what):
    return subprocess.run([TRANSCRIPT, what, path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def play(path, server, maildir):
    new = os.path.join(maildir, "new")
    for name in os.listdir(new):
        os.unlink(os.path.join(new, name))
    host, port = server.addresses[0]
    return subprocess.run([TRANSCRIPT, "--live", f"{host}:{port}", "--maildir", maildir,
                           path]).returncode == 0


def play_all(sections, listener, paths):
    """Play the paths to one server with these options; return how many failed."""
    server = Server(listen=None)
    maildir = server.path("Maildir")
    with open(server.path("users"), "w") as file:
        file.write("joe:{PLAIN}secret\n")
    os.chmod(server.path("users"), 0o600)
    sections = sections.replace("auth {", f'auth {{\n\tusers-file = "{server.path("users")}"')
    with open(server.path("sinkd.conf"), "w") as file:
        # Where a case does not say, it was written for the engine, which has neither.
        if "tls =" not in listener:
            listener += '\ttls = "off"\n'
        file.write(CONFIG.format(sections=sections, listener=listener, maildir=maildir))
    server.arguments += ["-f", server.path("sinkd.conf")]
    with server:
        return sum(not play(path, server, maildir) for path in paths)


def main():
    groups = collections.defaultdict(list)
    paths = sorted(glob.glob(os.path.join(CASES, "*.smtp")))
    for path in paths:
        groups[needs_of(path, "--config"), needs_of(path, "--listener")].append(path)
    failed = sum(play_all(*options, group) for options, group in groups.items())
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed or not paths else 0


sys.exit(main())
