/* The mail transaction; see transaction.h.
 *
 * Runs in workers.  While message text arrives the first failure sticks: the
 * sink is aborted at once, the rest is read and thrown away, and the reply waits
 * for the dot or the end of the chunk, because the client does not listen before.
 *
 * With LMTP each recipient has a result and a reply of its own (RFC 2033, 4.2); a
 * failure of the message as a whole is told to all of them. */
#include "smtp/transaction.h"

#include <string.h>

#include "smtp/engine.h"
#include "smtp/hooks.h"

/* What becomes of a recipient. */
enum fate { FATE_STORED, FATE_DISCARDED, FATE_REFUSED };

/* Tell what became of n recipients, of whom this is the first; code 0: of nothing. */
static void tell_outcome(struct smtp *s, size_t first, size_t n, enum fate fate,
	const struct reply *answer)
{
	char line[sizeof(answer->enhanced) + sizeof(answer->text) + 1];
	struct smtp_outcome outcome = {
		.envelope = &s->envelope,
		.first = first,
		.recipient_count = n,
		.code = answer->code,
		.is_discarded = fate == FATE_DISCARDED,
	};

	if (s->env->outcome == NULL)
		return;
	if (answer->code != 0) {
		size_t used = str_copy(line, sizeof(line), str_of(answer->enhanced));

		used += str_copy(line + used, sizeof(line) - used, STR(" "));
		used += str_copy(line + used, sizeof(line) - used, str_of(answer->text));
		outcome.reply = (struct str){line, used};
	}
	s->env->outcome(s->env->user, &outcome);
}

static void leave_sink(struct smtp *s)
{
	if (s->is_in_sink)
		s->env->sink->abort(s->env->sink_user);
	s->is_in_sink = false;
}

void transaction_abort_message(struct smtp *s)
{
	if (!s->is_in_message)
		return;
	s->is_in_message = false;
	leave_sink(s);
	tell_outcome(s, 0, s->envelope.recipient_count, FATE_REFUSED, &(struct reply){0});
}

void transaction_reset(struct smtp *s)
{
	struct envelope_client client = s->envelope.client;

	transaction_abort_message(s);
	arena_rewind(&s->arena, s->transaction_mark);
	s->envelope = (struct envelope){.client = client};
	s->has_sender = false;
	s->has_refused_recipient = false;
	s->chunks = CHUNKS_NONE;
	s->recipient_text = 0;
	s->prepended_room = 0;
	s->results = NULL;
	s->keep = NULL;
	s->refusals = NULL;
	hooks_transaction(s);
}

bool transaction_add_recipient(struct smtp *s, const struct recipient *r)
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
	*recipient = *r;
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

static bool is_discarded(const struct smtp *s, size_t i)
{
	return s->envelope.is_discarded || s->envelope.recipients[i].is_discarded;
}

/* Whether there is nobody to store it for. */
static bool is_for_nobody(const struct smtp *s)
{
	size_t i = 0;

	while (i < s->envelope.recipient_count && is_discarded(s, i))
		i++;
	return i == s->envelope.recipient_count;
}

/* Returns whether a message has begun, and is in the sink now, if anybody is to have it;
 * if not, why is the failure. */
static bool begin(struct smtp *s)
{
	struct smtp_result begun;

	s->envelope.client.server = keep_server_name(s);
	s->envelope.size_bytes = 0;
	s->refusals = NULL;
	if (!is_for_nobody(s)) {
		begun = s->env->sink->begin(s->env->sink_user, &s->envelope);
		if (begun.kind != RESULT_OK) {
			reply_set(&s->failure, begun.code, begun.enhanced, begun.text);
			return false;
		}
		s->is_in_sink = true;
	}
	s->is_in_message = true;
	s->failure.code = 0;
	/* RFC 3030, 3: not text, and not to be changed. */
	data_init(&s->data, s->envelope.body == BODY_BINARYMIME
				    ? BARE_NEWLINE_PRESERVE
				    : s->settings->bare_newline);
	return true;
}

void transaction_begin_message(struct smtp *s)
{
	if (!begin(s)) {
		engine_answer(s, &s->failure);
		return;
	}
	s->mode = MODE_DATA;
	engine_reply(s, 354, "", "End data with <CR><LF>.<CR><LF>");
}

void transaction_begin_chunks(struct smtp *s)
{
	struct reply refusal;

	if (!hooks_data_command(s, &refusal))
		s->failure = refusal;
	else if (begin(s))
		s->chunks = CHUNKS_BEGUN;
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

void transaction_fail_by_size(struct smtp *s)
{
	fail_with(s, 552, "5.3.4", "Message is larger than the limit");
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
		transaction_fail_by_size(s);
		return;
	}
	if (!hooks_data_chunk(s, (struct str){p, n}, &refusal)) {
		fail(s, &refusal);
		return;
	}
	if (s->envelope.is_discarded)
		leave_sink(s);
	if (!s->is_in_sink)
		return;
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

/* Publish for whom it is prepared: with SMTP for all recipients or for none. */
static void publish(struct smtp *s)
{
	const struct smtp_sink *sink = s->env->sink;
	bool is_lmtp = s->envelope.client.is_lmtp, is_kept = false;
	bool is_good = worst_result(s) == NULL;

	for (size_t i = 0; i < s->envelope.recipient_count; i++) {
		s->keep[i] =
			is_lmtp ? s->results[i].kind == RESULT_OK && !is_discarded(s, i)
				: is_good;
		is_kept |= s->keep[i];
	}
	if (is_kept) {
		sink->commit(s->env->sink_user, s->keep, s->results);
		s->is_in_sink = false;
	}
	leave_sink(s);
}

/* Prepare and publish; with SMTP what goes wrong for anyone is noted as the failure. */
static void deliver(struct smtp *s)
{
	static const struct smtp_result good = {RESULT_OK, 250, "2.0.0", "Ok"};
	const struct smtp_result *bad;

	if (is_for_nobody(s))
		leave_sink(s);
	else
		s->env->sink->prepare(s->env->sink_user, s->results);
	for (size_t i = 0; i < s->envelope.recipient_count; i++)
		if (is_discarded(s, i))
			s->results[i] = good;
	if (!s->is_in_sink)
		return;
	publish(s);
	bad = worst_result(s);
	if (bad != NULL && !s->envelope.client.is_lmtp)
		fail_with(s, bad->code, bad->enhanced, bad->text);
}

static const struct reply *refusal_of(const struct smtp *s, size_t i)
{
	return s->refusals == NULL ? NULL : s->refusals[i];
}

static enum fate fate_of(const struct smtp *s, size_t i)
{
	if (s->failure.code != 0 || refusal_of(s, i) != NULL ||
		s->results[i].kind != RESULT_OK)
		return FATE_REFUSED;
	return is_discarded(s, i) ? FATE_DISCARDED : FATE_STORED;
}

/* What recipient i is told, or the client with SMTP. */
static void answer_to(const struct smtp *s, size_t i, struct reply *ret)
{
	const struct smtp_result *result = &s->results[i];
	char text[sizeof("Ok: ") + MESSAGE_ID_SIZE];
	size_t n;

	if (s->failure.code != 0) {
		*ret = s->failure;
	} else if (refusal_of(s, i) != NULL) {
		*ret = *refusal_of(s, i);
	} else if (result->kind != RESULT_OK) {
		reply_set(ret, result->code, result->enhanced, result->text);
	} else {
		n = str_copy(text, sizeof(text), STR("Ok: "));
		(void)str_copy(text + n, sizeof(text) - n, str_of(s->envelope.stamp.id));
		reply_set(ret, 250, "2.0.0", text);
	}
}

/* Tell it once for all of those who have the same fate.  Returns whether there are any.
 */
static bool tell_together(struct smtp *s, enum fate fate)
{
	size_t count = 0, first = 0;
	struct reply answer;

	for (size_t i = s->envelope.recipient_count; i-- > 0;) {
		if (fate_of(s, i) == fate) {
			count++;
			first = i;
		}
	}
	if (count > 0) {
		answer_to(s, first, &answer);
		tell_outcome(s, first, count, fate, &answer);
	}
	return count > 0;
}

static void tell_each_refused(struct smtp *s)
{
	struct reply answer;

	for (size_t i = 0; i < s->envelope.recipient_count; i++) {
		if (fate_of(s, i) != FATE_REFUSED)
			continue;
		answer_to(s, i, &answer);
		tell_outcome(s, i, 1, FATE_REFUSED, &answer);
	}
}

static void tell_outcomes(struct smtp *s)
{
	bool is_stored = tell_together(s, FATE_STORED);
	bool is_accepted = tell_together(s, FATE_DISCARDED) || is_stored;

	if (is_accepted) {
		s->errors = 0;
		s->idle_commands = 0;
	}
	if (s->envelope.client.is_lmtp)
		tell_each_refused(s);
	else
		(void)tell_together(s, FATE_REFUSED);
}

void transaction_add_replies(struct smtp *s)
{
	size_t count = s->envelope.client.is_lmtp ? s->envelope.recipient_count : 1;
	int first_code = 0;
	struct reply answer;

	while (s->reply_next < count && s->out.len < OUTPUT_FULL_BYTES) {
		answer_to(s, s->reply_next++, &answer);
		engine_answer(s, &answer);
		if (s->reply_next == 1)
			first_code = answer.code;
		/* A 421 to one is not the last word to the others. */
		if (s->mode == MODE_CLOSING) {
			s->has_421 = true;
			s->mode = MODE_RESULTS;
		}
	}
	/* How many there was room for is up to the split. */
	if (first_code != 0)
		s->reply_code = first_code;
	if (s->reply_next < count)
		return;
	if (s->mode == MODE_RESULTS)
		s->mode = s->has_421 ? MODE_CLOSING : MODE_COMMAND;
	transaction_reset(s);
	engine_leave_if_due(s);
}

/* Keep why recipient i is refused, until it is told; nothing is stored for it. */
static bool keep_refusal(struct smtp *s, size_t i, const struct reply *why)
{
	size_t count = s->envelope.recipient_count;

	if (s->refusals == NULL)
		s->refusals = arena_alloc(&s->arena, count * sizeof(void *));
	if (s->refusals == NULL)
		return false;
	s->refusals[i] = arena_alloc(&s->arena, sizeof(*why));
	if (s->refusals[i] == NULL)
		return false;
	*s->refusals[i] = *why;
	s->envelope.recipients[i].is_discarded = true;
	return true;
}

/* With LMTP; until a hook wants silence. */
static void ask_about_recipients(struct smtp *s)
{
	struct reply refusal;

	for (size_t i = 0; i < s->envelope.recipient_count && !engine_is_silent(s); i++) {
		if (hooks_message_recipient(s, &s->envelope.recipients[i], &refusal) ||
			keep_refusal(s, i, &refusal))
			continue;
		fail_with(s, 452, "4.3.1", "Too much for one session");
		return;
	}
}

/* The hooks that have the last say.  A message that is discarded then leaves the sink. */
static void ask_about_message(struct smtp *s)
{
	struct reply refusal;

	if (!hooks_message(s, &refusal))
		fail(s, &refusal);
	else if (s->envelope.client.is_lmtp && hooks_have_message_recipient(s))
		ask_about_recipients(s);
}

void transaction_end_message(struct smtp *s)
{
	bool has_begun = s->is_in_message;

	s->mode = MODE_RESULTS;
	s->reply_next = 0;
	s->has_421 = false;
	if (s->data.bare_newline == BARE_NEWLINE_REJECT &&
		data_has_bare_newline(&s->data))
		fail_with(s, 554, "5.6.0", "Message has a bare CR or LF");
	if (s->failure.code == 0)
		ask_about_message(s);
	if (engine_is_silent(s)) {
		transaction_reset(s);
		return;
	}
	if (s->failure.code == 0)
		deliver(s);
	s->is_in_message = false;
	if (has_begun)
		tell_outcomes(s);
	transaction_add_replies(s);
}

void transaction_end_failed_chunk(struct smtp *s)
{
	if (s->is_in_message)
		tell_outcomes(s);
	s->is_in_message = false;
	s->chunks = CHUNKS_FAILED;
	engine_answer(s, &s->failure);
}

size_t transaction_feed(struct smtp *s, const char *p, size_t n)
{
	size_t used;

	/* A hook may have dropped the connection in the middle of the text. */
	if (data_decode(&s->data, p, n, &used, take_text, s) == DATA_END &&
		s->mode == MODE_DATA)
		transaction_end_message(s);
	return used;
}

void transaction_add_chunk(struct smtp *s, const char *p, size_t n)
{
	if (s->failure.code == 0)
		data_add_chunk(&s->data, p, n, take_text, s);
}
