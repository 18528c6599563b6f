/* Unit tests of proc/pool: single looks as a table, some in a row, and any numbers at
 * all.  Whole lives of a server are in test_pool_life.c. */
#include <stddef.h>
#include <stdint.h>

#include <CUnit/CUnit.h>

#include "proc/pool.h"
#include "unit.h"

#define EVENT UINT64_MAX /* nothing to wait for but an event */
#define NOW   100000     /* of all cases */

static const struct pool_limits usual = {4, 2, 8, 256, false, 10000};
static const struct pool_limits small = {4, 2, 8, 64, false, 10000};
static const struct pool_limits refusing = {4, 2, 8, 64, true, 10000};
static const struct pool_limits fixed = {16, 16, 16, 16, false, 10000};
static const struct pool_limits single = {1, 1, 1, 1, false, 10000};
static const struct pool_limits eager = {100, 2, 8, 256, false, 10000};
static const struct pool_limits nothing = {0, 0, 0, 0, false, 0};
static const struct pool_limits hasty = {4, 2, 8, 64, false, 500};

/* States to begin with: some worker has been ready; and the first ones are there. */
#define READY                                                                            \
	{                                                                                \
		.was_ever_ready = true                                                   \
	}
#define BEFORE  .was_ever_ready = true, .is_filled = true, .wake_below = 2
#define SETTLED BEFORE, .report_at_ms = NOW + 10000

struct pool_case {
	const char *name;
	struct pool pool;
	const struct pool_limits *limits;
	struct pool_counts counts;
	struct pool_decision expected;
};

static void check_cases(const struct pool_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct pool_case *c = &cases[i];
		const struct pool_decision *e = &c->expected;
		struct pool p = c->pool;
		struct pool_decision d = pool_decide(&p, c->limits, &c->counts, NOW);

		CHECK(c->name, d.births == e->births);
		CHECK(c->name, d.retire == e->retire);
		CHECK(c->name, d.unretire == e->unretire);
		CHECK(c->name, d.is_stressed == e->is_stressed);
		CHECK(c->name, d.command_ms == e->command_ms);
		CHECK(c->name, d.wake_below == e->wake_below);
		CHECK(c->name, d.refuse == e->refuse);
		CHECK(c->name, d.report == e->report);
		CHECK(c->name, d.report_hits == e->report_hits);
		CHECK(c->name, d.report_waited == e->report_waited);
		CHECK(c->name, d.look_again_ms == e->look_again_ms);
	}
}

#define CHECK_CASES(cases) check_cases(cases, sizeof(cases) / sizeof(cases[0]))

/* Decisions that most cases have. */
#define BIRTHS(n, wake, look)                                                            \
	{                                                                                \
		.births = (n), .wake_below = (wake), .look_again_ms = (look)             \
	}
#define QUIET(wake) BIRTHS(0, wake, EVENT)

static void test_births(void)
{
	static const struct pool_case cases[] = {
		{"the first is tried alone", {0}, &fixed, {0}, BIRTHS(1, 0, EVENT)},
		{"and waited for", {0}, &fixed, {.starting = 1}, QUIET(0)},
		{"the first of no limits at all", {0}, &nothing, {0},
			BIRTHS(1, 0, EVENT)},
		{"the first was killed", {.throttle_ms = 1000, .not_before_ms = NOW + 1},
			&usual, {0}, BIRTHS(0, 0, NOW + 1)},
		{"then all the rest", READY, &fixed, {.idle = 1},
			BIRTHS(15, 16, NOW + 10)},
		{"at most a step at once", READY, &eager, {.idle = 1},
			BIRTHS(32, 2, NOW + 10)},
		{"the start is only at the start", {SETTLED}, &eager, {.idle = 8},
			QUIET(2)},
		{"a quiet pool", {SETTLED}, &usual, {.idle = 4}, QUIET(2)},
		{"a quiet pool that is full", {SETTLED}, &fixed, {.idle = 16}, QUIET(1)},
		{"one of one", {SETTLED}, &single, {.idle = 1}, QUIET(1)},
		{"busy, with spares", {SETTLED}, &usual, {.idle = 2, .busy = 9},
			BIRTHS(0, 2, NOW + 1000)},
		{"a spare is missing", {SETTLED}, &usual, {.idle = 1, .busy = 9},
			BIRTHS(1, 2, NOW + 50)},
		{"it is coming", {SETTLED}, &usual, {.idle = 1, .busy = 9, .starting = 1},
			BIRTHS(0, 2, NOW + 50)},
		{"who waits and spares too", {SETTLED}, &usual,
			{.busy = 4, .waiting = 20}, BIRTHS(22, 2, NOW + 50)},
		{"who waits will be taken by idle ones", {SETTLED}, &usual,
			{.idle = 4, .waiting = 3}, BIRTHS(1, 2, NOW + 50)},
		{"more than a step is missing", {SETTLED}, &usual,
			{.busy = 4, .waiting = 196}, BIRTHS(32, 2, NOW + 10)},
		{"max is in the way", {SETTLED}, &small, {.busy = 61, .waiting = 20},
			BIRTHS(3, 2, NOW + 50)},
		{"older ones count towards max", {SETTLED}, &small,
			{.idle = 1, .busy = 2, .others = 60, .waiting = 9},
			{.births = 1, .wake_below = 2, .look_again_ms = NOW + 50}},
		{"but one is always born", {SETTLED}, &small, {.others = 64},
			BIRTHS(1, 2, NOW + 50)},
		{"min-spare of 0 is 1", {SETTLED}, &nothing, {0}, BIRTHS(1, 1, NOW + 50)},
	};

	CHECK_CASES(cases);
}

static void test_throttle(void)
{
#define THROTTLED(until) SETTLED, .throttle_ms = 1000, .not_before_ms = (until)
	static const struct pool_case cases[] = {
		{"throttled", {THROTTLED(NOW + 1)}, &fixed, {.idle = 15},
			BIRTHS(0, 1, NOW + 1)},
		{"throttle is over: one by one", {THROTTLED(NOW)}, &fixed, {.idle = 3},
			BIRTHS(1, 16, NOW + 10)},
		{"and no other before that is ready", {THROTTLED(NOW)}, &fixed,
			{.idle = 3, .starting = 1}, BIRTHS(0, 16, NOW + 10)},
		{"throttled, but nobody is missing", {THROTTLED(NOW + 500)}, &fixed,
			{.idle = 16}, QUIET(1)},
		{"all busy, and nobody can be born", {THROTTLED(NOW + 500)}, &refusing,
			{.busy = 4},
			{.is_stressed = true,
				.command_ms = 10000,
				.refuse = true,
				.look_again_ms = NOW + 250}},
	};

	CHECK_CASES(cases);
}

static void test_shrink(void)
{
#define LOW(low, until) SETTLED, .low_idle = (low), .low_until_ms = (until)
	static const struct pool_case cases[] = {
		{"too many: the interval begins", {SETTLED}, &usual, {.idle = 20},
			BIRTHS(0, 20, NOW + 10)},
		{"not yet", {LOW(20, NOW + 1)}, &usual, {.idle = 20},
			BIRTHS(0, 20, NOW + 1)},
		{"it has ended", {LOW(20, NOW)}, &usual, {.idle = 20},
			{.retire = 12, .wake_below = 2, .look_again_ms = NOW + 50}},
		{"fewer were free meanwhile", {LOW(11, NOW)}, &usual, {.idle = 20},
			{.retire = 3, .wake_below = 2, .look_again_ms = NOW + 50}},
		{"fewer are free now", {LOW(20, NOW)}, &usual, {.idle = 11, .busy = 9},
			{.retire = 3, .wake_below = 2, .look_again_ms = NOW + 50}},
		{"none too many now", {LOW(20, NOW)}, &usual, {.idle = 8, .busy = 12},
			BIRTHS(0, 2, NOW + 1000)},
		{"clients wait for them", {LOW(20, NOW)}, &usual,
			{.idle = 20, .waiting = 15}, BIRTHS(0, 2, NOW + 50)},
		{"some retire already", {LOW(20, NOW)}, &usual,
			{.idle = 20, .retiring = 12}, QUIET(2)},
		{"a step at once, the rest soon", {LOW(500, NOW)}, &usual, {.idle = 500},
			{.retire = 32, .wake_below = 468, .look_again_ms = NOW + 10}},
		{"max-spare was raised since", {LOW(6, NOW)}, &usual, {.idle = 9},
			BIRTHS(0, 2, NOW + 50)},
		{"not while the first are being born",
			{.was_ever_ready = true,
				.throttle_ms = 1000,
				.not_before_ms = NOW,
				.low_idle = 20,
				.low_until_ms = NOW},
			&eager, {.idle = 20}, BIRTHS(1, 2, NOW + 10)},
		{"some are taken back", {SETTLED}, &usual, {.idle = 5, .retiring = 4},
			{.unretire = 1, .wake_below = 2, .look_again_ms = NOW + 50}},
		{"all are taken back and more are born", {SETTLED}, &usual,
			{.idle = 5, .retiring = 4, .waiting = 5},
			{.births = 2,
				.unretire = 4,
				.wake_below = 2,
				.look_again_ms = NOW + 50}},
	};

	CHECK_CASES(cases);
}

#define STRESSED                                                                         \
	.was_ever_ready = true, .is_filled = true, .report_at_ms = NOW + 10000,          \
	.is_stressed = true
#define WINDOW .peak_until_ms = NOW + 1
#define STRESS(ms, look)                                                                 \
	{                                                                                \
		.is_stressed = true, .command_ms = (ms), .look_again_ms = (look)         \
	}

static void test_stress(void)
{
	static const struct pool_case cases[] = {
		{"almost", {SETTLED}, &small, {.idle = 1, .busy = 63},
			BIRTHS(0, 1, NOW + 1000)},
		{"all are busy", {BEFORE}, &small, {.busy = 64},
			{.is_stressed = true,
				.command_ms = 10000,
				.look_again_ms = NOW + 250}},
		{"more wait than are free", {BEFORE}, &small,
			{.idle = 1, .busy = 63, .waiting = 5},
			{.wake_below = 1,
				.report = true,
				.report_hits = 1,
				.report_waited = 5,
				.look_again_ms = NOW + 50}},
		{"older ones too", {SETTLED, .was_limited = true}, &small,
			{.busy = 4, .others = 60}, STRESS(10000, NOW + 250)},
		{"one is coming", {SETTLED}, &small, {.busy = 63, .starting = 1},
			BIRTHS(0, 1, NOW + 50)},
		{"clients wait", {SETTLED, .was_limited = true}, &small,
			{.busy = 64, .waiting = 237}, STRESS(2000, NOW + 250)},
		{"more waited before", {STRESSED, WINDOW, .peak_waiting = 237}, &small,
			{.busy = 64, .waiting = 1}, STRESS(2000, NOW + 250)},
		{"more waited in the window before",
			{STRESSED, WINDOW, .earlier_peak = 65}, &small,
			{.busy = 64, .waiting = 1}, STRESS(4000, NOW + 250)},
		{"what waited long ago does not count",
			{STRESSED, .peak_waiting = 237, .peak_until_ms = NOW - 11000},
			&small, {.busy = 64, .waiting = 1}, STRESS(9000, NOW + 250)},
		{"nor what waited before the stress",
			{SETTLED, .was_limited = true, .earlier_peak = 237, WINDOW},
			&small, {.busy = 64, .waiting = 1}, STRESS(9000, NOW + 250)},
		{"never less than a tick", {SETTLED, .was_limited = true}, &small,
			{.busy = 64, .waiting = 60000}, STRESS(1000, NOW + 250)},
		{"unless it is set so", {SETTLED, .was_limited = true}, &hasty,
			{.busy = 64, .waiting = 60000}, STRESS(500, NOW + 250)},
	};

	CHECK_CASES(cases);
}

static void test_stress_goes_on(void)
{
	static const struct pool_case cases[] = {
		{"one is free: not over yet", {STRESSED}, &small, {.idle = 5, .busy = 59},
			STRESS(10000, NOW + 250)},
		{"nor now", {STRESSED, .calm_until_ms = NOW + 1}, &small,
			{.idle = 5, .busy = 59}, STRESS(10000, NOW + 250)},
		{"it was calm for long enough", {STRESSED, .calm_until_ms = NOW}, &small,
			{.idle = 1, .busy = 63}, BIRTHS(0, 1, NOW + 10)},
		{"it would have been, but clients wait", {STRESSED, .calm_until_ms = NOW},
			&small, {.idle = 1, .busy = 63, .waiting = 1},
			STRESS(9000, NOW + 50)},
		{"refuse: there is one", {SETTLED}, &refusing, {.idle = 1, .busy = 63},
			BIRTHS(0, 1, NOW + 1000)},
		{"refuse: nobody is there to be refused", {STRESSED, .was_limited = true},
			&refusing, {.busy = 64},
			{.is_stressed = true,
				.command_ms = 10000,
				.refuse = true,
				.look_again_ms = NOW + 250}},
		{"refuse", {STRESSED, .was_limited = true}, &refusing,
			{.busy = 64, .waiting = 1},
			{.is_stressed = true,
				.command_ms = 9000,
				.refuse = true,
				.look_again_ms = NOW + 50}},
	};

	CHECK_CASES(cases);
}

/* One line for all that happens in ten seconds, none when nobody had to wait. */
static void test_report(void)
{
	static const struct pool_counts full = {.busy = 64},
					waited = {.busy = 64, .waiting = 31},
					spared = {.idle = 1, .busy = 63};
	static const struct {
		const char *name;
		const struct pool_counts *counts;
		uint64_t now_ms;
		bool report;
		unsigned hits, waited;
		uint64_t look_again_ms;
	} looks[] = {
		{"no line", &spared, 10, false, 0, 0, 20},
		{"full, but nobody waits", &full, 20, false, 0, 0, 270},
		{"still so", &full, 30, false, 0, 0, 280},
		{"a moment of calm", &spared, 40, false, 0, 0, 290},
		{"again, counted", &full, 50, false, 0, 0, 300},
		{"clients wait: at once", &waited, 60, true, 2, 31, 310},
		{"calm", &spared, 70, false, 0, 0, 320},
		{"and again", &full, 80, false, 0, 0, 330},
		{"nobody waited since", &spared, 10070, false, 0, 0, 10320},
		{"nothing since", &spared, 20020, false, 0, 0, 20030},
		{"full", &waited, 30000, true, 2, 31, 30250},
		{"full for long", &waited, 39999, false, 0, 0, 40000},
		{"full for ten seconds", &waited, 40000, true, 1, 31, 40250},
		{"full, but nobody waits", &full, 40100, false, 0, 0, 40350},
		{"no line", &full, 50000, false, 0, 0, 50250},
	};
	struct pool p = {.was_ever_ready = true, .is_filled = true};

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct pool_decision d =
			pool_decide(&p, &small, looks[i].counts, looks[i].now_ms);

		CHECK(looks[i].name, d.report == looks[i].report);
		CHECK(looks[i].name, d.report_hits == looks[i].hits);
		CHECK(looks[i].name, d.report_waited == looks[i].waited);
		CHECK(looks[i].name, d.look_again_ms == looks[i].look_again_ms);
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

/* Workers that become ready and then die, time after time, are throttled too. */
static void test_calm_ends_throttle(void)
{
	static const struct pool_counts counts = {.idle = 2},
					starting = {.idle = 2, .starting = 1}, none = {0};
	struct pool p = {0};

	pool_note_ready(&p);
	(void)pool_note_failed(&p, 0);
	pool_note_ready(&p);
	CHECK("none at first", pool_decide(&p, &fixed, &counts, 999).births == 0);
	CHECK("then one by one", pool_decide(&p, &fixed, &counts, 1000).births == 1);
	pool_note_ready(&p);
	CHECK("for as long as the wait was",
		pool_decide(&p, &fixed, &counts, 1999).births == 1);
	CHECK("or while one starts",
		pool_decide(&p, &fixed, &starting, 2000).births == 0);
	CHECK("or nobody is there", pool_decide(&p, &fixed, &none, 2000).births == 1);
	CHECK("the next failure waits longer", pool_note_failed(&p, 2000) == 2000);
	CHECK("births are free", pool_decide(&p, &fixed, &counts, 6000).births == 14);
	CHECK("and a failure waits the shortest time",
		pool_note_failed(&p, 6000) == POOL_THROTTLE_MIN_MS);
}

/* A new generation is made as large as the old one was, once. */
static void test_refill(void)
{
	static const struct {
		const char *name;
		struct pool_counts counts;
		unsigned births;
	} looks[] = {
		{"beside the old ones", {.idle = 1, .others = 20}, 19},
		{"on its way", {.idle = 2, .starting = 17, .others = 20}, 1},
		{"there", {.idle = 20, .others = 10}, 0},
		{"and shrinks as it likes", {.idle = 8}, 0},
	};
	static const struct pool_counts crowded = {.idle = 1, .others = 61},
					lonely = {.idle = 2, .busy = 1};
	struct pool p = {.was_ever_ready = true, .is_filled = true};

	pool_refill(&p, 20);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		CHECK(looks[i].name,
			pool_decide(&p, &small, &looks[i].counts, 1).births ==
				looks[i].births);
	pool_refill(&p, 60);
	CHECK("what max allows", pool_decide(&p, &small, &crowded, 1).births == 2);
	CHECK("the rest is forgotten", pool_decide(&p, &small, &lonely, 1).births == 0);
}

/* Between two clients a worker is free for a moment, and that is not the end. */
static void test_stress_ends(void)
{
	static const struct pool_counts full = {.busy = 64},
					spared = {.idle = 1, .busy = 63};
	static const struct {
		const char *name;
		const struct pool_counts *counts;
		uint64_t now_ms;
		bool is_stressed;
	} looks[] = {
		{"all are busy", &full, 100, true},
		{"one is free", &spared, 200, true},
		{"and still", &spared, 1199, true},
		{"not any more", &full, 1200, true},
		{"again", &spared, 1300, true},
		{"almost a second", &spared, 2299, true},
		{"a second", &spared, 2300, false},
		{"and all are busy", &full, 2301, true},
	};
	struct pool p = {.was_ever_ready = true, .is_filled = true};

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		CHECK(looks[i].name,
			pool_decide(&p, &small, looks[i].counts, looks[i].now_ms)
					.is_stressed == looks[i].is_stressed);
}

/* -------------------------------------------------------------- any numbers */

static unsigned pick(uint64_t *seed)
{
	static const unsigned values[] = {0, 0, 1, 2, 3, 8, 31, 33, 64, 256, 16384};

	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return values[*seed % (sizeof(values) / sizeof(values[0]))];
}

static void assert_sane_decision(const struct pool_limits *l, const struct pool_counts *c,
	const struct pool_decision *d, uint64_t now_ms)
{
	unsigned own = c->idle + c->busy + c->starting;
	unsigned max = l->max > 0 ? l->max : 1;
	unsigned kept = l->min_spare > 0 ? l->min_spare : 1;
	bool is_first = own == 0 && d->births == 1;

	CHECK("max", d->births == 0 || is_first || d->births + own + c->others <= max);
	CHECK("a step", d->births <= POOL_STEP && d->retire <= POOL_STEP);
	CHECK("idle ones", d->retire + c->retiring <= c->idle);
	CHECK("enough stay", d->retire == 0 || own - c->retiring - d->retire >= kept);
	CHECK("words there are", d->unretire <= c->retiring);
	CHECK("one way", d->retire == 0 || d->births + d->unretire == 0);
	CHECK("later", d->look_again_ms > now_ms);
	CHECK("stress is a limit", d->is_stressed == (d->command_ms > 0));
	CHECK("at most", d->command_ms <= l->busy_command_ms || d->command_ms == 1);
	CHECK("nobody free", !d->refuse || (c->idle == 0 && d->is_stressed));
	CHECK("wanted", !d->refuse || l->is_refusing);
	CHECK("something to say", d->report == (d->report_hits > 0));
}

static void test_any_numbers(void)
{
	uint64_t seed = 88172645463325252, now_ms = 0;
	struct pool p = {0};

	for (int i = 0; i < 20000; i++) {
		struct pool_limits l = {pick(&seed), pick(&seed), pick(&seed),
			pick(&seed), pick(&seed) % 2 == 1, pick(&seed) * 100};
		struct pool_counts c = {.idle = pick(&seed),
			.busy = pick(&seed),
			.starting = pick(&seed),
			.others = pick(&seed),
			.waiting = pick(&seed)};
		struct pool_decision d;

		c.retiring = c.idle > 0 ? pick(&seed) % (c.idle + 1) : 0;
		if (pick(&seed) == 256 && pick(&seed) == 256)
			pool_refill(&p, pick(&seed));
		if (pick(&seed) == 256)
			(void)pool_note_failed(&p, now_ms);
		if (pick(&seed) == 256)
			pool_note_ready(&p);
		d = pool_decide(&p, &l, &c, now_ms);
		assert_sane_decision(&l, &c, &d, now_ms);
		/* A machine that slept, and one whose clock stands. */
		now_ms += (uint64_t)pick(&seed) * (pick(&seed) == 64 ? 1000000 : 1);
	}
	pool_note_ready(&p);
	(void)pool_decide(&p, &usual, &(struct pool_counts){.idle = 50}, UINT64_MAX - 1);
	CHECK("the end of time", pool_note_failed(&p, UINT64_MAX - 1) > 0);
}

void suite_pool(void)
{
	CU_pSuite s = CU_add_suite("pool", NULL, NULL);

	CU_add_test(s, "births", test_births);
	CU_add_test(s, "births under throttle", test_throttle);
	CU_add_test(s, "retirement", test_shrink);
	CU_add_test(s, "stress", test_stress);
	CU_add_test(s, "stress goes on, and refusal", test_stress_goes_on);
	CU_add_test(s, "report", test_report);
	CU_add_test(s, "throttle doubles up to its limit", test_throttle_doubles);
	CU_add_test(s, "failures at once count once", test_failures_at_once);
	CU_add_test(s, "calm ends the throttle", test_calm_ends_throttle);
	CU_add_test(s, "a new generation", test_refill);
	CU_add_test(s, "the end of stress", test_stress_ends);
	CU_add_test(s, "any numbers", test_any_numbers);
}
