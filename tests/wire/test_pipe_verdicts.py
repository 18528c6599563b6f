"""How a command ended, and what the client was told: a table, with every exit status, every
signal, a timeout, programs that cannot be run, and what commands say themselves.

The command is a shell, and each message tells it how to end."""

import os
import re
import signal

from commands import HERE, PipeServer, listen, section
from sinkd_server import Client, wait_until
from wire_test import run

OK = "250 2.0.0 Ok: "
LATER = "451 4.3.0 "

# As sysexits.h has them and Postfix's pipe(8) answers.
SYSEXITS = {64: "550 5.3.0 ", 65: "550 5.6.0 ", 66: "550 5.3.0 ", 67: "550 5.1.1 ",
            68: "550 5.1.2 ", 69: "550 5.3.0 ", 70: "550 5.3.0 ", 71: "451 4.3.0 ",
            72: "550 5.3.0 ", 73: "550 5.2.0 ", 74: "550 5.3.0 ", 75: "451 4.3.0 ",
            76: "550 5.5.0 ", 77: "550 5.7.0 ", 78: "550 5.3.5 "}

# Those that end nobody who has not asked for them, and those that only stop; a group
# without a parent in its session cannot be stopped from a terminal.
HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGTSTP,
            signal.SIGTTIN, signal.SIGTTOU}


def name_of(number):
    try:
        return signal.Signals(number).name[3:]
    except ValueError:
        return str(number)


class Table:
    """Rows that say the same are printed as one."""

    def __init__(self):
        self.rows = []

    def add(self, how, reply, expected):
        # An identifier and numbers differ from row to row.
        said = re.sub(r"Ok: \S+", "Ok: ID", reply)
        assert reply.startswith(expected), f"{how}: expected {expected!r}, got {reply!r}"
        if self.rows and self.rows[-1][2] == said and self.rows[-1][0].split()[:-1] == how.split()[:-1]:
            self.rows[-1][1] = how.split()[-1]
        else:
            self.rows.append([how, "", said])

    def show(self):
        for first, last, reply in self.rows:
            print(f"    {first + (' .. ' + last if last else ''):<42} {reply}", flush=True)


def shell(*words, **options):
    # Whoever dies of a signal leaves nothing behind.
    return section("handler", "/bin/sh", *words, directory=HERE + "/work", **options)


def outcome(client, script):
    """Have the script run, and return the reply."""
    client.open_message()
    client.send(script.replace("\n", "\r\n").encode("latin-1") + b"\r\n.\r\n")
    reply = client.reply()
    assert "\n" not in reply, reply
    # And there is no other one.
    client.command("NOOP", "250 2.0.0")
    return reply


def every_exit_status():
    table = Table()
    # Each is followed by a NOOP, and only one by a message that is accepted.
    with PipeServer(shell(), config="limits { commands-without-mail = 0 }\n", workers=1) as server, \
            server.connect() as client:
        client.greet()
        for status in range(256):
            expected = OK if status == 0 else SYSEXITS.get(status, LATER)
            table.add(f"exit status {status}", outcome(client, f"exit {status}"), expected)
        ends = server.ends(256)
        assert [end["status"] for end in ends] == [str(status) for status in range(256)]
        assert all(end["how"] == "exit" for end in ends)
        assert [end["level"] for end in ends] == ["info"] + ["warn"] * 255
    texts = [row[2][10:] for row in table.rows]
    assert all(texts), "a reply without text"
    table.show()


def every_signal():
    table = Table()
    # STOP is in another table.
    tried = [number for number in range(1, signal.SIGRTMAX + 1) if number != signal.SIGSTOP]
    with PipeServer(shell(), workers=1) as server, server.connect() as client:
        client.greet()
        for number in tried:
            script = f"ulimit -c 0\nkill -{number} $$\nexit 0"
            expected = OK if number in HARMLESS else LATER
            table.add(f"signal {name_of(number)}", outcome(client, script), expected)
        ends = [end for end in server.ends(len(tried)) if end["how"] == "signal"]
        assert len(ends) == len(set(tried) - HARMLESS), ends
        for end in ends:
            assert end["code"] == "451" and end["level"] == "warn", end
        names = [end["signal"] for end in ends]
        assert names[:2] == ["HUP", "INT"] and names[-1] == str(int(signal.SIGRTMAX)), names
    table.show()


def no_end():
    """In time; one that obeys, one that does not, one that has stopped."""
    table = Table()
    scripts = {"obeys": "exec sleep 1000", "stopped": "kill -STOP $$",
               "exits 0 at TERM": "trap 'exit 0' TERM\nsleep 1000 & wait",
               "ignores TERM": "trap '' TERM\nsleep 1000",
               "says no": "echo 550 5.7.1 no\nexec sleep 1000"}
    with PipeServer(shell(timeout="1s"), workers=len(scripts)) as server:
        clients = {how: server.connect(seconds=30) for how in scripts}
        for how, client in clients.items():
            client.greet()
            client.open_message()
            client.send(scripts[how].replace("\n", "\r\n").encode() + b"\r\n.\r\n")
        for how, client in clients.items():
            table.add(f"timeout, {how}", client.reply(), LATER)
            client.close()
        assert all(end["how"] == "timeout" for end in server.ends(len(scripts)))
    table.show()


def what_cannot_be_run():
    table = Table()
    files = {"missing program": None, "no execute bit": ("#!/bin/sh\nexit 0\n", 0o644),
             "no rights at all": ("#!/bin/sh\nexit 0\n", 0),
             "a directory": "directory", "text without #!": ("exit 0\n", 0o755),
             "an empty file": ("", 0o755),
             "#! and nothing there": ("#!/nowhere/at/all\n", 0o755),
             "a link to itself": "link",
             "below a file": "below"}
    paths = {name: f"program{number}" for number, name in enumerate(files)}
    paths["below a file"] = paths["no execute bit"] + "/program"
    sections = [section(f"s{number}", f"{HERE}/{path}")
                for number, path in enumerate(paths.values())]
    listens = [listen(f"l{number}", f"s{number}") for number in range(len(files))]
    # A program that runs, in a directory that is not there.
    sections.append(section("nowhere", "/bin/true", directory="/nowhere/at/all"))
    listens.append(listen("nowhere", "nowhere"))
    server = PipeServer(*sections, config="".join(listens), listen=None, workers=1)
    for name, what in files.items():
        path = server.path(paths[name])
        if what == "directory":
            os.mkdir(path)
        elif what == "link":
            os.symlink(path, path)
        elif isinstance(what, tuple):
            server.script(paths[name], *what)
    with server:
        for name, address in zip([*files, "no such directory"], server.addresses):
            with Client(address) as client:
                client.greet()
                for _ in range(2):
                    reply = outcome(client, "text")
                table.add(name, reply, LATER)
        ends = server.ends(2 * (len(files) + 1))
        assert all(end["how"] == "start" and end["code"] == "451" and end["level"] == "warn"
                   for end in ends), ends
        # What is seen to be wrong from outside was told of once, at the start.
        refused = server.events("command.refused")
        for name in "missing program", "no execute bit", "no rights at all", "a link to itself":
            lines = [line for line in refused if paths[name] in line]
            assert len(lines) >= 1 and " level=warn " in lines[0], (name, refused)
        # A file that comes later is run then.
        server.script(paths["missing program"], "#!/bin/sh\nexit 0\n")
        with Client(server.addresses[0]) as client:
            client.greet()
            table.add("when it is there", outcome(client, "text"), OK)
    table.show()


LONG = "a" * 3000

# What the command says, with which status it ends, and the reply.
SAID = [
    ("550 5.7.1 No thanks", 1, "550 5.7.1 No thanks"),
    ("5.7.1 No thanks", 1, "550 5.7.1 No thanks"),
    ("4.2.2 Mailbox full", 1, "451 4.2.2 Mailbox full"),
    ("452 4.2.2 Mailbox full", 1, "452 4.2.2 Mailbox full"),
    ("599 5.0.0 x", 1, "599 5.0.0 x"),
    ("554 5.6.0 worse than the status", 75, "554 5.6.0 worse than the status"),
    ("450 4.2.0 better than the status", 67, "450 4.2.0 better than the status"),
    ("5.123.456 three digits", 1, "550 5.123.456 three digits"),
    ("550 No such user", 1, "550 5.0.0 No such user"),
    ("452 Mailbox full", 67, "452 4.0.0 Mailbox full"),
    # It has been accepted, whatever it says.
    ("550 5.7.1 No thanks", 0, OK),
    # What is no reply that could be given leaves it to the status.
    ("hello", 1, LATER),
    # Codes of other protocols.
    ("500 Internal Server Error", 1, LATER),
    ("404 Not Found", 67, "550 5.1.1 "),
    ("hello", 67, "550 5.1.1 "),
    ("250 2.0.0 fine", 1, LATER),
    ("2.0.0 fine", 67, "550 5.1.1 "),
    ("354 3.0.0 go on", 1, LATER),
    ("550 4.7.1 of two minds", 1, LATER),
    ("451 5.7.1 of two minds", 67, "550 5.1.1 "),
    ("600 6.0.0 x", 1, LATER),
    ("55 5.7.1 x", 1, LATER),
    ("5500 5.7.1 x", 1, LATER),
    ("550-5.7.1 x", 1, LATER),
    ("5.7 x", 1, LATER),
    ("5.1234.1 x", 1, LATER),
    ("05.7.1 x", 1, LATER),
    ("x550 5.7.1 x", 1, LATER),
    ("", 1, LATER),
    # The first line that is a reply.
    ("warning: x\n550 5.7.1 second line", 1, "550 5.7.1 second line"),
    ("550 5.7.1 first\n451 4.3.0 second", 1, "550 5.7.1 first"),
    ("\n\n\n5.7.1 fourth", 1, "550 5.7.1 fourth"),
    ("a" * 5000 + "\n550 5.7.1 after a long line", 1, "550 5.7.1 after a long line"),
    ("550 5.7.1 no end of line", 1, "550 5.7.1 no end of line"),
]


def what_they_say():
    table = Table()
    with PipeServer(shell(), workers=1) as server, server.connect() as client:
        client.greet()
        for number, (said, status, expected) in enumerate(SAID):
            end = "" if said.endswith("no end of line") else "\n"
            # Half of them say it on standard error.
            script = f"cat {'>&2' if number % 2 else ''} <<'END'\n{said}\nEND\nexit {status}"
            if not end:
                script = f"printf '{said}'\nexit {status}"
            reply = outcome(client, script)
            said = said if len(said) < 40 else said[:5] + "..." + said[-26:]
            table.add(f"{said!r:<38}{status}", reply, expected)
            if expected not in (OK, LATER) and expected[-1] != " ":
                assert reply == expected, (said, reply)
    table.show()


def what_they_say_is_cleaned_and_bounded():
    table = Table()
    with PipeServer(shell(), workers=1) as server, server.connect() as client:
        client.greet()
        for how, text in (("carriage return", r"550 5.7.1 a\r250 2.0.0 forged\r\n"),
                          ("CR LF at the end", r"550 5.7.1 text\r\n"),
                          ("NUL", r"550 5.7.1 a\000b\n"),
                          ("control characters", r"550 5.7.1 \033[2J\007\177\t.\n"),
                          ("high bytes", r"550 5.7.1 \303\251\377\200\n"),
                          ("percent", r"550 5.7.1 %%s %%n %%{sender}\n"),
                          ("3,000 characters", rf"550 5.7.1 {LONG}\n"),
                          ("100,000 characters", rf"550 5.7.1 {LONG * 33}\n")):
            reply = outcome(client, f"printf '{text}'\nexit 1")
            assert re.fullmatch(r"550 5\.7\.1 [ -~]*", reply), (how, reply)
            assert len(reply) <= 10 + 200, (how, len(reply))
            table.add(how, reply if len(reply) < 50 else reply[:30] + f"... ({len(reply)})",
                      "550 5.7.1 ")
        assert outcome(client, r"printf '550 5.7.1 text\r\n'; exit 1") == "550 5.7.1 text"
        reply = outcome(client, "printf '550 5.7.1 %s\\n' '%{sender} %s $HOME'\nexit 1")
        assert reply == "550 5.7.1 %{sender} %s $HOME", reply
        for line in server.log().splitlines():
            assert re.fullmatch(r"[ -~]*", line) and len(line) <= 2048, line
    table.show()


def one_that_closes_the_session():
    """421 is given, and is the last word."""
    with PipeServer(shell(), workers=1) as server, server.connect() as client:
        client.greet()
        client.open_message()
        client.send(b"echo 421 4.3.2 closing\r\nexit 1\r\n.\r\n")
        assert client.expect("421 ") == "421 4.3.2 closing"
        client.expect_closed()
        wait_until(lambda: server.events("session.end"), what="the end of the session")


def refused_ones_are_in_the_log():
    with PipeServer(shell(), workers=1) as server, server.connect() as client:
        client.greet()
        outcome(client, "echo some words\necho 550 5.7.1 no thanks\nexit 1")
        [line] = server.events("message.refused")
        assert " code=550" in line and "no thanks" in line, line
        [end] = server.ends(1)
        assert end["output"].startswith("some words") and end["delivery"] == "handler", end
        assert end["status"] == "1" and end["code"] == "550" and f" id={end['id']}" in line
        [pid] = server.spawners()
        assert end["pid"] == str(pid) and int(end["command_pid"]) != pid, end
        assert not server.events("message.accepted")


run(every_exit_status, every_signal, no_end, what_cannot_be_run, what_they_say,
    what_they_say_is_cleaned_and_bounded, one_that_closes_the_session,
    refused_ones_are_in_the_log)
