/* Fuzz target: a whole session of the engine, with hooks and a sink that make
 * trouble.
 *
 * The first FUZZ_HEADER_BYTES choose limits, trouble, protocol, and how the rest is
 * split; if they say so, two more choose what the listener has of TLS and AUTH, and if
 * these say so, three more what EHLO does not offer, whether the client may use XCLIENT,
 * and limits of a session.  Handshakes cost no bytes, and the mechanisms are those of the
 * rig.  The rest is what the client sends.  Each input runs twice, in one piece and
 * split, and both runs must give the same output, the same stored messages and the same
 * calls: that is what smtp_feed promises, and the oracle for mistakes that do not crash.
 * The rig asserts the order of the calls, and that each recipient of a message has its
 * outcome.
 *
 * Trouble depends on what was said, never on how often a hook was called: how
 * often text is handed on is up to the split.  Input is hostile by design. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rig.h"

#define FUZZ_HEADER_BYTES   5
#define FUZZ_SECURITY_BYTES 2
#define FUZZ_OFFER_BYTES    3

/* One bit more than there are extensions. */
#define OFFER_XCLIENT EXTENSION_BIT(EXTENSIONS)
_Static_assert(EXTENSIONS < 16, "extensions and XCLIENT have two bytes");

/* The four text limits at which hook or sink fail, or do not. */
static const uint64_t text_limits[] = {UINT64_MAX, 0, 10, 1000};

enum text_trouble {
	TEXT_SINK_FAILS,
	TEXT_HOOK_REFUSES,
	TEXT_HOOK_ACTS,
	TEXT_HOOK_CLOSES
};

struct plan {
	uint8_t limits;
	uint8_t hooks; /* one bit per troublesome hook */
	uint8_t sink;
	uint8_t end;      /* with 128 the next two are given */
	uint8_t seed;     /* of the split; three bits say what the listener is, too */
	uint8_t security; /* of the listener; the value 3 in bits 4 and 5: more is given
			   */
	uint8_t sasl;
	uint32_t withheld; /* extensions that are not offered, and OFFER_XCLIENT */
	uint8_t plaintext;
	uint8_t session; /* limits of it, what passwords may be shown, and where from */
	uint64_t text_limit;
	enum text_trouble text_trouble;
};

/* The next n bytes; NULL: there are not that many. */
static const uint8_t *take(const uint8_t **p, size_t *left, size_t n)
{
	const uint8_t *taken = *p;

	if (*left < n)
		return NULL;
	*p += n;
	*left -= n;
	return taken;
}

static bool take_plan(const uint8_t **input, size_t *left, struct plan *ret)
{
	const uint8_t *p = take(input, left, FUZZ_HEADER_BYTES);

	if (p == NULL)
		return false;
	*ret = (struct plan){
		.limits = p[0],
		.hooks = p[1],
		.sink = p[2],
		.end = p[3],
		.seed = p[4],
		.text_limit = text_limits[p[2] >> 4 & 3],
		.text_trouble = (enum text_trouble)(p[2] >> 6),
		.withheld = OFFER_XCLIENT,
	};
	if ((ret->end & 128) == 0)
		return true;
	p = take(input, left, FUZZ_SECURITY_BYTES);
	if (p == NULL)
		return false;
	ret->security = p[0];
	ret->sasl = p[1];
	ret->plaintext = ret->security >> 4 & 3;
	if (ret->plaintext != 3)
		return true;
	p = take(input, left, FUZZ_OFFER_BYTES);
	if (p == NULL)
		return false;
	ret->withheld = p[0] | (uint32_t)p[1] << 8;
	ret->session = p[2];
	ret->plaintext = p[2] >> 4 & 3;
	return true;
}

/* Verdicts by a checksum of the argument: accept mostly, else refuse in one way
 * or another. */
static void judge_by_argument(struct sinkd_str argument, struct sinkd_verdict *verdict)
{
	static const int codes[] = {
		SINKD_REFUSE, 421, 450, 452, 550, 599, 250, -1, 99, 1000};
	unsigned sum = 7;

	for (size_t i = 0; i < argument.len; i++)
		sum = sum * 31 + (uint8_t)argument.data[i];
	if (sum % 3 != 0)
		return;
	sum /= 3;
	verdict->code = codes[sum % (sizeof(codes) / sizeof(codes[0]))];
	verdict->delay_ms = sum / 16 % 3 == 0 ? sum : 0;
	/* All there are, at any stage, and two that are none. */
	if (sum % 8 == 0)
		verdict->action = (int)(sum / 8 % 8) - 1;
	verdict->route = sum / 64 % 4;
	if (sum % 5 == 0)
		memcpy(verdict->enhanced, "4.2.1", sizeof("4.2.1"));
	if (sum % 7 == 0)
		memset(verdict->enhanced, '5', sizeof(verdict->enhanced));
	/* Without a terminating NUL, and with bytes that no reply may hold. */
	if (sum % 4 == 0)
		memset(verdict->text, "x\r\n\xff"[sum / 4 % 4], sizeof(verdict->text));
}

static void judge_text(
	const struct plan *plan, struct rig *r, struct sinkd_verdict *verdict)
{
	static const int actions[] = {
		SINKD_DISCONNECT, SINKD_RESET, SINKD_STALL, SINKD_DISCARD};

	if (r->text_bytes <= plan->text_limit)
		return;
	if (plan->text_trouble == TEXT_HOOK_REFUSES)
		verdict->code = SINKD_REFUSE;
	else if (plan->text_trouble == TEXT_HOOK_CLOSES)
		verdict->code = 421;
	else if (plan->text_trouble == TEXT_HOOK_ACTS)
		verdict->action = actions[plan->limits >> 2 & 3];
}

/* What clients have said, at any stage, header line or not. */
static void prepend(struct rig *r, enum rig_hook hook, struct sinkd_str argument)
{
	char line[1200];
	size_t n = argument.len % 2 == 0 ? 3 : 0;

	if (hook == RIG_DATA_CHUNK || argument.len % 3 == 0 || argument.len > 1000)
		return;
	memcpy(line, "X: ", 3);
	memcpy(line + n, argument.data, argument.len);
	(void)smtp_prepend(r->engine, (struct str){line, n + argument.len});
}

static void judge(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	static const uint8_t bits[] = {
		[RIG_CONNECT] = 1,
		[RIG_COMMAND] = 2,
		[RIG_EHLO_DOMAIN] = 4,
		[RIG_SENDER] = 8,
		[RIG_RECIPIENT] = 16,
		[RIG_DATA_COMMAND] = 32,
		[RIG_MESSAGE] = 64,
		[RIG_MESSAGE_RECIPIENT] = 64,
	};
	const struct plan *plan = r->user;
	char number[32];

	prepend(r, hook, argument);
	if (verdict == NULL)
		return;
	if (hook == RIG_DATA_CHUNK) {
		judge_text(plan, r, verdict);
	} else if (hook == RIG_PLAIN_AUTH) {
		judge_by_argument(argument, verdict);
	} else if ((plan->hooks & bits[hook]) != 0) {
		/* These two have nothing to tell, so the calls so far decide. */
		if (hook == RIG_DATA_COMMAND || hook == RIG_MESSAGE) {
			(void)snprintf(number, sizeof(number), "%zu", r->outcome_count);
			argument = (struct sinkd_str){number, strlen(number)};
		}
		judge_by_argument(argument, verdict);
	}
}

/* What user code may call the server, and greet with. */
static struct sinkd_str name_server(void *user, struct sinkd_session *session)
{
	static const char long_name[400] = "x";
	const struct plan *plan = ((struct rig *)user)->user;
	struct sinkd_str name = {"hook.example", 12};

	(void)session;
	if ((plan->end & 32) != 0)
		name = (struct sinkd_str){long_name, sizeof(long_name)};
	return name;
}

static struct sinkd_str greet(void *user, struct sinkd_session *session)
{
	static const char text[2000] = "Hello\r\n250 \xff";
	const struct plan *plan = ((struct rig *)user)->user;

	(void)session;
	return (struct sinkd_str){text, (plan->end & 32) != 0 ? sizeof(text) : 5};
}

/* No hooks at all, those of an older ABI, or more than the rig has. */
static void set_hooks(struct rig *r, const struct plan *plan)
{
	const size_t older = offsetof(struct sinkd_hooks, data_chunk);

	if ((plan->sasl & 8) == 0)
		r->hooks.plain_auth = NULL;
	if ((plan->end & 8) != 0) {
		r->hooks =
			(struct sinkd_hooks){.abi = SINKD_ABI, .size = sizeof(r->hooks)};
	} else if ((plan->end & 16) != 0) {
		/* Never called, so the rig must not wait for it. */
		r->hooks.connection_ended = NULL;
		r->hooks.size = (uint32_t)older;
	} else if ((plan->end & 64) != 0) {
		r->hooks.server_domain = name_server;
		r->hooks.server_greeting = greet;
	}
}

static void set_limits(struct rig *r, const struct plan *plan)
{
	static const uint64_t sizes[] = {UINT64_MAX, 20, 1024, 20 << 20};
	static const size_t recipients[] = {1000, 1, 2, 1000};

	r->settings.bare_newline = (enum bare_newline)((plan->limits & 3) % 3);
	/* Two limits on the same text: which is met first would be up to the split. */
	r->settings.message_size_max = plan->text_limit == UINT64_MAX
					       ? sizes[plan->limits >> 2 & 3]
					       : UINT64_MAX;
	r->settings.recipients_max = recipients[plan->limits >> 4 & 3];
	r->settings.errors_max = (plan->limits & 64) != 0 ? 3 : 1000;
	r->settings.line_length_max = (plan->limits & 128) != 0 ? 512 : 4096;
	r->settings.memory_max = (plan->hooks & 128) != 0 ? 16384 : 1 << 20;
	r->faults = (struct rig_faults){
		.begin = (plan->sink & 1) != 0,
		.prepare = (plan->sink & 2) != 0 ? 0x2 : 0,
		.commit = (plan->sink & 4) != 0 ? 0x5 : 0,
		.permanent = (plan->sink & 8) != 0 ? 0x3 : 0,
		.text_after = plan->text_trouble == TEXT_SINK_FAILS ? plan->text_limit
								    : UINT64_MAX,
	};
}

/* LMTP or not; and whether its recipients go to commands. */
static void set_listener(struct rig *r, const struct plan *plan)
{
	struct smtp_listen_settings *l = &r->peer.settings;

	l->protocol = (plan->seed & 128) != 0 ? LISTEN_LMTP : LISTEN_SMTP;
	l->is_sender_argument = l->is_recipient_argument = (plan->seed & 64) != 0;
	if ((plan->seed & 32) != 0) {
		l->recipient_text_max = 60;
		l->recipient_extra = 9;
	}
}

/* Whether bytes stand behind STARTTLS is for the caller to say, and here the plan does,
 * for otherwise it would be up to the split. */
static void set_security(struct rig *r, const struct plan *plan)
{
	static const char *const mechanisms[] = {NULL, "PLAIN", "LOGIN", "CRAM-MD5",
		"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "NONE"};

	r->peer.settings.tls = (enum listen_tls)(plan->security & 3);
	r->peer.settings.auth = (enum listen_auth)((plan->security >> 2 & 3) % 3);
	r->settings.plaintext_auth = (enum plaintext_auth)(plan->plaintext % 3);
	r->peer.is_loopback = (plan->security & 64) != 0;
	r->tls_input =
		(plan->security & 128) != 0 ? RIG_TLS_INPUT_SOME : RIG_TLS_INPUT_NONE;
	r->mechanism = mechanisms[plan->sasl & 7];
	r->tls = (plan->sasl & 16) != 0 ? RIG_TLS_FAILS : RIG_TLS_STARTS;
	if ((plan->sasl & 32) != 0)
		r->binding.binding_exporter = STR("");
	if ((plan->sasl & 64) != 0) {
		r->binding.external = STR("jane");
		r->tls_session.subject = STR("CN=jane");
	}
	r->settings.auth_failures_max = (plan->sasl & 128) != 0 ? 2 : 100;
}

/* What EHLO offers, who the client is, and how much it may do in one session. */
static void set_offer(struct rig *r, const struct plan *plan)
{
	static const unsigned idle_commands[] = {0, 1, 5, 200};
	static const unsigned messages[] = {0, 1, 2, 10};

	r->peer.settings.extensions = EXTENSIONS_ALL & ~plan->withheld;
	r->peer.may_xclient = (plan->withheld & OFFER_XCLIENT) == 0;
	r->settings.idle_commands_max = idle_commands[plan->session & 3];
	r->settings.messages_max = messages[plan->session >> 2 & 3];
	if ((plan->session & 64) != 0) {
		r->peer.proxy_address = STR("2001:db8::25");
		r->peer.proxy_port = 25;
	}
	if ((plan->session & 128) != 0) {
		r->peer.address = STR("unix");
		r->peer.port = 0;
	}
}

/* The next piece of a split run: 1 byte, or up to 7, 61 or 4001. */
static size_t piece_size(uint32_t *state)
{
	static const unsigned most[] = {1, 7, 61, 4001};

	*state = *state * 1664525 + 1013904223;
	return 1 + (*state >> 8) % most[*state >> 24 & 3];
}

static void run(
	struct rig *r, struct plan *plan, const uint8_t *p, size_t n, bool is_split)
{
	static const enum smtp_event events[] = {SMTP_END_OF_STREAM, SMTP_TIMED_OUT,
		SMTP_SESSION_EXPIRED, SMTP_DRAIN, SMTP_DRAIN_NOW, SMTP_END_OF_STREAM,
		SMTP_DRAIN, SMTP_END_OF_STREAM};
	uint32_t state = plan->seed;

	rig_init(r);
	set_limits(r, plan);
	set_listener(r, plan);
	set_security(r, plan);
	set_offer(r, plan);
	set_hooks(r, plan);
	r->judge = judge;
	r->user = plan;
	rig_start(r);
	while (n > 0) {
		size_t piece = is_split ? piece_size(&state) : n;

		if (piece > n)
			piece = n;
		rig_feed(r, p, piece);
		p += piece;
		n -= piece;
	}
	if (!r->is_over)
		(void)buf_add_format(&r->trace, "in data %d, mid line %d, quit %d\n",
			smtp_is_in_data(r->engine), smtp_is_mid_line(r->engine),
			smtp_has_quit(r->engine));
	rig_notify(r, events[plan->end & 7]);
	/* A drain lets a message in flight finish; this one never will. */
	rig_notify(r, SMTP_END_OF_STREAM);
	rig_end(r);
}

static void compare_str(const char *what, struct str whole, struct str split)
{
	fuzz_compare(what, "whole", whole, "split", split);
}

/* The trace without the calls that hand on text: of a message that fails on the
 * way, how much is handed on before depends on the split. */
static void compare_traces(struct buf *whole, struct buf *split)
{
	static const char *const texts[] = {"data_chunk\n", "chunk\n"};
	struct buf *traces[] = {whole, split};

	for (size_t i = 0; i < 4; i++) {
		struct buf *trace = traces[i / 2];
		const char *text = texts[i % 2];
		size_t n = strlen(text);
		char *at = trace->p;

		while (at != NULL &&
			(at = memmem(at, trace->len - (size_t)(at - trace->p), text,
				 n)) != NULL) {
			memmove(at, at + n, trace->len - (size_t)(at - trace->p) - n);
			trace->len -= n;
		}
	}
	compare_str("trace", buf_str(whole), buf_str(split));
}

static void compare(struct rig *whole, struct rig *split)
{
	struct str a = rig_output(whole);
	struct str b = rig_output(split);

	compare_str("output", a, b);
	compare_str("answers", buf_str(&whole->answers), buf_str(&split->answers));
	compare_str("logins", buf_str(&whole->logins), buf_str(&split->logins));
	compare_str("outcomes", buf_str(&whole->outcomes), buf_str(&split->outcomes));
	compare_str("told", buf_str(&whole->told), buf_str(&split->told));
	compare_traces(&whole->trace, &split->trace);
	assert(whole->is_dropped == split->is_dropped);
	assert(whole->is_reset == split->is_reset);
	assert(whole->is_stalled == split->is_stalled);
	assert(whole->is_over == split->is_over);
	assert(whole->outcome_count == split->outcome_count);
	assert(whole->message_count == split->message_count);
	for (size_t i = 0; i < whole->message_count; i++) {
		const struct rig_message *m = &whole->messages[i];
		const struct rig_message *o = &split->messages[i];

		compare_str(
			"message", (struct str){m->p, m->n}, (struct str){o->p, o->n});
		assert(m->recipients == o->recipients);
	}
}

/* What a client may rely on whatever it sent: whole lines of printable ASCII,
 * each a reply (RFC 5321, 4.2), and not too long; a challenge may be longer. */
static void check_output(struct str out)
{
	while (out.n > 0) {
		const char *end = memmem(out.p, out.n, "\r\n", 2);
		size_t n = end == NULL ? out.n : (size_t)(end - out.p);

		bool is_challenge = n >= 4 && memcmp(out.p, "334 ", 4) == 0;

		assert(end != NULL);
		assert(n >= 4 && n <= (is_challenge ? 12286 : 510));
		assert(out.p[0] >= '2' && out.p[0] <= '5');
		assert(str_is_digit(out.p[1]) && str_is_digit(out.p[2]));
		assert(out.p[3] == ' ' || out.p[3] == '-');
		for (size_t i = 0; i < n; i++)
			assert(str_is_printable(out.p[i]));
		out = str_skip(out, n + 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rig whole;
	struct rig split;
	struct plan plan;

	if (!take_plan(&p, &n, &plan))
		return 0;
	run(&whole, &plan, p, n, false);
	run(&split, &plan, p, n, true);
	compare(&whole, &split);
	check_output(rig_output(&split));
	rig_done(&whole);
	rig_done(&split);
	return 0;
}
