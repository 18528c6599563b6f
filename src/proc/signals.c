/* The signals of the master; see signals.h. */
#include "proc/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

/* A machine out of memory gets this long to recover. */
#define RETRY_MS 100

int signals_open(int *ret_fd)
{
	static const int known[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGXFSZ};
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t signals;
	int fd;

	(void)sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		(void)sigaddset(&signals, known[i]);
	/* Whoever started us may ignore it, and then it would never come. */
	if (sigaction(SIGCHLD, &by_default, NULL) < 0 ||
		sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

void signals_wait(struct pollfd *p, size_t n, uint64_t until_ms)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	struct timespec wait = {
		(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000L};

	if (ppoll(p, n, until_ms == UINT64_MAX ? NULL : &wait, NULL) < 0 &&
		errno != EINTR) {
		log_event(LOG_ERROR, EV_SERVER_FAILED, LOG_TEXT("step", "wait"),
			LOG_ERRNO(errno));
		(void)nanosleep(&pause, NULL);
	}
}
