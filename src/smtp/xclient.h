/* XCLIENT: a proxy says on whose behalf it speaks (Postfix, XCLIENT_README). */
#ifndef SINKD_SMTP_XCLIENT_H
#define SINKD_SMTP_XCLIENT_H

#include "base/str.h"

struct smtp;

/* The command was given: the session begins anew, with the client as it was told.  What
 * is not told keeps the value that was told before, if any. */
void xclient_run(struct smtp *s, struct str argument);

/* All that was told is forgotten: the client is who we see. */
void xclient_forget(struct smtp *s);

#endif
