/* Ids of messages and sessions. */
#ifndef SINKD_PROC_STAMP_H
#define SINKD_PROC_STAMP_H

#include <stdint.h>

#include "smtp/envelope.h"

/* One per process. */
struct stamper {
	unsigned pid; /* cached: getpid(2) would be a call per message */
	uint64_t last_us;
	uint64_t random;
};

/* Returns 0, or a negative errno when there is no chance to be had. */
int stamp_init(struct stamper *s);

/* An id that no other has: microseconds that rise strictly within a process, its pid,
 * and chance for the case that both come again after a reboot. */
void stamp_mint(struct stamper *s, struct message_stamp *ret);

#endif
