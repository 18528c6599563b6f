/* The engine on a bench: a sink that keeps messages in memory, hooks that
 * record and judge, and the loop of the server without its sockets.
 *
 *   struct rig rig;
 *   rig_init(&rig);       then change rig.settings, rig.judge, rig.faults
 *   rig_start(&rig);      connect and greeting
 *   rig_feed(&rig, ...);  bytes of the client, any split
 *   rig_end(&rig);        the connection is over
 *   rig_done(&rig);
 *
 * Broken promises of the engine (a sink call out of order, input that is never
 * consumed, a flush of nothing, a second connection_ended) fail an assert. */
#ifndef SINKD_TESTS_RIG_H
#define SINKD_TESTS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/sinkd_module.h"
#include "base/buf.h"
#include "smtp/envelope.h"
#include "smtp/sasl.h"
#include "smtp/session.h"
#include "smtp/settings.h"
#include "smtp/sink.h"

/* The hooks in the order of the table. */
#define RIG_HOOKS(X)                                                                     \
	X(RIG_CONNECT, "connect")                                                        \
	X(RIG_SERVER_DOMAIN, "server_domain")                                            \
	X(RIG_SERVER_GREETING, "server_greeting")                                        \
	X(RIG_COMMAND, "command")                                                        \
	X(RIG_EHLO_DOMAIN, "ehlo_domain")                                                \
	X(RIG_SENDER, "sender")                                                          \
	X(RIG_RECIPIENT, "recipient")                                                    \
	X(RIG_DATA_COMMAND, "data_command")                                              \
	X(RIG_DATA_CHUNK, "data_chunk")                                                  \
	X(RIG_MESSAGE, "message")                                                        \
	X(RIG_RESET, "reset")                                                            \
	X(RIG_TRANSACTION, "transaction")                                                \
	X(RIG_CONNECTION_ENDED, "connection_ended")                                      \
	X(RIG_PLAIN_AUTH, "plain_auth")                                                  \
	X(RIG_MESSAGE_RECIPIENT, "message_recipient")

enum rig_hook {
#define RIG_HOOK_ENUM(id, name) id,
	RIG_HOOKS(RIG_HOOK_ENUM)
#undef RIG_HOOK_ENUM
};

/* Where the sink fails.  prepare and commit: for the recipients whose bit is set,
 * the first one's being 1; permanent: for good, for those of them.  text_after: the
 * first chunk that brings the text to more octets than this; UINT64_MAX never.
 *
 * Some mailboxes always fail, whatever their domain: prepare for "full" with 452 4.2.2,
 * for "gone" with 550 5.1.1, for "closing" with 421 4.3.2, and commit for "late" with
 * 451 4.3.0. */
struct rig_faults {
	bool begin;
	uint32_t prepare;
	uint32_t commit;
	uint32_t permanent;
	uint64_t text_after;
};

enum rig_sink_state { RIG_SINK_IDLE, RIG_SINK_OPEN, RIG_SINK_FAILED, RIG_SINK_PREPARED };

/* What becomes of a handshake that the engine asks for. */
enum rig_tls {
	RIG_TLS_WAITS, /* the rig stands still until rig_start_tls or rig_notify */
	RIG_TLS_STARTS,
	RIG_TLS_FAILS,
};

/* What the caller says to the engine of bytes behind STARTTLS. */
enum rig_tls_input { RIG_TLS_INPUT_AS_IS, RIG_TLS_INPUT_NONE, RIG_TLS_INPUT_SOME };

/* An exchange with the mechanisms of rig_sasl.c. */
struct rig_sasl {
	bool is_active;
	bool is_over; /* the last step has ended it */
	bool has_password;
	int mechanism;
	unsigned steps;
	const struct sasl_session *session;
	char name[400];
	size_t name_n;
	char password[400];
	size_t password_n;
};

struct rig_message {
	char *p;
	size_t n;
	size_t recipients; /* who got it */
};

struct rig {
	/* Set between rig_init and rig_start. */
	struct smtp_settings settings;
	struct smtp_peer peer;
	struct sinkd_hooks hooks;
	bool has_sasl;
	const char *mechanism; /* the only one that is enabled; NULL: all are */
	enum rig_tls tls;
	enum rig_tls_input tls_input;
	struct envelope_tls tls_session; /* what a handshake gives */
	struct sasl_session binding;
	struct rig_faults faults;
	/* Decides for a hook; argument is its most telling one.  May be NULL. */
	void (*judge)(struct rig *rig, enum rig_hook hook, struct sinkd_str argument,
		struct sinkd_verdict *verdict);
	void *user;
	/* Pauses end at once.  False: the rig stands still until rig_notify. */
	bool resumes;

	/* What came of it. */
	struct buf output;            /* all that the client would have read */
	struct buf answers;           /* "VERB CODE" and an end of line per command */
	struct buf trace;             /* one line per call of hook and sink, in order */
	struct buf told;              /* commands and reply lines, as a log has them */
	struct buf logins;            /* "MECHANISM NAME CODE" per exchange that ended */
	size_t secret_count;          /* pieces of input that held one */
	struct rig_message *messages; /* as committed */
	size_t message_count;
	size_t write_count; /* writes the server would have made */
	size_t pause_count;
	uint64_t paused_ms;
	uint64_t text_bytes; /* of the message in flight, as hook data_chunk saw it */
	struct buf outcomes; /* "CODE COUNT RECIPIENT", perhaps " discarded", for each */
	size_t outcome_count;
	int outcome_code;
	bool is_over;    /* the engine wanted to close */
	bool is_dropped; /* without a last word */
	bool is_reset;   /* likewise, with a reset */
	bool is_stalled; /* the rig stands still until rig_notify */

	struct smtp *engine;
	struct smtp_env env;
	struct buf input;
	struct buf text;
	const struct envelope *envelope; /* of the message in the sink */
	size_t recipient_count;
	uint8_t *prepared;   /* for each recipient: it went well */
	size_t untold_count; /* recipients that no outcome was told of yet */
	enum rig_sink_state sink_state;
	bool has_begun; /* the hooks know of the session */
	size_t ended_count;
	unsigned stamp_count;
	bool is_in_text;
	struct rig_sasl sasl;
};

void rig_init(struct rig *r);
void rig_start(struct rig *r);
void rig_feed(struct rig *r, const void *p, size_t n);
/* The same for terminated text. */
void rig_say(struct rig *r, const char *text);
void rig_notify(struct rig *r, enum smtp_event event);
/* The handshake that the engine waits for. */
void rig_start_tls(struct rig *r);
/* What the engine offered since the last rig_forget. */
struct str rig_output(const struct rig *r);
struct str rig_trace(const struct rig *r);
/* Begin a new page for rig_output, rig_trace, answers and outcomes. */
void rig_forget(struct rig *r);
/* End the session; the engine stays, for rig_output and the next rig_start. */
void rig_end(struct rig *r);
void rig_done(struct rig *r);

#endif
