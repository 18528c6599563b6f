# Two convenience libraries keep the layers honest at link time: the protocol
# engine (libsinkproto.a) does no I/O, reads no clock and writes no log; engine
# tests link it alone.  libsinkd.a is all the rest but the mains.
noinst_LIBRARIES += src/libsinkproto.a src/libsinkd.a
sbin_PROGRAMS += src/sinkd src/sinkctl

# Optimised as a whole: what a message passes through comes to lie together.
src_libsinkproto_a_CFLAGS = $(AM_CFLAGS) $(LTO_CFLAGS)
src_libsinkd_a_CFLAGS = $(AM_CFLAGS) $(LTO_CFLAGS)
src_sinkd_CFLAGS = $(AM_CFLAGS) $(LTO_CFLAGS)

src_libsinkproto_a_SOURCES = \
	src/api/sinkd_module.h \
	src/base/arena.c src/base/arena.h \
	src/base/base64.c src/base/base64.h \
	src/base/buf.c src/base/buf.h \
	src/base/date.c src/base/date.h \
	src/base/siphash.c src/base/siphash.h \
	src/base/str.c src/base/str.h \
	src/base/utf8.c src/base/utf8.h \
	src/smtp/address.c src/smtp/address.h \
	src/smtp/auth.c src/smtp/auth.h \
	src/smtp/chunk.c src/smtp/chunk.h \
	src/smtp/command.c src/smtp/command.h \
	src/smtp/data.c src/smtp/data.h \
	src/smtp/engine.h \
	src/smtp/envelope.c src/smtp/envelope.h \
	src/smtp/extensions.c src/smtp/extensions.h \
	src/smtp/hooks.c src/smtp/hooks.h \
	src/smtp/host.c src/smtp/host.h \
	src/smtp/line.c src/smtp/line.h \
	src/smtp/mail.c src/smtp/mail.h \
	src/smtp/parameters.c src/smtp/parameters.h \
	src/smtp/reply.c src/smtp/reply.h \
	src/smtp/session.c src/smtp/session.h \
	src/smtp/sasl.h \
	src/smtp/settings.h \
	src/smtp/sink.h \
	src/smtp/transaction.c src/smtp/transaction.h \
	src/smtp/verbs.c src/smtp/verbs.h \
	src/smtp/xclient.c src/smtp/xclient.h

src_libsinkd_a_SOURCES = \
	src/base/clock.h \
	src/base/number.h \
	src/base/fdio.c src/base/fdio.h \
	src/base/ipc.c src/base/ipc.h \
	src/base/log.c src/base/log.h \
	src/base/network.c src/base/network.h \
	src/base/syslogd.c src/base/syslogd.h \
	src/delivery/delivery.c src/delivery/delivery.h \
	src/delivery/dirs.c src/delivery/dirs.h \
	src/delivery/discard.c \
	src/delivery/headers.c src/delivery/headers.h \
	src/delivery/leftovers.c src/delivery/leftovers.h \
	src/delivery/macro.c src/delivery/macro.h \
	src/delivery/mailbox.c src/delivery/mailbox.h \
	src/delivery/maildir.c src/delivery/maildir.h \
	src/delivery/maildir_message.c \
	src/delivery/module.c \
	src/delivery/pipe.c \
	src/delivery/routes.c src/delivery/routes.h \
	src/delivery/spawn_request.c src/delivery/spawn_request.h \
	src/delivery/spool.c src/delivery/spool.h \
	src/delivery/text.c src/delivery/text.h \
	src/net/certificate.c src/net/certificate.h \
	src/net/conn.c src/net/conn.h \
	src/net/key_request.h \
	src/net/listener.c src/net/listener.h \
	src/net/proxy.c src/net/proxy.h \
	src/net/remote_key.c src/net/remote_key.h \
	src/net/tls.c src/net/tls.h src/net/tls_context.h \
	src/net/tls_peer.c src/net/tls_peer.h \
	src/net/tls_session.c \
	src/policy/connect_request.c src/policy/connect_request.h \
	src/policy/crypt_hash.c src/policy/crypt_hash.h \
	src/policy/module.c src/policy/module.h \
	src/policy/fault.c src/policy/fault.h \
	src/policy/pattern.c src/policy/pattern.h \
	src/policy/rule.c src/policy/rule.h \
	src/policy/rules.c src/policy/rules.h \
	src/policy/rules_check.c \
	src/policy/rules_text.c src/policy/rules_text.h \
	src/policy/sasl.c src/policy/sasl.h \
	src/policy/sasl_form.c src/policy/sasl_form.h \
	src/policy/scram.c src/policy/scram.h \
	src/policy/stack.c src/policy/stack.h \
	src/policy/service.c src/policy/service.h \
	src/policy/service_answer.c src/policy/service_answer.h \
	src/policy/service_request.c src/policy/service_request.h \
	src/policy/users.c src/policy/users.h \
	src/policy/users_line.c \
	src/policy/vault.c src/policy/vault.h \
	src/config/auth_section.c src/config/auth_section.h \
	src/config/conf.c src/config/conf.h \
	src/config/deliver_section.c src/config/deliver_section.h \
	src/config/endpoints.c src/config/endpoints.h \
	src/config/listen_section.c src/config/listen_section.h \
	src/config/option.c src/config/option.h \
	src/config/print.c \
	src/config/program.c src/config/program.h \
	src/config/reader.c src/config/reader.h \
	src/config/routing.c src/config/routing.h \
	src/config/rule_section.c src/config/rule_section.h \
	src/config/schema.c src/config/schema.h \
	src/config/sections.c src/config/sections.h \
	src/config/source.c src/config/source.h \
	src/config/tables.c src/config/tables.h \
	src/config/tls_section.c src/config/tls_section.h \
	src/config/units.h \
	src/keys/errand.c src/keys/errand.h \
	src/keys/keyring.c src/keys/keyring.h \
	src/keys/pair.c src/keys/pair.h \
	src/keys/private_key.c src/keys/private_key.h \
	src/keys/self_signed.c src/keys/self_signed.h \
	src/keys/signer.c src/keys/signer.h \
	src/spawn/command_line.c src/spawn/command_line.h \
	src/spawn/job.c src/spawn/job.h \
	src/spawn/output.c src/spawn/output.h \
	src/spawn/spawner.c src/spawn/spawner.h \
	src/spawn/start.c src/spawn/start.h \
	src/spawn/verdict.c src/spawn/verdict.h \
	src/ctl/client.c src/ctl/client.h \
	src/ctl/metrics.c \
	src/ctl/out.c src/ctl/out.h \
	src/ctl/passwd.c src/ctl/passwd.h \
	src/ctl/rules.c \
	src/ctl/sessions.c \
	src/ctl/show.h \
	src/ctl/snapshot.c src/ctl/snapshot.h \
	src/ctl/status.c \
	src/proc/arrival.c src/proc/arrival.h \
	src/proc/board.c src/proc/board.h \
	src/proc/change.c src/proc/change.h \
	src/proc/child.c src/proc/child.h \
	src/proc/cleaner.c src/proc/cleaner.h \
	src/proc/confine.c src/proc/confine.h \
	src/proc/connector.c src/proc/connector.h \
	src/proc/control.c src/proc/control.h \
	src/proc/counters.c src/proc/counters.h \
	src/proc/crew.c src/proc/crew.h \
	src/proc/daemon.c src/proc/daemon.h \
	src/proc/deciders.c src/proc/deciders.h \
	src/proc/generation.c src/proc/generation.h \
	src/proc/helper.c src/proc/helper.h \
	src/proc/identity.c src/proc/identity.h \
	src/proc/inherit.c src/proc/inherit.h \
	src/proc/keeper.c src/proc/keeper.h \
	src/proc/keys.c src/proc/keys.h \
	src/proc/lineage.c src/proc/lineage.h \
	src/proc/master.c src/proc/master.h src/proc/master_state.h \
	src/proc/module_check.c src/proc/module_check.h \
	src/proc/notices.c src/proc/notices.h \
	src/proc/pool.c src/proc/pool.h \
	src/proc/ready.c src/proc/ready.h \
	src/proc/recorder.c src/proc/recorder.h \
	src/proc/region.c src/proc/region.h \
	src/proc/reload.c src/proc/reload.h \
	src/proc/rulebook.c src/proc/rulebook.h \
	src/proc/runtime.c src/proc/runtime.h \
	src/proc/sandbox.c src/proc/sandbox.h \
	src/proc/serve.c src/proc/serve.h \
	src/proc/signals.c src/proc/signals.h \
	src/proc/slots.c src/proc/slots.h \
	src/proc/spawners.c src/proc/spawners.h \
	src/proc/stamp.c src/proc/stamp.h \
	src/proc/steer.c src/proc/steer.h \
	src/proc/upgrade.c src/proc/upgrade.h \
	src/proc/worker.c src/proc/worker.h

src_sinkd_SOURCES = src/sinkd.c
src_sinkd_LDFLAGS = $(HARDEN_LDFLAGS) $(LTO_CFLAGS)
src_sinkd_LDADD = src/libsinkd.a src/libsinkproto.a $(CONFUSE_LIBS) $(BSD_LIBS) \
	$(SECCOMP_LIBS) $(GNUTLS_LIBS) $(GSASL_LIBS) $(CRYPT_LIBS)

src_sinkctl_SOURCES = src/sinkctl.c
src_sinkctl_CFLAGS = $(AM_CFLAGS) $(LTO_CFLAGS)
src_sinkctl_LDFLAGS = $(HARDEN_LDFLAGS) $(LTO_CFLAGS)
src_sinkctl_LDADD = src/libsinkd.a src/libsinkproto.a $(BSD_LIBS) $(GNUTLS_LIBS) $(GSASL_LIBS) \
	$(CRYPT_LIBS)
