/* Reading the configuration again, in a server that goes on if it has mistakes. */
#ifndef SINKD_PROC_RELOAD_H
#define SINKD_PROC_RELOAD_H

#include "base/log.h"
#include "config/conf.h"
#include "keys/keyring.h"

/* The event server.reload. */
void reload_log(enum log_level level, const char *action, const char *reason);

/* Read the configuration as it was read at the start, and its certificates; before: the
 * keyring in use.  Returns it, the caller's as *ret_keyring is, or NULL if there are
 * mistakes: each is a line of the log, and the first is in ret_mistake too, cut
 * to size bytes with its end. */
struct config *reload_read(const char *file, const struct config_overrides *overrides,
	const struct keyring *before, struct keyring **ret_keyring, char *ret_mistake,
	size_t size);

/* Say what was changed in the file that a reload cannot change. */
void reload_note_unchangeable(const struct config *before, const struct config *now);

#endif
