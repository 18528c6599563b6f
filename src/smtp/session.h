/* The SMTP engine: bytes in, bytes out, decisions through hooks, messages into
 * a sink (RFC 5321, with STARTTLS of RFC 3207 and AUTH of RFC 4954).  It does no I/O,
 * reads no clock, writes no log and never blocks of itself; hooks and sink may.
 *
 *   smtp_start;  then for ever what smtp_next says:
 *     SMTP_FEED    give it bytes: smtp_feed
 *     SMTP_FLUSH   the output is full: send it, then go on
 *     SMTP_PAUSE   send the output, wait smtp_pause_ms, smtp_notify RESUMED
 *     SMTP_STARTTLS  smtp_begin_tls, send the output, shake hands, then
 *                  smtp_tls_started or smtp_notify TLS_FAILED
 *     SMTP_CLOSE   send the output, close
 *     SMTP_DROP    close without another byte
 *     SMTP_RESET   the same, so that the client sees a reset
 *     SMTP_STALL   wait without a word until the client goes, the time for a command
 *                  (or for data, or the session) is over, or the server goes; of which
 *                  smtp_notify is told
 *
 * Any split of the bytes over calls of smtp_feed gives the same result.  Behind a
 * STARTTLS nothing is consumed: the caller knows whether something is left. */
#ifndef SINKD_SMTP_SESSION_H
#define SINKD_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "smtp/envelope.h"
#include "smtp/settings.h"
#include "smtp/sink.h"

struct sasl_session;
struct sinkd_hooks;
struct smtp;
struct smtp_sasl;

enum smtp_want {
	SMTP_FEED,
	SMTP_FLUSH,
	SMTP_PAUSE,
	SMTP_STARTTLS,
	SMTP_CLOSE,
	SMTP_DROP,
	SMTP_RESET,
	SMTP_STALL
};

/* What happened outside, for the engine to say its last words about. */
enum smtp_event {
	SMTP_RESUMED,         /* the pause is over */
	SMTP_END_OF_STREAM,   /* the client is gone: nothing more is said */
	SMTP_TIMED_OUT,       /* a command or message text took too long: 421 4.4.2 */
	SMTP_SESSION_EXPIRED, /* the session as a whole took too long: 421 4.4.2 */
	SMTP_RETIRE,          /* we go: a mail transaction may finish, then 421 4.3.2 */
	SMTP_DRAIN,           /* we go: a message in flight may finish, then 421 4.3.2 */
	SMTP_DRAIN_NOW,       /* we go, whatever is in flight: 421 4.3.2 */
	SMTP_TLS_FAILED,      /* the handshake: nothing more can be said */
};

/* The commands, as those who count them know them; OTHER is whatever is none. */
#define SMTP_VERBS(X)                                                                    \
	X(MAIL)                                                                          \
	X(RCPT)                                                                          \
	X(DATA)                                                                          \
	X(BDAT)                                                                          \
	X(EHLO)                                                                          \
	X(HELO)                                                                          \
	X(LHLO)                                                                          \
	X(RSET)                                                                          \
	X(NOOP)                                                                          \
	X(QUIT)                                                                          \
	X(STARTTLS)                                                                      \
	X(AUTH)                                                                          \
	X(VRFY)                                                                          \
	X(EXPN)                                                                          \
	X(ETRN)                                                                          \
	X(HELP)                                                                          \
	X(XCLIENT)                                                                       \
	X(OTHER)

enum smtp_verb {
#define SMTP_VERB_ENUM(name) VERB_##name,
	SMTP_VERBS(SMTP_VERB_ENUM)
#undef SMTP_VERB_ENUM
		VERBS
};

/* How a message ended: told once per DATA that got a 354, or first BDAT that the sink
 * began with, but with LMTP once for all recipients that are accepted, and once for each
 * that is not; and of those accepted once more for all that are discarded.  code 0:
 * something else came before the end of the message, and nothing was stored. */
struct smtp_outcome {
	const struct envelope *envelope;
	size_t first;           /* of those it is about, among all recipients */
	size_t recipient_count; /* how many these are */
	int code;
	bool is_discarded; /* accepted, and stored nowhere: a hook wanted it so */
	struct str reply;  /* the text of the reply, with enhanced code */
};

/* The world around the engine.  hooks may be NULL.  sasl may be NULL: AUTH is never
 * offered.  command and reply (the seed's `verbose`), answered, outcome and
 * authenticated and introduced may be NULL, and may come and go while the engine is in
 * use.  All else must be there.
 *
 * command and reply never hold a password, or what one could be found by: what belongs
 * to AUTH is told as "(hidden)", but for the challenges before the last.
 * answered is told of each command with the code of its reply: of DATA the one before
 * the message, of BDAT the first one behind its chunk, of AUTH the last one; 0 for no
 * reply. authenticated is told of each AUTH exchange that a reply is about to end: its
 * mechanism, who the client is (code 235) or said to be, as far as is known, and the
 * code; 0 if a hook closes instead. introduced is told when XCLIENT was accepted, with
 * what is now known of the client.
 * session_base: sessions are counted from here on, see smtp_session_number. */
struct smtp_env {
	const struct sinkd_hooks *hooks;
	const struct smtp_sasl *sasl;
	void *sasl_user;
	const struct smtp_sink *sink;
	void *sink_user;
	uint64_t session_base;
	void *user;
	void (*stamp)(void *user, struct message_stamp *ret);
	void (*command)(void *user, struct str line);
	void (*reply)(void *user, struct str line);
	void (*answered)(void *user, enum smtp_verb verb, int code);
	void (*outcome)(void *user, const struct smtp_outcome *outcome);
	void (*authenticated)(
		void *user, struct str mechanism, struct str name, int code);
	void (*introduced)(void *user, const struct envelope_client *client);
};

struct smtp_peer {
	struct str address;
	uint16_t port;
	struct str listener;
	struct str
		proxy_address; /* where a proxy says it connected to; empty: not told */
	uint16_t proxy_port;
	struct smtp_listen_settings settings;
	bool is_loopback; /* on this machine; a Unix socket is, too */
	bool may_xclient; /* it may say on whose behalf it speaks */
};

/* An engine to be used for one session after the other.  settings and env are
 * kept by reference.  Returns NULL without memory. */
struct smtp *smtp_new(const struct smtp_settings *settings, const struct smtp_env *env);
void smtp_free(struct smtp *s);

/* Begin a session: asks `connect`, greets; with implicit TLS when that has started.
 * The strings of peer must live as long as the session. */
void smtp_start(struct smtp *s, const struct smtp_peer *peer);

/* Begin a session that is over: this reply (421 gets our name before the text) takes the
 * place of the greeting, with implicit TLS nothing does, and no hook is asked. */
void smtp_refuse(struct smtp *s, const struct smtp_peer *peer, int code,
	const char *enhanced, const char *text);

/* Consume bytes from the client, up to n; fewer when the engine wants something
 * else first (see smtp_next), and with hooks, which may have taken their time over it,
 * no more than one command or the text of one message.  Returns how many. */
size_t smtp_feed(struct smtp *s, const void *p, size_t n);

/* Whether the bytes fed last held a secret, or a part of one: then the caller is to
 * overwrite them. */
bool smtp_has_secret(const struct smtp *s);

enum smtp_want smtp_next(const struct smtp *s);
uint32_t smtp_pause_ms(const struct smtp *s);
void smtp_notify(struct smtp *s, enum smtp_event event);

/* Bytes that may go to the client now, and that they went.  While the engine
 * pauses, the reply that has to wait is not among them.  That some went may make room
 * for more: with LMTP a message has as many replies as recipients. */
struct str smtp_output(const struct smtp *s);
void smtp_sent(struct smtp *s, size_t n);

/* The client wants TLS (SMTP_STARTTLS).  has_input: the caller has bytes of it that the
 * engine did not consume; somebody in the middle may have put them behind the command
 * (CVE-2011-0411), so that ends the session, and false is returned.  If true: the
 * caller sends the output, the last one in plain text, and shakes hands. */
bool smtp_begin_tls(struct smtp *s, bool has_input);

/* TLS is there: all that was said before is forgotten (RFC 3207, 4.2), and with
 * implicit TLS the session begins.  The strings of both must live as long as the
 * session; of binding, which may be NULL, subject, external and binding_* are used. */
void smtp_tls_started(struct smtp *s, const struct envelope_tls *tls,
	const struct sasl_session *binding);

/* Where the session stands, for deadlines and for the way to close.  In data: octets of
 * DATA or of a chunk come next, for the message or to be thrown away. */
bool smtp_is_in_data(const struct smtp *s);
/* In message: some of one has come, and the next of it may be a chunk. */
bool smtp_is_in_message(const struct smtp *s);
bool smtp_is_mid_line(const struct smtp *s);
uint64_t smtp_line_count(const struct smtp *s); /* command lines so far */
bool smtp_has_quit(const struct smtp *s);

/* A hook has ended the session without a word (SMTP_DROP, SMTP_RESET), or has it stalled,
 * and the client has not gone. */
bool smtp_is_cut(const struct smtp *s);

/* For hooks, which are handed the engine itself: the session as far as it has come, valid
 * until they return; in `sender` with what MAIL says, in `recipient` without the new one.
 * The command in hand, of a message its DATA or BDAT; and a number that no other session
 * has, as far as that is up to env. */
const struct envelope *smtp_envelope(const struct smtp *s);
enum smtp_verb smtp_command(const struct smtp *s);
uint64_t smtp_session_number(const struct smtp *s);

/* For hooks, before DATA or the first BDAT: put a header line, without its end, in front
 * of the message.  False: it is no header line of printable text (998 octets at most), it
 * comes too late, or the session has no memory left. */
bool smtp_prepend(struct smtp *s, struct str line);

/* What the client calls itself, since EHLO, HELO or LHLO was accepted; valid until bytes
 * are fed. */
struct str smtp_helo(const struct smtp *s);

/* End the session: an open message is aborted, `connection_ended` is called,
 * once.  Harmless when it has ended already. */
void smtp_end(struct smtp *s);

#endif
