/* Fuzz target: headers of the PROXY protocol.
 *
 * However the octets come, what is found is the same: each beginning of a header may
 * become one, what follows it does not matter, and what cannot become one never does. */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/proxy.h"

/* Trying them all takes a time that grows with the square. */
#define BEGINNINGS_MAX 300

static enum proxy_outcome parse(struct str s, struct proxy_header *ret)
{
	char *copy = fuzz_exact_copy(s);
	struct proxy_header before, h;
	const char *error = NULL;
	enum proxy_outcome outcome;

	memset(&before, 0x5a, sizeof(before));
	h = before;
	outcome = proxy_parse((struct str){copy, s.n}, &h, &error);
	free(copy);
	assert((outcome == PROXY_BAD) == (error != NULL));
	assert(outcome == PROXY_DONE || memcmp(&h, &before, sizeof(h)) == 0);
	if (outcome == PROXY_DONE)
		*ret = h;
	return outcome;
}

static bool is_address(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

	return ss->ss_family == AF_INET ||
	       (ss->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
}

static void check_header(const struct proxy_header *h, size_t n)
{
	assert(h->length >= sizeof("PROXY UNKNOWN\r\n") - 1);
	assert(h->length <= PROXY_HEADER_MAX && h->length <= n);
	if (h->told == PROXY_TOLD_ADDRESSES) {
		assert(is_address(&h->source) && is_address(&h->destination));
	} else {
		assert(h->told == PROXY_TOLD_LOCAL || h->told == PROXY_TOLD_NOTHING);
		assert(h->source.ss_family == AF_UNSPEC);
	}
}

/* The beginning of a header is nothing else, and with its last octet it is there. */
static void check_beginnings(struct str s, enum proxy_outcome whole, size_t length)
{
	bool is_bad = false;

	for (size_t n = 0; n < s.n && n < BEGINNINGS_MAX; n++) {
		struct proxy_header h;
		enum proxy_outcome outcome = parse((struct str){s.p, n}, &h);

		if (whole == PROXY_DONE)
			assert(outcome == (n < length ? PROXY_MORE : PROXY_DONE));
		else
			assert(outcome == (is_bad ? PROXY_BAD : outcome) &&
				outcome != PROXY_DONE);
		is_bad = outcome == PROXY_BAD;
	}
	assert(!is_bad || whole == PROXY_BAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct str s = {(const char *)p, n};
	struct proxy_header h = {0}, alone;
	enum proxy_outcome outcome = parse(s, &h);

	assert(outcome != PROXY_MORE || n < PROXY_HEADER_MAX);
	check_beginnings(s, outcome, h.length);
	if (outcome != PROXY_DONE)
		return 0;
	check_header(&h, n);
	assert(parse((struct str){s.p, h.length}, &alone) == PROXY_DONE);
	assert(memcmp(&alone, &h, sizeof(h)) == 0);
	return 0;
}
