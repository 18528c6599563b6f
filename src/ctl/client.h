/* One question to the server, and its answer. */
#ifndef SINKD_CTL_CLIENT_H
#define SINKD_CTL_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "proc/control.h"

/* The answer.  snapshot is on the heap; NULL: none came. */
struct client_answer {
	int status; /* 0 or a positive errno */
	char text[CONTROL_TEXT_MAX];
	void *snapshot;
	size_t snapshot_bytes;
};

/* Ask the server whose socket is at path (name: of what the command is about, or NULL),
 * and wait for its answer for at most wait_ms.
 * Returns 0 and *ret, whose snapshot is the caller's to free, or a negative errno:
 * -ENOENT, -ECONNREFUSED and the like when there is no server; -ETIMEDOUT when it says
 * nothing; -EPROTONOSUPPORT when it is of another release; -EBADMSG when what came is no
 * answer at all. */
int client_ask(const char *path, enum control_command command, int32_t argument,
	const char *name, uint64_t wait_ms, struct client_answer *ret);

#endif
