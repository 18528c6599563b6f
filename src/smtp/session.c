/* The engine; see session.h.
 *
 * Runs in workers on hostile bytes.  This file holds what is true of every
 * session, whatever its commands: where bytes go, how replies come out, how it
 * pauses, gets TLS and ends.  The commands are in verbs.c, AUTH in auth.c, the message
 * in transaction.c. */
#include "smtp/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "smtp/auth.h"
#include "smtp/chunk.h"
#include "smtp/engine.h"
#include "smtp/extensions.h"
#include "smtp/hooks.h"
#include "smtp/transaction.h"
#include "smtp/verbs.h"
#include "smtp/xclient.h"

static const char shutting_down[] = "Service is shutting down";

struct smtp *smtp_new(const struct smtp_settings *settings, const struct smtp_env *env)
{
	/* The line store shares its block, and stays untouched until it is needed. */
	struct smtp *s = malloc(sizeof(*s) + line_store_size(settings->line_length_max));

	if (s == NULL)
		return NULL;
	*s = (struct smtp){0};
	line_init(&s->line, settings->line_length_max, (char *)(s + 1));
	s->settings = settings;
	s->env = env;
	buf_init(&s->out, OUTPUT_FULL_BYTES + OUTPUT_MARGIN_BYTES);
	buf_init(&s->auth.challenge, CHALLENGE_MAX);
	arena_init(&s->arena, settings->memory_max);
	/* The first block of the arena is taken now, so that the little that every
	 * session needs is always there. */
	if (arena_alloc(&s->arena, 1) == NULL) {
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
	buf_done(&s->auth.challenge);
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

void engine_cut(struct smtp *s, enum smtp_mode mode)
{
	s->mode = mode;
	s->is_cut = true;
}

static void tell(struct smtp *s, struct str line)
{
	if (s->env->reply != NULL && !s->out.has_overflowed)
		s->env->reply(s->env->user, line);
}

/* Tell of the reply line that begins there in the output. */
static void tell_reply(struct smtp *s, size_t start)
{
	tell(s, (struct str){s->out.p + start, s->out.len - start - 2});
}

void engine_challenge(struct smtp *s, struct str text)
{
	size_t start = s->out.len;

	(void)buf_add_text(&s->out, "334 ");
	(void)buf_add_str(&s->out, text);
	(void)buf_add_text(&s->out, "\r\n");
	/* With the last word and the challenge before it passwords can be tried, as many
	 * as one likes, by whoever reads the log. */
	if (s->auth.has_last_word)
		tell(s, STR("334 (hidden)"));
	else
		tell_reply(s, start);
	s->reply_code = 334;
}

void engine_reply_line(struct smtp *s, enum reply_position position, int code,
	const char *enhanced, struct str text)
{
	size_t start = s->out.len;

	if (engine_is_silent(s))
		return;
	if (!extensions_has(s, EXTENSION_ENHANCEDSTATUSCODES))
		enhanced = "";
	reply_add(&s->out, position, code, enhanced, text);
	tell_reply(s, start);
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

/* Whether a message may come of the transaction. */
static bool is_in_transaction(const struct smtp *s)
{
	return s->has_sender && s->chunks != CHUNKS_FAILED;
}

void engine_leave_if_due(struct smtp *s)
{
	int code = s->reply_code;

	if (s->is_draining && s->mode == MODE_COMMAND && !is_in_transaction(s))
		engine_close(s, s->drain_enhanced, s->drain_text);
	/* It answers no command; the one before it may not have been told of yet. */
	s->reply_code = code;
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
	xclient_forget(s);
	arena_rewind(&s->arena, (struct arena_mark){0});
	s->transaction_mark = arena_mark(&s->arena);
	buf_reset(&s->out);
	line_reset(&s->line);
	s->mode = MODE_COMMAND;
	s->listen = peer->settings;
	s->is_loopback = peer->is_loopback;
	s->may_xclient = peer->may_xclient;
	s->is_open = false;
	s->is_tls = false;
	s->has_secret = false;
	s->has_greeted = false;
	s->has_quit = false;
	s->is_cut = false;
	s->is_draining = false;
	s->errors = 0;
	s->idle_commands = 0;
	s->message_count = 0;
	s->line_count = 0;
	s->session_count++;
	s->verb = VERB_OTHER;
	s->pause_ms = 0;
	s->envelope = (struct envelope){
		.client = {.address = peer->address,
			.port = peer->port,
			.listener = peer->listener,
			.proxy_address = peer->proxy_address,
			.proxy_port = peer->proxy_port,
			.is_lmtp = peer->settings.protocol == LISTEN_LMTP}};
	s->has_sender = false;
	s->has_refused_recipient = false;
	s->chunks = CHUNKS_NONE;
	s->recipient_text = 0;
	s->prepended_room = 0;
	auth_begin(s);
}

/* From here on the hooks know of it. */
void engine_open_session(struct smtp *s)
{
	struct reply refusal;

	s->is_open = true;
	if (!hooks_connect(s, &refusal)) {
		engine_answer(s, &refusal);
		if (s->mode == MODE_COMMAND)
			s->mode = MODE_CLOSING;
		return;
	}
	greet(s);
}

void smtp_start(struct smtp *s, const struct smtp_peer *peer)
{
	begin(s, peer);
	if (s->listen.tls == LISTEN_TLS_IMPLICIT)
		s->mode = MODE_HANDSHAKE;
	else
		engine_open_session(s);
}

void smtp_refuse(struct smtp *s, const struct smtp_peer *peer, int code,
	const char *enhanced, const char *text)
{
	begin(s, peer);
	if (s->listen.tls == LISTEN_TLS_IMPLICIT) {
		engine_drop(s);
	} else if (code == 421) {
		engine_close(s, enhanced, text);
	} else {
		engine_reply(s, code, enhanced, text);
		s->mode = MODE_CLOSING;
	}
}

/* Whose business a line is. */
enum secrecy { SECRECY_NONE, SECRECY_COMMAND, SECRECY_RESPONSE };

/* Clients may send AUTH unasked; and responses, too, when it was refused. */
static enum secrecy secrecy_of(const struct smtp *s, struct str line)
{
	if (s->mode == MODE_AUTH)
		return SECRECY_RESPONSE;
	if (auth_is_command(line))
		return SECRECY_COMMAND;
	return s->auth.has_tried && !verbs_know(line) ? SECRECY_RESPONSE : SECRECY_NONE;
}

static void tell_command(struct smtp *s, struct str line, enum secrecy secrecy)
{
	if (secrecy == SECRECY_COMMAND)
		line = STR("AUTH (hidden)");
	else if (secrecy == SECRECY_RESPONSE)
		line = STR("(hidden)");
	if (s->env->command != NULL)
		s->env->command(s->env->user, line);
}

/* A line that is bad as a line. */
static void refuse_line(struct smtp *s, const char *enhanced, const char *text)
{
	if (s->mode == MODE_AUTH)
		auth_take_bad_line(s, enhanced, text);
	else
		engine_error(s, 500, enhanced, text);
}

/* A whole line that is not too long. */
static enum smtp_verb take_line(struct smtp *s, struct str line)
{
	bool is_command = s->mode != MODE_AUTH;

	if (s->line.has_bare_newline &&
		s->settings->bare_newline == BARE_NEWLINE_REJECT) {
		refuse_line(s, "5.5.2", "Command ends in a bare LF");
		return is_command ? verbs_refuse(s, line) : VERB_OTHER;
	}
	if (is_command)
		return verbs_run(s, line);
	auth_take_line(s, line);
	return VERB_AUTH;
}

static enum smtp_verb refuse_long_line(struct smtp *s, struct str line)
{
	engine_error(s, 500, "5.5.2", "Line too long");
	return verbs_refuse(s, line);
}

static enum smtp_verb take_auth_line(struct smtp *s, struct str line, bool is_whole)
{
	size_t end = s->line.has_bare_newline ? 1 : 2;

	s->auth.has_tried = true;
	if (is_whole && line.n + end <= LINE_LONG_BYTES)
		return take_line(s, line);
	refuse_line(s, "5.5.6", "Authentication line too long");
	return VERB_AUTH;
}

void engine_tell_answer(struct smtp *s, enum smtp_verb verb)
{
	if (s->env->answered != NULL)
		s->env->answered(s->env->user, verb, s->reply_code);
}

/* The commands of AUTH are answered when the exchange is over, STARTTLS when the
 * caller knows what stands behind it, BDAT behind its chunk unless it is refused. */
static bool is_answered(const struct smtp *s)
{
	return s->mode != MODE_AUTH && s->mode != MODE_STARTTLS &&
	       (s->mode != MODE_CHUNK || s->reply_code != 0);
}

static size_t feed_command(struct smtp *s, const char *p, size_t n)
{
	struct str line;
	size_t used;

	enum line_outcome outcome = line_next(&s->line, p, n, &used, &line);
	enum smtp_verb verb = VERB_OTHER;
	enum secrecy secrecy;
	bool is_auth;

	if (outcome == LINE_MORE)
		line = line_begun(&s->line);
	secrecy = secrecy_of(s, line);
	s->has_secret |= secrecy != SECRECY_NONE;
	if (outcome == LINE_MORE)
		return used;
	s->line_count++;
	s->reply_code = 0;
	is_auth = s->mode == MODE_AUTH || secrecy == SECRECY_COMMAND;
	if (outcome == LINE_READY || (outcome == LINE_LONG && is_auth))
		tell_command(s, line, secrecy);
	if (outcome == LINE_FLOOD)
		engine_close(s, "4.7.0", "Line without end");
	else if (is_auth)
		verb = take_auth_line(s, line, outcome != LINE_TOO_LONG);
	else if (outcome == LINE_READY)
		verb = take_line(s, line);
	else
		verb = refuse_long_line(s, line);
	if (secrecy != SECRECY_NONE)
		line_wipe(&s->line);
	if (is_answered(s))
		engine_tell_answer(s, verb);
	engine_leave_if_due(s);
	return used;
}

static size_t feed(struct smtp *s, const char *p, size_t n)
{
	if (s->mode == MODE_DATA)
		return transaction_feed(s, p, n);
	if (s->mode == MODE_CHUNK)
		return chunk_feed(s, p, n);
	return feed_command(s, p, n);
}

size_t smtp_feed(struct smtp *s, const void *p, size_t n)
{
	const char *bytes = p;
	size_t used = 0;

	s->has_secret = false;
	while (used < n && smtp_next(s) == SMTP_FEED) {
		used += feed(s, bytes + used, n - used);
		if (s->env->hooks != NULL)
			break;
	}
	return used;
}

bool smtp_has_secret(const struct smtp *s)
{
	return s->has_secret;
}

/* What a client is told does not depend on how its bytes came: the replies to what stood
 * before the cut go out. */
static enum smtp_want next_in_silence(const struct smtp *s)
{
	if (s->out.len > 0)
		return SMTP_FLUSH;
	if (s->mode == MODE_STALLED && !s->is_draining)
		return SMTP_STALL;
	return s->mode == MODE_RESET ? SMTP_RESET : SMTP_DROP;
}

enum smtp_want smtp_next(const struct smtp *s)
{
	if (s->mode == MODE_DROPPED || s->out.has_overflowed)
		return SMTP_DROP;
	if (s->pause_ms > 0)
		return SMTP_PAUSE;
	if (s->mode == MODE_CLOSING)
		return SMTP_CLOSE;
	if (s->mode == MODE_STARTTLS || s->mode == MODE_HANDSHAKE)
		return SMTP_STARTTLS;
	if (s->mode == MODE_RESULTS || s->out.len >= OUTPUT_FULL_BYTES)
		return SMTP_FLUSH;
	return engine_is_silent(s) ? next_in_silence(s) : SMTP_FEED;
}

uint32_t smtp_pause_ms(const struct smtp *s)
{
	return s->pause_ms;
}

/* The session ends as soon as what is under way is over. */
static void drain(struct smtp *s, const char *enhanced, const char *text)
{
	s->is_draining = true;
	s->drain_enhanced = enhanced;
	s->drain_text = text;
}

/* The last words of a session that something outside ends.  In the middle of a
 * handshake there are none; and a message that is stored already gets all its replies
 * first, or the client would send it again. */
static void last_words(struct smtp *s, const char *enhanced, const char *text)
{
	transaction_abort_message(s);
	s->pause_ms = 0;
	if (s->mode == MODE_HANDSHAKE || s->mode == MODE_STALLED)
		engine_drop(s);
	else if (s->mode == MODE_RESULTS)
		drain(s, enhanced, text);
	else if (s->mode != MODE_CLOSING)
		engine_close(s, enhanced, text);
}

static bool is_between_commands(const struct smtp *s)
{
	return s->mode == MODE_COMMAND || s->mode == MODE_AUTH;
}

void smtp_notify(struct smtp *s, enum smtp_event event)
{
	switch (event) {
	case SMTP_RESUMED:
		s->pause_ms = 0;
		break;
	case SMTP_END_OF_STREAM:
		transaction_abort_message(s);
		s->is_cut = false;
		engine_drop(s);
		break;
	case SMTP_TIMED_OUT:
		last_words(s, "4.4.2", "Timeout");
		break;
	case SMTP_SESSION_EXPIRED:
		last_words(s, "4.4.2", "Session lasted too long");
		break;
	case SMTP_RETIRE:
		drain(s, "4.3.2", "Service has a new configuration, connect again");
		if (s->mode == MODE_STALLED ||
			(is_between_commands(s) && !is_in_transaction(s)))
			last_words(s, "4.3.2", s->drain_text);
		break;
	case SMTP_DRAIN:
		drain(s, "4.3.2", shutting_down);
		if (s->mode == MODE_STALLED ||
			(is_between_commands(s) && !s->is_in_message))
			last_words(s, "4.3.2", shutting_down);
		break;
	case SMTP_DRAIN_NOW:
		last_words(s, "4.3.2", shutting_down);
		break;
	case SMTP_TLS_FAILED:
		engine_drop(s);
		break;
	}
}

bool smtp_begin_tls(struct smtp *s, bool has_input)
{
	if (s->mode == MODE_STARTTLS) {
		s->mode = has_input ? MODE_CLOSING : MODE_HANDSHAKE;
		if (has_input)
			engine_reply(s, 554, "5.5.1", "Nothing may follow STARTTLS");
		else
			engine_reply(s, 220, "2.0.0", "Ready to start TLS");
		engine_tell_answer(s, VERB_STARTTLS);
	}
	return s->mode == MODE_HANDSHAKE;
}

void smtp_tls_started(struct smtp *s, const struct envelope_tls *tls,
	const struct sasl_session *binding)
{
	struct envelope_client *client = &s->envelope.client;

	if (s->mode != MODE_HANDSHAKE)
		return;
	/* Of chunks that came before; while the client is still who sent them. */
	transaction_abort_message(s);
	s->mode = MODE_COMMAND;
	s->is_tls = true;
	xclient_forget(s);
	auth_forget(s);
	if (binding != NULL)
		s->sasl_session = *binding;
	s->sasl_session.is_plaintext_allowed = s->sasl_session.is_tls = true;
	s->sasl_session.has_judge = hooks_have_plain_auth(s);
	client->tls = *tls;
	client->helo = (struct str){0};
	client->is_esmtp = false;
	s->has_greeted = false;
	s->transaction_mark = (struct arena_mark){0};
	if (s->listen.tls != LISTEN_TLS_IMPLICIT)
		transaction_reset(s);
	else if (!s->is_draining)
		engine_open_session(s);
	engine_leave_if_due(s);
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
	if (s->mode == MODE_RESULTS)
		transaction_add_replies(s);
}

bool smtp_is_in_data(const struct smtp *s)
{
	return s->mode == MODE_DATA || s->mode == MODE_CHUNK ||
	       (s->mode == MODE_STALLED && s->is_in_message);
}

bool smtp_is_in_message(const struct smtp *s)
{
	return s->is_in_message;
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

bool smtp_is_cut(const struct smtp *s)
{
	return s->is_cut;
}

struct str smtp_helo(const struct smtp *s)
{
	return s->envelope.client.helo;
}

void smtp_end(struct smtp *s)
{
	auth_end_exchange(s);
	if (s->line.is_mid)
		line_wipe(&s->line);
	if (!s->is_open)
		return;
	transaction_abort_message(s);
	s->is_open = false;
	hooks_connection_ended(s);
}
