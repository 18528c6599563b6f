/* MAIL and RCPT; see mail.h.
 *
 * Runs in workers on hostile arguments.  A refusal gives back what it took of the
 * arena and leaves the envelope as it was. */
#include "smtp/mail.h"

#include "smtp/address.h"
#include "smtp/engine.h"
#include "smtp/extensions.h"
#include "smtp/hooks.h"
#include "smtp/host.h"
#include "smtp/parameters.h"
#include "smtp/transaction.h"

/* The path and parameters of MAIL and RCPT. */
struct path_argument {
	struct address address;
	struct str parameters;
};

/* "FROM:<path> parameters" or "TO:...".  Blanks after the colon are not allowed
 * by RFC 5321, 4.1.1.2, and sent by several clients.  Replies on failure. */
static bool parse_path_argument(struct smtp *s, struct str argument, enum path_kind kind,
	bool may_be_utf8, struct path_argument *ret)
{
	struct str keyword = kind == PATH_REVERSE ? STR("FROM:") : STR("TO:");
	const char *syntax = kind == PATH_REVERSE ? "Syntax: MAIL FROM:<address>"
						  : "Syntax: RCPT TO:<address>";
	const char *enhanced = kind == PATH_REVERSE ? "5.1.7" : "5.1.3";
	struct path_argument found;

	if (!str_starts_nocase(argument, keyword)) {
		engine_error(s, 501, "5.5.4", syntax);
		return false;
	}
	argument = str_trim_start(str_skip(argument, keyword.n));
	switch (address_parse_path(argument, kind, may_be_utf8, &s->arena, &found.address,
		&found.parameters)) {
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

/* Whether an address that will be an argument of a command could be taken for an option
 * of it, as a whole or in one of the parts that it may be taken apart into.  Replies if
 * so. */
static bool is_like_option(struct smtp *s, const struct address *a, struct str extension)
{
	if (!str_starts_nocase(a->mailbox, STR("-")) &&
		!str_starts_nocase(a->local, STR("-")) &&
		!str_starts_nocase(extension, STR("-")))
		return false;
	engine_error(s, 553, "5.1.3", "Address must not begin with a hyphen");
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether SMTPUTF8 stands in the argument, between blanks.  It comes behind the address,
 * which has to be understood first; but in the address it could only stand in quotes. */
static bool may_ask_for_utf8(const struct smtp *s, struct str argument)
{
	static const struct str word = STR("SMTPUTF8");

	if (!extensions_has(s, EXTENSION_SMTPUTF8))
		return false;
	while (argument.n > word.n) {
		bool is_start = is_blank(argument.p[0]);

		argument = str_skip(argument, 1);
		if (is_start && str_starts_nocase(argument, word) &&
			(argument.n == word.n || is_blank(argument.p[word.n])))
			return true;
	}
	return false;
}

/* The path and the parameters of MAIL into e, and a copy of it all.  Replies on
 * failure. */
static bool take_mail(
	struct smtp *s, struct str argument, bool is_utf8, struct envelope *e)
{
	struct path_argument path;

	if (!parse_path_argument(s, argument, PATH_REVERSE, is_utf8, &path) ||
		!parameters_take_mail(s, path.parameters, is_utf8, e))
		return false;
	/* The word was in quotes. */
	if (is_utf8 && !e->is_smtputf8) {
		*e = (struct envelope){.client = s->envelope.client};
		return take_mail(s, argument, false, e);
	}
	if (s->listen.is_sender_argument && is_like_option(s, &path.address, STR("")))
		return false;
	e->sender = path.address;
	e->argument = arena_copy(&s->arena, argument);
	if (e->argument.p == NULL) {
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		return false;
	}
	e->sender_parameters = str_skip(e->argument, argument.n - path.parameters.n);
	return true;
}

void mail_run_mail(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct envelope e = {.client = s->envelope.client};
	struct reply refusal;

	if (s->listen.auth == LISTEN_AUTH_REQUIRED && e.client.user.n == 0) {
		engine_error(s, 530, "5.7.0", "Authentication required");
		return;
	}
	if (s->settings->messages_max > 0 &&
		s->message_count >= s->settings->messages_max) {
		engine_close(s, "4.7.0", "Too many messages in one session");
		return;
	}
	if (!take_mail(s, argument, may_ask_for_utf8(s, argument), &e))
		goto refused;
	/* Hooks may look at it, and add to it. */
	s->envelope = e;
	if (!hooks_sender(s, e.sender.mailbox, e.sender_parameters, &refusal)) {
		engine_answer(s, &refusal);
		goto refused;
	}
	s->env->stamp(s->env->user, &s->envelope.stamp);
	s->has_sender = true;
	s->message_count++;
	engine_reply(s, 250, "2.1.0", "Ok");
	return;
refused:
	s->envelope = (struct envelope){.client = s->envelope.client};
	host_rewind(s, (struct host_mark){0});
	arena_rewind(&s->arena, before);
}

/* What a recipient takes of a command line. */
static size_t recipient_text(const struct smtp *s, const struct address *a)
{
	return address_full_length(a, s->settings->hostname) + s->listen.recipient_extra;
}

/* As many recipients as are allowed, and as fit a command line where they have to. */
static bool has_room_for(const struct smtp *s, const struct address *a)
{
	const struct smtp_listen_settings *l = &s->listen;

	if (s->envelope.recipient_count >= s->settings->recipients_max)
		return false;
	return l->recipient_text_max == 0 ||
	       s->recipient_text + recipient_text(s, a) <= l->recipient_text_max;
}

/* Put the recipient, with a copy of the argument, into the envelope. */
static bool add_recipient(struct smtp *s, struct recipient *r, struct str argument)
{
	r->argument = arena_copy(&s->arena, argument);
	if (r->argument.p == NULL || !transaction_add_recipient(s, &r->address))
		return false;
	s->envelope.recipients[s->envelope.recipient_count - 1] = *r;
	s->recipient_text += recipient_text(s, &r->address);
	return true;
}

void mail_run_rcpt(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct host_mark prepended = host_mark(s);
	bool is_utf8 = s->envelope.is_smtputf8;
	struct recipient found = {0};
	struct path_argument path;
	struct reply refusal;

	if (!parse_path_argument(s, argument, PATH_FORWARD, is_utf8, &path) ||
		!parameters_take_rcpt(s, path.parameters, is_utf8, &found) ||
		(s->listen.is_recipient_argument &&
			is_like_option(
				s, &path.address, address_extension(path.address.local))))
		goto refused;
	if (!has_room_for(s, &path.address)) {
		engine_reply(s, 452, "4.5.3", "Too many recipients");
		goto refused;
	}
	if (!hooks_recipient(
		    s, path.address.mailbox, path.parameters, &found, &refusal)) {
		engine_answer(s, &refusal);
		goto refused;
	}
	found.address = path.address;
	if (!add_recipient(s, &found, argument)) {
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		goto refused;
	}
	engine_reply(s, 250, "2.1.5", "Ok");
	return;
refused:
	s->has_refused_recipient = true;
	host_rewind(s, prepended);
	arena_rewind(&s->arena, before);
}
