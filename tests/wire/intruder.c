/* A program run in a worker's place: what somebody would try who has taken it over.
 *
 * Linked with all of the server but serve.c, whose functions are these; so it is a real
 * worker, set up as always, that tries.  It greets a client with its pid.  The client
 * sends one line, "NAME ARGUMENT"; the answer is "done", or "refused " and the error; or
 * the end, if the try was the last. */
#include "proc/serve.h"

#include "intruder.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "net/key_request.h"

struct server {
	const struct serve_env *env;
};

/* Our own page of the slots; its neighbours are those of the other workers.  And what
 * all of them write. */
static struct slot *own_slot;
static struct counters *counters;
static size_t own_index;
static int client_fd;
static int keys_fd; /* the channel to the keys, which all workers share */
int listener_fd, spawner_fd;

static pid_t pid_of(const char *argument)
{
	return (pid_t)strtol(argument, NULL, 10);
}

static long try_exec(const struct board *board, const char *argument)
{
	char name[] = "true", *argv[] = {name, NULL}, *envp[] = {NULL};

	(void)board;
	return execve(argument, argv, envp);
}

static long try_fork(const struct board *board, const char *argument)
{
	pid_t pid = fork();

	(void)board;
	(void)argument;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static long try_clone3(const struct board *board, const char *argument)
{
	uint64_t arguments[8] = {0}; /* as fork does */
	long pid;

	(void)board;
	(void)argument;
	arguments[4] = SIGCHLD;
	pid = syscall(SYS_clone3, arguments, sizeof(arguments));
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static long try_socket(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return socket(AF_INET, SOCK_STREAM, 0);
}

/* With what is at hand: a socket that was accepted can be disconnected and used again. */
static long try_connect(const struct board *board, const char *argument)
{
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(25)};

	(void)board;
	return connect((int)strtol(argument, NULL, 10), (const struct sockaddr *)&to,
		sizeof(to));
}

/* The socket that all workers share: "read", "write" or "both" directions. */
static long try_listener_shutdown(const struct board *board, const char *argument)
{
	int how = argument[0] == 'r' ? SHUT_RD : argument[0] == 'w' ? SHUT_WR : SHUT_RDWR;

	(void)board;
	return shutdown(listener_fd, how);
}

/* A tick so long that a client could hold a sibling for ever; "linger": every close there
 * would be a reset. */
static long try_listener_tick(const struct board *board, const char *argument)
{
	const struct timeval tick = {.tv_sec = 3600};

	(void)board;
	return setsockopt(listener_fd, SOL_SOCKET,
		argument[0] == 'r'   ? SO_RCVTIMEO
		: argument[0] == 'w' ? SO_SNDTIMEO
				     : SO_LINGER,
		&tick, sizeof(tick));
}

static long try_read(const struct board *board, const char *argument)
{
	(void)board;
	return open(argument, O_RDONLY);
}

static long try_write(const struct board *board, const char *argument)
{
	(void)board;
	return open(argument, O_WRONLY);
}

static long try_create(const struct board *board, const char *argument)
{
	(void)board;
	return open(argument, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static long try_truncate(const struct board *board, const char *argument)
{
	(void)board;
	return open(argument, O_WRONLY | O_TRUNC);
}

static long try_mkdir(const struct board *board, const char *argument)
{
	(void)board;
	return mkdirat(AT_FDCWD, argument, 0700);
}

static long try_rmdir(const struct board *board, const char *argument)
{
	(void)board;
	return unlinkat(AT_FDCWD, argument, AT_REMOVEDIR);
}

static long try_symlink(const struct board *board, const char *argument)
{
	(void)board;
	return symlink("/etc", argument);
}

static long try_chmod(const struct board *board, const char *argument)
{
	(void)board;
	return chmod(argument, 0777);
}

static long try_kill(const struct board *board, const char *argument)
{
	(void)board;
	return kill(pid_of(argument), 0);
}

static long try_tgkill(const struct board *board, const char *argument)
{
	(void)board;
	return tgkill(pid_of(argument), pid_of(argument), 0);
}

static long try_abort(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	abort();
}

static long try_ptrace(const struct board *board, const char *argument)
{
	(void)board;
	return ptrace(PTRACE_SEIZE, pid_of(argument), NULL, NULL);
}

static long try_vm_write(const struct board *board, const char *argument)
{
	char byte = 0;
	struct iovec own = {&byte, 1}, other = {&byte, 1};

	(void)board;
	/* It maps the same addresses, since both come from one fork. */
	return process_vm_writev(pid_of(argument), &own, 1, &other, 1, 0) == 1 ? 0 : -1;
}

static long try_setuid(const struct board *board, const char *argument)
{
	(void)board;
	return setuid((uid_t)pid_of(argument));
}

/* Memory that can be written and run. */
static long try_code(const struct board *board, const char *argument)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)board;
	(void)argument;
	return p == MAP_FAILED ? -1 : 0;
}

/* The page that all workers read. */
static void *page_of(const struct board *board)
{
	return (void *)(uintptr_t)board;
}

static long try_board_protect(const struct board *board, const char *argument)
{
	(void)argument;
	return mprotect(page_of(board), 4096, PROT_READ | PROT_WRITE);
}

static long try_board_remap(const struct board *board, const char *argument)
{
	(void)argument;
	return mremap(page_of(board), 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}

static long try_board_store(const struct board *board, const char *argument)
{
	(void)argument;
	atomic_store((_Atomic uint64_t *)page_of(board), 1);
	return 0;
}

static long try_slot_remap(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return mremap(own_slot, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}

static long try_counters_remap(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return mremap(counters, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}

/* What a sibling has written would run here. */
static long try_counters_code(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return mprotect(counters, 4096, PROT_READ | PROT_EXEC);
}

/* All of it is open to us: every client is everywhere, and all workers are idle. */
static long try_counters_lie(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	for (size_t i = 0; i < SLOTS_MAX; i++)
		counters_set_client(counters, i, UINT64_MAX);
	counters_correct_idle(counters, counters_get_idle(counters), UINT32_MAX / 2);
	return 0;
}

/* Our client is this one from now on, and stays so when we are gone. */
static long try_counters_claim(const struct board *board, const char *argument)
{
	(void)board;
	counters_set_client(counters, own_index, (uint64_t)pid_of(argument));
	return 0;
}

static long expect(uint64_t got, const char *argument)
{
	errno = ERANGE;
	return got == (uint64_t)strtol(strrchr(argument, ' '), NULL, 10) ? 0 : -1;
}

/* "KEY COUNT": so many workers have this client. */
static long try_counters_expect(const struct board *board, const char *argument)
{
	(void)board;
	return expect(
		counters_count_client(counters, SLOTS_MAX, (uint64_t)pid_of(argument)),
		argument);
}

/* "are COUNT": so many workers are idle while we serve. */
static long try_idle_expect(const struct board *board, const char *argument)
{
	(void)board;
	return expect(counters_get_idle(counters), argument);
}

int send_with(int to, const void *p, size_t n, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *c = &control.align;

	if (count > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static long try_keys_shutdown(const struct board *board, const char *argument)
{
	int how = argument[0] == 'r' ? SHUT_RD : argument[0] == 'w' ? SHUT_WR : SHUT_RDWR;

	(void)board;
	return shutdown(keys_fd, how);
}

/* To have another socket under its number, or it under another. */
static long try_keys_close(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return close(keys_fd);
}

static long try_keys_copy(const struct board *board, const char *argument)
{
	(void)board;
	(void)argument;
	return dup(keys_fd);
}

/* What others have asked, or were answered. */
static long try_keys_read(const struct board *board, const char *argument)
{
	char bytes[sizeof(struct key_answer)];

	(void)board;
	(void)argument;
	return recv(keys_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static long try_keys_receive(const struct board *board, const char *argument)
{
	char bytes[sizeof(struct key_answer)];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

	(void)board;
	(void)argument;
	return recvmsg(keys_fd, &m, MSG_DONTWAIT);
}

static long judge_answer(const struct key_answer *answer, ssize_t n)
{
	bool is_signed = n > (ssize_t)offsetof(struct key_answer, signature) &&
			 answer->status == 0;

	errno = n < 0 ? (int)-n : EPERM;
	return is_signed ? 0 : -1;
}

/* "KEY ALGORITHM LENGTH": a signature of so many bytes. */
static long try_keys_sign(const struct board *board, const char *argument)
{
	char *next;
	struct key_request q = {.key = (uint32_t)strtoul(argument, &next, 10)};
	struct key_answer answer;

	(void)board;
	q.algorithm = (uint32_t)strtoul(next, &next, 10);
	q.length = (uint32_t)strtoul(next, &next, 10);
	return judge_answer(&answer,
		ipc_ask(keys_fd, &q, offsetof(struct key_request, hash) + q.length, NULL,
			0, &answer, sizeof(answer), clock_monotonic_ms() + PATIENCE_MS));
}

/* The same of the first key, in two steps: the client hears when it is asked. */
static long try_keys_wait(const struct board *board, const char *argument)
{
	const struct key_request q = {
		.algorithm = GNUTLS_SIGN_ECDSA_SHA256, .length = 32};
	struct key_answer answer;
	int ends[2];

	(void)board;
	(void)argument;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
		send_with(keys_fd, &q, offsetof(struct key_request, hash) + q.length,
			&ends[1], 1) < 0)
		return -1;
	(void)close(ends[1]);
	(void)send(client_fd, "asked\n", 6, MSG_NOSIGNAL);
	return judge_answer(&answer, recv(ends[0], &answer, sizeof(answer), 0));
}

/* No questions; or questions with an answer that goes astray, into the channel too. */
static long try_keys_garbage(const struct board *board, const char *argument)
{
	const struct key_request q = {
		.algorithm = GNUTLS_SIGN_ECDSA_SHA256, .length = 32};
	const size_t n = offsetof(struct key_request, hash) + q.length;
	static char junk[60000];
	int fds[FDS_MAX];

	(void)board;
	(void)argument;
	for (size_t i = 0; i < FDS_MAX; i++)
		fds[i] = listener_fd;
	return send_with(keys_fd, junk, 0, NULL, 0) < 0 ||
			       send_with(keys_fd, junk, 1, NULL, 0) < 0 ||
			       send_with(keys_fd, junk, sizeof(junk), NULL, 0) < 0 ||
			       send_with(keys_fd, junk, sizeof(junk), fds, 1) < 0 ||
			       send_with(keys_fd, &q, n, fds, FDS_MAX) < 0 ||
			       send_with(keys_fd, &q, n, fds, 1) < 0 ||
			       send_with(keys_fd, &q, n, NULL, 0) < 0 ||
			       send_with(keys_fd, &q, n, &keys_fd, 1) < 0
		       ? -1
		       : 0;
}

/* As many as that, as fast as they are taken. */
static long try_keys_flood(const struct board *board, const char *argument)
{
	long r = 0;

	(void)board;
	for (long i = strtol(argument, NULL, 10); i > 0 && r == 0; i--)
		r = send_with(keys_fd, "?", 1, NULL, 0);
	return r;
}

/* To have somebody outside use what we may not. */
static long try_hand_on(const struct board *board, const char *argument)
{
	int ends[2];

	(void)board;
	(void)argument;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	return send_with(ends[0], "x", 1, &listener_fd, 1);
}

/* Datagrams go to any address. */
static long try_pair(const struct board *board, const char *argument)
{
	int ends[2];

	(void)board;
	(void)argument;
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends);
}

static const struct named_try tries[] = {
	{"exec", try_exec},
	{"fork", try_fork},
	{"clone3", try_clone3},
	{"socket", try_socket},
	{"connect", try_connect},
	{"listener_shutdown", try_listener_shutdown},
	{"listener_tick", try_listener_tick},
	{"read", try_read},
	{"write", try_write},
	{"create", try_create},
	{"truncate", try_truncate},
	{"mkdir", try_mkdir},
	{"rmdir", try_rmdir},
	{"symlink", try_symlink},
	{"chmod", try_chmod},
	{"kill", try_kill},
	{"tgkill", try_tgkill},
	{"abort", try_abort},
	{"ptrace", try_ptrace},
	{"vm_write", try_vm_write},
	{"setuid", try_setuid},
	{"code", try_code},
	{"board_protect", try_board_protect},
	{"board_remap", try_board_remap},
	{"board_store", try_board_store},
	{"slot_remap", try_slot_remap},
	{"counters_remap", try_counters_remap},
	{"counters_code", try_counters_code},
	{"counters_lie", try_counters_lie},
	{"counters_claim", try_counters_claim},
	{"counters_expect", try_counters_expect},
	{"idle_expect", try_idle_expect},
	{"keys_shutdown", try_keys_shutdown},
	{"keys_close", try_keys_close},
	{"keys_copy", try_keys_copy},
	{"keys_read", try_keys_read},
	{"keys_receive", try_keys_receive},
	{"keys_sign", try_keys_sign},
	{"keys_wait", try_keys_wait},
	{"keys_garbage", try_keys_garbage},
	{"keys_flood", try_keys_flood},
	{"hand_on", try_hand_on},
	{"pair", try_pair},
	{NULL, NULL},
};

static try_fn find_try(const char *name)
{
	const struct named_try *const lists[] = {tries, spawner_tries};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct named_try *t = lists[i]; t->name != NULL; t++)
			if (strcmp(t->name, name) == 0)
				return t->try;
	return NULL;
}

/* The next channel from this descriptor on, while there is no cage yet. */
static int find_channel(int fd)
{
	for (; fd < 64; fd++) {
		socklen_t n = sizeof(int);
		int type = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
			type == SOCK_SEQPACKET)
			return fd;
	}
	return -1;
}

struct server *serve_new(const struct serve_env *env)
{
	struct server *v = calloc(1, sizeof(*v));

	if (v != NULL)
		v->env = env;
	keys_fd = find_channel(0);
	spawner_fd = find_channel(keys_fd + 1);
	return v;
}

void serve_free(struct server *v)
{
	free(v);
}

void serve_client_take_fd(struct server *v, const struct listener *listener, int fd,
	const struct sockaddr_storage *from)
{
	char line[256], answer[64] = "unknown\n", *argument;
	try_fn try;
	ssize_t n;

	/* Else its death would look like that of a worker which never served. */
	own_slot = v->env->slot;
	counters = v->env->counters;
	listener_fd = listener->fd;
	client_fd = fd;
	own_index = v->env->worker_number - 1;
	slot_begin_session(own_slot, clock_monotonic_ms());
	slot_set_client(own_slot, from);
	(void)snprintf(line, sizeof(line), "%ld\n", (long)getpid());
	(void)send(fd, line, strlen(line), MSG_NOSIGNAL);
	do
		n = recv(fd, line, sizeof(line) - 1, 0);
	while (n < 0 && errno == EAGAIN); /* the tick */
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	argument = strchr(line, ' ');
	if (argument != NULL)
		*argument++ = '\0';
	try = find_try(line);
	if (try != NULL && try(v->env->board, argument == NULL ? "" : argument) < 0)
		(void)snprintf(
			answer, sizeof(answer), "refused %s\n", strerrorname_np(errno));
	else if (try != NULL)
		(void)snprintf(answer, sizeof(answer), "done\n");
	(void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	(void)close(fd);
}
