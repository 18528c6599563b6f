/* One question to the server; see client.h.
 *
 * Runs in sinkctl.  The server is the user's own or root's, but a path may be wrong and
 * a release another, so that what comes is checked.  Answers do not come from the socket
 * that was asked (see control.c); whose they are is known by their credentials. */
#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"

/* All workers that there can be, twice over. */
#define SNAPSHOT_BYTES_MAX ((off_t)16 << 20)

static int open_socket(uint64_t wait_ms, int *ret_fd)
{
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	const struct timeval wait = {
		(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000) * 1000};
	static const int on = 1;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	/* A name of the kernel's choice, for the answer. */
	if (bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0) {
		r = -errno;
		(void)fdio_close(&fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* *ret_owner is whose socket it is.  Waits while the server's queue is full of the
 * questions of others. */
static int send_request(
	int fd, const char *path, const struct control_request *request, uid_t *ret_owner)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	(void)str_copy(address.sun_path, sizeof(address.sun_path), str_of(path));
	/* Before: the request may be the one to go. */
	if (stat(path, &st) < 0)
		return -errno;
	if (sendto(fd, request, sizeof(*request), MSG_NOSIGNAL,
		    (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret_owner = st.st_uid;
	return 0;
}

static int wait_for_answer(int fd, uint64_t until_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now_ms = clock_monotonic_ms();
	int n = poll(&p, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0);

	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

/* What comes along with a datagram: whose it is, by the word of the kernel, and maybe a
 * descriptor. */
static void read_ancillary(struct msghdr *message, uid_t *ret_uid, int *ret_file)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
		c = CMSG_NXTHDR(message, c)) {
		struct ucred from;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS &&
			c->cmsg_len == CMSG_LEN(sizeof(from))) {
			memcpy(&from, CMSG_DATA(c), sizeof(from));
			*ret_uid = from.uid;
		}
		if (c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(ret_file, CMSG_DATA(c), sizeof(int));
	}
}

/* Returns the length of the datagram, and the descriptor that came along (or -1);
 * -EAGAIN if it was somebody else's, for whom the name was not too hard to guess. */
static ssize_t receive_reply(
	int fd, uid_t owner, struct control_reply *reply, int *ret_file)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {reply, sizeof(*reply)};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	uid_t uid = (uid_t)-1;

	if (n < 0)
		return -errno;
	read_ancillary(&message, &uid, ret_file);
	if (uid == 0 || uid == owner)
		return n;
	(void)fdio_close(ret_file);
	return -EAGAIN;
}

/* A copy, for a file that is mapped could be cut under our hands. */
static int read_snapshot(int file, struct client_answer *answer)
{
	struct stat st;
	char *p;
	ssize_t n;

	if (fstat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > SNAPSHOT_BYTES_MAX)
		return -EBADMSG;
	p = malloc((size_t)st.st_size);
	if (p == NULL)
		return -ENOMEM;
	/* The server has written it, and the place in the file is shared with it. */
	n = pread(file, p, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		free(p);
		return -EBADMSG;
	}
	answer->snapshot = p;
	answer->snapshot_bytes = (size_t)n;
	return 0;
}

static int take_answer(int fd, uid_t owner, struct client_answer *answer)
{
	struct control_reply reply = {0};
	int file = -1, r = 0;
	ssize_t n = receive_reply(fd, owner, &reply, &file);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)(2 * sizeof(uint32_t)) || reply.magic != CONTROL_MAGIC)
		r = -EBADMSG;
	else if (reply.version != CONTROL_VERSION)
		r = -EPROTONOSUPPORT;
	else if (n != sizeof(reply))
		r = -EBADMSG;
	else if (file >= 0)
		r = read_snapshot(file, answer);
	(void)fdio_close(&file);
	if (r < 0)
		return r;
	answer->status = reply.status;
	(void)str_copy(answer->text, sizeof(answer->text),
		(struct str){reply.text, strnlen(reply.text, sizeof(reply.text))});
	return 0;
}

int client_ask(const char *path, enum control_command command, int32_t argument,
	const char *name, uint64_t wait_ms, struct client_answer *ret)
{
	struct control_request request = {
		.magic = CONTROL_MAGIC,
		.version = CONTROL_VERSION,
		.command = command,
		.argument = argument,
	};
	uint64_t until_ms = clock_monotonic_ms() + wait_ms;
	struct client_answer answer = {0};
	uid_t owner = 0;
	int fd = -1, r = open_socket(wait_ms, &fd);

	if (r < 0)
		return r;
	(void)str_copy(request.name, sizeof(request.name), str_of(name));
	r = send_request(fd, path, &request, &owner);
	if (r == 0)
		do {
			r = wait_for_answer(fd, until_ms);
			if (r == 0)
				r = take_answer(fd, owner, &answer);
		} while (r == -EAGAIN);
	(void)fdio_close(&fd);
	if (r == 0)
		*ret = answer;
	return r;
}
