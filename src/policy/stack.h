/* The layers that decide, one above the other: rules, modules, the policy service.  What
 * one has no opinion about, the next one is asked. */
#ifndef SINKD_POLICY_STACK_H
#define SINKD_POLICY_STACK_H

#include <stddef.h>

#include "api/sinkd_module.h"

struct stack;

/* Room for that many layers. */
struct stack *stack_new(size_t layers);
void stack_free(struct stack *s);

/* Below all that are there already.  hooks is kept by reference, or NULL for one that is
 * set later.  Returns its table of what lies below it, for who wants to ask on: valid as
 * long as the stack, and complete once all layers are there. */
const struct sinkd_hooks *stack_add(struct stack *s, const struct sinkd_hooks *hooks);
void stack_set(struct stack *s, size_t layer, const struct sinkd_hooks *hooks);

/* The table for the engine; NULL if no layer has a hook: then nothing is asked, and
 * nothing costs.  A hook that no layer has is NULL in it. */
const struct sinkd_hooks *stack_top(struct stack *s);

#endif
