/* smtp/session: TLS as the engine sees it: STARTTLS and implicit (RFC 3207, RFC 8314). */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "rig_parts.h"
#include "smtp/engine.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define AUTH "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n" /* NUL joe NUL secret */

#define READY    "220 2.0.0 Ready to start TLS\r\n"
#define GREETING "220 sink.example.test ESMTP sinkd\r\n"
#define FIRST    "530 5.7.0 Must issue a STARTTLS command first\r\n"

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void init(struct rig *r, enum listen_tls tls, enum rig_tls handshake)
{
	rig_init(r);
	r->peer.settings.tls = tls;
	r->peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r->hooks.plain_auth = NULL;
	r->tls = handshake;
}

/* The order of the words, and what is forgotten. */
static void test_starttls(void)
{
	struct rig r;

	init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_WAITS);
	r.settings.plaintext_auth = PLAINTEXT_AUTH_ALWAYS;
	rig_start(&r);
	rig_say(&r, EHLO);
	CHECK("offered", has(rig_output(&r), "250-STARTTLS\r\n"));
	rig_say(&r, AUTH MAIL);
	rig_forget(&r);
	rig_say(&r, "HELP\r\n");
	CHECK("in HELP", has(rig_output(&r), " STARTTLS"));
	rig_forget(&r);
	rig_say(&r, "NOOP\r\nSTARTTLS\r\n");
	CHECK_STR("ready", rig_output(&r), STR("250 2.0.0 Ok\r\n" READY));
	CHECK("waits", smtp_next(r.engine) == SMTP_STARTTLS);
	CHECK_STR("answers", buf_str(&r.answers), STR("NOOP 250\nSTARTTLS 220\n"));
	rig_forget(&r);
	rig_start_tls(&r);
	CHECK_STR("says nothing", rig_output(&r), STR(""));
	CHECK_STR("tells the hooks", rig_trace(&r), STR("transaction\n"));
	CHECK_STR("no name", smtp_helo(r.engine), STR(""));
	rig_say(&r, MAIL RCPT AUTH);
	CHECK_STR("forgotten", rig_output(&r),
		STR("503 5.5.1 EHLO or HELO comes first\r\n503 5.5.1 MAIL comes first\r\n"
		    "503 5.5.1 EHLO comes first\r\n"));
	rig_forget(&r);
	rig_say(&r, EHLO);
	CHECK("not offered again", !has(rig_output(&r), "STARTTLS"));
	CHECK("binding", has(rig_output(&r), "250-AUTH SCRAM-SHA-256-PLUS "));
	rig_forget(&r);
	rig_say(&r, "STARTTLS\r\nHELP\r\n" AUTH);
	CHECK("not again", has(rig_output(&r), "503 5.5.1 TLS is in use already\r\n"));
	CHECK("not in HELP", !has(rig_output(&r), "STARTTLS"));
	CHECK("AUTH anew", has(rig_output(&r), "235 2.7.0 "));
	CHECK_STR("version", r.engine->envelope.client.tls.version, STR("TLSv1.3"));
	rig_say(&r, MAIL RCPT "DATA\r\nx\r\n.\r\n");
	CHECK("stored", r.message_count == 1);
	CHECK_STR("still there", r.engine->envelope.client.tls.version, STR("TLSv1.3"));
	rig_end(&r);
	rig_forget(&r);
	rig_start(&r);
	CHECK("the next is in plain text", r.engine->envelope.client.tls.version.n == 0);
	rig_say(&r, EHLO);
	CHECK("offered to the next", has(rig_output(&r), "250-STARTTLS\r\n"));
	rig_end(&r);
	rig_done(&r);
}

static void test_refused(void)
{
	struct rig r;

	init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_WAITS);
	rig_start(&r);
	rig_forget(&r);
	rig_say(&r, "STARTTLS now\r\nstarttls\t \r\n");
	CHECK_STR(
		"argument", rig_output(&r), STR("501 5.5.4 Syntax: STARTTLS\r\n" READY));
	rig_end(&r);
	rig_done(&r);
	init(&r, LISTEN_TLS_OFF, RIG_TLS_WAITS);
	rig_start(&r);
	rig_say(&r, EHLO "HELP\r\n");
	CHECK("not offered", !has(rig_output(&r), "STARTTLS"));
	rig_forget(&r);
	rig_say(&r, "STARTTLS\r\nNOOP\r\n");
	CHECK_STR("off", rig_output(&r),
		STR("502 5.5.1 STARTTLS is not offered here\r\n250 2.0.0 Ok\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* CVE-2011-0411: what came in plain text is never taken for what came over TLS. */
static void test_injection(void)
{
	struct rig r;

	init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_STARTS);
	rig_start(&r);
	rig_say(&r, EHLO);
	rig_forget(&r);
	rig_say(&r, "STARTTLS\r\n" EHLO MAIL);
	CHECK_STR("refused", rig_output(&r),
		STR("554 5.5.1 Nothing may follow STARTTLS\r\n"));
	CHECK("closed", r.is_over && !r.is_dropped);
	CHECK_STR("answers", buf_str(&r.answers), STR("STARTTLS 554\n"));
	CHECK("not even looked at", !has(rig_trace(&r), "command EHLO"));
	rig_end(&r);
	rig_done(&r);
	/* One byte is enough, and it is not consumed. */
	init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_STARTS);
	rig_start(&r);
	CHECK("stops there", smtp_feed(r.engine, "STARTTLS\r\nx", 11) == 10);
	CHECK("wants it", smtp_next(r.engine) == SMTP_STARTTLS);
	CHECK("hears nothing", smtp_feed(r.engine, "x", 1) == 0);
	CHECK("refuses", !smtp_begin_tls(r.engine, true));
	CHECK("closes", smtp_next(r.engine) == SMTP_CLOSE);
	smtp_tls_started(r.engine, &r.tls_session, NULL);
	CHECK("for good", smtp_next(r.engine) == SMTP_CLOSE && !r.engine->is_tls);
	rig_end(&r);
	rig_done(&r);
}

/* RFC 3207, 4: what may be said before TLS where that is required. */
static void test_required(void)
{
	static const struct {
		const char *line;
		bool is_open;
	} cases[] = {
		{EHLO, true},
		{"HELO x\r\n", true},
		{"NOOP\r\n", true},
		{"RSET\r\n", true},
		{"HELP\r\n", true},
		{"FOO\r\n", true},
		{"STARTTLS x\r\n", true},
		{"QUIT\r\n", true},
		{MAIL, false},
		{"MAIL\r\n", false},
		{RCPT, false},
		{"DATA\r\n", false},
		{AUTH, false},
		{"AUTH\r\n", false},
		{"VRFY x\r\n", false},
		{"EXPN x\r\n", false},
	};
	struct rig r;

	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		const char *line = cases[i / 2].line;

		init(&r, LISTEN_TLS_REQUIRED, RIG_TLS_STARTS);
		r.settings.plaintext_auth = PLAINTEXT_AUTH_ALWAYS;
		rig_start(&r);
		if (i % 2 == 0)
			rig_say(&r, EHLO);
		CHECK(line, !has(rig_output(&r), "AUTH"));
		rig_forget(&r);
		rig_say(&r, line);
		CHECK(line, has(rig_output(&r), "530 ") == !cases[i / 2].is_open);
		if (!cases[i / 2].is_open)
			CHECK_STR(line, rig_output(&r), STR(FIRST));
		rig_say(&r, "STARTTLS\r\n");
		rig_say(&r, EHLO);
		rig_forget(&r);
		rig_say(&r, AUTH MAIL);
		CHECK(line, r.is_over || has(rig_output(&r), "250 2.1.0 "));
		rig_end(&r);
		rig_done(&r);
	}
}

/* Not a word before the handshake; the hooks know of nobody until then. */
static void test_implicit(void)
{
	struct rig r;

	init(&r, LISTEN_TLS_IMPLICIT, RIG_TLS_WAITS);
	rig_start(&r);
	CHECK("wants it", smtp_next(r.engine) == SMTP_STARTTLS);
	CHECK("silence", r.output.len == 0 && r.trace.len == 0);
	rig_start_tls(&r);
	CHECK_STR("greets", rig_output(&r), STR(GREETING));
	CHECK_STR("asks", rig_trace(&r),
		STR("connect 192.0.2.7\nserver_domain\nserver_greeting\n"));
	rig_say(&r, EHLO "STARTTLS\r\n");
	CHECK("not offered", !has(rig_output(&r), "250-STARTTLS"));
	CHECK("not again", has(rig_output(&r), "503 5.5.1 TLS is in use already\r\n"));
	rig_say(&r, AUTH MAIL RCPT "DATA\r\nx\r\n.\r\n");
	CHECK("stored", r.message_count == 1);
	rig_end(&r);

	rig_forget(&r);
	smtp_refuse(r.engine, &r.peer, 421, "4.7.0", "Too many sessions");
	CHECK("refused without a word",
		smtp_output(r.engine).n == 0 && smtp_next(r.engine) == SMTP_DROP);
	smtp_end(r.engine);
	CHECK_STR("asks nobody", rig_trace(&r), STR(""));
	rig_done(&r);
}

static void refuse_connect(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)r;
	(void)argument;
	if (hook == RIG_CONNECT)
		verdict->code = 550;
}

static void test_implicit_refusal(void)
{
	struct rig r;

	init(&r, LISTEN_TLS_IMPLICIT, RIG_TLS_STARTS);
	r.judge = refuse_connect;
	rig_start(&r);
	CHECK("refused", has(rig_output(&r), "550 5.7.1 ") && r.is_over);
	rig_end(&r);
	rig_done(&r);
}

/* What comes while the hands are shaken: there is no way to say anything then. */
static void test_events(void)
{
	static const struct {
		const char *name;
		enum smtp_event event;
		bool goes_on;
	} cases[] = {
		{"failed", SMTP_TLS_FAILED, false},
		{"gone", SMTP_END_OF_STREAM, false},
		{"timed out", SMTP_TIMED_OUT, false},
		{"expired", SMTP_SESSION_EXPIRED, false},
		{"drain now", SMTP_DRAIN_NOW, false},
		{"drain", SMTP_DRAIN, true},
		{"retire", SMTP_RETIRE, true},
	};

	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		bool is_implicit = i % 2 == 0;
		const char *name = cases[i / 2].name;
		struct rig r;

		init(&r, is_implicit ? LISTEN_TLS_IMPLICIT : LISTEN_TLS_STARTTLS,
			RIG_TLS_WAITS);
		rig_start(&r);
		if (!is_implicit)
			rig_say(&r, EHLO MAIL "STARTTLS\r\n");
		rig_forget(&r);
		rig_notify(&r, cases[i / 2].event);
		CHECK_STR(name, rig_output(&r), STR(""));
		CHECK(name, r.is_over == !cases[i / 2].goes_on);
		CHECK(name, r.is_dropped == r.is_over);
		if (cases[i / 2].goes_on) {
			rig_start_tls(&r);
			CHECK(name, has(rig_output(&r), "421 4.3.2 ") && r.is_over);
			CHECK(name, r.output.p[0] == '4');
		}
		rig_end(&r);
		CHECK(name, has(rig_trace(&r), "connection_ended") == !is_implicit);
		rig_done(&r);
	}
}

static void delay_starttls(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)r;
	if (hook == RIG_COMMAND && argument.len == strlen("STARTTLS"))
		verdict->delay_ms = 1000;
}

/* A hook makes the client wait; the server may go meanwhile, and say so. */
static void test_delay(void)
{
	struct rig r;

	for (int i = 0; i < 2; i++) {
		init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_WAITS);
		r.judge = delay_starttls;
		r.resumes = false;
		rig_start(&r);
		rig_forget(&r);
		rig_say(&r, "STARTTLS\r\n");
		CHECK("waits", smtp_next(r.engine) == SMTP_PAUSE);
		CHECK_STR("silent", rig_output(&r), STR(""));
		rig_notify(&r, i == 0 ? SMTP_RESUMED : SMTP_DRAIN_NOW);
		CHECK("goes on", has(rig_output(&r), i == 0 ? READY : "421 4.3.2 "));
		CHECK("over", r.is_over == (i == 1));
		rig_end(&r);
		rig_done(&r);
	}
}

/* The mechanisms know of the hook that judges passwords, before and after. */
static void test_judge(void)
{
	for (int has_hook = 0; has_hook < 2; has_hook++) {
		struct rig r;

		init(&r, LISTEN_TLS_STARTTLS, RIG_TLS_WAITS);
		if (has_hook)
			r.hooks.plain_auth = rig_hooks.plain_auth;
		rig_start(&r);
		CHECK("before", r.engine->sasl_session.has_judge == has_hook);
		rig_say(&r, "STARTTLS\r\n");
		rig_start_tls(&r);
		CHECK("TLS", r.engine->sasl_session.is_tls);
		CHECK("after", r.engine->sasl_session.has_judge == has_hook);
		rig_end(&r);
		rig_done(&r);
	}
}

void suite_starttls(void)
{
	CU_pSuite s = CU_add_suite("starttls", NULL, NULL);

	CU_add_test(s, "starttls", test_starttls);
	CU_add_test(s, "refused", test_refused);
	CU_add_test(s, "injection", test_injection);
	CU_add_test(s, "required", test_required);
	CU_add_test(s, "implicit", test_implicit);
	CU_add_test(s, "implicit, refused", test_implicit_refusal);
	CU_add_test(s, "events", test_events);
	CU_add_test(s, "delay", test_delay);
	CU_add_test(s, "judge", test_judge);
}
