/* What EHLO offers, by what the listener allows and where the session stands
 * (RFC 5321, 2.2). */
#ifndef SINKD_SMTP_EXTENSIONS_H
#define SINKD_SMTP_EXTENSIONS_H

#include <stdbool.h>

#include "smtp/settings.h"

struct smtp;

/* Whether the client may use it now: what the listener allows, REQUIRETLS only under
 * TLS. */
bool extensions_has(const struct smtp *s, enum smtp_extension extension);

bool extensions_may_start_tls(const struct smtp *s);

/* Whether extensions_list adds a line. */
bool extensions_has_any(struct smtp *s);

/* The offers, each on a line of the reply to EHLO, which has begun; the last one ends
 * it.  Without any nothing is added. */
void extensions_list(struct smtp *s);

#endif
