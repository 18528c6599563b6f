/* The crew: all worker processes, of every generation, and the memory shared with them.
 */
#ifndef SINKD_PROC_CREW_H
#define SINKD_PROC_CREW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/board.h"
#include "proc/counters.h"
#include "proc/generation.h"
#include "proc/slots.h"

/* What the master knows of a worker, and believes; what a worker says of itself is in
 * its slot. */
struct child {
	pid_t pid; /* 0: the place is free */
	struct generation *generation;
	bool was_ready;
	bool is_condemned; /* it hung, and has been sent SIGKILL */
	uint64_t birth_ms;
};

struct crew {
	struct child *children; /* SLOTS_MAX; the place is the slot */
	unsigned limit;         /* places from here on have never been taken */
	unsigned alive;
	struct board *board;
	struct slots *slots;
	struct counters *counters;
	int board_fd, slots_fd, counters_fd;
	int ready_pipe[2]; /* workers write their pid when first idle */
	int wake_fd;       /* workers write when too few are idle */
	uint64_t secret[2];
	bool is_daemon;                         /* standard error is for the start only */
	struct slot_counts total;               /* of workers that have ended */
	uint64_t births, deaths, hung, refused; /* refused: clients, by the master */
};

/* Workers of one generation by what they do, and of all others. */
struct crew_counts {
	unsigned idle, busy, starting, others;
	unsigned idle_others;  /* of others */
	uint64_t first_due_ms; /* when the first of all must have got on; UINT64_MAX: none
				*/
};

#define CREW_NONE                                                                        \
	((struct crew){.board_fd = -1,                                                   \
		.slots_fd = -1,                                                          \
		.counters_fd = -1,                                                       \
		.ready_pipe = {-1, -1},                                                  \
		.wake_fd = -1})

/* c is CREW_NONE.  Returns 0 or a negative errno; crew_done is to be called in both
 * cases, and may be without this. */
int crew_init(struct crew *c);
void crew_done(struct crew *c);

/* Fork a worker of g into a free place.  Returns 0 or a negative errno. */
int crew_start_worker(struct crew *c, struct generation *g);

/* The worker with this pid, or NULL. */
struct child *crew_find(struct crew *c, pid_t pid);

/* A worker has ended: its counts join the totals, its place is free.  *ret_report is
 * what it said last. */
void crew_bury(struct crew *c, struct child *child, struct slot_report *ret_report);

/* Say so.  That a worker is killed is odd only while the server goes on. */
void crew_log_exit(
	pid_t pid, int status, const struct slot_report *report, bool is_stopping);

/* Whether the next one may go the same way at once.  One that has waited for a while
 * before somebody killed it says nothing about the next. */
bool crew_has_died_young(
	const struct child *child, int status, const struct slot_report *report);

struct crew_counts crew_count(const struct crew *c, const struct generation *g);

/* Kill those that have not got on by the time they said themselves. */
void crew_kill_hung(struct crew *c, uint64_t now_ms);

/* While the server stops: kill who hangs, and once *kill_at_ms has come (it is UINT64_MAX
 * then) all that are left.  Returns when to look again. */
uint64_t crew_end(struct crew *c, uint64_t *kill_at_ms);

/* The last line of the log: the exit status, and what was done in all. */
void crew_log_end(const struct crew *c, int status);

void crew_signal(const struct crew *c, int number);

/* All that has been counted since the start. */
void crew_total(const struct crew *c, struct slot_counts *ret);

#endif
