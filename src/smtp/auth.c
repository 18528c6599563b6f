/* AUTH; see auth.h.
 *
 * Runs in workers on hostile lines that hold secrets: what is decoded is overwritten
 * before the line is done with, and nothing here tells anyone of it but the mechanism
 * and the hook `plain_auth`. */
#include "smtp/auth.h"

#include <string.h>

#include "base/base64.h"
#include "smtp/engine.h"
#include "smtp/hooks.h"

/* The more a client guesses the longer it waits. */
#define AUTH_FAILURE_DELAY_MS     1000
#define AUTH_FAILURE_DELAY_MAX_MS 5000

void auth_end_exchange(struct smtp *s)
{
	if (s->auth.mechanism[0] == '\0')
		return;
	s->env->sasl->end(s->env->sasl_user);
	s->auth.mechanism[0] = '\0';
	s->auth.has_last_word = false;
	if (s->mode == MODE_AUTH)
		s->mode = MODE_COMMAND;
}

void auth_forget(struct smtp *s)
{
	enum plaintext_auth plaintext = s->settings->plaintext_auth;

	auth_end_exchange(s);
	s->envelope.client.user = (struct str){0};
	s->sasl_session = (struct sasl_session){
		.has_judge = hooks_have_plain_auth(s),
		.is_plaintext_allowed =
			plaintext == PLAINTEXT_AUTH_ALWAYS ||
			(plaintext == PLAINTEXT_AUTH_LOOPBACK && s->is_loopback),
	};
}

void auth_begin(struct smtp *s)
{
	buf_reset(&s->auth.challenge);
	s->auth.failures = 0;
	s->auth.has_tried = false;
	auth_forget(s);
}

bool auth_is_on(const struct smtp *s)
{
	return s->listen.auth != LISTEN_AUTH_OFF && s->env->sasl != NULL;
}

struct str auth_offer(struct smtp *s)
{
	struct buf *text = &s->auth.challenge;
	bool must_start_tls = s->listen.tls == LISTEN_TLS_REQUIRED && !s->is_tls;

	if (!auth_is_on(s) || must_start_tls || s->envelope.client.user.n > 0)
		return (struct str){0};
	buf_reset(text);
	(void)buf_add_text(text, "AUTH");
	s->env->sasl->list(s->env->sasl_user, &s->sasl_session, text);
	if (text->has_overflowed || text->len == strlen("AUTH"))
		return (struct str){0};
	return buf_str(text);
}

/* The exchange has come to an end, of which the client is about to be told. */
static void finish(struct smtp *s, struct str name, int code)
{
	if (s->env->authenticated != NULL)
		s->env->authenticated(
			s->env->user, str_of(s->auth.mechanism), name, code);
	auth_end_exchange(s);
}

static struct str claimed_name(struct smtp *s)
{
	return s->env->sasl->name(s->env->sasl_user);
}

/* A mistake of the client's in the form of what it says. */
static void break_off(struct smtp *s, int code, const char *enhanced, const char *text)
{
	finish(s, claimed_name(s), code);
	engine_error(s, code, enhanced, text);
}

/* It is not who it says it is, or that cannot be known now. */
static void refuse(struct smtp *s, const struct reply *why)
{
	bool is_failure = why->code >= 500 && !engine_is_silent(s);

	finish(s, claimed_name(s), engine_is_silent(s) ? 0 : why->code);
	if (is_failure) {
		uint32_t delay_ms = AUTH_FAILURE_DELAY_MAX_MS;

		if (++s->auth.failures < delay_ms / AUTH_FAILURE_DELAY_MS)
			delay_ms = s->auth.failures * AUTH_FAILURE_DELAY_MS;
		engine_pause(s, delay_ms);
	}
	engine_answer(s, why);
	if (is_failure && s->auth.failures >= s->settings->auth_failures_max &&
		s->mode == MODE_COMMAND)
		engine_close(s, "4.7.0", "Too many failed authentications");
}

static void refuse_with(struct smtp *s, int code, const char *enhanced, const char *text)
{
	struct reply why;

	reply_set(&why, code, enhanced, text);
	refuse(s, &why);
}

static void accept(struct smtp *s, struct str name)
{
	if (name.n == 0 || name.n > USER_NAME_MAX) {
		refuse_with(s, 535, "5.7.8", "Authentication credentials invalid");
		return;
	}
	memcpy(s->auth.user, name.p, name.n);
	s->envelope.client.user = (struct str){s->auth.user, name.n};
	s->auth.has_tried = false;
	finish(s, s->envelope.client.user, 235);
	engine_reply(s, 235, "2.7.0", "Authentication successful");
}

static void fail_for_now(struct smtp *s)
{
	refuse_with(s, 454, "4.7.0", "Temporary authentication failure");
}

static void challenge(struct smtp *s)
{
	char text[BASE64_ENCODED_SIZE(CHALLENGE_MAX)];

	if (s->auth.challenge.has_overflowed) {
		fail_for_now(s);
		return;
	}
	s->mode = MODE_AUTH;
	engine_challenge(
		s, (struct str){text, base64_encode(buf_str(&s->auth.challenge), text)});
}

/* What follows from what the mechanism makes of it. */
static void settle(struct smtp *s, enum sasl_outcome outcome)
{
	switch (outcome) {
	case SASL_MORE:
		challenge(s);
		break;
	case SASL_DONE:
		/* What it has to say last goes as a challenge that wants no answer
		 * (RFC 4422, 3.6; RFC 4954, 4). */
		s->auth.has_last_word = s->auth.challenge.len > 0;
		if (s->auth.has_last_word)
			challenge(s);
		else
			accept(s, claimed_name(s));
		break;
	case SASL_REFUSED:
		refuse_with(s, 535, "5.7.8", "Authentication credentials invalid");
		break;
	case SASL_BROKEN:
		break_off(s, 501, "5.5.2", "Not in the form of the mechanism");
		break;
	case SASL_EARLY:
		break_off(s, 501, "5.7.0", "This mechanism has no initial response");
		break;
	case SASL_PASSWORD:
	case SASL_FAILED:
		fail_for_now(s);
		break;
	}
}

/* Let the mechanism have what the client said; in.p NULL: it has said nothing yet. */
static void advance(struct smtp *s, struct str in)
{
	const struct smtp_sasl *sasl = s->env->sasl;
	struct str name, password;
	struct reply refusal;
	enum sasl_outcome outcome;

	buf_reset(&s->auth.challenge);
	outcome = sasl->step(s->env->sasl_user, in, &s->auth.challenge);
	if (outcome == SASL_PASSWORD && hooks_have_plain_auth(s)) {
		sasl->password(s->env->sasl_user, &name, &password);
		if (hooks_plain_auth(s, name, password, &refusal))
			accept(s, name);
		else
			refuse(s, &refusal);
		return;
	}
	if (outcome == SASL_PASSWORD)
		outcome = sasl->judge(s->env->sasl_user);
	settle(s, outcome);
}

static void take_response(struct smtp *s, struct str text)
{
	char bytes[BASE64_DECODED_SIZE(LINE_LONG_BYTES)];
	size_t n;

	if (base64_decode(text, bytes, &n) == 0)
		advance(s, (struct str){bytes, n});
	else
		break_off(s, 501, "5.5.2", "Bad base64");
	explicit_bzero(bytes, sizeof(bytes));
}

/* Whether nothing but the missing TLS keeps the mechanism away. */
static bool is_for_tls(struct smtp *s, struct str mechanism)
{
	struct sasl_session session = s->sasl_session;
	struct buf *names = &s->auth.challenge;
	struct str rest;

	session.is_plaintext_allowed = true;
	buf_reset(names);
	s->env->sasl->list(s->env->sasl_user, &session, names);
	for (rest = buf_str(names); rest.n > 0;) {
		const char *end;
		struct str name;

		name = rest = str_trim_start(rest);
		end = rest.n == 0 ? NULL : memchr(rest.p, ' ', rest.n);
		if (end != NULL)
			name.n = (size_t)(end - rest.p);
		if (str_equal_nocase(name, mechanism))
			return true;
		rest = str_skip(rest, name.n);
	}
	return false;
}

/* Take up the mechanism.  Replies if it cannot be had. */
static bool start_exchange(struct smtp *s, struct str mechanism)
{
	char name[MECHANISM_MAX + 1];
	size_t n = str_copy(name, sizeof(name), mechanism);

	for (size_t i = 0; i < n; i++)
		if (name[i] >= 'a' && name[i] <= 'z')
			name[i] = (char)(name[i] - ('a' - 'A'));
	if (n == mechanism.n && s->env->sasl->start(s->env->sasl_user, &s->sasl_session,
					(struct str){name, n})) {
		(void)str_copy(s->auth.mechanism, sizeof(s->auth.mechanism),
			(struct str){name, n});
		return true;
	}
	if (is_for_tls(s, mechanism))
		engine_error(s, 538, "5.7.11", "This mechanism needs TLS");
	else
		engine_error(s, 504, "5.5.4", "Unknown authentication mechanism");
	return false;
}

/* "AUTH" SP mechanism [SP initial-response] */
void auth_start(struct smtp *s, struct str argument)
{
	struct str mechanism = argument, initial;

	for (mechanism.n = 0; mechanism.n < argument.n; mechanism.n++)
		if (argument.p[mechanism.n] == ' ' || argument.p[mechanism.n] == '\t')
			break;
	initial = str_trim_start(str_skip(argument, mechanism.n));
	if (s->envelope.client.user.n > 0) {
		engine_error(s, 503, "5.5.1", "AUTH was given already");
		return;
	}
	if (!start_exchange(s, mechanism))
		return;
	if (initial.n == 0)
		advance(s, (struct str){0});
	else if (str_equal(initial, STR("=")))
		advance(s, STR(""));
	else
		take_response(s, initial);
}

void auth_take_line(struct smtp *s, struct str line)
{
	if (str_equal(line, STR("*")))
		break_off(s, 501, "5.7.0", "Authentication cancelled");
	else if (!s->auth.has_last_word)
		take_response(s, line);
	else if (line.n == 0)
		accept(s, claimed_name(s));
	else
		break_off(s, 501, "5.5.2", "Only an empty line may follow");
}

void auth_take_bad_line(struct smtp *s, const char *enhanced, const char *text)
{
	break_off(s, 500, enhanced, text);
}

bool auth_is_command(struct str line)
{
	return str_starts_nocase(str_trim_start(line), STR("AUTH"));
}
