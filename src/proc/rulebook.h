/* The rulebook: what the server remembers of rules by their names, whatever configuration
 * they come from: a number, which is their place in shared memory, and what sinkctl has
 * said of them. */
#ifndef SINKD_PROC_RULEBOOK_H
#define SINKD_PROC_RULEBOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conf.h"
#include "proc/board.h"
#include "proc/counters.h"

struct rulebook_page {
	char name[CONFIG_RULE_NAME_MAX + 1]; /* empty: nobody's */
	uint64_t before; /* what was counted there for somebody else */
	uint64_t taken;  /* when it was last asked for, by count of configurations */
};

struct rulebook {
	struct board *board;
	const struct counters *counters;
	uint64_t configurations;
	struct rulebook_page *pages; /* COUNTERS_RULES_MAX */
};

/* b is zeroed; board and counters are kept by reference.  Returns 0 or -ENOMEM. */
int rulebook_init(
	struct rulebook *b, struct board *board, const struct counters *counters);
void rulebook_done(struct rulebook *b);

/* A configuration comes: numbers[0..c->rules.count) become those of its rules.  A rule
 * keeps its number as long as there is a page; then the page goes that was not asked for
 * for the longest time, and what it knew. */
void rulebook_take(struct rulebook *b, const struct config *c, uint16_t *numbers);

/* Switch a rule on or off, whatever c says, which is in force.  Returns 0, or -ENOENT if
 * c has no such rule. */
int rulebook_switch(
	struct rulebook *b, const struct config *c, const char *name, bool is_on);

/* How often the rule of that number has fired, in all workers there ever were. */
uint64_t rulebook_count(const struct rulebook *b, uint16_t number);

/* Whether somebody has switched the rule of that number, and which way; in workers, too.
 */
bool rulebook_is_switched(const struct board *board, uint16_t number, bool *ret_is_on);

#endif
