/* Leftovers; see leftovers.h (maildir(5)).
 *
 * Runs in a process of its own with the rights of a worker.  The names of directories
 * may come from clients, and others may write there too: each step is one component,
 * from a directory that is open, and never through a symbolic link. */
#include "delivery/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "delivery/mailbox.h"
#include "smtp/address.h"

/* One round through the mailboxes. */
struct round {
	time_t now;
	uint64_t *count;
	int error; /* the first one */
};

/* What has gone, or is no directory, is no mailbox of ours. */
static void note(struct round *r, int err)
{
	if (r->error == 0 && err != -ENOENT && err != -ENOTDIR && err != -ELOOP)
		r->error = err;
}

/* Calls fn for each name in dir. */
static void for_each(struct round *r, int dir,
	void (*fn)(struct round *r, int dir, const char *name, struct str rest),
	struct str rest)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL) {
		note(r, -errno);
		(void)fdio_close(&fd);
		return;
	}
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (e == NULL)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fn(r, dir, e->d_name, rest);
	}
	if (errno != 0)
		note(r, -errno);
	(void)closedir(d);
}

static void remove_old(struct round *r, int tmp, const char *name, struct str rest)
{
	const time_t limit = r->now - LEFTOVERS_AGE_SECONDS;
	struct stat st;

	(void)rest;
	if (fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note(r, -errno);
		return;
	}
	if (!S_ISREG(st.st_mode) || st.st_mtime >= limit || st.st_ctime >= limit)
		return;
	if (unlinkat(tmp, name, 0) < 0)
		note(r, -errno);
	else
		++*r->count;
}

static bool is_directory(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void clean(struct round *r, int tmp)
{
	if (is_directory(tmp, "../new") && is_directory(tmp, "../cur"))
		for_each(r, tmp, remove_old, (struct str){0});
}

int leftovers_remove(int tmp, time_t now, uint64_t *count)
{
	struct round r = {.now = now, .count = count};

	clean(&r, tmp);
	return r.error;
}

static void walk(struct round *r, int dir, struct str below);

static void enter(struct round *r, int dir, const char *name, struct str rest)
{
	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		note(r, -errno);
		return;
	}
	walk(r, fd, rest);
	(void)fdio_close(&fd);
}

static void clean_mailbox(struct round *r, int dir)
{
	int tmp = openat(dir, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (tmp < 0) {
		note(r, -errno);
		return;
	}
	clean(r, tmp);
	(void)fdio_close(&tmp);
}

/* Go on from dir, one component at a time; as deep as the template, and no deeper. */
static void walk(struct round *r, int dir, struct str below)
{
	const struct address nobody = {0};
	char component[PATH_MAX];
	struct buf name;
	size_t n = 0;

	while (below.n > 0 && below.p[0] == '/')
		below = str_skip(below, 1);
	if (below.n == 0) {
		clean_mailbox(r, dir);
		return;
	}
	while (n < below.n && below.p[n] != '/')
		n++;
	if (n >= sizeof(component)) {
		note(r, -ENAMETOOLONG);
		return;
	}
	memcpy(component, below.p, n);
	component[n] = '\0';
	if (mailbox_template_split(component).is_per_recipient) {
		for_each(r, dir, enter, str_skip(below, n));
		return;
	}
	buf_init(&name, n + 1);
	if (mailbox_expand(str_of(component), &nobody, "", &name) &&
		buf_add(&name, "", 1))
		enter(r, dir, name.p, str_skip(below, n));
	else
		note(r, -ENOMEM);
	buf_done(&name);
}

int leftovers_remove_below(int root, struct str below, time_t now, uint64_t *count)
{
	struct round r = {.now = now, .count = count};

	walk(&r, root, below);
	return r.error;
}
