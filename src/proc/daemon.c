/* Running detached; see daemon.h.
 *
 * Runs as whoever starts the server.  One fork is enough: the server opens no terminal
 * that could become its own.  */
#include "proc/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"

/* A byte: ready.  The end of the file: the server has ended, or is about to. */
static int wait_for_server(int fd, pid_t server)
{
	int status;
	char byte;

	if (fdio_read(fd, &byte, sizeof(byte)) == sizeof(byte))
		return EXIT_SUCCESS;
	while (waitpid(server, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int daemon_start(int *ret_fd)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		(void)fdio_close(&ends[0]);
		(void)fdio_close(&ends[1]);
		return r;
	}
	if (pid > 0) {
		(void)fdio_close(&ends[1]);
		/* What is in the buffers of stdio is the server's to write. */
		_exit(wait_for_server(ends[0], pid));
	}
	(void)fdio_close(&ends[0]);
	/* Fails only for a leader of a group, which a new process is not. */
	(void)setsid();
	log_note_process();
	*ret_fd = ends[1];
	return 0;
}

void daemon_ready(int *fd)
{
	int null;

	if (*fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = STDIN_FILENO; null >= 0 && i <= STDERR_FILENO; i++)
		(void)dup2(null, i);
	(void)fdio_close(&null);
	(void)fdio_write_all(*fd, "", 1);
	(void)fdio_close(fd);
}
