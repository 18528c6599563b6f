/* Who checks who a client is: the engine's view of SASL (RFC 4422, in the profile of
 * RFC 4954).  The engine does base64 and replies; what is said in between is not its
 * business.  Implemented by policy/sasl.c. */
#ifndef SINKD_SMTP_SASL_H
#define SINKD_SMTP_SASL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* What a mechanism may build on. */
struct sasl_session {
	bool is_plaintext_allowed; /* the password may be shown: TLS, or the settings say
				      so */
	bool is_tls;
	bool has_judge;      /* there is a hook that judges passwords, see password */
	struct str subject;  /* of the verified client certificate; empty: none */
	struct str external; /* the name that goes with it; empty: none */
	/* What binds the exchange to the TLS session, as it is: tls-unique (RFC 5929) and
	 * tls-exporter (RFC 9266); empty: there is none of that kind. */
	struct str binding_unique;
	struct str binding_exporter;
};

enum sasl_outcome {
	SASL_MORE,     /* out is the next challenge, maybe empty */
	SASL_PASSWORD, /* name and password are there to be judged, see password */
	SASL_DONE,     /* it is the user that name tells; out may hold last data for it */
	SASL_REFUSED,  /* wrong, or unknown: 535 5.7.8 */
	SASL_BROKEN,   /* not in the form of the mechanism: 501 5.5.2 */
	SASL_EARLY,    /* it is for us to speak first: 501 5.7.0 (RFC 4954, 4) */
	SASL_FAILED,   /* could not be checked now: 454 4.7.0 */
};

/* One exchange at a time; strings that are returned live until the next call. */
struct smtp_sasl {
	/* Append the names of the mechanisms that can work in this session, with a blank
	 * before each; nothing if there are none. */
	void (*list)(void *user, const struct sasl_session *session, struct buf *out);
	/* Begin.  session must live as long as the exchange.  False: there is no such
	 * mechanism in this session. */
	bool (*start)(
		void *user, const struct sasl_session *session, struct str mechanism);
	/* What the client said, decoded; in.p NULL: nothing yet, which differs from an
	 * empty response.  out is empty before. */
	enum sasl_outcome (*step)(void *user, struct str in, struct buf *out);
	/* After SASL_PASSWORD: what is to be judged, and our own judgement, for when no
	 * hook has one: SASL_DONE, SASL_REFUSED or SASL_FAILED. */
	void (*password)(void *user, struct str *ret_name, struct str *ret_password);
	enum sasl_outcome (*judge)(void *user);
	/* Who it is (after SASL_DONE) or says it is, as far as is known (for the log). */
	struct str (*name)(void *user);
	/* Forget the exchange, and wipe it.  Harmless without one. */
	void (*end)(void *user);
};

#endif
