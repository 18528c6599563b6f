/* What a policy service is asked: the attributes that Postfix sends, one a line.  Pure.
 */
#ifndef SINKD_POLICY_SERVICE_REQUEST_H
#define SINKD_POLICY_SERVICE_REQUEST_H

#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

struct envelope;

/* Longer values are cut. */
#define SERVICE_VALUE_MAX 1024

/* As much as a request can have. */
#define SERVICE_REQUEST_MAX (32 * 1024)

/* Where in a session it is asked, with the name that it has there. */
#define SERVICE_STAGES(X)                                                                \
	X(CONNECT, "CONNECT")                                                            \
	X(HELO, "HELO")                                                                  \
	X(EHLO, "EHLO")                                                                  \
	X(MAIL, "MAIL")                                                                  \
	X(RCPT, "RCPT")                                                                  \
	X(DATA, "DATA")                                                                  \
	X(MESSAGE, "END-OF-MESSAGE")

enum service_stage {
#define SERVICE_STAGE_ENUM(id, name) SERVICE_##id,
	SERVICE_STAGES(SERVICE_STAGE_ENUM)
#undef SERVICE_STAGE_ENUM
};

struct service_question {
	enum service_stage stage;
	const struct envelope *envelope; /* as far as the session has come */
	/* What the client has just said and the envelope does not have yet, in HELO and
	 * EHLO and in RCPT. */
	struct str helo;
	struct str recipient;
	struct str instance; /* the same for all questions about one message */
};

/* Append the request with the empty line behind it.  Whatever clients have said is one
 * value in one line.  Overflow shows in out. */
void service_request_add(const struct service_question *q, struct buf *out);

#endif
