/* policy/stack. */
#include "unit.h"

#include "policy/stack.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LAYERS 3

/* The hooks by their shape. */
#define ASK(X)   X(data_command) X(message)
#define ASK_1(X) X(connect) X(ehlo_domain) X(data_chunk) X(message_recipient)
#define ASK_2(X) X(command) X(sender) X(recipient) X(plain_auth)
#define NAME(X)  X(server_domain) X(server_greeting)
#define TELL(X)  X(reset) X(transaction) X(connection_ended)

/* A layer notes that it was called, and may ask on. */
struct layer {
	char letter;
	bool asks_on;
	const struct sinkd_hooks *below;
	struct sinkd_hooks hooks;
};

static struct layer layers[LAYERS];
static char calls[64]; /* "A.recipient B.recipient " */
static struct sinkd_session *const session = (struct sinkd_session *)&calls;
static const struct sinkd_str one = {"one", 3}, two = {"two", 3};

static void note(const struct layer *l, const char *what)
{
	size_t n = strlen(calls);

	CU_ASSERT_FATAL(n + strlen(what) + 4 < sizeof(calls));
	calls[n] = l->letter;
	calls[n + 1] = '.';
	strncpy(calls + n + 2, what, sizeof(calls) - n - 3);
	calls[strlen(calls)] = ' ';
}

static void check(const char *what, struct sinkd_session *s, struct sinkd_str first,
	struct sinkd_str second, struct sinkd_verdict *v)
{
	CHECK(what, s == session && first.data == one.data && first.len == one.len &&
			    second.data == two.data && second.len == two.len);
	v->code++;
}

#define FUNCTION_ASK(member)                                                             \
	static void on_##member(                                                         \
		void *user, struct sinkd_session *s, struct sinkd_verdict *v)            \
	{                                                                                \
		const struct layer *l = user;                                            \
                                                                                         \
		note(l, #member);                                                        \
		check(#member, s, one, two, v);                                          \
		if (l->asks_on && l->below->member != NULL)                              \
			l->below->member(l->below->user, s, v);                          \
	}
#define FUNCTION_ASK_1(member)                                                           \
	static void on_##member(void *user, struct sinkd_session *s,                     \
		struct sinkd_str first, struct sinkd_verdict *v)                         \
	{                                                                                \
		const struct layer *l = user;                                            \
                                                                                         \
		note(l, #member);                                                        \
		check(#member, s, first, two, v);                                        \
		if (l->asks_on && l->below->member != NULL)                              \
			l->below->member(l->below->user, s, first, v);                   \
	}
#define FUNCTION_ASK_2(member)                                                           \
	static void on_##member(void *user, struct sinkd_session *s,                     \
		struct sinkd_str first, struct sinkd_str second,                         \
		struct sinkd_verdict *v)                                                 \
	{                                                                                \
		const struct layer *l = user;                                            \
                                                                                         \
		note(l, #member);                                                        \
		check(#member, s, first, second, v);                                     \
		if (l->asks_on && l->below->member != NULL)                              \
			l->below->member(l->below->user, s, first, second, v);           \
	}
#define FUNCTION_NAME(member)                                                            \
	static struct sinkd_str on_##member(void *user, struct sinkd_session *s)         \
	{                                                                                \
		const struct layer *l = user;                                            \
                                                                                         \
		note(l, #member);                                                        \
		if (l->asks_on && l->below->member != NULL)                              \
			return l->below->member(l->below->user, s);                      \
		return (struct sinkd_str){&l->letter, 1};                                \
	}
#define FUNCTION_TELL(member)                                                            \
	static void on_##member(void *user, struct sinkd_session *s)                     \
	{                                                                                \
		const struct layer *l = user;                                            \
                                                                                         \
		note(l, #member);                                                        \
		CHECK(#member, s == session && l->below->member == NULL);                \
	}

ASK(FUNCTION_ASK)
ASK_1(FUNCTION_ASK_1)
ASK_2(FUNCTION_ASK_2)
NAME(FUNCTION_NAME)
TELL(FUNCTION_TELL)

#define CALL_ASK(member)   (top->member(top->user, session, &v))
#define CALL_ASK_1(member) (top->member(top->user, session, one, &v))
#define CALL_ASK_2(member) (top->member(top->user, session, one, two, &v))

/* Ask the table for everything that it has; "-" for what it has not. */
#define TRY(member, call)                                                                \
	calls[0] = '\0';                                                                 \
	v = (struct sinkd_verdict){0};                                                   \
	if (top->member != NULL)                                                         \
		call;                                                                    \
	tried[n++] = (struct try){#member, v.code, {0}};                                 \
	memcpy(tried[n - 1].calls, calls, sizeof(calls));
#define TRY_ASK(member)   TRY(member, CALL_ASK(member))
#define TRY_ASK_1(member) TRY(member, CALL_ASK_1(member))
#define TRY_ASK_2(member) TRY(member, CALL_ASK_2(member))
#define TRY_NAME(member)  TRY(member, name = top->member(top->user, session))
#define TRY_TELL(member)  TRY(member, top->member(top->user, session))

struct
try {
	const char *name;
	int code; /* how many layers had the verdict in hand */
	char calls[sizeof(calls)];
};

static struct try tried[16];
static struct sinkd_str name; /* what the last of server_* said */

static size_t try_all(const struct sinkd_hooks *top)
{
	struct sinkd_verdict v;
	size_t n = 0;

	memset(tried, 0, sizeof(tried));
	name = (struct sinkd_str){0};
	ASK(TRY_ASK)
	ASK_1(TRY_ASK_1)
	ASK_2(TRY_ASK_2)
	NAME(TRY_NAME)
	TELL(TRY_TELL)
	return n;
}

#define FILL(member) hooks->member = on_##member;

/* All hooks, or none. */
static void fill(struct layer *l, char letter, bool is_full)
{
	struct sinkd_hooks *hooks = &l->hooks;

	*l = (struct layer){.letter = letter};
	*hooks =
		(struct sinkd_hooks){.abi = SINKD_ABI, .size = sizeof(*hooks), .user = l};
	if (!is_full)
		return;
	ASK(FILL)
	ASK_1(FILL)
	ASK_2(FILL)
	NAME(FILL)
	TELL(FILL)
}

static struct stack *pile(bool a, bool b, bool c)
{
	struct stack *s = stack_new(LAYERS);

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	fill(&layers[0], 'A', a);
	fill(&layers[1], 'B', b);
	fill(&layers[2], 'C', c);
	for (size_t i = 0; i < LAYERS; i++)
		layers[i].below = stack_add(s, &layers[i].hooks);
	return s;
}

static bool only_tells(const char *hook)
{
	return strcmp(hook, "reset") == 0 || strcmp(hook, "transaction") == 0 ||
	       strcmp(hook, "connection_ended") == 0;
}

static bool is_name(const char *hook)
{
	return strncmp(hook, "server_", 7) == 0;
}

/* Whether these layers, and no other, were called by the hook. */
static bool were_called(const struct try *t, const char *letters)
{
	const char *p = t->calls;

	for (; *letters != '\0'; letters++) {
		if (p[0] != *letters || p[1] != '.' ||
			strncmp(p + 2, t->name, strlen(t->name)) != 0)
			return false;
		p += 2 + strlen(t->name) + 1;
	}
	return *p == '\0';
}

static void order(void)
{
	static const struct {
		const char *name;
		bool has[LAYERS];
		bool asks_on[LAYERS];
		const char *asked; /* of a hook that decides */
		const char *told;
	} cases[] = {
		{"the first decides", {true, true, true}, {false}, "A", "ABC"},
		{"the first asks on", {true, true, true}, {true}, "AB", "ABC"},
		{"all ask on", {true, true, true}, {true, true, true}, "ABC", "ABC"},
		{"the second has no opinion", {true, false, true}, {true}, "AC", "AC"},
		{"only the last has one", {false, false, true}, {true, true, true}, "C",
			"C"},
		{"only the first has one", {true, false, false}, {true}, "A", "A"},
		{"the first has none", {false, true, true}, {true, true}, "BC", "BC"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stack *s = pile(cases[i].has[0], cases[i].has[1], cases[i].has[2]);
		const struct sinkd_hooks *top = stack_top(s);
		size_t n;

		for (size_t k = 0; k < LAYERS; k++)
			layers[k].asks_on = cases[i].asks_on[k];
		CU_ASSERT_PTR_NOT_NULL_FATAL(top);
		n = try_all(top);
		CU_ASSERT_EQUAL(n, 15);
		for (size_t k = 0; k < n; k++) {
			const struct try *t = &tried[k];
			bool tells = only_tells(t->name);
			const char *whom = tells ? cases[i].told : cases[i].asked;
			size_t verdicts = tells || is_name(t->name) ? 0 : strlen(whom);

			CHECK(cases[i].name, were_called(t, whom));
			CHECK(t->name, t->code == (int)verdicts);
		}
		CHECK(cases[i].name,
			name.len == 1 &&
				*name.data == cases[i].asked[strlen(cases[i].asked) - 1]);
		stack_free(s);
	}
}

/* What no layer has is not asked, and no layer is there to ask below the last. */
static void nobody(void)
{
	struct stack *s = pile(false, false, false);

	CU_ASSERT_PTR_NULL(stack_top(s));
	layers[1].hooks.recipient = on_recipient;
	stack_set(s, 1, &layers[1].hooks);
	CU_ASSERT_PTR_EQUAL(stack_top(s), &layers[1].hooks);
	layers[2].hooks.message = on_message;
	layers[2].hooks.reset = on_reset;
	stack_set(s, 2, &layers[2].hooks);
	(void)try_all(stack_top(s));
	for (size_t i = 0; tried[i].name != NULL; i++)
		CHECK(tried[i].name,
			were_called(&tried[i],
				strcmp(tried[i].name, "recipient") == 0 ? "B"
				: strcmp(tried[i].name, "message") == 0 ||
						strcmp(tried[i].name, "reset") == 0
					? "C"
					: ""));
	(void)try_all(layers[2].below);
	for (size_t i = 0; tried[i].name != NULL; i++)
		CHECK(tried[i].name, were_called(&tried[i], ""));
	/* One that is not there any more. */
	stack_set(s, 1, NULL);
	CU_ASSERT_PTR_EQUAL(stack_top(s), &layers[2].hooks);
	stack_free(s);

	s = stack_new(0);
	CU_ASSERT_PTR_NULL(stack_top(s));
	stack_free(s);
	stack_free(NULL);
}

/* A layer is told what is below it before that is there. */
static void set_later(void)
{
	struct stack *s = stack_new(2);

	fill(&layers[0], 'A', true);
	fill(&layers[1], 'B', true);
	layers[0].asks_on = true;
	layers[0].below = stack_add(s, NULL);
	CU_ASSERT_PTR_NULL(stack_top(s));
	stack_set(s, 0, &layers[0].hooks);
	layers[1].below = stack_add(s, NULL);
	(void)try_all(stack_top(s));
	CHECK(tried[0].name, were_called(&tried[0], "A"));
	stack_set(s, 1, &layers[1].hooks);
	(void)try_all(stack_top(s));
	CHECK(tried[0].name, were_called(&tried[0], "AB"));
	stack_free(s);
}

/* --- who watches ------------------------------------------------------------- */

static struct {
	bool is_on;
	char seen[256];
} watcher;

static bool is_watching(void *user)
{
	(void)user;
	return watcher.is_on;
}

static void note_seen(char mark, size_t layer, const char *hook)
{
	size_t n = strlen(watcher.seen);

	(void)snprintf(watcher.seen + n, sizeof(watcher.seen) - n, "%zu%c%s ", layer,
		mark, hook);
}

static void see_question(void *user, size_t layer, const char *hook)
{
	(void)user;
	note_seen('?', layer, hook);
}

static void see_answer(
	void *user, size_t layer, const char *hook, const struct sinkd_verdict *verdict)
{
	(void)user;
	note_seen(verdict->code > 0 ? '!' : '-', layer, hook);
}

/* A layer that has no opinion of its own. */
static void hand_on_sender(void *user, struct sinkd_session *s, struct sinkd_str first,
	struct sinkd_str second, struct sinkd_verdict *v)
{
	const struct layer *l = user;

	l->below->sender(l->below->user, s, first, second, v);
}

/* It sees who is asked, in this order, and who has decided; and may look away. */
static void watched(void)
{
	static const struct stack_watch watch = {
		.is_on = is_watching, .asked = see_question, .answered = see_answer};
	struct stack *s = pile(false, false, false);
	struct sinkd_verdict verdict = {0};

	layers[0].hooks.sender = hand_on_sender;
	layers[2].hooks.sender = on_sender;
	stack_set(s, 0, &layers[0].hooks);
	stack_set(s, 2, &layers[2].hooks);
	stack_set_watch(s, &watch);
	for (int i = 0; i < 2; i++) {
		const struct sinkd_hooks *top = stack_top(s);

		watcher.is_on = i > 0;
		calls[0] = '\0';
		top->sender(top->user, session, one, two, &verdict);
		CU_ASSERT_EQUAL(verdict.code, i + 1);
		CU_ASSERT_STRING_EQUAL(
			watcher.seen, i > 0 ? "0?sender 2?sender 2!sender " : "");
	}
	/* One alone, too. */
	stack_set(s, 0, NULL);
	watcher.seen[0] = '\0';
	stack_top(s)->sender(stack_top(s)->user, session, one, two, &verdict);
	CU_ASSERT_STRING_EQUAL(watcher.seen, "2?sender 2!sender ");
	stack_free(s);
}

/* What a table of an older ABI does not hold, it does not have. */
static void shorter_table(void)
{
	struct stack *s = pile(true, true, false);

	layers[0].hooks.size = offsetof(struct sinkd_hooks, plain_auth);
	layers[0].hooks.abi = 0;
	stack_set(s, 0, &layers[0].hooks);
	(void)try_all(stack_top(s));
	for (size_t i = 0; tried[i].name != NULL; i++)
		CHECK(tried[i].name,
			were_called(&tried[i],
				only_tells(tried[i].name) ? "AB"
				: strcmp(tried[i].name, "plain_auth") == 0 ||
						strcmp(tried[i].name,
							"message_recipient") == 0
					? "B"
					: "A"));
	stack_free(s);
}

void suite_stack(void)
{
	CU_pSuite s = CU_add_suite("stack", NULL, NULL);

	CU_add_test(s, "order", order);
	CU_add_test(s, "nobody", nobody);
	CU_add_test(s, "set later", set_later);
	CU_add_test(s, "shorter table", shorter_table);
	CU_add_test(s, "watched", watched);
}
