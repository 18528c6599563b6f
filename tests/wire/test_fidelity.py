"""What common clients send is stored as it was, but for line ends and trace headers."""

import difflib
import email.message
import email.policy
import random
import re
import smtplib
import sys

from sinkd_server import Server
from wire_test import need_program, output_of, run

ADDRESSES = "sender@example.com", "recipient@example.net"

# Lines that a client must stuff and the server must not eat.  After a lone LF
# curl does not stuff while Python does, so two dots there mean two things.
DOTS = ".\n..\n...\n.hidden\n..hidden\n"
SINGLE_DOTS = ".\n.hidden\n"


def message(dots, text="Grüße\n"):
    """A message with an attachment; bytes with LF as line end."""
    mail = email.message.EmailMessage(policy=email.policy.SMTP.clone(linesep="\n"))
    mail["From"], mail["To"] = ADDRESSES
    mail["Subject"] = "with an attachment"
    mail.set_content(f"A line\n{dots}\n{text}last line\n", cte="8bit" if text else "7bit")
    mail.add_attachment(random.Random(1).randbytes(30000), maintype="application",
                        subtype="octet-stream", filename="random.bin")
    return mail.as_bytes()


def crlf(text):
    return text.replace(b"\n", b"\r\n")


def without_last_line_end(text):
    """For clients that put CR LF before the dot when the text does not end in it."""
    return text[:-1]


def without_trace(stored):
    """The stored message behind the three headers that delivery puts in front."""
    trace = re.match(rb"Return-Path: <sender@example\.com>\n"
                     rb"Delivered-To: recipient@example\.net\n"
                     rb"Received: .*\n(?:[ \t].*\n)*", stored)
    assert trace, stored[:500]
    return stored[trace.end():]


def assert_same(stored, sent):
    differences = list(difflib.diff_bytes(difflib.unified_diff, sent.splitlines(True),
                                          stored.splitlines(True), b"sent", b"stored"))
    assert stored == sent, differences


def check_client(send, text):
    """send(server, host, port) submits text; the one stored message must be it."""
    with Server("-w", "2") as server:
        send(server, *server.addresses[0])
        [stored] = server.stored()
        assert_same(without_trace(stored), text.replace(b"\r\n", b"\n"))


def send_with_curl(text, *options):
    def send(server, host, port):
        with open(server.path("mail"), "wb") as file:
            file.write(text)
        output_of(need_program("curl"), "-sS", *options, f"smtp://{host}:{port}/client.example",
                  "--mail-from", ADDRESSES[0], "--mail-rcpt", ADDRESSES[1],
                  "--upload-file", server.path("mail"))
    return send


def send_with_smtplib(text):
    def send(_, host, port):
        with smtplib.SMTP(host, port) as client:
            client.sendmail(*ADDRESSES, text)
    return send


def curl_with_crlf():
    text = crlf(message(DOTS))
    check_client(send_with_curl(text), text)


def curl_with_lf():
    text = message(SINGLE_DOTS)
    check_client(send_with_curl(without_last_line_end(text)), text)


def curl_converting():
    text = message(DOTS)
    check_client(send_with_curl(text, "--crlf"), text)


def smtplib_str():
    text = message(DOTS, text="")
    check_client(send_with_smtplib(text.decode("ascii")), text)


def smtplib_bytes_with_lf():
    text = message(DOTS)
    check_client(send_with_smtplib(without_last_line_end(text)), text)


def smtplib_bytes_with_crlf():
    text = crlf(message(DOTS))
    check_client(send_with_smtplib(text), text)


def smtplib_message():
    text = message(DOTS, text="")

    def send(_, host, port):
        with smtplib.SMTP(host, port) as client:
            client.send_message(email.message_from_bytes(text, policy=email.policy.SMTP))
    check_client(send, text)


def swaks():
    text = message(DOTS)

    def send(server, host, port):
        with open(server.path("mail"), "wb") as file:
            file.write(without_last_line_end(text))
        output_of(need_program("swaks"), "--server", host, "--port", str(port),
                  "--from", ADDRESSES[0], "--to", ADDRESSES[1],
                  "--data", "@" + server.path("mail"))
    check_client(send, text)


sys.stdout.reconfigure(errors="backslashreplace")
run(curl_with_crlf, curl_with_lf, curl_converting, smtplib_str, smtplib_bytes_with_lf,
    smtplib_bytes_with_crlf, smtplib_message, swaks, together=True)
