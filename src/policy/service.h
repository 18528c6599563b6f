/* A policy service, by the policy delegation protocol of Postfix, as a layer of hooks. */
#ifndef SINKD_POLICY_SERVICE_H
#define SINKD_POLICY_SERVICE_H

#include <stdint.h>

#include "api/sinkd_module.h"

/* Strings belong to the configuration. */
struct service_settings {
	const char *socket;  /* "unix:/path" or "ADDR:PORT"; NULL: there is none */
	uint64_t timeout_ms; /* for an answer, connecting included */
	int failure_code;    /* when there is none in time */
	const char *failure_enhanced;
	const char *failure_text;
};

struct service_env {
	void *user;
	/* A connection to the service, which becomes the caller's; or a negative errno.
	 * It may take until deadline_ms (monotonic). */
	int (*connect)(void *user, uint64_t deadline_ms);
	/* There was no answer, or none that makes sense; why is static text. */
	void (*failed)(void *user, const char *why, int error);
};

struct service;

/* settings and env are kept by reference.  Returns NULL without memory. */
struct service *service_new(
	const struct service_settings *settings, const struct service_env *env);
void service_free(struct service *s);

const struct sinkd_hooks *service_hooks(struct service *s);

#endif
