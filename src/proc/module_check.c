/* Checking modules; see module_check.h.
 *
 * The master must not run what it would load: so a child does, which has given up all
 * that a worker gives up.  What the child says is text for the user, and not believed to
 * be anything else. */
#include "proc/module_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/number.h"
#include "policy/stack.h"
#include "proc/child.h"
#include "proc/identity.h"
#include "proc/sandbox.h"

/* The last byte of what the child says; without it the child was lost. */
#define SAID_DONE   'd'
#define SAID_FAILED 'f' /* why stands before it */

/* How long a signal may wait. */
#define LOOK_MS 200

static int give_up_rights(const struct identity *identity, pid_t master, int out)
{
	const struct rlimit none = {0, 0};
	const int kept[] = {out, log_fd()};
	int r;

	/* What is in our memory would be in that of a core file. */
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;

	if ((r = fdio_close_others(kept, 2)) < 0 ||
		(r = child_drop_standard_streams()) < 0 ||
		(r = sandbox_drop_bounding_set()) < 0 ||
		(r = identity_assume(identity)) < 0)
		return r;
	return child_watch_master(master, SIGKILL);
}

/* Signals have their usual meaning again: a module that crashes has to die of it. */
static void reset_signals(void)
{
	struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &usual, NULL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void open_and_close(const struct module_settings *settings,
	const struct module_env *env, const struct identity *identity, pid_t master,
	int out) __attribute__((noreturn));

static void open_and_close(const struct module_settings *settings,
	const struct module_env *env, const struct identity *identity, pid_t master,
	int out)
{
	struct stack *stack = stack_new(MODULES_LAYERS(1));
	struct modules *modules = NULL;
	char said[MODULE_ERROR_SIZE + 1] = "";
	int r = give_up_rights(identity, master, out);
	size_t n;

	log_note_process();
	setproctitle("module (checking)");
	reset_signals();
	if (r < 0 || stack == NULL)
		(void)snprintf(said, sizeof(said), "module '%s' cannot be checked: %s",
			settings->path, strerror(stack == NULL ? ENOMEM : -r));
	else if (modules_load(settings, 1, env, stack, 0, said, &modules) == 0)
		modules_free(modules);
	n = strlen(said);
	said[n] = n == 0 ? SAID_DONE : SAID_FAILED;
	_exit(fdio_write_all(out, said, n + 1) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* The master hears of its signals when it is done here, and others wait for no module. */
static bool is_told_to_stop(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 ||
						    sigismember(&pending, SIGINT) == 1);
}

/* All that the child says, cut to size.  Returns its length, or a negative errno:
 * -ECANCELED if the server is to stop. */
static ssize_t listen_to(int in, uint64_t deadline_ms, char *said, size_t size)
{
	size_t used = 0;

	for (;;) {
		struct pollfd child = {.fd = in, .events = POLLIN};
		uint64_t now_ms = clock_monotonic_ms();
		ssize_t n;

		if (now_ms >= deadline_ms)
			return -ETIMEDOUT;
		if (is_told_to_stop())
			return -ECANCELED;
		if (poll(&child, 1, (int)number_min(deadline_ms - now_ms, LOOK_MS)) < 0 &&
			errno != EINTR)
			return -errno;
		if (child.revents == 0)
			continue;
		n = fdio_read(in, said + used, size - used);
		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return n < 0 ? n : (ssize_t)used;
		used += (size_t)n;
	}
}

static int judge(
	const struct module_settings *settings, char *said, ssize_t n, char *error)
{
	if (n > 0 && said[n - 1] == SAID_DONE)
		return 0;
	if (n > 0 && said[n - 1] == SAID_FAILED)
		(void)str_copy(
			error, MODULE_ERROR_SIZE, (struct str){said, (size_t)n - 1});
	else if (n == -ETIMEDOUT)
		(void)snprintf(error, MODULE_ERROR_SIZE,
			"module '%s' does not start: it takes too long", settings->path);
	else if (n == -ECANCELED)
		(void)snprintf(error, MODULE_ERROR_SIZE,
			"module '%s' is not waited for: the server is to stop",
			settings->path);
	else
		(void)snprintf(error, MODULE_ERROR_SIZE, "module '%s' does not start: %s",
			settings->path,
			n < 0 ? strerror((int)-n) : "it crashes, or ends its process");
	return -1;
}

static int check_one(const struct module_settings *settings, const struct module_env *env,
	const struct identity *identity, uint64_t timeout_ms, char *error)
{
	char said[MODULE_ERROR_SIZE + 1];
	pid_t master = getpid(), pid;
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return judge(settings, said, -errno, error);
	pid = fork();
	if (pid == 0)
		open_and_close(settings, env, identity, master, ends[1]);
	n = pid < 0 ? -errno : 0;
	(void)fdio_close(&ends[1]);
	if (pid > 0) {
		n = listen_to(
			ends[0], clock_monotonic_ms() + timeout_ms, said, sizeof(said));
		child_end(pid);
	}
	(void)fdio_close(&ends[0]);
	return judge(settings, said, n, error);
}

int module_check(const struct module_settings *settings, size_t n,
	const struct module_env *env, const struct identity *identity,
	uint64_t timeout_ms, char *error)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = check_one(&settings[i], env, identity, timeout_ms, error);
	return r;
}
