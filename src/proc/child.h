/* What each process that the master forks does with itself first.  All return 0 or a
 * negative errno. */
#ifndef SINKD_PROC_CHILD_H
#define SINKD_PROC_CHILD_H

#include <sys/types.h>

/* What our caller gave us to read and write is not for a child; standard error may be the
 * log. */
int child_drop_standard_streams(void);

/* Who ends the server signals all of its processes, perhaps.  A helper may be needed
 * until the last session has ended, and the master ends it by KILL. */
int child_ignore_signals(void);

/* The kernel sends this signal when the master dies; it may have died already. */
int child_watch_master(pid_t master, int signal);

/* For the master: end it, and wait for that. */
void child_end(pid_t pid);

#endif
