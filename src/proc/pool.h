/* How many workers to start, and when: a pure function of numbers and time. */
#ifndef SINKD_PROC_POOL_H
#define SINKD_PROC_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* Births wait this long after a worker died before it was ready, doubling. */
#define POOL_THROTTLE_MIN_MS 1000
#define POOL_THROTTLE_MAX_MS 60000

struct pool {
	bool was_ever_ready;    /* some worker has been idle once */
	uint32_t throttle_ms;   /* 0: births are free */
	uint64_t not_before_ms; /* no birth earlier than this */
};

struct pool_counts {
	unsigned wanted;
	unsigned alive; /* those starting among them */
};

struct pool_decision {
	unsigned births;
	uint64_t look_again_ms; /* absolute; UINT64_MAX: when something happens */
};

/* A worker has become idle for the first time: births are free again. */
void pool_note_ready(struct pool *p);

/* A worker died before it was ready, or before it served anyone.  Returns the wait before
 * the next birth. */
uint32_t pool_note_failed(struct pool *p, uint64_t now_ms);

/* Until the first worker is ready only one is tried: what stops it would stop
 * all of them, and one error is easier to read than sixteen. */
struct pool_decision pool_decide(
	const struct pool *p, struct pool_counts counts, uint64_t now_ms);

#endif
