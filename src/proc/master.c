/* The master; see master.h.
 *
 * Runs with the rights of whoever started the server, maybe root, so it does
 * little: it reads no byte of a client, runs no command, and believes nothing a
 * worker says beyond comparing it.  All signals come through a descriptor, and
 * the loop has one place to wait. */
#include "proc/master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
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
#include "delivery/delivery.h"
#include "net/conn.h"
#include "net/listener.h"
#include "proc/board.h"
#include "proc/control.h"
#include "proc/identity.h"
#include "proc/pool.h"
#include "proc/ready.h"
#include "proc/sandbox.h"
#include "proc/slots.h"
#include "proc/steer.h"
#include "proc/worker.h"

/* Workers notice the end of the grace time within a tick of one second, and then
 * let their client hear the last words; only those that hang are killed. */
#define KILL_AFTER_GRACE_MS (1000 + CONN_LINGER_MS + 1000)

/* A machine out of memory gets this long to recover. */
#define RETRY_MS 100

struct child {
	pid_t pid; /* 0: the place is free */
	bool was_ready;
};

struct master {
	const struct config *config;
	const struct master_options *options;
	struct identity identity;
	struct sandbox sandbox;
	struct listener *listeners;
	size_t listener_count;
	struct child *children; /* config->workers_start places */
	unsigned alive;
	struct pool pool;
	struct board *board;
	int board_fd;
	struct slots *slots;
	int slots_fd;
	struct slot_report total; /* of workers that have ended */
	int signal_fd;
	int control_fd; /* -1: sinkctl cannot reach us */
	char runtime[PATH_MAX];
	struct steer_moment started;
	uint64_t births;
	int quit_pipe[2];  /* workers read; closing our end tells them to go */
	int ready_pipe[2]; /* workers write their pid when first idle */
	sigset_t signals;
	bool is_stopping;
	uint64_t kill_at_ms; /* while stopping; UINT64_MAX: not needed any more */
	int exit_status;
};

/* ------------------------------------------------------------- setting up */

/* What a stranger may do about the usual reasons. */
static const char *advice_for(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another server listens there; stop it, or choose with --listen";
	case EADDRNOTAVAIL:
		return "this machine does not have that address";
	case EACCES:
		return "choose another place, or start as a user who may";
	default:
		return "see sinkd(8)";
	}
}

static int fail_start(const char *step, const char *subject, int error, int status)
{
	log_event(LOG_FATAL, EV_SERVER_FAILED, LOG_TEXT("step", step),
		LOG_TEXT("subject", subject), LOG_ERRNO(error),
		LOG_TEXT("advice", advice_for(error)));
	return status;
}

/* All signals the program knows come through the descriptor.  Called before
 * anything else, so that none is lost. */
static int open_signals(struct master *m)
{
	static const int known[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGXFSZ};
	struct sigaction by_default = {.sa_handler = SIG_DFL};

	(void)sigemptyset(&m->signals);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		(void)sigaddset(&m->signals, known[i]);
	/* Whoever started us may ignore it, and then it would never come. */
	if (sigaction(SIGCHLD, &by_default, NULL) < 0 ||
		sigprocmask(SIG_BLOCK, &m->signals, NULL) < 0)
		return -errno;
	m->signal_fd = signalfd(-1, &m->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signal_fd < 0 ? -errno : 0;
}

static int open_pipes(struct master *m)
{
	int r;

	if (pipe2(m->quit_pipe, O_CLOEXEC) < 0 ||
		pipe2(m->ready_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = board_create(&m->board, &m->board_fd);
	return r < 0 ? r : slots_create(&m->slots, &m->slots_fd);
}

static int choose_identity(struct master *m)
{
	const struct config *c = m->config;
	const char *name = c->user != NULL ? c->user : IDENTITY_DEFAULT_USER;
	int r = identity_resolve(c->user, c->group, &m->identity);

	if (r < 0)
		return fail_start("find the account of the workers", name, r, EX_CONFIG);
	return 0;
}

static int prepare_deliveries(struct master *m)
{
	const struct config *c = m->config;
	const struct delivery_owner owner = {m->identity.uid, m->identity.gid};
	size_t failed = 0;
	int r = delivery_prepare_host(c->deliveries, c->delivery_count, &owner, &failed);

	if (r < 0)
		return fail_start("make the directory of a delivery",
			c->deliveries[failed].path, r, EX_CONFIG);
	return 0;
}

static int bind_listeners(struct master *m)
{
	const struct config *c = m->config;
	struct endpoint failed = {0};
	char text[ENDPOINT_TEXT_MAX] = "";
	int r = listeners_open(c->listeners, c->listener_count, &m->listeners,
		&m->listener_count, &failed);

	if (r < 0) {
		endpoint_format(&failed, text);
		return fail_start("listen", text, r, EXIT_FAILURE);
	}
	return 0;
}

/* Say what workers will be kept in, and aloud if it is less than was asked for. */
static int build_sandbox(struct master *m)
{
	static const char *const levels[] = {"kill", "trap", "off"};
	int r = sandbox_init(m->config->sandbox_level, &m->sandbox);
	const struct sandbox *s = &m->sandbox;

	if (r < 0)
		return fail_start("build the sandbox", "", r, EXIT_FAILURE);
	/* libseccomp has left holes in the heap, which each worker would make its own. */
	(void)malloc_trim(0);
	if (s->missing != NULL)
		log_event(LOG_WARN, EV_SERVER_SANDBOX,
			LOG_TEXT("sandbox", levels[s->level]),
			LOG_NUM("landlock", s->landlock), LOG_TEXT("advice", s->missing));
	else
		log_event(LOG_INFO, EV_SERVER_SANDBOX,
			LOG_TEXT("sandbox", levels[s->level]),
			LOG_NUM("landlock", s->landlock));
	return 0;
}

static int set_up(struct master *m)
{
	const struct config *c = m->config;
	int r;

	/* Where there is no log yet, whoever starts us reads what is wrong. */
	(void)log_open("stderr", c->log_format, c->log_level);
	if ((r = open_signals(m)) < 0 || (r = open_pipes(m)) < 0)
		return fail_start("open signals and pipes", "", r, EXIT_FAILURE);
	m->children = calloc(c->workers_start, sizeof(*m->children));
	if (m->children == NULL)
		return fail_start("allocate", "", -ENOMEM, EXIT_FAILURE);
	if ((r = choose_identity(m)) != 0 || (r = bind_listeners(m)) != 0)
		return r;
	r = log_open(c->log_target, c->log_format, c->log_level);
	if (r < 0)
		return fail_start("open the log", c->log_target, r, EX_CONFIG);
	if ((r = build_sandbox(m)) != 0)
		return r;
	steer_open(m->runtime, &m->control_fd);
	return prepare_deliveries(m);
}

/* ----------------------------------------------------------------- workers */

static struct child *find_child(struct master *m, pid_t pid)
{
	for (unsigned i = 0; i < m->config->workers_start; i++)
		if (m->children[i].pid == pid)
			return &m->children[i];
	return NULL;
}

/* In the child.  What only the master needs is closed here or by the worker. */
static void become_worker(struct master *m, unsigned number, pid_t master)
{
	const struct worker_env env = {
		.config = m->config,
		.listeners = m->listeners,
		.listener_count = m->listener_count,
		.identity = &m->identity,
		.sandbox = &m->sandbox,
		.master = master,
		.number = number,
		.quit_fd = m->quit_pipe[0],
		.ready_fd = m->ready_pipe[1],
		.board_fd = m->board_fd,
		.slots_fd = m->slots_fd,
	};

	worker_main(&env);
}

/* Returns 0, or a negative errno when there is no process to be had. */
static int start_worker(struct master *m)
{
	struct child *child = find_child(m, 0);
	unsigned index = (unsigned)(child - m->children);
	pid_t master = getpid(), pid;

	slots_clear(m->slots, index);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_worker(m, index + 1, master);
	*child = (struct child){.pid = pid};
	m->alive++;
	m->births++;
	log_event(LOG_DEBUG, EV_WORKER_START, LOG_NUM("worker", pid));
	return 0;
}

static void note_failed_birth(struct master *m)
{
	uint32_t wait_ms = pool_note_failed(&m->pool, clock_monotonic_ms());

	log_event(LOG_WARN, EV_WORKER_THROTTLE, LOG_NUM("wait_ms", wait_ms));
}

/* The first worker is idle: clients are served from here on. */
static void announce(struct master *m)
{
	const struct config *c = m->config;
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < m->listener_count; i++) {
		endpoint_format(&m->listeners[i].endpoint, text);
		log_event(LOG_INFO, EV_SERVER_START, LOG_TEXT("version", PACKAGE_VERSION),
			LOG_TEXT("listen", text), LOG_NUM("workers", c->workers_start),
			LOG_TEXT("config", c->file != NULL ? c->file : "built-in"));
	}
	if (m->identity.is_fallback)
		log_event(LOG_WARN, EV_SERVER_START, LOG_TEXT("user", m->identity.name),
			LOG_TEXT("advice", "no account '" IDENTITY_DEFAULT_USER
					   "' exists, going on with this one"));
	if (m->options->has_greeting)
		ready_greet(c, m->listeners, m->listener_count);
	ready_notify("READY=1");
	ready_write_fd(m->options->ready_fd, m->listeners, m->listener_count);
}

/* A worker claims to be idle; the claim is compared with what we know. */
static void hear_ready(struct master *m)
{
	pid_t pid;

	while (fdio_read(m->ready_pipe[0], &pid, sizeof(pid)) == sizeof(pid)) {
		struct child *child = pid > 0 ? find_child(m, pid) : NULL;
		bool is_first = !m->pool.was_ever_ready;

		if (child == NULL)
			continue;
		child->was_ready = true;
		pool_note_ready(&m->pool);
		if (is_first && !m->is_stopping)
			announce(m);
	}
}

/* Nobody new; who is in the middle of a message may finish it within the grace
 * time.  The second time: at once. */
static void stop(struct master *m, int exit_status)
{
	uint64_t deadline_ms = clock_monotonic_ms();

	if (!m->is_stopping)
		deadline_ms += m->config->timeouts.grace_ms;
	m->kill_at_ms = deadline_ms + KILL_AFTER_GRACE_MS;
	atomic_store(&m->board->drain_deadline_ms, deadline_ms);
	if (m->is_stopping)
		return;
	m->is_stopping = true;
	m->exit_status = exit_status;
	ready_notify("STOPPING=1");
	(void)fdio_close(&m->quit_pipe[1]);
	listeners_close(m->listeners, m->listener_count, true);
	m->listeners = NULL;
	m->listener_count = 0;
}

/* There was no process for a worker.  At the start that is the end: nobody has ever
 * been served, and nobody will be. */
static void note_failed_fork(struct master *m, int error)
{
	if (!m->pool.was_ever_ready) {
		stop(m, fail_start(
				"start the first worker", "fork", error, EXIT_FAILURE));
		return;
	}
	log_event(
		LOG_ERROR, EV_WORKER_FAILED, LOG_TEXT("step", "fork"), LOG_ERRNO(error));
	note_failed_birth(m);
}

/* Bring the pool to its size.  Returns when to look again. */
static uint64_t fill_pool(struct master *m)
{
	struct pool_counts counts = {m->config->workers_start, m->alive};
	struct pool_decision d = pool_decide(&m->pool, counts, clock_monotonic_ms());

	for (unsigned i = 0; i < d.births; i++) {
		int r = start_worker(m);

		if (r < 0) {
			note_failed_fork(m, r);
			return m->pool.not_before_ms;
		}
	}
	return d.look_again_ms;
}

/* Take what a worker did into the totals. */
static void add_to_total(struct master *m, const struct slot_report *report)
{
	m->total.sessions += report->sessions;
	m->total.messages += report->messages;
	m->total.refused += report->refused;
	m->total.bytes += report->bytes;
}

static void log_exit(
	const struct master *m, pid_t pid, int status, const struct slot_report *report)
{
	if (!WIFSIGNALED(status))
		log_event(WEXITSTATUS(status) == WORKER_EXIT_DONE ? LOG_DEBUG : LOG_WARN,
			EV_WORKER_EXIT, LOG_NUM("worker", pid),
			LOG_NUM("status", WEXITSTATUS(status)),
			LOG_NUM("sessions", report->sessions));
	else
		log_event(m->is_stopping ? LOG_DEBUG : LOG_WARN, EV_WORKER_EXIT,
			LOG_NUM("worker", pid),
			LOG_TEXT("signal", sigabbrev_np(WTERMSIG(status))),
			LOG_TEXT("state", report->state),
			LOG_TEXT("client", report->client),
			LOG_NUM("sessions", report->sessions));
}

/* A worker has ended, as it should or not. */
static void bury(struct master *m, struct child *child, int status)
{
	bool was_ready = child->was_ready;
	struct slot_report report;

	slot_read(slots_get(m->slots, (size_t)(child - m->children)), &report);
	add_to_total(m, &report);
	log_exit(m, child->pid, status, &report);
	*child = (struct child){0};
	m->alive--;
	if (m->is_stopping)
		return;
	/* What stops the very first worker is in the way of the whole server. */
	if (!m->pool.was_ever_ready && WIFEXITED(status))
		stop(m, EX_CONFIG);
	else if (!was_ready || (WIFSIGNALED(status) && report.sessions == 0))
		note_failed_birth(m);
}

static void reap_children(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child;

		/* What it wrote before it died has to be read before it is judged. */
		hear_ready(m);
		child = find_child(m, pid);
		/* PID 1 in a container inherits orphans that are not ours. */
		if (child != NULL)
			bury(m, child, status);
	}
}

static void signal_children(struct master *m, int number)
{
	for (unsigned i = 0; i < m->config->workers_start; i++)
		if (m->children[i].pid > 0)
			(void)kill(m->children[i].pid, number);
}

/* ----------------------------------------------------------------- signals */

static void hear_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (fdio_read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		const char *name = sigabbrev_np((int)info.ssi_signo);

		switch ((int)info.ssi_signo) {
		case SIGCHLD:
			reap_children(m);
			break;
		case SIGTERM:
		case SIGINT:
			log_event(LOG_INFO, EV_SERVER_SIGNAL, LOG_TEXT("signal", name),
				LOG_TEXT("action", m->is_stopping ? "stop now" : "stop"));
			stop(m, EXIT_SUCCESS);
			break;
		case SIGPIPE:
		case SIGXFSZ:
			break;
		default:
			log_event(LOG_WARN, EV_SERVER_SIGNAL, LOG_TEXT("signal", name),
				LOG_TEXT("action", "none, going on"));
			break;
		}
	}
}

/* ------------------------------------------------------------------ sinkctl */

static struct steer_worker worker_at(const void *user, size_t index)
{
	const struct master *m = user;

	return (struct steer_worker){m->children[index].pid, 1};
}

static int act(
	void *user, enum control_command command, int32_t argument, const char **ret_text)
{
	struct master *m = user;

	(void)argument;
	if (command != CONTROL_STOP) {
		*ret_text = "this is not possible";
		return EOPNOTSUPP;
	}
	*ret_text = m->is_stopping ? "stopping now"
				   : "stopping; messages in flight may finish";
	stop(m, EXIT_SUCCESS);
	return 0;
}

static void hear_control(struct master *m)
{
	const struct steer_view view = {
		.config = m->config,
		.listeners = m->listeners,
		.listener_count = m->listener_count,
		.slots = m->slots,
		.slot_count = m->config->workers_start,
		.ended = &m->total,
		.status = {.state = m->is_stopping ? CONTROL_STOPPING : CONTROL_RUNNING,
			.generation = 1,
			.births = m->births,
			.deaths = m->births - m->alive},
		.started = m->started,
		.loaded = m->started,
		.user = m,
		.worker_at = worker_at,
		.act = act,
	};

	steer_hear(m->control_fd, &view);
}

/* -------------------------------------------------------------------- loop */

static void wait_for_events(struct master *m, uint64_t until_ms)
{
	struct pollfd p[] = {
		{.fd = m->signal_fd, .events = POLLIN},
		{.fd = m->ready_pipe[0], .events = POLLIN},
		{.fd = m->control_fd, .events = POLLIN},
	};
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	struct timespec wait = {
		(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000L};

	if (ppoll(p, 3, until_ms == UINT64_MAX ? NULL : &wait, NULL) < 0 &&
		errno != EINTR) {
		log_event(LOG_ERROR, EV_SERVER_FAILED, LOG_TEXT("step", "wait"),
			LOG_ERRNO(errno));
		(void)nanosleep(&pause, NULL);
	}
}

static void run(struct master *m)
{
	while (!m->is_stopping || m->alive > 0) {
		uint64_t until_ms = m->is_stopping ? m->kill_at_ms : fill_pool(m);

		wait_for_events(m, until_ms);
		hear_ready(m);
		hear_signals(m);
		hear_control(m);
		if (m->is_stopping && clock_monotonic_ms() >= m->kill_at_ms) {
			signal_children(m, SIGKILL);
			m->kill_at_ms = UINT64_MAX;
		}
	}
}

static void tear_down(struct master *m)
{
	listeners_close(m->listeners, m->listener_count, true);
	free(m->children);
	sandbox_done(&m->sandbox);
	control_close(&m->control_fd, m->runtime, CONTROL_NAME);
	(void)fdio_close(&m->signal_fd);
	(void)fdio_close(&m->board_fd);
	(void)fdio_close(&m->slots_fd);
	for (int i = 0; i < 2; i++) {
		(void)fdio_close(&m->quit_pipe[i]);
		(void)fdio_close(&m->ready_pipe[i]);
	}
}

int master_run(const struct config *config, const struct master_options *options)
{
	struct master m = {
		.config = config,
		.options = options,
		.board_fd = -1,
		.slots_fd = -1,
		.signal_fd = -1,
		.control_fd = -1,
		.started = steer_now(),
		.quit_pipe = {-1, -1},
		.ready_pipe = {-1, -1},
	};

	setproctitle("master");
	m.exit_status = set_up(&m);
	if (m.exit_status == 0)
		run(&m);
	/* The reason is in the log; say so to who is waiting for a server. */
	if (m.exit_status != 0 && !log_is_stderr())
		(void)fprintf(
			stderr, "sinkd: cannot start, see %s\n", config->log_target);
	if (m.pool.was_ever_ready)
		log_event(LOG_INFO, EV_SERVER_STOP, LOG_NUM("status", m.exit_status),
			LOG_NUM("sessions", m.total.sessions),
			LOG_NUM("messages", m.total.messages),
			LOG_NUM("refused", m.total.refused),
			LOG_NUM("bytes", m.total.bytes));
	tear_down(&m);
	return m.exit_status;
}
