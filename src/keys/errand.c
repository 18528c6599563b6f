/* Errands; see errand.h.  Started by the master; the child reads private keys, and ends
 * when that is done. */
#include "keys/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"

#define STATUS_DONE   0
#define STATUS_FAILED 1 /* the report says why */
#define STATUS_LOST   2 /* there is no report */

/* In the child: nobody looks into it, and it leaves nothing behind. */
static void run(errand_fn fn, const void *user, struct buf *report, int out)
{
	const struct rlimit none = {0, 0};
	bool is_done;

	setproctitle("keys (reading)");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		_exit(STATUS_LOST);
#ifndef WITH_SANITIZERS
	/* They look for leaks in a process that traces this one. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(STATUS_LOST);
#endif
	is_done = fn(user, report);
	if (report->has_overflowed || fdio_write_all(out, report->p, report->len) < 0)
		_exit(STATUS_LOST);
	_exit(is_done ? STATUS_DONE : STATUS_FAILED);
}

static int read_report(int in, struct buf *report)
{
	char piece[1024];
	ssize_t n;

	while ((n = fdio_read(in, piece, sizeof(piece))) > 0)
		if (!buf_add(report, piece, (size_t)n))
			return -ENOMEM;
	return (int)n;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > STATUS_FAILED)
		return -ECHILD;
	return WEXITSTATUS(status) == STATUS_DONE ? 0 : -EINVAL;
}

int errand_run(errand_fn fn, const void *user, struct buf *report)
{
	int ends[2], r, outcome;
	pid_t pid;

	buf_init(report, ERRAND_REPORT_MAX);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	r = pid < 0 ? -errno : 0;
	if (pid == 0)
		run(fn, user, report, ends[1]);
	(void)fdio_close(&ends[1]);
	if (pid > 0) {
		r = read_report(ends[0], report);
		/* One that still writes must not wait for us. */
		(void)fdio_close(&ends[0]);
		outcome = wait_for(pid);
		r = r < 0 ? r : outcome;
	}
	(void)fdio_close(&ends[0]);
	return r;
}
