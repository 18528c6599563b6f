/* What the master does when sinkctl asks: the numbers, and orders. */
#ifndef SINKD_PROC_STEER_H
#define SINKD_PROC_STEER_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/control.h"

struct config;
struct listener;
struct slot_report;
struct slots;

/* A moment by both clocks: one tells which it was, the other how long ago. */
struct steer_moment {
	uint64_t unix_s;
	uint64_t monotonic_ms;
};

struct steer_moment steer_now(void);

struct steer_worker {
	pid_t pid;
	uint32_t generation;
};

/* The master, as far as sinkctl may know it. */
struct steer_view {
	const struct config *config;
	const struct listener *listeners;
	size_t listener_count;
	struct slots *slots;
	size_t slot_count;
	const struct slot_report *ended; /* what workers did that have ended */
	struct steer_moment started;
	struct steer_moment loaded; /* the configuration */
	/* What else is known to the master alone: state, generation, how often what
	 * happened, and the totals when the configuration was loaded.  The rest is filled
	 * in here. */
	struct control_status status;

	void *user;
	/* The worker of a slot; its pid is 0 if there is none. */
	struct steer_worker (*worker_at)(const void *user, size_t index);
	/* Do it.  *ret_text, static, says what is done now, or why it is not.  Returns 0
	 * or a positive errno. */
	int (*act)(void *user, enum control_command command, int32_t argument,
		const char **ret_text);
};

/* Make the runtime directory and the control socket in it.  Where that is not possible
 * the log says so, *ret_fd stays as it is, and the server is as good as ever for its
 * clients. */
void steer_open(char runtime[PATH_MAX], int *ret_fd);

/* Answer what is waiting at the control socket, up to the first order, which may change
 * all that the view points to.  Never blocks. */
void steer_hear(int control_fd, const struct steer_view *view);

#endif
