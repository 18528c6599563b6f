/* MAIL and RCPT; see mail.h.
 *
 * Runs in workers on hostile arguments.  A refusal gives back what it took of the
 * arena and leaves the envelope as it was. */
#include "smtp/mail.h"

#include <errno.h>

#include "smtp/address.h"
#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/engine.h"
#include "smtp/hooks.h"
#include "smtp/transaction.h"

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

/* AUTH=xtext of a mailbox, or <> (RFC 4954, 5).  Of a client that nobody knows it is
 * not believed.  Replies on failure. */
static bool take_auth_sender(
	struct smtp *s, const struct parameter *p, struct envelope *e)
{
	size_t size = p->value.n + 2, n = 0;
	char *path = arena_alloc(&s->arena, size);
	struct str rest = {0};
	struct address address = {0};
	enum address_outcome outcome = ADDRESS_NO_MEMORY;

	if (path != NULL && str_equal(p->value, STR("<>"))) {
		outcome = ADDRESS_OK;
	} else if (path != NULL) {
		path[0] = '<';
		outcome = ADDRESS_BAD_SYNTAX;
		if (p->value.n > 0 && xtext_decode(p->value, path + 1, &n)) {
			path[n + 1] = '>';
			outcome = address_parse_path((struct str){path, n + 2},
				PATH_REVERSE, &s->arena, &address, &rest);
		}
	}
	if (outcome == ADDRESS_NO_MEMORY) {
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		return false;
	}
	if (outcome != ADDRESS_OK || rest.n > 0) {
		engine_error(s, 501, "5.5.4", "AUTH takes an address as xtext, or <>");
		return false;
	}
	e->auth_sender = STR("");
	if (s->envelope.client.user.n > 0 && address.mailbox.n > 0)
		e->auth_sender = address.mailbox;
	return true;
}

enum mail_parameter { MAIL_SIZE = 1, MAIL_BODY = 2, MAIL_AUTH = 4 };

/* 0: there is none of that name. */
static unsigned find_mail_parameter(const struct smtp *s, struct str keyword)
{
	if (str_equal_nocase(keyword, STR("SIZE")))
		return MAIL_SIZE;
	if (str_equal_nocase(keyword, STR("BODY")))
		return MAIL_BODY;
	return auth_is_on(s) && str_equal_nocase(keyword, STR("AUTH")) ? MAIL_AUTH : 0;
}

/* Parameters of MAIL into e.  Replies on failure. */
static bool take_mail_parameters(struct smtp *s, struct str rest, struct envelope *e)
{
	struct parameter p;
	enum parameter_outcome outcome;
	unsigned given = 0;

	while ((outcome = parameter_next(&rest, &p)) == PARAMETER_READY) {
		unsigned which = find_mail_parameter(s, p.keyword);

		if (which == 0) {
			engine_error(s, 555, "5.5.4", "Unknown parameter");
			return false;
		}
		if ((given & which) != 0) {
			engine_error(s, 501, "5.5.4", "Parameter given twice");
			return false;
		}
		if (which == MAIL_SIZE       ? !take_size(s, &p, &e->declared_size)
			: which == MAIL_BODY ? !take_body(s, &p, &e->body)
					     : !take_auth_sender(s, &p, e))
			return false;
		given |= which;
	}
	if (outcome == PARAMETER_BAD)
		engine_error(s, 501, "5.5.4", "Bad parameter syntax");
	return outcome == PARAMETER_END;
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

void mail_run_mail(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct envelope e = {.client = s->envelope.client};
	struct path_argument path;
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
	if (!parse_path_argument(s, argument, STR("FROM:"), PATH_REVERSE, &path) ||
		!take_mail_parameters(s, path.parameters, &e) ||
		(s->listen.is_sender_argument &&
			is_like_option(s, &path.address, STR(""))))
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
	s->message_count++;
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

void mail_run_rcpt(struct smtp *s, struct str argument)
{
	struct arena_mark before = arena_mark(&s->arena);
	struct path_argument path;
	struct reply refusal;

	if (!parse_path_argument(s, argument, STR("TO:"), PATH_FORWARD, &path) ||
		!take_rcpt_parameters(s, path.parameters) ||
		(s->listen.is_recipient_argument &&
			is_like_option(
				s, &path.address, address_extension(path.address.local))))
		goto refused;
	if (!has_room_for(s, &path.address)) {
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
	s->recipient_text += recipient_text(s, &path.address);
	engine_reply(s, 250, "2.1.5", "Ok");
	return;
refused:
	s->has_refused_recipient = true;
	arena_rewind(&s->arena, before);
}
