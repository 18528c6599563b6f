/* Unit tests of proc/pool: when workers are born, as a table of lives. */
#include <stddef.h>
#include <stdint.h>

#include <CUnit/CUnit.h>

#include "proc/pool.h"
#include "unit.h"

#define SOON UINT64_MAX /* nothing to wait for but an event */

static void test_decide(void)
{
	static const struct {
		const char *name;
		struct pool pool;
		struct pool_counts counts;
		uint64_t now_ms;
		struct pool_decision expected;
	} cases[] = {
		{"the first is tried alone", {0}, {16, 0}, 100, {1, SOON}},
		{"and waited for", {0}, {16, 1}, 100, {0, SOON}},
		{"then all the rest", {true, 0, 0}, {16, 1}, 100, {15, SOON}},
		{"a full pool", {true, 0, 0}, {16, 16}, 100, {0, SOON}},
		{"one of one", {true, 0, 0}, {1, 1}, 100, {0, SOON}},
		{"one has died", {true, 0, 0}, {16, 15}, 100, {1, SOON}},
		{"all have died", {true, 0, 0}, {16, 0}, 100, {16, SOON}},
		{"throttled", {true, 1000, 1100}, {16, 15}, 1099, {0, 1100}},
		{"throttle is over: one by one", {true, 1000, 1100}, {16, 3}, 1100,
			{1, SOON}},
		{"throttled, but nobody is missing", {true, 1000, 1100}, {4, 4}, 500,
			{0, SOON}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pool_decision got =
			pool_decide(&cases[i].pool, cases[i].counts, cases[i].now_ms);

		CHECK(cases[i].name, got.births == cases[i].expected.births);
		CHECK(cases[i].name,
			got.look_again_ms == cases[i].expected.look_again_ms);
	}
}

static void test_throttle_doubles(void)
{
	static const uint32_t waits[] = {
		1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct pool p = {.was_ever_ready = true};
	uint64_t now_ms = 5;

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		CHECK("wait", pool_note_failed(&p, now_ms) == waits[i]);
		CHECK("deadline", p.not_before_ms == now_ms + waits[i]);
		now_ms = p.not_before_ms;
	}
}

/* Sixteen workers that were born together and die together are one failure. */
static void test_failures_at_once(void)
{
	struct pool p = {.was_ever_ready = true};

	for (int i = 0; i < 16; i++)
		CHECK("same wait", pool_note_failed(&p, 100) == 1000);
	CHECK("deadline stays", p.not_before_ms == 1100);
}

static void test_ready_ends_throttle(void)
{
	struct pool p = {0};

	(void)pool_note_failed(&p, 0);
	pool_note_ready(&p);
	CHECK("births are free",
		pool_decide(&p, (struct pool_counts){8, 2}, 1).births == 6);
	CHECK("and the next failure waits the shortest time",
		pool_note_failed(&p, 10) == POOL_THROTTLE_MIN_MS);
}

void suite_pool(void)
{
	CU_pSuite s = CU_add_suite("pool", NULL, NULL);

	CU_add_test(s, "how many, and when", test_decide);
	CU_add_test(s, "throttle doubles up to its limit", test_throttle_doubles);
	CU_add_test(s, "failures at once count once", test_failures_at_once);
	CU_add_test(s, "a ready worker ends the throttle", test_ready_ends_throttle);
}
