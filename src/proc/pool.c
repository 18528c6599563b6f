/* How many workers to start; see pool.h.  Pure: no clock, no processes. */
#include "proc/pool.h"

void pool_note_ready(struct pool *p)
{
	p->was_ever_ready = true;
	p->throttle_ms = 0;
	p->not_before_ms = 0;
}

uint32_t pool_note_failed(struct pool *p, uint64_t now_ms)
{
	uint32_t next = p->throttle_ms * 2;

	if (next < POOL_THROTTLE_MIN_MS)
		next = POOL_THROTTLE_MIN_MS;
	if (next > POOL_THROTTLE_MAX_MS)
		next = POOL_THROTTLE_MAX_MS;
	/* Workers born together fail together: that is one failure, not many. */
	if (now_ms >= p->not_before_ms) {
		p->throttle_ms = next;
		p->not_before_ms = now_ms + next;
	}
	return p->throttle_ms;
}

struct pool_decision pool_decide(
	const struct pool *p, struct pool_counts counts, uint64_t now_ms)
{
	struct pool_decision d = {.look_again_ms = UINT64_MAX};
	unsigned wanted = p->was_ever_ready ? counts.wanted : 1;

	if (counts.alive >= wanted)
		return d;
	if (now_ms < p->not_before_ms)
		d.look_again_ms = p->not_before_ms;
	else if (p->throttle_ms > 0)
		d.births = 1;
	else
		d.births = wanted - counts.alive;
	return d;
}
