/* The envelope: who sends, who receives, where it came from (RFC 5321, 2.3.1).
 * Lives in the session's arena; pure data and text made of it. */
#ifndef SINKD_SMTP_ENVELOPE_H
#define SINKD_SMTP_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "smtp/address.h"

/* 14 hex digits of microseconds, 6 of the pid, 4 random, hyphens, NUL. */
#define MESSAGE_ID_SIZE 27

/* Minted outside the engine, which knows no clock. */
struct message_stamp {
	char id[MESSAGE_ID_SIZE];
	uint64_t unix_seconds;
};

/* RFC 6152 and 3030 */
enum body_type { BODY_UNSPECIFIED, BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

/* How much of the message a notification returns (RFC 3461, 4.3). */
enum dsn_return { DSN_RETURN_UNSPECIFIED, DSN_RETURN_FULL, DSN_RETURN_HEADERS };

/* When a sender wants to be notified (RFC 3461, 4.1), as a set; 0: not said. */
enum dsn_notify {
	DSN_NOTIFY_NEVER = 1,
	DSN_NOTIFY_SUCCESS = 2,
	DSN_NOTIFY_FAILURE = 4,
	DSN_NOTIFY_DELAY = 8,
};

/* The TLS session of a client; all empty without one. */
struct envelope_tls {
	struct str version; /* "TLSv1.3" */
	struct str cipher;  /* "TLS_AES_256_GCM_SHA384" */
	struct str
		subject; /* of the client's certificate, if it was verified (RFC 4514) */
};

/* The connection's part, the same for all its messages.  What a proxy says of its client
 * takes the place of what we see (PROXY; XCLIENT). */
struct envelope_client {
	struct str address; /* "192.0.2.7", "2001:db8::1", "unix", or "unknown" */
	uint16_t port;      /* 0 for a Unix socket, or unknown */
	struct str name;    /* by XCLIENT: the name of the host; empty: unknown */
	/* By a proxy: where the client connected to; empty and 0: not told. */
	struct str proxy_address;
	uint16_t proxy_port;
	struct str listener; /* name of the listen section */
	struct str server;   /* the name we go by */
	struct str helo;
	bool is_esmtp;
	bool is_lmtp; /* each recipient has a result of its own (RFC 2033) */
	struct envelope_tls tls;
	struct str user; /* who it is, by AUTH; empty: nobody knows */
};

struct recipient {
	struct address address;
	unsigned route;      /* where it is delivered; 0: as the listener has it */
	bool is_discarded;   /* a hook has it accepted, and stored nowhere */
	struct str argument; /* of RCPT as it was sent: "TO:<a@b> NOTIFY=NEVER" */
	unsigned notify;     /* NOTIFY=, a set of enum dsn_notify */
	/* ORCPT= (RFC 3461, 4.2): "rfc822" and the address, decoded; empty without. */
	struct str original_type;
	struct str original;
};

struct envelope {
	struct envelope_client client;
	struct message_stamp stamp;
	struct address sender;        /* mailbox empty: the null sender */
	struct str argument;          /* of MAIL as it was sent: "FROM:<a@b> SIZE=100" */
	struct str sender_parameters; /* the end of it */
	bool is_smtputf8;  /* SMTPUTF8 (RFC 6531): addresses and headers may be UTF-8 */
	bool requires_tls; /* REQUIRETLS (RFC 8689) */
	enum dsn_return dsn_return; /* RET= */
	/* Who handed the message in first, as a client says who has authenticated (RFC
	 * 4954, 5); p NULL: not said; else empty: unknown, or not to be believed. */
	struct str auth_sender;
	struct str envid;       /* ENVID=, decoded; empty without */
	struct str solicit;     /* SOLICIT= (RFC 3865), keywords; empty without */
	uint64_t declared_size; /* SIZE=, 0 without */
	enum body_type body;
	bool is_discarded; /* likewise, for all recipients */
	/* Header lines that a hook has put in front of the message, each ended by LF. */
	struct str prepended;
	struct recipient *recipients;
	size_t recipient_count;
	size_t recipient_size; /* room in recipients */
	uint64_t size_bytes;   /* octets so far, as RFC 1870 counts them */
	/* NULL; or this one shows some of the recipients of that one. */
	const struct envelope *whole;
};

/* Room for one more recipient in the arena.  Returns NULL when it is full. */
struct recipient *envelope_add_recipient(struct envelope *e, struct arena *arena);

/* How it came: "SMTP", "ESMTPSA", "UTF8LMTPS" and so on (RFC 3848; 6531, 4.3). */
const char *envelope_protocol(const struct envelope *e);

/* "192.0.2.7:25", "[2001:db8::1]:25", or the address alone where the port is not known
 * (0); empty without address, which is one that a proxy has told.  The text lives in
 * text, or as long as the address. */
#define ENVELOPE_DESTINATION_MAX 64
struct str envelope_destination(
	struct str address, uint16_t port, char text[ENVELOPE_DESTINATION_MAX]);

/* Append "Received: ..." with its end of line (RFC 5321, 4.4), folded with
 * eol.  Client text appears only as printable ASCII without comment and quote
 * characters, the recipient of SMTPUTF8 as printable UTF-8.  Overflow shows in out. */
void envelope_add_received(const struct envelope *e, const char *eol, struct buf *out);

#endif
