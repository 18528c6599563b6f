dist_man_MANS = docs/man/sinkctl.8 docs/man/sinkd.8 docs/man/sinkd.conf.5
EXTRA_DIST += docs/ARCHITECTURE.md docs/DECISIONS.md docs/CONTRIBUTING.md \
	docs/PROTOCOL.md docs/SECURITY.md
