/* Unit tests of proc/inherit: what the environment says about descriptors. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/fdio.h"
#include "proc/inherit.h"
#include "unit.h"

static int listening_socket(int type)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type, 0);

	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	if (type == SOCK_STREAM)
		CU_ASSERT_FATAL(listen(fd, 1) == 0);
	return fd;
}

static void test_nothing(void)
{
	struct inherit i;
	char error[INHERIT_ERROR_MAX];

	CHECK("nothing", inherit_read(&i, error) == 0 && i.count == 0 && !i.is_upgrade);
	inherit_done(&i, NULL, 0);
	(void)setenv("LISTEN_PID", "1", 1);
	(void)setenv("LISTEN_FDS", "2", 1);
	CHECK("another's", inherit_read(&i, error) == 0 && i.count == 0);
	CHECK("removed", getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL);
	inherit_done(&i, NULL, 0);
}

/* What one server writes, another reads. */
static void test_upgrade(void)
{
	struct listener l[] = {{.fd = listening_socket(SOCK_STREAM)},
		{.fd = listening_socket(SOCK_STREAM), .is_foreign = true},
		{.fd = listening_socket(SOCK_STREAM)}};
	char text[INHERIT_UPGRADE_MAX], error[INHERIT_ERROR_MAX], byte = 'x';
	struct endpoint failed;
	struct inherit i;
	int ends[2];

	CU_ASSERT_FATAL(pipe(ends) == 0);
	CU_ASSERT_FATAL(inherit_format(ends[1], l, 3, text) == 0);
	(void)setenv(INHERIT_UPGRADE_VARIABLE, text, 1);
	CU_ASSERT_FATAL(inherit_read(&i, error) == 0);
	CHECK("removed", getenv(INHERIT_UPGRADE_VARIABLE) == NULL);
	CHECK("upgrade", i.is_upgrade && i.count == 3);
	for (size_t k = 0; k < i.count; k++) {
		CHECK(text, i.sockets[k].fd == l[k].fd);
		CHECK(text, i.sockets[k].is_foreign == l[k].is_foreign);
		CHECK(text, fcntl(l[k].fd, F_GETFD) == FD_CLOEXEC);
	}
	CHECK("unmatched is no error", inherit_check(&i, NULL, 0, &failed) == 0);
	inherit_tell_ready(&i);
	inherit_tell_ready(&i);
	CHECK("told once", fdio_read(ends[0], &byte, 1) == 1);
	CHECK("told once", fdio_read(ends[0], &byte, 1) == 0);
	(void)close(ends[0]);
	inherit_done(&i, NULL, 0);
	CHECK("closed", fcntl(l[0].fd, F_GETFD) < 0 && fcntl(l[2].fd, F_GETFD) < 0);
	inherit_done(&i, NULL, 0);
}

static void test_most(void)
{
	struct listener l[LISTENERS_MAX];
	char text[INHERIT_UPGRADE_MAX];

	for (size_t k = 0; k < LISTENERS_MAX; k++)
		l[k] = (struct listener){.fd = INT32_MAX, .is_foreign = true};
	CHECK("there is room", inherit_format(INT32_MAX, l, LISTENERS_MAX, text) == 0);
	CHECK("to the last", text[strlen(text) - 1] == '*');
}

static void test_wrong(void)
{
	int socket_fd = listening_socket(SOCK_STREAM), twin = dup(socket_fd);
	int datagrams = listening_socket(SOCK_DGRAM),
	    plain = socket(AF_INET, SOCK_STREAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0);
	int file = open("/dev/null", O_RDONLY);
	char text[64], error[INHERIT_ERROR_MAX];
	const struct {
		const char *before;
		int fd;
		const char *after, *expected;
	} cases[] = {
		{"", 1 << 20, ":", "is wrong"},
		{"", socket_fd, "", "is wrong"},
		{"x", socket_fd, "", "is wrong"},
		{"0:", socket_fd, "x", "is wrong"},
		{"0:", datagrams, "", "not a listening"},
		{"0:", plain, "", "not a listening"},
		{"0:", file, "", "not a listening"},
		{"0:", 1 << 20, "", "not a listening"},
		{"0:", local, "", "no address"},
	};
	struct inherit i;

	/* A socket without a name listens only after the kernel has given it one. */
	CU_ASSERT(bind(local, &(struct sockaddr){.sa_family = AF_UNIX},
			  sizeof(sa_family_t)) == 0 &&
		  listen(local, 1) == 0);
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		(void)snprintf(text, sizeof(text), "%s%d%s", cases[k].before, cases[k].fd,
			cases[k].after);
		(void)setenv(INHERIT_UPGRADE_VARIABLE, text, 1);
		if (CHECK(text, inherit_read(&i, error) < 0))
			CHECK(error, strstr(error, cases[k].expected) != NULL);
		if (fcntl(socket_fd, F_GETFD) < 0)
			socket_fd = dup2(twin, socket_fd);
	}
	(void)snprintf(text, sizeof(text), "0:%d,%d", socket_fd, twin);
	(void)setenv(INHERIT_UPGRADE_VARIABLE, text, 1);
	if (CHECK(text, inherit_read(&i, error) < 0))
		CHECK(error, strstr(error, "127.0.0.1:") != NULL);
	(void)close(twin);
	(void)close(datagrams);
	(void)close(plain);
	(void)close(file);
	(void)close(local);
}

void suite_inherit(void)
{
	CU_pSuite s = CU_add_suite("inherit", NULL, NULL);

	CU_add_test(s, "nothing, or another's", test_nothing);
	CU_add_test(s, "an upgrade", test_upgrade);
	CU_add_test(s, "as many as there may be", test_most);
	CU_add_test(s, "what is wrong", test_wrong);
}
