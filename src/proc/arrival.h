/* Who comes, and whether it is let in: all that happens before the greeting. */
#ifndef SINKD_PROC_ARRIVAL_H
#define SINKD_PROC_ARRIVAL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/listener.h"
#include "smtp/session.h"

struct conn;
struct notices;
struct serve_env;

struct arrival {
	/* For the life of a worker; kept by reference. */
	const struct serve_env *env;
	struct conn *conn;
	struct notices *notices;

	/* The client. */
	struct smtp_peer peer; /* as the engine wants it; its texts are below */
	char address[INET6_ADDRSTRLEN];
	char destination[INET6_ADDRSTRLEN];
	uint64_t client_key; /* for the limits on one client; 0: it has none */
};

/* Learn who it is; from is the address that the connection comes from.  Of peers that
 * have to send a PROXY header it is read, and not one octet more; the time for it runs
 * from start_ms.  Returns 0, -ETIMEDOUT, or another negative errno: then the connection
 * is to be closed without a word. */
int arrival_meet(struct arrival *a, const struct listener *listener,
	const struct sockaddr_storage *from, uint64_t start_ms);

/* Begin the session of the engine: with a greeting, or with a refusal.  False: the
 * client has too many sessions, of which this one is not to count. */
bool arrival_admit(struct arrival *a, struct smtp *engine);

/* Whether the client counts as being here, for the limits on one client. */
void arrival_count(const struct arrival *a, bool is_here);

#endif
