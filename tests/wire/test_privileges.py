"""Started by root, no worker is root or can become it, and mail still arrives."""

import grp
import os
import pwd

from sinkd_server import SINKD, Server, status_of
from wire_test import need_root, output_of, run

NOBODY = (65534, 65534)


def workers_are_not_root_and_cannot_be():
    need_root()
    os.setgroups([0, 4])  # The server starts with something to lose.
    with Server("-w", "3") as server:
        server.wait_idle(3)
        for pid in server.workers():
            status = status_of(pid)
            for ids in "Uid", "Gid":
                # Real, effective, saved and file system id are one, and not root's.
                [one] = set(status[ids])
                assert one != "0", status[ids]
            assert set(status["Groups"]) <= {status["Gid"][0]}, status["Groups"]
            for capabilities in "CapPrm", "CapEff", "CapInh", "CapAmb":
                assert int(status[capabilities][0], 16) == 0, (capabilities, status)


def configured_user_and_group_are_taken():
    need_root()
    with Server("-w", "1", config='user = "daemon"\ngroup = "games"\n') as server:
        [pid] = server.workers()
        assert set(status_of(pid)["Uid"]) == {str(pwd.getpwnam("daemon").pw_uid)}
        assert set(status_of(pid)["Gid"]) == {str(grp.getgrnam("games").gr_gid)}
        assert os.stat(server.path("Maildir", "new")).st_uid == pwd.getpwnam("daemon").pw_uid


def root_in_a_directory_of_root_only():
    need_root()
    server = Server("-w", "2")
    os.chmod(server.directory, 0o700)
    with server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: behind a closed door\r\n\r\n")
        assert len(server.stored()) == 1


def a_mailbox_that_workers_cannot_write_stops_the_start():
    need_root()
    server = Server("-w", "1")
    try:
        for part in "tmp", "new", "cur":
            os.makedirs(os.path.join(server.maildir, part), mode=0o700)
        text = output_of(SINKD, "-l", "127.0.0.1:0", cwd=server.directory, status=78)
        assert "Maildir" in text and "uid=" in text and "advice=" in text, text
    finally:
        server.discard_all()


def only_the_last_directory_made_is_given_away():
    need_root()
    with Server("-w", "1", "--maildir", "srv/mail/inbox") as server:
        owners = [os.stat(server.path(name)).st_uid
                  for name in ("srv", "srv/mail", "srv/mail/inbox", "srv/mail/inbox/new")]
        assert owners == [0, NOBODY[0], NOBODY[0], NOBODY[0]], owners


def an_account_in_the_group_of_root_is_refused():
    need_root()
    server = Server("--discard", config='user = "daemon"\ngroup = "root"\n')
    try:
        text = output_of(SINKD, *server.arguments, cwd=server.directory, status=78)
        assert "root" in text or "not permitted" in text, text
    finally:
        server.discard_all()


def an_ordinary_user_needs_no_root():
    need_root()
    with Server("-w", "2", user=NOBODY) as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: no root\r\n\r\n")
        assert len(server.stored()) == 1
        assert all(set(status_of(pid)["Uid"]) == {"65534"} for pid in server.workers())


run(workers_are_not_root_and_cannot_be, configured_user_and_group_are_taken,
    root_in_a_directory_of_root_only, a_mailbox_that_workers_cannot_write_stops_the_start,
    only_the_last_directory_made_is_given_away,
    an_account_in_the_group_of_root_is_refused, an_ordinary_user_needs_no_root)
