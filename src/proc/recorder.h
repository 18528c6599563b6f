/* What is recorded of a session: lines of the log, and counts in the slot of the worker.
 * It stands between the engine and the delivery, and takes the time. */
#ifndef SINKD_PROC_RECORDER_H
#define SINKD_PROC_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "delivery/delivery.h"
#include "net/tls.h"
#include "proc/slots.h"
#include "proc/stamp.h"
#include "smtp/session.h"

struct recorder {
	struct slot *slot;
	struct delivery *delivery;
	uint64_t delivery_ms; /* how long one may take; for the slot */
	struct stamper stamper;
	const struct smtp *engine;

	/* the session */
	char session_id[MESSAGE_ID_SIZE];
	const char *delivery_names;
	unsigned messages;          /* accepted */
	bool has_new_message;       /* MAIL was accepted since the caller last looked */
	uint64_t delivery_start_us; /* 0: none is under way */
	size_t recipient_count;     /* of the message in hand */
	/* A message was accepted, and commands have run for it, since the caller last
	 * looked; its id. */
	bool has_run_commands;
	bool is_running_commands; /* for the message in hand, perhaps */
	char last_id[MESSAGE_ID_SIZE];
};

/* Returns 0 or a negative errno.  What is pointed to is kept by reference. */
int recorder_init(struct recorder *r, struct slot *slot, struct delivery *delivery,
	uint64_t delivery_ms);

/* What the engine tells the world, but for its commands and replies. */
void recorder_attach(struct recorder *r, struct smtp_env *env);

/* Commands and replies, too, or not. */
void recorder_set_verbose(struct smtp_env *env, bool is_verbose);

/* A session begins; from here on its id is in every line.  delivery_names: where its
 * messages go; kept by reference. */
void recorder_begin(struct recorder *r, const char *delivery_names);

/* A TLS handshake has ended: well; or not, and why (static text or of the session). */
void recorder_note_tls(struct recorder *r, const struct tls_session *tls);
void recorder_note_tls_failure(struct recorder *r, enum log_level level, const char *why);

/* The client had gone before it could hear that its message was accepted. */
void recorder_note_unheard(const struct recorder *r);

/* The session is over.  why: what broke the connection; NULL: nothing did. */
void recorder_end(const struct recorder *r, const char *why);

#endif
