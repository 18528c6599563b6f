/* The verdict on a message: what the end of its command means to the client. */
#ifndef SINKD_SPAWN_VERDICT_H
#define SINKD_SPAWN_VERDICT_H

#include <stdbool.h>

#include "base/str.h"
#include "delivery/spawn_request.h"

/* How a run ended; the number that goes with it is in brackets. */
enum command_end {
	COMMAND_EXIT,    /* by itself (exit status) */
	COMMAND_SIGNAL,  /* (signal) */
	COMMAND_TIMEOUT, /* of ours (0) */
	COMMAND_START,   /* it could not be started (errno) */
};

/* Longest text of a command that a client is told. */
#define VERDICT_TEXT_MAX 200

/*
 * line     = [ code SP ] enhanced [ SP text ]
 * code     = 4xx or 5xx, of the class of enhanced
 * enhanced = "4" or "5", "." 1*3DIGIT "." 1*3DIGIT
 *
 * What a line of output says, if it begins like that.  Leaves *ret alone if not. */
bool verdict_parse_line(struct str line, struct spawn_answer *ret);

/* said: what the output says, or NULL; it counts only when the command failed by
 * itself.  Fills all bytes of *ret. */
void verdict_make(enum command_end how, int number, const struct spawn_answer *said,
	struct spawn_answer *ret);

#endif
