/* Unit tests of proc/helper: when the next helper is due. */
#include "unit.h"

#include <signal.h>
#include <unistd.h>

#include "proc/helper.h"

static void test_throttle(void)
{
	static const struct {
		const char *name;
		uint64_t life_ms, wait_ms;
	} deaths[] = {
		{"the first, at once", 5, 0},
		{"young again", 5, 1000},
		{"and again", 999, 2000},
		{"and again", 0, 4000},
		{"after a while", 1000, 0},
		{"young, but the first of a row", 5, 0},
		{"the second", 5, 1000},
		{"not at all", UINT64_MAX, 2000},
		{"4", 5, 4000},
		{"8", 5, 8000},
		{"16", 5, 16000},
		{"32", 5, 32000},
		{"a minute at most", 5, 60000},
		{"a minute at most", 5, 60000},
	};
	struct helper h = {0};
	uint64_t now_ms = 1000000;

	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		/* UINT64_MAX: it could not be started. */
		if (deaths[i].life_ms != UINT64_MAX) {
			helper_note_start(&h, 4711, now_ms);
			CHECK(deaths[i].name, h.pid == 4711);
			now_ms += deaths[i].life_ms;
		}
		CHECK(deaths[i].name, helper_note_death(&h, now_ms) == deaths[i].wait_ms);
		CHECK(deaths[i].name,
			h.pid == 0 && h.due_ms == now_ms + deaths[i].wait_ms);
		now_ms = h.due_ms;
	}
}

static void test_end(void)
{
	struct helper h = {0};
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	helper_end(&h);
	helper_note_start(&h, pid, 0);
	helper_end(&h);
	CHECK("gone, and waited for", kill(pid, 0) < 0 && h.pid == 0);
}

void suite_helper(void)
{
	CU_pSuite s = CU_add_suite("helper", NULL, NULL);

	CU_add_test(s, "the next one waits when several die young", test_throttle);
	CU_add_test(s, "ending one", test_end);
}
