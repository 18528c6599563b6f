/* The lineage; see lineage.h.  Runs in the master. */
#include "proc/lineage.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

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

static int open_log(const struct config *c, enum log_level level)
{
	int r = log_open(c->log_target, c->log_format, c->log_level);

	if (r == 0)
		return 0;
	log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", "open the log"),
		LOG_TEXT("subject", c->log_target), LOG_ERRNO(r));
	return EX_CONFIG;
}

int lineage_open(struct lineage *l, const struct config *config, enum log_level level,
	struct generation **ret)
{
	struct generation *g = generation_new(l->last_number + 1, config);
	int status;

	if (g == NULL) {
		log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", "allocate"),
			LOG_ERRNO(ENOMEM));
		release_config(l, config);
		return EXIT_FAILURE;
	}
	/* Until the listeners are open, lines go to whoever started us. */
	if ((status = generation_open(g, l->current, level)) == 0 &&
		(status = open_log(config, level)) == 0 &&
		(status = generation_prepare(g, level)) == 0) {
		l->last_number = g->number;
		*ret = g;
		return 0;
	}
	generation_close_listeners(g, l->current, true);
	drop(l, g);
	if (l->current != NULL)
		(void)open_log(l->current->config, level);
	return status;
}

/* Its workers finish their client and go; heir shares listeners with it. */
static void dismiss(struct lineage *l, struct generation *g,
	const struct generation *heir, bool unlink_paths)
{
	generation_dismiss(g);
	generation_close_listeners(g, heir, unlink_paths);
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
	dismiss(l, before, l->current, true);
}

void lineage_abandon(struct lineage *l)
{
	struct generation *g = l->candidate;

	l->candidate = NULL;
	dismiss(l, g, l->current, true);
	(void)open_log(l->current->config, LOG_ERROR);
}

void lineage_dismiss_all(struct lineage *l, bool is_kept)
{
	struct generation *g = l->candidate;

	l->candidate = NULL;
	if (g != NULL)
		dismiss(l, g, l->current, true);
	/* The current one stays, for its settings. */
	generation_dismiss(l->current);
	generation_close_listeners(l->current, NULL, !is_kept);
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
