/* What hooks may ask of the engine; the functions of session.h that are for them. */
#ifndef SINKD_SMTP_HOST_H
#define SINKD_SMTP_HOST_H

#include <stddef.h>

#include "base/str.h"

struct smtp;

/* What was prepended so far, and the room that it is in. */
struct host_mark {
	struct str prepended;
	size_t room;
};

/* Where it stands, and back to there: a command that was refused has prepended nothing.
 * What belongs to the mark must still be there. */
struct host_mark host_mark(const struct smtp *s);
void host_rewind(struct smtp *s, struct host_mark mark);

#endif
