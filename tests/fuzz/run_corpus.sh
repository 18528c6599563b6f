#!/bin/sh
# Each corpus, once through its fuzz target; libFuzzer and the plain main both take files.
for target in session address data config users sasl spawn proxy policy rules; do
	"$abs_top_builddir/tests/fuzz/fuzz_$target" "$srcdir/tests/fuzz/corpus/$target"/* || exit
done
