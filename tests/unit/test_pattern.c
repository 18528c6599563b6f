/* policy/pattern. */
#include "policy/pattern.h"

#include "unit.h"

#include <malloc.h>
#include <string.h>

static void test_matches(void)
{
	static const struct {
		const char *pattern, *subject;
		bool matches;
	} cases[] = {
		{"*", "", true},
		{"*", "anything", true},
		{"", "", true},
		{"", "a", false},
		{"a", "A", true},
		{"a?c", "aBC", true},
		{"a?c", "ac", false},
		{"full-*@*", "full-1@example.org", true},
		{"full-*@*", "empty-1@example.org", false},
		{"*@example.org", "a@b@example.org", true},
		{"*@example.org", "a@example.org.test", false},
		{"a*b*c", "axxbyybzzc", true},
		{"a*b*c", "axxbyybzz", false},
		{"**", "a", true},
		{"*?", "", false},
		{"*a", "aaaa", true},
		{"~^a+@", "AAA@x", true},
		{"~^a+@", "baaa@x", false},
		{"~(one|two)\\.test$", "x@two.test", true},
		{"~(one|two)\\.test$", "x@twoxtest", false},
		{"~\\\\1", "\\1", true},
		{"~a{2,3}", "xaay", true},
		{"\\", "\\", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pattern *p = NULL;

		CHECK(cases[i].pattern, pattern_new(cases[i].pattern, &p) == NULL);
		CHECK(cases[i].subject,
			pattern_matches(p, str_of(cases[i].subject)) == cases[i].matches);
		pattern_free(p);
	}
}

/* What a pattern has learned of the texts it met is forgotten in time, or who sends ever
 * new ones would fill the memory of a worker. */
static void test_memory(void)
{
	const size_t most = 40 << 20;
	size_t before = mallinfo2().uordblks, after;
	struct pattern *p = NULL;
	uint64_t x = 88172645463325252;

	CU_ASSERT_FATAL(pattern_new("~^(a|b)*a(a|b){16}c$", &p) == NULL);
	for (unsigned i = 0; i < 64; i++) {
		char text[PATTERN_SUBJECT_MAX];

		for (size_t k = 0; k < sizeof(text); k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			text[k] = (x >> 32 & 1) != 0 ? 'a' : 'b';
		}
		CHECK("no match", !pattern_matches(p, (struct str){text, sizeof(text)}));
	}
	after = mallinfo2().uordblks;
	CHECK("memory", after - before < most);
	CHECK("still the same",
		pattern_matches(p, STR("abbbbbbbbbbbbbbbbbbc")) == false &&
			pattern_matches(p, STR("abbbbbbbbbbbbbbbbc")));
	pattern_free(p);
}

static void test_mistakes(void)
{
	static const char *const cases[] = {
		"~", "~(", "~[a", "~a{", "~a{2,1}", "~*a", "~(a)\\1", "~\\\\\\1"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pattern *p = NULL;

		CHECK(cases[i], pattern_new(cases[i], &p) != NULL && p == NULL);
	}
}

/* What would take the memory of the machine when it is made. */
static void test_large(void)
{
	static const struct {
		const char *pattern;
		bool is_too_large;
	} cases[] = {
		{"~((a{1,200}){1,200}){1,200}", true},
		{"~((([a-z]{40}){40})){40}", true},
		{"~((a{100})*){200}", true},
		{"~(a{100})*{200}", true},
		{"~((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", true},
		{"~a{10001}", true},
		{"~(a{5000})(b{5000})(c)", true},
		{"~((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))",
			true},
		{"~a{4,32}(b{10,}|c{1,20}){30}", false},
		{"~[]{99999}[:alpha:]a]{3}", false},
		{"~[^]{99999}]\\{99999\\}", false},
		{"~^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pattern *p = NULL;
		const char *wrong = pattern_new(cases[i].pattern, &p);

		CHECK(cases[i].pattern, (wrong != NULL) == cases[i].is_too_large);
		CHECK(cases[i].pattern,
			wrong == NULL || strstr(wrong, "too large") != NULL);
		pattern_free(p);
	}
}

/* What would take years if each star were tried with each length. */
static void test_many_stars(void)
{
	char glob[2 * 60 + 2] = "", subject[4096];
	struct pattern *p = NULL;

	for (size_t i = 0; i < 60; i++)
		(void)strlcat(glob, "*a", sizeof(glob));
	(void)strlcat(glob, "b", sizeof(glob));
	memset(subject, 'a', sizeof(subject));
	CU_ASSERT_PTR_NULL(pattern_new(glob, &p));
	CU_ASSERT_FALSE(pattern_matches(p, (struct str){subject, sizeof(subject)}));
	pattern_free(p);
}

/* A NUL in the text is no end for a glob, and the text is cut for an expression. */
static void test_bytes(void)
{
	char subject[PATTERN_SUBJECT_MAX + 10];
	struct pattern *p = NULL;

	CU_ASSERT_PTR_NULL(pattern_new("a?c", &p));
	CU_ASSERT_TRUE(pattern_matches(p, (struct str){"a\0c", 3}));
	pattern_free(p);
	memset(subject, 'a', sizeof(subject));
	CU_ASSERT_PTR_NULL(pattern_new("~^a*$", &p));
	CU_ASSERT_TRUE(pattern_matches(p, (struct str){subject, sizeof(subject)}));
	pattern_free(p);
	pattern_free(NULL);
}

void suite_pattern(void)
{
	CU_pSuite s = CU_add_suite("pattern", NULL, NULL);

	CU_add_test(s, "matches", test_matches);
	CU_add_test(s, "memory", test_memory);
	CU_add_test(s, "mistakes", test_mistakes);
	CU_add_test(s, "too large", test_large);
	CU_add_test(s, "many stars", test_many_stars);
	CU_add_test(s, "bytes", test_bytes);
}
