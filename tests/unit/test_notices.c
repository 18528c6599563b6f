/* Unit tests of proc/notices: what the board says, and what becomes of it. */
#include <stdint.h>

#include "base/log.h"
#include "proc/notices.h"
#include "unit.h"

#define OWN_GENERATION 7
#define GRACE_MS       1000

static unsigned leave_count;

static void count_leave(void)
{
	leave_count++;
}

/* A look at the board at a time; the grace time of an older generation begins with the
 * first one. */
struct look {
	uint64_t now_ms;
	enum notice notice;
};

static const struct {
	const char *name;
	uint64_t drain_ms;
	uint32_t generation;
	struct look looks[3];
	bool leaves;
} cases[] = {
	{"nothing", 0, OWN_GENERATION, {{1, NOTICE_NONE}, {99999, NOTICE_NONE}}, false},
	{"ours is not announced yet", 0, OWN_GENERATION - 1,
		{{1, NOTICE_NONE}, {99999, NOTICE_NONE}}, false},
	{"outdated", 0, OWN_GENERATION + 1,
		{{500, NOTICE_NONE}, {1499, NOTICE_NONE}, {1500, NOTICE_RETIRE}}, true},
	{"stop", 2000, OWN_GENERATION,
		{{1, NOTICE_DRAIN}, {1999, NOTICE_DRAIN}, {2000, NOTICE_DRAIN_NOW}},
		true},
	{"drain without end", UINT64_MAX, OWN_GENERATION,
		{{1, NOTICE_NONE}, {99999, NOTICE_NONE}}, true},
	{"outdated, drain", UINT64_MAX, OWN_GENERATION + 1,
		{{1, NOTICE_NONE}, {1000, NOTICE_NONE}, {1001, NOTICE_RETIRE}}, true},
	{"outdated, stop", 9000, OWN_GENERATION + 1,
		{{1, NOTICE_DRAIN}, {8999, NOTICE_DRAIN}, {9000, NOTICE_DRAIN_NOW}},
		true},
};

static void test_notices(void)
{
	static const struct config config = {.timeouts = {.grace_ms = GRACE_MS}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct board board = {.drain_deadline_ms = cases[i].drain_ms,
			.generation = cases[i].generation,
			.log_level = -1,
			.verbose = -1};
		struct notices n = {.board = &board,
			.config = &config,
			.generation = OWN_GENERATION,
			.leave = count_leave,
			.log_level = -1};

		leave_count = 0;
		for (size_t j = 0; j < 3 && cases[i].looks[j].now_ms != 0; j++)
			CHECK(cases[i].name, notices_look(&n, cases[i].looks[j].now_ms) ==
						     cases[i].looks[j].notice);
		CHECK(cases[i].name, leave_count == cases[i].leaves);
	}
}

static void test_command_time(void)
{
	static const struct {
		const char *name;
		uint64_t configured_ms;
		uint32_t stress_ms;
		uint64_t expected_ms;
	} times[] = {
		{"calm", 5000, 0, 5000},
		{"stress", 5000, 1000, 1000},
		{"less than stress leaves", 500, 1000, 500},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		const struct board board = {.command_ms = times[i].stress_ms};
		const struct config config = {
			.timeouts = {.command_ms = times[i].configured_ms}};
		struct notices n = {.board = &board, .config = &config};

		CHECK(times[i].name, notices_command_ms(&n) == times[i].expected_ms);
		CHECK(times[i].name,
			notices_is_stressed(&n) == (times[i].stress_ms != 0));
	}
}

static void test_verbose(void)
{
	struct board board = {0};
	struct config config = {0};
	struct notices n = {.board = &board, .config = &config};

	for (int configured = 0; configured < 2; configured++) {
		config.is_verbose = configured == 1;
		atomic_store(&board.verbose, -1);
		CHECK("as configured", notices_is_verbose(&n) == config.is_verbose);
		atomic_store(&board.verbose, 0);
		CHECK("off", !notices_is_verbose(&n));
		atomic_store(&board.verbose, 1);
		CHECK("on", notices_is_verbose(&n));
	}
}

static void test_log_level(void)
{
	struct board board = {.log_level = -1, .verbose = -1};
	const struct config config = {.log_level = LOG_WARN};
	struct notices n = {.board = &board,
		.config = &config,
		.leave = count_leave,
		.log_level = -1};

	log_set_level(LOG_WARN);
	(void)notices_look(&n, 1);
	CHECK("as configured", log_is_on(LOG_WARN) && !log_is_on(LOG_INFO));
	atomic_store(&board.log_level, LOG_DEBUG);
	(void)notices_look(&n, 2);
	CHECK("more", log_is_on(LOG_DEBUG));
	atomic_store(&board.log_level, LOG_ERROR);
	(void)notices_look(&n, 3);
	CHECK("less", log_is_on(LOG_ERROR) && !log_is_on(LOG_WARN));
	atomic_store(&board.log_level, -1);
	(void)notices_look(&n, 4);
	CHECK("as configured again", log_is_on(LOG_WARN) && !log_is_on(LOG_INFO));
	log_set_level(LOG_INFO);
}

void suite_notices(void)
{
	CU_pSuite s = CU_add_suite("notices", NULL, NULL);

	CU_add_test(s, "what becomes of the client", test_notices);
	CU_add_test(s, "time for a command", test_command_time);
	CU_add_test(s, "verbose", test_verbose);
	CU_add_test(s, "log level", test_log_level);
}
