/* A helper process, as the master sees it: whether it runs, how it is started, and when
 * to start the next one. */
#ifndef SINKD_PROC_HELPER_H
#define SINKD_PROC_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

struct helper {
	pid_t pid; /* 0: none runs */
	uint64_t birth_ms;
	uint64_t due_ms;       /* with none, start one then */
	unsigned young_deaths; /* in a row */
};

/* In the process: who its master is, and where it says that it is ready. */
struct helper_birth {
	pid_t master;
	int ready_fd;
};

/* One sort of them. */
struct helper_kind {
	/* What one does; never returns. */
	void (*run)(const void *user, const struct helper_birth *birth);
	const char *key; /* of its pid in the log */
	enum log_event start, exit, failed;
};

void helper_note_start(struct helper *h, pid_t pid, uint64_t now_ms);

/* It has died, or could not be started.  The next one is due at once; but when one after
 * the other has died young, in a second, then in two, and so on up to a minute.  Returns
 * how long that is. */
uint64_t helper_note_death(struct helper *h, uint64_t now_ms);

/* Start one, and wait until it says that it is ready.  Returns 0 or a negative errno:
 * -ECHILD when it ended before (it has logged why), -ETIME when it hung.  Then none
 * runs. */
int helper_start(struct helper *h, const struct helper_kind *kind, const void *user);

/* In the process.  Returns 0 or a negative errno. */
int helper_tell_ready(const struct helper_birth *birth);

/* A child has ended.  Returns whether it was this one, which then is logged;
 * is_expected: that it was killed is nothing odd. */
bool helper_note_exit(struct helper *h, const struct helper_kind *kind, pid_t pid,
	int status, bool is_expected);

/* With none, start one if it is due; a failure is logged.  Returns when to look again,
 * UINT64_MAX for never. */
uint64_t helper_tend(struct helper *h, const struct helper_kind *kind, const void *user,
	uint64_t now_ms);

/* End it, and wait for that. */
void helper_end(struct helper *h);

#endif
