/* The master; see master.h.
 *
 * Runs with the rights of whoever started the server, maybe root, so it does
 * little: it reads no byte of a client, runs no command, and believes nothing a
 * worker says beyond comparing and adding it.  All signals come through a descriptor, and
 * the loop has one place to wait. */
#include "proc/master.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/number.h"
#include "net/conn.h"
#include "proc/change.h"
#include "proc/cleaner.h"
#include "proc/daemon.h"
#include "proc/inherit.h"
#include "proc/master_state.h"
#include "proc/ready.h"
#include "proc/runtime.h"
#include "proc/signals.h"
#include "proc/worker.h"

/* Workers notice the end of the grace time within a tick of one second, and then
 * let their client hear the last words; only those that hang are killed. */
#define KILL_AFTER_GRACE_MS (1000 + CONN_LINGER_MS + 1000)

/* A first worker that is killed so often will not be there the next time. */
#define FIRST_DEATHS_MAX 3

/* ------------------------------------------------------------- setting up */

static int fail_start(const char *step, int error)
{
	log_event(LOG_FATAL, EV_SERVER_FAILED, LOG_TEXT("step", step), LOG_ERRNO(error));
	return EXIT_FAILURE;
}

static int set_up(struct master *m, struct config *c)
{
	int r, runtime;

	/* Where there is no log yet, whoever starts us reads what is wrong; after an
	 * upgrade that is nobody. */
	(void)log_open(m->lineage.inherit->is_upgrade ? c->log_target : "stderr",
		c->log_format, c->log_level);
	if ((r = signals_open(&m->signal_fd)) < 0 || (r = crew_init(&m->crew)) < 0 ||
		(r = rulebook_init(&m->rulebook, m->crew.board, m->crew.counters)) < 0) {
		keyring_unref(m->options->keyring);
		config_free(c);
		return fail_start("open signals and shared memory", r);
	}
	m->crew.is_daemon = m->options->is_daemon;
	m->lineage.is_daemon = m->options->is_daemon;
	m->lineage.log_level = &m->crew.board->log_level;
	m->lineage.rulebook = &m->rulebook;
	/* Before listeners, which may be sockets in it. */
	runtime = runtime_prepare(c->runtime_dir, m->runtime_dir);
	r = lineage_open(
		&m->lineage, c, m->options->keyring, LOG_FATAL, &m->lineage.current);
	if (runtime < 0)
		runtime_give_up(m->runtime_dir, runtime);
	if (r == 0)
		atomic_store(&m->crew.board->generation, m->lineage.current->number);
	return r;
}

/* ----------------------------------------------------------------- workers */

static void note_failed_birth(struct master *m)
{
	uint32_t wait_ms = pool_note_failed(&m->keeper.pool, clock_monotonic_ms());

	log_event(LOG_WARN, EV_WORKER_THROTTLE, LOG_NUM("wait_ms", wait_ms));
}

/* It is not in the way of the first worker, nor of the end. */
static uint64_t tend_cleaner(struct master *m)
{
	if (m->is_stopping || !m->keeper.pool.was_ever_ready)
		return UINT64_MAX;
	return cleaner_tend(&m->cleaner, m->lineage.current, clock_monotonic_ms());
}

/* The first worker is idle: clients are served from here on. */
static void announce(struct master *m)
{
	struct inherit *inherit = m->lineage.inherit;
	const struct generation *g = m->lineage.current;
	const struct config *c = g->config;

	(void)tend_cleaner(m);
	ready_log(c, g->listeners, g->listener_count);
	if (g->identity.is_fallback)
		log_event(LOG_WARN, EV_SERVER_START, LOG_TEXT("user", g->identity.name),
			LOG_TEXT("advice", "no account '" IDENTITY_DEFAULT_USER
					   "' exists, going on with this one"));
	inherit_done(inherit, g->listeners, g->listener_count);
	runtime_claim(m->runtime_dir, inherit->is_upgrade ? getppid() : 0);
	steer_open(m->runtime_dir, inherit->is_upgrade, &m->control_fd);
	if (m->options->has_greeting)
		ready_greet(c, g->keyring, g->listeners, g->listener_count);
	ready_notify("READY=1");
	ready_write_fd(m->options->ready_fd, g->listeners, g->listener_count);
	inherit_tell_ready(inherit);
	daemon_ready(&m->waiting_fd);
}

/* A worker claims to be idle; the claim is compared with what we know. */
static void hear_ready(struct master *m)
{
	pid_t pid;

	while (fdio_read(m->crew.ready_pipe[0], &pid, sizeof(pid)) == sizeof(pid)) {
		struct child *child = pid > 0 ? crew_find(&m->crew, pid) : NULL;
		bool is_first = !m->keeper.pool.was_ever_ready;

		if (child == NULL)
			continue;
		child->was_ready = true;
		pool_note_ready(&m->keeper.pool);
		if (m->is_stopping)
			continue;
		if (is_first)
			announce(m);
		else if (child->generation == m->lineage.candidate)
			change_promote(m);
	}
}

/* Nobody new.  is_kept: another server goes on with our sockets. */
static void close_doors(struct master *m, bool is_kept)
{
	m->is_stopping = true;
	m->is_handed_over = is_kept;
	keeper_rest(&m->keeper, &m->crew);
	m->exit_status = EXIT_SUCCESS;
	m->kill_at_ms = UINT64_MAX;
	lineage_dismiss_all(&m->lineage, is_kept);
}

/* Whether clients have been given a time to go. */
static bool is_ending(const struct master *m)
{
	uint64_t told_ms = atomic_load(&m->crew.board->drain_deadline_ms);

	return told_ms != 0 && told_ms != UINT64_MAX;
}

/* Nobody new; who is in the middle of a message may finish it within the grace
 * time.  The second time: at once; more often changes nothing. */
static void stop(struct master *m, int exit_status)
{
	_Atomic uint64_t *told_ms = &m->crew.board->drain_deadline_ms;
	uint64_t deadline_ms = clock_monotonic_ms();

	if (!is_ending(m)) {
		deadline_ms += m->lineage.current->config->timeouts.grace_ms;
		/* After an upgrade the other one is the server, which goes on. */
		if (!m->is_handed_over)
			ready_notify("STOPPING=1");
	} else if (atomic_load(told_ms) <= deadline_ms) {
		return;
	}
	if (!m->is_stopping) {
		upgrade_cancel(&m->upgrade);
		close_doors(m, false);
		m->exit_status = exit_status;
	}
	m->kill_at_ms = deadline_ms + KILL_AFTER_GRACE_MS;
	atomic_store(told_ms, deadline_ms);
}

/* Nobody new, and clients may stay as long as they like.  Who started us is not told that
 * we stop: systemd would allow that some time only. */
static void drain(struct master *m, bool is_kept)
{
	if (m->is_stopping)
		return;
	if (m->lineage.candidate != NULL)
		ready_notify("READY=1");
	if (!is_kept)
		upgrade_cancel(&m->upgrade);
	close_doors(m, is_kept);
	atomic_store(&m->crew.board->drain_deadline_ms, UINT64_MAX);
}

/* The new server serves; nobody is told that the server stops, since it does not. */
static void hear_upgrade(struct master *m)
{
	if (!upgrade_hear(&m->upgrade) || m->is_stopping)
		return;
	ready_notify_main_pid(m->upgrade.pid);
	/* It may have read the file, and opened the log, before we were asked. */
	if (m->is_reload_wanted)
		(void)kill(m->upgrade.pid, SIGHUP);
	if (m->is_reopen_wanted)
		(void)kill(m->upgrade.pid, SIGUSR1);
	control_close(&m->control_fd, m->runtime_dir, NULL);
	drain(m, true);
}

/* There was no process for a worker.  At the start that is the end: nobody has ever
 * been served, and nobody will be. */
static void note_failed_fork(struct master *m, int error)
{
	if (!m->keeper.pool.was_ever_ready) {
		stop(m, fail_start("start the first worker", error));
		return;
	}
	log_event(
		LOG_ERROR, EV_WORKER_FAILED, LOG_TEXT("step", "fork"), LOG_ERRNO(error));
	note_failed_birth(m);
}

/* A worker has ended, as it should or not. */
static void bury(struct master *m, struct child *child, int status)
{
	struct generation *g = child->generation;
	struct child dead = *child;
	bool is_candidate = g == m->lineage.candidate;
	struct slot_report report;

	crew_bury(&m->crew, child, &report);
	crew_log_exit(dead.pid, status, &report, m->is_stopping);
	lineage_note_death(&m->lineage, g);
	if (m->is_stopping)
		return;
	if (is_candidate)
		change_abandon(m);
	/* What stops the very first worker is in the way of the whole server. */
	else if (!m->keeper.pool.was_ever_ready && WIFEXITED(status))
		stop(m, EX_CONFIG);
	else if (!m->keeper.pool.was_ever_ready && m->crew.deaths >= FIRST_DEATHS_MAX)
		stop(m, fail_start("start the first worker", -ECHILD));
	else if (crew_has_died_young(&dead, status, &report))
		note_failed_birth(m);
}

static void reap_children(struct master *m)
{
	siginfo_t info = {0};
	int status;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid > 0) {
		struct child *child;

		/* What it wrote before it died has to be read before it is judged, and
		 * its pid is nobody else's until it has been waited for. */
		hear_ready(m);
		hear_upgrade(m);
		if (waitpid(info.si_pid, &status, 0) != info.si_pid)
			return;
		if (upgrade_note_exit(&m->upgrade, info.si_pid, status))
			continue;
		/* While the server drains it is needed as ever. */
		if (lineage_note_exit(&m->lineage, info.si_pid, status, is_ending(m)))
			continue;
		if (cleaner_note_exit(&m->cleaner, info.si_pid))
			continue;
		child = crew_find(&m->crew, info.si_pid);
		/* PID 1 in a container inherits orphans that are not ours. */
		if (child != NULL)
			bury(m, child, status);
	}
}

/* Look at the pool.  Returns when to look again. */
static uint64_t tend_pool(struct master *m)
{
	uint64_t until_ms = UINT64_MAX;
	int r = keeper_look(&m->keeper, &m->crew, m->lineage.current, &until_ms);

	if (r < 0)
		note_failed_fork(m, r);
	return until_ms;
}

/* ----------------------------------------------------------------- signals */

static void log_signal(int number, const char *action)
{
	log_event(LOG_INFO, EV_SERVER_SIGNAL, LOG_TEXT("signal", sigabbrev_np(number)),
		LOG_TEXT("action", action));
}

static void hear_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (fdio_read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int number = (int)info.ssi_signo;

		switch (number) {
		case SIGCHLD:
			reap_children(m);
			break;
		case SIGTERM:
		case SIGINT:
			log_signal(number, is_ending(m) ? "stop now" : "stop");
			stop(m, EXIT_SUCCESS);
			break;
		case SIGHUP:
			log_signal(number, m->is_stopping ? "none" : "reload");
			m->is_reload_wanted = true;
			break;
		case SIGUSR1:
			log_signal(number, m->is_stopping ? "none" : "reopen the log");
			m->is_reopen_wanted = true;
			break;
		case SIGUSR2:
			log_signal(number, m->is_stopping ? "none" : "upgrade");
			m->is_upgrade_wanted = true;
			break;
		default:
			/* PIPE and XFSZ: whoever wrote has heard of it. */
			break;
		}
	}
}

/* ------------------------------------------------------------------ sinkctl */

static enum control_state state_of(const struct master *m)
{
	if (m->is_stopping)
		return is_ending(m) ? CONTROL_STOPPING : CONTROL_DRAINING;
	if (!m->keeper.pool.was_ever_ready)
		return CONTROL_STARTING;
	/* An idle worker of the generation before may still take a client. */
	if (m->lineage.candidate != NULL ||
		crew_count(&m->crew, m->lineage.current).idle_others > 0)
		return CONTROL_RELOADING;
	return CONTROL_RUNNING;
}

static int act(void *user, const struct control_request *request, const char **ret_text)
{
	struct master *m = user;
	int32_t argument = request->argument;

	*ret_text = "done";
	switch ((enum control_command)request->command) {
	case CONTROL_LOG_LEVEL:
		log_set_level((enum log_level)argument);
		atomic_store(&m->crew.board->log_level, argument);
		return 0;
	case CONTROL_VERBOSE:
		atomic_store(&m->crew.board->verbose, argument);
		return 0;
	case CONTROL_RULE:
		if (rulebook_switch(&m->rulebook, m->lineage.current->config,
			    request->name, argument == 1) == 0)
			return 0;
		*ret_text = "there is no such rule";
		return ENOENT;
	case CONTROL_STOP:
		*ret_text = is_ending(m) ? "stopping now"
					 : "stopping; messages in flight may finish";
		stop(m, EXIT_SUCCESS);
		return 0;
	case CONTROL_DRAIN:
		*ret_text = m->is_stopping
				    ? "the server is ending already"
				    : "draining; clients may stay until they are done";
		drain(m, false);
		return 0;
	case CONTROL_RELOAD:
		*ret_text = "the server is ending";
		return m->is_stopping ? EBUSY : change_request_reload(m, ret_text);
	case CONTROL_SNAPSHOT:
	case CONTROL_COMMANDS:
		break;
	}
	*ret_text = "no such command";
	return EINVAL;
}

static void hear_control(struct master *m)
{
	const struct steer_view view = {
		.crew = &m->crew,
		.lineage = &m->lineage,
		.keeper = &m->keeper,
		.rulebook = &m->rulebook,
		.state = state_of(m),
		.started = m->started,
		.loaded = m->loaded,
		.at_reload = &m->at_reload,
		.user = m,
		.act = act,
	};

	steer_hear(m->control_fd, &view);
}

/* -------------------------------------------------------------------- loop */

/* What wakes the master; the listeners while it refuses clients itself. */
static size_t gather_sources(const struct master *m, struct pollfd *p)
{
	const struct generation *g = m->lineage.current;
	size_t n = 0;

	p[n++] = (struct pollfd){.fd = m->signal_fd, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = m->crew.ready_pipe[0], .events = POLLIN};
	p[n++] = (struct pollfd){.fd = m->crew.wake_fd, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = m->upgrade.fd, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = m->control_fd, .events = POLLIN};
	for (size_t i = 0; m->keeper.is_refusing && i < g->listener_count; i++)
		p[n++] = (struct pollfd){.fd = g->listeners[i].fd, .events = POLLIN};
	return n;
}

static void wait_for_events(struct master *m, uint64_t until_ms)
{
	struct pollfd p[5 + LISTENERS_MAX];
	size_t n = gather_sources(m, p);
	uint64_t wakes;

	signals_wait(p, n, until_ms);
	(void)fdio_read(m->crew.wake_fd, &wakes, sizeof(wakes));
}

static void run(struct master *m)
{
	while (!m->is_stopping || m->crew.alive > 0) {
		uint64_t until_ms = m->is_stopping ? crew_end(&m->crew, &m->kill_at_ms)
						   : tend_pool(m);

		until_ms = number_min(until_ms, lineage_tend_helpers(&m->lineage));
		until_ms = number_min(until_ms, tend_cleaner(m));
		until_ms = number_min(until_ms, m->upgrade.deadline_ms);
		wait_for_events(m, until_ms);
		hear_ready(m);
		hear_upgrade(m);
		hear_signals(m);
		hear_control(m);
		change_make(m);
	}
}

static void tear_down(struct master *m)
{
	struct inherit *inherit = m->lineage.inherit;

	cleaner_done(&m->cleaner);
	lineage_done(&m->lineage);
	inherit_done(inherit, inherit->sockets, inherit->count);
	control_close(&m->control_fd, m->runtime_dir, CONTROL_NAME);
	runtime_remove_pid(m->runtime_dir);
	rulebook_done(&m->rulebook);
	crew_done(&m->crew);
	(void)fdio_close(&m->signal_fd);
}

int master_run(struct config *config, const struct master_options *options)
{
	/* For the last words, when the configuration has gone. */
	char *log_target = strdup(config->log_target);
	struct inherit nothing = {.tell_fd = -1};
	struct master m = {
		.options = options,
		.crew = CREW_NONE,
		.lineage = {.inherit = options->inherit != NULL ? options->inherit
								: &nothing},
		.signal_fd = -1,
		.upgrade = UPGRADE_NONE,
		.control_fd = -1,
		.started = steer_now(),
		.loaded = steer_now(),
		.waiting_fd = options->is_daemon ? options->waiting_fd : -1,
	};

	setproctitle("master");
	m.exit_status = set_up(&m, config);
	if (m.exit_status == 0)
		run(&m);
	/* The reason is in the log; say so to who is waiting for a server. */
	if (m.exit_status != 0 && !log_is_stderr())
		(void)fprintf(stderr, "sinkd: cannot start, see %s\n",
			log_target != NULL ? log_target : "the log");
	if (m.keeper.pool.was_ever_ready)
		crew_log_end(&m.crew, m.exit_status);
	tear_down(&m);
	free(log_target);
	return m.exit_status;
}
