/* base/base64: RFC 4648, 10, and all that has to be refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static void test_forms(void)
{
	static const struct {
		const char *name;
		struct str bytes;
		struct str form;
	} cases[] = {
		{"nothing", STR(""), STR("")},
		{"one", STR("f"), STR("Zg==")},
		{"two", STR("fo"), STR("Zm8=")},
		{"three", STR("foo"), STR("Zm9v")},
		{"four", STR("foob"), STR("Zm9vYg==")},
		{"five", STR("fooba"), STR("Zm9vYmE=")},
		{"six", STR("foobar"), STR("Zm9vYmFy")},
		{"high bits", STR("\xff\xfe\xfb"), STR("//77")},
		{"plus", STR("\xfb\xef\xbe"), STR("++++")},
		{"NUL", STR("\0joe\0secret"), STR("AGpvZQBzZWNyZXQ=")},
		{"last of the alphabet", STR("\x00\x10\x83\x10\x51\x87\x20\x92\x8b"),
			STR("ABCDEFGHIJKL")},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		/* Exact, so that a checker sees a byte too many. */
		size_t size = BASE64_ENCODED_SIZE(cases[i].bytes.n);
		char *form = malloc(size + 1);
		char *bytes = malloc(BASE64_DECODED_SIZE(size) + 1);
		size_t n = 77;

		CU_ASSERT_FATAL(form != NULL && bytes != NULL);
		form[size] = 'x';
		CHECK(cases[i].name, base64_encode(cases[i].bytes, form) == size);
		CHECK_STR(cases[i].name, ((struct str){form, size}), cases[i].form);
		CHECK(cases[i].name, form[size] == 'x');
		CHECK(cases[i].name, base64_decode(cases[i].form, bytes, &n) == 0);
		CHECK_STR(cases[i].name, ((struct str){bytes, n}), cases[i].bytes);
		free(form);
		free(bytes);
	}
}

static void test_every_byte(void)
{
	char bytes[256];
	char form[BASE64_ENCODED_SIZE(sizeof(bytes))];
	char again[BASE64_DECODED_SIZE(sizeof(form))];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct str in = {bytes, n};
		size_t form_n = base64_encode(in, form), got = 0;

		CHECK("all bytes",
			base64_decode((struct str){form, form_n}, again, &got) == 0);
		CHECK_STR("all bytes", ((struct str){again, got}), in);
	}
}

static void test_strict(void)
{
	static const struct {
		const char *name;
		struct str form;
	} cases[] = {
		{"one character", STR("Z")},
		{"two characters", STR("Zg")},
		{"three characters", STR("Zm8")},
		{"padding short", STR("Zg=")},
		{"padding alone", STR("====")},
		{"three pads", STR("Z===")},
		{"two pads alone", STR("==")},
		{"padding inside", STR("Zg==Zg==")},
		{"padding first", STR("=m9v")},
		{"padding before the last", STR("Zm=v")},
		{"padding too long", STR("Zm9v====")},
		{"bits left over, two pads", STR("Zh==")},
		{"bits left over, one pad", STR("Zm9=")},
		{"blank", STR("Zm 9")},
		{"blank behind", STR("Zm9v ")},
		{"line end", STR("Zm9v\r\n")},
		{"NUL", STR("Zm9\0")},
		{"high", STR("Zm9\xff")},
		{"of the URL alphabet", STR("__--")},
		{"star", STR("*")},
		{"around the classes", STR("@[`{")},
		{"around the digits", STR(":.,;")},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char out[16];
		size_t n = 77;

		CHECK(cases[i].name, base64_decode(cases[i].form, out, &n) == -EINVAL);
		CHECK(cases[i].name, n == 77);
	}
	for (int c = 0; c < 256; c++) {
		char form[4] = {'A', 'A', 'A', (char)c}, out[3];
		bool is_good = str_is_alnum((char)c) || c == '+' || c == '/';
		size_t n;

		/* With "=" it is two bytes. */
		CHECK("every character", (base64_decode((struct str){form, 4}, out, &n) ==
						 0) == (is_good || c == '='));
	}
}

void suite_base64(void)
{
	CU_pSuite s = CU_add_suite("base64", NULL, NULL);

	CU_add_test(s, "forms", test_forms);
	CU_add_test(s, "every byte", test_every_byte);
	CU_add_test(s, "strict", test_strict);
}
