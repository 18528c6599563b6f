/* Base64 (RFC 4648, 4), strict: no blanks or line ends, padding exactly where it
 * belongs, and no bits that say nothing.  So each text has one form.  Pure. */
#ifndef SINKD_BASE_BASE64_H
#define SINKD_BASE_BASE64_H

#include <stddef.h>

#include "base/str.h"

/* How long the form of n bytes is, and how many bytes a form of n can hold at most. */
#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)
#define BASE64_DECODED_SIZE(n) ((n) / 4 * 3)

/* Write the form of in, BASE64_ENCODED_SIZE(in.n) bytes without a NUL, to out.
 * Returns how many these are. */
size_t base64_encode(struct str in, char *out);

/* Decode in to out, which has room for BASE64_DECODED_SIZE(in.n) bytes and may not
 * overlap it.  Returns 0 or -EINVAL; then some bytes of out may have been written. */
int base64_decode(struct str in, char *out, size_t *ret_n);

#endif
