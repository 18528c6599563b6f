/* Listening sockets: addresses as the user writes them, bind, names.
 * Runs in the master; input is the configuration, never a client. */
#ifndef SINKD_NET_LISTENER_H
#define SINKD_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

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

/* One listen section.  Strings and arrays belong to the configuration. */
struct listen_settings {
	const char *name;
	struct endpoint *endpoints;
	size_t endpoint_count;
	int backlog;
	size_t delivery; /* index into the deliver sections */
};

/* One bound socket.  endpoint is where it really listens (port 0 resolved). */
struct listener {
	int fd;
	const struct listen_settings *settings;
	struct endpoint endpoint;
};

/* Bind and listen on all endpoints of all sections; what an accepted socket
 * inherits is set here (no delay, and a tick of one second on reads and writes).
 * *ret is on the heap, *ret_count long.  On failure returns a negative errno and
 * *ret_failed is the endpoint.  An optional endpoint that the machine does not
 * have is left out. */
int listeners_open(const struct listen_settings *settings, size_t n,
	struct listener **ret, size_t *ret_count, struct endpoint *ret_failed);

/* Close all; remove Unix sockets from the file system when unlink_paths (only
 * the master may). */
void listeners_close(struct listener *l, size_t n, bool unlink_paths);

/* Set the tick on an accepted socket that did not inherit it (Unix). */
int listener_adopt(const struct listener *l, int client_fd);

#endif
