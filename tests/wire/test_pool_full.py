"""What becomes of clients when all the workers that there may be are busy.

They wait or are refused; those that are served and say nothing give way to them."""

import datetime
import re
import time

from certificates import any_certificate
from crowd import Crowd
from sinkd_server import PATIENCE, Server, wait_until
from wire_test import run

# The master does not report more often.
REPORT_SECONDS = 10


def check_reports(server, maximum, waiting):
    """The lines that tell of the full pool."""
    lines = server.events("pool.full")
    assert lines
    times = []
    for line in lines:
        stamp, limit, hits, waited = re.fullmatch(
            r"time=(\S+) .* max=(\d+) times=(\d+) waiting=(\d+) refused=\d+", line).groups()
        times.append(datetime.datetime.fromisoformat(stamp))
        assert int(limit) == maximum and int(hits) >= 1 and 1 <= int(waited) <= waiting, line
    for earlier, later in zip(times, times[1:]):
        # The clock of the log is another, and is cut to milliseconds.
        assert (later - earlier).total_seconds() > REPORT_SECONDS - 0.1, lines


def hold_the_pool(server, crowd, workers):
    """Wait until every worker has one of the crowd; those."""
    assert crowd.listen(lambda: len(crowd.greeted()) >= workers, 5 * PATIENCE), \
        f"{len(crowd.greeted())} of {workers} were greeted"
    assert len(crowd.greeted()) == len(server.workers()) == workers
    return crowd.greeted()


def the_rest_waits_in_the_queue():
    config = 'workers { start = 4  max = 16 }\ntimeouts { busy-command = "5m" }\n'
    with Server("--discard", config=config) as server, \
            Crowd(server.addresses[0], 300) as crowd:
        hold_the_pool(server, crowd, 16)
        # They go faster than the master may look.
        wait_until(lambda: server.events("pool.full"), what="a look at the full pool")
        served, most = 0, 0

        def all_were_served():
            nonlocal served, most
            most = max(most, len(server.workers()))
            greeted = crowd.greeted()
            crowd.say(greeted, b"QUIT\r\n")
            gone = [member for member in crowd.told(b"221 ") if member.ended_at]
            crowd.leave(gone)
            served += len(gone)
            return not crowd.members

        assert crowd.listen(all_were_served, 10 * PATIENCE), f"{served} of 300 were served"
        assert served == 300
        assert most <= 16, f"{most} workers where 16 may be"
        check_reports(server, 16, 300)


def the_rest_is_refused():
    config = ('workers { start = 4  max = 16  overflow = "refuse" }\n'
              'timeouts { busy-command = "5m" }\n')
    with Server("--discard", config=config) as server, \
            Crowd(server.addresses[0], 300) as crowd:
        seconds = crowd.listen(lambda: len(crowd.told(b"421 4.3.2 ")) == 284, 1 * PATIENCE)
        assert seconds, f"{len(crowd.told(b'421 4.3.2 '))} of 284 were refused"
        print(f"284 clients were refused within {seconds:.3f} s")
        holders = hold_the_pool(server, crowd, 16)
        late = time.monotonic()
        with server.connect() as client:
            client.expect("421 4.3.2 ")
            client.expect_closed()
        assert time.monotonic() - late < 1 * PATIENCE
        assert crowd.asked(holders, b"NOOP", b"250 ", 5 * PATIENCE)
        crowd.leave(holders[:4])
        wait_until(lambda: len(server.idle_workers()) == 4, what="free workers")
        with server.connect() as client:
            client.greet()
        assert len(server.workers()) == 16


def who_expects_tls_is_refused_without_a_word():
    """Plaintext would be a broken handshake to it."""
    config = ('listen "a" { address = {"127.0.0.1:0"}  tls = "implicit" }\n'
              'workers { start = 1  max = 1  overflow = "refuse" }\n')
    with Server("--discard", config=config, listen=None) as server, server.connect() as holder:
        holder.wrap(any_certificate())
        holder.greet()
        with server.connect() as client:
            client.expect_closed()
            assert not client.received, client.received
        assert not server.events("tls.failed")


def hold_and_be_served(silent, workers, busy_seconds):
    config = (f"workers {{ start = 4  max = {workers} }}\n"
              f'timeouts {{ busy-command = "{busy_seconds}s" }}\n')
    with Server("--discard", config=config) as server, \
            Crowd(server.addresses[0], silent) as crowd:
        # Nobody is given up before all of them wait: the last one is really the last.
        assert crowd.listen(lambda: len(crowd.greeted()) >= workers, 5 * PATIENCE)
        started = time.monotonic()
        with server.connect(seconds=busy_seconds + 1) as client:
            client.greet()
            waited = time.monotonic() - started
            client.deliver(b"Subject: in time\r\n\r\n")
        print(f"{silent} silent clients, {workers} workers, busy-command {busy_seconds} s: "
              f"the next one was served after {waited:.2f} s")
        assert waited <= busy_seconds + 1 * PATIENCE, f"{waited:.2f} s"
        assert len(server.workers()) <= workers
        # All before it have had their turn.  The last may stay: nobody waits now.
        assert crowd.listen(lambda: len(crowd.greeted()) == silent and
                            len(crowd.ended()) > silent - workers, 5 * PATIENCE), \
            f"{len(crowd.ended())} of {silent} were given up"
        for member in crowd.ended():
            assert re.fullmatch(rb"220 .*\r\n421 4\.4\.2 .*\r\n", member.text), member.text
        check_reports(server, workers, silent + 1)


def three_hundred_say_nothing():
    hold_and_be_served(300, 64, 10)


def a_few_say_nothing_for_a_shorter_time():
    hold_and_be_served(90, 32, 3)


def who_talks_is_not_given_up():
    """Stress is for those that are waited for."""
    config = 'workers { start = 2  max = 2 }\ntimeouts { busy-command = "6s" }\n'
    with Server("--discard", config=config) as server, server.connect() as talking, \
            server.connect() as silent:
        talking.greet()
        silent.greet()
        with server.connect() as third:  # Waits in the queue.
            started = time.monotonic()
            while not silent.received:
                talking.command("NOOP", "250 ")
                silent.socket.settimeout(0.2)
                try:
                    silent.received += silent.socket.recv(4096)
                except TimeoutError:
                    pass
            silent.expect("421 4.4.2 ")
            assert 1 <= time.monotonic() - started <= 7 * PATIENCE
            third.greet()
            talking.command("NOOP", "250 ")


def silence_in_a_handshake_is_silence():
    """timeouts.tls, as long as it may be, keeps nobody else out."""
    config = ('workers { start = 1  max = 1 }\n'
              'timeouts { tls = "5m"  busy-command = "2s" }\n')
    with Server("--discard", config=config) as server, server.connect() as silent:
        silent.greet()
        silent.command("STARTTLS", "220 ")
        with server.connect(seconds=5) as third:  # Waits in the queue.
            third.greet()
            silent.expect_closed()


run(silence_in_a_handshake_is_silence, the_rest_waits_in_the_queue, the_rest_is_refused,
    who_expects_tls_is_refused_without_a_word, three_hundred_say_nothing,
    a_few_say_nothing_for_a_shorter_time, who_talks_is_not_given_up, together=True)
