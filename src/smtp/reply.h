/* Replies (RFC 5321, 4.2; enhanced codes RFC 2034 and 3463).  Pure. */
#ifndef SINKD_SMTP_REPLY_H
#define SINKD_SMTP_REPLY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* A reply that is kept for later, or comes from outside the engine. */
struct reply {
	int code;
	char enhanced[12];
	char text[256];
};

enum reply_position { REPLY_LAST, REPLY_MORE };

/* Append "CODE ENHANCED text" CR LF; enhanced may be "".  REPLY_MORE makes it a
 * line of a multi-line reply.  Bytes of text outside 0x20..0x7e become '?', and
 * it is cut so that the line keeps to the 512 octets of RFC 5321, 4.5.3.1.5. */
void reply_add(struct buf *out, enum reply_position position, int code,
	const char *enhanced, struct str text);

/* Fill r; text is cut to its size. */
void reply_set(struct reply *r, int code, const char *enhanced, const char *text);

/* "5.7.1": three numbers with dots, the first being the class of code. */
bool reply_enhanced_fits(const char *enhanced, int code);

#endif
