/* SASL mechanisms of the server, by GNU SASL; the only module that knows it. */
#ifndef SINKD_POLICY_SASL_H
#define SINKD_POLICY_SASL_H

#include <stdbool.h>

#include "policy/users.h"
#include "smtp/sasl.h"

enum sasl_mechanism {
	SASL_PLAIN = 1,
	SASL_LOGIN = 2,
	SASL_CRAM_MD5 = 4,
	SASL_SCRAM_SHA_256 = 8,
	SASL_SCRAM_SHA_256_PLUS = 16,
	SASL_EXTERNAL = 32,
};

/* The section auth; what is pointed to belongs to the configuration. */
struct sasl_settings {
	unsigned mechanisms;       /* bits of enum sasl_mechanism */
	bool accept_any;           /* whatever is offered is right, where that can be */
	const char *users_file;    /* NULL: none */
	const struct users *users; /* NULL: none */
};

/* The name as it is offered, of one mechanism; and the other way round: 0 if unknown. */
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);
enum sasl_mechanism sasl_mechanism_find(struct str name);

struct sasl;

/* Everything that is opened or allocated once is, here: before a fork, so that each
 * process goes on with a copy of its own.  settings are kept by reference.  Returns 0 or
 * a negative errno. */
int sasl_new(const struct sasl_settings *settings, struct sasl **ret);
void sasl_free(struct sasl *s);

/* For the engine; user is the struct sasl. */
extern const struct smtp_sasl sasl_engine;

#endif
