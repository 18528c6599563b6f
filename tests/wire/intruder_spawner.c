/* What an intruder tries upon the spawner; see intruder.c. */
#include "intruder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "delivery/spawn_request.h"

/* With what a worker has, and with what it could get hold of. */
static int open_thing(const char *what, const char *path)
{
	int flags = strcmp(what, "write") == 0   ? O_WRONLY
		    : strcmp(what, "opath") == 0 ? O_PATH
						 : O_PATH | O_DIRECTORY;
	int fd;

	if (strcmp(what, "listener") == 0)
		return listener_fd;
	if (strcmp(what, "memory") != 0)
		return open(path, flags | O_CLOEXEC);
	fd = memfd_create("message", MFD_CLOEXEC);
	return fd >= 0 && write(fd, "a message\n", 10) == 10 ? fd : -1;
}

/* "SECTION WHAT PATH": have the command of a section run, with this as its message. */
static long try_spawner_run(const struct board *board, const char *argument)
{
	char what[16] = "", *next;
	const struct str recipient = STR("b@example.net");
	struct spawn_request q = {.section = (uint32_t)strtoul(argument, &next, 10),
		.asked_ms = clock_monotonic_ms(),
		.sender = STR("a@example.com"),
		.message_id = STR("an-intruder"),
		.recipients = &recipient,
		.recipient_count = 1};
	struct spawn_answer answer;
	struct buf bytes;
	ssize_t n;
	int fd;

	(void)board;
	next += strspn(next, " ");
	(void)str_copy(what, sizeof(what), (struct str){next, strcspn(next, " ")});
	next += strlen(what) + strspn(next + strlen(what), " ");
	fd = open_thing(what, next);
	if (fd < 0)
		return -1;
	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(&q, &bytes);
	n = ipc_ask(spawner_fd, bytes.p, bytes.len, &fd, 1, &answer, sizeof(answer),
		clock_monotonic_ms() + PATIENCE_MS);
	buf_done(&bytes);
	errno = n < 0 ? (int)-n : EPERM;
	return n == (ssize_t)sizeof(answer) && answer.code == 250 ? 0 : -1;
}

static long try_spawner_shutdown(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return shutdown(spawner_fd, SHUT_WR);
}

static long try_spawner_close(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return close(spawner_fd);
}

static long try_spawner_receive(const struct board *board, const char *argument)
{
	char bytes[64];

	(void)board;
	(void)argument;
	return recv(spawner_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

/* No questions, with all that can go along. */
static long try_spawner_garbage(const struct board *board, const char *argument)
{
	static char junk[SPAWN_REQUEST_MAX];
	int fds[FDS_MAX];

	(void)board;
	(void)argument;
	for (size_t i = 0; i < FDS_MAX; i++)
		fds[i] = listener_fd;
	memset(junk, 0xff, sizeof(junk));
	for (size_t n = 0; n <= sizeof(junk); n = n * 4 + 1)
		if (send_with(spawner_fd, junk, n, NULL, 0) < 0 ||
			send_with(spawner_fd, junk, n, fds, 2) < 0 ||
			send_with(spawner_fd, junk, n, fds, FDS_MAX) < 0)
			return -1;
	return 0;
}

const struct named_try spawner_tries[] = {
	{"spawner_run", try_spawner_run},
	{"spawner_shutdown", try_spawner_shutdown},
	{"spawner_close", try_spawner_close},
	{"spawner_receive", try_spawner_receive},
	{"spawner_garbage", try_spawner_garbage},
	{NULL, NULL},
};
