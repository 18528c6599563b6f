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

/* The last byte of what the child says; without it the child was lost.  Not its exit
 * status: whoever started us may have told the kernel to throw those away. */
#define SAID_DONE   'd'
#define SAID_FAILED 'f' /* the report says why */

/* In the child: nobody looks into it, and it leaves nothing behind. */
static void run(errand_fn fn, const void *user, struct buf *report, int out)
{
	const struct rlimit none = {0, 0};
	char said;

	setproctitle("keys (reading)");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		_exit(EXIT_FAILURE);
#ifndef WITH_SANITIZERS
	/* They look for leaks in a process that traces this one. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(EXIT_FAILURE);
#endif
	said = fn(user, report) ? SAID_DONE : SAID_FAILED;
	if (report->has_overflowed || fdio_write_all(out, report->p, report->len) < 0 ||
		fdio_write_all(out, &said, 1) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
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

/* What it said last is for us alone. */
static int take_outcome(struct buf *report)
{
	char said = report->len > 0 ? report->p[--report->len] : '\0';

	if (said == SAID_DONE)
		return 0;
	return said == SAID_FAILED ? -EINVAL : -ECHILD;
}

int errand_run(errand_fn fn, const void *user, struct buf *report)
{
	int ends[2], r;
	pid_t pid;

	buf_init(report, ERRAND_REPORT_MAX);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	r = pid < 0 ? -errno : 0;
	if (pid == 0)
		run(fn, user, report, ends[1]);
	(void)fdio_close(&ends[1]);
	if (pid > 0)
		r = read_report(ends[0], report);
	/* One that still writes must not wait for us. */
	(void)fdio_close(&ends[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r == 0 && pid > 0 ? take_outcome(report) : r;
}
