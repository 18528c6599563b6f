/* limit_policy: a policy service that thinks of nothing, for those who measure what
 * asking one costs.
 *
 *   limit_policy PATH
 *
 * Listens on the Unix socket PATH, which anybody may connect to, and answers each request
 * with DUNNO.  Ends when its standard input does. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdio.h"

#define CONNECTIONS_MAX 1024

/* Standard input, the listener, and those who ask. */
enum { CONTROL, LISTENER, FIRST };

static struct pollfd fds[FIRST + CONNECTIONS_MAX];
static bool is_at_line_end[FIRST + CONNECTIONS_MAX]; /* the last octet that came */
static nfds_t count = FIRST;

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "limit_policy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		fail("socket");
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, 0777) < 0 || listen(fd, SOMAXCONN) < 0)
		fail(path);
	return fd;
}

static void take_connection(void)
{
	int fd = accept4(fds[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || count == sizeof(fds) / sizeof(fds[0]))
		fail("accept");
	is_at_line_end[count] = false;
	fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* A request ends with an empty line.  Returns false when there will be no more. */
static bool answer(nfds_t i)
{
	static const char dunno[] = "action=DUNNO\n\n";
	char in[8192];
	ssize_t n = read(fds[i].fd, in, sizeof(in));

	for (ssize_t k = 0; k < n; k++) {
		bool is_end = in[k] == '\n';

		if (is_end && is_at_line_end[i] &&
			write(fds[i].fd, dunno, sizeof(dunno) - 1) < 0)
			return false;
		is_at_line_end[i] = is_end && !is_at_line_end[i];
	}
	return n > 0;
}

static void drop(nfds_t i)
{
	(void)fdio_close(&fds[i].fd);
	count--;
	fds[i] = fds[count];
	is_at_line_end[i] = is_at_line_end[count];
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fputs("usage: limit_policy PATH\n", stderr);
		return 2;
	}
	fds[CONTROL] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	fds[LISTENER] = (struct pollfd){.fd = listen_at(argv[1]), .events = POLLIN};
	while (fds[CONTROL].revents == 0) {
		if (poll(fds, count, -1) < 0 && errno != EINTR)
			fail("poll");
		for (nfds_t i = count; i-- > FIRST;)
			if (fds[i].revents != 0 && !answer(i))
				drop(i);
		if (fds[LISTENER].revents != 0)
			take_connection();
	}
	(void)unlink(argv[1]);
	return 0;
}
