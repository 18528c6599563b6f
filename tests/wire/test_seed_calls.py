"""The example email_server and the same class in EventMachine, told the same bytes: which
calls each gets, and in which order.  Where they differ docs/CALLBACKS.md says why; what is
printed is the transcript of both, side by side."""

import itertools
import os
import subprocess
import tempfile

from commands import listen
from modules import ModuleShop, notes
from sinkd_server import SOURCE, Client, Server, read_file, wait_until
from wire_test import Skip, need_program, run

SCRIPT = os.path.join(SOURCE, "tests", "wire", "seed_server.rb")

# Names of differences, as the document has them.
OFTEN = "The domain is asked for more often"
PATHS = "Paths are parsed"
AUTH = "AUTH lasts"
LINES = "Only CR LF . CR LF ends a message"
VERBS = "Verbs are whole words"
ORDER = "MAIL needs a greeting"
CODES = "Replies have the codes of the RFCs"

DOMAIN = "get_server_domain()"
GREETED = ["receive_ehlo_domain({})", DOMAIN, "receive_transaction()"]
TAKEN = ["receive_data_chunk()", "receive_message()", "receive_transaction()"]


def greeted(name):
    return [call.format(name) for call in GREETED]


def step(line, codes, calls, here=None, why=None):
    """codes: of the replies of both, or what they share.  calls: in EventMachine; here: in
    sinkd, if they are others, and why."""
    seed, sinkd = codes if isinstance(codes, tuple) else (codes, codes)
    assert (why is None) == (seed == sinkd and here is None), line
    return line, seed, sinkd, calls, calls if here is None else here, why


def mail(path, parameters=""):
    return step(f"MAIL FROM:<{path}>{parameters}", "250", [f"receive_sender(<{path}>{parameters})"],
                [f"receive_sender({path})"], PATHS)


def rcpt(path, space=""):
    return step(f"RCPT TO:{space}<{path}>", "250", [f"receive_recipient(<{path}>)"],
                [f"receive_recipient({path})"], PATHS)


DATA = step("DATA", "354", ["receive_data_command()"], ["receive_data_command()", DOMAIN], OFTEN)


PLAIN = "AUTH PLAIN AG1lAHNlY3JldA=="
SESSION = [
    step(None, "220", ["get_server_greeting()"], [DOMAIN, "get_server_greeting()"], OFTEN),
    step("EHLO client.example", "250", greeted("client.example")),
    step(PLAIN, "235", ["receive_plain_auth(me)"]),
    step("RCPT TO:<b@example.org>", "503", []),
    step("DATA", "503", []),
    mail("a@example.org", " SIZE=100"),
    step("MAIL FROM:<a@example.org>", "503", []),
    rcpt("b@example.org"),
    rcpt("c@example.org", " "),
    DATA,
    step("Subject: x\r\n\r\n..dot\r\n.", "250", TAKEN),
    mail("a@example.org"),
    rcpt("b@example.org"),
    DATA,
    step(".", "250", TAKEN[1:]),
    step(PLAIN, ("235", "503"), ["receive_plain_auth(me)"], [], AUTH),
    mail(""),
    step("RSET", "250", ["receive_transaction()", "receive_reset()"]),
    step("RSET", "250", ["receive_transaction()", "receive_reset()"]),
    step("NOOP", "250", []),
    step("VRFY b", ("502", "252"), [], None, CODES),
    step("EXPN b", "502", []),
    step("HELP", ("250", "214"), [], None, CODES),
    step("WHAT", "500", []),
    step("NOOPE", ("250", "500"), [], None, VERBS),
    step("RSETTLE", ("250", "500"), ["receive_transaction()", "receive_reset()"], [], VERBS),
    step("helo client.example", "250", greeted("client.example")),
    mail("a@example.org"),
    rcpt("b@example.org"),
    step("EHLO other.example", "250", greeted("other.example")),
    mail("a@example.org"),
    rcpt("b@example.org"),
    DATA,
    step("a\n.\nRSET\r\n.", ("250 250 500", "250"),
         TAKEN + ["receive_transaction()", "receive_reset()"], TAKEN, LINES),
    step("QUIT", "221", ["connection_ended()"]),
]
ABRUPT = [
    SESSION[0],
    step("MAIL FROM:<a@example.org>", ("250", "503"), ["receive_sender(<a@example.org>)"], [], ORDER),
    step(None, "", ["connection_ended()"]),
]


def without_repetition(calls):
    """The text comes in as many pieces as each wants."""
    return [call for call, before in zip(calls, [None] + calls)
            if call != "receive_data_chunk()" or call != before]


class Seed:
    """The class in EventMachine."""

    def __enter__(self):
        ruby = need_program("ruby")
        if subprocess.run([ruby, "-e", 'require "eventmachine"'], stderr=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL).returncode != 0:
            raise Skip("ruby has no eventmachine")
        self.out = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen([ruby, SCRIPT], stdout=self.out, stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: b"\n" in read_file(self.out.name) or self.process.poll(),
                       20, "the port")
            self.address = "127.0.0.1", int(self.lines()[0])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.out.close()

    def lines(self):
        return read_file(self.out.name).decode().splitlines()

    def calls(self):
        return without_repetition(self.lines()[1:])


class Sinkd(Server):
    def __init__(self, shop):
        super().__init__(listen=None, workers=1,
                         config='log { level = "debug" }\n' + listen("a", auth="optional",
                                                                     deliver=["null"]) +
                         'deliver "null" { type = "discard" }\n' + shop.section("email_server"))

    def calls(self):
        return without_repetition([text for _, text in notes(self, "email_server")
                                   if not text.startswith("received_email: ")])

    @property
    def address(self):
        return self.addresses[0]


def told(server, steps, codes):
    """What happens at each step: [(codes of its replies, the first reply, calls)].  codes:
    where a step has those to expect."""
    before = len(server.calls())
    happened = []
    with Client(server.address) as client:
        for each in steps:
            if each[0] is not None:
                client.send(each[0].encode() + b"\r\n")
            elif happened:
                client.close()
            replies = [client.reply() or "" for _ in each[codes].split()]
            if "connection_ended()" in each[3]:
                wait_until(lambda: "connection_ended()" in server.calls()[before:], what="the end")
            # It writes down what it is told before it replies.
            calls = server.calls()[before:]
            before += len(calls)
            happened.append((" ".join(reply[:3] for reply in replies), " / ".join(replies), calls))
    return happened


def told_at_once(server, steps):
    before = len(server.calls())
    with Client(server.address) as client:
        client.expect("220 ")
        client.send("".join(line + "\r\n" for line, *_ in steps if line is not None).encode())
        while client.reply() is not None:
            pass
    return wait_until(lambda: "connection_ended()" in server.calls()[before:] and
                      server.calls()[before:], what="connection_ended")


def show(steps, seed, sinkd):
    for (line, *_, why), (_, reply, calls), (_, other, other_calls) in zip(steps, seed, sinkd):
        print("  C:", repr(line).strip("'") if line else "(comes)" if reply else "(goes)")
        for left, right in itertools.zip_longest(
                [reply.splitlines()[0] if reply else "", *calls],
                [other.splitlines()[0] if other else "", *other_calls], fillvalue=""):
            print(f"     {left:50.50}  {right:.60}".rstrip())
        if why:
            print(f"     ---- {why}")


def check(steps, seed, sinkd):
    for (line, code, other_code, calls, other_calls, _), here, there in zip(steps, seed, sinkd):
        assert (here[0], here[2]) == (code, calls), f"EventMachine, {line!r}: {here}"
        assert (there[0], there[2]) == (other_code, other_calls), f"sinkd, {line!r}: {there}"


def the_same_bytes_the_same_calls():
    with Seed() as seed, ModuleShop() as shop, Sinkd(shop) as sinkd:
        for steps in SESSION, ABRUPT:
            results = told(seed, steps, 1), told(sinkd, steps, 2)
            show(steps, *results)
            check(steps, *results)
        # However the bytes come.
        for server, calls in (seed, 3), (sinkd, 4):
            expected = [call for each in SESSION for call in each[calls]]
            assert told_at_once(server, SESSION) == expected, server.calls()
    check_document()


def check_document():
    """It has each difference that was met."""
    document = " ".join(read_file(os.path.join(SOURCE, "docs", "CALLBACKS.md")).decode().split())
    met = {why for *_, why in SESSION + ABRUPT if why}
    assert met == {OFTEN, PATHS, AUTH, LINES, VERBS, ORDER, CODES}, met
    for why in met:
        assert f"**{why}.**" in document, why


if __name__ == "__main__":
    run(the_same_bytes_the_same_calls)
