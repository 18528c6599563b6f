/* policy/rule. */
#include "unit.h"

#include "policy/pattern.h"
#include "policy/rule.h"

#include <stdio.h>
#include <string.h>

#define KEYS_MAX 4096

/* Counts without windows, for as many keys as a test has. */
struct tally {
	uint64_t keys[KEYS_MAX];
	uint64_t counts[KEYS_MAX];
	size_t used;
	uint64_t window_ms; /* of the last question */
};

static struct tally tallies[2];

static struct tally *new_tally(size_t i)
{
	tallies[i].used = 0;
	return &tallies[i];
}

static uint64_t count(void *user, uint64_t key, uint64_t window_ms)
{
	struct tally *t = user;
	size_t i = 0;

	t->window_ms = window_ms;
	while (i < t->used && t->keys[i] != key)
		i++;
	if (i == t->used) {
		CU_ASSERT_FATAL(t->used < KEYS_MAX);
		t->keys[t->used++] = key;
		t->counts[i] = 0;
	}
	return ++t->counts[i];
}

static bool fires(const struct rule_settings *r, const struct rule_question *q,
	struct tally *t, uint32_t *ret_delay_ms)
{
	const struct rule_counting counting = {t, count};

	return rule_fires(r, q, &counting, ret_delay_ms);
}

/* Ask n times and write what came of it, "x" for fired. */
static void ask(const struct rule_settings *r, const struct rule_question *q, size_t n,
	struct tally *t, char *out)
{
	uint32_t delay_ms = 0;

	for (size_t i = 0; i < n; i++)
		out[i] = fires(r, q, t, &delay_ms) ? 'x' : '.';
	out[n] = '\0';
}

static const struct rule_settings plain = {.name = "plain", .percent = 100};

static void concerns(void)
{
	static const struct rule_question q = {.helo = STR("client.example"),
		.sender = STR("a@example.org"),
		.recipient = STR("full-1@example.net"),
		.user = STR("joe"),
		.listener = STR("mx"),
		.size = 1000};
	struct rule_settings any = plain, size = plain, with = plain, without = plain;
	static const struct {
		const char *pattern;
		size_t member;
		bool expected;
	} cases[] = {
		{"*.example", offsetof(struct rule_settings, helo), true},
		{"*.test", offsetof(struct rule_settings, helo), false},
		{"*@example.org", offsetof(struct rule_settings, sender), true},
		{"", offsetof(struct rule_settings, sender), false},
		{"~^full-", offsetof(struct rule_settings, recipient), true},
		{"~^empty-", offsetof(struct rule_settings, recipient), false},
		{"?oe", offsetof(struct rule_settings, user), true},
		{"", offsetof(struct rule_settings, user), false},
		{"mx", offsetof(struct rule_settings, listener), true},
		{"submission", offsetof(struct rule_settings, listener), false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rule_settings r = plain;
		struct pattern *p = NULL;

		CHECK(cases[i].pattern, pattern_new(cases[i].pattern, &p) == NULL);
		memcpy((char *)&r + cases[i].member, &p, sizeof(p));
		CHECK(cases[i].pattern, rule_concerns(&r, &q) == cases[i].expected);
		pattern_free(p);
	}
	CU_ASSERT_TRUE(rule_concerns(&any, &q));
	size.size_min = 1000;
	CU_ASSERT_TRUE(rule_concerns(&size, &q));
	size.size_min = 1001;
	CU_ASSERT_FALSE(rule_concerns(&size, &q));
	with.tls = RULE_TLS_WITH;
	CU_ASSERT_FALSE(rule_concerns(&with, &q));
	without.tls = RULE_TLS_WITHOUT;
	CU_ASSERT_TRUE(rule_concerns(&without, &q));
}

static void counted(void)
{
	static const struct {
		const char *name;
		uint64_t every, first, rate, rate_ms;
		const char *expected;
	} cases[] = {
		{"always", 0, 0, 0, 0, "xxxxxxxxxx"},
		{"every third", 3, 0, 0, 0, "..x..x..x."},
		{"the first two", 0, 2, 0, 0, "xx........"},
		{"of every third the first two", 3, 2, 0, 0, "..x..x...."},
		{"beyond four", 0, 0, 4, 60000, "....xxxxxx"},
		{"beyond none", 0, 0, 0, 60000, "xxxxxxxxxx"},
		{"of those beyond four the first two", 0, 2, 4, 60000, "....xx...."},
	};
	static const struct rule_question q = {.sender = STR("a@x")};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tally *t = new_tally(0);
		struct rule_settings r = plain;
		char got[16];

		r.every = cases[i].every;
		r.first = cases[i].first;
		r.rate = cases[i].rate;
		r.rate_ms = cases[i].rate_ms;
		ask(&r, &q, 10, t, got);
		CHECK(cases[i].name, strcmp(got, cases[i].expected) == 0);
		CHECK(cases[i].name, cases[i].rate_ms == 0 || cases[i].first > 0 ||
					     t->window_ms == cases[i].rate_ms);
	}
}

/* What is different for two questions is counted by itself. */
static void counted_per(void)
{
	static const struct {
		enum rule_per per;
		struct rule_question a, b;
	} cases[] = {
		{RULE_PER_CLIENT, {.client_text = STR("192.0.2.1")},
			{.client_text = STR("192.0.2.2")}},
		{RULE_PER_SENDER, {.sender = STR("a@x")}, {.sender = STR("b@x")}},
		{RULE_PER_RECIPIENT, {.recipient = STR("a@x")},
			{.recipient = STR("b@x")}},
		{RULE_PER_SESSION, {.session = 1}, {.session = 2}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tally *t = new_tally(0), *together = new_tally(1);
		struct rule_settings r = plain;
		char a[8], b[8];

		r.first = 2;
		r.per = cases[i].per;
		ask(&r, &cases[i].a, 3, t, a);
		ask(&r, &cases[i].b, 3, t, b);
		CU_ASSERT_STRING_EQUAL(a, "xx.");
		CU_ASSERT_STRING_EQUAL(b, "xx.");
		r.per = RULE_PER_ALL;
		ask(&r, &cases[i].a, 1, together, a);
		ask(&r, &cases[i].b, 2, together, b);
		CU_ASSERT_STRING_EQUAL(a, "x");
		CU_ASSERT_STRING_EQUAL(b, "x.");
	}
}

/* Draw for 1000 recipients, in this order; "x" for those who were unlucky. */
static void draw_all(const struct rule_settings *r, bool is_backwards, char *out)
{
	struct tally *t = new_tally(0);
	uint32_t delay_ms = 0;

	for (size_t i = 0; i < 1000; i++) {
		size_t k = is_backwards ? 999 - i : i;
		char to[32];
		struct rule_question q = {
			.helo = STR("c"), .sender = STR("a@x"), .session = i};

		(void)snprintf(to, sizeof(to), "user%zu@x", k);
		q.recipient = str_of(to);
		out[k] = fires(r, &q, t, &delay_ms) ? 'x' : '.';
	}
	out[1000] = '\0';
}

static size_t count_fired(const char *fates)
{
	size_t n = 0;

	for (; *fates != '\0'; fates++)
		n += *fates == 'x';
	return n;
}

/* The same mail, the same fate: whatever came before it. */
static void drawn(void)
{
	struct rule_settings r = plain;
	char one[1001], two[1001], other[1001];

	r.percent = 30;
	draw_all(&r, false, one);
	draw_all(&r, true, two);
	CU_ASSERT_STRING_EQUAL(one, two);
	CU_ASSERT_TRUE(count_fired(one) > 240 && count_fired(one) < 360);
	r.seed = 1;
	draw_all(&r, false, other);
	CU_ASSERT_STRING_NOT_EQUAL(one, other);
	r.seed = 0;
	r.name = "other";
	draw_all(&r, false, other);
	CU_ASSERT_STRING_NOT_EQUAL(one, other);
	r.percent = 0;
	draw_all(&r, false, other);
	CU_ASSERT_EQUAL(count_fired(other), 0);
}

/* A mail that comes again is drawn for again. */
static void drawn_again(void)
{
	static const struct rule_question q = {.recipient = STR("a@x")};
	struct rule_settings r = plain;
	struct tally *t = new_tally(0), *same = new_tally(1);
	char fates[201], again[201];

	r.percent = 50;
	ask(&r, &q, 200, t, fates);
	CU_ASSERT_TRUE(count_fired(fates) > 60 && count_fired(fates) < 140);
	ask(&r, &q, 200, same, again);
	CU_ASSERT_STRING_EQUAL(fates, again);
}

static void delays(void)
{
	static const struct rule_question q = {.recipient = STR("a@x")};
	static const struct {
		const char *text;
		uint32_t expected[4]; /* of the first times; UINT32_MAX: drawn */
		uint32_t least, most;
	} cases[] = {
		{"0s", {0, 0, 0, 0}, 0, 0},
		{"250ms", {250, 250, 250, 250}, 0, 0},
		{"1s+500ms", {1000, 1500, 2000, 2500}, 0, 0},
		{"1s+500ms-2s", {1000, 1500, 2000, 2000}, 0, 0},
		{"1s-1s", {1000, 1000, 1000, 1000}, 0, 0},
		{"1s-5s", {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, 1000, 5000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rule_settings r = plain;
		struct tally *t = new_tally(0);

		CHECK(cases[i].text, rule_parse_delay(cases[i].text, &r.delay) == NULL);
		for (size_t k = 0; k < 4; k++) {
			uint32_t ms = UINT32_MAX;

			CHECK(cases[i].text, fires(&r, &q, t, &ms));
			CHECK(cases[i].text,
				cases[i].expected[k] == UINT32_MAX
					? ms >= cases[i].least && ms <= cases[i].most
					: ms == cases[i].expected[k]);
		}
	}
}

static void mistakes(void)
{
	static const char *const delay[] = {"", "1", "s", "1s-", "1s+", "-1s", "1s+0s",
		"2s-1s", "1s+1s-0s", "1s-2s-3s", "1s+1s+1s", "2h", "1s 2s"};
	static const char *const rate[] = {"", "10", "10/", "/1m", "10/0s", "10/1",
		"-1/1m", "10/1m/1m", "10000001/1m"};

	for (size_t i = 0; i < sizeof(delay) / sizeof(delay[0]); i++) {
		struct rule_delay d = {.least_ms = 7};

		CHECK(delay[i],
			rule_parse_delay(delay[i], &d) != NULL && d.least_ms == 7);
	}
	for (size_t i = 0; i < sizeof(rate) / sizeof(rate[0]); i++) {
		uint64_t n = 7, ms = 7;

		CHECK(rate[i], rule_parse_rate(rate[i], &n, &ms) != NULL && n == 7);
	}
}

void suite_rule(void)
{
	CU_pSuite s = CU_add_suite("rule", NULL, NULL);

	CU_add_test(s, "concerns", concerns);
	CU_add_test(s, "counted", counted);
	CU_add_test(s, "counted per", counted_per);
	CU_add_test(s, "drawn", drawn);
	CU_add_test(s, "drawn again", drawn_again);
	CU_add_test(s, "delays", delays);
	CU_add_test(s, "mistakes", mistakes);
}
