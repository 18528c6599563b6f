/* AUTH (RFC 4954): offers, exchanges line by line, and what follows from them.  What
 * the mechanisms say in between is the business of smtp/sasl.h. */
#ifndef SINKD_SMTP_AUTH_H
#define SINKD_SMTP_AUTH_H

#include <stdbool.h>

#include "base/str.h"

struct smtp;

/* Before a session. */
void auth_begin(struct smtp *s);

/* Forget who the client is, and the exchange if there is one (RFC 3207, 4.2); the
 * failures are kept. */
void auth_forget(struct smtp *s);

/* Forget the exchange, if there is one. */
void auth_end_exchange(struct smtp *s);

/* Whether the listener has AUTH at all. */
bool auth_is_on(const struct smtp *s);

/* "AUTH PLAIN ...", for EHLO; empty when it cannot be used now.  Valid until the next
 * call. */
struct str auth_offer(struct smtp *s);

/* The command was given, in order. */
void auth_start(struct smtp *s, struct str argument);

/* A line of the exchange (MODE_AUTH), without its end. */
void auth_take_line(struct smtp *s, struct str line);

/* A line of the exchange was bad as a line: that ends it. */
void auth_take_bad_line(struct smtp *s, const char *enhanced, const char *text);

/* Whether the line, or its beginning, is one of AUTH, and so no one else's business. */
bool auth_is_command(struct str line);

#endif
