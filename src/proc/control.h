/* The control socket: how sinkctl looks at the server and steers it.
 *
 * A datagram socket in the runtime directory, which only its owner and root may reach.
 * A request is one datagram of fixed size, the answer is another, with the numbers, if
 * numbers were asked for, in a sealed file of memory that comes along.  So the master
 * never waits for a client and knows of none between two datagrams.
 *
 * What is sent is in native byte order and laid out as below: both sides are one
 * release on one machine, and a sinkctl of another release is told so. */
#ifndef SINKD_PROC_CONTROL_H
#define SINKD_PROC_CONTROL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "proc/slots.h"

/* Names in the runtime directory: the socket, and that of a server on its way to take
 * the place of another. */
#define CONTROL_NAME      "control"
#define CONTROL_NEXT_NAME "control.next"

#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* "sink" where the lowest byte comes first.  The version changes with any of the
 * structures below, slot_counts included. */
#define CONTROL_MAGIC   0x6b6e6973U
#define CONTROL_VERSION 3U

#define CONTROL_TEXT_MAX 500

enum control_command {
	CONTROL_SNAPSHOT,
	CONTROL_RELOAD,
	CONTROL_STOP,
	CONTROL_DRAIN,
	CONTROL_LOG_LEVEL, /* argument: enum log_level */
	CONTROL_VERBOSE,   /* argument: 0 or 1 */
	CONTROL_RULE,      /* argument: 0 or 1; name: the rule */
	CONTROL_COMMANDS,
};

/* Magic and version stay in front in every version. */
struct control_request {
	uint32_t magic;
	uint32_t version;
	uint32_t command;
	int32_t argument;
	char name[64];
};

/* status: 0, EINPROGRESS (a reload has begun; snapshots say when it has ended), or
 * another positive errno.  The text is terminated; it says what is done, or why it is
 * not. */
struct control_reply {
	uint32_t magic;
	uint32_t version;
	int32_t status;
	char text[CONTROL_TEXT_MAX];
};

/* --------------------------------------------------------------- the numbers */

enum control_state {
	CONTROL_STARTING,
	CONTROL_RUNNING,
	CONTROL_RELOADING,
	CONTROL_STOPPING,
	CONTROL_DRAINING,
	CONTROL_STATES,
};

/* Text fields are terminated, and cut where they are too long. */
struct control_listener {
	char name[64];
	char address[128];
	uint64_t waiting; /* clients that nobody has accepted yet */
};

/* A certificate that is shown to clients. */
struct control_certificate {
	char name[256]; /* the server name it is for; empty: any */
	char subject[256];
	char fingerprint[96]; /* SHA-256 of it, in hex with colons */
	char file[256];       /* empty: made at the start */
	uint64_t expires_s;   /* since 1970 */
};

/* A worker.  But for number, pid and generation these are its own words. */
struct control_session {
	uint32_t number;
	int32_t pid;
	uint32_t generation;
	uint32_t port;
	uint64_t since_ms; /* ago: the session began */
	uint64_t bytes;    /* that came from the client in this session */
	uint64_t messages; /* accepted in this session */
	uint64_t served;   /* sessions begun, this one included */
	char state[16];
	char client[48]; /* empty: none */
	char helo[64];
};

/* A rule of the configuration, in their order. */
struct control_rule {
	char name[64];
	char stage[16];
	uint64_t hits;
	uint32_t is_on;
	uint32_t is_switched; /* by sinkctl */
};

/* The head of a snapshot; listeners, certificates, sessions and rules follow, as many as
 * it says.  The first eleven fields are filled by control_make_snapshot. */
struct control_status {
	uint32_t magic;
	uint32_t version;
	uint32_t status_bytes;
	uint32_t listener_bytes;
	uint32_t certificate_bytes;
	uint32_t session_bytes;
	uint32_t rule_bytes;
	uint32_t listener_count;
	uint32_t certificate_count;
	uint32_t session_count;
	uint32_t rule_count;

	uint32_t state; /* enum control_state */
	int32_t pid;
	uint32_t generation; /* of the configuration; the first is 1 */
	uint32_t is_stressed;

	uint64_t now_s; /* by the server's clock, since 1970 */

	char release[32];
	char hostname[256];
	char config_file[256];

	uint64_t started_s; /* since 1970 */
	uint64_t reloaded_s;
	uint64_t uptime_ms;
	uint64_t since_reload_ms; /* the uptime, before the first reload */

	/* Workers now; old are those of former generations, of which the first four say
	 * nothing. */
	uint64_t idle;
	uint64_t busy;
	uint64_t starting;
	uint64_t retiring;
	uint64_t old;

	uint64_t limit_start;
	uint64_t limit_min_spare;
	uint64_t limit_max_spare;
	uint64_t limit_max;

	uint64_t waiting;  /* over all listeners */
	uint64_t max_hits; /* times that a worker was wanted and limit_max reached */
	uint64_t births;
	uint64_t deaths;
	uint64_t hung_kills;
	uint64_t refused_overflow; /* clients turned away because all workers were busy */

	struct slot_counts totals;
	struct slot_counts at_reload; /* the totals when the configuration was loaded */
};

/* What a snapshot is made of. */
struct control_snapshot {
	const struct control_status *status;
	const struct control_listener *listeners;
	const struct control_certificate *certificates;
	const struct control_session *sessions;
	const struct control_rule *rules;
	size_t listener_count;
	size_t certificate_count;
	size_t session_count;
	size_t rule_count;
};

/* Write the numbers into a file of memory that nobody can change any more.  An array
 * may be NULL if its count is 0.  *ret_fd is the caller's to close.  Returns 0 or a
 * negative errno.  Blocks on nothing but memory. */
int control_make_snapshot(const struct control_snapshot *parts, int *ret_fd);

/* ---------------------------------------------------------------- the socket */

/* Where an answer goes, and who asked. */
struct control_peer {
	struct sockaddr_un address;
	socklen_t length;
	pid_t pid;
	uid_t uid;
};

/* Make the socket, with mode 0600; name is one of the two above.  What a server that has
 * died left there is removed.  *ret_fd does not block and is closed on exec.
 * Returns 0, -EADDRINUSE (a server that lives answers there, or something that is not
 * a socket of this kind is in the way), or another negative errno. */
int control_open(const char *directory, const char *name, int *ret_fd);

/* The socket opened as CONTROL_NEXT_NAME takes the place of the other one, without a
 * moment at which there is none.  Returns 0 or a negative errno. */
int control_take_place(const char *directory);

/* Close *fd unless it is -1.  name: what to remove from the directory; NULL: nothing,
 * because it belongs to the next server or not to this process. */
void control_close(int *fd, const char *directory, const char *name);

/* Take the next datagram, from root or the user own; others are told that they may not.
 * Never blocks, accepts no descriptor, logs what it turns away.
 * Returns 1 (a request, well-formed, its command known), 0 (nothing is waiting) or
 * -EBADMSG (that was none; there may be more). */
int control_receive(int fd, uid_t own, struct control_request *ret_request,
	struct control_peer *ret_peer);

/* Answer.  status: 0 or a positive errno; snapshot_fd: -1 or what control_make_snapshot
 * made; it stays the caller's.  A peer that cannot take it now gets nothing. */
void control_reply(
	const struct control_peer *peer, int status, const char *text, int snapshot_fd);

#endif
