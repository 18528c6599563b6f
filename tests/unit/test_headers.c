/* delivery/headers: what is put in front of a message, and that nothing a client says
 * can become more than the value it is. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "delivery/headers.h"
#include "smtp/envelope.h"

#define ID     "00064b1e2f3a5c-00126f-9a3b"
#define NAME   "X-Sinkd-Envelope: "
#define MEMORY (1024 * 1024)

#define MAILBOX(l, d)                                                                    \
	{                                                                                \
		STR(l "@" d), STR(l), STR(d)                                             \
	}

static struct recipient two[] = {
	{.address = MAILBOX("a", "x.test"), .argument = STR("TO:<a@x.test>")},
	{.address = MAILBOX("B", "Y.test"),
		.argument = STR("To: <B@Y.test> NOTIFY=never ORCPT=rfc822;b+40x")},
};

static const struct envelope plain = {
	.client = {.address = STR("192.0.2.7"),
		.port = 4711,
		.server = STR("mx.example.test"),
		.helo = STR("client.example.test")},
	.stamp = {.id = ID, .unix_seconds = 1700000000},
	.sender = MAILBOX("from", "example.test"),
	.argument = STR("FROM:<from@example.test>"),
	.recipients = two,
	.recipient_count = 1,
};

/* One field, or several, for all recipients; out is begun anew. */
static struct str make(const struct envelope *e, const enum header_field *fields,
	size_t field_count, enum line_ending line_ending, struct buf *out)
{
	struct delivery_settings settings = {
		.hostname = "mx.example.test", .line_ending = line_ending};
	size_t *indexes = calloc(e->recipient_count, sizeof(*indexes));

	CU_ASSERT_PTR_NOT_NULL_FATAL(indexes);
	for (size_t i = 0; i < field_count; i++)
		settings.headers[i] = fields[i];
	for (size_t i = 0; i < e->recipient_count; i++)
		indexes[i] = i;
	buf_done(out);
	headers_init(out, e);
	headers_add(&settings, e, indexes, e->recipient_count, out);
	free(indexes);
	return buf_str(out);
}

static struct str make_one(
	const struct envelope *e, enum header_field field, struct buf *out)
{
	return make(e, &field, 1, LINE_ENDING_LF, out);
}

static void all_that_is_known(void)
{
	struct envelope e = plain;
	struct buf out = {0};

	e.recipient_count = 2;
	e.client.name = STR("client.example.net");
	e.client.proxy_address = STR("198.51.100.9");
	e.client.proxy_port = 25;
	e.client.listener = STR("mx");
	e.client.is_esmtp = true;
	e.client.tls.version = STR("TLSv1.3");
	e.client.tls.cipher = STR("TLS_AES_256_GCM_SHA384");
	e.client.tls.subject = STR("CN=joe,O=Example");
	e.client.user = STR("ann");
	e.argument = STR("FROM:<from@example.test> SIZE=100 RET=HDRS ENVID=x+2By");
	CHECK_STR("all", make_one(&e, HEADER_ENVELOPE, &out),
		STR(NAME "client=192.0.2.7\n" NAME "port=4711\n" NAME
			 "name=client.example.net\n" NAME
			 "destination=198.51.100.9:25\n" NAME "listener=mx\n" NAME
			 "helo=client.example.test\n" NAME "protocol=ESMTPSA\n" NAME
			 "tls=TLSv1.3\n" NAME "cipher=TLS_AES_256_GCM_SHA384\n" NAME
			 "certificate=CN=joe,O=Example\n" NAME "user=ann\n" NAME "id=" ID
			 "\n" NAME "mail=FROM:<from@example.test> SIZE=100 RET=HDRS "
			 "ENVID=x+2By\n" NAME "rcpt=TO:<a@x.test>\n" NAME
			 "rcpt=To: <B@Y.test> NOTIFY=never ORCPT=rfc822;b+40x\n"));
	buf_done(&out);
}

/* What is not known is not mentioned. */
static void little_is_known(void)
{
	static const struct {
		const char *name;
		struct envelope_client client;
		const char *expected;
	} cases[] = {
		{"nothing", {.address = STR("unknown")}, ""},
		{"a Unix socket", {.address = STR("unix")}, NAME "client=unix\n"},
		{"IPv6", {.address = STR("2001:db8::1"), .port = 9},
			NAME "client=2001:db8::1\n" NAME "port=9\n"},
		{"destination without a port", {.proxy_address = STR("2001:db8::1")},
			NAME "destination=2001:db8::1\n"},
		{"destination of IPv6",
			{.proxy_address = STR("2001:db8::1"), .proxy_port = 65535},
			NAME "destination=[2001:db8::1]:65535\n"},
		{"a port without a destination", {.proxy_port = 25}, ""},
	};
	struct buf out = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope e = {.client = cases[i].client,
			.recipients = two,
			.stamp = {.id = ID}};
		struct str text = make_one(&e, HEADER_ENVELOPE, &out);
		char expected[200];

		(void)snprintf(expected, sizeof(expected),
			"%s" NAME "protocol=SMTP\n" NAME "id=" ID "\n",
			cases[i].expected);
		CHECK_STR(cases[i].name, text, str_of(expected));
	}
	buf_done(&out);
}

static void for_recipients(void)
{
	static struct recipient recipients[] = {
		{.address = MAILBOX("a", "x.test")},
		{.address = {STR("Postmaster"), STR("postmaster"), STR("")}},
		{.address = {STR("\"b c\"@y.test"), STR("b c"), STR("y.test")}},
		{.address = MAILBOX("a", "x.test")},
	};
	struct envelope e = plain;
	struct buf out = {0};

	e.recipients = recipients;
	e.recipient_count = 4;
	CHECK_STR("delivered", make_one(&e, HEADER_DELIVERED_TO, &out),
		STR("Delivered-To: a@x.test\nDelivered-To: Postmaster@mx.example.test\n"
		    "Delivered-To: \"b c\"@y.test\nDelivered-To: a@x.test\n"));
	CHECK_STR("original", make_one(&e, HEADER_ORIGINAL_TO, &out),
		STR("X-Original-To: a@x.test\nX-Original-To: Postmaster\n"
		    "X-Original-To: \"b c\"@y.test\nX-Original-To: a@x.test\n"));
	CHECK_STR("return", make_one(&e, HEADER_RETURN_PATH, &out),
		STR("Return-Path: <from@example.test>\n"));
	e.sender = (struct address){0};
	CHECK_STR(
		"null", make_one(&e, HEADER_RETURN_PATH, &out), STR("Return-Path: <>\n"));
	CHECK_STR("none", make(&e, NULL, 0, LINE_ENDING_LF, &out), STR(""));
	buf_done(&out);
}

/* In the order of the section, and with its line ends; those of binary text are CR LF,
 * whatever the section says. */
static void line_ends(void)
{
	static const enum header_field fields[] = {HEADER_ORIGINAL_TO, HEADER_RECEIVED,
		HEADER_ENVELOPE, HEADER_DELIVERED_TO, HEADER_RETURN_PATH};
	static const struct {
		const char *name;
		enum line_ending line_ending;
		enum body_type body;
		const char *eol;
	} cases[] = {
		{"lf", LINE_ENDING_LF, BODY_8BITMIME, "\n"},
		{"crlf", LINE_ENDING_CRLF, BODY_7BIT, "\r\n"},
		{"binary, lf", LINE_ENDING_LF, BODY_BINARYMIME, "\r\n"},
		{"binary, crlf", LINE_ENDING_CRLF, BODY_BINARYMIME, "\r\n"},
	};
	struct envelope e = plain;
	struct buf out = {0}, expected;

	e.client.address = STR("unknown");
	e.client.port = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *eol = cases[i].eol;

		e.body = cases[i].body;
		buf_init(&expected, MEMORY);
		(void)buf_add_format(&expected, "X-Original-To: a@x.test%s", eol);
		envelope_add_received(&e, eol, &expected);
		(void)buf_add_format(&expected,
			NAME "helo=client.example.test%s" NAME "protocol=SMTP%s" NAME
			     "id=" ID "%s" NAME "mail=FROM:<from@example.test>%s" NAME
			     "rcpt=TO:<a@x.test>%s"
			     "Delivered-To: a@x.test%s"
			     "Return-Path: <from@example.test>%s",
			eol, eol, eol, eol, eol, eol, eol);
		CHECK_STR(cases[i].name,
			make(&e, fields, DELIVERY_HEADERS_MAX, cases[i].line_ending,
				&out),
			buf_str(&expected));
		buf_done(&expected);
	}
	buf_done(&out);
}

/* That text in every place that a client can put it into. */
static void check_passing(
	const char *name, struct str text, bool is_smtputf8, struct str t)
{
	static const enum header_field fields[] = {HEADER_RETURN_PATH,
		HEADER_DELIVERED_TO, HEADER_ORIGINAL_TO, HEADER_ENVELOPE};
	struct recipient to = {.address = {text, text, STR("x.test")}, .argument = text};
	struct envelope e = {.is_smtputf8 = is_smtputf8,
		.client.name = text,
		.client.helo = text,
		.client.tls.subject = text,
		.client.user = text,
		.sender = to.address,
		.argument = text,
		.stamp.id = ID,
		.recipients = &to,
		.recipient_count = 1};
	struct buf out = {0}, expected;

	buf_init(&expected, MEMORY);
	(void)buf_add_format(&expected,
		"Return-Path: <%.*s>\nDelivered-To: %.*s\nX-Original-To: %.*s\n" NAME
		"name=%.*s\n" NAME "helo=%.*s\n" NAME "protocol=%s\n" NAME
		"certificate=%.*s\n" NAME "user=%.*s\n" NAME "id=" ID "\n" NAME
		"mail=%.*s\n" NAME "rcpt=%.*s\n",
		STR_ARG(t), STR_ARG(t), STR_ARG(t), STR_ARG(t), STR_ARG(t),
		envelope_protocol(&e), STR_ARG(t), STR_ARG(t), STR_ARG(t), STR_ARG(t));
	CHECK_STR(name, make(&e, fields, 4, LINE_ENDING_LF, &out), buf_str(&expected));
	buf_done(&expected);
	buf_done(&out);
}

static void what_passes(void)
{
	static const struct {
		const char *name;
		struct str text, ascii, utf8;
	} cases[] = {
		{"plain", STR("a ~b"), STR("a ~b"), STR("a ~b")},
		{"a line end", STR("a\r\nX: y"), STR("a??X: y"), STR("a??X: y")},
		{"controls", STR("a\0b\tc\x1b\x7f"), STR("a?b?c??"), STR("a?b?c??")},
		{"two octets", STR("j\xc3\xa4ger"), STR("j??ger"), STR("j\xc3\xa4ger")},
		{"four octets", STR("\xf0\x9f\x90\x9f."), STR("????."),
			STR("\xf0\x9f\x90\x9f.")},
		{"cut short", STR("a\xe2\x82"), STR("a??"), STR("a??")},
		{"broken off",
			STR("\xe2\x82"
			    "b\xc3\xa4"),
			STR("??b??"), STR("??b\xc3\xa4")},
		{"too long a form", STR("\xc0\x8a"), STR("??"), STR("??")},
		{"next line",
			STR("a\xc2\x85"
			    "b"),
			STR("a??b"), STR("a??b")},
		{"line separator",
			STR("a\xe2\x80\xa8"
			    "b"),
			STR("a???b"), STR("a???b")},
		{"a surrogate", STR("\xed\xa0\x80"), STR("???"), STR("???")},
		{"no UTF-8", STR("\xe4\xff"), STR("??"), STR("??")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_passing(cases[i].name, cases[i].text, false, cases[i].ascii);
		check_passing(cases[i].name, cases[i].text, true, cases[i].utf8);
	}
}

/* ------------------------------------------------------------------ long lines */

/* A header with one field of ours, "rcpt="; check its lines, and take it to pieces. */
static struct str fold_and_unfold(
	const char *name, struct str argument, bool is_utf8, struct buf *out)
{
	static const char begin[] = NAME "rcpt=";
	struct recipient to = {.argument = argument};
	struct envelope e = {
		.is_smtputf8 = is_utf8, .recipients = &to, .recipient_count = 1};
	struct str rest = make_one(&e, HEADER_ENVELOPE, out);
	const char *start = memmem(rest.p, rest.n, begin, sizeof(begin) - 1);
	size_t to_n = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(start);
	rest = str_skip(rest, (size_t)(start - rest.p));
	/* What is left without line ends is moved to the front. */
	while (rest.n > 0) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t n = end == NULL ? rest.n : (size_t)(end - rest.p), blanks = 0;

		CHECK(name, end != NULL && n > 0 && n <= 998);
		CHECK(name, to_n == 0 || rest.p[0] == ' ');
		while (blanks < n && rest.p[blanks] == ' ')
			blanks++;
		CHECK(name, blanks < n);
		CHECK(name, !is_utf8 || utf8_is_printable((struct str){rest.p, n}));
		memmove(out->p + to_n, rest.p, n);
		to_n += n;
		rest = str_skip(rest, n + 1);
	}
	return str_skip((struct str){out->p, to_n}, sizeof(begin) - 1);
}

/* With blanks to fold at, what a reader gets is what was sent. */
static void folded_at_blanks(void)
{
	static char text[65536];
	struct buf out = {0};
	unsigned random = 1;

	for (unsigned most = 4; most <= 900; most = most * 3 + 1) {
		for (size_t n = 1; n < sizeof(text); n = n < 2100 ? n + 7 : n * 2) {
			size_t next = 0;

			memset(text, 'x', n);
			for (size_t i = 0; i < n; i++) {
				random = random * 1103515245 + 12345;
				if (i == next) {
					text[i] = ' ';
					next = i + 1 + (random >> 16) % most;
				}
			}
			text[0] = text[n - 1] = 'x';
			CHECK_STR("words",
				fold_and_unfold(
					"words", (struct str){text, n}, n % 2 == 0, &out),
				((struct str){text, n}));
		}
	}
	buf_done(&out);
}

/* Without, a blank of ours is all that is added. */
static void folded_anywhere(void)
{
	static const char *const units[] = {
		"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x9f", "xy\xc3\xa4"};
	static char text[65536];
	struct buf out = {0};

	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		size_t unit = strlen(units[u]);

		for (size_t n = unit; n + unit < sizeof(text);
			n = n < 2100 ? n + unit : n * 2 / unit * unit) {
			struct str got;
			size_t at = 0;
			bool is_same = true;

			for (size_t i = 0; i < n; i++)
				text[i] = units[u][i % unit];
			got = fold_and_unfold(
				units[u], (struct str){text, n}, u > 0, &out);
			for (size_t i = 0; i < got.n; i++)
				if (got.p[i] != ' ')
					is_same &= at < n && got.p[i] == text[at++];
			CHECK(units[u], is_same && at == n);
			CHECK(units[u], got.n - n <= n / 960);
			CHECK(units[u], n > 900 || got.n == n);
		}
	}
	buf_done(&out);
}

/* No line is one of blanks alone, however many there are and wherever. */
static void many_blanks(void)
{
	static char text[8000];
	struct buf out = {0};

	for (size_t before = 0; before < 1000; before += 53) {
		for (size_t blanks = 900; blanks < 5000; blanks += 41) {
			size_t n = before + blanks;

			memset(text, 'x', before);
			memset(text + before, ' ', blanks);
			(void)fold_and_unfold(
				"at the end", (struct str){text, n}, false, &out);
			text[n] = 'y';
			(void)fold_and_unfold(
				"within", (struct str){text, n + 1}, true, &out);
		}
	}
	buf_done(&out);
}

/* As much as a session can hold, with the longest lines that can be configured: nothing
 * is missing. */
static void much_of_everything(void)
{
	static struct recipient recipients[20000];
	static char text[65536];
	static const struct {
		size_t count, length;
	} cases[] = {{1, 65535}, {16, 65535}, {1000, 1000}, {20000, 40}};
	const enum header_field fields[] = {HEADER_RETURN_PATH, HEADER_DELIVERED_TO,
		HEADER_RECEIVED, HEADER_ORIGINAL_TO, HEADER_ENVELOPE};
	struct buf out = {0};

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope e = plain;
		struct str long_text = {text, cases[i].length}, mailbox = long_text, s;
		size_t least = cases[i].count * cases[i].length, found = 0;

		if (mailbox.n > 900)
			mailbox.n = 900;
		e.client.helo = e.client.user = e.client.name = e.argument = long_text;
		e.client.tls.subject = e.sender.mailbox = mailbox;
		e.recipients = recipients;
		e.recipient_count = cases[i].count;
		for (size_t k = 0; k < cases[i].count; k++)
			recipients[k] = (struct recipient){
				.address = {mailbox, mailbox, STR("x.test")},
				.argument = long_text};
		s = make(&e, fields, 5, LINE_ENDING_CRLF, &out);
		CHECK("whole", !out.has_overflowed && s.n > least);
		for (const char *p = s.p;
			(p = memmem(p, s.n - (size_t)(p - s.p), "rcpt=", 5)) != NULL; p++)
			found++;
		CHECK("each", found == cases[i].count);
	}
	buf_done(&out);
}

/* It shows, and what was there before stays. */
static void too_little_room(void)
{
	const struct delivery_settings settings = {
		.hostname = "mx.example.test", .headers = {HEADER_ENVELOPE}};
	const size_t first = 0;
	struct buf whole = {0};
	size_t n = make_one(&plain, HEADER_ENVELOPE, &whole).n;

	for (size_t max = 0; max <= n; max++) {
		struct buf out;

		buf_init(&out, max);
		headers_add(&settings, &plain, &first, 1, &out);
		CHECK("overflow", out.has_overflowed == (max < n));
		CHECK("within", out.len <= max);
		buf_done(&out);
	}
	buf_done(&whole);
}

static void differ(void)
{
	static const struct {
		const char *name;
		enum header_field headers[DELIVERY_HEADERS_MAX];
		bool expected;
	} cases[] = {
		{"none", {0}, false},
		{"for all", {HEADER_RETURN_PATH, HEADER_RECEIVED, HEADER_ENVELOPE},
			false},
		{"Delivered-To", {HEADER_DELIVERED_TO}, true},
		{"X-Original-To",
			{HEADER_RETURN_PATH, HEADER_RECEIVED, HEADER_ENVELOPE,
				HEADER_ORIGINAL_TO},
			true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct delivery_settings settings = {0};

		memcpy(settings.headers, cases[i].headers, sizeof(settings.headers));
		CHECK(cases[i].name, headers_differ(&settings) == cases[i].expected);
	}
}

void suite_headers(void)
{
	CU_pSuite s = CU_add_suite("headers", NULL, NULL);

	CU_add_test(s, "all that is known", all_that_is_known);
	CU_add_test(s, "little is known", little_is_known);
	CU_add_test(s, "for recipients", for_recipients);
	CU_add_test(s, "line ends", line_ends);
	CU_add_test(s, "what passes", what_passes);
	CU_add_test(s, "folded at blanks", folded_at_blanks);
	CU_add_test(s, "folded anywhere", folded_anywhere);
	CU_add_test(s, "many blanks", many_blanks);
	CU_add_test(s, "much of everything", much_of_everything);
	CU_add_test(s, "too little room", too_little_room);
	CU_add_test(s, "differ", differ);
}
