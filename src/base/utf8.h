/* UTF-8 (RFC 3629).  Pure. */
#ifndef SINKD_BASE_UTF8_H
#define SINKD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* No character is longer. */
#define UTF8_CHAR_MAX 4

/* The length of the character at the start of s, 1 to 4, or 0 when it is none: empty, cut
 * short, longer than it has to be, a surrogate, or beyond U+10FFFF. */
size_t utf8_char(struct str s);

/* The same, but 0 also for what is no text: control characters of C0 and C1, DEL, the
 * line and paragraph separators U+2028 and U+2029, and non-characters. */
size_t utf8_printable(struct str s);

/* Whether all of s is printable. */
bool utf8_is_printable(struct str s);

/* The octets of a character.  Returns how many, or 0 when c is none. */
size_t utf8_encode(uint32_t c, char out[UTF8_CHAR_MAX]);

#endif
