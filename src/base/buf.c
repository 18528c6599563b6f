/* A growable byte buffer with a limit; see buf.h.
 *
 * Runs in every process; what is appended may be hostile, the limit may not be
 * passed.  Grows by doubling (limits are far below SIZE_MAX / 2), so that n appends cost
 * O(n). */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_SIZE_MIN 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->p);
	*b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->has_overflowed = false;
}

/* Make room for n more bytes; false when the limit or memory is reached. */
static bool buf_reserve(struct buf *b, size_t n)
{
	size_t size = b->size < BUF_SIZE_MIN ? BUF_SIZE_MIN : b->size;
	char *p;

	if (b->has_overflowed || n > b->max - b->len) {
		b->has_overflowed = true;
		return false;
	}
	if (n <= b->size - b->len)
		return true;
	while (size < b->len + n)
		size *= 2;
	if (size > b->max)
		size = b->max;
	p = realloc(b->p, size);
	if (p == NULL) {
		b->has_overflowed = true;
		return false;
	}
	b->p = p;
	b->size = size;
	return true;
}

char *buf_extend(struct buf *b, size_t n)
{
	if (!buf_reserve(b, n))
		return NULL;
	b->len += n;
	return b->p + b->len - n;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	return true;
}

bool buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

bool buf_add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

bool buf_add_format(struct buf *b, const char *format, ...)
{
	va_list ap;
	size_t room;
	int n;

	if (!buf_reserve(b, 1))
		return false;
	/* Most often it fits at once; else we know how much it is. */
	room = b->size - b->len;
	va_start(ap, format);
	n = vsnprintf(b->p + b->len, room, format, ap);
	va_end(ap);
	/* vsnprintf wants room for a NUL, which then is not counted. */
	if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
		b->has_overflowed = true;
		return false;
	}
	if ((size_t)n >= room) {
		va_start(ap, format);
		(void)vsnprintf(b->p + b->len, (size_t)n + 1, format, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
	return true;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (b->len > 0)
		memmove(b->p, b->p + n, b->len);
}

struct str buf_str(const struct buf *b)
{
	return (struct str){b->p, b->len};
}
