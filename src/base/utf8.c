/* UTF-8; see utf8.h. */
#include "base/utf8.h"

size_t utf8_char(struct str s)
{
	return s.n > 0 && (unsigned char)s.p[0] < 0x80;
}

size_t utf8_printable(struct str s)
{
	return s.n > 0 && str_is_printable(s.p[0]);
}

bool utf8_is_printable(struct str s)
{
	size_t n = 1;

	for (; s.n > 0 && n > 0; s = str_skip(s, n))
		n = utf8_printable(s);
	return n > 0;
}
