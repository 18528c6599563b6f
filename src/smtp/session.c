/* The engine; see session.h.
 *
 * Runs in workers on hostile bytes.  This file holds what is true of every
 * session, whatever its commands: where bytes go, how replies come out, how it
 * pauses and ends.  The commands are in verbs.c, the message in transaction.c. */
#include "smtp/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "smtp/engine.h"
#include "smtp/hooks.h"
#include "smtp/transaction.h"
#include "smtp/verbs.h"

static const char shutting_down[] = "Service is shutting down";

struct smtp *smtp_new(const struct smtp_settings *settings, const struct smtp_env *env)
{
	struct smtp *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->settings = settings;
	s->env = env;
	buf_init(&s->out, OUTPUT_FULL_BYTES + OUTPUT_MARGIN_BYTES);
	arena_init(&s->arena, settings->memory_max);
	/* The first block of the arena is taken now, so that the little that every
	 * session needs is always there. */
	if (line_init(&s->line, settings->line_length_max) < 0 ||
		arena_alloc(&s->arena, 1) == NULL) {
		smtp_free(s);
		return NULL;
	}
	return s;
}

void smtp_free(struct smtp *s)
{
	if (s == NULL)
		return;
	smtp_end(s);
	buf_done(&s->out);
	line_done(&s->line);
	arena_done(&s->arena);
	free(s);
}

void engine_pause(struct smtp *s, uint32_t ms)
{
	if (ms == 0)
		return;
	if (s->pause_ms == 0)
		s->held_at = s->out.len;
	if (__builtin_add_overflow(s->pause_ms, ms, &s->pause_ms))
		s->pause_ms = UINT32_MAX;
}

void engine_drop(struct smtp *s)
{
	s->mode = MODE_DROPPED;
}

void engine_reply_line(struct smtp *s, enum reply_position position, int code,
	const char *enhanced, struct str text)
{
	size_t start = s->out.len;

	if (s->mode == MODE_DROPPED)
		return;
	reply_add(&s->out, position, code, enhanced, text);
	if (s->env->reply != NULL && !s->out.has_overflowed)
		s->env->reply(s->env->user,
			(struct str){s->out.p + start, s->out.len - start - 2});
	if (position == REPLY_LAST)
		s->reply_code = code;
	if (code == 421 && position == REPLY_LAST)
		s->mode = MODE_CLOSING;
}

void engine_reply(struct smtp *s, int code, const char *enhanced, const char *text)
{
	engine_reply_line(s, REPLY_LAST, code, enhanced, str_of(text));
}

void engine_answer(struct smtp *s, const struct reply *answer)
{
	engine_reply(s, answer->code, answer->enhanced, answer->text);
}

void engine_close(struct smtp *s, const char *enhanced, const char *text)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "%s %s", s->settings->hostname, text);
	engine_reply(s, 421, enhanced, line);
}

void engine_leave_if_due(struct smtp *s)
{
	if (s->is_draining && s->mode == MODE_COMMAND && !s->has_sender)
		engine_close(s, "4.3.2", s->drain_text);
}

void engine_error(struct smtp *s, int code, const char *enhanced, const char *text)
{
	engine_reply(s, code, enhanced, text);
	if (++s->errors >= s->settings->errors_max && s->mode == MODE_COMMAND)
		engine_close(s, "4.7.0", "Too many errors");
}

static void greet(struct smtp *s)
{
	struct buf text;

	buf_init(&text, sizeof(((struct reply *)NULL)->text) * 2);
	hooks_add_greeting(s, &text);
	engine_reply_line(s, REPLY_LAST, 220, "", buf_str(&text));
	buf_done(&text);
}

static void begin(struct smtp *s, const struct smtp_peer *peer)
{
	arena_rewind(&s->arena, (struct arena_mark){0});
	s->transaction_mark = arena_mark(&s->arena);
	buf_reset(&s->out);
	line_reset(&s->line);
	s->mode = MODE_COMMAND;
	s->is_open = true;
	s->has_greeted = false;
	s->has_quit = false;
	s->is_draining = false;
	s->errors = 0;
	s->line_count = 0;
	s->pause_ms = 0;
	s->envelope = (struct envelope){.client = {.address = peer->address,
						.port = peer->port,
						.listener = peer->listener}};
	s->has_sender = false;
	s->has_refused_recipient = false;
}

void smtp_start(struct smtp *s, const struct smtp_peer *peer)
{
	struct reply refusal;

	begin(s, peer);
	if (!hooks_connect(s, &refusal)) {
		engine_answer(s, &refusal);
		if (s->mode == MODE_COMMAND)
			s->mode = MODE_CLOSING;
		return;
	}
	greet(s);
}

void smtp_refuse(struct smtp *s, const struct smtp_peer *peer, const char *enhanced,
	const char *text)
{
	begin(s, peer);
	s->is_open = false; /* for no hook knows of it */
	engine_close(s, enhanced, text);
}

/* Tell of a command, but never of a password: clients may send AUTH unasked. */
static void tell_command(struct smtp *s, struct str line)
{
	bool is_auth = str_starts_nocase(str_trim_start(line), STR("AUTH"));

	if (s->env->command != NULL)
		s->env->command(s->env->user, is_auth ? STR("AUTH (hidden)") : line);
}

static enum smtp_verb take_line(struct smtp *s, struct str line)
{
	tell_command(s, line);
	if (!s->line.has_bare_newline || s->settings->bare_newline != BARE_NEWLINE_REJECT)
		return verbs_run(s, line);
	engine_error(s, 500, "5.5.2", "Command ends in a bare LF");
	return VERB_OTHER;
}

static size_t feed_command(struct smtp *s, const char *p, size_t n)
{
	struct str line;
	size_t used;

	enum line_outcome outcome = line_next(&s->line, p, n, &used, &line);
	enum smtp_verb verb = VERB_OTHER;

	if (outcome == LINE_MORE)
		return used;
	s->line_count++;
	s->reply_code = 0;
	switch (outcome) {
	case LINE_MORE:
		break;
	case LINE_READY:
		verb = take_line(s, line);
		break;
	case LINE_TOO_LONG:
		engine_error(s, 500, "5.5.2", "Line too long");
		break;
	case LINE_FLOOD:
		engine_close(s, "4.7.0", "Line without end");
		break;
	}
	if (s->env->answered != NULL)
		s->env->answered(s->env->user, verb, s->reply_code);
	engine_leave_if_due(s);
	return used;
}

size_t smtp_feed(struct smtp *s, const void *p, size_t n)
{
	const char *bytes = p;
	size_t used = 0;

	while (used < n && smtp_next(s) == SMTP_FEED)
		used += s->mode == MODE_DATA ? transaction_feed(s, bytes + used, n - used)
					     : feed_command(s, bytes + used, n - used);
	return used;
}

enum smtp_want smtp_next(const struct smtp *s)
{
	if (s->mode == MODE_DROPPED || s->out.has_overflowed)
		return SMTP_DROP;
	if (s->pause_ms > 0)
		return SMTP_PAUSE;
	if (s->mode == MODE_CLOSING)
		return SMTP_CLOSE;
	if (s->out.len >= OUTPUT_FULL_BYTES)
		return SMTP_FLUSH;
	return SMTP_FEED;
}

uint32_t smtp_pause_ms(const struct smtp *s)
{
	return s->pause_ms;
}

/* The last words of a session that something outside ends. */
static void last_words(struct smtp *s, const char *enhanced, const char *text)
{
	transaction_abort_message(s);
	s->pause_ms = 0;
	if (s->mode != MODE_CLOSING)
		engine_close(s, enhanced, text);
}

void smtp_notify(struct smtp *s, enum smtp_event event)
{
	switch (event) {
	case SMTP_RESUMED:
		s->pause_ms = 0;
		break;
	case SMTP_END_OF_STREAM:
		transaction_abort_message(s);
		engine_drop(s);
		break;
	case SMTP_TIMED_OUT:
		last_words(s, "4.4.2", "Timeout");
		break;
	case SMTP_SESSION_EXPIRED:
		last_words(s, "4.4.2", "Session lasted too long");
		break;
	case SMTP_RETIRE:
		s->is_draining = true;
		s->drain_text = "Service has a new configuration, connect again";
		if (s->mode == MODE_COMMAND && !s->has_sender)
			last_words(s, "4.3.2", s->drain_text);
		break;
	case SMTP_DRAIN:
		s->is_draining = true;
		s->drain_text = shutting_down;
		if (s->mode == MODE_COMMAND)
			last_words(s, "4.3.2", s->drain_text);
		break;
	case SMTP_DRAIN_NOW:
		last_words(s, "4.3.2", shutting_down);
		break;
	}
}

struct str smtp_output(const struct smtp *s)
{
	if (s->pause_ms > 0)
		return (struct str){s->out.p, s->held_at};
	return buf_str(&s->out);
}

void smtp_sent(struct smtp *s, size_t n)
{
	buf_consume(&s->out, n);
	if (s->pause_ms > 0)
		s->held_at -= n;
}

bool smtp_is_in_data(const struct smtp *s)
{
	return s->mode == MODE_DATA;
}

bool smtp_is_mid_line(const struct smtp *s)
{
	return s->line.is_mid;
}

uint64_t smtp_line_count(const struct smtp *s)
{
	return s->line_count;
}

bool smtp_has_quit(const struct smtp *s)
{
	return s->has_quit;
}

struct str smtp_helo(const struct smtp *s)
{
	return s->envelope.client.helo;
}

void smtp_end(struct smtp *s)
{
	if (!s->is_open)
		return;
	transaction_abort_message(s);
	s->is_open = false;
	hooks_connection_ended(s);
}
