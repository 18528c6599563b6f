/* The arguments and the environment of a command, for one message. */
#ifndef SINKD_SPAWN_COMMAND_LINE_H
#define SINKD_SPAWN_COMMAND_LINE_H

#include "base/arena.h"
#include "delivery/delivery.h"
#include "delivery/spawn_request.h"

/* Both end with NULL. */
struct command_line {
	char **argv;
	char **envp;
};

/* Fill in the macros of the section's command; what a macro stands for never becomes
 * more than its argument, but %{recipients} one for each.  The environment is made from
 * nothing; the section's own variables come before ours of the same name.
 *
 * All of it is in the arena, but the variables of the section.  Returns 0; -ENOMEM when
 * it does not fit; -EINVAL when an argument that the client chooses would be taken for
 * an option: it begins with a hyphen, and no argument before it is "--". */
int command_line_make(const struct pipe_settings *settings,
	const struct spawn_request *request, struct arena *arena,
	struct command_line *ret);

#endif
