sampledir = $(docdir)
dist_sample_DATA = etc/sinkd.conf

# For those who install to copy: where a service belongs depends on the system.
systemddir = $(pkgdatadir)/systemd
dist_systemd_DATA = etc/sinkd.socket etc/sinkd.sysusers etc/sinkd.tmpfiles
nodist_systemd_DATA = etc/sinkd.service
CLEANFILES += etc/sinkd.service
EXTRA_DIST += etc/sinkd.service.in
etc/sinkd.service: $(srcdir)/etc/sinkd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && \
	sed -e 's|[@]sbindir@|$(sbindir)|g' \
		$(srcdir)/etc/sinkd.service.in >$@-new && mv $@-new $@
