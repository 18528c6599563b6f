/* What EHLO offers, by what the listener allows and where the session stands
 * (RFC 5321, 2.2). */
#ifndef SINKD_SMTP_EXTENSIONS_H
#define SINKD_SMTP_EXTENSIONS_H

#include <stdbool.h>

#include "base/str.h"
#include "smtp/settings.h"

struct smtp;

/* Whether the client may use it now: what the listener allows, REQUIRETLS only under
 * TLS. */
bool extensions_has(const struct smtp *s, enum smtp_extension extension);

bool extensions_may_start_tls(const struct smtp *s);

/* The reply to EHLO or LHLO: our name, and each offer on a line of its own. */
void extensions_answer(struct smtp *s, struct str name);

#endif
