/* The runtime directory: where a running server is found (pid file, control socket). */
#ifndef SINKD_PROC_RUNTIME_H
#define SINKD_PROC_RUNTIME_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

/* Where it is when the configuration does not say: the first directory of
 * $RUNTIME_DIRECTORY (which systemd sets), or /run/sinkd for root, or
 * $XDG_RUNTIME_DIR/sinkd, or /tmp/sinkd-UID.  Touches nothing.  Returns 0 or
 * -ENAMETOOLONG; path is terminated either way. */
int runtime_default(char path[PATH_MAX]);

/* Whether the directory, an absolute path, can be trusted: it is one and no symbolic
 * link, it is ours, nobody else may write to it, and nobody but root and us can put
 * another in its place: each directory above it, and each link on the way, is root's or
 * ours, and others may write there only if it is sticky, as /tmp is.  Returns 0 or a
 * negative errno: -EPERM when somebody else could change it. */
int runtime_check(const char *path);

/* Make the directory unless it is there, and check it.  configured NULL: the default
 * one.  path: which it is, also on failure.  Returns as runtime_check does. */
int runtime_prepare(const char *configured, char path[PATH_MAX]);

/* "directory/name" into path, which has size bytes.  Returns 0 or -ENAMETOOLONG. */
int runtime_path(const char *directory, const char *name, char *path, size_t size);

/* Write our pid to sinkd.pid in this directory, in one step.  One that names another
 * running server stays, and the result is -EBUSY, unless that is predecessor, which
 * hands over to us (0: nobody does).  Returns 0 or a negative errno. */
int runtime_write_pid(const char *directory, pid_t predecessor);

/* The server goes on without the directory: say so in the log, and make path empty. */
void runtime_give_up(char path[PATH_MAX], int error);

/* runtime_write_pid, or else runtime_give_up; nothing for the empty path. */
void runtime_claim(char path[PATH_MAX], pid_t predecessor);

/* Remove the file if it still names us; nothing for the empty path. */
void runtime_remove_pid(const char *directory);

#endif
