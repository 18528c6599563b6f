/* The engine on a bench: see rig.h.
 *
 * Does the part of the serve loop without sockets, clock and log, so that a test
 * feeds bytes and looks at replies, stored messages and the order of calls.  Must
 * never repair what the engine does wrong: it asserts instead. */
#include "rig.h"
#include "rig_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* More than any test feeds or gets back. */
#define RIG_BYTES_MAX ((size_t)64 << 20)

/* --- sink ------------------------------------------------------------------ */

static const struct smtp_result result_ok = {RESULT_OK, 250, "2.0.0", "Ok"};
static const struct smtp_result result_full = {
	RESULT_TEMPORARY, 452, "4.3.1", "Insufficient system storage"};

static const struct smtp_result result_never = {
	RESULT_PERMANENT, 550, "5.1.1", "No such mailbox"};

/* Mailboxes that always fail; see struct rig_faults. */
static const struct {
	const char *local;
	bool is_late;
	struct smtp_result result;
} bad_mailboxes[] = {
	{"full", false, {RESULT_TEMPORARY, 452, "4.2.2", "Mailbox full"}},
	{"gone", false, {RESULT_PERMANENT, 550, "5.1.1", "No such mailbox"}},
	{"closing", false, {RESULT_TEMPORARY, 421, "4.3.2", "Closing for today"}},
	{"late", true, {RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"}},
};

/* The result for recipient i in prepare or, later, in commit. */
static struct smtp_result result_for(const struct rig *r, bool is_late, size_t i)
{
	struct str local = r->envelope->recipients[i].address.local;
	uint32_t failing = is_late ? r->faults.commit : r->faults.prepare;
	uint32_t bit = i < 32 ? (uint32_t)1 << i : 0;

	if ((failing & bit) != 0)
		return (r->faults.permanent & bit) != 0 ? result_never : result_full;
	for (size_t k = 0; k < sizeof(bad_mailboxes) / sizeof(bad_mailboxes[0]); k++)
		if (bad_mailboxes[k].is_late == is_late &&
			str_equal(local, str_of(bad_mailboxes[k].local)))
			return bad_mailboxes[k].result;
	return result_ok;
}

/* The envelope as the sink sees it: "SENDER RECIPIENT...", with "!" before who is
 * discarded and "#ROUTE" behind who has one; then what was prepended. */
static void trace_begin(struct rig *r, const struct envelope *envelope)
{
	struct buf text;

	buf_init(&text, RIG_BYTES_MAX);
	(void)buf_add_str(&text, envelope->sender.mailbox);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct recipient *who = &envelope->recipients[i];

		(void)buf_add_text(&text, who->is_discarded ? " !" : " ");
		(void)buf_add_str(&text, who->address.mailbox);
		if (who->route != 0)
			(void)buf_add_format(&text, "#%u", who->route);
	}
	for (size_t i = 0; i < envelope->prepended.n; i++) {
		char c = envelope->prepended.p[i];

		if (i == 0)
			(void)buf_add_text(&text, "|");
		(void)buf_add(&text, c == '\n' ? "|" : &c, 1);
	}
	rig_trace_add(r, "begin", text.p, text.len);
	buf_done(&text);
}

/* The header holds what the client said, and must stay one field: printable ASCII, or
 * UTF-8 with SMTPUTF8, lines that are not too long, each but the first one beginning with
 * a tab (RFC 5322, 2.1.1 and 2.2.3). */
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
		assert(utf8_is_printable((struct str){s.p + 1, n - 1}));
		assert(envelope->is_smtputf8 || str_is_ascii((struct str){s.p, n}));
		s = str_skip(s, n + 2);
	}
	assert(str_starts_nocase(buf_str(&text), STR("Received: from ")));
	buf_done(&text);
}

/* Lines of a header, each of its own. */
static void check_prepended(const struct envelope *envelope)
{
	struct str rest = envelope->prepended;

	while (rest.n > 0) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t n;

		assert(end != NULL);
		n = (size_t)(end - rest.p);
		assert(n > 1 && n <= 998 && rest.p[0] > ' ' && rest.p[0] != ':');
		assert(memchr(rest.p, ':', n) != NULL);
		assert(utf8_is_printable((struct str){rest.p, n}));
		rest = str_skip(rest, n + 1);
	}
}

static bool has_receiver(const struct envelope *envelope)
{
	bool has = false;

	for (size_t i = 0; i < envelope->recipient_count; i++)
		has |= !envelope->recipients[i].is_discarded;
	return has && !envelope->is_discarded;
}

static struct smtp_result sink_begin(void *user, const struct envelope *envelope)
{
	struct rig *r = user;

	assert(r->sink_state == RIG_SINK_IDLE);
	assert(has_receiver(envelope));
	check_prepended(envelope);
	assert(strlen(envelope->stamp.id) == MESSAGE_ID_SIZE - 1);
	check_received(envelope);
	trace_begin(r, envelope);
	if (r->faults.begin)
		return result_full;
	assert(r->untold_count == 0);
	r->untold_count = envelope->recipient_count;
	r->envelope = envelope;
	r->recipient_count = envelope->recipient_count;
	r->prepared = reallocarray(r->prepared, r->recipient_count, 1);
	assert(r->prepared != NULL);
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
	rig_trace_add(r, "chunk", "", 0);
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
	assert(has_receiver(r->envelope));
	rig_trace_add(r, "prepare", "", 0);
	r->sink_state = RIG_SINK_PREPARED;
	for (size_t i = 0; i < r->recipient_count; i++) {
		bool is_discarded = r->envelope->recipients[i].is_discarded;

		results[i] = is_discarded ? result_ok : result_for(r, false, i);
		r->prepared[i] = results[i].kind == RESULT_OK &&
				 !(is_discarded && r->envelope->client.is_lmtp);
	}
}

/* What was written is a message now. */
static void store(struct rig *r, size_t recipients)
{
	struct rig_message *m =
		reallocarray(r->messages, r->message_count + 1, sizeof(*m));

	assert(m != NULL);
	r->messages = m;
	m += r->message_count++;
	m->p = malloc(r->text.len + 1);
	assert(m->p != NULL);
	if (r->text.len > 0)
		memcpy(m->p, r->text.p, r->text.len);
	m->n = r->text.len;
	m->recipients = recipients;
}

static void sink_commit(void *user, const bool *keep, struct smtp_result *results)
{
	struct rig *r = user;
	bool is_lmtp = r->envelope->client.is_lmtp;
	size_t kept = 0, good = 0, discarded = 0;

	assert(r->sink_state == RIG_SINK_PREPARED);
	rig_trace_add(r, "commit", "", 0);
	r->sink_state = RIG_SINK_IDLE;
	for (size_t i = 0; i < r->recipient_count; i++) {
		assert(keep[i] == (bool)r->prepared[i]);
		if (!keep[i])
			continue;
		kept++;
		if (r->envelope->recipients[i].is_discarded) {
			discarded++;
			continue;
		}
		results[i] = result_for(r, true, i);
		good += results[i].kind == RESULT_OK;
	}
	/* In SMTP the message is the unit: for all of them or for none. */
	assert(kept > 0 && (is_lmtp || kept == r->recipient_count));
	if (good > 0 && (is_lmtp || good + discarded == kept))
		store(r, good);
}

static void sink_abort(void *user)
{
	struct rig *r = user;

	assert(r->sink_state != RIG_SINK_IDLE);
	rig_trace_add(r, "abort", "", 0);
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

	/* What nobody is to have never came to the sink. */
	if (r->untold_count == 0) {
		assert(!has_receiver(o->envelope));
		r->untold_count = o->envelope->recipient_count;
	}
	assert(o->recipient_count > 0 && o->recipient_count <= r->untold_count);
	r->untold_count -= o->recipient_count;
	r->outcome_count++;
	r->outcome_code = o->code;
	(void)buf_add_format(&r->outcomes, "%d %zu ", o->code, o->recipient_count);
	(void)buf_add_str(
		&r->outcomes, o->envelope->recipients[o->first].address.mailbox);
	(void)buf_add_text(&r->outcomes, o->is_discarded ? " discarded\n" : "\n");
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

static void authenticated(void *user, struct str mechanism, struct str name, int code)
{
	struct rig *r = user;

	assert(r->sasl.is_active);
	(void)buf_add_str(&r->logins, mechanism);
	(void)buf_add_text(&r->logins, " ");
	(void)buf_add_str(&r->logins, name);
	(void)buf_add_format(&r->logins, " %d\n", code);
}

static void tell(struct rig *r, const char *who, struct str line)
{
	(void)buf_add_text(&r->told, who);
	(void)buf_add_str(&r->told, line);
	(void)buf_add_text(&r->told, "\n");
}

/* What a log would be told: the line as it came, and each reply line as it goes. */
static void command(void *user, struct str line)
{
	struct rig *r = user;

	assert(line.n < r->settings.line_length_max);
	tell(r, "C: ", line);
}

static void reply(void *user, struct str line)
{
	tell(user, "S: ", line);
	assert(line.n >= 4);
	for (size_t i = 0; i < line.n; i++)
		assert(str_is_printable(line.p[i]));
}

static void take_output(struct rig *r)
{
	struct str out;

	/* Once more only for the rest of the replies to a message of LMTP. */
	while ((out = smtp_output(r->engine)).n > 0) {
		(void)buf_add(&r->output, out.p, out.n);
		assert(!r->output.has_overflowed);
		r->write_count++;
		smtp_sent(r->engine, out.n);
	}
}

/* Returns whether to go on. */
static bool shake_hands(struct rig *r)
{
	bool has_input = r->tls_input == RIG_TLS_INPUT_AS_IS
				 ? r->input.len > 0
				 : r->tls_input == RIG_TLS_INPUT_SOME;

	if (!smtp_begin_tls(r->engine, has_input)) {
		assert(smtp_next(r->engine) != SMTP_STARTTLS);
		return true;
	}
	take_output(r);
	if (r->tls == RIG_TLS_STARTS)
		smtp_tls_started(r->engine, &r->tls_session, &r->binding);
	else if (r->tls == RIG_TLS_FAILS)
		smtp_notify(r->engine, SMTP_TLS_FAILED);
	return r->tls != RIG_TLS_WAITS;
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
			r->secret_count += smtp_has_secret(r->engine);
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
		case SMTP_STARTTLS:
			if (!shake_hands(r))
				return;
			break;
		case SMTP_DROP:
			r->is_dropped = true;
			r->is_over = true;
			break;
		case SMTP_RESET:
			assert(smtp_output(r->engine).n == 0);
			r->is_reset = true;
			r->is_over = true;
			break;
		case SMTP_STALL:
			assert(smtp_output(r->engine).n == 0);
			r->is_stalled = true;
			return;
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
				.greeting = "%{hostname} %{protocol} sinkd",
				.message_size_max = 20 << 20,
				.recipients_max = 1000,
				.line_length_max = 4096,
				.errors_max = 20,
				.auth_failures_max = 3,
				.plaintext_auth = PLAINTEXT_AUTH_LOOPBACK,
				.memory_max = 1 << 20,
				.bare_newline = BARE_NEWLINE_NORMALIZE,
			},
		.peer = {.address = STR("192.0.2.7"),
			.port = 2525,
			.listener = STR("mx"),
			.settings = {.extensions = EXTENSIONS_ALL}},
		.hooks = rig_hooks,
		.has_sasl = true,
		.tls_session = {.version = STR("TLSv1.3"),
			.cipher = STR("TLS_AES_256_GCM_SHA384")},
		.binding = {.binding_exporter = STR("exporter")},
		.faults = {.text_after = UINT64_MAX},
		.resumes = true,
	};
	buf_init(&r->output, RIG_BYTES_MAX);
	buf_init(&r->answers, RIG_BYTES_MAX);
	buf_init(&r->trace, RIG_BYTES_MAX);
	buf_init(&r->told, RIG_BYTES_MAX);
	buf_init(&r->logins, RIG_BYTES_MAX);
	buf_init(&r->outcomes, RIG_BYTES_MAX);
	buf_init(&r->input, RIG_BYTES_MAX);
	buf_init(&r->text, RIG_BYTES_MAX);
}

void rig_start(struct rig *r)
{
	if (r->engine == NULL) {
		r->hooks.user = r;
		r->env = (struct smtp_env){
			.hooks = &r->hooks,
			.sasl = r->has_sasl ? &rig_sasl : NULL,
			.sasl_user = r,
			.sink = &memory_sink,
			.sink_user = r,
			.user = r,
			.stamp = stamp,
			.command = command,
			.reply = reply,
			.answered = answered,
			.outcome = outcome,
			.authenticated = authenticated,
		};
		r->engine = smtp_new(&r->settings, &r->env);
		assert(r->engine != NULL);
	}
	r->is_over = r->is_dropped = r->is_reset = r->is_stalled = false;
	r->ended_count = 0;
	r->has_begun = r->peer.settings.tls != LISTEN_TLS_IMPLICIT;
	buf_reset(&r->input);
	smtp_start(r->engine, &r->peer);
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

void rig_start_tls(struct rig *r)
{
	if (r->is_over)
		return;
	assert(smtp_next(r->engine) == SMTP_STARTTLS);
	smtp_tls_started(r->engine, &r->tls_session, &r->binding);
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
	buf_reset(&r->told);
	buf_reset(&r->logins);
	buf_reset(&r->outcomes);
	r->secret_count = 0;
	r->write_count = 0;
	r->is_in_text = false;
}

void rig_end(struct rig *r)
{
	size_t expected = r->has_begun && r->hooks.connection_ended != NULL;

	smtp_end(r->engine);
	assert(r->sink_state == RIG_SINK_IDLE);
	assert(r->untold_count == 0);
	assert(!r->sasl.is_active);
	assert(r->ended_count == expected);
	smtp_end(r->engine);
	assert(r->ended_count == expected);
}

void rig_done(struct rig *r)
{
	smtp_free(r->engine);
	for (size_t i = 0; i < r->message_count; i++)
		free(r->messages[i].p);
	free(r->messages);
	free(r->prepared);
	buf_done(&r->output);
	buf_done(&r->answers);
	buf_done(&r->trace);
	buf_done(&r->told);
	buf_done(&r->logins);
	buf_done(&r->outcomes);
	buf_done(&r->input);
	buf_done(&r->text);
	*r = (struct rig){0};
}
