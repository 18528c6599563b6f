/* Landlock; see confine.h.
 *
 * Runs in workers before they see a client; confine_version in the master too.  By
 * system calls and with definitions of our own: the C library has no wrappers, and
 * headers are often older than the kernel.  See landlock(7).
 *
 * Known limits: descriptors that are open already stay as they are, and a file's
 * mode, owner and times are not covered; for those there is the list of calls. */
#include "proc/confine.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"

/* The numbers are the same on every architecture. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH      1
#define RULE_NET_PORT          2

/* The first version with which a file can move from one directory to another, as
 * every message does. */
#define VERSION_MIN 2

/* Rights to files and directories, by the bit. */
enum {
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	REFER = 1 << 13, /* move a file to another directory */
};
#define RIGHTS_V2   ((UINT64_C(1) << 14) - 1)
#define RIGHT_V3    (UINT64_C(1) << 14) /* truncate */
#define RIGHT_V5    (UINT64_C(1) << 15) /* ioctl on devices */
#define NET_V4      UINT64_C(3)         /* bind and connect TCP sockets */
#define NET_CONNECT UINT64_C(2)
#define SCOPED_V6   UINT64_C(3) /* abstract sockets and signals */

/* What a list is about: all that it does not allow is denied. */
struct ruleset {
	uint64_t files;
	uint64_t net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

struct net_port {
	uint64_t allowed;
	uint64_t port;
};

unsigned confine_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return version < VERSION_MIN ? 0 : (unsigned)version;
}

int confine_create(unsigned version)
{
	/* An older kernel takes the longer struct as long as what it does not know is
	 * zero. */
	struct ruleset all = {
		.files = RIGHTS_V2 | (version >= 3 ? RIGHT_V3 : 0) |
			 (version >= 5 ? RIGHT_V5 : 0),
		.net = version >= 4 ? NET_V4 : 0,
		.scoped = version >= 6 ? SCOPED_V6 : 0,
	};
	long fd = syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);

	return fd < 0 ? -errno : (int)fd;
}

static uint64_t rights_of(enum delivery_reach reach)
{
	const uint64_t spool = WRITE_FILE | REMOVE_FILE | MAKE_REG;
	/* READ_DIR: a directory must be opened to be fsynced. */
	const uint64_t store = spool | READ_DIR | REMOVE_DIR | MAKE_DIR | REFER;

	if (reach == DELIVERY_REACH_SPOOL)
		return spool;
	return reach == DELIVERY_REACH_STORE ? store : store | READ_FILE;
}

int confine_allow(int rules, int root, enum delivery_reach reach)
{
	struct path_beneath beneath = {
		.allowed = rights_of(reach),
		.parent_fd = root,
	};

	return syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &beneath, 0) < 0
		       ? -errno
		       : 0;
}

int confine_allow_port(int rules, in_port_t port)
{
	const struct net_port rule = {.allowed = NET_CONNECT, .port = port};

	return syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &rule, 0) < 0 ? -errno
										  : 0;
}

int confine_enforce_take_fd(int rules)
{
	int r = syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;

	(void)fdio_close(&rules);
	return r;
}

int confine_to_deliveries(unsigned version, const struct delivery *d, size_t count)
{
	int r = 0, rules = confine_create(version);

	if (rules < 0)
		return rules;
	for (size_t i = 0; i < count && r == 0; i++) {
		struct delivery_root root;

		if (delivery_root(d, i, &root))
			r = confine_allow(rules, root.fd, root.reach);
	}
	if (r == 0)
		return confine_enforce_take_fd(rules);
	(void)fdio_close(&rules);
	return r;
}
