/* The PROXY protocol, versions 1 and 2: a header in front of all else, in which a proxy
 * says whose connection it hands on (HAProxy, doc/proxy-protocol.txt).  Pure. */
#ifndef SINKD_NET_PROXY_H
#define SINKD_NET_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/str.h"

/* Nothing longer is taken: of version 2, what follows the fixed part has 4096 octets at
 * most, of the 65535 that it could have. */
#define PROXY_HEADER_MAX (16 + 4096)

enum proxy_outcome { PROXY_MORE, PROXY_DONE, PROXY_BAD };

enum proxy_told {
	PROXY_TOLD_LOCAL,     /* the proxy speaks for itself */
	PROXY_TOLD_NOTHING,   /* it has a client, and does not tell which */
	PROXY_TOLD_ADDRESSES, /* of IPv4 or IPv6 */
};

struct proxy_header {
	size_t length; /* octets; what follows is not its own */
	enum proxy_told told;
	/* Who connected, and where to; IPv4 never comes as IPv6. */
	struct sockaddr_storage source;
	struct sockaddr_storage destination;
};

/* Look for a header at the beginning of bytes, which may have more behind it.  Returns
 * PROXY_DONE and *ret; PROXY_MORE while it may become one, and then all of bytes belongs
 * to it; or PROXY_BAD and *ret_error, static text. */
enum proxy_outcome proxy_parse(
	struct str bytes, struct proxy_header *ret, const char **ret_error);

#endif
