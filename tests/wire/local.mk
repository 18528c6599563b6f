# Tests against the real processes; each starts its own server on a free port.
level_tests = \
	tests/wire/level_off.py \
	tests/wire/level_trap.py
wire_tests = \
	tests/wire/test_auth.py \
	tests/wire/test_certificates.py \
	tests/wire/test_mail_clients.py \
	tests/wire/test_starttls.py \
	tests/wire/test_aborts.py \
	tests/wire/test_big_message.py \
	tests/wire/test_chunking.py \
	tests/wire/test_client_extensions.py \
	tests/wire/test_command_line.py \
	tests/wire/test_daemon.py \
	tests/wire/test_deliveries.py \
	tests/wire/test_disk_faults.py \
	tests/wire/test_drain.py \
	tests/wire/test_early_talker.py \
	tests/wire/test_extensions.py \
	tests/wire/test_fidelity.py \
	tests/wire/test_first_start.py \
	tests/wire/test_keys.py \
	tests/wire/test_kill_storm.py \
	tests/wire/test_listen_fds.py \
	tests/wire/test_leftovers.py \
	tests/wire/test_life_storm.py \
	tests/wire/test_lmtp.py \
	tests/wire/test_lmtp_postfix.py \
	tests/wire/test_load_generator.py \
	tests/wire/test_log.py \
	tests/wire/test_mailboxes.py \
	tests/wire/test_master_death.py \
	tests/wire/test_module_build.py \
	tests/wire/test_module_faults.py \
	tests/wire/test_modules.py \
	tests/wire/test_modules_wrong.py \
	tests/wire/test_mta_relay.py \
	tests/wire/test_mta_retry.py \
	tests/wire/test_passwd.py \
	tests/wire/test_pipe.py \
	tests/wire/test_pipe_injection.py \
	tests/wire/test_pipe_limits.py \
	tests/wire/test_pipe_storm.py \
	tests/wire/test_pipe_verdicts.py \
	tests/wire/test_pipelining.py \
	tests/wire/test_policy.py \
	tests/wire/test_policy_faults.py \
	tests/wire/test_policy_postgrey.py \
	tests/wire/test_pool.py \
	tests/wire/test_pool_faults.py \
	tests/wire/test_pool_full.py \
	tests/wire/test_pool_ramp.py \
	tests/wire/test_privileges.py \
	tests/wire/test_proxy.py \
	tests/wire/test_readiness.py \
	tests/wire/test_reload.py \
	tests/wire/test_respawn.py \
	tests/wire/test_rule_conditions.py \
	tests/wire/test_rule_counts.py \
	tests/wire/test_rule_fates.py \
	tests/wire/test_rules.py \
	tests/wire/test_sandbox.py \
	tests/wire/test_seed_calls.py \
	tests/wire/test_sinkctl.py \
	tests/wire/test_spawner.py \
	tests/wire/test_smtp_sink.py \
	tests/wire/test_smtp_sink_offers.py \
	tests/wire/test_stop.py \
	tests/wire/test_storm.py \
	tests/wire/test_surroundings.py \
	tests/wire/test_syslog.py \
	tests/wire/test_timeouts.py \
	tests/wire/test_trace_headers.py \
	tests/wire/test_unix_socket.py \
	tests/wire/test_worker_life.py \
	tests/wire/test_xclient.py \
	tests/wire/test_upgrade.py
wire_modules = \
	tests/wire/certificates.py \
	tests/wire/channels.py \
	tests/wire/commands.py \
	tests/wire/crowd.py \
	tests/wire/exim.py \
	tests/wire/level_test.py \
	tests/wire/lmtp.py \
	tests/wire/load.py \
	tests/wire/modules.py \
	tests/wire/policy_service.py \
	tests/wire/postfix.py \
	tests/wire/sinkd_server.py \
	tests/wire/smtp_sink.py \
	tests/wire/stages.py \
	tests/wire/upgraded_server.py \
	tests/wire/wire_test.py \
	tests/wire/workshop.py

# All of the server, but for what serves clients.
check_PROGRAMS += tests/wire/intruder
tests_wire_intruder_SOURCES = src/sinkd.c tests/wire/intruder.c tests/wire/intruder.h \
	tests/wire/intruder_spawner.c
tests_wire_intruder_CPPFLAGS = $(tests_cppflags)
tests_wire_intruder_LDADD = $(tests_server_libs)

# All of the server, but its time of day.
check_PROGRAMS += tests/wire/ahead
tests_wire_ahead_SOURCES = src/sinkd.c tests/wire/ahead.c
tests_wire_ahead_CPPFLAGS = $(tests_cppflags)
tests_wire_ahead_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime
tests_wire_ahead_LDADD = $(tests_server_libs)

# A command, for pipe sections; of the server it has nothing.
check_PROGRAMS += tests/wire/witness
tests_wire_witness_SOURCES = tests/wire/witness.c

# EventMachine's server, beside which ours is looked at.
EXTRA_DIST += tests/wire/seed_server.rb

EXTRA_DIST += $(level_tests) $(wire_tests) $(wire_modules)
