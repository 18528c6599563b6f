/* Listening sockets that we were started with: by systemd (or what speaks its protocol,
 * see sd_listen_fds(3)), or by a running server that hands over to us (upgrade.h). */
#ifndef SINKD_PROC_INHERIT_H
#define SINKD_PROC_INHERIT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/listener.h"

/* "FD:FD,FD,...": where to say that we are ready, and the sockets; '*' behind those that
 * are foreign. */
#define INHERIT_UPGRADE_VARIABLE "SINKD_UPGRADE"
#define INHERIT_UPGRADE_MAX      (LISTENERS_MAX * 13 + 16)
#define INHERIT_ERROR_MAX        (ENDPOINT_TEXT_MAX + 96)

struct inherit {
	struct listener *sockets; /* on the heap, without sections */
	size_t count;
	bool is_upgrade;
	int tell_fd; /* -1: nobody waits to hear that we are ready */
};

/* Take over the descriptors that the environment names, and remove the names from it.
 * Called once, before any descriptor is opened.  Returns 0 (there may be none), or a
 * negative errno and what is wrong in error: a descriptor is no listening stream socket,
 * two are the same, or the variables are not what they should be. */
int inherit_read(struct inherit *ret, char error[INHERIT_ERROR_MAX]);

/* Whether all sockets are among the listeners that were opened with them.  After an
 * upgrade they need not be: the configuration may have changed.  Returns 0, or -EINVAL
 * and *ret_failed. */
int inherit_check(const struct inherit *i, const struct listener *l, size_t n,
	struct endpoint *ret_failed);

/* Close what is ours twice, or did not become one of these listeners; the path of a Unix
 * socket that no server listens on any more is removed.  Called when we serve, or
 * with l = i->sockets when we gave up; more calls do nothing. */
void inherit_done(struct inherit *i, const struct listener *l, size_t n);

/* Tell the server that hands over to us, if any, that we are ready. */
void inherit_tell_ready(struct inherit *i);

/* Tell it, if any, why we cannot start. */
void inherit_tell_failure(struct inherit *i, const char *text);

/* Write the value of INHERIT_UPGRADE_VARIABLE.  Returns 0 or -ENOSPC. */
int inherit_format(
	int tell_fd, const struct listener *l, size_t n, char text[INHERIT_UPGRADE_MAX]);

#endif
