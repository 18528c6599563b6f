/* What SCRAM-SHA-256 (RFC 5802, RFC 7677) keeps of a password. */
#ifndef SINKD_POLICY_SCRAM_H
#define SINKD_POLICY_SCRAM_H

#include <stdint.h>

#include "base/str.h"

#define SCRAM_KEY_BYTES 32

/* What makes a guess expensive.  Fewer than the least must not be (RFC 7677, 4). */
#define SCRAM_ITERATIONS       10000
#define SCRAM_ITERATIONS_LEAST 4096
#define SCRAM_ITERATIONS_MAX   10000000

#define SCRAM_SALT_BYTES 16
#define SCRAM_SALT_MAX   64

struct scram_keys {
	unsigned char stored[SCRAM_KEY_BYTES]; /* what a client's proof is checked with */
	unsigned char server[SCRAM_KEY_BYTES]; /* what proves the server */
};

/* Derive the keys; the one place where that is done.  A password that is not all ASCII
 * is prepared with SASLprep (RFC 4013) first, as clients do.  Leaves no copy of it.
 * Takes as long as iterations says; never blocks.
 * Returns 0, -EINVAL (a password that SASLprep forbids, an empty one, one with a NUL) or
 * -ENOMEM. */
int scram_derive(struct str password, struct str salt, uint32_t iterations,
	struct scram_keys *ret);

#endif
