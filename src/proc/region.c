/* Shared memory; see region.h.  Runs in the master, before any worker. */
#include "proc/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdio.h"

int region_create(const char *name, size_t size, int seals, void **ret_p, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p = MAP_FAILED;
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || madvise(p, size, MADV_DONTFORK) < 0 ||
		fcntl(fd, F_ADD_SEALS,
			seals | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		goto fail;
	*ret_p = p;
	*ret_fd = fd;
	return 0;
fail:
	r = -errno;
	if (p != MAP_FAILED)
		(void)munmap(p, size);
	(void)fdio_close(&fd);
	return r;
}
