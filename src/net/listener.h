/* Listening sockets: addresses as the user writes them, bind, names.
 * Runs in the master; input is the configuration, never a client. */
#ifndef SINKD_NET_LISTENER_H
#define SINKD_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/network.h"
#include "smtp/settings.h"

/* Sockets that all sections may have together; each worker holds them all. */
#define LISTENERS_MAX 60

/* Room for "[ffff:...:ffff]:65535" or a Unix path with "unix:". */
#define ENDPOINT_TEXT_MAX 128

struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
	/* The v6 side of "localhost": a machine without IPv6 does without. */
	bool is_optional;
};

/* "192.0.2.1:25", "[::1]:25", "unix:/path" or "localhost:1025"; the last gives
 * two endpoints (v4, and v6 as optional).  Names are not looked up.  Port 0 asks
 * for any free port.  Fills ret[0..2) and returns how many, or -EINVAL and
 * *ret_error, static text that says what was expected. */
int endpoint_parse(const char *text, struct endpoint ret[2], const char **ret_error);

/* The form that endpoint_parse takes, terminated. */
void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX]);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Where fd listens, in the form that endpoint_equal compares.  Returns 0, a negative
 * errno, or -EAFNOSUPPORT when it is neither TCP nor a Unix socket with a path. */
int endpoint_of_socket(int fd, struct endpoint *ret);

/* One listen section.  Strings and arrays belong to the configuration. */
struct listen_settings {
	const char *name;
	struct endpoint *endpoints;
	size_t endpoint_count;
	int backlog;
	const size_t *deliveries;   /* indexes of deliver sections, in their order */
	size_t delivery_count;      /* one at least */
	const char *delivery_names; /* of all of them, for the log: "handler,inbox" */
	struct smtp_listen_settings smtp;
	/* Peers that must begin with a PROXY header, and that may use XCLIENT. */
	const struct network *proxies;
	size_t proxy_count;
	const struct network *xclients;
	size_t xclient_count;
};

/* One bound socket.  endpoint is where it really listens (port 0 resolved). */
struct listener {
	int fd;
	const struct listen_settings *settings; /* NULL: of no section (yet) */
	struct endpoint endpoint;
	/* Whoever started us bound it: the path of a Unix socket is not ours. */
	bool is_foreign;
};

/* The listener at this endpoint, or NULL. */
const struct listener *listeners_find(
	const struct listener *l, size_t n, const struct endpoint *e);

/* Listen on all endpoints of all sections.  Of the sockets that listen already,
 * existing[0..existing_count), those with an equal endpoint are taken over: *ret has a
 * duplicate of the descriptor, so both lists can be closed in any order.  An endpoint
 * with port 0 takes any of its address that no section names.  The others are bound.
 * What an accepted socket inherits is set here (no delay, and a tick of one second on
 * reads and writes).
 * *ret is on the heap, *ret_count long.  On failure returns a negative errno,
 * *ret_failed is the endpoint, and existing goes on as it was.  An optional endpoint
 * that the machine does not have is left out. */
int listeners_open(const struct listen_settings *settings, size_t n,
	const struct listener *existing, size_t existing_count, struct listener **ret,
	size_t *ret_count, struct endpoint *ret_failed);

/* Close all and free l.  Unix sockets that we bound are removed from the file system
 * (so this is for the master alone), unless kept[0..kept_count) has the same endpoint:
 * after a reload l is the old list and kept the new one, and when the reload failed it
 * is the other way round.  kept may be l: then nothing is removed. */
void listeners_close(
	struct listener *l, size_t n, const struct listener *kept, size_t kept_count);

/* How many clients wait to be accepted there; on a Unix socket the kernel only tells
 * whether there are any. */
unsigned listener_count_waiting(const struct listener *l);

/* Whether sockets that are accepted there inherit the tick; Unix sockets do not. */
bool listener_gives_tick(const struct listener *l);

#endif
