/* The slots: what each worker says of itself, a page for each.
 *
 * A worker writes its own page and cannot reach another's; the master reads them
 * all and believes none.  What it finds is compared with known values or added
 * to statistics; it is never an index, a length, a pointer or a pid. */
#ifndef SINKD_PROC_SLOTS_H
#define SINKD_PROC_SLOTS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/session.h"

/* Workers that can be told apart at the same time: all that a configuration allows, and
 * the first ones of a reload beside them.  Pages that are not used cost no memory. */
#define SLOTS_MAX 16448

enum slot_state {
	SLOT_STARTING,
	SLOT_IDLE,
	SLOT_COMMAND,
	SLOT_DATA,
	SLOT_DELIVERY,
	SLOT_HANDSHAKE,
	SLOT_STATES
};

#define SLOT_HELO_SIZE 64

/* How late a worker may be with what it has promised.  More than the tick, the wait for
 * a client to hear our last words, and a busy machine take together. */
#define SLOT_SLACK_MS 5000

enum slot_answer { SLOT_ACCEPTED, SLOT_REFUSED, SLOT_ANSWERS };

/* How a TLS handshake ended. */
enum slot_handshake {
	SLOT_HANDSHAKE_FULL,
	SLOT_HANDSHAKE_RESUMED,
	SLOT_HANDSHAKE_FAILED,
	SLOT_HANDSHAKES
};

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
	uint64_t handshakes[SLOT_HANDSHAKES];
	uint64_t logins[SLOT_ANSWERS]; /* ends of an exchange of AUTH */
	uint64_t verbs[VERBS][SLOT_ANSWERS];
	uint64_t deliveries[SLOT_DURATIONS];
	uint64_t delivery_us; /* all of them together */
};

/* One page.  What is said of a session holds while state says that there is one.  Times
 * are monotonic. */
struct slot {
	_Atomic uint32_t state;
	_Atomic uint32_t port;
	_Atomic uint64_t client[2]; /* IPv6, or IPv4 mapped; all zero: a Unix socket */
	_Atomic uint64_t since_ms;
	_Atomic uint64_t session_bytes;            /* that came from the client */
	_Atomic uint64_t session_messages;         /* accepted */
	_Atomic uint64_t helo[SLOT_HELO_SIZE / 8]; /* text, ended by a zero if short */
	_Atomic uint64_t due_ms; /* by then it will have gone on, or hangs; 0: any time */
	struct slot_counts counts; /* read and written as atomics, too */
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

/* In a worker, of its own page: a session begins (in state COMMAND), is one of this
 * client, and ends (the state is the caller's to set).  All of these only store: no call,
 * no lock. */
void slot_begin_session(struct slot *slot, uint64_t now_ms);
void slot_set_client(struct slot *slot, const struct sockaddr_storage *from);
void slot_end_session(struct slot *slot, bool has_timed_out);

void slot_set_state(struct slot *slot, enum slot_state state);
void slot_set_helo(struct slot *slot, struct str helo);

/* It waits for something until deadline_ms, at the latest. */
void slot_set_deadline(struct slot *slot, uint64_t deadline_ms);

void slot_count_input(struct slot *slot, uint64_t bytes);
void slot_count_answer(struct slot *slot, enum smtp_verb verb, int code);
void slot_count_handshake(struct slot *slot, enum slot_handshake how);
void slot_count_login(struct slot *slot, enum slot_answer how);
void slot_count_message(struct slot *slot, int code, uint64_t bytes);
void slot_count_delivery(struct slot *slot, uint64_t duration_us);

/* In the master: what a page says, brought into a valid form.  What belongs to a session
 * is empty or 0 when there is none. */
struct slot_report {
	const char *state; /* as enum slot_state, in small letters, or "unknown" */
	char client[INET6_ADDRSTRLEN]; /* empty: none */
	uint16_t port;
	uint64_t since_ms;
	uint64_t session_bytes;
	uint64_t session_messages;
	char helo[SLOT_HELO_SIZE]; /* printable */
	struct slot_counts counts;
};

void slot_read(const struct slot *slot, struct slot_report *ret);

/* The two of them that the pool goes by; compare them only. */
bool slot_is_idle(const struct slot *slot);
uint64_t slot_due_ms(const struct slot *slot);

void slot_counts_add(struct slot_counts *total, const struct slot_counts *counts);

#endif
