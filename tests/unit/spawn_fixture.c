/* A spawner for tests; see spawn_fixture.h. */
#include "spawn_fixture.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"

/* Whoever is not there by then hangs. */
#define PATIENCE_MS 30000

#define EXIT_LEFT_CHILD      1
#define EXIT_LEFT_DESCRIPTOR 2
#define EXIT_OTHER_RESULT    3

void spawn_open(struct spawn_fixture *f)
{
	*f = (struct spawn_fixture){.dir = "/tmp/sinkd-spawn-XXXXXX", .asker_fd = -1};
	CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
	f->settings = (struct spawner_settings){.deliveries = f->sections,
		.is_ours = f->is_ours,
		.questions_max = 8,
		/* valgrind knows no other way. */
		.is_waiting = getenv("SINKD_TEST_SLOW") != NULL};
}

struct delivery_settings *spawn_add(struct spawn_fixture *f, const char *const *command)
{
	struct delivery_settings *d = &f->sections[f->settings.delivery_count];

	CU_ASSERT_FATAL(f->settings.delivery_count < SPAWN_SECTIONS_MAX);
	f->is_ours[f->settings.delivery_count++] = true;
	d->name = "handler";
	d->pipe = (struct pipe_settings){.command = command,
		.directory = f->dir,
		.timeout_ms = SPAWN_TIMEOUT_MS,
		.max_running = 4};
	return d;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int run(const struct spawn_fixture *f, int channel_fd)
{
	char path[sizeof(f->dir) + 8];
	int keep[2] = {channel_fd}, before;

	(void)snprintf(path, sizeof(path), "%s/log", f->dir);
	if (chdir(f->dir) < 0 || log_open(path, LOG_FORMAT_TEXT, LOG_INFO) < 0)
		return EXIT_OTHER_RESULT;
	keep[1] = log_fd();
	(void)fdio_close_others(keep, 2);
	before = count_fds();
	if (spawner_serve(&f->settings, channel_fd) != -EPIPE)
		return EXIT_OTHER_RESULT;
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		return EXIT_LEFT_CHILD;
	return count_fds() == before ? SPAWN_EXIT_CLEAN : EXIT_LEFT_DESCRIPTOR;
}

void spawn_start(struct spawn_fixture *f)
{
	int helper_fd;

	CU_ASSERT_FATAL(ipc_open(&f->asker_fd, &helper_fd) == 0);
	f->spawner = fork();
	CU_ASSERT_FATAL(f->spawner >= 0);
	if (f->spawner == 0)
		_exit(run(f, helper_fd));
	(void)fdio_close(&helper_fd);
}

bool spawn_end(struct spawn_fixture *f)
{
	int status;

	(void)fdio_close(&f->asker_fd);
	return waitpid(f->spawner, &status, 0) == f->spawner && WIFEXITED(status) &&
	       CHECK("the spawner", WEXITSTATUS(status) == SPAWN_EXIT_CLEAN);
}

void spawn_close(struct spawn_fixture *f)
{
	DIR *d = opendir(f->dir);
	struct dirent *e;

	CU_ASSERT_FATAL(d != NULL);
	while ((e = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	(void)closedir(d);
	CU_ASSERT(rmdir(f->dir) == 0);
}

struct spawn_request spawn_request(size_t section, const char *helo)
{
	static const struct str recipients[] = {STR("joe@example.test")};

	return (struct spawn_request){.section = (uint32_t)section,
		.asked_ms = clock_monotonic_ms(),
		.helo = str_of(helo),
		.message_id = STR("0123-45-67"),
		.local = STR("joe"),
		.domain = STR("example.test"),
		.recipients = recipients,
		.recipient_count = 1};
}

int spawn_message(const char *text)
{
	int fd = memfd_create("sinkd-message", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(fdio_write_all(fd, text, strlen(text)) == 0);
	return fd;
}

ssize_t spawn_ask_with(const struct spawn_fixture *f, const struct spawn_request *r,
	const int *fds, size_t fd_count, struct spawn_answer *ret)
{
	struct buf bytes;
	ssize_t n;

	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(r, &bytes);
	CU_ASSERT(!bytes.has_overflowed);
	n = ipc_ask(f->asker_fd, bytes.p, bytes.len, fds, fd_count, ret, sizeof(*ret),
		clock_monotonic_ms() + PATIENCE_MS);
	buf_done(&bytes);
	return n;
}

bool spawn_ask(const struct spawn_fixture *f, const struct spawn_request *r,
	struct spawn_answer *ret)
{
	int fd = spawn_message("Subject: test\n\ntext\n");
	ssize_t n = spawn_ask_with(f, r, &fd, 1, ret);

	(void)fdio_close(&fd);
	return n == sizeof(*ret) && CHECK("answer", spawn_answer_is_right(ret));
}

static const char *line_of(const struct spawn_answer *a)
{
	static char line[300];

	(void)snprintf(
		line, sizeof(line), "%d %s %.256s", (int)a->code, a->enhanced, a->text);
	return line;
}

const char *spawn_reply(const struct spawn_fixture *f, size_t section, const char *helo)
{
	const struct spawn_request r = spawn_request(section, helo);
	struct spawn_answer a;

	return spawn_ask(f, &r, &a) ? line_of(&a) : "none";
}

int spawn_post(const struct spawn_fixture *f, const struct spawn_request *r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec part;
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	int ends[2], fds[2];
	struct buf bytes;

	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(r, &bytes);
	part = (struct iovec){bytes.p, bytes.len};
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	fds[0] = ends[1];
	fds[1] = spawn_message("text\n");
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
	CU_ASSERT(sendmsg(f->asker_fd, &m, 0) == (ssize_t)bytes.len);
	(void)fdio_close(&fds[0]);
	(void)fdio_close(&fds[1]);
	buf_done(&bytes);
	return ends[0];
}

const char *spawn_hear(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct spawn_answer a;
	ssize_t n = -1;

	if (poll(&p, 1, PATIENCE_MS) == 1)
		n = recv(fd, &a, sizeof(a), 0);
	(void)fdio_close(&fd);
	return n == sizeof(a) && spawn_answer_is_right(&a) ? line_of(&a) : "none";
}

bool spawn_has_answer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

int spawn_gate(const struct spawn_fixture *f)
{
	char path[sizeof(f->dir) + 8];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/gate", f->dir);
	CU_ASSERT_FATAL(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

const char *spawn_file(const struct spawn_fixture *f, const char *name)
{
	static char text[8192];
	char path[sizeof(f->dir) + 16];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = fdio_read(fd, text, sizeof(text) - 1);
	(void)fdio_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

long spawn_wait_number(const struct spawn_fixture *f, const char *name)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
	const char *text;

	do {
		text = spawn_file(f, name);
		(void)poll(NULL, 0, 1);
	} while (strchr(text, '\n') == NULL && clock_monotonic_ms() < deadline_ms);
	CU_ASSERT(text[0] != '\0');
	return strtol(text, NULL, 10);
}

/* A zombie has; who reaps it is not our business. */
static bool has_ended(long pid)
{
	char path[40], text[64];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = fdio_read(fd, text, sizeof(text) - 1);
	(void)fdio_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	return n <= 0 || strstr(text, ") Z ") != NULL;
}

bool spawn_wait_end(long pid)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (!has_ended(pid) && clock_monotonic_ms() < deadline_ms)
		(void)poll(NULL, 0, 1);
	return has_ended(pid);
}

unsigned spawn_logged(const struct spawn_fixture *f, const char *what)
{
	char path[sizeof(f->dir) + 8], line[4096];
	unsigned count = 0;
	FILE *log;

	(void)snprintf(path, sizeof(path), "%s/log", f->dir);
	log = fopen(path, "re");
	while (log != NULL && fgets(line, sizeof(line), log) != NULL)
		count += strstr(line, what) != NULL;
	if (log != NULL)
		(void)fclose(log);
	return count;
}
