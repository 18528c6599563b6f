/* The notice board; see board.h.  Created by the master, mapped by workers. */
#include "proc/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "proc/region.h"

int board_create(struct board **ret_board, int *ret_fd)
{
	struct board *board;
	void *p;
	int r = region_create(
		"sinkd-board", sizeof(struct board), F_SEAL_FUTURE_WRITE, &p, ret_fd);

	if (r < 0)
		return r;
	board = p;
	atomic_init(&board->log_level, -1);
	atomic_init(&board->verbose, -1);
	*ret_board = board;
	return 0;
}

int board_map(int fd, const struct board **ret_board)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret_board = p;
	return 0;
}
