/* The connector; see connector.h.
 *
 * It gives up what it does not need, in the order of set_up; what is left is to connect
 * to TCP ports that the configuration names, and to Unix sockets that its user may
 * connect to.  Its input is questions of workers, maybe hostile: each names a service by
 * its number, and what is said on a connection is never read here.
 *
 * Known limit: one after the other, so that a service that does not take connections
 * holds up those who ask for another, for its timeout at most; who has waited too long
 * himself is passed over. */
#include "proc/connector.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/number.h"
#include "policy/connect_request.h"
#include "proc/child.h"
#include "proc/confine.h"

/* What helper_start hands to connector_main. */
struct start {
	const struct connector *connector;
	const struct connector_env *env;
};

/* ---------------------------------------------------------- in the process */

static int fail_step(const char *step, int error)
{
	log_event(
		LOG_FATAL, EV_CONNECTOR_FAILED, LOG_TEXT("step", step), LOG_ERRNO(error));
	return error;
}

static int close_descriptors(const struct connector *c, const struct helper_birth *birth)
{
	const int keep[] = {c->helper_fd, birth->ready_fd, log_fd()};

	return fdio_close_others(keep, sizeof(keep) / sizeof(keep[0]));
}

static int allow_target(int rules, const struct connector_target *t)
{
	int r = 0;

	for (size_t i = 0; i < t->endpoint_count && r == 0; i++) {
		const struct sockaddr_storage *a = &t->endpoints[i].address;

		if (a->ss_family == AF_INET)
			r = confine_allow_port(
				rules, ntohs(((const struct sockaddr_in *)a)->sin_port));
		else if (a->ss_family == AF_INET6)
			r = confine_allow_port(rules,
				ntohs(((const struct sockaddr_in6 *)a)->sin6_port));
	}
	return r;
}

/* No file, and no port but those of the services; before version 4 Landlock knows of
 * files alone. */
static int confine(unsigned landlock, const struct connector_env *env)
{
	int r = 0, rules;

	if (landlock == 0)
		return 0;
	rules = confine_create(landlock);
	if (rules < 0)
		return rules;
	for (size_t i = 0; i < env->target_count && landlock >= 4 && r == 0; i++)
		r = allow_target(rules, &env->targets[i]);
	if (r == 0)
		return confine_enforce_take_fd(rules);
	(void)fdio_close(&rules);
	return r;
}

static int set_up(const struct start *s, const struct helper_birth *birth)
{
	const struct sandbox *sandbox = &s->connector->sandbox;
	int r;

	if ((r = close_descriptors(s->connector, birth)) < 0)
		return fail_step("close descriptors", r);
	if ((r = child_drop_standard_streams()) < 0)
		return fail_step("drop standard streams", r);
	if ((r = child_ignore_signals()) < 0)
		return fail_step("set signals", r);
	if ((r = sandbox_drop_bounding_set()) < 0)
		return fail_step("give up the bounding set", r);
	if ((r = identity_assume(s->env->identity)) < 0)
		return fail_step("give up root", r);
	if ((r = child_watch_master(birth->master, SIGKILL)) < 0)
		return fail_step("watch the master", r);
	if ((r = sandbox_renounce()) < 0)
		return fail_step("give up what is left", r);
	if ((r = confine(sandbox->landlock, s->env)) < 0)
		return fail_step("confine files and ports", r);
	/* Standard input is /dev/null by now. */
	if (s->env->is_daemon && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		return fail_step("leave standard error", -errno);
	if ((r = sandbox_enter(sandbox, NULL, 0)) < 0)
		return fail_step("enter the sandbox", r);
	r = helper_tell_ready(birth);
	return r < 0 ? fail_step("tell the master", r) : 0;
}

/* The kernel gives up by itself, with the error of a socket that does not block.  Returns
 * the connection or a negative errno. */
static int connect_to(const struct endpoint *e, uint64_t deadline_ms)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	const struct timeval patience = {
		.tv_sec = (time_t)(left_ms / 1000),
		.tv_usec = (suseconds_t)(left_ms % 1000 * 1000),
	};
	int fd, r = 0;

	/* For the kernel no time is all the time there is. */
	if (left_ms == 0)
		return -ETIME;
	fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (const struct sockaddr *)&e->address, e->length) < 0)
		r = errno == EINPROGRESS || errno == EAGAIN ? -ETIME : -errno;
	if (r == 0)
		return fd;
	(void)fdio_close(&fd);
	return r;
}

static int connect_target(const struct connector_target *t, uint64_t deadline_ms)
{
	int r = -ETIME;

	deadline_ms = number_min(deadline_ms, clock_monotonic_ms() + t->timeout_ms);
	for (size_t i = 0; i < t->endpoint_count; i++) {
		r = connect_to(&t->endpoints[i], deadline_ms);
		if (r >= 0)
			return r;
	}
	return r;
}

static void refuse(struct ipc_question *q, const char *reason)
{
	const struct connect_answer answer = {.error = -EINVAL};

	log_event(LOG_WARN, EV_CONNECTOR_REFUSED, LOG_TEXT("reason", reason));
	if (q != NULL)
		(void)ipc_answer(q, &answer, sizeof(answer));
}

static void answer_question(const struct connector_env *env, struct ipc_question *q,
	struct connect_request *r)
{
	struct connect_answer answer = {.error = 0};
	int fd;

	if (q->n != sizeof(*r) || q->fd_count > 0 || r->service >= env->target_count) {
		refuse(q, "no such service");
		return;
	}
	fd = connect_target(&env->targets[r->service], r->deadline_ms);
	/* Who is not there any more does not need it. */
	if (fd >= 0) {
		(void)ipc_answer_fd(q, &answer, sizeof(answer), fd);
	} else {
		answer.error = fd;
		(void)ipc_answer(q, &answer, sizeof(answer));
	}
	(void)fdio_close(&fd);
}

static int serve(const struct connector_env *env, int fd)
{
	struct connect_request request;
	struct ipc_question q = {.p = &request, .size = sizeof(request)};
	int r;

	while ((r = ipc_receive(fd, &q)) == 0 || r == -EBADMSG) {
		if (r == 0)
			answer_question(env, &q, &request);
		else
			refuse(NULL, "no question that can be answered");
	}
	return r;
}

static void connector_main(const void *user, const struct helper_birth *birth)
{
	const struct start *s = user;

	log_note_process();
	setproctitle("connector");
	if (set_up(s, birth) < 0)
		_exit(CONNECTOR_EXIT_SETUP);
	(void)fail_step("wait for questions", serve(s->env, s->connector->helper_fd));
	_exit(CONNECTOR_EXIT_FAILED);
}

static const struct helper_kind connector_kind = {
	.run = connector_main,
	.key = "connector",
	.start = EV_CONNECTOR_START,
	.exit = EV_CONNECTOR_EXIT,
	.failed = EV_CONNECTOR_FAILED,
};

/* ------------------------------------------------------------ in the master */

int connector_open(struct connector *c, enum sandbox_level level)
{
	int r = ipc_open(&c->asker_fd, &c->helper_fd);

	return r < 0 ? r : sandbox_init(level, SANDBOX_CONNECTOR, &c->sandbox);
}

void connector_done(struct connector *c)
{
	helper_end(&c->helper);
	(void)fdio_close(&c->asker_fd);
	(void)fdio_close(&c->helper_fd);
	sandbox_done(&c->sandbox);
}

int connector_start(struct connector *c, const struct connector_env *env)
{
	const struct start s = {c, env};

	return helper_start(&c->helper, &connector_kind, &s);
}

bool connector_note_exit(struct connector *c, pid_t pid, int status, bool is_expected)
{
	return helper_note_exit(&c->helper, &connector_kind, pid, status, is_expected);
}

uint64_t connector_tend(
	struct connector *c, const struct connector_env *env, uint64_t now_ms)
{
	const struct start s = {c, env};

	/* None to be started, where there is no channel. */
	return c->asker_fd < 0 ? UINT64_MAX
			       : helper_tend(&c->helper, &connector_kind, &s, now_ms);
}
