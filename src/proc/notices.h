/* What the notice board asks of a worker that serves a client, and when. */
#ifndef SINKD_PROC_NOTICES_H
#define SINKD_PROC_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conf.h"
#include "proc/board.h"

/* For the life of a worker.  The first four are set by who owns it. */
struct notices {
	const struct board *board;
	const struct config *config;
	uint32_t generation; /* the worker's own */
	void (*leave)(void); /* called once: take no client after this one */
	bool has_left;
	uint64_t outdated_end_ms; /* the grace time of an older generation; 0: none yet */
	int32_t log_level;        /* as it was heard last, or -1 */
};

/* What is to be done with the client: it may stay; or it has to go when it is in no mail
 * transaction, when it is in no message, at once. */
enum notice { NOTICE_NONE, NOTICE_RETIRE, NOTICE_DRAIN, NOTICE_DRAIN_NOW };

/* Look at the board: does what concerns the worker, and returns what concerns its
 * client.  A few loads, no call. */
enum notice notices_look(struct notices *n, uint64_t now_ms);

/* How long a client may take for a command, as things stand. */
uint64_t notices_command_ms(const struct notices *n);

/* How long it may take until the session proper begins: with TLS, or a PROXY header. */
uint64_t notices_handshake_ms(const struct notices *n);

/* Whether clients are in want of workers. */
bool notices_is_stressed(const struct notices *n);

/* Whether commands and replies are to be logged. */
bool notices_is_verbose(const struct notices *n);

#endif
