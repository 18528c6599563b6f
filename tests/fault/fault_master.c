/* Each call of the master's start, of a reload, and of its life with two workers, fails,
 * one after the other; then those that follow the death of its keys process.
 *
 * Then: it says why in the log and ends with 1 or 78 without ever being ready, or a
 * message goes through, whatever became of the reload, and TERM ends it with 0.  Either
 * way nothing of it is left: no process, no socket, and after the reload no descriptor
 * that was not there before. */
#include "client.h"
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fdio.h"
#include "keys/keyring.h"
#include "proc/master.h"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

#define CALLS                                                                            \
	(BITS3(calloc, open, openat) | BITS3(mkdirat, fsync, read) |                     \
		BITS3(malloc, socketpair, poll) | BITS3(close, log_write, ppoll) |       \
		BITS3(socket, bind, listen) | BITS3(getsockname, setsockopt, pipe2) |    \
		BITS3(memfd_create, ftruncate, mmap) | BITS3(madvise, fcntl, fork) |     \
		BITS3(signalfd, sigaction, sigprocmask) | FAULT_BIT(CALL_getrandom))

/* To have another keys process. */
#define KEYS_CALLS                                                                       \
	(BITS3(close, log_write, ppoll) | BITS3(pipe2, fork, poll) | FAULT_BIT(CALL_read))

/* So long, in looks, for what happens elsewhere. */
#define LOOKS_MAX 5000
#define LOOK_MS   2

struct bench {
	struct scene scene;
	struct mail_text text;
	char conf[64];
	int notified; /* where the server says that a reload has ended */
	bool is_late; /* the fault comes when the keys process dies */
};

static pid_t start_master(const struct bench *b, const struct fault *fault, int ready[2])
{
	static const struct fault none;
	static const struct config_overrides overrides;
	struct master_options options = {
		.file = b->conf, .overrides = &overrides, .ready_fd = ready[1]};
	pid_t pid = fork();
	int status;

	if (pid != 0)
		return pid;
	(void)close(ready[0]);
	scene_catch_errors(&b->scene);
	CHECK(keyring_load(b->scene.config, NULL, stderr, &options.keyring) == 0);
	faults_arm(fault, &none);
	status = master_run(b->scene.config, &options);
	faults_disarm();
	exit(status);
}

static const struct endpoint *endpoint_of(const struct bench *b)
{
	return &b->scene.config->listeners[0].endpoints[0];
}

static bool has_socket(const struct bench *b)
{
	const struct sockaddr_un *un =
		(const struct sockaddr_un *)&endpoint_of(b)->address;

	return access(un->sun_path, F_OK) == 0;
}

/* Read all that the server has said; whether it said that it is ready. */
static bool hear_notices(const struct bench *b)
{
	bool is_ready = false;
	char text[256];
	ssize_t n;

	while ((n = recv(b->notified, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[n] = '\0';
		is_ready = is_ready || strcmp(text, "READY=1") == 0;
	}
	return is_ready;
}

/* One of the two may be lost, not both. */
static bool has_reloaded(const struct bench *b)
{
	bool is_ready = hear_notices(b);

	return is_ready || scene_logged(&b->scene, "event=server.reload") > 0;
}

static unsigned count_descriptors(pid_t pid)
{
	char path[32];
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* Wait until the master waits: then it has closed what it opens for a moment. */
static void wait_at_rest(pid_t pid)
{
	char path[32];
	long call = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	for (unsigned looks = 0; call != SYS_ppoll && looks < LOOKS_MAX; looks++) {
		FILE *file = fopen(path, "re");

		if (file != NULL && fscanf(file, "%ld", &call) != 1)
			call = -1;
		if (file != NULL)
			(void)fclose(file);
		(void)poll(NULL, 0, LOOK_MS);
	}
	CHECK(call == SYS_ppoll);
}

/* HUP, and what becomes of it. */
static void reload(const struct bench *b, pid_t master, const struct fault *fault)
{
	unsigned before, looks = 0;

	wait_at_rest(master);
	before = count_descriptors(master);
	/* The first READY came before the line that made us come here. */
	(void)hear_notices(b);
	CHECK(kill(master, SIGHUP) == 0);
	while (!has_reloaded(b) && looks++ < LOOKS_MAX)
		(void)poll(NULL, 0, LOOK_MS);
	CHECK(looks < LOOKS_MAX);
	/* It goes on with the one or the other, and the rest ends. */
	while (count_descriptors(master) != before && looks++ < LOOKS_MAX)
		(void)poll(NULL, 0, LOOK_MS);
	CHECK(looks < LOOKS_MAX);
	if (scene_logged(&b->scene, "action=done") == 0)
		CHECK(faults_has_struck());
	if (scene_logged(&b->scene, "going on as before") > 0)
		CHECK(!fault->is_harmless);
}

static bool is_keys(pid_t pid)
{
	char path[32], title[64] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	(void)!fread(title, 1, sizeof(title) - 1, file);
	(void)fclose(file);
	return strstr(title, ": keys") != NULL;
}

/* The keys processes die, and the next question waits for the next ones. */
static void kill_keys(pid_t master, const struct fault *fault)
{
	char path[64];
	unsigned killed = 0;
	FILE *file;
	int pid;

	wait_at_rest(master);
	faults_arm_process(master, fault);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)master,
		(int)master);
	file = fopen(path, "re");
	CHECK(file != NULL);
	while (file != NULL && fscanf(file, "%d", &pid) == 1)
		if (is_keys(pid) && kill(pid, SIGKILL) == 0)
			killed++;
	if (file != NULL)
		(void)fclose(file);
	CHECK(killed > 0);
}

/* A message to the server that is ready, and the signal to stop. */
static void use_and_stop(const struct bench *b, pid_t master)
{
	struct client client;
	const struct endpoint *e = endpoint_of(b);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(connect(fd, (const struct sockaddr *)&e->address, e->length) == 0);
	client_open(&client, fd, b->text.sent);
	client.is_secure = true;
	client_talk(&client);
	client_close(&client);
	CHECK(client.is_accepted);
	CHECK(scene_count(&b->scene, b->text.stored).whole == 1);
	CHECK(kill(master, SIGTERM) == 0);
}

static void check_master(
	const struct bench *b, const struct fault *fault, bool is_ready, int status)
{
	bool is_log = (fault->calls & FAULT_BIT(CALL_log_write)) != 0;

	CHECK(WIFEXITED(status));
	CHECK(!has_socket(b));
	/* Orphans of it would have become ours. */
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK(scene_count(&b->scene, b->text.stored).tmp == 0);
	if (is_ready) {
		CHECK(WEXITSTATUS(status) == EXIT_SUCCESS);
	} else {
		CHECK(WEXITSTATUS(status) == EXIT_FAILURE ||
			WEXITSTATUS(status) == EX_CONFIG);
		CHECK(!fault->is_harmless && faults_has_struck());
		/* A log that cannot be opened is told to a person, as all that was
		 * before it is. */
		CHECK(is_log || scene_logged(&b->scene, "server.failed") == 1 ||
			scene_told(&b->scene, "server.failed") == 1);
	}
	if (!WIFEXITED(status) || scene_told(&b->scene, "Sanitizer") > 0)
		scene_show_errors(&b->scene);
}

static void run_master(void *user, const struct fault *fault)
{
	static const struct fault none;
	const struct bench *b = user;
	int ready[2], status;
	bool is_ready;
	pid_t pid;
	char c;

	scene_clear(&b->scene, true);
	if (pipe2(ready, O_CLOEXEC) < 0)
		FAIL("pipe2");
	pid = start_master(b, b->is_late ? &none : fault, ready);
	(void)close(ready[1]);
	is_ready = fdio_read(ready[0], &c, 1) == 1;
	/* All of the line, and its end: it has closed that descriptor. */
	while (is_ready && fdio_read(ready[0], &c, 1) == 1)
		continue;
	if (is_ready && b->is_late)
		kill_keys(pid, fault);
	else if (is_ready)
		reload(b, pid, fault);
	if (is_ready)
		use_and_stop(b, pid);
	CHECK(waitpid(pid, &status, 0) == pid);
	(void)close(ready[0]);
	check_master(b, fault, is_ready, status);
}

static void open_notified(struct bench *b)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/notify", b->scene.dir);
	b->notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(bind(b->notified, (const struct sockaddr *)&un, sizeof(un)) == 0);
	CHECK(setenv("NOTIFY_SOCKET", un.sun_path, 1) == 0);
	/* A directory of our own, and not that of a server which runs here. */
	CHECK(setenv("RUNTIME_DIRECTORY", b->scene.dir, 1) == 0);
}

int main(int argc, char **argv, char **envp)
{
	static const struct fault none;
	const struct scene_settings settings = {
		.path = "inbox",
		.headers = "\"Received\"",
		.sync = "full",
		.has_auth = true,
		.has_pipe = true,
	};
	struct bench b = {.text = mail_text_make("the message", 1)};

	setproctitle_init(argc, argv, envp);
	(void)alarm(300); /* whoever hangs is found by this */
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	faults_init();
	scene_open(&b.scene, &settings);
	(void)snprintf(b.conf, sizeof(b.conf), "%s/conf", b.scene.dir);
	open_notified(&b);
	run_master(&b, &none);
	faults_sweep("master", CALLS, run_master, &b);
	b.is_late = true;
	faults_sweep("master, its keys process dies", KEYS_CALLS, run_master, &b);
	(void)close(b.notified);
	scene_close(&b.scene);
	mail_text_free(&b.text);
	return faults_conclude(CALLS);
}
