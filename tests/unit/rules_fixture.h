/* Rules at work: a session of the rig, whose hooks lie below them. */
#ifndef SINKD_TESTS_RULES_FIXTURE_H
#define SINKD_TESTS_RULES_FIXTURE_H

#include "policy/rules.h"
#include "policy/stack.h"
#include "rig.h"

#define SCENE_RULES_MAX 8
#define SCENE_KEYS_MAX  8192

/* What all workers count together; windows do not end. */
struct tally {
	uint64_t keys[SCENE_KEYS_MAX];
	uint64_t counts[SCENE_KEYS_MAX];
};

/* What was decided where a rule has fired. */
struct decision {
	const char *hook;
	struct sinkd_verdict verdict;
	bool was_asked_below;
};

struct scene {
	struct rig rig;
	struct rules_entry entries[SCENE_RULES_MAX];
	bool is_switched_off[SCENE_RULES_MAX];
	size_t count;
	struct tally *tally;

	/* What came of it. */
	char fired[512]; /* "NAME HOOK" and a line end for each */
	struct decision last;

	struct rules_settings settings;
	struct rules_env env;
	struct rules *rules;
	struct sinkd_hooks below;
	struct stack *stack;
	const struct sinkd_hooks *top;
	const char *hook; /* that is asked now */
	size_t fired_count;
};

/* Without rules; then change s->rig, and add some. */
void scene_init(struct scene *s, struct tally *tally);

/* One more rule, which refuses with "451 4.7.1" where nothing else is said; to be changed
 * before the start.  The name is kept by reference. */
struct rules_entry *scene_add(struct scene *s, const char *name, enum rule_stage stage);

/* Connect and greeting. */
void scene_start(struct scene *s);

/* One line after the other, each as a packet of its own. */
void scene_say(struct scene *s, const char *const *lines);

/* The end, and the beginning for another one. */
void scene_done(struct scene *s);

/* The sessions of most tests: a message by DATA. */
extern const char *const scene_message[];

#endif
