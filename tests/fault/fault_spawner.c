/* Each call of the spawner fails, one after the other, while it is asked for three
 * commands: one that succeeds, one that says why it fails, and one that takes too long.
 *
 * Then: each question is answered or dropped at once, and one fault spoils one of them;
 * every 250 has its run; nothing is left, no process and no descriptor; and what was not
 * answered the next spawner can be asked. */
#include "faults.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "delivery/spawn_request.h"
#include "spawn/spawner.h"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

#define SET_UP_CALLS                                                                     \
	(BITS3(malloc, calloc, mmap) | BITS3(sigaction, sigprocmask, setrlimit) |        \
		BITS3(fcntl, faccessat, log_write))
#define RUN_CALLS                                                                        \
	(BITS3(poll, recvmsg, fstat) | BITS3(open, close, pipe2) |                       \
		BITS3(clone, read, waitid) | FAULT_BIT(CALL_send))
#define ALL_CALLS (SET_UP_CALLS | RUN_CALLS)

/* Half an answer is none. */
#define IS_HARMLESS(fault)                                                               \
	((fault)->is_harmless && ((fault)->calls & FAULT_BIT(CALL_send)) == 0)

#define QUESTIONS   3
#define PATIENCE_MS 20000
#define TIMEOUT_MS  10

/* As many descriptors as it has to raise the limit for. */
#define FILES_MAX 60

static const char *const succeeds[] = {"/bin/sh", "-c", "echo run >>runs", NULL};
static const char *const fails[] = {
	"/bin/sh", "-c", "echo 5.7.1 no; exit 1", "sh", "%{recipients}", NULL};
static const char *const takes_too_long[] = {"/bin/sleep", "1000", NULL};

static const struct outcome {
	const char *const *command;
	int code;
	const char *text;
} outcomes[QUESTIONS] = {
	{succeeds, 250, "Ok"},
	{fails, 550, "no"},
	{takes_too_long, 451, "The command took too long"},
};

struct bench {
	char dir[32];
	struct delivery_settings sections[QUESTIONS];
	struct spawner_settings settings;
	struct tallies {
		unsigned right;
		unsigned good; /* 250 */
		unsigned hung;
	} * tallies; /* shared with who asks */
	unsigned descriptors;
};

/* ------------------------------------------------------------------- asking */

static ssize_t ask(int asker_fd, unsigned section, struct spawn_answer *answer)
{
	static const struct str recipients[] = {STR("joe@example.test")};
	const struct spawn_request r = {.section = section,
		.asked_ms = clock_monotonic_ms(),
		.recipients = recipients,
		.recipient_count = 1};
	int fd = memfd_create("sinkd-message", MFD_CLOEXEC);
	struct buf bytes;
	ssize_t n;

	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(&r, &bytes);
	n = ipc_ask(asker_fd, bytes.p, bytes.len, &fd, 1, answer, sizeof(*answer),
		clock_monotonic_ms() + PATIENCE_MS);
	buf_done(&bytes);
	(void)fdio_close(&fd);
	return n;
}

static pid_t start_asker(const struct bench *b, int asker_fd, int helper_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)close(helper_fd);
	*b->tallies = (struct tallies){0};
	for (unsigned i = 0; i < QUESTIONS; i++) {
		struct spawn_answer a;
		ssize_t n = ask(asker_fd, i, &a);

		b->tallies->hung += n == -ETIME;
		b->tallies->good += n == sizeof(a) && a.code == 250;
		b->tallies->right += n == sizeof(a) && a.code == outcomes[i].code &&
				     strcmp(a.text, outcomes[i].text) == 0;
	}
	_exit(0);
}

/* ------------------------------------------------------------------ running */

static unsigned take_runs(void)
{
	char text[64];
	int fd = open("runs", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fdio_read(fd, text, sizeof(text));

	(void)fdio_close(&fd);
	(void)unlink("runs");
	return (unsigned)n / (sizeof("run\n") - 1);
}

static void limit_files(void)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = FILES_MAX;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void run_spawner(void *user, const struct fault *fault)
{
	static const struct fault none;
	const struct bench *b = user;
	int asker_fd, helper_fd, r;
	pid_t pid;

	limit_files();
	CHECK(ipc_open(&asker_fd, &helper_fd) == 0);
	pid = start_asker(b, asker_fd, helper_fd);
	(void)fdio_close(&asker_fd);
	faults_arm(fault, &none);
	r = spawner_serve(&b->settings, helper_fd);
	faults_disarm();
	if (r != -EPIPE) {
		CHECK(faults_has_struck() && !fault->is_harmless);
		/* As the process that comes after this one. */
		CHECK(spawner_serve(&b->settings, helper_fd) == -EPIPE);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	(void)fdio_close(&helper_fd);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK(scene_descriptors() == b->descriptors);
	CHECK(b->tallies->hung == 0);
	CHECK(b->tallies->right + 1 >= QUESTIONS);
	if (!faults_has_struck() || IS_HARMLESS(fault))
		CHECK(b->tallies->right == QUESTIONS);
	CHECK(take_runs() >= b->tallies->good);
}

/* ------------------------------------------------------------------- bench */

static void open_bench(struct bench *b)
{
	static const bool is_ours[QUESTIONS] = {true, true, true};

	*b = (struct bench){.dir = "/tmp/sinkd-fault-XXXXXX"};
	if (mkdtemp(b->dir) == NULL || chdir(b->dir) < 0)
		exit(99);
	CHECK(log_open("log", LOG_FORMAT_TEXT, LOG_INFO) == 0);
	b->tallies = mmap(NULL, sizeof(*b->tallies), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(b->tallies != MAP_FAILED);
	for (size_t i = 0; i < QUESTIONS; i++) {
		b->sections[i].name = "handler";
		b->sections[i].pipe = (struct pipe_settings){
			.command = outcomes[i].command,
			.directory = b->dir,
			.timeout_ms = outcomes[i].code == 451 ? TIMEOUT_MS : PATIENCE_MS,
			.max_running = 4};
	}
	b->settings = (struct spawner_settings){.deliveries = b->sections,
		.is_ours = is_ours,
		.delivery_count = QUESTIONS,
		.questions_max = 8};
	b->descriptors = scene_descriptors();
}

static void close_bench(struct bench *b)
{
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	(void)unlink("log");
	CHECK(chdir("/") == 0 && rmdir(b->dir) == 0);
	(void)munmap(b->tallies, sizeof(*b->tallies));
}

int main(void)
{
	struct bench b;

	(void)alarm(120); /* whoever hangs is found by this */
	faults_init();
	open_bench(&b);
	faults_sweep("spawner", ALL_CALLS, run_spawner, &b);
	close_bench(&b);
	return faults_conclude(ALL_CALLS);
}
