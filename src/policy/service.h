/* A policy service, by the policy delegation protocol of Postfix, as a layer of hooks.
 *
 * It is asked at CONNECT, HELO or EHLO, MAIL, RCPT, DATA (of BDAT too) and
 * END-OF-MESSAGE, and answers with an action of access(5): OK, DUNNO, REJECT, DEFER,
 * DEFER_IF_PERMIT, DEFER_IF_REJECT, 4xx and 5xx with text, DISCARD, and PREPEND before
 * DATA.  DISCARD is for all recipients of the message, as in Postfix; at CONNECT and HELO
 * this and PREPEND are for all messages of the session.  Any other action accepts, and is
 * told.  There is no layer below. */
#ifndef SINKD_POLICY_SERVICE_H
#define SINKD_POLICY_SERVICE_H

#include <stdint.h>

#include "api/sinkd_module.h"
#include "base/str.h"
#include "policy/service_request.h"

/* Strings belong to the configuration. */
struct service_settings {
	const char *socket; /* "unix:/path" or "ADDR:PORT"; NULL: there is none */
	/* Where it is asked: bits 1 << enum service_stage; 0: everywhere.  Many services
	 * are made for RCPT alone and do not look where they are asked. */
	unsigned stages;
	uint64_t timeout_ms; /* for an answer, connecting included */
	int failure_code;    /* when there is none in time; 0: accept */
	const char *failure_enhanced;
	const char *failure_text;
};

struct service_env {
	void *user;
	/* A connection to the service, a stream socket which becomes the caller's; or a
	 * negative errno.  It may take until deadline_ms (monotonic). */
	int (*connect)(void *user, uint64_t deadline_ms);
	/* It waits for the service, until deadline_ms at the latest; then again with 0:
	 * it does not any more. */
	void (*waits)(void *user, uint64_t deadline_ms);
	/* There was no answer, or none that makes sense; why is static text, error a
	 * negative errno, or 0 where there is none. */
	void (*failed)(void *user, const char *why, int error);
	/* It wants what has no meaning here, or not at this stage (HOLD, a PREPEND that
	 * is no header line, WARN text): the action as it was sent, which is accepted. */
	void (*ignored)(void *user, struct str action);
};

struct service;

/* In the process that uses it.  settings and env are kept by reference.  Returns NULL
 * without memory. */
struct service *service_new(
	const struct service_settings *settings, const struct service_env *env);
void service_free(struct service *s);

/* The layer, for one engine; a stage where the service is not asked has no hook.  The
 * connection is kept from question to question and from session to session. */
const struct sinkd_hooks *service_hooks(struct service *s);

#endif
