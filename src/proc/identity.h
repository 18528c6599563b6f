/* Whom the workers become. */
#ifndef SINKD_PROC_IDENTITY_H
#define SINKD_PROC_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define IDENTITY_GROUPS_MAX 64

/* Accounts to try, in this order, when root starts the server and names none. */
#define IDENTITY_DEFAULT_USER  "sinkd"
#define IDENTITY_FALLBACK_USER "nobody"

/* is_switch: we are root and must become another.  Else uid and gid are ours. */
struct identity {
	bool is_switch;
	bool is_fallback; /* the default account does not exist */
	char name[64];
	uid_t uid;
	gid_t gid;
	gid_t groups[IDENTITY_GROUPS_MAX];
	size_t group_count;
};

/* Look the accounts up; user and group may be NULL.  In the master, once, before
 * the workers close what the lookup may need.  Returns 0, -ENOENT (no such account; the
 * configuration has been checked, so it went away or is the fallback), -EPERM
 * (the account is root or in its group, or our own ids differ) or another negative errno.
 */
int identity_resolve(const char *user, const char *group, struct identity *ret);

/* Become it, for good: all user and group ids and the list of groups, and then
 * prove that root cannot come back.  Returns 0 or a negative errno; -EPERM when
 * the proof failed.  After a failure the process must end. */
int identity_assume(const struct identity *id);

#endif
