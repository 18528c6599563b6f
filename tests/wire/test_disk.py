"""A disk that is full or cannot be written costs the client a retry, never a message."""

import os
import shutil
import subprocess
import sys
import tempfile

from sinkd_server import Server
from wire_test import need_program, need_root, output_of, run, skip

IN_NAMESPACE = "SINKD_WIRE_IN_NAMESPACE"
BIG = b"x" * 998 + b"\r\n"


def full_disk():
    need_root()
    if IN_NAMESPACE not in os.environ:
        run_in_namespace()
        return
    # Servers keep everything in the directory for temporary files.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs",
                    tempfile.gettempdir()], check=True)
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: fits\r\n\r\n")
        client.fail_to_deliver(BIG * 2000, "452 4.3.1")
        assert server.listing("tmp") == [] and len(server.listing("new")) == 1
        client.deliver(b"Subject: fits again\r\n\r\n")
        assert len(server.stored()) == 2


def run_in_namespace():
    """Run this script again where a mount is seen by nobody else."""
    unshare = [need_program("unshare"), "--mount", "--"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        skip("no mount namespaces here")
    with tempfile.TemporaryDirectory() as directory:
        output_of(*unshare, sys.executable, __file__,
                  env={**os.environ, IN_NAMESPACE: "1", "TMPDIR": directory})


def lock(path):
    """Take a directory away from the workers, whoever they are."""
    if os.geteuid() == 0:
        os.chown(path, 0, 0)
    os.chmod(path, 0o500)


def unlock(path, owner):
    if os.geteuid() == 0:
        os.chown(path, *owner)
    os.chmod(path, 0o700)


def directories_that_cannot_be_written():
    for part in "tmp", "new":
        with Server("-w", "1") as server, server.connect() as client:
            client.greet()
            client.deliver(b"Subject: one\r\n\r\n")
            directory = os.path.join(server.maildir, part)
            owner = os.stat(directory).st_uid, os.stat(directory).st_gid
            lock(directory)
            client.fail_to_deliver(b"Subject: two\r\n\r\n", "451 4.3.0")
            unlock(directory, owner)
            client.deliver(b"Subject: three\r\n\r\n")
            assert server.listing("tmp") == [] and len(server.listing("new")) == 2
            assert server.events("delivery.failed")


def a_mailbox_that_vanished_is_made_again():
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: one\r\n\r\n")
        shutil.rmtree(server.maildir)
        if os.geteuid() == 0:
            # The directory above is root's; a worker could not make a mailbox there.
            os.chmod(server.directory, 0o777)
        client.deliver(b"Subject: two\r\n\r\n")
        [stored] = server.stored()
        assert stored.endswith(b"Subject: two\n\n")


def a_file_in_the_place_of_new():
    with Server("-w", "1") as server, server.connect() as client:
        client.greet()
        new = os.path.join(server.maildir, "new")
        os.rmdir(new)
        with open(new, "w"):
            pass
        client.fail_to_deliver(b"Subject: nowhere to go\r\n\r\n", "451 4.3.0")
        assert server.listing("tmp") == []


if IN_NAMESPACE in os.environ:
    run(full_disk)
run(full_disk, directories_that_cannot_be_written, a_mailbox_that_vanished_is_made_again,
    a_file_in_the_place_of_new)
