/* Spawner processes; see spawners.h.
 *
 * What each does is in room spawn; here is how it comes to be.  It gives up root, but is
 * not caged: what it gives up its commands could not have either, and they are the
 * administrator's own programs.  So it is small, and reads nothing but questions.  It has
 * no listener, no client, no key, and nobody looks into its memory. */
#include "proc/spawners.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/number.h"
#include "delivery/spawn_request.h"
#include "proc/child.h"
#include "proc/sandbox.h"
#include "spawn/spawner.h"

/* A question that waits beside one for each worker is none of theirs. */
#define QUESTIONS_SPARE 16

/* So often a spawner is asked whether it is there, and so long it has to say so. */
#define PING_PERIOD_MS   5000
#define PING_PATIENCE_MS 5000
#define PING_DOUBT_MS    1000

/* ---------------------------------------------------------- in the process */

struct process {
	const struct spawners *all;
	const struct spawner *spawner;
};

static int fail_step(const char *step, int error)
{
	log_event(LOG_FATAL, EV_SPAWNER_FAILED, LOG_TEXT("step", step), LOG_ERRNO(error));
	return error;
}

/* All that commands must not find has close-on-exec; what we do not need is closed. */
static int close_descriptors(const struct process *p, const struct helper_birth *birth)
{
	const int keep[] = {p->spawner->helper_fd, birth->ready_fd, log_fd()};

	return fdio_close_others(keep, sizeof(keep) / sizeof(keep[0]));
}

static int set_up(const struct process *p, const struct helper_birth *birth)
{
	int r;

	if ((r = close_descriptors(p, birth)) < 0)
		return fail_step("close descriptors", r);
	if ((r = child_drop_standard_streams()) < 0)
		return fail_step("drop standard streams", r);
	if ((r = identity_assume(&p->spawner->identity)) < 0)
		return fail_step("give up root", r);
	/* What commands may on top of that is for their files to say. */
	if ((r = sandbox_drop_capabilities()) < 0)
		return fail_step("give up capabilities", r);
	if ((r = child_watch_master(birth->master, SIGKILL)) < 0)
		return fail_step("watch the master", r);
#ifndef WITH_SANITIZERS
	/* They look for leaks in a process that traces this one. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return fail_step("close our memory to others", -errno);
#endif
	if (chdir("/") < 0)
		return fail_step("enter '/'", -errno);
	/* Standard input is /dev/null by now. */
	if (p->all->is_daemon && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		return fail_step("leave standard error", -errno);
	r = helper_tell_ready(birth);
	return r < 0 ? fail_step("tell the master", r) : 0;
}

/* Who did not start as root may have no name. */
static void set_title(const struct identity *identity)
{
	if (identity->name[0] != '\0')
		setproctitle("spawner %s", identity->name);
	else
		setproctitle("spawner %lu", (unsigned long)identity->uid);
}

static void spawner_main(const void *user, const struct helper_birth *birth)
{
	const struct process *p = user;
	const struct config *c = p->all->config;
	const struct spawner_settings settings = {
		.deliveries = c->deliveries,
		.is_ours = p->spawner->is_ours,
		.delivery_count = c->delivery_count,
		.questions_max = c->workers.max + QUESTIONS_SPARE,
	};

	log_note_process();
	set_title(&p->spawner->identity);
	if (set_up(p, birth) < 0)
		_exit(SPAWNER_EXIT_SETUP);
	(void)fail_step(
		"answer questions", spawner_serve(&settings, p->spawner->helper_fd));
	_exit(SPAWNER_EXIT_FAILED);
}

static const struct helper_kind spawner_kind = {
	.run = spawner_main,
	.key = "spawner",
	.start = EV_SPAWNER_START,
	.exit = EV_SPAWNER_EXIT,
	.failed = EV_SPAWNER_FAILED,
};

/* ------------------------------------------------------------ in the master */

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->group_count == b->group_count &&
	       memcmp(a->groups, b->groups, a->group_count * sizeof(a->groups[0])) == 0;
}

static struct spawner *find(struct spawners *s, const struct identity *identity)
{
	for (size_t i = 0; i < s->count; i++)
		if (is_same(&s->list[i].identity, identity))
			return &s->list[i];
	return NULL;
}

/* Returns NULL and *ret_error if there can be no more. */
static struct spawner *add(
	struct spawners *s, const struct identity *identity, int *ret_error)
{
	struct spawner one = {
		.identity = *identity, .asker_fd = -1, .helper_fd = -1, .ping_fd = -1};

	*ret_error = -E2BIG;
	if (s->count == SPAWNERS_MAX)
		return NULL;
	*ret_error = -ENOMEM;
	one.is_ours = calloc(s->config->delivery_count, sizeof(bool));
	if (one.is_ours == NULL)
		return NULL;
	*ret_error = ipc_open(&one.asker_fd, &one.helper_fd);
	if (*ret_error < 0) {
		free(one.is_ours);
		return NULL;
	}
	s->asker_fds[s->count] = one.asker_fd;
	s->list[s->count] = one;
	return &s->list[s->count++];
}

static int open_section(struct spawners *s, size_t section, const struct identity *worker)
{
	const char *user = s->config->deliveries[section].pipe.user;
	struct identity identity = *worker;
	struct spawner *spawner;
	int r = user == NULL ? 0 : identity_resolve(user, NULL, &identity);

	if (r < 0)
		return r;
	spawner = find(s, &identity);
	if (spawner == NULL)
		spawner = add(s, &identity, &r);
	if (spawner == NULL)
		return r;
	assert(spawner->is_ours != NULL);
	spawner->is_ours[section] = true;
	s->section_fds[section] = spawner->asker_fd;
	return 0;
}

int spawners_open(struct spawners *s, const struct config *config,
	const struct identity *worker, const char **ret_subject)
{
	size_t n = config->delivery_count;
	int r = 0;

	*ret_subject = "";
	*s = (struct spawners){.config = config, .is_daemon = s->is_daemon};
	s->list = calloc(SPAWNERS_MAX, sizeof(*s->list));
	s->section_fds = calloc(n, sizeof(*s->section_fds));
	if (s->list == NULL || s->section_fds == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s->section_fds[i] = -1;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (config->deliveries[i].backend != &delivery_pipe)
			continue;
		r = open_section(s, i, worker);
		if (r < 0 && config->deliveries[i].pipe.user != NULL)
			*ret_subject = config->deliveries[i].pipe.user;
	}
	return r;
}

void spawners_done(struct spawners *s)
{
	for (size_t i = 0; i < s->count; i++) {
		helper_end(&s->list[i].helper);
		(void)fdio_close(&s->list[i].ping_fd);
		(void)fdio_close(&s->list[i].asker_fd);
		(void)fdio_close(&s->list[i].helper_fd);
		free(s->list[i].is_ours);
	}
	free(s->list);
	free(s->section_fds);
	*s = (struct spawners){0};
}

int spawners_start(struct spawners *s)
{
	int r = 0;

	for (size_t i = 0; i < s->count && r == 0; i++) {
		const struct process p = {s, &s->list[i]};

		r = helper_start(&s->list[i].helper, &spawner_kind, &p);
	}
	return r;
}

bool spawners_note_exit(struct spawners *s, pid_t pid, int status, bool is_expected)
{
	for (size_t i = 0; i < s->count; i++)
		if (helper_note_exit(
			    &s->list[i].helper, &spawner_kind, pid, status, is_expected))
			return true;
	return false;
}

static void note_life(struct spawner *p, uint64_t now_ms)
{
	(void)fdio_close(&p->ping_fd);
	p->heard_ms = now_ms;
	p->asked_ms = 0;
	p->is_doubted = false;
}

/* Ask again while the channel is full. */
static void ask_for_life(struct spawner *p, uint64_t now_ms)
{
	static const char ping[SPAWN_PING_SIZE];

	if (p->asked_ms == 0)
		p->asked_ms = now_ms;
	if (p->ping_fd < 0)
		(void)ipc_post(p->asker_fd, ping, sizeof(ping), NULL, 0, 0, &p->ping_fd);
}

/* One that hangs, or that somebody has stopped, would hold its workers for all of their
 * patience, each time.  Where we were not running either, it gets a last moment.  Returns
 * when to look again. */
static uint64_t watch_life(struct spawner *p, uint64_t now_ms)
{
	char answer[SPAWN_PING_SIZE];

	if (p->helper.pid == 0 || p->helper.birth_ms > p->heard_ms ||
		(p->ping_fd >= 0 &&
			recv(p->ping_fd, answer, sizeof(answer), MSG_DONTWAIT) > 0))
		note_life(p, now_ms);
	if (now_ms < p->heard_ms + PING_PERIOD_MS)
		return p->heard_ms + PING_PERIOD_MS;
	ask_for_life(p, now_ms);
	if (now_ms < p->asked_ms + PING_PATIENCE_MS)
		return p->asked_ms + PING_PATIENCE_MS;
	if (!p->is_doubted) {
		p->is_doubted = true;
		return now_ms + PING_DOUBT_MS;
	}
	log_event(LOG_ERROR, EV_SPAWNER_FAILED, LOG_TEXT("step", "answer"),
		LOG_NUM("spawner", p->helper.pid));
	(void)kill(p->helper.pid, SIGKILL);
	note_life(p, now_ms);
	return now_ms + PING_PERIOD_MS;
}

uint64_t spawners_tend(struct spawners *s, uint64_t now_ms)
{
	uint64_t until_ms = UINT64_MAX;

	for (size_t i = 0; i < s->count; i++) {
		const struct process p = {s, &s->list[i]};
		uint64_t due_ms =
			helper_tend(&s->list[i].helper, &spawner_kind, &p, now_ms);

		due_ms = number_min(due_ms, watch_life(&s->list[i], now_ms));
		until_ms = number_min(until_ms, due_ms);
	}
	return until_ms;
}
