"""Certificates: the one that is made, those that are configured, mistakes, renewal, clients'."""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time

from certificates import Authority, any_certificate, fingerprint, pem_of
from sinkd_server import LEVEL, SINKD, Server, read_file, wait_until
from wire_test import output_of, run, skip


@contextlib.contextmanager
def authority():
    with tempfile.TemporaryDirectory(prefix="sinkd-ca-") as directory:
        yield Authority(directory)


def server_with(*pairs, tls="implicit", more="", auth="optional", **options):
    def quoted(files):
        return ", ".join(f'"{file}"' for file in files)

    certificates = (f"certificate = {{{quoted(p.certificate for p in pairs)}}}\n"
                    f"key = {{{quoted(p.key for p in pairs)}}}\n") if pairs else ""
    return Server(config=f'listen "a" {{ address = {{"127.0.0.1:0"}}  tls = "{tls}"'
                         f'  auth = "{auth}" }}\ntls {{ {certificates} {more} }}\n',
                  listen=None, **options)


def shown_by(server, context=None, **options):
    """The certificate that a client gets, in DER."""
    with server.connect() as client:
        client.wrap(context or any_certificate(), **options)
        client.expect("220 ")
        certificate = client.socket.getpeercert(binary_form=True)
        client.command("QUIT", "221 ")
    return certificate


def one_is_made():
    with server_with(more="", tls="starttls") as server:
        [made] = json.loads(server.sinkctl("status", "--format", "json")[0])["certificates"]
        with server.connect() as client:
            client.greet()
            client.start_tls(any_certificate())
            der = client.socket.getpeercert(binary_form=True)
        with open(server.path("made.pem"), "w") as file:
            file.write(ssl.DER_cert_to_PEM_cert(der))
        assert fingerprint(server.path("made.pem")) == made["sha256"]
        [line] = server.events("server.certificate")
        assert made["sha256"] in line, line
        text = output_of("openssl", "x509", "-in", server.path("made.pem"), "-noout", "-text")
        for expected in ("prime256v1", "DNS:localhost", "IP Address:127.0.0.1",
                         "TLS Web Server Authentication"):
            assert expected in text, (expected, text)
        # Whoever trusts it, trusts it under each of its names.
        for name in "localhost", "127.0.0.1":
            context = ssl.create_default_context(cafile=server.path("made.pem"))
            with server.connect() as client:
                client.greet()
                client.start_tls(context, name=name)
        server.sinkctl("reload")  # It stays for the life of the server.
        with server.connect() as client:
            client.greet()
            client.start_tls(any_certificate())
            assert client.socket.getpeercert(binary_form=True) == der
        assert "made by sinkd at its start" in server.sinkctl("status")[0]


def the_greeting_of_the_server_names_it():
    if LEVEL:
        skip("who has a configuration gets no greeting")
    with Server("--listen", "localhost:0", config=None, listen=None) as server:
        out = wait_until(lambda: read_file(server.path("out")).decode(), what="words")
        [made] = json.loads(server.sinkctl("status", "--format", "json")[0])["certificates"]
        assert made["sha256"] in out, out


def two_kinds_of_key_side_by_side():
    with authority() as ca:
        ec, rsa = ca.issue("ec"), ca.issue("rsa", "rsa")
        with server_with(ec, rsa) as server:
            for ciphers, pair in (("ECDHE-ECDSA-AES128-GCM-SHA256", ec),
                                  ("ECDHE-RSA-AES128-GCM-SHA256", rsa)):
                context = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2)
                context.set_ciphers(ciphers)
                assert shown_by(server, context) == pem_of(pair.certificate)
            assert shown_by(server, ca.client()) in (pem_of(ec.certificate),
                                                     pem_of(rsa.certificate))
        for kind in "p384", "rsa":  # TLS 1.3 with each, and a whole session.
            pair = ca.issue(kind, kind)
            with server_with(pair) as server, server.connect() as client:
                client.wrap(ca.client())
                client.greet()
                client.deliver(b"Subject: x\r\n\r\n")


def names_choose_certificates():
    with authority() as ca:
        own = ca.issue("own", names=["localhost"])
        other = ca.issue("other", names=["other.example.test"])
        many = ca.issue("many", names=["*.many.example.test"])
        sections = "".join(
            f'sni "{name}" {{ certificate = {{"{pair.certificate}"}}  key = {{"{pair.key}"}} }}\n'
            for name, pair in (("other.example.test", other), ("*.many.example.test", many)))
        with server_with(own, more=sections) as server:
            for name, pair in (("localhost", own), ("other.example.test", other),
                               ("OTHER.example.test", other), ("a.many.example.test", many)):
                context = ca.client()
                context.check_hostname = name.islower()
                assert shown_by(server, context, name=name) == pem_of(pair.certificate), name
            for name in "unknown.example.test", "a.b.many.example.test", "many.example.test":
                context = any_certificate()
                assert shown_by(server, context, name=name) == pem_of(own.certificate), name
            status = server.sinkctl("status")[0]
            assert "other.example.test" in status and fingerprint(own.certificate) in status


def mistakes():
    with authority() as ca, tempfile.TemporaryDirectory(prefix="sinkd-tls-") as directory:
        good, other = ca.issue("good"), ca.issue("other")
        old = expired(ca)
        open_to_all = ca.issue("open")
        os.chmod(open_to_all.key, 0o644)
        garbage = os.path.join(directory, "garbage")
        with open(garbage, "w") as file:
            file.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        os.chmod(garbage, 0o600)
        cases = (
            (good.certificate, other.key, 3, "key: "),
            (good.certificate, "/nonexistent", 3, "No such file"),
            ("/nonexistent", good.key, 2, "No such file"),
            (garbage, good.key, 2, "certificate: "),
            (good.certificate, garbage, 3, "key: "),
            (good.certificate, open_to_all.key, 3, "readable"),
            (old.certificate, old.key, 2, "expired"),
        )
        path = os.path.join(directory, "conf")
        for certificate, key, line, expected in cases:
            with open(path, "w") as file:
                file.write(f'tls {{\n certificate = {{"{certificate}"}}\n key = {{"{key}"}}\n}}\n'
                           'listen "a" { address = {"127.0.0.1:0"} }\n')
            for options in ["-t"], []:
                said = output_of(SINKD, "-f", path, *options, status=78)
                assert re.match(rf"{path}:{line}: tls: .*", said) and expected in said, \
                    (certificate, key, options, said)
        text = read_file(path).decode()
        with open(path, "w") as file:  # Nobody speaks TLS: nobody needs the files.
            file.write(text.replace("0\"}", "0\"}  tls = \"off\""))
        output_of(SINKD, "-f", path, "-t")


def expired(ca):
    """A certificate of yesterday; openssl req cannot make one, x509 can."""
    key, request = ca.path("old", "key"), ca.path("old", "csr")
    pair = ca.issue("old")
    output_of("openssl", "req", "-new", "-key", pair.key, "-subj", "/CN=localhost", "-out", request)
    output_of("openssl", "x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key,
              "-days", "-1", "-out", pair.certificate, "-set_serial", "7")
    assert key == pair.key
    return pair


def a_reload_takes_up_what_was_renewed():
    with authority() as ca:
        pair = ca.issue("mx")
        with server_with(pair) as server:
            with server.connect() as client:
                client.wrap(ca.client())
                client.greet()
                client.open_message()
                before = pem_of(pair.certificate)
                renewed = ca.issue("mx")
                assert pem_of(renewed.certificate) != before
                assert shown_by(server) == before
                server.sinkctl("reload")
                # An idle worker of before may take one more client.
                wait_until(lambda: shown_by(server) == pem_of(renewed.certificate),
                           what="the new certificate")
                client.send(b"Subject: in the middle\r\n\r\n.\r\n")
                client.expect("250 2.0.0 ")
            with open(pair.key, "w") as file:  # Nonsense leaves things as they were.
                file.write("nonsense\n")
            _, error = server.sinkctl("reload", status=1)
            assert "tls: key: " in error, error
            assert shown_by(server) == pem_of(renewed.certificate)


@contextlib.contextmanager
def load(server, context):
    """Four clients, one session after the other; gives a function that waits for so many
    more.  None of them may fail."""
    failures, sessions, end = [], [], threading.Event()

    def talk():
        while not end.is_set():
            try:
                sessions.append(shown_by(server, context))
            except (AssertionError, OSError) as failure:
                failures.append(failure)

    def more(count):
        reached = len(sessions) + count
        wait_until(lambda: len(sessions) > reached or failures, 20, "some sessions")
        return sessions

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield more
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[:3]


def renewal_under_load():
    with authority() as ca:
        pair = ca.issue("mx")
        context = ca.client()
        with server_with(pair) as server:
            with load(server, context) as more:
                for _ in range(5):
                    more(20)
                    renewed = ca.issue("mx")
                    server.sinkctl("reload")
                sessions = more(20)
            assert shown_by(server, context) == pem_of(renewed.certificate)
            print(f"{len(sessions)} sessions over 5 renewals, {len(set(sessions))} certificates seen")


def keys_processes_killed_under_load():
    with authority() as ca:
        pair = ca.issue("mx")
        context = ca.client()
        with server_with(pair) as server:
            with load(server, context) as more:
                for deaths in range(1, 5):
                    # Those that die young, one after the other, are not replaced at once.
                    grown_up = time.monotonic() + 1.1
                    wait_until(lambda: time.monotonic() > grown_up, what="grown-up processes")
                    more(10)
                    victims = server.keys()
                    for pid in victims:
                        os.kill(pid, signal.SIGKILL)
                    wait_until(lambda: len(server.keys()) == len(victims)
                               and not set(server.keys()) & set(victims), what="new ones")
                sessions = more(10)
            print(f"{len(sessions)} sessions; {deaths} times all keys processes were killed")


def certificates_of_clients():
    with authority() as ca, authority() as stranger:
        own = ca.issue("server")
        client_pair = ca.issue("client", names=["client.example.test"], email="ann@example.com")
        unknown = stranger.issue("client", names=["client.example.test"])
        settings = f'client-certificate = "%s"  ca-file = "{ca.certificate}"'
        external = 'auth { mechanisms = {"EXTERNAL"} }\n'
        with server_with(own, more=settings % "request") as server:
            with open(server.path("sinkd.conf"), "a") as file:
                file.write(external)
            server.sinkctl("reload")
            with server.connect() as client:
                client.wrap(ca.client(client_pair))
                client.expect("220 ")
                assert "AUTH EXTERNAL" in client.command("EHLO x", "250-")
                client.command("AUTH EXTERNAL =", "235 ")
                client.deliver(b"Subject: x\r\n\r\n")
            [message] = server.stored()
            trace = message.partition(b"Subject")[0]
            assert b"client.example.test" in trace and b"ESMTPSA" in trace, trace
            lines = server.events("tls.accepted")
            assert any('subject="CN=client.example.test"' in line for line in lines), lines
            assert any(" user=ann@example.com" in line for line in server.events("auth.accepted", "auth.refused"))
            for pair in None, unknown:
                context = ca.client(pair)
                with server.connect() as client:
                    client.wrap(context)
                    client.expect("220 ")
                    assert "AUTH" not in client.command("EHLO x", "250-")
        with server_with(own, more=settings % "require") as server:
            with server.connect() as client:
                client.wrap(ca.client(client_pair))
                client.expect("220 ")
            for pair in None, unknown:
                with server.connect() as client:
                    try:
                        client.wrap(ca.client(pair))
                        closed = client.line() is None
                    except ssl.SSLError:
                        closed = True
                    assert closed
            lines = wait_until(lambda: len(server.events("tls.failed")) == 2
                               and server.events("tls.failed"), what="two lines")
            assert all("certificate" in line for line in lines), lines


def sessions_are_resumed():
    with authority() as ca:
        pair = ca.issue("mx")
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            for tickets in "true", "false":
                context = ca.client(minimum_version=version, maximum_version=version)
                with server_with(pair, more=f"session-tickets = {tickets}", workers=4) as server:
                    session, resumed = None, []
                    for _ in range(9):
                        with server.connect() as client:
                            client.wrap(context, session=session)
                            resumed.append(client.socket.session_reused)
                            client.greet()
                            client.command("QUIT", "221 ")
                            client.expect_closed()
                            session = client.socket.session
                    # By whichever worker it was.
                    assert resumed == [False] + [tickets == "true"] * 8, (version, tickets, resumed)
                    told = [" resumed=yes" in line for line in server.events("tls.accepted")]
                    assert told == resumed, server.events("tls.accepted")


def one_ticket_in_the_write_of_the_greeting():
    """libesmtp hangs on a ticket that comes alone."""
    with authority() as ca:
        pair = ca.issue("mx")
        with server_with(pair, tls="starttls") as server:
            done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % server.addresses[0],
                                   "-starttls", "smtp", "-tls1_3", "-msg", "-ign_eof"],
                                  input="NOOP\r\nQUIT\r\n", capture_output=True, text=True,
                                  timeout=30)
            assert done.stdout.count("NewSessionTicket") == 1, done.stdout[-3000:]


def one_that_ends_soon():
    with authority() as ca:
        soon = ca.issue("soon", days=5)
        with server_with(soon) as server:
            [line] = server.events("server.certificate")
            assert "level=warn" in line and 'subject="CN=localhost"' in line, line
            assert "WARNING: in " in server.sinkctl("status")[0]


run(one_is_made, the_greeting_of_the_server_names_it, two_kinds_of_key_side_by_side,
    names_choose_certificates, mistakes, a_reload_takes_up_what_was_renewed, renewal_under_load,
    keys_processes_killed_under_load, certificates_of_clients, sessions_are_resumed,
    one_ticket_in_the_write_of_the_greeting, one_that_ends_soon)
