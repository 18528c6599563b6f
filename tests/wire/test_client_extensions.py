"""Common mail clients using extensions in their own way: addresses in UTF-8, requests for
notifications, 8-bit text, XCLIENT and PROXY; and what the clients ask that is not a message.

Programs that are not installed are left out, and named."""

import json
import os
import shutil
import smtplib
import subprocess
import tempfile
from email.message import EmailMessage

from commands import keys_of, listen, section
from sinkd_server import Server
from wire_test import need_program, run, skip

FROM, TO = "jörg@example.com", "josé@example.net"
TEXT = "From: jörg@example.com\nTo: josé@example.net\nSubject: Grüße\n\nÄ€Ω\n"
CONFIG = (section("inbox", type="maildir", path="./Maildir", headers=["Received", "X-Sinkd-Envelope"])
          + listen("in", "inbox", tls="off")
          + listen("behind", "inbox", tls="off", proxy_protocol=["127.0.0.1"]))

NODE = """
const message = JSON.parse(process.env.MESSAGE);
require("nodemailer").createTransport({ host: "127.0.0.1", port: process.env.PORT, ignoreTLS: true })
    .sendMail(message).then(() => process.exit(0), error => { console.error(error); process.exit(1) });
"""


class Sink(Server):
    def __init__(self):
        super().__init__("-v", config=CONFIG, listen=None)

    @property
    def port(self):
        return self.addresses[0][1]

    def last(self):
        """The newest message, and what was said for it."""
        lines = [keys_of(line)["line"] for line in self.events("session.command")]
        [text] = self.stored()
        os.unlink(self.path("Maildir", "new", self.listing("new")[0]))
        mail = next(line for line in reversed(lines) if line.upper().startswith("MAIL "))
        rcpt = next(line for line in reversed(lines) if line.upper().startswith("RCPT "))
        return unfold(text.decode()), mail, rcpt


def unfold(text):
    return text.replace("\n\t", " ").replace("\n ", " ")


def call(*command, text="", **environment):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def check_utf8(sink):
    text, mail, _ = sink.last()
    assert " SMTPUTF8" in mail, mail
    assert " with UTF8SMTP id " in text and f" for <{TO}>" in text, text
    for line in "mail=FROM:<jörg@example.com> ", "rcpt=TO:<josé@example.net>":
        assert f"\nX-Sinkd-Envelope: {line}" in text, (line, text)
    return text


def python_smtplib():
    with Sink() as sink, smtplib.SMTP("127.0.0.1", sink.port, timeout=20) as client:
        client.ehlo()
        for extension in "smtputf8", "8bitmime", "dsn", "chunking", "binarymime", "size", "pipelining":
            assert client.has_extn(extension), (extension, client.esmtp_features)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = FROM, TO, "Grüße"
        message.set_content("Ä€Ω\n", cte="8bit")
        client.send_message(message)
        assert "Subject: Grüße\n" in check_utf8(sink)
        client.sendmail("a@example.com", ["b@example.net"], b"Subject: x\n\ntext\n",
                        mail_options=["RET=HDRS", "ENVID=QQ314159", "BODY=8BITMIME"],
                        rcpt_options=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+40example.net"])
        _, mail, rcpt = sink.last()
        assert mail.endswith(" RET=HDRS ENVID=QQ314159 BODY=8BITMIME"), mail
        assert rcpt.endswith(" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+40example.net"), rcpt
        assert client.verify("b@example.net")[0] == 252
        assert client.expn("list")[0] == 502
        assert b"BDAT" in client.help() and client.noop()[0] == 250 and client.rset()[0] == 250
        # In chunks of its own making.
        client.mail("a@example.com", ["BODY=BINARYMIME"])
        client.rcpt("b@example.net")
        client.send(b"BDAT 3\r\n\0\r\nBDAT 2 LAST\r\n\n\xff")
        assert client.getreply()[0] == 250 and client.getreply()[0] == 250
        [stored] = sink.stored()
        assert stored.endswith(b"\r\n\0\r\n\n\xff"), stored


def curl():
    need_program("curl")
    with Sink() as sink, tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(TEXT.replace("\n", "\r\n"))
        file.flush()
        url = f"smtp://127.0.0.1:{sink.port}/client.example"
        call("curl", "-sS", url, "--mail-from", FROM, "--mail-rcpt", TO, "--upload-file", file.name)
        assert check_utf8(sink).endswith(TEXT)
        assert "252 2." in call("curl", "-sS", "-v", url, "--mail-rcpt", "b@example.net")
        assert "214 2.0.0 Commands: " in call("curl", "-sS", url, "-X", "HELP")
        # Proxies are what it speaks HTTP about; here it only has to say the same.
        if "--haproxy-protocol" in call("curl", "--help", "all"):
            address = f"smtp://127.0.0.1:{sink.addresses[1][1]}/client.example"
            call("curl", "-sS", "--haproxy-protocol", address, "--mail-from", FROM,
                 "--mail-rcpt", TO, "--upload-file", file.name)
            check_utf8(sink)
            assert sink.events("session.proxy")


def nodemailer():
    if not shutil.which("node") or subprocess.run(
            ["node", "-e", 'require("nodemailer")'], stdin=subprocess.DEVNULL, check=False,
            capture_output=True).returncode:
        skip("nodemailer is not installed")
    with Sink() as sink:
        def send(**message):
            call("node", "-e", NODE, PORT=str(sink.port), MESSAGE=json.dumps(message))

        send(**{"from": FROM}, to=TO, subject="Grüße", text="Ä€Ω")
        check_utf8(sink)
        send(**{"from": "a@example.com"}, to="b@example.net", text="text",
             dsn={"id": "QQ314159", "return": "headers", "notify": ["success", "delay"],
                  "recipient": "c@example.net"})
        _, mail, rcpt = sink.last()
        assert " RET=HDRS ENVID=QQ314159" in mail, mail
        assert " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@example.net" in rcpt, rcpt
        send(**{"from": "a@example.com"}, to="b@example.net", text=".\n..\n" * 10000)
        text, _, _ = sink.last()
        assert text.endswith("\n.\n..\n"), text[-100:]


def msmtp():
    need_program("msmtp")
    with Sink() as sink:
        call("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={sink.port}", "--tls=off",
             "--from=a@example.com", "--dsn-notify=success,delay", "--dsn-return=hdrs",
             "b@example.net", text="Subject: x\n\ntext\n")
        _, mail, rcpt = sink.last()
        assert mail.endswith(" RET=HDRS") and rcpt.endswith(" NOTIFY=SUCCESS,DELAY"), (mail, rcpt)


def swaks_behind_a_proxy():
    need_program("swaks")
    with Sink() as sink:
        host, port = sink.addresses[1]
        for number, options in enumerate((
                ["--proxy-version", "1", "--proxy-family", "TCP4"],
                ["--proxy-version", "2", "--proxy-family", "AF_INET", "--proxy-protocol", "STREAM"])):
            source = f"192.0.2.{number + 1}"
            call("swaks", "--server", host, "--port", str(port), "--from", "a@example.com",
                 "--to", "b@example.net", *options, "--proxy-source", source,
                 "--proxy-source-port", "40007", "--proxy-dest", "198.51.100.9",
                 "--proxy-dest-port", "25")
            text, _, _ = sink.last()
            assert f"([{source}])" in text, text
            assert keys_of(sink.events("session.proxy")[-1])["client"] == source


run(python_smtplib, curl, nodemailer, msmtp, swaks_behind_a_proxy, together=True)
