/* How many workers there should be, and when to look again: a state machine of
 * numbers and time, without clock and processes. */
#ifndef SINKD_PROC_POOL_H
#define SINKD_PROC_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* Births wait this long after a worker died as soon as it was born, doubling; and are
 * one at a time until nobody has died for so long again. */
#define POOL_THROTTLE_MIN_MS 1000
#define POOL_THROTTLE_MAX_MS 60000

/* Births, and idle workers sent away, at one look. */
#define POOL_STEP 32

/* From the configuration; may differ from call to call.  min_spare and max count
 * as 1 at least, and max_spare as min_spare at least. */
struct pool_limits {
	unsigned start; /* to have at first, and at first only */
	unsigned min_spare;
	unsigned max_spare;
	unsigned max;
	bool is_refusing; /* overflow "refuse" */
	uint64_t busy_command_ms;
};

/* Workers of the current generation, but for others. */
struct pool_counts {
	unsigned idle; /* those about to retire among them */
	unsigned busy;
	unsigned starting; /* born, not yet ready */
	unsigned retiring; /* told to retire and not yet heard by anyone: bytes in the
			      pipe */
	unsigned others;   /* of older generations, alive: they count towards max */
	unsigned waiting;  /* clients in the accept queues */
};

/* A zeroed one is a valid start.  The members are for pool.c, and for tests. */
struct pool {
	bool was_ever_ready; /* some worker has been idle once */
	bool is_filled;      /* the first number of workers has been reached */
	bool is_stressed;
	bool was_limited;       /* max was in the way at the last look */
	uint32_t throttle_ms;   /* 0: births are free */
	uint64_t not_before_ms; /* no birth earlier than this */
	unsigned fill_to;       /* a number to reach first, besides limits.start */
	uint32_t wake_below;    /* of the last decision */
	unsigned low_idle;      /* fewest that were free since the interval began */
	uint64_t low_until_ms;  /* end of that interval; 0: there is none */
	uint64_t calm_until_ms; /* stress ends then, if it stays calm; 0: not calm */
	unsigned peak_waiting;  /* in this window, and in the one before it */
	unsigned earlier_peak;
	uint64_t peak_until_ms; /* end of this window */
	unsigned hits;          /* since the last report */
	unsigned most_waited;
	uint64_t report_at_ms; /* no report earlier than this */
};

struct pool_decision {
	unsigned births;
	unsigned retire;   /* idle workers to send away */
	unsigned unretire; /* words to take back that nobody has heard yet */
	/* No worker is free and none can be born.  Then command_ms takes the place of
	 * timeouts.command; otherwise it is 0. */
	bool is_stressed;
	uint32_t command_ms;
	/* A worker that turns busy and leaves fewer idle ones wakes the master; 0: never.
	 */
	uint32_t wake_below;
	/* Who waits now, and who comes while this stands, is to be refused: the master
	 * waits for the listeners too, looks again when a client comes, and refuses all
	 * that wait if this is still so. */
	bool refuse;
	/* Time for the line that says what limits the pool: how often max was reached and
	 * how many clients waited at most, since the last one. */
	bool report;
	unsigned report_hits;
	unsigned report_waited;
	uint64_t look_again_ms; /* absolute, > now; UINT64_MAX: when something happens */
};

/* A worker has become idle for the first time. */
void pool_note_ready(struct pool *p);

/* A worker died before it was ready, or soon after and before it served anyone.  Returns
 * the wait before the next birth. */
uint32_t pool_note_failed(struct pool *p, uint64_t now_ms);

/* A new generation has taken over: from the next look on it is brought to n workers or
 * limits.start, whichever is more, as far as max allows; and goes its own way after. */
void pool_refill(struct pool *p, unsigned n);

/* One look.  Until the first worker is ready only one is tried: what stops it would stop
 * all of them, and one error is easier to read than sixteen.  Births never exceed max,
 * all generations together, but for one: where nobody of the current generation is
 * alive a first one is born in any case, or the port would be deaf. */
struct pool_decision pool_decide(struct pool *p, const struct pool_limits *limits,
	const struct pool_counts *counts, uint64_t now_ms);

#endif
