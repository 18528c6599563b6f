/* smtp/auth: exchanges, order, offers, failures. */
#include <string.h>

#include "auth_fixture.h"
#include "smtp/engine.h"

struct exchange {
	const char *name;
	const char *say;
	const char *replies;
	const char *logins;
};

static const struct exchange exchanges[] = {
	{"PLAIN at once", "AUTH PLAIN " PLAIN_RIGHT "\r\n", OK235, "PLAIN joe 235\n"},
	{"PLAIN when asked", "AUTH PLAIN\r\n" PLAIN_RIGHT "\r\n", "334 \r\n" OK235,
		"PLAIN joe 235\n"},
	{"blanks", "AUTH \t PLAIN   " PLAIN_RIGHT "\t \r\n", OK235, "PLAIN joe 235\n"},
	{"lower case", "auth plain " PLAIN_RIGHT "\r\n", OK235, "PLAIN joe 235\n"},
	{"PLAIN wrong", "AUTH PLAIN " PLAIN_WRONG "\r\n", INVALID, "PLAIN joe 535\n"},
	{"PLAIN later", "AUTH PLAIN " PLAIN_LATER "\r\n", LATER, "PLAIN joe 454\n"},
	{"PLAIN empty", "AUTH PLAIN =\r\n", BAD_FORM, "PLAIN  501\n"},
	{"PLAIN empty when asked", "AUTH PLAIN\r\n\r\n", "334 \r\n" BAD_FORM,
		"PLAIN  501\n"},
	{"= is empty only at once", "AUTH PLAIN\r\n=\r\n", "334 \r\n" BAD_BASE64,
		"PLAIN  501\n"},
	{"LOGIN", "AUTH LOGIN\r\n" JOE "\r\n" SECRET "\r\n",
		"334 " USERNAME "\r\n334 " PASSWORD "\r\n" OK235, "LOGIN joe 235\n"},
	{"LOGIN with its name", "AUTH LOGIN " JOE "\r\n" SECRET "\r\n",
		"334 " PASSWORD "\r\n" OK235, "LOGIN joe 235\n"},
	{"LOGIN wrong", "AUTH LOGIN " JOE "\r\n" WRONG "\r\n",
		"334 " PASSWORD "\r\n" INVALID, "LOGIN joe 535\n"},
	{"LOGIN cancelled", "AUTH LOGIN\r\n" JOE "\r\n*\r\n",
		"334 " USERNAME "\r\n334 " PASSWORD "\r\n" CANCELLED, "LOGIN joe 501\n"},
	{"CRAM-MD5", "AUTH CRAM-MD5\r\n" CRAM_RIGHT "\r\n", "334 " CRAM "\r\n" OK235,
		"CRAM-MD5 joe 235\n"},
	{"CRAM-MD5 wrong", "AUTH CRAM-MD5\r\n" CRAM_WRONG "\r\n",
		"334 " CRAM "\r\n" INVALID, "CRAM-MD5 joe 535\n"},
	{"CRAM-MD5 broken", "AUTH CRAM-MD5\r\n" JOE "\r\n", "334 " CRAM "\r\n" BAD_FORM,
		"CRAM-MD5  501\n"},
	{"CRAM-MD5 speaks second", "AUTH CRAM-MD5 " CRAM_RIGHT "\r\n", TOO_EARLY,
		"CRAM-MD5  501\n"},
	{"CRAM-MD5 speaks second, empty", "AUTH CRAM-MD5 =\r\n", TOO_EARLY,
		"CRAM-MD5  501\n"},
	{"SCRAM", "AUTH SCRAM-SHA-256 " SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n\r\n",
		"334 " SCRAM_FIRST "\r\n334 " SCRAM_LAST "\r\n" OK235,
		"SCRAM-SHA-256 joe 235\n"},
	{"SCRAM when asked",
		"AUTH SCRAM-SHA-256\r\n" SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n\r\n",
		"334 \r\n334 " SCRAM_FIRST "\r\n334 " SCRAM_LAST "\r\n" OK235,
		"SCRAM-SHA-256 joe 235\n"},
	{"SCRAM wrong", "AUTH SCRAM-SHA-256 " SCRAM_FIRST "\r\n" SCRAM_WRONG "\r\n",
		"334 " SCRAM_FIRST "\r\n" INVALID, "SCRAM-SHA-256 joe 535\n"},
	{"SCRAM cancelled at its end",
		"AUTH SCRAM-SHA-256 " SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n*\r\n",
		"334 " SCRAM_FIRST "\r\n334 " SCRAM_LAST "\r\n" CANCELLED,
		"SCRAM-SHA-256 joe 501\n"},
	{"SCRAM with more at its end",
		"AUTH SCRAM-SHA-256 " SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n" JOE "\r\n",
		"334 " SCRAM_FIRST "\r\n334 " SCRAM_LAST
		"\r\n501 5.5.2 Only an empty line may follow\r\n",
		"SCRAM-SHA-256 joe 501\n"},
	{"SCRAM with = at its end",
		"AUTH SCRAM-SHA-256 " SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n=\r\n",
		"334 " SCRAM_FIRST "\r\n334 " SCRAM_LAST
		"\r\n501 5.5.2 Only an empty line may follow\r\n",
		"SCRAM-SHA-256 joe 501\n"},
	{"* as a first response", "AUTH PLAIN *\r\n", BAD_BASE64, "PLAIN  501\n"},
	{"cancelled", "AUTH PLAIN\r\n*\r\n", "334 \r\n" CANCELLED, "PLAIN  501\n"},
	{"a blank behind the *", "AUTH PLAIN\r\n* \r\n", "334 \r\n" BAD_BASE64,
		"PLAIN  501\n"},
	{"bad base64", "AUTH PLAIN AGpvZ\r\n", BAD_BASE64, "PLAIN  501\n"},
	{"bad base64 when asked", "AUTH PLAIN\r\nA Gpv\r\n", "334 \r\n" BAD_BASE64,
		"PLAIN  501\n"},
	{"NUL in base64", "AUTH PLAIN\r\nA\x01pv\r\n", "334 \r\n" BAD_BASE64,
		"PLAIN  501\n"},
	{"a blank behind the response", "AUTH PLAIN\r\n" PLAIN_RIGHT " \r\n",
		"334 \r\n" BAD_BASE64, "PLAIN  501\n"},
	{"two responses", "AUTH PLAIN " PLAIN_RIGHT " x\r\n", BAD_BASE64, "PLAIN  501\n"},
	{"a command in the exchange is none", "AUTH PLAIN\r\nQUIT\r\nNOOP\r\n",
		"334 \r\n" BAD_FORM "250 2.0.0 Ok\r\n", "PLAIN  501\n"},
	{"unknown", "AUTH XOAUTH2 " PLAIN_RIGHT "\r\n", UNKNOWN, ""},
	{"unknown, long", "AUTH PLAINPLAINPLAINPLAINPLAIN\r\n", UNKNOWN, ""},
	{"known, longer", "AUTH PLAINX\r\n", UNKNOWN, ""},
	{"known, shorter", "AUTH PLAI\r\n", UNKNOWN, ""},
	{"odd", "AUTH =\r\n", UNKNOWN, ""},
	{"without a certificate", "AUTH EXTERNAL =\r\n", UNKNOWN, ""},
	{"without a binding", "AUTH SCRAM-SHA-256-PLUS\r\n", UNKNOWN, ""},
	{"no mechanism", "AUTH\r\n", SYNTAX, ""},
	{"no mechanism, blank", "AUTH \r\n", SYNTAX, ""},
	{"again", "AUTH PLAIN " PLAIN_RIGHT "\r\nAUTH PLAIN " PLAIN_RIGHT "\r\n",
		OK235 AGAIN, "PLAIN joe 235\n"},
	{"again after a failure",
		"AUTH PLAIN " PLAIN_WRONG "\r\nAUTH LOGIN " JOE "\r\n" SECRET "\r\n",
		INVALID "334 " PASSWORD "\r\n" OK235, "PLAIN joe 535\nLOGIN joe 235\n"},
	{"in a transaction", MAIL "AUTH PLAIN " PLAIN_RIGHT "\r\n",
		"250 2.1.0 Ok\r\n" IN_MAIL, ""},
	{"after HELO", "HELO x\r\nAUTH PLAIN " PLAIN_RIGHT "\r\n",
		"250 sink.example.test\r\n" NO_EHLO, ""},
	{"survives RSET", "AUTH PLAIN " PLAIN_RIGHT "\r\nRSET\r\nAUTH PLAIN\r\n",
		OK235 "250 2.0.0 Ok\r\n" AGAIN, "PLAIN joe 235\n"},
	{"survives HELO and EHLO",
		"AUTH PLAIN " PLAIN_RIGHT "\r\nHELO x\r\n" EHLO "AUTH PLAIN\r\n",
		OK235 "250 sink.example.test\r\n250-sink.example.test\r\n"
		      "250-PIPELINING\r\n250-SIZE 20971520\r\n250-8BITMIME\r\n"
		      "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
		      "250-DSN\r\n250-LIMITS RCPTMAX=1000\r\n250-NO-SOLICITING\r\n"
		      "250-VRFY\r\n250-HELP\r\n250 ENHANCEDSTATUSCODES\r\n" AGAIN,
		"PLAIN joe 235\n"},
};

static void play(const struct exchange *e, size_t step)
{
	size_t n = strlen(e->say);
	struct rig r;

	init(&r);
	begin(&r);
	for (size_t at = 0; at < n; at += step)
		rig_feed(&r, e->say + at, n - at < step ? n - at : step);
	CHECK_STR(e->name, rig_output(&r), str_of(e->replies));
	CHECK_STR(e->name, buf_str(&r.logins), str_of(e->logins));
	CHECK(e->name, !has(buf_str(&r.told), SECRET));
	CHECK(e->name, !has(buf_str(&r.told), PLAIN_RIGHT));
	CHECK(e->name, !has(buf_str(&r.told), PLAIN_WRONG));
	CHECK(e->name, !has(rig_trace(&r), "AGpv"));
	rig_end(&r);
	rig_done(&r);
}

static void test_exchanges(void)
{
	for (size_t i = 0; i < COUNT_OF(exchanges); i++) {
		play(&exchanges[i], 1);
		play(&exchanges[i], 7);
		play(&exchanges[i], 4096);
	}
}

/* Before EHLO, where it is off, and where there is nobody to do it. */
static void test_not_now(void)
{
	struct rig r;

	init(&r);
	rig_start(&r);
	rig_forget(&r);
	rig_say(&r, "AUTH PLAIN " PLAIN_RIGHT "\r\n");
	CHECK_STR("before EHLO", rig_output(&r), STR(NO_EHLO));
	rig_end(&r);
	rig_done(&r);
	for (int i = 0; i < 2; i++) {
		init(&r);
		if (i == 0)
			r.peer.settings.auth = LISTEN_AUTH_OFF;
		else
			r.has_sasl = false;
		begin(&r);
		rig_say(&r, "AUTH PLAIN " PLAIN_RIGHT "\r\nAUTH\r\n"
			    "MAIL FROM:<a@example.org> AUTH=<>\r\nHELP\r\n" EHLO);
		CHECK("off", has(rig_output(&r), NO_AUTH NO_AUTH "555 5.5.4 "));
		CHECK("off", !has(str_skip(rig_output(&r), 80), "AUTH"));
		CHECK("secret", !has(buf_str(&r.told), "AGpv"));
		rig_end(&r);
		rig_done(&r);
	}
}

/* The offer, and a mechanism that is missing from it. */
static void test_offers(void)
{
	static const struct {
		const char *name;
		enum plaintext_auth plaintext;
		bool is_loopback;
		const char *mechanism;
		const char *offer; /* NULL: none */
		const char *reply; /* to AUTH PLAIN */
	} cases[] = {
		{"on this machine", PLAINTEXT_AUTH_LOOPBACK, true, NULL,
			"250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\r\n", "334 \r\n"},
		{"from afar", PLAINTEXT_AUTH_LOOPBACK, false, NULL,
			"250-AUTH SCRAM-SHA-256 CRAM-MD5\r\n", NEEDS_TLS},
		{"always", PLAINTEXT_AUTH_ALWAYS, false, NULL,
			"250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\r\n", "334 \r\n"},
		{"never", PLAINTEXT_AUTH_NEVER, true, NULL,
			"250-AUTH SCRAM-SHA-256 CRAM-MD5\r\n", NEEDS_TLS},
		{"only PLAIN", PLAINTEXT_AUTH_NEVER, true, "PLAIN", NULL, NEEDS_TLS},
		{"only LOGIN", PLAINTEXT_AUTH_NEVER, true, "LOGIN", NULL, UNKNOWN},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		init(&r);
		r.settings.plaintext_auth = cases[i].plaintext;
		r.peer.is_loopback = cases[i].is_loopback;
		r.mechanism = cases[i].mechanism;
		rig_start(&r);
		rig_forget(&r);
		rig_say(&r, EHLO "HELP\r\n");
		CHECK(cases[i].name, cases[i].offer == NULL
					     ? !has(rig_output(&r), "AUTH")
					     : has(rig_output(&r), cases[i].offer) &&
						       has(rig_output(&r), " AUTH "));
		rig_forget(&r);
		rig_say(&r, "auth plain\r\n");
		CHECK_STR(cases[i].name, rig_output(&r), str_of(cases[i].reply));
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_required(void)
{
	struct rig r;

	init(&r);
	r.peer.settings.auth = LISTEN_AUTH_REQUIRED;
	begin(&r);
	rig_say(&r, MAIL RCPT "NOOP\r\nAUTH PLAIN " PLAIN_RIGHT "\r\n" MAIL);
	CHECK_STR("MAIL waits", rig_output(&r),
		STR("530 5.7.0 Authentication required\r\n503 5.5.1 MAIL comes first\r\n"
		    "250 2.0.0 Ok\r\n" OK235 "250 2.1.0 Ok\r\n"));
	rig_say(&r, RCPT "DATA\r\nx\r\n.\r\n");
	rig_forget(&r);
	rig_say(&r, MAIL);
	CHECK_STR("after a message", rig_output(&r), STR("250 2.1.0 Ok\r\n"));
	rig_end(&r);
	rig_forget(&r);
	begin(&r);
	rig_say(&r, MAIL);
	CHECK_STR("the next client", rig_output(&r),
		STR("530 5.7.0 Authentication required\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* Each failure waits longer than the one before, until no more are heard. */
static void test_failures(void)
{
	static const char attempt[] = "AUTH PLAIN " PLAIN_WRONG "\r\n";
	static const uint32_t delays_ms[] = {1000, 2000, 3000, 4000, 5000, 5000, 5000};
	struct rig r;

	init(&r);
	r.settings.auth_failures_max = COUNT_OF(delays_ms);
	r.settings.errors_max = 3;
	r.resumes = false;
	begin(&r);
	for (size_t i = 0; i < COUNT_OF(delays_ms); i++) {
		rig_forget(&r);
		rig_say(&r, attempt);
		CHECK("waits", smtp_next(r.engine) == SMTP_PAUSE);
		CHECK("how long", smtp_pause_ms(r.engine) == delays_ms[i]);
		CHECK_STR("says nothing yet", rig_output(&r), STR(""));
		CHECK("is told", has(buf_str(&r.logins), "PLAIN joe 535\n"));
		rig_notify(&r, SMTP_RESUMED);
		CHECK("over", r.is_over == (i + 1 == COUNT_OF(delays_ms)));
	}
	CHECK_STR("the last", rig_output(&r),
		STR(INVALID "421 4.7.0 sink.example.test Too many failed "
			    "authentications\r\n"));
	rig_end(&r);

	/* What cannot be checked now is no failure; cancelling is a mere mistake. */
	rig_forget(&r);
	r.resumes = true;
	begin(&r);
	for (int i = 0; i < 10; i++)
		rig_say(&r, "AUTH PLAIN " PLAIN_LATER "\r\n");
	CHECK("later", !r.is_over && r.pause_count == 0);
	rig_say(&r, "AUTH PLAIN\r\n*\r\nAUTH PLAIN x\r\n");
	CHECK("mistakes", !r.is_over && r.pause_count == 0);
	rig_forget(&r);
	rig_say(&r, "AUTH PLAIN\r\n*\r\nNOOP\r\n");
	CHECK_STR("too many", rig_output(&r),
		STR("334 \r\n" CANCELLED
		    "421 4.7.0 sink.example.test Too many errors\r\n"));
	CHECK("over", r.is_over);
	rig_end(&r);
	rig_done(&r);
}

/* One answer for the whole exchange. */
static void test_answers(void)
{
	struct rig r;

	init(&r);
	begin(&r);
	rig_say(&r, "AUTH LOGIN\r\n" JOE "\r\n" WRONG "\r\nAUTH PLAIN\r\n*\r\nAUTH\r\n"
		    "AUTH PLAIN\r\n" PLAIN_RIGHT "\r\nAUTH PLAIN\r\n");
	CHECK_STR("codes", buf_str(&r.answers),
		STR("AUTH 535\nAUTH 501\nAUTH 501\nAUTH 235\nAUTH 503\n"));
	CHECK("lines", smtp_line_count(r.engine) == 10);
	rig_end(&r);
	rig_done(&r);
}

/* The server goes, or the client does, in the middle of an exchange. */
static void test_events(void)
{
	static const struct {
		enum smtp_event event;
		const char *reply;
	} cases[] = {
		{SMTP_RETIRE, "421 4.3.2 "},
		{SMTP_DRAIN, "421 4.3.2 "},
		{SMTP_DRAIN_NOW, "421 4.3.2 "},
		{SMTP_TIMED_OUT, "421 4.4.2 "},
		{SMTP_SESSION_EXPIRED, "421 4.4.2 "},
		{SMTP_END_OF_STREAM, ""},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		init(&r);
		begin(&r);
		rig_say(&r, "AUTH LOGIN\r\n");
		rig_forget(&r);
		rig_notify(&r, cases[i].event);
		CHECK("over", r.is_over && r.output.len >= strlen(cases[i].reply));
		CHECK("last words", cases[i].reply[0] == '\0'
					    ? r.output.len == 0
					    : has(rig_output(&r), cases[i].reply));
		rig_end(&r);
		rig_forget(&r);
		begin(&r);
		rig_say(&r, "NOOP\r\n");
		CHECK_STR(
			"the next is not in it", rig_output(&r), STR("250 2.0.0 Ok\r\n"));
		rig_end(&r);
		rig_done(&r);
	}
}

/* AUTH= of MAIL: what it says, and when it is believed (RFC 4954, 5). */
static void test_auth_sender(void)
{
	static const struct {
		const char *name;
		const char *value;
		const char *reply;
		const char *sender; /* NULL: not given */
	} cases[] = {
		{"none", "", "250 ", NULL},
		{"unknown", " AUTH=<>", "250 ", ""},
		{"mailbox", " AUTH=e@example.org", "250 ", "e@example.org"},
		{"xtext", " auth=e+2Bb+3Dx@example.org", "250 ", "e+b=x@example.org"},
		{"quoted", " AUTH=\"a+20b\"@example.org", "250 ", "\"a b\"@example.org"},
		{"with others", " SIZE=1 AUTH=<> BODY=7BIT", "250 ", ""},
		{"twice", " AUTH=<> AUTH=<>", "501 5.5.4 ", NULL},
		{"empty", " AUTH=", "501 5.5.4 ", NULL},
		{"alone", " AUTH", "501 5.5.4 ", NULL},
		{"no mailbox", " AUTH=joe", "501 5.5.4 ", NULL},
		{"brackets", " AUTH=<joe@example.org>", "501 5.5.4 ", NULL},
		{"more brackets", " AUTH=joe@example.org>x", "501 5.5.4 ", NULL},
		{"bad xtext", " AUTH=e+2bb@example.org", "501 5.5.4 ", NULL},
		{"short xtext", " AUTH=e@example.org+2", "501 5.5.4 ", NULL},
		{"NUL", " AUTH=e+00@example.org", "501 5.5.4 ", NULL},
		{"line end", " AUTH=e@example.org+0D+0A", "501 5.5.4 ", NULL},
	};

	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		bool is_known = i % 2 == 0;
		const char *name = cases[i / 2].name, *sender = cases[i / 2].sender;
		const struct str *got;
		struct rig r;

		init(&r);
		begin(&r);
		if (is_known)
			rig_say(&r, "AUTH PLAIN " PLAIN_RIGHT "\r\n");
		rig_forget(&r);
		rig_say(&r, "MAIL FROM:<a@example.org>");
		rig_say(&r, cases[i / 2].value);
		rig_say(&r, "\r\n");
		CHECK(name, has(rig_output(&r), cases[i / 2].reply));
		got = &r.engine->envelope.auth_sender;
		CHECK(name, (got->p == NULL) == (sender == NULL));
		CHECK_STR(name, *got, str_of(is_known ? sender : NULL));
		CHECK_STR(name, r.engine->envelope.client.user,
			str_of(is_known ? "joe" : NULL));
		rig_end(&r);
		rig_done(&r);
	}
}

void suite_auth(void)
{
	CU_pSuite s = CU_add_suite("auth", NULL, NULL);

	CU_add_test(s, "exchanges", test_exchanges);
	CU_add_test(s, "not now", test_not_now);
	CU_add_test(s, "offers", test_offers);
	CU_add_test(s, "required", test_required);
	CU_add_test(s, "failures", test_failures);
	CU_add_test(s, "answers", test_answers);
	CU_add_test(s, "events", test_events);
	CU_add_test(s, "auth sender", test_auth_sender);
}
