/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"); see siphash.h.
 *
 * For tables whose keys clients choose: who does not know the secret cannot make two
 * keys meet.  Not for anything that has to stay secret itself. */
#include "base/siphash.h"

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

/* Up to eight bytes, the first one lowest. */
static uint64_t load(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

static void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v, 2);
	v[0] ^= word;
}

uint64_t siphash(const uint64_t secret[2], const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t v[4] = {
		secret[0] ^ 0x736f6d6570736575,
		secret[1] ^ 0x646f72616e646f6d,
		secret[0] ^ 0x6c7967656e657261,
		secret[1] ^ 0x7465646279746573,
	};
	size_t left = n;

	for (; left >= 8; left -= 8, p += 8)
		absorb(v, load(p, 8));
	absorb(v, load(p, left) | (uint64_t)n << 56);
	v[2] ^= 0xff;
	mix(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
