/* The rulebook; see rulebook.h.  Runs in the master, but for rulebook_is_switched; names
 * are of the configuration, or of who may steer the server. */
#include "proc/rulebook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

_Static_assert(BOARD_RULES_MAX == COUNTERS_RULES_MAX, "a rule has no place");

#define WORD_BITS 64

static void set_bit(_Atomic uint64_t *words, size_t number, bool is_set)
{
	uint64_t bit = UINT64_C(1) << number % WORD_BITS;

	if (is_set)
		atomic_fetch_or(&words[number / WORD_BITS], bit);
	else
		atomic_fetch_and(&words[number / WORD_BITS], ~bit);
}

static bool get_bit(const _Atomic uint64_t *words, size_t number)
{
	return (atomic_load_explicit(&words[number / WORD_BITS], memory_order_relaxed) >>
			       number % WORD_BITS &
		       1) != 0;
}

int rulebook_init(
	struct rulebook *b, struct board *board, const struct counters *counters)
{
	b->board = board;
	b->counters = counters;
	b->pages = calloc(COUNTERS_RULES_MAX, sizeof(*b->pages));
	return b->pages == NULL ? -ENOMEM : 0;
}

void rulebook_done(struct rulebook *b)
{
	free(b->pages);
	b->pages = NULL;
}

/* The page of that name, or COUNTERS_RULES_MAX. */
static size_t find(const struct rulebook *b, const char *name)
{
	size_t i = 0;

	while (i < COUNTERS_RULES_MAX && strcmp(b->pages[i].name, name) != 0)
		i++;
	return i;
}

/* The page that is missed least; a free one, as long as there is one. */
static size_t find_oldest(const struct rulebook *b)
{
	size_t oldest = 0;

	for (size_t i = 1; i < COUNTERS_RULES_MAX; i++)
		if (b->pages[i].taken < b->pages[oldest].taken)
			oldest = i;
	return oldest;
}

void rulebook_take(struct rulebook *b, const struct config *c, uint16_t *numbers)
{
	b->configurations++;
	/* Those that are known first, so that none of them goes for one that is not. */
	for (size_t i = 0; i < c->rules.count; i++) {
		size_t number = find(b, c->rules.entries[i].rule.name);

		if (number < COUNTERS_RULES_MAX)
			b->pages[number].taken = b->configurations;
	}
	for (size_t i = 0; i < c->rules.count; i++) {
		const char *name = c->rules.entries[i].rule.name;
		size_t number = find(b, name);
		struct rulebook_page *page;

		if (number == COUNTERS_RULES_MAX) {
			number = find_oldest(b);
			page = &b->pages[number];
			(void)str_copy(page->name, sizeof(page->name), str_of(name));
			page->before = counters_get_rule(b->counters, number);
			set_bit(b->board->rules_switched, number, false);
		}
		b->pages[number].taken = b->configurations;
		numbers[i] = (uint16_t)number;
	}
}

int rulebook_switch(
	struct rulebook *b, const struct config *c, const char *name, bool is_on)
{
	size_t i = 0, number;

	while (i < c->rules.count && strcmp(c->rules.entries[i].rule.name, name) != 0)
		i++;
	number = i < c->rules.count ? find(b, name) : COUNTERS_RULES_MAX;
	if (number == COUNTERS_RULES_MAX)
		return -ENOENT;
	set_bit(b->board->rules_on, number, is_on);
	set_bit(b->board->rules_switched, number, true);
	return 0;
}

uint64_t rulebook_count(const struct rulebook *b, uint16_t number)
{
	return counters_get_rule(b->counters, number) - b->pages[number].before;
}

bool rulebook_is_switched(const struct board *board, uint16_t number, bool *ret_is_on)
{
	if (!get_bit(board->rules_switched, number))
		return false;
	*ret_is_on = get_bit(board->rules_on, number);
	return true;
}
