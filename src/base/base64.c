/* Base64; see base64.h.
 *
 * Runs in workers on what hostile clients send, most of it secrets, and on files
 * of the administrator.  Nothing is kept here. */
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789+/";

/* The six bits that c stands for, or -1. */
static int bits_of(char c)
{
	int lower = c - 'a', upper = c - 'A', digit = c - '0';

	if (lower >= 0 && lower < 26)
		return lower + 26;
	if (upper >= 0 && upper < 26)
		return upper;
	if (digit >= 0 && digit < 10)
		return digit + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t base64_encode(struct str in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i += 3) {
		size_t left = in.n - i;
		uint32_t bits = (uint32_t)(uint8_t)in.p[i] << 16;

		if (left > 1)
			bits |= (uint32_t)(uint8_t)in.p[i + 1] << 8;
		if (left > 2)
			bits |= (uint8_t)in.p[i + 2];
		out[n++] = alphabet[bits >> 18];
		out[n++] = alphabet[bits >> 12 & 63];
		out[n++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		out[n++] = left > 2 ? alphabet[bits & 63] : '=';
	}
	return n;
}

int base64_decode(struct str in, char *out, size_t *ret_n)
{
	size_t padding = 0, n = 0;
	uint32_t bits = 0;

	if (in.n % 4 != 0)
		return -EINVAL;
	while (padding < 2 && padding < in.n && in.p[in.n - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < in.n; i++) {
		int six = i < in.n - padding ? bits_of(in.p[i]) : 0;

		if (six < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)six;
		if (i % 4 != 3)
			continue;
		for (int byte = 0; byte < 3; byte++)
			if (n < BASE64_DECODED_SIZE(in.n) - padding)
				out[n++] = (char)(bits >> (16 - 8 * byte) & 0xff);
		/* What padding cuts off has to be zero (RFC 4648, 3.5). */
		if (i + 1 == in.n && (bits & ((1u << (8 * padding)) - 1)) != 0)
			return -EINVAL;
		bits = 0;
	}
	*ret_n = n;
	return 0;
}
