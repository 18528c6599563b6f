/* Upgrade (USR2): the binary is executed anew and gets our listening sockets.  We go on
 * until the new server says that it serves; if it does not, we just go on. */
#ifndef SINKD_PROC_UPGRADE_H
#define SINKD_PROC_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/listener.h"

/* How we were started; all on the heap.  binary NULL: could not be found out. */
struct upgrade_env {
	char *binary;
	char *directory; /* NULL: it has no path */
	char **argv;
};

/* Take note of it.  Called first thing, before setproctitle_init.  Never fails: without
 * memory or /proc an upgrade will be refused. */
void upgrade_env_init(struct upgrade_env *ret, char *const *argv);
void upgrade_env_done(struct upgrade_env *env);

/* Start the new server, with these listeners.  Returns 0, its *ret_pid and *ret_fd
 * (non-blocking; a NUL comes when it serves, text when it cannot, the end of the file
 * when it has ended), or a negative errno. */
int upgrade_start(const struct upgrade_env *env, const struct listener *l, size_t n,
	pid_t *ret_pid, int *ret_fd);

/* An upgrade under way, or none (UPGRADE_NONE).  The functions below log what happens. */
struct upgrade {
	pid_t pid; /* of the new server; 0: there is none */
	int fd;    /* -1: it has told us that it serves, or nothing is under way */
	bool is_ready;
	uint64_t deadline_ms;
};

#define UPGRADE_NONE ((struct upgrade){.fd = -1, .deadline_ms = UINT64_MAX})

/* Start one.  Refused while one is under way, as PID 1 (when that ends, all of its
 * container does), and when env is NULL or has no binary. */
void upgrade_request(struct upgrade *u, const struct upgrade_env *env,
	const struct listener *l, size_t n);

/* Hear what the new server says; called when u->fd can be read or u->deadline_ms has
 * come (UINT64_MAX: none).  A new server that says nothing for too long is killed.
 * Returns true once: it serves now, and we can go. */
bool upgrade_hear(struct upgrade *u);

/* A child of ours has ended.  Returns whether it was the new server. */
bool upgrade_note_exit(struct upgrade *u, pid_t pid, int status);

/* We are told to stop, and so is the new server unless it serves already. */
void upgrade_cancel(struct upgrade *u);

#endif
