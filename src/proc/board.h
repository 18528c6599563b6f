/* The notice board: what the master tells all workers without waking them.
 *
 * One page, written by the master alone.  Workers map it read-only from a memfd
 * that is sealed against any other mapping, so that a hostile worker cannot
 * write to what its siblings read. */
#ifndef SINKD_PROC_BOARD_H
#define SINKD_PROC_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#define BOARD_RULES_MAX 1024

struct board {
	/* Monotonic ms at which the server stops waiting for messages in flight; 0
	 * while it is not stopping; UINT64_MAX: no new clients, but those that are here
	 * may stay as long as they like. */
	_Atomic uint64_t drain_deadline_ms;
	/* The generation that serves new clients.  Workers of an older one take none;
	 * theirs may stay for the grace time, and until no mail transaction is open. */
	_Atomic uint32_t generation;
	/* While not 0, the longest wait for a command, for those who are being waited for
	 * already too. */
	_Atomic uint32_t command_ms;
	/* A worker that turns busy and leaves fewer idle ones says so to the master. */
	_Atomic uint32_t wake_below;
	_Atomic uint32_t slot_count; /* slots behind these are not in use */
	_Atomic int32_t log_level;   /* enum log_level; -1: as configured */
	_Atomic int32_t verbose;     /* 0 or 1; -1: as configured */
	/* Rules, by their numbers, that somebody has switched, and those of them that are
	 * on. */
	_Atomic uint64_t rules_switched[BOARD_RULES_MAX / 64];
	_Atomic uint64_t rules_on[BOARD_RULES_MAX / 64];
};

/* In the master: *ret_board is all zero but for what is -1, writable and not inherited by
 * children, *ret_fd is for board_map in a child.  Returns 0 or a negative errno. */
int board_create(struct board **ret_board, int *ret_fd);

/* In a worker: map for reading.  Returns 0 or a negative errno. */
int board_map(int fd, const struct board **ret_board);

#endif
