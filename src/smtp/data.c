/* The DATA decoder; see data.h.
 *
 * Runs in workers on hostile bytes, and on every byte of every message: lines
 * are left where they are, so that text without stuffed dots leaves in one run
 * per call, and blocks of nothing but plain lines are passed over at once.
 *
 * The one rule that must never bend: only CR LF . CR LF ends a message, however
 * lone CRs and LFs are treated (SMTP smuggling, CVE-2023-51764 and its kin).
 *
 * What becomes of dots: after CR LF one leading dot goes, unless the line is the
 * end.  After a lone LF that counts as a line end ("normalize") one dot goes
 * only if the line begins with two: senders disagree on whether they stuff
 * there, and a line of one dot must stay text. */
#include "smtp/data.h"

#include <string.h>

/* Bytes that are looked at together; BLOCK of them with one branch. */
typedef uint8_t vector __attribute__((vector_size(16)));
#define BLOCK 64

/* Where a call stands: bytes from run up to the current one wait for emit. */
struct decoder {
	struct data *data;
	const char *p;
	size_t run;
	data_emit_fn emit;
	void *user;
};

void data_init(struct data *d, enum bare_newline bare_newline)
{
	*d = (struct data){.state = DATA_AT_LINE_START, .bare_newline = bare_newline};
}

/* Emit what waits before position i; the next run begins at next. */
static void emit_run(struct decoder *c, size_t i, size_t next)
{
	if (i > c->run) {
		c->data->octets += i - c->run;
		c->emit(c->user, c->p + c->run, i - c->run);
	}
	c->run = next;
}

/* Emit text that is not in the input as it stands, for so many octets of it. */
static void emit_text(struct decoder *c, const char *text, size_t n, size_t octets)
{
	c->data->octets += octets;
	c->emit(c->user, text, n);
}

/* A lone LF at position i. */
static void lone_newline(struct decoder *c, size_t i)
{
	struct data *d = c->data;

	d->has_bare_newline = true;
	d->state = DATA_IN_LINE;
	if (d->bare_newline == BARE_NEWLINE_NORMALIZE) {
		emit_run(c, i, i + 1);
		emit_text(c, "\r\n", 2, 1);
		d->state = DATA_AT_LONE_LF;
	}
}

/* In "reject" every CR without its LF counts; elsewhere it is just a byte, and
 * looking for it would cost a second pass over the text. */
static void note_lone_cr(struct data *d, const char *p, size_t n)
{
	if (d->bare_newline == BARE_NEWLINE_REJECT && !d->has_bare_newline &&
		memchr(p, '\r', n) != NULL)
		d->has_bare_newline = true;
}

static vector load(const char *p)
{
	vector v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Of 16 bytes, those that are not zero: a CR or LF of no CR LF, the LF before a dot. */
static vector find_odd(const char *p)
{
	const vector cr = (vector){0} + '\r', lf = (vector){0} + '\n',
		     dot = (vector){0} + '.';
	vector is_lf = (vector)(load(p) == lf);

	return (is_lf ^ (vector)(load(p - 1) == cr)) |
	       (is_lf & (vector)(load(p + 1) == dot));
}

/* From position i > 0, pass over blocks in which each CR and each LF is of a CR LF, and
 * no line begins with a dot.  Twice as fast as looking for each line. */
static size_t skip_plain(const char *p, size_t i, size_t n)
{
	for (; i + BLOCK < n; i += BLOCK) {
		const char *q = p + i;
		vector odd = find_odd(q) | find_odd(q + 16) | find_odd(q + 32) |
			     find_odd(q + 48);
		uint64_t halves[2];

		memcpy(halves, &odd, sizeof(halves));
		if ((halves[0] | halves[1]) != 0)
			break;
	}
	/* Whether its LF follows is not known yet. */
	return p[i - 1] == '\r' ? i - 1 : i;
}

/* Text from position i on, which is inside a line.  Nearly all of a message goes
 * through this loop; it ends at what is not just another line: a dot at the start,
 * a lone LF, the end of the input.  Returns where. */
static size_t take_lines(struct decoder *c, size_t i, size_t n)
{
	const char *p = c->p, *newline;
	bool has_cr = p[n - 1] == '\r';

	while ((newline = memchr(p + i, '\n', n - i)) != NULL) {
		size_t end = (size_t)(newline - p);

		if (end == i || p[end - 1] != '\r') {
			note_lone_cr(c->data, p + i, end - i);
			lone_newline(c, end);
			return end + 1;
		}
		note_lone_cr(c->data, p + i, end - i - 1);
		i = end + 1;
		if (i == n || p[i] == '.') {
			c->data->state = DATA_AT_LINE_START;
			return i;
		}
		i = skip_plain(p, i, n);
	}
	c->data->state = has_cr ? DATA_SEEN_CR : DATA_IN_LINE;
	note_lone_cr(c->data, p + i, n - i - has_cr);
	return n;
}

enum data_outcome data_decode(struct data *d, const char *p, size_t n, size_t *ret_used,
	data_emit_fn emit, void *user)
{
	struct decoder c = {d, p, 0, emit, user};
	size_t i = 0;

	while (i < n) {
		switch (d->state) {
		case DATA_AT_LINE_START:
		case DATA_AT_LONE_LF:
			if (p[i] != '.' || d->is_chunked) {
				d->state = DATA_IN_LINE;
				break;
			}
			emit_run(&c, i, i + 1);
			d->state = d->state == DATA_AT_LINE_START ? DATA_SEEN_DOT
								  : DATA_SEEN_LONE_LF_DOT;
			i++;
			break;
		case DATA_SEEN_DOT:
			d->state = DATA_IN_LINE;
			if (p[i] == '\r') {
				d->state = DATA_SEEN_DOT_CR;
				c.run = ++i;
			}
			break;
		case DATA_SEEN_DOT_CR:
			if (p[i] == '\n') {
				*ret_used = i + 1;
				return DATA_END;
			}
			emit_text(&c, "\r", 1, 1);
			d->state = DATA_SEEN_CR;
			break;
		case DATA_SEEN_LONE_LF_DOT:
			if (p[i] != '.')
				emit_text(&c, ".", 1, 1);
			d->state = DATA_IN_LINE;
			break;
		case DATA_SEEN_CR:
			if (p[i] == '\n') {
				d->state = DATA_AT_LINE_START;
				i++;
				break;
			}
			d->has_bare_newline |= d->bare_newline == BARE_NEWLINE_REJECT;
			d->state = DATA_IN_LINE;
			break;
		case DATA_IN_LINE:
			i = take_lines(&c, i, n);
			break;
		}
	}
	emit_run(&c, n, n);
	*ret_used = n;
	return DATA_MORE;
}

void data_add_chunk(
	struct data *d, const char *p, size_t n, data_emit_fn emit, void *user)
{
	struct decoder c = {d, p, 0, emit, user};
	size_t used;

	/* What may be no text at all is not looked at. */
	if (d->bare_newline == BARE_NEWLINE_PRESERVE) {
		emit_run(&c, n, n);
		return;
	}
	d->is_chunked = true;
	(void)data_decode(d, p, n, &used, emit, user);
}

bool data_has_bare_newline(const struct data *d)
{
	return d->has_bare_newline ||
	       (d->bare_newline == BARE_NEWLINE_REJECT && d->state == DATA_SEEN_CR);
}
