/* Asking the hook table; see hooks.h.
 *
 * Runs in workers.  Hooks are the user's code: trusted to be well meant, not to
 * be right, so whatever they answer is brought into a valid form here. */
#include "smtp/hooks.h"

#include <string.h>

#include "api/sinkd_module.h"
#include "smtp/address.h"
#include "smtp/command.h"
#include "smtp/engine.h"

enum hook_stage {
	STAGE_CONNECT,
	STAGE_COMMAND,
	STAGE_EHLO_DOMAIN,
	STAGE_SENDER,
	STAGE_RECIPIENT,
	STAGE_DATA_COMMAND,
	STAGE_DATA_CHUNK,
	STAGE_MESSAGE,
	STAGE_PLAIN_AUTH,
	STAGE_MESSAGE_RECIPIENT,
};

/* What can be thrown away at a stage. */
enum discard { DISCARD_NOTHING, DISCARD_RECIPIENT, DISCARD_MESSAGE };

/* What a refusal says that brings no words of its own. */
static const struct {
	const char *text;
	int code;
	enum discard discard;
} stages[] = {
	[STAGE_CONNECT] = {"Connection refused", 554, DISCARD_NOTHING},
	[STAGE_COMMAND] = {"Command refused", 550, DISCARD_NOTHING},
	[STAGE_EHLO_DOMAIN] = {"Requested action not taken", 550, DISCARD_NOTHING},
	[STAGE_SENDER] = {"Sender refused", 550, DISCARD_MESSAGE},
	[STAGE_RECIPIENT] = {"Recipient refused", 550, DISCARD_RECIPIENT},
	[STAGE_DATA_COMMAND] = {"Message refused", 550, DISCARD_MESSAGE},
	[STAGE_DATA_CHUNK] = {"Message refused", 550, DISCARD_MESSAGE},
	[STAGE_MESSAGE] = {"Message refused", 550, DISCARD_MESSAGE},
	[STAGE_PLAIN_AUTH] = {"Authentication credentials invalid", 535, DISCARD_NOTHING},
	[STAGE_MESSAGE_RECIPIENT] = {"Message refused", 550, DISCARD_RECIPIENT},
};

/* The table's entry, or NULL.  A table of an older ABI is shorter. */
#define HOOK(s, member)                                                                  \
	((s)->env->hooks != NULL && offsetof(struct sinkd_hooks, member) +               \
						    sizeof((s)->env->hooks->member) <=   \
					    (s)->env->hooks->size                        \
			? (s)->env->hooks->member                                        \
			: NULL)

static struct sinkd_session *opaque(struct smtp *s)
{
	return (struct sinkd_session *)s;
}

static struct sinkd_str api_str(struct str s)
{
	return (struct sinkd_str){s.p, s.n};
}

/* Do what is wanted besides a reply.  Returns whether that is a yes. */
static bool act(struct smtp *s, enum hook_stage stage, const struct sinkd_verdict *v)
{
	switch ((enum sinkd_action)v->action) {
	case SINKD_DECIDE:
		return v->code == 0;
	case SINKD_DISCONNECT:
		engine_cut(s, MODE_DISCONNECTED);
		return false;
	case SINKD_RESET:
		engine_cut(s, MODE_RESET);
		return false;
	case SINKD_STALL:
		engine_cut(s, MODE_STALLED);
		return false;
	case SINKD_DISCARD:
		if (stages[stage].discard == DISCARD_MESSAGE)
			s->envelope.is_discarded = true;
		return stages[stage].discard != DISCARD_NOTHING;
	case SINKD_ROUTE:
		return stage == STAGE_RECIPIENT;
	}
	return false;
}

/* Turn a verdict into yes, or into the reply to refuse with. */
static bool judge(struct smtp *s, enum hook_stage stage, struct sinkd_verdict *v,
	struct reply *ret_refusal)
{
	const char *enhanced, *text = stages[stage].text;
	int code = stages[stage].code;

	engine_pause(s, v->delay_ms);
	if (act(s, stage, v))
		return true;
	/* User code may have filled the arrays to the brim. */
	v->enhanced[sizeof(v->enhanced) - 1] = '\0';
	v->text[sizeof(v->text) - 1] = '\0';
	if (v->code >= 400 && v->code <= 599)
		code = v->code;
	enhanced = code == 421   ? "4.3.2"
		   : code == 454 ? "4.7.0"
		   : code < 500  ? "4.7.1"
		   : code == 535 ? "5.7.8"
				 : "5.7.1";
	if (reply_enhanced_fits(v->enhanced, code))
		enhanced = v->enhanced;
	if (v->text[0] != '\0')
		text = v->text;
	reply_set(ret_refusal, code, enhanced, text);
	return false;
}

bool hooks_connect(struct smtp *s, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, connect) == NULL)
		return true;
	s->env->hooks->connect(
		s->env->hooks->user, opaque(s), api_str(s->envelope.client.address), &v);
	return judge(s, STAGE_CONNECT, &v, ret_refusal);
}

bool hooks_command(
	struct smtp *s, const struct command *command, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};
	struct str argument = command->argument;

	if (HOOK(s, command) == NULL)
		return true;
	if (str_equal_nocase(command->verb, STR("AUTH")))
		for (size_t i = 0; i < argument.n; i++)
			if (str_is_blank(argument.p[i]))
				argument.n = i;
	s->env->hooks->command(s->env->hooks->user, opaque(s), api_str(command->verb),
		api_str(argument), &v);
	return judge(s, STAGE_COMMAND, &v, ret_refusal);
}

bool hooks_ehlo_domain(struct smtp *s, struct str domain, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, ehlo_domain) == NULL)
		return true;
	s->env->hooks->ehlo_domain(s->env->hooks->user, opaque(s), api_str(domain), &v);
	return judge(s, STAGE_EHLO_DOMAIN, &v, ret_refusal);
}

bool hooks_have_plain_auth(const struct smtp *s)
{
	return HOOK(s, plain_auth) != NULL;
}

bool hooks_plain_auth(
	struct smtp *s, struct str name, struct str password, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, plain_auth) == NULL)
		return true;
	s->env->hooks->plain_auth(
		s->env->hooks->user, opaque(s), api_str(name), api_str(password), &v);
	return judge(s, STAGE_PLAIN_AUTH, &v, ret_refusal);
}

bool hooks_sender(
	struct smtp *s, struct str path, struct str parameters, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, sender) == NULL)
		return true;
	s->env->hooks->sender(
		s->env->hooks->user, opaque(s), api_str(path), api_str(parameters), &v);
	return judge(s, STAGE_SENDER, &v, ret_refusal);
}

bool hooks_recipient(struct smtp *s, struct str path, struct str parameters,
	struct recipient *recipient, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, recipient) == NULL)
		return true;
	s->env->hooks->recipient(
		s->env->hooks->user, opaque(s), api_str(path), api_str(parameters), &v);
	recipient->is_discarded = v.action == SINKD_DISCARD;
	recipient->route = v.action == SINKD_ROUTE ? v.route : 0;
	return judge(s, STAGE_RECIPIENT, &v, ret_refusal);
}

bool hooks_data_command(struct smtp *s, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, data_command) == NULL)
		return true;
	s->env->hooks->data_command(s->env->hooks->user, opaque(s), &v);
	return judge(s, STAGE_DATA_COMMAND, &v, ret_refusal);
}

bool hooks_data_chunk(struct smtp *s, struct str bytes, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, data_chunk) == NULL)
		return true;
	s->env->hooks->data_chunk(s->env->hooks->user, opaque(s), api_str(bytes), &v);
	return judge(s, STAGE_DATA_CHUNK, &v, ret_refusal);
}

bool hooks_message(struct smtp *s, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, message) == NULL)
		return true;
	s->env->hooks->message(s->env->hooks->user, opaque(s), &v);
	return judge(s, STAGE_MESSAGE, &v, ret_refusal);
}

bool hooks_have_message_recipient(const struct smtp *s)
{
	return HOOK(s, message_recipient) != NULL;
}

bool hooks_message_recipient(
	struct smtp *s, struct recipient *recipient, struct reply *ret_refusal)
{
	struct sinkd_verdict v = {0};

	if (HOOK(s, message_recipient) == NULL)
		return true;
	s->env->hooks->message_recipient(
		s->env->hooks->user, opaque(s), api_str(recipient->address.mailbox), &v);
	recipient->is_discarded |= v.action == SINKD_DISCARD;
	return judge(s, STAGE_MESSAGE_RECIPIENT, &v, ret_refusal);
}

void hooks_reset(struct smtp *s)
{
	if (HOOK(s, reset) != NULL)
		s->env->hooks->reset(s->env->hooks->user, opaque(s));
}

void hooks_transaction(struct smtp *s)
{
	if (HOOK(s, transaction) != NULL)
		s->env->hooks->transaction(s->env->hooks->user, opaque(s));
}

void hooks_connection_ended(struct smtp *s)
{
	if (HOOK(s, connection_ended) != NULL)
		s->env->hooks->connection_ended(s->env->hooks->user, opaque(s));
}

struct str hooks_server_domain(struct smtp *s)
{
	if (HOOK(s, server_domain) != NULL) {
		struct sinkd_str name =
			s->env->hooks->server_domain(s->env->hooks->user, opaque(s));
		struct str domain = {name.data, name.len};

		if (address_is_domain(domain))
			return domain;
	}
	return str_of(s->settings->hostname);
}

void hooks_add_greeting(struct smtp *s, struct buf *out)
{
	struct str domain = hooks_server_domain(s), rest;

	if (HOOK(s, server_greeting) != NULL) {
		struct sinkd_str text =
			s->env->hooks->server_greeting(s->env->hooks->user, opaque(s));

		if (text.len > 0) {
			(void)buf_add(out, text.data,
				text.len < out->max ? text.len : out->max);
			return;
		}
	}
	for (rest = str_of(s->settings->greeting); rest.n > 0;) {
		if (str_starts_nocase(rest, STR("%{hostname}"))) {
			(void)buf_add_str(out, domain);
			rest = str_skip(rest, sizeof("%{hostname}") - 1);
		} else if (str_starts_nocase(rest, STR("%{protocol}"))) {
			(void)buf_add_text(out, s->envelope.client.is_lmtp  ? "LMTP"
						: s->listen.extensions == 0 ? "SMTP"
									    : "ESMTP");
			rest = str_skip(rest, sizeof("%{protocol}") - 1);
		} else {
			if (str_starts_nocase(rest, STR("%%")))
				rest = str_skip(rest, 1);
			(void)buf_add(out, rest.p, 1);
			rest = str_skip(rest, 1);
		}
	}
}
