#!/bin/sh
# Every transcript against the engine in memory: whole, byte by byte, all at once.
cases=$srcdir/tests/transcripts
exec "$abs_top_builddir/tests/transcripts/transcript" "$cases"/cases/*.smtp "$cases"/engine/*.smtp
