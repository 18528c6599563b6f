/* smtp/session: what transcripts cannot show: writes, memory, events from outside,
 * a sink that fails, one engine for several sessions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define DATA "DATA\r\n"

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static bool starts(struct str s, const char *prefix)
{
	return s.n >= strlen(prefix) && memcmp(s.p, prefix, strlen(prefix)) == 0;
}

static void say_many(struct rig *r, const char *text, size_t times)
{
	size_t n = strlen(text);
	char *all = malloc(n * times);

	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	for (size_t i = 0; i < times; i++)
		memcpy(all + i * n, text, n);
	rig_feed(r, all, n * times);
	free(all);
}

static void test_one_write(void)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_forget(&r);
	rig_say(&r, EHLO MAIL RCPT RCPT RCPT DATA);
	CHECK("envelope", r.write_count == 1);
	rig_forget(&r);
	rig_say(&r, "text\r\n.\r\n" MAIL RCPT DATA);
	CHECK("reply and next envelope", r.write_count == 1);
	rig_forget(&r);
	rig_say(&r, "text\r\n");
	CHECK("nothing to say", r.write_count == 0);
	rig_say(&r, ".\r\n");
	rig_forget(&r);
	say_many(&r, "NOOP\r\n", 700);
	CHECK("up to 16 KiB", r.output.len < 16384 && r.write_count == 1);
	rig_forget(&r);
	say_many(&r, "HELP\r\n", 20000);
	CHECK("all is answered", r.output.len > 20000 * sizeof("214 2.0.0 "));
	CHECK("in few writes", r.write_count <= r.output.len / 8192 + 1);
	CHECK("not in one", r.write_count >= r.output.len / 65536);
	rig_end(&r);
	rig_done(&r);
}

/* Output that nobody takes stops the input, so that its size has a limit. */
static void test_full_output(void)
{
	static const char line[] = "HELP\r\n";
	struct rig r;
	size_t most = 0;

	rig_init(&r);
	rig_start(&r);
	for (int i = 0; i < 100000 && smtp_next(r.engine) == SMTP_FEED; i++) {
		CU_ASSERT_FATAL(smtp_feed(r.engine, line, 6) == 6);
		most = smtp_output(r.engine).n;
	}
	CHECK("stops", smtp_next(r.engine) == SMTP_FLUSH);
	CHECK("at about 16 KiB", most >= 8192 && most <= 65536);
	CHECK("takes nothing more", smtp_feed(r.engine, line, 6) == 0);
	smtp_sent(r.engine, 1000);
	CHECK("what was sent is gone", smtp_output(r.engine).n == most - 1000);
	smtp_sent(r.engine, most - 1000);
	CHECK("goes on", smtp_next(r.engine) == SMTP_FEED);
	rig_end(&r);
	rig_done(&r);
}

static void test_message_id(void)
{
	struct rig r;
	const char *id;

	rig_init(&r);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT DATA "text\r\n");
	rig_forget(&r);
	rig_say(&r, ".\r\n");
	CU_ASSERT_FATAL(starts(rig_output(&r), "250 2.0.0 Ok: "));
	CHECK("length", r.output.len == 14 + MESSAGE_ID_SIZE - 1 + 2);
	id = r.output.p + 14;
	for (size_t i = 0; i < MESSAGE_ID_SIZE - 1; i++)
		CHECK("form", i == 14 || i == 21
				      ? id[i] == '-'
				      : strchr("0123456789abcdef", id[i]) != NULL);
	rig_end(&r);
	rig_done(&r);
}

/* A client's envelope may fill its memory, not more; then it is told so, what was
 * taken stays, and the next transaction has all of it again. */
static void test_memory(void)
{
	size_t taken[3] = {0};
	struct rig r;

	rig_init(&r);
	r.settings.memory_max = 65536;
	r.settings.recipients_max = 100000;
	rig_start(&r);
	rig_say(&r, EHLO);
	for (size_t round = 0; round < COUNT_OF(taken); round++) {
		rig_say(&r, MAIL);
		for (;;) {
			rig_forget(&r);
			rig_say(&r, RCPT);
			if (!starts(rig_output(&r), "250 "))
				break;
			CU_ASSERT_FATAL(++taken[round] < 100000);
		}
		CHECK("full", starts(rig_output(&r), "452 4.3.1 "));
		rig_forget(&r);
		rig_say(&r, DATA "text\r\n.\r\n");
		CHECK("those taken get it", has(rig_output(&r), "250 2.0.0 Ok: "));
		CHECK("all of them",
			r.message_count == round + 1 &&
				r.messages[round].recipients == taken[round]);
	}
	CHECK("a fair number", taken[0] > 100);
	CHECK("nothing is lost", taken[1] == taken[0] && taken[2] == taken[0]);
	rig_end(&r);
	rig_done(&r);
}

/* to_data and to_dot: how the replies begin; trace: the calls from DATA on. */
struct sink_case {
	const char *name;
	struct rig_faults faults;
	const char *to_data;
	const char *to_dot; /* NULL: there is no text */
	const char *trace;
};

#define UP_TO_BEGIN                                                                      \
	"command DATA\ndata_command\nserver_domain\n"                                    \
	"begin a@example.org b@example.org b@example.org\n"
#define UP_TO_PREPARE UP_TO_BEGIN "data_chunk\nchunk\nmessage\nprepare\n"
#define NEVER         UINT64_MAX

static const struct sink_case sink_cases[] = {
	{"begin", {.begin = true, .text_after = NEVER}, "452 4.3.1 ", NULL, UP_TO_BEGIN},
	{"chunk", {.text_after = 0}, "354 ", "452 4.3.1 ",
		UP_TO_BEGIN "data_chunk\nchunk\nabort\ntransaction\n"},
	{"late chunk", {.text_after = 5}, "354 ", "452 4.3.1 ",
		UP_TO_BEGIN "data_chunk\nchunk\nabort\ntransaction\n"},
	{"prepare", {.prepare = 3, .text_after = NEVER}, "354 ", "452 4.3.1 ",
		UP_TO_PREPARE "abort\ntransaction\n"},
	{"prepare for one", {.prepare = 2, .text_after = NEVER}, "354 ", "452 4.3.1 ",
		UP_TO_PREPARE "abort\ntransaction\n"},
	/* A retry is worth more than a bounce, whichever came first. */
	{"permanent and temporary", {.prepare = 3, .permanent = 1, .text_after = NEVER},
		"354 ", "452 4.3.1 ", UP_TO_PREPARE "abort\ntransaction\n"},
	{"temporary and permanent", {.prepare = 3, .permanent = 2, .text_after = NEVER},
		"354 ", "452 4.3.1 ", UP_TO_PREPARE "abort\ntransaction\n"},
	{"permanent", {.prepare = 2, .permanent = 2, .text_after = NEVER}, "354 ",
		"550 5.1.1 ", UP_TO_PREPARE "abort\ntransaction\n"},
	{"commit", {.commit = 1, .text_after = NEVER}, "354 ", "452 4.3.1 ",
		UP_TO_PREPARE "commit\ntransaction\n"},
	{"commit, permanent", {.commit = 3, .permanent = 3, .text_after = NEVER}, "354 ",
		"550 5.1.1 ", UP_TO_PREPARE "commit\ntransaction\n"},
};

static void check_sink_failure(const struct sink_case *c)
{
	struct rig r;

	rig_init(&r);
	r.faults = c->faults;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT RCPT);
	rig_forget(&r);
	rig_say(&r, DATA);
	CHECK(c->name, starts(rig_output(&r), c->to_data));
	buf_reset(&r.output);
	if (c->to_dot != NULL) {
		rig_say(&r, "one\r\n");
		rig_say(&r, "two\r\n");
		CHECK(c->name, r.output.len == 0);
		rig_say(&r, ".\r\n");
		CHECK(c->name, starts(rig_output(&r), c->to_dot));
		CHECK(c->name, r.outcome_count == 1 &&
				       r.outcome_code == strtol(c->to_dot, NULL, 10));
	}
	CHECK_STR(c->name, rig_trace(&r), str_of(c->trace));
	CHECK(c->name, r.message_count == 0);
	/* The disk is free again. */
	r.faults = (struct rig_faults){.text_after = NEVER};
	rig_forget(&r);
	rig_say(&r, c->to_dot == NULL ? DATA "text\r\n.\r\n"
				      : MAIL RCPT DATA "text\r\n.\r\n");
	CHECK(c->name, has(rig_output(&r), "250 2.0.0 Ok: ") && r.message_count == 1);
	rig_end(&r);
	rig_done(&r);
}

static void test_sink_failures(void)
{
	for (size_t i = 0; i < COUNT_OF(sink_cases); i++)
		check_sink_failure(&sink_cases[i]);
}

/* What happens outside: at which point, what is said, whether it is over. */
struct event_case {
	const char *name;
	const char *before;
	enum smtp_event event;
	const char *reply;
	bool is_over;
};

static const struct event_case event_cases[] = {
	{"gone", "", SMTP_END_OF_STREAM, "", true},
	{"gone in a command", EHLO "MAI", SMTP_END_OF_STREAM, "", true},
	{"gone in text", EHLO MAIL RCPT DATA "x", SMTP_END_OF_STREAM, "", true},
	{"idle", EHLO, SMTP_TIMED_OUT, "421 4.4.2 ", true},
	{"idle in a command", EHLO "MAI", SMTP_TIMED_OUT, "421 4.4.2 ", true},
	{"idle in text", EHLO MAIL RCPT DATA "x", SMTP_TIMED_OUT, "421 4.4.2 ", true},
	{"old", EHLO, SMTP_SESSION_EXPIRED, "421 4.4.2 ", true},
	{"old in text", EHLO MAIL RCPT DATA "x", SMTP_SESSION_EXPIRED, "421 4.4.2 ",
		true},
	{"retire", EHLO, SMTP_RETIRE, "421 4.3.2 ", true},
	{"retire in a command", EHLO "MAI", SMTP_RETIRE, "421 4.3.2 ", true},
	{"retire in text", EHLO MAIL RCPT DATA "x", SMTP_RETIRE, "", false},
	{"drain", EHLO, SMTP_DRAIN, "421 4.3.2 ", true},
	{"drain in transaction", EHLO MAIL RCPT, SMTP_DRAIN, "421 4.3.2 ", true},
	{"drain in text", EHLO MAIL RCPT DATA "x", SMTP_DRAIN, "", false},
	{"drain now", EHLO, SMTP_DRAIN_NOW, "421 4.3.2 ", true},
	{"drain now in text", EHLO MAIL RCPT DATA "x", SMTP_DRAIN_NOW, "421 4.3.2 ",
		true},
};

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text);

	return n >= strlen(end) && strcmp(text + n - strlen(end), end) == 0;
}

/* The message in flight may finish, and is the last. */
static void check_drained(struct rig *r)
{
	rig_say(r, "\r\n.\r\n" MAIL);
	CHECK("finishes", starts(rig_output(r), "250 2.0.0 Ok: "));
	CHECK("then goes", has(rig_output(r), "\r\n421 4.3.2 "));
	CHECK("then goes", r->is_over && !has(rig_output(r), "2.1.0"));
	CHECK("stored", r->message_count == 1);
}

static void check_event(const struct event_case *c)
{
	bool is_in_text = strstr(c->before, "DATA") != NULL;
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_say(&r, c->before);
	CHECK(c->name, smtp_is_in_data(r.engine) == is_in_text);
	if (!is_in_text)
		CHECK(c->name, smtp_is_mid_line(r.engine) == ends_in(c->before, "MAI"));
	rig_forget(&r);
	rig_notify(&r, c->event);
	CHECK(c->name, starts(rig_output(&r), c->reply));
	CHECK(c->name, (r.output.len == 0) == (c->reply[0] == '\0'));
	CHECK(c->name, r.is_over == c->is_over && r.message_count == 0);
	if (!c->is_over)
		check_drained(&r);
	rig_end(&r);
	CHECK(c->name, r.outcome_count == is_in_text);
	CHECK(c->name, has(rig_trace(&r), "abort\n") == (is_in_text && c->is_over));
	rig_done(&r);
}

static void test_events(void)
{
	for (size_t i = 0; i < COUNT_OF(event_cases); i++)
		check_event(&event_cases[i]);
}

/* A transaction that is open when the server retires goes on; what ends it, ends the
 * session.  after: what the client gets from then on. */
static void test_retire_in_transaction(void)
{
	static const struct {
		const char *name;
		const char *say;
		const char *after;
	} cases[] = {
		{"goes on", "NOOP\r\n" RCPT "FOO\r\n",
			"250 2.0.0 Ok\r\n250 2.1.5 Ok\r\n"
			"500 5.5.1 Command not recognized\r\n"},
		{"RSET", "RSET\r\n" MAIL,
			"250 2.0.0 Ok\r\n"
			"421 4.3.2 sink.example.test Service has a new configuration, "
			"connect again\r\n"},
		{"HELO", "HELO again\r\n" MAIL,
			"250 sink.example.test\r\n"
			"421 4.3.2 sink.example.test Service has a new configuration, "
			"connect again\r\n"},
		{"QUIT", "QUIT\r\n", "221 2.0.0 Bye\r\n"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		rig_init(&r);
		rig_start(&r);
		rig_say(&r, EHLO MAIL RCPT);
		rig_forget(&r);
		rig_notify(&r, SMTP_RETIRE);
		rig_notify(&r, SMTP_RETIRE);
		CHECK(cases[i].name, r.output.len == 0 && !r.is_over);
		rig_say(&r, cases[i].say);
		CHECK_STR(cases[i].name, rig_output(&r), str_of(cases[i].after));
		CHECK(cases[i].name, r.is_over == (i > 0));
		rig_end(&r);
		rig_done(&r);
	}
}

/* 421 instead of a greeting; no hook hears of the client.  The next one is served. */
static void test_refuse(void)
{
	static const struct smtp_peer peer = {.address = STR("192.0.2.1"),
		.port = 4711,
		.listener = STR("test"),
		.settings = {.extensions = EXTENSIONS_ALL}};
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_end(&r);
	rig_forget(&r);
	smtp_refuse(r.engine, &peer, 421, "4.7.0", "Too many sessions");
	CHECK_STR("greeting", smtp_output(r.engine),
		STR("421 4.7.0 sink.example.test Too many sessions\r\n"));
	CHECK("is over", smtp_next(r.engine) == SMTP_CLOSE);
	CHECK("hears nothing", smtp_feed(r.engine, EHLO, strlen(EHLO)) == 0);
	smtp_end(r.engine);
	CHECK_STR("asks nobody", rig_trace(&r), STR(""));
	rig_start(&r);
	CHECK("greets the next", has(rig_output(&r), "220 "));
	rig_end(&r);
	rig_done(&r);
}

static void judge_rcpt(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)r;
	if (hook == RIG_RECIPIENT)
		verdict->code = 550;
	if (hook == RIG_COMMAND && argument.len == 4 &&
		memcmp(argument.data, "VRFY", 4) == 0)
		verdict->action = SINKD_DISCONNECT;
}

/* Each command with its verb and the code of its reply; DATA with that to itself. */
static void test_answers(void)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_say(&r, "mail from:<a@example.org>\r\n" EHLO MAIL RCPT DATA
		    "text\r\n.\r\n\r\nFOO\r\nHELP\r\nHELO\r\nQUIT\r\n");
	CHECK_STR("codes", buf_str(&r.answers),
		STR("MAIL 503\nEHLO 250\nMAIL 250\nRCPT 250\nDATA 354\nOTHER 500\n"
		    "OTHER 500\nHELP 214\nHELO 501\nQUIT 221\n"));
	CHECK_STR("name", smtp_helo(r.engine), STR("client.example"));
	rig_end(&r);
	rig_forget(&r);
	r.judge = judge_rcpt;
	rig_start(&r);
	CHECK_STR("no name", smtp_helo(r.engine), STR(""));
	rig_say(&r, EHLO MAIL RCPT "VRFY x\r\n");
	CHECK_STR("refused by a hook", buf_str(&r.answers),
		STR("EHLO 250\nMAIL 250\nRCPT 550\nVRFY 0\n"));
	rig_end(&r);
	rig_done(&r);
}

static void test_reuse(void)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT DATA "half a mess");
	rig_notify(&r, SMTP_END_OF_STREAM);
	rig_end(&r);
	for (int round = 0; round < 3; round++) {
		rig_forget(&r);
		rig_start(&r);
		CHECK("greets anew", starts(rig_output(&r), "220 "));
		rig_forget(&r);
		rig_say(&r, MAIL);
		CHECK("forgot HELO", starts(rig_output(&r), "503 5.5.1 "));
		rig_say(&r, "FOO\r\nFOO\r\nFOO\r\nHELO x\r\n");
		rig_forget(&r);
		rig_say(&r, RCPT DATA);
		CHECK("forgot the transaction", starts(rig_output(&r), "503 5.5.1 ") &&
							!has(rig_output(&r), "354"));
		rig_say(&r, MAIL RCPT DATA "text\r\n.\r\n" MAIL RCPT "RCP");
		CHECK("works", has(rig_output(&r), "250 2.0.0 Ok: "));
		rig_end(&r);
	}
	CHECK("stored", r.message_count == 3 && r.messages[2].n == 6);
	rig_done(&r);
	smtp_free(NULL);
}

/* "0" in the configuration: no limit, which RFC 1870, 4 writes as 0 or nothing. */
static void test_unlimited_size(void)
{
	struct rig r;

	rig_init(&r);
	r.settings.message_size_max = UINT64_MAX;
	rig_start(&r);
	rig_say(&r, EHLO);
	CHECK("offered",
		has(rig_output(&r), "SIZE\r\n") || has(rig_output(&r), "SIZE 0\r\n"));
	rig_forget(&r);
	rig_say(&r, "MAIL FROM:<a@example.org> SIZE=18446744073709551615\r\n");
	CHECK("taken", starts(rig_output(&r), "250 2.1.0 "));
	rig_end(&r);
	rig_done(&r);
}

void suite_session(void)
{
	CU_pSuite s = CU_add_suite("session", NULL, NULL);

	CU_add_test(s, "one write", test_one_write);
	CU_add_test(s, "full output", test_full_output);
	CU_add_test(s, "message id", test_message_id);
	CU_add_test(s, "memory", test_memory);
	CU_add_test(s, "sink failures", test_sink_failures);
	CU_add_test(s, "events", test_events);
	CU_add_test(s, "retire in a transaction", test_retire_in_transaction);
	CU_add_test(s, "refuse", test_refuse);
	CU_add_test(s, "answers", test_answers);
	CU_add_test(s, "reuse", test_reuse);
	CU_add_test(s, "unlimited size", test_unlimited_size);
}
