/* What hooks want besides a reply: a session that ends without one, or never goes on; a
 * message or recipients that are stored nowhere, or elsewhere.  At every stage, and in
 * any split of the bytes. */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "smtp/engine.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define DATA "DATA\r\n"
#define TEXT "text\r\n.\r\n"
#define AUTH "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n" /* NUL joe NUL secret */

/* Verdicts for one hook: those that stand for its calls, one each; past the last one it
 * has no opinion. */
struct plan {
	enum rig_hook hook;
	struct sinkd_verdict verdicts[4];
	size_t count;
	size_t asked;
};

static void judge(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	struct plan *plan = r->user;

	(void)argument;
	if (hook != plan->hook || verdict == NULL)
		return;
	if (plan->asked < plan->count)
		*verdict = plan->verdicts[plan->asked];
	plan->asked++;
}

static void init(struct rig *r, struct plan *plan, bool is_lmtp)
{
	rig_init(r);
	r->peer.settings.protocol = is_lmtp ? LISTEN_LMTP : LISTEN_SMTP;
	r->peer.settings.tls = LISTEN_TLS_STARTTLS;
	r->peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r->settings.plaintext_auth = PLAINTEXT_AUTH_ALWAYS;
	r->tls = RIG_TLS_STARTS;
	r->judge = judge;
	r->user = plan;
}

static bool has(struct str s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* --- silence ----------------------------------------------------------------------- */

/* before: said first, and answered; line: what the action is about; after: what a client
 * sends that does not wait. */
struct stage {
	const char *name;
	enum rig_hook hook;
	const char *before;
	const char *line;
	const char *after;
	const char *outcome; /* of the message in flight, if one was */
	bool is_lmtp;
};

static const struct stage stages[] = {
	{"connect", RIG_CONNECT, "", "", EHLO, "", false},
	{"command", RIG_COMMAND, "", EHLO, "NOOP\r\n", "", false},
	{"ehlo", RIG_EHLO_DOMAIN, "", EHLO, MAIL, "", false},
	{"plain_auth", RIG_PLAIN_AUTH, EHLO, AUTH, MAIL, "", false},
	{"plain_auth, asked", RIG_PLAIN_AUTH, EHLO "AUTH PLAIN\r\n",
		"AGpvZQBzZWNyZXQ=\r\n", MAIL, "", false},
	{"sender", RIG_SENDER, EHLO, MAIL, RCPT, "", false},
	{"recipient", RIG_RECIPIENT, EHLO MAIL, RCPT, DATA, "", false},
	{"data", RIG_DATA_COMMAND, EHLO MAIL RCPT, DATA, TEXT, "", false},
	{"BDAT", RIG_DATA_COMMAND, EHLO MAIL RCPT, "BDAT 4 LAST\r\n", "textNOOP\r\n", "",
		false},
	{"text", RIG_DATA_CHUNK, EHLO MAIL RCPT DATA, "text\r\n", "text\r\n.\r\n",
		"0 1 b@example.org\n", false},
	{"chunk", RIG_DATA_CHUNK, EHLO MAIL RCPT, "BDAT 8 LAST\r\ntext", "textNOOP\r\n",
		"0 1 b@example.org\n", false},
	{"message", RIG_MESSAGE, EHLO MAIL RCPT DATA, TEXT, MAIL, "0 1 b@example.org\n",
		false},
	{"last chunk", RIG_MESSAGE, EHLO MAIL RCPT, "BDAT 4 LAST\r\ntext", MAIL,
		"0 1 b@example.org\n", false},
	{"message by LMTP", RIG_MESSAGE, "LHLO x\r\n" MAIL RCPT RCPT DATA, TEXT, MAIL,
		"0 2 b@example.org\n", true},
	{"recipient of message", RIG_MESSAGE_RECIPIENT, "LHLO x\r\n" MAIL RCPT RCPT DATA,
		TEXT, MAIL, "0 2 b@example.org\n", true},
};

/* What is said is the same whether the client waits or not; all of it before the line is
 * answered, and nothing after.  cut: the first piece; SIZE_MAX: byte by byte. */
static void play(struct rig *r, const struct stage *stage, size_t cut)
{
	char text[512];
	size_t n = (size_t)snprintf(
		text, sizeof(text), "%s%s%s", stage->before, stage->line, stage->after);

	rig_start(r);
	if (cut == SIZE_MAX) {
		for (size_t i = 0; i < n; i++)
			rig_feed(r, text + i, 1);
		return;
	}
	rig_feed(r, text, cut);
	rig_feed(r, text + cut, n - cut);
}

/* What the client hears without the hook, up to the line. */
static void replies_before(const struct stage *stage, struct buf *out)
{
	struct plan nothing = {.hook = stage->hook};
	struct rig r;

	init(&r, &nothing, stage->is_lmtp);
	rig_start(&r);
	rig_say(&r, stage->before);
	if (stage->hook == RIG_CONNECT)
		rig_forget(&r);
	/* The 354 of a text stands before it. */
	(void)buf_add_str(out, rig_output(&r));
	rig_notify(&r, SMTP_END_OF_STREAM);
	rig_end(&r);
	rig_done(&r);
}

static void check_silence(const struct stage *stage, int action, size_t cut,
	uint32_t delay_ms, enum smtp_event event)
{
	struct plan plan = {.hook = stage->hook,
		.verdicts = {{.action = action, .delay_ms = delay_ms}},
		.count = 1};
	struct buf expected;
	struct rig r;

	buf_init(&expected, 4096);
	replies_before(stage, &expected);
	init(&r, &plan, stage->is_lmtp);
	play(&r, stage, cut);
	CHECK(stage->name, plan.asked == 1);
	CHECK_STR(stage->name, rig_output(&r), buf_str(&expected));
	CHECK(stage->name, r.is_over == (action != SINKD_STALL));
	CHECK(stage->name, r.is_dropped == (action == SINKD_DISCONNECT));
	CHECK(stage->name, r.is_reset == (action == SINKD_RESET));
	CHECK(stage->name, r.is_stalled == (action == SINKD_STALL));
	CHECK(stage->name, smtp_is_cut(r.engine));
	CHECK(stage->name, r.paused_ms == delay_ms && r.pause_count == (delay_ms > 0));
	CHECK(stage->name, r.sink_state == RIG_SINK_IDLE);
	CHECK(stage->name,
		(smtp_is_in_data(r.engine)) ==
			(action == SINKD_STALL && stage->hook == RIG_DATA_CHUNK));
	if (action == SINKD_STALL) {
		rig_notify(&r, event);
		CHECK(stage->name, r.is_over && r.is_dropped);
		CHECK(stage->name,
			smtp_is_cut(r.engine) == (event != SMTP_END_OF_STREAM));
	}
	rig_end(&r);
	CHECK_STR(stage->name, rig_output(&r), buf_str(&expected));
	CHECK_STR(stage->name, buf_str(&r.outcomes), str_of(stage->outcome));
	CHECK(stage->name, has(rig_trace(&r), "connection_ended\n"));
	CHECK(stage->name, r.message_count == 0 && !has(rig_trace(&r), "prepare\n"));
	rig_done(&r);
	buf_done(&expected);
}

static const enum smtp_event ends[] = {SMTP_END_OF_STREAM, SMTP_TIMED_OUT,
	SMTP_SESSION_EXPIRED, SMTP_RETIRE, SMTP_DRAIN, SMTP_DRAIN_NOW};

static void test_silence(void)
{
	static const int actions[] = {SINKD_DISCONNECT, SINKD_RESET, SINKD_STALL};

	for (size_t i = 0; i < COUNT_OF(stages) * COUNT_OF(actions); i++) {
		const struct stage *stage = &stages[i / COUNT_OF(actions)];
		int action = actions[i % COUNT_OF(actions)];
		size_t n = strlen(stage->before) + strlen(stage->line) +
			   strlen(stage->after);

		for (size_t cut = 0; cut <= n; cut++)
			check_silence(stage, action, cut, 0, ends[cut % COUNT_OF(ends)]);
		check_silence(stage, action, SIZE_MAX, 0, SMTP_TIMED_OUT);
		check_silence(stage, action, 0, 1234, SMTP_TIMED_OUT);
	}
}

/* Once the server goes nobody is kept. */
static void test_stall_while_draining(void)
{
	struct plan plan = {
		.hook = RIG_MESSAGE, .verdicts = {{.action = SINKD_STALL}}, .count = 1};
	struct rig r;

	init(&r, &plan, false);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT DATA "text\r\n");
	rig_notify(&r, SMTP_DRAIN);
	CHECK("goes on", !r.is_over);
	rig_say(&r, ".\r\n");
	CHECK("over", r.is_over && r.is_dropped && !r.is_stalled);
	rig_end(&r);
	rig_done(&r);
}

/* A delay before the silence can be broken off; then nothing is said either. */
static void test_end_in_delay(void)
{
	static const int actions[] = {SINKD_DISCONNECT, SINKD_RESET, SINKD_STALL};

	for (size_t i = 0; i < COUNT_OF(ends) * COUNT_OF(actions); i++) {
		int action = actions[i % COUNT_OF(actions)];
		struct plan plan = {.hook = RIG_SENDER,
			.verdicts = {{.action = action, .delay_ms = 10}},
			.count = 1};
		enum smtp_event event = ends[i / COUNT_OF(actions)];
		struct rig r;

		init(&r, &plan, false);
		r.resumes = false;
		rig_start(&r);
		rig_say(&r, EHLO);
		rig_forget(&r);
		rig_say(&r, MAIL);
		CHECK("pauses", smtp_next(r.engine) == SMTP_PAUSE);
		rig_notify(&r, event);
		rig_notify(&r, SMTP_RESUMED);
		CHECK("over", r.is_over);
		CHECK_STR("silent", rig_output(&r), STR(""));
		rig_end(&r);
		rig_done(&r);
	}
}

/* --- discarding and routing -------------------------------------------------------- */

#define DISCARD                                                                          \
	{                                                                                \
		.action = SINKD_DISCARD                                                  \
	}
#define ROUTE(n)                                                                         \
	{                                                                                \
		.action = SINKD_ROUTE, .route = (n)                                      \
	}
#define STORED    "250 2.0.0 Ok: 00000000000001-000001-0000\r\n"
#define FULL      "RCPT TO:<full@example.org>\r\n"
#define SINK_OK   "prepare\ncommit\ntransaction\n"
#define IN_TEXT   "data_chunk\nchunk\nmessage\n"
#define NO_MEMORY "452 4.3.1 Too much for one session\r\n"

/* envelope: what comes before the message, and is answered with 250 throughout; replies:
 * to the text; trace: from there on; begin: the sink's first call, or NULL: none. */
struct fate {
	const char *name;
	bool is_lmtp;
	const char *envelope;
	struct plan plan;
	const char *replies;
	const char *begin;
	const char *trace;
	const char *outcomes;
	size_t got; /* who have the message then; 0: nobody, and there is none */
	struct rig_faults faults;
};

#define NO_FAULTS                                                                        \
	{                                                                                \
		.text_after = UINT64_MAX                                                 \
	}

#define VERDICTS(h, n, ...)                                                              \
	{                                                                                \
		.hook = (h), .verdicts = {__VA_ARGS__}, .count = (n)                     \
	}

static const struct fate fates[] = {
	{"sender", false, EHLO MAIL RCPT RCPT, VERDICTS(RIG_SENDER, 1, DISCARD), STORED,
		NULL, "data_chunk\nmessage\ntransaction\n",
		"250 2 b@example.org discarded\n", 0, NO_FAULTS},
	{"data", false, EHLO MAIL RCPT, VERDICTS(RIG_DATA_COMMAND, 1, DISCARD), STORED,
		NULL, "data_chunk\nmessage\ntransaction\n",
		"250 1 b@example.org discarded\n", 0, NO_FAULTS},
	{"text", false, EHLO MAIL RCPT, VERDICTS(RIG_DATA_CHUNK, 1, DISCARD), STORED,
		"begin a@example.org b@example.org\n",
		"data_chunk\nabort\nmessage\ntransaction\n",
		"250 1 b@example.org discarded\n", 0, NO_FAULTS},
	{"message", false, EHLO MAIL RCPT, VERDICTS(RIG_MESSAGE, 1, DISCARD), STORED,
		"begin a@example.org b@example.org\n", IN_TEXT "abort\ntransaction\n",
		"250 1 b@example.org discarded\n", 0, NO_FAULTS},
	{"message by LMTP", true, "LHLO x\r\n" MAIL RCPT FULL,
		VERDICTS(RIG_MESSAGE, 1, DISCARD), STORED STORED,
		"begin a@example.org b@example.org full@example.org\n",
		IN_TEXT "message_recipient b@example.org\n"
			"message_recipient full@example.org\nabort\ntransaction\n",
		"250 2 b@example.org discarded\n", 0, NO_FAULTS},
	{"all recipients", false, EHLO MAIL RCPT FULL,
		VERDICTS(RIG_RECIPIENT, 2, DISCARD, DISCARD), STORED, NULL,
		"data_chunk\nmessage\ntransaction\n", "250 2 b@example.org discarded\n",
		0, NO_FAULTS},
	{"second recipient", false, EHLO MAIL RCPT FULL,
		VERDICTS(RIG_RECIPIENT, 2, {0}, DISCARD), STORED,
		"begin a@example.org b@example.org !full@example.org\n", IN_TEXT SINK_OK,
		"250 1 b@example.org\n250 1 full@example.org discarded\n", 1, NO_FAULTS},
	{"good recipient", false, EHLO MAIL RCPT FULL,
		VERDICTS(RIG_RECIPIENT, 2, DISCARD), "452 4.2.2 Mailbox full\r\n",
		"begin a@example.org !b@example.org full@example.org\n",
		IN_TEXT "prepare\nabort\ntransaction\n", "452 2 b@example.org\n", 0,
		NO_FAULTS},
	{"recipient by LMTP", true, "LHLO x\r\n" MAIL RCPT FULL RCPT,
		VERDICTS(RIG_RECIPIENT, 3, DISCARD),
		STORED "452 4.2.2 Mailbox full\r\n" STORED,
		"begin a@example.org !b@example.org full@example.org b@example.org\n",
		IN_TEXT "message_recipient b@example.org\n"
			"message_recipient full@example.org\n"
			"message_recipient b@example.org\n" SINK_OK,
		"250 1 b@example.org\n250 1 b@example.org discarded\n"
		"452 1 full@example.org\n",
		1, NO_FAULTS},
	{"recipients after the text", true, "LHLO x\r\n" MAIL RCPT FULL RCPT,
		VERDICTS(RIG_MESSAGE_RECIPIENT, 3, {0}, DISCARD,
			{.code = 450, .enhanced = "4.2.2", .text = "Later"}),
		STORED STORED "450 4.2.2 Later\r\n",
		"begin a@example.org b@example.org full@example.org b@example.org\n",
		IN_TEXT "message_recipient b@example.org\n"
			"message_recipient full@example.org\n"
			"message_recipient b@example.org\n" SINK_OK,
		"250 1 b@example.org\n250 1 full@example.org discarded\n"
		"450 1 b@example.org\n",
		1, NO_FAULTS},
	{"all refused after the text", true, "LHLO x\r\n" MAIL RCPT RCPT,
		VERDICTS(RIG_MESSAGE_RECIPIENT, 2, {.code = 550}, {.code = SINKD_REFUSE}),
		"550 5.7.1 Message refused\r\n550 5.7.1 Message refused\r\n",
		"begin a@example.org b@example.org b@example.org\n",
		IN_TEXT "message_recipient b@example.org\n"
			"message_recipient b@example.org\nabort\ntransaction\n",
		"550 1 b@example.org\n550 1 b@example.org\n", 0, NO_FAULTS},
	{"refused after the text, the rest is full", true, "LHLO x\r\n" MAIL RCPT FULL,
		VERDICTS(RIG_MESSAGE_RECIPIENT, 2, {.code = 550}),
		"550 5.7.1 Message refused\r\n452 4.2.2 Mailbox full\r\n",
		"begin a@example.org b@example.org full@example.org\n",
		IN_TEXT "message_recipient b@example.org\n"
			"message_recipient full@example.org\n"
			"prepare\nabort\ntransaction\n",
		"550 1 b@example.org\n452 1 full@example.org\n", 0, NO_FAULTS},
	{"after the text", false, EHLO MAIL RCPT,
		VERDICTS(RIG_MESSAGE_RECIPIENT, 1, {.code = 550}), STORED,
		"begin a@example.org b@example.org\n", IN_TEXT SINK_OK,
		"250 1 b@example.org\n", 1, NO_FAULTS},
	{"routes", false, EHLO MAIL RCPT RCPT RCPT,
		VERDICTS(RIG_RECIPIENT, 3, ROUTE(2), {.route = 5}, ROUTE(7)), STORED,
		"begin a@example.org b@example.org#2 b@example.org b@example.org#7\n",
		IN_TEXT SINK_OK, "250 3 b@example.org\n", 3, NO_FAULTS},
	{"nothing of it can fail", false, EHLO MAIL RCPT,
		VERDICTS(RIG_SENDER, 1, DISCARD), STORED, NULL,
		"data_chunk\nmessage\ntransaction\n", "250 1 b@example.org discarded\n",
		0, {.begin = true, .prepare = 1, .text_after = 0}},
	{"what fails first has failed", false, EHLO MAIL RCPT,
		VERDICTS(RIG_MESSAGE, 1, DISCARD),
		"452 4.3.1 Insufficient system storage\r\n",
		"begin a@example.org b@example.org\n",
		"data_chunk\nchunk\nabort\ntransaction\n", "452 1 b@example.org\n", 0,
		{.text_after = 0}},
};

static void check_fate(const struct fate *fate, bool is_bytewise)
{
	struct plan plan = fate->plan;
	struct str begun;
	struct rig r;

	init(&r, &plan, fate->is_lmtp);
	r.faults = fate->faults;
	rig_start(&r);
	rig_say(&r, fate->envelope);
	CHECK(fate->name, !has(rig_output(&r), "\n4") && !has(rig_output(&r), "\n5"));
	rig_say(&r, DATA);
	begun = rig_trace(&r);
	CHECK(fate->name,
		fate->begin == NULL ? !has(begun, "begin ") : has(begun, fate->begin));
	rig_forget(&r);
	if (is_bytewise)
		for (const char *p = TEXT; *p != '\0'; p++)
			rig_feed(&r, p, 1);
	else
		rig_say(&r, TEXT);
	CHECK_STR(fate->name, rig_output(&r), str_of(fate->replies));
	CHECK_STR(fate->name, buf_str(&r.outcomes), str_of(fate->outcomes));
	if (!is_bytewise)
		CHECK_STR(fate->name, rig_trace(&r), str_of(fate->trace));
	CHECK(fate->name, r.message_count == (fate->got > 0));
	if (r.message_count > 0)
		CHECK(fate->name, r.messages[0].recipients == fate->got);
	/* The next one is not concerned. */
	rig_forget(&r);
	r.faults = (struct rig_faults){.text_after = UINT64_MAX};
	plan.asked = plan.count;
	rig_say(&r, MAIL RCPT DATA TEXT);
	CHECK_STR(fate->name, buf_str(&r.outcomes), STR("250 1 b@example.org\n"));
	CHECK(fate->name, has(rig_trace(&r), "begin a@example.org b@example.org\n"));
	rig_end(&r);
	rig_done(&r);
}

static void test_fates(void)
{
	for (size_t i = 0; i < COUNT_OF(fates); i++) {
		check_fate(&fates[i], false);
		check_fate(&fates[i], true);
	}
}

/* By BDAT the same; and the limits are as ever. */
static void test_discard_chunks(void)
{
	struct plan plan = VERDICTS(RIG_SENDER, 2, DISCARD, DISCARD);
	struct rig r;

	init(&r, &plan, false);
	r.settings.message_size_max = 10;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT);
	rig_forget(&r);
	rig_say(&r, "BDAT 4\r\ntextBDAT 4 LAST\r\ntext");
	CHECK_STR(
		"replies", rig_output(&r), STR("250 2.0.0 4 octets received\r\n" STORED));
	CHECK_STR(
		"outcome", buf_str(&r.outcomes), STR("250 1 b@example.org discarded\n"));
	CHECK("no sink", !has(rig_trace(&r), "begin "));
	rig_say(&r, MAIL RCPT DATA);
	rig_forget(&r);
	rig_say(&r, "text, text\r\n.\r\n");
	CHECK_STR("too large", rig_output(&r),
		STR("552 5.3.4 Message is larger than the limit\r\n"));
	CHECK_STR("outcome", buf_str(&r.outcomes), STR("552 1 b@example.org\n"));
	rig_end(&r);
	rig_done(&r);
}

/* One that is cut off has no outcome of its own. */
static void test_discard_cut_off(void)
{
	struct plan plan = VERDICTS(RIG_SENDER, 1, DISCARD);
	struct rig r;

	init(&r, &plan, false);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT DATA "text");
	rig_notify(&r, SMTP_END_OF_STREAM);
	rig_end(&r);
	CHECK_STR("aborted", buf_str(&r.outcomes), STR("0 1 b@example.org\n"));
	rig_done(&r);
}

/* An action that is unknown, or is not for the stage, does not accept. */
static void test_misplaced(void)
{
	static const struct {
		const char *name;
		enum rig_hook hook;
		int action;
		const char *say;
		const char *reply;
	} cases[] = {
		{"discard a client", RIG_CONNECT, SINKD_DISCARD, "", "554 5.7.1 "},
		{"discard a command", RIG_COMMAND, SINKD_DISCARD, EHLO, "550 5.7.1 "},
		{"discard a name", RIG_EHLO_DOMAIN, SINKD_DISCARD, EHLO, "550 5.7.1 "},
		{"discard a login", RIG_PLAIN_AUTH, SINKD_DISCARD, EHLO AUTH,
			"535 5.7.8 "},
		{"route a sender", RIG_SENDER, SINKD_ROUTE, EHLO MAIL, "550 5.7.1 "},
		{"route a message", RIG_MESSAGE, SINKD_ROUTE, EHLO MAIL RCPT DATA TEXT,
			"550 5.7.1 "},
		{"unknown", RIG_SENDER, SINKD_ROUTE + 1, EHLO MAIL, "550 5.7.1 "},
		{"unknown", RIG_RECIPIENT, -1, EHLO MAIL RCPT, "550 5.7.1 "},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct plan plan = {.hook = cases[i].hook,
			.verdicts = {{.action = cases[i].action}},
			.count = 1};
		struct rig r;

		init(&r, &plan, false);
		rig_start(&r);
		rig_say(&r, cases[i].say);
		CHECK(cases[i].name, has(rig_output(&r), cases[i].reply));
		CHECK(cases[i].name, !r.is_dropped && r.message_count == 0);
		rig_end(&r);
		rig_done(&r);
	}
}

/* In LMTP a 421 to one is not the last word to the others; and who cannot be told why is
 * told that there is no memory. */
static void test_recipients_after_text(void)
{
	struct plan closing = VERDICTS(RIG_MESSAGE_RECIPIENT, 1, {.code = 421});
	struct plan refused = VERDICTS(
		RIG_MESSAGE_RECIPIENT, 2, {.code = 550, .delay_ms = 5}, {.delay_ms = 6});
	struct rig r;

	init(&r, &closing, true);
	rig_start(&r);
	rig_say(&r, "LHLO x\r\n" MAIL RCPT RCPT DATA);
	rig_forget(&r);
	rig_say(&r, TEXT MAIL);
	CHECK_STR("closing", rig_output(&r), STR("421 4.3.2 Message refused\r\n" STORED));
	CHECK("closed", r.is_over && !r.is_dropped);
	rig_end(&r);
	rig_done(&r);

	init(&r, &refused, true);
	rig_start(&r);
	rig_say(&r, "LHLO x\r\n" MAIL RCPT RCPT DATA);
	rig_forget(&r);
	r.engine->arena.cap = r.engine->arena.used;
	rig_say(&r, TEXT);
	CHECK_STR("no memory", rig_output(&r), STR(NO_MEMORY NO_MEMORY));
	CHECK("delay of the first", r.paused_ms == 5);
	CHECK("nothing", r.message_count == 0);
	rig_end(&r);
	rig_done(&r);
}

void suite_actions(void)
{
	CU_pSuite s = CU_add_suite("actions", NULL, NULL);

	CU_add_test(s, "silence", test_silence);
	CU_add_test(s, "stall while draining", test_stall_while_draining);
	CU_add_test(s, "end in a delay", test_end_in_delay);
	CU_add_test(s, "fates", test_fates);
	CU_add_test(s, "discard chunks", test_discard_chunks);
	CU_add_test(s, "discard, cut off", test_discard_cut_off);
	CU_add_test(s, "misplaced", test_misplaced);
	CU_add_test(s, "recipients after the text", test_recipients_after_text);
}
