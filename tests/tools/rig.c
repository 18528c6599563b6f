/* The engine on a bench: see rig.h.
 *
 * Does the part of the serve loop without sockets, clock and log, so that a test
 * feeds bytes and looks at replies, stored messages and the order of calls.  Must
 * never repair what the engine does wrong: it asserts instead. */
#include "rig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any test feeds or gets back. */
#define RIG_BYTES_MAX ((size_t)64 << 20)

static void trace_add(struct rig *r, const char *what, const char *p, size_t n)
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

/* --- hooks ----------------------------------------------------------------- */

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
		assert(verdict->code == 0 && verdict->delay_ms == 0 && !verdict->drop &&
			verdict->enhanced[0] == '\0' && verdict->text[0] == '\0');
	if (hook == RIG_DATA_CHUNK) {
		r->text_bytes += argument.len;
		trace_add(r, hook_names[hook], "", 0);
	} else {
		trace_add(r, hook_names[hook], argument.data, argument.len);
	}
	if (r->judge != NULL)
		r->judge(r, hook, argument, verdict);
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str client_address, struct sinkd_verdict *verdict)
{
	(void)session;
	called(user, RIG_CONNECT, client_address, verdict);
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

static const struct sinkd_hooks recording_hooks = {
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
};

/* --- sink ------------------------------------------------------------------ */

static const struct smtp_result result_ok = {RESULT_OK, 250, "2.0.0", "Ok"};
static const struct smtp_result result_full = {
	RESULT_TEMPORARY, 452, "4.3.1", "Insufficient system storage"};

static const struct smtp_result result_never = {
	RESULT_PERMANENT, 550, "5.1.1", "No such mailbox"};

/* The result for recipient i when those in `failing` fail. */
static struct smtp_result result_for(const struct rig *r, uint32_t failing, size_t i)
{
	uint32_t bit = i < 32 ? (uint32_t)1 << i : 0;

	if ((failing & bit) == 0)
		return result_ok;
	return (r->faults.permanent & bit) != 0 ? result_never : result_full;
}

/* The envelope as the sink sees it: "SENDER RECIPIENT...". */
static void trace_begin(struct rig *r, const struct envelope *envelope)
{
	struct buf text;

	buf_init(&text, RIG_BYTES_MAX);
	(void)buf_add_str(&text, envelope->sender.mailbox);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		(void)buf_add_text(&text, " ");
		(void)buf_add_str(&text, envelope->recipients[i].address.mailbox);
	}
	trace_add(r, "begin", text.p, text.len);
	buf_done(&text);
}

/* The header holds what the client said, and must stay one field: printable ASCII,
 * lines that are not too long, each but the first one beginning with a tab (RFC 5322,
 * 2.1.1 and 2.2.3). */
static void check_received(const struct envelope *envelope)
{
	struct buf text;
	struct str s;
	bool is_first = true;

	buf_init(&text, RIG_BYTES_MAX);
	envelope_add_received(envelope, "\r\n", &text);
	assert(!text.has_overflowed);
	for (s = buf_str(&text); s.n > 0; is_first = false) {
		const char *end = memmem(s.p, s.n, "\r\n", 2);
		size_t n;

		assert(end != NULL);
		n = (size_t)(end - s.p);
		assert(n > 1 && n <= 998 && (s.p[0] == '\t') == !is_first);
		for (size_t i = 1; i < n; i++)
			assert(str_is_printable(s.p[i]));
		s = str_skip(s, n + 2);
	}
	assert(str_starts_nocase(buf_str(&text), STR("Received: from ")));
	buf_done(&text);
}

static struct smtp_result sink_begin(void *user, const struct envelope *envelope)
{
	struct rig *r = user;

	assert(r->sink_state == RIG_SINK_IDLE);
	assert(envelope->recipient_count > 0);
	assert(strlen(envelope->stamp.id) == MESSAGE_ID_SIZE - 1);
	check_received(envelope);
	trace_begin(r, envelope);
	if (r->faults.begin)
		return result_full;
	r->recipient_count = envelope->recipient_count;
	r->sink_state = RIG_SINK_OPEN;
	buf_reset(&r->text);
	return result_ok;
}

static struct smtp_result sink_chunk(void *user, const void *p, size_t n)
{
	struct rig *r = user;

	/* The first failure sticks: no chunk follows it. */
	assert(r->sink_state == RIG_SINK_OPEN);
	assert(n > 0);
	trace_add(r, "chunk", "", 0);
	(void)buf_add(&r->text, p, n);
	assert(!r->text.has_overflowed);
	if (r->text.len <= r->faults.text_after)
		return result_ok;
	r->sink_state = RIG_SINK_FAILED;
	return result_full;
}

static void sink_prepare(void *user, struct smtp_result *results)
{
	struct rig *r = user;

	assert(r->sink_state == RIG_SINK_OPEN);
	trace_add(r, "prepare", "", 0);
	r->sink_state = RIG_SINK_PREPARED;
	r->has_prepared = true;
	for (size_t i = 0; i < r->recipient_count; i++) {
		results[i] = result_for(r, r->faults.prepare, i);
		r->has_prepared &= results[i].kind == RESULT_OK;
	}
}

static void sink_commit(void *user, const bool *keep, struct smtp_result *results)
{
	struct rig *r = user;
	struct rig_message *m;
	size_t kept = 0;
	bool is_good = true;

	assert(r->sink_state == RIG_SINK_PREPARED);
	trace_add(r, "commit", "", 0);
	r->sink_state = RIG_SINK_IDLE;
	for (size_t i = 0; i < r->recipient_count; i++) {
		if (!keep[i])
			continue;
		results[i] = result_for(r, r->faults.commit, i);
		is_good &= results[i].kind == RESULT_OK;
		kept++;
	}
	/* In SMTP the message is the unit: for all of them or for none. */
	assert(r->has_prepared && kept == r->recipient_count);
	if (!is_good)
		return;
	m = reallocarray(r->messages, r->message_count + 1, sizeof(*m));
	assert(m != NULL);
	r->messages = m;
	m += r->message_count++;
	m->p = malloc(r->text.len + 1);
	assert(m->p != NULL);
	if (r->text.len > 0)
		memcpy(m->p, r->text.p, r->text.len);
	m->n = r->text.len;
	m->recipients = kept;
}

static void sink_abort(void *user)
{
	struct rig *r = user;

	assert(r->sink_state != RIG_SINK_IDLE);
	trace_add(r, "abort", "", 0);
	r->sink_state = RIG_SINK_IDLE;
}

static const struct smtp_sink memory_sink = {
	.begin = sink_begin,
	.chunk = sink_chunk,
	.prepare = sink_prepare,
	.commit = sink_commit,
	.abort = sink_abort,
};

/* --- the rest of the world ------------------------------------------------- */

/* A clock that ticks once per message, so that runs can be compared. */
static void stamp(void *user, struct message_stamp *ret)
{
	struct rig *r = user;

	(void)snprintf(
		ret->id, sizeof(ret->id), "%014x-%06x-%04x", ++r->stamp_count, 1u, 0u);
	ret->unix_seconds = 1000000000;
}

static void outcome(void *user, const struct smtp_outcome *o)
{
	struct rig *r = user;

	assert(o->envelope->recipient_count > 0);
	r->outcome_count++;
	r->outcome_code = o->code;
}

static void answered(void *user, enum smtp_verb verb, int code)
{
	static const char *const names[] = {
#define RIG_VERB_NAME(name) #name,
		SMTP_VERBS(RIG_VERB_NAME)
#undef RIG_VERB_NAME
	};
	struct rig *r = user;
	char line[32];

	(void)snprintf(line, sizeof(line), "%s %d\n", names[verb], code);
	(void)buf_add_text(&r->answers, line);
}

/* What a log would be told: the line as it came, and each reply line as it goes. */
static void command(void *user, struct str line)
{
	struct rig *r = user;

	assert(line.n < r->settings.line_length_max);
}

static void reply(void *user, struct str line)
{
	(void)user;
	assert(line.n >= 4);
	for (size_t i = 0; i < line.n; i++)
		assert(str_is_printable(line.p[i]));
}

static void take_output(struct rig *r)
{
	struct str out = smtp_output(r->engine);

	if (out.n == 0)
		return;
	(void)buf_add(&r->output, out.p, out.n);
	assert(!r->output.has_overflowed);
	r->write_count++;
	smtp_sent(r->engine, out.n);
	assert(smtp_output(r->engine).n == 0);
}

/* Like the server, output is sent only before the engine would have to wait. */
static void pump(struct rig *r)
{
	while (!r->is_over) {
		size_t used;

		switch (smtp_next(r->engine)) {
		case SMTP_FEED:
			if (r->input.len == 0) {
				take_output(r);
				return;
			}
			used = smtp_feed(r->engine, r->input.p, r->input.len);
			assert(used <= r->input.len);
			assert(used > 0 || smtp_next(r->engine) != SMTP_FEED);
			buf_consume(&r->input, used);
			break;
		case SMTP_FLUSH:
			assert(smtp_output(r->engine).n > 0);
			take_output(r);
			break;
		case SMTP_PAUSE:
			take_output(r);
			if (!r->resumes)
				return;
			r->pause_count++;
			r->paused_ms += smtp_pause_ms(r->engine);
			smtp_notify(r->engine, SMTP_RESUMED);
			break;
		case SMTP_DROP:
			r->is_dropped = true;
			r->is_over = true;
			break;
		case SMTP_CLOSE:
			take_output(r);
			r->is_over = true;
			break;
		}
	}
}

void rig_init(struct rig *r)
{
	*r = (struct rig){
		.settings =
			{
				.hostname = "sink.example.test",
				.greeting = "%{hostname} ESMTP sinkd",
				.message_size_max = 20 << 20,
				.recipients_max = 1000,
				.line_length_max = 4096,
				.errors_max = 20,
				.memory_max = 1 << 20,
				.bare_newline = BARE_NEWLINE_NORMALIZE,
			},
		.hooks = recording_hooks,
		.faults = {.text_after = UINT64_MAX},
		.resumes = true,
	};
	buf_init(&r->output, RIG_BYTES_MAX);
	buf_init(&r->answers, RIG_BYTES_MAX);
	buf_init(&r->trace, RIG_BYTES_MAX);
	buf_init(&r->input, RIG_BYTES_MAX);
	buf_init(&r->text, RIG_BYTES_MAX);
}

void rig_start(struct rig *r)
{
	const struct smtp_peer peer = {
		.address = STR("192.0.2.7"), .port = 2525, .listener = STR("mx")};

	if (r->engine == NULL) {
		r->hooks.user = r;
		r->env = (struct smtp_env){
			.hooks = &r->hooks,
			.sink = &memory_sink,
			.sink_user = r,
			.user = r,
			.stamp = stamp,
			.command = command,
			.reply = reply,
			.answered = answered,
			.outcome = outcome,
		};
		r->engine = smtp_new(&r->settings, &r->env);
		assert(r->engine != NULL);
	}
	r->is_over = r->is_dropped = false;
	r->ended_count = 0;
	buf_reset(&r->input);
	smtp_start(r->engine, &peer);
	pump(r);
}

void rig_feed(struct rig *r, const void *p, size_t n)
{
	if (r->is_over)
		return;
	(void)buf_add(&r->input, p, n);
	assert(!r->input.has_overflowed);
	pump(r);
}

void rig_say(struct rig *r, const char *text)
{
	rig_feed(r, text, strlen(text));
}

void rig_notify(struct rig *r, enum smtp_event event)
{
	if (r->is_over)
		return;
	smtp_notify(r->engine, event);
	pump(r);
}

struct str rig_output(const struct rig *r)
{
	return buf_str(&r->output);
}

struct str rig_trace(const struct rig *r)
{
	return buf_str(&r->trace);
}

void rig_forget(struct rig *r)
{
	buf_reset(&r->output);
	buf_reset(&r->answers);
	buf_reset(&r->trace);
	r->write_count = 0;
	r->is_in_text = false;
}

void rig_end(struct rig *r)
{
	smtp_end(r->engine);
	assert(r->sink_state == RIG_SINK_IDLE);
	assert(r->hooks.connection_ended == NULL || r->ended_count == 1);
	smtp_end(r->engine);
	assert(r->hooks.connection_ended == NULL || r->ended_count == 1);
}

void rig_done(struct rig *r)
{
	smtp_free(r->engine);
	for (size_t i = 0; i < r->message_count; i++)
		free(r->messages[i].p);
	free(r->messages);
	buf_done(&r->output);
	buf_done(&r->answers);
	buf_done(&r->trace);
	buf_done(&r->input);
	buf_done(&r->text);
	*r = (struct rig){0};
}
