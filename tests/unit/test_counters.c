/* Unit tests of proc/counters: exact between processes, and unmoved by lies and deaths.
 */
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "proc/counters.h"
#include "proc/slots.h"
#include "unit.h"

#define PROCESSES 4
#define ARRIVALS  20000

struct fixture {
	struct counters *counters;
	int fd;
	size_t size;
};

static void set_up(struct fixture *f)
{
	struct stat st;

	CU_ASSERT_FATAL(counters_create(&f->counters, &f->fd) == 0);
	CU_ASSERT_FATAL(fstat(f->fd, &st) == 0);
	f->size = (size_t)st.st_size;
}

static void tear_down(struct fixture *f)
{
	(void)munmap(f->counters, f->size);
	(void)fdio_close(&f->fd);
}

/* ------------------------------------------------------- what it is made of */

static void test_region(void)
{
	struct counters *mapped = NULL;
	struct fixture f;

	set_up(&f);
	CU_ASSERT_FATAL(counters_map(f.fd, &mapped) == 0);
	CHECK("shared", counters_add_rule(mapped, 3) == 1);
	CHECK("shared", counters_get_rule(f.counters, 3) == 1);
	CHECK("cannot be shortened", ftruncate(f.fd, 0) < 0);
	CHECK("cannot be lengthened", ftruncate(f.fd, (off_t)f.size * 2) < 0);
	CHECK("a bad descriptor", counters_map(-1, &mapped) < 0);
	(void)munmap(mapped, f.size);
	tear_down(&f);
}

static void test_idle(void)
{
	struct fixture f;

	set_up(&f);
	CHECK("at first", counters_get_idle(f.counters) == 0);
	CHECK("never below", counters_take_idle(f.counters) == 0);
	counters_give_idle(f.counters);
	counters_give_idle(f.counters);
	CHECK("given", counters_get_idle(f.counters) == 2);
	CHECK("taken", counters_take_idle(f.counters) == 1);
	counters_correct_idle(f.counters, counters_get_idle(f.counters), 7);
	CHECK("put right", counters_take_idle(f.counters) == 6);
	counters_correct_idle(f.counters, 9, 0);
	CHECK("not below 0", counters_get_idle(f.counters) == 0);
	counters_correct_idle(f.counters, 1, 4);
	CHECK("what was taken stays taken", counters_get_idle(f.counters) == 3);
	tear_down(&f);
}

/* ------------------------------------------------------------------ clients */

static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static uint64_t key_of(const char *address)
{
	struct sockaddr_storage from = {.ss_family = AF_UNIX};
	struct sockaddr_in *in = (struct sockaddr_in *)&from;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1)
		from.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1)
		from.ss_family = AF_INET6;
	return counters_client_key(secret, &from);
}

static void test_client_keys(void)
{
	static const struct {
		const char *name, *a, *b;
		bool is_same;
	} cases[] = {
		{"one address", "192.0.2.7", "192.0.2.7", true},
		{"the next address", "192.0.2.7", "192.0.2.8", false},
		{"another network", "192.0.2.7", "198.51.100.7", false},
		{"mapped", "192.0.2.7", "::ffff:192.0.2.7", true},
		{"mapped, the next", "::ffff:192.0.2.7", "::ffff:192.0.2.8", false},
		{"one /64", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"the next /64", "2001:db8::1", "2001:db8:0:1::1", false},
		{"zeros", "0.0.0.0", "::", false},
		{"zeros mapped", "0.0.0.0", "::ffff:0.0.0.0", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t a = key_of(cases[i].a), b = key_of(cases[i].b);

		CHECK(cases[i].name, (a == b) == cases[i].is_same);
		CHECK(cases[i].name, a != 0 && b != 0);
	}
	CHECK("no address", key_of("unix") == 0);
}

static void test_clients(void)
{
	struct fixture f;

	set_up(&f);
	counters_set_client(f.counters, 0, 5);
	counters_set_client(f.counters, 3, 5);
	counters_set_client(f.counters, 4, 6);
	counters_set_client(f.counters, SLOTS_MAX - 1, 5);
	CHECK("all", counters_count_client(f.counters, SLOTS_MAX, 5) == 3);
	CHECK("some", counters_count_client(f.counters, 4, 5) == 2);
	CHECK("none", counters_count_client(f.counters, 0, 5) == 0);
	CHECK("another", counters_count_client(f.counters, SLOTS_MAX, 6) == 1);
	CHECK("no key", counters_count_client(f.counters, SLOTS_MAX, 0) == 0);
	counters_set_client(f.counters, 3, 0);
	CHECK("it has gone", counters_count_client(f.counters, SLOTS_MAX, 5) == 2);
	tear_down(&f);
}

/* --------------------------------------------------------------------- keys */

/* The nth key of the set that key 0 belongs to. */
static uint64_t in_one_set(uint64_t n)
{
	return n << 32;
}

static void test_windows(void)
{
	static const struct {
		const char *name;
		uint64_t now_ms, window_ms, count;
	} steps[] = {
		{"the first", 1000, 60, 1},
		{"at once", 1000, 60, 2},
		{"within", 1059, 60, 3},
		{"a clock that lags", 990, 60, 4},
		{"the window is over", 1060, 60, 1},
		{"the next window", 1061, 60, 2},
		{"long after", 90000, 60, 1},
		{"a long window", 1 << 30, UINT64_MAX, 2},
	};
	struct fixture f;

	set_up(&f);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		CHECK(steps[i].name, counters_count_key(f.counters, 77, steps[i].now_ms,
					     steps[i].window_ms) == steps[i].count);
	CHECK("another key", counters_count_key(f.counters, 78, 1 << 30, 60) == 1);
	CHECK("key 0", counters_count_key(f.counters, 0, 1 << 30, 0) == 1);
	CHECK("key 0", counters_count_key(f.counters, 0, 1 << 30, 0) == 2);
	CHECK("the last window", counters_count_key(f.counters, 79, UINT64_MAX, 1) == 1);
	tear_down(&f);
}

/* A look changes nothing: no count, no window, and no place in the table. */
static void test_seen(void)
{
	struct fixture f;

	set_up(&f);
	CHECK("never", counters_seen_key(f.counters, 77, 1000, 60) == 0);
	CHECK("key 0", counters_seen_key(f.counters, 0, 1000, 60) == 0);
	CHECK("the first", counters_count_key(f.counters, 77, 1000, 60) == 1);
	CHECK("key 0", counters_count_key(f.counters, 0, 1000, 60) == 1);
	CHECK("once", counters_seen_key(f.counters, 77, 1030, 60) == 1);
	CHECK("still", counters_seen_key(f.counters, 77, 1059, 60) == 1);
	CHECK("key 0", counters_seen_key(f.counters, 0, 1059, 60) == 1);
	CHECK("the window is over", counters_seen_key(f.counters, 77, 1060, 60) == 0);
	CHECK("a long window", counters_seen_key(f.counters, 77, 1060, UINT64_MAX) == 1);
	CHECK("nothing has changed", counters_count_key(f.counters, 77, 1059, 60) == 2);
	for (uint64_t n = 1; n <= 8; n++)
		(void)counters_count_key(f.counters, in_one_set(n), 2000 + n, 0);
	CHECK("a ninth", counters_seen_key(f.counters, in_one_set(9), 3000, 0) == 0);
	CHECK("the oldest", counters_seen_key(f.counters, in_one_set(1), 3000, 0) == 1);
	(void)counters_count_key(f.counters, in_one_set(9), 3001, 0);
	CHECK("is not younger",
		counters_seen_key(f.counters, in_one_set(1), 3001, 0) == 0);
	tear_down(&f);
}

static void test_oldest_goes(void)
{
	struct fixture f;

	set_up(&f);
	for (uint64_t n = 1; n <= 8; n++)
		CHECK("room for eight",
			counters_count_key(f.counters, in_one_set(n), 100 + n, 0) == 1);
	CHECK("seen again", counters_count_key(f.counters, in_one_set(1), 200, 0) == 2);
	CHECK("a ninth", counters_count_key(f.counters, in_one_set(9), 300, 0) == 1);
	CHECK("kept", counters_count_key(f.counters, in_one_set(1), 301, 0) == 3);
	for (uint64_t n = 3; n <= 9; n++)
		CHECK("kept", counters_count_key(f.counters, in_one_set(n), 302, 0) == 2);
	CHECK("gone", counters_count_key(f.counters, in_one_set(2), 303, 0) == 1);
	tear_down(&f);
}

static void test_many_keys(void)
{
	unsigned kept = 0;
	struct fixture f;

	set_up(&f);
	for (uint64_t round = 0; round < 2; round++)
		for (uint64_t i = 0; i < COUNTERS_KEYS_MAX; i++)
			kept += counters_count_key(f.counters, i, 1000 + round, 0) == 2;
	CHECK("all have an entry", kept == COUNTERS_KEYS_MAX);
	tear_down(&f);
}

/* ---------------------------------------------------------------- processes */

/* A checker that runs one instruction after the other would take minutes for these. */
static bool is_slow(void)
{
	return getenv("SINKD_TEST_SLOW") != NULL;
}

typedef void (*work_fn)(struct counters *c, unsigned process);

/* Let all of them work at the same time, each with a mapping of its own. */
static void work_together(struct fixture *f, work_fn work)
{
	pid_t pids[PROCESSES];
	int go[2], status;

	CU_ASSERT_FATAL(pipe(go) == 0);
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct counters *own;
		char c;

		pids[i] = fork();
		CU_ASSERT_FATAL(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		(void)close(go[1]);
		if (counters_map(f->fd, &own) < 0 || read(go[0], &c, 1) != 0)
			_exit(1);
		work(own, i);
		_exit(0);
	}
	(void)close(go[0]);
	(void)close(go[1]);
	for (unsigned i = 0; i < PROCESSES; i++)
		CHECK("a process",
			waitpid(pids[i], &status, 0) == pids[i] && status == 0);
}

static void count_all(struct counters *c, unsigned process)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < ARRIVALS; i++) {
		uint64_t count = counters_count_key(c, 42, 1000, 0);

		/* No number comes twice, so nobody's own fall. */
		if (count <= last)
			_exit(2);
		last = count;
		(void)counters_count_key(c, 43, 1000, 60000);
		(void)counters_add_rule(c, 7);
		counters_give_idle(c);
		/* Neighbours of 42, new each time: they put out one another, not 42. */
		(void)counters_count_key(
			c, 42 + in_one_set(2 + i * PROCESSES + process), 999, 0);
		if (i % 2 == 0)
			(void)counters_take_idle(c);
	}
}

static void test_exact_counts(void)
{
	const uint64_t all = PROCESSES * ARRIVALS;
	struct fixture f;

	if (is_slow())
		return;
	set_up(&f);
	/* The first time may get it wrong.  The second makes it more than its neighbours.
	 */
	for (unsigned i = 1; i <= 2; i++) {
		CHECK("ever", counters_count_key(f.counters, 42, 1000, 0) == i);
		CHECK("window", counters_count_key(f.counters, 43, 1000, 60000) == i);
	}
	work_together(&f, count_all);
	CHECK("ever", counters_count_key(f.counters, 42, 1000, 0) == all + 3);
	CHECK("window", counters_count_key(f.counters, 43, 1000, 60000) == all + 3);
	CHECK("rule", counters_get_rule(f.counters, 7) == all);
	CHECK("the neighbour", counters_get_rule(f.counters, 8) == 0);
	CHECK("idle", counters_get_idle(f.counters) == all / 2);
	tear_down(&f);
}

/* All bring the same new keys, in the same order. */
static void bring_new_keys(struct counters *c, unsigned process)
{
	(void)process;
	for (uint64_t i = 0; i < ARRIVALS; i++)
		if (counters_count_key(c, i, 1000, 0) < 1)
			_exit(2);
}

/* What may go wrong needs a process that is held up between two instructions. */
static void test_new_keys(void)
{
	unsigned wrong = 0;
	struct fixture f;

	if (is_slow())
		return;
	set_up(&f);
	work_together(&f, bring_new_keys);
	for (uint64_t i = 0; i < ARRIVALS; i++)
		wrong += counters_count_key(f.counters, i, 1000, 0) != PROCESSES + 1;
	CHECK("next to nothing is wrong", wrong <= ARRIVALS / 1000);
	tear_down(&f);
}

/* Until it is killed; rule 0 tells how far it is. */
static void churn(struct counters *c)
{
	for (uint64_t i = 0;; i++) {
		(void)counters_count_key(c, in_one_set(i % 20), i, 0);
		(void)counters_add_rule(c, 0);
	}
}

static void test_killed_at_any_moment(void)
{
	struct fixture f;
	int status;

	if (is_slow())
		return;
	set_up(&f);
	for (uint64_t round = 1; round <= 100; round++) {
		uint64_t before = counters_get_rule(f.counters, 0);
		struct counters *own;
		pid_t pid = fork();

		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0) {
			if (counters_map(f.fd, &own) == 0)
				churn(own);
			_exit(1);
		}
		/* A child that could not begin is seen here as one that was not killed.
		 */
		while (counters_get_rule(f.counters, 0) < before + round * 7 &&
			waitpid(pid, &status, WNOHANG) == 0)
			(void)sched_yield();
		(void)kill(pid, SIGKILL);
		CHECK("killed", waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
		CHECK("a new key", counters_count_key(f.counters,
					   in_one_set(1000 + round), UINT32_MAX, 0) == 1);
		CHECK("again", counters_count_key(f.counters, in_one_set(1000 + round),
				       UINT32_MAX, 0) == 2);
	}
	tear_down(&f);
}

/* Of what is counted for ever every Nth has its turn for ever. */
static void test_no_window_no_end(void)
{
	const uint64_t many = UINT64_C(0x7f7f7f7f7f7f7f7f);
	struct fixture f;

	set_up(&f);
	(void)memset(f.counters, 0x7f, f.size);
	for (uint64_t i = 1; i < 4; i++) {
		CHECK("counted", counters_count_key(f.counters, many, i, 0) == many + i);
		CHECK("seen", counters_seen_key(f.counters, many, i, 0) == many + i);
	}
	tear_down(&f);
}

/* --------------------------------------------------------------------- lies */

static void fill(struct fixture *f, unsigned char byte, bool is_random)
{
	unsigned char *p = (unsigned char *)f->counters;
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < f->size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = is_random ? (unsigned char)(x >> 32) : byte;
	}
}

static void use_all(const char *name, struct fixture *f)
{
	struct counters *c = f->counters;
	uint32_t idle = counters_get_idle(c);
	uint64_t count = counters_get_rule(c, COUNTERS_RULES_MAX - 1);

	CHECK(name, counters_take_idle(c) == (idle > 0 ? idle - 1 : 0));
	counters_give_idle(c);
	counters_correct_idle(c, counters_get_idle(c), 3);
	CHECK(name, counters_take_idle(c) == 2);
	CHECK(name, counters_add_rule(c, COUNTERS_RULES_MAX - 1) == count + 1);
	CHECK(name, counters_count_client(c, SLOTS_MAX, UINT64_MAX) <= SLOTS_MAX);
	counters_set_client(c, 9, 4711);
	CHECK(name, counters_count_client(c, SLOTS_MAX, 4711) == 1);
	for (uint64_t i = 0; i < 2 * COUNTERS_KEYS_MAX; i++) {
		uint64_t key = i * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t window_ms = i % 3 * 1000;
		uint64_t max = window_ms == 0 ? UINT64_MAX : COUNTERS_COUNT_MAX;

		count = counters_count_key(c, key, i, window_ms);
		CHECK(name, count >= 1 && count <= max);
		/* Whatever was there, from now on it counts. */
		CHECK(name, counters_count_key(c, key, i, window_ms) ==
				    (count < max ? count + 1 : count));
	}
}

static void test_lies(void)
{
	struct fixture f;

	set_up(&f);
	use_all("zeros", &f);
	fill(&f, 0, true);
	use_all("random", &f);
	fill(&f, 0xff, false);
	use_all("ones", &f);
	CHECK("a count stays at its end", counters_count_key(f.counters, UINT64_MAX, 5,
						  UINT64_MAX) <= COUNTERS_COUNT_MAX);
	CHECK("also one without a window",
		counters_count_key(f.counters, UINT64_MAX, 5, 0) > 0);
	fill(&f, 0x80, false);
	use_all("high bits", &f);
	tear_down(&f);
}

void suite_counters(void)
{
	CU_pSuite s = CU_add_suite("counters", NULL, NULL);

	CU_add_test(s, "the region", test_region);
	CU_add_test(s, "idle workers", test_idle);
	CU_add_test(s, "keys of clients", test_client_keys);
	CU_add_test(s, "clients", test_clients);
	CU_add_test(s, "windows of time", test_windows);
	CU_add_test(s, "a look", test_seen);
	CU_add_test(s, "the oldest key goes", test_oldest_goes);
	CU_add_test(s, "as many keys as there is room for", test_many_keys);
	CU_add_test(s, "exact between processes", test_exact_counts);
	CU_add_test(s, "new keys in several processes", test_new_keys);
	CU_add_test(s, "killed at any moment", test_killed_at_any_moment);
	CU_add_test(s, "no window, no end", test_no_window_no_end);
	CU_add_test(s, "a region full of lies", test_lies);
}
