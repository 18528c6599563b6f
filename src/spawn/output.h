/* What a command says: its beginning for the log, and the line that is meant for the
 * client.  However much it is, no more than this is kept. */
#ifndef SINKD_SPAWN_OUTPUT_H
#define SINKD_SPAWN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "delivery/spawn_request.h"

#define OUTPUT_HEAD_MAX   512
#define OUTPUT_LINE_MAX   256
#define OUTPUT_SEARCH_MAX (64 * 1024) /* a line behind that is not looked at */

struct output {
	size_t head_length;
	size_t line_length;
	size_t searched;
	bool has_said;
	struct spawn_answer said; /* if so */
	char head[OUTPUT_HEAD_MAX];
	char line[OUTPUT_LINE_MAX]; /* its beginning, of one whose end has not come */
};

void output_init(struct output *o);

/* The next n bytes, any split. */
void output_add(struct output *o, const char *p, size_t n);

/* That was all; the last line needs no end. */
void output_end(struct output *o);

/* The beginning of it as one line of printable ASCII; valid while o is. */
struct str output_head(struct output *o);

#endif
