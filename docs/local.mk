dist_man_MANS = docs/man/sinkctl.8 docs/man/sinkd.8 docs/man/sinkd.conf.5 \
	docs/man/sinkd-module.3
EXTRA_DIST += docs/ARCHITECTURE.md docs/CALLBACKS.md docs/DECISIONS.md docs/CONTRIBUTING.md \
	docs/PROTOCOL.md docs/SECURITY.md docs/SMTP-SINK.md

# Modules that show how one is written; built and run by the tests.
example_modules = docs/examples/email_server.so docs/examples/greylist.so \
	docs/examples/json_lines.so
exampledir = $(docdir)/examples
dist_example_DATA = $(example_modules:.so=.c)

# For who writes a module.
include_HEADERS += src/api/sinkd_module.h
pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = docs/sinkd.pc
CLEANFILES += docs/sinkd.pc
EXTRA_DIST += docs/sinkd.pc.in
docs/sinkd.pc: $(srcdir)/docs/sinkd.pc.in Makefile
	$(AM_V_GEN)$(MKDIR_P) docs && \
	sed -e 's|[@]prefix@|$(prefix)|g' -e 's|[@]includedir@|$(includedir)|g' \
		-e 's|[@]libdir@|$(libdir)|g' -e 's|[@]VERSION@|$(VERSION)|g' \
		$(srcdir)/docs/sinkd.pc.in >$@-new && mv $@-new $@
