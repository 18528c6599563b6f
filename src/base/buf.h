/* A growable byte buffer with a limit.
 *
 * Invariants: len <= size <= max; p is NULL only while size is 0.  A zeroed
 * buffer with max set is a valid start.  Once an append has failed the buffer
 * is marked as overflowed and further appends do nothing, so a caller may
 * append many pieces and look once. */
#ifndef SINKD_BASE_BUF_H
#define SINKD_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct buf {
	char *p;
	size_t len;
	size_t size;
	size_t max;
	bool has_overflowed;
};

void buf_init(struct buf *b, size_t max);
/* Frees the memory and leaves a zeroed buffer.  Takes NULL. */
void buf_done(struct buf *b);

/* Forget the contents and the mark of overflow; keep the memory. */
void buf_reset(struct buf *b);

/* Append.  Return false when the limit or memory is reached; then nothing of
 * this piece was added.  buf_add_format needs room for one byte more than it adds. */
bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_add_str(struct buf *b, struct str s);
bool buf_add_text(struct buf *b, const char *text);
bool buf_add_format(struct buf *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Append n bytes, at least one, that are for the caller to fill in at once.  Returns
 * where, or NULL as above. */
char *buf_extend(struct buf *b, size_t n);

/* Take n bytes off the front; n must not exceed len. */
void buf_consume(struct buf *b, size_t n);

/* The contents; valid until the next change. */
struct str buf_str(const struct buf *b);

#endif
