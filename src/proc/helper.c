/* Helper processes; see helper.h.  Runs in the master. */
#include "proc/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "proc/child.h"
#include "proc/pool.h"

/* One that is not ready by then hangs. */
#define START_MAX_MS 10000

void helper_note_start(struct helper *h, pid_t pid, uint64_t now_ms)
{
	h->pid = pid;
	h->birth_ms = now_ms;
}

uint64_t helper_note_death(struct helper *h, uint64_t now_ms)
{
	bool was_young = h->pid == 0 || now_ms - h->birth_ms < POOL_THROTTLE_MIN_MS;
	uint64_t wait_ms = 0;

	h->pid = 0;
	h->young_deaths = was_young ? h->young_deaths + 1 : 0;
	if (h->young_deaths > 1) {
		wait_ms = POOL_THROTTLE_MIN_MS;
		for (unsigned i = 2; i < h->young_deaths; i++)
			if (wait_ms < POOL_THROTTLE_MAX_MS)
				wait_ms *= 2;
	}
	if (wait_ms > POOL_THROTTLE_MAX_MS)
		wait_ms = POOL_THROTTLE_MAX_MS;
	h->due_ms = now_ms + wait_ms;
	return wait_ms;
}

/* The byte, or the end of file when it has died. */
static int wait_until_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;
	int n;

	do
		n = poll(&p, 1, START_MAX_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ETIME;
	return fdio_read(fd, &byte, 1) == 1 ? 0 : -ECHILD;
}

int helper_start(struct helper *h, const struct helper_kind *kind, const void *user)
{
	struct helper_birth birth = {.master = getpid()};
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	birth.ready_fd = ends[1];
	pid = fork();
	if (pid == 0)
		kind->run(user, &birth);
	r = pid < 0 ? -errno : 0;
	(void)fdio_close(&ends[1]);
	if (pid > 0) {
		helper_note_start(h, pid, clock_monotonic_ms());
		r = wait_until_ready(ends[0]);
	}
	(void)fdio_close(&ends[0]);
	/* Once it is ready it is ours to look after; until then it must not stay. */
	if (r < 0)
		helper_end(h);
	else
		log_event(LOG_DEBUG, kind->start, LOG_NUM(kind->key, pid));
	return r;
}

int helper_tell_ready(const struct helper_birth *birth)
{
	int fd = birth->ready_fd;
	int r = fdio_write_all(fd, "", 1);

	/* Its end is our end for the master: not before the log knows why. */
	if (r == 0)
		(void)fdio_close(&fd);
	return r;
}

bool helper_note_exit(struct helper *h, const struct helper_kind *kind, pid_t pid,
	int status, bool is_expected)
{
	enum log_level level = is_expected ? LOG_DEBUG : LOG_WARN;
	uint64_t wait_ms;

	if (h->pid != pid)
		return false;
	wait_ms = helper_note_death(h, clock_monotonic_ms());
	if (WIFSIGNALED(status))
		log_event(level, kind->exit, LOG_NUM(kind->key, pid),
			LOG_TEXT("signal", sigabbrev_np(WTERMSIG(status))),
			LOG_NUM("wait_ms", wait_ms));
	else
		log_event(level, kind->exit, LOG_NUM(kind->key, pid),
			LOG_NUM("status", WEXITSTATUS(status)),
			LOG_NUM("wait_ms", wait_ms));
	return true;
}

uint64_t helper_tend(struct helper *h, const struct helper_kind *kind, const void *user,
	uint64_t now_ms)
{
	int r;

	if (h->pid != 0)
		return UINT64_MAX;
	if (h->due_ms > now_ms)
		return h->due_ms;
	r = helper_start(h, kind, user);
	if (r == 0)
		return UINT64_MAX;
	(void)helper_note_death(h, clock_monotonic_ms());
	log_event(LOG_ERROR, kind->failed, LOG_TEXT("step", "start"), LOG_ERRNO(r));
	return h->due_ms;
}

void helper_end(struct helper *h)
{
	if (h->pid > 0)
		child_end(h->pid);
	h->pid = 0;
}
