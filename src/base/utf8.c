/* UTF-8; see utf8.h.
 *
 * Runs in workers on hostile text.  Nothing is read behind the end of the slice: a
 * character that is cut short is none. */
#include "base/utf8.h"

#include <stdint.h>

/* The forms that a character has by its length: the bits that mark the first octet, and
 * the least character that needs so many octets. */
static const struct {
	uint8_t mask;
	uint8_t mark;
	uint32_t least;
} forms[] = {
	{0x80, 0x00, 0},
	{0xe0, 0xc0, 0x80},
	{0xf0, 0xe0, 0x800},
	{0xf8, 0xf0, 0x10000},
};

/*
 * UTF8-1 = %x00-7F
 * UTF8-2 = %xC2-DF UTF8-tail
 * UTF8-3 = %xE0 %xA0-BF UTF8-tail / %xE1-EC 2( UTF8-tail ) /
 *          %xED %x80-9F UTF8-tail / %xEE-EF 2( UTF8-tail )
 * UTF8-4 = %xF0 %x90-BF 2( UTF8-tail ) / %xF1-F3 3( UTF8-tail ) /
 *          %xF4 %x80-8F 2( UTF8-tail )
 * *ret is the character.
 */
static size_t decode(struct str s, uint32_t *ret)
{
	uint8_t first = s.n > 0 ? (uint8_t)s.p[0] : 0xff;
	uint32_t c;
	size_t n = 0;

	while (n < sizeof(forms) / sizeof(forms[0]) &&
		(first & forms[n].mask) != forms[n].mark)
		n++;
	if (n == sizeof(forms) / sizeof(forms[0]) || n >= s.n)
		return 0;
	c = first & (uint8_t)~forms[n].mask;
	for (size_t i = 1; i <= n; i++) {
		uint8_t tail = (uint8_t)s.p[i];

		if ((tail & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (tail & 0x3f);
	}
	if (c < forms[n].least || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*ret = c;
	return n + 1;
}

size_t utf8_char(struct str s)
{
	uint32_t c;

	return decode(s, &c);
}

size_t utf8_printable(struct str s)
{
	uint32_t c = 0;
	size_t n = decode(s, &c);
	bool is_control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
	bool is_line_end = c == 0x2028 || c == 0x2029;
	bool is_no_character = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;

	return is_control || is_line_end || is_no_character ? 0 : n;
}

bool utf8_is_printable(struct str s)
{
	size_t n = 1;

	for (; s.n > 0 && n > 0; s = str_skip(s, n))
		n = utf8_printable(s);
	return n > 0;
}

size_t utf8_encode(uint32_t c, char out[UTF8_CHAR_MAX])
{
	size_t n = sizeof(forms) / sizeof(forms[0]) - 1;

	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	while (n > 0 && c < forms[n].least)
		n--;
	for (size_t i = n; i > 0; i--) {
		out[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[0] = (char)(forms[n].mark | c);
	return n + 1;
}
