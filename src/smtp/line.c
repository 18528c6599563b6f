/* Command line framing; see line.h.
 *
 * Runs in workers on hostile bytes.  A line ends with LF; the CR before it
 * belongs to the end.  A lone LF is taken as an end too, for people who type
 * into nc: that is safe because command lines never come out of message text,
 * which ends at CR LF . CR LF only.  A lone CR is an ordinary (bad) byte. */
#include "smtp/line.h"

#include <string.h>

size_t line_store_size(size_t max)
{
	return max > LINE_LONG_BYTES ? max : LINE_LONG_BYTES;
}

void line_init(struct line *l, size_t max, char *store)
{
	*l = (struct line){.max = max, .store = store, .size = line_store_size(max)};
}

void line_reset(struct line *l)
{
	l->len = 0;
	l->is_mid = false;
}

void line_wipe(struct line *l)
{
	explicit_bzero(l->store, l->stored);
	l->stored = 0;
}

struct str line_begun(const struct line *l)
{
	return (struct str){l->store, l->is_mid ? l->stored : 0};
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

/* Keep what has come of a line, as far as there is room. */
static void store(struct line *l, const char *p, size_t n)
{
	size_t room = l->size - l->stored;

	if (n > room)
		n = room;
	memcpy(l->store + l->stored, p, n);
	l->stored += n;
}

static enum line_outcome judge_length(const struct line *l, size_t n)
{
	return n <= l->max            ? LINE_READY
	       : n <= LINE_LONG_BYTES ? LINE_LONG
				      : LINE_TOO_LONG;
}

enum line_outcome line_next(
	struct line *l, const char *p, size_t n, size_t *ret_used, struct str *ret_line)
{
	size_t before = l->len, room = LINE_FLOOD_BYTES - before;
	const char *newline = memchr(p, '\n', n < room ? n : room);
	size_t used = newline != NULL ? (size_t)(newline - p) + 1 : n < room ? n : room;
	enum line_outcome outcome;
	struct str whole = {p, used};

	*ret_used = used;
	l->len += used;
	if (before == 0)
		l->stored = 0;
	if (before > 0 || newline == NULL) {
		store(l, p, used);
		whole = (struct str){l->store, l->stored};
	}
	l->is_mid = newline == NULL && l->len > 0;
	if (newline == NULL && l->len < LINE_FLOOD_BYTES)
		return LINE_MORE;
	outcome = newline == NULL ? LINE_FLOOD : judge_length(l, l->len);
	if (newline != NULL)
		l->len = 0;
	if (outcome == LINE_READY || outcome == LINE_LONG)
		*ret_line = strip_end(l, whole);
	else
		*ret_line = (struct str){
			whole.p, whole.n < LINE_LONG_BYTES ? whole.n : LINE_LONG_BYTES};
	return outcome;
}
