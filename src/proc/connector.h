/* The connector process of one generation: it connects to policy services for workers,
 * which make no sockets, and sends them the connections.  Seen from the master, which
 * starts it, and again when it has died. */
#ifndef SINKD_PROC_CONNECTOR_H
#define SINKD_PROC_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/listener.h"
#include "proc/helper.h"
#include "proc/identity.h"
#include "proc/sandbox.h"

/* Exit statuses: it could not start, or not go on (it has logged why).  2 is
 * SANDBOX_EXIT_TRAPPED; it never ends by itself. */
#define CONNECTOR_EXIT_SETUP  1
#define CONNECTOR_EXIT_FAILED 3

/* Where a policy service is: the first endpoint that answers. */
struct connector_target {
	struct endpoint endpoints[2];
	size_t endpoint_count;
	uint64_t timeout_ms; /* connecting takes no longer, whatever is asked for */
};

struct connector {
	struct helper helper;
	/* Both ends of the channel (base/ipc.h) stay open in the master: the next process
	 * takes the same one, with the questions that wait in it. */
	int asker_fd, helper_fd; /* -1: no policy service, no process */
	struct sandbox sandbox;
};

#define CONNECTOR_NONE ((struct connector){.asker_fd = -1, .helper_fd = -1})

/* c is CONNECTOR_NONE: open the channel, and build the sandbox.  Returns 0 or a negative
 * errno; connector_done is to be called in both cases. */
int connector_open(struct connector *c, enum sandbox_level level);
/* The process ends too; waits for that. */
void connector_done(struct connector *c);

/* What the process gets from its master: the targets by their number. */
struct connector_env {
	const struct connector_target *targets;
	size_t target_count;
	const struct identity *identity;
	bool is_daemon; /* standard error is for the start only */
};

/* Start it, and wait until it can answer.  Returns 0, or a negative errno; what stopped
 * it is in the log. */
int connector_start(struct connector *c, const struct connector_env *env);

/* See proc/helper.h. */
bool connector_note_exit(struct connector *c, pid_t pid, int status, bool is_expected);
uint64_t connector_tend(
	struct connector *c, const struct connector_env *env, uint64_t now_ms);

#endif
