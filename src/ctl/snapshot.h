/* The numbers of a server as sinkctl got them, checked. */
#ifndef SINKD_CTL_SNAPSHOT_H
#define SINKD_CTL_SNAPSHOT_H

#include <stddef.h>

#include "proc/control.h"

/* Check n bytes at p, aligned as malloc aligns; they must live as long as *ret, and
 * text fields in them are terminated here.  Returns 0, -EPROTONOSUPPORT (another
 * version of sinkd wrote them) or -EBADMSG (nobody did). */
int snapshot_parse(void *p, size_t n, struct control_snapshot *ret);

#endif
