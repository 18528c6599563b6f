/* The SMTP engine: bytes in, bytes out, decisions through hooks, messages into
 * a sink (RFC 5321).  It does no I/O, reads no clock, writes no log and never
 * blocks of itself; hooks and sink may.
 *
 *   smtp_start;  then for ever what smtp_next says:
 *     SMTP_FEED    give it bytes: smtp_feed
 *     SMTP_FLUSH   the output is full: send it, then go on
 *     SMTP_PAUSE   send the output, wait smtp_pause_ms, smtp_notify RESUMED
 *     SMTP_CLOSE   send the output, close
 *     SMTP_DROP    close without another byte
 *
 * Any split of the bytes over calls of smtp_feed gives the same result. */
#ifndef SINKD_SMTP_SESSION_H
#define SINKD_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "smtp/envelope.h"
#include "smtp/settings.h"
#include "smtp/sink.h"

struct sinkd_hooks;
struct smtp;

enum smtp_want { SMTP_FEED, SMTP_FLUSH, SMTP_PAUSE, SMTP_CLOSE, SMTP_DROP };

/* What happened outside, for the engine to say its last words about. */
enum smtp_event {
	SMTP_RESUMED,         /* the pause is over */
	SMTP_END_OF_STREAM,   /* the client is gone: nothing more is said */
	SMTP_TIMED_OUT,       /* a command or message text took too long: 421 4.4.2 */
	SMTP_SESSION_EXPIRED, /* the session as a whole took too long: 421 4.4.2 */
	SMTP_DRAIN,           /* we go: a message in flight may finish, then 421 4.3.2 */
	SMTP_DRAIN_NOW,       /* we go, whatever is in flight: 421 4.3.2 */
};

/* The commands, as those who count them know them; OTHER is whatever is none. */
#define SMTP_VERBS(X)                                                                    \
	X(MAIL)                                                                          \
	X(RCPT)                                                                          \
	X(DATA)                                                                          \
	X(EHLO)                                                                          \
	X(HELO)                                                                          \
	X(RSET)                                                                          \
	X(NOOP)                                                                          \
	X(QUIT)                                                                          \
	X(VRFY)                                                                          \
	X(EXPN)                                                                          \
	X(HELP)                                                                          \
	X(OTHER)

enum smtp_verb {
#define SMTP_VERB_ENUM(name) VERB_##name,
	SMTP_VERBS(SMTP_VERB_ENUM)
#undef SMTP_VERB_ENUM
		VERBS
};

/* How a message ended, told once per DATA that got a 354.  code 0: the session
 * ended before the message did, and nothing was stored. */
struct smtp_outcome {
	const struct envelope *envelope;
	int code;
	struct str reply; /* the text of the reply, with enhanced code */
};

/* The world around the engine.  hooks may be NULL.  command and reply (the
 * seed's `verbose`) and outcome may be NULL.  All else must be there. */
struct smtp_env {
	const struct sinkd_hooks *hooks;
	const struct smtp_sink *sink;
	void *sink_user;
	void *user;
	void (*stamp)(void *user, struct message_stamp *ret);
	void (*command)(void *user, struct str line);
	void (*reply)(void *user, struct str line);
	void (*outcome)(void *user, const struct smtp_outcome *outcome);
};

struct smtp_peer {
	struct str address;
	uint16_t port;
	struct str listener;
};

/* An engine to be used for one session after the other.  settings and env are
 * kept by reference.  Returns NULL without memory. */
struct smtp *smtp_new(const struct smtp_settings *settings, const struct smtp_env *env);
void smtp_free(struct smtp *s);

/* Begin a session: asks `connect`, greets.  The strings of peer must live as
 * long as the session. */
void smtp_start(struct smtp *s, const struct smtp_peer *peer);

/* Consume bytes from the client, up to n; fewer when the engine wants something
 * else first (see smtp_next).  Returns how many. */
size_t smtp_feed(struct smtp *s, const void *p, size_t n);

enum smtp_want smtp_next(const struct smtp *s);
uint32_t smtp_pause_ms(const struct smtp *s);
void smtp_notify(struct smtp *s, enum smtp_event event);

/* Bytes that may go to the client now, and that they went.  While the engine
 * pauses, the reply that has to wait is not among them. */
struct str smtp_output(const struct smtp *s);
void smtp_sent(struct smtp *s, size_t n);

/* Where the session stands, for deadlines and for the way to close. */
bool smtp_is_in_data(const struct smtp *s);
bool smtp_is_mid_line(const struct smtp *s);
uint64_t smtp_line_count(const struct smtp *s); /* command lines so far */
bool smtp_has_quit(const struct smtp *s);

/* End the session: an open message is aborted, `connection_ended` is called,
 * once.  Harmless when it has ended already. */
void smtp_end(struct smtp *s);

#endif
