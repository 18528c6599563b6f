/* Macros in the templates of deliver sections: %{name}, and %% for a percent sign.
 *
 * Templates are the administrator's.  What a macro stands for is the client's, so
 * whoever fills one in has to know where the text goes.  Pure. */
#ifndef SINKD_DELIVERY_MACRO_H
#define SINKD_DELIVERY_MACRO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* name, and the text in braces */
#define MACROS(X)                                                                        \
	X(SENDER, "sender")                                                              \
	X(RECIPIENT, "recipient")                                                        \
	X(RECIPIENTS, "recipients")                                                      \
	X(RECIPIENT_LOCAL, "recipient.local")                                            \
	X(RECIPIENT_DOMAIN, "recipient.domain")                                          \
	X(RECIPIENT_EXTENSION, "recipient.extension")                                    \
	X(CLIENT_ADDRESS, "client.address")                                              \
	X(CLIENT_PORT, "client.port")                                                    \
	X(HELO, "helo")                                                                  \
	X(USER, "user")                                                                  \
	X(LISTENER, "listener")                                                          \
	X(MESSAGE_ID, "message.id")                                                      \
	X(SIZE, "size")                                                                  \
	X(ENVID, "envid")                                                                \
	X(PROTOCOL, "protocol")                                                          \
	X(TLS_CIPHER, "tls.cipher")

enum macro {
	MACRO_NONE,
#define MACRO_ENUM(id, name) MACRO_##id,
	MACROS(MACRO_ENUM)
#undef MACRO_ENUM
		MACRO_END
};

/* A set of macros. */
#define MACRO_BIT(macro) (UINT32_C(1) << (macro))
#define MACROS_OF_ONE_RECIPIENT                                                          \
	(MACRO_BIT(MACRO_RECIPIENT) | MACRO_BIT(MACRO_RECIPIENT_LOCAL) |                 \
		MACRO_BIT(MACRO_RECIPIENT_DOMAIN) |                                      \
		MACRO_BIT(MACRO_RECIPIENT_EXTENSION))
#define MACROS_OF_PATHS                                                                  \
	(MACRO_BIT(MACRO_RECIPIENT) | MACRO_BIT(MACRO_RECIPIENT_LOCAL) |                 \
		MACRO_BIT(MACRO_RECIPIENT_DOMAIN))
#define MACROS_OF_COMMANDS (MACRO_BIT(MACRO_END) - MACRO_BIT(MACRO_SENDER))

/* One step through a template: a macro, or (MACRO_NONE) a literal byte. */
struct macro_token {
	enum macro macro;
	char literal;
};

/*
 * template = *( "%%" / macro / any byte but "%" )
 *
 * Take one token off *s, which is not empty; allowed: which macros there are here.
 * Returns NULL, or what is wrong (static text) and then *s is as it was. */
const char *macro_take(struct str *s, uint32_t allowed, struct macro_token *ret);

/* Which macros a template has that is right. */
uint32_t macro_used(const char *template);

/* What is wrong with an argument of a command (static text), or NULL: known macros, and
 * %{recipients} only alone. */
const char *macro_check_argument(const char *template);

/* Which macros of a command (its program, then arguments, then NULL) begin an argument,
 * so that a value with a hyphen in front would be taken for an option.  Behind an
 * argument "--" there are none. */
uint32_t macro_used_as_options(const char *const *command);

#endif
