/* The cages; see sandbox.h.
 *
 * The list of system calls is built in the master by libseccomp, whose memory is then
 * given back; a process only hands the finished program to the kernel.  After that a
 * worker that was taken over can do to the system what these calls do, and no more.
 *
 * To add a call: put it into the group it belongs to with the reason, run the tests at
 * level "trap", and see docs/SECURITY.md.  Filters on arguments are for calls that are
 * rare; a call without one costs nothing, since the kernel remembers its verdict. */
#include "proc/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "net/listener.h"
#include "proc/confine.h"

/* A call, and what its arguments must be. */
struct rule {
	int call;
	unsigned arg_count;
	struct scmp_arg_cmp args[2];
};

#define CALL(name) .call = SCMP_SYS(name)
#define ARG_IS(i, value)                                                                 \
	{                                                                                \
		.arg = (i), .op = SCMP_CMP_EQ, .datum_a = (value)                        \
	}
#define ARG_LACKS(i, bits)                                                               \
	{                                                                                \
		.arg = (i), .op = SCMP_CMP_MASKED_EQ, .datum_a = (bits)                  \
	}

/* Talking to clients.  There is no way to a new socket but accept. */
static const struct rule client_calls[] = {
	{CALL(epoll_wait)},
	{CALL(epoll_pwait)}, /* what epoll_wait is on newer architectures */
	{CALL(accept4)},
	{CALL(recvfrom)},
	{CALL(sendto)},
	/* Before we wait for a client to hear our last words.  Of a listening socket,
	 * which all workers share, the other directions would be its end. */
	{CALL(shutdown), .arg_count = 1, .args = {ARG_IS(1, SHUT_WR)}},
	{CALL(close)},
	/* Of a client that is to see a reset; not of the sockets that we are given, see
	 * only_new. */
	{CALL(setsockopt), .arg_count = 2,
		.args = {ARG_IS(1, SOL_SOCKET), ARG_IS(2, SO_LINGER)}},
	/* The tick on a Unix socket, which does not inherit it, and is not for us to set.
	 * And a delay that a hook asked for. */
	{CALL(poll)},
	{CALL(ppoll)},
};

/* Asking the helpers, see base/ipc.c; the rest of that is above.  A pair of this type
 * alone: a datagram socket could send to any address. */
static const struct rule helper_calls[] = {
	{CALL(socketpair), .arg_count = 2,
		.args = {ARG_IS(0, AF_UNIX), ARG_IS(1, SOCK_SEQPACKET | SOCK_CLOEXEC)}},
	{CALL(sendmsg)},      /* to a channel alone, see only_own */
	{CALL(memfd_create)}, /* a message for a command */
	{CALL(fcntl), .arg_count = 1, .args = {ARG_IS(1, F_ADD_SEALS)}}, /* for several */
};

/* The keys process: questions, answers, and the log. */
static const struct rule keys_calls[] = {
	{CALL(recvmsg)},
	{CALL(sendto)},
	{CALL(close)},
	{CALL(poll)},
	{CALL(ppoll)},
	{CALL(write)},
};

/* Storing messages.  Which files these reach is for Landlock to say. */
static const struct rule file_calls[] = {
	{CALL(openat)},
	{CALL(openat2)}, /* a recipient's path, which must not leave its root */
	{CALL(mkdirat)}, /* mailboxes are made when the first message comes */
	{CALL(write)},   /* the log and the wake-up too */
	{CALL(fsync)},
	{CALL(renameat2)},
	{CALL(linkat)},   /* one message to several mailboxes */
	{CALL(unlinkat)}, /* directories too: one that could not be made durable */
	{CALL(fchmod)},   /* a file-mode that the umask would cut */
	/* A copy for a further mailbox; read where copy_file_range cannot, and of the
	 * quit pipe. */
	{CALL(lseek)},
	{CALL(copy_file_range)},
	{CALL(read)},
};

/* malloc, free and qsort.  Memory that can be run is never made; see denied_calls. */
static const struct rule memory_calls[] = {
	{CALL(brk)}, {CALL(mmap), .arg_count = 1, .args = {ARG_LACKS(2, PROT_EXEC)}},
	{CALL(munmap)}, {CALL(sysinfo)}, /* qsort: how much memory may I take? */
};

/* Time and chance.  The clock is read without a call where the machine's can be. */
static const struct rule time_calls[] = {
	{CALL(clock_gettime)},
	{CALL(clock_nanosleep)}, /* the pause after a failed accept */
	{CALL(nanosleep)},
	{CALL(restart_syscall)}, /* a wait goes on after the process was stopped */
	{CALL(getrandom)},
};

/* This process itself: its signals and its end.  The C library ends a process whose
 * memory is broken by writev (why) and tgkill; see only_own. */
static const struct rule self_calls[] = {
	{CALL(rt_sigreturn)},
	{CALL(rt_sigprocmask)},
	{CALL(rt_sigaction)},
	{CALL(getpid)},
	{CALL(gettid)},
	{CALL(tgkill)},
	{CALL(writev)},
	{CALL(exit_group)},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OF_WORKER    (1U << SANDBOX_WORKER)
#define OF_KEYS      (1U << SANDBOX_KEYS)
#define GROUP(roles, rules)                                                              \
	{                                                                                \
		(roles), (rules), COUNT(rules)                                           \
	}
static const struct {
	unsigned roles; /* bits */
	const struct rule *rules;
	size_t count;
} groups[] = {
	GROUP(OF_WORKER, client_calls),
	GROUP(OF_WORKER, helper_calls),
	GROUP(OF_WORKER, file_calls),
	GROUP(OF_KEYS, keys_calls),
	GROUP(OF_WORKER | OF_KEYS, memory_calls),
	GROUP(OF_WORKER | OF_KEYS, time_calls),
	GROUP(OF_WORKER | OF_KEYS, self_calls),
};

/* Calls that malloc tries and can do without: it hears an error and goes on.  The
 * first two would change what memory already mapped may be used for. */
static const struct {
	int call;
	uint16_t error;
} denied_calls[] = {
	{SCMP_SYS(mremap), ENOSYS}, /* a large realloc then copies */
	/* A second arena, when memory is short; before that, how many processors. */
	{SCMP_SYS(mprotect), EPERM},
	{SCMP_SYS(sched_getaffinity), ENOSYS},
};

/* ---------------------------------------------------------------- the trap */

/* Names of system calls by their number, filled in before any trap can spring; a
 * handler must not ask libseccomp, which allocates. */
#define CALLS_MAX 512
#define NAME_SIZE 24
static char call_names[CALLS_MAX][NAME_SIZE];

static void learn_names(void)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		(void)snprintf(call_names[i], NAME_SIZE, "%s", name == NULL ? "?" : name);
		free(name);
	}
}

/* Append text at line + n; returns the new length. */
static size_t append(char *line, size_t n, const char *text)
{
	while (*text != '\0')
		line[n++] = *text++;
	return n;
}

/* SIGSYS: say what was tried, and end.  With nothing but write(2), since who knows
 * what state the process is in; to standard error, which is never anything else. */
static void tell_trap(const char *process, const siginfo_t *info)
{
	int call = info->si_syscall;
	char line[160];
	size_t n;

	n = append(line, 0, "sinkd: ");
	n = append(line, n, process);
	n = append(line, n, " made the system call '");
	n = append(line, n, call >= 0 && call < CALLS_MAX ? call_names[call] : "?");
	n = append(line, n, "', which is not on its list\n");
	(void)!write(STDERR_FILENO, line, n);
	_exit(SANDBOX_EXIT_TRAPPED);
}

static void handle_worker_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	tell_trap("a worker", info);
}

static void handle_keys_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	tell_trap("the keys process", info);
}

/* ---------------------------------------------------------------- the list */

static bool has_seccomp(enum sandbox_level level)
{
	uint32_t action =
		level == SANDBOX_TRAP ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int add_rules(scmp_filter_ctx filter, enum sandbox_role role)
{
	int r = 0;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (size_t i = 0; i < groups[g].count && r == 0; i++) {
			const struct rule *rule = &groups[g].rules[i];

			if ((groups[g].roles & 1U << role) == 0)
				break;
			r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call,
				rule->arg_count, rule->args);
		}
	for (size_t i = 0; i < sizeof(denied_calls) / sizeof(denied_calls[0]); i++)
		if (r == 0)
			r = seccomp_rule_add(filter,
				SCMP_ACT_ERRNO(denied_calls[i].error),
				denied_calls[i].call, 0);
	return r;
}

/* Read back what libseccomp wrote; this version of it knows only descriptors. */
static int read_program(int fd, struct sock_fprog *ret)
{
	struct stat st;
	size_t size;
	ssize_t got;

	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	size = (size_t)st.st_size;
	if (size / sizeof(ret->filter[0]) > BPF_MAXINSNS)
		return -E2BIG;
	ret->filter = malloc(size);
	if (ret->filter == NULL)
		return -ENOMEM;
	got = fdio_read(fd, ret->filter, size);
	if (got != (ssize_t)size) {
		free(ret->filter);
		return got < 0 ? (int)got : -EIO;
	}
	ret->len = (unsigned short)(size / sizeof(ret->filter[0]));
	return 0;
}

static int build_program(
	uint32_t otherwise, enum sandbox_role role, struct sock_fprog *ret)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int fd = -1, r = -ENOMEM;

	if (filter == NULL)
		return r;
	/* Calls of another architecture have other numbers.  2: a tree instead of a
	 * list, so that no call is far behind. */
	if ((r = seccomp_attr_set(
		     filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) < 0 ||
		(r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)) < 0 ||
		(r = add_rules(filter, role)) < 0)
		goto out;
	fd = memfd_create("sinkd-calls", MFD_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		goto out;
	}
	r = seccomp_export_bpf(filter, fd);
	if (r == 0)
		r = read_program(fd, ret);
	(void)fdio_close(&fd);
out:
	seccomp_release(filter);
	return r;
}

int sandbox_init(enum sandbox_level level, enum sandbox_role role, struct sandbox *ret)
{
	struct sandbox s = {.role = role, .level = level};
	int r = 0;

#ifdef WITH_SANITIZERS
	/* They map, trace and read what they like, and must. */
	if (level != SANDBOX_OFF)
		s.missing = "built with sanitizers, going on without";
	s.level = SANDBOX_OFF;
#endif
	if (s.level != SANDBOX_OFF) {
		s.landlock = confine_version();
		if (s.landlock == 0)
			s.missing = "the kernel has no Landlock, going on without it";
		if (!has_seccomp(s.level)) {
			s.missing = "the kernel has no seccomp, going on without it";
			s.level = SANDBOX_OFF;
		}
	}
	if (s.level == SANDBOX_TRAP)
		learn_names();
	if (s.level != SANDBOX_OFF)
		r = build_program(
			s.level == SANDBOX_TRAP ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS,
			role, &s.program);
	if (r == 0)
		*ret = s;
	return r;
}

void sandbox_done(struct sandbox *s)
{
	free(s->program.filter);
	*s = (struct sandbox){0};
}

/* ------------------------------------------------------------ in a process */

int sandbox_drop_bounding_set(void)
{
	for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++)
		if (prctl(PR_CAPBSET_DROP, i) < 0)
			return errno == EPERM ? 0 : -errno;
	return 0;
}

int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &header, none) < 0)
		return -errno;
	return 0;
}

int sandbox_renounce(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
#ifndef WITH_SANITIZERS
	/* They look for leaks in a process that we fork and that traces us. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
		return -errno;
#endif
	return sandbox_drop_capabilities();
}

static int load(const struct sock_fprog *program)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0 ? -errno : 0;
}

/* Append one instruction; the list has room for all there can be. */
static void add_step(struct sock_fprog *list, struct sock_filter step)
{
	list->filter[list->len++] = step;
}

/* A list of its own, for what the one of the master cannot say: tgkill is for our own pid
 * alone; some sockets are not shut down, nor closed, so that their numbers stay their
 * own; and sendmsg, which hands descriptors on, is for those alone.  The kernel looks at
 * the low half of these arguments and so do we; libseccomp would compare all of it. */
static int only_own(const struct sandbox *s, uint32_t otherwise)
{
	const uint32_t first_low = offsetof(struct seccomp_data, args) +
				   (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shutdown, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(2 * s->shared_count + 5)),
		/* Is it one of the shared sockets? */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_low),
	};
	const struct sock_filter tail[] = {
		/* No: close and shutdown may be, sendmsg may not. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 5, 4),
		/* Yes: the other way round. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 2, 3),
		/* tgkill */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_low),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, otherwise),
	};
	struct sock_filter steps[COUNT(head) + 2 * SANDBOX_SHARED_MAX + COUNT(tail)];
	struct sock_fprog list = {.filter = steps};

	for (size_t i = 0; i < COUNT(head); i++)
		add_step(&list, head[i]);
	for (size_t i = 0; i < s->shared_count; i++) {
		size_t rest = 2 * (s->shared_count - 1 - i);

		add_step(&list, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					(uint32_t)s->shared_fds[i], 0, 1));
		add_step(&list, (struct sock_filter)BPF_STMT(
					BPF_JMP | BPF_JA, (uint32_t)(rest + 2)));
	}
	for (size_t i = 0; i < COUNT(tail); i++)
		add_step(&list, tail[i]);
	return load(&list);
}

/* Likewise: what accepted sockets inherit is not set. */
static int only_new(const int *set_fds, size_t n, uint32_t otherwise)
{
	const uint32_t first_low = offsetof(struct seccomp_data, args) +
				   (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
	struct sock_filter steps[5 + LISTENERS_MAX];
	struct sock_fprog list = {.filter = steps};

	assert(n <= LISTENERS_MAX);
	add_step(&list, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				offsetof(struct seccomp_data, nr)));
	add_step(&list, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
				SYS_setsockopt, 0, (uint8_t)(n + 1)));
	add_step(
		&list, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_low));
	for (size_t i = 0; i < n; i++)
		add_step(&list, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					(uint32_t)set_fds[i], (uint8_t)(n - i), 0));
	add_step(&list, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	add_step(&list, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
	return load(&list);
}

int sandbox_enter(const struct sandbox *s, const int *set_fds, size_t n)
{
	struct sigaction trap = {
		.sa_sigaction =
			s->role == SANDBOX_KEYS ? handle_keys_trap : handle_worker_trap,
		.sa_flags = SA_SIGINFO,
	};
	bool is_trap = s->level == SANDBOX_TRAP;
	uint32_t otherwise = is_trap ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS;
	int r;

	if (s->level == SANDBOX_OFF)
		return 0;
	if (is_trap && sigaction(SIGSYS, &trap, NULL) < 0)
		return -errno;
	/* First the short ones: the other does not allow a further list. */
	r = only_own(s, otherwise);
	if (r == 0 && n > 0)
		r = only_new(set_fds, n, otherwise);
	return r < 0 ? r : load(&s->program);
}
