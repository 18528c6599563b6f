"""Whatever clients call themselves, a command gets it as one argument and one variable:
shell metacharacters, line ends, leading hyphens, percent macros, 1,000 characters.

The witness tells what it was given; a table shows it.  Nothing is ever run but the
witness: whoever ran `touch` would leave a file."""

import base64
import os

from commands import ALWAYS, HERE, PipeServer, listen, section
from wire_test import run

WITNESS = HERE + "/witness"
# Two ways to give text: alone and within an argument, which is then one all the same.
ARGUMENTS = ["--", "%{sender}", "%{recipient}", "%{recipient.local}", "%{recipient.domain}",
             "%{recipient.extension}", "%{helo}", "%{user}", "<%{helo}|%{user}|%{sender}>", "end"]

# Local parts, as they are in an address.
LOCALS = [
    "`touch`", "a|b", "||touch||", "a&b", "a'b", "$HOME", "*", "?", "~root", "a!b",
    "{a}", "#a", "a=b", "%s%n%p", "%{sender}", "%{recipient}", "%{user}", "%%", "%", "%{", "%}",
    "${HOME}", "a+b", "a+", "+", "a+%{helo}", "a" * 64,
    '"a b"', '"; touch owned; "', '"$(touch owned)"', '"a\\"b"', '"a\\\\b"', '"a > owned"',
    '"a\\ b"', '"`touch owned`"', '"\'"', '"a@b"', '"a+b c"', '"<>"', '"(a)"', '""', '" "',
]
# And what only looks like one: it needs quotes, or has what no address may have.
BAD_LOCALS = ["$(touch owned)", "a;touch owned", "a<b", "a>b", "a\\b", '"a', '"a"b"', "a,b", "",
              "a\tb", '"a\x01b"', '"a\x7fb"', "a" * 1000, '"' + "a" * 1000 + '"']
# Addresses that begin with a hyphen are no addresses for a command line.
HYPHENS = ["-f", "--help", "-", "--", "-oQ/tmp", '"-f"', '"--help me"']

# What may stand in HELO: no end of line, nothing else that is not printable.
NAMES = [
    "$(touch owned)", "`touch owned`", "; touch owned ;", "| touch owned", "&& touch owned",
    "> owned", "'; touch owned; '", '"; touch owned; "', "\\", "a\\", "*", "$HOME", "${HOME}", "~",
    "%{sender}", "%{user}", "%%", "%s%n", "%", "PATH=/nowhere", "a  b", "!!", "#", "\xe9\xff",
    "<script>", "-f", "--help", "-", "a" * 255,
]
# Those that only a user name may hold, which comes as base64.
BYTES = [b"a\nb", b"a\r\nb", b"\n", b"a\nPATH=/nowhere\nLD_PRELOAD=/nowhere", b"\x01\x1b[2J\x7f",
         b"a" * 1000, b"x" * 255, "h\u00e9".encode(), b"a\tb", b"-f", b"--", b"-" + b"a" * 999]


def unquoted(local):
    """A local part as %{recipient.local} has it."""
    if not local.startswith('"'):
        return local
    text, rest = "", local[1:-1]
    while rest:
        rest = rest[1:] if rest[0] == "\\" else rest
        text, rest = text + rest[0], rest[1:]
    return text


def show(kind, run, argument):
    value = run.arguments[argument]
    size = f" ({len(value)})" if len(value) > 60 else ""
    print(f"    {kind:<10} {len(run.arguments) - 3} arguments  {len(run.environment)} variables  "
          f"{value[:60]!r}{size}", flush=True)

class Injection(PipeServer):
    """A server of which each run is looked at."""

    def __init__(self, *arguments, **options):
        config = listen("mx", "handler", auth="optional") + \
            "auth { accept-any = true }\nlimits { errors = 1000000 }\n"
        super().__init__(section("handler", WITNESS, "tell", HERE + "/work", *arguments, **options),
                         config=config, listen=None, workers=1)
        self.seen = 0

    def last(self):
        """What the latest run was given; it is the only new one."""
        runs = self.runs()
        assert len(runs) == self.seen + 1, len(runs)
        self.seen += 1
        self.check_nothing_else_ran()
        return runs[-1]

    def check_nothing_else_ran(self):
        """All is as it was: no new file, nothing that is not the witness's."""
        assert not os.path.exists("/owned")
        for directory in self.directory, self.path("work"):
            assert not [name for name in os.listdir(directory) if "owned" in name]

    def stop(self):
        self.check_nothing_else_ran()
        assert len(self.runs()) == len(self.ends(self.seen)) == self.seen
        super().stop()


def check(run, sender=b"a@example.com", local=b"b", mailbox=b"b@example.net", helo=b"client.example",
          user=b""):
    """The arguments and the variables of a run with ARGUMENTS."""
    extension = local.partition(b"+")[2]
    assert run.arguments[3:] == [b"--", sender, mailbox, local, b"example.net", extension, helo, user,
                                 b"<%s|%s|%s>" % (helo, user, sender), b"end"], run.arguments
    assert set(run.environment) == ALWAYS | {"RECIPIENT"}, run.environment
    for name, value in (("SENDER", sender), ("RECIPIENT", mailbox), ("RECIPIENTS", mailbox),
                        ("HELO", helo), ("AUTH_USER", user),
                        ("PATH", b"/usr/local/bin:/usr/bin:/bin"), ("LISTENER", b"mx")):
        assert run.environment[name] == value, (name, run.environment[name], value)


def addresses():
    with Injection(*ARGUMENTS) as server, server.connect() as client:
        client.greet()
        for local in LOCALS:
            address = f"{local}@example.net"
            client.deliver(b"Subject: x\r\n\r\n", recipient=address)
            run = server.last()
            show("recipient", run, 5)
            check(run, local=unquoted(local).encode(), mailbox=address.encode())
        for local in LOCALS:
            address = f"{local}@example.net"
            client.deliver(b"Subject: x\r\n\r\n", sender=address)
            run = server.last()
            show("sender", run, 4)
            check(run, sender=address.encode())


def what_is_no_address():
    with Injection(*ARGUMENTS) as server, server.connect() as client:
        client.greet()
        for local in BAD_LOCALS:
            client.command(f"MAIL FROM:<{local}@example.com>", "5")
            client.command("MAIL FROM:<a@example.com>", "250 ")
            reply = client.command(f"RCPT TO:<{local}@example.net>", "5")
            client.command("DATA", "5")
            client.command("RSET", "250 ")
            print(f"    {'address':<10} {ascii(local)[:60]}: {reply}", flush=True)
        for character in "\n", "\r", "\0":
            # Whatever lines this is: none of them begins a transaction.
            client.send(f'MAIL FROM:<"a{character}b"@example.com>\r\n'.encode())
            client.send(f'MAIL FROM:<a{character}b@example.com>\r\nDATA\r\nNOOP\r\n'.encode())
            while not (reply := client.reply()).startswith("250 2.0.0"):
                assert reply.startswith("5"), reply


def addresses_that_begin_with_a_hyphen():
    """There is no run, with "--" before them or not: who knows what comes after it."""
    with Injection(*ARGUMENTS) as server, server.connect() as client:
        client.greet()
        for local in HYPHENS:
            # As a sender, quotes are what it begins with.
            if not local.startswith('"'):
                client.command(f"MAIL FROM:<{local}@example.com>", "553 5.1.3 ")
            client.command("MAIL FROM:<a@example.com>", "250 ")
            reply = client.command(f"RCPT TO:<{local}@example.net>", "553 5.1.3 ")
            client.command("DATA", "5")
            client.command("RSET", "250 ")
            print(f"    {'hyphen':<10} {local:<30} {reply}", flush=True)
        # The extension is an argument of its own, and so is the domain.
        client.command("MAIL FROM:<>", "250 ")
        client.command("RCPT TO:<a+-rf@example.net>", "553 5.1.3 ")
        client.command('RCPT TO:<"a+-rf"@example.net>', "553 5.1.3 ")
        client.command("RCPT TO:<a@-rf.example>", "5")
        client.command("RSET", "250 ")
        # The null sender is none; a hyphen elsewhere neither.
        client.deliver(b"Subject: x\r\n\r\n", sender="")
        check(server.last(), sender=b"")
        client.deliver(b"Subject: x\r\n\r\n", sender="a-b@example.com",
                       recipient="b-c+d-e@example.net")
        check(server.last(), sender=b"a-b@example.com", local=b"b-c+d-e",
              mailbox=b"b-c+d-e@example.net")


def hyphens_are_for_those_without_command_lines():
    """A command that gets no address as an argument takes any."""
    with Injection("fixed") as server, server.connect() as client:
        client.greet()
        client.deliver(b"Subject: x\r\n\r\n", sender="-f@example.com", recipient="-rf@example.net")
        run = server.last()
        assert run.arguments[3:] == [b"fixed"]
        assert run.environment["SENDER"] == b"-f@example.com"
        assert run.environment["RECIPIENT"] == b"-rf@example.net"


def names():
    with Injection(*ARGUMENTS) as server, server.connect() as client:
        client.expect("220 ")
        for name in NAMES:
            helo = name.encode("latin-1")
            client.send(b"EHLO " + helo + b"\r\n")
            client.expect("250-")
            client.deliver(b"Subject: x\r\n\r\n")
            run = server.last()
            show("HELO", run, 9)
            check(run, helo=helo)
        # One that is longer is cut, and the same everywhere.
        client.send(b"EHLO " + b"a" * 1000 + b"\r\n")
        client.expect("250-")
        client.deliver(b"Subject: x\r\n\r\n")
        run = server.last()
        show("HELO", run, 9)
        check(run, helo=b"a" * 255)
        # What is no line of text is no HELO.
        for name in b"a\nb", b"a\rb", b"a\0b", b"\x1b[2J":
            client.send(b"EHLO " + name + b"\r\nEHLO client.example\r\nNOOP\r\n")
            while not client.reply().startswith("250 2.0.0"):
                pass
            client.deliver(b"Subject: x\r\n\r\n")
            check(server.last())


def users():
    with Injection(*ARGUMENTS) as server:
        for name in [text.encode("latin-1") for text in NAMES] + BYTES:
            with server.connect() as client:
                client.greet()
                proof = base64.b64encode(b"\0" + name + b"\0pencil")
                client.send(b"AUTH PLAIN " + proof + b"\r\n")
                reply = client.reply()
                if not reply.startswith("235 "):
                    print(f"    {'user':<10} {name[:60]!r}: {reply}", flush=True)
                    assert reply.startswith("5"), reply
                    continue
                client.deliver(b"Subject: x\r\n\r\n")
                run = server.last()
                show("user", run, 10)
                check(run, user=name)
        assert server.seen >= len(NAMES), "few names were taken"


def names_that_would_be_options():
    """Without "--" before them, they are not given to a command that begins an argument so."""
    with Injection("%{helo}", "%{sender}", "--", "%{helo}") as server, \
            server.connect() as client:
        client.expect("220 ")
        for name in "-f", "--help", "-":
            client.command(f"EHLO {name}", "250-")
            client.fail_to_deliver(b"Subject: x\r\n\r\n", "550 5.7.1 ")
            print(f"    {'HELO':<10} {name:<30} refused", flush=True)
        client.command("EHLO a-f", "250-")
        client.deliver(b"Subject: x\r\n\r\n")
        assert server.last().arguments[3:] == [b"a-f", b"a@example.com", b"--", b"a-f"]
    with Injection("name=%{helo}", "--", "%{helo}") as server, server.connect() as client:
        client.expect("220 ")
        client.command("EHLO -f", "250-")
        client.deliver(b"Subject: x\r\n\r\n")
        assert server.last().arguments[3:] == [b"name=-f", b"--", b"-f"]


def recipients_are_one_argument_each():
    recipients = ['"a b"@example.net', '"; touch owned"@example.net', "%{sender}@example.net",
                  "*@example.net", '"a\\"b"@example.net']
    with Injection("[", "%{recipients}", "]", per_recipient=False) as server, \
            server.connect() as client:
        client.greet()
        client.command("MAIL FROM:<>", "250 ")
        for recipient in recipients:
            client.command(f"RCPT TO:<{recipient}>", "250 ")
        client.command("DATA", "354 ")
        client.send(b"Subject: x\r\n\r\n.\r\n")
        client.expect("250 ")
        run = server.last()
        assert run.arguments[3:] == [b"[", *(text.encode() for text in recipients), b"]"], \
            run.arguments
        assert run.environment["RECIPIENTS"].split(b"\n") == run.arguments[4:-1]
        assert set(run.environment) == ALWAYS


def a_script_is_not_a_shell_line():
    """A command that hands its argument to a shell by itself is warned of in sinkd.conf(5);
    one that uses it in quotes is safe."""
    script = 'printf "%%s\\n" "$1" "$HELO" "$SENDER" >> work/said'
    with PipeServer(section("handler", "/bin/sh", "-c", script, "sh", "%{recipient}",
                            directory=HERE), workers=1) as server, server.connect() as client:
        client.expect("220 ")
        client.command("EHLO $(touch work/owned)", "250-")
        client.deliver(b"Subject: x\r\n\r\n", recipient='"$(touch work/owned)"@example.net',
                       sender="`touch`@example.com")
        assert server.out("said") == (b'"$(touch work/owned)"@example.net\n$(touch work/owned)\n'
                                      b"`touch`@example.com\n"), server.out("said")
        assert not os.path.exists(server.path("work", "owned"))


run(addresses, what_is_no_address, addresses_that_begin_with_a_hyphen, hyphens_are_for_those_without_command_lines,
    names, users, names_that_would_be_options, recipients_are_one_argument_each,
    a_script_is_not_a_shell_line)
