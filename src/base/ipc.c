/* Questions to a helper; see ipc.h.
 *
 * Asked by workers, in their sandbox; answered by helpers.  The helper believes nothing
 * of what it receives: whoever asks may have been taken over. */
#include "base/ipc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fdio.h"

/* As many as the kernel lets go with one message; none may stay behind. */
#define SENT_FDS_MAX 253

/* Descriptors of a message, in the form of the kernel. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(SENT_FDS_MAX * sizeof(int))];
};

int ipc_open(int *ret_asker_fd, int *ret_helper_fd)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	*ret_asker_fd = ends[0];
	*ret_helper_fd = ends[1];
	return 0;
}

/* -------------------------------------------------------------- descriptors */

/* These go along: first, and then the others. */
static void put_fds(struct msghdr *m, union control *control, int first, const int *fds,
	size_t fd_count)
{
	size_t n = (1 + fd_count) * sizeof(int);
	struct cmsghdr *c = &control->align;

	m->msg_control = control->bytes;
	m->msg_controllen = CMSG_SPACE(n);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), &first, sizeof(int));
	if (fd_count > 0)
		memcpy(CMSG_DATA(c) + sizeof(int), fds, fd_count * sizeof(int));
}

/* All descriptors that came are ours to close now, however many and in whatever form
 * they were sent.  Returns how many there were; the first of them go into fds[0..max). */
static size_t take_fds(struct msghdr *m, int *fds, size_t max)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < max)
				fds[count] = fd;
			else
				(void)fdio_close(&fd);
			count++;
		}
	}
	return count;
}

/* ------------------------------------------------------------------- asking */

/* Wait until fd is ready.  A signal is no reason to give up. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now_ms = clock_monotonic_ms();
		uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
		int r = poll(&p, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && left_ms < INT_MAX)
			return -ETIME;
	}
}

/* Into the channel, when there is room. */
static int send_question(int fd, const struct msghdr *m, uint64_t deadline_ms)
{
	int r = 0;

	while (r == 0 && sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLOUT, deadline_ms);
	}
	return r;
}

/* With a descriptor, where one is expected; -1 if none came.  What nobody expects the
 * kernel throws away. */
static ssize_t receive_once(int fd, void *p, size_t size, int *ret_fd)
{
	struct iovec part = {.iov_base = p, .iov_len = size};
	union control control;
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	if (ret_fd == NULL)
		return recv(fd, p, size, MSG_DONTWAIT | MSG_TRUNC);
	*ret_fd = -1;
	n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (n >= 0)
		(void)take_fds(&m, ret_fd, 1);
	if (n == 0 || n > (ssize_t)size)
		(void)fdio_close(ret_fd);
	return n;
}

static ssize_t receive_answer(
	int fd, void *p, size_t size, int *ret_fd, uint64_t deadline_ms)
{
	ssize_t n;
	int r;

	do {
		r = wait_for(fd, POLLIN, deadline_ms);
		if (r < 0)
			return r;
		n = receive_once(fd, p, size, ret_fd);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	return (size_t)n > size ? -EMSGSIZE : n;
}

int ipc_post(int fd, const void *p, size_t n, const int *fds, size_t fd_count,
	uint64_t deadline_ms, int *ret_answer_fd)
{
	/* sendmsg wants a pointer that it may write through; it does not. */
	union {
		const void *in;
		void *out;
	} question = {.in = p};
	struct iovec part = {.iov_base = question.out, .iov_len = n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union control control = {0};
	int ends[2], r;

	assert(n > 0 && fd_count <= IPC_FDS_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	put_fds(&m, &control, ends[1], fds, fd_count);
	r = send_question(fd, &m, deadline_ms);
	/* From here on only the helper, or the channel, holds the other end. */
	(void)fdio_close(&ends[1]);
	if (r < 0)
		(void)fdio_close(&ends[0]);
	else
		*ret_answer_fd = ends[0];
	return r;
}

ssize_t ipc_ask(int fd, const void *p, size_t n, const int *fds, size_t fd_count,
	void *ret_answer, size_t size, uint64_t deadline_ms)
{
	int answer_fd = -1;
	ssize_t r = ipc_post(fd, p, n, fds, fd_count, deadline_ms, &answer_fd);

	if (r < 0)
		return r;
	r = receive_answer(answer_fd, ret_answer, size, NULL, deadline_ms);
	(void)fdio_close(&answer_fd);
	return r;
}

ssize_t ipc_ask_fd(int fd, const void *p, size_t n, void *ret_answer, size_t size,
	uint64_t deadline_ms, int *ret_fd)
{
	int answer_fd = -1, found = -1;
	ssize_t r = ipc_post(fd, p, n, NULL, 0, deadline_ms, &answer_fd);

	if (r < 0)
		return r;
	r = receive_answer(answer_fd, ret_answer, size, &found, deadline_ms);
	(void)fdio_close(&answer_fd);
	if (r >= 0)
		*ret_fd = found;
	return r;
}

/* ---------------------------------------------------------------- answering */

/* An empty message looks like the end of file, and anybody can send one. */
static bool is_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

int ipc_receive(int fd, struct ipc_question *q)
{
	struct iovec part = {.iov_base = q->p, .iov_len = q->size};
	union control control;
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int fds[1 + IPC_FDS_MAX];
	size_t count;
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	count = take_fds(&m, fds, 1 + IPC_FDS_MAX);
	if (n == 0 && count == 0)
		return is_end(fd) ? -EPIPE : -EBADMSG;
	q->n = (size_t)n;
	q->answer_fd = count > 0 ? fds[0] : -1;
	q->fd_count = 0;
	for (size_t i = 1; i < count && i <= IPC_FDS_MAX; i++)
		q->fds[q->fd_count++] = fds[i];
	if (n > 0 && count > 0 && count <= 1 + IPC_FDS_MAX &&
		(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
		return 0;
	ipc_drop(q);
	return -EBADMSG;
}

void ipc_drop(struct ipc_question *q)
{
	for (size_t i = 0; i < q->fd_count; i++)
		(void)fdio_close(&q->fds[i]);
	q->fd_count = 0;
	(void)fdio_close(&q->answer_fd);
}

int ipc_answer(struct ipc_question *q, const void *p, size_t n)
{
	int r = 0;

	assert(n > 0);
	if (send(q->answer_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		r = -errno;
	ipc_drop(q);
	return r;
}

int ipc_answer_fd(struct ipc_question *q, const void *p, size_t n, int fd)
{
	/* See ipc_post. */
	union {
		const void *in;
		void *out;
	} answer = {.in = p};
	struct iovec part = {.iov_base = answer.out, .iov_len = n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union control control = {0};
	int r = 0;

	assert(n > 0);
	put_fds(&m, &control, fd, NULL, 0);
	if (sendmsg(q->answer_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		r = -errno;
	ipc_drop(q);
	return r;
}
