/* The cleaner: a child of the master that removes what deliveries which never ended have
 * left in mailboxes, once after the start and then once a day. */
#ifndef SINKD_PROC_CLEANER_H
#define SINKD_PROC_CLEANER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/generation.h"

/* A zeroed one is due at once. */
struct cleaner {
	pid_t pid; /* 0: none runs */
	uint64_t due_ms;
};

/* Start one for this generation, if it is time, none runs, and there may be something to
 * clean; a failure is logged.  Returns when to look again. */
uint64_t cleaner_tend(struct cleaner *c, const struct generation *g, uint64_t now_ms);

/* A child has ended.  Returns whether it was the cleaner, which has said what went
 * wrong. */
bool cleaner_note_exit(struct cleaner *c, pid_t pid);

/* End it, and wait for that. */
void cleaner_done(struct cleaner *c);

#endif
