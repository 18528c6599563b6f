/* How many workers there should be; see pool.h.
 *
 * Pure: no clock, no processes, no log.  Runs in the master.  The counts come from
 * what workers say of themselves, so a hostile one can bend them: nothing here can
 * do more than start up to max workers, or send idle ones away down to min_spare. */
#include "proc/pool.h"

#include "base/number.h"

/* The next looks: the same need is not met yet; something is under way; no worker is
 * free; and while anybody is busy, since what wakes the master is only a hint. */
#define LOOK_SOON_MS   10
#define LOOK_MOVING_MS 50
#define LOOK_STRESS_MS 250
#define LOOK_BUSY_MS   1000

/* Idle workers leave after so long without need of them; when there are more than
 * may go at once, the next ones follow sooner. */
#define SHRINK_MS      5000
#define SHRINK_NEXT_MS 1000

/* Stress ends when for so long, at every look, a worker was free and nobody waited.
 * Between two clients a worker is idle for a moment, and a full pool that is gone
 * through in rounds has many such moments; a number of idle workers alone would
 * switch with each of them.  It is one worker and not more: the limit is for when
 * all are busy, and with few workers half of the spares may never be free. */
#define CALM_MS 1000

/* Workers look at their deadlines when a read of one second gives up. */
#define TICK_MS 1000

#define REPORT_MS 10000

/* What follows from the numbers. */
struct view {
	struct pool_limits limits;
	struct pool_counts counts;
	unsigned spare; /* idle and going to stay */
	unsigned own;   /* alive, of the current generation */
	unsigned room;  /* births that max allows */
	bool is_full;   /* nobody free, and nobody can be born */
	uint64_t now_ms;
};

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* a - b, or 0. */
static unsigned beyond(unsigned a, unsigned b)
{
	return a > b ? a - b : 0;
}

static uint64_t after(uint64_t now_ms, uint64_t ms)
{
	return now_ms < UINT64_MAX - ms ? now_ms + ms : UINT64_MAX;
}

static void look_at(struct pool_decision *d, uint64_t when_ms)
{
	if (when_ms < d->look_again_ms)
		d->look_again_ms = when_ms;
}

static bool can_grow(const struct pool *p, const struct view *v)
{
	return v->room > 0 && v->now_ms >= p->not_before_ms;
}

static struct view view_counts(const struct pool *p, const struct pool_limits *limits,
	const struct pool_counts *counts, uint64_t now_ms)
{
	struct view v = {.limits = *limits, .counts = *counts, .now_ms = now_ms};

	v.limits.max = larger(v.limits.max, 1);
	v.limits.min_spare = larger(v.limits.min_spare, 1);
	v.limits.max_spare = larger(v.limits.max_spare, v.limits.min_spare);
	v.spare = beyond(counts->idle, counts->retiring);
	v.own = counts->idle + counts->busy + counts->starting;
	v.room = beyond(v.limits.max, v.own + counts->others);
	if (v.own == 0)
		v.room = larger(v.room, 1);
	v.is_full = p->was_ever_ready && counts->idle == 0 && counts->starting == 0 &&
		    !can_grow(p, &v);
	return v;
}

/* -------------------------------------------------------------------- size */

/* Workers wanted beyond those that are there or coming. */
static uint64_t count_missing(struct pool *p, const struct view *v)
{
	uint64_t wanted = (uint64_t)v->limits.min_spare + v->counts.waiting;
	uint64_t have = (uint64_t)v->spare + v->counts.starting;
	uint64_t missing = wanted > have ? wanted - have : 0;
	unsigned stay = v->spare + v->counts.busy + v->counts.starting, target;

	if (!p->was_ever_ready)
		return v->own == 0;
	if (p->is_filled)
		return missing;
	target = number_at_most(v->limits.max, larger(v->limits.start, p->fill_to));
	if (stay >= target)
		p->is_filled = true;
	else if (missing < target - stay)
		missing = target - stay;
	return missing;
}

/* That a worker became ready does not say that it will live.  If none has died for as
 * long as the wait was, there is no circle. */
static void end_throttle(struct pool *p, const struct view *v)
{
	if (v->counts.starting == 0 && v->counts.idle + v->counts.busy > 0 &&
		v->now_ms >= after(p->not_before_ms, p->throttle_ms))
		p->throttle_ms = 0;
}

static void grow(struct pool *p, const struct view *v, struct pool_decision *d)
{
	uint64_t missing = count_missing(p, v);

	d->unretire = number_at_most(v->counts.retiring, missing);
	missing -= d->unretire;
	if (missing == 0)
		return;
	if (v->now_ms < p->not_before_ms) {
		if (v->room > 0)
			look_at(d, p->not_before_ms);
	} else if (p->throttle_ms > 0) {
		d->births = v->counts.starting == 0 && v->room > 0;
	} else {
		d->births = number_at_most(v->room, number_min(missing, POOL_STEP));
		if (d->births < missing && d->births < v->room)
			look_at(d, after(v->now_ms, LOOK_SOON_MS));
	}
	/* What max forbids now is left to demand: old workers may stay for long. */
	if (p->was_ever_ready && d->births >= v->room)
		p->is_filled = true;
}

/* The fewest that were free over the whole interval are not needed.  A dip to what
 * should be there begins it anew; wake_below sees to it that no dip is missed. */
static void shrink(struct pool *p, const struct view *v, struct pool_decision *d)
{
	unsigned is_free = beyond(v->spare, v->counts.waiting), excess;

	if (!p->is_filled || is_free <= v->limits.max_spare) {
		p->low_until_ms = 0;
		return;
	}
	if (p->low_until_ms == 0) {
		p->low_idle = is_free;
		p->low_until_ms = after(v->now_ms, SHRINK_MS);
	}
	p->low_idle = number_at_most(p->low_idle, is_free);
	if (v->now_ms >= p->low_until_ms) {
		excess = beyond(p->low_idle, v->limits.max_spare);
		d->retire = number_at_most(POOL_STEP, excess);
		p->low_idle -= d->retire;
		p->low_until_ms = 0;
		if (d->retire < excess)
			p->low_until_ms = after(v->now_ms, SHRINK_NEXT_MS);
	}
	look_at(d, p->low_until_ms != 0 ? p->low_until_ms
					: after(v->now_ms, LOOK_MOVING_MS));
}

/* ------------------------------------------------------------------ stress */

/* A client that comes waits for all before it to be gone through, so the most that
 * waited count for as long as the last of them may have to wait.  Two windows, so
 * that this is forgotten some time after. */
static void note_waiting(struct pool *p, const struct view *v)
{
	uint64_t window_ms = after(v->limits.busy_command_ms, TICK_MS);

	if (v->now_ms >= p->peak_until_ms) {
		bool is_recent = v->now_ms - p->peak_until_ms < window_ms;

		p->earlier_peak = is_recent ? p->peak_waiting : 0;
		p->peak_waiting = 0;
		p->peak_until_ms = after(v->now_ms, window_ms);
	}
	p->peak_waiting = larger(p->peak_waiting, v->counts.waiting);
}

/* The accept queue is served in order.  With n workers and w clients waiting, the
 * last one is served after w / n rounds, rounded up; if nobody says a word each takes
 * command_ms, and all together should take no longer than busy-command and a second.
 * Ticks come late, up to one in 25, and half of that second is for all else.  What
 * falls between two ticks is noticed at the second, so whole ticks.  Less than one is
 * not to be had: with more than n * busy-command / 1 s silent clients it takes longer. */
static uint32_t choose_command_ms(const struct pool *p, const struct view *v)
{
	uint64_t busy_ms = number_min(v->limits.busy_command_ms, UINT32_MAX);
	uint64_t budget_ms = (busy_ms + TICK_MS / 2) * 25 / 26;
	uint64_t workers = larger(v->own + v->counts.others, 1);
	uint64_t waiting = larger(p->peak_waiting, p->earlier_peak), ms;

	if (busy_ms == 0)
		return 1;
	if (budget_ms > busy_ms)
		budget_ms = busy_ms;
	ms = budget_ms * workers / (workers + waiting);
	ms = ms < TICK_MS ? TICK_MS : ms - ms % TICK_MS;
	return (uint32_t)(waiting == 0 || ms > busy_ms ? busy_ms : ms);
}

static void judge_stress(struct pool *p, const struct view *v, struct pool_decision *d)
{
	if (v->is_full && !p->is_stressed) {
		p->is_stressed = true;
		p->peak_waiting = 0;
		p->peak_until_ms = 0;
	}
	if (v->is_full || v->counts.waiting > 0)
		p->calm_until_ms = 0;
	else if (p->calm_until_ms == 0)
		p->calm_until_ms = after(v->now_ms, CALM_MS);
	else if (v->now_ms >= p->calm_until_ms)
		p->is_stressed = false;
	if (!p->is_stressed)
		return;
	note_waiting(p, v);
	d->is_stressed = true;
	d->command_ms = choose_command_ms(p, v);
	d->refuse = v->limits.is_refusing && v->is_full;
	look_at(d, after(v->now_ms, LOOK_STRESS_MS));
}

/* max is in the way if somebody waits for it, or the next client would; that there are
 * fewer spares than asked for hurts nobody.  It is told of only if somebody waited. */
static void report(struct pool *p, const struct view *v, struct pool_decision *d)
{
	unsigned coming = v->counts.idle + v->counts.starting;
	bool is_limited = v->room == 0 && (coming == 0 || v->counts.waiting > coming);

	if (is_limited) {
		p->hits += !p->was_limited;
		p->most_waited = larger(p->most_waited, v->counts.waiting);
	}
	p->was_limited = is_limited;
	if (p->most_waited == 0)
		return;
	if (v->now_ms < p->report_at_ms) {
		look_at(d, p->report_at_ms);
		return;
	}
	d->report = true;
	d->report_hits = larger(p->hits, 1);
	d->report_waited = p->most_waited;
	p->hits = 0;
	p->most_waited = 0;
	p->report_at_ms = after(v->now_ms, REPORT_MS);
}

/* ------------------------------------------------------------------- looks */

/* Nobody says anything where it would change nothing.  Where no birth is possible
 * who takes the last idle place says so, since that is where stress begins. */
static uint32_t choose_wake_below(const struct pool *p, const struct view *v)
{
	unsigned below = can_grow(p, v) ? v->limits.min_spare : 1;

	if (p->is_stressed)
		below = 0;
	return p->low_until_ms != 0 ? larger(below, p->low_idle) : below;
}

static void choose_looks(struct pool *p, const struct view *v, struct pool_decision *d)
{
	bool is_waiting = v->counts.waiting > 0 && (!v->is_full || d->refuse);

	/* Workers that turned busy since the counts were taken knew the old value. */
	if (d->wake_below > p->wake_below)
		look_at(d, after(v->now_ms, LOOK_SOON_MS));
	p->wake_below = d->wake_below;
	/* Clients that queue up wake nobody. */
	if (is_waiting || v->counts.starting > 0 || d->births > 0 || d->unretire > 0)
		look_at(d, after(v->now_ms, LOOK_MOVING_MS));
	if (v->counts.busy > 0)
		look_at(d, after(v->now_ms, LOOK_BUSY_MS));
}

/* ------------------------------------------------------------------ public */

void pool_note_ready(struct pool *p)
{
	p->was_ever_ready = true;
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
		p->not_before_ms = after(now_ms, next);
	}
	return p->throttle_ms;
}

void pool_refill(struct pool *p, unsigned n)
{
	p->is_filled = false;
	p->fill_to = n;
}

struct pool_decision pool_decide(struct pool *p, const struct pool_limits *limits,
	const struct pool_counts *counts, uint64_t now_ms)
{
	struct pool_decision d = {.look_again_ms = UINT64_MAX};
	struct view v = view_counts(p, limits, counts, now_ms);

	end_throttle(p, &v);
	grow(p, &v, &d);
	/* Before the first is ready there is nobody to send away or to wake us. */
	if (!p->was_ever_ready)
		return d;
	shrink(p, &v, &d);
	judge_stress(p, &v, &d);
	report(p, &v, &d);
	d.wake_below = choose_wake_below(p, &v);
	choose_looks(p, &v, &d);
	return d;
}
