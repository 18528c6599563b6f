"""What deciding costs: the same load with nothing to ask, with rules that do not match, with a
module and with a policy service that have nothing to say."""

import contextlib
import os
import shutil
import subprocess
import tempfile

from measure import PROGRAMS
from servers import DISCARD, Sinkd
from sinkd_server import wait_until

RULES = 100
WORKLOADS = ["many", "pipelined"]


def rules():
    """They look at the recipient, as most do."""
    return "".join(f'rule "r{number}" {{ on = "rcpt"  recipient = "user{number}@*.invalid" '
                   f'reply = "451 4.7.1 no" }}\n' for number in range(RULES))


def module():
    return f'module "{os.path.join(PROGRAMS, "idle_module.so")}" {{ }}\n'


@contextlib.contextmanager
def policy_service():
    """One that answers as fast as the machine allows; the section to ask it."""
    directory = tempfile.mkdtemp()
    path = os.path.join(directory, "policy")
    with subprocess.Popen([os.path.join(PROGRAMS, "limit_policy"), path],
                          stdin=subprocess.PIPE) as service:
        try:
            os.chmod(directory, 0o755)
            wait_until(lambda: os.path.exists(path), what="the policy service")
            yield f'policy {{ socket = "unix:{path}"  stages = {{"rcpt"}} }}\n'
        finally:
            service.stdin.close()
            service.wait()
            shutil.rmtree(directory)


@contextlib.contextmanager
def layers():
    """Each kind, and its text in the configuration."""
    with policy_service() as policy:
        yield [("nobody decides", ""), (f"{RULES} rules", rules()), ("a module", module()),
               ("a policy service", policy)]


def start(text):
    return lambda prefix=(): Sinkd(DISCARD, 1 if prefix else 50, prefix, more=text)
