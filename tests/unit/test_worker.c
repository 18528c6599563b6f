/* Unit tests of proc/worker and proc/serve: real workers, sandbox and all, with the test
 * in the place of their master, so that it says what it likes on the notice board. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "conf_fixture.h"
#include "proc/board.h"
#include "proc/counters.h"
#include "proc/slots.h"
#include "proc/worker.h"
#include "unit.h"

/* For whatever happens elsewhere; far more than a busy machine needs. */
#define PATIENCE_S 20

/* Workers give themselves titles, and the main of all unit programs knows no argv; the
 * C library hands it to constructors too. */
__attribute__((constructor)) static void make_room_for_titles(
	int argc, char **argv, char **envp)
{
	setproctitle_init(argc, argv, envp);
}

struct crew {
	struct config *config;
	struct listener *listeners;
	size_t listener_count;
	struct identity identity;
	struct sandbox sandbox;
	struct board *board;
	struct slots *slots;
	struct counters *counters;
	int board_fd, slots_fd, counters_fd, wake_fd;
	int quit[2], ready[2];
	unsigned alive;
};

static void fork_worker(struct crew *c, unsigned index)
{
	pid_t pid, told, master = getpid();
	const struct worker_env env = {
		.config = c->config,
		.listeners = c->listeners,
		.listener_count = c->listener_count,
		.identity = &c->identity,
		.sandbox = &c->sandbox,
		.master = master,
		.number = index + 1,
		.generation = 1,
		.quit_fd = c->quit[0],
		.ready_fd = c->ready[1],
		.board_fd = c->board_fd,
		.slots_fd = c->slots_fd,
		.counters_fd = c->counters_fd,
		.keys_fd = -1,
		.client_key_secret = {1, 2},
		.wake_fd = c->wake_fd,
	};

	(void)fflush(NULL);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		worker_main(&env);
	c->alive++;
	CU_ASSERT_FATAL(fdio_read(c->ready[0], &told, sizeof(told)) == sizeof(told));
	CHECK("ready", told == pid);
}

/* So many idle workers of generation 1, with these timeouts. */
static void start(struct crew *c, unsigned count, const char *timeouts)
{
	struct endpoint failed;
	char text[512];
	int r;

	*c = (struct crew){.identity = {.uid = getuid(), .gid = getgid()}};
	(void)snprintf(text, sizeof(text),
		"hostname = \"mx.example.test\"\n"
		"timeouts { %s }\n"
		"listen \"test\" { address = {\"127.0.0.1:0\"} }\n"
		"deliver \"null\" { type = \"discard\" }\n",
		timeouts);
	CU_ASSERT_FATAL(write_conf(text));
	free(load_conf(conf_file, NULL, &r, &c->config));
	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT_FATAL(
		listeners_open(c->config->listeners, c->config->listener_count, NULL, 0,
			&c->listeners, &c->listener_count, &failed) == 0);
	CU_ASSERT_FATAL(sandbox_init(SANDBOX_KILL, SANDBOX_WORKER, &c->sandbox) == 0);
	CU_ASSERT_FATAL(board_create(&c->board, &c->board_fd) == 0);
	CU_ASSERT_FATAL(slots_create(&c->slots, &c->slots_fd) == 0);
	CU_ASSERT_FATAL(counters_create(&c->counters, &c->counters_fd) == 0);
	CU_ASSERT_FATAL(pipe2(c->quit, O_CLOEXEC | O_NONBLOCK) == 0);
	CU_ASSERT_FATAL(pipe2(c->ready, O_CLOEXEC) == 0);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_FATAL(c->wake_fd >= 0);
	atomic_store(&c->board->generation, 1);
	atomic_store(&c->board->slot_count, count);
	for (unsigned i = 0; i < count; i++)
		fork_worker(c, i);
}

/* Wait for the end of one worker, whichever it is; it has to be a good one. */
static void expect_end(struct crew *c)
{
	int status;

	CU_ASSERT_FATAL(waitpid(-1, &status, 0) > 0);
	CHECK("ends well", WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_DONE);
	c->alive--;
}

static void end(struct crew *c)
{
	(void)fdio_close(&c->quit[1]);
	while (c->alive > 0)
		expect_end(c);
	listeners_close(c->listeners, c->listener_count, NULL, 0);
	sandbox_done(&c->sandbox);
	config_free(c->config);
	(void)munmap(c->board, sizeof(*c->board));
	(void)fdio_close(&c->board_fd);
	(void)fdio_close(&c->slots_fd);
	(void)fdio_close(&c->counters_fd);
	(void)fdio_close(&c->wake_fd);
	(void)fdio_close(&c->quit[0]);
	(void)fdio_close(&c->ready[0]);
	(void)fdio_close(&c->ready[1]);
}

static int connect_to(const struct crew *c)
{
	const struct endpoint *e = &c->listeners[0].endpoint;
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(
		connect(fd, (const struct sockaddr *)&e->address, e->length) == 0);
	CU_ASSERT_FATAL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				sizeof(patience)) == 0);
	return fd;
}

/* Read a reply of one line, and compare its beginning. */
static void expect(int fd, const char *beginning)
{
	char line[600];
	size_t n = 0;

	while (n < sizeof(line) - 1 && (n == 0 || line[n - 1] != '\n') &&
		recv(fd, line + n, 1, 0) == 1)
		n++;
	line[n] = '\0';
	if (n > strlen(beginning))
		n = strlen(beginning);
	CHECK_STR(line, ((struct str){line, n}), str_of(beginning));
}

static void expect_closed(int *fd)
{
	char byte;

	CHECK("closed", recv(*fd, &byte, 1, 0) == 0);
	(void)fdio_close(fd);
}

static void say(int fd, const char *line, const char *reply)
{
	size_t n = strlen(line);

	CHECK(line, send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n);
	expect(fd, reply);
}

static int greet(const struct crew *c)
{
	int fd = connect_to(c);

	expect(fd, "220 ");
	say(fd, "HELO client.example\r\n", "250 ");
	return fd;
}

static void quit(int fd)
{
	say(fd, "QUIT\r\n", "221 ");
	expect_closed(&fd);
}

/* Poll until it holds: what a worker writes comes soon after what it says. */
#define WAIT_UNTIL(claim)                                                                \
	do {                                                                             \
		uint64_t give_up_ms = clock_monotonic_ms() + PATIENCE_S * 1000;          \
		while (!(claim) && clock_monotonic_ms() < give_up_ms)                    \
			(void)poll(NULL, 0, 5);                                          \
		CHECK("in time", claim);                                                 \
	} while (0)

/* Whoever takes the byte goes, the other one finds nothing and goes on. */
static void test_retire_one(void)
{
	struct crew c;

	start(&c, 2, "");
	CHECK("hint", counters_get_idle(c.counters) == 2);
	CHECK("told", fdio_write(c.quit[1], "", 1) == 1);
	expect_end(&c);
	CHECK("hint", counters_get_idle(c.counters) == 1);
	CHECK("one is left", waitpid(-1, NULL, WNOHANG) == 0);
	quit(greet(&c));
	CHECK("one is left", waitpid(-1, NULL, WNOHANG) == 0);
	end(&c);
}

static void test_outdated(void)
{
	struct crew c;
	int idle, busy;

	start(&c, 2, "grace = \"1s\"");
	idle = greet(&c);
	busy = greet(&c);
	say(busy, "MAIL FROM:<a@example.org>\r\n", "250 ");
	atomic_store(&c.board->generation, 2);
	say(idle, "NOOP\r\n", "250 ");
	expect(idle, "421 4.3.2 ");
	expect_closed(&idle);
	expect_end(&c);
	say(busy, "RCPT TO:<b@example.org>\r\n", "250 ");
	say(busy, "DATA\r\n", "354 ");
	say(busy, "text\r\n.\r\n", "250 2.0.0 ");
	expect(busy, "421 4.3.2 ");
	expect_closed(&busy);
	expect_end(&c);
	end(&c);
}

/* The board is of an older generation until the first of ours is ready. */
static void test_ahead_of_the_board(void)
{
	struct crew c;

	start(&c, 1, "grace = \"0\"");
	atomic_store(&c.board->generation, 0);
	quit(greet(&c));
	quit(greet(&c));
	end(&c);
}

static void test_stress(void)
{
	struct slot_report report;
	struct crew c;
	int fd;

	start(&c, 1, "command = \"10m\"");
	fd = greet(&c);
	atomic_store(&c.board->command_ms, 100);
	expect(fd, "421 4.4.2 ");
	expect_closed(&fd);
	WAIT_UNTIL(slot_is_idle(slots_get(c.slots, 0)));
	slot_read(slots_get(c.slots, 0), &report);
	CHECK("counted", report.counts.timeouts == 1);
	end(&c);
}

static void test_drain(void)
{
	struct crew c;
	int stays, goes;

	start(&c, 2, "");
	stays = greet(&c);
	goes = greet(&c);
	atomic_store(&c.board->drain_deadline_ms, UINT64_MAX);
	say(stays, "NOOP\r\n", "250 ");
	say(stays, "NOOP\r\n", "250 ");
	say(goes, "NOOP\r\n", "250 ");
	quit(stays);
	expect_end(&c);
	atomic_store(&c.board->drain_deadline_ms, clock_monotonic_ms() + 60000);
	expect(goes, "421 4.3.2 ");
	expect_closed(&goes);
	expect_end(&c);
	end(&c);
}

static void test_wake(void)
{
	struct crew c;
	uint64_t woken = 0;
	int first, second;

	start(&c, 2, "");
	atomic_store(&c.board->wake_below, 1);
	first = greet(&c);
	CHECK("one is left", fdio_read(c.wake_fd, &woken, sizeof(woken)) == -EAGAIN);
	CHECK("hint", counters_get_idle(c.counters) == 1);
	second = greet(&c);
	CHECK("none", fdio_read(c.wake_fd, &woken, sizeof(woken)) == sizeof(woken));
	CHECK("once", woken == 1);
	quit(first);
	quit(second);
	WAIT_UNTIL(counters_get_idle(c.counters) == 2);
	atomic_store(&c.board->wake_below, 0);
	first = greet(&c);
	second = greet(&c);
	CHECK("never", fdio_read(c.wake_fd, &woken, sizeof(woken)) == -EAGAIN);
	quit(first);
	quit(second);
	end(&c);
}

static bool is_due_within(const struct slot *slot, uint64_t least_ms, uint64_t most_ms)
{
	uint64_t now_ms = clock_monotonic_ms(), due_ms = slot_due_ms(slot);

	return due_ms > now_ms + least_ms && due_ms <= now_ms + most_ms + SLOT_SLACK_MS;
}

static bool is_in_state(const struct slot *slot, const char *state)
{
	struct slot_report report;

	slot_read(slot, &report);
	return strcmp(report.state, state) == 0;
}

static void test_slot(void)
{
	struct slot_report report;
	struct slot *slot;
	uint64_t deliveries = 0;
	struct crew c;
	int fd;

	start(&c, 1, "command = \"20m\" data = \"10m\"");
	slot = slots_get(c.slots, 0);
	CHECK("an idle one never hangs", slot_is_idle(slot) && slot_due_ms(slot) == 0);
	fd = greet(&c);
	WAIT_UNTIL(is_due_within(slot, 19 * 60000, 20 * 60000));
	/* Stress may begin and end while a client is waited for. */
	atomic_store(&c.board->command_ms, 60000);
	WAIT_UNTIL(is_due_within(slot, 0, 60000));
	atomic_store(&c.board->command_ms, 0);
	WAIT_UNTIL(is_due_within(slot, 19 * 60000, 20 * 60000));
	say(fd, "MAIL FROM:<a@example.org>\r\n", "250 ");
	say(fd, "RCPT TO:<b@example.org>\r\n", "250 ");
	say(fd, "DATA\r\n", "354 ");
	WAIT_UNTIL(is_in_state(slot, "data"));
	WAIT_UNTIL(is_due_within(slot, 9 * 60000, 10 * 60000));
	say(fd, "text\r\n.\r\n", "250 2.0.0 ");
	say(fd, "RCPT TO:<b@example.org>\r\n", "503 ");
	WAIT_UNTIL(is_due_within(slot, 19 * 60000, 20 * 60000));
	WAIT_UNTIL(is_in_state(slot, "command"));
	slot_read(slot, &report);
	CHECK_STR("client", str_of(report.client), STR("127.0.0.1"));
	CHECK_STR("helo", str_of(report.helo), STR("client.example"));
	CHECK("octets", report.session_bytes == 21 + 27 + 25 + 6 + 9 + 25);
	CHECK("messages", report.session_messages == 1);
	CHECK("rcpt", report.counts.verbs[VERB_RCPT][SLOT_ACCEPTED] == 1);
	CHECK("rcpt", report.counts.verbs[VERB_RCPT][SLOT_REFUSED] == 1);
	for (size_t i = 0; i < SLOT_DURATIONS; i++)
		deliveries += report.counts.deliveries[i];
	CHECK("delivery", deliveries == 1);
	quit(fd);
	WAIT_UNTIL(slot_is_idle(slot));
	CHECK("idle again", slot_due_ms(slot) == 0);
	end(&c);
}

static bool is_in_file(const char *path, const char *text)
{
	char line[4096];
	FILE *f = fopen(path, "r");
	bool is_found = false;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		is_found |= strstr(line, text) != NULL;
	if (f != NULL)
		(void)fclose(f);
	return is_found;
}

static void test_log(void)
{
	char path[64];
	struct crew c;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/log", conf_directory);
	CU_ASSERT_FATAL(log_open(path, LOG_FORMAT_TEXT, LOG_WARN) == 0);
	start(&c, 1, "");
	fd = greet(&c);
	atomic_store(&c.board->log_level, LOG_INFO);
	atomic_store(&c.board->verbose, 1);
	/* It is heard when the first one comes, before what it says is done. */
	say(fd, "NOOP first\r\n", "250 ");
	atomic_store(&c.board->verbose, 0);
	say(fd, "NOOP second\r\n", "250 ");
	atomic_store(&c.board->log_level, LOG_WARN);
	quit(fd);
	end(&c);
	CHECK("nothing before", !is_in_file(path, "session.start"));
	CHECK("verbose", is_in_file(path, "line=\"NOOP first\""));
	CHECK("not verbose", !is_in_file(path, "second"));
	CHECK("nothing after", !is_in_file(path, "session.end"));
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	(void)unlink(path);
}

static int set_up_suite(void)
{
	(void)alarm(6 * PATIENCE_S); /* whoever hangs is found by this */
	/* What the workers tell of their clients is of no interest. */
	log_set_level(LOG_WARN);
	return make_conf_directory();
}

void suite_worker(void)
{
	CU_pSuite s = CU_add_suite("worker", set_up_suite, remove_conf_directory);

	CU_add_test(s, "one idle worker retires", test_retire_one);
	CU_add_test(s, "an older generation", test_outdated);
	CU_add_test(s, "a newer generation", test_ahead_of_the_board);
	CU_add_test(s, "stress", test_stress);
	CU_add_test(s, "drain without end", test_drain);
	CU_add_test(s, "the master is woken", test_wake);
	CU_add_test(s, "what the slot says", test_slot);
	CU_add_test(s, "level and verbose", test_log);
}
