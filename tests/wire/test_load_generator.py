"""The load generator of `make bench` sends what it says and notices what goes wrong."""

import json
import os
import subprocess

from sinkd_server import BUILD, Server, wait_until
from wire_test import run

LOAD = os.path.join(BUILD, "tests", "bench", "load")


def load(server, *arguments, status=0):
    """Run it against the server; what it printed, and its complaints."""
    address = "%s:%d" % server.addresses[0]
    done = subprocess.run([LOAD, "-t20", *arguments, address], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def every_message_arrives():
    for flags in [], ["-P"]:
        with Server("-w", "3") as server:
            # More than one connection each, and not a whole number of them.
            output, _ = load(server, "-c3", "-m2", "-n10", "-s1000", "-j", *flags)
            result = json.loads(output)
            assert (result["messages"], result["errors"]) == (10, 0), result
            latency = result["latency_ms"]
            assert 0 < latency["median"] <= latency["p90"] <= latency["p99"] <= latency["max"]
            assert 0 < result["seconds"] < 20 and result["messages_per_second"] > 0
            assert len(server.stored()) == 10
            assert all(" size=1000 " in line for line in server.events("message.accepted"))
            # Four connections with two messages at least, and none was cut off.
            wait_until(lambda: len(server.events("session.end")) >= 5, what="their ends")
            ends = server.events("session.end")
            assert all(" how=quit " in line for line in ends), ends


def text_says_the_same():
    with Server("-w", "1", "--discard") as server:
        output, _ = load(server, "-c1", "-n3", "-s1M")
        assert output.startswith("3 messages in ") and ", 0 errors\n" in output, output


def refusals_are_errors():
    with Server("-w", "2", config='limits { message-size = "1K" }') as server:
        output, complaint = load(server, "-c2", "-n4", "-s2K", status=1)
        assert output.startswith("0 messages in ") and ", 4 errors\n" in output, output
        assert complaint.startswith("load: unexpected reply: 552 "), complaint


def a_server_that_is_gone_is_an_error():
    with Server("-w", "1", "--discard") as server:
        server.terminate()
        server.wait_exit()
        _, complaint = load(server, "-c1", "-n1", status=1)
        assert complaint == "load: connection lost: Connection refused\n" \
            or complaint.startswith("load: cannot connect: "), complaint


run(every_message_arrives, text_says_the_same, refusals_are_errors,
    a_server_that_is_gone_is_an_error)
