/* Unit tests of proc/serve: what a client sees of a hook that wants silence, through a
 * real connection and in the cage of a worker.  The test is the master of one process
 * that serves, and whose hooks do what the address of a recipient says. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/sinkd_module.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "conf_fixture.h"
#include "proc/sandbox.h"
#include "proc/serve.h"
#include "unit.h"

/* For whatever happens elsewhere; far more than a busy machine needs. */
#define PATIENCE_S 20

/* Longer than a message may take before its rate is looked at. */
#define SLOW_MS 2100

#define MAIL    "MAIL FROM:<a@example.org>\r\n"
#define RCPT(a) "RCPT TO:<" a "@example.org>\r\n"
#define OK      "250 2.1.0 Ok\r\n"

/* --- the hooks --------------------------------------------------------------------- */

static int action_in_text;
static uint32_t delay_in_text_ms; /* with the first of it */
static struct board *board;

static int action_of(struct sinkd_str path)
{
	static const struct {
		const char *start;
		int action;
	} actions[] = {{"drop", SINKD_DISCONNECT}, {"reset", SINKD_RESET},
		{"stall", SINKD_STALL}};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (path.len > 5 && memcmp(path.data, actions[i].start,
					    strlen(actions[i].start)) == 0)
			return actions[i].action;
	return SINKD_DECIDE;
}

/* "text-drop" and the like: not now.  "late" takes so long that the server is told to go
 * meanwhile. */
static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	(void)user;
	(void)session;
	(void)parameters;
	verdict->action = action_of(path);
	if (path.len > 5 && memcmp(path.data, "text-", 5) == 0) {
		path.data += 5;
		path.len -= 5;
		action_in_text = action_of(path);
		delay_in_text_ms =
			path.len > 4 && memcmp(path.data, "slow", 4) == 0 ? SLOW_MS : 0;
	}
	if (path.len > 4 && memcmp(path.data, "late", 4) == 0)
		atomic_store(&board->drain_deadline_ms, clock_monotonic_ms() + 600000);
}

static void on_data_chunk(void *user, struct sinkd_session *session,
	struct sinkd_str bytes, struct sinkd_verdict *verdict)
{
	(void)user;
	(void)session;
	(void)bytes;
	verdict->action = action_in_text;
	verdict->delay_ms = delay_in_text_ms;
	delay_in_text_ms = 0;
	atomic_store(&board->slot_count, 1); /* which nobody else looks at here */
}

static const struct sinkd_hooks hooks = {.abi = SINKD_ABI,
	.size = sizeof(hooks),
	.recipient = on_recipient,
	.data_chunk = on_data_chunk};

/* --- the scene --------------------------------------------------------------------- */

struct scene {
	struct config *config;
	struct listener *listeners;
	size_t listener_count;
	struct sandbox sandbox;
	struct board *board; /* shared with the one who serves */
	pid_t pid;
};

static void leave(void)
{
}

/* One client after the other, until somebody kills us. */
static _Noreturn void serve_all(const struct scene *s)
{
	const struct delivery_env delivery_env = {.spool_dir = "/tmp"};
	struct serve_env env = {.config = s->config,
		.board = s->board,
		.generation = 1,
		.client_key_secret = {1, 2},
		.worker_number = 1,
		.leave = leave,
		.hooks = &hooks};
	const struct listener *l = s->listeners;
	struct sockaddr_storage from;
	struct counters *counters;
	struct server *server;
	struct slots *slots;
	int slots_fd, counters_fd, fd;
	size_t failed;

	if (slots_create(&slots, &slots_fd) < 0 ||
		counters_create(&counters, &counters_fd) < 0 ||
		delivery_open(s->config->deliveries, s->config->delivery_count,
			&delivery_env, &env.delivery, &failed) < 0)
		_exit(1);
	env.slot = slots_get(slots, 0);
	env.counters = counters;
	server = serve_new(&env);
	if (server == NULL || sandbox_renounce() < 0 ||
		sandbox_enter(&s->sandbox, &l->fd, 1) < 0)
		_exit(1);
	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		socklen_t length = sizeof(from);

		(void)poll(&p, 1, -1);
		fd = accept4(l->fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
		if (fd >= 0)
			serve_client_take_fd(server, l, fd, &from);
	}
}

static void start(struct scene *s, const char *timeouts)
{
	struct endpoint failed;
	char text[512];
	int r;

	*s = (struct scene){0};
	(void)snprintf(text, sizeof(text),
		"hostname = \"mx.example.test\"\n"
		"timeouts { %s }\n"
		"listen \"test\" { address = {\"127.0.0.1:0\"} }\n"
		"deliver \"null\" { type = \"discard\" }\n",
		timeouts);
	CU_ASSERT_FATAL(write_conf(text));
	free(load_conf(conf_file, NULL, &r, &s->config));
	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT_FATAL(
		listeners_open(s->config->listeners, s->config->listener_count, NULL, 0,
			&s->listeners, &s->listener_count, &failed) == 0);
	CU_ASSERT_FATAL(sandbox_init(SANDBOX_KILL, SANDBOX_WORKER, &s->sandbox) == 0);
	s->board = mmap(NULL, sizeof(*s->board), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(s->board != MAP_FAILED);
	board = s->board;
	atomic_store(&s->board->generation, 1);
	atomic_store(&s->board->log_level, LOG_WARN);
	atomic_store(&s->board->verbose, -1);
	(void)fflush(NULL);
	s->pid = fork();
	CU_ASSERT_FATAL(s->pid >= 0);
	if (s->pid == 0)
		serve_all(s);
}

/* It has to be alive still: a call that is not on the list would have killed it. */
static void end(struct scene *s)
{
	int status;

	CHECK("alive", waitpid(s->pid, &status, WNOHANG) == 0);
	CHECK("killed", kill(s->pid, SIGKILL) == 0);
	CHECK("gone", waitpid(s->pid, &status, 0) == s->pid);
	listeners_close(s->listeners, s->listener_count, NULL, 0);
	sandbox_done(&s->sandbox);
	config_free(s->config);
	(void)munmap(s->board, sizeof(*s->board));
}

static void expect(int fd, const char *text)
{
	char got[1024];
	size_t n = 0, wanted = strlen(text);

	while (n < wanted) {
		ssize_t r = recv(fd, got + n, wanted - n, 0);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	CHECK_STR(text, ((struct str){got, n}), str_of(text));
}

static void say(int fd, const char *text)
{
	size_t n = strlen(text);

	CHECK(text, send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static int greet(const struct scene *s)
{
	const struct endpoint *e = &s->listeners[0].endpoint;
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(
		connect(fd, (const struct sockaddr *)&e->address, e->length) == 0);
	CU_ASSERT_FATAL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				sizeof(patience)) == 0);
	expect(fd, "220 mx.example.test ESMTP sinkd\r\n");
	say(fd, "HELO x\r\n");
	expect(fd, "250 mx.example.test\r\n");
	return fd;
}

/* Nothing more is said, and then: 0 for an end, or an errno. */
static void expect_end(int *fd, int error)
{
	char byte;
	ssize_t n = recv(*fd, &byte, 1, 0);

	CHECK("no word", n <= 0);
	CHECK("how it ends", (n == 0 ? 0 : errno) == error);
	(void)fdio_close(fd);
}

/* --- the tests --------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *say;
	const char *replies; /* that come all the same */
	int error;
} ends[] = {
	{"drop", MAIL RCPT("drop") "NOOP\r\n", OK, 0},
	{"reset", MAIL RCPT("reset") "NOOP\r\n", OK, ECONNRESET},
	{"drop in text", MAIL RCPT("text-drop") "DATA\r\n",
		OK "250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n", 0},
	{"reset in text", MAIL RCPT("text-reset") "DATA\r\n",
		OK "250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n", ECONNRESET},
};

static void test_ends(void)
{
	struct scene s;

	start(&s, "");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int fd = greet(&s);

		say(fd, ends[i].say);
		expect(fd, ends[i].replies);
		if (strstr(ends[i].say, "DATA") != NULL)
			say(fd, "text\r\n");
		expect_end(&fd, ends[i].error);
	}
	end(&s);
}

/* Who is in the middle of a text is not to take the close for a reset. */
static void test_drop_in_much_text(void)
{
	static const char text[100000] = "x";
	struct scene s;
	int fd;

	start(&s, "");
	fd = greet(&s);
	say(fd, MAIL RCPT("text-drop") "DATA\r\n");
	expect(fd, ends[2].replies);
	for (int i = 0; i < 10; i++)
		CHECK("sent", send(fd, text, sizeof(text), MSG_NOSIGNAL) ==
				      (ssize_t)sizeof(text));
	expect_end(&fd, 0);
	end(&s);
}

static const char no_wait[] = "command = \"10m\" data = \"10m\"";

/* It lasts as long as the client may be waited for. */
static void test_stall_deadlines(void)
{
	static const struct {
		const char *name;
		const char *timeouts;
		const char *recipient;
		bool is_text;
	} cases[] = {
		{"command", "command = \"1s\" data = \"10m\"", RCPT("stall"), false},
		{"data", "command = \"10m\" data = \"1s\"", RCPT("text-stall"), true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t start_ms;
		struct scene s;
		int fd;

		start(&s, cases[i].timeouts);
		fd = greet(&s);
		start_ms = clock_monotonic_ms();
		say(fd, MAIL);
		say(fd, cases[i].recipient);
		expect(fd, OK);
		if (cases[i].is_text) {
			say(fd, "DATA\r\ntext\r\n");
			expect(fd, ends[2].replies + strlen(OK));
		}
		expect_end(&fd, 0);
		CHECK(cases[i].name, clock_monotonic_ms() - start_ms > 500);
		fd = greet(&s);
		(void)fdio_close(&fd);
		end(&s);
	}
}

/* The next one is served once the one before has gone, however that was. */
static void test_stalled_client_goes(void)
{
	const struct linger at_once = {.l_onoff = 1};
	struct scene s;

	start(&s, no_wait);
	for (int i = 0; i < 3; i++) {
		int fd = greet(&s);

		say(fd, MAIL RCPT("stall") "NOOP\r\n");
		expect(fd, OK);
		if (i == 1)
			CHECK("half", shutdown(fd, SHUT_WR) == 0);
		if (i == 2)
			CHECK("reset", setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once,
					       sizeof(at_once)) == 0);
		if (i == 1)
			expect_end(&fd, 0);
		else
			(void)fdio_close(&fd);
	}
	end(&s);
}

/* Nobody who waits for nothing keeps the server. */
static void test_stall_notices(void)
{
	struct scene s;
	int fd;

	start(&s, "command = \"10m\" grace = \"0s\"");
	fd = greet(&s);
	say(fd, MAIL RCPT("stall"));
	expect(fd, OK);
	/* Stress, then a reload, then a stop. */
	atomic_store(&s.board->command_ms, 1);
	expect_end(&fd, 0);
	atomic_store(&s.board->command_ms, 0);
	fd = greet(&s);
	say(fd, MAIL RCPT("stall"));
	expect(fd, OK);
	atomic_store(&s.board->generation, 2);
	expect_end(&fd, 0);
	atomic_store(&s.board->generation, 1);
	fd = greet(&s);
	say(fd, MAIL RCPT("text-stall") "DATA\r\ntext\r\n");
	expect(fd, ends[2].replies);
	atomic_store(&s.board->drain_deadline_ms, clock_monotonic_ms() + 600000);
	expect_end(&fd, 0);
	end(&s);
}

/* However many commands came together, and however long hooks take over each. */
static void test_notices_between_commands(void)
{
	struct scene s;
	int fd;

	start(&s, no_wait);
	fd = greet(&s);
	say(fd, MAIL RCPT("late") RCPT("b") RCPT("c"));
	expect(fd, OK "250 2.1.5 Ok\r\n"
		      "421 4.3.2 mx.example.test Service is shutting down\r\n");
	expect_end(&fd, 0);
	end(&s);
}

/* A client is not slow while it is kept waiting. */
static void test_delay_and_rate(void)
{
	struct scene s;
	int fd;

	start(&s, "min-rate = \"1M\"");
	fd = greet(&s);
	say(fd, MAIL RCPT("text-slow") "DATA\r\n");
	expect(fd, ends[2].replies);
	say(fd, "text\r\n");
	while (atomic_load(&s.board->slot_count) == 0)
		(void)poll(NULL, 0, 1);
	say(fd, ".\r\n");
	expect(fd, "250 2.0.0 Ok: ");
	(void)fdio_close(&fd);
	end(&s);
}

static int set_up_suite(void)
{
	(void)alarm(6 * PATIENCE_S); /* whoever hangs is found by this */
	return make_conf_directory();
}

void suite_serve(void)
{
	CU_pSuite s = CU_add_suite("serve", set_up_suite, remove_conf_directory);

	CU_add_test(s, "reset and other ends", test_ends);
	CU_add_test(s, "drop in much text", test_drop_in_much_text);
	CU_add_test(s, "deadlines of a stall", test_stall_deadlines);
	CU_add_test(s, "a stalled client goes", test_stalled_client_goes);
	CU_add_test(s, "a stall and the notices", test_stall_notices);
	CU_add_test(s, "a delay and the rate", test_delay_and_rate);
	CU_add_test(s, "notices between commands", test_notices_between_commands);
}
