/* LMTP in the engine: what transcripts cannot show: what the sink and the log are told,
 * more replies than the output holds, and what comes in between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define LHLO  "LHLO client.example\r\n"
#define MAIL  "MAIL FROM:<a@example.org>\r\n"
#define RCPT  "RCPT TO:<b@example.org>\r\n"
#define FULL  "RCPT TO:<full@example.org>\r\n"
#define GONE  "RCPT TO:<gone@example.org>\r\n"
#define LATE  "RCPT TO:<late@example.org>\r\n"
#define DATA  "DATA\r\n"
#define TEXT  "text\r\n"
#define DOT   ".\r\n"
#define NEVER UINT64_MAX

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static bool starts(struct str s, const char *prefix)
{
	return s.n >= strlen(prefix) && memcmp(s.p, prefix, strlen(prefix)) == 0;
}

static void init(struct rig *r)
{
	rig_init(r);
	r->peer.settings.protocol = LISTEN_LMTP;
	r->settings.recipients_max = 100000;
	r->settings.memory_max = (size_t)64 << 20;
}

/* The codes of the replies, each with a blank behind it. */
static struct str codes_of(struct str replies, struct buf *out)
{
	buf_reset(out);
	while (replies.n > 0) {
		const char *end = memmem(replies.p, replies.n, "\r\n", 2);

		CU_ASSERT_FATAL(end != NULL && replies.n > 4);
		(void)buf_add(out, replies.p, 4);
		replies = str_skip(replies, (size_t)(end + 2 - replies.p));
	}
	return buf_str(out);
}

/* recipients: their commands; codes: what they are told after the dot; trace: the calls
 * from the text on; got: how many have the message then. */
struct result_case {
	const char *name;
	const char *recipients;
	struct rig_faults faults;
	const char *codes;
	const char *outcomes;
	const char *trace;
	size_t got;
};

#define ASKED(who) "message_recipient " #who "@example.org\n"
#define TAKEN      "data_chunk\nchunk\nmessage\n"
#define PUBLISHED  "prepare\ncommit\ntransaction\n"

static const struct result_case result_cases[] = {
	{"one", RCPT, {.text_after = NEVER}, "250 ", "250 1 b@example.org\n",
		TAKEN ASKED(b) PUBLISHED, 1},
	{"duplicates", RCPT RCPT RCPT, {.text_after = NEVER}, "250 250 250 ",
		"250 3 b@example.org\n", TAKEN ASKED(b) ASKED(b) ASKED(b) PUBLISHED, 3},
	{"good, bad, good", RCPT FULL RCPT, {.text_after = NEVER}, "250 452 250 ",
		"250 2 b@example.org\n452 1 full@example.org\n",
		TAKEN ASKED(b) ASKED(full) ASKED(b) PUBLISHED, 2},
	{"bad first", GONE FULL RCPT, {.text_after = NEVER}, "550 452 250 ",
		"250 1 b@example.org\n550 1 gone@example.org\n452 1 full@example.org\n",
		TAKEN ASKED(gone) ASKED(full) ASKED(b) PUBLISHED, 1},
	{"all bad", GONE FULL, {.text_after = NEVER}, "550 452 ",
		"550 1 gone@example.org\n452 1 full@example.org\n",
		TAKEN ASKED(gone) ASKED(full) "prepare\nabort\ntransaction\n", 0},
	{"bad at commit", LATE RCPT, {.text_after = NEVER}, "451 250 ",
		"250 1 b@example.org\n451 1 late@example.org\n",
		TAKEN ASKED(late) ASKED(b) PUBLISHED, 1},
	{"bad in both", FULL LATE, {.text_after = NEVER}, "452 451 ",
		"452 1 full@example.org\n451 1 late@example.org\n",
		TAKEN ASKED(full) ASKED(late) PUBLISHED, 0},
	{"duplicates that differ", RCPT RCPT,
		{.prepare = 1, .permanent = 1, .text_after = NEVER}, "550 250 ",
		"250 1 b@example.org\n550 1 b@example.org\n",
		TAKEN ASKED(b) ASKED(b) PUBLISHED, 1},
	{"no room for the text", RCPT FULL, {.text_after = 0}, "452 452 ",
		"452 1 b@example.org\n452 1 full@example.org\n",
		"data_chunk\nchunk\nabort\ntransaction\n", 0},
};

static void check_results(const struct result_case *c)
{
	struct rig r;
	struct buf codes;

	init(&r);
	buf_init(&codes, 4096);
	r.faults = c->faults;
	rig_start(&r);
	rig_say(&r, LHLO MAIL);
	rig_say(&r, c->recipients);
	rig_say(&r, DATA);
	rig_forget(&r);
	rig_say(&r, TEXT DOT);
	CHECK_STR(c->name, codes_of(rig_output(&r), &codes), str_of(c->codes));
	CHECK_STR(c->name, rig_trace(&r), str_of(c->trace));
	CHECK_STR(c->name, buf_str(&r.outcomes), str_of(c->outcomes));
	CHECK(c->name, r.message_count == (c->got > 0));
	if (c->got > 0)
		CHECK(c->name, r.messages[0].recipients == c->got);
	/* The transaction is over. */
	rig_forget(&r);
	r.faults = (struct rig_faults){.text_after = NEVER};
	rig_say(&r, RCPT MAIL RCPT DATA TEXT DOT);
	CHECK_STR(c->name, codes_of(rig_output(&r), &codes), STR("503 250 250 354 250 "));
	rig_end(&r);
	buf_done(&codes);
	rig_done(&r);
}

static void test_results(void)
{
	for (size_t i = 0; i < COUNT_OF(result_cases); i++)
		check_results(&result_cases[i]);
}

static void judge_message(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	const struct sinkd_verdict *given = r->user;

	(void)argument;
	if (hook == RIG_MESSAGE)
		*verdict = *given;
}

/* What a hook says of the message, each recipient is told. */
static void test_hook(void)
{
	static const struct {
		const char *name;
		struct sinkd_verdict verdict;
		const char *codes;
		const char *outcomes;
		bool is_over;
	} cases[] = {
		{"refused", {.code = 550}, "550 550 ",
			"550 1 b@example.org\n550 1 full@example.org\n", false},
		{"refused, closing", {.code = 421}, "421 421 ",
			"421 1 b@example.org\n421 1 full@example.org\n", true},
		{"dropped", {.action = SINKD_DISCONNECT}, "", "0 2 b@example.org\n",
			true},
		{"delayed", {.delay_ms = 100}, "250 452 ",
			"250 1 b@example.org\n452 1 full@example.org\n", false},
	};
	struct buf codes;

	buf_init(&codes, 4096);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sinkd_verdict verdict = cases[i].verdict;
		struct rig r;

		init(&r);
		r.judge = judge_message;
		r.user = &verdict;
		rig_start(&r);
		rig_say(&r, LHLO MAIL RCPT FULL DATA TEXT);
		rig_forget(&r);
		rig_say(&r, DOT);
		CHECK_STR(cases[i].name, codes_of(rig_output(&r), &codes),
			str_of(cases[i].codes));
		CHECK_STR(cases[i].name, buf_str(&r.outcomes), str_of(cases[i].outcomes));
		CHECK(cases[i].name, r.is_over == cases[i].is_over);
		CHECK(cases[i].name, r.paused_ms == verdict.delay_ms);
		rig_end(&r);
		rig_done(&r);
	}
	buf_done(&codes);
}

/* --- more replies than the output holds -------------------------------------- */

#define MANY 3000

/* A message for MANY, the third, sixth and so on of whom are full, up to its end;
 * nothing of the output has been taken since. */
static void begin_many(struct rig *r, const char *between)
{
	rig_start(r);
	rig_say(r, LHLO MAIL);
	for (size_t i = 0; i < MANY; i++)
		rig_say(r, i % 3 == 2 ? FULL : RCPT);
	rig_say(r, between);
	rig_say(r, DATA TEXT);
	rig_forget(r);
	CU_ASSERT_FATAL(smtp_feed(r->engine, DOT, strlen(DOT)) == strlen(DOT));
}

/* Take the output in pieces until the engine wants something else. */
static void take_many(struct rig *r, size_t piece)
{
	struct str out;

	while (smtp_next(r->engine) != SMTP_DROP &&
		(out = smtp_output(r->engine)).n > 0) {
		if (out.n > piece)
			out.n = piece;
		(void)buf_add_str(&r->output, out);
		smtp_sent(r->engine, out.n);
	}
}

/* Returns what stands behind the replies to the message, all of which are there. */
static struct str check_many(const char *name, struct str out)
{
	for (size_t i = 0; i < MANY; i++) {
		const char *end = out.n == 0 ? NULL : memmem(out.p, out.n, "\r\n", 2);

		CU_ASSERT_FATAL(end != NULL);
		CHECK(name, starts(out, i % 3 == 2 ? "452 4.2.2 " : "250 2.0.0 Ok: "));
		out = str_skip(out, (size_t)(end + 2 - out.p));
	}
	return out;
}

static void test_many(void)
{
	static const size_t pieces[] = {1, 1000, 16384, SIZE_MAX};

	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		char name[32];
		size_t most;
		struct rig r;

		(void)snprintf(name, sizeof(name), "pieces of %zu", pieces[i]);
		init(&r);
		begin_many(&r, "");
		most = smtp_output(r.engine).n;
		CHECK(name, smtp_next(r.engine) == SMTP_FLUSH);
		CHECK(name, most >= 16384 && most <= 24576);
		CHECK(name, smtp_feed(r.engine, "NOOP\r\n", 6) == 0);
		CHECK(name, !smtp_is_in_data(r.engine));
		/* Stored, and told of, before the first reply goes. */
		CHECK(name, r.message_count == 1 && r.outcome_count == 1 + MANY / 3);
		CHECK(name, !has(rig_trace(&r), "transaction\n"));
		take_many(&r, pieces[i]);
		CHECK(name, check_many(name, rig_output(&r)).n == 0);
		CHECK(name, has(rig_trace(&r), "transaction\n"));
		CHECK(name, smtp_next(r.engine) == SMTP_FEED);
		CHECK(name, r.outcome_count == 1 + MANY / 3);
		rig_forget(&r);
		rig_say(&r, MAIL RCPT DATA TEXT DOT);
		CHECK(name, has(rig_output(&r), "\r\n250 2.0.0 Ok: "));
		rig_end(&r);
		rig_done(&r);
	}
}

/* What happens while the replies go: they all go first.  last: the words behind them. */
struct event_case {
	const char *name;
	enum smtp_event event;
	const char *last;
};

static const struct event_case event_cases[] = {
	{"retire", SMTP_RETIRE, "421 4.3.2 "},
	{"drain", SMTP_DRAIN, "421 4.3.2 "},
	{"drain now", SMTP_DRAIN_NOW, "421 4.3.2 "},
	{"expired", SMTP_SESSION_EXPIRED, "421 4.4.2 "},
	{"timed out", SMTP_TIMED_OUT, "421 4.4.2 "},
	{"resumed", SMTP_RESUMED, ""},
	{"gone", SMTP_END_OF_STREAM, NULL},
};

static void check_event(const struct event_case *c)
{
	struct rig r;
	struct str last;

	init(&r);
	begin_many(&r, "");
	(void)buf_add(&r.output, smtp_output(r.engine).p, 10000);
	smtp_sent(r.engine, 10000);
	smtp_notify(r.engine, c->event);
	smtp_notify(r.engine, c->event);
	if (c->last == NULL) {
		CHECK(c->name, smtp_next(r.engine) == SMTP_DROP);
		smtp_sent(r.engine, smtp_output(r.engine).n);
		CHECK(c->name, smtp_output(r.engine).n == 0);
	} else {
		take_many(&r, 4000);
		last = check_many(c->name, rig_output(&r));
		CHECK(c->name, (last.n > 0) == (c->last[0] != '\0'));
		CHECK(c->name, starts(last, c->last));
		CHECK(c->name, smtp_next(r.engine) ==
				       (c->last[0] == '\0' ? SMTP_FEED : SMTP_CLOSE));
	}
	CHECK(c->name, r.outcome_count == 1 + MANY / 3 && r.message_count == 1);
	CHECK(c->name, !has(rig_trace(&r), "abort\n"));
	rig_end(&r);
	CHECK(c->name, r.outcome_count == 1 + MANY / 3);
	/* The next session knows nothing of it, and may be one of SMTP. */
	rig_forget(&r);
	r.peer.settings.protocol = LISTEN_SMTP;
	rig_start(&r);
	rig_say(&r, "EHLO client.example\r\n" MAIL RCPT RCPT DATA TEXT DOT "NOOP\r\n");
	CHECK(c->name, has(rig_output(&r), "354 "));
	CHECK_STR(c->name, buf_str(&r.outcomes), STR("250 2 b@example.org\n"));
	rig_end(&r);
	rig_done(&r);
}

static void test_events(void)
{
	for (size_t i = 0; i < COUNT_OF(event_cases); i++)
		check_event(&event_cases[i]);
}

/* All of the replies, the held ones too, then close. */
static void test_closing(void)
{
	struct rig r;
	struct str rest;

	init(&r);
	begin_many(&r, "RCPT TO:<closing@example.org>\r\n" RCPT);
	take_many(&r, 4000);
	rest = check_many("closing", rig_output(&r));
	CHECK("421 in its place", starts(rest, "421 4.3.2 Closing for today\r\n250 "));
	CHECK("closes", smtp_next(r.engine) == SMTP_CLOSE);
	CHECK("hears nothing", smtp_feed(r.engine, "NOOP\r\n", 6) == 0);
	rig_end(&r);
	rig_done(&r);
}

/* A delay comes before the first reply; what was said before it may go. */
static void test_pause(void)
{
	struct sinkd_verdict verdict = {.delay_ms = 5};
	struct rig r;

	init(&r);
	r.judge = judge_message;
	r.user = &verdict;
	begin_many(&r, "");
	CHECK("pauses", smtp_next(r.engine) == SMTP_PAUSE);
	CHECK("says nothing", smtp_output(r.engine).n == 0);
	smtp_notify(r.engine, SMTP_RESUMED);
	CHECK("goes on", smtp_next(r.engine) == SMTP_FLUSH);
	take_many(&r, 4000);
	CHECK("all", check_many("pause", rig_output(&r)).n == 0);
	CHECK("feed", smtp_next(r.engine) == SMTP_FEED);
	rig_end(&r);
	rig_done(&r);
}

static void test_name(void)
{
	struct rig r;

	init(&r);
	rig_start(&r);
	rig_say(&r, "EHLO client.example\r\n");
	CHECK_STR("no name", smtp_helo(r.engine), STR(""));
	rig_say(&r, LHLO "HELP\r\n" MAIL RCPT DATA TEXT);
	CHECK_STR("name", smtp_helo(r.engine), STR("client.example"));
	CHECK_STR("codes", buf_str(&r.answers),
		STR("EHLO 500\nLHLO 250\nHELP 214\nMAIL 250\nRCPT 250\nDATA 354\n"));
	CHECK("hook", has(rig_trace(&r), "ehlo_domain client.example\n"));
	rig_notify(&r, SMTP_END_OF_STREAM);
	CHECK_STR("aborted", buf_str(&r.outcomes), STR("0 1 b@example.org\n"));
	rig_end(&r);
	rig_done(&r);
}

/* A message that one recipient has is no mistake of the client's. */
static void test_errors(void)
{
	struct rig r;

	init(&r);
	r.settings.errors_max = 3;
	rig_start(&r);
	rig_say(&r, LHLO "FOO\r\nFOO\r\n" MAIL FULL RCPT DATA TEXT DOT);
	rig_say(&r, "FOO\r\nFOO\r\n" MAIL FULL DATA TEXT DOT);
	CHECK("one has it", !r.is_over);
	rig_say(&r, "FOO\r\n");
	CHECK("none has it", r.is_over && has(rig_output(&r), "421 4.7.0 "));
	rig_end(&r);
	rig_done(&r);
}

void suite_lmtp(void)
{
	CU_pSuite s = CU_add_suite("lmtp", NULL, NULL);

	CU_add_test(s, "results", test_results);
	CU_add_test(s, "hook", test_hook);
	CU_add_test(s, "many", test_many);
	CU_add_test(s, "events", test_events);
	CU_add_test(s, "closing", test_closing);
	CU_add_test(s, "pause", test_pause);
	CU_add_test(s, "name", test_name);
	CU_add_test(s, "errors", test_errors);
}
