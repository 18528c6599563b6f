/* A server made of numbers; see pool_sim.h. */
#include "pool_sim.h"

#include <assert.h>

#define BIRTH_MS   20
#define COMMAND_MS 300000

/* A read that gives up after a second, as late as kernels make it. */
#define TICK_MS 1040

unsigned sim_count(const struct sim *s, enum sim_state state)
{
	unsigned n = 0;

	for (size_t i = 0; i < SIM_WORKERS; i++)
		n += s->workers[i].state == state;
	return n;
}

void sim_come(struct sim *s, unsigned n, uint32_t hold_ms)
{
	assert(s->came + n <= SIM_CLIENTS);
	for (unsigned i = 0; i < n; i++)
		s->clients[s->came++] = hold_ms;
}

/* Silence is noticed at a tick, any other end at once. */
static bool is_over(const struct sim *s, const struct sim_worker *w)
{
	uint64_t passed_ms = s->now_ms - w->since_ms;
	uint32_t limit_ms = s->last.command_ms;

	if (w->hold_ms != SIM_SILENT)
		return passed_ms >= w->hold_ms;
	if (limit_ms == 0 || limit_ms > COMMAND_MS)
		limit_ms = COMMAND_MS;
	return passed_ms / TICK_MS * TICK_MS >= limit_ms;
}

static void turn(struct sim *s, struct sim_worker *w)
{
	if (w->state == SIM_STARTING && s->now_ms >= w->since_ms + BIRTH_MS) {
		w->state = SIM_IDLE;
		pool_note_ready(&s->pool);
		s->is_woken = true;
	}
	if (w->state == SIM_BUSY && is_over(s, w))
		w->state = SIM_IDLE;
	if (w->state == SIM_IDLE && s->served < s->came) {
		*w = (struct sim_worker){SIM_BUSY, s->now_ms, s->clients[s->served++]};
		s->served_ms = s->now_ms;
		if (sim_count(s, SIM_IDLE) < s->last.wake_below)
			s->is_woken = true;
	}
}

static void change(struct sim *s, unsigned n, enum sim_state from, enum sim_state to)
{
	for (size_t i = 0; i < SIM_WORKERS && n > 0; i++) {
		if (s->workers[i].state != from)
			continue;
		s->workers[i] = (struct sim_worker){.state = to, .since_ms = s->now_ms};
		n--;
	}
	assert(n == 0);
}

static void look(struct sim *s)
{
	const struct pool_counts counts = {
		.idle = sim_count(s, SIM_IDLE),
		.busy = sim_count(s, SIM_BUSY),
		.starting = sim_count(s, SIM_STARTING),
		.waiting = (unsigned)(s->came - s->served),
	};
	bool was_stressed = s->last.is_stressed;

	s->last = pool_decide(&s->pool, &s->limits, &counts, s->now_ms);
	change(s, s->last.births, SIM_NONE, SIM_STARTING);
	change(s, s->last.retire, SIM_IDLE, SIM_NONE);
	/* The master hears of those that left. */
	s->is_woken = s->last.retire > 0;
	s->looks++;
	s->births += s->last.births;
	s->retired += s->last.retire;
	s->reports += s->last.report;
	s->stresses += s->last.is_stressed && !was_stressed;
}

void sim_run(struct sim *s, uint64_t ms)
{
	for (uint64_t end_ms = s->now_ms + ms; s->now_ms < end_ms; s->now_ms++) {
		for (size_t i = 0; i < SIM_WORKERS; i++)
			turn(s, &s->workers[i]);
		if (s->is_woken || s->looks == 0 || s->now_ms >= s->last.look_again_ms)
			look(s);
	}
}
