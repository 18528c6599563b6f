/* The control socket; see control.h.
 *
 * Runs in the master, maybe as root.  Who can send is root or the server's own user,
 * but what is sent is believed as little as anything else: nothing here waits,
 * allocates for a client, or remembers one.
 *
 * Answers go to abstract addresses only, which the kernel gives to whoever binds without
 * a name.  A path could by now lead to the socket of somebody else, who would take the
 * word of root for something.
 *
 * Known limit: two servers that find the socket of a dead one at the same moment both
 * replace it, and the later one keeps it. */
#include "proc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "proc/runtime.h"

/* Magic and version. */
#define HEADER_BYTES (2 * sizeof(uint32_t))

/* ---------------------------------------------------------------- snapshots */

int control_make_snapshot(const struct control_snapshot *parts, int *ret_fd)
{
	static const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct control_status head = *parts->status;
	const struct {
		const void *p;
		size_t n;
	} pieces[] = {
		{&head, sizeof(head)},
		{parts->listeners, parts->listener_count * sizeof(*parts->listeners)},
		{parts->certificates,
			parts->certificate_count * sizeof(*parts->certificates)},
		{parts->sessions, parts->session_count * sizeof(*parts->sessions)},
		{parts->rules, parts->rule_count * sizeof(*parts->rules)},
	};
	int fd = memfd_create("sinkd-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = fd < 0 ? -errno : 0;

	head.magic = CONTROL_MAGIC;
	head.version = CONTROL_VERSION;
	head.status_bytes = sizeof(*parts->status);
	head.listener_bytes = sizeof(*parts->listeners);
	head.certificate_bytes = sizeof(*parts->certificates);
	head.session_bytes = sizeof(*parts->sessions);
	head.rule_bytes = sizeof(*parts->rules);
	head.listener_count = (uint32_t)parts->listener_count;
	head.certificate_count = (uint32_t)parts->certificate_count;
	head.session_count = (uint32_t)parts->session_count;
	head.rule_count = (uint32_t)parts->rule_count;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && r == 0; i++)
		r = fdio_write_all(fd, pieces[i].p, pieces[i].n);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		r = -errno;
	if (r < 0)
		(void)fdio_close(&fd);
	else
		*ret_fd = fd;
	return r;
}

/* --------------------------------------------------------------- the socket */

static int make_socket(int *ret_fd)
{
	static const int on = 1;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* The name that bind(2) makes has the mode that the socket has by then, so that
	 * there is no moment at which others may enter. */
	if (fchmod(fd, 0600) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		int r = -errno;

		(void)fdio_close(&fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno
										: 0;
}

/* Remove the socket of a server that has died.  Connecting to it is refused then; but
 * so it is for what is not a socket at all. */
static int remove_stale(const struct sockaddr_un *address)
{
	int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;
	int r = -EADDRINUSE;

	if (probe < 0)
		return -errno;
	if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		errno == ECONNREFUSED && lstat(address->sun_path, &st) == 0 &&
		S_ISSOCK(st.st_mode))
		r = unlink(address->sun_path) < 0 ? -errno : 0;
	(void)fdio_close(&probe);
	return r;
}

int control_open(const char *directory, const char *name, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -1;
	int r = runtime_path(directory, name, address.sun_path, sizeof(address.sun_path));

	if (r < 0 || (r = make_socket(&fd)) < 0)
		return r;
	r = bind_to(fd, &address);
	if (r == -EADDRINUSE && (r = remove_stale(&address)) == 0)
		r = bind_to(fd, &address);
	if (r < 0)
		(void)fdio_close(&fd);
	else
		*ret_fd = fd;
	return r;
}

int control_take_place(const char *directory)
{
	char from[CONTROL_PATH_MAX], to[CONTROL_PATH_MAX];
	int r = runtime_path(directory, CONTROL_NEXT_NAME, from, sizeof(from));

	if (r == 0)
		r = runtime_path(directory, CONTROL_NAME, to, sizeof(to));
	if (r == 0 && rename(from, to) < 0)
		r = -errno;
	return r;
}

void control_close(int *fd, const char *directory, const char *name)
{
	char path[CONTROL_PATH_MAX];

	if (*fd >= 0 && name != NULL &&
		runtime_path(directory, name, path, sizeof(path)) == 0)
		(void)unlink(path);
	(void)fdio_close(fd);
}

/* ----------------------------------------------------------------- requests */

/* Who sent it, by the word of the kernel. */
static bool read_credentials(struct msghdr *message, struct control_peer *peer)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	struct ucred from;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		c->cmsg_len != CMSG_LEN(sizeof(from)))
		return false;
	memcpy(&from, CMSG_DATA(c), sizeof(from));
	peer->pid = from.pid;
	peer->uid = from.uid;
	return true;
}

static int turn_away(const struct control_peer *peer, enum log_level level, int error)
{
	log_event(level, EV_CONTROL_REFUSED, LOG_NUM("client_pid", peer->pid),
		LOG_NUM("uid", peer->uid), LOG_ERRNO(error));
	if (error == EPERM)
		control_reply(peer, error, "permission denied", -1);
	if (error == EPROTONOSUPPORT)
		control_reply(peer, error,
			"this server is another release than this sinkctl", -1);
	return -EBADMSG;
}

/* What is wrong with a datagram of n bytes: 0 or a positive errno. */
static int judge(const struct control_request *request, size_t n, bool is_longer)
{
	if (n < HEADER_BYTES || request->magic != CONTROL_MAGIC)
		return EBADMSG;
	if (request->version != CONTROL_VERSION)
		return EPROTONOSUPPORT;
	if (n != sizeof(*request) || is_longer)
		return EBADMSG;
	return request->command >= CONTROL_COMMANDS ? EPROTONOSUPPORT : 0;
}

int control_receive(int fd, uid_t own, struct control_request *ret_request,
	struct control_peer *ret_peer)
{
	/* Room for the credentials and not for one descriptor more: the kernel drops
	 * those that a client sends along. */
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct control_request request = {0};
	struct control_peer peer = {0};
	struct iovec part = {&request, sizeof(request)};
	struct msghdr message = {
		.msg_name = &peer.address,
		.msg_namelen = sizeof(peer.address),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int error;

	if (n < 0)
		return 0;
	peer.length = message.msg_namelen;
	if (!read_credentials(&message, &peer) || (peer.uid != 0 && peer.uid != own))
		return turn_away(&peer, LOG_WARN, EPERM);
	error = judge(&request, (size_t)n, (message.msg_flags & MSG_TRUNC) != 0);
	if (error != 0)
		return turn_away(&peer, LOG_DEBUG, error);
	request.name[sizeof(request.name) - 1] = '\0';
	*ret_request = request;
	*ret_peer = peer;
	return 1;
}

/* ------------------------------------------------------------------ answers */

static bool is_abstract(const struct control_peer *peer)
{
	return peer->length > offsetof(struct sockaddr_un, sun_path) + 1 &&
	       peer->address.sun_path[0] == '\0';
}

/* From a socket of its own: what is not read yet is held against the socket that sent it,
 * and clients that never read would soon leave no room for the answers of others.
 * Returns 0 or a positive errno. */
static int send_reply(const struct control_peer *peer, const struct control_reply *reply,
	int snapshot_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct sockaddr_un to = peer->address;
	struct control_reply copy = *reply;
	struct iovec part = {&copy, sizeof(copy)};
	struct msghdr message = {
		.msg_name = &to,
		.msg_namelen = peer->length,
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	int fd, error = 0;

	if (snapshot_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &snapshot_fd, sizeof(int));
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		error = errno;
	(void)fdio_close(&fd);
	return error;
}

void control_reply(
	const struct control_peer *peer, int status, const char *text, int snapshot_fd)
{
	struct control_reply reply = {
		.magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .status = status};
	int error = EDESTADDRREQ;

	(void)str_copy(reply.text, sizeof(reply.text), str_of(text));
	if (is_abstract(peer))
		error = send_reply(peer, &reply, snapshot_fd);
	/* Clients that do not read can use up how many descriptors a user may have under
	 * way; who comes next shall at least know. */
	if (error == ETOOMANYREFS) {
		reply.status = error;
		(void)str_copy(reply.text, sizeof(reply.text),
			STR("too many clients do not read their answers"));
		error = send_reply(peer, &reply, -1);
	}
	if (error != 0)
		log_event(LOG_DEBUG, EV_CONTROL_FAILED, LOG_TEXT("step", "answer"),
			LOG_NUM("client_pid", peer->pid), LOG_NUM("uid", peer->uid),
			LOG_ERRNO(error));
}
