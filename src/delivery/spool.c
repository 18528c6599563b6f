/* Files without names; see spool.h.
 *
 * Runs in workers, in their sandbox: below the spool directory they may make, write and
 * remove files, and read them only where the section says so.  Text is hostile and not
 * looked at.
 *
 * Not durable, and not meant to be: while a message is here nobody has promised it. */
#include "delivery/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "smtp/envelope.h"

/* For file systems that know no files without names.  It has one for a moment, which
 * another user may see but not open. */
static int make_and_unlink(const struct spool_settings *s, int access)
{
	char name[MESSAGE_ID_SIZE + 8];
	int fd;

	(void)snprintf(name, sizeof(name), "sinkd-%s", s->id);
	fd = openat(
		s->dir, name, access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (unlinkat(s->dir, name, 0) < 0) {
		int err = -errno;

		(void)fdio_close(&fd);
		return err;
	}
	return fd;
}

static int make_file(const struct spool_settings *s)
{
	int access = s->is_read ? O_RDWR : O_WRONLY;
	int fd = openat(s->dir, ".", access | O_TMPFILE | O_CLOEXEC, 0600);

	/* EISDIR: from a kernel that takes it for a plain open. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		fd = make_and_unlink(s, access);
	else if (fd < 0)
		fd = -errno;
	/* Now that it has no name: the spawner may be another user, and no command
	 * writes. */
	if (fd >= 0 && fchmod(fd, 0444) < 0) {
		int err = -errno;

		(void)fdio_close(&fd);
		return err;
	}
	return fd;
}

int spool_make(const struct spool_settings *s, uint64_t size_bytes)
{
	int fd;

	if (size_bytes > SPOOL_MEMORY_MAX)
		return make_file(s);
	/* Its mode is 0777, whatever the umask. */
	fd = memfd_create("sinkd-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

int spool_seal(int fd)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int spool_move_out(const struct spool_settings *s, struct text_writer *w)
{
	int err, fd = make_file(s);

	if (fd < 0)
		return fd;
	err = text_flush(w);
	if (err == 0)
		err = text_copy(w, 0, fd);
	if (err < 0) {
		(void)fdio_close(&fd);
		return err;
	}
	w->fd = fd;
	return fd;
}
