/* The signals of the master; see signals.h. */
#include "proc/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

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
