"""The other wire tests once more, with their servers at another level of the sandbox."""

import concurrent.futures
import glob
import os
import subprocess
import sys

from sinkd_server import built_with_sanitizers

# These start nothing, want to start without a configuration, or set the level; or they
# wait for the master's clocks, or are many programs that do the same, or are about the
# master and its size, where workers do nothing that they do not elsewhere.
LEFT_OUT = {"test_client_extensions.py", "test_command_line.py",
            "test_first_start.py", "test_kill_storm.py",
            "test_life_storm.py", "test_lmtp_postfix.py", "test_load_generator.py",
            "test_mail_clients.py", "test_module_build.py", "test_module_faults.py",
            "test_modules_wrong.py", "test_mta_relay.py", "test_passwd.py", "test_pipe_limits.py",
            "test_pipe_storm.py", "test_pipe_verdicts.py", "test_pool.py",
            "test_pool_faults.py", "test_pool_full.py", "test_pool_ramp.py",
            "test_sandbox.py", "test_seed_calls.py", "test_sinkctl.py", "test_stop.py", "test_storm.py"}


def run_all_at(level):
    if built_with_sanitizers():
        print("skip   all (built with sanitizers, every level is off)")
        sys.exit(77)
    if "SINKD_TEST_SHORT" in os.environ:
        print("skip   all (SINKD_TEST_SHORT is set)")
        sys.exit(77)
    here = os.path.dirname(os.path.abspath(__file__))
    scripts = [path for path in sorted(glob.glob(os.path.join(here, "test_*.py")))
               if os.path.basename(path) not in LEFT_OUT]
    assert len(scripts) > 10, scripts
    failed = 0
    # Two at a time: most of a test is waiting.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, done in zip(scripts, pool.map(lambda path: run_at(level, path), scripts)):
            print(done.stdout, end="", flush=True)
            if done.returncode not in (0, 77):
                print(f"FAILED {os.path.basename(path)} at level {level}", file=sys.stderr)
                failed += 1
    sys.exit(1 if failed else 0)


def run_at(level, path):
    return subprocess.run([sys.executable, path], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "SINKD_TEST_SANDBOX": level})
