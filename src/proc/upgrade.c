/* Upgrade; see upgrade.h.
 *
 * Runs in the master, maybe as root.  What is executed is the path that our own binary
 * had when we were started, with the arguments and the environment that we got: nothing
 * that a client or a worker says has a part in it.
 *
 * Known limit: when we were started by way of a symbolic link that has been changed
 * since, it is the file that the link pointed to then. */
#include "proc/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "proc/inherit.h"

/* A server starts in a fraction of a second; a file system or a name service that hangs
 * is not waited for any longer than this. */
#define PATIENCE_MS 60000

/* The first line of what is wrong with a configuration; the log would cut it too. */
#define REASON_MAX 512

/* As shells have it: a program that could not be executed. */
#define EXIT_NOT_EXECUTED 126

static char **copy_arguments(char *const *argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n] != NULL)
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n && copy != NULL; i++) {
		copy[i] = strdup(argv[i]);
		if (copy[i] == NULL) {
			while (i > 0)
				free(copy[--i]);
			free(copy);
			return NULL;
		}
	}
	return copy;
}

void upgrade_env_init(struct upgrade_env *ret, char *const *argv)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct upgrade_env env = {.argv = copy_arguments(argv)};

	if (n > 0) {
		path[n] = '\0';
		env.binary = strdup(path);
	}
	env.directory = getcwd(NULL, 0);
	if (env.argv == NULL) {
		free(env.binary);
		env.binary = NULL;
	}
	*ret = env;
}

void upgrade_env_done(struct upgrade_env *env)
{
	for (size_t i = 0; env->argv != NULL && env->argv[i] != NULL; i++)
		free(env->argv[i]);
	free(env->argv);
	free(env->binary);
	free(env->directory);
	*env = (struct upgrade_env){0};
}

/* The sockets and the pipe, and nothing else, are for the new server. */
static int keep_descriptors(const struct listener *l, size_t n, int tell_fd)
{
	int keep[LISTENERS_MAX + 2];
	size_t count = 0;

	if (n > LISTENERS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		keep[count++] = l[i].fd;
	keep[count++] = tell_fd;
	for (size_t i = 0; i < count; i++)
		if (fcntl(keep[i], F_SETFD, 0) < 0)
			return -errno;
	/* For the case that we have to say why it failed; it closes by itself. */
	keep[count++] = log_fd();
	return fdio_close_others(keep, count);
}

static int return_to(const char *directory)
{
	char now[PATH_MAX];

	if (directory == NULL)
		return 0;
	if (getcwd(now, sizeof(now)) != NULL && strcmp(now, directory) == 0)
		return 0;
	return chdir(directory) < 0 ? -errno : 0;
}

/* In the child. */
static void become_server(const struct upgrade_env *env, const struct listener *l,
	size_t n, int tell_fd) __attribute__((noreturn));
static void become_server(
	const struct upgrade_env *env, const struct listener *l, size_t n, int tell_fd)
{
	char value[INHERIT_UPGRADE_MAX];
	sigset_t none;
	int r;

	log_note_process();
	(void)sigemptyset(&none);
	r = keep_descriptors(l, n, tell_fd);
	if (r == 0)
		r = return_to(env->directory);
	if (r == 0)
		r = inherit_format(tell_fd, l, n, value);
	if (r == 0 && (setenv(INHERIT_UPGRADE_VARIABLE, value, 1) < 0 ||
			      sigprocmask(SIG_SETMASK, &none, NULL) < 0))
		r = -errno;
	if (r == 0) {
		(void)execv(env->binary, env->argv);
		r = -errno;
	}
	log_event(LOG_ERROR, EV_SERVER_UPGRADE, LOG_TEXT("result", "failed"),
		LOG_TEXT("path", env->binary), LOG_ERRNO(r));
	_exit(EXIT_NOT_EXECUTED);
}

int upgrade_start(const struct upgrade_env *env, const struct listener *l, size_t n,
	pid_t *ret_pid, int *ret_fd)
{
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || (pid = fork()) < 0) {
		r = -errno;
		(void)fdio_close(&ends[0]);
		(void)fdio_close(&ends[1]);
		return r;
	}
	if (pid == 0)
		become_server(env, l, n, ends[1]);
	(void)fdio_close(&ends[1]);
	*ret_pid = pid;
	*ret_fd = ends[0];
	return 0;
}

static void refuse(const char *advice)
{
	log_event(LOG_WARN, EV_SERVER_UPGRADE, LOG_TEXT("result", "refused"),
		LOG_TEXT("advice", advice));
}

void upgrade_request(struct upgrade *u, const struct upgrade_env *env,
	const struct listener *l, size_t n)
{
	int r;

	if (u->pid != 0) {
		refuse("one is under way, going on with that");
		return;
	}
	if (getpid() == 1) {
		refuse("PID 1 cannot leave; start a new container instead");
		return;
	}
	if (env == NULL || env->binary == NULL) {
		refuse("the path of the binary is not known; start it anew instead");
		return;
	}
	r = upgrade_start(env, l, n, &u->pid, &u->fd);
	if (r < 0) {
		log_event(LOG_ERROR, EV_SERVER_UPGRADE, LOG_TEXT("result", "failed"),
			LOG_ERRNO(r), LOG_TEXT("advice", "going on as before"));
		return;
	}
	u->deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
	log_event(LOG_INFO, EV_SERVER_UPGRADE, LOG_TEXT("result", "started"),
		LOG_NUM("new", u->pid), LOG_TEXT("path", env->binary));
}

/* It may have said that it serves, and died before we heard it. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       info.si_pid == pid;
}

bool upgrade_hear(struct upgrade *u)
{
	char text[REASON_MAX];
	ssize_t got;

	if (u->fd < 0)
		return false;
	got = fdio_read(u->fd, text, sizeof(text) - 1);
	if (got == -EAGAIN) {
		if (clock_monotonic_ms() < u->deadline_ms)
			return false;
		/* Its end will tell the rest. */
		(void)kill(u->pid, SIGKILL);
	}
	(void)fdio_close(&u->fd);
	u->deadline_ms = UINT64_MAX;
	text[got < 0 ? 0 : got] = '\0';
	u->is_ready = got > 0 && text[0] == '\0' && !has_ended(u->pid);
	if (got > 0 && text[0] != '\0')
		log_event(LOG_ERROR, EV_SERVER_UPGRADE, LOG_TEXT("result", "failed"),
			LOG_NUM("new", u->pid),
			LOG_STR("line", ((struct str){text, strcspn(text, "\n")})));
	if (!u->is_ready)
		return false;
	log_event(LOG_INFO, EV_SERVER_UPGRADE, LOG_TEXT("result", "ready"),
		LOG_NUM("new", u->pid));
	return true;
}

bool upgrade_note_exit(struct upgrade *u, pid_t pid, int status)
{
	const char *result = u->is_ready ? "ended" : "failed";

	if (pid <= 0 || pid != u->pid)
		return false;
	if (WIFSIGNALED(status))
		log_event(LOG_ERROR, EV_SERVER_UPGRADE, LOG_TEXT("result", result),
			LOG_NUM("new", pid),
			LOG_TEXT("signal", sigabbrev_np(WTERMSIG(status))));
	else
		log_event(LOG_ERROR, EV_SERVER_UPGRADE, LOG_TEXT("result", result),
			LOG_NUM("new", pid), LOG_NUM("status", WEXITSTATUS(status)),
			LOG_TEXT("advice", "see its log; sinkd --test checks the "
					   "configuration"));
	(void)fdio_close(&u->fd);
	*u = UPGRADE_NONE;
	return true;
}

void upgrade_cancel(struct upgrade *u)
{
	if (u->fd >= 0)
		(void)kill(u->pid, SIGTERM);
}
