/* The cage of a worker, and of the keys process: rights that cannot come back, and a list
 * of system calls.
 *
 * What may be named in the file system is in confine.h. */
#ifndef SINKD_PROC_SANDBOX_H
#define SINKD_PROC_SANDBOX_H

#include <linux/filter.h>
#include <stddef.h>

#include "config/conf.h"

/* With this status a worker ends that made a call which is not on the list, at
 * level "trap". */
#define SANDBOX_EXIT_TRAPPED 2

/* The channels to the keys, and to each spawner. */
#define SANDBOX_SHARED_MAX 33

/* Whose list of calls it is. */
enum sandbox_role { SANDBOX_WORKER, SANDBOX_KEYS };

/* Made once, in the master, for all processes with this role. */
struct sandbox {
	enum sandbox_role role;
	enum sandbox_level level;  /* in effect: OFF where the list cannot be used */
	unsigned landlock;         /* version to use; 0: not at all */
	const char *missing;       /* static text: why less than asked for, or NULL */
	struct sock_fprog program; /* the list, as the kernel takes it */
	/* Sockets that workers share, and none may shut down for the others; the only
	 * ones that descriptors may be sent to.  Added by the caller. */
	int shared_fds[SANDBOX_SHARED_MAX];
	size_t shared_count;
};

/* Find out what the kernel has, and build the list.  Returns 0 or a negative errno. */
int sandbox_init(enum sandbox_level level, enum sandbox_role role, struct sandbox *ret);
void sandbox_done(struct sandbox *s);

/* The following are for such a process, in this order; each is for good.  All return 0 or
 * a negative errno, and after a failure the process must end. */

/* No program that is run later has a capability.  To be called while we are root;
 * where we are not it does nothing, and need not: see sandbox_renounce. */
int sandbox_drop_bounding_set(void);

/* No capability of our own, nor one that a program we run would get from us: also where
 * we were not root, but were started with some. */
int sandbox_drop_capabilities(void);

/* No new privileges, no capability, no core file, no new process; and no other
 * process of this user looks into our memory. */
int sandbox_renounce(void);

/* No system call but those on the list; and the n sockets stay as they are set. */
int sandbox_enter(const struct sandbox *s, const int *set_fds, size_t n);

#endif
