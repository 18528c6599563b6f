/* The parameters of MAIL and RCPT, by the extensions that bring them: SIZE (RFC 1870),
 * 8BITMIME (RFC 6152), BINARYMIME (RFC 3030), AUTH (RFC 4954), SMTPUTF8 (RFC 6531), DSN
 * (RFC 3461 and 6533), NO-SOLICITING (RFC 3865) and REQUIRETLS (RFC 8689). */
#ifndef SINKD_SMTP_PARAMETERS_H
#define SINKD_SMTP_PARAMETERS_H

#include <stdbool.h>

#include "base/str.h"

struct envelope;
struct recipient;
struct smtp;

/* What follows the path.  is_utf8: the client has said SMTPUTF8, so text may be UTF-8.
 * What is kept lives in the session's arena.  They reply on failure, and then what they
 * have filled in is not to be used. */
bool parameters_take_mail(
	struct smtp *s, struct str text, bool is_utf8, struct envelope *ret);
bool parameters_take_rcpt(
	struct smtp *s, struct str text, bool is_utf8, struct recipient *ret);

#endif
