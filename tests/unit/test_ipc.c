/* Unit tests of base/ipc: questions and answers, deaths on both sides, and askers that do
 * not keep to the rules. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "unit.h"

#define PATIENCE_MS 10000
#define SHORT_MS    50

struct channel {
	int asker, helper;
	char bytes[64];
	struct ipc_question q;
};

static void set_up(struct channel *c)
{
	CU_ASSERT_FATAL(ipc_open(&c->asker, &c->helper) == 0);
	c->q = (struct ipc_question){
		.p = c->bytes, .size = sizeof(c->bytes), .answer_fd = -1};
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static ssize_t ask(
	const struct channel *c, const char *text, char *answer, size_t size, uint64_t ms)
{
	return ipc_ask(c->asker, text, strlen(text), NULL, 0, answer, size,
		clock_monotonic_ms() + ms);
}

/* A process that asks, and says whether it got what it should. */
static pid_t start_asker(const struct channel *c, const char *text, const char *expected)
{
	pid_t pid = fork();

	if (pid == 0) {
		char answer[64];
		ssize_t n = ask(c, text, answer, sizeof(answer), PATIENCE_MS);

		_exit(n == (ssize_t)strlen(expected) &&
					memcmp(answer, expected, (size_t)n) == 0
				? 0
				: 1);
	}
	return pid;
}

static bool has_succeeded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* Each hears its own answer, whatever the order. */
static void test_many_askers(void)
{
	struct channel c, d;
	pid_t first, second;

	set_up(&c);
	d = c;
	d.q.p = d.bytes;
	first = start_asker(&c, "one", "ONE");
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CHECK_STR("one", ((struct str){c.bytes, c.q.n}), STR("one"));
	second = start_asker(&c, "two", "TWO");
	CU_ASSERT(ipc_receive(d.helper, &d.q) == 0);
	CHECK_STR("two", ((struct str){d.bytes, d.q.n}), STR("two"));
	CU_ASSERT(ipc_answer(&d.q, "TWO", 3) == 0);
	CU_ASSERT(ipc_answer(&c.q, "ONE", 3) == 0);
	CHECK("the first", has_succeeded(first));
	CHECK("the second", has_succeeded(second));
	(void)close(c.asker);
	CHECK("nobody left", ipc_receive(c.helper, &c.q) == -EPIPE);
	(void)close(c.helper);
}

static void test_descriptors(void)
{
	struct channel c;
	int before, ends[2];
	char byte = 'x', answer[4];

	set_up(&c);
	before = count_fds();
	CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
	CHECK("nobody answers",
		ipc_ask(c.asker, "q", 1, &ends[1], 1, answer, sizeof(answer),
			clock_monotonic_ms() + SHORT_MS) == -ETIME);
	(void)close(ends[1]);
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CHECK("one came", c.q.fd_count == 1);
	CHECK("close-on-exec", fcntl(c.q.fds[0], F_GETFD) == FD_CLOEXEC);
	CU_ASSERT(write(c.q.fds[0], &byte, 1) == 1);
	CHECK("the asker has gone", ipc_answer(&c.q, "a", 1) == -EPIPE);
	CHECK("closed", read(ends[0], &byte, 1) == 1 && read(ends[0], &byte, 1) == 0);
	(void)close(ends[0]);
	CU_ASSERT_EQUAL(count_fds(), before);
	(void)close(c.asker);
	(void)close(c.helper);
}

/* A helper that dies over a question is the end of file at once; one that nobody took
 * waits for its successor. */
static void test_death_of_the_helper(void)
{
	struct channel c;
	pid_t helper, asker;
	char answer[8];
	uint64_t start_ms;

	set_up(&c);
	helper = fork();
	if (helper == 0) {
		(void)ipc_receive(c.helper, &c.q);
		_exit(0);
	}
	start_ms = clock_monotonic_ms();
	CHECK("taken", ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == -EPIPE);
	CHECK("at once", clock_monotonic_ms() - start_ms < PATIENCE_MS);
	CU_ASSERT(waitpid(helper, NULL, 0) == helper);
	asker = start_asker(&c, "again", "yes");
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CU_ASSERT(ipc_answer(&c.q, "yes", 3) == 0);
	CHECK("waits", has_succeeded(asker));
	(void)close(c.helper);
	CHECK("no channel", ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == -EPIPE);
	(void)close(c.asker);
}

/* One that comes back with the answer. */
static void test_descriptor_back(void)
{
	struct channel c;
	int before, ends[2], fd = -1;
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
	pid_t helper;
	char answer[4], byte = 'x';

	set_up(&c);
	before = count_fds();
	CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
	helper = fork();
	if (helper == 0) {
		static const char *const answers[] = {"yes", "yes", "longer", NULL};

		for (const char *const *a = answers; *a != NULL; a++) {
			(void)ipc_receive(c.helper, &c.q);
			(void)ipc_answer_fd(&c.q, *a, strlen(*a), ends[1]);
		}
		(void)ipc_receive(c.helper, &c.q);
		(void)ipc_answer(&c.q, "no", 2);
		_exit(0);
	}
	(void)close(ends[1]);
	CHECK("it comes", ipc_ask_fd(c.asker, "q", 1, answer, sizeof(answer), deadline_ms,
				  &fd) == 3 &&
				  fd >= 0);
	CHECK("close-on-exec", fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CU_ASSERT(write(fd, &byte, 1) == 1 && read(ends[0], &byte, 1) == 1);
	(void)close(fd);
	CHECK("nobody expects it",
		ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == 3);
	fd = 77;
	CHECK("too long", ipc_ask_fd(c.asker, "q", 1, answer, sizeof(answer), deadline_ms,
				  &fd) == -EMSGSIZE &&
				  fd == 77);
	CHECK("none", ipc_ask_fd(c.asker, "q", 1, answer, sizeof(answer), deadline_ms,
			      &fd) == 2 &&
			      fd == -1);
	CU_ASSERT(waitpid(helper, NULL, 0) == helper);
	CHECK("nobody has it any more", read(ends[0], &byte, 1) == 0);
	(void)close(ends[0]);
	CU_ASSERT_EQUAL(count_fds(), before);
	(void)close(c.asker);
	(void)close(c.helper);
}

static void test_answers(void)
{
	struct channel c;
	pid_t helper;
	char answer[4];

	set_up(&c);
	helper = fork();
	if (helper == 0) {
		(void)ipc_receive(c.helper, &c.q);
		(void)ipc_answer(&c.q, "longer", 6);
		(void)ipc_receive(c.helper, &c.q);
		ipc_drop(&c.q);
		(void)ipc_receive(c.helper, &c.q);
		(void)ipc_answer(&c.q, "fits", 4);
		_exit(0);
	}
	CHECK("too long", ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == -EMSGSIZE);
	CHECK("dropped", ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == -EPIPE);
	CHECK("fits", ask(&c, "q", answer, sizeof(answer), PATIENCE_MS) == 4);
	(void)close(c.asker);
	(void)close(c.helper);
	CU_ASSERT(waitpid(helper, NULL, 0) == helper);
}

/* When nobody takes questions, asking does not block beyond its time. */
static void test_full_channel(void)
{
	struct channel c;
	char answer[4];
	ssize_t r;
	unsigned taken = 0;

	set_up(&c);
	for (unsigned i = 0; i < 4096; i++)
		if (send(c.asker, "junk", 4, MSG_DONTWAIT) < 0)
			break;
	r = ask(&c, "q", answer, sizeof(answer), SHORT_MS);
	CU_ASSERT_EQUAL(r, -ETIME);
	(void)close(c.asker);
	while (ipc_receive(c.helper, &c.q) == -EBADMSG)
		taken++;
	CHECK("junk is thrown away", taken > 10);
	(void)close(c.helper);
}

static void send_fds(int fd, const void *p, size_t n, int what, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	char text[128] = {0};
	struct iovec part = {text, n};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	memcpy(text, p, n);
	if (count == 0)
		m.msg_controllen = 0;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(h) + i * sizeof(int), &what, sizeof(int));
	CU_ASSERT(sendmsg(fd, &m, 0) == (ssize_t)n);
}

static void test_hostile(void)
{
	static const char text[128] = "question";
	static const struct {
		const char *name;
		size_t n, fds;
		int expected;
	} cases[] = {
		{"no descriptor", 8, 0, -EBADMSG},
		{"empty", 0, 0, -EBADMSG},
		{"empty with a descriptor", 0, 1, -EBADMSG},
		{"as long as may be", 64, 1, 0},
		{"too long", 65, 1, -EBADMSG},
		{"as many as may be", 8, 1 + IPC_FDS_MAX, 0},
		{"too many", 8, 2 + IPC_FDS_MAX, -EBADMSG},
		{"far too many", 8, 64, -EBADMSG},
	};
	struct channel c;
	int before, full[2];

	set_up(&c);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
	before = count_fds();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r;

		send_fds(c.asker, text, cases[i].n, full[0], cases[i].fds);
		r = ipc_receive(c.helper, &c.q);
		CHECK(cases[i].name, r == cases[i].expected);
		if (r == 0)
			ipc_drop(&c.q);
		CHECK(cases[i].name, count_fds() == before);
	}
	/* The answer would go to a socket that is full, to a file, to the channel. */
	while (send(full[0], text, sizeof(text), MSG_DONTWAIT) > 0)
		continue;
	send_fds(c.asker, text, 8, full[0], 1);
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CHECK("full", ipc_answer(&c.q, "answer", 6) == -EAGAIN);
	send_fds(c.asker, text, 8, STDIN_FILENO, 1);
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CHECK("no socket", ipc_answer(&c.q, "answer", 6) < 0);
	send_fds(c.asker, text, 8, c.asker, 1);
	CU_ASSERT(ipc_receive(c.helper, &c.q) == 0);
	CHECK("to ourselves", ipc_answer(&c.q, "answer", 6) == 0);
	CHECK("which is no question", ipc_receive(c.helper, &c.q) == -EBADMSG);
	CU_ASSERT_EQUAL(count_fds(), before);
	CU_ASSERT(shutdown(c.asker, SHUT_WR) == 0);
	CHECK("shut down", ipc_receive(c.helper, &c.q) == -EPIPE);
	(void)close(full[0]);
	(void)close(full[1]);
	(void)close(c.asker);
	(void)close(c.helper);
}

void suite_ipc(void)
{
	CU_pSuite s = CU_add_suite("ipc", NULL, NULL);

	CU_add_test(s, "each asker hears its own answer", test_many_askers);
	CU_add_test(s, "descriptors go along", test_descriptors);
	CU_add_test(s, "a descriptor comes back", test_descriptor_back);
	CU_add_test(s, "a helper dies", test_death_of_the_helper);
	CU_add_test(s, "answers that do not fit, or do not come", test_answers);
	CU_add_test(s, "a full channel", test_full_channel);
	CU_add_test(s, "hostile askers", test_hostile);
}
