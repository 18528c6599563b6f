/* Command line framing; see line.h.
 *
 * Runs in workers on hostile bytes.  A line ends with LF; the CR before it
 * belongs to the end.  A lone LF is taken as an end too, for people who type
 * into nc: that is safe because command lines never come out of message text,
 * which ends at CR LF . CR LF only.  A lone CR is an ordinary (bad) byte. */
#include "smtp/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int line_init(struct line *l, size_t max)
{
	*l = (struct line){.max = max};
	l->store = malloc(max);
	return l->store == NULL ? -ENOMEM : 0;
}

void line_done(struct line *l)
{
	free(l->store);
	*l = (struct line){0};
}

void line_reset(struct line *l)
{
	l->len = 0;
	l->is_mid = false;
}

/* Take the line end off; says in l whether it was a proper one. */
static struct str strip_end(struct line *l, struct str s)
{
	s.n--;
	l->has_bare_newline = s.n == 0 || s.p[s.n - 1] != '\r';
	if (!l->has_bare_newline)
		s.n--;
	return s;
}

enum line_outcome line_next(
	struct line *l, const char *p, size_t n, size_t *ret_used, struct str *ret_line)
{
	size_t before = l->len, room = LINE_FLOOD_BYTES - before;
	const char *newline = memchr(p, '\n', n < room ? n : room);
	size_t used = newline != NULL ? (size_t)(newline - p) + 1 : n < room ? n : room;

	*ret_used = used;
	l->len += used;
	if (before < l->max && before + used <= l->max && (before > 0 || newline == NULL))
		memcpy(l->store + before, p, used);
	if (newline == NULL) {
		l->is_mid = l->len > 0;
		return l->len == LINE_FLOOD_BYTES ? LINE_FLOOD : LINE_MORE;
	}
	l->is_mid = false;
	l->len = 0;
	if (before + used > l->max)
		return LINE_TOO_LONG;
	*ret_line = strip_end(l, before > 0 ? (struct str){l->store, before + used}
					    : (struct str){p, used});
	return LINE_READY;
}
