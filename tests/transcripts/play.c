/* Plays a transcript step by step and compares.  The first difference ends it:
 * what comes after one is noise. */
#include "play.h"

#include <stdio.h>
#include <string.h>

struct play {
	const struct script *script;
	const struct peer *peer;
	const char *mode;
	bool is_at_once;
	size_t seen;       /* messages compared */
	size_t stored_max; /* the last claim about their number */
};

/* '*' stands for any bytes, all else for itself. */
static bool matches(struct str pattern, struct str text)
{
	struct str retry_pattern = {0};
	struct str retry_text = {0};
	bool can_retry = false;

	for (;;) {
		if (pattern.n > 0 && pattern.p[0] == '*') {
			pattern = retry_pattern = str_skip(pattern, 1);
			retry_text = text;
			can_retry = true;
		} else if (pattern.n > 0 && text.n > 0 && pattern.p[0] == text.p[0]) {
			pattern = str_skip(pattern, 1);
			text = str_skip(text, 1);
		} else if (pattern.n == 0 && text.n == 0) {
			return true;
		} else if (can_retry && retry_text.n > 0) {
			/* The last star takes one byte more. */
			text = retry_text = str_skip(retry_text, 1);
			pattern = retry_pattern;
		} else {
			return false;
		}
	}
}

static bool fail(const struct play *p, const struct step *step, const char *what,
	struct str got, struct str expected)
{
	char got_text[400];
	char expected_text[400];

	(void)str_printable(got_text, sizeof(got_text), got);
	(void)str_printable(expected_text, sizeof(expected_text), expected);
	(void)fprintf(stderr, "%s:%u: %s: %s\n\tgot      '%s'\n\texpected '%s'\n",
		p->script->path, step->line, p->mode, what, got_text, expected_text);
	return false;
}

static bool expect_line(const struct play *p, const struct step *step)
{
	struct str pattern = buf_str(&step->bytes);
	struct str line;

	if (!p->peer->line(p->peer->user, &line))
		return fail(p, step, "no reply", STR(""), pattern);
	if (!matches(pattern, line))
		return fail(p, step, "another reply", line, pattern);
	return true;
}

/* "NNN-" goes on, "NNN " is the last line of a reply. */
static bool is_last_line(struct str line)
{
	return line.n < 4 || line.p[3] != '-';
}

static bool expect_reply(const struct play *p, const struct step *step)
{
	struct str code = buf_str(&step->bytes);
	struct str line;

	do {
		if (!p->peer->line(p->peer->user, &line))
			return fail(p, step, "no reply", STR(""), code);
		if (line.n < 4 || memcmp(line.p, code.p, code.n) != 0 ||
			(line.p[3] != ' ' && line.p[3] != '-'))
			return fail(p, step, "another reply", line, code);
	} while (!is_last_line(line));
	return true;
}

/* Find text among the patterns whose bit in *used is clear, and set it. */
static bool claim_pattern(struct str patterns, struct str text, uint64_t *used)
{
	for (uint64_t bit = 1; patterns.n > 0; bit <<= 1) {
		const char *end = memchr(patterns.p, '\n', patterns.n);
		struct str pattern = {patterns.p, (size_t)(end - patterns.p)};

		if ((*used & bit) == 0 && matches(pattern, text)) {
			*used |= bit;
			return true;
		}
		patterns = str_skip(patterns, pattern.n + 1);
	}
	return false;
}

/* The remaining lines of a reply match the patterns one to one, in any order. */
static bool expect_lines(const struct play *p, const struct step *step)
{
	struct str patterns = buf_str(&step->bytes);
	struct str line;
	uint64_t used = 0;
	size_t missing = 0;

	for (size_t i = 0; i < patterns.n; i++)
		missing += patterns.p[i] == '\n';
	do {
		if (!p->peer->line(p->peer->user, &line))
			return fail(p, step, "reply ended", STR(""), patterns);
		if (!claim_pattern(patterns, str_skip(line, 4), &used))
			return fail(p, step, "unexpected line", line, patterns);
		missing--;
	} while (!is_last_line(line));
	if (missing > 0)
		return fail(p, step, "lines are missing", line, patterns);
	return true;
}

static bool expect_message(struct play *p, const struct step *step)
{
	struct str expected = buf_str(&step->bytes);
	struct str got = {0};
	size_t same = 0;

	if (p->peer->stored(p->peer->user, p->seen, &got) <= p->seen)
		return fail(p, step, "message is missing", STR(""), expected);
	p->seen++;
	while (same < got.n && same < expected.n && got.p[same] == expected.p[same])
		same++;
	if (same < got.n || same < expected.n)
		return fail(p, step, "message differs, from here on", str_skip(got, same),
			str_skip(expected, same));
	return true;
}

static bool expect_stored(struct play *p, const struct step *step, size_t expected)
{
	size_t got = p->peer->stored(p->peer->user, 0, NULL);
	char text[64];
	char expected_text[64];

	if (got == expected)
		return true;
	(void)snprintf(text, sizeof(text), "%zu", got);
	(void)snprintf(expected_text, sizeof(expected_text), "%zu", expected);
	return fail(p, step, "number of stored messages", str_of(text),
		str_of(expected_text));
}

static bool play_step(struct play *p, const struct step *step)
{
	const struct peer *peer = p->peer;

	switch (step->kind) {
	case STEP_SEND:
		peer->send(peer->user, buf_str(&step->bytes));
		return true;
	case STEP_LINE:
		return expect_line(p, step);
	case STEP_REPLY:
		for (size_t i = 0; i < step->number; i++)
			if (!expect_reply(p, step))
				return false;
		return true;
	case STEP_LINES:
		return expect_lines(p, step);
	case STEP_SILENT:
		return peer->is_silent(peer->user) ||
		       fail(p, step, "it has spoken", STR("a reply"), STR("silence"));
	case STEP_CLOSED:
		return peer->is_closed(peer->user) ||
		       fail(p, step, "not closed", STR("open"), STR("closed"));
	case STEP_DISCONNECT:
		peer->disconnect(peer->user);
		return true;
	case STEP_TLS:
		return peer->start_tls(peer->user) ||
		       fail(p, step, "no TLS", STR("no handshake"), STR("TLS"));
	case STEP_MESSAGE:
		return expect_message(p, step);
	case STEP_STORED:
		p->stored_max = step->number;
		return p->is_at_once || expect_stored(p, step, step->number);
	}
	return false;
}

bool play(const struct script *s, const struct peer *peer, const char *mode,
	bool is_at_once)
{
	struct play p = {
		.script = s, .peer = peer, .mode = mode, .is_at_once = is_at_once};
	const struct step *last = &s->steps[s->step_count - 1];
	struct str line;

	for (size_t i = 0; i < s->step_count; i++) {
		if (!play_step(&p, &s->steps[i]))
			return false;
	}
	peer->disconnect(peer->user);
	if (peer->line(peer->user, &line))
		return fail(&p, last, "said too much", line, STR(""));
	return expect_stored(&p, last, p.seen > p.stored_max ? p.seen : p.stored_max);
}
