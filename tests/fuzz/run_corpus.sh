#!/bin/sh
# The corpus, once through the fuzz target; libFuzzer and the plain main both take files.
exec "$abs_top_builddir/tests/fuzz/fuzz_session" "$srcdir"/tests/fuzz/corpus/*
