/* The PROXY protocol; see proxy.h.
 *
 * Runs in workers, on bytes of peers that the configuration trusts to tell the truth; but
 * who can connect as one of them can send anything.  What may follow the addresses in
 * version 2 (TLVs) is not looked at. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* --- version 1: a line ---------------------------------------------------- */

/* With its end; the specification says why. */
#define LINE_MAX_BYTES 107

static const struct str v1_start = STR("PROXY ");

static const struct str v2_start = STR("\r\n\r\n\0\r\nQUIT\n");

static struct sockaddr_storage make_v4(const void *address, const void *port)
{
	struct sockaddr_storage ss = {.ss_family = AF_INET};
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;

	memcpy(&in->sin_addr, address, 4);
	memcpy(&in->sin_port, port, 2);
	return ss;
}

static struct sockaddr_storage make_v6(const void *address, const void *port)
{
	struct sockaddr_storage ss = {.ss_family = AF_INET6};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	memcpy(&in6->sin6_addr, address, 16);
	memcpy(&in6->sin6_port, port, 2);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return make_v4((const char *)address + 12, port);
	return ss;
}

static bool parse_address(struct str word, int family, unsigned char ret[16])
{
	char text[INET6_ADDRSTRLEN];

	(void)str_copy(text, sizeof(text), word);
	return strlen(text) == word.n && inet_pton(family, text, ret) == 1;
}

/* In the order of the network; without zeros in front. */
static bool parse_port(struct str word, uint16_t *ret)
{
	uint64_t port;

	if (str_parse_u64(word, &port) < 0 || port > UINT16_MAX ||
		(word.n > 1 && word.p[0] == '0'))
		return false;
	*ret = htons((uint16_t)port);
	return true;
}

/* source SP destination SP port SP port */
static bool parse_addresses(struct str rest, int family, struct proxy_header *ret)
{
	unsigned char source[16], destination[16];
	uint16_t source_port, destination_port;

	if (!parse_address(str_take_word(&rest), family, source) ||
		!parse_address(str_take_word(&rest), family, destination) ||
		!parse_port(str_take_word(&rest), &source_port) ||
		!parse_port(rest, &destination_port))
		return false;
	ret->told = PROXY_TOLD_ADDRESSES;
	if (family == AF_INET) {
		ret->source = make_v4(source, &source_port);
		ret->destination = make_v4(destination, &destination_port);
	} else {
		ret->source = make_v6(source, &source_port);
		ret->destination = make_v6(destination, &destination_port);
	}
	return true;
}

static enum proxy_outcome parse_line(
	struct str line, struct proxy_header *ret, const char **ret_error)
{
	struct str rest = str_skip(line, v1_start.n);
	struct str protocol = str_take_word(&rest);

	*ret_error = "not a PROXY line";
	/* What follows UNKNOWN is to be ignored. */
	if (str_equal(protocol, STR("UNKNOWN")))
		ret->told = PROXY_TOLD_NOTHING;
	else if (str_equal(protocol, STR("TCP4"))
			 ? !parse_addresses(rest, AF_INET, ret)
			 : !str_equal(protocol, STR("TCP6")) ||
				   !parse_addresses(rest, AF_INET6, ret))
		return PROXY_BAD;
	return PROXY_DONE;
}

static enum proxy_outcome parse_v1(
	struct str bytes, struct proxy_header *ret, const char **ret_error)
{
	size_t seen = bytes.n < LINE_MAX_BYTES ? bytes.n : LINE_MAX_BYTES;
	const char *end = memchr(bytes.p, '\n', seen);
	struct str line = bytes;

	if (end == NULL) {
		*ret_error = "PROXY line too long";
		return seen < LINE_MAX_BYTES ? PROXY_MORE : PROXY_BAD;
	}
	if (end[-1] != '\r') {
		*ret_error = "PROXY line ends in a bare LF";
		return PROXY_BAD;
	}
	line.n = (size_t)(end - 1 - bytes.p);
	ret->length = line.n + 2;
	return parse_line(line, ret, ret_error);
}

/* --- version 2: octets ---------------------------------------------------- */

/* The start, version and command, family and protocol, and the length of the rest. */
#define FIXED_BYTES 16

/* What families there are, for streams (1) and datagrams (2). */
static bool parse_family(unsigned char byte, size_t *ret_least)
{
	switch (byte) {
	case 0x00: /* unspecified */
		*ret_least = 0;
		return true;
	case 0x11:
	case 0x12: /* IPv4 */
		*ret_least = 12;
		return true;
	case 0x21:
	case 0x22: /* IPv6 */
		*ret_least = 36;
		return true;
	case 0x31:
	case 0x32: /* Unix sockets, of the machine of the proxy */
		*ret_least = 216;
		return true;
	default:
		return false;
	}
}

static enum proxy_outcome parse_v2(
	struct str bytes, struct proxy_header *ret, const char **ret_error)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t least = 0, length;
	bool is_local;

	if (bytes.n < FIXED_BYTES)
		return PROXY_MORE;
	length = (size_t)p[14] << 8 | p[15];
	is_local = p[12] == 0x20;
	*ret_error = "bad PROXY header of version 2";
	/* Of its own connections the proxy may say anything. */
	if ((!is_local && (p[12] != 0x21 || !parse_family(p[13], &least))) ||
		length < least)
		return PROXY_BAD;
	*ret_error = "PROXY header too long";
	if (length > PROXY_HEADER_MAX - FIXED_BYTES)
		return PROXY_BAD;
	if (bytes.n < FIXED_BYTES + length)
		return PROXY_MORE;
	ret->length = FIXED_BYTES + length;
	ret->told = is_local ? PROXY_TOLD_LOCAL : PROXY_TOLD_NOTHING;
	p += FIXED_BYTES;
	if (least == 12) {
		ret->told = PROXY_TOLD_ADDRESSES;
		ret->source = make_v4(p, p + 8);
		ret->destination = make_v4(p + 4, p + 10);
	} else if (least == 36) {
		ret->told = PROXY_TOLD_ADDRESSES;
		ret->source = make_v6(p, p + 32);
		ret->destination = make_v6(p + 16, p + 34);
	}
	return PROXY_DONE;
}

/* --- either ----------------------------------------------------------------- */

/* Whether bytes begin like this, as far as they go. */
static bool may_start(struct str bytes, struct str start)
{
	size_t n = bytes.n < start.n ? bytes.n : start.n;

	return n == 0 || memcmp(bytes.p, start.p, n) == 0;
}

enum proxy_outcome proxy_parse(
	struct str bytes, struct proxy_header *ret, const char **ret_error)
{
	struct proxy_header found = {0};
	const char *error = "no PROXY header";
	enum proxy_outcome outcome = PROXY_BAD;

	if (may_start(bytes, v1_start))
		outcome = bytes.n < v1_start.n ? PROXY_MORE
					       : parse_v1(bytes, &found, &error);
	else if (may_start(bytes, v2_start))
		outcome = parse_v2(bytes, &found, &error);
	if (outcome == PROXY_DONE)
		*ret = found;
	if (outcome == PROXY_BAD)
		*ret_error = error;
	return outcome;
}
