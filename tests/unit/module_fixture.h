/* Modules on a bench: loaded into a stack, asked by the engine of a rig, counting in
 * counters of their own, and what they have logged. */
#ifndef SINKD_TESTS_MODULE_FIXTURE_H
#define SINKD_TESTS_MODULE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/module.h"
#include "rig.h"

struct counters;

/* A file of the build, by its path there; the text is static. */
const char *module_file(const char *path);

/* One worker. */
struct module_bench {
	struct module_env env;
	struct stack *stack;
	struct modules *modules;
	struct rig rig;
};

/* For the suite: counters and the log are there in between.  Return 0. */
int module_begin(void);
int module_end(void);

/* The time that windows are measured by. */
void module_set_time(uint64_t now_ms);

const struct module_env *module_env(void);

/* What modules have logged since the last call, a line for each. */
const char *module_said(void);

/* Why it does not load; empty: it does.  The text is static. */
const char *module_load_error(const struct module_settings *settings);

/* Load them, and let the engine begin its next session with them. */
void module_bench_init(
	struct module_bench *b, const struct module_settings *settings, size_t n);
void module_bench_done(struct module_bench *b);

/* One session that says this, and what it was told. */
const char *module_bench_talk(struct module_bench *b, const char *text);

#endif
