/* XCLIENT: a proxy says on whose behalf it speaks (Postfix, XCLIENT_README). */
#ifndef SINKD_SMTP_XCLIENT_H
#define SINKD_SMTP_XCLIENT_H

#include "base/str.h"

struct smtp;

/* The command was given. */
void xclient_run(struct smtp *s, struct str argument);

#endif
