/* The notice board as a worker reads it; see notices.h.
 *
 * Runs in workers, at every read and at every tick, so it makes no call.  The master
 * alone writes the board, and is believed. */
#include "proc/notices.h"

#include "base/log.h"
#include "base/number.h"

#define GET(n, field) atomic_load_explicit(&(n)->board->field, memory_order_relaxed)

static void hear_log_level(struct notices *n)
{
	int32_t level = GET(n, log_level);

	if (level == n->log_level)
		return;
	n->log_level = level;
	log_set_level(level < 0 ? n->config->log_level : (enum log_level)level);
}

static void leave_once(struct notices *n)
{
	if (n->has_left)
		return;
	n->has_left = true;
	n->leave();
}

/* The grace time begins when a worker hears that it is outdated: that is later than the
 * reload, but by no more than a tick, and nobody has to keep the time of each reload. */
static enum notice hear_generation(struct notices *n, uint64_t now_ms)
{
	if (GET(n, generation) <= n->generation)
		return NOTICE_NONE;
	leave_once(n);
	if (n->outdated_end_ms == 0)
		n->outdated_end_ms = now_ms + n->config->timeouts.grace_ms;
	return now_ms >= n->outdated_end_ms ? NOTICE_RETIRE : NOTICE_NONE;
}

enum notice notices_look(struct notices *n, uint64_t now_ms)
{
	uint64_t drain_ms = GET(n, drain_deadline_ms);

	hear_log_level(n);
	if (drain_ms == 0)
		return hear_generation(n, now_ms);
	leave_once(n);
	if (drain_ms == UINT64_MAX)
		return hear_generation(n, now_ms);
	return now_ms >= drain_ms ? NOTICE_DRAIN_NOW : NOTICE_DRAIN;
}

uint64_t notices_command_ms(const struct notices *n)
{
	uint64_t configured_ms = n->config->timeouts.command_ms;
	uint32_t stress_ms = GET(n, command_ms);

	return stress_ms != 0 && stress_ms < configured_ms ? stress_ms : configured_ms;
}

/* Who is silent in it is as much in the way of others as who is silent after it. */
uint64_t notices_handshake_ms(const struct notices *n)
{
	uint64_t tls_ms = n->config->timeouts.tls_ms;

	return notices_is_stressed(n) ? number_min(tls_ms, notices_command_ms(n))
				      : tls_ms;
}

bool notices_is_stressed(const struct notices *n)
{
	return GET(n, command_ms) != 0;
}

bool notices_is_verbose(const struct notices *n)
{
	int32_t verbose = GET(n, verbose);

	return verbose < 0 ? n->config->is_verbose : verbose != 0;
}
