# Tests against the real processes; each starts its own server on a free port.
wire_tests = \
	tests/wire/test_aborts.py \
	tests/wire/test_big_message.py \
	tests/wire/test_command_line.py \
	tests/wire/test_disk.py \
	tests/wire/test_drain.py \
	tests/wire/test_fidelity.py \
	tests/wire/test_first_start.py \
	tests/wire/test_kill_storm.py \
	tests/wire/test_load_generator.py \
	tests/wire/test_log.py \
	tests/wire/test_mailboxes.py \
	tests/wire/test_master_death.py \
	tests/wire/test_pipelining.py \
	tests/wire/test_privileges.py \
	tests/wire/test_readiness.py \
	tests/wire/test_respawn.py \
	tests/wire/test_storm.py \
	tests/wire/test_syslog.py \
	tests/wire/test_timeouts.py \
	tests/wire/test_unix_socket.py
wire_modules = \
	tests/wire/load.py \
	tests/wire/sinkd_server.py \
	tests/wire/wire_test.py
TESTS += $(wire_tests)
EXTRA_DIST += $(wire_tests) $(wire_modules)
