/* Unit tests of proc/pool: lives of a server made of numbers (pool_sim.h). */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <CUnit/CUnit.h>

#include "pool_sim.h"
#include "proc/pool.h"
#include "unit.h"

#define EVENT UINT64_MAX /* nothing to wait for but an event */

static const struct pool_limits usual = {4, 2, 8, 256, false, 10000};

/* A server that has come up with these limits, and nobody has come yet. */
static struct sim *start_sim(struct pool_limits limits)
{
	struct sim *s = calloc(1, sizeof(*s));

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	s->limits = limits;
	sim_run(s, 1000);
	s->looks = 0;
	s->births = 0;
	return s;
}

static void test_burst(void)
{
	struct sim *s = start_sim(usual);

	CHECK("it starts with its first number", sim_count(s, SIM_IDLE) == 4);
	sim_come(s, 200, 60000);
	sim_run(s, 500);
	CHECK("all are served", s->served == 200);
	CHECK("soon", s->served_ms - 1000 < 150);
	CHECK("with as many as it takes", s->births == 198);
	CHECK("no look for nothing", s->looks < 30);
	CHECK("and spares are there", sim_count(s, SIM_IDLE) == 2);
	free(s);
}

/* So many come, stay for 10 s, and go. */
static void test_ramp(void)
{
	static const unsigned steps[] = {1, 10, 100, 500};
	struct sim *s = start_sim((struct pool_limits){4, 2, 8, 1024, false, 10000});

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		sim_come(s, steps[i], 10000);
		sim_run(s, 9000);
		CHECK("all are served", sim_count(s, SIM_BUSY) == steps[i]);
		CHECK("enough spares", sim_count(s, SIM_IDLE) >= 2);
		CHECK("and not too many", sim_count(s, SIM_IDLE) <= 8);
		sim_run(s, 25000);
		CHECK("all have gone", sim_count(s, SIM_BUSY) == 0);
		CHECK("enough are left", sim_count(s, SIM_IDLE) >= 2);
		CHECK("and not too many are", sim_count(s, SIM_IDLE) <= 8);
		CHECK("and all is quiet", s->last.look_again_ms == EVENT);
	}
	CHECK("who was born has left", s->births - s->retired <= 8);
	free(s);
}

/* A burst every few seconds, too short to be seen by any look at the clock. */
static void test_flapping(void)
{
	struct sim *s = start_sim(usual);

	for (int i = 0; i < 40; i++) {
		if (i == 2)
			CHECK("some were born", s->births > 0);
		if (i == 2)
			s->births = 0;
		sim_come(s, 20, 30);
		sim_run(s, 1500 + 1000 * (uint64_t)(i % 4));
	}
	CHECK("then nobody is born", s->births == 0);
	CHECK("and nobody has left", s->retired == 0);
	sim_run(s, 7000);
	CHECK("until it ends", sim_count(s, SIM_IDLE) == 8);
	free(s);
}

/* What is asked of stress: clients that say nothing come first, and the normal one
 * that comes last is served within busy-command and a second. */
static void test_silent_clients(void)
{
	static const struct {
		const char *name;
		unsigned silent, max;
		uint64_t busy_ms;
	} cases[] = {
		{"300 on 64", 300, 64, 10000},
		{"all but one", 63, 64, 10000},
		{"as many as workers", 64, 64, 10000},
		{"twice as many", 128, 64, 10000},
		{"whole rounds", 320, 64, 10000},
		{"a tick each", 639, 64, 10000},
		{"one worker", 9, 1, 10000},
		{"two workers, a minute", 110, 2, 60000},
		{"long rounds, whole seconds", 120, 60, 50420},
		{"many", 1000, 256, 30000},
		{"many more", 2000, 256, 10000},
		{"short", 200, 64, 4000},
		{"a second", 60, 64, 1000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = start_sim((struct pool_limits){
			4, 2, 8, cases[i].max, false, cases[i].busy_ms});
		uint64_t came_ms;

		for (unsigned n = cases[i].silent; n > 0; n -= n < 7 ? n : 7) {
			sim_come(s, n < 7 ? n : 7, SIM_SILENT);
			sim_run(s, 1);
		}
		came_ms = s->now_ms;
		sim_come(s, 1, 100);
		sim_run(s, cases[i].busy_ms + 1000);
		CHECK(cases[i].name, s->served == s->came);
		CHECK(cases[i].name, s->served_ms <= came_ms + cases[i].busy_ms + 1000);
		CHECK(cases[i].name, s->stresses <= 1);
		free(s);
	}
}

/* A full pool with a queue that never ends: stress is switched on once, and lines
 * come every ten seconds. */
static void test_overload(void)
{
	struct sim *s = start_sim((struct pool_limits){4, 2, 8, 16, false, 10000});

	for (int i = 0; i < 600; i++) {
		sim_come(s, 17, 95);
		sim_run(s, 100);
	}
	CHECK("no flapping", s->stresses == 1);
	CHECK("few lines", s->reports >= 6 && s->reports <= 7);
	CHECK("few looks", s->looks < 60 * 8);
	sim_run(s, 60000);
	CHECK("all are served", s->served == s->came);
	CHECK("it is over", !s->last.is_stressed);
	CHECK("it has shrunk", sim_count(s, SIM_IDLE) == 8);
	CHECK("all is quiet", s->last.look_again_ms == EVENT);
	free(s);
}

void suite_pool_life(void)
{
	CU_pSuite s = CU_add_suite("pool life", NULL, NULL);

	CU_add_test(s, "a burst", test_burst);
	CU_add_test(s, "up and down", test_ramp);
	CU_add_test(s, "bursts now and then", test_flapping);
	CU_add_test(s, "clients that say nothing", test_silent_clients);
	CU_add_test(s, "overload", test_overload);
}
