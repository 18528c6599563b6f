/* The scene of test_service.c; see service_fixture.h. */
#include "service_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "unit.h"

#define OK "action=DUNNO\n\n"

/* ------------------------------------------------------------- the service */

static bool read_request(int fd, int log_fd)
{
	static char text[SERVICE_REQUEST_MAX];
	size_t n = 0;

	while (n < 2 || memcmp(text + n - 2, "\n\n", 2) != 0) {
		ssize_t got = read(fd, text + n, 1);

		if (got <= 0)
			return false;
		n++;
	}
	text[n] = '\0';
	if (write(log_fd, text, n) != (ssize_t)n)
		_exit(1);
	return true;
}

static const char *choose(const struct scene *c)
{
	static char text[65536];
	char line[64];
	ssize_t n = pread(c->log_fd, text, sizeof(text) - 1, 0);
	const struct answer *a;

	if (n < 0)
		_exit(1);
	text[n] = '\0';
	for (a = c->answers; a != NULL && a->state != NULL; a++) {
		const char *last = text;

		for (const char *next = text; next != NULL;
			next = strstr(last + 1, "request="))
			last = next;
		(void)snprintf(line, sizeof(line), "%s%s\n",
			strchr(a->state, '=') != NULL ? "" : "protocol_state=", a->state);
		if (strstr(last, line) != NULL)
			return a->text;
	}
	return OK;
}

static void serve(const struct scene *c, int fd)
{
	for (unsigned i = 0; c->answers_max == 0 || i < c->answers_max; i++) {
		const char *text;
		char byte;

		if (!read_request(fd, c->log_fd))
			_exit(0);
		text = choose(c);
		if (strcmp(text, CLOSE) == 0)
			_exit(0);
		if (strcmp(text, SILENT) == 0)
			_exit(read(fd, &byte, 1) > 0);
		if (strcmp(text, LATE) == 0) {
			if (fdio_write_all(fd, OK, strlen(OK)) < 0 ||
				read(c->go[0], &byte, 1) != 1)
				_exit(1);
			text = "action=REJECT\n\n";
		}
		if (fdio_write_all(fd, text, strlen(text)) < 0)
			_exit(1);
	}
	_exit(0);
}

static int on_service_connect(void *user, uint64_t deadline_ms)
{
	struct scene *c = user;
	int ends[2];

	CU_ASSERT(deadline_ms > clock_monotonic_ms());
	CU_ASSERT_TRUE(c->is_waiting);
	if (c->connect_error < 0)
		return c->connect_error;
	CU_ASSERT_FATAL(c->connections < CONNECTIONS_MAX);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	c->pids[c->connections] = fork();
	if (c->pids[c->connections] == 0) {
		(void)close(ends[0]);
		serve(c, ends[1]);
	}
	c->connections++;
	(void)close(ends[1]);
	c->fd = ends[0];
	return ends[0];
}

/* Never one inside another. */
static void on_waits(void *user, uint64_t deadline_ms)
{
	struct scene *c = user;

	CU_ASSERT((deadline_ms == 0) == c->is_waiting);
	CU_ASSERT(deadline_ms <= clock_monotonic_ms() + c->settings.timeout_ms);
	c->is_waiting = deadline_ms != 0;
	c->waits += c->is_waiting;
}

static void on_failed(void *user, const char *why, int error)
{
	struct scene *c = user;

	c->failures++;
	(void)snprintf(c->why, sizeof(c->why), "%s %d", why, error);
}

static void on_ignored(void *user, struct str action)
{
	struct scene *c = user;

	(void)str_copy(c->ignored, sizeof(c->ignored), action);
}

/* ----------------------------------------------- hooks, so that we can look */

static const struct sinkd_hooks *layer(void *user)
{
	const struct scene *c = ((struct rig *)user)->user;

	return service_hooks(c->service);
}

static void note(void *user, const struct sinkd_verdict *v)
{
	struct scene *c = ((struct rig *)user)->user;

	if (v->action != SINKD_DECIDE)
		c->action = v->action;
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str address, struct sinkd_verdict *v)
{
	layer(user)->connect(layer(user)->user, session, address, v);
}

static void on_ehlo_domain(void *user, struct sinkd_session *session,
	struct sinkd_str domain, struct sinkd_verdict *v)
{
	layer(user)->ehlo_domain(layer(user)->user, session, domain, v);
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *v)
{
	layer(user)->sender(layer(user)->user, session, path, parameters, v);
	note(user, v);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *v)
{
	layer(user)->recipient(layer(user)->user, session, path, parameters, v);
	note(user, v);
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *v)
{
	struct scene *c = ((struct rig *)user)->user;

	layer(user)->data_command(layer(user)->user, session, v);
	(void)str_copy(c->prepended, sizeof(c->prepended),
		smtp_envelope((const struct smtp *)session)->prepended);
	note(user, v);
}

static void on_message(void *user, struct sinkd_session *session, struct sinkd_verdict *v)
{
	layer(user)->message(layer(user)->user, session, v);
	note(user, v);
}

void service_set_up(struct scene *c)
{
	*c = (struct scene){
		.settings = {.socket = "unix:/run/policy",
			.timeout_ms = PATIENCE_MS,
			.failure_code = 451,
			.failure_enhanced = "4.3.5",
			.failure_text = "Ask again"},
		.env = {.connect = on_service_connect,
			.waits = on_waits,
			.failed = on_failed,
			.ignored = on_ignored},
	};
	c->env.user = c;
	c->log_fd = memfd_create("sinkd-unit", MFD_CLOEXEC);
	CU_ASSERT_FATAL(c->log_fd >= 0);
	CU_ASSERT_FATAL(pipe2(c->go, O_CLOEXEC) == 0);
	rig_init(&c->rig);
	c->rig.user = c;
}

/* A hook that the layer does not have is not there. */
void service_start(struct scene *c)
{
	const struct sinkd_hooks *h;

	if (c->service == NULL)
		c->service = service_new(&c->settings, &c->env);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c->service);
	h = service_hooks(c->service);
	c->rig.hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(c->rig.hooks),
		.user = &c->rig,
		.connect = h->connect == NULL ? NULL : on_connect,
		.ehlo_domain = h->ehlo_domain == NULL ? NULL : on_ehlo_domain,
		.sender = h->sender == NULL ? NULL : on_sender,
		.recipient = h->recipient == NULL ? NULL : on_recipient,
		.data_command = h->data_command == NULL ? NULL : on_data_command,
		.message = h->message == NULL ? NULL : on_message,
	};
	rig_start(&c->rig);
}

void service_tear_down(struct scene *c)
{
	rig_end(&c->rig);
	rig_done(&c->rig);
	service_free(c->service);
	CU_ASSERT_FALSE(c->is_waiting);
	for (unsigned i = 0; i < c->connections; i++) {
		int status = 1;

		CU_ASSERT(waitpid(c->pids[i], &status, 0) == c->pids[i]);
		CHECK("the service has nothing to complain about", status == 0);
	}
	(void)close(c->log_fd);
	(void)close(c->go[0]);
	(void)close(c->go[1]);
}

bool service_says(const struct scene *c, const char *text)
{
	struct str s = rig_output(&c->rig);

	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

void service_values(const struct scene *c, const char *name, char *out, size_t size)
{
	static char text[65536];
	ssize_t n = pread(c->log_fd, text, sizeof(text) - 1, 0);
	size_t used = 0;

	CU_ASSERT_FATAL(n >= 0);
	text[n] = '\0';
	out[0] = '\0';
	for (const char *p = text, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
		size_t k = strlen(name);

		if (strncmp(p, name, k) == 0 && p[k] == '=')
			used += (size_t)snprintf(out + used, size - used, "%.*s ",
				(int)(end - p - (long)k - 1), p + k + 1);
	}
}

void service_check_values(const struct scene *c, const char *name, const char *expected)
{
	char got[2048];

	service_values(c, name, got, sizeof(got));
	CHECK_STR(name, str_of(got), str_of(expected));
}
