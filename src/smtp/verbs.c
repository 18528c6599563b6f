/* The commands; see verbs.h.
 *
 * Runs in workers on hostile lines.  Each verb goes the same way: order and
 * shape of the argument by the table, then its own syntax, then its hook, then
 * the effect; a refusal anywhere leaves the state as it was. */
#include "smtp/verbs.h"

#include <stdio.h>
#include <string.h>

#include "smtp/auth.h"
#include "smtp/chunk.h"
#include "smtp/command.h"
#include "smtp/engine.h"
#include "smtp/extensions.h"
#include "smtp/hooks.h"
#include "smtp/host.h"
#include "smtp/mail.h"
#include "smtp/transaction.h"
#include "smtp/xclient.h"

/* What must have come before a command, and what must not. */
enum order {
	ANY_TIME,
	AFTER_GREETING,  /* EHLO, HELO or LHLO, and no transaction is open */
	AFTER_EHLO,      /* the same, but not HELO */
	AFTER_SENDER,    /* MAIL */
	AFTER_RECIPIENT, /* MAIL and at least one good RCPT */
	BEFORE_CHUNK,    /* the same, or a chunk of the message before it */
};

enum argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_REQUIRED };

/* The protocol that a command belongs to. */
enum home { IN_BOTH, IN_SMTP, IN_LMTP };

static const char not_recognized[] = "Command not recognized";

/* What a command is told in the other one. */
static const char *const strangers[] = {
	[IN_SMTP] = "This is LMTP: use LHLO",
	[IN_LMTP] = not_recognized,
};

struct verb {
	struct str name;
	enum home home;
	enum order order;
	enum argument argument;
	enum smtp_extension extension; /* must be offered; EXTENSIONS: none */
	bool is_open; /* where TLS is required also before it (RFC 3207, 4) */
	bool is_idle; /* it brings no mail nearer: limits.commands-without-mail */
	const char *syntax;
	void (*run)(struct smtp *s, struct str argument);
};

#define HELO_MAX 255

/* EHLO, HELO or LHLO was accepted and answered.  All that a session remembers is its
 * name; the rest is the transaction, which ends here (RFC 5321, 4.1.4). */
static void enter_session(struct smtp *s, struct str domain, bool is_esmtp)
{
	if (domain.n > HELO_MAX)
		domain.n = HELO_MAX;
	s->transaction_mark = (struct arena_mark){0};
	transaction_reset(s);
	s->envelope.client.helo = arena_copy(&s->arena, domain);
	s->envelope.client.is_esmtp = is_esmtp;
	s->transaction_mark = arena_mark(&s->arena);
	s->has_greeted = true;
}

static void run_helo(struct smtp *s, struct str domain)
{
	struct reply refusal;

	if (!hooks_ehlo_domain(s, domain, &refusal)) {
		engine_answer(s, &refusal);
		return;
	}
	engine_reply_line(s, REPLY_LAST, 250, "", hooks_server_domain(s));
	enter_session(s, domain, false);
}

/* LHLO, too (RFC 2033, 4.1). */
static void run_ehlo(struct smtp *s, struct str domain)
{
	struct reply refusal;

	if (!hooks_ehlo_domain(s, domain, &refusal)) {
		engine_answer(s, &refusal);
		return;
	}
	extensions_answer(s, hooks_server_domain(s));
	enter_session(s, domain, true);
}

static void run_data(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct host_mark prepended = host_mark(s);
	struct reply refusal;

	(void)argument;
	if (s->envelope.body == BODY_BINARYMIME)
		/* RFC 3030, 3 */
		engine_error(s, 503, "5.5.1", "BODY=BINARYMIME needs BDAT");
	else if (!hooks_data_command(s, &refusal))
		engine_answer(s, &refusal);
	else
		transaction_begin_message(s);
	if (s->is_in_message)
		return;
	host_rewind(s, prepended);
	arena_rewind(&s->arena, before);
}

static void run_rset(struct smtp *s, struct str argument)
{
	(void)argument;
	transaction_reset(s);
	hooks_reset(s);
	engine_reply(s, 250, "2.0.0", "Ok");
}

static void run_noop(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_reply(s, 250, "2.0.0", "Ok");
}

static void run_quit(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_reply(s, 221, "2.0.0", "Bye");
	s->has_quit = true;
	s->mode = MODE_CLOSING;
}

/* Never 250, which would say that the mailbox was looked up (RFC 5321, 3.5.3). */
static void run_vrfy(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_reply(s, 252, "2.5.0", "Cannot verify, but send some mail and see");
}

static void run_expn(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_reply(s, 502, "5.5.1", "Lists are not expanded here");
}

/* Nothing is kept for anyone to ask for (RFC 1985). */
static void run_etrn(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_reply(s, 502, "5.5.1", "There is no queue here");
}

static void run_starttls(struct smtp *s, struct str argument)
{
	(void)argument;
	if (s->is_tls)
		engine_error(s, 503, "5.5.1", "TLS is in use already");
	else
		s->mode = MODE_STARTTLS;
}

static bool is_spoken(const struct smtp *s, enum home home)
{
	return home == IN_BOTH ||
	       (home == IN_LMTP) == (s->listen.protocol == LISTEN_LMTP);
}

static void run_help(struct smtp *s, struct str argument);

static const struct verb verbs[] = {
	[VERB_MAIL] = {STR("MAIL"), IN_BOTH, AFTER_GREETING, ARGUMENT_REQUIRED,
		EXTENSIONS, false, false, "MAIL FROM:<address>", mail_run_mail},
	[VERB_RCPT] = {STR("RCPT"), IN_BOTH, AFTER_SENDER, ARGUMENT_REQUIRED, EXTENSIONS,
		false, false, "RCPT TO:<address>", mail_run_rcpt},
	[VERB_DATA] = {STR("DATA"), IN_BOTH, AFTER_RECIPIENT, ARGUMENT_NONE, EXTENSIONS,
		false, false, "DATA", run_data},
	[VERB_BDAT] = {STR("BDAT"), IN_BOTH, BEFORE_CHUNK, ARGUMENT_REQUIRED,
		EXTENSION_CHUNKING, false, false, "BDAT octets [LAST]", chunk_run},
	[VERB_EHLO] = {STR("EHLO"), IN_SMTP, ANY_TIME, ARGUMENT_REQUIRED, EXTENSIONS,
		true, true, "EHLO domain", run_ehlo},
	[VERB_HELO] = {STR("HELO"), IN_SMTP, ANY_TIME, ARGUMENT_REQUIRED, EXTENSIONS,
		true, true, "HELO domain", run_helo},
	[VERB_LHLO] = {STR("LHLO"), IN_LMTP, ANY_TIME, ARGUMENT_REQUIRED, EXTENSIONS,
		true, true, "LHLO domain", run_ehlo},
	[VERB_RSET] = {STR("RSET"), IN_BOTH, ANY_TIME, ARGUMENT_NONE, EXTENSIONS, true,
		true, "RSET", run_rset},
	[VERB_NOOP] = {STR("NOOP"), IN_BOTH, ANY_TIME, ARGUMENT_OPTIONAL, EXTENSIONS,
		true, true, "NOOP [text]", run_noop},
	[VERB_QUIT] = {STR("QUIT"), IN_BOTH, ANY_TIME, ARGUMENT_NONE, EXTENSIONS, true,
		false, "QUIT", run_quit},
	[VERB_STARTTLS] = {STR("STARTTLS"), IN_BOTH, ANY_TIME, ARGUMENT_NONE, EXTENSIONS,
		true, true, "STARTTLS", run_starttls},
	[VERB_AUTH] = {STR("AUTH"), IN_BOTH, AFTER_EHLO, ARGUMENT_REQUIRED, EXTENSIONS,
		false, true, "AUTH mechanism [response]", auth_start},
	[VERB_VRFY] = {STR("VRFY"), IN_BOTH, ANY_TIME, ARGUMENT_REQUIRED, EXTENSION_VRFY,
		false, true, "VRFY address", run_vrfy},
	[VERB_EXPN] = {STR("EXPN"), IN_BOTH, ANY_TIME, ARGUMENT_REQUIRED, EXTENSION_EXPN,
		false, true, "EXPN list", run_expn},
	[VERB_ETRN] = {STR("ETRN"), IN_BOTH, ANY_TIME, ARGUMENT_REQUIRED, EXTENSION_ETRN,
		false, true, "ETRN domain", run_etrn},
	[VERB_HELP] = {STR("HELP"), IN_BOTH, ANY_TIME, ARGUMENT_OPTIONAL, EXTENSION_HELP,
		true, true, "HELP [command]", run_help},
	[VERB_XCLIENT] = {STR("XCLIENT"), IN_BOTH, ANY_TIME, ARGUMENT_REQUIRED,
		EXTENSIONS, true, true, "XCLIENT name=value...", xclient_run},
};

#define VERB_COUNT VERB_OTHER
_Static_assert(sizeof(verbs) / sizeof(verbs[0]) == VERB_COUNT, "a verb is missing");

/* Whether the client could use the command, now or in its turn. */
static bool is_useful(struct smtp *s, enum smtp_verb verb)
{
	if (verb == VERB_STARTTLS)
		return extensions_may_start_tls(s);
	if (verb == VERB_AUTH)
		return auth_offer(s).n > 0;
	if (verb == VERB_XCLIENT)
		return s->may_xclient;
	if (verb == VERB_EHLO)
		return s->listen.extensions != 0;
	return verbs[verb].extension == EXTENSIONS ||
	       extensions_has(s, verbs[verb].extension);
}

/* The names of those that can be used, in one line; the table cannot stand before the
 * functions in it. */
static void run_help(struct smtp *s, struct str argument)
{
	char text[VERB_COUNT * sizeof(" STARTTLS") + 16] = "Commands:";
	size_t len = strlen(text);

	(void)argument;
	for (enum smtp_verb i = 0; i < VERB_COUNT; i++) {
		if (!is_spoken(s, verbs[i].home) || !is_useful(s, i))
			continue;
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, " %s", verbs[i].name.p);
	}
	engine_reply(s, 214, "2.0.0", text);
}

/* Whether the listener lets the command through, in its protocol, in plain text or at
 * all.  Replies if not. */
static bool is_offered(struct smtp *s, enum smtp_verb verb)
{
	bool is_off = verb == VERB_STARTTLS  ? s->listen.tls == LISTEN_TLS_OFF
		      : verb == VERB_AUTH    ? !auth_is_on(s)
		      : verb == VERB_XCLIENT ? false
					     : !is_useful(s, verb);
	char wrong[64];

	if (!is_spoken(s, verbs[verb].home)) {
		engine_error(s, 500, "5.5.1", strangers[verbs[verb].home]);
		return false;
	}
	if (is_off) {
		(void)snprintf(wrong, sizeof(wrong), "%s is not offered here",
			verbs[verb].name.p);
		engine_error(s, 502, "5.5.1", wrong);
		return false;
	}
	if (s->listen.tls == LISTEN_TLS_REQUIRED && !s->is_tls && !verbs[verb].is_open) {
		engine_error(s, 530, "5.7.0", "Must issue a STARTTLS command first");
		return false;
	}
	return true;
}

/* Whether the command may come now.  Replies if not. */
static bool is_in_order(struct smtp *s, enum order order)
{
	bool is_lmtp = s->envelope.client.is_lmtp;
	const char *wrong = NULL;
	int code = 503;

	if (order == AFTER_GREETING && !s->has_greeted)
		wrong = is_lmtp ? "LHLO comes first" : "EHLO or HELO comes first";
	else if (order == AFTER_GREETING && s->has_sender)
		wrong = "MAIL was given already";
	else if (order == AFTER_EHLO && !(s->has_greeted && s->envelope.client.is_esmtp))
		wrong = is_lmtp ? "LHLO comes first" : "EHLO comes first";
	else if (order == AFTER_EHLO && s->has_sender)
		wrong = "Not within a mail transaction";
	else if (order >= AFTER_SENDER && !s->has_sender)
		wrong = "MAIL comes first";
	else if (order >= AFTER_SENDER && s->chunks == CHUNKS_FAILED)
		wrong = "The message has failed: RSET comes first";
	else if (order != BEFORE_CHUNK && order >= AFTER_SENDER &&
		 s->chunks == CHUNKS_BEGUN)
		wrong = "Not within a message that comes by BDAT";
	else if (order >= AFTER_RECIPIENT && s->envelope.recipient_count == 0) {
		/* RFC 5321, 3.3: 554 when there were recipients and all were refused;
		 * but with LMTP always 503 (RFC 2033, 4.2). */
		code = s->has_refused_recipient && !is_lmtp ? 554 : 503;
		wrong = s->has_refused_recipient ? "No valid recipients"
						 : "RCPT comes first";
	}
	if (wrong != NULL)
		engine_error(s, code, "5.5.1", wrong);
	return wrong == NULL;
}

/* Whether there is an argument where one belongs.  Replies if not. */
static bool has_right_argument(struct smtp *s, const struct verb *v, struct str argument)
{
	char text[64];

	if (v->argument == ARGUMENT_OPTIONAL ||
		(argument.n > 0) == (v->argument == ARGUMENT_REQUIRED))
		return true;
	(void)snprintf(text, sizeof(text), "Syntax: %s", v->syntax);
	engine_error(s, 501, "5.5.4", text);
	return false;
}

static enum smtp_verb find_verb(struct str name)
{
	enum smtp_verb verb = 0;

	while (verb < VERB_COUNT && !str_equal_nocase(name, verbs[verb].name))
		verb++;
	return verb;
}

bool verbs_know(struct str line)
{
	struct command command;

	return command_split(line, &command) && find_verb(command.verb) != VERB_OTHER;
}

/* Counts one more command that brings no mail nearer. */
static bool is_idle_too_long(struct smtp *s)
{
	s->idle_commands++;
	return s->settings->idle_commands_max > 0 &&
	       s->idle_commands > s->settings->idle_commands_max;
}

/* A method of HTTP (RFC 9110, 9.3, and 5789): whose browser was sent here by somebody's
 * page may bring commands in the body of the request. */
static bool is_http(struct str verb)
{
	static const struct str methods[] = {STR("GET"), STR("HEAD"), STR("POST"),
		STR("PUT"), STR("DELETE"), STR("CONNECT"), STR("OPTIONS"), STR("TRACE"),
		STR("PATCH")};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_equal(verb, methods[i]))
			return true;
	return false;
}

static void refuse_unknown(struct smtp *s, struct str verb)
{
	if (!s->has_greeted && is_http(verb))
		engine_close(s, "4.7.0", "This is not HTTP");
	else
		engine_error(s, 500, "5.5.1", not_recognized);
}

enum smtp_verb verbs_refuse(struct smtp *s, struct str line)
{
	struct str name = verbs[VERB_BDAT].name, rest = str_skip(line, name.n);

	if (!str_starts_nocase(line, name) || (rest.n > 0 && str_is_alnum(rest.p[0])))
		return VERB_OTHER;
	chunk_discard(s, str_trim_start(str_trim_end(rest)));
	return VERB_BDAT;
}

enum smtp_verb verbs_run(struct smtp *s, struct str line)
{
	struct command command;
	struct reply refusal;
	enum smtp_verb verb;
	bool is_secret;

	s->verb = VERB_OTHER;
	if (!command_split(line, &command)) {
		engine_error(s, 500, "5.5.2", "Bad command syntax");
		return verbs_refuse(s, line);
	}
	s->verb = verb = find_verb(command.verb);
	if ((verb == VERB_OTHER || verbs[verb].is_idle) && is_idle_too_long(s)) {
		engine_close(s, "4.7.0", "Too many commands without mail");
		return verb;
	}
	/* It may be a password that came out of turn, which is nobody's business. */
	is_secret = verb == VERB_OTHER && (s->auth.has_tried || auth_is_command(line));
	if (!is_secret && !hooks_command(s, &command, &refusal))
		engine_answer(s, &refusal);
	else if (verb == VERB_OTHER)
		refuse_unknown(s, command.verb);
	else if (is_offered(s, verb) && is_in_order(s, verbs[verb].order) &&
		 has_right_argument(s, &verbs[verb], command.argument)) {
		verbs[verb].run(s, command.argument);
		return verb;
	}
	/* The octets come all the same. */
	if (verb == VERB_BDAT)
		chunk_discard(s, command.argument);
	return verb;
}
