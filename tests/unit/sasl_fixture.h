/* A server side of SASL exchanges. */
#ifndef SINKD_TESTS_SASL_FIXTURE_H
#define SINKD_TESTS_SASL_FIXTURE_H

#include <stdbool.h>

#include "base/buf.h"
#include "policy/sasl.h"

#define SASL_ALL 63U /* mechanisms */

/* Users: joe, jö and "a,b=c" with {PLAIN} (secret, sö, secret), user with stored keys
 * (pencil), ann with a hash (secret); those with hashes or keys alone. */
extern const char sasl_users_both[], sasl_users_crypt[], sasl_users_scram[];

struct sasl_scene {
	struct sasl_settings settings;
	struct sasl_session session;
	struct users *users;
	struct sasl *sasl;
	struct buf out;
};

/* users: text of a file; NULL: none. */
void sasl_scene_init(struct sasl_scene *s, const char *users, bool accept_any);
void sasl_scene_done(struct sasl_scene *s);

/* What the TLS session is good for. */
void sasl_scene_session(struct sasl_scene *s, bool is_plaintext, const char *external,
	bool unique, bool exporter);

/* The next step; s->out has what was said. */
enum sasl_outcome sasl_scene_step(struct sasl_scene *s, struct str in);

#endif
