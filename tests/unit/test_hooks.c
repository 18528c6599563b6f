/* The hooks: in which order they are called, and what each refusal does to the
 * session.  Drives the whole engine; the sink's calls stand in the same trace. */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define DATA "DATA\r\n"
#define TEXT "text\r\n.\r\n"

#define AUTH "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n" /* NUL joe NUL secret */

/* A listener with all that it may have. */
static void init(struct rig *r)
{
	rig_init(r);
	r->peer.settings.tls = LISTEN_TLS_STARTTLS;
	r->peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r->settings.plaintext_auth = PLAINTEXT_AUTH_ALWAYS;
	r->settings.auth_failures_max = 10;
	r->tls = RIG_TLS_STARTS;
}

struct refusal {
	enum rig_hook hook;
	struct sinkd_verdict verdict;
	unsigned times; /* still to be given */
};

static void refuse(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	struct refusal *refusal = r->user;

	(void)argument;
	if (verdict == NULL || hook != refusal->hook || refusal->times == 0)
		return;
	refusal->times--;
	*verdict = refusal->verdict;
}

/* All of them, and the calls of the sink. */
static const char golden[] = "connect 192.0.2.7\n"
			     "server_domain\n"
			     "server_greeting\n"
			     "command EHLO\n"
			     "ehlo_domain client.example\n"
			     "server_domain\n"
			     "transaction\n"
			     "command MAIL\n"
			     "sender a@example.org\n"
			     "command RCPT\n"
			     "recipient b@example.org\n"
			     "command RCPT\n"
			     "recipient c@example.org\n"
			     "command DATA\n"
			     "data_command\n"
			     "server_domain\n"
			     "begin a@example.org b@example.org c@example.org\n"
			     "data_chunk\n"
			     "chunk\n"
			     "message\n"
			     "prepare\n"
			     "commit\n"
			     "transaction\n"
			     "command RSET\n"
			     "transaction\n"
			     "reset\n"
			     "command HELO\n"
			     "ehlo_domain other.example\n"
			     "server_domain\n"
			     "transaction\n"
			     "command STARTTLS\n"
			     "transaction\n"
			     "command EHLO\n"
			     "ehlo_domain client.example\n"
			     "server_domain\n"
			     "transaction\n"
			     "command AUTH\n"
			     "plain_auth joe\n"
			     "command AUTH\n"
			     "command AUTH\n"
			     "plain_auth jim\n"
			     "command NOOP\n"
			     "command FOO\n"
			     "command QUIT\n"
			     "connection_ended\n";

static void test_order(void)
{
	struct refusal refusal = {
		.hook = RIG_PLAIN_AUTH, .verdict = {.code = SINKD_REFUSE}, .times = 1};
	struct rig r;

	init(&r);
	r.judge = refuse;
	r.user = &refusal;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT "RCPT TO:<c@example.org>\r\n" DATA);
	rig_say(&r, "one\r\ntwo\r\n..\r\n");
	rig_say(&r, TEXT "RSET\r\nHELO other.example\r\nSTARTTLS\r\n");
	/* The wrong password of jim is right if the hook says so; it is not asked about
	 * "joe wrong" in CRAM-MD5. */
	rig_say(&r, EHLO AUTH "AUTH CRAM-MD5\r\nam9lIHdyb25n\r\n");
	rig_say(&r, "AUTH LOGIN amlt\r\nd3Jvbmc=\r\n");
	rig_say(&r, "NOOP\r\n\r\nFOO\r\nQUIT\r\n");
	rig_end(&r);
	CHECK_STR("golden", rig_trace(&r), str_of(golden));
	CHECK("stored", r.message_count == 1 && r.messages[0].recipients == 2);
	CHECK_STR("logins", buf_str(&r.logins),
		STR("PLAIN joe 535\nCRAM-MD5 joe 535\nLOGIN jim 235\n"));
	rig_done(&r);
}

/* A refusal at one stage.  hook: which is to refuse.  before: said first.  line:
 * what gets refused.  Then `after` is said and must be answered with codes. */
struct stage {
	const char *name;
	enum rig_hook hook;
	const char *before;
	const char *line;
	const char *reply;
	const char *after;
	const char *codes;
	bool aborts;
};

static const struct stage stages[] = {
	{"connect", RIG_CONNECT, NULL, "", "554 5.7.1 ", "", "", false},
	{"command", RIG_COMMAND, "", EHLO, "550 5.7.1 ", MAIL EHLO, "503 250 ", false},
	{"command in transaction", RIG_COMMAND, EHLO MAIL, "RSET\r\n", "550 5.7.1 ", RCPT,
		"250 ", false},
	{"command unknown", RIG_COMMAND, EHLO, "FOO\r\n", "550 5.7.1 ", "NOOP\r\n",
		"250 ", false},
	{"first EHLO", RIG_EHLO_DOMAIN, "", EHLO, "550 5.7.1 ", MAIL EHLO MAIL,
		"503 250 250 ", false},
	{"second EHLO", RIG_EHLO_DOMAIN, EHLO MAIL, EHLO, "550 5.7.1 ", RCPT, "250 ",
		false},
	{"HELO", RIG_EHLO_DOMAIN, "", "HELO x\r\n", "550 5.7.1 ", MAIL, "503 ", false},
	{"sender", RIG_SENDER, EHLO, MAIL, "550 5.7.1 ", RCPT MAIL, "503 250 ", false},
	{"only recipient", RIG_RECIPIENT, EHLO MAIL, RCPT, "550 5.7.1 ", DATA RCPT DATA,
		"554 250 354 ", false},
	{"one recipient", RIG_RECIPIENT, EHLO MAIL RCPT, RCPT, "550 5.7.1 ", DATA TEXT,
		"354 250 ", false},
	{"data_command", RIG_DATA_COMMAND, EHLO MAIL RCPT, DATA, "550 5.7.1 ",
		RCPT DATA TEXT, "250 354 250 ", false},
	{"data_chunk", RIG_DATA_CHUNK, EHLO MAIL RCPT DATA, TEXT, NULL, RCPT MAIL,
		"503 250 ", true},
	{"message", RIG_MESSAGE, EHLO MAIL RCPT DATA, TEXT, "550 5.7.1 ", RCPT MAIL,
		"503 250 ", true},
	{"plain_auth", RIG_PLAIN_AUTH, EHLO, AUTH, NULL, MAIL, "250 ", false},
	{"plain_auth, asked", RIG_PLAIN_AUTH, EHLO "AUTH PLAIN\r\n",
		"AGpvZQBzZWNyZXQ=\r\n", NULL, AUTH, "235 ", false},
};

/* Play a stage up to its refusal; what it said since is in rig_output. */
static void start_stage(struct rig *r, const struct stage *stage, struct refusal *refusal)
{
	init(r);
	r->judge = refuse;
	r->user = refusal;
	refusal->hook = stage->hook;
	refusal->times = stage->before == NULL ? 1 : 0;
	rig_start(r);
	if (stage->before == NULL)
		return;
	rig_say(r, stage->before);
	rig_forget(r);
	refusal->times = 1;
	rig_say(r, stage->line);
	CHECK(stage->name, refusal->times == 0);
}

static bool starts(struct str s, const char *prefix)
{
	return s.n >= strlen(prefix) && memcmp(s.p, prefix, strlen(prefix)) == 0;
}

static unsigned count(struct str s, const char *text)
{
	unsigned n = 0;
	const char *at;

	while (s.n > 0 && (at = memmem(s.p, s.n, text, strlen(text))) != NULL) {
		s = str_skip(s, (size_t)(at - s.p) + 1);
		n++;
	}
	return n;
}

/* The codes of all replies, each with a blank behind. */
static void codes_of(struct str out, char *ret, size_t size)
{
	struct buf codes;

	buf_init(&codes, size);
	while (out.n > 4) {
		const char *end = memchr(out.p, '\n', out.n);

		CU_ASSERT_PTR_NOT_NULL_FATAL(end);
		if (out.p[3] == ' ')
			(void)buf_add(&codes, out.p, 4);
		out = str_skip(out, (size_t)(end - out.p) + 1);
	}
	(void)snprintf(ret, size, "%.*s", STR_ARG(buf_str(&codes)));
	buf_done(&codes);
}

static void test_default_refusal(void)
{
	/* No code, or none that refuses: the reply of the stage. */
	static const int codes[] = {SINKD_REFUSE, 250, 354, 399, 600, 99, 2, -1};

	for (size_t i = 0; i < COUNT_OF(stages) * COUNT_OF(codes); i++) {
		const struct stage *stage = &stages[i / COUNT_OF(codes)];
		struct refusal refusal = {
			.verdict = {.code = codes[i % COUNT_OF(codes)]}};
		char after[128];
		struct rig r;

		start_stage(&r, stage, &refusal);
		CHECK(stage->name, starts(rig_output(&r), stage->reply ? stage->reply
							  : stage->hook == RIG_PLAIN_AUTH
								  ? "535 5.7.8 "
								  : "550 5.7.1 "));
		CHECK(stage->name, count(rig_output(&r), "\r\n") == 1);
		CHECK(stage->name, count(rig_trace(&r), "abort\n") == stage->aborts);
		CHECK(stage->name, count(rig_trace(&r), "prepare\n") == 0);
		CHECK(stage->name, r.is_over == (stage->hook == RIG_CONNECT));
		CHECK(stage->name, !r.is_dropped && r.message_count == 0);
		rig_forget(&r);
		rig_say(&r, stage->after);
		codes_of(rig_output(&r), after, sizeof(after));
		CHECK_STR(stage->name, str_of(after), str_of(stage->codes));
		if (r.message_count > 0)
			CHECK(stage->name,
				r.messages[0].recipients ==
					(stage->hook == RIG_DATA_COMMAND ? 2 : 1));
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_own_refusal(void)
{
	static const struct {
		struct sinkd_verdict verdict;
		const char *reply; /* ends in LF: all of it; else its beginning */
	} cases[] = {
		{{.code = 452, .enhanced = "4.2.2", .text = "Mailbox full"},
			"452 4.2.2 Mailbox full\r\n"},
		{{.code = 553, .enhanced = "5.1.3", .text = "Bad"}, "553 5.1.3 Bad\r\n"},
		{{.code = 454, .text = "Later"}, "454 4.7.0 Later\r\n"},
		{{.code = 599, .enhanced = "5.9.9", .text = "Odd"}, "599 5.9.9 Odd\r\n"},
		{{.code = 400, .enhanced = "4.0.0", .text = "Odd"}, "400 4.0.0 Odd\r\n"},
		{{.code = SINKD_REFUSE, .enhanced = "5.1.1", .text = "No"}, "5"},
		/* The class of a code is the class of its enhanced code (RFC 2034, 4). */
		{{.code = 450, .text = "Later"}, "450 4."},
		{{.code = 450, .enhanced = "5.1.1", .text = "Later"}, "450 4."},
		{{.code = 550, .enhanced = "bogus", .text = "No"}, "550 5.7.1 No\r\n"},
		/* Nothing forges a second reply. */
		{{.code = 550, .enhanced = "5.7.1", .text = "a\r\n250 b\x01\xff"},
			"550 5.7.1 a??250 b??\r\n"},
		{{.code = 550, .enhanced = "5.7.\r\n"}, "550 5.7.1 "},
	};

	for (size_t i = 0; i < COUNT_OF(stages) * COUNT_OF(cases); i++) {
		const struct stage *stage = &stages[i / COUNT_OF(cases)];
		const char *reply = cases[i % COUNT_OF(cases)].reply;
		struct refusal refusal = {.verdict = cases[i % COUNT_OF(cases)].verdict};
		struct rig r;

		start_stage(&r, stage, &refusal);
		CHECK(stage->name, starts(rig_output(&r), reply));
		CHECK(stage->name, count(rig_output(&r), "\r\n") == 1);
		if (reply[strlen(reply) - 1] == '\n')
			CHECK_STR(stage->name, rig_output(&r), str_of(reply));
		CHECK(stage->name, r.is_over == (stage->hook == RIG_CONNECT));
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_unterminated(void)
{
	struct refusal refusal = {.verdict = {.code = 550}};
	struct rig r;

	memset(refusal.verdict.enhanced, '5', sizeof(refusal.verdict.enhanced));
	memset(refusal.verdict.text, 'x', sizeof(refusal.verdict.text));
	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		start_stage(&r, &stages[i], &refusal);
		CHECK(stages[i].name, starts(rig_output(&r), "55"));
		CHECK(stages[i].name, rig_output(&r).n <= 512);
		CHECK(stages[i].name, count(rig_output(&r), "\r\n") == 1);
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_closing(void)
{
	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		const struct stage *stage = &stages[i];
		struct refusal refusal = {.verdict = {.code = 421, .text = "Away"}};
		struct rig r;

		start_stage(&r, stage, &refusal);
		CHECK(stage->name, starts(rig_output(&r), "421 4."));
		CHECK(stage->name, count(rig_output(&r), "\r\n") == 1);
		CHECK(stage->name, r.is_over && !r.is_dropped);
		CHECK(stage->name, count(rig_trace(&r), "abort\n") == stage->aborts);
		rig_end(&r);
		CHECK(stage->name, count(rig_trace(&r), "connection_ended\n") == 1);
		rig_done(&r);
	}
}

static void test_drop(void)
{
	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		const struct stage *stage = &stages[i];
		struct refusal refusal = {.verdict = {.action = SINKD_DISCONNECT}};
		struct rig r;

		start_stage(&r, stage, &refusal);
		CHECK(stage->name, r.is_over && r.is_dropped);
		CHECK_STR(stage->name, rig_output(&r), STR(""));
		rig_end(&r);
		CHECK(stage->name, count(rig_trace(&r), "connection_ended\n") == 1);
		CHECK(stage->name, count(rig_trace(&r), "abort\n") == stage->aborts);
		CHECK(stage->name, r.message_count == 0);
		rig_done(&r);
	}
}

/* The reply waits; what was said before it does not; and what the client sends
 * meanwhile is not looked at. */
static void check_delay(const struct stage *stage, int code)
{
	struct refusal refusal = {.verdict = {.code = code, .delay_ms = 1234}};
	/* A wrong password has a delay of its own. */
	bool is_failure = stage->hook == RIG_PLAIN_AUTH && code != 0;
	uint32_t delay_ms = is_failure ? 1234 + 1000 : 1234;
	struct buf said;
	struct rig r;

	buf_init(&said, 1024);
	init(&r);
	r.judge = refuse;
	r.user = &refusal;
	r.resumes = false;
	refusal.hook = stage->hook;
	refusal.times = stage->before == NULL;
	rig_start(&r);
	if (stage->before != NULL) {
		rig_say(&r, stage->before);
		rig_forget(&r);
		refusal.times = 1;
		(void)buf_add_text(&said, stage->line);
		(void)buf_add_text(&said, "NOOP\r\n");
		rig_feed(&r, said.p, said.len);
	}
	CHECK(stage->name, smtp_next(r.engine) == SMTP_PAUSE);
	CHECK(stage->name, smtp_pause_ms(r.engine) == delay_ms);
	CHECK_STR(stage->name, rig_output(&r), STR(""));
	CHECK(stage->name, count(rig_trace(&r), "command NOOP\n") == 0);
	rig_notify(&r, SMTP_RESUMED);
	CHECK(stage->name, r.output.len > 0);
	CHECK(stage->name, r.is_over == (stage->hook == RIG_CONNECT && code != 0));
	/* Behind a DATA that was accepted it is text. */
	if (stage->before != NULL && (stage->hook != RIG_DATA_COMMAND || code != 0))
		CHECK(stage->name, count(rig_trace(&r), "command NOOP\n") == 1);
	rig_end(&r);
	rig_done(&r);
	buf_done(&said);
}

static void test_delay(void)
{
	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		check_delay(&stages[i], SINKD_REFUSE);
		check_delay(&stages[i], 0);
	}
}

static void test_gone_while_waiting(void)
{
	struct refusal refusal = {.verdict = {.delay_ms = 1000}, .hook = RIG_SENDER};
	static const enum smtp_event events[] = {
		SMTP_END_OF_STREAM, SMTP_SESSION_EXPIRED, SMTP_DRAIN, SMTP_DRAIN_NOW};

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		struct rig r;

		rig_init(&r);
		r.judge = refuse;
		r.user = &refusal;
		r.resumes = false;
		refusal.times = 1;
		rig_start(&r);
		rig_say(&r, EHLO MAIL);
		CHECK("pauses", smtp_next(r.engine) == SMTP_PAUSE);
		rig_notify(&r, events[i]);
		rig_notify(&r, SMTP_END_OF_STREAM);
		rig_end(&r);
		CHECK("ended once", count(rig_trace(&r), "connection_ended\n") == 1);
		rig_done(&r);
	}
}

static struct sinkd_str chosen_name;

static struct sinkd_str name_server(void *user, struct sinkd_session *session)
{
	(void)user;
	(void)session;
	return chosen_name;
}

/* What a hook calls the server appears as it is, if it can. */
static void test_names(void)
{
	static const struct {
		const char *name;
		struct sinkd_str value;
		bool is_fit;
	} cases[] = {
		{"name", {"other.example", 13}, true},
		{"empty", {NULL, 0}, false},
		{"two lines", {"a\r\n250 b", 8}, false},
		{"NUL", {"a\0b", 3}, false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;
		char expected[80];

		chosen_name = cases[i].value;
		rig_init(&r);
		r.hooks.server_domain = name_server;
		rig_start(&r);
		(void)snprintf(expected, sizeof(expected), "220 %s ESMTP sinkd\r\n",
			cases[i].is_fit ? "other.example" : "sink.example.test");
		CHECK_STR(cases[i].name, rig_output(&r), str_of(expected));
		rig_forget(&r);
		rig_say(&r, "HELO x\r\n");
		CHECK(cases[i].name, starts(rig_output(&r),
					     cases[i].is_fit ? "250 other.example"
							     : "250 sink.example.test"));
		CHECK(cases[i].name, count(rig_output(&r), "\r\n") == 1);
		rig_end(&r);
		rig_done(&r);

		rig_init(&r);
		r.hooks.server_greeting = name_server;
		rig_start(&r);
		CHECK(cases[i].name, starts(rig_output(&r), "220 "));
		CHECK(cases[i].name, count(rig_output(&r), "\r\n") == 1);
		if (cases[i].is_fit)
			CHECK_STR(cases[i].name, rig_output(&r),
				STR("220 other.example\r\n"));
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_no_opinion(void)
{
	struct rig r;

	rig_init(&r);
	r.hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI, .size = sizeof(struct sinkd_hooks)};
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT DATA TEXT "RSET\r\nQUIT\r\n");
	rig_end(&r);
	CHECK("stored", r.message_count == 1 && r.is_over);
	rig_done(&r);
}

void suite_hooks(void)
{
	CU_pSuite s = CU_add_suite("hooks", NULL, NULL);

	CU_add_test(s, "order", test_order);
	CU_add_test(s, "default refusal", test_default_refusal);
	CU_add_test(s, "own refusal", test_own_refusal);
	CU_add_test(s, "unterminated text", test_unterminated);
	CU_add_test(s, "421 closes", test_closing);
	CU_add_test(s, "drop", test_drop);
	CU_add_test(s, "delay", test_delay);
	CU_add_test(s, "gone while waiting", test_gone_while_waiting);
	CU_add_test(s, "names", test_names);
	CU_add_test(s, "no opinion", test_no_opinion);
}
