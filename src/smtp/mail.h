/* MAIL and RCPT (RFC 5321, 4.1.1.2 and 4.1.1.3). */
#ifndef SINKD_SMTP_MAIL_H
#define SINKD_SMTP_MAIL_H

#include "base/str.h"

struct smtp;

/* The commands were given, in order, with these arguments. */
void mail_run_mail(struct smtp *s, struct str argument);
void mail_run_rcpt(struct smtp *s, struct str argument);

#endif
