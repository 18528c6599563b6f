/* MAIL and RCPT: paths and parameters (RFC 5321, 4.1.1.2 and 4.1.1.3), of the
 * extensions SIZE (RFC 1870), 8BITMIME (RFC 6152) and AUTH (RFC 4954). */
#ifndef SINKD_SMTP_MAIL_H
#define SINKD_SMTP_MAIL_H

#include "base/str.h"

struct smtp;

/* The commands were given, in order, with these arguments. */
void mail_run_mail(struct smtp *s, struct str argument);
void mail_run_rcpt(struct smtp *s, struct str argument);

#endif
