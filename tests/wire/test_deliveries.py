"""Several deliveries for one message: staged in all of them, then commands run, then
published in all; when one fails, all are as if nothing had come."""

import itertools
import json
import os
import random
import re
import tempfile

from commands import keys_of, listen, section
from lmtp import LmtpClient, lmtp_listener
from sinkd_server import SINKD, Client, Server, read_file, wait_until
from wire_test import output_of, run
from workshop import Workshop

TEXT = b"Subject: x\r\n\r\ntext\r\n"
STORED = b"Subject: x\n\ntext\n"


def maildir(shop, name, *below, **options):
    return section(name, type="maildir", path=shop.path(name, *below), headers=[], **options)


def contents(shop, *mailbox):
    """The messages of a mailbox that has nothing in its tmp."""
    if not os.path.isdir(shop.path(*mailbox)):
        return []
    assert os.listdir(shop.path(*mailbox, "tmp")) == [], mailbox
    new = shop.path(*mailbox, "new")
    return [read_file(os.path.join(new, name)) for name in sorted(os.listdir(new))]


def lock(path):
    """Let nothing be made in a directory of the workers; they can still look into it."""
    os.chmod(path, 0o500)


# --- in which order ----------------------------------------------------------------------

LOOK = """
cat > "$SHOP/ran/message"
for part in tmp new; do ls "$SHOP/inbox/$part" > "$SHOP/ran/$part"; done
"""


def staged_then_run_then_published():
    for order in ("handler", "inbox"), ("inbox", "handler"):
        with Workshop() as shop:
            config = maildir(shop, "inbox") + section("handler", shop.script("look", LOOK))
            with Server(config=config + listen("l", *order), listen=None, workers=1) as server, \
                    server.connect() as client:
                client.greet()
                client.deliver(TEXT)
                ran = shop.ran()
                assert ran["new"] == b"" and ran["tmp"].count(b"\n") == 1, ran
                assert contents(shop, "inbox") == [STORED] == [ran["message"]], ran


# --- every combination, against a model of it --------------------------------------------

# A section is a kind and whether it is required.
KINDS = {
    # which step fails, and the reply
    "store": (None, None),
    "run": (None, None),
    "discard": (None, None),
    "notmp": ("stage", "451 4.3.0"),
    "nonew": ("publish", "451 4.3.0"),
    "refuse": ("run", "550 5.7.1 Not this one"),
    "later": ("run", "451 4.3.0"),
}
PARTS = [(kind, is_required) for kind in KINDS for is_required in (True, False)]
AT_ONCE = 48  # listeners of one server


def name_of(part):
    kind, is_required = part
    return kind if is_required else "may-" + kind


def is_command(kind):
    return kind in ("run", "refuse", "later")


def expectation(sections):
    """The reply, what is stored where, which commands run, and which sections are left out."""
    left_out, ran = set(), set()
    for step in "stage", "run", "publish":
        for part in sections:
            kind, is_required = part
            if part in left_out:
                continue
            if step == "run" and is_command(kind):
                ran.add(part)
            failing, reply = KINDS[kind]
            if failing == step and is_required:
                return reply, set(), ran, left_out
            if failing == step:
                left_out.add(part)
    stored = {part for part in sections
              if part[0] in ("store", "nonew", "notmp") and part not in left_out}
    return "250 2.0.0 Ok: ", stored, ran, left_out


def combinations():
    """All pairs, and some that are longer; not those in which nothing decides."""
    rng = random.Random(6)
    longer = [rng.sample(PARTS, rng.randint(3, 6)) for _ in range(100)]
    return [sections for sections in [*itertools.permutations(PARTS, 2), *longer]
            if any(is_required for _, is_required in sections)]


def text_of(shop, part):
    kind, is_required = part
    name = name_of(part)
    if kind == "discard":
        return section(name, type="discard", required=is_required)
    if not is_command(kind):
        return maildir(shop, name, required=is_required)
    how = {"run": "exit 0", "refuse": "echo 5.7.1 Not this one; exit 1", "later": "exit 75"}[kind]
    script = shop.script(f"command-{name}", f'cat > "$SHOP/ran/{name}"; {how}')
    return section(name, script, required=is_required)


def check_combination(server, shop, address, sections):
    reply, stored, ran, left_out = expectation(sections)
    shop.forget()
    seen, told = len(server.events("delivery.skipped")), len(outcomes(server))
    with Client(address) as client:
        client.greet()
        if reply.startswith("250"):
            client.deliver(TEXT)
        else:
            client.fail_to_deliver(TEXT, reply)
    found = {part for part in PARTS if contents(shop, name_of(part))}
    assert found == stored, (sections, found)
    for part in stored:
        new = shop.path(name_of(part), "new")
        assert contents(shop, name_of(part)) == [STORED], sections
        for name in os.listdir(new):
            os.remove(os.path.join(new, name))
    assert shop.ran() == {name_of(part): STORED for part in ran}, (sections, shop.ran())
    skipped = list(map(keys_of, server.events("delivery.skipped")[seen:]))
    assert {line["delivery"] for line in skipped} == set(map(name_of, left_out)), (sections, skipped)
    for line in skipped:
        expected = KINDS[line["delivery"].removeprefix("may-")][1]
        assert line["code"] == expected[:3] and line["reply"].startswith(expected[4:]), line
        assert line["step"] and line["session"], line
    # What is refused at DATA is no message.
    event = "message.accepted" if reply.startswith("250") else "message.refused"
    lines = outcomes(server)[told:]
    assert len(lines) == (not is_refused_at_data(sections)), (sections, lines)
    for line in lines:
        assert line["event"] == event and line["delivery"] == ",".join(map(name_of, sections)), line


def outcomes(server):
    return list(map(keys_of, server.events("message.accepted", "message.refused")))


def is_refused_at_data(sections):
    return ("notmp", True) in sections


def each_combination_keeps_to_the_model():
    remaining = combinations()
    assert len(remaining) > 200, len(remaining)
    while remaining:
        batch, remaining = remaining[:AT_ONCE], remaining[AT_ONCE:]
        with Workshop() as shop:
            config = "".join(text_of(shop, part) for part in PARTS)
            config += "".join(listen(str(number), *map(name_of, sections))
                              for number, sections in enumerate(batch))
            with Server(config=config, listen=None, workers=1) as server:
                for part in PARTS:
                    if part[0] in ("notmp", "nonew"):
                        lock(shop.path(name_of(part), part[0][2:]))
                for address, sections in zip(server.addresses, batch):
                    check_combination(server, shop, address, sections)


# --- LMTP: each recipient is as good as its worst ----------------------------------------

DECIDE = """
case "$1" in
*no-p*) echo "5.7.1 Not you"; exit 1 ;;
*later-p*) exit 75 ;;
esac
cat > "$SHOP/ran/$1"
"""

# What can go wrong for a recipient, in its order, and the reply.  Its local part names it: the
# section is the last letter.
FAULTS = {"no-a": "451 4.3.0", "no-b": "451 4.3.0", "no-p": "550 5.7.1 Not you",
          "later-p": "451 4.3.0", "late-a": "451 4.3.0", "late-b": "451 4.3.0"}
RECIPIENTS = ["well", "also-well", *FAULTS, "no-a.no-b", "late-a.late-b", "no-a.no-p", "late-b.no-p",
              "late-a.later-p"]


def expected_for(local, optional):
    """The reply, the sections in which it is stored, and whether the command leaves a note."""
    faults = [fault for fault in FAULTS if fault in local.split(".")]
    has_note = not {"no-p", "later-p"} & set(faults)
    for fault in faults:
        if fault[-1] not in optional:
            return FAULTS[fault], set(), has_note and not fault.startswith("no-")
    return "250 2.0.0 Ok: ", set("ab") - {fault[-1] for fault in faults}, has_note


def spoil_mailboxes(shop):
    for name, local in itertools.product("ab", RECIPIENTS):
        path = shop.path(name, local)
        if f"no-{name}" in local:
            with open(path, "w"):
                pass
        elif f"late-{name}" in local:
            for part in "", "tmp", "cur", "new":
                make_directory_like(os.path.join(path, part), shop.path(name))
            lock(os.path.join(path, "new"))


def make_directory_like(path, other):
    """One that belongs to whom the other belongs."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chown(path, os.stat(other).st_uid, os.stat(other).st_gid)


def each_recipient_keeps_to_the_model():
    for number, optional in enumerate(("", "a", "b", "p", "ab", "ap", "bp")):
        locals_ = random.Random(number).sample(RECIPIENTS, len(RECIPIENTS))
        required = {name: name not in optional for name in "abp"}
        with Workshop() as shop:
            config = (maildir(shop, "a", "%{recipient.local}", required=required["a"])
                      + maildir(shop, "b", "%{recipient.local}", required=required["b"])
                      + section("p", shop.script("decide", DECIDE), "%{recipient.local}",
                                required=required["p"])
                      + lmtp_listener("a", "p", "b"))
            with Server(config=config, listen=None, workers=1) as server, \
                    LmtpClient(server.addresses[0]) as client:
                client.greet()
                spoil_mailboxes(shop)
                replies = client.results([f"{local}@example.net" for local in locals_], TEXT)
                for local, reply in zip(locals_, replies):
                    check_recipient(shop, local, reply, optional)
                check_log_of_recipients(server, replies, optional)


def check_recipient(shop, local, reply, optional):
    expected, stored, has_note = expected_for(local, optional)
    where = f"optional {optional!r}, {local}"
    assert reply.startswith(expected), (where, reply)
    for name in "ab":
        found = [] if f"no-{name}" in local else contents(shop, name, local)
        assert found == [STORED] * (name in stored), (where, name, found)
    assert (local in shop.ran()) == has_note, (where, shop.ran())


def check_log_of_recipients(server, replies, optional):
    accepted = sum(reply.startswith("250") for reply in replies)
    [line] = map(keys_of, server.events("message.accepted"))
    assert line["recipients"] == str(accepted) and line["delivery"] == "a,p,b", line
    assert len(server.events("message.refused")) == len(replies) - accepted
    skipped = {keys_of(line)["delivery"] for line in server.events("delivery.skipped")}
    assert skipped == set(optional), skipped


def a_shared_mailbox_keeps_what_anyone_accepted():
    with Workshop() as shop:
        config = (maildir(shop, "shared")
                  + section("p", shop.script("decide", DECIDE), "%{recipient.local}")
                  + lmtp_listener("shared", "p"))
        with Server(config=config, listen=None, workers=1) as server, \
                LmtpClient(server.addresses[0]) as client:
            client.greet()
            replies = client.results(["no-p@example.net", "later-p@example.net"], TEXT)
            assert [reply[:3] for reply in replies] == ["550", "451"], replies
            assert contents(shop, "shared") == []
            replies = client.results(["no-p@example.net", "well@example.net"], TEXT)
            assert [reply[:3] for reply in replies] == ["550", "250"], replies
            assert contents(shop, "shared") == [STORED]


def with_smtp_one_recipient_decides_for_all():
    """Of several mailboxes, the first, one in the middle or the last is spoilt."""
    with Workshop() as shop:
        config = (maildir(shop, "a", "%{recipient.local}") + maildir(shop, "b", "%{recipient.local}")
                  + section("p", shop.script("decide", DECIDE), "%{recipient.local}"))
        with Server(config=config + listen("l", "a", "b", "p"), listen=None, workers=1) as server, \
                server.connect() as client:
            client.greet()
            spoil_mailboxes(shop)
            for fault, position in itertools.product(FAULTS, range(3)):
                names = ["well", "also-well"]
                names.insert(position, fault)
                client.command("MAIL FROM:<a@example.com>", "250 ")
                for name in names:
                    client.command(f"RCPT TO:<{name}@example.net>", "250 ")
                client.send(b"DATA\r\n")
                reply = client.reply()
                if reply.startswith("354"):
                    client.send(TEXT + b".\r\n")
                    reply = client.reply()
                assert reply.startswith(FAULTS[fault]), (names, reply)
                for name, local in itertools.product("ab", names):
                    found = [] if local == f"no-{name}" else contents(shop, name, local)
                    assert found == [], (names, name, local)
                # Commands that were run before one refuses cannot be taken back.
                ran = names if "late-" in fault else names[:position] if fault[-1] == "p" else []
                assert set(shop.ran()) == set(ran), (names, shop.ran())
                shop.forget()
                client.command("RSET", "250 ")


# --- what is told of it ------------------------------------------------------------------

def numbers_count_messages_not_deliveries():
    with Workshop() as shop:
        config = (maildir(shop, "a") + maildir(shop, "b")
                  + section("p", shop.script("decide", DECIDE), "%{recipient.local}")
                  + section("null", type="discard"))
        config += listen("l", "a", "null", "p", "b")
        with Server(config=config, listen=None, workers=1) as server, server.connect() as client:
            client.greet()
            reply = client.deliver(TEXT)
            client.deliver(TEXT)
            client.fail_to_deliver(TEXT, "550 5.7.1 Not you", recipient="no-p@example.net")
            # The copies have one name, that of the message.
            identifier = reply.split()[-1]
            for name in "ab":
                names = os.listdir(shop.path(name, "new"))
                assert len(names) == 2 and sum(f".{identifier}." in one for one in names) == 1, names
            status = wait_until(
                lambda: (s := json.loads(server.sinkctl("--format", "json", "status")[0])["totals"])[
                    "messages_refused"] == 1 and s, what="the numbers")
            assert status["messages_accepted"] == 2, status
            for line in map(keys_of, server.events("message.accepted", "message.refused")):
                assert line["delivery"] == "a,null,p,b", line
            ends = list(map(keys_of, wait_until(
                lambda: (lines := server.events("command.end"))[2:] and lines, what="the last run")))
            assert [line["delivery"] for line in ends] == ["p"] * 3, ends
            assert ends[0]["id"] == identifier, ends
            assert [line["code"] for line in ends] == ["250", "250", "550"], ends


def mistakes_are_named():
    sections = (section("a", type="discard") + section("b", type="discard", required=False)
                + section("c", type="maildir", path="c", required=False))
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.conf")

        def check(*names, status):
            with open(path, "w") as file:
                file.write(sections + listen("l", *names))
            return output_of(SINKD, "-t", "-f", path, status=status, cwd=directory)

        for names in ("a",), ("a", "b"), ("c", "b", "a"):
            check(*names, status=0)
        for names, expected in ((("a", "a"), r'"?a"?'), (("a", "nowhere"), "nowhere"),
                                ((), "deliver"), (("b",), "required"), (("b", "c"), "required")):
            text = check(*names, status=78)
            assert re.search(rf"x\.conf:\d+: .*{expected}", text), (names, text)


def the_effective_configuration_has_them_all():
    config = (section("a", type="discard") + section("b", type="discard", required=False)
              + listen("l", "b", "a"))
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.conf")
        for _ in range(2):  # What is printed is printed again.
            with open(path, "w") as file:
                file.write(config)
            config = output_of(SINKD, "-p", "-f", path, cwd=directory)
            assert re.search(r'deliver = \{"b", "a"\}', config), config
            assert len(re.findall(r'required = "?false"?\n', config)) == 1, config


run(staged_then_run_then_published, each_combination_keeps_to_the_model,
    each_recipient_keeps_to_the_model, a_shared_mailbox_keeps_what_anyone_accepted,
    with_smtp_one_recipient_decides_for_all, numbers_count_messages_not_deliveries, mistakes_are_named,
    the_effective_configuration_has_them_all)
