/* The keeper: brings the pool of workers to the size that it should have. */
#ifndef SINKD_PROC_KEEPER_H
#define SINKD_PROC_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/crew.h"
#include "proc/pool.h"

/* A zeroed one is a valid start. */
struct keeper {
	struct pool pool;
	bool is_refusing;          /* clients who come now are refused by the master */
	bool is_stressed;          /* all workers are busy, and no more can be had */
	uint64_t waiting_since_ms; /* since then a client waited though workers were idle
				    */
	uint64_t max_hits;         /* times that clients had to wait for want of max */
	uint64_t told_refused;     /* clients refused, when the last line told of it */
	struct pool_counts told;   /* by the last line for systemctl status */
	uint64_t tell_at_ms;       /* no earlier than this the next one */
};

/* Count the workers, start some of generation g or send some away, tell them all what
 * the board says, refuse clients where that is wanted, and kill who hangs.  *ret_until_ms
 * is when to look again.  Returns 0, or a negative errno when there is no process to be
 * had. */
int keeper_look(
	struct keeper *k, struct crew *c, struct generation *g, uint64_t *ret_until_ms);

/* The server takes no more clients: what workers were told for want of room ends. */
void keeper_rest(struct keeper *k, struct crew *c);

#endif
