/* Whether modules would load, without loading them here. */
#ifndef SINKD_PROC_MODULE_CHECK_H
#define SINKD_PROC_MODULE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "policy/module.h"

struct identity;

/* For the master: open and close each of settings[0..n) in a child of its own, which has
 * the rights of a worker, and nothing of ours open but the log.  Waits for at most
 * timeout_ms with each, and no longer when a blocked TERM or INT is pending.  env is as
 * for workers; what it counts is forgotten with the child.  Returns 0, or -1 and
 * error[MODULE_ERROR_SIZE] says which is wrong, and why. */
int module_check(const struct module_settings *settings, size_t n,
	const struct module_env *env, const struct identity *identity,
	uint64_t timeout_ms, char *error);

#endif
