/* The hooks of the rig: each call is noted in the trace, and judged by the test. */
#include <assert.h>
#include <string.h>

#include "rig.h"
#include "rig_parts.h"

void rig_trace_add(struct rig *r, const char *what, const char *p, size_t n)
{
	/* How often text is handed on depends on the split; that it is does not. */
	bool is_text = strcmp(what, "data_chunk") == 0 || strcmp(what, "chunk") == 0;

	if (is_text && r->is_in_text)
		return;
	/* Hook and sink take turns; both names appear once at the start of a text. */
	r->is_in_text = strcmp(what, "chunk") == 0;
	(void)buf_add_text(&r->trace, what);
	if (n > 0) {
		(void)buf_add_text(&r->trace, " ");
		(void)buf_add(&r->trace, p, n);
	}
	(void)buf_add_text(&r->trace, "\n");
	assert(!r->trace.has_overflowed);
}

static const char *const hook_names[] = {
#define RIG_HOOK_NAME(id, name) name,
	RIG_HOOKS(RIG_HOOK_NAME)
#undef RIG_HOOK_NAME
};

static void called(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	assert(r->ended_count == 0);
	if (verdict != NULL)
		assert(verdict->code == 0 && verdict->delay_ms == 0 &&
			verdict->action == SINKD_DECIDE && verdict->enhanced[0] == '\0' &&
			verdict->text[0] == '\0');
	if (hook == RIG_DATA_CHUNK) {
		r->text_bytes += argument.len;
		rig_trace_add(r, hook_names[hook], "", 0);
	} else {
		rig_trace_add(r, hook_names[hook], argument.data, argument.len);
	}
	if (r->judge != NULL)
		r->judge(r, hook, argument, verdict);
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str client_address, struct sinkd_verdict *verdict)
{
	struct rig *r = user;

	(void)session;
	r->has_begun = true;
	called(r, RIG_CONNECT, client_address, verdict);
}

static struct sinkd_str on_server_domain(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, RIG_SERVER_DOMAIN, (struct sinkd_str){0}, NULL);
	return (struct sinkd_str){0};
}

static struct sinkd_str on_server_greeting(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, RIG_SERVER_GREETING, (struct sinkd_str){0}, NULL);
	return (struct sinkd_str){0};
}

static void on_command(void *user, struct sinkd_session *session, struct sinkd_str verb,
	struct sinkd_str argument, struct sinkd_verdict *verdict)
{
	(void)session;
	(void)argument;
	called(user, RIG_COMMAND, verb, verdict);
}

static void on_ehlo_domain(void *user, struct sinkd_session *session,
	struct sinkd_str domain, struct sinkd_verdict *verdict)
{
	(void)session;
	called(user, RIG_EHLO_DOMAIN, domain, verdict);
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	(void)session;
	(void)parameters;
	called(user, RIG_SENDER, path, verdict);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	(void)session;
	(void)parameters;
	called(user, RIG_RECIPIENT, path, verdict);
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct rig *r = user;

	(void)session;
	r->text_bytes = 0;
	called(r, RIG_DATA_COMMAND, (struct sinkd_str){0}, verdict);
}

static void on_data_chunk(void *user, struct sinkd_session *session,
	struct sinkd_str bytes, struct sinkd_verdict *verdict)
{
	(void)session;
	assert(bytes.len > 0);
	called(user, RIG_DATA_CHUNK, bytes, verdict);
}

static void on_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	(void)session;
	called(user, RIG_MESSAGE, (struct sinkd_str){0}, verdict);
}

static void on_reset(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, RIG_RESET, (struct sinkd_str){0}, NULL);
}

static void on_transaction(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, RIG_TRANSACTION, (struct sinkd_str){0}, NULL);
}

static void on_connection_ended(void *user, struct sinkd_session *session)
{
	struct rig *r = user;

	(void)session;
	called(r, RIG_CONNECTION_ENDED, (struct sinkd_str){0}, NULL);
	r->ended_count++;
}

static void on_plain_auth(void *user, struct sinkd_session *session,
	struct sinkd_str user_name, struct sinkd_str password,
	struct sinkd_verdict *verdict)
{
	struct rig *r = user;

	(void)session;
	assert(r->sasl.has_password);
	assert(user_name.len == r->sasl.name_n && password.len == r->sasl.password_n);
	assert(memcmp(user_name.data, r->sasl.name, user_name.len) == 0);
	assert(memcmp(password.data, r->sasl.password, password.len) == 0);
	called(r, RIG_PLAIN_AUTH, user_name, verdict);
}

static void on_message_recipient(void *user, struct sinkd_session *session,
	struct sinkd_str path, struct sinkd_verdict *verdict)
{
	(void)session;
	called(user, RIG_MESSAGE_RECIPIENT, path, verdict);
}

const struct sinkd_hooks rig_hooks = {
	.abi = SINKD_ABI,
	.size = sizeof(struct sinkd_hooks),
	.connect = on_connect,
	.server_domain = on_server_domain,
	.server_greeting = on_server_greeting,
	.command = on_command,
	.ehlo_domain = on_ehlo_domain,
	.sender = on_sender,
	.recipient = on_recipient,
	.data_command = on_data_command,
	.data_chunk = on_data_chunk,
	.message = on_message,
	.reset = on_reset,
	.transaction = on_transaction,
	.connection_ended = on_connection_ended,
	.plain_auth = on_plain_auth,
	.message_recipient = on_message_recipient,
};
