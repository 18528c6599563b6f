"""sinkctl: what it shows, what it steers, and what the server makes of garbage."""

import array
import contextlib
import json
import os
import re
import signal
import socket
import struct
import tempfile
import time

from sinkd_server import SINKCTL, SINKD, Server, copy_program, wait_until
from wire_test import need_root, output_of, run

MAGIC, VERSION = b"sink", 3
SNAPSHOT, RELOAD, STOP = range(3)
REQUEST = struct.Struct("=4sIIi64s")
REPLY = struct.Struct("=4sIi")
REPLY_SIZE = 4 * 3 + 500

# A server that stops listens nowhere, one without TLS has no certificate, most have no rule.
MAY_BE_EMPTY = "sinkd_clients_waiting", "sinkd_certificate_expiry_seconds", "sinkd_rule_hits"


def request(command, magic=MAGIC, version=VERSION):
    return REQUEST.pack(magic, version, command, 0, b"")


def raw_client():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.bind("")  # A name of the kernel's choice.
    return client


def send_with_descriptors(sender, data, descriptors, to):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sender.sendmsg([data], rights if descriptors else [], 0, to)


def control_of(server):
    return server.path("run", "control")


def status_of(server):
    return json.loads(server.sinkctl("--format", "json", "status")[0])


def descriptors_of(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


# --- OpenMetrics ---------------------------------------------------------------------

SUFFIXES = {"gauge": {""}, "counter": {"_total"}, "info": {"_info"}, "stateset": {""},
            "histogram": {"_bucket", "_count", "_sum"}}
LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")


def parse_openmetrics(text):
    """{family: (type, {(suffix, labels): value})} of an exposition that keeps to the
    rules of OpenMetrics 1.0; else an AssertionError."""
    assert text.endswith("\n# EOF\n"), text[-50:]
    families, current = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        assert line, "an empty line"
        if meta := re.fullmatch(r"# (TYPE|UNIT|HELP) (\S+) (.+)", line):
            kind, name, value = meta.groups()
            if current is None or name != current:
                assert name not in families, f"{name} is interleaved or comes twice"
                families[name] = ({}, {})
                current = name
            of_family, samples = families[name]
            assert not samples, f"{line}: after its samples"
            assert kind not in of_family, line
            of_family[kind] = value
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        assert current and name.startswith(current), f"{line}: without its family"
        of_family, samples = families[current]
        suffix = name[len(current):]
        assert suffix in SUFFIXES[of_family["TYPE"]], line
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
        assert len(dict(pairs)) == len(pairs), f"{line}: a label twice"
        key = suffix, tuple(sorted(pairs))
        assert key not in samples, f"{line}: twice"
        samples[key] = float(value)
    for name, (of_family, samples) in families.items():
        check_family(name, of_family, samples)
    return {name: (of_family["TYPE"], samples) for name, (of_family, samples) in families.items()}


def check_family(name, of_family, samples):
    kind = of_family["TYPE"]
    assert not name.endswith(("_total", "_bucket", "_count", "_sum", "_info")), name
    assert of_family["HELP"] and samples or name in MAY_BE_EMPTY, name
    if "UNIT" in of_family:
        assert name.endswith("_" + of_family["UNIT"]), name
    if kind in ("counter", "histogram"):
        assert all(value >= 0 for value in samples.values()), samples
    if kind == "stateset":
        assert set(samples.values()) <= {0, 1}
        assert all([label for label, _ in labels] == [name] for _, labels in samples), samples
    if kind == "histogram":
        buckets = [(float(dict(labels)["le"]), value)
                   for (suffix, labels), value in samples.items() if suffix == "_bucket"]
        assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), buckets
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert samples["_count", ()] == buckets[-1][1] and samples["_sum", ()] >= 0


def the_checker_of_openmetrics_sees():
    good = "# TYPE a counter\n# HELP a A.\na_total{b=\"c\"} 1\n# EOF\n"
    assert parse_openmetrics(good) == {"a": ("counter", {("_total", (("b", "c"),)): 1.0})}
    histogram = ("# TYPE h histogram\n# HELP h H.\nh_bucket{le=\"1.0\"} %d\n"
                 "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count %d\n# EOF\n")
    parse_openmetrics(histogram % (1, 2))
    for bad in (good[:-6], good.replace("a_total", "a"), good.replace("b=", "b:"),
                good.replace("# EOF", "a_total{b=\"c\"} 2\n# EOF"),
                good.replace("} 1", "} x"), good.replace('"c"', '"c"",'),
                good.replace("# HELP", "# UNIT a seconds\n# HELP"),
                good.replace("# EOF", "# TYPE d gauge\n# HELP d D.\nd 1\na_total 1\n# EOF"),
                histogram % (3, 2), histogram % (1, 3)):
        try:
            parse_openmetrics(bad)
        except (AssertionError, ValueError, KeyError):
            continue
        raise AssertionError(f"passed: {bad}")


# --- what it shows -------------------------------------------------------------------

def numbers_follow_what_happens():
    with Server(workers=3) as server, server.connect() as client:
        client.expect("220 ")
        client.command("EHLO client.example", "250-")
        client.deliver(b"Subject: counted\r\n\r\n")
        status = wait_until(lambda: (s := status_of(server))["totals"]["messages_accepted"] == 1
                            and s, what="a message counted")
        assert status["state"] == "running" and status["pid"] == server.pid
        assert status["workers"]["idle"] == 2 and status["workers"]["busy"] == 1, status
        assert status["totals"]["sessions"] == 1 and status["rates"]["sessions"] > 0
        [listener] = status["listeners"]
        assert listener["address"] == "%s:%d" % server.addresses[0], listener
        sessions = json.loads(server.sinkctl("sessions", "--format", "json")[0])["sessions"]
        assert sorted(row["pid"] for row in sessions) == sorted(server.workers())
        [busy] = [row for row in sessions if row["client"]]
        assert all(row["seconds"] < 60 for row in sessions), sessions
        assert busy["client"] == "127.0.0.1" and busy["served"] == 1, busy
        assert busy["helo"] == "client.example" and busy["messages"] == 1, busy
        assert busy["port"] == client.socket.getsockname()[1] and busy["bytes"] > 0, busy
        families = parse_openmetrics(server.sinkctl("metrics")[0])
        assert families["sinkd_messages"][1]["_total", (("result", "accepted"),)] == 1
        assert families["sinkd_workers"][1]["", (("state", "busy"),)] == 1
        assert families["sinkd_commands"][1]["_total", (("result", "accepted"),
                                                        ("verb", "RCPT"))] == 1
        assert families["sinkd_delivery_seconds"][1]["_count", ()] == 1
        assert families["sinkd_start_time_seconds"][1]["", ()] == status["started"]
        by_json = {family["name"]: family for family in
                   json.loads(server.sinkctl("metrics", "--format", "json")[0])["metrics"]}
        assert by_json.keys() == families.keys()
        [sample] = by_json["sinkd_sessions"]["samples"]
        assert sample == {"name": "sinkd_sessions_total", "labels": {}, "value": 1}, sample


def tables_are_for_people():
    with Server(workers=2) as server, server.connect() as client:
        client.greet()
        text = server.sinkctl("status")[0]
        assert f"process {server.pid}: running\n" in text and "\nsessions " in text, text
        assert "\nLISTENER " in text, text
        head, *rows = server.sinkctl("sessions")[0].splitlines()
        assert head.split()[:4] == ["WORKER", "PROCESS", "GEN", "STATE"], head
        assert len(rows) == 2 and sum(" 127.0.0.1 " in row for row in rows) == 1, rows
        metrics = server.sinkctl("metrics", "--format", "table")[0]
        assert re.search(r"^sinkd_sessions_total +1$", metrics, re.M), metrics
        assert "#" not in metrics


def the_socket_is_found_as_the_server_found_it():
    with Server("-w", "1") as server:
        text = output_of(SINKCTL, "status", env={**os.environ,
                                                 "RUNTIME_DIRECTORY": server.path("run")})
        assert f"process {server.pid}" in text


def a_directory_that_others_can_change_is_not_asked():
    with Server("-w", "1") as server:
        environment = {**os.environ, "RUNTIME_DIRECTORY": server.path("run")}
        os.chmod(server.path("run"), 0o777)
        text = output_of(SINKCTL, "stop", status=69, env=environment)
        assert "not asking at" in text and "--socket" in text, text
        os.chmod(server.path("run"), 0o755)
        os.chmod(server.directory, 0o777)
        text = output_of(SINKCTL, "stop", status=69, env=environment)
        assert "not asking at" in text, text
        # Whoever names it has looked at it.
        text = output_of(SINKCTL, "-s", server.path("run", "control"), "status", env=environment)
        assert f"process {server.pid}" in text, text
        os.chmod(server.directory, 0o755)
        environment["RUNTIME_DIRECTORY"] = server.path("none")
        text = output_of(SINKCTL, "status", status=69, env=environment)
        assert "no sinkd answers at" in text and "No such file" in text, text


# --- steering ------------------------------------------------------------------------

def levels_change_while_it_runs():
    with Server("-w", "1", config='log { level = "warn" }\n') as server:
        with server.connect() as client:
            client.greet()
            client.command("QUIT", "221 ")
        assert not server.events("session.start")
        server.sinkctl("log-level", "info")
        server.sinkctl("verbose", "on")
        with server.connect() as client:
            client.greet()
            client.command("QUIT", "221 ")
        wait_until(lambda: server.events("session.end"), what="a session in the log")
        assert any("line=QUIT" in line for line in server.events("session.command"))
        server.sinkctl("verbose", "off")
        server.sinkctl("log-level", "error")
        with server.connect() as client:
            client.greet()
            client.command("QUIT", "221 ")
            client.expect_closed()
        assert len(server.events("session.end")) == 1


def rules_of(server):
    shown = json.loads(server.sinkctl("--format", "json", "rules")[0])
    return {rule["name"]: (rule["stage"], rule["on"], rule["switched"])
            for rule in shown["rules"]}


def rules_are_switched_by_their_names():
    full = 'rule "is full" { on = "rcpt"  reply = "452 4.2.2 Full" }\n'
    slow = 'rule "slow" { on = "helo"  delay = "1ms"  enabled = false }\n'
    with Server("-w", "1", config=full + slow) as server:
        assert rules_of(server) == {"is full": ("rcpt", True, False),
                                    "slow": ("helo", False, False)}
        server.sinkctl("rule", "is full", "off")
        server.sinkctl("rule", "slow", "on")
        switched = {"is full": ("rcpt", False, True), "slow": ("helo", True, True)}
        assert rules_of(server) == switched
        assert "is full                          rcpt       switched off" in \
            server.sinkctl("rules")[0]
        [_, line] = server.events("control.request")
        assert " command=rule " in line and line.endswith(" rule=slow"), line
        # In another order, and without one of them for a while.
        configure(server, slow)
        server.sinkctl("reload")
        assert list(rules_of(server)) == ["slow"]
        configure(server, slow + full)
        server.sinkctl("reload")
        assert rules_of(server) == switched
        assert list(rules_of(server)) == ["slow", "is full"]
        _, error = server.sinkctl("rule", "none", "on", status=1)
        assert error == "sinkctl: the server refuses: there is no such rule\n", error
        # It is not cut to that of another one.
        _, error = server.sinkctl("rule", "x" * 64, "on", status=64)
        assert "no rule has so long a name" in error, error
        assert 'sinkd_rule_hits_total{rule="is full"} ' in server.sinkctl("metrics")[0]
    with Server("-w", "1") as server:
        assert rules_of(server) == {}


def what_a_client_calls_itself_is_shown_harmless():
    with Server("-w", "1") as server, server.connect() as client:
        client.expect("220 ")
        client.send(b"HELO a\x1b[31m\r\n")
        client.reply()
        client.command('EHLO [IPv6:2001:db8::1]', "250-")
        for form in "table", "json":
            text = server.sinkctl("sessions", "--format", form)[0]
            assert text.replace("\n", "").isprintable() and "2001:db8::1" in text, text


def an_order_and_questions_at_once():
    """What the master frees for the order is not looked at for the questions behind it."""
    for _ in range(5):
        with Server("-w", "1") as server, server.connect() as busy, raw_client() as client:
            busy.greet()
            busy.open_message()
            os.kill(server.pid, signal.SIGSTOP)
            try:
                for command in SNAPSHOT, STOP, SNAPSHOT, SNAPSHOT:
                    client.sendto(request(command), control_of(server))
            finally:
                os.kill(server.pid, signal.SIGCONT)
            client.settimeout(10)
            for _ in range(4):
                assert REPLY.unpack_from(client.recv(1000))[:3] == (MAGIC, VERSION, 0)
            busy.send(b"\r\n.\r\n")
            busy.expect("250 2.0.0 Ok: ")
            assert server.wait_exit(5) == 0


def stop_is_like_term():
    with Server("-w", "2") as server, server.connect() as busy:
        busy.greet()
        busy.open_message()
        busy.send(b"Subject: in flight\r\n")
        assert server.sinkctl("stop")[0].startswith("stopping;")
        # It can still be asked, for as long as it has a client.
        assert status_of(server)["state"] == "stopping"
        assert "LISTENER" not in server.sinkctl("status")[0]
        busy.send(b"\r\n.\r\n")
        busy.expect("250 2.0.0 Ok: ")
        assert server.wait_exit(5) == 0
        assert not os.path.exists(control_of(server))
        [line] = server.events("control.request")
        assert "command=stop" in line and f"uid={os.geteuid()}" in line, line


def configure(server, text):
    with open(server.path("sinkd.conf"), "w") as file:
        file.write(text)


def reload_waits_for_the_end():
    with Server("-w", "1", config='greeting = "one"\n') as server:
        configure(server, 'greeting = "two"\n')
        assert server.sinkctl("reload") == ("reloaded, generation 2\n", "")

        def greeting():
            with server.connect() as client:
                return client.expect("220 ")

        # An idle worker of before may take one more client.
        wait_until(lambda: greeting() == "220 two", what="the new greeting")
        conf = server.path("sinkd.conf")
        configure(server, '\nlimits { recipients = 0 }\ntimeouts { grace = "never" }\n')
        output, error = server.sinkctl("reload", status=1)
        assert output == "" and error.startswith(f"sinkctl: the server refuses: {conf}:2: ") \
            and error.count("\n") == 1, error
        # The longest one: all that extensions may have.
        configure(server, 'listen "a" { address = {"127.0.0.1:0"} extensions = {"EXPM"} }\n')
        _, error = server.sinkctl("reload", status=1)
        assert "'EXPM': must be \"PIPELINING\" or " in error and error.endswith(
            ' or "EXPN" or "ETRN"\n'), error
        os.unlink(conf)
        _, error = server.sinkctl("reload", status=1)
        assert "cannot read" in error and "No such file" in error, error
        configure(server, 'log { target = "/nonexistent/log" }\n')
        _, error = server.sinkctl("reload", status=1)
        assert "the reload failed, going on as before; see the log" in error, error
        assert status_of(server)["generation"] == 2


def reload_tells_that_workers_cannot_be_started():
    with Server("-w", "1", config="") as server:
        server.make_readonly_maildir("readonly")
        configure(server, 'deliver "a" { type = "maildir"  path = "readonly" }\n')
        output, error = server.sinkctl("reload", status=1)
        assert output == "" and error == ("sinkctl: the reload failed, the server goes on as "
                                          "before; see the log\n"), (output, error)
        assert 'step="write to delivery"' in server.log()
        assert status_of(server)["generation"] == 1


# --- what goes wrong -----------------------------------------------------------------

def there_is_no_server():
    with tempfile.TemporaryDirectory(prefix="sinkd-wire-") as directory:
        path = os.path.join(directory, "control")
        text = output_of(SINKCTL, "-s", path, "status", status=69)
        assert f"no sinkd answers at '{path}': No such file or directory" in text, text
        assert "--socket" in text
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(path)  # Closed at once.
        text = output_of(SINKCTL, "-s", path, "status", status=69)
        assert "Connection refused" in text, text
        text = output_of(SINKCTL, "-s", "/" + "x" * 200, "status", status=69)
        assert "File name too long" in text, text


def wrong_usage():
    for words in ([], ["plant"], ["status", "now"], ["log-level"], ["log-level", "loud"],
                  ["verbose", "maybe"], ["--format", "xml", "status"], ["--planted"],
                  ["status", "--format", "prometheus"], ["stop", "--format", "json"]):
        text = output_of(SINKCTL, *words, status=64)
        assert text.startswith("sinkctl: ") and "Try 'sinkctl --help'." in text, text
    for words, takes in ((["verbose", "maybe"], "verbose takes on or off: maybe"),
                         (["verbose"], "verbose takes on or off"),
                         (["rule", "full"], "rule takes a name, and on or off"),
                         (["rule", "full", "maybe"], "rule takes a name, and on or off: maybe"),
                         (["rule"], "rule takes a name, and on or off"),
                         (["log-level", "loud"],
                          "log-level takes debug, info, warn or error: loud")):
        assert output_of(SINKCTL, *words, status=64).startswith(f"sinkctl: {takes}\n")
    assert output_of(SINKCTL, "-V").startswith("sinkctl ")


def what_cannot_be_written_is_a_failure():
    for program, options in ((SINKCTL, ("-h", "-V")), (SINKD, ("-h", "-V", "-p"))):
        name = os.path.basename(program)
        for option in options:
            assert output_of(program, option)
            text = output_of("sh", "-c", f"{program} {option} >/dev/full", status=1)
            assert text == f"{name}: cannot write to standard output\n", (option, text)


def answer_of(answer, *words, status):
    """What sinkctl says to a server that gives this answer (None: none), and descriptor."""
    with tempfile.TemporaryDirectory(prefix="sinkd-wire-") as directory, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as fake:
        path = os.path.join(directory, "control")
        fake.bind(path)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _, sender = fake.recvfrom(1000)
                data, files = answer
                send_with_descriptors(fake, data, files, sender)
            os._exit(0)
        try:
            return output_of(SINKCTL, "-s", path, *(words or ["status"]), status=status)
        finally:
            os.waitpid(child, 0)


def reply(magic=MAGIC, version=VERSION, status=0, text=b""):
    return (struct.pack("=4sIi", magic, version, status) + text).ljust(REPLY_SIZE, b"\0")


def servers_that_are_none():
    with tempfile.TemporaryFile() as empty, tempfile.TemporaryFile() as other, \
            open("/dev/zero", "rb") as device:
        other.write(MAGIC + struct.pack("=I", VERSION + 1) + bytes(5000))
        other.flush()
        fds = [file.fileno() for file in (empty, other, device)]
        for answer, expected in (
                ((b"", []), "Bad message"),
                ((b"x" * 5, []), "Bad message"),
                ((b"x" * REPLY_SIZE, []), "Bad message"),
                ((reply()[:-1], []), "Bad message"),
                ((reply() + b"x", []), "Bad message"),
                ((reply(), []), "Bad message"),  # No snapshot.
                ((reply(), [fds[0]]), "Bad message"),
                ((reply(), [fds[2]]), "Bad message"),
                ((reply(version=VERSION + 1), []), "another release"),
                ((reply(status=93), []), "another release"),
                ((reply(), [fds[1]]), "another release")):
            text = answer_of(answer, status=69)
            assert expected in text and "sinkctl: " in text, (answer, text)
    text = answer_of((reply(status=1, text=b"no \x1b[31m way"), []), "stop", status=1)
    assert text == "sinkctl: the server refuses: no \\x1B[31m way\n", text
    text = answer_of((reply(status=1, text=b'listen "a": no'), []), "stop", status=1)
    assert text == 'sinkctl: the server refuses: listen "a": no\n', text
    assert answer_of((reply(text=b"\x9bdone"), []), "stop", status=0) == "\\x9Bdone\n"


def a_server_that_says_nothing():
    with Server("-w", "1") as server:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            _, error = server.sinkctl("status", status=69)
            assert "Connection timed out" in error, error
            assert 4.5 < time.monotonic() - started < 15
        finally:
            os.kill(server.pid, signal.SIGCONT)
        server.sinkctl("status")


def garbage_of_many_sizes():
    with Server("-w", "1") as server, raw_client() as client:
        before = descriptors_of(server)
        good = request(RELOAD)
        for size in [*range(0, 200), 1000, 4096, 65536, 150000]:
            for data in (os.urandom(size), (good + bytes(size))[:size], MAGIC + bytes(size)):
                if data != good:
                    client.sendto(data, control_of(server))
        for command in 6, 1000, 2**32 - 1:
            client.sendto(request(command), control_of(server))
        wait_until(lambda: descriptors_of(server) == before and status_of(server),
                   what="the end of garbage")
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                data = client.recv(1000)
                assert len(data) == REPLY_SIZE and REPLY.unpack_from(data)[2] == 93, data[:12]
        # Descriptors, and requests without a name to answer to.
        client.setblocking(True)
        for _ in range(50):
            send_with_descriptors(client, request(SNAPSHOT), [0, 1, 2] * 20, control_of(server))
            send_with_descriptors(client, b"x", [0], control_of(server))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:
            for command in SNAPSHOT, RELOAD:
                unnamed.sendto(request(command), control_of(server))
        # Nor to one that has a path, which could be somebody else's.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named:
            named.bind(server.path("named"))
            named.sendto(request(SNAPSHOT), control_of(server))
            server.sinkctl("status")
            named.setblocking(False)
            try:
                raise AssertionError(named.recv(1000))
            except BlockingIOError:
                pass
        # The one without a name was an order all the same.
        wait_until(lambda: status_of(server)["generation"] == 2, what="the reload")
        wait_until(lambda: descriptors_of(server) == before, what="no descriptor more")
        assert not server.events("worker.exit")


def clients_that_never_read():
    with Server("-w", "1") as server, contextlib.ExitStack() as held:
        before = descriptors_of(server)
        for _ in range(100):
            client = held.enter_context(raw_client())
            for _ in range(10):
                client.sendto(request(SNAPSHOT), control_of(server))
        assert status_of(server)["state"] == "running"
        with server.connect() as smtp:
            smtp.greet()
            smtp.deliver(b"Subject: meanwhile\r\n\r\n")
        assert descriptors_of(server) <= before


def strangers_are_refused():
    need_root()
    with Server("-w", "1") as server:
        # Where the build is, others may not look.
        program = copy_program(SINKCTL, server.path("sinkctl"))
        text = output_of(program, "-s", control_of(server), "stop", status=69,
                         user=65534, group=65534, extra_groups=[])
        assert "Permission denied" in text and "only root" in text, text
        # By the word of the kernel, should somebody open the door.
        os.chmod(control_of(server), 0o666)
        text = output_of(program, "-s", control_of(server), "stop", status=1,
                         user=65534, group=65534, extra_groups=[])
        assert text == "sinkctl: the server refuses: permission denied\n", text
        [line] = server.events("control.refused")
        assert "uid=65534" in line and "level=warn" in line, line
        assert status_of(server)["state"] == "running"


def root_may_steer_the_server_of_another():
    need_root()
    with Server("-w", "1", user=(65534, 65534)) as server:
        assert os.stat(server.path("run")).st_uid == 65534
        assert status_of(server)["pid"] == server.pid


def a_second_server_leaves_the_first_alone():
    with Server("-w", "1") as first:
        with Server("-w", "1", environment={"RUNTIME_DIRECTORY": first.path("run")}) as second:
            [line] = second.events("server.runtime")
            assert "level=warn" in line and "without pid file and sinkctl" in line, line
            assert status_of(first)["pid"] == first.pid
        assert status_of(first)["pid"] == first.pid


def what_a_killed_server_leaves_is_replaced():
    with Server("-w", "1") as server:
        os.makedirs(server.path("other"), mode=0o755)
        path = server.path("other", "control")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(path)
        with Server("-w", "1", environment={"RUNTIME_DIRECTORY": server.path("other")}) as second:
            text = output_of(SINKCTL, "-s", path, "status")
            assert f"process {second.pid}" in text
        assert not os.path.exists(path)


run(the_checker_of_openmetrics_sees, numbers_follow_what_happens, tables_are_for_people,
    the_socket_is_found_as_the_server_found_it,
    a_directory_that_others_can_change_is_not_asked, an_order_and_questions_at_once,
    levels_change_while_it_runs, rules_are_switched_by_their_names,
    what_a_client_calls_itself_is_shown_harmless,
    stop_is_like_term, reload_waits_for_the_end, reload_tells_that_workers_cannot_be_started,
    there_is_no_server, wrong_usage,
    what_cannot_be_written_is_a_failure, servers_that_are_none, a_server_that_says_nothing,
    garbage_of_many_sizes,
    clients_that_never_read, strangers_are_refused, root_may_steer_the_server_of_another,
    a_second_server_leaves_the_first_alone, what_a_killed_server_leaves_is_replaced)
