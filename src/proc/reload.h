/* Reading the configuration again for a running server. */
#ifndef SINKD_PROC_RELOAD_H
#define SINKD_PROC_RELOAD_H

#include "base/log.h"
#include "config/conf.h"

/* What becomes of a reload, and why. */
void reload_log(enum log_level level, const char *action, const char *reason);

/* Load the configuration as at the start.  NULL if that cannot be done; each mistake is
 * a line of the log then. */
struct config *reload_read(const char *file, const struct config_overrides *overrides);

#endif
