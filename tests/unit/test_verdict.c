/* Unit tests of spawn/verdict and spawn/output: every status, and lines of all kinds in
 * pieces of all sizes. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "spawn/output.h"
#include "spawn/verdict.h"
#include "unit.h"

static void check_answer(const char *name, const struct spawn_answer *a, int code,
	const char *enhanced, const char *text)
{
	CHECK(name, spawn_answer_is_right(a));
	CHECK(name, a->code == code);
	CHECK_STR(name, str_of(a->enhanced), str_of(enhanced));
	if (text != NULL)
		CHECK_STR(name, str_of(a->text), str_of(text));
}

/* As in pipe(8) of Postfix; all others are temporary. */
static void test_statuses(void)
{
	static const char *const known[] = {"5.3.0", "5.6.0", "5.3.0", "5.1.1", "5.1.2",
		"5.3.0", "5.3.0", "4.3.0", "5.3.0", "5.2.0", "5.3.0", "4.3.0", "5.5.0",
		"5.7.0", "5.3.5"};

	for (int status = 0; status < 256; status++) {
		const char *enhanced =
			status >= 64 && status <= 78 ? known[status - 64] : "4.3.0";
		struct spawn_answer a;
		char name[16];

		(void)snprintf(name, sizeof(name), "status %d", status);
		memset(&a, 'x', sizeof(a));
		verdict_make(COMMAND_EXIT, status, NULL, &a);
		if (status == 0)
			check_answer(name, &a, 250, "2.0.0", "Ok");
		else
			check_answer(name, &a, enhanced[0] == '5' ? 550 : 451, enhanced,
				status == 67 ? "User unknown" : NULL);
		CHECK(name, a.text[sizeof(a.text) - 1] == '\0');
	}
}

/* What it said counts when it failed by itself, whatever its status. */
static void test_ends(void)
{
	static const struct end_case {
		const char *name;
		enum command_end how;
		int number;
		bool has_said;
		int code;
		const char *enhanced;
		const char *text;
	} cases[] = {
		{"success, text", COMMAND_EXIT, 0, true, 250, "2.0.0", "Ok"},
		{"failure, text", COMMAND_EXIT, 1, true, 552, "5.2.2", "Full"},
		{"known, text", COMMAND_EXIT, 75, true, 552, "5.2.2", "Full"},
		{"signal", COMMAND_SIGNAL, SIGSEGV, true, 451, "4.3.0",
			"The command was killed"},
		{"timeout", COMMAND_TIMEOUT, 0, true, 451, "4.3.0",
			"The command took too long"},
		{"start", COMMAND_START, 2, true, 451, "4.3.0",
			"The command cannot be started"},
	};
	const struct spawn_answer said = {552, "5.2.2", "Full"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct end_case *c = &cases[i];
		struct spawn_answer a;

		verdict_make(c->how, c->number, c->has_said ? &said : NULL, &a);
		check_answer(c->name, &a, c->code, c->enhanced, c->text);
	}
}

static const struct line_case {
	const char *line;
	int code; /* 0: says nothing */
	const char *enhanced;
	const char *text;
} lines[] = {
	{"4.2.2 Mailbox full", 451, "4.2.2", "Mailbox full"},
	{"5.1.1 No such user", 550, "5.1.1", "No such user"},
	{"552 5.2.2 Too large", 552, "5.2.2", "Too large"},
	{"421 4.3.2 Going away", 421, "4.3.2", "Going away"},
	{"400 4.0.0 first", 400, "4.0.0", "first"},
	{"599 5.999.999 last", 599, "5.999.999", "last"},
	{"5.7.1", 550, "5.7.1", "The command refused the message"},
	{"554 5.7.1 ", 554, "5.7.1", "The command refused the message"},
	{"5.7.1\ttab", 550, "5.7.1", "tab"},
	{"5.7.1   spaces \t ", 550, "5.7.1", "spaces"},
	{"5.7.1 a\tb\001c\177d\xc3\xa9", 550, "5.7.1", "a b?c?d??"},
	{"5.7.1 \r\n250 Ok", 550, "5.7.1", "\?\?250 Ok"},
	{"", 0, NULL, NULL},
	{"hello", 0, NULL, NULL},
	{" 5.7.1 space before", 0, NULL, NULL},
	{"2.0.0 fine", 0, NULL, NULL},
	{"3.0.0 more", 0, NULL, NULL},
	{"250 2.0.0 fine", 0, NULL, NULL},
	{"550 4.1.1 two classes", 0, NULL, NULL},
	{"450 5.1.1 two classes", 0, NULL, NULL},
	{"550 no enhanced code", 550, "5.0.0", "no enhanced code"},
	{"452 Mailbox full", 452, "4.0.0", "Mailbox full"},
	{"550 5.1 two parts", 550, "5.0.0", "5.1 two parts"},
	{"404 Not Found", 0, NULL, NULL},
	{"421 Too busy", 0, NULL, NULL},
	{"500 Internal Server Error", 0, NULL, NULL},
	{"503 Service Unavailable", 0, NULL, NULL},
	{"560 no such code", 0, NULL, NULL},
	{"550-5.1.1 hyphen", 0, NULL, NULL},
	{"5501 5.1.1 four digits", 0, NULL, NULL},
	{"55 5.1.1 two digits", 0, NULL, NULL},
	{"650 5.1.1 no such code", 0, NULL, NULL},
	{"5.1 two parts", 0, NULL, NULL},
	{"5.1.1.1 four parts", 0, NULL, NULL},
	{"5.1234.1 four digits", 0, NULL, NULL},
	{"5.1.1234 four digits", 0, NULL, NULL},
	{"5..1 none", 0, NULL, NULL},
	{"5.1.1text", 0, NULL, NULL},
	{"5.1.1: text", 0, NULL, NULL},
	{"5", 0, NULL, NULL},
	{"550 ", 0, NULL, NULL},
	{"550  ", 0, NULL, NULL},
};

static void test_lines(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const struct line_case *c = &lines[i];
		struct spawn_answer a = {.code = 7};
		bool holds = verdict_parse_line(str_of(c->line), &a);

		CHECK(c->line, holds == (c->code != 0));
		if (c->code != 0)
			check_answer(c->line, &a, c->code, c->enhanced, c->text);
		else
			CHECK(c->line, a.code == 7);
	}
}

static void test_long_text(void)
{
	struct spawn_answer a;
	char line[1000];

	memset(line, 'x', sizeof(line));
	memcpy(line, "5.1.1 ", 6);
	CU_ASSERT(verdict_parse_line((struct str){line, sizeof(line)}, &a));
	CU_ASSERT(spawn_answer_is_right(&a));
	CU_ASSERT_EQUAL(strlen(a.text), VERDICT_TEXT_MAX);
}

/* ------------------------------------------------------------------- output */

static const struct output_case {
	const char *name;
	const char *output;
	const char *text; /* NULL: nothing is said */
	const char *head;
} outputs[] = {
	{"nothing", "", NULL, ""},
	{"a line", "5.1.1 one\n", "one", "5.1.1 one"},
	{"no end", "5.1.1 one", "one", "5.1.1 one"},
	{"CR LF", "5.1.1 one\r\n", "one", "5.1.1 one"},
	{"second line", "warning: x\n5.1.1 two\n", "two", "warning: x 5.1.1 two"},
	{"the first counts", "4.1.1 one\n5.1.1 two\n", "one", "4.1.1 one 5.1.1 two"},
	{"empty lines", "\n\n5.1.1 three\n\n", "three", "5.1.1 three"},
	{"last, no end", "a\nb\n5.1.1 last", "last", "a b 5.1.1 last"},
	{"none", "a\nb\n", NULL, "a b"},
	{"not ASCII", "\xc3\xa9\x1b[0m\\\"\n", NULL, "???[0m\\\""},
};

/* The pieces in which it comes do not matter. */
static void test_output(void)
{
	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		const struct output_case *c = &outputs[i];
		size_t n = strlen(c->output);

		for (size_t piece = 1; piece <= n + 1; piece++) {
			struct output o;

			output_init(&o);
			for (size_t at = 0; at < n; at += piece)
				output_add(&o, c->output + at,
					n - at < piece ? n - at : piece);
			output_end(&o);
			CHECK(c->name, o.has_said == (c->text != NULL));
			if (o.has_said && c->text != NULL)
				CHECK_STR(c->name, str_of(o.said.text), str_of(c->text));
			CHECK_STR(c->name, output_head(&o), str_of(c->head));
		}
	}
}

static void add_lines(struct output *o, size_t bytes)
{
	static const char line[] = "0123456789abcde\n";

	for (size_t n = 0; n < bytes; n += sizeof(line) - 1)
		output_add(o, line, sizeof(line) - 1);
}

static void test_much_output(void)
{
	static const char said[] = "5.1.1 here\n";
	struct output o;
	char line[2000];

	output_init(&o);
	add_lines(&o, OUTPUT_SEARCH_MAX - 16);
	output_add(&o, said, sizeof(said) - 1);
	output_end(&o);
	CHECK("just before the end of the search", o.has_said);
	output_init(&o);
	add_lines(&o, OUTPUT_SEARCH_MAX);
	output_add(&o, said, sizeof(said) - 1);
	output_end(&o);
	CHECK("behind it", !o.has_said);
	CHECK("head", output_head(&o).n == OUTPUT_HEAD_MAX - 1);
	memset(line, 'x', sizeof(line));
	memcpy(line, "5.1.1 ", 6);
	output_init(&o);
	output_add(&o, line, sizeof(line));
	output_add(&o, "\n4.1.1 next\n", 12);
	output_end(&o);
	CHECK("a long line", o.has_said && o.said.code == 550);
}

void suite_verdict(void)
{
	CU_pSuite s = CU_add_suite("verdict", NULL, NULL);

	CU_add_test(s, "statuses", test_statuses);
	CU_add_test(s, "ends", test_ends);
	CU_add_test(s, "lines", test_lines);
	CU_add_test(s, "long text", test_long_text);
	CU_add_test(s, "output", test_output);
	CU_add_test(s, "much output", test_much_output);
}
