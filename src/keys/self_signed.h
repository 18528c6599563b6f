/* A certificate of our own making, for a server that was given none; made in a child, see
 * keys/errand.h. */
#ifndef SINKD_KEYS_SELF_SIGNED_H
#define SINKD_KEYS_SELF_SIGNED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/conf.h"

struct self_signed_order {
	const struct config *config;
	int64_t now_s; /* Unix time */
	int out;       /* where the private key goes */
};

/* An errand of a struct self_signed_order; the report is the certificate. */
bool self_signed_make(const void *order, struct buf *report);

#endif
