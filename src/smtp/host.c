/* What hooks may ask of the engine; see host.h and session.h.
 *
 * Runs in workers, called by user code: which is well meant, and may ask for anything at
 * any time.  What it has put in front of a message is part of the transaction, and never
 * more than a line of a header. */
#include "smtp/host.h"

#include <string.h>

#include "base/utf8.h"
#include "smtp/engine.h"

/* RFC 5322, 2.1.1 */
#define HEADER_LINE_MAX 998

/* What a first line needs at the least is taken for more of them. */
#define ROOM_LEAST 256

const struct envelope *smtp_envelope(const struct smtp *s)
{
	return &s->envelope;
}

enum smtp_verb smtp_command(const struct smtp *s)
{
	return s->verb;
}

uint64_t smtp_session_number(const struct smtp *s)
{
	return s->env->session_base + s->session_count;
}

struct host_mark host_mark(const struct smtp *s)
{
	return (struct host_mark){s->envelope.prepended, s->prepended_room};
}

void host_rewind(struct smtp *s, struct host_mark mark)
{
	s->envelope.prepended = mark.prepended;
	s->prepended_room = mark.room;
}

/* field-name ":" text (RFC 5322, 2.2); UTF-8 with SMTPUTF8 (RFC 6532). */
static bool is_header_line(const struct smtp *s, struct str line)
{
	size_t name = 0;

	while (name < line.n && line.p[name] > ' ' && line.p[name] != ':' &&
		str_is_printable(line.p[name]))
		name++;
	return name > 0 && name < line.n && line.p[name] == ':' &&
	       line.n <= HEADER_LINE_MAX && utf8_is_printable(line) &&
	       (s->envelope.is_smtputf8 || str_is_ascii(line));
}

/* Whether a message may still come of what is there, and has not begun. */
static bool is_before_message(const struct smtp *s)
{
	return s->envelope.argument.p != NULL && s->mode == MODE_COMMAND &&
	       s->chunks == CHUNKS_NONE && !s->is_in_message;
}

/* Room for n more octets; what is there moves to where it is. */
static bool make_room(struct smtp *s, size_t n)
{
	struct str *text = &s->envelope.prepended;
	size_t room = ROOM_LEAST;
	char *p;

	if (n <= s->prepended_room - text->n)
		return true;
	while (room < text->n + n)
		room *= 2;
	p = arena_alloc(&s->arena, room);
	if (p == NULL)
		return false;
	if (text->n > 0)
		memcpy(p, text->p, text->n);
	text->p = p;
	s->prepended_room = room;
	return true;
}

bool smtp_prepend(struct smtp *s, struct str line)
{
	struct str *text = &s->envelope.prepended;
	char *p;

	if (!is_before_message(s) || !is_header_line(s, line) ||
		!make_room(s, line.n + 1))
		return false;
	/* It is the arena's, and nobody else's. */
	p = (char *)(uintptr_t)text->p + text->n;
	memcpy(p, line.p, line.n);
	p[line.n] = '\n';
	text->n += line.n + 1;
	return true;
}
