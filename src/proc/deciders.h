/* Who decides about mail in a worker: the rules, the modules and the policy service of
 * its configuration, in this order. */
#ifndef SINKD_PROC_DECIDERS_H
#define SINKD_PROC_DECIDERS_H

#include <stddef.h>
#include <stdint.h>

#include "api/sinkd_module.h"
#include "config/conf.h"
#include "proc/board.h"
#include "proc/counters.h"
#include "proc/slots.h"

/* What they need of the worker; kept by reference. */
struct deciders_env {
	const struct config *config;
	const struct board *board;
	struct counters *counters;
	struct slot *slot;
	const uint16_t *rule_numbers; /* see rulebook.h */
	uint64_t secret[2];           /* for keys; the same in all workers */
	int connector_fd;             /* see connect_request.h; -1: no policy service */
};

struct deciders;

/* Load them.  After the drop of privileges, since modules run code of their own, and
 * before the sandbox, since they may open what they need.  *ret is NULL where nobody
 * decides: then nothing costs.  Returns 0, or a negative errno; what a module said of it
 * is in the log. */
int deciders_new(const struct deciders_env *env, struct deciders **ret);
void deciders_free(struct deciders *d);

/* For the engine; NULL if nobody decides anything. */
const struct sinkd_hooks *deciders_hooks(const struct deciders *d);

/* The backend of a module of the configuration, or NULL. */
const struct sinkd_backend *deciders_backend(const struct deciders *d, size_t module);

/* The environment of modules where there is no worker, for module_check: what they count
 * is forgotten. */
struct module_env;
void deciders_fill_check_env(const struct config *config, struct module_env *ret);

#endif
