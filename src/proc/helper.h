/* A helper process, as the master sees it: whether it runs, and when to start the next
 * one.  A pure account but for helper_end. */
#ifndef SINKD_PROC_HELPER_H
#define SINKD_PROC_HELPER_H

#include <stdint.h>
#include <sys/types.h>

struct helper {
	pid_t pid; /* 0: none runs */
	uint64_t birth_ms;
	uint64_t due_ms;       /* with none, start one then */
	unsigned young_deaths; /* in a row */
};

void helper_note_start(struct helper *h, pid_t pid, uint64_t now_ms);

/* It has died, or could not be started.  The next one is due at once; but when one after
 * the other has died young, in a second, then in two, and so on up to a minute.  Returns
 * how long that is. */
uint64_t helper_note_death(struct helper *h, uint64_t now_ms);

/* End it, and wait for that. */
void helper_end(struct helper *h);

#endif
