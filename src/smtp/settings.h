/* What the configuration decides about the protocol.  Immutable while in use;
 * strings belong to the configuration, which outlives the engine. */
#ifndef SINKD_SMTP_SETTINGS_H
#define SINKD_SMTP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a CR or LF in message text that is not part of a CR LF pair.
 * Whatever is chosen, only CR LF . CR LF ends a message (RFC 5321, 2.3.8). */
enum bare_newline {
	BARE_NEWLINE_NORMALIZE, /* a lone LF counts as a line end and becomes CR LF */
	BARE_NEWLINE_REJECT,    /* 554 5.6.0 after the dot */
	BARE_NEWLINE_PRESERVE,  /* bytes as they came */
};

/* What TLS is to the clients of a listener. */
enum listen_tls {
	LISTEN_TLS_OFF,
	LISTEN_TLS_STARTTLS, /* RFC 3207: they may */
	LISTEN_TLS_REQUIRED, /* they must, before MAIL */
	LISTEN_TLS_IMPLICIT, /* RFC 8314: before the greeting */
};

/* What AUTH (RFC 4954) is to them; required: before MAIL. */
enum listen_auth { LISTEN_AUTH_OFF, LISTEN_AUTH_OPTIONAL, LISTEN_AUTH_REQUIRED };

/* Where mechanisms that show the password are offered without TLS. */
enum plaintext_auth {
	PLAINTEXT_AUTH_NEVER,
	PLAINTEXT_AUTH_LOOPBACK, /* to clients on this machine */
	PLAINTEXT_AUTH_ALWAYS,
};

enum listen_protocol { LISTEN_SMTP, LISTEN_LMTP };

/* What a listener may offer (option "extensions"), by the names that EHLO, or a user,
 * calls them.  STARTTLS, AUTH and XCLIENT are not among them: they have options of
 * their own. */
#define SMTP_EXTENSIONS(X)                                                               \
	X(PIPELINING, "PIPELINING")                                                      \
	X(SIZE, "SIZE")                                                                  \
	X(8BITMIME, "8BITMIME")                                                          \
	X(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES")                                    \
	X(CHUNKING, "CHUNKING")                                                          \
	X(BINARYMIME, "BINARYMIME")                                                      \
	X(SMTPUTF8, "SMTPUTF8")                                                          \
	X(DSN, "DSN")                                                                    \
	X(LIMITS, "LIMITS")                                                              \
	X(NO_SOLICITING, "NO-SOLICITING")                                                \
	X(REQUIRETLS, "REQUIRETLS")                                                      \
	X(HELP, "HELP")                                                                  \
	X(VRFY, "VRFY")                                                                  \
	X(EXPN, "EXPN")                                                                  \
	X(ETRN, "ETRN")

enum smtp_extension {
#define SMTP_EXTENSION_ENUM(id, name) EXTENSION_##id,
	SMTP_EXTENSIONS(SMTP_EXTENSION_ENUM)
#undef SMTP_EXTENSION_ENUM
		EXTENSIONS
};

/* A set of them: bit 1 << e for each. */
#define EXTENSION_BIT(e) (UINT32_C(1) << (e))
#define EXTENSIONS_ALL   (EXTENSION_BIT(EXTENSIONS) - 1)

/* What becomes of a client that speaks before it was greeted. */
enum early_talker { EARLY_TALKER_ALLOW, EARLY_TALKER_REFUSE };

/* What one listen section decides; the last three follow from where its mail goes. */
struct smtp_listen_settings {
	enum listen_protocol protocol;
	enum listen_tls tls;
	enum listen_auth auth;
	/* What EHLO offers, as a set of EXTENSION_BIT; empty: EHLO is not known, and the
	 * client has to do with HELO.  LHLO always is. */
	uint32_t extensions;
	/* An address that begins with "-" could be taken for an option of a command. */
	bool is_sender_argument;    /* so MAIL does not take one */
	bool is_recipient_argument; /* nor RCPT */
	/* All recipients of a message must fit a command line: so many octets, each
	 * counted with recipient_extra more; 0: they need not. */
	size_t recipient_text_max;
	size_t recipient_extra;
};

struct smtp_settings {
	const char *hostname;
	/* "%{hostname}" in it stands for the server's name, "%{protocol}" for "ESMTP",
	 * "LMTP", or "SMTP" without extensions, and "%%" for a percent sign. */
	const char *greeting;
	uint64_t message_size_max;  /* octets as RFC 1870 counts them */
	size_t recipients_max;      /* per transaction */
	size_t line_length_max;     /* command lines, with their CR LF */
	unsigned errors_max;        /* 5xx of ours without a message delivered */
	unsigned auth_failures_max; /* of one session; then 421 */
	/* Commands that bring no mail nearer since the last message that was accepted,
	 * and mail transactions in one session; more: 421.  0: any number. */
	unsigned idle_commands_max;
	unsigned messages_max;
	enum plaintext_auth plaintext_auth;
	size_t memory_max; /* bytes per session */
	enum bare_newline bare_newline;
};

#endif
