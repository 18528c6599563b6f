/* The mail transaction; see transaction.h.
 *
 * Runs in workers.  While message text arrives the first failure sticks: the
 * sink is aborted at once, the rest is read and thrown away, and the reply waits
 * for the dot, because the client does not listen before. */
#include "smtp/transaction.h"

#include <string.h>

#include "smtp/engine.h"
#include "smtp/hooks.h"

void transaction_reset(struct smtp *s)
{
	struct envelope_client client = s->envelope.client;

	arena_rewind(&s->arena, s->transaction_mark);
	s->envelope = (struct envelope){.client = client};
	s->has_sender = false;
	s->has_refused_recipient = false;
	s->results = NULL;
	s->keep = NULL;
	hooks_transaction(s);
}

bool transaction_add_recipient(struct smtp *s, const struct address *a)
{
	struct envelope before = s->envelope;
	struct recipient *recipient = envelope_add_recipient(&s->envelope, &s->arena);
	size_t size = s->envelope.recipient_size;

	if (recipient != NULL && size != before.recipient_size) {
		struct smtp_result *results =
			arena_alloc(&s->arena, size * sizeof(*results));
		bool *keep = arena_alloc(&s->arena, size * sizeof(*keep));

		if (results == NULL || keep == NULL) {
			s->envelope = before;
			return false;
		}
		s->results = results;
		s->keep = keep;
	}
	if (recipient == NULL)
		return false;
	recipient->address = *a;
	return true;
}

/* The name for the trace header; its place is part of the session, since memory
 * may have gone to recipients. */
static struct str keep_server_name(struct smtp *s)
{
	struct str name = hooks_server_domain(s);

	if (name.n > sizeof(s->server_name))
		name.n = sizeof(s->server_name);
	memcpy(s->server_name, name.p, name.n);
	return (struct str){s->server_name, name.n};
}

void transaction_begin_message(struct smtp *s)
{
	struct smtp_result begun;

	s->envelope.client.server = keep_server_name(s);
	s->envelope.size_bytes = 0;
	begun = s->env->sink->begin(s->env->sink_user, &s->envelope);
	if (begun.kind != RESULT_OK) {
		engine_reply(s, begun.code, begun.enhanced, begun.text);
		return;
	}
	s->is_in_message = true;
	s->is_in_sink = true;
	s->failure.code = 0;
	data_init(&s->data, s->settings->bare_newline);
	s->mode = MODE_DATA;
	engine_reply(s, 354, "", "End data with <CR><LF>.<CR><LF>");
}

static void tell_outcome(struct smtp *s, int code, const char *enhanced, const char *text)
{
	char line[sizeof(s->failure.enhanced) + sizeof(s->failure.text) + 1];
	struct smtp_outcome outcome = {&s->envelope, code, {0}};

	if (s->env->outcome == NULL)
		return;
	if (code != 0) {
		size_t n = str_copy(line, sizeof(line), str_of(enhanced));

		n += str_copy(line + n, sizeof(line) - n, STR(" "));
		n += str_copy(line + n, sizeof(line) - n, str_of(text));
		outcome.reply = (struct str){line, n};
	}
	s->env->outcome(s->env->user, &outcome);
}

static void leave_sink(struct smtp *s)
{
	if (s->is_in_sink)
		s->env->sink->abort(s->env->sink_user);
	s->is_in_sink = false;
}

/* Note the first failure, with its reply; later ones change nothing. */
static void fail(struct smtp *s, const struct reply *why)
{
	if (s->failure.code != 0)
		return;
	s->failure = *why;
	leave_sink(s);
}

static void fail_with(struct smtp *s, int code, const char *enhanced, const char *text)
{
	struct reply why;

	reply_set(&why, code, enhanced, text);
	fail(s, &why);
}

/* A run of decoded bytes. */
static void take_text(void *user, const char *p, size_t n)
{
	struct smtp *s = user;
	struct reply refusal;
	struct smtp_result stored;

	s->envelope.size_bytes = s->data.octets;
	if (s->failure.code != 0)
		return;
	if (s->data.octets > s->settings->message_size_max) {
		fail_with(s, 552, "5.3.4", "Message is larger than the limit");
		return;
	}
	if (!hooks_data_chunk(s, (struct str){p, n}, &refusal)) {
		fail(s, &refusal);
		return;
	}
	stored = s->env->sink->chunk(s->env->sink_user, p, n);
	if (stored.kind != RESULT_OK)
		fail_with(s, stored.code, stored.enhanced, stored.text);
}

/* The result that speaks for all recipients, or NULL when all are OK: SMTP has
 * one reply, and a retry is better than a bounce for those who could have it. */
static const struct smtp_result *worst_result(const struct smtp *s)
{
	const struct smtp_result *worst = NULL;

	for (size_t i = 0; i < s->envelope.recipient_count; i++) {
		const struct smtp_result *r = &s->results[i];

		if (r->kind == RESULT_TEMPORARY)
			return r;
		if (r->kind == RESULT_PERMANENT && worst == NULL)
			worst = r;
	}
	return worst;
}

/* Prepare and publish; on failure nothing is stored and the failure is noted. */
static void deliver(struct smtp *s)
{
	const struct smtp_sink *sink = s->env->sink;
	const struct smtp_result *bad;

	sink->prepare(s->env->sink_user, s->results);
	bad = worst_result(s);
	if (bad == NULL) {
		for (size_t i = 0; i < s->envelope.recipient_count; i++)
			s->keep[i] = true;
		sink->commit(s->env->sink_user, s->keep, s->results);
		s->is_in_sink = false;
		bad = worst_result(s);
	}
	if (bad != NULL)
		fail_with(s, bad->code, bad->enhanced, bad->text);
}

static void end_of_data(struct smtp *s)
{
	struct reply answer;
	char text[sizeof("Ok: ") + MESSAGE_ID_SIZE];

	s->mode = MODE_COMMAND;
	s->is_in_message = false;
	if (s->data.has_bare_newline && s->settings->bare_newline == BARE_NEWLINE_REJECT)
		fail_with(s, 554, "5.6.0", "Message has a bare CR or LF");
	if (s->failure.code == 0 && !hooks_message(s, &answer))
		fail(s, &answer);
	if (s->failure.code == 0)
		deliver(s);
	answer = s->failure;
	if (answer.code == 0) {
		size_t n = str_copy(text, sizeof(text), STR("Ok: "));

		(void)str_copy(text + n, sizeof(text) - n, str_of(s->envelope.stamp.id));
		reply_set(&answer, 250, "2.0.0", text);
		s->errors = 0;
	}
	tell_outcome(s, answer.code, answer.enhanced, answer.text);
	engine_answer(s, &answer);
	transaction_reset(s);
	engine_leave_if_due(s);
}

size_t transaction_feed(struct smtp *s, const char *p, size_t n)
{
	size_t used;

	/* A hook may have dropped the connection in the middle of the text. */
	if (data_decode(&s->data, p, n, &used, take_text, s) == DATA_END &&
		s->mode == MODE_DATA)
		end_of_data(s);
	return used;
}

void transaction_abort_message(struct smtp *s)
{
	if (!s->is_in_message)
		return;
	s->is_in_message = false;
	leave_sink(s);
	tell_outcome(s, 0, "", "");
}
