/* smtp/envelope: recipients without end, and the trace header (RFC 5321, 4.4). */
#include <stdio.h>
#include <string.h>

#include "smtp/envelope.h"
#include "unit.h"

static const struct envelope plain = {
	.client =
		{
			.address = STR("192.0.2.7"),
			.port = 2525,
			.listener = STR("mx"),
			.server = STR("sink.example.test"),
			.helo = STR("client.example"),
			.is_esmtp = true,
		},
	.stamp = {.id = "0123456789abcd-012345-0123", .unix_seconds = 1000000000},
};

static struct str received(const struct envelope *e, const char *eol, struct buf *out)
{
	buf_reset(out);
	envelope_add_received(e, eol, out);
	CU_ASSERT(!out->has_overflowed);
	return buf_str(out);
}

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void test_recipients(void)
{
	struct envelope e = {0};
	struct arena arena;
	size_t n = 0;
	bool is_same = true;

	arena_init(&arena, 1 << 18);
	for (;; n++) {
		struct recipient *r = envelope_add_recipient(&e, &arena);

		if (r == NULL)
			break;
		CU_ASSERT_FATAL(e.recipient_count == n + 1);
		CU_ASSERT_FATAL(r == &e.recipients[n]);
		CU_ASSERT_FATAL(r->address.mailbox.n == 0);
		r->address.mailbox.n = n;
	}
	CHECK("the arena is the limit", n > 100 && e.recipient_count == n);
	for (size_t i = 0; i < n; i++)
		is_same &= e.recipients[i].address.mailbox.n == i;
	CHECK("growing keeps them", is_same);
	arena_done(&arena);
}

/* Each line but the first begins with a blank, none is over 998 octets, and all is
 * printable ASCII: a client can neither end the header nor forge another. */
static void check_header(const char *name, struct str text, const char *eol)
{
	struct str rest = text;
	size_t n = strlen(eol);
	bool is_first = true;

	while (rest.n > 0) {
		const char *end = memmem(rest.p, rest.n, eol, n);
		struct str line = rest;

		CU_ASSERT_PTR_NOT_NULL_FATAL(end);
		line.n = (size_t)(end - rest.p);
		CHECK(name, line.n > 0 && line.n <= 998);
		CHECK(name, is_first != (line.p[0] == ' ' || line.p[0] == '\t'));
		for (size_t i = 0; i < line.n; i++)
			CHECK(name, line.p[i] == '\t' || str_is_printable(line.p[i]));
		is_first = false;
		rest = str_skip(rest, line.n + n);
	}
	CHECK(name, !is_first);
}

static void test_received(void)
{
	struct envelope e = plain;
	struct buf out;
	struct str text;

	buf_init(&out, 16384);
	text = received(&e, "\r\n", &out);
	check_header("plain", text, "\r\n");
	CHECK("begins", text.n > 10 && memcmp(text.p, "Received: ", 10) == 0);
	CHECK("from", has(text, "from client.example "));
	CHECK("address", has(text, "[192.0.2.7]"));
	CHECK("by", has(text, "by sink.example.test"));
	CHECK("with", has(text, "with ESMTP"));
	CHECK("id", has(text, "id 0123456789abcd-012345-0123"));
	/* RFC 5322, 3.3: 1000000000 is this moment. */
	CHECK("date", has(text, "Sun, 9 Sep 2001 01:46:40 +0000") ||
			      has(text, "Sun, 09 Sep 2001 01:46:40 +0000"));
	check_header("LF", received(&e, "\n", &out), "\n");
	CHECK("LF only", memchr(out.p, '\r', out.len) == NULL);
	e.client.is_esmtp = false;
	text = received(&e, "\r\n", &out);
	CHECK("SMTP", has(text, "with SMTP"));
	CHECK("no more", !has(text, "using") && !has(text, "authenticated"));
	e.client.address = STR("2001:db8::1");
	text = received(&e, "\r\n", &out);
	CHECK("v6 literal", has(text, "[IPv6:2001:db8::1]"));
	e.client.address = STR("unix");
	e.client.port = 0;
	text = received(&e, "\r\n", &out);
	check_header("unix", text, "\r\n");
	CHECK("a socket has no address", !has(text, "unix"));
	buf_done(&out);
}

/* RFC 3848, and what is said of TLS and AUTH. */
static const struct {
	const char *name;
	bool is_esmtp;
	bool is_lmtp;
	bool is_tls;
	bool is_known;
	const char *with;
} securities[] = {
	{"ESMTP", true, false, false, false, " with ESMTP id "},
	{"ESMTPS", true, false, true, false, " with ESMTPS id "},
	{"ESMTPA", true, false, false, true, " with ESMTPA id "},
	{"ESMTPSA", true, false, true, true, " with ESMTPSA id "},
	{"LMTP", true, true, false, false, " with LMTP id "},
	{"LMTPS", true, true, true, false, " with LMTPS id "},
	{"LMTPA", true, true, false, true, " with LMTPA id "},
	{"LMTPSA", true, true, true, true, " with LMTPSA id "},
	{"UTF8SMTP", true, false, false, false, " with UTF8SMTP id "},
	{"UTF8SMTPS", true, false, true, false, " with UTF8SMTPS id "},
	{"UTF8SMTPA", true, false, false, true, " with UTF8SMTPA id "},
	{"UTF8SMTPSA", true, false, true, true, " with UTF8SMTPSA id "},
	{"UTF8LMTP", true, true, false, false, " with UTF8LMTP id "},
	{"UTF8LMTPS", true, true, true, false, " with UTF8LMTPS id "},
	{"UTF8LMTPA", true, true, false, true, " with UTF8LMTPA id "},
	{"UTF8LMTPSA", true, true, true, true, " with UTF8LMTPSA id "},
	{"UTF-8 after HELO", false, false, false, false, " with UTF8SMTP id "},
	{"SMTP over TLS", false, false, true, false, " with SMTP id "},
	{"SMTP, known", false, false, true, true, " with SMTP id "},
};

static void test_security(void)
{
	struct buf out;

	buf_init(&out, 16384);
	for (size_t i = 0; i < sizeof(securities) / sizeof(securities[0]); i++) {
		const char *name = securities[i].name;
		struct envelope e = plain;
		struct str text;

		e.is_smtputf8 = has(str_of(securities[i].with), "UTF8");
		e.client.is_esmtp = securities[i].is_esmtp;
		e.client.is_lmtp = securities[i].is_lmtp;
		if (securities[i].is_tls)
			e.client.tls = (struct envelope_tls){
				.version = STR("TLSv1.3"),
				.cipher = STR("TLS_AES_256_GCM_SHA384"),
				.subject = STR("CN=Joe (x) \\, O=\"A\" \xc3\xbc"),
			};
		if (securities[i].is_known)
			e.client.user = STR("joe)\r\nX: (<j@x>; \"");
		text = received(&e, "\r\n", &out);
		check_header(name, text, "\r\n");
		CHECK(name, has(text, securities[i].with));
		CHECK(name,
			has(text, "\r\n\t(using TLSv1.3 with cipher "
				  "TLS_AES_256_GCM_SHA384)\r\n") == securities[i].is_tls);
		CHECK(name, has(text, "\r\n\t(client certificate CN=Joe ?x? ?, "
				      "O=?A? ?\?)\r\n") == securities[i].is_tls);
		CHECK(name,
			has(text, "\r\n\t(authenticated as joe??\?X: ?<j@x>? ?)\r\n") ==
				securities[i].is_known);
	}
	buf_done(&out);
}

/* RFC 5321, 4.4: TCP-info = address-literal / ( Domain FWS address-literal ). */
static void test_client(void)
{
	static const struct {
		struct str address;
		uint16_t port;
		struct str name;
		const char *from;
	} cases[] = {
		{STR("192.0.2.7"), 25, STR(""), " client.example ([192.0.2.7])\r\n\tby "},
		{STR("192.0.2.7"), 0, STR("a.example"),
			" client.example (a.example [192.0.2.7])\r\n\tby "},
		{STR("2001:db8::7"), 25, STR("a.example"),
			" client.example (a.example [IPv6:2001:db8::7])\r\n\tby "},
		{STR("unix"), 0, STR(""), " client.example\r\n\tby "},
		{STR("unknown"), 0, STR(""), " client.example\r\n\tby "},
		{STR("unknown"), 25, STR("a.example"),
			" client.example (a.example)\r\n\tby "},
		{STR("192.0.2.7"), 25, STR("a) b\r\nX: \xc3\xbc"),
			" client.example (a?\?b?\?X:?\?? [192.0.2.7])\r\n\tby "},
	};
	struct buf out;

	buf_init(&out, 16384);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope e = plain;
		struct str text;

		e.client.address = cases[i].address;
		e.client.port = cases[i].port;
		e.client.name = cases[i].name;
		text = received(&e, "\r\n", &out);
		check_header(cases[i].from, text, "\r\n");
		CHECK(cases[i].from, has(text, cases[i].from));
	}
	buf_done(&out);
}

/* Apart, or they would be trigraphs. */
#define HARMLESS                                                                         \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"                                                                              \
	"?"
#define FOUR "\xf0\x9f\x93\xa7"

/* The recipient, when it is the only one; as UTF-8 only with SMTPUTF8. */
static void test_recipient(void)
{
	static const struct {
		const char *name;
		bool is_smtputf8;
		struct str mailbox;
		const char *text;
	} cases[] = {
		{"ASCII", false, STR("a@b.example"), "\tfor <a@b.example>;\r\n"},
		{"ASCII with SMTPUTF8", true, STR("a@b.example"),
			"\tfor <a@b.example>;\r\n"},
		{"quotes", true, STR("\"a> b\"@x"), "\tfor <?a?\?b?@x>;\r\n"},
		{"UTF-8", true, STR("j\xc3\xbcrgen@" FOUR ".example"),
			"\tfor <j\xc3\xbcrgen@" FOUR ".example>;\r\n"},
		{"UTF-8 without", false, STR("j\xc3\xbcrgen@x"),
			"\tfor <j?\?rgen@x>;\r\n"},
		{"controls", true, STR("a\r\n\xc2\x85\xe2\x80\xa8\xff\xc3"),
			"\tfor <a" HARMLESS ">;\r\n"},
	};
	struct recipient recipient = {0};
	char longest[1200];
	struct envelope e = plain;
	struct buf out;
	struct str text;

	buf_init(&out, 16384);
	e.recipients = &recipient;
	e.recipient_count = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		e.is_smtputf8 = cases[i].is_smtputf8;
		recipient.address.mailbox = cases[i].mailbox;
		text = received(&e, "\r\n", &out);
		CHECK(cases[i].name, has(text, cases[i].text));
	}
	/* Too long: it ends at a character. */
	for (size_t i = 0; i < sizeof(longest); i += 4)
		memcpy(longest + i, FOUR, 4);
	recipient.address.mailbox = (struct str){longest, sizeof(longest)};
	text = received(&e, "\r\n", &out);
	CHECK("cut", has(text, FOUR FOUR ">;\r\n"));
	CHECK("cut", text.n < 700);
	buf_done(&out);
}

static void test_hostile_names(void)
{
	static const struct str names[] = {
		STR("a\r\nX-Injected: yes"),
		STR("a) (b"),
		STR("a\\"),
		STR("\"a"),
		STR("a\0b"),
		STR("\xe2\x80\xa8"),
		STR("a; Thu, 1 Jan 1970"),
		STR(" "),
	};
	static char endless[4000];
	struct envelope e = plain;
	struct buf out;

	memset(endless, 'x', sizeof(endless));
	buf_init(&out, 16384);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct str text;
		char name[64];

		(void)str_printable(name, sizeof(name), names[i]);
		e.client.helo = names[i];
		text = received(&e, "\r\n", &out);
		check_header(name, text, "\r\n");
		CHECK(name, !has(text, "\nX-Injected"));
		for (size_t k = 0; k < text.n; k++)
			CHECK(name, text.p[k] != '"' && text.p[k] != '\\');
	}
	e.client.helo = (struct str){endless, sizeof(endless)};
	check_header("endless", received(&e, "\r\n", &out), "\r\n");
	buf_done(&out);
}

static void test_destination(void)
{
	static const struct {
		const char *address;
		uint16_t port;
		const char *expected;
	} cases[] = {
		{"192.0.2.7", 25, "192.0.2.7:25"},
		{"192.0.2.7", 0, "192.0.2.7"},
		{"2001:db8::1", 65535, "[2001:db8::1]:65535"},
		{"2001:db8::1", 0, "2001:db8::1"},
		{"1111:2222:3333:4444:5555:6666:255.255.255.255", 10025,
			"[1111:2222:3333:4444:5555:6666:255.255.255.255]:10025"},
		{"", 25, ""},
		{"", 0, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[ENVELOPE_DESTINATION_MAX];

		CHECK_STR(cases[i].expected,
			envelope_destination(
				str_of(cases[i].address), cases[i].port, text),
			str_of(cases[i].expected));
	}
}

void suite_envelope(void)
{
	CU_pSuite s = CU_add_suite("envelope", NULL, NULL);

	CU_add_test(s, "recipients", test_recipients);
	CU_add_test(s, "received", test_received);
	CU_add_test(s, "security", test_security);
	CU_add_test(s, "client", test_client);
	CU_add_test(s, "recipient", test_recipient);
	CU_add_test(s, "hostile names", test_hostile_names);
	CU_add_test(s, "destination", test_destination);
}
