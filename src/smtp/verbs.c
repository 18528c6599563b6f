/* The commands; see verbs.h.
 *
 * Runs in workers on hostile lines.  Each verb goes the same way: order and
 * shape of the argument by the table, then its own syntax, then its hook, then
 * the effect; a refusal anywhere leaves the state as it was. */
#include "smtp/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "smtp/address.h"
#include "smtp/command.h"
#include "smtp/engine.h"
#include "smtp/hooks.h"
#include "smtp/transaction.h"

/* What must have come before a command, and what must not. */
enum order {
	ANY_TIME,
	AFTER_GREETING,  /* EHLO or HELO, and no transaction is open */
	AFTER_SENDER,    /* MAIL */
	AFTER_RECIPIENT, /* MAIL and at least one good RCPT */
};

enum argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_REQUIRED };

struct verb {
	struct str name;
	enum order order;
	enum argument argument;
	const char *syntax;
	void (*run)(struct smtp *s, struct str argument);
};

#define HELO_MAX 255

/* EHLO or HELO was accepted and answered.  All that a session remembers is its
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

static void run_ehlo(struct smtp *s, struct str domain)
{
	uint64_t size_max = s->settings->message_size_max;
	struct reply refusal;
	char size[32];

	if (!hooks_ehlo_domain(s, domain, &refusal)) {
		engine_answer(s, &refusal);
		return;
	}
	/* RFC 1870, 3: zero stands for no limit. */
	(void)snprintf(size, sizeof(size), "SIZE %" PRIu64,
		size_max == UINT64_MAX ? 0 : size_max);
	engine_reply_line(s, REPLY_MORE, 250, "", hooks_server_domain(s));
	engine_reply_line(s, REPLY_MORE, 250, "", STR("PIPELINING"));
	engine_reply_line(s, REPLY_MORE, 250, "", str_of(size));
	engine_reply_line(s, REPLY_MORE, 250, "", STR("8BITMIME"));
	engine_reply_line(s, REPLY_MORE, 250, "", STR("HELP"));
	engine_reply_line(s, REPLY_LAST, 250, "", STR("ENHANCEDSTATUSCODES"));
	enter_session(s, domain, true);
}

/* The path and parameters of MAIL and RCPT. */
struct path_argument {
	struct address address;
	struct str parameters;
};

/* "FROM:<path> parameters" or "TO:...".  Blanks after the colon are not allowed
 * by RFC 5321, 4.1.1.2, and sent by several clients.  Replies on failure. */
static bool parse_path_argument(struct smtp *s, struct str argument, struct str keyword,
	enum path_kind kind, struct path_argument *ret)
{
	const char *syntax = kind == PATH_REVERSE ? "Syntax: MAIL FROM:<address>"
						  : "Syntax: RCPT TO:<address>";
	const char *enhanced = kind == PATH_REVERSE ? "5.1.7" : "5.1.3";
	struct path_argument found;

	if (!str_starts_nocase(argument, keyword)) {
		engine_error(s, 501, "5.5.4", syntax);
		return false;
	}
	argument = str_trim_start(str_skip(argument, keyword.n));
	switch (address_parse_path(
		argument, kind, &s->arena, &found.address, &found.parameters)) {
	case ADDRESS_OK:
		break;
	case ADDRESS_BAD_SYNTAX:
		engine_error(
			s, 501, enhanced, "Bad address syntax, <user@domain> expected");
		return false;
	case ADDRESS_NO_DOMAIN:
		engine_error(s, 501, enhanced, "Address needs a domain");
		return false;
	case ADDRESS_NOT_ASCII:
		engine_error(s, 553, "5.6.7", "Address is not ASCII");
		return false;
	case ADDRESS_NO_MEMORY:
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		return false;
	}
	if (found.parameters.n > 0 && found.parameters.p[0] != ' ') {
		engine_error(s, 501, "5.5.4", "Blank expected behind the address");
		return false;
	}
	found.parameters = str_trim_start(found.parameters);
	*ret = found;
	return true;
}

/* SIZE=1*20DIGIT (RFC 1870, 3).  Replies on failure. */
static bool take_size(struct smtp *s, const struct parameter *p, uint64_t *ret)
{
	uint64_t size = UINT64_MAX;

	if (p->value.n > 20 || str_parse_u64(p->value, &size) == -EINVAL) {
		engine_error(s, 501, "5.5.4", "SIZE takes a number");
		return false;
	}
	if (size > s->settings->message_size_max) {
		engine_reply(s, 552, "5.3.4", "Message is larger than the limit");
		return false;
	}
	*ret = size;
	return true;
}

/* BODY=7BIT / 8BITMIME (RFC 6152, 3).  Replies on failure. */
static bool take_body(struct smtp *s, const struct parameter *p, enum body_type *ret)
{
	if (str_equal_nocase(p->value, STR("7BIT")))
		*ret = BODY_7BIT;
	else if (str_equal_nocase(p->value, STR("8BITMIME")))
		*ret = BODY_8BITMIME;
	else {
		engine_error(s, 501, "5.5.4", "BODY takes 7BIT or 8BITMIME");
		return false;
	}
	return true;
}

/* Parameters of MAIL into e.  Replies on failure. */
static bool take_mail_parameters(struct smtp *s, struct str rest, struct envelope *e)
{
	struct parameter p;
	enum parameter_outcome outcome;
	bool has_size = false;

	while ((outcome = parameter_next(&rest, &p)) == PARAMETER_READY) {
		bool is_size = str_equal_nocase(p.keyword, STR("SIZE"));
		bool is_body = str_equal_nocase(p.keyword, STR("BODY"));

		if (!is_size && !is_body) {
			engine_error(s, 555, "5.5.4", "Unknown parameter");
			return false;
		}
		if (is_size ? has_size : e->body != BODY_UNSPECIFIED) {
			engine_error(s, 501, "5.5.4", "Parameter given twice");
			return false;
		}
		if (is_size ? !take_size(s, &p, &e->declared_size)
			    : !take_body(s, &p, &e->body))
			return false;
		has_size |= is_size;
	}
	if (outcome == PARAMETER_BAD)
		engine_error(s, 501, "5.5.4", "Bad parameter syntax");
	return outcome == PARAMETER_END;
}

static void run_mail(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct envelope e = {.client = s->envelope.client};
	struct path_argument path;
	struct reply refusal;

	if (!parse_path_argument(s, argument, STR("FROM:"), PATH_REVERSE, &path) ||
		!take_mail_parameters(s, path.parameters, &e))
		goto refused;
	e.sender = path.address;
	e.sender_parameters = arena_copy(&s->arena, path.parameters);
	if (e.sender_parameters.p == NULL) {
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		goto refused;
	}
	if (!hooks_sender(s, e.sender.mailbox, e.sender_parameters, &refusal)) {
		engine_answer(s, &refusal);
		goto refused;
	}
	s->env->stamp(s->env->user, &e.stamp);
	s->envelope = e;
	s->has_sender = true;
	engine_reply(s, 250, "2.1.0", "Ok");
	return;
refused:
	arena_rewind(&s->arena, before);
}

/* RCPT has no parameters that we know.  Replies on failure. */
static bool take_rcpt_parameters(struct smtp *s, struct str rest)
{
	struct parameter p;
	enum parameter_outcome outcome = parameter_next(&rest, &p);

	if (outcome == PARAMETER_READY)
		engine_error(s, 555, "5.5.4", "Unknown parameter");
	else if (outcome == PARAMETER_BAD)
		engine_error(s, 501, "5.5.4", "Bad parameter syntax");
	return outcome == PARAMETER_END;
}

static void run_rcpt(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct path_argument path;
	struct reply refusal;

	if (!parse_path_argument(s, argument, STR("TO:"), PATH_FORWARD, &path) ||
		!take_rcpt_parameters(s, path.parameters))
		goto refused;
	if (s->envelope.recipient_count >= s->settings->recipients_max) {
		engine_reply(s, 452, "4.5.3", "Too many recipients");
		goto refused;
	}
	if (!hooks_recipient(s, path.address.mailbox, path.parameters, &refusal)) {
		engine_answer(s, &refusal);
		goto refused;
	}
	if (!transaction_add_recipient(s, &path.address)) {
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		goto refused;
	}
	engine_reply(s, 250, "2.1.5", "Ok");
	return;
refused:
	s->has_refused_recipient = true;
	arena_rewind(&s->arena, before);
}

static void run_data(struct smtp *s, struct str argument)
{
	struct reply refusal;

	(void)argument;
	if (!hooks_data_command(s, &refusal))
		engine_answer(s, &refusal);
	else
		transaction_begin_message(s);
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

static void run_help(struct smtp *s, struct str argument);

static const struct verb verbs[] = {
	[VERB_MAIL] = {STR("MAIL"), AFTER_GREETING, ARGUMENT_REQUIRED,
		"MAIL FROM:<address>", run_mail},
	[VERB_RCPT] = {STR("RCPT"), AFTER_SENDER, ARGUMENT_REQUIRED, "RCPT TO:<address>",
		run_rcpt},
	[VERB_DATA] = {STR("DATA"), AFTER_RECIPIENT, ARGUMENT_NONE, "DATA", run_data},
	[VERB_EHLO] = {STR("EHLO"), ANY_TIME, ARGUMENT_REQUIRED, "EHLO domain", run_ehlo},
	[VERB_HELO] = {STR("HELO"), ANY_TIME, ARGUMENT_REQUIRED, "HELO domain", run_helo},
	[VERB_RSET] = {STR("RSET"), ANY_TIME, ARGUMENT_NONE, "RSET", run_rset},
	[VERB_NOOP] = {STR("NOOP"), ANY_TIME, ARGUMENT_OPTIONAL, "NOOP [text]", run_noop},
	[VERB_QUIT] = {STR("QUIT"), ANY_TIME, ARGUMENT_NONE, "QUIT", run_quit},
	[VERB_VRFY] = {STR("VRFY"), ANY_TIME, ARGUMENT_REQUIRED, "VRFY address",
		run_vrfy},
	[VERB_EXPN] = {STR("EXPN"), ANY_TIME, ARGUMENT_REQUIRED, "EXPN list", run_expn},
	[VERB_HELP] = {STR("HELP"), ANY_TIME, ARGUMENT_OPTIONAL, "HELP [command]",
		run_help},
};

#define VERB_COUNT VERB_OTHER
_Static_assert(sizeof(verbs) / sizeof(verbs[0]) == VERB_COUNT, "a verb is missing");

/* The names, in one line; the table cannot stand before the functions in it. */
static void run_help(struct smtp *s, struct str argument)
{
	char text[VERB_COUNT * 5 + 16] = "Commands:";
	size_t len = strlen(text);

	(void)argument;
	for (size_t i = 0; i < VERB_COUNT; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, " %s", verbs[i].name.p);
	engine_reply(s, 214, "2.0.0", text);
}

/* Whether the command may come now.  Replies if not. */
static bool is_in_order(struct smtp *s, enum order order)
{
	const char *wrong = NULL;
	int code = 503;

	if (order == AFTER_GREETING && !s->has_greeted)
		wrong = "EHLO or HELO comes first";
	else if (order == AFTER_GREETING && s->has_sender)
		wrong = "MAIL was given already";
	else if ((order == AFTER_SENDER || order == AFTER_RECIPIENT) && !s->has_sender)
		wrong = "MAIL comes first";
	else if (order == AFTER_RECIPIENT && s->envelope.recipient_count == 0) {
		/* RFC 5321, 3.3: 554 when there were recipients and all were refused */
		code = s->has_refused_recipient ? 554 : 503;
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

enum smtp_verb verbs_run(struct smtp *s, struct str line)
{
	struct command command;
	struct reply refusal;
	enum smtp_verb verb;

	if (!command_split(line, &command)) {
		engine_error(s, 500, "5.5.2", "Bad command syntax");
		return VERB_OTHER;
	}
	verb = find_verb(command.verb);
	if (!hooks_command(s, &command, &refusal))
		engine_answer(s, &refusal);
	else if (verb == VERB_OTHER)
		engine_error(s, 500, "5.5.1", "Command not recognized");
	else if (is_in_order(s, verbs[verb].order) &&
		 has_right_argument(s, &verbs[verb], command.argument))
		verbs[verb].run(s, command.argument);
	return verb;
}
