#!/usr/bin/env python3
"""Make the seeds of the corpora; each name says what its input shows.

    make_corpus.py [DIRECTORY]

session: each transcript gives one input: what its client says, behind a header that
chooses quiet hooks.  Some sessions below are written for corners that no transcript
has.  Large transcripts are left out: a small corpus runs in `make check`.  Files of
other names (found by fuzzing, or crashes that are mended) are left alone."""

import base64
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [os.path.join(HERE, "..", "transcripts", name) for name in ("cases", "engine")]
SIZE_MAX = 8192
MODES = {"normalize": 0, "reject": 1, "preserve": 2}


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


TLS = {"off": 0, "starttls": 1, "required": 2, "implicit": 3}
AUTH = {"off": 0, "optional": 1, "required": 2}
# Bits of the seed.
LMTP, ARGUMENTS, SHORT_LINE = 128, 64, 32
PLAINTEXT = {"never": 0, "loopback": 1, "always": 2}
# What EHLO offers, in the order of settings.h, and one bit more.
EXTENSIONS = ("PIPELINING SIZE 8BITMIME ENHANCEDSTATUSCODES CHUNKING BINARYMIME SMTPUTF8 DSN"
              " LIMITS NO-SOLICITING REQUIRETLS HELP VRFY EXPN ETRN").split()
XCLIENT = 1 << len(EXTENSIONS)
IDLE_COMMANDS, MESSAGES = [0, 1, 5, 200], [0, 1, 2, 10]
PROXY, UNIX = 64, 128


def client_bytes(path):
    """All that the client sends, and the header."""
    said, mode, security = b"", "normalize", {}
    for line in open(path):
        line = line.rstrip("\n")
        how, text = line[:2], line[3:]
        if line.startswith("! limit bare-newline "):
            mode = line.split()[-1]
        elif line.startswith("! limit commands-without-mail "):
            security["idle"] = nearest(IDLE_COMMANDS, line)
        elif line.startswith("! limit messages-per-session "):
            security["messages"] = nearest(MESSAGES, line)
        elif line.startswith("! listen extensions"):
            security["extensions"] = line.split()[3:]
        elif line.startswith("! listen xclient"):
            security["xclient"] = True
        elif line.startswith(("! listen ", "! auth ")):
            name, value = line.split()[-2:]
            security[name.split("-")[0]] = value
        elif how == "C:":
            said += text.encode() + b"\r\n"
        elif how == "C-":
            said += unescape(text)
        elif how == "C*":
            count, text = text.split(" ", 1)
            said += unescape(text) * int(count)
    seed = 1 + LMTP * (security.pop("protocol", "smtp") == "lmtp")
    return header(limits=MODES[mode], seed=seed, **security) + said


def nearest(choices, line):
    return min(choices[1:], key=lambda choice: abs(choice - int(line.split()[-1])))


def header(limits=0, hooks=0, sink=0, end=0, seed=1, sasl=0, input_behind=False, **security):
    """With any of tls, auth and plaintext also what the listener has of them, and with any
    of the others what offer() says."""
    if not security:
        return bytes([limits, hooks, sink, end, seed])
    plaintext = PLAINTEXT[security.pop("plaintext", "loopback")]
    listener = (TLS[security.pop("tls", "off")] + 4 * AUTH[security.pop("auth", "off")] + 64 +
                128 * input_behind)
    start = bytes([limits, hooks, sink, end + 128, seed])
    if not security:
        return start + bytes([listener + 16 * plaintext, sasl])
    return start + bytes([listener + 16 * 3, sasl]) + offer(16 * plaintext, **security)


def offer(session, extensions=EXTENSIONS, xclient=False, idle=0, messages=0, peer=0):
    """The bytes for what is not offered, and for limits of the session."""
    withheld = sum(1 << i for i, name in enumerate(EXTENSIONS) if name not in extensions)
    withheld |= 0 if xclient else XCLIENT
    session |= IDLE_COMMANDS.index(idle) + 4 * MESSAGES.index(messages) + peer
    return withheld.to_bytes(2, "little") + bytes([session])


def auth(mechanism, *responses):
    return b"AUTH " + mechanism + b"\r\n" + b"".join(
        base64.b64encode(response) + b"\r\n" for response in responses)


def message(text=b"text\r\n", count=1):
    return (b"MAIL FROM:<a@example.org>\r\n" + b"RCPT TO:<b@example.org>\r\n" * count +
            b"DATA\r\n" + text + b".\r\n")


def chunks(text=b"text\r\n", more=b"", last=b" LAST", mail=b"", count=1):
    """A message by BDAT, its text in two chunks."""
    return (b"MAIL FROM:<a@example.org>" + mail + b"\r\n" +
            b"RCPT TO:<b@example.org>\r\n" * count +
            b"BDAT %d\r\n" % len(text) + text + more + b"BDAT 3%b\r\nend" % last)


HELLO = b"EHLO client.example\r\n"
LHLO = b"LHLO client.example\r\n"
EACH_ITS_OWN = b"MAIL FROM:<a@b>\r\n" + b"".join(
    b"RCPT TO:<%b@c>\r\n" % name for name in (b"full", b"d", b"gone", b"late", b"d")
) + b"DATA\r\nx\r\n.\r\n"
PLAIN_WRONG = auth(b"PLAIN", b"\0joe\0wrong")
SESSION = HELLO + message() + message(b"..two\r\n") + b"RSET\r\nNOOP\r\nQUIT\r\n"
SENDERS = HELLO + b"".join(b"MAIL FROM:<%c@example.org>\r\nRSET\r\n" % c for c in b"abcdefgh")
RECIPIENTS = HELLO + b"MAIL FROM:<a@b>\r\n" + b"".join(
    b"RCPT TO:<%c@example.org>\r\n" % c for c in b"abcdefghijkl") + b"DATA\r\nx\r\n.\r\n"

CORNERS = {
    "hooks-all": header(hooks=127) + SESSION,
    "hooks-actions": header(hooks=16 + 64) + HELLO + b"".join(
        b"MAIL FROM:<a@b>\r\n" + b"".join(
            b"RCPT TO:<%d@x>\r\n" % (n * 10 + m) for m in range(10)) +
        b"DATA\r\ntext\r\n.\r\n" for n in range(30)),
    "hooks-actions-lmtp": header(hooks=64, seed=LMTP + 1) + b"LHLO x\r\n" + b"".join(
        b"MAIL FROM:<a@b>\r\nRCPT TO:<%d@x>\r\nRCPT TO:<b@y>\r\n"
        b"DATA\r\ntext\r\n.\r\n" % n for n in range(60)),
    **{f"hooks-act-in-text-{name}": header(limits=n << 2, sink=2 << 6 | 1 << 4) +
       HELLO + message() for n, name in enumerate(["drop", "reset", "stall", "discard"])},
    "hooks-connect": header(hooks=1) + SESSION,
    "hooks-command": header(hooks=2) + SESSION * 3,
    "hooks-ehlo": header(hooks=4) + b"".join(b"EHLO %c\r\n" % c for c in b"abcdefghijklm"),
    "hooks-sender": header(hooks=8) + SENDERS,
    "hooks-recipient": header(hooks=16) + RECIPIENTS,
    "hooks-data": header(hooks=32) + HELLO + message() * 6,
    "hooks-message": header(hooks=64) + HELLO + message() * 6,
    "text-refused": header(sink=0x50) + SESSION,
    "text-refused-late": header(sink=0x60) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "text-dropped": header(sink=0xa0) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "text-closed": header(sink=0xe0) + HELLO + message(b"0123456789abcdef\r\n" * 9) + SESSION,
    "sink-begin": header(sink=1) + SESSION,
    "sink-prepare": header(sink=2) + SESSION,
    "sink-commit": header(sink=4) + SESSION,
    "sink-chunk": header(sink=0x10) + SESSION,
    "sink-chunk-late": header(sink=0x20) + HELLO + message(b"0123456789abcdef\r\n" * 9),
    "bdat-hooks": header(hooks=127) + HELLO + chunks() * 6,
    "bdat-hooks-data": header(hooks=32) + HELLO + chunks() * 6,
    "bdat-hooks-message": header(hooks=64) + HELLO + chunks() * 6,
    "bdat-text-refused": header(sink=0x50) + HELLO + chunks() * 2,
    "bdat-text-refused-late": header(sink=0x60) + HELLO + chunks(b"0123456789abcdef\r\n" * 9) * 2,
    "bdat-text-dropped": header(sink=0xa0) + HELLO + chunks(b"0123456789abcdef\r\n" * 9),
    "bdat-text-closed": header(sink=0xe0) + HELLO + chunks(b"0123456789abcdef\r\n" * 9),
    "bdat-sink-begin": header(sink=1) + HELLO + chunks() * 2,
    "bdat-sink-prepare": header(sink=2) + HELLO + chunks() * 2,
    "bdat-sink-commit": header(sink=4) + HELLO + chunks() * 2,
    "bdat-sink-chunk": header(sink=0x10) + HELLO + chunks() * 2,
    "bdat-sink-chunk-late": header(sink=0x20) + HELLO + chunks(b"0123456789abcdef\r\n" * 9),
    "bdat-size-small": header(limits=4) + HELLO + chunks(b"x" * 20) + chunks(b"x" * 21) +
                       chunks(b"x" * 2000),
    "bdat-size-far": header(limits=4) + HELLO + chunks(b"", b"BDAT 1048597\r\n") + b"x" * 50,
    "bdat-newline-split": header() + HELLO + chunks(b"a\r", b"BDAT 2\r\n\nb" b"BDAT 2\r\n\rc"),
    "bdat-newline-split-rejected": header(limits=1) + HELLO +
                                   chunks(b"a\r", b"BDAT 2\r\n\nb" b"BDAT 2\r\n\rc"),
    "bdat-newline-split-preserved": header(limits=2) + HELLO +
                                    chunks(b"a\r", b"BDAT 2\r\n\nb" b"BDAT 2\r\n\rc"),
    "bdat-lmtp": header(seed=1 + LMTP) + LHLO + chunks(count=3) * 2,
    "bdat-lmtp-each-its-own": header(seed=1 + LMTP) + LHLO +
                              EACH_ITS_OWN.replace(b"DATA\r\nx\r\n.\r\n", b"BDAT 3 LAST\r\nx\r\n") * 2,
    "bdat-lmtp-sink-chunk": header(sink=0x10, seed=1 + LMTP) + LHLO + chunks(count=3) * 2,
    "bdat-end-drain": header(end=3) + HELLO + chunks()[:-4],
    "bdat-end-timeout": header(end=1) + HELLO + chunks()[:-4],
    "bdat-end-retire-between": header(end=3) + HELLO + chunks(last=b""),
    "binary": header() + HELLO + chunks(b"\0\r\n.\n\r", mail=b" BODY=BINARYMIME") + SESSION,
    "utf8": header() + HELLO + b"MAIL FROM:<j\xc3\xbc@b\xc3\xbc.example> SMTPUTF8\r\n"
            b"RCPT TO:<\"\xc3\xbc\"@d> ORCPT=utf-8;\\x{FC}@d NOTIFY=DELAY\r\nBDAT 0 LAST\r\n",
    "parameters-all": header(tls="implicit") + HELLO + b"MAIL FROM:<a@b> SIZE=1 BODY=BINARYMIME RET=HDRS"
                      b" ENVID=+2B SMTPUTF8 REQUIRETLS SOLICIT=a:b\r\n"
                      b"RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;+2B\r\nBDAT 0 LAST\r\n",
    "xclient": header(xclient=True) + HELLO + b"XCLIENT NAME=x.example ADDR=IPV6:2001:db8::9 PORT=1"
               b" PROTO=ESMTP HELO=h LOGIN=joe DESTADDR=192.0.2.1 DESTPORT=25\r\n" + SESSION,
    "xclient-hooks": header(hooks=127, xclient=True) + b"".join(
        b"XCLIENT ADDR=192.0.2.%d\r\n" % i for i in range(9)) + SESSION,
    "proxied": header(peer=PROXY) + SESSION,
    "unix": header(peer=UNIX) + SESSION,
    "commands-idle": header(idle=5) + HELLO + message() + b"NOOP\r\n" * 6,
    "messages-few": header(messages=2) + SESSION + message() * 2,
    "size-small": header(limits=4) + HELLO + message(b"x" * 18 + b"\r\n") + message(b"x" * 19 + b"\r\n"),
    "size-late": header(limits=8) + HELLO + message(b"x" * 5000 + b"\r\n") + SESSION,
    "recipients-one": header(limits=16) + HELLO + message(count=3) + RECIPIENTS,
    "errors-few": header(limits=64) + b"X\r\nX\r\n" + SESSION + b"X\r\nX\r\nX\r\nX\r\n",
    "memory-small": header(hooks=128) + HELLO + b"MAIL FROM:<a@b>\r\n" +
                    b"RCPT TO:<someone.with.a.name@example.org>\r\n" * 700 + b"DATA\r\nx\r\n.\r\n",
    "output-full": header() + HELLO + b"NOOP\r\nHELP\r\n" * 400,
    "end-timeout": header(end=1) + HELLO + b"MAIL FROM:<a@b>\r\nRC",
    "end-expired-in-text": header(end=2) + HELLO + message()[:-3],
    "end-drain": header(end=3) + HELLO,
    "end-drain-in-text": header(end=3) + HELLO + message()[:-3],
    "end-drain-now": header(end=4) + HELLO + message()[:-3],
    "hooks-none": header(end=8) + SESSION,
    "hooks-older": header(end=16) + SESSION,
    "names-of-hooks": header(end=64) + SESSION,
    "names-of-hooks-strange": header(end=96) + SESSION,
    "line-too-long": header(limits=128) + b"NOOP " + b"x" * 512 + b"\r\nNOOP\r\n",
    "parameters-twice": header() + HELLO + b"MAIL FROM:<a@b> SIZE=1 SIZE=1\r\n"
                        b"MAIL FROM:<a@b> BODY=7BIT BODY=7BIT\r\n",
    "parameters-of-recipient": header() + HELLO + b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b> X=\r\n",
    "size-declared-too-large": header(limits=4) + HELLO + b"MAIL FROM:<a@b> SIZE=21\r\n",
    "hello-long": header() + b"EHLO " + b".".join([b"x" * 60] * 5) + b"\r\n",
    "sink-permanent": header(sink=8 + 2 + 4) + SESSION,
    "end-after-text": header(end=0) + HELLO + message()[:-2],
    "lmtp-each-its-own": header(seed=1 + LMTP) + LHLO + EACH_ITS_OWN + message(count=3) +
                         b"EHLO a\r\nHELO a\r\nHELP\r\nDATA\r\n",
    "lmtp-closing": header(seed=1 + LMTP) + LHLO + EACH_ITS_OWN.replace(b"full", b"closing"),
    "lmtp-sink-prepare": header(sink=2, seed=1 + LMTP) + LHLO + message(count=3),
    "lmtp-sink-commit": header(sink=4 + 8, seed=1 + LMTP) + LHLO + message(count=3),
    "lmtp-hooks": header(hooks=127, seed=1 + LMTP) + LHLO + message(count=3) * 6,
    "lmtp-text-closed": header(sink=0xe0, seed=1 + LMTP) + LHLO +
                        message(b"0123456789abcdef\r\n" * 9, count=3),
    "lmtp-text-dropped": header(sink=0xa0, seed=1 + LMTP) + LHLO +
                         message(b"0123456789abcdef\r\n" * 9, count=3),
    "lmtp-many": header(seed=1 + LMTP) + LHLO + message(count=500) + b"NOOP\r\n",
    "lmtp-starttls": header(seed=1 + LMTP, tls="starttls") + LHLO + b"STARTTLS\r\n" + LHLO +
                     message(count=2),
    "arguments-hyphen": header(seed=1 + ARGUMENTS) + HELLO +
                        b"MAIL FROM:<-a@b>\r\nMAIL FROM:<>\r\nRCPT TO:<\"-a\"@b>\r\n"
                        b"RCPT TO:<a+-b@c>\r\nRCPT TO:<a-b+c@d>\r\n",
    "arguments-too-many": header(seed=1 + SHORT_LINE) + HELLO + message(count=9) * 2,
    "starttls-injection": header(tls="starttls", input_behind=True) + HELLO +
                          b"STARTTLS\r\nMAIL FROM:<a@b>\r\n",
    "starttls-fails": header(tls="starttls", sasl=16) + HELLO + b"STARTTLS\r\n",
    "starttls-hooks": header(hooks=2, tls="starttls") + HELLO + b"STARTTLS\r\n" * 2 + SESSION,
    "tls-implicit-fails": header(tls="implicit", sasl=16) + SESSION,
    "tls-implicit-refused": header(hooks=1, tls="implicit") + SESSION,
    "auth-each": header(auth="optional") + HELLO + PLAIN_WRONG + auth(b"LOGIN", b"joe", b"x") +
                 auth(b"CRAM-MD5", b"joe wrong") + auth(b"SCRAM-SHA-256", b"n,,n=joe,r=x", b"") +
                 auth(b"EXTERNAL", b"") + auth(b"CRAM-MD5", b"joe right") + message(),
    "auth-scram": header(auth="required") + HELLO + message() +
                  auth(b"SCRAM-SHA-256", b"n,,n=joe,r=x", b"c=,p=right", b"") + message(),
    "auth-scram-plus": header(tls="starttls", auth="required") + HELLO + b"STARTTLS\r\n" +
                       HELLO + auth(b"SCRAM-SHA-256-PLUS", b"n,,n=joe,r=x", b"c=,p=right") +
                       b"*\r\n",
    "auth-scram-long": header(auth="optional") + HELLO +
                       auth(b"SCRAM-SHA-256", b"n,,n=joe,r=" + b"x" * 2900, b"c=,p=right", b""),
    "auth-external": header(tls="implicit", auth="required", sasl=64) + HELLO +
                     auth(b"EXTERNAL", b"jim") + auth(b"EXTERNAL", b"jane") + message(),
    "auth-hook": header(auth="optional", sasl=8) + HELLO + b"".join(
        auth(b"LOGIN", b"user%d" % i, b"x") for i in range(20)),
    "auth-failures": header(auth="optional", sasl=128) + HELLO + PLAIN_WRONG * 4,
    "auth-later": header(auth="optional") + HELLO + auth(b"LOGIN", b"joe", b"later") + message(),
    "auth-name-long": header(auth="optional") + HELLO + auth(b"LOGIN", b"x" * 300, b"secret"),
    "auth-line-long": header(limits=128, auth="optional") + HELLO + b"AUTH PLAIN " +
                      b"x" * 4000 + b"\r\nAUTH PLAIN\r\n" + b"x" * 4000 + b"\r\nNOOP\r\n",
    "auth-line-too-long": header(auth="optional") + HELLO + b"AUTH PLAIN\r\n" + b"x" * 12290 +
                          b"\r\nAUTH PLAIN " + b"x" * 12290 + b"\r\nNOOP\r\n",
    "auth-flood": header(auth="optional") + HELLO + b"AUTH PLAIN\r\n" + b"x" * 65537,
    "auth-out-of-turn": header() + HELLO + auth(b"LOGIN", b"joe", b"secret") + b"NOOP\r\n",
    "auth-end": header(end=3, auth="optional") + HELLO + b"AUTH LOGIN\r\nam9l\r\nc2Vj",
}


REVERSE, FORWARD = b"\xfe", b"\xff"
UTF8_REVERSE, UTF8_FORWARD = b"\xfc", b"\xfd"
LABEL = b"a" * 63

ADDRESSES = {
    "mailbox": FORWARD + b"<Joe.Doe@Example.TEST>",
    "parameters": REVERSE + b"<a@b.example> SIZE=1 BODY=8BITMIME",
    "null": REVERSE + b"<>",
    "null-forward": FORWARD + b"<>",
    "postmaster": FORWARD + b"<PostMaster>",
    "postmaster-reverse": REVERSE + b"<postmaster>",
    "postmaster-quoted": FORWARD + b'<"postmaster">',
    "domain-missing": FORWARD + b"<joe>",
    "atext": FORWARD + b"<!#$%&'*+-/=?^_`{|}~@x>",
    "quoted": FORWARD + b'<"john doe"@x>',
    "quoted-pairs": FORWARD + b'<"a\\"b\\\\c\\d"@x> X',
    "quoted-empty": FORWARD + b'<""@x>',
    "quoted-bracket": FORWARD + b'<"a>b@c"@x>',
    "quoted-traversal": FORWARD + b'<"../../etc/passwd"@x>',
    "quoted-dots": FORWARD + b'<".."@x>',
    "quoted-dash": FORWARD + b'<"-rf"@x>',
    "quoted-tab": FORWARD + b'<"a\tb"@x>',
    "quoted-nul": FORWARD + b'<"a\0b"@x>',
    "quoted-open": FORWARD + b'<"a@x>',
    "quoted-open-pair": FORWARD + b'<"a\\',
    "slash": FORWARD + b"<a/b@x>",
    "dot-first": FORWARD + b"<.a@x>",
    "dot-last": FORWARD + b"<a.@x>",
    "dots": FORWARD + b"<a..b@x>",
    "nul": FORWARD + b"<a\0b@x>",
    "route": FORWARD + b"<@r.example,@s.example:a@x>",
    "route-literal": REVERSE + b"<@[192.0.2.1]:a@x> Y",
    "route-open": FORWARD + b"<@r,:a@x>",
    "ipv4": FORWARD + b"<a@[192.0.2.255]>",
    "ipv4-too-large": FORWARD + b"<a@[192.0.2.256]>",
    "ipv4-leading-zero": FORWARD + b"<a@[192.0.2.01]>",
    "ipv6": FORWARD + b"<a@[IPv6:2001:db8::1]>",
    "ipv6-with-v4": FORWARD + b"<a@[ipv6:::ffff:192.0.2.1]>",
    "ipv6-bad": FORWARD + b"<a@[IPv6:1:2:3]>",
    "literal-general": FORWARD + b"<a@[tag:text]>",
    "literal-empty": FORWARD + b"<a@[]>",
    "literal-open": FORWARD + b"<a@[192.0.2.7",
    "literal-nul": FORWARD + b"<a@[192.0.2.7\0]>",
    "label-longest": FORWARD + b"<a@" + LABEL + b">",
    "label-too-long": FORWARD + b"<a@a" + LABEL + b">",
    "domain-longest": FORWARD + b"<a@" + b".".join([LABEL] * 4) + b">",
    "domain-too-long": FORWARD + b"<a@" + b".".join([LABEL] * 4) + b".a>",
    "domain-underscore": FORWARD + b"<a@_dmarc.x_y>",
    "domain-hyphen": FORWARD + b"<a@-x>",
    "domain-dot": FORWARD + b"<a@x.>",
    "local-long": FORWARD + b"<" + b"a" * 250 + b"@x>",
    "mailbox-longest": FORWARD + b"<" + b"a" * 898 + b"@x>",
    "mailbox-too-long": FORWARD + b"<" + b"a" * 899 + b"@x>",
    "not-ascii": FORWARD + b"<j\xc3\xbcrgen@x>",
    "not-ascii-behind": FORWARD + b"<a@x> \xff",
    "utf8": UTF8_FORWARD + b"<j\xc3\xbcrgen@b\xc3\xbccher.example>",
    "utf8-reverse": UTF8_REVERSE + b"<\xf0\x9f\x93\xa7.\xe2\x82\xac@x> SMTPUTF8",
    "utf8-quoted": UTF8_FORWARD + b'<"a \\" \xc3\xbc"@x>',
    "utf8-quoted-pair": UTF8_FORWARD + b'<"\\\xc3\xbc"@x>',
    "utf8-quoted-pairs": UTF8_FORWARD + b'<"\\\\\xc3\xbc"@x>',
    "utf8-route": UTF8_FORWARD + b"<@\xc3\xbc.example:a@x>",
    "utf8-literal": UTF8_FORWARD + b"<a@[\xc3\xbc]>",
    "utf8-label-longest": UTF8_FORWARD + b"<a@" + b"\xc3\xbc" * 31 + b"x>",
    "utf8-label-too-long": UTF8_FORWARD + b"<a@" + b"\xc3\xbc" * 32 + b">",
    "utf8-hyphen": UTF8_FORWARD + b"<a@-\xc3\xbc>",
    "utf8-cut": UTF8_FORWARD + b"<\xe2\x82@x>",
    "utf8-cut-at-end": UTF8_FORWARD + b"<\xf0\x9f\x93",
    "utf8-overlong": UTF8_FORWARD + b"<\xc0\xae\xc0\xae@x>",
    "utf8-surrogate": UTF8_FORWARD + b"<\xed\xa0\x80@x>",
    "utf8-control": UTF8_FORWARD + b"<\xc2\x85@x>",
    "utf8-separator": UTF8_FORWARD + b'<"\xe2\x80\xa8"@x>',
    "bracket-missing": FORWARD + b"a@x",
    "bracket-open": FORWARD + b"<a@x",
    "empty": FORWARD,
    "memory-none": b"\x01<a@x>",
    "memory-for-mailbox": b"\x29" + b'<"a b"@x>',
}

TEXTS = {
    "empty": b"",
    "line": b"text\r\n",
    "dot-stuffed": b"..\r\n",
    "dot-not-stuffed": b".text\r\n",
    "end": b".\r\nQUIT\r\n",
    "end-after-text": b"text\r\n.\r\nQUIT\r\n",
    "dot-cr": b".\rx\r\n",
    "dot-cr-cr-lf": b".\r\r\n.\r\n",
    "dot-lf": b".\n.\r\n",
    "lf-dot-lf": b"a\n.\nMAIL FROM:<>\r\n",
    "lf-dot-crlf": b"a\n.\r\nMAIL FROM:<>\r\n",
    "lf-dot-dot-lf": b"a\n..\nb",
    "lf-dot-dot-crlf": b"a\n..\r\n.\r\n",
    "crlf-dot-lf": b"a\r\n.\nMAIL FROM:<>\r\n",
    "cr-dot-cr": b"a\r.\rMAIL FROM:<>\r",
    "crlf-dot-cr": b"a\r\n.\rMAIL FROM:<>\r",
    "cr-dot-crlf": b"a\r.\r\nMAIL FROM:<>\r\n",
    "cr-cr-lf": b"a\r\r\n.\r\r\nb",
    "lf-cr": b"a\n\r.\n\rb",
    "lf-lf": b"\n\n.\n\n..\n",
    "cr-last": b"a\r",
    "lf-first": b"\n.",
    "nul": b"a\0b\r\n\0.\r\n.\0\r\n",
    "all-bytes": bytes(range(256)),
    "line-longer-than-cuts": b"x" * 300 + b"\r\n.x\n.\r\n",
}

CONFIGS = {
    "empty": b"",
    "all": b"""hostname = "mx.example.test"  greeting = "%{hostname} 100%%"
runtime-dir = "/run/x"
workers { start = 3  min-spare = 1  max-spare = 5  max = 9  max-sessions = 0
	overflow = "refuse" }
limits { message-size = "0"  recipients = 10  line-length = 512  errors = 3  auth-failures = 1
	sessions-per-client = 7  memory-per-session = "64K"  bare-newline = "reject"
	commands-without-mail = 0  messages-per-session = 1  early-talker = "refuse" }
timeouts { command = "1s"  data = "2s"  data-total = "90s"  session = "7d"
	min-rate = "1K"  grace = "0"  busy-command = "1s"  tls = "1s" }
log { target = "/var/log/sinkd"  level = "warn" }
tls { certificate = {"a", "b"}  key = {"c", "d"}  priorities = "NORMAL:-VERS-TLS1.2"
	session-tickets = false  client-certificate = "require"  ca-file = "e"
	sni "a.test" { certificate = {"f"}  key = {"g"} }
	sni "*.a.test" { certificate = {"h"}  key = {"i"} } }
auth { mechanisms = {"EXTERNAL", "PLAIN"}  accept-any = true  users-file = ""
	plaintext-without-tls = "always" }
listen "a" { address = {"127.0.0.1:0", "[::1]:0", "localhost:25"}  deliver = {"i"}
	tls = "implicit"  auth = "required"  backlog = 1
	extensions = {"CHUNKING", "BINARYMIME", "HELP"} }
listen "b" { address = {"unix:/run/s"}  deliver = {"n"}  tls = "off"  extensions = {}
	proxy-protocol = {"unix"}  xclient = {"10.0.0.0/8", "2001:db8::/32", "::1"} }
deliver "i" { type = "maildir"  path = "m/%{recipient.domain}/%{recipient.local}"
	sync = "none"  line-ending = "crlf"  file-mode = "0644"
	headers = {"Received", "X-Original-To", "X-Sinkd-Envelope"} }
deliver "n" { type = "discard" }
""",
    "rules": b"""deliver "n" { type = "discard" }
deliver "m" { type = "module"  module = "/a.so"  required = false }
rule "all" { on = "message"  client = {"10.0.0.0/8", "unix"}  helo = "*"  sender = "~^a"
	recipient = "?@*"  user = "u"  listener = "x"  tls = "no"  size = "2K"
	percent = 50  seed = 7  every = 2  rate = "10/1m"  first = 3  per = "recipient"
	enabled = false  delay = "1s+500ms-30s"
	reply = "452 4.2.2 100%% %{rule} %{client} %{helo} %{sender} %{recipient} %{id}" }
rule "elsewhere" { on = "rcpt"  action = "deliver"  deliver = {"n", "m"} }
rule "octets" { on = "bdat"  after = "64K"  action = "reset" }
rule "named" { on = "rcpt"  match-address = true }
rule "slow" { on = "connect"  delay = "1s-5s"  listener = "~x{2}" }
module "/a.so" { argument = "x y" }
module "/b.so" { }
policy { socket = "[::1]:10023"  stages = {"message", "helo", "connect"}  timeout = "1s"
	on-failure = "550 5.7.1 Not now" }
""",
    "rule-wrong": b"""rule "" { on = "ehlo"  reply = "250 2.0.0"  delay = "2h"  rate = "10"
	helo = "~(" }
rule "\n" { on = "mail"  recipient = "x"  per = "recipient"  action = "drop"  after = 1
	reply = "450 %{x}" }
rule "a" { on = "rcpt"  match-address = true  action = "deliver"  deliver = {"n"} }
""",
    "rule-nothing": b'rule "a" { on = "rcpt" }',
    "rule-reply-strange": rb'rule "a" { on = "rcpt"  reply = "450 \xe9" }',
    "rule-twice": b'rule "a" { on = "quit"  delay = "0s" }\nrule "a" { }',
    "module-relative": b'module "a.so" { }',
    "module-unknown": b'deliver "d" { type = "module"  module = "/x" }',
    "policy-wrong": b'policy { socket = "x:0"  stages = {}  on-failure = "accept it" }',
    "policy-accept": b'policy { socket = "unix:/run/p"  on-failure = "accept" }',
    "environment": b'hostname = "${NAME}"\nlog { target = "/${NONE:-x}/\\${NAME}" }',
    "escapes": rb'log { target = "/\x01\033\n\t\"\\\a" }',
    "escapes-nul": rb'log { target = "/a\x00b\0" }',
    "quotes-single": b"log { target = '/a\\'b\"${NAME}' }",
    "line-continued": b'log { target = "/a\\\nb" }\nx = 1',
    "comments": b"# a {\n// b\n/* c\n*/ hostname = x # y\n",
    "comment-open": b"\n/* limits",
    "brace-open": b"limits {\n\terrors = 1\n",
    "brace-too-many": b"limits { } }",
    "quote-open": b'hostname = "a',
    "title-missing": b"listen {\n}",
    "title-twice": b"deliver a { type = discard }\ndeliver a { type = discard }",
    "title-strange": b'deliver "a\\n\\"\\x01" { type = discard }',
    "title-empty": b'deliver "" { type = discard }',
    "name-unknown": b"limits {\n\tx = 1 }",
    "name-strange": b'"a\\nb" = 1',
    "value-missing": b"hostname\nuser = a",
    "value-list": b'hostname = {"a", "b"}',
    "value-strange": b'hostname = "a\\x1b[31m\\n"',
    "value-not-ascii": b'log { target = "/\xc3\xbc" }',
    "list-open": b'listen a { address = {"[::1]:1",',
    "list-plus": b'listen a { address += {"[::1]:1"} address += {"[::1]:2"} }',
    "list-empty": b"deliver a { type = maildir path = m headers = {} }",
    "section-twice": b"limits { errors = 1 }\nlimits { errors = 2 }",
    "section-without-options": b"limits{}workers{}",
    "numbers-too-large": b"limits { errors = 18446744073709551616 message-size = 1025G }",
    "workers-few": b"workers { max = 1 }",
    "workers-many": b"workers { min-spare = 16384 }",
    "workers-crossed": b"workers { start = 3 min-spare = 4 max-spare = 3 max = 2 }",
    "timeouts-crossed": b"timeouts { session = 1s }",
    "address-twice": b'listen a { address = {"0.0.0.0:1"} }\nlisten b { address = {"127.0.0.1:1"} }',
    "address-wrong": b'listen a { address = {"x", "unix:y", "127.0.0.1:65536", "[::1]"} }',
    "extensions-twice": b'listen a { address = {"[::1]:1"} extensions = {SIZE, DSN, SIZE} }',
    "extensions-strange": b'listen a { address = {"[::1]:1"} extensions = {"S\\n", size, ""} }',
    "extensions-needed": b'listen a { address = {"[::1]:1"} extensions = {BINARYMIME, SMTPUTF8} }',
    "peers": b'listen a { address = {"[::1]:1"} proxy-protocol = {"0.0.0.0/0", "::/0", unix, '
             b'"::ffff:192.0.2.0/120", "FE80::1/128"} xclient = {"192.0.2.1/32"} }',
    "peers-wrong": b'listen a { address = {"[::1]:1"} xclient = {"192.0.2.1/24", "::/129", '
                   b'"1.2.3", "", "\\n", "fe80::1%lo", "unix/1"} }',
    "deliver-unknown": b'listen a { address = {"[::1]:1"} deliver = {"\\x1b"} }',
    "discard-with-path": b"deliver a { type = discard path = m }",
    "header-strange": b'deliver a { type = maildir path = m headers = {"\\n", "Received", "Received"} }',
    "path-up": b'deliver a { type = maildir path = "m/../x" }',
    "path-macro-unknown": b'deliver a { type = maildir path = "m/%{x\\n}" }',
    "key-missing": b"tls {\n\tcertificate = {a,\nb\n}\n\tkey = {c} }",
    "key-alone": b'tls { key = {"\\n"} }',
    "sni-alone": b"tls { sni a { certificate = {a} key = {b} } }",
    "sni-strange": b'tls { certificate = {a} key = {b}\nsni "\\x1b" { } sni "*." { } }',
    "sni-twice": b"tls { certificate = {a} key = {b} sni a { certificate = {a} key = {b} }"
                 b" sni A { certificate = {a} key = {b} } }",
    "sni-unknown": b'tls { sni "\\x1b" { x = 1 } }',
    "tls-twice": b"tls { sni a { } }\ntls { }",
    "priorities-wrong": b'tls { priorities = "NORMAL:+\\n" }',
    "ca-missing": b'tls { client-certificate = require }',
    "mechanism-unknown": b'auth { mechanisms = {"\\n", "PLAIN", "PLAIN"} }',
    "mechanisms-none": b"auth { mechanisms = {} }",
    "auth-impossible": b'listen a { address = {"192.0.2.1:1"} auth = required tls = off }',
    "users-missing": b'auth { users-file = "/dev/null/users" }',
    "users-not-ascii": b'auth { users-file = "/dev/nu\xdall/users" }',
    "users-strange": b'auth { users-file = "/\\n" }',
    "star": b"log { target = /* }\n* */ /a* }",
    "nul": b"hostname = a\0",
    "cr": b"hostname = a\r\nlimits {\r\n}\r\n",
}


SALT = b"W22ZaJ0SNY7soEsUEjb6gQ=="
KEYS = (b"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
        b"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
SCRAM = b"user:{SCRAM-SHA-256}"

USERS = {
    "empty": b"",
    "comments": b"# a\n\n \t\n#",
    "plain": b"joe:{PLAIN}secret\nann:{PLAIN}a:b \n",
    "plain-empty": b"joe:{PLAIN}\n",
    "plain-longest": b"joe:{PLAIN}" + b"x" * 511,
    "plain-too-long": b"joe:{PLAIN}" + b"x" * 512,
    "plain-tab": b"joe:{PLAIN}a\tb",
    "name-missing": b"\n:{PLAIN}x",
    "name-longest": b"a" * 255 + b":{PLAIN}x",
    "name-too-long": b"a" * 256 + b":{PLAIN}x",
    "name-blank": b"joe :{PLAIN}x\n joe:{PLAIN}x",
    "name-control": b"a\x7fb:{PLAIN}x",
    "name-not-ascii": b"j\xc3\xb6:{PLAIN}\xff",
    "name-twice": b"j\xff\"\\:{PLAIN}x\nb:{PLAIN}x\nj\xff\"\\:{PLAIN}y",
    "colon-missing": b"secret",
    "proof-missing": b"joe:",
    "proof-unknown": b"joe:secret",
    "proof-locked": b"joe:!\nann:*",
    "cr": b"joe:{PLAIN}x\r\n",
    "nul": b"joe:{PLAIN}x\0",
    "scram": SCRAM + b"4096," + SALT + b"," + KEYS,
    "scram-short-salt": SCRAM + b"4096,AAAA," + KEYS,
    "scram-no-salt": SCRAM + b"4096,," + KEYS,
    "scram-long-salt": SCRAM + b"4096," + b"AAAA" * 22 + b"," + KEYS,
    "scram-very-long-salt": SCRAM + b"4096," + b"AAAA" * 50 + b"," + KEYS,
    "scram-salt-strange": SCRAM + b"4096,W22=Z," + KEYS,
    "scram-few-iterations": SCRAM + b"4095," + SALT + b"," + KEYS,
    "scram-iterations-too-large": SCRAM + b"18446744073709551616," + SALT + b"," + KEYS,
    "scram-three-fields": SCRAM + b"4096," + SALT + b",AAAA",
    "scram-five-fields": SCRAM + b"4096," + SALT + b"," + KEYS + b",",
    "scram-short-key": SCRAM + b"4096," + SALT + b",AAAA,AAAA",
    "crypt-sha512": b"joe:$6$saltsalt$" + b"a" * 86,
    "crypt-yescrypt": b"joe:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$" + b"a" * 43,
    "crypt-bcrypt": b"joe:$2b$05$" + b"a" * 53,
    "crypt-md5": b"joe:$1$saltsalt$" + b"a" * 22,
    "crypt-cut": b"joe:$6$saltsalt$aaa",
    "crypt-setting": b"joe:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$",
    "crypt-unknown": b"joe:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
    "crypt-dollar": b"joe:$",
    "crypt-too-long": b"joe:$6$" + b"a" * 400,
    "kinds": b"joe:{PLAIN}x\n" + SCRAM + b"4096," + SALT + b"," + KEYS + b"\nann:$6$s$" + b"a" * 86,
}

PLAIN, LOGIN, CRAM, SCRAM_256, PLUS, EXTERNAL = range(6)
ANY, NOBODY = 8, 16
SHOWN, CERTIFICATE, UNIQUE, EXPORTER, AT_ONCE = 1, 2, 4, 8, 16
PART, NONCE, HONEST = b"\xfe", b"\xfd", b"\xfc"
DIGEST = b" 0123456789abcdef0123456789abcdef"
FIRST = b"n,,n=joe,r=abcdef" + PART
PROOF = b",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def exchange(mechanism, session, *responses):
    return bytes([mechanism, session]) + PART.join(responses)


EXCHANGES = {
    "plain": exchange(PLAIN, SHOWN | AT_ONCE, b"\0joe\0secret"),
    "plain-second": exchange(PLAIN, SHOWN, b"\0joe\0secret"),
    "plain-honest": exchange(PLAIN, SHOWN, HONEST),
    "plain-keys": exchange(PLAIN, SHOWN, b"user\0user\0pencil"),
    "plain-wrong": exchange(PLAIN, SHOWN, b"\0joe\0x"),
    "plain-nobody": exchange(PLAIN, SHOWN, b"\0zoe\0x"),
    "plain-any": exchange(PLAIN | ANY, SHOWN, b"\0zoe\0x"),
    "plain-for-another": exchange(PLAIN | ANY, SHOWN, b"ann\0zoe\0x"),
    "plain-one-nul": exchange(PLAIN | ANY, SHOWN, b"joe\0secret"),
    "plain-three-nuls": exchange(PLAIN | ANY, SHOWN, b"\0joe\0secret\0"),
    "plain-nuls-alone": exchange(PLAIN | ANY, SHOWN, b"\0\0"),
    "plain-no-password": exchange(PLAIN | ANY, SHOWN, b"\0joe\0"),
    "plain-long-name": exchange(PLAIN | ANY, SHOWN, b"\0" + b"a" * 256 + b"\0x"),
    "plain-long-password": exchange(PLAIN | ANY, SHOWN, b"\0a\0" + b"x" * 2000),
    "plain-hidden": exchange(PLAIN, 0, b"\0joe\0secret"),
    "plain-no-users": exchange(PLAIN | NOBODY, SHOWN, b"\0joe\0secret"),
    "plain-no-users-any": exchange(PLAIN | NOBODY | ANY, SHOWN, b"\0joe\0secret"),
    "login": exchange(LOGIN, SHOWN, b"joe", b"secret"),
    "login-at-once": exchange(LOGIN, SHOWN | AT_ONCE, b"joe", b"secret"),
    "login-wrong": exchange(LOGIN, SHOWN, b"joe", b"x"),
    "login-nul": exchange(LOGIN | ANY, SHOWN, b"joe", b"a\0b"),
    "login-no-name": exchange(LOGIN | ANY, SHOWN, b"", b"secret"),
    "login-name-alone": exchange(LOGIN | ANY, SHOWN, b"joe"),
    "cram-honest": exchange(CRAM, 0, HONEST),
    "cram-at-once": exchange(CRAM, AT_ONCE, b"joe" + DIGEST),
    "cram-wrong": exchange(CRAM, 0, b"joe" + DIGEST),
    "cram-nobody": exchange(CRAM, 0, b"zoe" + DIGEST),
    "cram-any": exchange(CRAM | ANY, 0, b"zoe" + DIGEST),
    "cram-any-strange": exchange(CRAM | ANY, 0, b"zoe" + DIGEST.upper()),
    "cram-short": exchange(CRAM | ANY, 0, DIGEST),
    "scram-honest": exchange(SCRAM_256, 0, HONEST, HONEST),
    "scram-honest-at-once": exchange(SCRAM_256, AT_ONCE, HONEST, HONEST),
    "scram-half-honest": exchange(SCRAM_256, 0, HONEST, b"c=biws,r=" + NONCE + PROOF),
    "scram-wrong": FIRST.join([exchange(SCRAM_256, 0), b"c=biws,r=" + NONCE + PROOF]),
    "scram-keys": exchange(SCRAM_256, 0, b"n,,n=user,r=abcdef", b"c=biws,r=" + NONCE + PROOF),
    "scram-nobody": exchange(SCRAM_256, 0, b"n,,n=zoe,r=abcdef", b"c=biws,r=" + NONCE + PROOF),
    "scram-other-nonce": FIRST.join([exchange(SCRAM_256, 0), b"c=biws,r=abcdefghijkl" + PROOF]),
    "scram-other-header": FIRST.join([exchange(SCRAM_256, 0), b"c=eSws,r=" + NONCE + PROOF]),
    "scram-short-proof": FIRST.join([exchange(SCRAM_256, 0), b"c=biws,r=" + NONCE + b",p=AAAA"]),
    "scram-no-proof": FIRST.join([exchange(SCRAM_256, 0), b"c=biws,r=" + NONCE]),
    "scram-extension": FIRST.join([exchange(SCRAM_256, 0), b"c=biws,r=" + NONCE + b",x=y" + PROOF]),
    "scram-mandatory": exchange(SCRAM_256, 0, b"n,,m=x,n=joe,r=abcdef"),
    "scram-for-oneself": exchange(SCRAM_256, 0, b"n,a=joe,n=joe,r=abcdef"),
    "scram-for-another": exchange(SCRAM_256, 0, b"n,a=ann,n=joe,r=abcdef"),
    "scram-escapes": exchange(SCRAM_256, 0, b"n,,n=a=2Cb=3Dc,r=abcdef"),
    "scram-bad-escape": exchange(SCRAM_256, 0, b"n,,n=a=2,r=abcdef"),
    "scram-name-of-nothing": exchange(SCRAM_256, 0, b"n,,n=\xc2\xad,r=abcdef"),
    "scram-downgraded": exchange(SCRAM_256, UNIQUE, b"y,,n=joe,r=abcdef"),
    "scram-not-downgraded": exchange(SCRAM_256, 0, b"y,,n=joe,r=abcdef", b"c=eSws,r=" + NONCE + PROOF),
    "scram-empty": exchange(SCRAM_256, 0, b"", b""),
    "scram-no-users": exchange(SCRAM_256 | NOBODY | ANY, 0, HONEST),
    "plus-honest": exchange(PLUS, UNIQUE, HONEST, HONEST),
    "plus-honest-exporter": exchange(PLUS, EXPORTER, HONEST, HONEST),
    "plus-honest-either": exchange(PLUS, UNIQUE | EXPORTER, HONEST, HONEST),
    "plus-none": exchange(PLUS, 0, HONEST, HONEST),
    "plus-unbound": exchange(PLUS, UNIQUE, b"n,,n=joe,r=abcdef"),
    "plus-unknown": exchange(PLUS, UNIQUE, b"p=tls-server-end-point,,n=joe,r=abcdef"),
    "plus-other": exchange(PLUS, UNIQUE, b"p=tls-exporter,,n=joe,r=abcdef"),
    "plus-wrong": exchange(PLUS, UNIQUE, b"p=tls-unique,,n=joe,r=abcdef", b"c=biws,r=" + NONCE + PROOF),
    "external": exchange(EXTERNAL, CERTIFICATE, b""),
    "external-named": exchange(EXTERNAL, CERTIFICATE | AT_ONCE, b"joe"),
    "external-another": exchange(EXTERNAL, CERTIFICATE, b"ann"),
    "external-nul": exchange(EXTERNAL, CERTIFICATE, b"joe\0"),
    "external-none": exchange(EXTERNAL, 0, b""),
}


TEXTS_OF_QUESTION = (b"from@example.test", b"192.0.2.7", b"client.example.test", b"ann", b"mx",
                     b"00064b1e2f3a5c-00126f-9a3b", b"envid", b"ESMTPS", b"TLSv1.3", b"AES",
                     b"CN=joe", b"joe", b"example.test")


def text(content):
    return struct.pack("=I", len(content)) + content


def question(recipients=(b"joe@example.test",), texts=TEXTS_OF_QUESTION, section=0, count=None):
    count = len(recipients) if count is None else count
    return (struct.pack("=IHQQ", section, 4711, 5000, 1234) + b"".join(map(text, texts)) +
            struct.pack("=I", count) + b"".join(map(text, recipients)))


def answer(code, enhanced, said):
    return b"\xff" + struct.pack("=i12s256s", code, enhanced, said)


ALONE = TEXTS_OF_QUESTION[:11] + (b"", b"")
SPAWNS = {
    "question": question(),
    "question-several": question((b"a@x", b"b@y", b"c@z"), ALONE),
    "question-least": question((b"a",), (b"",) * 13),
    "question-several-and-one": question((b"a@x", b"b@y")),
    "question-nobody": question(()),
    "question-empty-recipient": question((b"",)),
    "question-nul": question((b"a\0b",)),
    "question-nul-in-helo": question(texts=(b"", b"", b"a\0") + (b"",) * 10),
    "question-hostile": question((b"-oQ/tmp", b"$(id)", b"a\nb"), (b"`id`; %{sender}\n\xff",) * 11 + (b"", b"")),
    "question-few": question(count=2),
    "question-many": question(count=0xffffffff),
    "question-more": question() + b"x",
    "question-cut": question()[:-1],
    "question-cut-early": question()[:20],
    "question-empty": b"",
    "question-long-text": question()[:22] + b"\xff\xff\xff\xff",
    "answer-success": answer(250, b"2.0.0", b"Ok"),
    "answer-temporary": answer(451, b"4.3.0", b"Try later"),
    "answer-permanent": answer(550, b"5.1.1", b"User unknown"),
    "answer-longest": answer(599, b"5.999.999", b"x" * 255),
    "answer-open": answer(550, b"5.1.1", b"x" * 256),
    "answer-open-code": answer(550, b"5.1.1" * 3, b"x"),
    "answer-class": answer(550, b"4.1.1", b"x"),
    "answer-control": answer(550, b"5.1.1", b"a\r\n250 b"),
    "answer-short": answer(550, b"5.1.1", b"x")[:9],
    "answer-code": answer(251, b"2.0.0", b"Ok"),
    "argument-empty": b"\xfe",
    "argument-literal": b"\xfe--from=100%%",
    "argument-macros": b"\xfe%{sender}%{recipient}%{recipient.local}%{recipient.domain}"
                       b"%{recipient.extension}%{client.address}%{client.port}%{helo}%{user}"
                       b"%{listener}%{message.id}%{size}%{envid}%{protocol}%{tls.cipher}",
    "argument-recipients": b"\xfe%{recipients}",
    "argument-recipients-and": b"\xfe%{recipients},",
    "argument-unknown": b"\xfex%{nobody}",
    "argument-open": b"\xfe%{sender",
    "argument-percent": b"\xfe50%",
    "argument-nul": b"\xfe%{send\0er}",
}


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_v2(command, family, content, length=None):
    return V2 + struct.pack("!BBH", command, family, len(content) if length is None else length) + content


FOUR = b"\xc0\0\2\7\xc6\x33\x64\1\x09\xdd\0\x19"
SIX = b"\x20\1\x0d\xb8" + b"\0" * 27 + b"\1\x09\xdd\0\x19"
PROXIES = {
    "v1-four": b"PROXY TCP4 192.0.2.7 198.51.100.1 2525 25\r\nEHLO there\r\n",
    "v1-six": b"PROXY TCP6 2001:db8::7 ::1 2525 25\r\n",
    "v1-mapped": b"PROXY TCP6 ::ffff:192.0.2.7 ::1 2525 25\r\n",
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-longest": b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "v1-begun": b"PROXY TCP4 192.0.2.7 198",
    "v1-bare-newline": b"PROXY UNKNOWN\n",
    "v1-port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    "v1-nul": b"PROXY TCP4 192.0.2.7\0 198.51.100.1 2525 25\r\n",
    "v1-few": b"PROXY TCP4 192.0.2.7\r\n",
    "v2-four": proxy_v2(0x21, 0x11, FOUR) + b"\x16\3\1",
    "v2-four-datagrams": proxy_v2(0x21, 0x12, FOUR),
    "v2-four-more": proxy_v2(0x21, 0x11, FOUR + b"\4\0\1x"),
    "v2-four-short": proxy_v2(0x21, 0x11, FOUR, 11),
    "v2-four-cut": proxy_v2(0x21, 0x11, FOUR)[:-1],
    "v2-six": proxy_v2(0x21, 0x21, SIX),
    "v2-six-mapped": proxy_v2(0x21, 0x21, b"\0" * 10 + b"\xff\xff\x7f\0\0\1" + SIX[16:]),
    "v2-unix": proxy_v2(0x21, 0x31, b"/a".ljust(216, b"\0")),
    "v2-unspecified": proxy_v2(0x21, 0, b""),
    "v2-local": proxy_v2(0x20, 0, b"xy"),
    "v2-version": proxy_v2(0x11, 0x11, FOUR),
    "v2-family": proxy_v2(0x21, 0x10, FOUR),
    "v2-too-long": proxy_v2(0x20, 0, b"", 4097),
    "no-header": b"EHLO there\r\n",
    "nothing": b"",
}


def answer(action, more=b""):
    return b"\0" + more + b"action=" + action + b"\n\n"


POLICIES = {
    "answer-ok": answer(b"OK"),
    "answer-dunno-blanks": answer(b" dunno \r"),
    "answer-reject": answer(b"REJECT 5.7.9 go away"),
    "answer-reject-other-class": answer(b"REJECT 4.7.9 go away"),
    "answer-defer": answer(b"DEFER_IF_PERMIT Greylisted"),
    "answer-code": answer(b"452\t4.2.2 full"),
    "answer-number": answer(b"12345"),
    "answer-discard": answer(b"DISCARD"),
    "answer-prepend": answer(b"PREPEND X-A: b"),
    "answer-hold": answer(b"HOLD", b"other=\r\n"),
    "answer-enhanced-long": answer(b"554 5.1234567890.1 text"),
    "answer-nul": answer(b"550 5.7.1\0 text"),
    "answer-and-more": answer(b"OK") + b"action=OK\n\n",
    "answer-two": b"\0action=OK\naction=OK\n\n",
    "answer-none": b"\0\n",
    "answer-no-attribute": b"\0OK\n",
    "answer-begun": b"\0action=DUN",
    "answer-flood": b"\0" + b"a=b\n" * 2048,
    "request": b"\xffhelo.example\0a@b\0c@d\0client\0joe\0CN=A B,O=C\0TLS_AES_256_GCM_SHA384",
    "request-lines": b"\xffa\nb=c\r\n\n\0\"\n\"@b\0c\x7f@d\0\n\0\x85\xc2\x85\0CN=\n\\0A+CN=x\0\n",
    "request-subject": b"\xff\0\0\0\0\0O=x\\,CN=y\\2C,CN=\\C3\\BC\\\0",
    "request-long": b"\xff" + b"x" * 2000 + b"\0" + b"\xc3\xbc" * 1000,
}


def sessions():
    inputs = dict(CORNERS)
    for directory in CASES:
        for name in sorted(os.listdir(directory)):
            said = client_bytes(os.path.join(directory, name))
            if len(said) <= SIZE_MAX:
                inputs["transcript-" + name.removesuffix(".smtp")] = said
    return inputs


def texts():
    return {f"{name}-{mode}": bytes([number]) + text
            for name, text in TEXTS.items() for mode, number in MODES.items()}


def rule(text="", glob="", address="", delay="", rate=""):
    return "\n".join((text, glob, address, delay, rate)).encode("latin-1")


RULES = {
    "nothing": b"",
    "text": rule("Mailbox full"),
    "text-macros": rule("100%% %{rule} %{client} <%{sender}> %{recipient} %{helo} %{id}",
                        "*", "\"a \xfc\"@example.test"),
    "text-unknown-macro": rule("%{size}"),
    "text-percent": rule("100%"),
    "text-long": rule("%{sender}" * 30, "*@*", "x" * 250 + "@example.test"),
    "text-too-long": rule("x" * 256),
    "glob": rule("", "*@EXAMPLE.*", "a@example.test"),
    "glob-stars": rule("", "*a*b*ab?", "aabababx"),
    "glob-literal": rule("", "a@b", "a@bc"),
    "code": rule("", "", "452@example.test"),
    "enhanced": rule("", "", "550-5.1.1+7@example.test"),
    "enhanced-of-other-class": rule("", "", "452-5.1.1@example.test"),
    "action": rule("", "", "Disconnect@example.test"),
    "delay": rule("", "", "delay5@example.test", "2s"),
    "delay-and-code": rule("", "", "delay250ms-421-4.3.2@example.test", "1s-5s", "10/1m"),
    "delay-and-stall": rule("", "", "delay1h-stall", "1s+500ms-30s", "0/1s"),
    "delay-too-long": rule("", "", "delay61m@example.test", "2h", "1/0s"),
    "delay-of-delay": rule("", "", "delay5-delay5@example.test", "1s+0s"),
}


def main(directory):
    for target, inputs in (("session", sessions()), ("address", ADDRESSES),
                           ("data", texts()), ("config", CONFIGS),
                           ("users", USERS), ("sasl", EXCHANGES), ("spawn", SPAWNS),
                           ("proxy", PROXIES), ("policy", POLICIES), ("rules", RULES)):
        os.makedirs(os.path.join(directory, target), exist_ok=True)
        for name, content in inputs.items():
            with open(os.path.join(directory, target, name), "wb") as file:
                file.write(content)
        print(f"{target}: {len(inputs)} inputs")


main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus"))
