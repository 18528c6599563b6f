/* smtp/address: paths of MAIL and RCPT (RFC 5321, 4.1.2 and 4.1.3). */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "smtp/address.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
	struct str in;
	enum path_kind kind;
	struct str mailbox;
	struct str local;
	struct str domain;
	struct str rest;
} good_paths[] = {
	{STR("<a@b.example>"), PATH_FORWARD, STR("a@b.example"), STR("a"),
		STR("b.example"), STR("")},
	{STR("<a@b.example> SIZE=1"), PATH_REVERSE, STR("a@b.example"), STR("a"),
		STR("b.example"), STR(" SIZE=1")},
	{STR("<>"), PATH_REVERSE, STR(""), STR(""), STR(""), STR("")},
	{STR("<> X"), PATH_REVERSE, STR(""), STR(""), STR(""), STR(" X")},
	{STR("<postmaster>"), PATH_FORWARD, STR("postmaster"), STR("postmaster"), STR(""),
		STR("")},
	{STR("<PostMaster>"), PATH_FORWARD, STR("PostMaster"), STR("postmaster"), STR(""),
		STR("")},
	{STR("<A.B@C.Example>"), PATH_FORWARD, STR("A.B@C.Example"), STR("A.B"),
		STR("C.Example"), STR("")},
	{STR("<!#$%&'*+-/=?^_`{|}~@x>"), PATH_FORWARD, STR("!#$%&'*+-/=?^_`{|}~@x"),
		STR("!#$%&'*+-/=?^_`{|}~"), STR("x"), STR("")},
	{STR("<\"john doe\"@x>"), PATH_FORWARD, STR("\"john doe\"@x"), STR("john doe"),
		STR("x"), STR("")},
	{STR("<\"a\\\"b\\\\c\"@x>"), PATH_FORWARD, STR("\"a\\\"b\\\\c\"@x"),
		STR("a\"b\\c"), STR("x"), STR("")},
	{STR("<\"a>b@c\"@x>"), PATH_FORWARD, STR("\"a>b@c\"@x"), STR("a>b@c"), STR("x"),
		STR("")},
	{STR("<\"\"@x>"), PATH_FORWARD, STR("\"\"@x"), STR(""), STR("x"), STR("")},
	{STR("<a@[192.0.2.7]>"), PATH_FORWARD, STR("a@[192.0.2.7]"), STR("a"),
		STR("[192.0.2.7]"), STR("")},
	{STR("<a@[IPv6:2001:db8::1]>"), PATH_FORWARD, STR("a@[IPv6:2001:db8::1]"),
		STR("a"), STR("[IPv6:2001:db8::1]"), STR("")},
	{STR("<@r.example:a@x>"), PATH_FORWARD, STR("a@x"), STR("a"), STR("x"), STR("")},
	{STR("<@r.example,@s.example:a@x> Y"), PATH_REVERSE, STR("a@x"), STR("a"),
		STR("x"), STR(" Y")},
};

/* On the heap and without a byte more, so that a checker sees a read past the end. */
static char *exact_copy(struct str s)
{
	char *copy = malloc(s.n);

	if (s.n > 0) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, s.p, s.n);
	}
	return copy;
}

static void test_good_paths(void)
{
	struct arena arena;

	arena_init(&arena, 1 << 16);
	/* With UTF-8 or without it: ASCII means the same. */
	for (size_t k = 0; k < 2 * COUNT_OF(good_paths); k++) {
		size_t i = k / 2;
		struct address a;
		struct str rest;
		const char *name = good_paths[i].in.p;
		char *copy = exact_copy(good_paths[i].in);

		CU_ASSERT_FATAL(address_parse_path((struct str){copy, good_paths[i].in.n},
					good_paths[i].kind, k % 2 != 0, &arena, &a,
					&rest) == ADDRESS_OK);
		CHECK_STR(name, rest, good_paths[i].rest);
		/* What is kept must not point into the line, which goes away. */
		free(copy);
		CHECK_STR(name, a.mailbox, good_paths[i].mailbox);
		CHECK_STR(name, a.local, good_paths[i].local);
		CHECK_STR(name, a.domain, good_paths[i].domain);
	}
	arena_done(&arena);
}

static const struct {
	struct str in;
	enum path_kind kind;
	enum address_outcome outcome;
} bad_paths[] = {
	{STR(""), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("a@x"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@x"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@x:>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@:a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@r,:a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@r,s:a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<@r:@s:a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<.a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a.@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a..b@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a b@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@x y>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@x@y>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@.x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@x..y>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<\"a@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<\"a\\\"@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<\"a\"b@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a\"b\"@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<\"a\0b\"@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<\"a\tb\"@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a\0b@x>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@x\0y>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@[192.0.2.7>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@[192.0.2.256]>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@[192.0.2]>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@[IPv6:1:2:3]>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<a@[]>"), PATH_FORWARD, ADDRESS_BAD_SYNTAX},
	{STR("<john>"), PATH_FORWARD, ADDRESS_NO_DOMAIN},
	{STR("<postmasters>"), PATH_FORWARD, ADDRESS_NO_DOMAIN},
	{STR("<john>"), PATH_REVERSE, ADDRESS_NO_DOMAIN},
	{STR("<postmaster>"), PATH_REVERSE, ADDRESS_NO_DOMAIN},
};

static void test_bad_paths(void)
{
	struct arena arena;

	arena_init(&arena, 1 << 16);
	for (size_t k = 0; k < 2 * COUNT_OF(bad_paths); k++) {
		size_t i = k / 2;
		struct address a;
		struct str rest;
		char name[80];
		char *copy = exact_copy(bad_paths[i].in);

		(void)str_printable(name, sizeof(name), bad_paths[i].in);
		CHECK(name, address_parse_path((struct str){copy, bad_paths[i].in.n},
				    bad_paths[i].kind, k % 2 != 0, &arena, &a,
				    &rest) == bad_paths[i].outcome);
		free(copy);
	}
	arena_done(&arena);
}

#define UE     "\xc3\xbc"
#define IDEOGR "\xe4\xbe\x8b\xe5\xad\x90"
#define SIGN   "\xf0\x9f\x93\xa7"

/* Good with SMTPUTF8, and not ASCII without it (RFC 6531, 3.3). */
static void test_utf8_paths(void)
{
	static const struct {
		struct str in;
		struct str mailbox;
		struct str local;
		struct str domain;
	} cases[] = {
		{STR("<j" UE "rgen@x>"), STR("j" UE "rgen@x"), STR("j" UE "rgen"),
			STR("x")},
		{STR("<" UE "@x>"), STR(UE "@x"), STR(UE), STR("x")},
		{STR("<a." SIGN "." UE "@x>"), STR("a." SIGN "." UE "@x"),
			STR("a." SIGN "." UE), STR("x")},
		{STR("<a@b" UE "cher.example>"), STR("a@b" UE "cher.example"), STR("a"),
			STR("b" UE "cher.example")},
		{STR("<a@" IDEOGR "." IDEOGR ">"), STR("a@" IDEOGR "." IDEOGR), STR("a"),
			STR(IDEOGR "." IDEOGR)},
		{STR("<" UE "@xn--bcher-kva.example>"), STR(UE "@xn--bcher-kva.example"),
			STR(UE), STR("xn--bcher-kva.example")},
		{STR("<\"j" UE " \\\"" SIGN "\"@x>"), STR("\"j" UE " \\\"" SIGN "\"@x"),
			STR("j" UE " \"" SIGN), STR("x")},
		{STR("<\"\\\\" UE "\"@x>"), STR("\"\\\\" UE "\"@x"), STR("\\" UE),
			STR("x")},
		{STR("<@" UE ".example:a@x>"), STR("a@x"), STR("a"), STR("x")},
		/* 63 octets in a label, which are 31 characters and a letter. */
		{STR("<a@" UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE
				 UE UE UE UE UE UE UE UE UE UE "x>"),
			STR("a@" UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE
					UE UE UE UE UE UE UE UE UE UE UE UE "x"),
			STR("a"),
			STR(UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE
					UE UE UE UE UE UE UE UE UE UE "x")},
	};
	struct arena arena;

	arena_init(&arena, 1 << 16);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address a = {0};
		struct str rest = {0};
		char name[160];
		char *copy = exact_copy(cases[i].in);
		struct str in = {copy, cases[i].in.n};

		(void)str_printable(name, sizeof(name), cases[i].in);
		CHECK(name, address_parse_path(in, PATH_FORWARD, false, &arena, &a,
				    &rest) == ADDRESS_NOT_ASCII);
		CHECK(name, address_parse_path(in, PATH_REVERSE, true, &arena, &a,
				    &rest) == ADDRESS_OK);
		CHECK(name, rest.n == 0);
		free(copy);
		CHECK_STR(name, a.mailbox, cases[i].mailbox);
		CHECK_STR(name, a.local, cases[i].local);
		CHECK_STR(name, a.domain, cases[i].domain);
	}
	arena_done(&arena);
}

static void test_bad_utf8_paths(void)
{
	static const struct str cases[] = {
		STR("<\xff@x>"),
		STR("<\xc3@x>"),
		STR("<a@\xc3>"),
		STR("<a@x.\xc3>"),
		STR("<\"\xff\"@x>"),
		STR("<\"\xc3\"@x>"),
		STR("<\"\\" UE "\"@x>"),
		STR("<\xc0\xae@x>"),
		STR("<\xed\xa0\x80@x>"),
		STR("<\xc2\x85@x>"),
		STR("<a@\xe2\x80\xa8>"),
		STR("<\"\xe2\x80\xa9\"@x>"),
		STR("<a@-" UE ">"),
		STR("<a@" UE "->"),
		STR("<a@" UE "..x>"),
		STR("<" UE ".@x>"),
		STR("<a@[" UE "]>"),
		STR("<a@" UE),
	};
	struct arena arena;

	arena_init(&arena, 1 << 16);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
			struct address a;
			struct str rest;
			char name[80];
			char *copy = exact_copy(cases[i]);

			(void)str_printable(name, sizeof(name), cases[i]);
			CHECK(name, address_parse_path((struct str){copy, cases[i].n},
					    PATH_FORWARD, is_utf8 != 0, &arena, &a,
					    &rest) == (is_utf8 ? ADDRESS_BAD_SYNTAX
							       : ADDRESS_NOT_ASCII));
			free(copy);
		}
	arena_done(&arena);
}

/* What stands behind an address is for others to judge. */
static void test_utf8_behind(void)
{
	struct arena arena;
	struct address a;
	struct str rest = {0};

	arena_init(&arena, 1 << 16);
	CHECK("behind", address_parse_path(STR("<a@x> " UE), PATH_FORWARD, false, &arena,
				&a, &rest) == ADDRESS_OK);
	CHECK_STR("behind", rest, STR(" " UE));
	CHECK("no domain", address_parse_path(STR("<a" UE ">"), PATH_FORWARD, true,
				   &arena, &a, &rest) == ADDRESS_NO_DOMAIN);
	arena_done(&arena);
}

static void test_atoms(void)
{
	CHECK("rfc822", address_is_atom(STR("rfc822")));
	CHECK("utf-8", address_is_atom(STR("utf-8")));
	CHECK("nothing", !address_is_atom(STR("")));
	CHECK("dot", !address_is_atom(STR("a.b")));
	CHECK("blank", !address_is_atom(STR("a b")));
	CHECK("semicolon", !address_is_atom(STR("a;")));
	CHECK("UTF-8", !address_is_atom(STR(UE)));
}

static void test_memory(void)
{
	struct arena arena;
	struct address a;
	struct str rest;

	arena_init(&arena, 16);
	CHECK("full",
		address_parse_path(STR("<someone.with.a.name@example.org>"), PATH_FORWARD,
			false, &arena, &a, &rest) == ADDRESS_NO_MEMORY);
	arena_done(&arena);
}

static void test_domains(void)
{
	static const struct {
		struct str in;
		bool is_domain;
	} cases[] = {
		{STR("example"), true},
		{STR("mx.example.test"), true},
		{STR("a-b.1.example"), true},
		{STR("with_underscore.example"), true},
		{STR("[192.0.2.7]"), true},
		{STR("[IPv6:2001:db8::1]"), true},
		{STR(""), false},
		{STR("."), false},
		{STR("a."), false},
		{STR(".a"), false},
		{STR("a..b"), false},
		{STR("a b"), false},
		{STR("a\0b"), false},
		{STR("a\r\n"), false},
		{STR("<a>"), false},
		{STR("b\xc3\xbc"
		     "cher"),
			false},
		{STR("[192.0.2.7"), false},
		{STR("192.0.2.7]"), false},
	};
	char longest[300];

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char name[80];

		(void)str_printable(name, sizeof(name), cases[i].in);
		CHECK(name, address_is_domain(cases[i].in) == cases[i].is_domain);
	}
	/* RFC 5321, 4.5.3.1.2; labels of at most 63 octets (RFC 1035, 2.3.4). */
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 50 == 49 ? '.' : 'a';
	CHECK("255 octets", address_is_domain((struct str){longest + 1, 255}));
	CHECK("256 octets", !address_is_domain((struct str){longest, 256}));
}

static void extension(void)
{
	static const struct {
		const char *local, *expected;
	} cases[] = {
		{"", ""},
		{"joe", ""},
		{"joe+", ""},
		{"joe+lists", "lists"},
		{"joe+a+b", "a+b"},
		{"+x", "x"},
		{"joe+-x", "-x"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_STR(cases[i].local, address_extension(str_of(cases[i].local)),
			str_of(cases[i].expected));
	CHECK("no slice", address_extension((struct str){0}).n == 0);
}

void suite_address(void)
{
	CU_pSuite s = CU_add_suite("address", NULL, NULL);

	CU_add_test(s, "good paths", test_good_paths);
	CU_add_test(s, "bad paths", test_bad_paths);
	CU_add_test(s, "UTF-8 paths", test_utf8_paths);
	CU_add_test(s, "bad UTF-8 paths", test_bad_utf8_paths);
	CU_add_test(s, "UTF-8 behind", test_utf8_behind);
	CU_add_test(s, "atoms", test_atoms);
	CU_add_test(s, "memory", test_memory);
	CU_add_test(s, "domains", test_domains);
	CU_add_test(s, "extension", extension);
}
