/* Unit tests of net/listener: which sockets are taken over, and which paths are removed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "net/listener.h"
#include "unit.h"

#define ADDRESSES_MAX 6

/* What a configuration with one section says. */
struct wanted {
	struct listen_settings settings;
	struct endpoint endpoints[ADDRESSES_MAX * 2];
};

struct list {
	struct listener *l;
	size_t n;
};

/* Where Unix sockets are, for this run alone. */
static char directory[] = "/tmp/sinkd-unit-XXXXXX";

static int make_directory(void)
{
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void)
{
	return rmdir(directory);
}

static const char *path_of(const char *name)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static bool has_path(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

/* "unix:/NAME" is a socket in our directory. */
static void want(struct wanted *w, const char *const addresses[ADDRESSES_MAX])
{
	const char *error;

	*w = (struct wanted){.settings = {.name = "test", .backlog = 16}};
	for (size_t i = 0; i < ADDRESSES_MAX && addresses[i] != NULL; i++) {
		char text[96];
		bool is_path = strncmp(addresses[i], "unix:", 5) == 0;
		int n;

		(void)snprintf(text, sizeof(text), "%s%s%s", is_path ? "unix:" : "",
			is_path ? directory : "", addresses[i] + (is_path ? 5 : 0));
		n = endpoint_parse(
			text, w->endpoints + w->settings.endpoint_count, &error);

		CU_ASSERT_FATAL(n > 0);
		w->settings.endpoint_count += (size_t)n;
	}
	w->settings.endpoints = w->endpoints;
}

static int open_all(const char *const addresses[ADDRESSES_MAX], struct list existing,
	struct list *ret)
{
	/* Listeners point to their settings. */
	static struct wanted w;
	struct endpoint failed;

	want(&w, addresses);
	return listeners_open(
		&w.settings, 1, existing.l, existing.n, &ret->l, &ret->n, &failed);
}

static bool is_same_socket(int a, int b)
{
	uint64_t x = 0, y = 1;
	socklen_t n = sizeof(x);

	return getsockopt(a, SOL_SOCKET, SO_COOKIE, &x, &n) == 0 &&
	       getsockopt(b, SOL_SOCKET, SO_COOKIE, &y, &n) == 0 && x == y;
}

static unsigned port_of(const struct listener *l)
{
	return ntohs(((const struct sockaddr_in *)&l->endpoint.address)->sin_port);
}

static bool is_listening(const struct endpoint *e)
{
	int fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is = connect(fd, (const struct sockaddr *)&e->address, e->length) == 0;

	(void)close(fd);
	return is;
}

static const struct list nothing;

/* The same addresses, port 0 among them, a second time. */
static void test_kept(void)
{
	static const char *const cases[][ADDRESSES_MAX] = {
		{"127.0.0.1:0"},
		{"127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"},
		{"localhost:0"},
		{"localhost:0", "localhost:0", "[::1]:0"},
		{"[::1]:0", "localhost:0"},
		{"unix:/kept"},
		{"unix:/kept", "127.0.0.1:0"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i][0];
		struct list old, new;

		if (!CHECK(name, open_all(cases[i], nothing, &old) == 0) ||
			!CHECK(name, open_all(cases[i], old, &new) == 0))
			continue;
		CHECK(name, new.n == old.n);
		for (size_t k = 0; k < new.n &&k < old.n; k++) {
			CHECK(name, is_same_socket(old.l[k].fd, new.l[k].fd));
			CHECK(name, old.l[k].fd != new.l[k].fd);
			CHECK(name, fcntl(new.l[k].fd, F_GETFD) == FD_CLOEXEC);
		}
		listeners_close(old.l, old.n, new.l, new.n);
		for (size_t k = 0; k < new.n; k++)
			CHECK(name, is_listening(&new.l[k].endpoint));
		listeners_close(new.l, new.n, NULL, 0);
	}
	CHECK("path", !has_path("kept"));
}

/* What is named with its port is not for those that take any. */
static void test_named_port(void)
{
	struct list old, new;
	char named[32];

	CU_ASSERT_FATAL(
		open_all((const char *[ADDRESSES_MAX]){"127.0.0.1:0", "127.0.0.1:0"},
			nothing, &old) == 0);
	(void)snprintf(named, sizeof(named), "127.0.0.1:%u", port_of(&old.l[0]));
	CU_ASSERT_FATAL(open_all((const char *[ADDRESSES_MAX]){"127.0.0.1:0", named,
					 "127.0.0.1:0"},
				old, &new) == 0);
	CHECK("the free one", is_same_socket(new.l[0].fd, old.l[1].fd));
	CHECK("the named one", is_same_socket(new.l[1].fd, old.l[0].fd));
	CHECK("none was left", port_of(&new.l[2]) != port_of(&old.l[0]) &&
				       port_of(&new.l[2]) != port_of(&old.l[1]));
	listeners_close(new.l, new.n, old.l, old.n);
	listeners_close(old.l, old.n, NULL, 0);
}

static void test_gone_and_new(void)
{
	struct list old, new;

	CU_ASSERT_FATAL(open_all((const char *[ADDRESSES_MAX]){"unix:/a", "unix:/b"},
				nothing, &old) == 0);
	CU_ASSERT_FATAL(open_all((const char *[ADDRESSES_MAX]){"unix:/b", "unix:/c"}, old,
				&new) == 0);
	CHECK("kept", is_same_socket(old.l[1].fd, new.l[0].fd));
	listeners_close(old.l, old.n, new.l, new.n);
	CHECK("gone", !has_path("a"));
	CHECK("kept", is_listening(&new.l[0].endpoint));
	CHECK("new", is_listening(&new.l[1].endpoint));
	/* Somebody else goes on with them. */
	listeners_close(new.l, new.n, new.l, new.n);
	CHECK("left to others", has_path("b") && has_path("c"));
	CHECK("removed", unlink(path_of("b")) == 0 && unlink(path_of("c")) == 0);
}

/* A list that fails in its middle leaves nothing, and does not touch what was there. */
static void test_failure(void)
{
	struct list old, new = nothing;

	CU_ASSERT_FATAL(
		open_all((const char *[ADDRESSES_MAX]){"unix:/a"}, nothing, &old) == 0);
	CHECK("no such directory", open_all((const char *[ADDRESSES_MAX]){"unix:/a",
						    "unix:/b", "unix:/no/such"},
					   old, &new) == -ENOENT);
	CHECK("untouched", new.l == NULL);
	CHECK("new one removed", !has_path("b"));
	CHECK("old one goes on", is_listening(&old.l[0].endpoint));
	CHECK("twice the same",
		open_all((const char *[ADDRESSES_MAX]){"unix:/a", "unix:/a"}, old,
			&new) == -EADDRINUSE);
	CHECK("old one goes on", is_listening(&old.l[0].endpoint));
	listeners_close(old.l, old.n, NULL, 0);
	CHECK("removed", !has_path("a"));
}

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, level, name, &value, &n) == 0 ? value : -1;
}

/* A socket that another program made, with its own ideas. */
static void test_foreign(void)
{
	struct listener foreign = {
		.fd = socket(AF_UNIX, SOCK_STREAM, 0), .is_foreign = true};
	struct list existing = {&foreign, 1}, new;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = path_of("f");
	socklen_t exact =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	struct timeval tick = {0};
	socklen_t n = sizeof(tick);

	memcpy(to.sun_path, path, strlen(path));
	/* As systemd binds: no byte behind the path. */
	CU_ASSERT_FATAL(bind(foreign.fd, (struct sockaddr *)&to, exact) == 0);
	CU_ASSERT_FATAL(listen(foreign.fd, 1) == 0);
	CU_ASSERT_FATAL(endpoint_of_socket(foreign.fd, &foreign.endpoint) == 0);
	CU_ASSERT_FATAL(
		open_all((const char *[ADDRESSES_MAX]){"unix:/f"}, existing, &new) == 0);
	CHECK("taken", is_same_socket(foreign.fd, new.l[0].fd));
	CHECK("non-blocking", (fcntl(new.l[0].fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK("tick", getsockopt(new.l[0].fd, SOL_SOCKET, SO_RCVTIMEO, &tick, &n) == 0 &&
			      tick.tv_sec == 1);
	listeners_close(new.l, new.n, NULL, 0);
	CHECK("the path is not ours", unlink(to.sun_path) == 0);
	(void)close(foreign.fd);
}

static void test_foreign_tcp(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct listener foreign = {
		.fd = socket(AF_INET, SOCK_STREAM, 0), .is_foreign = true};
	struct list existing = {&foreign, 1}, new;

	CU_ASSERT_FATAL(bind(foreign.fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	CU_ASSERT_FATAL(listen(foreign.fd, 1) == 0);
	CU_ASSERT_FATAL(endpoint_of_socket(foreign.fd, &foreign.endpoint) == 0);
	CU_ASSERT_FATAL(open_all((const char *[ADDRESSES_MAX]){"127.0.0.1:0"}, existing,
				&new) == 0);
	CHECK("taken", is_same_socket(foreign.fd, new.l[0].fd));
	CHECK("no delay", option_of(new.l[0].fd, IPPROTO_TCP, TCP_NODELAY) == 1);
	listeners_close(new.l, new.n, NULL, 0);
	CHECK("still its owner's", is_listening(&foreign.endpoint));
	(void)close(foreign.fd);
}

void suite_listener(void)
{
	CU_pSuite s = CU_add_suite("listener", make_directory, remove_directory);

	CU_add_test(s, "equal endpoints are kept", test_kept);
	CU_add_test(s, "a named port is not any port", test_named_port);
	CU_add_test(s, "gone, kept and new paths", test_gone_and_new);
	CU_add_test(s, "a failure leaves what was there", test_failure);
	CU_add_test(s, "a foreign Unix socket", test_foreign);
	CU_add_test(s, "a foreign TCP socket", test_foreign_tcp);
}
