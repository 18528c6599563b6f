/* Addresses to listen on: no two of them may collide. */
#ifndef SINKD_CONFIG_ENDPOINTS_H
#define SINKD_CONFIG_ENDPOINTS_H

#include <netinet/in.h>
#include <stdbool.h>

struct config;
struct endpoint;
struct listen_settings;

#define ENDPOINTS_ERROR_MAX 512

/* Parse text and append its endpoints to l, a listener of c with room for two more.
 * Returns 0, or -EINVAL and in error what is wrong: not an address, or a listener
 * of c (l too) has it already. */
int endpoints_add(struct config *c, struct listen_settings *l, const char *text,
	char error[ENDPOINTS_ERROR_MAX]);

/* Whether clients on this machine may come to the listener by a Unix socket or by the
 * loopback. */
bool endpoints_have_loopback(const struct listen_settings *l);

/* The port; 0 for a Unix socket, and for "any free port". */
in_port_t endpoints_port(const struct endpoint *e);

#endif
