/* Unit tests of proc/helper: how a helper is started, and when the next one is due. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

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

/* Children; user is what they were started with. */
static void run_well(const void *user, const struct helper_birth *birth)
{
	if (*(const int *)user != 7 || birth->master != getppid() ||
		helper_tell_ready(birth) < 0)
		_exit(1);
	(void)pause();
	_exit(0);
}

static void run_badly(const void *user, const struct helper_birth *birth)
{
	(void)user;
	(void)birth;
	_exit(3);
}

static const struct helper_kind well = {
	run_well, "keys", EV_KEYS_START, EV_KEYS_EXIT, EV_KEYS_FAILED};
static const struct helper_kind badly = {
	run_badly, "keys", EV_KEYS_START, EV_KEYS_EXIT, EV_KEYS_FAILED};

static void test_start(void)
{
	const int user = 7;
	struct helper h = {0};
	uint64_t now_ms;
	pid_t pid;
	int status = 0;

	log_set_level(LOG_FATAL);
	CHECK("one that ends", helper_start(&h, &badly, &user) == -ECHILD && h.pid == 0);
	CHECK("one that is ready", helper_start(&h, &well, &user) == 0 && h.pid > 0);
	pid = h.pid;
	now_ms = clock_monotonic_ms();
	CHECK("it runs", helper_tend(&h, &well, &user, now_ms) == UINT64_MAX);
	CHECK("the same", h.pid == pid);
	CHECK("killed", kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	CHECK("not this one", !helper_note_exit(&h, &well, pid + 1, status, false));
	CHECK("this one", helper_note_exit(&h, &well, pid, status, false) && h.pid == 0);
	CHECK("at once", helper_tend(&h, &well, &user, h.due_ms) == UINT64_MAX);
	CHECK("another", h.pid > 0 && h.pid != pid);
	helper_end(&h);
	h = (struct helper){0};
	CHECK("the first failure", helper_tend(&h, &badly, &user, 0) == h.due_ms);
	CHECK("at once again", helper_tend(&h, &badly, &user, h.due_ms) == h.due_ms);
	CHECK("and then not", h.due_ms > now_ms + 500 && h.young_deaths == 2);
	CHECK("before its time", helper_tend(&h, &well, &user, now_ms) == h.due_ms);
	CHECK("none", h.pid == 0);
	log_set_level(LOG_INFO);
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
	CU_add_test(s, "starting one, and the next", test_start);
	CU_add_test(s, "ending one", test_end);
}
