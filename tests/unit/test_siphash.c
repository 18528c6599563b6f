/* Unit tests of base/siphash: the test vectors of its authors. */
#include <stdint.h>
#include <stdio.h>

#include "base/siphash.h"
#include "unit.h"

/* The input is 00 01 02 ..., the secret the bytes 00 to 0f. */
static const struct {
	size_t n;
	uint64_t hash;
} vectors[] = {
	{0, 0x726fdb47dd0e0e31},
	{1, 0x74f839c593dc67fd},
	{2, 0x0d6c8009d9a94f5a},
	{3, 0x85676696d7fb7e2d},
	{4, 0xcf2794e0277187b7},
	{5, 0x18765564cd99a68d},
	{6, 0xcbc9466e58fee3ce},
	{7, 0xab0200f58b01d137},
	{8, 0x93f5f5799a932462},
	{9, 0x9e0082df0ba9e4b0},
	{15, 0xa129ca6149be45e5},
	{16, 0x3f2acc7f57c29bdb},
	{63, 0x958a324ceb064572},
};

static void test_vectors(void)
{
	static const uint64_t secret[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t input[64];
	char name[32];

	for (unsigned i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		(void)snprintf(name, sizeof(name), "%zu bytes", vectors[i].n);
		CHECK(name, siphash(secret, input, vectors[i].n) == vectors[i].hash);
	}
}

static void test_secrets(void)
{
	static const uint64_t secrets[][2] = {{0, 0}, {1, 0}, {0, 1}};

	CHECK("first half", siphash(secrets[0], "a", 1) != siphash(secrets[1], "a", 1));
	CHECK("second half", siphash(secrets[0], "a", 1) != siphash(secrets[2], "a", 1));
	CHECK("length", siphash(secrets[0], "a\0", 1) != siphash(secrets[0], "a\0", 2));
}

void suite_siphash(void)
{
	CU_pSuite s = CU_add_suite("siphash", NULL, NULL);

	CU_add_test(s, "test vectors", test_vectors);
	CU_add_test(s, "secrets", test_secrets);
}
