/* Questions of many processes to one helper, which does for them what they may not.
 *
 * All of them share the two ends of one channel.  With each question goes one end of a
 * socket pair of its own, on which the answer comes, so askers never hear each other's
 * answers, and one that waits sees the end of file when the helper dies.  Questions that
 * no helper has taken wait in the channel for the next one.
 *
 * Questions and answers are whole or not at all.  All functions return a negative errno
 * on failure; none logs. */
#ifndef SINKD_BASE_IPC_H
#define SINKD_BASE_IPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors that go with a question, besides the one for its answer. */
#define IPC_FDS_MAX 8

/* Make a channel.  Returns 0. */
int ipc_open(int *ret_asker_fd, int *ret_helper_fd);

/* Ask, and wait for the answer until deadline_ms (monotonic clock); both p[0..n) and the
 * answer have one byte at least.  fds[0..fd_count) go along and stay the caller's.
 * Returns the length of the answer, -ETIME when there was none in time, -EPIPE when the
 * helper died over it or refused to answer, -EMSGSIZE when the answer is longer than
 * size. */
ssize_t ipc_ask(int fd, const void *p, size_t n, const int *fds, size_t fd_count,
	void *ret_answer, size_t size, uint64_t deadline_ms);

/* The same without descriptors, but one may come with the answer: *ret_fd, which is the
 * caller's then, or -1. */
ssize_t ipc_ask_fd(int fd, const void *p, size_t n, void *ret_answer, size_t size,
	uint64_t deadline_ms, int *ret_fd);

/* Only ask; the answer can be received from *ret_answer_fd, which is the caller's.
 * -ETIME: there was no room in the channel until then (0: now). */
int ipc_post(int fd, const void *p, size_t n, const int *fds, size_t fd_count,
	uint64_t deadline_ms, int *ret_answer_fd);

struct ipc_question {
	void *p; /* room for it, and how much; of the caller */
	size_t size;
	size_t n; /* bytes that came */
	int fds[IPC_FDS_MAX];
	size_t fd_count;
	int answer_fd;
};

/* Take a question; blocks until there is one.  Returns 0, and then one of the functions
 * below has to be called; -EBADMSG for one that cannot be answered (too long, or with
 * the wrong descriptors), which is thrown away; -EPIPE when nobody is left who could
 * ask. */
int ipc_receive(int fd, struct ipc_question *q);

/* Answer p[0..n), one byte at least; or do not.  Never blocks, whoever asked: one who
 * has not read it by now will not get it.  Closes all descriptors of the question; one
 * that is to be kept has to be set to -1 before.  ipc_answer returns 0, or why nobody
 * got the answer. */
int ipc_answer(struct ipc_question *q, const void *p, size_t n);
/* With a descriptor, which stays the caller's. */
int ipc_answer_fd(struct ipc_question *q, const void *p, size_t n, int fd);
void ipc_drop(struct ipc_question *q);

#endif
