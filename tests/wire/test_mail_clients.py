"""Common mail clients in each of their ways to speak TLS and to log in: a table, in which
each cell is a message that was sent by the program, stored, and under TLS and by the mechanism
that was asked for.

Programs that are not installed are left out, and named."""

import collections
import contextlib
import os
import re
import shutil
import smtplib
import subprocess
import tempfile

from certificates import Authority
from sinkd_server import Server
from wire_test import run

MECHANISMS = "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"
USER, PASSWORD = "ann", "pencil"
FROM, TO = "a@example.com", "b@example.net"
MESSAGE = "From: a@example.com\nTo: b@example.net\nSubject: from a client\n\ntext\n"

Way = collections.namedtuple("Way", "mode mechanism ca host port")
MODES = "off", "starttls", "implicit"

# What nodemailer is told to do; it takes it from its environment.
NODE = """
const way = JSON.parse(process.env.WAY), auth = way.mechanism &&
    { user: way.user, pass: way.password, method: way.mechanism };
require("nodemailer").createTransport({ host: way.host, port: way.port,
    secure: way.mode == "implicit", ignoreTLS: way.mode == "off", requireTLS: way.mode == "starttls",
    tls: { ca: way.ca && require("fs").readFileSync(way.ca) }, auth: auth || undefined })
    .sendMail({ from: "a@example.com", to: "b@example.net", subject: "from a client", text: "text" })
    .then(() => process.exit(0), error => { console.error(error); process.exit(1) });
"""


def call(command, text=MESSAGE, **options):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def by_smtplib(way, _):
    import ssl
    context = ssl.create_default_context(cafile=way.ca)
    client = (smtplib.SMTP_SSL(way.host, way.port, context=context, timeout=20)
              if way.mode == "implicit" else smtplib.SMTP(way.host, way.port, timeout=20))
    with client:
        if way.mode == "starttls":
            client.starttls(context=context)
        client.ehlo()
        if way.mechanism:
            client.user, client.password = USER, PASSWORD
            client.auth(way.mechanism,
                        getattr(client, "auth_" + way.mechanism.lower().replace("-", "_")))
        client.sendmail(FROM, [TO], MESSAGE)


def by_curl(way, directory):
    path = os.path.join(directory, "mail")
    with open(path, "w") as file:
        file.write(MESSAGE.replace("\n", "\r\n"))
    scheme = "smtps" if way.mode == "implicit" else "smtp"
    login = ["--user", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={way.mechanism}"]
    call(["curl", "-sS", *(["--ssl-reqd"] if way.mode == "starttls" else []), "--cacert", way.ca,
          f"{scheme}://{way.host}:{way.port}/client.example", "--mail-from", FROM, "--mail-rcpt", TO,
          "--upload-file", path, *(login if way.mechanism else [])])


def by_swaks(way, _):
    tls = {"off": [], "starttls": ["--tls"], "implicit": ["--tls-on-connect"]}[way.mode]
    verify = ["--tls-verify", "--tls-ca-path", way.ca] if tls else []
    login = ["--auth", way.mechanism, "--auth-user", USER, "--auth-password", PASSWORD]
    call(["swaks", "--silent", "2", "--server", way.host, "--port", str(way.port), "--from", FROM,
          "--to", TO, *tls, *verify, *(login if way.mechanism else [])])


def by_msmtp(way, _):
    tls = {"off": ["--tls=off"], "starttls": ["--tls=on", "--tls-starttls=on"],
           "implicit": ["--tls=on", "--tls-starttls=off"]}[way.mode]
    login = [f"--auth={(way.mechanism or 'off').lower()}", f"--user={USER}",
             f"--passwordeval=echo {PASSWORD}"]
    call(["msmtp", "--file=/dev/null", f"--host={way.host}", f"--port={way.port}", f"--from={FROM}",
          *tls, *([f"--tls-trust-file={way.ca}"] if way.mode != "off" else ["--tls-certcheck=off"]),
          *(login if way.mechanism else []), TO])


def by_nodemailer(way, _):
    import json
    asked = {**way._asdict(), "user": USER, "password": PASSWORD}
    call(["node", "-e", NODE], env={**os.environ, "WAY": json.dumps(asked)})


def by_openssl(way, _):
    """Typed by hand; in -crlf mode it understands capital letters at the start of a line."""
    lines = ["EHLO client.example", f"MAIL FROM:<{FROM}>", f"rCPT TO:<{TO}>", "DATA",
             *MESSAGE.splitlines(), ".", "qUIT", ""]
    starttls = ["-starttls", "smtp"] if way.mode == "starttls" else []
    with subprocess.Popen(["openssl", "s_client", "-connect", f"{way.host}:{way.port}", *starttls,
                           "-CAfile", way.ca, "-verify_return_error", "-quiet", "-crlf",
                           "-no_ign_eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        talk(process, lines, greets=way.mode == "implicit")


def by_gnutls_cli(way, _):
    lines = ["EHLO client.example", f"MAIL FROM:<{FROM}>", f"RCPT TO:<{TO}>", "DATA",
             *MESSAGE.splitlines(), ".", "QUIT", ""]
    starttls = ["--starttls-proto=smtp"] if way.mode == "starttls" else []
    with subprocess.Popen(["gnutls-cli", "--port", str(way.port), *starttls,
                           f"--x509cafile={way.ca}", "--logfile=/dev/null", way.host],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        # Its own --crlf mends the first line of what it reads at once, and no other.
        talk(process, [line + "\r" for line in lines], greets=way.mode == "implicit")


def talk(process, lines, greets):
    """One line of ours for each reply: these programs stop when their input ends."""
    def hear(code):
        while line := process.stdout.readline():
            if re.match(rf"{code} ", line):
                return
            assert not re.match(r"[45]\d\d ", line), line
        raise AssertionError(f"no {code}: {process.stderr.read()}")

    if greets:
        hear(220)
    for line in lines:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        command = line.strip().upper()
        if command.startswith(("EHLO", "MAIL", "RCPT")) or command == ".":
            hear(250)
        elif command == "DATA":
            hear(354)
        elif command == "QUIT":
            hear(221)
            return


CLIENTS = {
    # program, which of the modes, which of the mechanisms
    "smtplib": (by_smtplib, MODES, ("PLAIN", "LOGIN", "CRAM-MD5")),
    "curl": (by_curl, MODES, ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")),
    "swaks": (by_swaks, MODES, ("PLAIN", "LOGIN", "CRAM-MD5")),
    "msmtp": (by_msmtp, MODES, MECHANISMS),
    "node": (by_nodemailer, MODES, ("PLAIN", "LOGIN", "CRAM-MD5")),
    "openssl": (by_openssl, MODES[1:], ()),
    "gnutls-cli": (by_gnutls_cli, MODES[1:], ()),
}


def is_there(name):
    if name == "smtplib":
        return True
    if name == "node":
        with contextlib.suppress(OSError):
            return subprocess.run(["node", "-e", 'require("nodemailer")'], stdin=subprocess.DEVNULL,
                                  capture_output=True, check=False).returncode == 0
        return False
    if name == "curl" and shutil.which(name):
        # Older ones of Debian are built without SCRAM.
        return True
    return shutil.which(name) is not None


def cells(name):
    _, modes, mechanisms = CLIENTS[name]
    if name == "swaks" and "=== TLS supported" not in call(["swaks", "--support"]):
        modes = modes[:1]  # It needs a library for it.
    if name == "curl" and "GSASL" not in call(["curl", "--version"]).upper():
        mechanisms = mechanisms[:-1]
    for mode in modes:
        for mechanism in (None, *mechanisms):
            yield mode, mechanism


def each_client_in_each_way():
    with tempfile.TemporaryDirectory(prefix="sinkd-clients-") as directory:
        ca = Authority(directory)
        pair = ca.issue("server")
        users = os.path.join(directory, "users")
        with open(users, "w") as file:
            file.write(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        os.chmod(users, 0o600)
        sections = "".join(f'listen "{mode}" {{ address = {{"127.0.0.1:0"}}  tls = "{mode}"'
                           '  auth = "optional" }\n' for mode in MODES)
        with Server(config=f'{sections}tls {{ certificate = {{"{pair.certificate}"}}'
                           f'  key = {{"{pair.key}"}} }}\nauth {{ users-file = "{users}" }}\n',
                    listen=None) as server:
            ports = {mode: port for mode, (_, port) in zip(MODES, server.addresses)}
            for name, (send, _, _) in CLIENTS.items():
                if not is_there(name):
                    print(f"{name:12} is not installed")
                    continue
                for mode, mechanism in cells(name):
                    check_cell(server, name, send,
                               Way(mode, mechanism, ca.certificate, "localhost", ports[mode]),
                               directory)
                print(f"{name:12} {' '.join(f'{mode}/{mechanism or None}' for mode, mechanism in cells(name))}")


def check_cell(server, name, send, way, directory):
    before = len(server.stored()), len(server.events("tls.accepted")), len(server.events("auth.accepted", "auth.refused"))
    try:
        send(way, directory)
    except (AssertionError, OSError, smtplib.SMTPException) as failure:
        raise AssertionError(f"{name}, {way.mode}, {way.mechanism}: {failure}") from failure
    after = len(server.stored()), len(server.events("tls.accepted")), len(server.events("auth.accepted", "auth.refused"))
    grown = tuple(b - a for a, b in zip(before, after))
    assert grown == (1, way.mode != "off", way.mechanism is not None), (name, way, grown)
    if way.mechanism:
        line = server.events("auth.accepted", "auth.refused")[-1]
        assert f" mechanism={way.mechanism}" in line and " code=235" in line, line


run(each_client_in_each_way)
