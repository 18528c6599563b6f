/* Networks as users write them: "192.0.2.0/24", "2001:db8::/32", an address alone, or
 * "unix" for all Unix sockets. */
#ifndef SINKD_BASE_NETWORK_H
#define SINKD_BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct network {
	int family; /* AF_INET, AF_INET6 or AF_UNIX */
	unsigned char address[16];
	unsigned prefix; /* bits of it that count */
};

/* Returns NULL and *ret, or static text that says what is wrong.  Bits behind the prefix
 * must be zero. */
const char *network_parse(const char *text, struct network *ret);

/* The form that network_parse takes, terminated. */
#define NETWORK_TEXT_MAX 64
void network_format(const struct network *network, char text[NETWORK_TEXT_MAX]);

/* Whether the address is in one of networks[0..n).  One of IPv4 that came as IPv6
 * (::ffff:192.0.2.1) counts as what it is. */
bool networks_have(
	const struct network *networks, size_t n, const struct sockaddr_storage *address);

#endif
