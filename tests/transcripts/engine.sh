#!/bin/sh
# Every transcript against the engine in memory: whole, byte by byte, all at once.
exec "$abs_top_builddir/tests/transcripts/transcript" "$srcdir"/tests/transcripts/cases/*.smtp
