/* The slots: what each worker says of itself, a page for each.
 *
 * A worker writes its own page and cannot reach another's; the master reads them
 * all and believes none.  What it finds is compared with known values or added
 * to statistics; it is never an index, a length, a pointer or a pid. */
#ifndef SINKD_PROC_SLOTS_H
#define SINKD_PROC_SLOTS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/session.h"

/* Workers that can be told apart at the same time; pages that are not used cost
 * no memory. */
#define SLOTS_MAX 16384

enum slot_state { SLOT_STARTING, SLOT_IDLE, SLOT_COMMAND, SLOT_DATA, SLOT_STATES };

/* One page.  The client is there while state says that there is one: an IPv6
 * address, a mapped one for IPv4, all zero for a Unix socket. */
struct slot {
	_Atomic uint32_t state;
	_Atomic uint64_t client[2];
	_Atomic uint64_t sessions; /* begun */
	_Atomic uint64_t messages; /* accepted */
	_Atomic uint64_t refused;
	_Atomic uint64_t bytes; /* of messages accepted, as RFC 1870 counts */
};

enum slot_answer { SLOT_ACCEPTED, SLOT_REFUSED, SLOT_ANSWERS };

/* Durations of deliveries: element i counts those of less than 2^i microseconds that are
 * not in the one before; the last also those that took longer. */
#define SLOT_DURATIONS 32

/* What a worker has done since its start, or all of them have.  Each member is a plain
 * uint64_t, so that sums are made without knowing which is which. */
struct slot_counts {
	uint64_t sessions; /* begun */
	uint64_t messages_accepted;
	uint64_t messages_refused;
	uint64_t messages_aborted; /* not sent to their end */
	uint64_t bytes;            /* of messages accepted, as RFC 1870 counts */
	uint64_t timeouts;         /* sessions that ended so */
	uint64_t verbs[VERBS][SLOT_ANSWERS];
	uint64_t deliveries[SLOT_DURATIONS];
	uint64_t delivery_us; /* all of them together */
};

/* In the master: make the region.  *ret_fd is for slots_map_own.  The mapping is
 * not inherited by children.  Returns 0 or a negative errno. */
struct slots;
int slots_create(struct slots **ret, int *ret_fd);

/* The page of a worker, and before it is given to a new one. */
struct slot *slots_get(struct slots *s, size_t index);
void slots_clear(struct slots *s, size_t index);

/* In a worker: map the page with this index, and no other. */
int slots_map_own(int fd, size_t index, struct slot **ret);

/* In a worker: from now on it serves this client, or (NULL) nobody. */
void slot_begin_session(struct slot *slot, const struct sockaddr_storage *from);
void slot_set_state(struct slot *slot, enum slot_state state);
void slot_count_message(struct slot *slot, int code, uint64_t bytes);

/* In the master: what a page says, brought into a valid form. */
struct slot_report {
	const char *state; /* "starting", "idle", "command", "data", or "unknown" */
	char client[INET6_ADDRSTRLEN]; /* empty: none */
	uint64_t sessions;
	uint64_t messages;
	uint64_t refused;
	uint64_t bytes;
};

void slot_read(const struct slot *slot, struct slot_report *ret);

#endif
