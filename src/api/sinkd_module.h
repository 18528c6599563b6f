/* Modules: user code that is told each protocol state and decides, and that takes
 * messages; sinkd-module(3) is the manual.
 *
 * A module is a shared object with one function, sinkd_module_open.  It links to
 * nothing of the server: all it may ask is in struct sinkd_host.
 *
 * The engine calls the hooks in the order in which the protocol reaches them.  A NULL
 * member means "no opinion": the next layer is asked, and with none left the answer is
 * yes.  A hook that is there decides alone, unless it asks on itself (SINKD_NEXT).  Hooks
 * may block; while one runs, its client waits and no other does.
 *
 * Rules that hold for all of them:
 *  - The session is opaque.  Strings are pointer plus length, not terminated,
 *    and live until the hook returns.
 *  - A verdict comes in accepting (code 0).  Leave it so to accept.
 *  - The engine has checked order and syntax before it asks, except for
 *    `command`, which sees each well-formed line first.
 *  - transaction, reset and connection_ended cannot refuse, and are told to each layer.
 */
#ifndef SINKD_MODULE_H
#define SINKD_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each table begins with this number and its own size.  Members are only ever added, at
 * the end; any other change has another number. */
#define SINKD_ABI 1

struct sinkd_session;
struct sinkd_envelope;

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
	/* EHLO, HELO and LHLO.  Refused: 550 5.7.1, nothing changes.  Also the name that
	 * XCLIENT tells, behind `connect`; refused: the client has to greet itself. */
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

/* What can be read of an envelope, as far as the session has come; what is not known, or
 * not known yet, is empty. */
enum sinkd_text {
	SINKD_CLIENT_ADDRESS, /* "192.0.2.7", "2001:db8::1", "unix" or "unknown" */
	SINKD_CLIENT_NAME,    /* if a proxy has told it */
	SINKD_PROXY_ADDRESS,  /* where the client connected to, if a proxy has told it */
	SINKD_LISTENER,       /* the name of the listen section */
	SINKD_SERVER,         /* the name we go by, once a message begins */
	SINKD_HELO,           /* what the client calls itself */
	SINKD_PROTOCOL,       /* "ESMTPS" and the like (RFC 3848) */
	SINKD_TLS_VERSION,    /* "TLSv1.3" */
	SINKD_TLS_CIPHER,     /* "TLS_AES_256_GCM_SHA384" */
	SINKD_TLS_SUBJECT,    /* of the client's certificate, if it was verified */
	SINKD_USER,           /* who has authenticated */
	SINKD_SENDER,         /* empty for the null sender, too */
	SINKD_SENDER_PARAMETERS,
	SINKD_MESSAGE_ID, /* from the reply to MAIL on */
};

enum sinkd_number {
	SINKD_CLIENT_PORT,     /* 0: unknown */
	SINKD_PROXY_PORT,      /* likewise */
	SINKD_RECIPIENT_COUNT, /* of those that were accepted */
	SINKD_DECLARED_SIZE,   /* octets, as MAIL has them; 0: not said */
	SINKD_SIZE,            /* octets so far */
	SINKD_IS_LMTP,
	SINKD_IS_SMTPUTF8,
};

enum sinkd_level { SINKD_DEBUG, SINKD_INFO, SINKD_WARN, SINKD_ERROR };

/* What the server does for a module; it lives until `close` has returned.  A member that
 * lies beyond `size` is not there. */
struct sinkd_host {
	uint32_t abi;
	uint32_t size;
	void *user; /* the server's own */

	/* The layers below this one, to be asked from hooks only; see SINKD_NEXT. */
	const struct sinkd_hooks *next;

	/* Reading.  The envelope is valid as long as the session in the same hook;
	 * recipients count from 0, in the order of their commands. */
	const struct sinkd_envelope *(*envelope)(struct sinkd_session *session);
	struct sinkd_str (*text)(
		const struct sinkd_envelope *envelope, enum sinkd_text which);
	uint64_t (*number)(
		const struct sinkd_envelope *envelope, enum sinkd_number which);
	struct sinkd_str (*recipient)(const struct sinkd_envelope *envelope, size_t i);
	struct sinkd_str (*recipient_parameters)(
		const struct sinkd_envelope *envelope, size_t i);

	/* One pointer for this session and module; NULL until it is set.  free_state, if
	 * not NULL, is called with it at the end of the session, after connection_ended,
	 * and when another takes its place. */
	void *(*session_state)(
		const struct sinkd_host *host, struct sinkd_session *session);
	void (*set_session_state)(const struct sinkd_host *host,
		struct sinkd_session *session, void *state, void (*free_state)(void *));

	/* Counting, over all workers and until the server stops: how many times the key
	 * of n bytes has come, this one included, since its window began.  It begins with
	 * the first time, and again with the first after window_ms; 0: it never ends.
	 * The same key with another window is another key, and each module (by its path)
	 * has its own.  Of very many keys those not seen for the longest are forgotten.
	 * seen: how many times it has come, which does not count. */
	uint64_t (*count)(const struct sinkd_host *host, const void *key, size_t n,
		uint64_t window_ms);
	uint64_t (*seen)(const struct sinkd_host *host, const void *key, size_t n,
		uint64_t window_ms);

	/* For SINKD_ROUTE: the route to the deliver section of that name; 0: there is
	 * none. */
	uint32_t (*find_route)(const struct sinkd_host *host, const char *name);

	/* In hooks, before DATA or the first BDAT: put a header line, without its end, in
	 * front of the message.  False: it is no header line of printable text (998
	 * octets at most), it comes too late, or the session has no memory left. */
	bool (*prepend)(struct sinkd_session *session, struct sinkd_str line);

	/* A line of the log, with the module and the session. */
	void (*log)(
		const struct sinkd_host *host, enum sinkd_level level, const char *text);
};

/* SINKD_NEXT(host, sender, session, path, parameters, verdict): ask the layers below,
 * unless none of them has the hook.  Not for transaction, reset and connection_ended,
 * which they are told anyway. */
#define SINKD_NEXT(host, hook, ...)                                                      \
	do {                                                                             \
		if ((host)->next->hook != NULL)                                          \
			(host)->next->hook((host)->next->user, __VA_ARGS__);             \
	} while (0)

/* What became of a message, for one recipient: code 0, it is stored, for good; 400..599,
 * this reply; anything else counts as 451.  enhanced and text as in a verdict. */
struct sinkd_result {
	int code;
	char enhanced[12];
	char text[256];
};

/* Where messages go: for deliver sections that name the module.
 *
 * Calls for one message, in this order: begin, chunk..., prepare, commit, end; after a
 * failure, or when the message is given up, all that is left is end.  Results come in
 * as stored; keep has a member for each recipient.  Only `commit` has to be there.
 *
 *  begin    section: the name of the deliver section.  The envelope has the recipients
 *           of this section, and stays until end.  Returns what the other calls are
 *           given as `message`.  A failure: there is no message, and end is not called.
 *  chunk    text, line ends CR LF, any split; the first failure is the last call but
 *           end.
 *  prepare  all that can fail without being seen outside; results for each recipient.
 *  commit   publish for recipients with keep[i], so that it can still be withdrawn, with
 *           results for those.  Stored means durable.
 *  end      it stays for recipients with keep[i], is withdrawn from the others, and
 *           nothing else is left behind.  keep NULL: withdrawn from all. */
struct sinkd_backend {
	uint32_t abi;
	uint32_t size;
	void *user;

	void *(*begin)(void *user, struct sinkd_str section,
		const struct sinkd_envelope *envelope, struct sinkd_result *result);
	void (*chunk)(void *user, void *message, struct sinkd_str bytes,
		struct sinkd_result *result);
	void (*prepare)(void *user, void *message, struct sinkd_result *results);
	void (*commit)(void *user, void *message, const bool *keep,
		struct sinkd_result *results);
	void (*end)(void *user, void *message, const bool *keep);
};

/* What a module is.  It comes in zeroed, but for `size`: as much as may be filled in.
 * hooks and backend: NULL without; they stay the module's, and must not change. */
struct sinkd_module {
	uint32_t abi; /* SINKD_ABI of the header that the module was built with */
	uint32_t size;
	const struct sinkd_hooks *hooks;
	const struct sinkd_backend *backend;
	void *user;
	void (*close)(void *user); /* called last; may be NULL */
	char error[256];           /* if it cannot be opened: why */
};

/* Called once in each process that uses the module, after rights were dropped and before
 * the sandbox closes: what the module will need, files and sockets above all, it opens
 * here.  argument is that of the configuration, and lives as long as the host.  Returns
 * 0; or anything else, and then nothing else is called. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int sinkd_module_open(const struct sinkd_host *host, const char *argument,
	struct sinkd_module *ret);

#ifdef __cplusplus
}
#endif

#endif
