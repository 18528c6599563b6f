/* Networks; see network.h.  The texts are the configuration's; the addresses are
 * clients', as the kernel or a trusted proxy gave them. */
#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* IPv4 in the shape of IPv6 (RFC 4291, 2.5.5.2) */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
#define MAPPED_BITS 96

static bool is_unix(const char *text)
{
	return str_equal_nocase(str_of(text), STR("unix"));
}

static unsigned family_bits(int family)
{
	return family == AF_INET6 ? 128 : family == AF_INET ? 32 : 0;
}

/* ADDRESS, which is all of it that counts. */
static bool parse_address(struct str s, struct network *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (s.n >= sizeof(text))
		return false;
	(void)str_copy(text, sizeof(text), s);
	ret->family = memchr(s.p, ':', s.n) != NULL ? AF_INET6 : AF_INET;
	ret->prefix = family_bits(ret->family);
	return inet_pton(ret->family, text, ret->address) == 1;
}

/* One way to write each: no zeros in front. */
static bool parse_prefix(struct str s, unsigned max, unsigned *ret)
{
	uint64_t n;

	if (str_parse_u64(s, &n) < 0 || n > max || (s.n > 1 && s.p[0] == '0'))
		return false;
	*ret = (unsigned)n;
	return true;
}

static bool is_bit_set(const unsigned char *address, unsigned bit)
{
	return (address[bit / 8] & (0x80U >> bit % 8)) != 0;
}

/* Networks of mapped addresses become what they stand for. */
static void unmap(struct network *n)
{
	if (n->family != AF_INET6 || n->prefix < MAPPED_BITS ||
		memcmp(n->address, mapped, sizeof(mapped)) != 0)
		return;
	memmove(n->address, n->address + sizeof(mapped), 4);
	memset(n->address + 4, 0, sizeof(n->address) - 4);
	n->family = AF_INET;
	n->prefix -= MAPPED_BITS;
}

const char *network_parse(const char *text, struct network *ret)
{
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	struct network n = {0};

	if (is_unix(text)) {
		n.family = AF_UNIX;
	} else {
		if (!parse_address((struct str){text, len}, &n))
			return "expected an address or a network as in 192.0.2.7, "
			       "192.0.2.0/24 or 2001:db8::/32, or unix";
		if (slash != NULL &&
			!parse_prefix(str_of(slash + 1), n.prefix, &n.prefix))
			return n.family == AF_INET ? "expected a prefix of 0 to 32"
						   : "expected a prefix of 0 to 128";
		for (unsigned i = n.prefix; i < family_bits(n.family); i++)
			if (is_bit_set(n.address, i))
				return "bits behind the prefix must be zero, as in "
				       "10.0.0.0/8";
		unmap(&n);
	}
	*ret = n;
	return NULL;
}

void network_format(const struct network *network, char text[NETWORK_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "";

	if (network->family == AF_UNIX) {
		(void)snprintf(text, NETWORK_TEXT_MAX, "unix");
		return;
	}
	(void)inet_ntop(network->family, network->address, address, sizeof(address));
	if (network->prefix == family_bits(network->family))
		(void)snprintf(text, NETWORK_TEXT_MAX, "%s", address);
	else
		(void)snprintf(text, NETWORK_TEXT_MAX, "%s/%u", address, network->prefix);
}

/* An address as a network of its own. */
static void from_sockaddr(const struct sockaddr_storage *address, struct network *ret)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	ret->family = address->ss_family;
	ret->prefix = family_bits(address->ss_family);
	if (address->ss_family == AF_INET)
		memcpy(ret->address, &in->sin_addr, 4);
	else if (address->ss_family == AF_INET6)
		memcpy(ret->address, &in6->sin6_addr, 16);
	unmap(ret);
}

static bool network_has(const struct network *network, const struct network *address)
{
	unsigned bytes = network->prefix / 8, bits = network->prefix % 8;

	if (network->family != address->family ||
		memcmp(network->address, address->address, bytes) != 0)
		return false;
	return bits == 0 ||
	       ((network->address[bytes] ^ address->address[bytes]) >> (8 - bits)) == 0;
}

bool networks_have(
	const struct network *networks, size_t n, const struct sockaddr_storage *address)
{
	struct network a = {0};

	if (n > 0)
		from_sockaddr(address, &a);
	for (size_t i = 0; i < n; i++)
		if (network_has(&networks[i], &a))
			return true;
	return false;
}
