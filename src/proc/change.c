/* Changes of a running server; see change.h.
 *
 * A reload makes a candidate: a generation with one worker.  When that one is idle the
 * candidate becomes the current generation and the one before it is dismissed; when it
 * fails, the current one goes on. */
#include "proc/change.h"

#include <errno.h>

#include "base/log.h"
#include "proc/ready.h"
#include "proc/reload.h"

void change_abandon(struct master *m)
{
	lineage_abandon(&m->lineage);
	reload_log(LOG_ERROR, "failed, going on as before",
		"no worker could be started; what it said is in the log that it was to "
		"have");
	ready_notify("READY=1");
}

/* Start a generation beside the current one.  Returns whether it is under way. */
static bool start_candidate(
	struct master *m, const struct config *c, struct keyring *keyring)
{
	int r;

	if (lineage_open(&m->lineage, c, keyring, LOG_ERROR, &m->lineage.candidate) !=
		0) {
		reload_log(LOG_ERROR, "refused, going on as before", "see above");
		ready_notify("READY=1");
		return false;
	}
	/* The log was opened with the rest. */
	m->is_reopen_wanted = false;
	r = crew_start_worker(&m->crew, m->lineage.candidate);
	if (r < 0) {
		log_event(LOG_ERROR, EV_WORKER_FAILED, LOG_TEXT("step", "fork"),
			LOG_ERRNO(r));
		change_abandon(m);
	}
	return r == 0;
}

/* The configuration anew.  Whoever waits for the end of a reload is told of one that
 * fails, too.  Returns EINPROGRESS when it has begun, or another positive errno;
 * *ret_text says what is done. */
static int reload(struct master *m, const char **ret_text)
{
	struct keyring *keyring;
	struct config *c;

	m->is_reload_wanted = false;
	ready_notify_reloading();
	c = reload_read(m->options->file, m->options->overrides,
		m->lineage.current->keyring, &keyring, m->mistake, sizeof(m->mistake));
	if (c == NULL) {
		ready_notify("READY=1");
		*ret_text = m->mistake;
		return EINVAL;
	}
	*ret_text = "reloading";
	if (start_candidate(m, c, keyring))
		return EINPROGRESS;
	*ret_text = "the reload failed, going on as before; see the log";
	return EIO;
}

/* The same configuration, but each process opens the log anew. */
static void reopen_log(struct master *m)
{
	const struct generation *g = m->lineage.current;

	m->is_reopen_wanted = false;
	ready_notify_reloading();
	(void)start_candidate(m, g->config, keyring_ref(g->keyring));
}

/* One change at a time: while sockets change hands nobody else may bind or remove them,
 * and before the first worker is idle there is nothing to go back to. */
static bool can_change(const struct master *m)
{
	return m->keeper.pool.was_ever_ready && !m->is_stopping &&
	       m->lineage.candidate == NULL;
}

int change_request_reload(struct master *m, const char **ret_text)
{
	if (can_change(m) && m->upgrade.pid == 0)
		return reload(m, ret_text);
	m->is_reload_wanted = true;
	*ret_text = "will reload when what is under way has ended";
	return 0;
}

void change_make(struct master *m)
{
	const char *text;

	while (can_change(m)) {
		const struct generation *g = m->lineage.current;

		/* A second upgrade is refused. */
		if (m->is_upgrade_wanted)
			upgrade_request(&m->upgrade, m->options->upgrade, g->listeners,
				g->listener_count);
		m->is_upgrade_wanted = false;
		if (m->is_reload_wanted && m->upgrade.pid == 0)
			(void)reload(m, &text);
		else if (m->is_reopen_wanted && m->upgrade.pid == 0)
			reopen_log(m);
		else
			return;
	}
}

void change_promote(struct master *m)
{
	struct crew_counts before = crew_count(&m->crew, m->lineage.current);
	bool is_same = m->lineage.current->config == m->lineage.candidate->config;

	reload_note_unchangeable(
		m->lineage.current->config, m->lineage.candidate->config);
	pool_refill(&m->keeper.pool, before.idle + before.busy);
	lineage_promote(&m->lineage);
	if (!is_same) {
		m->loaded = steer_now();
		crew_total(&m->crew, &m->at_reload);
	}
	atomic_store(&m->crew.board->generation, m->lineage.current->number);
	log_event(LOG_INFO, EV_SERVER_RELOAD, LOG_TEXT("action", "done"),
		LOG_NUM("generation", m->lineage.current->number));
	ready_notify("READY=1");
}
