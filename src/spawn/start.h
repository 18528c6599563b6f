/* Starting a command, as cheaply as that can be done. */
#ifndef SINKD_SPAWN_START_H
#define SINKD_SPAWN_START_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "spawn/command_line.h"

/* What all starts of a process share; a zeroed one is valid. */
struct starter {
	pid_t self;
	bool is_waiting;      /* each start waits until the one before has succeeded */
	bool has_files_limit; /* of a command, when ours is another */
	struct rlimit files_limit;
};

/* is_waiting: for where it cannot be otherwise, valgrind for one. */
void starter_init(struct starter *starter, bool is_waiting);

/* One command; a zeroed one is valid.  It stays as it is, and where it is, until the
 * command has ended: the new process reads it, and the line, while we go on. */
struct start {
	const struct starter *starter;
	const struct command_line *line;
	const char *directory; /* NULL: where we are */
	int input_fd;          /* its standard input; and output and error; above 2 */
	int output_fd;
	/* Why it could not be executed, or 0: an errno, once it has ended.  In memory
	 * that is shared with children. */
	volatile int error;
	char *stack; /* ours, for this command and others after it */
};

/* Start it: in a session of its own, with three descriptors and no signal handled,
 * blocked or ignored, if so it is with us (handlers are forgotten).  It does not outlive
 * us.  Both descriptors stay the caller's.  Returns 0, and then the process, which is to
 * be reaped, and a descriptor of it; or a negative errno. */
int start_command(struct start *start, pid_t *ret_pid, int *ret_pidfd);

/* When no command runs. */
void start_done(struct start *start);

#endif
