/* One client, from the greeting to the close. */
#ifndef SINKD_PROC_SERVE_H
#define SINKD_PROC_SERVE_H

#include <sys/socket.h>

#include "config/conf.h"
#include "delivery/delivery.h"
#include "net/listener.h"
#include "net/tls.h"
#include "policy/sasl.h"
#include "proc/board.h"
#include "proc/counters.h"
#include "proc/slots.h"

struct server;

/* What serving needs for the life of a worker; kept by reference.  leave is called once
 * the board says that no client is to come after this one. */
struct serve_env {
	const struct config *config;
	struct delivery *delivery;
	const struct tls *tls;           /* NULL: no listener speaks it */
	struct sasl *sasl;               /* NULL: no listener has AUTH */
	const struct sinkd_hooks *hooks; /* NULL: nobody is asked */
	const struct board *board;
	uint32_t generation;
	struct slot *slot; /* what we say of ourselves */
	struct counters *counters;
	uint64_t client_key_secret[2]; /* for the keys of clients */
	unsigned worker_number;        /* for the process title and the slot, from 1 */
	void (*leave)(void);
};

/* Returns NULL without memory. */
struct server *serve_new(const struct serve_env *env);
void serve_free(struct server *server);

/* Serve the client on fd, which is closed afterwards, whatever happens.  Blocks
 * no longer than the timeouts of the configuration allow.  from is the client's
 * address as accept(2) gave it. */
void serve_client_take_fd(struct server *server, const struct listener *listener, int fd,
	const struct sockaddr_storage *from);

#endif
