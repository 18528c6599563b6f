/* The numbers of a server as sinkctl got them, checked. */
#ifndef SINKD_CTL_SNAPSHOT_H
#define SINKD_CTL_SNAPSHOT_H

#include <stddef.h>

#include "proc/control.h"

/* Views into the bytes that were parsed. */
struct snapshot {
	const struct control_status *status;
	const struct control_listener *listeners;
	const struct control_certificate *certificates;
	const struct control_session *sessions;
	size_t listener_count;
	size_t certificate_count;
	size_t session_count;
};

/* Check n bytes at p, aligned as malloc aligns; they must live as long as *ret, and
 * text fields in them are terminated here.  Returns 0, -EPROTONOSUPPORT (another
 * version of sinkd wrote them) or -EBADMSG (nobody did). */
int snapshot_parse(void *p, size_t n, struct snapshot *ret);

#endif
