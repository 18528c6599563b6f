/* The notice board; see board.h.  Created by the master, mapped by workers. */
#include "proc/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdio.h"

int board_create(struct board **ret_board, int *ret_fd)
{
	int fd = memfd_create("sinkd-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p = MAP_FAILED;
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct board)) < 0)
		goto fail;
	p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || madvise(p, sizeof(struct board), MADV_DONTFORK) < 0 ||
		fcntl(fd, F_ADD_SEALS,
			F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		goto fail;
	*ret_board = p;
	*ret_fd = fd;
	return 0;
fail:
	r = -errno;
	if (p != MAP_FAILED)
		(void)munmap(p, sizeof(struct board));
	(void)fdio_close(&fd);
	return r;
}

int board_map(int fd, const struct board **ret_board)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret_board = p;
	return 0;
}
