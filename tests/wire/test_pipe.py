"""Mail goes to a command: what the command gets, whole and once, and nothing for mail that
has no end."""

import os
import pwd
import random
import re
import resource

from certificates import any_certificate
from commands import ALWAYS, HERE, PipeServer, ShellServer, ask, equip, listen, section
from sinkd_server import LEVEL, Server, built_with_sanitizers, wait_until
from wire_test import need_root, run

TELL = (HERE + "/witness", "tell", HERE + "/work")
PATH = b"/usr/local/bin:/usr/bin:/bin"
NOBODY = (65534, 65534)


def text_of_size(size):
    """So many bytes in lines, some of which begin with dots."""
    rng = random.Random(size)
    text = b"".join(b"." * (rng.random() < 0.1) + rng.randbytes(rng.randint(0, 60)).hex().encode()
                    + b"\n" for _ in range(size // 30 + 1))
    return text[:size - 1].ljust(size - 1, b"x") + b"\n" if size else b""


def on_the_wire(text):
    """Line ends CR LF, dots doubled."""
    return re.sub(rb"^\.", b"..", text, flags=re.M).replace(b"\n", b"\r\n")


def send(client, *recipients, text=b"Subject: x\n\ntext\n", sender="a@example.com", more="",
         beginning="250 2.0.0 Ok: "):
    """A whole transaction; the last reply."""
    client.command(f"MAIL FROM:<{sender}>{more}", "250 ")
    for recipient in recipients or ("b@example.net",):
        client.command(f"RCPT TO:<{recipient}>", "250 ")
    client.command("DATA", "354 ")
    client.send(on_the_wire(text) + b".\r\n")
    return client.expect(beginning)


# --- first use ----------------------------------------------------------------------


def the_first_use():
    with Server(pipe=["/bin/cat"]) as server, server.connect() as client:
        client.greet()
        reply = client.deliver(b"Subject: first\r\n\r\ntext\r\n")
        [line] = wait_until(lambda: server.events("command.end"), what="the end in the log")
        for field in f"id={reply.split()[-1]}", "how=exit", "status=0", "code=250", "ms=":
            assert f" {field}" in line, (field, line)
        assert " level=info " in line and "Subject: first" in line, line
        assert " delivery=handler" in server.events("message.accepted")[0]
        assert not os.path.exists(server.maildir)


def all_that_follows_is_the_command():
    """Options of the command included; it runs where the server was started."""
    script = 'pwd > work/where; printf "<%%s>" "$0" "$@" > work/arguments; cat > work/message'
    words = ["-l", "[::1]:1", "--discard", "-w", "", "of %{sender}", "100%%", "$HOME `id` *"]
    server = equip(Server("-w", "1", pipe=["sh", "-c", script, *words]))
    with server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n..text\r\n")

        def out(name):
            with open(server.path("work", name)) as file:
                return file.read()

        assert out("where") == os.path.realpath(server.directory) + "\n"
        assert out("message") == "Subject: x\n\n.text\n"
        words[-3:-1] = "of a@example.com", "100%"
        assert out("arguments") == "".join(f"<{word}>" for word in words)


def a_script_beside_the_server():
    server = equip(Server("-w", "1", pipe=["./handler", "%{recipient}"]))
    with open(server.path("handler"), "w") as file:
        file.write('#!/bin/sh\necho "$1" >> work/recipients\n')
    os.chmod(server.path("handler"), 0o755)
    with server, server.connect() as client:
        client.greet()
        send(client, "b@example.net", "c@example.net")
        with open(server.path("work", "recipients")) as file:
            assert file.read() == "b@example.net\nc@example.net\n"


# --- what a command gets --------------------------------------------------------------


def told(*arguments, client=lambda client: (client.greet(), send(client)), config="",
         listen_at="127.0.0.1:0", **options):
    """What the witness told when the client had done this with a new server, which is gone."""
    with PipeServer(section("handler", *TELL, *arguments, **options), config=config,
                    listen=listen_at, workers=1) as server, server.connect() as connection:
        client(connection)
        return server.runs()


def its_surroundings():
    [run] = told()
    assert run.parts["descriptors"].split() == [b"0", b"1", b"2"], run.parts["descriptors"]
    assert run.number("pid") == run.number("group") == run.number("session")
    assert run.number("signal_of_death") == 9
    assert run.parts["directory"] == b"/"
    assert run.status["Umask"] == ["0077"]
    for kind in ["SigBlk", "SigIgn"] + ([] if built_with_sanitizers() else ["SigCgt"]):
        assert int(run.status[kind][0], 16) == 0, (kind, run.status)
    # What workers may not, a command may.
    assert run.status["Seccomp"] == ["0"] and run.status["NoNewPrivs"] == ["0"], run.status
    for name, limit in (("Max open files", resource.RLIMIT_NOFILE),
                        ("Max processes", resource.RLIMIT_NPROC),
                        ("Max core file size", resource.RLIMIT_CORE)):
        ours = ["unlimited" if value == resource.RLIM_INFINITY else str(value)
                for value in resource.getrlimit(limit)]
        assert run.limit(name) == ours, (name, run.limit(name), ours)


def its_directory_and_variables():
    [run] = told(directory=HERE + "/work", environment=["HOME=/nowhere", "EMPTY=", "TLS=mine",
                                                       "X=a=b c"])
    assert run.parts["directory"].endswith(b"/work")
    assert set(run.environment) == ALWAYS | {"RECIPIENT", "HOME", "EMPTY", "X"}, run.environment
    assert [run.environment[name] for name in ("HOME", "EMPTY", "TLS", "X")] == \
        [b"/nowhere", b"", b"mine", b"a=b c"]


def its_user():
    need_root()
    for options, name in ({}, None), ({"user": "daemon"}, "daemon"):
        [run] = told(**options)
        account = pwd.getpwnam(name) if name else None
        for kind, mine in ("Uid", account and account.pw_uid), ("Gid", account and account.pw_gid):
            [one] = set(run.status[kind])
            assert one != "0" and (mine is None or one == str(mine)), (kind, run.status)
        assert set(run.status["Groups"]) <= {run.status["Gid"][0]}, run.status["Groups"]
        for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
            assert int(run.status[kind][0], 16) == 0, (kind, run.status)


def started_by_an_ordinary_user():
    need_root()
    with PipeServer(section("handler", *TELL), user=NOBODY, workers=1) as server, \
            server.connect() as client:
        client.greet()
        for size in 10, 300 * 1024:
            send(client, text=text_of_size(size))
        runs = server.runs()
        assert [len(run.message) for run in runs] == [10, 300 * 1024]
        assert all(set(run.status["Uid"]) == {"65534"} for run in runs)


MACROS = ["sender", "recipient", "recipient.local", "recipient.domain", "recipient.extension",
          "client.address", "client.port", "helo", "user", "listener", "message.id", "size",
          "envid", "protocol", "tls.cipher"]


def its_arguments():
    found = {}

    def converse(client):
        client.greet()
        found["port"] = str(client.socket.getsockname()[1])
        found["id"] = send(client, "bob+box+x@Example.NET").split()[-1]

    [run] = told(*(f"%{{{name}}}" for name in MACROS), "%{recipients}", "",
                 "<%{sender}|%{recipient}> %%{x} 100%%", client=converse)
    expected = ["a@example.com", "bob+box+x@Example.NET", "bob+box+x", "Example.NET", "box+x",
                "127.0.0.1", found["port"], "client.example", "", "command-line", found["id"],
                "20", "", "ESMTP", "", "bob+box+x@Example.NET", "",
                "<a@example.com|bob+box+x@Example.NET> %{x} 100%"]
    assert run.arguments[3:] == [text.encode() for text in expected], run.arguments
    variables = {"PATH": PATH.decode(), "SENDER": expected[0], "RECIPIENT": expected[1],
                 "RECIPIENTS": expected[1], "CLIENT_ADDRESS": expected[5],
                 "CLIENT_PORT": expected[6], "HELO": expected[7], "AUTH_USER": "", "TLS": "",
                 "TLS_SUBJECT": "", "SIZE": expected[11], "MESSAGE_ID": expected[10],
                 "LISTENER": expected[9], "PROTOCOL": "ESMTP", "ENVID": ""}
    assert run.environment == {key: text.encode() for key, text in variables.items()}


def its_arguments_with_tls_and_a_name():
    def converse(client):
        client.greet()
        client.start_tls(any_certificate())
        client.command("EHLO inside.example", "250-")
        client.command("AUTH PLAIN AGFubgBwZW5jaWw=", "235 ")
        send(client, sender="")

    config = listen("mx", "handler", auth="optional") + "auth { accept-any = true }\n"
    [run] = told("%{tls.cipher}", "%{user}", "<%{sender}>", "%{helo}", "%{protocol}",
                 "%{listener}", client=converse, config=config, listen_at=None)
    cipher, *others = run.arguments[3:]
    assert cipher and others == [b"ann", b"<>", b"inside.example", b"ESMTPSA", b"mx"], others
    assert run.environment["TLS"].startswith(b"TLS"), run.environment
    assert (run.environment["AUTH_USER"], run.environment["SENDER"]) == (b"ann", b"")


def its_arguments_without_port_and_domain():
    config = 'hostname = "mx.example"\n' + listen("local", "handler", address=[f"unix:{HERE}/sink"])
    macros = ("recipient", "recipient.local", "recipient.domain", "client.address", "client.port")
    [run] = told(*(f"%{{{name}}}" for name in macros), config=config, listen_at=None,
                 client=lambda client: (client.greet(), send(client, "postmaster")))
    assert run.arguments[3:] == [
        b"postmaster@mx.example", b"postmaster", b"mx.example", b"unix", b""], run.arguments
    assert run.environment["RECIPIENTS"] == run.environment["RECIPIENT"] == run.arguments[3]
    assert (run.environment["CLIENT_ADDRESS"], run.environment["CLIENT_PORT"]) == (b"unix", b"")


def all_recipients_at_once():
    recipients = [f"user{number}@example.net" for number in range(300)]
    [run] = told("begin", "%{recipients}", "end",
                 client=lambda client: (client.greet(), send(client, *recipients)))
    names = [name.encode() for name in recipients]
    assert run.arguments[3:] == [b"begin", *names, b"end"]
    assert run.environment["RECIPIENTS"].split(b"\n") == names
    assert set(run.environment) == ALWAYS


def more_recipients_than_a_command_line_holds():
    """Those beyond are refused, and the command runs for the others."""
    accepted = []

    def converse(client):
        client.greet()
        client.command("MAIL FROM:<>", "250 ")
        while True:
            name = f"{len(accepted):0>60}@{'x' * 60}.example"
            client.send(f"RCPT TO:<{name}>\r\n".encode())
            reply = client.reply()
            if not reply.startswith("250 "):
                assert reply.startswith("452 4.5.3 "), reply
                break
            accepted.append(name.encode())
        client.command("DATA", "354 ")
        client.send(b"Subject: to many\r\n\r\n.\r\n")
        client.expect("250 ")

    [run] = told("%{recipients}", client=converse)
    assert run.arguments[3:] == accepted and 500 < len(accepted) < 900, len(accepted)


def a_run_for_each_recipient():
    recipients = "b@example.net", "c@example.net", "b@example.net"
    runs = told(headers=["Return-Path", "Delivered-To"], per_recipient=True,
                client=lambda client: (client.greet(), send(client, *recipients)))
    assert [run.environment["RECIPIENT"].decode() for run in runs] == list(recipients)
    for run, recipient in zip(runs, recipients):
        assert run.environment["RECIPIENTS"] == run.environment["RECIPIENT"]
        assert run.message == b"Return-Path: <a@example.com>\nDelivered-To: %s\n" \
            b"Subject: x\n\ntext\n" % recipient.encode(), run.message


def recipients_after_one_that_failed_get_no_run():
    text = f'echo $RECIPIENT >> {HERE}/work/ran; case $RECIPIENT in c@*) exit 67; esac'
    with PipeServer(section("handler", "/bin/sh", "-c", text, per_recipient=True),
                    workers=1) as server, server.connect() as client:
        client.greet()
        send(client, "b@example.net", "c@example.net", "d@example.net", beginning="550 5.1.1 ")
        assert server.out("ran") == b"b@example.net\nc@example.net\n"


# --- the message ------------------------------------------------------------------------


def its_message_is_whole(**options):
    sizes = 1, 0, 100, 200 * 1024, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 300 * 1024, 5_000_000
    config = f'spool-dir = "{HERE}/spool"\n'
    server = PipeServer(section("handler", *TELL, **options), config=config, workers=1)
    os.mkdir(server.path("spool"))
    os.chmod(server.path("spool"), 0o777)
    with server, server.connect(seconds=30) as client:
        client.greet()
        for size in sizes:
            text = text_of_size(size)
            # Declared, not declared, declared wrongly.
            for more in "", f" SIZE={len(on_the_wire(text))}", " SIZE=400000", " SIZE=1":
                send(client, text=text, more=more)
                [run] = server.runs()
                assert run.message == text, (size, more, len(run.message))
                for fact, number in (("is_regular", 1), ("offset", 0), ("flags", os.O_RDONLY),
                                     ("links", 0), ("is_same", 1), ("can_write", 0)):
                    assert run.number("input." + fact) == number, (size, more, fact)
                assert not os.listdir(server.path("spool"))
                os.unlink(run.path)


def its_message_is_whole_for_another_user():
    need_root()
    its_message_is_whole(user="daemon")


def each_recipient_gets_a_whole_message():
    text = text_of_size(400 * 1024)
    for headers in ["Delivered-To"], []:
        runs = told(per_recipient=True, headers=headers,
                    client=lambda client: (client.greet(),
                                           send(client, "b@example.net", "c@example.net",
                                                text=text)))
        assert [run.message for run in runs] == \
            [b"Delivered-To: %s@example.net\n" % name * len(headers) + text for name in (b"b", b"c")]


def line_ends_and_headers_are_as_configured():
    [run] = told(line_ending="crlf", headers=["Received", "Return-Path"])
    assert re.fullmatch(rb"Received: from client\.example (.+\r\n\t)*.+\r\n"
                        rb"Return-Path: <a@example\.com>\r\nSubject: x\r\n\r\ntext\r\n",
                        run.message), run.message


def one_that_reads_nothing():
    with PipeServer(section("handler", "true"), workers=1) as server, \
            server.connect() as client:
        client.greet()
        for size in 0, 100, 300 * 1024, 5_000_000:
            send(client, text=text_of_size(size))
        server.ends(4)


def many_messages_in_one_session():
    texts = [b"Subject: %d\n\n" % number for number in range(20 if LEVEL else 100)]
    runs = told(client=lambda client: (client.greet(), [send(client, text=t) for t in texts]))
    assert [run.message for run in runs] == texts


# --- clients that leave --------------------------------------------------------------------


def no_end_no_run():
    leaving = 0
    with PipeServer(section("handler", *TELL), workers=2) as server:
        for size in 0, 100, 400 * 1024:
            for end in b"", b".", b".\r", b"\n.\n", b"\r\r.\r\r", b"\n.\r\n":
                for leave in "close", "reset", "end_of_input":
                    with server.connect() as client:
                        client.greet()
                        client.open_message()
                        client.send(b"Subject: x\r\n\r\n" + on_the_wire(text_of_size(size))
                                    + b"text" * bool(end[:1] != b".") + end)
                        getattr(client, leave)()
                        leaving += 1
        wait_until(lambda: len(server.events("session.end")) == leaving, 10, "all ends")
        assert not server.runs() and not server.events("command.end")
        assert not server.events("message.accepted")
        with server.connect() as client:
            client.greet()
            client.open_message()
            client.send(b"Subject: with an end\r\n\r\n.\r\n")
            client.expect("250 ")
        assert len(server.runs()) == 1


def who_leaves_while_it_runs_is_told_of():
    ways = ("close", False, 0), ("reset", False, 0), ("close", True, 0), ("reset", True, 0), \
        ("close", False, 1)
    with ShellServer(workers=2) as server:
        for number, (leave, has_tls, status) in enumerate(ways, 1):
            with server.connect() as client:
                client.greet()
                if has_tls:
                    client.start_tls(any_certificate())
                    client.command("EHLO client.example", "250-")
                ask(client, f"echo >> started\nread line < gate\necho >> finished\nexit {status}\n")
                server.wait_for("started", number)
                getattr(client, leave)()
            server.gate.let_go()
            server.wait_for("finished", number)
            wait_until(lambda number=number: len(server.events("session.end")) == number,
                       what="the end of the session")
        lines = server.events("message.unheard")
        ends = server.ends(len(ways))
        # Who does not know that it failed knows enough: the message is still the client's.
        accepted = [end["id"] for end in ends if end["code"] == "250"]
        assert len(lines) == len(accepted) == len(ways) - 1, lines
        for line, identifier in zip(lines, accepted):
            assert f" id={identifier}" in line and " delivery=handler" in line, line
        assert len(server.events("message.accepted")) == len(accepted)


def who_stays_is_not():
    with ShellServer() as server, server.connect() as client:
        client.greet()
        ask(client, "exit 0\n")
        client.expect("250 2.0.0 Ok: ")
        ask(client, "exit 1\n")
        client.expect("451 ")
        client.command("QUIT", "221 ")
        wait_until(lambda: server.events("session.end"), what="the end of the session")
        assert not server.events("message.unheard")


def refused_messages_are_not_run():
    with PipeServer(section("handler", *TELL),
                    config='limits { message-size = "1K"  bare-newline = "reject" }\n',
                    workers=1) as server, server.connect() as client:
        client.greet()
        client.fail_to_deliver(b"x" * 2000 + b"\r\n", "552 5.3.4 ")
        client.fail_to_deliver(b"a lone\nLF\r\n", "554 5.6.0 ")
        client.command("MAIL FROM:<>", "250 ")
        client.command("DATA", "503 ")
        client.command("RSET", "250 ")
        assert not server.runs() and not server.events("command.end")


run(the_first_use, all_that_follows_is_the_command, a_script_beside_the_server,
    its_surroundings, its_directory_and_variables, its_user, started_by_an_ordinary_user,
    its_arguments, its_arguments_with_tls_and_a_name, its_arguments_without_port_and_domain,
    all_recipients_at_once,
    more_recipients_than_a_command_line_holds, a_run_for_each_recipient,
    recipients_after_one_that_failed_get_no_run, its_message_is_whole,
    its_message_is_whole_for_another_user, each_recipient_gets_a_whole_message,
    line_ends_and_headers_are_as_configured, one_that_reads_nothing,
    many_messages_in_one_session, no_end_no_run, who_leaves_while_it_runs_is_told_of,
    who_stays_is_not, refused_messages_are_not_run)
