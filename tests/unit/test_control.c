/* Unit tests of proc/control: the socket, what is sent to it, and what comes back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"
#include "ctl/snapshot.h"
#include "proc/control.h"
#include "proc/runtime.h"
#include "proc/steer.h"
#include "unit.h"

struct fixture {
	char dir[64];
	char path[CONTROL_PATH_MAX];
	int fd;
};

static void set_up(struct fixture *f)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/sinkd-unit-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
	CU_ASSERT_FATAL(
		runtime_path(f->dir, CONTROL_NAME, f->path, sizeof(f->path)) == 0);
	f->fd = -1;
	CU_ASSERT_FATAL(control_open(f->dir, CONTROL_NAME, &f->fd) == 0);
}

static void tear_down(struct fixture *f)
{
	control_close(&f->fd, f->dir, CONTROL_NAME);
	CHECK("nothing is left", rmdir(f->dir) == 0);
}

static int client_socket(void)
{
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(
		bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)) == 0);
	return fd;
}

static struct sockaddr_un address_of(const struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)str_copy(address.sun_path, sizeof(address.sun_path), str_of(f->path));
	return address;
}

static void ask(const struct fixture *f, int client, const void *p, size_t n)
{
	const struct sockaddr_un to = address_of(f);

	CU_ASSERT(sendto(client, p, n, 0, (const struct sockaddr *)&to, sizeof(to)) ==
		  (ssize_t)n);
}

static struct control_request request_of(enum control_command command)
{
	return (struct control_request){
		.magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .command = command};
}

static int receive(const struct fixture *f, struct control_request *request,
	struct control_peer *peer)
{
	return control_receive(f->fd, geteuid(), request, peer);
}

static void test_open(void)
{
	struct fixture f;
	struct stat st;
	char long_name[200];
	int second = -1;

	set_up(&f);
	CHECK("mode", stat(f.path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK("does not block", (fcntl(f.fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK("closed on exec", (fcntl(f.fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK("one server is enough",
		control_open(f.dir, CONTROL_NAME, &second) == -EADDRINUSE && second < 0);
	control_close(&f.fd, f.dir, NULL);
	CHECK("stale", access(f.path, F_OK) == 0);
	CHECK("and replaced", control_open(f.dir, CONTROL_NAME, &f.fd) == 0);
	control_close(&f.fd, f.dir, CONTROL_NAME);
	CHECK("removed", access(f.path, F_OK) < 0);
	CHECK("no directory",
		control_open("/nonexistent", CONTROL_NAME, &f.fd) == -ENOENT);
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	CHECK("too long", control_open(long_name, CONTROL_NAME, &f.fd) == -ENAMETOOLONG);
	tear_down(&f);
}

/* What is in the way and is no control socket stays there. */
static void test_in_the_way(void)
{
	struct sockaddr_un address;
	struct fixture f;
	struct stat st;
	int fd = -1, other;

	set_up(&f);
	control_close(&f.fd, f.dir, CONTROL_NAME);
	other = open(f.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK("a file", control_open(f.dir, CONTROL_NAME, &fd) == -EADDRINUSE);
	CHECK("stays", stat(f.path, &st) == 0 && S_ISREG(st.st_mode));
	(void)fdio_close(&other);
	CU_ASSERT(unlink(f.path) == 0);
	CU_ASSERT(symlink("/nonexistent", f.path) == 0);
	CHECK("a link", control_open(f.dir, CONTROL_NAME, &fd) == -EADDRINUSE);
	CHECK("stays", lstat(f.path, &st) == 0 && S_ISLNK(st.st_mode));
	CU_ASSERT(unlink(f.path) == 0);
	other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address = address_of(&f);
	CU_ASSERT(bind(other, (const struct sockaddr *)&address, sizeof(address)) == 0);
	CU_ASSERT(listen(other, 1) == 0);
	CHECK("another kind", control_open(f.dir, CONTROL_NAME, &fd) == -EADDRINUSE);
	(void)fdio_close(&other);
	CU_ASSERT(unlink(f.path) == 0);
	CHECK("nothing was opened", fd == -1);
	tear_down(&f);
}

static void test_take_place(void)
{
	struct control_request request = request_of(CONTROL_RELOAD);
	struct control_peer peer;
	struct fixture f;
	int old, client;

	set_up(&f);
	old = f.fd;
	f.fd = -1;
	CU_ASSERT_FATAL(control_open(f.dir, CONTROL_NEXT_NAME, &f.fd) == 0);
	CHECK("renamed", control_take_place(f.dir) == 0);
	CHECK("once only", control_take_place(f.dir) == -ENOENT);
	client = client_socket();
	ask(&f, client, &request, sizeof(request));
	CHECK("the new one is asked", receive(&f, &request, &peer) == 1);
	CHECK("the old one is not",
		control_receive(old, geteuid(), &request, &peer) == 0);
	control_close(&old, f.dir, NULL);
	CHECK("the old one leaves it alone", access(f.path, F_OK) == 0);
	(void)fdio_close(&client);
	tear_down(&f);
}

/* The answer, or -1 for none. */
static int answer_status(int client)
{
	struct control_reply reply;

	if (recv(client, &reply, sizeof(reply), MSG_DONTWAIT) != sizeof(reply))
		return -1;
	CHECK("the head of an answer",
		reply.magic == CONTROL_MAGIC && reply.version == CONTROL_VERSION);
	CHECK("it says why",
		strnlen(reply.text, sizeof(reply.text)) < sizeof(reply.text));
	return reply.status;
}

static void test_requests(void)
{
	static const struct {
		const char *name;
		uint32_t magic;
		uint32_t version;
		uint32_t command;
		size_t n;
		int expected;
		int answer; /* -1: none */
	} cases[] = {
		{"right", CONTROL_MAGIC, CONTROL_VERSION, CONTROL_STOP,
			sizeof(struct control_request), 1, -1},
		{"nothing", CONTROL_MAGIC, CONTROL_VERSION, 0, 0, -EBADMSG, -1},
		{"half a magic", CONTROL_MAGIC, CONTROL_VERSION, 0, 2, -EBADMSG, -1},
		{"a head", CONTROL_MAGIC, CONTROL_VERSION, 0, 8, -EBADMSG, -1},
		{"one byte less", CONTROL_MAGIC, CONTROL_VERSION, 0,
			sizeof(struct control_request) - 1, -EBADMSG, -1},
		{"one byte more", CONTROL_MAGIC, CONTROL_VERSION, 0,
			sizeof(struct control_request) + 1, -EBADMSG, -1},
		{"much more", CONTROL_MAGIC, CONTROL_VERSION, 0, 100000, -EBADMSG, -1},
		{"other magic", 1, CONTROL_VERSION, 0, sizeof(struct control_request),
			-EBADMSG, -1},
		{"other version", CONTROL_MAGIC, CONTROL_VERSION + 1, 0,
			sizeof(struct control_request), -EBADMSG, EPROTONOSUPPORT},
		{"other version and size", CONTROL_MAGIC, CONTROL_VERSION + 1, 0, 100,
			-EBADMSG, EPROTONOSUPPORT},
		{"no such command", CONTROL_MAGIC, CONTROL_VERSION, CONTROL_COMMANDS,
			sizeof(struct control_request), -EBADMSG, EPROTONOSUPPORT},
	};
	static union {
		struct control_request request;
		char bytes[100000];
	} packet;
	struct control_request got;
	struct control_peer peer;
	struct fixture f;
	int client;

	set_up(&f);
	client = client_socket();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		packet.request = request_of(CONTROL_SNAPSHOT);
		packet.request.magic = cases[i].magic;
		packet.request.version = cases[i].version;
		packet.request.command = cases[i].command;
		memset(packet.request.name, 'x', sizeof(packet.request.name));
		ask(&f, client, &packet, cases[i].n);
		CHECK(cases[i].name, receive(&f, &got, &peer) == cases[i].expected);
		CHECK(cases[i].name, answer_status(client) == cases[i].answer);
		CHECK(cases[i].name, receive(&f, &got, &peer) == 0);
		if (cases[i].expected == 1)
			CHECK("terminated", strlen(got.name) == sizeof(got.name) - 1 &&
						    got.command == cases[i].command &&
						    peer.pid == getpid() &&
						    peer.uid == geteuid());
	}
	(void)fdio_close(&client);
	tear_down(&f);
}

/* Send a request together with something else: a descriptor, or credentials. */
static void send_with(
	const struct fixture *f, int client, int type, const void *p, size_t n)
{
	struct control_request request = request_of(CONTROL_STOP);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(64)];
	} control = {0};
	struct iovec part = {&request, sizeof(request)};
	struct sockaddr_un to = address_of(f);
	struct msghdr message = {.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n)};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = type;
	control.header.cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(&control.header), p, n);
	CU_ASSERT(sendmsg(client, &message, 0) == sizeof(request));
}

static void test_strangers(void)
{
	const struct ucred stranger = {getpid(), 12345, 12345};
	struct control_request request = request_of(CONTROL_STOP);
	struct control_peer peer;
	struct fixture f;
	int client, r;

	set_up(&f);
	client = client_socket();
	/* Root may claim to be anybody; anybody else is a stranger to another owner. */
	if (geteuid() == 0) {
		send_with(&f, client, SCM_CREDENTIALS, &stranger, sizeof(stranger));
		r = receive(&f, &request, &peer);
	} else {
		ask(&f, client, &request, sizeof(request));
		r = control_receive(f.fd, geteuid() + 1, &request, &peer);
	}
	CHECK("turned away", r == -EBADMSG);
	CHECK("and told", answer_status(client) == EPERM);
	(void)fdio_close(&client);
	tear_down(&f);
}

static size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	CU_ASSERT_FATAL(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void test_descriptors(void)
{
	struct control_request request;
	struct control_peer peer;
	struct fixture f;
	int fds[8];
	int client;
	size_t before;

	set_up(&f);
	client = client_socket();
	for (size_t i = 0; i < 8; i++)
		fds[i] = client;
	before = count_descriptors();
	send_with(&f, client, SCM_RIGHTS, fds, sizeof(int));
	CHECK("one", receive(&f, &request, &peer) == 1);
	send_with(&f, client, SCM_RIGHTS, fds, sizeof(fds));
	CHECK("eight", receive(&f, &request, &peer) == 1);
	CHECK("none is kept", count_descriptors() == before);
	(void)fdio_close(&client);
	tear_down(&f);
}

/* Who does not read, or cannot be answered, holds nobody. */
static void test_answers(void)
{
	struct control_request request = request_of(CONTROL_STOP);
	const struct control_status status = {0};
	const struct control_snapshot parts = {.status = &status};
	struct control_peer peer;
	struct fixture f;
	int client, snapshot = -1;
	size_t before;

	set_up(&f);
	client = client_socket();
	ask(&f, client, &request, sizeof(request));
	CU_ASSERT_FATAL(receive(&f, &request, &peer) == 1);
	CU_ASSERT_FATAL(control_make_snapshot(&parts, &snapshot) == 0);
	before = count_descriptors();
	for (int i = 0; i < 2000; i++)
		control_reply(&peer, 0, "done", snapshot);
	CHECK("none is kept", count_descriptors() == before);
	CHECK("the first came", answer_status(client) == 0);
	(void)fdio_close(&client);
	control_reply(&peer, 0, "nobody is there any more", -1);
	/* A socket with a path might be somebody else's by now. */
	peer.address.sun_path[0] = '/';
	control_reply(&peer, 0, "a path", -1);
	peer.length = sizeof(sa_family_t);
	control_reply(&peer, 0, "no name", -1);
	(void)fdio_close(&snapshot);
	CHECK("still there", receive(&f, &request, &peer) == 0);
	tear_down(&f);
}

static int act(void *user, const struct control_request *request, const char **ret_text)
{
	unsigned *obeyed = user;

	if (request->command == CONTROL_RULE)
		CHECK("what was asked",
			strcmp(request->name, "full") == 0 && request->argument == 0);
	else
		CHECK("what was asked",
			request->command == CONTROL_LOG_LEVEL && request->argument == 2);
	++*obeyed;
	*ret_text = "done";
	return 0;
}

/* Orders are obeyed unless they come from a worker, or make no sense. */
static void test_orders(void)
{
	struct control_request request = request_of(CONTROL_LOG_LEVEL);
	struct child children[] = {{0}, {.pid = getpid()}};
	const struct crew crew = {.children = children, .limit = 2};
	unsigned obeyed = 0;
	const struct steer_view view = {.crew = &crew, .user = &obeyed, .act = act};
	struct fixture f;
	int client;

	set_up(&f);
	client = client_socket();
	request.argument = 2;
	ask(&f, client, &request, sizeof(request));
	steer_hear(f.fd, &view);
	CHECK("from a worker", answer_status(client) == EPERM && obeyed == 0);
	children[1].pid = 1;
	ask(&f, client, &request, sizeof(request));
	steer_hear(f.fd, &view);
	CHECK("from others", answer_status(client) == 0 && obeyed == 1);
	request.argument = 77;
	ask(&f, client, &request, sizeof(request));
	steer_hear(f.fd, &view);
	CHECK("no such level", answer_status(client) == EINVAL && obeyed == 1);
	request = request_of(CONTROL_RULE);
	(void)strlcpy(request.name, "full", sizeof(request.name));
	request.argument = 2;
	ask(&f, client, &request, sizeof(request));
	steer_hear(f.fd, &view);
	CHECK("neither on nor off", answer_status(client) == EINVAL && obeyed == 1);
	request.argument = 0;
	ask(&f, client, &request, sizeof(request));
	steer_hear(f.fd, &view);
	CHECK("a rule", answer_status(client) == 0 && obeyed == 2);
	(void)fdio_close(&client);
	tear_down(&f);
}

static void test_snapshot(void)
{
	const struct control_status status = {.pid = 4711, .release = "1.2.3"};
	const struct control_listener listeners[] = {{.name = "mx"}, {.name = "local"}};
	const struct control_certificate certificate = {.subject = "CN=mx"};
	const struct control_session session = {.number = 9, .helo = "x"};
	const struct control_rule rule = {.name = "full", .stage = "rcpt", .hits = 17};
	const struct control_snapshot parts = {.status = &status,
		.listeners = listeners,
		.certificates = &certificate,
		.sessions = &session,
		.rules = &rule,
		.listener_count = 2,
		.certificate_count = 1,
		.session_count = 1,
		.rule_count = 1};
	static union {
		struct control_status status;
		char bytes[16384];
	} image;
	struct control_snapshot s;
	ssize_t n;
	int fd = -1;

	CU_ASSERT_FATAL(control_make_snapshot(&parts, &fd) == 0);
	n = pread(fd, &image, sizeof(image), 0);
	CU_ASSERT_FATAL(n > 0 && snapshot_parse(&image, (size_t)n, &s) == 0);
	CHECK("status", s.status->pid == 4711);
	CHECK_STR("listeners", str_of(s.listeners[1].name), STR("local"));
	CHECK_STR("certificates", str_of(s.certificates[0].subject), STR("CN=mx"));
	CHECK("sessions", s.session_count == 1 && s.sessions[0].number == 9);
	CHECK("rules", s.rule_count == 1 && s.rules[0].hits == 17);
	CHECK_STR("rules", str_of(s.rules[0].name), STR("full"));
	CHECK("cannot be cut", ftruncate(fd, 10) < 0 && errno == EPERM);
	CHECK("nor written to", pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
	CHECK("nor unsealed", fcntl(fd, F_ADD_SEALS, 0) < 0 && errno == EPERM);
	(void)fdio_close(&fd);
}

void suite_control(void)
{
	CU_pSuite s = CU_add_suite("control", NULL, NULL);

	CU_add_test(s, "the socket", test_open);
	CU_add_test(s, "what is in its way", test_in_the_way);
	CU_add_test(s, "taking its place", test_take_place);
	CU_add_test(s, "requests and garbage", test_requests);
	CU_add_test(s, "strangers", test_strangers);
	CU_add_test(s, "descriptors that come along", test_descriptors);
	CU_add_test(s, "answers that nobody reads", test_answers);
	CU_add_test(s, "orders", test_orders);
	CU_add_test(s, "snapshots", test_snapshot);
}
