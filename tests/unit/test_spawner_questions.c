/* Unit tests of spawn/spawner: which questions have a command run, when, and which not.
 * See spawn_fixture.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "spawn_fixture.h"
#include "unit.h"

#define CHECK_REPLY(name, reply, expected)                                               \
	CHECK_STR((name), str_of(reply), str_of(expected))

/* Each says who it is; the first then waits at the gate. */
#define GATED                                                                            \
	SPAWN_SCRIPT("echo $1 >>order; test $1 != 1 || { echo 1 >begun; cat <gate; }")

static void open_gated(struct spawn_fixture *f, uint64_t timeout_ms)
{
	char path[sizeof(f->dir) + 8];
	struct delivery_settings *d;

	spawn_open(f);
	(void)snprintf(path, sizeof(path), "%s/gate", f->dir);
	CU_ASSERT(mkfifo(path, 0600) == 0);
	d = spawn_add(f, GATED);
	d->pipe.max_running = 1;
	d->pipe.timeout_ms = timeout_ms;
	spawn_start(f);
}

/* Let the first one go on. */
static void open_gate(const struct spawn_fixture *f)
{
	char path[sizeof(f->dir) + 8];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/gate", f->dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CU_ASSERT(fd >= 0);
	(void)fdio_close(&fd);
}

static int post(const struct spawn_fixture *f, const char *helo)
{
	const struct spawn_request r = spawn_request(0, helo);

	return spawn_post(f, &r);
}

static void end(struct spawn_fixture *f)
{
	CU_ASSERT(spawn_end(f));
	spawn_close(f);
}

/* -------------------------------------------------------------------- turns */

/* One after the other, in the order of the questions; others go by. */
static void test_turns(void)
{
	struct spawn_fixture f;
	int first, second, third;

	open_gated(&f, SPAWN_TIMEOUT_MS);
	first = post(&f, "1");
	CU_ASSERT(spawn_wait_number(&f, "begun") == 1);
	second = post(&f, "2");
	third = post(&f, "3");
	CHECK_STR("one at a time", str_of(spawn_file(&f, "order")), STR("1\n"));
	open_gate(&f);
	CHECK_REPLY("first", spawn_hear(first), "250 2.0.0 Ok");
	CHECK_REPLY("second", spawn_hear(second), "250 2.0.0 Ok");
	CHECK_REPLY("third", spawn_hear(third), "250 2.0.0 Ok");
	CHECK_STR("in order", str_of(spawn_file(&f, "order")), STR("1\n2\n3\n"));
	end(&f);
}

/* As many as may run do so at the same time: each waits for the other. */
static void test_at_the_same_time(void)
{
	struct spawn_fixture f;
	struct spawn_request r;
	char path[sizeof(f.dir) + 8];
	int first, second;

	spawn_open(&f);
	(void)snprintf(path, sizeof(path), "%s/gate", f.dir);
	CU_ASSERT(mkfifo(path, 0600) == 0);
	spawn_add(&f,
		SPAWN_SCRIPT("if test $1 = 1; then read x <gate; else echo >gate; fi"))
		->pipe.max_running = 2;
	spawn_start(&f);
	r = spawn_request(0, "1");
	first = spawn_post(&f, &r);
	r = spawn_request(0, "2");
	second = spawn_post(&f, &r);
	CHECK_REPLY("first", spawn_hear(first), "250 2.0.0 Ok");
	CHECK_REPLY("second", spawn_hear(second), "250 2.0.0 Ok");
	end(&f);
}

/* Who has waited for the timeout is told so; who has gone is forgotten. */
static void test_waiting_in_vain(void)
{
	struct spawn_fixture f;
	struct spawn_request r;
	int first, gone, late;

	open_gated(&f, SPAWN_TIMEOUT_MS);
	first = post(&f, "1");
	CU_ASSERT(spawn_wait_number(&f, "begun") == 1);
	gone = post(&f, "gone");
	r = spawn_request(0, "late");
	r.asked_ms -= SPAWN_TIMEOUT_MS - 50;
	late = spawn_post(&f, &r);
	CHECK_REPLY("late", spawn_hear(late), "451 4.3.2 Too many commands are running");
	(void)fdio_close(&gone);
	open_gate(&f);
	CHECK_REPLY("first", spawn_hear(first), "250 2.0.0 Ok");
	CHECK_REPLY("next", spawn_hear(post(&f, "next")), "250 2.0.0 Ok");
	CHECK_STR("only these", str_of(spawn_file(&f, "order")), STR("1\nnext\n"));
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "reason=\"too many are running\"") == 1);
	spawn_close(&f);
}

/* The command of one who leaves goes on to its end. */
static void test_leaving(void)
{
	struct spawn_fixture f;
	int first;

	open_gated(&f, SPAWN_TIMEOUT_MS);
	first = post(&f, "1");
	CU_ASSERT(spawn_wait_number(&f, "begun") == 1);
	(void)fdio_close(&first);
	/* Nobody can ask any more either. */
	(void)fdio_close(&f.asker_fd);
	open_gate(&f);
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "how=exit status=0") == 1);
	spawn_close(&f);
}

/* Those beyond questions_max hear at once that they will not be answered. */
static void test_too_many(void)
{
	struct spawn_fixture f;
	int fds[8];

	open_gated(&f, SPAWN_TIMEOUT_MS);
	for (size_t i = 0; i < 8; i++)
		fds[i] = post(&f, i == 0 ? "1" : "x");
	CU_ASSERT(spawn_wait_number(&f, "begun") == 1);
	CHECK_REPLY("too many", spawn_hear(post(&f, "9")), "none");
	open_gate(&f);
	for (size_t i = 0; i < 8; i++)
		CHECK_REPLY("in time", spawn_hear(fds[i]), "250 2.0.0 Ok");
	CHECK_REPLY("again", spawn_hear(post(&f, "x")), "250 2.0.0 Ok");
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "reason=\"too many questions\"") == 1);
	spawn_close(&f);
}

/* Whoever only wants to know whether somebody is there is told so, jobs or not. */
static void test_ping(void)
{
	static const char ping[SPAWN_PING_SIZE];
	struct spawn_fixture f;
	char answer[8];
	int fd = -1;

	open_gated(&f, SPAWN_TIMEOUT_MS);
	for (size_t i = 0; i < 8; i++)
		(void)post(&f, i == 0 ? "1" : "x");
	CU_ASSERT(spawn_wait_number(&f, "begun") == 1);
	CU_ASSERT(ipc_post(f.asker_fd, ping, sizeof(ping), NULL, 0, 0, &fd) == 0);
	CU_ASSERT(recv(fd, answer, sizeof(answer), 0) == SPAWN_PING_SIZE);
	(void)close(fd);
	open_gate(&f);
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "too many questions") == 0);
	spawn_close(&f);
}

/* ------------------------------------------------------------ bad questions */

/* What a worker could send instead of a message; -1: cannot be had here. */
static int open_path_only(const struct spawn_fixture *f)
{
	return open(f->dir, O_PATH | O_CLOEXEC);
}

static int open_directory(const struct spawn_fixture *f)
{
	return open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_named(const struct spawn_fixture *f)
{
	char path[sizeof(f->dir) + 8];

	(void)snprintf(path, sizeof(path), "%s/named", f->dir);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
}

static int open_path_of_message(const struct spawn_fixture *f)
{
	int fd = spawn_message("text\n"), path_fd;
	char path[32];

	(void)f;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	(void)fdio_close(&fd);
	return path_fd;
}

static int open_read_only(const struct spawn_fixture *f)
{
	int fd = spawn_message("text\n"), read_fd;
	char path[32];

	(void)f;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)fdio_close(&fd);
	return read_fd;
}

static int open_device(const struct spawn_fixture *f)
{
	(void)f;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_socket(const struct spawn_fixture *f)
{
	(void)f;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_pipe(const struct spawn_fixture *f)
{
	int ends[2];

	(void)f;
	CU_ASSERT(pipe2(ends, O_CLOEXEC) == 0);
	(void)fdio_close(&ends[0]);
	return ends[1];
}

static int open_channel(const struct spawn_fixture *f)
{
	return fcntl(f->asker_fd, F_DUPFD_CLOEXEC, 3);
}

/* An open for reading would wait for it to be given up. */
static int open_leased(const struct spawn_fixture *f)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	int fd = open_named(f);
	char path[sizeof(f->dir) + 8];

	(void)snprintf(path, sizeof(path), "%s/named", f->dir);
	(void)unlink(path);
	CU_ASSERT(sigaction(SIGIO, &ignore, NULL) == 0);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		(void)fdio_close(&fd);
	return fd;
}

static const struct bad_fd_case {
	const char *name;
	int (*open)(const struct spawn_fixture *f);
} bad_fds[] = {
	{"O_PATH of a directory", open_path_only},
	{"O_PATH of a message", open_path_of_message},
	{"a directory", open_directory},
	{"a file with a name", open_named},
	{"read-only", open_read_only},
	{"a device", open_device},
	{"a socket", open_socket},
	{"a pipe", open_pipe},
	{"the channel", open_channel},
	{"a lease", open_leased},
};

static void test_bad_descriptors(void)
{
	struct spawn_fixture f;
	struct spawn_request r;
	struct spawn_answer a;
	int fds[3];

	spawn_open(&f);
	(void)spawn_add(&f, SPAWN_SCRIPT("echo x >>runs"));
	spawn_start(&f);
	r = spawn_request(0, "");
	for (size_t i = 0; i < sizeof(bad_fds) / sizeof(bad_fds[0]); i++) {
		int fd = bad_fds[i].open(&f);

		if (fd < 0)
			continue;
		CHECK(bad_fds[i].name, spawn_ask_with(&f, &r, &fd, 1, &a) == -EPIPE);
		(void)fdio_close(&fd);
	}
	CHECK("none", spawn_ask_with(&f, &r, NULL, 0, &a) == -EPIPE);
	for (size_t i = 0; i < 3; i++)
		fds[i] = spawn_message("text\n");
	CHECK("two", spawn_ask_with(&f, &r, fds, 2, &a) == -EPIPE);
	CHECK("three", spawn_ask_with(&f, &r, fds, 3, &a) == -EPIPE);
	for (size_t i = 0; i < 3; i++)
		(void)fdio_close(&fds[i]);
	CHECK_REPLY("afterwards", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	CHECK_STR("runs", str_of(spawn_file(&f, "runs")), STR("x\n"));
	end(&f);
}

/* What is read from the bytes. */
static void test_bad_requests(void)
{
	static const struct str two[] = {STR("a@x"), STR("b@y")};
	struct spawn_fixture f;
	struct spawn_request r;

	spawn_open(&f);
	spawn_add(&f, SPAWN_SCRIPT("echo x >>runs"))->pipe.is_per_recipient = true;
	(void)spawn_add(&f, SPAWN_SCRIPT("echo x >>runs"));
	f.is_ours[1] = false;
	(void)spawn_add(&f, (const char *const[]){"/bin/sh", "%{helo}", NULL});
	spawn_start(&f);
	CHECK_REPLY("not ours", spawn_reply(&f, 1, ""), "none");
	CHECK_REPLY("no such section", spawn_reply(&f, 3, ""), "none");
	CHECK_REPLY("no such section", spawn_reply(&f, UINT32_MAX, ""), "none");
	CHECK_REPLY("option", spawn_reply(&f, 2, "-c"), "none");
	r = spawn_request(0, "");
	r.local = r.domain = STR("");
	r.recipients = two;
	r.recipient_count = 2;
	CHECK_REPLY("two at a time", spawn_hear(spawn_post(&f, &r)), "none");
	r = spawn_request(0, "");
	r.asked_ms -= SPAWN_TIMEOUT_MS + SPAWN_PATIENCE_MS + 1000;
	CHECK_REPLY("too late", spawn_hear(spawn_post(&f, &r)), "none");
	r = spawn_request(0, "");
	r.asked_ms = UINT64_MAX;
	CHECK_REPLY("in the future", spawn_hear(spawn_post(&f, &r)), "250 2.0.0 Ok");
	r.asked_ms = 0;
	CHECK_REPLY("never", spawn_hear(spawn_post(&f, &r)), "none");
	CHECK_REPLY("afterwards", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	CHECK_STR("runs", str_of(spawn_file(&f, "runs")), STR("x\nx\n"));
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "event=command.refused") == 7);
	CHECK("log",
		spawn_logged(&f, "reason=\"an argument begins with a hyphen\"") == 1);
	spawn_close(&f);
}

/* Any bytes, and any part of a good question. */
static void test_garbage(void)
{
	static const char garbage[] = "\xff\xff\xff\xff\xff\xff\xff\xff";
	struct spawn_fixture f;
	struct spawn_request r;
	struct spawn_answer a;
	struct buf bytes;
	int fd = spawn_message("text\n");
	uint64_t deadline_ms = clock_monotonic_ms() + SPAWN_TIMEOUT_MS;

	spawn_open(&f);
	(void)spawn_add(&f, SPAWN_SCRIPT("echo x >>runs"));
	spawn_start(&f);
	r = spawn_request(0, "");
	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(&r, &bytes);
	for (size_t n = SPAWN_PING_SIZE + 1; n < bytes.len; n++)
		CHECK("truncated", ipc_ask(f.asker_fd, bytes.p, n, &fd, 1, &a, sizeof(a),
					   deadline_ms) == -EPIPE);
	CHECK("garbage", ipc_ask(f.asker_fd, garbage, sizeof(garbage), &fd, 1, &a,
				 sizeof(a), deadline_ms) == -EPIPE);
	CHECK("no question", send(f.asker_fd, "?", 1, 0) == 1);
	CHECK("empty", send(f.asker_fd, "", 0, 0) == 0);
	CHECK_REPLY("afterwards", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	CHECK_STR("runs", str_of(spawn_file(&f, "runs")), STR("x\n"));
	buf_done(&bytes);
	(void)fdio_close(&fd);
	end(&f);
}

/* As large as it may be, and as large as execve(2) takes it. */
static void test_large_question(void)
{
	enum { COUNT = 1000, LENGTH = 80 };
	static struct str recipients[COUNT];
	static char text[LENGTH + 1];
	struct spawn_fixture f;
	struct spawn_request r;

	(void)memset(text, 'a', LENGTH);
	for (size_t i = 0; i < COUNT; i++)
		recipients[i] = (struct str){text, LENGTH};
	spawn_open(&f);
	(void)spawn_add(
		&f, SPAWN_SCRIPT("test $# = 1002 && test ${#RECIPIENTS} = 80999"));
	spawn_start(&f);
	r = spawn_request(0, "x");
	r.local = r.domain = STR("");
	r.recipients = recipients;
	r.recipient_count = COUNT;
	CHECK_REPLY("large", spawn_hear(spawn_post(&f, &r)), "250 2.0.0 Ok");
	end(&f);
}

void suite_spawner_questions(void)
{
	CU_pSuite s = CU_add_suite("spawner, questions", NULL, NULL);

	CU_add_test(s, "turns", test_turns);
	CU_add_test(s, "at the same time", test_at_the_same_time);
	CU_add_test(s, "waiting in vain", test_waiting_in_vain);
	CU_add_test(s, "leaving", test_leaving);
	CU_add_test(s, "too many", test_too_many);
	CU_add_test(s, "is somebody there?", test_ping);
	CU_add_test(s, "bad descriptors", test_bad_descriptors);
	CU_add_test(s, "bad requests", test_bad_requests);
	CU_add_test(s, "garbage", test_garbage);
	CU_add_test(s, "large question", test_large_question);
}
