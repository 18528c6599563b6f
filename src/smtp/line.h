/* Command lines out of a stream of bytes (RFC 5321, 2.3.8 and 4.5.3.1.4).
 * Pure; allocates nothing.  A line that is whole in the given bytes is not copied. */
#ifndef SINKD_SMTP_LINE_H
#define SINKD_SMTP_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* No command of any extension comes near this; who sends more without a line
 * end does not speak SMTP. */
#define LINE_FLOOD_BYTES 65536

/* What lines of AUTH may have whatever the limit of the others, with their end
 * (RFC 4954, 4). */
#define LINE_LONG_BYTES 12288

enum line_outcome {
	LINE_MORE,     /* all bytes are used and the line has not ended */
	LINE_READY,    /* *ret_line is the line without its end */
	LINE_LONG,     /* the same, longer than max but not than LINE_LONG_BYTES */
	LINE_TOO_LONG, /* the end was found; *ret_line is the beginning */
	LINE_FLOOD,    /* LINE_FLOOD_BYTES without an end; *ret_line as above */
};

struct line {
	char *store;           /* the beginning of a line that came in pieces; not ours */
	size_t size;           /* of store */
	size_t stored;         /* what store holds, of this line or the one before */
	size_t max;            /* with the line end */
	size_t len;            /* bytes of this line so far, stored or not */
	bool is_mid;           /* a line has begun and not ended */
	bool has_bare_newline; /* the line just returned ended in a lone LF */
};

/* store: line_store_size(max) octets, kept by reference. */
size_t line_store_size(size_t max);
void line_init(struct line *l, size_t max, char *store);

/* Forget a line that has begun. */
void line_reset(struct line *l);

/* Overwrite what is stored of the line just returned, or of the one that has begun;
 * the latter is then to be reset. */
void line_wipe(struct line *l);

/* The beginning of the line that has begun and is not whole. */
struct str line_begun(const struct line *l);

/* Use up to n bytes of p; *ret_used always becomes how many.  *ret_line is valid
 * until the next call or until p changes; a beginning is as much as is at hand, but
 * LINE_LONG_BYTES at most. */
enum line_outcome line_next(
	struct line *l, const char *p, size_t n, size_t *ret_used, struct str *ret_line);

#endif
