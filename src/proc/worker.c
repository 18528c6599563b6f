/* A worker; see worker.h.
 *
 * From fork to the first client it gives up what it will not need, in the order
 * of set_up; then it accepts and serves one client at a time.  It parses hostile
 * bytes all its life, so nothing may come back that was given up.
 *
 * Who tells it to go: a byte in the quit pipe, which one idle worker takes (the pool
 * shrinks); the end of file there (its generation is over, or the master has died)
 * reaches it when idle; the notice board when busy; a signal (TERM, also sent by the
 * kernel when the master dies) closes its listeners at once, so that the port is free,
 * and lets it finish its client. */
#include "proc/worker.h"

#ifdef HAVE_SYS_RSEQ_H
#include <sys/rseq.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "proc/board.h"
#include "proc/child.h"
#include "proc/confine.h"
#include "proc/counters.h"
#include "proc/deciders.h"
#include "proc/sandbox.h"
#include "proc/serve.h"
#include "proc/slots.h"
#include "proc/spawners.h"

/* Descriptors a worker keeps besides its listeners: quit, ready, board, slots, counters,
 * wake, log, keys, connector. */
#define KEPT_FDS 9

/* A machine out of descriptors or memory gets this long to recover. */
#define ACCEPT_BACKOFF_MS 100

struct worker {
	const struct worker_env *env;
	int epoll_fd;
	struct delivery *delivery;
	const struct board *board;
	struct slot *slot;
	struct counters *counters;
	struct server *server;
	struct serve_env serve_env;
	struct deciders *deciders;
	struct deciders_env deciders_env;
	const struct sinkd_backend **backends; /* of each deliver section, or NULL */
	uint64_t sessions;                     /* served */
};

/* For the signal handler, which has no other way to know. */
static volatile sig_atomic_t is_leaving;
static const struct worker *this_worker;

/* Serve nobody after this client.  The listeners are closed now, so that the port
 * is free; the epoll set too, so that the worker cannot fall asleep between the
 * look at is_leaving and the wait.  Safe in a signal handler. */
static void leave(void)
{
	const struct worker_env *env = this_worker->env;

	if (is_leaving)
		return;
	is_leaving = 1;
	for (size_t i = 0; i < env->listener_count; i++)
		(void)close(env->listeners[i].fd);
	(void)close(this_worker->epoll_fd);
}

static void handle_term(int number)
{
	int saved = errno;

	(void)number;
	leave();
	errno = saved;
}

static int fail_step(const char *step, int error)
{
	log_event(LOG_FATAL, EV_WORKER_FAILED, LOG_TEXT("step", step), LOG_ERRNO(error));
	return error;
}

_Static_assert(
	LISTENERS_MAX + SPAWNERS_MAX + KEPT_FDS <= FDIO_KEEP_MAX, "too many to keep");

static int close_descriptors(const struct worker_env *env)
{
	int keep[LISTENERS_MAX + SPAWNERS_MAX + KEPT_FDS];
	size_t n = 0;

	for (size_t i = 0; i < env->listener_count; i++)
		keep[n++] = env->listeners[i].fd;
	keep[n++] = env->quit_fd;
	keep[n++] = env->ready_fd;
	keep[n++] = env->board_fd;
	keep[n++] = env->slots_fd;
	keep[n++] = env->counters_fd;
	keep[n++] = env->wake_fd;
	keep[n++] = log_fd();
	keep[n++] = env->keys_fd;
	keep[n++] = env->connector_fd;
	for (size_t i = 0; i < env->spawner_count; i++)
		keep[n++] = env->spawner_fds[i];
	return fdio_close_others(keep, n);
}

/* TERM is for us; INT comes from a terminal to the whole group and is the
 * master's business; PIPE and XFSZ would turn an error into a death. */
static int set_signals(struct worker *w)
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction term = {.sa_handler = handle_term};
	sigset_t none;

	this_worker = w;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (sigaction(ignored[i], &ignore, NULL) < 0)
			return -errno;
	(void)sigemptyset(&none);
	if (sigaction(SIGTERM, &term, NULL) < 0 ||
		sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return -errno;
	return 0;
}

/* Where a delivery writes; for messages. */
static const char *path_of(const struct config *c, size_t delivery)
{
	const char *path = c->deliveries[delivery].path;

	return path != NULL ? path : c->spool_dir;
}

/* Roots of deliveries are opened with the rights of the master, so that workers
 * may not enter the directories above them. */
static int open_deliveries(struct worker *w)
{
	const struct config *c = w->env->config;
	size_t failed = 0;
	const struct delivery_env env = {.spool_dir = c->spool_dir,
		.spawn_fds = w->env->section_fds,
		.modules = w->backends};
	int r = delivery_open(
		c->deliveries, c->delivery_count, &env, &w->delivery, &failed);

	if (r < 0)
		log_event(LOG_FATAL, EV_WORKER_FAILED, LOG_TEXT("step", "open delivery"),
			LOG_TEXT("delivery", c->deliveries[failed].name),
			LOG_TEXT("path", path_of(c, failed)), LOG_ERRNO(r));
	else
		delivery_set_routes(w->delivery, c->routes, c->route_count);
	return r;
}

static int check_deliveries(struct worker *w)
{
	const struct config *c = w->env->config;
	size_t failed = 0;
	int r = delivery_check(w->delivery, &failed);

	if (r < 0)
		log_event(LOG_FATAL, EV_WORKER_FAILED,
			LOG_TEXT("step", "write to delivery"),
			LOG_TEXT("delivery", c->deliveries[failed].name),
			LOG_TEXT("path", path_of(c, failed)), LOG_NUM("uid", getuid()),
			LOG_ERRNO(r),
			LOG_TEXT("advice", "make the directory writable for this user, "
					   "or set user and path, or spool-dir"));
	return r;
}

/* From here on the delivery roots are all of the file system that there is. */
static int confine_files(const struct worker *w)
{
	const struct worker_env *env = w->env;

	if (env->sandbox->landlock == 0)
		return 0;
	return confine_to_deliveries(
		env->sandbox->landlock, w->delivery, env->config->delivery_count);
}

/* The mapping stays, so the descriptor need not. */
static int map_board(struct worker *w)
{
	int fd = w->env->board_fd;
	int r = board_map(fd, &w->board);

	(void)fdio_close(&fd);
	return r;
}

static int add_to_epoll(const struct worker *w, int fd, uint32_t events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What is set at the listeners all workers' clients get. */
static int enter_sandbox(const struct worker_env *env)
{
	int fds[LISTENERS_MAX];

	for (size_t i = 0; i < env->listener_count; i++)
		fds[i] = env->listeners[i].fd;
	return sandbox_enter(env->sandbox, fds, env->listener_count);
}

/* One new client wakes one idle worker; the quit pipe wakes all. */
static int watch_listeners(struct worker *w)
{
	const struct worker_env *env = w->env;
	int r;

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0)
		return -errno;
	r = add_to_epoll(w, env->quit_fd, EPOLLIN, NULL);
	for (size_t i = 0; i < env->listener_count && r == 0; i++) {
		/* epoll wants a pointer that it may write through; we do not. */
		union {
			const struct listener *in;
			void *out;
		} data = {.in = &env->listeners[i]};

		r = add_to_epoll(w, data.in->fd, EPOLLIN | EPOLLEXCLUSIVE, data.out);
	}
	return r;
}

/* The C library lets the kernel note, at each switch to this process, which processor
 * it runs on.  Nothing here asks, and a worker is switched to four times a message. */
static void leave_restartable_sequences(void)
{
#ifdef HAVE_SYS_RSEQ_H
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size > 0)
		(void)syscall(SYS_rseq, area, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER,
			RSEQ_SIG);
#endif
}

/* A worker that a client's bytes wake waits for the processor until whoever runs there
 * gives it up, who may well be about to wake more of us: fewer switches, and so more
 * messages.  Who chose another policy for the server knows why. */
static void be_patient(void)
{
	const struct sched_param none = {0};

	if (sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH, &none);
}

/* Our own page, and then no way to any other. */
static int map_slot(struct worker *w)
{
	int fd = w->env->slots_fd;
	int r = slots_map_own(fd, w->env->number - 1, &w->slot);

	(void)fdio_close(&fd);
	return r;
}

/* All of it: what is counted there is counted together, and believed by nobody. */
static int map_counters(struct worker *w)
{
	int fd = w->env->counters_fd;
	int r = counters_map(fd, &w->counters);

	(void)fdio_close(&fd);
	return r;
}

/* Modules run code of their own from here on: with our rights, and no more. */
static int load_deciders(struct worker *w)
{
	const struct worker_env *env = w->env;
	int r;

	w->deciders_env = (struct deciders_env){
		.config = env->config,
		.board = w->board,
		.counters = w->counters,
		.slot = w->slot,
		.rule_numbers = env->rule_numbers,
		.secret = {env->client_key_secret[0], env->client_key_secret[1]},
		.connector_fd = env->connector_fd,
	};
	r = deciders_new(&w->deciders_env, &w->deciders);
	for (size_t i = 0; r == 0 && i < env->config->delivery_count; i++) {
		const struct delivery_settings *d = &env->config->deliveries[i];

		if (d->backend != &delivery_module)
			continue;
		w->backends[i] = deciders_backend(w->deciders, d->module_number);
		if (w->backends[i] == NULL)
			r = -ENOEXEC;
	}
	return r;
}

static int prepare_to_serve(struct worker *w)
{
	const struct worker_env *env = w->env;

	w->serve_env = (struct serve_env){
		.config = env->config,
		.delivery = w->delivery,
		.hooks = deciders_hooks(w->deciders),
		.tls = env->tls,
		.sasl = env->sasl,
		.board = w->board,
		.generation = env->generation,
		.slot = w->slot,
		.counters = w->counters,
		.client_key_secret = {env->client_key_secret[0],
			env->client_key_secret[1]},
		.worker_number = env->number,
		.leave = leave,
	};
	w->server = serve_new(&w->serve_env);
	return w->server == NULL ? -ENOMEM : 0;
}

static int set_up(struct worker *w)
{
	const struct worker_env *env = w->env;
	int r;

	if ((r = close_descriptors(env)) < 0)
		return fail_step("close descriptors", r);
	if ((r = child_drop_standard_streams()) < 0)
		return fail_step("drop standard streams", r);
	setproctitle("worker %u (starting)", env->number);
	leave_restartable_sequences();
	be_patient();
	if (env->config->module_count > 0) {
		w->backends = calloc(env->config->delivery_count, sizeof(void *));
		if (w->backends == NULL)
			return fail_step("allocate", -ENOMEM);
	}
	if ((r = open_deliveries(w)) < 0)
		return r;
	if ((r = sandbox_drop_bounding_set()) < 0)
		return fail_step("give up the bounding set", r);
	if ((r = identity_assume(env->identity)) < 0)
		return fail_step("give up root", r);
	if ((r = child_watch_master(env->master, SIGTERM)) < 0)
		return fail_step("watch the master", r);
	if ((r = map_board(w)) < 0)
		return fail_step("map the notice board", r);
	if ((r = map_slot(w)) < 0)
		return fail_step("map the slot", r);
	if ((r = map_counters(w)) < 0)
		return fail_step("map the counters", r);
	if ((r = load_deciders(w)) < 0)
		return fail_step("load who decides", r);
	if ((r = sandbox_renounce()) < 0)
		return fail_step("give up what is left", r);
	if ((r = confine_files(w)) < 0)
		return fail_step("confine files", r);
	if ((r = check_deliveries(w)) < 0)
		return r;
	if ((r = watch_listeners(w)) < 0)
		return fail_step("watch the listeners", r);
	if ((r = set_signals(w)) < 0)
		return fail_step("set signals", r);
	if ((r = prepare_to_serve(w)) < 0)
		return fail_step("allocate", r);
	/* Standard input is /dev/null by now. */
	if (env->is_daemon && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		return fail_step("leave standard error", -errno);
	if ((r = enter_sandbox(env)) < 0)
		return fail_step("enter the sandbox", r);
	return 0;
}

/* A worker that the master does not hear of is of no use to it. */
static int tell_ready(const struct worker *w)
{
	pid_t pid = getpid();
	int fd = w->env->ready_fd;
	/* Shorter than PIPE_BUF, so it arrives in one piece. */
	int r = fdio_write_all(fd, &pid, sizeof(pid));

	(void)fdio_close(&fd);
	return r < 0 ? fail_step("tell the master", r) : 0;
}

/* Whether this worker takes another client: the kernel may have told it to go, the
 * board, or its age. */
static bool goes_on(const struct worker *w)
{
	uint64_t max = w->env->config->workers.max_sessions;

	return !is_leaving && (max == 0 || w->sessions < max) &&
	       atomic_load_explicit(&w->board->generation, memory_order_relaxed) <=
		       w->env->generation;
}

/* Wake the master if too few are left that wait for a client: the next one should not
 * have to wait for its next look.  What it sees then must not be that we are idle: it
 * would do nothing, and put the number right that is right. */
static void turn_busy(const struct worker *w)
{
	const uint64_t one = 1;
	uint32_t idle = counters_take_idle(w->counters);

	if (idle < atomic_load_explicit(&w->board->wake_below, memory_order_relaxed))
		(void)fdio_write(w->env->wake_fd, &one, sizeof(one));
}

/* Accept one client, if there is one, and serve it. */
static bool accept_and_serve(struct worker *w, const struct listener *listener)
{
	struct sockaddr_storage from = {0};
	socklen_t length = sizeof(from);
	int fd = accept4(listener->fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);

	if (fd < 0) {
		struct timespec pause = {.tv_nsec = ACCEPT_BACKOFF_MS * 1000000L};

		/* Another worker was faster, or the client has gone again. */
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ||
			is_leaving)
			return false;
		log_event(LOG_ERROR, EV_ACCEPT_FAILED, LOG_ERRNO(errno));
		(void)nanosleep(&pause, NULL);
		return false;
	}
	/* First: the master looks at once when it is woken, and may not look again. */
	slot_set_state(w->slot, SLOT_COMMAND);
	turn_busy(w);
	serve_client_take_fd(w->server, listener, fd, &from);
	w->sessions++;
	if (goes_on(w))
		counters_give_idle(w->counters);
	slot_set_state(w->slot, SLOT_IDLE);
	setproctitle("worker %u (idle)", w->env->number);
	return true;
}

/* Before leaving, look at every listener once more: the wake-up for a client
 * that waits there may have gone to us. */
static void serve_last(struct worker *w)
{
	for (size_t i = 0; i < w->env->listener_count && !is_leaving; i++)
		if (accept_and_serve(w, &w->env->listeners[i]))
			return;
}

/* Whether the quit pipe means us: a byte is for whoever takes it. */
static bool is_dismissed(const struct worker *w)
{
	char byte;

	return fdio_read(w->env->quit_fd, &byte, 1) != -EAGAIN;
}

/* Returns 0 when it is time to go, or a negative errno. */
static int accept_clients(struct worker *w)
{
	while (goes_on(w)) {
		struct epoll_event event;
		int n = epoll_wait(w->epoll_fd, &event, 1, -1);

		if (n < 0 && errno != EINTR && !is_leaving) {
			/* Going round would only burn the processor. */
			int r = fail_step("wait for clients", -errno);

			(void)counters_take_idle(w->counters);
			return r;
		}
		if (n < 1)
			continue;
		if (event.data.ptr != NULL) {
			(void)accept_and_serve(w, event.data.ptr);
		} else if (is_dismissed(w)) {
			serve_last(w);
			if (goes_on(w)) /* and so counts as idle */
				(void)counters_take_idle(w->counters);
			return 0;
		}
	}
	return 0;
}

void worker_main(const struct worker_env *env)
{
	struct worker w = {.env = env, .epoll_fd = -1};
	sigset_t all;
	int r;

	(void)sigfillset(&all);
	log_note_process();
	if (set_up(&w) < 0)
		exit(WORKER_EXIT_SETUP);
	setproctitle("worker %u (idle)", env->number);
	slot_set_state(w.slot, SLOT_IDLE);
	counters_give_idle(w.counters);
	if (tell_ready(&w) < 0)
		exit(WORKER_EXIT_SETUP);
	r = accept_clients(&w);
	/* Whatever tells us to go comes too late. */
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	/* A module may hang here, too. */
	slot_set_deadline(w.slot, clock_monotonic_ms() + env->config->timeouts.data_ms);
	serve_free(w.server);
	delivery_close(w.delivery);
	deciders_free(w.deciders);
	exit(r < 0 ? WORKER_EXIT_FAILED : WORKER_EXIT_DONE);
}
