/* The keeper; see keeper.h.
 *
 * Runs in the master.  Numbers come from slots and counters, which workers write: they
 * decide how many workers there are, within what the configuration allows. */
#include "proc/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "proc/ready.h"

/* The line that tells how many are busy is sent this often at most. */
#define TELL_STATUS_MS 1000

/* After a birth that failed; how long births wait is for the pool to say. */
#define RETRY_MS 1000

/* A client that waits for so long is not seen by those that are idle. */
#define DOUBT_AFTER_MS 1000

/* Where workers do not wake us that should, nobody waits longer. */
#define LOOK_MS 10000

static struct pool_limits limits_of(const struct config *c)
{
	return (struct pool_limits){
		.start = c->workers.start,
		.min_spare = c->workers.min_spare,
		.max_spare = c->workers.max_spare,
		.max = c->workers.max,
		.is_refusing = c->workers.overflow == OVERFLOW_REFUSE,
		.busy_command_ms = c->timeouts.busy_command_ms,
	};
}

/* For systemctl status, once a second at most. */
static void tell_status(
	struct keeper *k, const struct pool_counts *counts, uint64_t now_ms)
{
	if (now_ms < k->tell_at_ms ||
		(counts->busy == k->told.busy && counts->idle == k->told.idle))
		return;
	k->told = *counts;
	k->tell_at_ms = now_ms + TELL_STATUS_MS;
	ready_notify_status(counts->busy, counts->idle);
}

static void tell_workers(struct board *board, const struct pool_decision *d)
{
	atomic_store_explicit(&board->command_ms, d->command_ms, memory_order_relaxed);
	atomic_store_explicit(&board->wake_below, d->wake_below, memory_order_relaxed);
}

static void report(struct keeper *k, const struct crew *c, const struct config *config,
	const struct pool_decision *d)
{
	k->max_hits += d->report_hits;
	log_event(LOG_WARN, EV_POOL_FULL, LOG_NUM("max", config->workers.max),
		LOG_NUM("times", d->report_hits), LOG_NUM("waiting", d->report_waited),
		LOG_NUM("refused", c->refused - k->told_refused));
	k->told_refused = c->refused;
}

/* Idle workers take a client at once.  Where one waits on and on, those that claim to be
 * idle are stopped, or lie, and are not counted on. */
static void doubt_idle(struct keeper *k, struct pool_counts *counts, uint64_t now_ms)
{
	if (counts->waiting == 0 || counts->idle == 0)
		k->waiting_since_ms = 0;
	else if (k->waiting_since_ms == 0)
		k->waiting_since_ms = now_ms;
	else if (now_ms - k->waiting_since_ms >= DOUBT_AFTER_MS)
		counts->idle = 0;
}

static int start_workers(struct crew *c, struct generation *g, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++)
		r = crew_start_worker(c, g);
	return r;
}

/* Where clients cannot even be accepted, their coming must not wake us time and again. */
static void refuse(struct keeper *k, struct crew *c, const struct generation *g)
{
	int r = generation_refuse_waiting(g, &c->refused);

	k->is_refusing = r == 0;
	if (r < 0)
		log_event(LOG_ERROR, EV_ACCEPT_FAILED, LOG_ERRNO(r));
}

void keeper_rest(struct keeper *k, struct crew *c)
{
	static const struct pool_decision nothing;

	k->is_refusing = false;
	k->is_stressed = false;
	tell_workers(c->board, &nothing);
}

static void look_by(uint64_t *until_ms, uint64_t at_ms)
{
	if (*until_ms > at_ms)
		*until_ms = at_ms;
}

int keeper_look(
	struct keeper *k, struct crew *c, struct generation *g, uint64_t *ret_until_ms)
{
	const struct pool_limits limits = limits_of(g->config);
	uint64_t now_ms = clock_monotonic_ms();
	uint32_t hint = counters_get_idle(c->counters);
	struct crew_counts crew = crew_count(c, g);
	struct pool_counts counts = {
		.idle = crew.idle,
		.busy = crew.busy,
		.starting = crew.starting,
		.retiring = generation_count_retiring(g),
		.others = crew.others,
		.waiting = generation_count_waiting(g),
	};
	struct pool_decision d;
	int r;

	doubt_idle(k, &counts, now_ms);
	d = pool_decide(&k->pool, &limits, &counts, now_ms);
	counters_correct_idle(c->counters, hint, crew.idle);
	tell_workers(c->board, &d);
	tell_status(k, &counts, now_ms);
	generation_retire(g, d.retire);
	generation_unretire(g, d.unretire);
	k->is_stressed = d.is_stressed;
	k->is_refusing = d.refuse;
	if (d.refuse && counts.waiting > 0)
		refuse(k, c, g);
	if (d.report)
		report(k, c, g->config, &d);
	if (crew.first_due_ms <= now_ms)
		crew_kill_hung(c, now_ms);
	r = start_workers(c, g, d.births);
	*ret_until_ms =
		d.look_again_ms < crew.first_due_ms ? d.look_again_ms : crew.first_due_ms;
	look_by(ret_until_ms, now_ms + LOOK_MS);
	/* The next birth is tried later. */
	if (r < 0)
		look_by(ret_until_ms, now_ms + RETRY_MS);
	return r;
}
