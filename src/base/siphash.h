/* SipHash-2-4: a hash of short inputs that nobody can aim without the secret. */
#ifndef SINKD_BASE_SIPHASH_H
#define SINKD_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of n bytes; the same on every machine.  Never blocks, never allocates. */
uint64_t siphash(const uint64_t secret[2], const void *bytes, size_t n);

#endif
