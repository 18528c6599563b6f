/* Starting commands; see start.h.
 *
 * Runs in the spawner.  A child that shares our memory until it has become the command
 * costs a fraction of one that gets a copy.  vfork(2) would have us wait for that, which
 * is half of what a short command takes; so the child has a stack of its own, and we go
 * on beside it.  Of what we share it writes nothing but its stack and its error, not even
 * errno: it makes its system calls by itself, and allocates, locks and calls nothing. */
#include "spawn/start.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Room for a handler of ours too, with all registers that a processor may have.  What is
 * not touched costs nothing. */
#define STACK_SIZE (64 * 1024)

/* Sanitizers take note of what each piece of memory holds: two processes in one memory
 * would mislead them. */
#ifdef WITH_SANITIZERS
#define SHARED_MEMORY 0
#else
#define SHARED_MEMORY CLONE_VM
#endif

#define EXIT_NOT_STARTED 127

/* A system call without libc: a negative errno, and the variable stays as it is. */
#if defined(__x86_64__)
#define HAS_OWN_CALLS true

static long call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
	register uintptr_t fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
#define HAS_OWN_CALLS true

static long call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
	register long x8 __asm__("x8") = number;
	register uintptr_t x0 __asm__("x0") = a;
	register uintptr_t x1 __asm__("x1") = b;
	register uintptr_t x2 __asm__("x2") = c;
	register uintptr_t x3 __asm__("x3") = d;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return (long)x0;
}
#else
/* Then we wait, and errno is nobody's meanwhile. */
#define HAS_OWN_CALLS false

static long call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
	long result = syscall(number, a, b, c, d);

	return result < 0 ? -errno : result;
}
#endif

void starter_init(struct starter *starter, bool is_waiting)
{
	*starter = (struct starter){
		.self = getpid(), .is_waiting = is_waiting || !HAS_OWN_CALLS};
}

/* What is not open on 0, 1 and 2 closes by itself.  Returns a negative errno, if at
 * all. */
static long become_command(const struct start *s)
{
	const struct starter *starter = s->starter;
	long r;

	if ((r = call(SYS_setsid, 0, 0, 0, 0)) < 0 ||
		(r = call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0)) < 0)
		return r;
	/* We may have died before that. */
	if (call(SYS_getppid, 0, 0, 0, 0) != starter->self)
		return -ESRCH;
	if ((r = call(SYS_dup3, (uintptr_t)s->input_fd, STDIN_FILENO, 0, 0)) < 0 ||
		(r = call(SYS_dup3, (uintptr_t)s->output_fd, STDOUT_FILENO, 0, 0)) < 0 ||
		(r = call(SYS_dup3, (uintptr_t)s->output_fd, STDERR_FILENO, 0, 0)) < 0)
		return r;
	if (s->directory != NULL &&
		(r = call(SYS_chdir, (uintptr_t)s->directory, 0, 0, 0)) < 0)
		return r;
	if (starter->has_files_limit &&
		(r = call(SYS_prlimit64, 0, RLIMIT_NOFILE,
			 (uintptr_t)&starter->files_limit, 0)) < 0)
		return r;
	return call(SYS_execve, (uintptr_t)s->line->argv[0], (uintptr_t)s->line->argv,
		(uintptr_t)s->line->envp, 0);
}

static int run_child(void *user)
{
	struct start *s = user;

	s->error = (int)-become_command(s);
	return EXIT_NOT_STARTED; /* to clone, which ends the process with that */
}

static int take_stack(struct start *s)
{
	char *stack;

	if (s->stack != NULL)
		return 0;
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	s->stack = stack;
	return 0;
}

int start_command(struct start *start, pid_t *ret_pid, int *ret_pidfd)
{
	const int wait = start->starter->is_waiting ? CLONE_VFORK : 0;
	int pidfd, r = take_stack(start);
	pid_t pid;

	assert(start->input_fd > 2 && start->output_fd > 2);
	if (r < 0)
		return r;
	start->error = 0;
	pid = clone(run_child, start->stack + STACK_SIZE,
		SHARED_MEMORY | wait | CLONE_PIDFD | SIGCHLD, start, &pidfd);
	if (pid < 0)
		return -errno;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

void start_done(struct start *start)
{
	if (start->stack != NULL)
		(void)munmap(start->stack, STACK_SIZE);
	start->stack = NULL;
}
