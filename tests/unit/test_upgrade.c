/* Unit tests of proc/upgrade: what a master makes of what the new server says. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "proc/upgrade.h"
#include "unit.h"

/* A process that does nothing in the place of the new server, and its pipe. */
static struct upgrade begin(int *ret_write_fd)
{
	struct upgrade u = UPGRADE_NONE;
	int ends[2];

	/* Before the pipe is there, or it would hold the other end open. */
	u.pid = fork();
	if (u.pid == 0) {
		(void)pause();
		_exit(0);
	}
	CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	u.fd = ends[0];
	u.deadline_ms = clock_monotonic_ms() + 3600 * 1000;
	*ret_write_fd = ends[1];
	return u;
}

/* The process ends, by us unless the upgrade has ended it, and is noted. */
static void end(const char *name, struct upgrade *u, int number)
{
	pid_t pid = u->pid;
	int status = 0;

	if (number == SIGTERM)
		(void)kill(pid, number);
	CHECK(name, waitpid(pid, &status, 0) == pid);
	CHECK(name, WIFSIGNALED(status) && WTERMSIG(status) == number);
	CHECK(name, !upgrade_note_exit(u, pid + 1, status));
	CHECK(name, upgrade_note_exit(u, pid, status));
	CHECK(name, u->pid == 0 && u->fd < 0 && u->deadline_ms == UINT64_MAX);
	CHECK(name, !upgrade_note_exit(u, pid, status) && !upgrade_note_exit(u, 0, 0));
}

static void test_ready(void)
{
	int fd;
	struct upgrade u = begin(&fd);

	CHECK("nothing yet", !upgrade_hear(&u) && u.fd >= 0);
	CU_ASSERT(fdio_write_all(fd, "", 1) == 0);
	CHECK("ready", upgrade_hear(&u));
	CHECK("once", !upgrade_hear(&u) && u.fd < 0 && u.deadline_ms == UINT64_MAX);
	upgrade_cancel(&u);
	CHECK("not ended by us", waitpid(u.pid, NULL, WNOHANG) == 0);
	(void)close(fd);
	end("it ends later", &u, SIGTERM);
}

static void test_end_of_file(void)
{
	int fd;
	struct upgrade u = begin(&fd);

	(void)close(fd);
	CHECK("not ready", !upgrade_hear(&u) && u.fd < 0);
	end("end of file", &u, SIGTERM);
}

static void test_reason(void)
{
	int fd;
	struct upgrade u = begin(&fd);

	CU_ASSERT(fdio_write_all(fd, "conf:1: wrong\n", 14) == 0);
	CHECK("not ready", !upgrade_hear(&u) && u.fd < 0);
	(void)close(fd);
	end("it says why", &u, SIGTERM);
}

static void test_too_late(void)
{
	int fd;
	struct upgrade u = begin(&fd);

	u.deadline_ms = 1;
	CHECK("not ready", !upgrade_hear(&u) && u.deadline_ms == UINT64_MAX);
	end("too late", &u, SIGKILL);
	(void)close(fd);
}

static void test_refused(void)
{
	const struct upgrade_env unknown = {0};
	struct upgrade u = UPGRADE_NONE;

	upgrade_request(&u, NULL, NULL, 0);
	CHECK("no environment", u.pid == 0 && u.fd < 0);
	upgrade_request(&u, &unknown, NULL, 0);
	CHECK("no binary", u.pid == 0 && u.fd < 0);
	u.pid = INT_MAX;
	upgrade_request(&u, &unknown, NULL, 0);
	CHECK("under way", u.pid == INT_MAX && u.fd < 0);
}

static void test_env(void)
{
	char name[] = "sinkd", option[] = "-v", path[PATH_MAX] = "", here[PATH_MAX];
	char *argv[] = {name, option, NULL};
	struct upgrade_env env;

	upgrade_env_init(&env, argv);
	/* As setproctitle does. */
	memset(name, 'x', strlen(name));
	CHECK_STR("name", str_of(env.argv[0]), STR("sinkd"));
	CHECK_STR("option", str_of(env.argv[1]), STR("-v"));
	CHECK("end", env.argv[2] == NULL);
	CHECK("binary", readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	CHECK_STR("binary", str_of(env.binary), str_of(path));
	CHECK("directory", getcwd(here, sizeof(here)) != NULL);
	CHECK_STR("directory", str_of(env.directory), str_of(here));
	upgrade_env_done(&env);
	upgrade_env_done(&env);
}

void suite_upgrade(void)
{
	CU_pSuite s = CU_add_suite("upgrade", NULL, NULL);

	CU_add_test(s, "the new server is ready", test_ready);
	CU_add_test(s, "it ends without a word", test_end_of_file);
	CU_add_test(s, "it says why it cannot", test_reason);
	CU_add_test(s, "it takes too long", test_too_late);
	CU_add_test(s, "what is refused", test_refused);
	CU_add_test(s, "how we were started", test_env);
}
