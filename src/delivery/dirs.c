/* Directories; see dirs.h.
 *
 * Runs in workers, where part of a path comes from clients, and in the master,
 * maybe as root, where none does.  A path that a client had a hand in is never
 * resolved through a symbolic link, and never leaves its root. */
#include "delivery/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "delivery/delivery.h"

#define OPEN_DIR (O_PATH | O_DIRECTORY | O_CLOEXEC)

/* glibc has no wrapper for it. */
static int open_beneath(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int sync_dir(int dir)
{
	int err, fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	err = fdio_fsync(fd);
	(void)fdio_close(&fd);
	return err;
}

/* Make the directory name in parent for owner (NULL: us), and open it. */
static int make_dir(int parent, const char *name, const struct dirs_maker *maker,
	const struct delivery_owner *owner)
{
	bool is_ours = mkdirat(parent, name, 0700) == 0;
	int err = 0, fd;

	/* Another worker may be making it too. */
	if (!is_ours && errno != EEXIST)
		return -errno;
	/* Without following: what was just made is no link, unless somebody has
	 * put one in its place to be given a directory of his choice. */
	fd = openat(parent, name, OPEN_DIR | O_NOFOLLOW);
	if (fd < 0)
		err = -errno;
	else if (is_ours && owner != NULL &&
		 fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) < 0)
		err = -errno;
	if (err == 0 && maker->has_sync)
		err = sync_dir(parent);
	if (err == 0)
		return fd;
	/* Left behind, the next start would take it for the operator's, and the next
	 * message for durable. */
	if (is_ours)
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	(void)fdio_close(&fd);
	return err;
}

/* Whoever owns a directory that root walks through at the next start could put a
 * link into it; so of the operator's own path only the end is given away. */
static const struct delivery_owner *owner_of(
	const struct dirs_maker *maker, const char *rest, int extra_flags)
{
	bool is_last = rest[strspn(rest, "/")] == '\0';

	return is_last || (extra_flags & O_NOFOLLOW) != 0 ? maker->owner : NULL;
}

/* Go from dir along path, one component at a time, so that extra_flags holds for
 * each.  maker NULL: nothing is made.  Returns a descriptor of the last one. */
static int walk(
	int dir, const char *path, int extra_flags, const struct dirs_maker *maker)
{
	int fd = openat(dir, path[0] == '/' ? "/" : ".", OPEN_DIR);

	if (fd < 0)
		return -errno;
	while (*path != '\0') {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		int next = -ENAMETOOLONG;

		if (n == 0) {
			path++;
			continue;
		}
		if (n <= NAME_MAX) {
			memcpy(name, path, n);
			name[n] = '\0';
			next = openat(fd, name, OPEN_DIR | extra_flags);
			if (next < 0)
				next = -errno;
			if (next == -ENOENT && maker != NULL)
				next = make_dir(fd, name, maker,
					owner_of(maker, path + n, extra_flags));
		}
		(void)fdio_close(&fd);
		if (next < 0)
			return next;
		fd = next;
		path += n;
	}
	return fd;
}

int dirs_open_below(int root, const char *path, int access)
{
	int dir, fd = open_beneath(root, path, access | O_DIRECTORY | O_CLOEXEC);

	/* Kernels before 5.6, and valgrind, do not have it: the long way is as
	 * safe, one component at a time and none of them a link. */
	if (fd != -ENOSYS)
		return fd;
	dir = walk(root, path, O_NOFOLLOW, NULL);
	if (dir < 0 || access == O_PATH)
		return dir;
	fd = openat(dir, ".", access | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	(void)fdio_close(&dir);
	return fd;
}

int dirs_make(const char *path, const struct dirs_maker *maker)
{
	return walk(AT_FDCWD, path, 0, maker);
}

int dirs_make_maildir(int root, const char *path, const struct dirs_maker *maker)
{
	static const char *const names[] = {"tmp", "new", "cur"};
	int mailbox = walk(root, path, O_NOFOLLOW, maker);
	int err = 0;

	if (mailbox < 0)
		return mailbox;
	for (size_t i = 0; err == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = walk(mailbox, names[i], O_NOFOLLOW, maker);

		if (fd < 0)
			err = fd;
		else
			(void)fdio_close(&fd);
	}
	(void)fdio_close(&mailbox);
	return err;
}

int dirs_open_sub(int root, const char *path, const char *name, int access)
{
	char sub[PATH_MAX];
	int n = snprintf(sub, sizeof(sub), "%s/%s", path, name);

	if (n < 0 || (size_t)n >= sizeof(sub))
		return -ENAMETOOLONG;
	return dirs_open_below(root, sub, access);
}

int place_open(int root, const char *path, struct place *ret)
{
	struct place place = PLACE_CLOSED;

	place.tmp = dirs_open_sub(root, path, "tmp", O_PATH);
	if (place.tmp < 0)
		return place.tmp;
	place.new = dirs_open_sub(root, path, "new", O_RDONLY);
	if (place.new < 0) {
		(void)fdio_close(&place.tmp);
		return place.new;
	}
	*ret = place;
	return 0;
}

void place_close(struct place *place)
{
	(void)fdio_close(&place->tmp);
	(void)fdio_close(&place->new);
}
