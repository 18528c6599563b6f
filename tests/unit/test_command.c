/* smtp/command: verbs, arguments and parameters (RFC 5321, 4.1.1 and 4.1.2). */
#include "smtp/command.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static void test_split(void)
{
	static const struct {
		const char *name;
		struct str line;
		bool is_good;
		struct str verb;
		struct str argument;
	} cases[] = {
		{"verb", STR("NOOP"), true, STR("NOOP"), STR("")},
		{"trailing blanks", STR("NOOP \t "), true, STR("NOOP"), STR("")},
		{"argument", STR("EHLO x"), true, STR("EHLO"), STR("x")},
		{"blanks around it", STR("EHLO \t x  "), true, STR("EHLO"), STR("x")},
		{"blanks inside", STR("VRFY a  b"), true, STR("VRFY"), STR("a  b")},
		{"high bytes are up to others", STR("VRFY \xff"), true, STR("VRFY"),
			STR("\xff")},
		{"empty", STR(""), false, STR(""), STR("")},
		{"NUL", STR("NO\0OP"), false, STR(""), STR("")},
		{"NUL at the end", STR("NOOP\0"), false, STR(""), STR("")},
		{"CR", STR("NOOP\rx"), false, STR(""), STR("")},
		{"LF", STR("NOOP\nx"), false, STR(""), STR("")},
		{"escape", STR("NOOP \x1b[2J"), false, STR(""), STR("")},
		{"DEL", STR("NOOP \x7f"), false, STR(""), STR("")},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct command c = {0};

		CHECK(cases[i].name,
			command_split(cases[i].line, &c) == cases[i].is_good);
		if (!cases[i].is_good)
			continue;
		CHECK_STR(cases[i].name, c.verb, cases[i].verb);
		CHECK_STR(cases[i].name, c.argument, cases[i].argument);
	}
}

static void test_parameters(void)
{
	struct str rest = STR(" SIZE=10  BODY=8BITMIME FLAG X-Y=a+b");
	struct parameter p = {0};

	CHECK("first", parameter_next(&rest, &p) == PARAMETER_READY && p.has_value);
	CHECK_STR("first", p.keyword, STR("SIZE"));
	CHECK_STR("first", p.value, STR("10"));
	CHECK("second", parameter_next(&rest, &p) == PARAMETER_READY && p.has_value);
	CHECK_STR("second", p.keyword, STR("BODY"));
	CHECK_STR("second", p.value, STR("8BITMIME"));
	CHECK("third", parameter_next(&rest, &p) == PARAMETER_READY && !p.has_value);
	CHECK_STR("third", p.keyword, STR("FLAG"));
	CHECK("fourth", parameter_next(&rest, &p) == PARAMETER_READY && p.has_value);
	CHECK_STR("fourth", p.keyword, STR("X-Y"));
	CHECK_STR("fourth", p.value, STR("a+b"));
	CHECK("all ASCII", p.is_ascii);
	CHECK("end", parameter_next(&rest, &p) == PARAMETER_END);
	CHECK("end again", parameter_next(&rest, &p) == PARAMETER_END);
}

/* RFC 6531, 3.3, lets UTF-8 into values; whether it may come now is not known here. */
static void test_utf8_parameters(void)
{
	struct str rest = STR(" A=\xc3\xbc-b\xe2\x82\xac B=c");
	struct parameter p = {0};

	CHECK("UTF-8", parameter_next(&rest, &p) == PARAMETER_READY && !p.is_ascii);
	CHECK_STR("UTF-8", p.value, STR("\xc3\xbc-b\xe2\x82\xac"));
	CHECK("next", parameter_next(&rest, &p) == PARAMETER_READY && p.is_ascii);
	CHECK_STR("next", p.value, STR("c"));
}

static void test_bad_parameters(void)
{
	static const struct str cases[] = {
		STR(" =10"),
		STR(" SIZE="),
		STR(" SIZE=1=2"),
		STR(" -X=1"),
		STR(" S!ZE=1"),
		STR(" SI\0ZE=1"),
		STR(" X=\xff"),
		STR(" X=a\xc3"),
		STR(" X=\xc2\x85"),
		STR(" \xc3\xbc=1"),
		STR(" X\xc3\xbc=1"),
		STR(" X=\x7f"),
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str rest = cases[i];
		struct parameter p = {0};
		char name[40];

		(void)str_printable(name, sizeof(name), cases[i]);
		CHECK(name, parameter_next(&rest, &p) == PARAMETER_BAD);
	}
}

static void test_xtext(void)
{
	static const struct {
		const char *name;
		struct str in;
		struct str out; /* p NULL: it is none */
	} cases[] = {
		{"nothing", STR(""), STR("")},
		{"plain", STR("a@b!~"), STR("a@b!~")},
		{"hex", STR("+2B+3D+00+FF"), STR("+=\0\xff")},
		{"lower case hex", STR("+2b"), {0}},
		{"one digit", STR("+2"), {0}},
		{"no digit", STR("a+"), {0}},
		{"no hex", STR("+G0"), {0}},
		{"no hex behind", STR("+0G"), {0}},
		{"equals", STR("a=b"), {0}},
		{"blank", STR("a b"), {0}},
		{"high", STR("\xc3\xbc"), {0}},
		{"control", STR("\x7f"), {0}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[16];
		size_t n = 77;
		bool is_good = xtext_decode(cases[i].in, out, &n);

		CHECK(cases[i].name, is_good == (cases[i].out.p != NULL));
		if (is_good)
			CHECK_STR(cases[i].name, ((struct str){out, n}), cases[i].out);
		else
			CHECK(cases[i].name, n == 77);
	}
}

void suite_command(void)
{
	CU_pSuite s = CU_add_suite("command", NULL, NULL);

	CU_add_test(s, "split", test_split);
	CU_add_test(s, "parameters", test_parameters);
	CU_add_test(s, "UTF-8 parameters", test_utf8_parameters);
	CU_add_test(s, "bad parameters", test_bad_parameters);
	CU_add_test(s, "xtext", test_xtext);
}
