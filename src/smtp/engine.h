/* The inside of the engine, for the files of room smtp only. */
#ifndef SINKD_SMTP_ENGINE_H
#define SINKD_SMTP_ENGINE_H

#include "base/arena.h"
#include "base/buf.h"
#include "smtp/data.h"
#include "smtp/envelope.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "smtp/sasl.h"
#include "smtp/session.h"

/* Replies of a pipelined group leave in one write up to here; no single command
 * adds more than the margin. */
#define OUTPUT_FULL_BYTES   16384
#define OUTPUT_MARGIN_BYTES 8192

/* No client has a longer name (RFC 4616, 2). */
#define USER_NAME_MAX 255

/* RFC 4422, 3.1 */
#define MECHANISM_MAX 20

enum smtp_mode {
	MODE_COMMAND,
	MODE_DATA,
	MODE_CHUNK,   /* octets of BDAT come next, for the message or to be thrown away */
	MODE_RESULTS, /* a message was delivered; not all replies to it had room yet */
	MODE_AUTH,    /* a line of an AUTH exchange comes next */
	MODE_STARTTLS, /* the command was given, and not answered yet */
	MODE_HANDSHAKE,
	MODE_CLOSING,
	/* A hook wants silence: what was said before goes out, and then nothing. */
	MODE_DISCONNECTED,
	MODE_RESET,
	MODE_STALLED,
	MODE_DROPPED /* the client is gone, or given up */
};

/* How far a message is that comes by BDAT. */
enum chunks {
	CHUNKS_NONE,
	CHUNKS_BEGUN,  /* the first was accepted; more will come */
	CHUNKS_FAILED, /* one was not: only RSET leads out (RFC 3030, 2) */
};

/* The chunk that is being read (MODE_CHUNK); see chunk.c. */
struct chunk {
	uint64_t size; /* as it was announced */
	uint64_t left;
	bool is_last;
	bool is_discarded; /* it has been refused, and was answered */
};

/* What a mechanism says at once, before base64: with that it keeps to the margin. */
#define CHALLENGE_MAX 6000

/* The AUTH exchange of the moment, and what came of those before; see auth.c. */
struct auth {
	struct buf challenge;
	char mechanism[MECHANISM_MAX + 1]; /* in upper case; "": no exchange */
	bool has_last_word; /* the client is right; it has to take what we said */
	bool has_tried;     /* without success */
	unsigned failures;
	char user[USER_NAME_MAX];
};

/* INET6_ADDRSTRLEN, without the header */
#define XCLIENT_ADDRESS_SIZE 46

enum xclient_attribute {
	XCLIENT_NAME,
	XCLIENT_ADDR,
	XCLIENT_PORT,
	XCLIENT_PROTO,
	XCLIENT_HELO,
	XCLIENT_LOGIN,
	XCLIENT_DESTADDR,
	XCLIENT_DESTPORT,
	XCLIENT_ATTRIBUTES
};

/* What XCLIENT told; see xclient.c.  Texts are terminated, and empty when not known. */
struct xclient {
	unsigned told; /* a set of 1 << enum xclient_attribute */
	uint16_t port;
	uint16_t destination_port;
	bool is_esmtp;
	bool is_loopback;
	char address[XCLIENT_ADDRESS_SIZE];
	char destination[XCLIENT_ADDRESS_SIZE];
	char name[256];
	char helo[256];
	char user[USER_NAME_MAX + 1];
	/* Whom we see, for when all that is forgotten. */
	struct envelope_client peer;
	bool is_peer_loopback;
};

struct smtp {
	const struct smtp_settings *settings;
	const struct smtp_env *env;
	struct buf out;
	struct line line;
	struct arena arena;

	/* the session */
	struct smtp_listen_settings listen;
	enum smtp_mode mode;
	bool is_open; /* the hooks know of it, and do not know that it has ended */
	bool is_tls;
	bool is_loopback;
	bool may_xclient;
	bool has_secret;  /* see smtp_has_secret */
	bool has_greeted; /* EHLO or HELO was accepted */
	bool has_quit;
	bool is_cut; /* see smtp_is_cut */
	bool is_draining;
	const char *drain_enhanced; /* static: why, for the client */
	const char *drain_text;
	enum smtp_verb verb; /* the last command that was one */
	int reply_code;      /* of the last whole reply; 0: none since the command */
	unsigned errors;
	unsigned idle_commands; /* since the last message that was accepted */
	unsigned message_count; /* mail transactions */
	uint64_t session_count;
	uint64_t line_count;
	uint32_t pause_ms;
	size_t held_at; /* while pausing: output from here on has to wait */
	struct arena_mark transaction_mark; /* what the session keeps ends here */
	struct auth auth;
	struct sasl_session sasl_session;
	struct xclient xclient;

	/* the transaction */
	struct envelope envelope;
	bool has_sender;
	bool has_refused_recipient;
	enum chunks chunks;
	size_t recipient_text; /* of all recipients, as the listener counts it */
	size_t prepended_room; /* where envelope.prepended is */

	/* the message in flight */
	struct data data;
	struct chunk chunk;
	bool is_in_message;   /* from 354, or the first BDAT, to the reply to the last */
	bool is_in_sink;      /* between begin and commit or abort */
	struct reply failure; /* the first failure sticks; code 0: none */
	struct smtp_result *results; /* room for as many as the envelope has */
	bool *keep;
	struct reply **refusals; /* by hook, one for each; NULL: none of them */
	size_t reply_next;       /* the recipient that is told next what became of it */
	bool has_421;            /* one of them was told that we close */
	char server_name[255];   /* for the trace header */
};

/* Append one line of a reply; the last line of a 421 also closes. */
void engine_reply_line(struct smtp *s, enum reply_position position, int code,
	const char *enhanced, struct str text);
void engine_reply(struct smtp *s, int code, const char *enhanced, const char *text);

/* "334 text", however long. */
void engine_challenge(struct smtp *s, struct str text);

/* A reply that was kept, or that a hook gave. */
void engine_answer(struct smtp *s, const struct reply *answer);

/* The session proper begins, maybe anew: ask the hook `connect` and greet, or close. */
void engine_open_session(struct smtp *s);

/* A reply to a mistake of the client, which counts towards limits.errors. */
void engine_error(struct smtp *s, int code, const char *enhanced, const char *text);

/* 421 with our name, as RFC 5321, 4.2.2 has it, and close. */
void engine_close(struct smtp *s, const char *enhanced, const char *text);

/* Tell that the command has its reply. */
void engine_tell_answer(struct smtp *s, enum smtp_verb verb);

/* Close, if the server goes and no mail transaction is open that could still bring a
 * message. */
void engine_leave_if_due(struct smtp *s);

/* Wait before what comes next. */
void engine_pause(struct smtp *s, uint32_t ms);

/* Close without a word. */
void engine_drop(struct smtp *s);

/* Not another word, but for what was said before: a hook wants the session to end so, in
 * one of the modes for that, or to last. */
void engine_cut(struct smtp *s, enum smtp_mode mode);

/* Whether nothing will be said any more. */
static inline bool engine_is_silent(const struct smtp *s)
{
	return s->mode >= MODE_DISCONNECTED;
}

#endif
