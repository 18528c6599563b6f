/* Header fields that a delivery puts in front of a message. */
#ifndef SINKD_DELIVERY_HEADERS_H
#define SINKD_DELIVERY_HEADERS_H

#include "base/buf.h"
#include "delivery/delivery.h"

#include <stdbool.h>
#include <stddef.h>

struct envelope;

/* Make out ready for the fields of an envelope: its limit is far above what they can come
 * to.  The session's memory, which holds all that is in them, has its own. */
void headers_init(struct buf *out, const struct envelope *envelope);

/* Append the fields of settings for the recipients with these indexes, and behind them,
 * as they are, those that hooks have put in front of the message.  Of text that is not
 * ours only printable ASCII gets through, and with SMTPUTF8 printable UTF-8; each other
 * octet is '?'.  No line is longer than 998 octets: it is folded in front of a blank, or,
 * where none can be found, anywhere, with a blank of ours.  Overflow shows in out. */
void headers_add(const struct delivery_settings *settings,
	const struct envelope *envelope, const size_t *recipients, size_t n,
	struct buf *out);

/* Whether each recipient has fields that others have not. */
bool headers_differ(const struct delivery_settings *settings);

#endif
