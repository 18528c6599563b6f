"""Postfix and Exim meet rules that refuse for now, and try again until the mail is taken: what
they note of each try is what the rule said, and the message is stored once."""

import os
import re
import time

from commands import keys_of, listen, section
from exim import Exim, Route, need_exim
from postfix import Postfix, need_postfix
from sinkd_server import Server, read_file, wait_until
from wire_test import run

DOMAIN, BUSY = "retried.example", "busy.example"
SENDER = "sender@back.example"
TEXT = b"From: sender@back.example\nTo: b@retried.example\nMessage-Id: <1@back.example>\n" \
    b"Date: Mon, 02 Mar 2026 10:00:00 +0000\nSubject: again\n\ntext\n"

# The first two times of each that they are about.
FIRST = {
    # rule, which is the stage: whom it is about, reply
    "connect": ('listener = "busy"  per = "client"', "421 4.3.2 Busy, %{client}"),
    "mail": ('sender = "mail@*"  per = "sender"', "451 4.1.8 Not you yet, %{sender}"),
    "rcpt": ('recipient = "rcpt@*"  per = "recipient"', "451 4.2.1 Come again, %{recipient}"),
    "data": ('recipient = "data@*"  per = "recipient"', "451 4.3.0 Not now, %{sender}"),
    "message": ('recipient = "message@*"  per = "recipient"', "451 4.3.0 Once more, %{recipient}"),
}
RATE = 'on = "rcpt"  recipient = "rate*@*"  rate = "2/1s"'


class Sink(Server):
    """data: the command that brings messages, "data" or "bdat"."""

    def __init__(self, data):
        stages = {name: data if name == "data" else name for name in FIRST}
        rules = "".join(f'rule "{name}" {{ on = "{stages[name]}"  {who}  first = 2  reply = "{reply}" }}\n'
                        for name, (who, reply) in FIRST.items())
        rules += f'rule "rate" {{ {RATE}  reply = "450 4.7.1 Slow down, %{{recipient}}" }}\n'
        super().__init__(listen=None, workers=3, config=(
            section("inbox", type="maildir", path="mail/%{recipient.local}", headers=[])
            + listen("in", "inbox", tls="off") + listen("busy", "inbox", tls="off") + rules))

    def mail_of(self, name):
        directory = self.path("mail", name, "new")
        return [read_file(os.path.join(directory, each)) for each in os.listdir(directory)] \
            if os.path.isdir(directory) else []

    def fired(self):
        return [keys_of(line)["rule"] for line in self.events("rule.fired")]

    def hits(self):
        return {name: int(count) for name, count in
                re.findall(r'sinkd_rule_hits_total\{rule="(\w+)"\} (\d+)', self.sinkctl("metrics")[0])}


def show(mta, recipient):
    for status, text in mta.tries(recipient):
        print(f"       {recipient}: {status} ({text})")


def tries_thrice(mta, send, sink):
    """All at once; each rule defers two tries of its own message, and lets the third one in."""
    recipients = {name: f"{name}@{BUSY if name == 'connect' else DOMAIN}" for name in FIRST}
    for name, recipient in recipients.items():
        send("mail@back.example" if name == "mail" else SENDER, [recipient], TEXT)
    for number in 1, 2:
        wait_until(lambda n=number: all(len(mta.tries(each)) == n for each in recipients.values()),
                   20, f"try {number} of each")
        mta.flush()
    wait_until(lambda: all(len(mta.tries(each)) == 3 for each in recipients.values()), 20,
               "the third one of each")
    for name, recipient in recipients.items():
        tries = mta.tries(recipient)
        assert [status for status, _ in tries] == ["deferred"] * 2 + ["sent"], (name, tries)
        reply = FIRST[name][1].replace("%{client}", "127.0.0.1").replace("%{recipient}", recipient)
        reply = reply.replace("%{sender}", "mail@back.example" if name == "mail" else SENDER)
        assert all(reply in text for _, text in tries[:2]), (reply, tries)
        [stored] = sink.mail_of(name)
        assert stored.endswith(b"\nSubject: again\n\ntext\n"), stored
        [id_of] = [keys_of(line)["id"] for line in sink.events("message.accepted")
                   if keys_of(line)["to"] == recipient]
        assert id_of in tries[2][1], (id_of, tries)
        show(mta, recipient)
    assert sorted(sink.fired()) == sorted([*FIRST] * 2), sink.fired()
    assert sink.hits() == {**{name: 2 for name in FIRST}, "rate": 0}, sink.hits()


def slows_down(mta, send, sink):
    """Five recipients of one message: two at a time are taken, for the others it comes again."""
    before = len(sink.fired())
    recipients = [f"rate{number}@{DOMAIN}" for number in range(5)]
    send(SENDER, recipients, TEXT)
    wait_until(lambda: all(map(mta.tries, recipients)), 20, "the first tries")
    first = [mta.tries(each)[0][0] for each in recipients]
    assert sorted(first) == ["deferred"] * 3 + ["sent"] * 2, first

    # Not as fast as it can.
    started, rounds = time.monotonic(), 0
    while not all(mta.tries(each)[-1][0] == "sent" for each in recipients):
        rounds += 1
        wait_until(lambda n=rounds: time.monotonic() > started + n / 3)
        assert rounds < 60, "it would go on for ever"
        mta.flush()
    deferred = 0
    for number, recipient in enumerate(recipients):
        *others, (status, _) = mta.tries(recipient)
        assert status == "sent" and len(sink.mail_of(f"rate{number}")) == 1, mta.tries(recipient)
        for status, text in others:
            assert status == "deferred" and f"450 4.7.1 Slow down, {recipient}" in text, others
        deferred += len(others)
    assert len(sink.fired()) - before == deferred == sink.hits()["rate"], (deferred, sink.hits())
    last = max(recipients, key=lambda each: len(mta.tries(each)))
    print(f"       {last}: {len(mta.tries(last)) - 1} x {mta.tries(last)[0]}")


def postfix_comes_again():
    need_postfix()
    with Sink("data") as sink:
        routes = {DOMAIN: f"smtp:[127.0.0.1]:{sink.addresses[0][1]}",
                  BUSY: f"smtp:[127.0.0.1]:{sink.addresses[1][1]}"}
        with Postfix(routes) as postfix:
            tries_thrice(postfix, postfix.send, sink)
            slows_down(postfix, postfix.send, sink)


def exim_comes_again():
    need_exim()
    with Sink("bdat") as sink, Exim({DOMAIN: Route("smtp", sink.addresses[0][1]),
                               BUSY: Route("smtp", sink.addresses[1][1])}) as exim:
        tries_thrice(exim, exim.hand_in, sink)
        slows_down(exim, exim.hand_in, sink)


run(postfix_comes_again, exim_comes_again, together=True)
