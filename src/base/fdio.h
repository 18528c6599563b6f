/* Descriptors: whole writes, directories that are really on disk, closing.
 *
 * EINTR is handled here and nowhere else.  All return 0 or a count on success
 * and a negative errno on failure; none logs. */
#ifndef SINKD_BASE_FDIO_H
#define SINKD_BASE_FDIO_H

#include <stddef.h>
#include <sys/types.h>

/* Write all n bytes of a file. */
int fdio_write_all(int fd, const void *p, size_t n);

/* One write, repeated only when interrupted.  Returns how many bytes were taken. */
ssize_t fdio_write(int fd, const void *p, size_t n);

/* One read, repeated only when interrupted. */
ssize_t fdio_read(int fd, void *p, size_t n);

int fdio_fsync(int fd);

/* Close *fd unless it is -1, and set it to -1.  Returns the error of close(2),
 * which for a file that we promised to keep is a failure. */
int fdio_close(int *fd);

/* Close every descriptor above 2 that is not in keep[0..n); n may be 0, and is at
 * most FDIO_KEEP_MAX (-E2BIG). */
#define FDIO_KEEP_MAX 512

int fdio_close_others(const int *keep, size_t n);

#endif
