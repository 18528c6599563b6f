"""A server that is replaced by others as it runs (USR2), and reloaded (HUP)."""

import contextlib
import os
import signal

from sinkd_server import Server, read_file, wait_until


class Upgraded(Server):
    """A server whose successors are known by the pid file, and stopped like itself."""

    def pid_in_file(self):
        with contextlib.suppress(FileNotFoundError):
            return int(read_file(self.path("run", "sinkd.pid")))
        return None

    def ask(self):
        """USR2 to the server of the pid file, which is returned."""
        pid = self.pid_in_file()
        os.kill(pid, signal.SIGUSR2)
        return pid

    def wait_for_other(self, old):
        """The pid of the server that has taken over from old."""
        wait_until(lambda: self.pid_in_file() not in (None, old), 10, "a new pid in the file")
        return self.pid_in_file()

    def upgrade(self):
        return self.wait_for_other(self.ask())

    def all_titles(self):
        """What all processes call themselves, of every server: {pid: "sinkd: worker 3"}."""
        titles = {}
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                titles[pid] = read_file(f"/proc/{pid}/cmdline").partition(b"\0")[0].decode()
        return titles

    def all_idle(self):
        return {pid for pid, title in self.all_titles().items() if title.endswith("(idle)")}

    # --- reload --------------------------------------------------------------------

    def write_config(self, text):
        """In one step: the server may be reading it."""
        with open(self.path("sinkd.conf.new"), "w") as file:
            file.write(text)
        os.rename(self.path("sinkd.conf.new"), self.path("sinkd.conf"))

    def reloads(self, action):
        """How many reloads have ended so: "done", "refused" or "failed"; for each mistake
        in a file there is a refusal."""
        return len([line for line in self.events("server.reload")
                    if f'action="{action}' in line or f"action={action}" in line])

    def reload(self, config=None, action="done", number=signal.SIGHUP):
        """Signal the server of the pid file, perhaps with another configuration; wait until
        the reload has ended so, and no worker of before waits for a client any more."""
        before, idle = self.reloads(action), self.all_idle()
        if config is not None:
            self.write_config(config)
        os.kill(self.pid_in_file(), number)
        wait_until(lambda: self.reloads(action) > before, 10, f"a reload that is {action}")
        if action == "done":
            wait_until(lambda: not idle & self.all_idle(), 10, "the end of idle workers")

    # --- upgrade -------------------------------------------------------------------

    def results(self):
        return [line.partition(" result=")[2].split()[0] for line in self.events("server.upgrade")]

    def wait_result(self, result):
        wait_until(lambda: result in self.results(), 10, f"result {result}")

    def stop(self):
        """Stop the last one; the first one must have left by then, or leave now."""
        pid = self.pid_in_file()
        if pid and pid != self.pid:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: pid not in self.processes(), 10, "exit of the last server")
        super().stop()
        assert self.pid_in_file() is None, "the pid file is left behind"


def greeted(server):
    client = server.connect()
    client.greet()
    return client


@contextlib.contextmanager
def slow_start(server):
    """The next server waits for its configuration, until the text is written."""
    conf = server.path("sinkd.conf")
    os.unlink(conf)
    os.mkfifo(conf)

    def go_on(text, then=None):
        """then: what whoever reads the file again will find."""
        with open(conf, "w") as fifo:
            if then is not None:
                server.write_config(then)
            fifo.write(text)

    yield go_on
