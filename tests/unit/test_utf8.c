/* base/utf8: RFC 3629, each character there is, and each way to be none. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
	const char *name;
	struct str in;
	size_t length;
	size_t printable;
} characters[] = {
	{"nothing", STR(""), 0, 0},
	{"letter", STR("ab"), 1, 1},
	{"blank", STR(" "), 1, 1},
	{"tilde", STR("~"), 1, 1},
	{"NUL", STR("\0"), 1, 0},
	{"tab", STR("\t"), 1, 0},
	{"line feed", STR("\n"), 1, 0},
	{"DEL", STR("\x7f"), 1, 0},
	{"C1, first", STR("\xc2\x80"), 2, 0},
	{"C1, next line", STR("\xc2\x85"), 2, 0},
	{"C1, last", STR("\xc2\x9f"), 2, 0},
	{"no-break space", STR("\xc2\xa0"), 2, 2},
	{"two octets", STR("\xc3\xbcx"), 2, 2},
	{"last of two", STR("\xdf\xbf"), 2, 2},
	{"first of three", STR("\xe0\xa0\x80"), 3, 3},
	{"line separator", STR("\xe2\x80\xa8"), 3, 0},
	{"paragraph separator", STR("\xe2\x80\xa9"), 3, 0},
	{"before them", STR("\xe2\x80\xa7"), 3, 3},
	{"behind them", STR("\xe2\x80\xaa"), 3, 3},
	{"before the surrogates", STR("\xed\x9f\xbf"), 3, 3},
	{"first surrogate", STR("\xed\xa0\x80"), 0, 0},
	{"last surrogate", STR("\xed\xbf\xbf"), 0, 0},
	{"behind the surrogates", STR("\xee\x80\x80"), 3, 3},
	{"U+FDCF", STR("\xef\xb7\x8f"), 3, 3},
	{"U+FDD0", STR("\xef\xb7\x90"), 3, 0},
	{"U+FDEF", STR("\xef\xb7\xaf"), 3, 0},
	{"U+FDF0", STR("\xef\xb7\xb0"), 3, 3},
	{"U+FFFD", STR("\xef\xbf\xbd"), 3, 3},
	{"U+FFFE", STR("\xef\xbf\xbe"), 3, 0},
	{"U+FFFF", STR("\xef\xbf\xbf"), 3, 0},
	{"first of four", STR("\xf0\x90\x80\x80"), 4, 4},
	{"U+1F4E7", STR("\xf0\x9f\x93\xa7"), 4, 4},
	{"U+1FFFF", STR("\xf0\x9f\xbf\xbf"), 4, 0},
	{"U+10FFFD", STR("\xf4\x8f\xbf\xbd"), 4, 4},
	{"U+10FFFF", STR("\xf4\x8f\xbf\xbf"), 4, 0},
	{"beyond", STR("\xf4\x90\x80\x80"), 0, 0},
	{"far beyond", STR("\xf5\x80\x80\x80"), 0, 0},
	{"five octets", STR("\xf8\x88\x80\x80\x80"), 0, 0},
	{"FE", STR("\xfe"), 0, 0},
	{"FF", STR("\xff"), 0, 0},
	{"tail alone", STR("\x80"), 0, 0},
	{"two octets for one", STR("\xc0\x80"), 0, 0},
	{"a slash in two", STR("\xc0\xaf"), 0, 0},
	{"two octets for DEL", STR("\xc1\xbf"), 0, 0},
	{"three octets for two", STR("\xe0\x9f\xbf"), 0, 0},
	{"a line feed in three", STR("\xe0\x80\x8a"), 0, 0},
	{"four octets for three", STR("\xf0\x8f\xbf\xbf"), 0, 0},
	{"one of two", STR("\xc3"), 0, 0},
	{"one of three", STR("\xe2"), 0, 0},
	{"two of three", STR("\xe2\x80"), 0, 0},
	{"one of four", STR("\xf0"), 0, 0},
	{"three of four", STR("\xf0\x9f\x93"), 0, 0},
	{"no tail", STR("\xc3("), 0, 0},
	{"head for a tail", STR("\xc3\xc3"), 0, 0},
	{"no second tail", STR("\xe2\x80("), 0, 0},
	{"no third tail", STR("\xf0\x9f\x93\xc0"), 0, 0},
};

static void test_characters(void)
{
	for (size_t i = 0; i < COUNT_OF(characters); i++) {
		/* Exact, so that a checker sees a byte too many. */
		char *copy = malloc(characters[i].in.n + (characters[i].in.n == 0));
		struct str in = {copy, characters[i].in.n};

		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, characters[i].in.p, in.n);
		CHECK(characters[i].name, utf8_char(in) == characters[i].length);
		CHECK(characters[i].name, utf8_printable(in) == characters[i].printable);
		free(copy);
	}
}

static bool is_character(uint32_t c)
{
	return c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
}

/* Every number makes a character that is taken, or none. */
static void test_every_character(void)
{
	size_t wrong = 0, printable = 0;

	for (uint32_t c = 0; c <= 0x110010; c++) {
		char text[UTF8_CHAR_MAX];
		size_t n = utf8_encode(c, text), least;

		least = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		wrong += n != (is_character(c) ? least : 0);
		wrong += utf8_char((struct str){text, n}) != n;
		for (size_t cut = 0; cut < n; cut++)
			wrong += utf8_char((struct str){text, cut}) != 0;
		printable += n > 0 && utf8_printable((struct str){text, n}) == n;
	}
	CHECK("length", wrong == 0);
	/* All but C0, DEL and C1, two separators, 32 and 34 that are no characters. */
	CHECK("printable", printable == 0x110000 - 0x800 - 32 - 33 - 2 - 32 - 34);
	CHECK("last there is", utf8_encode(UINT32_MAX, (char[UTF8_CHAR_MAX]){0}) == 0);
}

/* Two octets that are both taken are one character, or two of ASCII; of the pairs that
 * begin with 0xc2 to 0xdf, 64 each are good. */
static void test_every_pair(void)
{
	size_t pairs = 0;

	for (unsigned first = 0x80; first <= 0xff; first++)
		for (unsigned second = 0; second <= 0xff; second++) {
			char text[2] = {(char)first, (char)second};
			size_t n = utf8_char((struct str){text, 2});

			CHECK("of two", n == 0 || n == 2);
			pairs += n == 2;
		}
	CHECK("pairs", pairs == (0xdf - 0xc2 + 1) * 64);
}

static void test_texts(void)
{
	static const struct {
		struct str in;
		bool is_printable;
	} cases[] = {
		{STR(""), true},
		{STR("J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x93\xa7"), true},
		{STR("a\tb"), false},
		{STR("a\0"), false},
		{STR("\xc3\xbc\xc3"), false},
		{STR("\xc3\xbc\xc2\x85"), false},
		{STR("\xe2\x80\xa8"
		     "a"),
			false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		CHECK(cases[i].in.p,
			utf8_is_printable(cases[i].in) == cases[i].is_printable);
}

void suite_utf8(void)
{
	CU_pSuite s = CU_add_suite("utf8", NULL, NULL);

	CU_add_test(s, "characters", test_characters);
	CU_add_test(s, "every character", test_every_character);
	CU_add_test(s, "every pair", test_every_pair);
	CU_add_test(s, "texts", test_texts);
}
