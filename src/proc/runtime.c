/* The runtime directory; see runtime.h.
 *
 * Runs in the master, maybe as root, and in sinkctl; input is the configuration, the
 * environment, and a place in /tmp where others may have been first.  What passes
 * runtime_check cannot be changed by others afterwards, so its path may be used.
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
#include "base/str.h"

static const char shared_prefix[] = "/tmp/";

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
		n = snprintf(
			path, PATH_MAX, "%ssinkd-%lu", shared_prefix, (unsigned long)uid);
	return checked(n, PATH_MAX);
}

int runtime_check(const char *path)
{
	bool is_shared = strncmp(path, shared_prefix, sizeof(shared_prefix) - 1) == 0;
	struct stat st;
	int fd = open(
		path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_shared ? O_NOFOLLOW : 0));
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		r = -EPERM;
	(void)fdio_close(&fd);
	return r;
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
