"""A Postfix of a test's own, which listens nowhere: it is handed mail by its sendmail(1)
and delivers it by LMTP or SMTP.

    with Postfix({"tcp.example": "lmtp:inet:127.0.0.1:2400"}) as postfix:
        postfix.send("a@tcp.example", ["b@tcp.example"], b"Subject: x\\n\\ntext\\n")

It has directories of its own, so one that really runs on this machine does not notice.
"""

import grp
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

from sinkd_server import PATIENCE, is_running_in_session, wait_until
from wire_test import need_program, need_root, output_of, skip

MAIN = """
compatibility_level = 2
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = mta.example
mydestination =
inet_protocols = ipv4
alias_maps =
alias_database =
local_transport = error:nothing is local
default_transport = error:nothing leaves this machine
transport_maps = inline:{{ {transports} }}
message_size_limit = 100000000
notify_classes =
{options}
"""

# No service of type inet.
SERVICES = """
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
tlsmgr    unix  -  -  n  -   1  tlsmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
flush     unix  n  -  n  -   0  flush
showq     unix  n  -  n  -   -  showq
error     unix  -  -  n  -   -  error
retry     unix  -  -  n  -   -  error
lmtp      unix  -  -  n  -   -  lmtp
smtp      unix  -  -  n  -   -  smtp
scache    unix  -  -  n  -   1  scache
postlog   unix-dgram n - n - 1  postlogd
"""


def need_postfix():
    """The program, on a machine where it can be started."""
    need_root()
    for find, name in (pwd.getpwnam, "postfix"), (grp.getgrnam, "postdrop"):
        try:
            find(name)
        except KeyError:
            skip(f"there is no {name}")
    return need_program("postfix")


class Postfix:
    """transports: {domain: transport and next hop}; options: more lines for main.cf;
    services: more of them for master.cf."""

    def __init__(self, transports, options="", services=""):
        self.program = need_postfix()
        self.directory = tempfile.mkdtemp(prefix="sinkd-postfix-")
        os.chmod(self.directory, 0o755)
        self.configuration = os.path.join(self.directory, "etc")
        for name in "etc", "spool", "data":
            os.mkdir(os.path.join(self.directory, name))
        shutil.chown(os.path.join(self.directory, "data"), "postfix")
        routes = " ".join(f"{{ {domain} = {route} }}" for domain, route in transports.items())
        self.write("main.cf", MAIN.format(directory=self.directory, transports=routes,
                                          options=options))
        self.write("master.cf", SERVICES + services)
        self.process = None

    def write(self, name, text):
        with open(os.path.join(self.configuration, name), "w") as file:
            file.write(text)

    def __enter__(self):
        try:
            # It makes the directories that the queue needs.
            output_of(self.program, "-c", self.configuration, "check")
            daemons = output_of("postconf", "-c", self.configuration, "-h", "daemon_directory").strip()
            self.process = subprocess.Popen(
                [os.path.join(daemons, "master"), "-c", self.configuration, "-d"],
                stdin=subprocess.DEVNULL, start_new_session=True)
            wait_until(lambda: self.is_up() or self.process.poll() is not None, 20, "Postfix")
            assert self.process.poll() is None, self.log()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if failure:
                print(f"--- log of Postfix:\n{self.log()[-6000:]}---", flush=True)
        finally:
            self.end()

    def is_up(self):
        return os.path.exists(os.path.join(self.directory, "spool", "public", "pickup"))

    def end(self):
        if self.process:
            # The master ends its whole process group when it is told to.
            self.process.terminate()
            try:
                wait_until(lambda: self.process.poll() is not None and not self.processes(), 5)
            except AssertionError:
                for pid in self.processes():
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def processes(self):
        return [int(pid) for pid in os.listdir("/proc")
                if pid.isdigit() and is_running_in_session(int(pid), self.process.pid)]

    def log(self):
        try:
            with open(os.path.join(self.directory, "log"), errors="backslashreplace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def tool(self, name, *arguments):
        return output_of(need_program(name), "-c", self.configuration, *arguments)

    def send(self, sender, recipients, text, *options):
        """Hand in a message, lines ending in LF."""
        subprocess.run([need_program("sendmail"), "-C", self.configuration, "-i", "-f", sender,
                        *options, *recipients], input=text, check=True, timeout=20 * PATIENCE)

    def queue(self):
        """What waits: {recipient: (queue id, reason)}."""
        entries = map(json.loads, self.tool("postqueue", "-j").splitlines())
        return {recipient["address"]: (entry["queue_id"], recipient.get("delay_reason", ""))
                for entry in entries for recipient in entry["recipients"]}

    def wait_queue(self, *recipients):
        """Wait until these wait for another try, and nothing else is on its way; the queue."""
        queue = {}

        def is_so():
            nonlocal queue
            queue = self.queue()
            return queue.keys() == set(recipients) and all(reason for _, reason in queue.values())

        try:
            wait_until(is_so, 20)
        except AssertionError:
            raise AssertionError(f"in the queue: {queue}, expected: {recipients}") from None
        return queue

    def tries(self, recipient):
        """What came of each of them: [("deferred", "host ... said: 451 ..."), ...]."""
        return re.findall(rf" to=<{re.escape(recipient)}>, .* status=(\w+) \((.*)\)$", self.log(),
                          re.M)

    def flush(self):
        """Have all that waits tried again, and come back when it has been: whatever the queue
        manager still has in hand is put back first."""
        def is_idle():
            nonlocal waiting
            entries = list(map(json.loads, self.tool("postqueue", "-j").splitlines()))
            waiting = {recipient["address"] for entry in entries
                       for recipient in entry["recipients"]}
            return all(entry["queue_name"] == "deferred" for entry in entries)

        waiting = set()
        wait_until(is_idle, 20, "an idle queue")
        before = {recipient: len(self.tries(recipient)) for recipient in waiting}
        self.tool("postqueue", "-f")
        wait_until(lambda: all(len(self.tries(name)) > before[name] for name in waiting), 20,
                   "another try of each")

    def text_of(self, queue_id):
        """A message as it stands in the queue: what a server is given of it."""
        return subprocess.run([need_program("postcat"), "-c", self.configuration, "-bhq", queue_id],
                              capture_output=True, check=True, timeout=20 * PATIENCE).stdout
