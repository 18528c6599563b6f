/* The runtime directory: where a running server is found (pid file, control socket). */
#ifndef SINKD_PROC_RUNTIME_H
#define SINKD_PROC_RUNTIME_H

#include <limits.h>
#include <sys/types.h>

/* Where it is when the configuration does not say: the first directory of
 * $RUNTIME_DIRECTORY (which systemd sets), or /run/sinkd for root, or
 * $XDG_RUNTIME_DIR/sinkd, or /tmp/sinkd-UID.  Touches nothing.  Returns 0 or
 * -ENAMETOOLONG; path is terminated either way. */
int runtime_default(char path[PATH_MAX]);

/* Whether the directory can be trusted: it is one, it is ours, and nobody else may
 * write to it.  Below /tmp it may not be a symbolic link either.  Returns 0 or a
 * negative errno: -EPERM when it belongs to, or can be written by, somebody else. */
int runtime_check(const char *path);

/* Make the directory unless it is there, and check it.  configured NULL: the default
 * one.  path: which it is, also on failure.  Returns as runtime_check does. */
int runtime_prepare(const char *configured, char path[PATH_MAX]);

#endif
