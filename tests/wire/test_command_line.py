"""Options, exit statuses, and messages that say what is wrong and where."""

import os
import re
import socket
import tempfile

from sinkd_server import SINKD, Server
from wire_test import output_of, run

USAGE, CONFIG, FAILURE = 64, 78, 1


def sinkd(*arguments, status=0, config=None):
    """Run sinkd to its end in an empty directory, with config as x.conf there."""
    with tempfile.TemporaryDirectory() as directory:
        if config is not None:
            with open(os.path.join(directory, "x.conf"), "w") as file:
                file.write(config)
        return output_of(SINKD, *arguments, status=status, cwd=directory)


def version_and_help():
    for option in "-V", "--version":
        assert re.fullmatch(r"sinkd \d+\.\d+\.\d+\n", sinkd(option)), sinkd(option)
    for option in "-h", "--help":
        text = sinkd(option)
        for long_option in ("--config", "--test", "--print-config", "--daemon", "--ready-fd", "--listen",
                            "--maildir", "--discard", "--pipe", "--workers", "--verbose", "--version",
                            "--help"):
            assert long_option in text, long_option


def a_bad_command_line_is_64():
    for arguments, named in (
            (["--nonsense"], "nonsense"), (["-Z"], "Z"), (["operand"], "operand"),
            (["-f"], "f"), (["-w"], "w"), (["--ready-fd", "x"], "x"),
            (["--ready-fd", "77"], "77"),
            (["--discard", "--maildir", "d"], "maildir"), (["--pipe"], "pipe"),
            (["--discard", "--pipe", "cat"], "pipe"),
            (["--maildir", "d", "--pipe", "cat"], "pipe"),
            (["operand", "--pipe", "cat"], "operand")):
        text = sinkd(*arguments, status=USAGE)
        assert named in text, (arguments, text)


def a_bad_value_is_78():
    for arguments in (["-w", "0"], ["-w", "x"], ["-w", "-3"], ["-w", "1000000"]):
        text = sinkd(*arguments, "-t", status=None)
        assert "worker" in text, (arguments, text)
    for address in "nonsense", "127.0.0.1", "127.0.0.1:99999", "[::1:25", ":25x":
        text = sinkd("-t", "-l", address, status=CONFIG)
        assert address in text, (address, text)


def a_mistake_in_the_file_is_named_by_line():
    for config, expected in (
            ("hostname = \"a.example\"\nnonsense = 1\n", r"x\.conf:2: .*nonsense"),
            ("limits {\n  message-size = \"20Q\"\n}\n", r"x\.conf:2: .*message-size"),
            ("listen \"a\" {\n  address = {\"127.0.0.1:0\"}\n  deliver = {\"none\"}\n}\n",
             r"x\.conf:\d: .*none"),
            ("workers {\n  start = 0\n}\n", r"x\.conf:2: .*start"),
            ("workers {\n  max = 2\n  start = 3\n}\n", r"x\.conf:3: .*start.*max"),
            ("limits {\n", r"x\.conf:\d: ")):
        for options in ["-t"], ["-p"], []:
            text = sinkd(*options, "-f", "x.conf", status=CONFIG, config=config)
            assert re.search(expected, text), (config, text)


def a_missing_file_is_78():
    assert "nowhere.conf" in sinkd("-t", "-f", "nowhere.conf", status=CONFIG)


def a_test_says_nothing_and_does_nothing():
    with tempfile.TemporaryDirectory() as directory:
        output_of(SINKD, "-t", cwd=directory)
        assert os.listdir(directory) == []


def the_printed_configuration_is_a_configuration():
    config = 'hostname = "mx.example"\ngreeting = "a \\"quoted\\" %{hostname}"\n'
    printed = sinkd("-p", "-f", "x.conf", config=config)
    assert "mx.example" in printed
    assert sinkd("-p", "-f", "x.conf", config=printed) == printed
    laid_over = sinkd("-p", "-l", "127.0.0.1:2526", "--maildir", "there", "-w", "3")
    for value in "127.0.0.1:2526", "there", "3":
        assert value in laid_over, (value, laid_over)
    assert sinkd("-p", "-f", "x.conf", config=laid_over) == laid_over
    for number in "1", "5", "16384":
        limited = sinkd("-p", "-w", number)
        assert f"\tmax = {number}\n" in limited, limited
        assert sinkd("-p", "-f", "x.conf", config=limited) == limited


def pipe_takes_the_rest_of_the_line():
    with tempfile.TemporaryDirectory() as directory:
        for head in ["--pipe", "./x"], ["--pipe=./x"]:
            printed = output_of(SINKD, "-p", *head, "-t", "--discard", "-p", "--", "%{sender}",
                                "--pipe", "operand", cwd=directory)
            command = (f'{{"{directory}/./x", "-t", "--discard", "-p", "--", "%{{sender}}", '
                       '"--pipe", "operand"}')
            assert f"\tcommand = {command}\n" in printed, printed
            assert f'\tdirectory = "{directory}"\n' in printed, printed
            assert 'deliver "handler" {' in printed, printed
            assert sinkd("-p", "-f", "x.conf", config=printed) == printed
    assert '\tcommand = {"/' in sinkd("-p", "--pipe", "sh")


def a_command_that_cannot_be_is_78():
    for command in ["no-such-program"], [""], ["sh -c true"], ["sh", "%{nonsense}"], ["sh", "100%"], ["/%{helo}"]:
        text = sinkd("-t", "--pipe", *command, status=CONFIG)
        assert text.startswith(f"sinkd: --pipe: '{command[-1]}': "), text
    with tempfile.TemporaryDirectory() as directory:
        open(os.path.join(directory, "handler"), "wb").close()
        for name, is_here in ("handler", True), ("nowhere", False):
            text = output_of(SINKD, "-t", "--pipe", name, status=CONFIG, cwd=directory)
            assert ("current directory" in text) == is_here, text


def an_address_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        text = sinkd("-l", address, status=FAILURE)
        assert address in text and "in use" in text, text


def several_listeners_from_the_command_line():
    with Server("-w", "1", "-l", "127.0.0.2:0") as server:
        assert sorted(host for host, _ in server.addresses) == ["127.0.0.1", "127.0.0.2"]


run(version_and_help, a_bad_command_line_is_64, a_bad_value_is_78,
    a_mistake_in_the_file_is_named_by_line, a_missing_file_is_78,
    a_test_says_nothing_and_does_nothing, the_printed_configuration_is_a_configuration,
    pipe_takes_the_rest_of_the_line, a_command_that_cannot_be_is_78,
    an_address_in_use_is_named, several_listeners_from_the_command_line)
