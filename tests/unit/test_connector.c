/* Unit tests of proc/connector: a real one, in its cage, asked as workers ask. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "policy/connect_request.h"
#include "proc/connector.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define PATIENCE_MS 10000
#define SHORT_MS    50

enum { TCP, UNIX, NOBODY, SECOND, FULL, TARGETS };

struct scene {
	struct connector connector;
	struct connector_target targets[TARGETS];
	struct connector_env env;
	struct identity identity;
	int listeners[TARGETS]; /* or -1 */
	char directory[64];
};

static void listen_on(struct scene *c, unsigned target, int backlog)
{
	struct endpoint *e = &c->targets[target].endpoints[0];
	int fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&e->address, e->length) == 0);
	CU_ASSERT_FATAL(getsockname(fd, (struct sockaddr *)&e->address, &e->length) == 0);
	if (backlog >= 0)
		CU_ASSERT_FATAL(listen(fd, backlog) == 0);
	c->listeners[target] = fd;
}

static struct endpoint loopback(void)
{
	struct endpoint e = {.length = sizeof(struct sockaddr_in)};
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	memcpy(&e.address, &in, sizeof(in));
	return e;
}

static struct endpoint unix_socket(const struct scene *c, const char *name)
{
	struct endpoint e = {.length = sizeof(struct sockaddr_un)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", c->directory, name);
	memcpy(&e.address, &un, sizeof(un));
	return e;
}

static void set_up(struct scene *c)
{
	*c = (struct scene){.connector = CONNECTOR_NONE};
	(void)snprintf(c->directory, sizeof(c->directory), "/tmp/sinkd-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(c->directory));
	for (unsigned i = 0; i < TARGETS; i++) {
		bool is_unix = i == UNIX || i == FULL;

		c->listeners[i] = -1;
		c->targets[i] = (struct connector_target){.endpoint_count = 1,
			.timeout_ms = i == FULL ? SHORT_MS : PATIENCE_MS};
		c->targets[i].endpoints[0] =
			is_unix ? unix_socket(c, i == UNIX ? "a" : "b") : loopback();
	}
	listen_on(c, TCP, 5);
	listen_on(c, UNIX, 5);
	listen_on(c, FULL, 0);
	/* Its port is taken, and nobody listens there. */
	listen_on(c, NOBODY, -1);
	c->targets[SECOND] = c->targets[NOBODY];
	c->targets[SECOND].endpoint_count = 2;
	c->targets[SECOND].endpoints[1] = c->targets[TCP].endpoints[0];
	c->env = (struct connector_env){
		.targets = c->targets, .target_count = TARGETS, .identity = &c->identity};
	log_set_level(LOG_FATAL);
	CU_ASSERT_FATAL(connector_open(&c->connector, SANDBOX_KILL) == 0);
	CU_ASSERT_FATAL(connector_start(&c->connector, &c->env) == 0);
}

static void tear_down(struct scene *c)
{
	static const unsigned paths[] = {UNIX, FULL};

	CHECK("it has lived",
		c->connector.helper.pid > 0 &&
			waitpid(c->connector.helper.pid, NULL, WNOHANG) == 0);
	connector_done(&c->connector);
	for (unsigned i = 0; i < TARGETS; i++)
		(void)fdio_close(&c->listeners[i]);
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		(void)unlink(((const struct sockaddr_un *)&c->targets[paths[i]]
				      .endpoints[0]
				      .address)
				     ->sun_path);
	CU_ASSERT(rmdir(c->directory) == 0);
	log_set_level(LOG_INFO);
}

static int ask(const struct scene *c, uint32_t service, uint64_t ms)
{
	return connect_request_ask(
		c->connector.asker_fd, service, clock_monotonic_ms() + ms);
}

/* Whether what is written there is read by who listens. */
static void check_connection(const char *name, int fd, int listener)
{
	char byte = 'x';
	int other;

	if (!CHECK(name, fd >= 0))
		return;
	other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(name, other >= 0);
	CHECK(name, write(fd, &byte, 1) == 1 && read(other, &byte, 1) == 1);
	(void)close(fd);
	CHECK("it is nobody else's", read(other, &byte, 1) == 0);
	(void)close(other);
}

static void test_connections(void)
{
	static struct scene c;

	set_up(&c);
	check_connection("TCP", ask(&c, TCP, PATIENCE_MS), c.listeners[TCP]);
	check_connection("Unix", ask(&c, UNIX, PATIENCE_MS), c.listeners[UNIX]);
	check_connection("again", ask(&c, TCP, PATIENCE_MS), c.listeners[TCP]);
	check_connection(
		"the second address", ask(&c, SECOND, PATIENCE_MS), c.listeners[TCP]);
	CU_ASSERT_EQUAL(ask(&c, NOBODY, PATIENCE_MS), -ECONNREFUSED);
	tear_down(&c);
}

/* Nobody is held longer than he, or the configuration, would wait. */
static void test_time(void)
{
	static struct scene c;
	uint64_t start_ms = clock_monotonic_ms();
	int fds[8], last = 0;
	size_t n = 0;

	set_up(&c);
	CU_ASSERT_EQUAL(ask(&c, TCP, 0), -ETIME);
	while (last >= 0 && n < COUNT_OF(fds)) {
		last = ask(&c, FULL, PATIENCE_MS);
		if (last >= 0)
			fds[n++] = last;
	}
	CHECK("full", last == -ETIME && n > 0);
	CHECK("at once", clock_monotonic_ms() - start_ms < PATIENCE_MS);
	while (n > 0)
		(void)close(fds[--n]);
	check_connection("the others", ask(&c, TCP, PATIENCE_MS), c.listeners[TCP]);
	tear_down(&c);
}

/* Who asks may have been taken over. */
static void test_hostile(void)
{
	static const char junk[64] = "junk";
	static struct scene c;
	const struct connect_request q = {.deadline_ms = UINT64_MAX, .service = TCP};
	struct connect_answer answer;
	int asker, fd = -1, ends[2] = {-1, -1};

	set_up(&c);
	asker = c.connector.asker_fd;
	CU_ASSERT_EQUAL(ask(&c, TARGETS, PATIENCE_MS), -EINVAL);
	CU_ASSERT_EQUAL(ask(&c, UINT32_MAX, PATIENCE_MS), -EINVAL);
	CU_ASSERT(send(asker, junk, sizeof(junk), MSG_DONTWAIT) == sizeof(junk));
	CHECK("too short",
		ipc_ask(asker, junk, sizeof(q) - 1, NULL, 0, &answer, sizeof(answer),
			clock_monotonic_ms() + PATIENCE_MS) == sizeof(answer));
	CU_ASSERT_EQUAL(answer.error, -EINVAL);
	CHECK("too long",
		ipc_ask(asker, junk, sizeof(junk), NULL, 0, &answer, sizeof(answer),
			clock_monotonic_ms() + PATIENCE_MS) == -EPIPE);
	CU_ASSERT_FATAL(pipe(ends) == 0);
	CHECK("a descriptor along",
		ipc_ask(asker, &q, sizeof(q), &ends[1], 1, &answer, sizeof(answer),
			clock_monotonic_ms() + PATIENCE_MS) == sizeof(answer));
	CU_ASSERT_EQUAL(answer.error, -EINVAL);
	(void)close(ends[1]);
	CHECK("which is closed", read(ends[0], &answer, 1) == 0);
	(void)close(ends[0]);
	/* For ever is no longer than the configuration has it. */
	CHECK("no end",
		ipc_ask_fd(asker, &q, sizeof(q), &answer, sizeof(answer),
			clock_monotonic_ms() + PATIENCE_MS, &fd) == sizeof(answer));
	check_connection("no end", fd, c.listeners[TCP]);
	tear_down(&c);
}

static void test_death(void)
{
	static struct scene c;
	pid_t pid, asker;
	int status = 0;

	set_up(&c);
	pid = c.connector.helper.pid;
	CU_ASSERT_FATAL(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	CHECK("not this one", !connector_note_exit(&c.connector, pid + 1, status, false));
	CHECK("this one", connector_note_exit(&c.connector, pid, status, false));
	asker = fork();
	if (asker == 0)
		_exit(ask(&c, TCP, PATIENCE_MS) >= 0 ? 0 : 1);
	CHECK("the next one", connector_tend(&c.connector, &c.env,
				      c.connector.helper.due_ms) == UINT64_MAX);
	CHECK("another", c.connector.helper.pid > 0 && c.connector.helper.pid != pid);
	CU_ASSERT(waitpid(asker, &status, 0) == asker);
	CHECK("the question has waited", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tear_down(&c);
}

/* In the cage of a worker: with a policy service it takes a connection and talks there;
 * without one it has no way to. */
static int ask_in_cage(const struct scene *c, enum sandbox_role role)
{
	struct sandbox cage;
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		char byte = 'x';
		int fd;

		if (sandbox_init(SANDBOX_KILL, role, &cage) < 0)
			_exit(1);
		cage.shared_fds[cage.shared_count++] = c->connector.asker_fd;
		if (sandbox_renounce() < 0 || sandbox_enter(&cage, NULL, 0) < 0)
			_exit(2);
		fd = ask(c, UNIX, PATIENCE_MS);
		if (fd < 0 || send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
			_exit(3);
		if (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
			_exit(4);
		_exit(close(fd) == 0 ? 0 : 5);
	}
	CU_ASSERT(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_cage_of_askers(void)
{
	static struct scene c;

	set_up(&c);
	CU_ASSERT_EQUAL(ask_in_cage(&c, SANDBOX_WORKER_WITH_POLICY), 0);
#ifndef WITH_SANITIZERS
	if (c.connector.sandbox.level != SANDBOX_OFF)
		CU_ASSERT_EQUAL(ask_in_cage(&c, SANDBOX_WORKER), -SIGSYS);
#endif
	tear_down(&c);
}

static void test_none(void)
{
	struct connector none = CONNECTOR_NONE;
	const struct connector_env env = {0};

	CHECK("none is due", connector_tend(&none, &env, 0) == UINT64_MAX);
	CHECK("none", none.helper.pid == 0);
	connector_done(&none);
}

void suite_connector(void)
{
	CU_pSuite s = CU_add_suite("connector", NULL, NULL);

	CU_add_test(s, "connections", test_connections);
	CU_add_test(s, "how long it takes", test_time);
	CU_add_test(s, "hostile askers", test_hostile);
	CU_add_test(s, "the cage of who asks", test_cage_of_askers);
	CU_add_test(s, "it dies", test_death);
	CU_add_test(s, "no policy service", test_none);
}
