/* base/str: comparing, cutting, and the small parsers. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static void test_compare(void)
{
	static const struct {
		const char *name;
		struct str a;
		struct str b;
		bool is_equal;
		bool is_equal_nocase;
		bool starts_nocase;
	} cases[] = {
		{"same", STR("abc"), STR("abc"), true, true, true},
		{"case", STR("aBc"), STR("AbC"), false, true, true},
		{"prefix", STR("ABC"), STR("ab"), false, false, true},
		{"longer prefix", STR("ab"), STR("abc"), false, false, false},
		{"empty", STR(""), STR(""), true, true, true},
		{"NULL", {NULL, 0}, STR(""), true, true, true},
		{"after NUL", STR("a\0b"), STR("a\0c"), false, false, false},
		{"brackets are not letters", STR("[a]"), STR("{a}"), false, false, false},
		{"high bytes as they are", STR("\xe4"), STR("\xc4"), false, false, false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *name = cases[i].name;
		struct str a = cases[i].a;
		struct str b = cases[i].b;

		CHECK(name, str_equal(a, b) == cases[i].is_equal);
		CHECK(name, str_equal_nocase(a, b) == cases[i].is_equal_nocase);
		CHECK(name, str_starts_nocase(a, b) == cases[i].starts_nocase);
	}
	CHECK_STR("str_of NULL", str_of(NULL), STR(""));
	CHECK_STR("str_of", str_of("abc"), STR("abc"));
}

static void test_cut(void)
{
	CHECK_STR("skip", str_skip(STR("abc"), 1), STR("bc"));
	CHECK_STR("skip all", str_skip(STR("abc"), 3), STR(""));
	CHECK_STR("skip more", str_skip(STR("abc"), 100), STR(""));
	CHECK_STR("trim end", str_trim_end(STR(" a \t ")), STR(" a"));
	CHECK_STR("trim start", str_trim_start(STR(" \ta ")), STR("a "));
	CHECK_STR("only blanks", str_trim_end(STR(" \t ")), STR(""));
	CHECK_STR("only blanks", str_trim_start(STR(" \t ")), STR(""));
	CHECK_STR("CR is no blank", str_trim_end(STR("a\r")), STR("a\r"));
}

static void test_classes(void)
{
	for (int i = 0; i < 256; i++) {
		char c = (char)i;

		CHECK("digit", str_is_digit(c) == (i >= '0' && i <= '9'));
		CHECK("alnum", str_is_alnum(c) == ((i >= '0' && i <= '9') ||
							  (i >= 'a' && i <= 'z') ||
							  (i >= 'A' && i <= 'Z')));
		CHECK("blank", str_is_blank(c) == (i == ' ' || i == '\t'));
		CHECK("printable", str_is_printable(c) == (i >= 0x20 && i <= 0x7e));
		CHECK("lower",
			str_lower(c) == (i >= 'A' && i <= 'Z' ? (char)(i + 32) : c));
	}
}

struct number_case {
	struct str text;
	int result;
	uint64_t value;
};

static void check_numbers(const char *name, const struct number_case *cases, size_t n,
	int (*parse)(struct str, uint64_t *))
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = 4711;
		char text[64];

		(void)str_printable(text, sizeof(text), cases[i].text);
		CHECK(text, parse(cases[i].text, &value) == cases[i].result);
		CHECK(text, value == (cases[i].result == 0 ? cases[i].value : 4711));
	}
	CHECK(name, n > 0);
}

static void test_numbers(void)
{
	static const struct number_case plain[] = {
		{STR("0"), 0, 0},
		{STR("007"), 0, 7},
		{STR("18446744073709551615"), 0, UINT64_MAX},
		{STR("18446744073709551616"), -ERANGE, 0},
		{STR("99999999999999999999999"), -ERANGE, 0},
		{STR(""), -EINVAL, 0},
		{STR("-1"), -EINVAL, 0},
		{STR("+1"), -EINVAL, 0},
		{STR(" 1"), -EINVAL, 0},
		{STR("1 "), -EINVAL, 0},
		{STR("1x"), -EINVAL, 0},
		{STR("1\0"), -EINVAL, 0},
		{STR("0x10"), -EINVAL, 0},
	};
	static const struct number_case sizes[] = {
		{STR("0"), 0, 0},
		{STR("1000"), 0, 1000},
		{STR("1K"), 0, 1024},
		{STR("20M"), 0, 20 << 20},
		{STR("3G"), 0, UINT64_C(3) << 30},
		{STR("17179869183G"), 0, UINT64_C(17179869183) << 30},
		{STR("17179869184G"), -ERANGE, 0},
		{STR("18446744073709551616"), -ERANGE, 0},
		{STR("M"), -EINVAL, 0},
		{STR(""), -EINVAL, 0},
		{STR("-1M"), -EINVAL, 0},
		{STR("1MM"), -EINVAL, 0},
		{STR("1.5M"), -EINVAL, 0},
	};
	static const struct number_case durations[] = {
		{STR("0"), 0, 0},
		{STR("250ms"), 0, 250},
		{STR("90s"), 0, 90000},
		{STR("5m"), 0, 300000},
		{STR("24h"), 0, 86400000},
		{STR("1d"), 0, 86400000},
		{STR("0s"), 0, 0},
		{STR("90"), -EINVAL, 0},
		{STR("s"), -EINVAL, 0},
		{STR(""), -EINVAL, 0},
		{STR("-5m"), -EINVAL, 0},
		{STR("5mm"), -EINVAL, 0},
		{STR("5 m"), -EINVAL, 0},
		{STR("18446744073709551615s"), -ERANGE, 0},
	};

	check_numbers("u64", plain, COUNT_OF(plain), str_parse_u64);
	check_numbers("size", sizes, COUNT_OF(sizes), str_parse_size);
	check_numbers("duration", durations, COUNT_OF(durations), str_parse_duration);
}

static void test_decimal(void)
{
	static const struct {
		const char *text;
		uint64_t number;
	} cases[] = {{"0", 0}, {"9", 9}, {"10", 10}, {"20971520", 20971520},
		{"999999", 999999}, {"18446744073709551615", UINT64_MAX}};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char out[STR_DECIMAL_MAX + 1];
		size_t n;

		memset(out, '#', sizeof(out));
		n = str_decimal(out, cases[i].number);
		CHECK_STR(cases[i].text, ((struct str){out, n}), str_of(cases[i].text));
		CHECK(cases[i].text, out[n] == '#');
		memset(out, '#', sizeof(out));
		str_digits(out, 3, cases[i].number);
		CHECK(cases[i].text, out[3] == '#');
		CHECK(cases[i].text,
			(uint64_t)((out[0] - '0') * 100 + (out[1] - '0') * 10 +
				   (out[2] - '0')) == cases[i].number % 1000);
	}
}

static void test_copy(void)
{
	static const struct {
		const char *name;
		struct str in;
		size_t size;
		struct str out;
	} cases[] = {
		{"fits", STR("abc"), 8, STR("abc")},
		{"fits exactly", STR("abc"), 4, STR("abc")},
		{"cut by one", STR("abc"), 3, STR("ab")},
		{"no room but for the end", STR("abc"), 1, STR("")},
		{"empty", STR(""), 4, STR("")},
		{"nothing", {NULL, 0}, 4, STR("")},
		{"NUL is a byte", STR("a\0b"), 8, STR("a\0b")},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char out[16];
		size_t n;

		memset(out, '#', sizeof(out));
		n = str_copy(out, cases[i].size, cases[i].in);
		CHECK_STR(cases[i].name, ((struct str){out, n}), cases[i].out);
		CHECK(cases[i].name, out[n] == '\0');
		CHECK(cases[i].name, out[cases[i].size] == '#');
	}
}

static void test_printable(void)
{
	static const struct {
		const char *name;
		struct str in;
		size_t size;
		const char *out;
	} cases[] = {
		{"plain", STR("abc"), 64, "abc"},
		{"quotes", STR("a\\\"b"), 64, "a\\\\\\\"b"},
		{"control", STR("\r\n\0\x7f"), 64, "\\x0D\\x0A\\x00\\x7F"},
		{"high", STR("\xc3\xbc"), 64, "\\xC3\\xBC"},
		{"fits", STR("abc"), 4, "abc"},
		{"cut", STR("abcdefgh"), 8, "abcd..."},
		{"cut at a whole escape", STR("a\xff\xff"), 8, "a..."},
		{"no room at all", STR("\xff\xff"), 4, "..."},
		{"empty", STR(""), 4, ""},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char out[80];
		size_t n;

		memset(out, '#', sizeof(out));
		n = str_printable(out, cases[i].size, cases[i].in);
		CHECK(cases[i].name, n < cases[i].size && out[n] == '\0');
		CHECK(cases[i].name, out[cases[i].size] == '#');
		for (char *p = out; *p != '\0'; p++)
			CHECK(cases[i].name, str_is_printable(*p));
		/* The case of hex digits is up to the module. */
		CHECK(cases[i].name, str_equal_nocase(str_of(out), str_of(cases[i].out)));
	}
}

static void test_json(void)
{
	static const struct {
		const char *name;
		struct str in;
		size_t size;
		const char *out;
	} cases[] = {
		{"plain", STR("a /b"), 64, "a /b"},
		{"quotes", STR("a\\\"b"), 64, "a\\\\\\\"b"},
		{"control", STR("\n\0\x7f"), 64, "\\u000A\\u0000\\u007F"},
		{"high", STR("\xc3\xbc"), 64, "\\u00C3\\u00BC"},
		{"just fits", STR("\xff"), 7, "\\u00FF"},
		{"cut at a whole escape", STR("a\xff\xff"), 12, "a\\u00FF..."},
		{"no room at all", STR("\xff"), 4, "..."},
		{"empty", STR(""), 4, ""},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char out[80];
		size_t n;

		memset(out, '#', sizeof(out));
		n = str_json(out, cases[i].size, cases[i].in);
		CHECK(cases[i].name, n < cases[i].size && out[n] == '\0');
		CHECK(cases[i].name, out[cases[i].size] == '#');
		CHECK_STR(cases[i].name, str_of(out), str_of(cases[i].out));
	}
}

static void test_ascii(void)
{
	CHECK("nothing", str_is_ascii((struct str){0}));
	CHECK("ASCII", str_is_ascii(STR("a\0\x7f")));
	CHECK("last byte", !str_is_ascii(STR("ab\x80")));
	CHECK("first byte", !str_is_ascii(STR("\xff"
					      "ab")));
}

void suite_str(void)
{
	CU_pSuite s = CU_add_suite("str", NULL, NULL);

	CU_add_test(s, "compare", test_compare);
	CU_add_test(s, "cut", test_cut);
	CU_add_test(s, "classes", test_classes);
	CU_add_test(s, "ASCII", test_ascii);
	CU_add_test(s, "numbers", test_numbers);
	CU_add_test(s, "decimal", test_decimal);
	CU_add_test(s, "copy", test_copy);
	CU_add_test(s, "printable", test_printable);
	CU_add_test(s, "json", test_json);
}
