/* Descriptors; see fdio.h.  The only file that knows EINTR.
 *
 * Runs in every process.  Never logs: the caller knows what the descriptor was. */
#include "base/fdio.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

int fdio_write_all(int fd, const void *p, size_t n)
{
	const char *next = p;

	while (n > 0) {
		ssize_t written = write(fd, next, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		next += written;
		n -= (size_t)written;
	}
	return 0;
}

ssize_t fdio_write(int fd, const void *p, size_t n)
{
	ssize_t written;

	do
		written = write(fd, p, n);
	while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : written;
}

ssize_t fdio_read(int fd, void *p, size_t n)
{
	ssize_t got;

	do
		got = read(fd, p, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int fdio_fsync(int fd)
{
	int r;

	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int fdio_close(int *fd)
{
	int r = 0;

	/* On Linux the descriptor is gone even when close was interrupted: closing
	 * it again could hit somebody else's. */
	if (*fd >= 0 && close(*fd) < 0 && errno != EINTR)
		r = -errno;
	*fd = -1;
	return r;
}

static int compare_ints(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int fdio_close_others(const int *keep, size_t n)
{
	int sorted[FDIO_KEEP_MAX];
	unsigned next = 3;

	if (n > sizeof(sorted) / sizeof(sorted[0]))
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		sorted[i] = keep[i];
	qsort(sorted, n, sizeof(sorted[0]), compare_ints);
	for (size_t i = 0; i < n; i++) {
		if (sorted[i] < (int)next)
			continue;
		if (sorted[i] > (int)next &&
			close_range(next, (unsigned)sorted[i] - 1, 0) < 0)
			return -errno;
		next = (unsigned)sorted[i] + 1;
	}
	return close_range(next, ~0U, 0) < 0 ? -errno : 0;
}
