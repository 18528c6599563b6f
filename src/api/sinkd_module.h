/* The hook table: how user code is told each protocol state and decides.
 *
 * The engine calls these functions in the order in which the protocol reaches
 * them.  A NULL member means "no opinion": the next layer is asked, and with
 * none left the answer is yes.  Hooks may block; while one runs, its client
 * waits and no other does.
 *
 * Rules that hold for all of them:
 *  - The session is opaque.  Strings are pointer plus length, not terminated,
 *    and live until the hook returns.
 *  - A verdict comes in accepting (code 0).  Leave it so to accept.
 *  - The engine has checked order and syntax before it asks, except for
 *    `command`, which sees each well-formed line first.
 *  - transaction, reset and connection_ended cannot refuse.
 */
#ifndef SINKD_MODULE_H
#define SINKD_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINKD_ABI 1

struct sinkd_session;

struct sinkd_str {
	const char *data;
	size_t len;
};

/* code: 0 accepts; SINKD_REFUSE refuses with the reply of that stage; 400..599
 * refuses with that code, 421 also closes.  Any other value counts as
 * SINKD_REFUSE, so that a broken hook never accepts by accident.
 * enhanced: "5.7.1"; empty, or not of the code's class: the stage's own.
 * text: printable ASCII, one line; empty: the stage's own.
 * delay_ms: wait so long before what follows.
 * action: what else than a reply; with any but SINKD_DECIDE the code does not matter.
 * One that is unknown, or not for that stage, refuses as SINKD_REFUSE does. */
#define SINKD_REFUSE 1

enum sinkd_action {
	SINKD_DECIDE,     /* the code decides */
	SINKD_DISCONNECT, /* close without a reply to what is asked about */
	SINKD_RESET,   /* the same, so that the client sees a reset of the connection */
	SINKD_STALL,   /* not another word: until the client goes, or its time is over */
	SINKD_DISCARD, /* accept, and store nothing: for this recipient in `recipient` and
			* `message_recipient`; else for the transaction, in `sender`,
			* `data_command`, `data_chunk` and `message` */
	SINKD_ROUTE,   /* `recipient` only: accept, and deliver by another route */
};

struct sinkd_verdict {
	int code;
	uint32_t delay_ms;
	int action;
	uint32_t route; /* see sinkd_host: find_route */
	char enhanced[12];
	char text[256];
};

/* abi is SINKD_ABI, size is sizeof(struct sinkd_hooks); new members go at the
 * end.  `user` is handed to each call unchanged. */
struct sinkd_hooks {
	uint32_t abi;
	uint32_t size;
	void *user;

	/* Before the greeting: once, and again after each XCLIENT, of the client that was
	 * told.  Refused: 554 5.7.1, then close. */
	void (*connect)(void *user, struct sinkd_session *session,
		struct sinkd_str client_address, struct sinkd_verdict *verdict);
	/* The name the server gives itself, in greeting, EHLO reply and trace
	 * header.  Empty: the configured hostname. */
	struct sinkd_str (*server_domain)(void *user, struct sinkd_session *session);
	/* The text after "220 ".  Empty: the configured greeting. */
	struct sinkd_str (*server_greeting)(void *user, struct sinkd_session *session);
	/* Each command line, before it is looked at; but of AUTH no more than the
	 * mechanism, and no line that is, or after a failure may be, part of its
	 * exchange.  Refused: 550 5.7.1. */
	void (*command)(void *user, struct sinkd_session *session, struct sinkd_str verb,
		struct sinkd_str argument, struct sinkd_verdict *verdict);
	/* EHLO, HELO and LHLO.  Refused: 550 5.7.1, nothing changes. */
	void (*ehlo_domain)(void *user, struct sinkd_session *session,
		struct sinkd_str domain, struct sinkd_verdict *verdict);
	/* MAIL.  path: the mailbox without brackets, empty for the null sender. */
	void (*sender)(void *user, struct sinkd_session *session, struct sinkd_str path,
		struct sinkd_str parameters, struct sinkd_verdict *verdict);
	/* RCPT, each. */
	void (*recipient)(void *user, struct sinkd_session *session,
		struct sinkd_str path, struct sinkd_str parameters,
		struct sinkd_verdict *verdict);
	/* DATA, before 354, or the first BDAT; for decisions on the whole envelope.
	 * Refused: after DATA the transaction stays open; after BDAT the octets are
	 * thrown away first, and no message can come of it any more. */
	void (*data_command)(
		void *user, struct sinkd_session *session, struct sinkd_verdict *verdict);
	/* Decoded message bytes as they arrive, any split.  A refusal sticks and
	 * is told after the final dot, or behind the chunk. */
	void (*data_chunk)(void *user, struct sinkd_session *session,
		struct sinkd_str bytes, struct sinkd_verdict *verdict);
	/* After the final dot or the last chunk, before delivery.  Refused: nothing is
	 * stored. */
	void (*message)(
		void *user, struct sinkd_session *session, struct sinkd_verdict *verdict);
	/* RSET, after `transaction`. */
	void (*reset)(void *user, struct sinkd_session *session);
	/* Each time the transaction is forgotten: EHLO, HELO, LHLO, RSET, end of message,
	 * and XCLIENT and the start of TLS, which forget all else, too. */
	void (*transaction)(void *user, struct sinkd_session *session);
	/* Exactly once, however the connection ended. */
	void (*connection_ended)(void *user, struct sinkd_session *session);
	/* AUTH PLAIN and LOGIN: it decides, and they are offered even if there is no
	 * users file; without it the users file decides.  Refused:
	 * 535 5.7.8; from 500 on it counts as a failure, which is delayed, and too
	 * many of which end the session.  Keep no copy of the password. */
	void (*plain_auth)(void *user, struct sinkd_session *session,
		struct sinkd_str user_name, struct sinkd_str password,
		struct sinkd_verdict *verdict);
	/* LMTP only: after `message` has accepted, each recipient that will have a reply
	 * of its own.  Refused: 550 5.7.1 for this one. */
	void (*message_recipient)(void *user, struct sinkd_session *session,
		struct sinkd_str path, struct sinkd_verdict *verdict);
};

#endif
