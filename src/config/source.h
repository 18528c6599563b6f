/* The text of the configuration file, and messages about it. */
#ifndef SINKD_CONFIG_SOURCE_H
#define SINKD_CONFIG_SOURCE_H

#include <stddef.h>
#include <stdio.h>

struct buf;

/* Where mistakes are told, and how many there were. */
struct report {
	FILE *errors;
	const char *file; /* NULL: built in */
	size_t mistakes;
};

/* Tell a mistake: "FILE:LINE: text"; with line 0 "sinkd: text". */
void report_mistake(struct report *r, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Read r->file (NULL gives an empty text) and make it fit for the parser: without
 * comments, which become blanks, so that lines keep their numbers; each brace and
 * comment closed; no star outside of quotes; no NUL but the one at its end.  A mistake
 * there is told and leaves the text empty.  out is initialized here and is the caller's
 * to free. Returns 0, or a negative errno when the file cannot be read; told as well. */
int source_read(struct report *r, struct buf *out);

#endif
