/* Changes of a running server, one at a time: reload, log reopened, upgrade. */
#ifndef SINKD_PROC_CHANGE_H
#define SINKD_PROC_CHANGE_H

#include "proc/master_state.h"

/* The configuration anew, now or when what is under way has ended.  Returns EINPROGRESS
 * when it has begun, 0 when it is put off, or another positive errno; *ret_text, which is
 * static or m's, says what is done. */
int change_request_reload(struct master *m, const char **ret_text);

/* Begin what is wanted, if nothing is under way. */
void change_make(struct master *m);

/* The candidate can serve: new clients are its.  Or it will not do. */
void change_promote(struct master *m);
void change_abandon(struct master *m);

#endif
