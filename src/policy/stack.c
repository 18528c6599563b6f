/* The layers that decide; see stack.h.
 *
 * Runs in workers.  Each level has a table of functions that go to the first layer, from
 * there on downwards, that has the hook; they do nothing of their own, so what user code
 * is told or answers passes unchanged. */
#include "policy/stack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One layer, and how to ask it and all that lie below it. */
struct level {
	const struct sinkd_hooks *hooks; /* NULL: not there */
	const struct level *below;       /* NULL: there is none */
	struct stack *stack;
	struct sinkd_hooks table;
};

struct stack {
	size_t count;
	size_t size;
	const struct stack_watch *watch; /* or NULL */
	struct sinkd_verdict told;       /* what the watch knows of this question */
	struct level levels[]; /* one more than size: there is nobody at the end */
};

/* The hooks by their shape: questions with so many texts, those for a text, and those
 * that only tell. */
#define HOOKS_ASK(X)   X(data_command) X(message)
#define HOOKS_ASK_1(X) X(connect) X(ehlo_domain) X(data_chunk) X(message_recipient)
#define HOOKS_ASK_2(X) X(command) X(sender) X(recipient) X(plain_auth)
#define HOOKS_NAME(X)  X(server_domain) X(server_greeting)
#define HOOKS_TELL(X)  X(reset) X(transaction) X(connection_ended)

/* Whether a layer has the hook.  A table of an older ABI is shorter. */
#define HAS(hooks, member)                                                               \
	((hooks) != NULL &&                                                              \
		offsetof(struct sinkd_hooks, member) + sizeof((hooks)->member) <=        \
			(hooks)->size &&                                                 \
		(hooks)->member != NULL)

/* Find the first level from user on that has the hook.  There is one, or the function
 * that looks for it would not be in the table. */
#define FIND(found, user, member)                                                        \
	const struct level *found = (user);                                              \
	while (!HAS(found->hooks, member))                                               \
	found = found->below

static bool is_watched(const struct level *l)
{
	const struct stack_watch *w = l->stack->watch;

	return w != NULL && w->is_on(w->user);
}

static void tell_question(
	const struct level *l, const char *hook, const struct sinkd_verdict *verdict)
{
	struct stack *s = l->stack;

	s->told = *verdict;
	s->watch->asked(s->watch->user, (size_t)(l - s->levels), hook);
}

/* A layer that hands on what those below it have decided has decided nothing. */
static void tell_answer(
	const struct level *l, const char *hook, const struct sinkd_verdict *verdict)
{
	struct stack *s = l->stack;

	if (memcmp(verdict, &s->told, sizeof(s->told)) == 0)
		return;
	s->told = *verdict;
	s->watch->answered(s->watch->user, (size_t)(l - s->levels), hook, verdict);
}

/* Call the hook of the first level that has it. */
#define CALL(user, member, ...)                                                          \
	do {                                                                             \
		FIND(l, user, member);                                                   \
		if (!is_watched(l)) {                                                    \
			l->hooks->member(l->hooks->user, __VA_ARGS__);                   \
			break;                                                           \
		}                                                                        \
		tell_question(l, #member, verdict);                                      \
		l->hooks->member(l->hooks->user, __VA_ARGS__);                           \
		tell_answer(l, #member, verdict);                                        \
	} while (0)

#define ASK(member)                                                                      \
	static void member##_on(void *user, struct sinkd_session *session,               \
		struct sinkd_verdict *verdict)                                           \
	{                                                                                \
		CALL(user, member, session, verdict);                                    \
	}

#define ASK_1(member)                                                                    \
	static void member##_on(void *user, struct sinkd_session *session,               \
		struct sinkd_str text, struct sinkd_verdict *verdict)                    \
	{                                                                                \
		CALL(user, member, session, text, verdict);                              \
	}

#define ASK_2(member)                                                                    \
	static void member##_on(void *user, struct sinkd_session *session,               \
		struct sinkd_str first, struct sinkd_str second,                         \
		struct sinkd_verdict *verdict)                                           \
	{                                                                                \
		CALL(user, member, session, first, second, verdict);                     \
	}

#define NAME(member)                                                                     \
	static struct sinkd_str member##_on(void *user, struct sinkd_session *session)   \
	{                                                                                \
		FIND(l, user, member);                                                   \
		return l->hooks->member(l->hooks->user, session);                        \
	}

/* What cannot be refused is not for one layer to keep from the others. */
#define TELL(member)                                                                     \
	static void member##_on(void *user, struct sinkd_session *session)               \
	{                                                                                \
		for (const struct level *l = user; l != NULL; l = l->below)              \
			if (HAS(l->hooks, member))                                       \
				l->hooks->member(l->hooks->user, session);               \
	}

HOOKS_ASK(ASK)
HOOKS_ASK_1(ASK_1)
HOOKS_ASK_2(ASK_2)
HOOKS_NAME(NAME)
HOOKS_TELL(TELL)

/* Enter into the table of each level what it or one below it has. */
static void rebuild(struct stack *s)
{
#define ENTER(member)                                                                    \
	if (HAS(l->hooks, member) || (l->below != NULL && l->below->table.member))       \
		l->table.member = member##_on;
/* Who asks on may not tell on: each layer is told by the stack. */
#define ENTER_TELL(member)                                                               \
	for (size_t k = 0; i == 0 && k < s->count; k++)                                  \
		if (HAS(s->levels[k].hooks, member))                                     \
			l->table.member = member##_on;

	for (size_t i = s->size + 1; i-- > 0;) {
		struct level *l = &s->levels[i];

		l->below = i < s->size ? l + 1 : NULL;
		l->stack = s;
		l->table = (struct sinkd_hooks){
			.abi = SINKD_ABI, .size = sizeof(l->table), .user = l};
		HOOKS_ASK(ENTER)
		HOOKS_ASK_1(ENTER)
		HOOKS_ASK_2(ENTER)
		HOOKS_NAME(ENTER)
		HOOKS_TELL(ENTER_TELL)
	}
#undef ENTER_TELL
#undef ENTER
}

struct stack *stack_new(size_t layers)
{
	struct stack *s = calloc(1, sizeof(*s) + (layers + 1) * sizeof(s->levels[0]));

	if (s == NULL)
		return NULL;
	s->size = layers;
	rebuild(s);
	return s;
}

void stack_free(struct stack *s)
{
	free(s);
}

void stack_set(struct stack *s, size_t layer, const struct sinkd_hooks *hooks)
{
	assert(layer < s->count);
	s->levels[layer].hooks = hooks;
	rebuild(s);
}

const struct sinkd_hooks *stack_add(struct stack *s, const struct sinkd_hooks *hooks)
{
	assert(s->count < s->size);
	s->count++;
	stack_set(s, s->count - 1, hooks);
	return &s->levels[s->count].table;
}

/* Whether there is anything to ask or to tell. */
static bool has_any(const struct sinkd_hooks *hooks)
{
	bool has = false;

#define LOOK(member) has |= HAS(hooks, member);
	HOOKS_ASK(LOOK)
	HOOKS_ASK_1(LOOK)
	HOOKS_ASK_2(LOOK)
	HOOKS_NAME(LOOK)
	HOOKS_TELL(LOOK)
#undef LOOK
	return has;
}

void stack_set_watch(struct stack *s, const struct stack_watch *watch)
{
	s->watch = watch;
}

const struct sinkd_hooks *stack_top(struct stack *s)
{
	const struct sinkd_hooks *only = NULL;
	size_t found = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (!has_any(s->levels[i].hooks))
			continue;
		only = s->levels[i].hooks;
		found++;
	}
	if (found == 0 || (found == 1 && s->watch == NULL))
		return only;
	return &s->levels[0].table;
}
