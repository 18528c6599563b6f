/* Unit tests of proc/runtime: which directory, whether it is trusted, the pid file. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "proc/runtime.h"
#include "unit.h"

struct fixture {
	char dir[64];
	char path[128]; /* the runtime directory, not made yet */
	char pid_file[160];
};

static void set_up(struct fixture *f)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/sinkd-unit-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
	(void)snprintf(f->path, sizeof(f->path), "%s/run", f->dir);
	(void)snprintf(f->pid_file, sizeof(f->pid_file), "%s/sinkd.pid", f->path);
}

static void tear_down(struct fixture *f)
{
	(void)unlink(f->pid_file);
	(void)rmdir(f->path);
	(void)unlink(f->path);
	CU_ASSERT(rmdir(f->dir) == 0);
}

static void set_variable(const char *name, const char *value)
{
	if (value == NULL)
		(void)unsetenv(name);
	else
		(void)setenv(name, value, 1);
}

static void test_default(void)
{
	char own[64];
	const bool is_root = geteuid() == 0;
	const struct {
		const char *name, *of_systemd, *of_user, *expected;
	} cases[] = {
		{"systemd", "/run/a", "/run/user/1", "/run/a"},
		{"the first of several", "/run/a:/run/b", NULL, "/run/a"},
		{"the user's", NULL, "/run/user/1",
			is_root ? "/run/sinkd" : "/run/user/1/sinkd"},
		{"relative ones do not count", "a", "b", is_root ? "/run/sinkd" : own},
		{"neither", NULL, NULL, is_root ? "/run/sinkd" : own},
	};
	const char *before = getenv("RUNTIME_DIRECTORY");
	char path[PATH_MAX], saved[PATH_MAX];

	(void)snprintf(saved, sizeof(saved), "%s", before == NULL ? "" : before);
	(void)snprintf(own, sizeof(own), "/tmp/sinkd-%lu", (unsigned long)geteuid());
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_variable("RUNTIME_DIRECTORY", cases[i].of_systemd);
		set_variable("XDG_RUNTIME_DIR", cases[i].of_user);
		CHECK(cases[i].name, runtime_default(path) == 0);
		CHECK_STR(cases[i].name, str_of(path), str_of(cases[i].expected));
	}
	set_variable("RUNTIME_DIRECTORY", before == NULL ? NULL : saved);
}

static void test_made(void)
{
	struct fixture f;
	char path[PATH_MAX];
	struct stat st;

	set_up(&f);
	CHECK("made", runtime_prepare(f.path, path) == 0);
	CHECK_STR("made", str_of(path), str_of(f.path));
	CHECK("mode", stat(f.path, &st) == 0 && S_ISDIR(st.st_mode) &&
			      (st.st_mode & 0777) == (geteuid() == 0 ? 0755 : 0700));
	CHECK("made already", runtime_prepare(f.path, path) == 0);
	(void)snprintf(path, sizeof(path), "%s/no/run", f.dir);
	CHECK("nothing above it", runtime_prepare(path, path) == -ENOENT);
	tear_down(&f);
}

static void test_not_trusted(void)
{
	struct fixture f;
	char path[PATH_MAX], target[128];

	set_up(&f);
	CU_ASSERT(mkdir(f.path, 0700) == 0 && chmod(f.path, 0770) == 0);
	CHECK("written to by the group", runtime_prepare(f.path, path) == -EPERM);
	CU_ASSERT(chmod(f.path, 0702) == 0);
	CHECK("written to by anybody", runtime_check(f.path) == -EPERM);
	CU_ASSERT(rmdir(f.path) == 0);
	if (geteuid() == 0) {
		CU_ASSERT(mkdir(f.path, 0700) == 0 && chown(f.path, 1, 1) == 0);
		CHECK("somebody else's", runtime_prepare(f.path, path) == -EPERM);
		CU_ASSERT(rmdir(f.path) == 0);
	}
	(void)snprintf(target, sizeof(target), "%s/target", f.dir);
	CU_ASSERT(mkdir(target, 0700) == 0 && symlink(target, f.path) == 0);
	CHECK("a link", runtime_prepare(f.path, path) == -ENOTDIR);
	(void)snprintf(path, sizeof(path), "%s/", f.path);
	CHECK("a link with a slash", runtime_check(path) == -ENOTDIR);
	CU_ASSERT(rmdir(target) == 0 && unlink(f.path) == 0);
	CU_ASSERT(mknod(f.path, S_IFREG | 0600, 0) == 0);
	CHECK("a file", runtime_prepare(f.path, path) == -ENOTDIR);
	tear_down(&f);
}

struct above {
	const char *name;
	mode_t mode;
	uid_t uid;
	int result;
};

/* Each directory above it counts, and each link on the way. */
static void test_above(void)
{
	static const struct above cases[] = {
		{"ours", 0755, 0, 0},
		{"the group's", 0775, 0, -EPERM},
		{"anybody's", 0757, 0, -EPERM},
		{"sticky", 01777, 0, 0},
		{"somebody else's", 0755, 1, -EPERM},
		{"somebody else's and sticky", 01777, 1, -EPERM},
	};
	char above[128], below[160], link[128], linked[160], loop[128], looped[160];
	const bool is_root = geteuid() == 0;
	struct fixture f;

	set_up(&f);
	(void)snprintf(above, sizeof(above), "%s/above", f.dir);
	(void)snprintf(below, sizeof(below), "%s/run", above);
	(void)snprintf(link, sizeof(link), "%s/link", f.dir);
	(void)snprintf(linked, sizeof(linked), "%s/run", link);
	(void)snprintf(loop, sizeof(loop), "%s/loop", f.dir);
	(void)snprintf(looped, sizeof(looped), "%s/run", loop);
	CU_ASSERT_FATAL(mkdir(above, 0700) == 0 && mkdir(below, 0700) == 0);
	CU_ASSERT_FATAL(symlink("./above", link) == 0 && symlink("loop", loop) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct above *c = &cases[i];

		if (c->uid != 0 && !is_root)
			continue;
		CU_ASSERT(c->uid == 0 || chown(above, c->uid, c->uid) == 0);
		CU_ASSERT(chmod(above, c->mode) == 0);
		CHECK(c->name, runtime_check(below) == c->result);
		CHECK(c->name, runtime_check(linked) == c->result);
	}
	CU_ASSERT(!is_root || chown(above, 0, 0) == 0);
	CU_ASSERT(chmod(above, 0755) == 0);
	CHECK("links without an end", runtime_check(looped) == -ELOOP);
	CHECK("relative", runtime_check("run") == -EINVAL);
	CU_ASSERT(unlink(link) == 0 && symlink(above, link) == 0);
	CHECK("an absolute link", runtime_check(linked) == 0);
	if (is_root) {
		CU_ASSERT(lchown(link, 1, 1) == 0);
		CHECK("somebody else's link", runtime_check(linked) == -EPERM);
	}
	CU_ASSERT(unlink(link) == 0 && unlink(loop) == 0);
	CU_ASSERT(rmdir(below) == 0 && rmdir(above) == 0);
	tear_down(&f);
}

/* The number in the pid file; 0: there is none. */
static long pid_in_file(const struct fixture *f)
{
	FILE *file = fopen(f->pid_file, "r");
	long pid = 0;

	if (file != NULL) {
		if (fscanf(file, "%ld", &pid) != 1)
			pid = -1;
		(void)fclose(file);
	}
	return pid;
}

static void write_pid_file(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->pid_file, "w");

	CU_ASSERT_FATAL(file != NULL);
	CU_ASSERT(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void test_pid_file(void)
{
	static const char *const stale[] = {"", "x", "0", "-1", "99999999999999999999",
		"1\n" /* runs, but is no server */, "2147483647\n"};
	struct fixture f;
	char path[PATH_MAX];

	set_up(&f);
	CU_ASSERT_FATAL(runtime_prepare(f.path, path) == 0);
	CHECK("the first", runtime_write_pid(f.path, 0) == 0);
	CHECK("the first", pid_in_file(&f) == getpid());
	CHECK("our own again", runtime_write_pid(f.path, 0) == 0);
	for (size_t i = 0; i < sizeof(stale) / sizeof(stale[0]); i++) {
		write_pid_file(&f, stale[i]);
		CHECK(stale[i], runtime_write_pid(f.path, 0) == 0);
		CHECK(stale[i], pid_in_file(&f) == getpid());
	}
	runtime_remove_pid(f.path);
	CHECK("removed", pid_in_file(&f) == 0);
	write_pid_file(&f, "1\n");
	runtime_remove_pid(f.path);
	CHECK("another's stays", pid_in_file(&f) == 1);
	tear_down(&f);
}

static void test_other_server(void)
{
	struct fixture f;
	char path[PATH_MAX], text[32];
	pid_t other = fork();

	if (other == 0) {
		(void)pause();
		_exit(0);
	}
	set_up(&f);
	CU_ASSERT_FATAL(runtime_prepare(f.path, path) == 0);
	(void)snprintf(text, sizeof(text), "%ld\n", (long)other);
	write_pid_file(&f, text);
	CHECK("it runs", runtime_write_pid(f.path, 0) == -EBUSY);
	CHECK("it runs", pid_in_file(&f) == other);
	CHECK("it hands over", runtime_write_pid(f.path, other) == 0);
	CHECK("it hands over", pid_in_file(&f) == getpid());
	write_pid_file(&f, text);
	(void)kill(other, SIGKILL);
	(void)waitpid(other, NULL, 0);
	CHECK("it has ended", runtime_write_pid(f.path, 0) == 0);
	tear_down(&f);
}

void suite_runtime(void)
{
	CU_pSuite s = CU_add_suite("runtime", NULL, NULL);

	CU_add_test(s, "where it is", test_default);
	CU_add_test(s, "it is made", test_made);
	CU_add_test(s, "what is not trusted", test_not_trusted);
	CU_add_test(s, "what is above it", test_above);
	CU_add_test(s, "pid file", test_pid_file);
	CU_add_test(s, "another server's pid file", test_other_server);
}
