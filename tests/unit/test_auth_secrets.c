/* smtp/auth: lines and challenges of any length, and that no secret gets out. */
#include <stdlib.h>
#include <string.h>

#include "auth_fixture.h"
#include "base/base64.h"
#include "smtp/engine.h"

/* A line of AUTH whose length with its end is n: begins with `start`, the rest is
 * what stands in fill. */
static void feed_long(struct rig *r, const char *start, char fill, size_t n, size_t step)
{
	char *line = malloc(n);

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	memset(line, fill, n);
	memcpy(line, start, strlen(start));
	memcpy(line + n - 2, "\r\n", 2);
	for (size_t at = 0; at < n; at += step)
		rig_feed(r, line + at, n - at < step ? n - at : step);
	free(line);
}

/* 12288 octets are fine whatever the limit of other lines, one more is not. */
static void test_long_lines(void)
{
	static const size_t maxima[] = {512, 4096, 65536};
	static const size_t steps[] = {1, 1000, 20000};
	static const char too_long[] = "500 5.5.6 Authentication line too long\r\n";

	for (size_t i = 0; i < COUNT_OF(maxima) * COUNT_OF(steps); i++) {
		size_t step = steps[i % COUNT_OF(steps)];
		struct rig r;

		init(&r);
		r.settings.line_length_max = maxima[i / COUNT_OF(steps)];
		begin(&r);
		/* 12275 characters are no base64, but get as far as that. */
		feed_long(&r, "AUTH PLAIN ", 'x', 12288, step);
		CHECK_STR("command", rig_output(&r), STR(BAD_BASE64));
		rig_forget(&r);
		feed_long(&r, "AUTH PLAIN ", 'x', 12289, step);
		CHECK_STR("command too long", rig_output(&r), str_of(too_long));
		CHECK_STR("began no exchange", buf_str(&r.logins), STR(""));
		rig_say(&r, "AUTH LOGIN\r\n");
		rig_forget(&r);
		feed_long(&r, "", 'x', 12286, step);
		CHECK_STR("response", rig_output(&r), STR("334 " PASSWORD "\r\n"));
		CHECK("told", r.sasl.name_n == sizeof(r.sasl.name) - 1);
		rig_forget(&r);
		feed_long(&r, "", 'x', 12289, step);
		rig_say(&r, "NOOP\r\n");
		CHECK("response too long", has(rig_output(&r), too_long));
		CHECK("ends it", has(rig_output(&r), "250 2.0.0 Ok\r\n"));
		CHECK("secrets", r.secret_count > 0 && !has(buf_str(&r.told), "xxx"));
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_flood(void)
{
	char *line = malloc(LINE_FLOOD_BYTES);
	struct rig r;

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	memset(line, 'x', LINE_FLOOD_BYTES);
	init(&r);
	begin(&r);
	rig_say(&r, "AUTH PLAIN\r\n");
	rig_forget(&r);
	rig_feed(&r, line, LINE_FLOOD_BYTES);
	CHECK("over", r.is_over && has(rig_output(&r), "421 4.7.0 "));
	CHECK("was one", r.secret_count == 1);
	rig_end(&r);
	rig_done(&r);
	free(line);
}

/* A mechanism that says too much, and a name that is too long or empty. */
static void test_mechanism_goes_too_far(void)
{
	static char said[CHALLENGE_MAX + 1], form[BASE64_ENCODED_SIZE(sizeof(said)) + 1];
	struct rig r;

	for (int extra = 0; extra < 2; extra++) {
		struct str first = {said, CHALLENGE_MAX + (size_t)extra};

		memset(said, 'x', sizeof(said));
		memcpy(said, "n,,n=joe,r=", strlen("n,,n=joe,r="));
		form[base64_encode(first, form)] = '\0';
		init(&r);
		begin(&r);
		rig_say(&r, "AUTH SCRAM-SHA-256\r\n");
		rig_forget(&r);
		rig_say(&r, form);
		rig_say(&r, "\r\n");
		if (extra > 0)
			CHECK_STR("too much", rig_output(&r), STR(LATER));
		else
			CHECK("all of it",
				r.output.len == strlen("334 \r\n") +
							BASE64_ENCODED_SIZE(first.n));
		rig_end(&r);
		rig_done(&r);
	}
	for (int i = 0; i < 2; i++) {
		struct str plain = {said, 0};

		memset(said, 'x', 400);
		said[0] = '\0';
		/* A name of 255 octets, and one of 256. */
		memcpy(said + 256 + i, "\0secret", 7);
		plain.n = (size_t)(263 + i);
		form[base64_encode(plain, form)] = '\0';
		init(&r);
		begin(&r);
		rig_say(&r, "AUTH PLAIN ");
		rig_say(&r, form);
		rig_say(&r, "\r\n");
		CHECK_STR("name", rig_output(&r), str_of(i == 0 ? OK235 : INVALID));
		rig_end(&r);
		rig_done(&r);
	}
	init(&r);
	begin(&r);
	/* NUL NUL secret */
	rig_say(&r, "AUTH PLAIN AABzZWNyZXQ=\r\n");
	CHECK_STR("empty name", rig_output(&r), STR(INVALID));
	rig_end(&r);
	rig_done(&r);
}

static bool is_zero(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == '\0')
		n--;
	return n == 0;
}

/* What the engine kept of a line that came in pieces is gone with the line, and with
 * the session; and the caller knows which of its bytes to overwrite. */
static void test_secrets_are_wiped(void)
{
	struct rig r;
	struct smtp *s;

	init(&r);
	begin(&r);
	s = r.engine;
	memset(s->line.store, 0, s->line.size);
	rig_say(&r, "NOOP\r\nAUT");
	CHECK("no secret", r.secret_count == 0);
	rig_say(&r, "H PLAIN AGpvZQBzZW");
	CHECK("half of one", r.secret_count == 1);
	rig_say(&r, "NyZXQ=\r\n");
	CHECK("the rest", r.secret_count == 2);
	CHECK("is right", has(rig_output(&r), OK235));
	CHECK("wiped", is_zero(s->line.store, s->line.size));
	rig_say(&r, "NOOP\r\n" MAIL RCPT "DATA\r\ntext\r\n.\r\n");
	CHECK("no more secrets", r.secret_count == 2);
	rig_end(&r);
	memset(s->line.store, 0, s->line.size);
	begin(&r);
	rig_say(&r, "AUTH LOGIN\r\n" JOE "\r\nc2Vj");
	rig_notify(&r, SMTP_END_OF_STREAM);
	rig_end(&r);
	CHECK("wiped at the end", is_zero(s->line.store, s->line.size));
	rig_done(&r);
}

/* A client that does not listen sends its secrets as if they were commands. */
static void test_secrets_out_of_turn(void)
{
	struct rig r;

	init(&r);
	r.peer.settings.auth = LISTEN_AUTH_OFF;
	begin(&r);
	rig_say(&r,
		"FOO\r\n AUTH x\r\nAUTH LOGIN\r\n" JOE "\r\n" SECRET "\r\nNOOP x\r\n");
	CHECK_STR("told", buf_str(&r.told),
		STR("C: FOO\nS: 500 5.5.1 Command not recognized\n"
		    "C: AUTH (hidden)\nS: 500 5.5.2 Bad command syntax\n"
		    "C: AUTH (hidden)\nS: 502 5.5.1 AUTH is not offered here\n"
		    "C: (hidden)\nS: 500 5.5.1 Command not recognized\n"
		    "C: (hidden)\nS: 500 5.5.1 Command not recognized\n"
		    "C: NOOP x\nS: 250 2.0.0 Ok\n"));
	rig_end(&r);
	rig_done(&r);
}

/* Challenges are told, but not the last word of the server, with which passwords could
 * be tried by whoever reads it. */
static void test_last_word_is_not_told(void)
{
	struct rig r;

	init(&r);
	begin(&r);
	rig_say(&r, "AUTH SCRAM-SHA-256\r\n" SCRAM_FIRST "\r\n" SCRAM_PROOF "\r\n\r\n");
	CHECK("said", has(rig_output(&r), "334 " SCRAM_LAST "\r\n" OK235));
	CHECK_STR("told", buf_str(&r.told),
		STR("C: AUTH (hidden)\nS: 334 \nC: (hidden)\nS: 334 " SCRAM_FIRST
		    "\nC: (hidden)\nS: 334 (hidden)\nC: (hidden)\n"
		    "S: 235 2.7.0 Authentication successful\n"));
	rig_end(&r);
	rig_done(&r);
}

/* The hook `command` is not shown what a log is not. */
static void test_hook_is_not_shown_secrets(void)
{
	struct rig r;

	init(&r);
	begin(&r);
	rig_say(&r, "FOO\r\nAUTHPLAIN x\r\nauth=PLAIN x\r\nNOOP\r\n");
	rig_say(&r, "AUTH NTLM\r\n" JOE "\r\n" SECRET "\r\nNOOP\r\n");
	CHECK_STR("asked", rig_trace(&r),
		STR("command FOO\ncommand NOOP\ncommand AUTH\ncommand NOOP\n"));
	rig_forget(&r);
	rig_say(&r, "AUTH PLAIN " PLAIN_RIGHT "\r\nFOO\r\n");
	CHECK_STR("after a success", rig_trace(&r), STR("command AUTH\ncommand FOO\n"));
	rig_end(&r);
	rig_done(&r);
}

void suite_auth_secrets(void)
{
	CU_pSuite s = CU_add_suite("auth secrets", NULL, NULL);

	CU_add_test(s, "long lines", test_long_lines);
	CU_add_test(s, "flood", test_flood);
	CU_add_test(s, "mechanism goes too far", test_mechanism_goes_too_far);
	CU_add_test(s, "secrets are wiped", test_secrets_are_wiped);
	CU_add_test(s, "secrets out of turn", test_secrets_out_of_turn);
	CU_add_test(s, "last word is not told", test_last_word_is_not_told);
	CU_add_test(s, "hook is not shown secrets", test_hook_is_not_shown_secrets);
}
