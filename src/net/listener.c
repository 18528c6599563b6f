/* Listening sockets; see listener.h.
 *
 * Runs in the master, maybe as root; input is the configuration.  What accepted
 * sockets inherit on Linux is set once on the listener, so that a connection
 * costs no call for it: TCP_NODELAY, and the tick (SO_RCVTIMEO, SO_SNDTIMEO). */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "net/conn.h"

static const char expected[] =
	"expected ADDRESS:PORT as in 127.0.0.1:1025, [::1]:1025 or localhost:1025, or "
	"unix:/PATH";

static int parse_unix(struct str path, struct endpoint *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->address;

	if (path.n == 0 || path.p[0] != '/' || path.n >= sizeof(un->sun_path))
		return -EINVAL;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path.p, path.n);
	ret->length = sizeof(*un);
	return 1;
}

static int parse_v4(const char *host, uint16_t port, struct endpoint *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret->address;

	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return -EINVAL;
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	ret->length = sizeof(*in);
	return 1;
}

static int parse_v6(const char *host, uint16_t port, struct endpoint *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->address;

	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return -EINVAL;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	ret->length = sizeof(*in6);
	return 1;
}

static int parse_host(struct str host, uint16_t port, struct endpoint ret[2])
{
	char text[INET6_ADDRSTRLEN];
	bool is_v6 = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

	if (str_equal_nocase(host, STR("localhost"))) {
		ret[1].is_optional = true;
		(void)parse_v4("127.0.0.1", port, &ret[0]);
		(void)parse_v6("::1", port, &ret[1]);
		return 2;
	}
	if (is_v6)
		host = (struct str){host.p + 1, host.n - 2};
	if (host.n == 0 || host.n >= sizeof(text))
		return -EINVAL;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	return is_v6 ? parse_v6(text, port, &ret[0]) : parse_v4(text, port, &ret[0]);
}

int endpoint_parse(const char *text, struct endpoint ret[2], const char **ret_error)
{
	struct str s = str_of(text);
	struct endpoint found[2] = {0};
	const char *colon = strrchr(text, ':');
	uint64_t port;
	int n = -EINVAL;

	if (str_starts_nocase(s, STR("unix:")))
		n = parse_unix(str_skip(s, 5), &found[0]);
	else if (colon != NULL && str_parse_u64(str_of(colon + 1), &port) == 0 &&
		 port <= UINT16_MAX)
		n = parse_host((struct str){text, (size_t)(colon - text)}, (uint16_t)port,
			found);
	if (n < 0) {
		*ret_error = expected;
		return n;
	}
	memcpy(ret, found, (size_t)n * sizeof(*ret));
	return n;
}

void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->address;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&e->address;
	char host[INET6_ADDRSTRLEN] = "?";

	switch (e->address.ss_family) {
	case AF_INET:
		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		(void)snprintf(text, ENDPOINT_TEXT_MAX, "%s:%u", host,
			(unsigned)ntohs(in->sin_port));
		break;
	case AF_INET6:
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		(void)snprintf(text, ENDPOINT_TEXT_MAX, "[%s]:%u", host,
			(unsigned)ntohs(in6->sin6_port));
		break;
	default:
		(void)snprintf(text, ENDPOINT_TEXT_MAX, "unix:%s", un->sun_path);
		break;
	}
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	/* Endpoints start zeroed, so their padding compares equal. */
	return a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}

int endpoint_of_socket(int fd, struct endpoint *ret)
{
	struct endpoint e = {.length = sizeof(e.address)};
	const struct sockaddr_un *un = (const struct sockaddr_un *)&e.address;

	if (getsockname(fd, (struct sockaddr *)&e.address, &e.length) < 0)
		return -errno;
	switch (e.address.ss_family) {
	case AF_INET:
	case AF_INET6:
		break;
	case AF_UNIX:
		/* Without a name, or with an abstract one, it has no path. */
		if (un->sun_path[0] == '\0')
			return -EAFNOSUPPORT;
		/* The kernel counts the path only, endpoint_parse the zeros too. */
		e.length = sizeof(*un);
		break;
	default:
		return -EAFNOSUPPORT;
	}
	*ret = e;
	return 0;
}

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_tick(int fd)
{
	struct timeval tick = {.tv_sec = CONN_TICK_MS / 1000};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)) < 0)
		return -errno;
	return 0;
}

/* All that we send is short replies; what paces a long transfer (bbr) would only cost a
 * timer for each.  Where this one is not allowed, the default does as well. */
static void choose_congestion_control(int fd)
{
	static const char plain[] = "reno";

	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plain, sizeof(plain) - 1);
}

/* What has to be set before bind. */
static int prepare_bind(int fd, int family)
{
	int r;

	if (family == AF_UNIX)
		return 0;
	r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Each address is listened on by its own socket: [::] never takes v4. */
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return r;
}

/* What accepted sockets inherit. */
static int set_inherited_options(int fd, int family)
{
	int r = 0;

	if (family != AF_UNIX) {
		r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		choose_congestion_control(fd);
	}
	return r < 0 ? r : set_tick(fd);
}

/* A socket that a killed server left in the file system refuses connections.  So
 * does a plain file, which is somebody's; a server with a full backlog says EAGAIN. */
static void remove_stale_socket(const struct endpoint *e)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&e->address;
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&e->address, e->length) < 0 &&
		errno == ECONNREFUSED)
		(void)unlink(un->sun_path);
	(void)fdio_close(&fd);
}

/* Like a port on the loopback address, a Unix socket is for everybody on the
 * machine; who wants it otherwise protects its directory. */
static int bind_to(int fd, const struct endpoint *e)
{
	mode_t mask = umask(e->address.ss_family == AF_UNIX ? 0 : 077);
	int r = bind(fd, (const struct sockaddr *)&e->address, e->length);

	r = r < 0 ? -errno : 0;
	(void)umask(mask);
	return r;
}

static int bind_new(const struct endpoint *e, int backlog, struct listener *ret)
{
	int family = e->address.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (family == AF_UNIX)
		remove_stale_socket(e);
	r = prepare_bind(fd, family);
	if (r == 0)
		r = set_inherited_options(fd, family);
	if (r == 0)
		r = bind_to(fd, e);
	if (r < 0)
		goto fail;
	r = listen(fd, backlog) < 0 ? -errno : endpoint_of_socket(fd, &ret->endpoint);
	if (r == 0) {
		ret->fd = fd;
		return 0;
	}
	/* What bind made in the file system is ours. */
	if (family == AF_UNIX)
		(void)unlink(((const struct sockaddr_un *)&e->address)->sun_path);
fail:
	(void)fdio_close(&fd);
	return r;
}

/* Whoever made it may have had other options in mind. */
static int take_over(const struct listener *existing, int backlog, struct listener *ret)
{
	int fd = fcntl(existing->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	int r = 0;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = set_inherited_options(fd, existing->endpoint.address.ss_family);
	if (r == 0 && listen(fd, backlog) < 0)
		r = -errno;
	if (r < 0) {
		(void)fdio_close(&fd);
		return r;
	}
	ret->fd = fd;
	ret->endpoint = existing->endpoint;
	ret->is_foreign = existing->is_foreign;
	return 0;
}

/* Whether a and b are the same but for the port, which a leaves to the kernel. */
static bool is_any_port_of(const struct endpoint *a, const struct endpoint *b)
{
	struct endpoint copy = *a;
	struct sockaddr_in *in = (struct sockaddr_in *)&copy.address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&copy.address;

	if (a->address.ss_family != b->address.ss_family)
		return false;
	if (a->address.ss_family == AF_INET && in->sin_port == 0)
		in->sin_port = ((const struct sockaddr_in *)&b->address)->sin_port;
	else if (a->address.ss_family == AF_INET6 && in6->sin6_port == 0)
		in6->sin6_port = ((const struct sockaddr_in6 *)&b->address)->sin6_port;
	else
		return false;
	return endpoint_equal(&copy, b);
}

const struct listener *listeners_find(
	const struct listener *l, size_t n, const struct endpoint *e)
{
	for (size_t i = 0; i < n; i++)
		if (endpoint_equal(&l[i].endpoint, e))
			return &l[i];
	return NULL;
}

/* Whether somebody has removed the socket from the file system, where no client finds it
 * any more. */
static bool is_lost(const struct endpoint *e)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&e->address;
	struct stat st;

	return un->sun_family == AF_UNIX && lstat(un->sun_path, &st) < 0 &&
	       errno == ENOENT;
}

/* What listeners_open works on. */
struct opening {
	const struct listen_settings *settings;
	size_t settings_count;
	const struct listener *existing;
	size_t existing_count;
	struct listener *l;
	size_t count;
};

static bool is_configured(const struct opening *o, const struct endpoint *e)
{
	for (size_t i = 0; i < o->settings_count; i++)
		for (size_t j = 0; j < o->settings[i].endpoint_count; j++)
			if (endpoint_equal(&o->settings[i].endpoints[j], e))
				return true;
	return false;
}

/* The socket that listens at e already, and that we have not taken yet. */
static const struct listener *find_existing(
	const struct opening *o, const struct endpoint *e)
{
	for (size_t i = 0; i < o->existing_count; i++) {
		const struct endpoint *there = &o->existing[i].endpoint;

		if (listeners_find(o->l, o->count, there) != NULL || is_lost(there))
			continue;
		if (endpoint_equal(there, e) ||
			(is_any_port_of(e, there) && !is_configured(o, there)))
			return &o->existing[i];
	}
	return NULL;
}

/* The v6 side of "localhost" follows the v4 side to the port it was given.  Says
 * whether it did, since that port was chosen for v4 alone. */
static bool follow_port(struct endpoint *e, const struct listener *v4)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&e->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&v4->endpoint.address;

	if (in6->sin6_port != 0)
		return false;
	in6->sin6_port = in->sin_port;
	return true;
}

/* Whether we can do without an optional endpoint: the machine has no IPv6, or
 * somebody has the port that the kernel picked for v4. */
static bool is_dispensable(int error, bool has_followed)
{
	return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT ||
	       (error == -EADDRINUSE && has_followed);
}

static int open_section(struct opening *o, const struct listen_settings *settings,
	struct endpoint *ret_failed)
{
	for (size_t i = 0; i < settings->endpoint_count; i++) {
		struct endpoint e = settings->endpoints[i];
		struct listener *l = &o->l[o->count];
		bool has_followed = e.is_optional && follow_port(&e, l - 1);
		const struct listener *existing = find_existing(o, &e);
		int r;

		*l = (struct listener){.fd = -1, .settings = settings};
		r = existing != NULL ? take_over(existing, settings->backlog, l)
				     : bind_new(&e, settings->backlog, l);
		if (r < 0 && !(e.is_optional && is_dispensable(r, has_followed))) {
			*ret_failed = e;
			return r;
		}
		if (r == 0)
			o->count++;
	}
	return 0;
}

int listeners_open(const struct listen_settings *settings, size_t n,
	const struct listener *existing, size_t existing_count, struct listener **ret,
	size_t *ret_count, struct endpoint *ret_failed)
{
	struct opening o = {settings, n, existing, existing_count, NULL, 0};
	size_t total = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		total += settings[i].endpoint_count;
	o.l = calloc(total + 1, sizeof(*o.l));
	if (o.l == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = open_section(&o, &settings[i], ret_failed);
	if (r < 0) {
		listeners_close(o.l, o.count, existing, existing_count);
		return r;
	}
	*ret = o.l;
	*ret_count = o.count;
	return 0;
}

void listeners_close(
	struct listener *l, size_t n, const struct listener *kept, size_t kept_count)
{
	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_un *un =
			(const struct sockaddr_un *)&l[i].endpoint.address;

		if (un->sun_family == AF_UNIX && !l[i].is_foreign &&
			listeners_find(kept, kept_count, &l[i].endpoint) == NULL)
			(void)unlink(un->sun_path);
		(void)fdio_close(&l[i].fd);
	}
	free(l);
}

bool listener_gives_tick(const struct listener *l)
{
	return l->endpoint.address.ss_family != AF_UNIX;
}

unsigned listener_count_waiting(const struct listener *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (l->endpoint.address.ss_family == AF_UNIX)
		return poll(&p, 1, 0) == 1;
	/* For a listener the kernel puts the length of the accept queue there. */
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return 0;
	return info.tcpi_unacked;
}
