/* smtp/chunk: BDAT with numbers of all sizes, and what comes between chunks from
 * outside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"

/* As the rig counts transactions. */
#define STORED(n) "250 2.0.0 Ok: 0000000000000" #n "-000001-0000\r\n"
#define GOT(n)    "250 2.0.0 " #n " octets received\r\n"
#define SYNTAX    "501 5.5.4 Syntax: BDAT octets [LAST]\r\n"
#define DEAD      "503 5.5.1 The message has failed: RSET comes first\r\n"
#define TOO_LARGE "552 5.3.4 Message is larger than the limit\r\n"
#define NO_SPACE  "452 4.3.1 Insufficient system storage\r\n"
#define OK        "250 2.0.0 Ok\r\n"
#define NEXT      "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
#define STORED_TO "250 1 b@example.org\n"
#define LOST      "0 1 b@example.org\n"

/* Arguments that say nothing: the octets are commands then, there are none. */
static void test_syntax(void)
{
	static const char *const bad[] = {"", "LAST", "-1", "+1", "1x", "x", "0x1", "1.0",
		"1,0", "1LAST", "1 LAST 2", "1 LASTLY", "1 FIRST", "1 2", "LAST 1",
		"18446744073709551616", "18446744073709551616 LAST",
		"99999999999999999999", "000000000000000000001", "1e1", "\"1\"", "1=LAST",
		"1 LAST=", "4294967296 LAS"};

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char say[200];
		struct rig r;

		(void)snprintf(
			say, sizeof(say), "BDAT %s\r\nNOOP\r\nBDAT 1 LAST\r\nx", bad[i]);
		rig_init(&r);
		rig_start(&r);
		rig_say(&r, EHLO MAIL RCPT);
		rig_forget(&r);
		rig_say(&r, say);
		CHECK_STR(bad[i], rig_output(&r), STR(SYNTAX OK DEAD));
		CHECK_STR(bad[i], buf_str(&r.outcomes), STR(""));
		rig_forget(&r);
		rig_say(&r, "RSET\r\n" MAIL RCPT "BDAT 1\r\nx");
		rig_say(&r, say);
		CHECK_STR(bad[i], rig_output(&r), STR(OK NEXT GOT(1) SYNTAX OK DEAD));
		CHECK_STR(bad[i], buf_str(&r.outcomes), STR(LOST));
		rig_end(&r);
		CHECK_STR(bad[i], buf_str(&r.outcomes), STR(LOST));
		CHECK(bad[i], r.message_count == 0);
		rig_done(&r);
	}
}

#define MIB (1 << 20)

/* A chunk of n octets, or one that is announced only. */
static void say_chunk(struct rig *r, uint64_t n, bool is_last, bool is_there)
{
	char line[64];
	char *octets;

	(void)snprintf(line, sizeof(line), "BDAT %llu%s\r\n", (unsigned long long)n,
		is_last ? " LAST" : "");
	rig_say(r, line);
	if (!is_there || n == 0)
		return;
	octets = malloc(n);
	CU_ASSERT_PTR_NOT_NULL_FATAL(octets);
	memset(octets, '\n', n);
	rig_feed(r, octets, n);
	free(octets);
}

/* Two chunks, the first one not last; 0: there is no first.  to_first, to_second: how
 * the replies begin; NULL: the octets do not come, as the reply does without. */
static void test_sizes(void)
{
	static const struct {
		const char *name;
		uint64_t max, first, second;
		const char *replies;
		const char *outcomes;
		bool is_last;
		bool is_over;
	} cases[] = {
		{"fits", 10, 0, 10, STORED(1) OK, STORED_TO, true, false},
		{"fits in two", 10, 4, 6, GOT(4) STORED(1) OK, STORED_TO, true, false},
		{"one too many", 10, 0, 11, TOO_LARGE OK, "", true, false},
		{"one too many, not last", 10, 0, 11, TOO_LARGE OK, "", false, false},
		{"one too many in two", 10, 4, 7, GOT(4) TOO_LARGE OK,
			"552 1 b@example.org\n", true, false},
		{"one too many in two, not last", 10, 4, 7, GOT(4) TOO_LARGE OK,
			"552 1 b@example.org\n", false, false},
		{"nothing is too many", 10, 10, 0, GOT(10) STORED(1) OK, STORED_TO, true,
			false},
		{"the most that is read", 10, 0, MIB + 10, TOO_LARGE OK, "", true, false},
		{"more", 10, 0, MIB + 11, TOO_LARGE, "", true, true},
		{"more, not last", 10, 0, MIB + 11, TOO_LARGE, "", false, true},
		{"more in two", 10, 1, MIB + 11, GOT(1) TOO_LARGE,
			"552 1 b@example.org\n", true, true},
		{"32 bits", 10, 0, UINT32_MAX, TOO_LARGE, "", true, true},
		{"64 bits", 10, 0, UINT64_MAX, TOO_LARGE, "", true, true},
		{"64 bits in two", 10, 1, UINT64_MAX, GOT(1) TOO_LARGE,
			"552 1 b@example.org\n", true, true},
		{"sum of 64 bits", UINT64_MAX - 1, 2, UINT64_MAX - 2, GOT(2),
			"0 1 b@example.org\n", true, false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		rig_init(&r);
		r.settings.message_size_max = cases[i].max;
		/* As they arrive, not as they are stored. */
		r.settings.bare_newline = BARE_NEWLINE_NORMALIZE;
		rig_start(&r);
		rig_say(&r, EHLO MAIL RCPT);
		rig_forget(&r);
		if (cases[i].first > 0)
			say_chunk(&r, cases[i].first, false, true);
		say_chunk(&r, cases[i].second, cases[i].is_last,
			cases[i].second <= 2 * MIB);
		rig_say(&r, "NOOP\r\n");
		CHECK_STR(cases[i].name, rig_output(&r), str_of(cases[i].replies));
		CHECK(cases[i].name, r.is_over == cases[i].is_over);
		rig_end(&r);
		CHECK_STR(cases[i].name, buf_str(&r.outcomes), str_of(cases[i].outcomes));
		rig_done(&r);
	}
}

/* Of a refused command, too, no more than that is read. */
static void test_refused_sizes(void)
{
	static const struct {
		const char *name;
		uint64_t size;
		bool is_over;
	} cases[] = {
		{"none", 0, false},
		{"one", 1, false},
		{"the most", MIB + 10, false},
		{"more", MIB + 11, true},
		{"64 bits", UINT64_MAX, true},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		rig_init(&r);
		r.settings.message_size_max = 10;
		rig_start(&r);
		rig_forget(&r);
		say_chunk(&r, cases[i].size, false, !cases[i].is_over);
		rig_say(&r, "NOOP\r\n");
		CHECK_STR(cases[i].name, rig_output(&r),
			cases[i].is_over ? STR("503 5.5.1 MAIL comes first\r\n")
					 : STR("503 5.5.1 MAIL comes first\r\n" OK));
		CHECK(cases[i].name, r.is_over == cases[i].is_over);
		CHECK_STR(cases[i].name, buf_str(&r.answers),
			cases[i].is_over ? STR("BDAT 503\n")
					 : STR("BDAT 503\nNOOP 250\n"));
		rig_end(&r);
		rig_done(&r);
	}
}

/* --- what comes from outside -------------------------------------------------------- */

#define TIMEOUT "421 4.4.2 sink.example.test Timeout\r\n"
#define EXPIRED "421 4.4.2 sink.example.test Session lasted too long\r\n"
#define STOP    "421 4.3.2 sink.example.test Service is shutting down\r\n"
#define RETIRED                                                                          \
	"421 4.3.2 sink.example.test Service has a new configuration, connect again\r\n"

#define BETWEEN "BDAT 1\r\na"
#define WITHIN  "BDAT 2\r\na"
#define BROKEN  "BDAT x\r\n"
#define THROWN  "BDAT x\r\nBDAT 2\r\na"

/* reply: to the event; after: what is said then, if the session goes on, and reply_after
 * what comes of it, to the end. */
struct event_case {
	const char *name;
	const char *before;
	enum smtp_event event;
	const char *reply;
	const char *after;
	const char *reply_after;
	const char *outcomes;
};

static const struct event_case event_cases[] = {
	{"gone between", BETWEEN, SMTP_END_OF_STREAM, "", NULL, NULL, LOST},
	{"gone within", WITHIN, SMTP_END_OF_STREAM, "", NULL, NULL, LOST},
	{"gone when broken", BETWEEN BROKEN, SMTP_END_OF_STREAM, "", NULL, NULL, LOST},
	{"gone, thrown away", BETWEEN THROWN, SMTP_END_OF_STREAM, "", NULL, NULL, LOST},
	{"idle between", BETWEEN, SMTP_TIMED_OUT, TIMEOUT, NULL, NULL, LOST},
	{"idle within", WITHIN, SMTP_TIMED_OUT, TIMEOUT, NULL, NULL, LOST},
	{"idle when broken", BROKEN, SMTP_TIMED_OUT, TIMEOUT, NULL, NULL, ""},
	{"idle, thrown away", THROWN, SMTP_TIMED_OUT, TIMEOUT, NULL, NULL, ""},
	{"old between", BETWEEN, SMTP_SESSION_EXPIRED, EXPIRED, NULL, NULL, LOST},
	{"old within", WITHIN, SMTP_SESSION_EXPIRED, EXPIRED, NULL, NULL, LOST},
	{"drain now between", BETWEEN, SMTP_DRAIN_NOW, STOP, NULL, NULL, LOST},
	{"drain now within", WITHIN, SMTP_DRAIN_NOW, STOP, NULL, NULL, LOST},
	{"drain between", BETWEEN, SMTP_DRAIN, "", "NOOP\r\nBDAT 1 LAST\r\nb" MAIL,
		OK STORED(1) STOP, STORED_TO},
	{"drain within", WITHIN, SMTP_DRAIN, "", "bBDAT 0 LAST\r\n" MAIL,
		GOT(2) STORED(1) STOP, STORED_TO},
	{"drain, then RSET", BETWEEN, SMTP_DRAIN, "", "RSET\r\n" MAIL, OK STOP, LOST},
	{"drain, then a mistake", BETWEEN, SMTP_DRAIN, "", BROKEN MAIL, SYNTAX STOP,
		LOST},
	{"drain, then too large", BETWEEN, SMTP_DRAIN, "", "BDAT 5\r\n12345" MAIL,
		TOO_LARGE STOP, "552 1 b@example.org\n"},
	{"drain when broken", BROKEN, SMTP_DRAIN, STOP, NULL, NULL, ""},
	{"drain, thrown away", THROWN, SMTP_DRAIN, "", "b" MAIL, STOP, ""},
	{"retire between", BETWEEN, SMTP_RETIRE, "", "NOOP\r\nBDAT 1 LAST\r\nb" MAIL,
		OK STORED(1) RETIRED, STORED_TO},
	{"retire within", WITHIN, SMTP_RETIRE, "", "bBDAT 0 LAST\r\n" MAIL,
		GOT(2) STORED(1) RETIRED, STORED_TO},
	{"retire when broken", BROKEN, SMTP_RETIRE, RETIRED, NULL, NULL, ""},
	{"retire, thrown away", THROWN, SMTP_RETIRE, "", "b" MAIL, RETIRED, ""},
};

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text);

	return n >= strlen(end) && strcmp(text + n - strlen(end), end) == 0;
}

static void check_event(const struct event_case *c)
{
	bool is_within = ends_in(c->before, WITHIN);
	struct rig r;

	rig_init(&r);
	r.settings.message_size_max = 5;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT);
	rig_say(&r, c->before);
	CHECK(c->name, smtp_is_in_data(r.engine) == is_within);
	CHECK(c->name, !smtp_is_mid_line(r.engine));
	buf_reset(&r.output);
	rig_notify(&r, c->event);
	CHECK_STR(c->name, rig_output(&r), str_of(c->reply));
	CHECK(c->name, r.is_over == (c->after == NULL));
	if (c->after != NULL) {
		rig_say(&r, c->after);
		CHECK_STR(c->name, rig_output(&r), str_of(c->reply_after));
		CHECK(c->name, r.is_over);
	}
	rig_end(&r);
	CHECK_STR(c->name, buf_str(&r.outcomes), str_of(c->outcomes));
	/* The next one knows nothing of it. */
	rig_forget(&r);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT "BDAT 1\r\nxBDAT 1 LAST\r\ny");
	CHECK_STR(c->name, buf_str(&r.outcomes), STR(STORED_TO));
	rig_end(&r);
	rig_done(&r);
}

static void test_events(void)
{
	for (size_t i = 0; i < COUNT_OF(event_cases); i++)
		check_event(&event_cases[i]);
}

/* All is forgotten when TLS starts, and nothing happens twice when it does not. */
static void test_starttls(void)
{
	static const struct {
		const char *name;
		enum rig_tls tls;
		enum rig_tls_input input;
		const char *replies;
		const char *trace;
		bool is_over;
	} cases[] = {
		{"starts", RIG_TLS_STARTS, RIG_TLS_INPUT_NONE,
			"220 2.0.0 Ready to start TLS\r\n503 5.5.1 MAIL comes first\r\n",
			"command STARTTLS\nabort\ntransaction\ncommand BDAT\n"
			"connection_ended\n",
			false},
		{"fails", RIG_TLS_FAILS, RIG_TLS_INPUT_NONE,
			"220 2.0.0 Ready to start TLS\r\n",
			"command STARTTLS\nabort\nconnection_ended\n", true},
		{"has input", RIG_TLS_STARTS, RIG_TLS_INPUT_SOME,
			"554 5.5.1 Nothing may follow STARTTLS\r\n",
			"command STARTTLS\nabort\nconnection_ended\n", true},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		rig_init(&r);
		r.peer.settings.tls = LISTEN_TLS_STARTTLS;
		r.tls = cases[i].tls;
		r.tls_input = cases[i].input;
		rig_start(&r);
		rig_say(&r, EHLO MAIL RCPT BETWEEN);
		rig_forget(&r);
		rig_say(&r, "STARTTLS\r\n");
		rig_say(&r, "BDAT 1 LAST\r\nb");
		CHECK_STR(cases[i].name, rig_output(&r), str_of(cases[i].replies));
		CHECK(cases[i].name, r.is_over == cases[i].is_over);
		rig_end(&r);
		CHECK_STR(cases[i].name, rig_trace(&r), str_of(cases[i].trace));
		CHECK_STR(cases[i].name, buf_str(&r.outcomes), STR(LOST));
		rig_done(&r);
	}
}

/* Once for each chunk, behind it, or at once when it is refused. */
static void test_answers(void)
{
	struct rig r;

	rig_init(&r);
	r.settings.message_size_max = 5;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT);
	rig_forget(&r);
	rig_say(&r, "BDAT 2\r\na");
	CHECK_STR("within", buf_str(&r.answers), STR(""));
	rig_say(&r, "bBDAT 0\r\nBDAT 1 LAST\r\n");
	CHECK_STR("behind", buf_str(&r.answers), STR("BDAT 250\nBDAT 250\n"));
	CHECK_STR("told", buf_str(&r.told),
		STR("C: BDAT 2\nS: 250 2.0.0 2 octets received\nC: BDAT 0\n"
		    "S: 250 2.0.0 0 octets received\nC: BDAT 1 LAST\n"));
	rig_say(&r, "c" MAIL RCPT "BDAT 6\r\n123456BDAT 2\r\na");
	CHECK_STR("refused", buf_str(&r.answers),
		STR("BDAT 250\nBDAT 250\nBDAT 250\nMAIL 250\nRCPT 250\nBDAT 552\n"
		    "BDAT 503\n"));
	rig_say(&r, "bRSET\r\n");
	CHECK_STR("and not again", buf_str(&r.answers),
		STR("BDAT 250\nBDAT 250\nBDAT 250\nMAIL 250\nRCPT 250\nBDAT 552\n"
		    "BDAT 503\nRSET 250\n"));
	rig_end(&r);
	rig_done(&r);
}

/* That we go then is no answer to it. */
static void test_last_answer(void)
{
	static const char *const lasts[] = {"BDAT 0 LAST\r\n", "BDAT 1 LAST\r\nb"};

	for (size_t i = 0; i < COUNT_OF(lasts); i++) {
		struct rig r;

		rig_init(&r);
		rig_start(&r);
		rig_say(&r, EHLO MAIL RCPT BETWEEN);
		rig_notify(&r, SMTP_DRAIN);
		rig_forget(&r);
		rig_say(&r, lasts[i]);
		CHECK_STR(lasts[i], rig_output(&r), STR(STORED(1) STOP));
		CHECK_STR(lasts[i], buf_str(&r.answers), STR("BDAT 250\n"));
		rig_end(&r);
		rig_done(&r);
	}
}

/* Too many mistakes end the session, and then nothing is thrown away any more. */
static void test_errors(void)
{
	struct rig r;

	rig_init(&r);
	r.settings.errors_max = 2;
	rig_start(&r);
	rig_forget(&r);
	rig_say(&r, "BDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\n");
	CHECK_STR("errors", rig_output(&r),
		STR("503 5.5.1 MAIL comes first\r\n503 5.5.1 MAIL comes first\r\n"
		    "421 4.7.0 sink.example.test Too many errors\r\n"));
	CHECK("over", r.is_over && smtp_next(r.engine) == SMTP_CLOSE);
	rig_end(&r);
	rig_done(&r);
}

/* Where CHUNKING is not offered, octets are not commands either. */
static void test_not_offered(void)
{
	struct rig r;

	rig_init(&r);
	r.peer.settings.extensions &= ~EXTENSION_BIT(EXTENSION_CHUNKING);
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT);
	CHECK("not offered", memmem(r.output.p, r.output.len, "CHUNKING", 8) == NULL);
	rig_forget(&r);
	rig_say(&r, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
	CHECK_STR("refused", rig_output(&r),
		STR("502 5.5.1 BDAT is not offered here\r\n" OK));
	rig_end(&r);
	rig_done(&r);
}

void suite_chunk_limits(void)
{
	CU_pSuite s = CU_add_suite("chunk limits", NULL, NULL);

	CU_add_test(s, "syntax", test_syntax);
	CU_add_test(s, "sizes", test_sizes);
	CU_add_test(s, "refused sizes", test_refused_sizes);
	CU_add_test(s, "events", test_events);
	CU_add_test(s, "STARTTLS", test_starttls);
	CU_add_test(s, "answers", test_answers);
	CU_add_test(s, "last answer", test_last_answer);
	CU_add_test(s, "errors", test_errors);
	CU_add_test(s, "not offered", test_not_offered);
}
