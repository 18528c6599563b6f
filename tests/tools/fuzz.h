/* What the fuzz targets share.
 *
 * A target is a file with LLVMFuzzerTestOneInput in it.  libFuzzer brings a main of
 * its own; without it fuzz_main.c runs the files named on the command line. */
#ifndef SINKD_TESTS_FUZZ_H
#define SINKD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Run one input.  Whatever is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Abort unless the two are equal, and say where they differ.  The names say what a
 * and b are. */
void fuzz_compare(const char *what, const char *a_name, struct str a, const char *b_name,
	struct str b);

/* Abort unless line is a mistake told as "FILE:LINE: text", printable, of a file with
 * so many lines. */
void fuzz_check_mistake(struct str line, struct str file, size_t line_count);

/* On the heap and without a byte more, so that a checker sees a read past the end.
 * The caller frees it. */
char *fuzz_exact_copy(struct str s);

#endif
