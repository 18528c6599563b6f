# The test suite.  `make check` runs it; README.md says what is where.
TEST_EXTENSIONS = .py .sh
PY_LOG_COMPILER = $(PYTHON)
SH_LOG_COMPILER = $(SHELL)
# srcdir may be read-only: Python must not leave its caches there.
AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; export srcdir; \
	builddir='$(builddir)'; export builddir; \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	CC='$(CC)'; export CC; \
	RUNTIME_DIRECTORY='$(abs_builddir)/tests/run'; export RUNTIME_DIRECTORY; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

# These first, or at the end all would wait for the longest.
TESTS += tests/fault/fault_master $(level_tests) $(wire_tests)

tests_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/tools
tests_server_libs = src/libsinkd.a src/libsinkproto.a $(CONFUSE_LIBS) $(BSD_LIBS) $(SECCOMP_LIBS) $(GNUTLS_LIBS) $(GSASL_LIBS) $(CRYPT_LIBS)

# The engine on a bench: it takes the place of the server's processes and disks.
check_LIBRARIES += tests/tools/librig.a
tests_tools_librig_a_SOURCES = \
	tests/tools/rig.c tests/tools/rig.h \
	tests/tools/rig_hooks.c tests/tools/rig_parts.h \
	tests/tools/rig_sasl.c
tests_tools_librig_a_CPPFLAGS = $(tests_cppflags)
tests_tools_librig_a_CFLAGS = $(fuzz_cflags)

# --- unit --------------------------------------------------------------------
if HAVE_CUNIT
unit_programs = tests/unit/unit_proto tests/unit/unit tests/unit/unit_worker
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)
endif
unit_cppflags = $(tests_cppflags) $(CUNIT_CFLAGS)

tests_unit_unit_proto_SOURCES = \
	tests/unit/unit.c tests/unit/unit.h tests/unit/suites_proto.c \
	tests/unit/test_actions.c \
	tests/unit/test_address.c \
	tests/unit/test_arena.c \
	tests/unit/auth_fixture.h \
	tests/unit/test_auth.c \
	tests/unit/test_auth_secrets.c \
	tests/unit/test_base64.c \
	tests/unit/test_buf.c \
	tests/unit/test_chunk.c \
	tests/unit/test_chunk_limits.c \
	tests/unit/test_command.c \
	tests/unit/test_data.c \
	tests/unit/test_date.c \
	tests/unit/test_envelope.c \
	tests/unit/test_extensions.c \
	tests/unit/test_hooks.c \
	tests/unit/test_host.c \
	tests/unit/test_line.c \
	tests/unit/test_lmtp.c \
	tests/unit/test_mail.c \
	tests/unit/test_parameters.c \
	tests/unit/test_reply.c \
	tests/unit/test_session.c \
	tests/unit/test_siphash.c \
	tests/unit/test_starttls.c \
	tests/unit/test_str.c \
	tests/unit/test_utf8.c \
	tests/unit/test_xclient.c
tests_unit_unit_proto_CPPFLAGS = $(unit_cppflags)
tests_unit_unit_proto_LDADD = tests/tools/librig.a src/libsinkproto.a $(CUNIT_LIBS)

tests_unit_unit_SOURCES = \
	tests/unit/unit.c tests/unit/unit.h tests/unit/suites.c \
	tests/unit/json.c tests/unit/json.h \
	tests/unit/conf_fixture.c tests/unit/conf_fixture.h \
	tests/unit/test_arrival.c \
	tests/unit/test_conf.c \
	tests/unit/test_control.c \
	tests/unit/test_counters.c \
	tests/unit/maildir_fixture.c tests/unit/maildir_fixture.h \
	tests/unit/test_delivery.c \
	tests/unit/routes_fixture.c tests/unit/routes_fixture.h \
	tests/unit/test_delivery_routes.c \
	tests/unit/test_delivery_several.c \
	tests/unit/test_headers.c \
	tests/unit/test_helper.c \
	tests/unit/test_inherit.c \
	tests/unit/test_ipc.c \
	tests/unit/test_keyring.c \
	tests/unit/test_leftovers.c \
	tests/unit/test_listener.c \
	tests/unit/test_log.c \
	tests/unit/test_macro.c \
	tests/unit/module_fixture.c tests/unit/module_fixture.h \
	tests/unit/test_module.c \
	tests/unit/test_module_backend.c \
	tests/unit/test_module_examples.c \
	tests/unit/test_pattern.c \
	tests/unit/test_fault.c \
	tests/unit/test_rule.c \
	tests/unit/test_service_text.c \
	tests/unit/service_fixture.c tests/unit/service_fixture.h \
	tests/unit/test_service.c \
	tests/unit/test_connector.c \
	tests/unit/rules_fixture.c tests/unit/rules_fixture.h \
	tests/unit/test_rules.c \
	tests/unit/test_rules_faults.c \
	tests/unit/test_mailbox.c \
	tests/unit/test_maildir.c \
	tests/unit/test_maildir_faults.c \
	tests/unit/test_maildir_keep.c \
	tests/unit/test_network.c \
	tests/unit/test_notices.c \
	tests/unit/test_conf_deliver.c \
	tests/unit/test_conf_deciders.c \
	tests/unit/test_conf_listen.c \
	tests/unit/test_conf_rules.c \
	tests/unit/test_conf_tls.c \
	tests/unit/test_option.c \
	tests/unit/pool_sim.c tests/unit/pool_sim.h \
	tests/unit/test_pool.c \
	tests/unit/test_pool_life.c \
	tests/unit/pipe_fixture.c tests/unit/pipe_fixture.h \
	tests/unit/test_pipe.c \
	tests/unit/test_pipe_faults.c \
	tests/unit/test_pipe_text.c \
	tests/unit/test_proxy.c \
	tests/unit/test_ready.c \
	tests/unit/test_rulebook.c \
	tests/unit/test_runtime.c \
	tests/unit/sasl_fixture.c tests/unit/sasl_fixture.h \
	tests/unit/test_sasl.c \
	tests/unit/test_sasl_clients.c \
	tests/unit/test_show.c \
	tests/unit/test_signer.c \
	tests/unit/spawn_fixture.c tests/unit/spawn_fixture.h \
	tests/unit/test_command_line.c \
	tests/unit/test_spawner.c \
	tests/unit/test_spawner_questions.c \
	tests/unit/test_verdict.c \
	tests/unit/test_slots.c \
	tests/unit/test_stack.c \
	tests/unit/test_spawn_request.c \
	tests/unit/test_users.c \
	tests/unit/test_certificate.c \
	tests/unit/tls_fixture.c tests/unit/tls_fixture.h tests/unit/tls_scene.c \
	tests/unit/test_conn.c \
	tests/unit/test_tls.c tests/unit/test_tls_end.c \
	tests/unit/test_upgrade.c
tests_unit_unit_CPPFLAGS = $(unit_cppflags)
tests_unit_unit_LDADD = tests/tools/librig.a $(tests_server_libs) $(CUNIT_LIBS)

# Modules: the examples, built as their authors would, and one that is wrong in many ways.
test_modules = tests/unit/odd_module.so tests/unit/no_module.so tests/wire/wilful_module.so
check_DATA += $(example_modules) $(test_modules)
CLEANFILES += $(example_modules) $(test_modules)
EXTRA_DIST += tests/unit/odd_module.c tests/wire/wilful_module.c
module_build = $(AM_V_CCLD)$(MKDIR_P) $(@D) && $(CC) $(WARN_CFLAGS) $(CFLAGS) \
	-I$(top_srcdir)/src/api -shared -fPIC -o $@
$(example_modules): docs/examples/%.so: $(top_srcdir)/docs/examples/%.c $(top_srcdir)/src/api/sinkd_module.h
	$(module_build) $<
tests/unit/odd_module.so tests/wire/wilful_module.so: %.so: $(top_srcdir)/%.c $(top_srcdir)/src/api/sinkd_module.h
	$(module_build) $<
tests/unit/no_module.so: $(top_srcdir)/tests/unit/odd_module.c
	$(module_build) -DWITHOUT_ENTRY $<

tests_unit_unit_worker_SOURCES = \
	tests/unit/unit.c tests/unit/unit.h tests/unit/suites_worker.c \
	tests/unit/conf_fixture.c tests/unit/conf_fixture.h \
	tests/unit/test_serve.c \
	tests/unit/test_worker.c
tests_unit_unit_worker_CPPFLAGS = $(unit_cppflags)
tests_unit_unit_worker_LDADD = $(tests_server_libs) $(CUNIT_LIBS)

# --- transcripts -------------------------------------------------------------
check_PROGRAMS += tests/transcripts/transcript
tests_transcripts_transcript_SOURCES = \
	tests/transcripts/transcript.c \
	tests/transcripts/play.c tests/transcripts/play.h \
	tests/transcripts/live.c tests/transcripts/live.h \
	tests/transcripts/script.c tests/transcripts/script.h
tests_transcripts_transcript_CPPFLAGS = $(tests_cppflags) $(GNUTLS_CFLAGS)
tests_transcripts_transcript_LDADD = tests/tools/librig.a src/libsinkproto.a \
	$(GNUTLS_LIBS)
TESTS += tests/transcripts/engine.sh tests/transcripts/live.py
EXTRA_DIST += tests/transcripts/engine.sh tests/transcripts/live.py \
	tests/transcripts/cases tests/transcripts/engine

# --- fuzz --------------------------------------------------------------------
fuzz_targets = session address data config users sasl spawn proxy policy rules
fuzz_programs = $(fuzz_targets:%=tests/fuzz/fuzz_%)
check_PROGRAMS += \
	tests/fuzz/fuzz_session \
	tests/fuzz/fuzz_address \
	tests/fuzz/fuzz_data \
	tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_users \
	tests/fuzz/fuzz_sasl \
	tests/fuzz/fuzz_spawn \
	tests/fuzz/fuzz_proxy \
	tests/fuzz/fuzz_policy \
	tests/fuzz/fuzz_rules
check_LIBRARIES += tests/tools/libfuzz.a
tests_tools_libfuzz_a_SOURCES = tests/tools/fuzz.c tests/tools/fuzz.h
tests_tools_libfuzz_a_CPPFLAGS = $(tests_cppflags)
tests_tools_libfuzz_a_CFLAGS = $(fuzz_cflags)
if FUZZING
# Of interest is where the product goes, not its checkers.
fuzz_cflags = $(AM_CFLAGS) -fno-sanitize=fuzzer-no-link
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_cflags = $(AM_CFLAGS)
fuzz_ldflags = $(AM_LDFLAGS)
tests_tools_libfuzz_a_SOURCES += tests/tools/fuzz_main.c
endif

tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c
tests_fuzz_fuzz_session_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_session_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_session_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_session_LDADD = tests/tools/librig.a tests/tools/libfuzz.a \
	src/libsinkproto.a

tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c
tests_fuzz_fuzz_address_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_address_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_address_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_address_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_data_SOURCES = tests/fuzz/fuzz_data.c
tests_fuzz_fuzz_data_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_data_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_data_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_data_LDADD = tests/tools/libfuzz.a src/libsinkproto.a

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
tests_fuzz_fuzz_config_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_config_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_users_SOURCES = tests/fuzz/fuzz_users.c
tests_fuzz_fuzz_users_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_users_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_users_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_users_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c
tests_fuzz_fuzz_sasl_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_sasl_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_sasl_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_sasl_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_spawn_SOURCES = tests/fuzz/fuzz_spawn.c
tests_fuzz_fuzz_spawn_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_spawn_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_spawn_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_spawn_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c
tests_fuzz_fuzz_proxy_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_proxy_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_proxy_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_proxy_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c
tests_fuzz_fuzz_policy_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_policy_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_policy_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_policy_LDADD = tests/tools/libfuzz.a $(tests_server_libs)
tests_fuzz_fuzz_rules_SOURCES = tests/fuzz/fuzz_rules.c
tests_fuzz_fuzz_rules_CPPFLAGS = $(tests_cppflags)
tests_fuzz_fuzz_rules_CFLAGS = $(fuzz_cflags)
tests_fuzz_fuzz_rules_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_rules_LDADD = tests/tools/libfuzz.a $(tests_server_libs)

TESTS += tests/fuzz/run_corpus.sh
EXTRA_DIST += tests/fuzz/run_corpus.sh tests/fuzz/corpus tests/fuzz/make_corpus.py \
	tests/fuzz/coverage.py $(fuzz_targets:%=tests/fuzz/%.dict)

# The time is shared out evenly; make -j runs several at once.  New inputs go to a
# directory of the build, so that the corpus in the source stays small and reviewed; what crashes is copied there by
# hand, with a test.
FUZZ_SECONDS = 60
fuzz_runs = $(fuzz_targets:%=fuzz-%)
.PHONY: fuzz $(fuzz_runs)
fuzz: $(fuzz_runs)
$(fuzz_runs): $(fuzz_programs)
if FUZZING
	set -- $(fuzz_targets) && target=$(@:fuzz-%=%) && \
	$(MKDIR_P) tests/fuzz/found/$$target && \
	tests/fuzz/fuzz_$$target -max_total_time=$$(($(FUZZ_SECONDS) / $$#)) \
		-timeout=10 -max_len=4096 -artifact_prefix=tests/fuzz/$$target- \
		-dict=$(srcdir)/tests/fuzz/$$target.dict tests/fuzz/found/$$target \
		$(srcdir)/tests/fuzz/corpus/$$target
else
	@echo 'fuzz: configure with --enable-fuzzing CC=clang first' >&2; exit 1
endif

# How much of room smtp the corpora reach, by gcov (llvm-cov for clang).
COVERAGE_LEAST = 95
.PHONY: coverage
coverage:
	$(MKDIR_P) coverage
	cd coverage && CC='$(CC)' $(PYTHON) $(abs_top_srcdir)/tests/fuzz/coverage.py \
		$(abs_top_srcdir) $(COVERAGE_LEAST) -std=gnu11 \
		-include $(abs_top_builddir)/config.h -I$(abs_top_srcdir)/src \
		-I$(abs_top_srcdir)/tests/tools
clean-local:
	rm -rf tests/fuzz/found tests/run coverage

# --- fault -------------------------------------------------------------------
# The linker puts the functions of wraps.c before those of libc.
check_LIBRARIES += tests/fault/libfault.a
tests_fault_libfault_a_SOURCES = \
	tests/fault/client.c tests/fault/client.h \
	tests/fault/disk.c tests/fault/disk.h \
	tests/fault/faults.c tests/fault/faults.h \
	tests/fault/mail.c tests/fault/mail.h \
	tests/fault/scene.c tests/fault/scene.h \
	tests/fault/wraps.c
fault_ldadd = tests/fault/libfault.a $(tests_server_libs)
fault_ldflags = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=write,--wrap=read \
	-Wl,--wrap=fsync,--wrap=close,--wrap=lseek,--wrap=copy_file_range,--wrap=open \
	-Wl,--wrap=openat,--wrap=__openat_2,--wrap=syscall,--wrap=mkdirat \
	-Wl,--wrap=linkat,--wrap=unlinkat,--wrap=renameat2,--wrap=fchmod \
	-Wl,--wrap=fchownat,--wrap=faccessat,--wrap=socket,--wrap=bind,--wrap=listen \
	-Wl,--wrap=getsockname,--wrap=setsockopt,--wrap=accept4,--wrap=recv \
	-Wl,--wrap=send,--wrap=shutdown,--wrap=epoll_create1,--wrap=epoll_ctl \
	-Wl,--wrap=epoll_wait,--wrap=poll,--wrap=ppoll,--wrap=__ppoll_chk,--wrap=pipe2,--wrap=memfd_create \
	-Wl,--wrap=ftruncate,--wrap=mmap,--wrap=madvise,--wrap=fcntl,--wrap=fork \
	-Wl,--wrap=signalfd,--wrap=sigaction,--wrap=sigprocmask,--wrap=close_range \
	-Wl,--wrap=prctl,--wrap=getrandom,--wrap=setgroups,--wrap=setresgid \
	-Wl,--wrap=setresuid,--wrap=nanosleep,--wrap=strdup,--wrap=strndup \
	-Wl,--wrap=socketpair,--wrap=sendmsg,--wrap=recvmsg,--wrap=pread \
	-Wl,--wrap=__pread_chk,--wrap=fstat,--wrap=setrlimit \
	-Wl,--wrap=clone,--wrap=waitid

fault_programs = \
	tests/fault/fault_keys \
	tests/fault/fault_maildir \
	tests/fault/fault_pipe \
	tests/fault/fault_session \
	tests/fault/fault_spawner \
	tests/fault/fault_worker \
	tests/fault/power_loss
check_PROGRAMS += tests/fault/fault_master $(fault_programs)
TESTS += $(fault_programs)
tests_fault_fault_keys_LDADD = $(fault_ldadd)
tests_fault_fault_keys_LDFLAGS = $(fault_ldflags)
tests_fault_fault_maildir_LDADD = $(fault_ldadd)
tests_fault_fault_maildir_LDFLAGS = $(fault_ldflags)
tests_fault_fault_master_LDADD = $(fault_ldadd)
tests_fault_fault_master_LDFLAGS = $(fault_ldflags)
tests_fault_fault_pipe_LDADD = $(fault_ldadd)
tests_fault_fault_pipe_LDFLAGS = $(fault_ldflags)
tests_fault_fault_session_LDADD = $(fault_ldadd)
tests_fault_fault_session_LDFLAGS = $(fault_ldflags)
tests_fault_fault_spawner_LDADD = $(fault_ldadd)
tests_fault_fault_spawner_LDFLAGS = $(fault_ldflags)
tests_fault_fault_worker_LDADD = $(fault_ldadd)
tests_fault_fault_worker_LDFLAGS = $(fault_ldflags)
tests_fault_power_loss_LDADD = $(fault_ldadd)
tests_fault_power_loss_LDFLAGS = $(fault_ldflags)
# --- bench -------------------------------------------------------------------
bench_programs = \
	tests/bench/limit_maildir \
	tests/bench/limit_pipe \
	tests/bench/limit_policy \
	tests/bench/load
check_PROGRAMS += $(bench_programs)
bench_ldadd = src/libsinkd.a src/libsinkproto.a $(BSD_LIBS)
tests_bench_limit_maildir_SOURCES = tests/bench/limit_maildir.c tests/bench/limit.c tests/bench/limit.h
tests_bench_limit_maildir_LDADD = $(bench_ldadd)
tests_bench_limit_pipe_SOURCES = tests/bench/limit_pipe.c tests/bench/limit.c tests/bench/limit.h
tests_bench_limit_pipe_LDADD = $(bench_ldadd)
tests_bench_limit_policy_SOURCES = tests/bench/limit_policy.c
tests_bench_limit_policy_LDADD = $(bench_ldadd)
tests_bench_load_SOURCES = tests/bench/load.c
tests_bench_load_LDADD = $(bench_ldadd)
EXTRA_DIST += \
	tests/bench/bench.py \
	tests/bench/deliveries.py \
	tests/bench/idle_module.c \
	tests/bench/layers.py \
	tests/bench/measure.py \
	tests/bench/servers.py

# What a message costs on this machine, beside smtp-sink; a minute or two.  With
# BENCH_FLAGS=--pipe or --maildir DIRECTORY, what a delivery costs; with --layers, what
# it costs to let somebody decide.
tests/bench/idle_module.so: $(top_srcdir)/tests/bench/idle_module.c $(top_srcdir)/src/api/sinkd_module.h
	$(module_build) $<
CLEANFILES += tests/bench/idle_module.so
.PHONY: bench
bench: src/sinkd $(bench_programs) tests/bench/idle_module.so
	@$(AM_TESTS_ENVIRONMENT) $(PYTHON) $(srcdir)/tests/bench/bench.py $(BENCH_FLAGS)

# --- lints -------------------------------------------------------------------
lint_tests = \
	tests/lint/banned.py \
	tests/lint/docs_complete.py \
	tests/lint/format.py \
	tests/lint/layers.py \
	tests/lint/man.py \
	tests/lint/protocol.py \
	tests/lint/purity.py \
	tests/lint/readme.py \
	tests/lint/service.py \
	tests/lint/sizes.py
TESTS += $(lint_tests)
EXTRA_DIST += $(lint_tests) tests/lint/lint.py tests/README.md

include tests/wire/local.mk
