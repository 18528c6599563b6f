/* Starting commands; see start.h.
 *
 * Runs in the spawner.  A child that shares our memory, while we wait until it has become
 * the command, costs a fraction of one that gets a copy (vfork(2); but on a stack of its
 * own, so that it cannot spoil ours).  Until then it may do little: nothing that
 * allocates, locks or returns. */
#include "spawn/start.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Room for a handler of ours too, with all registers that a processor may have. */
#define STACK_SIZE (64 * 1024)

/* Sanitizers take note of what each piece of memory holds: two processes in one memory
 * would mislead them. */
#ifdef WITH_SANITIZERS
#define CHILD_FLAGS (CLONE_PIDFD | SIGCHLD)
#else
#define CHILD_FLAGS (CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD)
#endif

#define EXIT_NOT_STARTED 127

struct child {
	const struct starter *starter;
	const struct start *start;
};

int starter_init(struct starter *starter)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return -errno;
	*starter = (struct starter){.stack = stack, .self = getpid()};
	return 0;
}

void starter_done(struct starter *starter)
{
	if (starter->stack != NULL)
		(void)munmap(starter->stack, STACK_SIZE);
	*starter = (struct starter){0};
}

/* What is not open on 0, 1 and 2 closes by itself. */
static int become_command(const struct child *c)
{
	const struct start *s = c->start;

	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return errno;
	/* We may have died before that. */
	if (getppid() != c->starter->self)
		return ESRCH;
	if (dup2(s->input_fd, STDIN_FILENO) < 0 ||
		dup2(s->output_fd, STDOUT_FILENO) < 0 ||
		dup2(s->output_fd, STDERR_FILENO) < 0)
		return errno;
	if (s->directory != NULL && chdir(s->directory) < 0)
		return errno;
	if (c->starter->has_files_limit &&
		setrlimit(RLIMIT_NOFILE, &c->starter->files_limit) < 0)
		return errno;
	(void)execve(s->line->argv[0], s->line->argv, s->line->envp);
	return errno;
}

static int run_child(void *user)
{
	const struct child *c = user;

	*c->start->ret_error = become_command(c);
	_exit(EXIT_NOT_STARTED);
}

int start_command(const struct starter *starter, const struct start *start,
	pid_t *ret_pid, int *ret_pidfd)
{
	struct child child = {starter, start};
	int pidfd;
	pid_t pid;

	assert(start->input_fd > 2 && start->output_fd > 2);
	*start->ret_error = 0;
	pid = clone(run_child, starter->stack + STACK_SIZE, CHILD_FLAGS, &child, &pidfd);
	if (pid < 0)
		return -errno;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
