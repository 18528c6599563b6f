/* smtp/reply: reply lines keep to RFC 5321, 4.2, whatever text goes in. */
#include <string.h>

#include "smtp/reply.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static void test_lines(void)
{
	static const struct {
		enum reply_position position;
		int code;
		const char *enhanced;
		struct str text;
		struct str line;
	} cases[] = {
		{REPLY_LAST, 250, "2.0.0", STR("Ok"), STR("250 2.0.0 Ok\r\n")},
		{REPLY_LAST, 220, "", STR("host ready"), STR("220 host ready\r\n")},
		{REPLY_MORE, 250, "", STR("PIPELINING"), STR("250-PIPELINING\r\n")},
		{REPLY_MORE, 214, "2.0.0", STR("See"), STR("214-2.0.0 See\r\n")},
		{REPLY_LAST, 550, "5.7.1", STR("a\r\n250 b\0\x7f\xff"),
			STR("550 5.7.1 a??250 b???\r\n")},
		{REPLY_LAST, 550, "5.7.1", STR("a\tb"), STR("550 5.7.1 a?b\r\n")},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf out;

		buf_init(&out, 4096);
		reply_add(&out, cases[i].position, cases[i].code, cases[i].enhanced,
			cases[i].text);
		CHECK_STR(cases[i].text.p, buf_str(&out), cases[i].line);
		buf_done(&out);
	}
}

static void test_length(void)
{
	char text[2000];
	struct buf out;

	memset(text, 'x', sizeof(text));
	buf_init(&out, 4096);
	reply_add(&out, REPLY_LAST, 550, "5.7.1", (struct str){text, sizeof(text)});
	CHECK("cut to a line", out.len > 256 && out.len <= 512);
	CHECK("with its end", memcmp(out.p + out.len - 2, "\r\n", 2) == 0);
	buf_done(&out);
}

static void test_set(void)
{
	char text[1000];
	struct reply r;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memset(&r, '#', sizeof(r));
	reply_set(&r, 452, "4.3.1", text);
	CHECK("code", r.code == 452);
	CHECK_STR("enhanced", str_of(r.enhanced), STR("4.3.1"));
	CHECK("text is cut and ended",
		strnlen(r.text, sizeof(r.text)) == sizeof(r.text) - 1);
}

static void test_enhanced(void)
{
	static const struct {
		const char *enhanced;
		int code;
		bool fits;
	} cases[] = {
		{"5.7.1", 550, true},
		{"4.3.2", 421, true},
		{"2.0.0", 250, true},
		{"5.123.999", 550, true},
		{"4.7.1", 550, false},
		{"5.7.1", 450, false},
		{"", 550, false},
		{"5.7", 550, false},
		{"5.7.", 550, false},
		{"5..1", 550, false},
		{"5.7.1.2", 550, false},
		{"5.7.1 ", 550, false},
		{"5.7.1\r\n", 550, false},
		{"55.7.1", 550, false},
		{"x.7.1", 550, false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		CHECK(cases[i].enhanced, reply_enhanced_fits(cases[i].enhanced,
						 cases[i].code) == cases[i].fits);
}

void suite_reply(void)
{
	CU_pSuite s = CU_add_suite("reply", NULL, NULL);

	CU_add_test(s, "lines", test_lines);
	CU_add_test(s, "length", test_length);
	CU_add_test(s, "set", test_set);
	CU_add_test(s, "enhanced codes", test_enhanced);
}
