"""An Exim of a test's own, which listens nowhere: it is handed mail by SMTP on its standard
input and delivers it by SMTP, with BDAT where that is offered, or by LMTP.

    with Exim({"smtp.example": Route("smtp", 2500)}) as exim:
        exim.send("a@example", ["b@smtp.example"], b"Subject: x\\n\\ntext\\n")

It has directories of its own, so one that really runs on this machine does not notice.
Debian's package cannot be installed beside Postfix; the program alone, unpacked, will do,
and the account that it was built for.
"""

import collections
import os
import pwd
import re
import shutil
import subprocess
import tempfile

from sinkd_server import PATIENCE, read_file
from wire_test import need_program, need_root, skip

Route = collections.namedtuple("Route", "protocol port options", defaults=("",))
ACCOUNT = "Debian-exim"

MAIN = """
exim_path = {program}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
primary_hostname = mta.example
qualify_domain = mta.example
acl_smtp_rcpt = accept
domainlist local_domains =
keep_environment =
add_environment = PATH=/usr/bin:/bin
disable_ipv6 = true
message_size_limit = 100M
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts =
# It is root only as long as it must; the program is not setuid.
deliver_drop_privilege = true
smtp_receive_timeout = 20s
log_selector = +smtp_confirmation +tls_cipher +pipelining
"""

ROUTER = """
to_{name}:
  driver = manualroute
  domains = {domain}
  route_list = * 127.0.0.1 byname
  self = send
  transport = by_{name}
"""

# What it would otherwise wait for is longer than a test may take.
TRANSPORT = """
by_{name}:
  driver = smtp
  protocol = {protocol}
  port = {port}
  allow_localhost = true
  hosts_try_fastopen =
  tls_tempfail_tryclear = false
  {options}
"""


def need_exim():
    """The program, on a machine where it can be started."""
    need_root()
    program = need_program("exim4")
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        skip(f"there is no {ACCOUNT}")
    return program


class Exim:
    """routes: {domain: Route}; the options of one are more lines for its transport."""

    def __init__(self, routes):
        self.program = need_exim()
        self.directory = tempfile.mkdtemp(prefix="sinkd-exim-")
        os.chmod(self.directory, 0o755)
        for name in "spool", "log":
            os.mkdir(self.path(name))
            shutil.chown(self.path(name), ACCOUNT, pwd.getpwnam(ACCOUNT).pw_gid)
        fields = [{"name": domain.replace(".", "_"), "domain": domain, **route._asdict()}
                  for domain, route in routes.items()]
        with open(self.path("exim.conf"), "w") as file:
            file.write(MAIN.format(program=self.program, directory=self.directory)
                       + "\nbegin routers\n" + "".join(ROUTER.format(**each) for each in fields)
                       + "\nbegin transports\n" + "".join(TRANSPORT.format(**each) for each in fields)
                       + "\nbegin retry\n* * F,1h,1m\n")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure:
            print(f"--- log of Exim:\n{self.log()[-6000:]}---", flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        names = [self.path("log", name) for name in ("main", "panic")]
        return "".join(read_file(name).decode(errors="backslashreplace")
                       for name in names if os.path.exists(name))

    def hand_in(self, sender, recipients, text, mail="", rcpt=""):
        """Hand in a message, lines ending in LF, and wait until it was tried; mail and rcpt
        are parameters of these commands."""
        commands = ["EHLO submitter.example", f"MAIL FROM:<{sender}> {mail}".strip(),
                    *(f"RCPT TO:<{name}> {rcpt}".strip() for name in recipients), "DATA", ""]
        body = re.sub(rb"(?m)^\.", b"..", text).replace(b"\n", b"\r\n")
        done = subprocess.run([self.program, "-C", self.path("exim.conf"), "-odf", "-bs"],
                              input="\r\n".join(commands).encode() + body + b".\r\nQUIT\r\n",
                              capture_output=True, check=False, timeout=20 * PATIENCE)
        assert b"\n250 OK id=" in done.stdout, (done.stdout, done.stderr)

    def send(self, *arguments, **options):
        """The same of one that goes at once."""
        self.hand_in(*arguments, **options)
        assert self.is_empty(), f"it has not gone:\n{self.log()}"

    def is_empty(self):
        return not os.listdir(self.path("spool", "input"))

    def flush(self):
        """Have all that waits tried again, and wait until it has been."""
        subprocess.run([self.program, "-C", self.path("exim.conf"), "-qff"], check=True,
                       stdin=subprocess.DEVNULL, timeout=20 * PATIENCE)

    def tries(self, recipient):
        """What came of each of them: [("deferred", "... 451 ..."), ...]."""
        words = {"==": "deferred", "=>": "sent", "->": "sent", "**": "bounced"}
        found = re.findall(rf"(?m)^\S+ \S+ \S+ (==|=>|->|\*\*) {re.escape(recipient)} (.*)$",
                           self.log())
        return [(words[sign], text) for sign, text in found]
