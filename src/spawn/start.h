/* Starting a command, as cheaply as that can be done. */
#ifndef SINKD_SPAWN_START_H
#define SINKD_SPAWN_START_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "spawn/command_line.h"

/* What all starts of a process share; a zeroed one is valid. */
struct starter {
	char *stack;
	pid_t self;
	bool has_files_limit; /* of a command, when ours is another */
	struct rlimit files_limit;
};

/* Returns 0 or a negative errno. */
int starter_init(struct starter *starter);
void starter_done(struct starter *starter);

/* One command. */
struct start {
	const struct command_line *line;
	const char *directory; /* NULL: where we are */
	int input_fd;          /* its standard input; and output and error; above 2 */
	int output_fd;
	/* Why it could not be executed, or 0: an errno, once it has ended.  In memory
	 * that is shared with children. */
	volatile int *ret_error;
};

/* Start it: in a session of its own, with three descriptors and no signal handled,
 * blocked or ignored, if so it is with us (handlers are forgotten).  It does not outlive
 * us.  Both descriptors stay the caller's.  Returns 0, and then the process, which is to
 * be reaped, and a descriptor of it; or a negative errno. */
int start_command(const struct starter *starter, const struct start *start,
	pid_t *ret_pid, int *ret_pidfd);

#endif
