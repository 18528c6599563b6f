/* The master: binds, forks, reaps, reloads, stops. */
#ifndef SINKD_PROC_MASTER_H
#define SINKD_PROC_MASTER_H

#include <stdbool.h>

#include "config/conf.h"

struct inherit;
struct keyring;
struct upgrade_env;

struct master_options {
	/* How the configuration was loaded, for a reload. */
	const char *file;
	const struct config_overrides *overrides;
	struct keyring *keyring; /* for it, taken over; NULL: no TLS */
	int ready_fd;            /* -1: none */
	bool has_greeting;       /* tell a person what runs here, and what to try */
	/* Nobody reads standard error: what would be logged there goes to syslogd. */
	bool is_daemon;
	int waiting_fd;                    /* as a daemon: for daemon_ready */
	struct inherit *inherit;           /* NULL: we bind everything */
	const struct upgrade_env *upgrade; /* NULL: USR2 is refused */
};

/* Run the server until it is told to stop; takes over config.  Blocks.  Returns the exit
 * status of the program: 0 after TERM or INT, 78 when a delivery or an account cannot be
 * used, 1 for any other failure, which has been logged. */
int master_run(struct config *config, const struct master_options *options);

#endif
