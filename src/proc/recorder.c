/* What is recorded of a session; see recorder.h.  Runs in workers; the texts are
 * clients', and the log escapes them. */
#include "proc/recorder.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* A mailbox of its own for a recipient may take that long, on a slow disk. */
#define MAILBOX_MS 1000

/* Names of sections in one line of the log. */
#define NAMES_MAX 512

/* --------------------------------------------------------- what the engine tells */

static void stamp_message(void *user, struct message_stamp *ret)
{
	struct recorder *r = user;

	stamp_mint(&r->stamper, ret);
	r->has_new_message = true;
}

static void log_command(void *user, struct str line)
{
	(void)user;
	log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", line));
}

static void log_reply(void *user, struct str line)
{
	(void)user;
	log_event(LOG_INFO, EV_SESSION_REPLY, LOG_STR("line", line));
}

/* Where it went, or was to go.  Of several with the same fate, those between the first
 * and the last of the message are not told apart. */
static const char *name_sections(
	const struct recorder *r, const struct smtp_outcome *o, char names[NAMES_MAX])
{
	const struct envelope *e = o->envelope;
	bool is_one = o->recipient_count == 1;

	if (o->is_discarded)
		return "";
	if (!delivery_has_detour(e))
		return r->delivery_names;
	delivery_write_names(r->delivery, e, o->first,
		is_one ? 1 : e->recipient_count - o->first, names, NAMES_MAX);
	return names;
}

/* What became of a message, or of some of its recipients; one stands for all of them. */
static void log_outcome(void *user, const struct smtp_outcome *o)
{
	struct recorder *r = user;
	const struct envelope *e = o->envelope;
	enum log_event event = o->is_discarded  ? EV_MESSAGE_DISCARDED
			       : o->code == 250 ? EV_MESSAGE_ACCEPTED
			       : o->code == 0   ? EV_MESSAGE_ABORTED
						: EV_MESSAGE_REFUSED;
	/* Others may have it, and then it is counted with them. */
	bool is_part = o->is_discarded && o->recipient_count < e->recipient_count;
	char names[NAMES_MAX];

	if (r->delivery_start_us != 0)
		slot_count_delivery(r->slot, clock_monotonic_us() - r->delivery_start_us);
	r->delivery_start_us = 0;
	r->messages += o->code == 250 && !is_part;
	if (event == EV_MESSAGE_ACCEPTED && r->is_running_commands) {
		r->has_run_commands = true;
		memcpy(r->last_id, e->stamp.id, sizeof(r->last_id));
	}
	if (!is_part)
		slot_count_message(r->slot, o->code, e->size_bytes);
	log_event(LOG_INFO, event, LOG_TEXT("id", e->stamp.id),
		LOG_STR("from", e->sender.mailbox),
		LOG_STR("to", e->recipients[o->first].address.mailbox),
		LOG_NUM("recipients", o->recipient_count), LOG_NUM("size", e->size_bytes),
		LOG_TEXT("delivery", name_sections(r, o, names)),
		LOG_NUM("code", o->code), LOG_STR("reply", o->reply));
}

static bool is_hello(enum smtp_verb verb)
{
	return verb == VERB_EHLO || verb == VERB_HELO || verb == VERB_LHLO;
}

/* For the statistics.  EHLO may come again, under another name. */
static void count_answer(void *user, enum smtp_verb verb, int code)
{
	struct recorder *r = user;

	slot_count_answer(r->slot, verb, code);
	if ((is_hello(verb) && code == 250) || (verb == VERB_XCLIENT && code == 220))
		slot_set_helo(r->slot, smtp_helo(r->engine));
}

/* What a proxy says of its client: with XCLIENT all that is known of it now. */
static void log_introduction(void *user, const struct envelope_client *c)
{
	char destination[ENVELOPE_DESTINATION_MAX];

	(void)user;
	log_event(LOG_INFO, EV_SESSION_XCLIENT, LOG_STR("client", c->address),
		LOG_NUM("port", c->port), LOG_STR("name", c->name),
		LOG_STR("helo", c->helo), LOG_STR("user", c->user),
		LOG_STR("destination", envelope_destination(c->proxy_address,
					       c->proxy_port, destination)));
}

/* An exchange has ended; that the client gave up says nothing of its password. */
static void log_login(void *user, struct str mechanism, struct str name, int code)
{
	struct recorder *r = user;

	slot_count_login(r->slot, code == 235 ? SLOT_ACCEPTED : SLOT_REFUSED);
	log_event(LOG_INFO, code == 235 ? EV_AUTH_ACCEPTED : EV_AUTH_REFUSED,
		LOG_STR("mechanism", mechanism), LOG_STR("user", name),
		LOG_NUM("code", code));
}

void recorder_set_verbose(struct smtp_env *env, bool is_verbose)
{
	env->command = is_verbose ? log_command : NULL;
	env->reply = is_verbose ? log_reply : NULL;
}

/* ------------------------------------------------- the delivery, with its time taken */

static struct smtp_result sink_begin(void *user, const struct envelope *envelope)
{
	struct recorder *r = user;

	r->recipient_count = envelope->recipient_count;
	return delivery_sink.begin(r->delivery, envelope);
}

static struct smtp_result sink_chunk(void *user, const void *p, size_t n)
{
	return delivery_sink.chunk(((struct recorder *)user)->delivery, p, n);
}

/* The time runs until the outcome is known.  Commands have theirs on top. */
static void sink_prepare(void *user, struct smtp_result *results)
{
	struct recorder *r = user;
	uint64_t patience_ms;

	r->delivery_start_us = clock_monotonic_us();
	slot_set_state(r->slot, SLOT_DELIVERY);
	patience_ms = delivery_patience_ms(r->delivery);
	r->is_running_commands = patience_ms > 0;
	slot_set_deadline(r->slot, r->delivery_start_us / 1000 + r->delivery_ms +
					   r->recipient_count * MAILBOX_MS + patience_ms);
	delivery_sink.prepare(r->delivery, results);
}

static void sink_commit(void *user, const bool *keep, struct smtp_result *results)
{
	delivery_sink.commit(((struct recorder *)user)->delivery, keep, results);
}

static void sink_abort(void *user)
{
	delivery_sink.abort(((struct recorder *)user)->delivery);
}

static const struct smtp_sink timed_sink = {
	.begin = sink_begin,
	.chunk = sink_chunk,
	.prepare = sink_prepare,
	.commit = sink_commit,
	.abort = sink_abort,
};

/* -------------------------------------------------------------------- the session */

int recorder_init(struct recorder *r, struct slot *slot, struct delivery *delivery,
	uint64_t delivery_ms)
{
	*r = (struct recorder){
		.slot = slot, .delivery = delivery, .delivery_ms = delivery_ms};
	return stamp_init(&r->stamper);
}

void recorder_attach(struct recorder *r, struct smtp_env *env)
{
	env->user = r;
	env->stamp = stamp_message;
	env->answered = count_answer;
	env->outcome = log_outcome;
	env->authenticated = log_login;
	env->introduced = log_introduction;
	env->sink = &timed_sink;
	env->sink_user = r;
}

void recorder_begin(struct recorder *r, const char *delivery_names)
{
	struct message_stamp stamp = {0};

	stamp_mint(&r->stamper, &stamp);
	memcpy(r->session_id, stamp.id, sizeof(r->session_id));
	log_set_session(str_of(r->session_id));
	r->delivery_names = delivery_names;
	r->messages = 0;
	r->has_new_message = false;
}

void recorder_note_tls(struct recorder *r, const struct tls_session *tls)
{
	bool is_resumed = tls_session_is_resumed(tls);
	struct envelope_tls what;

	tls_session_describe(tls, &what);
	slot_count_handshake(
		r->slot, is_resumed ? SLOT_HANDSHAKE_RESUMED : SLOT_HANDSHAKE_FULL);
	log_event(LOG_INFO, EV_TLS_ACCEPTED, LOG_STR("version", what.version),
		LOG_STR("cipher", what.cipher),
		LOG_TEXT("resumed", is_resumed ? "yes" : "no"),
		LOG_STR("name", tls_session_server_name(tls)),
		LOG_STR("subject", what.subject));
}

void recorder_note_tls_failure(struct recorder *r, enum log_level level, const char *why)
{
	slot_count_handshake(r->slot, SLOT_HANDSHAKE_FAILED);
	log_event(level, EV_TLS_FAILED, LOG_TEXT("reason", why));
}

void recorder_note_unheard(const struct recorder *r)
{
	log_event(LOG_INFO, EV_MESSAGE_UNHEARD, LOG_TEXT("id", r->last_id),
		LOG_TEXT("delivery", r->delivery_names));
}

void recorder_end(const struct recorder *r, const char *why)
{
	const char *how = smtp_has_quit(r->engine)             ? "quit"
			  : why != NULL                        ? "broken"
			  : smtp_is_cut(r->engine)             ? "dropped"
			  : smtp_next(r->engine) == SMTP_CLOSE ? "closed"
							       : "gone";

	if (why != NULL)
		log_event(LOG_INFO, EV_SESSION_END, LOG_TEXT("how", how),
			LOG_TEXT("reason", why), LOG_NUM("messages", r->messages));
	else
		log_event(LOG_INFO, EV_SESSION_END, LOG_TEXT("how", how),
			LOG_NUM("messages", r->messages));
	log_set_session((struct str){0});
}
