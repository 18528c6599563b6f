/* Unit tests of proc/rulebook: what stays with the name of a rule, from configuration to
 * configuration. */
#include "unit.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "config/conf.h"
#include "proc/rulebook.h"

/* A rule more than there are pages. */
#define NAMES (COUNTERS_RULES_MAX + 1)

struct fixture {
	struct board *board;
	struct counters *counters;
	int board_fd, counters_fd;
	size_t counters_size;
	struct rulebook book;
	struct config config;
	uint16_t numbers[NAMES];
};

static char names[NAMES][16];
static struct rules_entry entries[NAMES];

static void set_up(struct fixture *f)
{
	struct stat st;

	*f = (struct fixture){.board_fd = -1};
	CU_ASSERT_FATAL(board_create(&f->board, &f->board_fd) == 0);
	CU_ASSERT_FATAL(counters_create(&f->counters, &f->counters_fd) == 0);
	CU_ASSERT_FATAL(fstat(f->counters_fd, &st) == 0);
	f->counters_size = (size_t)st.st_size;
	CU_ASSERT_FATAL(rulebook_init(&f->book, f->board, f->counters) == 0);
	for (size_t i = 0; i < NAMES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "rule %zu", i);
		entries[i].rule.name = names[i];
	}
}

static void tear_down(struct fixture *f)
{
	rulebook_done(&f->book);
	(void)munmap(f->board, sizeof(*f->board));
	(void)munmap(f->counters, f->counters_size);
	(void)fdio_close(&f->board_fd);
	(void)fdio_close(&f->counters_fd);
}

/* A configuration with the rules first to first + n. */
static void take(struct fixture *f, size_t first, size_t n)
{
	f->config = (struct config){.rules = {&entries[first], n}};
	rulebook_take(&f->book, &f->config, f->numbers);
}

/* As a worker does it. */
static void fire(struct fixture *f, size_t rule, unsigned times)
{
	while (times-- > 0)
		(void)counters_add_rule(f->counters, f->numbers[rule]);
}

static uint64_t hits(const struct fixture *f, size_t rule)
{
	return rulebook_count(&f->book, f->numbers[rule]);
}

static void test_numbers(void)
{
	struct fixture f;
	uint16_t before[3];

	set_up(&f);
	take(&f, 0, 3);
	memcpy(before, f.numbers, sizeof(before));
	CHECK("each its own", before[0] != before[1] && before[1] != before[2] &&
				      before[0] != before[2]);
	fire(&f, 1, 5);
	CHECK("counted", hits(&f, 0) == 0 && hits(&f, 1) == 5 && hits(&f, 2) == 0);
	take(&f, 1, 2);
	CHECK("by their names", f.numbers[0] == before[1] && f.numbers[1] == before[2]);
	CHECK("the count stays", hits(&f, 0) == 5);
	take(&f, 0, 0);
	take(&f, 0, 3);
	CHECK("while they are away, too", memcmp(f.numbers, before, sizeof(before)) == 0);
	CHECK("the count stays", hits(&f, 1) == 5);
	tear_down(&f);
}

static void test_switches(void)
{
	struct fixture f;
	bool is_on = true;

	set_up(&f);
	take(&f, 0, 2);
	CHECK("nobody has", !rulebook_is_switched(f.board, f.numbers[0], &is_on));
	CHECK("untouched", is_on);
	CHECK("no such rule",
		rulebook_switch(&f.book, &f.config, "rule 2", true) == -ENOENT);
	CHECK("no name", rulebook_switch(&f.book, &f.config, "", true) == -ENOENT);
	CHECK("off", rulebook_switch(&f.book, &f.config, "rule 0", false) == 0);
	CHECK("off", rulebook_is_switched(f.board, f.numbers[0], &is_on) && !is_on);
	CHECK("the other", !rulebook_is_switched(f.board, f.numbers[1], &is_on));
	CHECK("on", rulebook_switch(&f.book, &f.config, "rule 0", true) == 0);
	CHECK("on", rulebook_is_switched(f.board, f.numbers[0], &is_on) && is_on);
	CHECK("off again", rulebook_switch(&f.book, &f.config, "rule 0", false) == 0);
	take(&f, 0, 2);
	CHECK("over a reload",
		rulebook_is_switched(f.board, f.numbers[0], &is_on) && !is_on);
	take(&f, 1, 1);
	CHECK("not there any more",
		rulebook_switch(&f.book, &f.config, "rule 0", true) == -ENOENT);
	take(&f, 0, 1);
	CHECK("there again",
		rulebook_is_switched(f.board, f.numbers[0], &is_on) && !is_on);
	tear_down(&f);
}

/* Workers map the board read-only. */
static void test_worker(void)
{
	const struct board *mapped = NULL;
	struct fixture f;
	bool is_on = true;

	set_up(&f);
	take(&f, 0, 1);
	CU_ASSERT_FATAL(board_map(f.board_fd, &mapped) == 0);
	CHECK("switch", rulebook_switch(&f.book, &f.config, "rule 0", false) == 0);
	CHECK("seen", rulebook_is_switched(mapped, f.numbers[0], &is_on) && !is_on);
	tear_down(&f);
}

/* The page goes that was not asked for for the longest time, with what it knew. */
static void test_full(void)
{
	struct fixture f;
	uint16_t gone;
	bool is_on, is_taken[COUNTERS_RULES_MAX] = {false};
	size_t same = 0;

	set_up(&f);
	take(&f, 0, 1);
	gone = f.numbers[0];
	fire(&f, 0, 7);
	CHECK("switch", rulebook_switch(&f.book, &f.config, "rule 0", false) == 0);
	take(&f, 1, COUNTERS_RULES_MAX);
	for (size_t i = 0; i < COUNTERS_RULES_MAX; i++) {
		CU_ASSERT_FATAL(f.numbers[i] < COUNTERS_RULES_MAX);
		same += is_taken[f.numbers[i]];
		is_taken[f.numbers[i]] = true;
	}
	CHECK("each its own", same == 0);
	CHECK("one had to go",
		rulebook_switch(&f.book, &f.config, "rule 0", true) == -ENOENT);
	for (size_t i = 0; i < COUNTERS_RULES_MAX; i++) {
		if (f.numbers[i] != gone)
			continue;
		CHECK("counted from none", hits(&f, i) == 0);
		fire(&f, i, 2);
		CHECK("and up", hits(&f, i) == 2);
	}
	CHECK("not switched", !rulebook_is_switched(f.board, gone, &is_on));
	tear_down(&f);
}

/* A new rule takes the page of one that is not there any more, never that of one that is.
 */
static void test_kept(void)
{
	struct fixture f;
	size_t last = COUNTERS_RULES_MAX - 1;
	struct rules_entry first = entries[0];

	set_up(&f);
	take(&f, 0, COUNTERS_RULES_MAX);
	for (size_t i = 0; i < COUNTERS_RULES_MAX; i++)
		fire(&f, i, (unsigned)i % 5 + 1);
	first.rule.name = "another";
	/* "another", rule 0 to rule 1022 */
	memmove(&entries[1], &entries[0], last * sizeof(entries[0]));
	entries[0] = first;
	take(&f, 0, COUNTERS_RULES_MAX);
	CHECK("the new one", hits(&f, 0) == 0);
	for (size_t i = 1; i < COUNTERS_RULES_MAX; i++)
		CHECK(entries[i].rule.name, hits(&f, i) == (i - 1) % 5 + 1);
	CHECK("who went",
		rulebook_switch(&f.book, &f.config, "rule 1023", true) == -ENOENT);
	tear_down(&f);
}

void suite_rulebook(void)
{
	CU_pSuite s = CU_add_suite("rulebook", NULL, NULL);

	CU_add_test(s, "numbers and counts", test_numbers);
	CU_add_test(s, "switches", test_switches);
	CU_add_test(s, "switches in a worker", test_worker);
	CU_add_test(s, "more rules than pages", test_full);
	CU_add_test(s, "a new rule in a full book", test_kept);
}
