/* What a policy service answers: "name=value" lines up to an empty one, of which one is
 * the action, in the words of access(5) of Postfix.  Pure. */
#ifndef SINKD_POLICY_SERVICE_ANSWER_H
#define SINKD_POLICY_SERVICE_ANSWER_H

#include <stddef.h>

#include "base/str.h"

/* Nothing longer is taken. */
#define SERVICE_ANSWER_MAX 8192

enum service_outcome { SERVICE_MORE, SERVICE_DONE, SERVICE_BAD };

enum service_action {
	SERVICE_ACCEPT, /* OK, DUNNO and their like: there is nobody else to be asked */
	SERVICE_REFUSE,
	SERVICE_DISCARD,
	SERVICE_PREPEND,
	SERVICE_OTHER, /* one that means nothing here: HOLD, FILTER, WARN, any word */
};

struct service_answer {
	enum service_action action;
	int code;          /* to refuse with */
	char enhanced[12]; /* of the class of code; empty: none was given */
	struct str text; /* behind the action, without blanks around it; as it was sent */
	struct str said; /* the action as a whole, for the log */
	size_t length;   /* octets; what follows is not its own */
};

/* Look for an answer at the beginning of bytes.  Returns SERVICE_DONE and *ret, whose
 * texts are parts of bytes; SERVICE_MORE while it may become one; or SERVICE_BAD and
 * *ret_error, static text. */
enum service_outcome service_answer_parse(
	struct str bytes, struct service_answer *ret, const char **ret_error);

#endif
