/* Each call of a worker's start, and of its first client, fails, one after the other.
 *
 * Then: it says why in the log and ends with WORKER_EXIT_SETUP, or it is ready, serves
 * and ends as it should when it is told to go; or it cannot wait for clients, says so and
 * ends with WORKER_EXIT_FAILED.  It never dies of a fault. */
#include "client.h"
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "proc/board.h"
#include "proc/counters.h"
#include "proc/sandbox.h"
#include "proc/slots.h"
#include "proc/worker.h"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

#define CALLS                                                                            \
	(BITS3(malloc, calloc, realloc) | BITS3(open, openat, openat2) |                 \
		BITS3(unlinkat, faccessat, mmap) | BITS3(close, log_write, write) |      \
		BITS3(close_range, prctl, getrandom) |                                   \
		BITS3(epoll_create1, epoll_ctl, epoll_wait) |                            \
		BITS3(sigaction, sigprocmask, accept4) | BITS3(poll, read, recv))

/* To become another user, which only root can. */
#define IDENTITY_CALLS BITS3(setgroups, setresgid, setresuid)

/* Those that are of the start alone, without which there is to be no worker. */
#define START_CALLS                                                                      \
	(IDENTITY_CALLS | BITS3(epoll_create1, epoll_ctl, mmap) |                        \
		BITS3(close_range, getrandom, sigaction))

#define NOBODY 65534

struct bench {
	struct scene scene;
	struct identity identity;
	struct listener *listeners;
	size_t listener_count;
	struct board *board;
	int board_fd;
	struct slots *slots;
	int slots_fd;
	int wake_fd;
	struct counters *counters;
	int counters_fd;
	struct sandbox sandbox;
	struct mail_text text;
};

/* The pipes between master and worker. */
struct pipes {
	int quit[2], ready[2];
};

static pid_t start_worker(
	const struct bench *b, const struct pipes *p, const struct fault *fault)
{
	static const struct fault none;
	pid_t parent = getpid(), pid = fork();
	struct worker_env env = {
		.config = b->scene.config,
		.listeners = b->listeners,
		.listener_count = b->listener_count,
		.identity = &b->identity,
		.master = parent,
		.number = 1,
		.quit_fd = p->quit[0],
		.ready_fd = p->ready[1],
		.board_fd = b->board_fd,
		.slots_fd = b->slots_fd,
		.wake_fd = b->wake_fd,
		.counters_fd = b->counters_fd,
		.keys_fd = -1,
		.sandbox = &b->sandbox,
	};

	if (pid != 0)
		return pid;
	faults_arm(fault, &none);
	worker_main(&env);
}

/* Hand in a message.  Returns the client with what it was told. */
static struct client send_message(const struct bench *b)
{
	const struct endpoint *e = &b->listeners[0].endpoint;
	struct client client;

	client_open(
		&client, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), b->text.sent);
	CHECK(connect(client.fd, (const struct sockaddr *)&e->address, e->length) == 0);
	client_talk(&client);
	client_close(&client);
	return client;
}

static bool cannot_wait(const struct fault *fault)
{
	return (fault->calls & FAULT_BIT(CALL_epoll_wait)) != 0 && !fault->is_harmless;
}

static void check_worker(const struct bench *b, const struct fault *fault, bool is_ready,
	const struct client *client, int status)
{
	struct tally found = scene_count(&b->scene, b->text.stored);
	bool is_log = (fault->calls & FAULT_BIT(CALL_log_write)) != 0;
	bool is_unlink = (fault->calls & FAULT_BIT(CALL_unlinkat)) != 0;

	CHECK(WIFEXITED(status));
	CHECK(found.whole == found.delivered);
	CHECK(found.tmp == 0 || (is_unlink && !is_ready));
	if (!is_ready) {
		CHECK(WEXITSTATUS(status) == WORKER_EXIT_SETUP);
		CHECK(!fault->is_harmless && faults_has_struck());
		CHECK(is_log || scene_logged(&b->scene, "worker.failed") == 1);
		return;
	}
	if (cannot_wait(fault) && faults_has_struck()) {
		CHECK(WEXITSTATUS(status) == WORKER_EXIT_FAILED);
		CHECK(scene_logged(&b->scene, "worker.failed") == 1);
		CHECK(counters_get_idle(b->counters) == 0);
		return;
	}
	CHECK(WEXITSTATUS(status) == WORKER_EXIT_DONE);
	CHECK(!faults_has_struck() || (fault->calls & START_CALLS) == 0);
	CHECK(!client->is_accepted || found.whole == 1);
	CHECK(!client->is_refused || found.delivered == 0);
	if (fault->is_harmless || !faults_has_struck())
		CHECK(client->is_accepted);
}

/* A short write comes in two pieces. */
static bool read_pid(int fd, pid_t *ret)
{
	char *p = (char *)ret;
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(*ret) && (got = fdio_read(fd, p + n, sizeof(*ret) - n)) > 0)
		n += (size_t)got;
	return n == sizeof(*ret);
}

static void run_worker(void *user, const struct fault *fault)
{
	const struct bench *b = user;
	struct client client = {0};
	struct pipes p;
	bool is_ready;
	pid_t pid, told = 0;
	int status;

	scene_clear(&b->scene, false);
	counters_correct_idle(b->counters, counters_get_idle(b->counters), 0);
	if (pipe2(p.quit, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(p.ready, O_CLOEXEC) < 0)
		FAIL("pipe2");
	pid = start_worker(b, &p, fault);
	(void)close(p.ready[1]);
	(void)close(p.quit[0]);
	/* The end of the worker is the end of the pipe. */
	is_ready = read_pid(p.ready[0], &told);
	if (is_ready) {
		CHECK(told == pid);
		/* A client that nobody takes would wait for ever. */
		if (!cannot_wait(fault) || fault->nth > 1)
			client = send_message(b);
	}
	(void)close(p.quit[1]);
	(void)close(p.ready[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	check_worker(b, fault, is_ready, &client, status);
}

static void sweep_worker(const char *name, const char *path, uint64_t calls, uid_t uid)
{
	static const struct fault none;
	const struct scene_settings settings = {
		.path = path, .headers = "\"Received\"", .sync = "full"};
	struct bench b = {.text = mail_text_make("the message", 1)};
	struct delivery_owner owner;
	struct endpoint failed;
	size_t failed_section;

	scene_open(&b.scene, &settings);
	b.identity = (struct identity){.is_switch = uid != getuid(),
		.uid = uid,
		.gid = uid == getuid() ? getgid() : uid};
	owner = (struct delivery_owner){b.identity.uid, b.identity.gid};
	CHECK(log_open(b.scene.config->log_target, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	CHECK(delivery_prepare_host(
		      b.scene.config->deliveries, 1, &owner, &failed_section) == 0);
	CHECK(listeners_open(b.scene.config->listeners, 1, NULL, 0, &b.listeners,
		      &b.listener_count, &failed) == 0);
	CHECK(board_create(&b.board, &b.board_fd) == 0);
	atomic_store(&b.board->wake_below, 1); /* it is the only worker */
	CHECK(slots_create(&b.slots, &b.slots_fd) == 0);
	b.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(b.wake_fd >= 0);
	CHECK(counters_create(&b.counters, &b.counters_fd) == 0);
	/* The list would end a worker for what the harness does in it. */
	CHECK(sandbox_init(SANDBOX_OFF, SANDBOX_WORKER, &b.sandbox) == 0);
	run_worker(&b, &none);
	faults_sweep(name, calls, run_worker, &b);
	listeners_close(b.listeners, b.listener_count, NULL, 0);
	sandbox_done(&b.sandbox);
	(void)close(b.counters_fd);
	(void)close(b.slots_fd);
	(void)close(b.wake_fd);
	(void)close(b.board_fd);
	(void)munmap(b.board, sizeof(*b.board));
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	scene_close(&b.scene);
	mail_text_free(&b.text);
}

/* LeakSanitizer cannot look into a process that has changed its user. */
static bool can_switch(void)
{
#ifdef WITH_SANITIZERS
	return false;
#else
	return getuid() == 0;
#endif
}

int main(int argc, char **argv, char **envp)
{
	setproctitle_init(argc, argv, envp);
	(void)alarm(120); /* whoever hangs is found by this */
	faults_init();
	sweep_worker("worker, one mailbox", "inbox", CALLS, getuid());
	sweep_worker("worker, each", "%{recipient.domain}", CALLS, getuid());
	if (!can_switch())
		return faults_conclude(CALLS);
	sweep_worker("worker, other user", "inbox", CALLS | IDENTITY_CALLS, NOBODY);
	return faults_conclude(CALLS | IDENTITY_CALLS);
}
