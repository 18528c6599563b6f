/* The crew; see crew.h.
 *
 * Runs in the master.  What is in the shared memory was written by workers, which may
 * have been taken over: it is compared and added, and decides about nobody else. */
#include "proc/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "proc/pool.h"
#include "proc/worker.h"

/* A worker that has not become idle by then hangs. */
#define START_MAX_MS 60000

int crew_init(struct crew *c)
{
	int r;

	/* Places that are never taken cost no memory. */
	c->children = calloc(SLOTS_MAX, sizeof(*c->children));
	if (c->children == NULL)
		return -ENOMEM;
	if (pipe2(c->ready_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0 ||
		getrandom(c->secret, sizeof(c->secret), 0) != sizeof(c->secret))
		return -errno;
	if ((r = board_create(&c->board, &c->board_fd)) < 0 ||
		(r = slots_create(&c->slots, &c->slots_fd)) < 0)
		return r;
	return counters_create(&c->counters, &c->counters_fd);
}

void crew_done(struct crew *c)
{
	free(c->children);
	(void)fdio_close(&c->board_fd);
	(void)fdio_close(&c->slots_fd);
	(void)fdio_close(&c->counters_fd);
	(void)fdio_close(&c->wake_fd);
	for (int i = 0; i < 2; i++)
		(void)fdio_close(&c->ready_pipe[i]);
}

struct child *crew_find(struct crew *c, pid_t pid)
{
	for (unsigned i = 0; i < c->limit; i++)
		if (c->children[i].pid == pid)
			return &c->children[i];
	return NULL;
}

/* A free place, the lowest; NULL when there is none. */
static struct child *find_place(struct crew *c)
{
	struct child *free_one = crew_find(c, 0);

	if (free_one != NULL || c->limit == SLOTS_MAX)
		return free_one;
	atomic_store_explicit(&c->board->slot_count, ++c->limit, memory_order_relaxed);
	return &c->children[c->limit - 1];
}

/* In the child.  What only the master needs is closed here or by the worker. */
static void become_worker(
	struct crew *c, struct generation *g, unsigned index, pid_t master)
{
	const struct worker_env env = {
		.config = g->config,
		.listeners = g->listeners,
		.listener_count = g->listener_count,
		.identity = &g->identity,
		.sandbox = &g->sandbox,
		.is_daemon = c->is_daemon,
		.generation = g->number,
		.master = master,
		.number = index + 1,
		.quit_fd = g->quit_pipe[0],
		.ready_fd = c->ready_pipe[1],
		.wake_fd = c->wake_fd,
		.board_fd = c->board_fd,
		.slots_fd = c->slots_fd,
		.counters_fd = c->counters_fd,
		.tls = g->tls,
		.sasl = g->sasl,
		.keys_fd = g->keys.asker_fd,
		.spawner_fds = g->spawners.asker_fds,
		.spawner_count = g->spawners.count,
		.section_fds = g->spawners.section_fds,
		.rule_numbers = g->rule_numbers,
		.connector_fd = g->connector.asker_fd,
		.client_key_secret = {c->secret[0], c->secret[1]},
	};

	worker_main(&env);
}

int crew_start_worker(struct crew *c, struct generation *g)
{
	struct child *child = find_place(c);
	pid_t master = getpid(), pid;
	unsigned index;

	if (child == NULL)
		return -EAGAIN;
	index = (unsigned)(child - c->children);
	slots_clear(c->slots, index);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_worker(c, g, index, master);
	*child = (struct child){
		.pid = pid, .generation = g, .birth_ms = clock_monotonic_ms()};
	c->alive++;
	c->births++;
	g->alive++;
	log_event(LOG_DEBUG, EV_WORKER_START, LOG_NUM("worker", pid),
		LOG_NUM("generation", g->number));
	return 0;
}

void crew_bury(struct crew *c, struct child *child, struct slot_report *ret_report)
{
	size_t index = (size_t)(child - c->children);

	slot_read(slots_get(c->slots, index), ret_report);
	slot_counts_add(&c->total, &ret_report->counts);
	counters_set_client(c->counters, index, 0);
	child->generation->alive--;
	c->alive--;
	c->deaths++;
	*child = (struct child){0};
	while (c->limit > 0 && c->children[c->limit - 1].pid == 0)
		c->limit--;
	atomic_store_explicit(&c->board->slot_count, c->limit, memory_order_relaxed);
}

void crew_log_exit(
	pid_t pid, int status, const struct slot_report *report, bool is_stopping)
{
	/* Code of a module may end its process in any way: who leaves a client behind, or
	 * never became idle, has not done its work. */
	bool is_done = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_DONE &&
		       strcmp(report->state, "idle") == 0;
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	bool is_ours = is_stopping && (number == SIGKILL || number == SIGTERM);
	const struct log_field how = number != 0
					     ? LOG_TEXT("signal", sigabbrev_np(number))
					     : LOG_NUM("status", WEXITSTATUS(status));

	if (is_done)
		log_event(LOG_DEBUG, EV_WORKER_EXIT, LOG_NUM("worker", pid), how,
			LOG_NUM("sessions", report->counts.sessions));
	else
		log_event(is_ours ? LOG_DEBUG : LOG_WARN, EV_WORKER_EXIT,
			LOG_NUM("worker", pid), how, LOG_TEXT("state", report->state),
			LOG_TEXT("client", report->client),
			LOG_NUM("sessions", report->counts.sessions));
}

/* When this worker must have got on, 0 if never.  While it starts only we can say. */
static uint64_t due_ms(const struct crew *c, unsigned index)
{
	const struct child *child = &c->children[index];

	if (child->pid == 0 || child->is_condemned)
		return 0;
	if (!child->was_ready)
		return child->birth_ms + START_MAX_MS;
	return slot_due_ms(slots_get(c->slots, index));
}

bool crew_has_died_young(
	const struct child *child, int status, const struct slot_report *report)
{
	bool is_well = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_DONE;

	return !child->was_ready ||
	       (!is_well && report->counts.sessions == 0 &&
		       clock_monotonic_ms() - child->birth_ms < POOL_THROTTLE_MIN_MS);
}

struct crew_counts crew_count(const struct crew *c, const struct generation *g)
{
	struct crew_counts counts = {.first_due_ms = UINT64_MAX};

	for (unsigned i = 0; i < c->limit; i++) {
		const struct child *child = &c->children[i];
		uint64_t due = due_ms(c, i);

		if (child->pid == 0)
			continue;
		if (due != 0 && due < counts.first_due_ms)
			counts.first_due_ms = due;
		if (child->generation != g) {
			counts.others++;
			counts.idle_others +=
				child->was_ready && slot_is_idle(slots_get(c->slots, i));
		} else if (!child->was_ready)
			counts.starting++;
		else if (slot_is_idle(slots_get(c->slots, i)))
			counts.idle++;
		else
			counts.busy++;
	}
	return counts;
}

void crew_kill_hung(struct crew *c, uint64_t now_ms)
{
	for (unsigned i = 0; i < c->limit; i++) {
		struct child *child = &c->children[i];
		struct slot_report report;
		uint64_t due = due_ms(c, i);

		if (due == 0 || due > now_ms)
			continue;
		slot_read(slots_get(c->slots, i), &report);
		log_event(LOG_ERROR, EV_WORKER_HUNG, LOG_NUM("worker", child->pid),
			LOG_TEXT("state", report.state),
			LOG_TEXT("client", report.client),
			LOG_NUM("late_ms", now_ms - due));
		child->is_condemned = true;
		c->hung++;
		(void)kill(child->pid, SIGKILL);
	}
}

void crew_signal(const struct crew *c, int number)
{
	for (unsigned i = 0; i < c->limit; i++)
		if (c->children[i].pid > 0)
			(void)kill(c->children[i].pid, number);
}

void crew_total(const struct crew *c, struct slot_counts *ret)
{
	*ret = c->total;
	for (unsigned i = 0; i < c->limit; i++) {
		struct slot_report report;

		if (c->children[i].pid == 0)
			continue;
		slot_read(slots_get(c->slots, i), &report);
		slot_counts_add(ret, &report.counts);
	}
}

uint64_t crew_end(struct crew *c, uint64_t *kill_at_ms)
{
	uint64_t now_ms = clock_monotonic_ms(), first_due_ms;

	if (now_ms >= *kill_at_ms) {
		crew_signal(c, SIGKILL);
		*kill_at_ms = UINT64_MAX;
	}
	crew_kill_hung(c, now_ms);
	first_due_ms = crew_count(c, NULL).first_due_ms;
	return *kill_at_ms < first_due_ms ? *kill_at_ms : first_due_ms;
}

void crew_log_end(const struct crew *c, int status)
{
	const struct slot_counts *t = &c->total;

	log_event(LOG_INFO, EV_SERVER_STOP, LOG_NUM("status", status),
		LOG_NUM("sessions", t->sessions),
		LOG_NUM("messages", t->messages_accepted),
		LOG_NUM("refused", t->messages_refused), LOG_NUM("bytes", t->bytes));
}
