/* A generation: one configuration, what was opened for it, and the workers forked from
 * it.  A reload makes a new one; the old one ends when its last worker has gone. */
#ifndef SINKD_PROC_GENERATION_H
#define SINKD_PROC_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "config/conf.h"
#include "keys/keyring.h"
#include "net/listener.h"
#include "net/tls.h"
#include "proc/connector.h"
#include "proc/identity.h"
#include "proc/keys.h"
#include "proc/sandbox.h"
#include "proc/spawners.h"

struct generation {
	uint32_t number;             /* rises from 1 */
	const struct config *config; /* of the caller; outlives the generation */
	struct identity identity;
	struct keyring *keyring; /* one user of it; NULL: no TLS */
	struct tls *tls;         /* likewise */
	struct sasl *sasl;       /* NULL: no AUTH */
	struct keys keys;
	struct spawners spawners;
	struct connector connector;      /* to the policy service, if there is one */
	struct connector_target service; /* where that is */
	bool is_daemon;                  /* nobody reads standard error after the start */
	struct sandbox sandbox;
	uint16_t *rule_numbers; /* of the rules of the configuration, see rulebook.h */
	struct listener *listeners;
	size_t listener_count;
	int quit_pipe[2]; /* workers read; its end tells them to go */
	unsigned alive;   /* workers, those starting among them */
	struct generation *older;
};

/* Whether the modules of the configuration can be loaded, in children with the rights of
 * a worker; see proc/module_check.h. */
int generation_check_modules(
	const struct config *c, const struct identity *identity, char *error);

/* A generation that has nothing yet; the keyring is its own from here on.  NULL without
 * memory. */
struct generation *generation_new(
	uint32_t number, const struct config *config, struct keyring *keyring);

/* Find the account of its workers and open its listeners; those that are among existing
 * are shared, see listeners_open.  Then prepare the rest: sandbox, deliveries, TLS. Last,
 * when the log is where it belongs, since it is theirs from then on, start the keys
 * processes and spawners.  What goes wrong is logged, at this level.  Return 0, or the
 * exit status that says what is wrong. */
int generation_open(struct generation *g, const struct listener *existing,
	size_t existing_count, enum log_level level);
int generation_prepare(struct generation *g, enum log_level level);
int generation_start_helpers(struct generation *g, enum log_level level);

/* Close what is left of it, and end its helper processes.  Unix sockets stay in the file
 * system. */
void generation_free(struct generation *g);

/* Tell its workers to finish their client and go. */
void generation_dismiss(struct generation *g);

/* Close its listeners in this process; see listeners_close about what is kept. */
void generation_close_listeners(
	struct generation *g, const struct listener *kept, size_t kept_count);

/* Send up to n idle workers away, or call up to n back who have not heard it yet.
 * Busy ones hear nothing. */
void generation_retire(struct generation *g, unsigned n);
void generation_unretire(struct generation *g, unsigned n);
unsigned generation_count_retiring(const struct generation *g);

/* How many clients wait to be accepted, see listener_count_waiting. */
unsigned generation_count_waiting(const struct generation *g);

/* Accept clients that wait, tell each that there is no room (RFC 5321, 4.2.1: 421; where
 * TLS comes first there is no way to) and close; nothing is read, and nothing waited for.
 * Adds how many to *count.  Returns 0, or a negative errno when they cannot be accepted.
 */
int generation_refuse_waiting(const struct generation *g, uint64_t *count);

/* A child of the master has ended; see proc/helper.h. */
bool generation_note_exit(struct generation *g, pid_t pid, int status, bool is_expected);

/* Start helper processes again, if it is time.  Returns when to look again. */
uint64_t generation_tend_helpers(struct generation *g, uint64_t now_ms);

#endif
