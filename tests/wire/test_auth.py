"""AUTH against a server: who is let in, what is said, and what must not be told to anybody."""

import base64
import hashlib
import hmac
import itertools
import os
import smtplib
import ssl
import time

from certificates import any_certificate
from sinkd_server import Server, built_with_sanitizers, read_file, wait_until
from wire_test import run

PASSWORD = "pencil-and-paper"
USERS = {"ann": "{PLAIN}" + PASSWORD,
         # The password is the same; made by crypt(3), sha512 with 1000 rounds.
         "bob": None,
         "eve": "{PLAIN}other"}


def crypt_sha512(password):
    done = os.popen(f"openssl passwd -6 -salt saltsalt {password}").read().strip()
    assert done.startswith("$6$"), done
    return done


def server_with(auth="optional", users=True, tls="starttls", more="", **options):
    """With a users file beside the configuration."""
    def prepare_users(server):
        with open(server.path("users"), "w") as file:
            for name, proof in USERS.items():
                file.write(f"{name}:{proof or crypt_sha512(PASSWORD)}\n")
        os.chmod(server.path("users"), 0o600)

    server = Server(config="", listen=None, **options)
    prepare_users(server)
    users_file = f'users-file = "{server.path("users")}"' if users else ""
    with open(server.path("sinkd.conf"), "a") as file:
        file.write(f'listen "a" {{ address = {{"127.0.0.1:0"}}  tls = "{tls}"  auth = "{auth}" }}\n'
                   f'auth {{ {users_file} {more} }}\n')
    return server


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def plain(name, password, authorize=""):
    return "AUTH PLAIN " + b64(f"{authorize}\0{name}\0{password}")


def offered(client):
    hello = client.command("EHLO client.example", "250-").split("\n")
    lines = [line[4:].split() for line in hello if line[4:].startswith("AUTH")]
    return set(lines[0][1:]) if lines else set()


def mechanisms_of_smtplib():
    with server_with() as server:
        for number, name in enumerate(("auth_plain", "auth_login", "auth_cram_md5"), 1):
            for initial in True, False:
                with smtplib.SMTP(*server.addresses[0], timeout=10) as client:
                    client.ehlo()
                    client.user, client.password = "ann", PASSWORD
                    code, _ = client.auth(name[5:].upper().replace("_", "-"),
                                          getattr(client, name), initial_response_ok=initial)
                    assert code == 235, (name, code)
                    client.sendmail("a@example.com", ["b@example.net"], "Subject: x\n\ntext\n")
        messages = server.stored()
        assert len(messages) == 6 and all(b" with ESMTPA id " in m for m in messages)
        assert all(b"ann" in m.partition(b"Subject")[0] for m in messages), messages[0]


def hashed_passwords():
    with server_with() as server, server.connect() as client:
        client.expect("220 ")
        assert offered(client) == {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
        client.command(plain("bob", PASSWORD), "235 2.7.0 ")
        client.command(plain("bob", PASSWORD), "503 5.5.1 ")


def scram(client, name, password, binding=None, flag="n", mechanism="SCRAM-SHA-256"):
    """RFC 5802 by hand; the reply to the last step."""
    header = f"p={binding[0]},," if binding else f"{flag},,"
    nonce = b64(os.urandom(18))
    first = f"n={name},r={nonce}"
    client.send(f"AUTH {mechanism} {b64(header + first)}\r\n".encode())
    reply = client.reply()
    if not reply.startswith("334 "):
        return reply
    server_first = base64.b64decode(reply[4:]).decode()
    fields = dict(part.split("=", 1) for part in server_first.split(","))
    assert fields["r"].startswith(nonce)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]),
                                 int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(key).digest()
    channel = b64(header.encode() + (binding[1] if binding else b""))
    last = f"c={channel},r={fields['r']}"
    message = f"{first},{server_first},{last}".encode()
    proof = bytes(a ^ b for a, b in zip(key, hmac.digest(stored, message, "sha256")))
    client.send(f"{b64(f'{last},p={b64(proof)}')}\r\n".encode())
    reply = client.reply()
    if not reply.startswith("334 "):
        return reply
    signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    assert base64.b64decode(reply[4:]) == b"v=" + base64.b64encode(signature)
    client.send(b"\r\n")
    return client.reply()


def scram_without_and_with_binding():
    with server_with() as server:
        with server.connect() as client:
            client.greet()
            assert scram(client, "ann", PASSWORD).startswith("235 ")
        with server.connect() as client:
            client.greet()
            assert scram(client, "ann", "wrong").startswith("535 5.7.8 ")
            assert scram(client, "nobody", "wrong").startswith("535 5.7.8 ")
        context = any_certificate()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # Python knows tls-unique alone.
        for spoiled in False, True:
            with server.connect() as client:
                client.greet()
                client.start_tls(context)
                assert "SCRAM-SHA-256-PLUS" in offered(client)
                data = client.socket.get_channel_binding("tls-unique")
                reply = scram(client, "ann", PASSWORD, ("tls-unique", data[::-1] if spoiled else data),
                              mechanism="SCRAM-SHA-256-PLUS")
                assert reply.startswith("535 " if spoiled else "235 "), reply
        with server.connect() as client:  # Somebody took the -PLUS out of the list.
            client.greet()
            client.start_tls(context)
            offered(client)
            assert scram(client, "ann", PASSWORD, flag="y").startswith("535 ")


def refusals():
    with server_with(more='plaintext-without-tls = "always"') as server:
        with server.connect() as client:
            client.expect("220 ")
            client.command("AUTH PLAIN AGEAYg==", "503 5.5.1 ")
            client.command("HELO x", "250 ")
            client.command("AUTH PLAIN AGEAYg==", "503 5.5.1 ")
            offered(client)
            client.command("AUTH", "501 5.5.4 ")
            client.command("AUTH NTLM", "504 5.5.4 ")
            for bad in "AGEAYg=", "AGE AYg==", "AGEAYh==", "====", "AGE=AYg=", "\x7f", "AGEAYg==A":
                client.command(f"AUTH PLAIN {bad}", "50")
            client.command("AUTH PLAIN", "334 ")
            client.command("*", "501 5.7.0 ")
            client.command("AUTH LOGIN", "334 ")
            client.command(b64("ann"), "334 ")
            client.command("*", "501 5.7.0 ")
            client.command("AUTH PLAIN", "334 ")
            client.send(b"A" * 20000 + b"\r\n")
            client.expect("500 ")
            client.command("NOOP", "250 ")
            client.address_message()
            client.command(plain("ann", PASSWORD), "503 5.5.1 ")
            client.command("RSET", "250 ")
            client.command(plain("ann", PASSWORD, "bob"), "535 5.7.8 ")
            client.command(plain("ann", PASSWORD, "ann"), "235 ")  # As git send-email does.
            client.deliver(b"Subject: x\r\n\r\n")
            client.command("RSET", "250 ")
            client.command(plain("ann", PASSWORD), "503 5.5.1 ")  # It survives both.
            client.command("EHLO again", "250-")
            client.command(plain("ann", PASSWORD), "503 5.5.1 ")
            client.start_tls(any_certificate())
            offered(client)
            client.command(plain("ann", PASSWORD), "235 ")  # Not that.


def wrong_passwords_take_time_and_then_all():
    with server_with(more="") as server, server.connect() as client:
        client.greet()
        started = time.monotonic()
        client.command(plain("ann", "wrong"), "535 5.7.8 ")
        assert time.monotonic() - started > 0.9
        client.command(plain("nobody", PASSWORD), "535 5.7.8 ")
        client.command(plain("bob", "wrong"), "535 5.7.8 ")
        client.expect("421 4.7.0 ")
        client.expect_closed()
        lines = wait_until(lambda: len(server.events("auth.accepted", "auth.refused")) == 3
                           and server.events("auth.accepted", "auth.refused"), what="three lines")
        assert " user=nobody " in lines[1] and " code=535" in lines[1], lines[1]


def a_client_that_is_gone_delays_nobody():
    with server_with(workers=1) as server:
        with server.connect() as client:
            client.greet()
            client.send(f"{plain('ann', 'wrong')}\r\n".encode() * 3)
            wait_until(lambda: server.events("auth.refused"), what="the first")
            client.reset()
        started = time.monotonic()
        with server.connect() as client:
            client.expect("220 ")
        assert time.monotonic() - started < 0.9  # The first failure alone waits for a second.


def required():
    with server_with(auth="required") as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com>", "530 5.7.0 ")
        client.command(plain("ann", PASSWORD), "235 ")
        client.deliver(b"Subject: x\r\n\r\n")


def only_what_can_work_is_offered():
    cases = ((dict(), {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}),
             (dict(more='plaintext-without-tls = "never"'), {"CRAM-MD5", "SCRAM-SHA-256"}),
             (dict(users=False), set()),
             (dict(users=False, more="accept-any = true"), {"PLAIN", "LOGIN", "CRAM-MD5"}),
             (dict(more='mechanisms = {"PLAIN", "EXTERNAL"}'), {"PLAIN"}),
             (dict(auth="off"), set()))
    for options, expected in cases:
        with server_with(**options) as server, server.connect() as client:
            client.expect("220 ")
            assert offered(client) == expected, (options, expected)
            if not expected:
                client.command("AUTH PLAIN AGEAYg==", "50")


def anything_is_accepted():
    with server_with(users=False, more="accept-any = true") as server:
        with server.connect() as client:
            client.greet()
            client.command(plain("who ever", "what ever"), "235 ")
        with server.connect() as client:
            client.greet()
            client.command("AUTH PLAIN " + b64("no zeros"), "501 5.5.2 ")
            client.command("AUTH CRAM-MD5", "334 ")
            client.command(b64("me " + "0" * 32), "235 ")


def mail_parameter():
    with server_with() as server, server.connect() as client:
        client.greet()
        for good in "<>", "ann@example.com", "a+3Db@example.com":
            client.command(f"MAIL FROM:<a@example.com> AUTH={good}", "250 ")
            client.command("RSET", "250 ")
        client.command("MAIL FROM:<a@example.com> AUTH=a+zz", "501 5.5.4 ")
    with server_with(auth="off") as server, server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<a@example.com> AUTH=<>", "555 5.5.4 ")


def secrets_stay_secret():
    """Not in a log at any level, not in the memory of a worker that waits for the next."""
    with server_with(more='plaintext-without-tls = "always"', workers=1) as server:
        server.sinkctl("verbose", "on")
        server.sinkctl("log-level", "debug")
        secret = "correct-horse-battery"
        for attempt, is_tls in itertools.product((plain("eve", secret), "AUTH LOGIN"),
                                                 (False, True)):
            with server.connect() as client:
                client.greet()
                if is_tls:
                    client.start_tls(any_certificate())
                    client.command("EHLO client.example", "250-")
                if attempt == "AUTH LOGIN":
                    client.command(attempt, "334 ")
                    client.command(b64("eve"), "334 ")
                    client.command(b64(secret), "535 ")
                else:
                    client.command(attempt, "535 ")
                client.command("QUIT", "221 ")
            with server.connect() as client:  # What nobody reads, before the end or after it.
                client.greet()
                client.send(b"QUIT\r\n" + plain("eve", secret).encode() + b"\r\n")
                client.expect("221 ")
                client.send(plain("eve", secret).encode() + b"\r\n")
        server.wait_idle(1)
        log = server.log()
        needles = [secret.encode(), b64(secret).encode(), plain("eve", secret)[11:].encode()]
        assert "hidden" in log
        for needle in needles:
            assert needle.decode() not in log, needle
        [worker] = server.workers()
        # The memory of a sanitizer has no end.
        if os.geteuid() == 0 and not built_with_sanitizers():
            memory = memory_of(worker)
            found = [needle for needle in needles if needle in memory]
            assert not found, found
            assert b"client.example" in memory  # The search finds what is there.


def memory_of(pid):
    """All that the process can write, at once."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in read_file(f"/proc/{pid}/maps").decode().splitlines():
            span, mode = line.split()[:2]
            if mode.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                try:
                    parts.append(memory.read(end - start))
                except OSError:
                    pass
    return b"".join(parts)


def a_changed_users_file_needs_a_reload():
    with server_with() as server:
        with open(server.path("users"), "a") as file:
            file.write("new:{PLAIN}fresh\n")
        with server.connect() as client:
            client.greet()
            client.command(plain("new", "fresh"), "535 ")
        before = set(server.workers())
        server.sinkctl("reload")
        # One that is about to go may take a last client.
        wait_until(lambda: not before & set(server.workers()), what="the end of old workers")
        with server.connect() as client:
            client.greet()
            client.command(plain("new", "fresh"), "235 ")
        with open(server.path("users"), "a") as file:
            file.write("no colon\n")
        _, error = server.sinkctl("reload", status=1)
        assert "users:5: " in error, error
        with server.connect() as client:
            client.greet()
            client.command(plain("new", "fresh"), "235 ")


run(mechanisms_of_smtplib, hashed_passwords, scram_without_and_with_binding, refusals,
    wrong_passwords_take_time_and_then_all,
    a_client_that_is_gone_delays_nobody, required, only_what_can_work_is_offered,
    anything_is_accepted, mail_parameter, secrets_stay_secret,
    a_changed_users_file_needs_a_reload, together=True)
