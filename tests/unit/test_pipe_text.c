/* delivery/pipe: the message that a command gets, from its header fields to its end. */
#include "unit.h"

#include "pipe_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "delivery/spool.h"

static const char *const three[] = {"a@x.test", "b+c@y.test", "a@x.test"};

static void texts(void)
{
	static const struct {
		const char *name;
		enum line_ending line_ending;
		enum header_field header;
		const char *text, *expected;
		enum body_type body;
	} cases[] = {
		{"lf", LINE_ENDING_LF, 0, "a\r\nb\r\n", "a\nb\n", 0},
		{"crlf", LINE_ENDING_CRLF, 0, "a\r\nb\r\n", "a\r\nb\r\n", 0},
		{"empty", LINE_ENDING_LF, 0, "", "", 0},
		{"a lone CR at the end", LINE_ENDING_LF, 0, "a\r", "a\r", 0},
		{"blank first", LINE_ENDING_LF, 0, " a\r\n", " a\n", 0},
		{"header", LINE_ENDING_LF, HEADER_RETURN_PATH, "a\r\n",
			"Return-Path: <from@example.test>\na\n", 0},
		{"header, crlf", LINE_ENDING_CRLF, HEADER_RETURN_PATH, "a\r\n",
			"Return-Path: <from@example.test>\r\na\r\n", 0},
		{"all recipients", LINE_ENDING_LF, HEADER_DELIVERED_TO, "a\r\n",
			"Delivered-To: a@x.test\nDelivered-To: b+c@y.test\n"
			"Delivered-To: a@x.test\na\n",
			0},
		{"as they were sent", LINE_ENDING_LF, HEADER_ORIGINAL_TO, "a\r\n",
			"X-Original-To: a@x.test\nX-Original-To: b+c@y.test\n"
			"X-Original-To: a@x.test\na\n",
			0},
		{"binary", LINE_ENDING_LF, 0, "a\r\n\rb\n", "a\r\n\rb\n",
			BODY_BINARYMIME},
		{"binary, header", LINE_ENDING_LF, HEADER_RETURN_PATH, "a\nb",
			"Return-Path: <from@example.test>\r\na\nb", BODY_BINARYMIME},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t chunk = 1; chunk <= 100; chunk += 99) {
			struct bench b;

			bench_start(&b);
			bench_set_recipients(&b, 3, three);
			b.settings.line_ending = cases[i].line_ending;
			b.settings.headers[0] = cases[i].header;
			b.envelope.body = cases[i].body;
			bench_start_spawner(&b, NULL, 0);
			bench_open(&b);
			CHECK(cases[i].name,
				bench_deliver(&b, str_of(cases[i].text), chunk) == 250);
			bench_stop_spawner(&b);
			CHECK_STR(cases[i].name, str_of(b.notes->questions[0].message),
				str_of(cases[i].expected));
			CHECK(cases[i].name, b.notes->questions[0].size_bytes ==
						     strlen(cases[i].expected));
			bench_finish(&b);
		}
	}
}

/* Addresses of RFC 6531 are what they are, for commands and in header fields. */
static void utf8(void)
{
	static const char *const addresses[] = {"j\xc3\xa4ger@b\xc3\xbc"
						"cher.test",
		"\xf0\x9f\x90\x9f@x.test"};
	struct bench b;

	bench_start(&b);
	bench_set_recipients(&b, 2, addresses);
	b.settings.headers[0] = HEADER_RETURN_PATH;
	b.settings.headers[1] = HEADER_DELIVERED_TO;
	b.settings.pipe.is_per_recipient = true;
	b.envelope.is_smtputf8 = true;
	b.envelope.sender.mailbox = STR("\xe5\xbc\xa0@x.test");
	CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
	for (size_t i = 0; i < 2; i++) {
		const struct question *q = &b.notes->questions[i];
		char expected[200];

		(void)snprintf(expected, sizeof(expected), "%s ", addresses[i]);
		CHECK_STR("recipient", str_of(q->recipients), str_of(expected));
		CHECK("sender", strncmp(q->texts, "\xe5\xbc\xa0@x.test|", 11) == 0);
		(void)snprintf(expected, sizeof(expected),
			"Return-Path: <\xe5\xbc\xa0@x.test>\nDelivered-To: "
			"%s\n" PIPE_TEXT_LF,
			addresses[i]);
		CHECK_STR("text", str_of(q->message), str_of(expected));
	}
	bench_finish(&b);
}

/* ------------------------------------------------------------------ large ones */

/* All that a client can say at the most, for as many recipients as fit, is a question
 * that can be asked. */
static void longest_question(void)
{
	static const char *addresses[SPAWN_RECIPIENTS_MAX / (SPAWN_RECIPIENT_EXTRA + 3)];
	static char text[12288];
	const size_t n = sizeof(addresses) / sizeof(addresses[0]);
	struct bench b;

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < n; i++)
		addresses[i] = "a@b";
	bench_start(&b);
	bench_set_recipients(&b, n, addresses);
	b.envelope.sender.mailbox = (struct str){text, 1000};
	b.envelope.envid = (struct str){text, 1000};
	b.envelope.client.helo = (struct str){text, 1000};
	b.envelope.client.tls.subject = (struct str){text, 1000};
	b.envelope.client.user = (struct str){text, sizeof(text)};
	CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
	CU_ASSERT_EQUAL(b.notes->questions[0].error, 0);
	CU_ASSERT_EQUAL(b.notes->questions[0].recipient_count, n);
	bench_finish(&b);
}

/* Whatever headers a section has, or none: for all at once, and for each. */
static void put_in_front(void)
{
	static const char *const two[] = {"a@x.test", "b@y.test"};
	static const struct {
		enum header_field field;
		bool is_per_recipient;
		const char *messages[2];
	} cases[] = {
		{0, false, {"X: y\nZ: 1\n" PIPE_TEXT_LF}},
		{0, true, {"X: y\nZ: 1\n" PIPE_TEXT_LF, "X: y\nZ: 1\n" PIPE_TEXT_LF}},
		{HEADER_DELIVERED_TO, false,
			{"Delivered-To: a@x.test\nDelivered-To: b@y.test\n"
			 "X: y\nZ: 1\n" PIPE_TEXT_LF}},
		{HEADER_DELIVERED_TO, true,
			{"Delivered-To: a@x.test\nX: y\nZ: 1\n" PIPE_TEXT_LF,
				"Delivered-To: b@y.test\nX: y\nZ: 1\n" PIPE_TEXT_LF}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench b;

		bench_start(&b);
		bench_set_recipients(&b, 2, two);
		b.envelope.prepended = STR("X: y\nZ: 1\n");
		b.settings.headers[0] = cases[i].field;
		b.settings.pipe.is_per_recipient = cases[i].is_per_recipient;
		CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
		CU_ASSERT_EQUAL(b.notes->count, cases[i].messages[1] == NULL ? 1 : 2);
		for (size_t k = 0; k < b.notes->count; k++)
			CHECK_STR("message", str_of(b.notes->questions[k].message),
				str_of(cases[i].messages[k]));
		bench_finish(&b);
	}
}

/* Header fields can be more than a file in memory may hold. */
static void large_headers(void)
{
	static const char *addresses[1000];
	static char argument[900];

	memset(argument, 'x', sizeof(argument));
	for (size_t i = 0; i < 1000; i++)
		addresses[i] = "a@x.test";
	for (size_t is_own = 0; is_own < 2; is_own++) {
		size_t n = is_own ? 3 : 1000, least = n * sizeof(argument);
		struct bench b;

		bench_start(&b);
		bench_set_recipients(&b, n, addresses);
		for (size_t i = 0; i < n; i++)
			b.envelope.recipients[i].argument =
				(struct str){argument, sizeof(argument)};
		b.settings.headers[0] = HEADER_ORIGINAL_TO;
		b.settings.headers[1] = HEADER_ENVELOPE;
		b.settings.pipe.is_per_recipient = is_own;
		CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
		CU_ASSERT_EQUAL(b.notes->count, is_own ? n : 1);
		for (size_t i = 0; i < b.notes->count; i++) {
			CU_ASSERT_TRUE(b.notes->questions[i].size_bytes > least);
			CU_ASSERT_EQUAL(b.notes->questions[i].is_in_memory,
				least < SPOOL_MEMORY_MAX);
		}
		for (size_t i = 0; i < n; i++)
			b.envelope.recipients[i].argument = STR("");
		bench_finish(&b);
	}
}

static struct str make_text(size_t n)
{
	char *p = malloc(n + 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i * 7 % 26 + (i / 1000) % 2);
	return (struct str){p, n};
}

static void free_text(struct str s)
{
	union {
		const char *in;
		char *out;
	} u = {.in = s.p};

	free(u.out);
}

static void sizes(void)
{
	static const struct {
		const char *name;
		uint64_t declared;
		size_t size, chunk;
		bool is_in_memory;
	} cases[] = {
		{"just fits", 0, SPOOL_MEMORY_MAX, 4096, true},
		{"just fits, at once", 0, SPOOL_MEMORY_MAX, SIZE_MAX, true},
		{"just fits, declared", SPOOL_MEMORY_MAX, 100, SIZE_MAX, true},
		{"an octet more", 0, SPOOL_MEMORY_MAX + 1, 4096, false},
		{"an octet more, at once", 0, SPOOL_MEMORY_MAX + 1, SIZE_MAX, false},
		{"an octet more, the last", 0, SPOOL_MEMORY_MAX + 1, SPOOL_MEMORY_MAX,
			false},
		{"declared large", SPOOL_MEMORY_MAX + 1, 100, SIZE_MAX, false},
		{"declared larger than can be", UINT64_MAX, 100, SIZE_MAX, false},
		{"declared small", 1, 1000000, 10000, false},
		{"large", 1000000, 1000000, 65536, false},
	};
	mode_t mask = umask(077);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str text = make_text(cases[i].size);
		const char *name = cases[i].name;
		const struct question *q;
		struct bench b;

		bench_start(&b);
		b.envelope.declared_size = cases[i].declared;
		bench_start_spawner(&b, NULL, 0);
		bench_open(&b);
		CHECK(name, bench_deliver(&b, text, cases[i].chunk) == 250);
		/* The one before leaves no trace in the next. */
		b.envelope.declared_size = 0;
		CHECK(name, bench_deliver_short(&b) == 250);
		bench_stop_spawner(&b);
		q = b.notes->questions;
		CHECK(name, q[0].is_in_memory == cases[i].is_in_memory);
		CHECK(name, q[0].size_bytes == text.n);
		CHECK(name, q[0].hash == bench_hash(text));
		CHECK(name, S_ISREG(q[0].mode) && !q[0].has_name && q[0].is_writable);
		/* Another user can open what is behind the descriptor. */
		CHECK(name, (q[0].mode & 0444) == 0444);
		CHECK_STR(name, str_of(q[1].message), STR(PIPE_TEXT_LF));
		CHECK(name, q[1].is_in_memory);
		bench_finish(&b);
		free_text(text);
	}
	(void)umask(mask);
}

/* A file that has outgrown the memory is whole: also what was in the buffer, and the CR
 * of which nobody knows yet to what it belongs. */
static void growth_between_cr_and_lf(void)
{
	struct str text = make_text(SPOOL_MEMORY_MAX);
	struct bench b;
	char end[8] = "";

	bench_start(&b);
	b.settings.headers[0] = HEADER_RETURN_PATH;
	bench_start_spawner(&b, NULL, 0);
	bench_open(&b);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR("a\r"), 2), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR("\n\r"), 2), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR("b\r"), 2), 250);
	CU_ASSERT_EQUAL(bench_write(&b, text, SIZE_MAX), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR("\r"), 1), 250);
	CU_ASSERT_EQUAL(bench_prepare(&b), 250);
	CU_ASSERT_EQUAL(bench_run(&b), 250);
	bench_end(&b);
	bench_stop_spawner(&b);
	CHECK("moved", !b.notes->questions[0].is_in_memory);
	CHECK("whole",
		b.notes->questions[0].size_bytes ==
			strlen("Return-Path: <from@example.test>\na\n\rb\r\r") + text.n);
	memcpy(end, text.p, 4);
	CHECK("beginning",
		strncmp(b.notes->questions[0].message,
			"Return-Path: <from@example.test>\na\n\rb\r",
			strlen("Return-Path: <from@example.test>\na\n\rb\r")) == 0);
	CHECK("and on", strstr(b.notes->questions[0].message, end) != NULL);
	bench_finish(&b);
	free_text(text);
}

/* Each run has the field of its recipient, in front of the same text. */
static void own_headers_of(enum header_field field, const char *const expected[2])
{
	static const size_t sizes_of_text[] = {10, SPOOL_MEMORY_MAX + 1000};

	for (size_t i = 0; i < 2; i++) {
		for (unsigned declared = 0; declared <= 1; declared++) {
			struct str text = make_text(sizes_of_text[i]);
			struct bench b;

			bench_start(&b);
			bench_set_recipients(&b, 3, three);
			b.settings.pipe.is_per_recipient = true;
			b.settings.headers[0] = field;
			b.envelope.declared_size = declared * text.n;
			bench_start_spawner(&b, NULL, 0);
			bench_open(&b);
			CU_ASSERT_EQUAL(bench_deliver(&b, text, 10000), 250);
			bench_stop_spawner(&b);
			CU_ASSERT_EQUAL(b.notes->count, 3);
			for (size_t k = 0; k < 3; k++) {
				const struct question *q = &b.notes->questions[k];
				struct str header = str_of(expected[k % 2]);
				struct buf whole;

				buf_init(&whole, SIZE_MAX);
				CU_ASSERT_TRUE(buf_add_str(&whole, header));
				CU_ASSERT_TRUE(buf_add_str(&whole, text));
				CHECK(expected[k % 2], q->size_bytes == whole.len);
				CHECK(expected[k % 2],
					q->hash == bench_hash(buf_str(&whole)));
				CHECK(expected[k % 2], q->is_in_memory == (i == 0));
				buf_done(&whole);
			}
			bench_finish(&b);
			free_text(text);
		}
	}
}

static void own_headers(void)
{
	static const char *const delivered[] = {
		"Delivered-To: a@x.test\n", "Delivered-To: b+c@y.test\n"};
	static const char *const original[] = {
		"X-Original-To: a@x.test\n", "X-Original-To: b+c@y.test\n"};

	own_headers_of(HEADER_DELIVERED_TO, delivered);
	own_headers_of(HEADER_ORIGINAL_TO, original);
}

void add_pipe_text(CU_pSuite s)
{
	CU_add_test(s, "put in front", put_in_front);
	CU_add_test(s, "texts", texts);
	CU_add_test(s, "UTF-8", utf8);
	CU_add_test(s, "longest question", longest_question);
	CU_add_test(s, "large headers", large_headers);
	CU_add_test(s, "sizes", sizes);
	CU_add_test(s, "growth between CR and LF", growth_between_cr_and_lf);
	CU_add_test(s, "headers of its own", own_headers);
}
