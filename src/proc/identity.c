/* Whom the workers become; see identity.h.
 *
 * Resolved in the master, assumed in each worker before it sees a client. */
#include "proc/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

/* getpwnam and getgrnam say "not found" in several ways, 0 among them. */
static int lookup_error(void)
{
	return errno == 0 ? -ENOENT : -errno;
}

static int resolve_account(const char *user, struct identity *id)
{
	struct passwd *pw;
	int count = IDENTITY_GROUPS_MAX;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return lookup_error();
	(void)snprintf(id->name, sizeof(id->name), "%s", user);
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	if (getgrouplist(user, pw->pw_gid, id->groups, &count) < 0)
		return -E2BIG;
	id->group_count = (size_t)count;
	return 0;
}

/* Who we are.  A program that was started with the rights of two users could give
 * up one and keep the other, so that is refused. */
static int resolve_caller(struct identity *id)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
		return -errno;
	if (ruid != euid || euid != suid || rgid != egid || egid != sgid)
		return -EPERM;
	id->uid = euid;
	id->gid = egid;
	return 0;
}

/* Whether the account has anything of root's. */
static bool has_root(const struct identity *id)
{
	for (size_t i = 0; i < id->group_count; i++)
		if (id->groups[i] == 0)
			return true;
	return id->uid == 0 || id->gid == 0;
}

int identity_resolve(const char *user, const char *group, struct identity *ret)
{
	struct identity id = {0};
	int r = resolve_caller(&id);

	if (r < 0)
		return r;
	if (id.uid != 0) {
		*ret = id;
		return 0;
	}
	id.is_switch = true;
	r = resolve_account(user != NULL ? user : IDENTITY_DEFAULT_USER, &id);
	if (r == -ENOENT && user == NULL) {
		id.is_fallback = true;
		r = resolve_account(IDENTITY_FALLBACK_USER, &id);
	}
	if (r < 0)
		return r;
	if (group != NULL) {
		struct group *gr;

		errno = 0;
		gr = getgrnam(group);
		if (gr == NULL)
			return lookup_error();
		id.gid = gr->gr_gid;
		/* A group that was named stands for all: no memberships besides. */
		id.groups[0] = id.gid;
		id.group_count = 1;
	}
	if (has_root(&id))
		return -EPERM;
	*ret = id;
	return 0;
}

/* Whether all ids are those of id and nothing leads back. */
static bool is_final(const struct identity *id)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
		return false;
	if (ruid != id->uid || euid != id->uid || suid != id->uid || rgid != id->gid ||
		egid != id->gid || sgid != id->gid)
		return false;
	return setuid(0) < 0 && seteuid(0) < 0 && setgid(0) < 0 && setegid(0) < 0;
}

int identity_assume(const struct identity *id)
{
	if (!id->is_switch)
		return 0;
	if (setgroups(id->group_count, id->groups) < 0 ||
		setresgid(id->gid, id->gid, id->gid) < 0 ||
		setresuid(id->uid, id->uid, id->uid) < 0)
		return -errno;
	return is_final(id) ? 0 : -EPERM;
}
