/* The lineage; see lineage.h.  Runs in the master. */
#include "proc/lineage.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/clock.h"

/* Free a configuration, unless a generation has it. */
static void release_config(const struct lineage *l, const struct config *c)
{
	const struct generation *lists[] = {l->current, l->candidate, l->old};
	/* Generations may only read it; it was given to us to be freed. */
	union {
		const struct config *in;
		struct config *out;
	} config = {.in = c};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct generation *g = lists[i]; g != NULL; g = g->older)
			if (g->config == c)
				return;
	config_free(config.out);
}

/* g is in no list any more. */
static void drop(struct lineage *l, struct generation *g)
{
	const struct config *config = g->config;

	generation_free(g);
	release_config(l, config);
}

static int open_log(const struct lineage *l, const struct config *c, enum log_level level)
{
	int32_t said = l->log_level != NULL ? atomic_load(l->log_level) : -1;
	int r = log_open(c->log_target, c->log_format, c->log_level);

	if (r == 0 && said >= 0)
		log_set_level((enum log_level)said);
	if (r == 0)
		return 0;
	log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", "open the log"),
		LOG_TEXT("subject", c->log_target), LOG_ERRNO(r));
	return EX_CONFIG;
}

/* Its listeners, shared with those that there are; what we were started with has to be
 * used. */
static int open_sockets(struct lineage *l, struct generation *g, enum log_level level)
{
	const struct listener *existing = l->inherit->sockets;
	size_t count = l->inherit->count;
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint failed;
	int status;

	if (l->current != NULL) {
		existing = l->current->listeners;
		count = l->current->listener_count;
	}
	status = generation_open(g, existing, count, level);
	if (status != 0 || l->current != NULL ||
		inherit_check(l->inherit, g->listeners, g->listener_count, &failed) == 0)
		return status;
	endpoint_format(&failed, text);
	log_event(level, EV_SERVER_FAILED,
		LOG_TEXT("step", "use a socket that is no listener's"),
		LOG_TEXT("subject", text));
	return EXIT_FAILURE;
}

/* Close the listeners of g, but for what the current generation, or before there is one
 * whoever started us, goes on with. */
static void close_sockets(const struct lineage *l, struct generation *g)
{
	if (l->current != NULL)
		generation_close_listeners(
			g, l->current->listeners, l->current->listener_count);
	else
		generation_close_listeners(g, l->inherit->sockets, l->inherit->count);
}

/* At the start lines go to whoever started us until the listeners are open, and then to
 * the log.  At a reload the log of the current generation hears of all that goes wrong,
 * and is not left before little can: helper processes have the log that they were
 * started with. */
static int open_parts(struct lineage *l, struct generation *g, enum log_level level)
{
	bool is_first = l->current == NULL;
	int status = open_sockets(l, g, level);

	if (status == 0 && is_first)
		status = open_log(l, g->config, level);
	if (status == 0)
		status = generation_prepare(g, level);
	if (status == 0 && !is_first)
		status = open_log(l, g->config, level);
	if (status != 0)
		return status;
	status = generation_start_helpers(g, level);
	if (status != 0 && !is_first)
		(void)open_log(l, l->current->config, LOG_ERROR);
	return status;
}

int lineage_open(struct lineage *l, const struct config *config, struct keyring *keyring,
	enum log_level level, struct generation **ret)
{
	struct generation *g = generation_new(l->last_number + 1, config, keyring);
	int status;

	if (g == NULL) {
		log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", "allocate"),
			LOG_ERRNO(ENOMEM));
		keyring_unref(keyring);
		release_config(l, config);
		return EXIT_FAILURE;
	}
	g->is_daemon = l->is_daemon;
	rulebook_take(l->rulebook, config, g->rule_numbers);
	status = open_parts(l, g, level);
	if (status == 0) {
		l->last_number = g->number;
		*ret = g;
		return 0;
	}
	close_sockets(l, g);
	drop(l, g);
	return status;
}

/* Its workers finish their client and go; the current generation stays. */
static void dismiss(struct lineage *l, struct generation *g)
{
	generation_dismiss(g);
	close_sockets(l, g);
	if (g->alive == 0) {
		drop(l, g);
		return;
	}
	g->older = l->old;
	l->old = g;
}

void lineage_promote(struct lineage *l)
{
	struct generation *before = l->current;

	l->current = l->candidate;
	l->candidate = NULL;
	dismiss(l, before);
}

void lineage_abandon(struct lineage *l)
{
	struct generation *g = l->candidate;

	l->candidate = NULL;
	dismiss(l, g);
	(void)open_log(l, l->current->config, LOG_ERROR);
}

void lineage_dismiss_all(struct lineage *l, bool is_kept)
{
	struct generation *g = l->candidate;

	l->candidate = NULL;
	if (g != NULL)
		dismiss(l, g);
	/* The current one stays, for its settings. */
	g = l->current;
	generation_dismiss(g);
	if (is_kept)
		generation_close_listeners(g, g->listeners, g->listener_count);
	else
		generation_close_listeners(g, l->inherit->sockets, l->inherit->count);
}

void lineage_note_death(struct lineage *l, struct generation *g)
{
	struct generation **link = &l->old;

	while (*link != NULL && *link != g)
		link = &(*link)->older;
	if (*link == NULL || g->alive > 0)
		return;
	*link = g->older;
	drop(l, g);
}

/* All there are, one after the other: NULL gives the first, and NULL is the end. */
static struct generation *next(const struct lineage *l, const struct generation *g)
{
	if (g == NULL && l->current != NULL)
		return l->current;
	if ((g == NULL || g == l->current) && l->candidate != NULL)
		return l->candidate;
	if (g == NULL || g == l->current || g == l->candidate)
		return l->old;
	return g->older;
}

bool lineage_note_exit(struct lineage *l, pid_t pid, int status, bool is_expected)
{
	struct generation *g = NULL;

	while ((g = next(l, g)) != NULL)
		if (generation_note_exit(g, pid, status, is_expected))
			return true;
	return false;
}

uint64_t lineage_tend_helpers(struct lineage *l)
{
	uint64_t now_ms = clock_monotonic_ms(), until_ms = UINT64_MAX;
	struct generation *g = NULL;

	while ((g = next(l, g)) != NULL) {
		uint64_t due_ms = generation_tend_helpers(g, now_ms);

		until_ms = due_ms < until_ms ? due_ms : until_ms;
	}
	return until_ms;
}

void lineage_done(struct lineage *l)
{
	struct generation *g;

	while ((g = l->old) != NULL) {
		l->old = g->older;
		drop(l, g);
	}
	if ((g = l->current) != NULL) {
		l->current = NULL;
		drop(l, g);
	}
}
