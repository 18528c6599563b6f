/* Output of commands; see output.h.
 *
 * Runs in the spawner.  A command may say what it likes, and as much.  Pure. */
#include "spawn/output.h"

#include <string.h>

#include "base/number.h"
#include "spawn/verdict.h"

void output_init(struct output *o)
{
	o->head_length = 0;
	o->line_length = 0;
	o->searched = 0;
	o->has_said = false;
}

/* As much of p[0..n) as there is room for. */
static void add(char *out, size_t *length, size_t size, const char *p, size_t n)
{
	n = (size_t)number_min(n, size - *length);
	memcpy(out + *length, p, n);
	*length += n;
}

static void end_line(struct output *o)
{
	struct str line = {o->line, o->line_length};

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	o->has_said = verdict_parse_line(line, &o->said);
	o->line_length = 0;
}

void output_add(struct output *o, const char *p, size_t n)
{
	add(o->head, &o->head_length, sizeof(o->head), p, n);
	n = (size_t)number_min(n, OUTPUT_SEARCH_MAX - o->searched);
	o->searched += n;
	while (n > 0 && !o->has_said) {
		const char *end = memchr(p, '\n', n);
		size_t length = end == NULL ? n : (size_t)(end - p);

		add(o->line, &o->line_length, sizeof(o->line), p, length);
		if (end != NULL) {
			end_line(o);
			length++;
		}
		p += length;
		n -= length;
	}
}

void output_end(struct output *o)
{
	if (!o->has_said)
		end_line(o);
}

struct str output_head(struct output *o)
{
	struct str s = {o->head, o->head_length};

	for (size_t i = 0; i < o->head_length; i++)
		if (!str_is_printable(o->head[i]))
			o->head[i] =
				strchr("\t\r\n", o->head[i]) != NULL && o->head[i] != '\0'
					? ' '
					: '?';
	return str_trim_end(str_trim_start(s));
}
