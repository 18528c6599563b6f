/* The runtime directory; see runtime.h.
 *
 * Runs in the master, maybe as root, and in sinkctl; input is the configuration, the
 * environment, and a place in /tmp where others may have been first.  What passes
 * runtime_check cannot be changed by others afterwards, so its path may be used.
 * "Others" are users that are neither root nor us; access control lists show in the mode
 * of the group.
 *
 * Known limit: whether the server that a pid file names still runs is told by the name
 * of that process, since pids are used again. */
#include "proc/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"

#define PID_FILE     "sinkd.pid"
#define PID_FILE_NEW "sinkd.pid.new"

/* As much of /proc/PID/stat as is looked at. */
#define STAT_MAX 64

/* As many as the kernel follows. */
#define LINKS_MAX 40

/* The value, if it is an absolute path. */
static const char *path_from(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL && value[0] == '/' ? value : NULL;
}

static int checked(int written, size_t size)
{
	return written < 0 || (size_t)written >= size ? -ENAMETOOLONG : 0;
}

int runtime_default(char path[PATH_MAX])
{
	const char *of_systemd = path_from("RUNTIME_DIRECTORY");
	const char *of_user = path_from("XDG_RUNTIME_DIR");
	uid_t uid = geteuid();
	int n;

	if (of_systemd != NULL)
		n = snprintf(path, PATH_MAX, "%.*s", (int)strcspn(of_systemd, ":"),
			of_systemd);
	else if (uid == 0)
		n = snprintf(path, PATH_MAX, "/run/sinkd");
	else if (of_user != NULL)
		n = snprintf(path, PATH_MAX, "%s/sinkd", of_user);
	else
		n = snprintf(path, PATH_MAX, "/tmp/sinkd-%lu", (unsigned long)uid);
	return checked(n, PATH_MAX);
}

/* Whether nobody but root and us can put something else in its place, or, in a directory,
 * in the place of what is ours there. */
static bool is_kept(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return false;
	/* In a sticky one others only move what is theirs; the mode of a link is void. */
	return (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st->st_mode & S_ISVTX) != 0 ||
	       S_ISLNK(st->st_mode);
}

/* Put what the link way[0..end) stands for in its place. */
static int expand_link(char way[PATH_MAX], char *end)
{
	char target[PATH_MAX], separator = *end;
	size_t rest = strlen(end) + 1, length;
	char *from = way;
	ssize_t n;

	*end = '\0';
	n = readlink(way, target, sizeof(target));
	if (n < 0)
		return -errno;
	if (target[0] != '/')
		from = strrchr(way, '/') + 1;
	*end = separator;
	length = (size_t)n;
	if (length + rest > (size_t)(way + PATH_MAX - from))
		return -ENAMETOOLONG;
	memmove(from + length, end, rest);
	memcpy(from, target, length);
	return 0;
}

/* Go from the root to the end of way, or to a link, which is then expanded; whatever
 * comes before a step has been seen to stay as it is.  Returns 1 for a link, 0 at the
 * end, or a negative errno. */
static int walk(char way[PATH_MAX])
{
	struct stat st;
	char *end = way, *next;

	for (;;) {
		char separator = *end;
		int r;

		*end = '\0';
		r = lstat(end == way ? "/" : way, &st) < 0 ? -errno : 0;
		*end = separator;
		if (r < 0)
			return r;
		if (!is_kept(&st))
			return -EPERM;
		next = end + strspn(end, "/");
		if (S_ISLNK(st.st_mode) && *next != '\0') {
			r = expand_link(way, end);
			return r < 0 ? r : 1;
		}
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
		if (*next == '\0')
			break;
		end = next + strcspn(next, "/");
	}
	return st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? -EPERM
										 : 0;
}

int runtime_check(const char *path)
{
	char way[PATH_MAX];
	int r = checked(snprintf(way, sizeof(way), "%s", path), sizeof(way));

	if (r < 0)
		return r;
	if (path[0] != '/')
		return -EINVAL;
	r = 1;
	for (int i = 0; i <= LINKS_MAX && r > 0; i++)
		r = walk(way);
	return r > 0 ? -ELOOP : r;
}

int runtime_prepare(const char *configured, char path[PATH_MAX])
{
	int r = configured == NULL
			? runtime_default(path)
			: checked(snprintf(path, PATH_MAX, "%s", configured), PATH_MAX);

	if (r < 0)
		return r;
	/* Anybody may read the pid of a system's server. */
	if (mkdir(path, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST)
		return -errno;
	return runtime_check(path);
}

int runtime_path(const char *directory, const char *name, char *path, size_t size)
{
	return checked(snprintf(path, size, "%s/%s", directory, name), size);
}

/* The pid in the file, or 0. */
static pid_t read_pid(const char *path)
{
	char text[24];
	uint64_t pid;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : fdio_read(fd, text, sizeof(text) - 1);

	(void)fdio_close(&fd);
	if (got < 0)
		return 0;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (str_parse_u64(str_of(text), &pid) < 0 || pid > INT_MAX)
		return 0;
	return (pid_t)pid;
}

/* The name of a process, in its parentheses; the empty slice when it has ended, even if
 * nobody has waited for it.  "4711 (sinkd) S ...", see proc_pid_stat(5). */
static struct str read_name(pid_t pid, char text[STAT_MAX])
{
	char path[64];
	const char *open_at, *close_at;
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : fdio_read(fd, text, STAT_MAX - 1);
	(void)fdio_close(&fd);
	text[got < 0 ? 0 : got] = '\0';
	open_at = strchr(text, '(');
	close_at = strrchr(text, ')');
	if (open_at == NULL || close_at == NULL || close_at[1] != ' ' ||
		strchr("ZX", close_at[2]) != NULL)
		return (struct str){0};
	return (struct str){open_at, (size_t)(close_at + 1 - open_at)};
}

/* Whether this process is another server. */
static bool is_server(pid_t pid)
{
	char ours_text[STAT_MAX], theirs_text[STAT_MAX];
	struct str theirs;

	if (pid <= 0 || pid == getpid())
		return false;
	theirs = read_name(pid, theirs_text);
	return theirs.n > 0 && str_equal(theirs, read_name(getpid(), ours_text));
}

static int write_file(const char *path, const char *text)
{
	/* Left behind by one that was killed in between, it is overwritten. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r, closed;

	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, text, strlen(text));
	closed = fdio_close(&fd);
	return r < 0 ? r : closed;
}

int runtime_write_pid(const char *directory, pid_t predecessor)
{
	char path[PATH_MAX], new_path[PATH_MAX], text[24];
	int r = runtime_path(directory, PID_FILE, path, sizeof(path));
	pid_t pid;

	if (r == 0)
		r = runtime_path(directory, PID_FILE_NEW, new_path, sizeof(new_path));
	if (r < 0)
		return r;
	pid = read_pid(path);
	if (pid != predecessor && is_server(pid))
		return -EBUSY;
	(void)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	r = write_file(new_path, text);
	if (r == 0 && rename(new_path, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(new_path);
	return r;
}

void runtime_give_up(char path[PATH_MAX], int error)
{
	log_event(LOG_WARN, EV_SERVER_RUNTIME, LOG_TEXT("path", path), LOG_ERRNO(error),
		LOG_TEXT("advice",
			error == -EPERM
				? "going on without pid file and sinkctl; set "
				  "runtime-dir to a directory that belongs to the user "
				  "who starts the server, and that, like all above it, "
				  "nobody else can change"
				: "going on without pid file and sinkctl; set "
				  "runtime-dir to a directory that only this server "
				  "uses"));
	path[0] = '\0';
}

void runtime_claim(char path[PATH_MAX], pid_t predecessor)
{
	int r = path[0] == '\0' ? 0 : runtime_write_pid(path, predecessor);

	if (r < 0)
		runtime_give_up(path, r);
}

void runtime_remove_pid(const char *directory)
{
	char path[PATH_MAX];

	if (directory[0] != '\0' &&
		runtime_path(directory, PID_FILE, path, sizeof(path)) == 0 &&
		read_pid(path) == getpid())
		(void)unlink(path);
}
