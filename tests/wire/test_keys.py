"""Private keys are in one process, and nowhere else; when it dies the next one takes its
place; a mistake with a key stops the start, and leaves a reload without effect."""

import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess

from certificates import any_certificate
from channels import channel_of
from sinkd_server import LEVEL, SINKD, Server, built_with_sanitizers, status_of, wait_until
from wire_test import Skip, need_program, need_root, output_of, run

# So many processes sign for one generation: as many as can at the same time.
KEYS = min(os.sysconf("SC_NPROCESSORS_ONLN"), 8)
LISTEN = 'listen "mx" { address = {"127.0.0.1:0"} }\n'
DISCARD = 'deliver "null" { type = "discard" }\n'


def openssl(*words):
    need_program("openssl")
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


def make_pair(directory, name, kind="rsa:2048"):
    """A certificate and its key; also the secret numbers, as bytes in both orders."""
    os.makedirs(directory, exist_ok=True)
    certificate, key = (os.path.join(directory, name + end) for end in (".crt", ".key"))
    options = kind.split(":") if ":" in kind else [kind]
    new = ["-newkey", kind] if options[0] == "rsa" else \
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" + kind]
    openssl("req", "-x509", "-nodes", "-days", "90", "-subj", f"/CN={name}", *new,
            "-keyout", key, "-out", certificate)
    return certificate, key


def secrets_of(key):
    """The numbers that nobody may have, in the forms that memory could hold them."""
    text = openssl("pkey", "-in", key, "-noout", "-text")
    found = []
    for name in "privateExponent", "prime1", "prime2", "priv":
        match = re.search(rf"^{name}:\s*((?:\s+[0-9a-f:]+\n)+)", text, re.M)
        if match:
            number = bytes.fromhex(re.sub(r"[\s:]", "", match[1])).lstrip(b"\0")
            # Whole, or in limbs of 64 bits, the last of which comes first.
            found += [number[:32], number[::-1][:32]]
    assert found, text
    with open(key) as file:
        found.append(file.read().splitlines()[3].encode())
    return found


def memory_of(pid):
    """All that a process has in its memory and can be read."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            begin, end = (int(number, 16) for number in area.split("-"))
            if not rights.startswith("r") or "[v" in line:
                continue
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except (OSError, OverflowError):
                pass


def has_any(pid, secrets):
    return any(secret in piece for piece in memory_of(pid) for secret in secrets)


def tls_section(certificate, key):
    return f'tls {{ certificate = {{"{certificate}"}}  key = {{"{key}"}} }}\n'


class KeyServer(Server):
    """With a key of its own."""

    def __init__(self, kind="rsa:2048", **options):
        super().__init__(listen=None, **options)
        try:
            self.certificate, self.key = make_pair(self.path("pki"), "mx.example.test", kind)
        except BaseException:
            self.discard_all()
            raise
        self.write(tls_section(self.certificate, self.key))
        self.arguments += ["-f", self.path("sinkd.conf")]

    def write(self, tls):
        with open(self.path("sinkd.conf"), "w") as file:
            file.write(LISTEN + DISCARD + tls + self.pool)

    pool = "workers { start = 2  min-spare = 2  max-spare = 2  max = 4 }\n"

    def key_processes(self):
        """The pids, once there are all of one generation and no others."""
        return wait_until(lambda: len(self.keys()) == KEYS and self.keys(), what="keys processes")

    def key_process(self):
        return self.key_processes()[0]


def only_keys_processes_have_the_key():
    need_root()
    if built_with_sanitizers():
        raise Skip("the memory of a sanitizer has no end")
    for kind in "rsa:2048", "P-256":
        with KeyServer(kind) as server:
            server.wait_idle(2)
            server.wait_cleaned()
            keys = server.key_processes()
            secrets = secrets_of(server.key)
            for pid in server.processes():
                # Where it must be, or the search would find nothing anywhere.
                assert has_any(pid, secrets) == (pid in keys), \
                    (kind, pid, server.pid, server.children())
            both = server.path("pki", "both.pem")
            with open(both, "w") as file:
                for name in server.key, server.certificate:
                    with open(name) as part:
                        file.write(part.read())
            os.chmod(both, 0o600)
            server.write(tls_section(both, both))
            old = {*keys, *server.workers()}
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: server.events("server.reload"), what="the reload")
            wait_until(lambda: not old & set(server.processes()),
                       what="the end of the old processes")
            server.wait_idle(2)
            server.wait_cleaned()
            keys = server.key_processes()
            for pid in server.processes():
                assert has_any(pid, secrets) == (pid in keys), (kind, pid, server.children())


def it_gives_up_all_that_it_does_not_need():
    with KeyServer() as server:
        server.wait_idle(2)
        status = status_of(server.key_process())
        assert status["NoNewPrivs"] == ["1"], status
        if os.geteuid() == 0:
            assert "0" not in status["Uid"] + status["Gid"], status
        for capabilities in "CapPrm", "CapEff", "CapInh", "CapAmb":
            assert int(status[capabilities][0], 16) == 0, status
        if "missing" not in str(server.events("server.sandbox")):
            assert int(status["Seccomp"][0]) in (0, 2), status
        if os.geteuid() != 0:
            return
        # The three standard ones, the channel; no listener, no key, no log but stderr.
        path = f"/proc/{server.key_process()}/fd"
        kinds = [os.readlink(os.path.join(path, fd)) for fd in os.listdir(path)]
        assert len(kinds) == 4 and len([k for k in kinds if k.startswith("socket:")]) == 1, kinds


def one_that_is_killed_comes_back():
    with KeyServer() as server:
        server.wait_idle(2)
        server.sinkctl("log-level", "debug")
        workers = server.workers()
        for deaths in 1, 2:
            pid = server.key_process()
            os.kill(pid, signal.SIGKILL)
            # One that is killed before it is ready has failed to start.
            wait_until(lambda: len(server.events("keys.start")) == deaths, what="another")
            wait_until(lambda: pid not in server.keys() and len(server.keys()) == KEYS,
                       what="another")
            wait_until(lambda: len(server.events("keys.exit")) == deaths, what="its event")
        lines = server.events("keys.exit")
        assert f" keys={pid} signal=KILL" in lines[-1] and " wait_ms=0" in lines[0], lines
        assert server.workers() == workers
        # Who stops the processes of the server one by one finds it still at work.
        pid = server.key_process()
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            os.kill(pid, number)
        with server.connect() as client:
            client.greet()
        assert server.key_process() == pid


def clients_of_a_server_that_drains_have_keys():
    with KeyServer() as server:
        server.wait_idle(2)
        with server.connect() as client:
            client.greet()
            client.address_message()
            server.sinkctl("drain")
            pids = server.key_processes()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(server.keys()) == KEYS and not set(server.keys()) & set(pids),
                       what="others")
            lines = server.events("keys.exit")
            assert len(lines) == KEYS, lines
            for line in lines:
                assert " level=warn " in line and " signal=KILL" in line, line
            client.start_tls(any_certificate())
            client.command("EHLO x", "250-")
            client.command("QUIT", "221 ")
        server.wait_exit()


def ask(channel, key, algorithm, data, length=None):
    """As net/remote_key.c does; the status and the signature."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            header = struct.pack("=III", key, algorithm, len(data) if length is None else length)
            socket.send_fds(channel, [header + data], [theirs.fileno()])
        ours.settimeout(10)
        answer = ours.recv(4096)
    if not answer:
        raise EOFError
    status, size = struct.unpack("=iI", answer[:8])
    assert len(answer) == 8 + size
    return status, answer[8:]


RSA_RAW, RSA_PSS_SHA256, ECDSA_SHA256 = 36, 40, 14  # gnutls_sign_algorithm_t


def it_signs_in_its_cage_and_nothing_else():
    need_root()
    with KeyServer() as server:
        server.wait_idle(2)
        pid = server.key_process()
        info = bytes.fromhex("3031300d060960864801650304020105000420") + b"h" * 32
        with channel_of(server.workers()[0]) as channel:
            for _ in range(20):
                status, signature = ask(channel, 0, RSA_RAW, info)
                assert status == 0 and len(signature) == 256
                assert ask(channel, 0, RSA_PSS_SHA256, b"h" * 32)[0] == 0
            for wrong in (1, RSA_RAW, info), (0, RSA_RAW, info[:-1]), (0, ECDSA_SHA256, b"h" * 32), \
                    (0, RSA_RAW, b""), (0, RSA_RAW, info, 2 ** 32 - 1), (2 ** 31, 2 ** 31, info):
                status, signature = ask(channel, *wrong)
                assert status != 0 and not signature, wrong
            for junk in b"", b"x" * 100, b"x" * 60000:
                channel.send(junk)
            socket.send_fds(channel, [info], [0] * 100)
            assert ask(channel, 0, RSA_RAW, info)[0] == 0
        # The process that refused may be another than the one that answered last.
        wait_until(lambda: len(server.events("keys.refused")) == 10, what="ten refusals")
        assert server.key_process() == pid
        with open(server.path("signature"), "wb") as file:
            file.write(ask_once(server, info))
        recovered = subprocess.run(
            ["openssl", "pkeyutl", "-verifyrecover", "-inkey", server.key,
             "-in", server.path("signature")], check=True, capture_output=True).stdout
        assert recovered == info


def ask_once(server, info):
    with channel_of(server.workers()[0]) as channel:
        return ask(channel, 0, RSA_RAW, info)[1]


def a_question_waits_for_the_next_process():
    need_root()
    with KeyServer() as server:
        server.wait_idle(2)
        pids = server.key_processes()
        with channel_of(server.workers()[0]) as channel:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            status = None
            for _ in range(KEYS + 1):
                try:
                    status, _ = ask(channel, 0, RSA_PSS_SHA256, b"h" * 32)
                    break
                except EOFError:
                    pass  # It died over the question; the next one gets an answer.
            assert status == 0
        # One that was killed may not be dead yet.
        wait_until(lambda: not set(server.key_processes()) & set(pids), what="new processes")


def one_that_hangs_is_waited_for_in_vain():
    """And whoever waits does not hang for that, however short a handshake may be."""
    if LEVEL:
        raise Skip("waits for a clock that no level changes")
    with KeyServer("P-256") as server:
        server.wait_idle(2)
        server.write(tls_section(server.certificate, server.key) + 'timeouts { tls = "1s" }\n')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.events("server.reload"), what="the reload")
        server.wait_idle(2)
        for pid in server.key_processes():
            os.kill(pid, signal.SIGSTOP)
        with server.connect(seconds=20) as client:
            client.greet()
            try:
                client.start_tls(any_certificate())
            except (ssl.SSLError, OSError):
                pass
            else:
                raise AssertionError("nobody has signed")
        [line] = wait_until(lambda: server.events("tls.failed"), what="a line about it")
        assert " level=error " in line and "the keys process has not signed" in line, line
        assert not server.events("worker.hung")
        for pid in server.key_processes():
            os.kill(pid, signal.SIGCONT)
        with server.connect() as client:
            client.greet()
            client.start_tls(any_certificate())


def it_lives_as_long_as_its_generation():
    with KeyServer() as server:
        server.wait_idle(2)
        before = server.key_processes()
        with server.connect() as client:
            client.greet()
            server.process.send_signal(signal.SIGUSR1)
            wait_until(lambda: server.events("server.reload"), what="another generation")
            wait_until(lambda: len(server.keys()) == 2 * KEYS, what="its keys processes")
            assert set(before) < set(server.keys())
            client.command("QUIT", "221 ")
        assert not set(server.key_processes()) & set(before)
        server.process.kill()
        wait_until(lambda: not server.processes(), what="the end of all")
        server.status = -signal.SIGKILL


def mistakes_stop_the_start_and_no_reload():
    with KeyServer() as server:
        server.wait_idle(2)
        keys = server.key_processes()
        [before] = server.events("server.certificate")
        assert ' subject="CN=mx.example.test" fingerprint=' in before, before
        other, other_key = make_pair(server.path("pki"), "other.example.test", "P-256")
        server.write(tls_section(server.certificate, other_key))
        expected = f"sinkd.conf:3: tls: key: '{other_key}': does not fit the certificate"
        for words in ["-t"], []:
            text = output_of(SINKD, *words, "-f", server.path("sinkd.conf"),
                             cwd=server.directory, status=78)
            assert expected in text, text
        server.process.send_signal(signal.SIGHUP)
        [line] = wait_until(lambda: server.events("server.reload"), what="the refusal")
        assert "refused, going on as before" in line and expected in line, line
        assert server.keys() == keys
        server.write(tls_section(other, other_key))
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.events("server.reload")) == 2, what="the reload")
        assert ' subject="CN=other.example.test" ' in server.events("server.certificate")[1]
        wait_until(lambda: not set(keys) & set(server.keys()), what="the new key")


def the_death_of_who_reads_a_key_is_told():
    with KeyServer() as server:
        # Files of memory count as well; what is said goes into a pipe.
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        found = subprocess.run(
            [SINKD, "--test", "-f", server.path("sinkd.conf")], capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard)))
        assert found.returncode != 0 and "the process for it died" in found.stderr, found.stderr


def one_of_our_own_lasts_as_long_as_the_master():
    fingerprint = re.compile(r" fingerprint=(\S+) key=\"ECDSA 256\" .* file=self-signed")
    with Server("--discard", workers=1) as server:
        server.wait_idle(1)
        for number in signal.SIGHUP, signal.SIGUSR1:
            count = len(server.events("server.reload"))
            server.process.send_signal(number)
            wait_until(lambda: len(server.events("server.reload")) > count, what="the reload")
        lines = server.events("server.certificate")
        assert len({fingerprint.search(line)[1] for line in lines}) == 1 and len(lines) == 3, lines


def a_server_without_tls_has_none():
    config = 'listen "mx" { address = {"127.0.0.1:0"}  tls = "off" }\n'
    with Server(config=config, listen=None, workers=1) as server:
        server.wait_idle(1)
        assert not server.keys() and not server.events("server.certificate")


run(only_keys_processes_have_the_key, it_gives_up_all_that_it_does_not_need,
    it_signs_in_its_cage_and_nothing_else, one_that_is_killed_comes_back,
    clients_of_a_server_that_drains_have_keys, a_question_waits_for_the_next_process,
    one_that_hangs_is_waited_for_in_vain, it_lives_as_long_as_its_generation,
    mistakes_stop_the_start_and_no_reload, the_death_of_who_reads_a_key_is_told,
    one_of_our_own_lasts_as_long_as_the_master,
    a_server_without_tls_has_none)
