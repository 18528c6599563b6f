/* The cleaner; see cleaner.h.
 *
 * It works with the rights of a worker, and reaches what workers reach: names in the
 * directories it reads may be those of a worker that was taken over.  It is not in the
 * way of any message, and ends when it has been everywhere. */
#include "proc/cleaner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "proc/child.h"
#include "proc/confine.h"

#define PERIOD_MS (UINT64_C(24) * 60 * 60 * 1000)

static bool has_work(const struct config *c)
{
	for (size_t i = 0; i < c->delivery_count; i++)
		if (c->deliveries[i].backend->clean != NULL)
			return true;
	return false;
}

static int fail_step(const char *step, const char *delivery, int error)
{
	log_event(LOG_WARN, EV_DELIVERY_FAILED, LOG_TEXT("delivery", delivery),
		LOG_TEXT("step", step), LOG_ERRNO(error));
	return error;
}

static int clean_all(struct delivery *d, const struct config *c)
{
	int r = 0;

	for (size_t i = 0; i < c->delivery_count; i++) {
		const char *name = c->deliveries[i].name;
		uint64_t count = 0;
		int error = delivery_clean(d, i, &count);

		if (count > 0)
			log_event(LOG_INFO, EV_DELIVERY_CLEANED,
				LOG_TEXT("delivery", name), LOG_NUM("files", count));
		/* What one could not do the next one may. */
		if (error < 0)
			r = fail_step("clean", name, error);
	}
	return r;
}

static int set_up(const struct generation *g, pid_t master, struct delivery **ret)
{
	const struct config *c = g->config;
	const struct delivery_env env = {
		.spool_dir = c->spool_dir, .spawn_fds = g->spawners.section_fds};
	const int kept = log_fd();
	size_t failed = 0;
	int r;

	if ((r = fdio_close_others(&kept, 1)) < 0)
		return fail_step("clean: close descriptors", "", r);
	if ((r = child_drop_standard_streams()) < 0)
		return fail_step("clean: drop standard streams", "", r);
	r = delivery_open(c->deliveries, c->delivery_count, &env, ret, &failed);
	if (r < 0)
		return fail_step("clean: open", c->deliveries[failed].name, r);
	if ((r = sandbox_drop_bounding_set()) < 0 ||
		(r = identity_assume(&g->identity)) < 0 ||
		(r = child_watch_master(master, SIGKILL)) < 0 ||
		(r = sandbox_renounce()) < 0)
		return fail_step("clean: give up rights", "", r);
	if (g->sandbox.landlock != 0 && (r = confine_to_deliveries(g->sandbox.landlock,
						 *ret, c->delivery_count)) < 0)
		return fail_step("clean: confine files", "", r);
	return 0;
}

static void cleaner_main(const struct generation *g, pid_t master)
	__attribute__((noreturn));

static void cleaner_main(const struct generation *g, pid_t master)
{
	struct delivery *d = NULL;
	int r;

	log_note_process();
	setproctitle("cleaner");
	/* Whoever waits for a mailbox comes first; that it may fail is no matter. */
	(void)!nice(19);
	r = set_up(g, master, &d);
	if (r == 0)
		r = clean_all(d, g->config);
	delivery_close(d);
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

uint64_t cleaner_tend(struct cleaner *c, const struct generation *g, uint64_t now_ms)
{
	pid_t master = getpid();

	if (c->pid != 0 || !has_work(g->config))
		return UINT64_MAX;
	if (now_ms < c->due_ms)
		return c->due_ms;
	c->due_ms = now_ms + PERIOD_MS;
	c->pid = fork();
	if (c->pid == 0)
		cleaner_main(g, master);
	if (c->pid > 0)
		return UINT64_MAX;
	c->pid = 0;
	(void)fail_step("clean: fork", "", -errno);
	return c->due_ms;
}

bool cleaner_note_exit(struct cleaner *c, pid_t pid)
{
	if (pid <= 0 || c->pid != pid)
		return false;
	c->pid = 0;
	return true;
}

void cleaner_done(struct cleaner *c)
{
	if (c->pid > 0)
		child_end(c->pid);
	c->pid = 0;
}
