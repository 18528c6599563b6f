/* The notice board: what the master tells all workers without waking them.
 *
 * One page, written by the master alone.  Workers map it read-only from a memfd
 * that is sealed against any other mapping, so that a hostile worker cannot
 * write to what its siblings read. */
#ifndef SINKD_PROC_BOARD_H
#define SINKD_PROC_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

struct board {
	/* Monotonic ms at which the server stops waiting for messages in flight; 0
	 * while it is not stopping; UINT64_MAX: no new clients, but those that are here
	 * may stay. */
	_Atomic uint64_t drain_deadline_ms;
};

/* In the master: *ret_board is writable and not inherited by children, *ret_fd
 * is for board_map in a child.  Returns 0 or a negative errno. */
int board_create(struct board **ret_board, int *ret_fd);

/* In a worker: map for reading.  Returns 0 or a negative errno. */
int board_map(int fd, const struct board **ret_board);

#endif
