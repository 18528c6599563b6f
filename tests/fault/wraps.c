/* The functions that the linker puts before those of libc; see faults.h.
 *
 * What succeeded is told to the model of the disk. */
#include "disk.h"
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <grp.h>

#include "base/log.h"

/* Its own declarations: the linker knows these names, no header does. */
#define WRAPPED(type, name, parameters)                                                  \
	type __real_##name parameters;                                                   \
	type __wrap_##name parameters;                                                   \
	type __wrap_##name parameters

/* Who passes fewer arguments than can be has more read from the stack than there are. */
#define WRAPPED_VARIADIC(type, name, parameters)                                         \
	__attribute__((no_sanitize("address"))) type __wrap_##name parameters;           \
	WRAPPED(type, name, parameters)

#define WRAP(type, failed, name, parameters, arguments)                                  \
	WRAPPED(type, name, parameters)                                                  \
	{                                                                                \
		return faults_strike(CALL_##name) ? (failed) : __real_##name arguments;  \
	}

WRAP(void *, NULL, malloc, (size_t n), (n))
WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, realloc, (void *p, size_t n), (p, n))
/* What these allocate they do inside libc. */
WRAPPED(char *, strdup, (const char *p))
{
	return faults_strike(CALL_malloc) ? NULL : __real_strdup(p);
}

WRAPPED(char *, strndup, (const char *p, size_t n))
{
	return faults_strike(CALL_malloc) ? NULL : __real_strndup(p, n);
}

WRAP(ssize_t, -1, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(off_t, -1, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, -1, fchownat, (int dir, const char *path, uid_t uid, gid_t gid, int flags),
	(dir, path, uid, gid, flags))
WRAP(int, -1, faccessat, (int dir, const char *path, int mode, int flags),
	(dir, path, mode, flags))
WRAP(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, -1, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, -1, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, -1, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(int, -1, setsockopt, (int fd, int level, int name, const void *p, socklen_t n),
	(fd, level, name, p, n))
WRAP(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
	(fd, a, n, flags))
WRAP(int, -1, shutdown, (int fd, int how), (fd, how))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int set, int op, int fd, struct epoll_event *e),
	(set, op, fd, e))
WRAP(int, -1, epoll_wait, (int set, struct epoll_event *e, int n, int timeout),
	(set, e, n, timeout))
WRAPPED(int, poll, (struct pollfd * p, nfds_t n, int timeout_ms))
{
	if (faults_strike(CALL_poll))
		return -1;
	if (faults_before_recv != NULL && n > 0 && (p->events & POLLIN) != 0 &&
		__real_poll(p, n, 0) == 0)
		faults_before_recv(p->fd);
	return __real_poll(p, n, timeout_ms);
}

WRAP(int, -1, ppoll,
	(struct pollfd * p, nfds_t n, const struct timespec *timeout, const sigset_t *s),
	(p, n, timeout, s))
/* The same, as a fortified build calls it. */
WRAPPED(int, __ppoll_chk,
	(struct pollfd * p, nfds_t n, const struct timespec *timeout, const sigset_t *s,
		size_t room))
{
	return faults_strike(CALL_ppoll) ? -1
					 : __real___ppoll_chk(p, n, timeout, s, room);
}

WRAP(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, -1, ftruncate, (int fd, off_t length), (fd, length))
WRAP(void *, MAP_FAILED, mmap,
	(void *p, size_t n, int protection, int flags, int fd, off_t offset),
	(p, n, protection, flags, fd, offset))
WRAP(int, -1, madvise, (void *p, size_t n, int advice), (p, n, advice))
WRAP(int, -1, signalfd, (int fd, const sigset_t *s, int flags), (fd, s, flags))
WRAP(int, -1, sigaction, (int number, const struct sigaction *new, struct sigaction *old),
	(number, new, old))
WRAP(int, -1, sigprocmask, (int how, const sigset_t *new, sigset_t *old), (how, new, old))
WRAP(int, -1, close_range, (unsigned first, unsigned last, int flags),
	(first, last, flags))
WRAP(ssize_t, -1, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags))
WRAP(int, -1, setgroups, (size_t n, const gid_t *groups), (n, groups))
WRAP(int, -1, setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s))
WRAP(int, -1, setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s))

WRAP(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]),
	(domain, type, protocol, fds))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, -1, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
/* The same, as a fortified build calls it. */
WRAPPED(ssize_t, __pread_chk, (int fd, void *p, size_t n, off_t at, size_t room))
{
	return faults_strike(CALL_pread) ? -1 : __real___pread_chk(fd, p, n, at, room);
}

WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, setrlimit, (int what, const struct rlimit *limit), (what, limit))

WRAP(int, -1, waitid, (idtype_t kind, id_t id, siginfo_t *info, int options),
	(kind, id, info, options))

WRAPPED_VARIADIC(int, clone, (int (*fn)(void *), void *stack, int flags, void *user, ...))
{
	va_list more;
	void *a[3];

	va_start(more, user);
	for (size_t i = 0; i < 3; i++)
		a[i] = va_arg(more, void *);
	va_end(more);
	return faults_strike(CALL_clone)
		       ? -1
		       : __real_clone(fn, stack, flags, user, a[0], a[1], a[2]);
}

WRAPPED(pid_t, fork, (void))
{
	pid_t pid = faults_strike(CALL_fork) ? -1 : __real_fork();

	if (pid == 0)
		faults_note_child();
	return pid;
}

/* Half of n, when that is what the fault is; 0 when the call fails. */
static size_t shorten(size_t n)
{
	return errno == FAULT_SHORT ? n - n / 2 : 0;
}

WRAPPED(ssize_t, write, (int fd, const void *p, size_t n))
{
	ssize_t written;

	if (faults_strike(fd == log_fd() ? CALL_log_write : CALL_write) &&
		(n = shorten(n)) == 0)
		return -1;
	written = __real_write(fd, p, n);
	if (written > 0)
		disk_note_write(fd, p, (size_t)written);
	return written;
}

WRAPPED(ssize_t, send, (int fd, const void *p, size_t n, int flags))
{
	if (faults_strike(CALL_send) && (n = shorten(n)) == 0)
		return -1;
	return __real_send(fd, p, n, flags);
}

WRAPPED(ssize_t, recv, (int fd, void *p, size_t n, int flags))
{
	if (faults_strike(CALL_recv))
		return -1;
	/* Who does not wait here has waited in poll. */
	if (faults_before_recv != NULL && (flags & MSG_DONTWAIT) == 0)
		faults_before_recv(fd);
	return __real_recv(fd, p, n, flags);
}

WRAPPED(ssize_t, copy_file_range,
	(int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned flags))
{
	ssize_t copied;

	if (faults_strike(CALL_copy_file_range) && (n = shorten(n)) == 0)
		return -1;
	copied = __real_copy_file_range(from, from_at, to, to_at, n, flags);
	if (copied > 0)
		disk_note_write(to, NULL, (size_t)copied);
	return copied;
}

/* Nothing here is to outlive the test, so the real disk is left alone. */
WRAPPED(int, fsync, (int fd))
{
	if (faults_strike(CALL_fsync))
		return -1;
	disk_note_sync(fd);
	return 0;
}

/* As on Linux: whatever it says, the descriptor is gone. */
WRAPPED(int, close, (int fd))
{
	bool has_failed = faults_strike(CALL_close);
	int error = errno;

	if (__real_close(fd) < 0)
		return -1;
	errno = error;
	return has_failed ? -1 : 0;
}

static int noted_file(int dir, const char *name, int flags, int fd)
{
	if (fd >= 0 && (flags & O_CREAT) != 0)
		disk_note_create(dir, name, fd);
	return fd;
}

WRAPPED(int, open, (const char *path, int flags, ...))
{
	va_list more;
	mode_t mode = 0;

	va_start(more, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(more, mode_t);
	va_end(more);
	if (faults_strike(CALL_open))
		return -1;
	return __real_open(path, flags, mode);
}

WRAPPED(int, openat, (int dir, const char *name, int flags, ...))
{
	va_list more;
	mode_t mode = 0;

	va_start(more, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(more, mode_t);
	va_end(more);
	if (faults_strike(CALL_openat))
		return -1;
	return noted_file(dir, name, flags, __real_openat(dir, name, flags, mode));
}

/* What the fortified headers make of an openat whose flags they cannot see. */
WRAPPED(int, __openat_2, (int dir, const char *name, int flags))
{
	return faults_strike(CALL_openat) ? -1 : __real_openat(dir, name, flags);
}

WRAPPED_VARIADIC(long, syscall, (long number, ...))
{
	va_list more;
	long a[6];

	if (number == SYS_openat2 && faults_strike(CALL_openat2))
		return -1;
	va_start(more, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

WRAPPED_VARIADIC(int, fcntl, (int fd, int command, ...))
{
	va_list more;
	long argument;

	va_start(more, command);
	argument = va_arg(more, long);
	va_end(more);
	return faults_strike(CALL_fcntl) ? -1 : __real_fcntl(fd, command, argument);
}

WRAPPED_VARIADIC(int, prctl, (int option, ...))
{
	va_list more;
	unsigned long a[4];

	va_start(more, option);
	for (size_t i = 0; i < 4; i++)
		a[i] = va_arg(more, unsigned long);
	va_end(more);
	return faults_strike(CALL_prctl) ? -1
					 : __real_prctl(option, a[0], a[1], a[2], a[3]);
}

WRAPPED(int, mkdirat, (int dir, const char *name, mode_t mode))
{
	int r = faults_strike(CALL_mkdirat) ? -1 : __real_mkdirat(dir, name, mode);

	if (r == 0)
		disk_note_mkdir(dir, name);
	return r;
}

WRAPPED(int, linkat, (int from, const char *name, int to, const char *new, int flags))
{
	int r = faults_strike(CALL_linkat) ? -1
					   : __real_linkat(from, name, to, new, flags);

	if (r == 0)
		disk_note_link(from, name, to, new);
	return r;
}

WRAPPED(int, unlinkat, (int dir, const char *name, int flags))
{
	int r = faults_strike(CALL_unlinkat) ? -1 : __real_unlinkat(dir, name, flags);

	if (r == 0)
		disk_note_unlink(dir, name);
	return r;
}

WRAPPED(int, renameat2,
	(int from, const char *name, int to, const char *new, unsigned flags))
{
	int r = faults_strike(CALL_renameat2)
			? -1
			: __real_renameat2(from, name, to, new, flags);

	if (r == 0) {
		disk_note_link(from, name, to, new);
		disk_note_unlink(from, name);
	}
	return r;
}

/* The pause after an accept that failed: a test has nothing to wait for. */
WRAPPED(int, nanosleep, (const struct timespec *wait, struct timespec *rest))
{
	(void)wait;
	(void)rest;
	return 0;
}
