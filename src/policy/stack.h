/* The layers that decide, one above the other: rules, modules, the policy service.  What
 * one has no hook for, the next one is asked; one that has it decides alone, unless it
 * asks on.  reset, transaction and connection_ended are told to each, from above. */
#ifndef SINKD_POLICY_STACK_H
#define SINKD_POLICY_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "api/sinkd_module.h"

struct stack;

/* Who wants to see what layers are asked and say.  answered: what was decided by this
 * layer itself, not by one below it. */
struct stack_watch {
	void *user;
	bool (*is_on)(void *user);
	void (*asked)(void *user, size_t layer, const char *hook);
	void (*answered)(void *user, size_t layer, const char *hook,
		const struct sinkd_verdict *verdict);
};

/* Room for that many layers.  Returns NULL without memory. */
struct stack *stack_new(size_t layers);
void stack_free(struct stack *s);

/* Below all that are there already.  hooks is kept by reference, or NULL for one that is
 * set later.  Returns its table of what lies below it, for who wants to ask on: valid as
 * long as the stack, and complete once all layers are there.  A hook is NULL in it when
 * no layer has it, and those that only tell always are. */
const struct sinkd_hooks *stack_add(struct stack *s, const struct sinkd_hooks *hooks);

/* Layers count from 0, the first that was added.  Which hooks a table has is looked at
 * now; it must not change later. */
void stack_set(struct stack *s, size_t layer, const struct sinkd_hooks *hooks);

/* Kept by reference.  Before stack_top. */
void stack_set_watch(struct stack *s, const struct stack_watch *watch);

/* The table for the engine; NULL if no layer has a hook: then nothing is asked, and
 * nothing costs.  A hook that no layer has is NULL in it; of one layer alone that nobody
 * watches it is that layer's own. */
const struct sinkd_hooks *stack_top(struct stack *s);

#endif
