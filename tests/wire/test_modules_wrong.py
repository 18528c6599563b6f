"""Modules that cannot be used: a clear mistake for `sinkd --test`, at the start, and at a
reload, which the server before it outlives."""

import os
import re
import signal
import time

from modules import ModuleShop, module_section, test_of
from sinkd_server import SINKD, built_with_sanitizers, wait_until
from upgraded_server import Upgraded
from wire_test import need_root, output_of, run

CONFIG = 78

# What a module does when it is opened or closed, and what is said of it.
CRASHES = "it crashes, or ends its process"
WILFUL = [("open-abort", CRASHES), ("open-exit0", CRASHES), ("open-exit9", CRASHES),
          ("open-segv", CRASHES), ("open-recurse", CRASHES), ("close-abort", CRASHES)]
ODD = [("abi", "is built for another ABI"), ("hooks abi", "has a table for another ABI"),
       ("hooks short", "has a table of a wrong size"), ("hooks long", "has a table of a wrong size"),
       ("newer and needed", "needs a newer sinkd"), ("nothing", "has neither hooks nor a backend"),
       ("backend abi", "has a table for another ABI"), ("no commit", "has a backend without commit"),
       ("refuse", "does not start: xxx")]


def wrong_modules(shop):
    """[(path, argument, what is said)]: of each way to be wrong one."""
    wilful, odd = shop.module("wilful"), shop.module("odd")
    yield shop.path("missing.so"), "", "cannot be loaded: .*No such file"
    yield shop.file("text.so", b"no object\n"), "", "cannot be loaded: .*(short|header)"
    yield shop.file("cut.so", open(odd, "rb").read()[:3000]), "", \
        f"(cannot be loaded: |does not start: {CRASHES})"
    yield shop.directory, "", "cannot be loaded: "
    yield shop.module("no"), "", "has no function sinkd_module_open"
    for argument, said in ODD:
        yield odd, argument, said
    for argument, said in WILFUL:
        if not built_with_sanitizers() or argument not in ("open-segv", "open-recurse"):
            yield wilful, argument, said


def is_one_clear_line(text, path, said):
    """Besides what the module itself may have said."""
    lines = [line for line in text.splitlines() if " event=module.note " not in line]
    assert len(lines) == 1, text
    assert re.fullmatch(rf"/.*:\d+: module '{re.escape(path)}' .*{said}.*", lines[0]), text


def a_test_tells():
    with ModuleShop() as shop:
        for path, argument, said in wrong_modules(shop):
            is_one_clear_line(test_of(module_section(path, argument), shop, CONFIG), path, said)
        # The first two are well.
        config = shop.section("greylist", "5") + shop.section("email_server")
        assert test_of(config, shop, 0) == ""
        is_one_clear_line(test_of(config + shop.section("wilful", "open-abort"), shop, CONFIG),
                          shop.module("wilful"), CRASHES)


def examples_that_cannot_use_their_argument_tell():
    with ModuleShop() as shop:
        text = test_of(shop.section("greylist", "soon"), shop, CONFIG)
        is_one_clear_line(text, shop.module("greylist"), "does not start: the argument must be ")
        text = test_of(shop.section("json_lines", "/nowhere/at/all"), shop, CONFIG)
        is_one_clear_line(text, shop.module("json_lines"), "does not start: cannot open ")


def what_it_prints_is_not_in_the_way():
    with ModuleShop() as shop:
        assert test_of(shop.section("wilful", "open-print"), shop, 0) == ""


def one_that_hangs_is_not_waited_for_long():
    with ModuleShop() as shop:
        started = time.monotonic()
        text = test_of(shop.section("wilful", "open-hang"), shop, CONFIG)
        is_one_clear_line(text, shop.module("wilful"), "does not start: it takes too long")
        assert 1 < time.monotonic() - started < 30


def a_stop_waits_for_none():
    with ModuleShop() as shop, Upgraded(config=shop.section("email_server"), workers=1) as server:
        server.write_config(shop.section("wilful", "open-hang"))
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "sinkd: module (checking)" in server.children().values(),
                   what="the check")
        with server.connect() as client:
            client.expect("220 mock smtp server greets you with impunity")
        started = time.monotonic()
        server.terminate()
        server.wait_exit()
        assert time.monotonic() - started < 8
        assert "is not waited for" in server.events("server.failed")[0]


def a_start_fails():
    with ModuleShop() as shop:
        for path, argument, said in wrong_modules(shop):
            config = shop.file("start.conf", module_section(path, argument).encode())
            text = output_of(SINKD, "-f", config, "-l", "127.0.0.1:0", "--discard",
                             status=CONFIG, cwd=shop.directory)
            [line] = [line for line in text.splitlines() if "event=server.failed" in line]
            assert f"module '{path}' " in line and re.search(said, line), line
            assert "event=worker.start" not in text and "server.start" not in text, text


def a_reload_is_refused():
    with ModuleShop() as shop:
        good = shop.section("email_server")
        with Upgraded(config=good, workers=1) as server:
            text = open(server.path("sinkd.conf")).read()
            with server.connect() as before:
                before.expect("220 mock smtp server greets you with impunity")
                wrongs = [*wrong_modules(shop)]
                for path, argument, said in wrongs[:3] + wrongs[4:6] + wrongs[-2:]:
                    server.reload(text + module_section(path, argument), action="refused")
                    line = server.events("server.failed")[-1]
                    assert f"module '{path}' " in line and re.search(said, line), line
                assert "going on as before" in server.sinkctl("reload", status=1)[1]
                before.command("EHLO client.example", "250-mock.smtp.server.local")
                before.deliver(b"Subject: before\r\n\r\n")
            with server.connect() as after:
                after.expect("220 mock smtp server greets you with impunity")
                after.command("EHLO client.example", "250-mock.smtp.server.local")
                after.deliver(b"Subject: after\r\n\r\n")
            server.reload(text.replace(good, shop.section("wilful", "another")))
            with server.connect() as last:
                last.expect("220 another")


def one_that_fails_in_workers_alone_is_told_of():
    for argument, status, told in (("worker-abort", 1, "signal=ABRT"),
                                   ("worker-exit0", CONFIG, "status=0")):
        with ModuleShop() as shop:
            config = shop.section("wilful", argument)
            assert test_of(config, shop, 0) == ""
            text = output_of(SINKD, "-f", shop.path("tested.conf"), "-l", "127.0.0.1:0",
                             "--discard", status=status, cwd=shop.directory)
            assert re.search(rf"level=warn .* event=worker.exit .* {told} state=starting", text), text
            with Upgraded(config=shop.section("email_server"), workers=1) as server:
                server.reload(open(server.path("sinkd.conf")).read() + config, action="failed")
                [line] = server.events("worker.exit")
                assert f" {told} state=starting " in line, line
                with server.connect() as client:
                    client.expect("220 mock smtp server greets you with impunity")


def it_is_loaded_with_the_rights_of_a_worker():
    need_root()
    with ModuleShop() as shop:
        os.chmod(shop.module("greylist"), 0o600)
        text = test_of(shop.section("greylist"), shop, CONFIG)
        is_one_clear_line(text, shop.module("greylist"), "cannot be loaded: .*Permission denied")


if __name__ == "__main__":
    run(a_test_tells, examples_that_cannot_use_their_argument_tell,
        what_it_prints_is_not_in_the_way, one_that_hangs_is_not_waited_for_long, a_stop_waits_for_none, a_start_fails,
        a_reload_is_refused, one_that_fails_in_workers_alone_is_told_of, it_is_loaded_with_the_rights_of_a_worker, together=True)
