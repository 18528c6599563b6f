/* Generations; see generation.h.  Runs in the master; input is the configuration. */
#include "proc/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/number.h"
#include "delivery/delivery.h"
#include "policy/module.h"
#include "proc/deciders.h"
#include "proc/module_check.h"

/* A host name has 255 octets at most. */
#define REPLY_SIZE 320

#define LARGER_THAN_HOLES (1 << 20)

/* Who has not loaded by then hangs. */
#define MODULE_CHECK_MS 10000

/* Clients of a listener that are refused in one go; the master has other things to do. */
#define REFUSALS_AT_ONCE 64

/* What a stranger may do about the usual reasons. */
static const char *advice_for(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another server listens there, or this one at an address that has "
		       "to go first; stop it, or choose with --listen";
	case EADDRNOTAVAIL:
		return "this machine does not have that address";
	case EACCES:
		return "choose another place, or start as a user who may";
	case EMFILE:
		return "allow more open files (ulimit -n)";
	default:
		return "see sinkd(8)";
	}
}

/* What the machine lacks today is no mistake in the configuration. */
static int status_of(int error)
{
	bool is_lack = error == -EMFILE || error == -ENFILE || error == -ENOMEM;

	return is_lack ? EXIT_FAILURE : EX_CONFIG;
}

static int fail(enum log_level level, const char *step, const char *subject, int error,
	int status)
{
	log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", step),
		LOG_TEXT("subject", subject), LOG_ERRNO(error),
		LOG_TEXT("advice", advice_for(error)));
	return status;
}

static int choose_identity(struct generation *g, enum log_level level)
{
	const struct config *c = g->config;
	const char *name = c->user != NULL ? c->user : IDENTITY_DEFAULT_USER;
	int r = identity_resolve(c->user, c->group, &g->identity);

	return r < 0 ? fail(level, "find the account of the workers", name, r, EX_CONFIG)
		     : 0;
}

static int open_listeners(struct generation *g, const struct listener *existing,
	size_t existing_count, enum log_level level)
{
	const struct config *c = g->config;
	struct endpoint failed = {0};
	char text[ENDPOINT_TEXT_MAX] = "";
	int r = listeners_open(c->listeners, c->listener_count, existing, existing_count,
		&g->listeners, &g->listener_count, &failed);

	if (r < 0) {
		endpoint_format(&failed, text);
		return fail(level, "listen", text, r, EXIT_FAILURE);
	}
	return 0;
}

_Static_assert(SPAWNERS_MAX + 2 <= SANDBOX_SHARED_MAX, "not all channels have room");

static void share_channels(struct generation *g)
{
	struct sandbox *s = &g->sandbox;

	if (g->keys.asker_fd >= 0)
		s->shared_fds[s->shared_count++] = g->keys.asker_fd;
	if (g->connector.asker_fd >= 0)
		s->shared_fds[s->shared_count++] = g->connector.asker_fd;
	for (size_t i = 0; i < g->spawners.count; i++)
		s->shared_fds[s->shared_count++] = g->spawners.asker_fds[i];
}

/* Say what workers will be kept in, and aloud if it is less than was asked for. */
static int build_sandbox(struct generation *g, enum log_level level)
{
	static const char *const levels[] = {"kill", "trap", "off"};
	enum sandbox_role role =
		g->connector.asker_fd >= 0 ? SANDBOX_WORKER_WITH_POLICY : SANDBOX_WORKER;
	int r = sandbox_init(g->config->sandbox_level, role, &g->sandbox);
	const struct sandbox *s = &g->sandbox;

	if (r < 0)
		return fail(level, "build the sandbox", "", r, EXIT_FAILURE);
	share_channels(g);
	if (s->missing != NULL)
		log_event(LOG_WARN, EV_SERVER_SANDBOX,
			LOG_TEXT("sandbox", levels[s->level]),
			LOG_NUM("landlock", s->landlock), LOG_TEXT("advice", s->missing));
	else
		log_event(LOG_INFO, EV_SERVER_SANDBOX,
			LOG_TEXT("sandbox", levels[s->level]),
			LOG_NUM("landlock", s->landlock));
	return 0;
}

static int prepare_deliveries(struct generation *g, enum log_level level)
{
	const struct config *c = g->config;
	const struct delivery_owner owner = {g->identity.uid, g->identity.gid};
	size_t failed = 0;
	int r = delivery_prepare_host(c->deliveries, c->delivery_count, &owner, &failed);

	if (r < 0)
		return fail(level, "make the directory of a delivery",
			c->deliveries[failed].path, r, status_of(r));
	return 0;
}

/* Idle workers wait for a byte together, and only one may get it. */
static int open_quit_pipe(struct generation *g, enum log_level level)
{
	if (pipe2(g->quit_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(level, "open a pipe", "", -errno, EXIT_FAILURE);
	return 0;
}

/* The channel to the keys comes first: the sandbox of workers has to know it. */
static int open_keys(struct generation *g, enum log_level level)
{
	int r;

	if (keyring_count(g->keyring) == 0)
		return 0;
	r = keys_open(&g->keys, g->config->sandbox_level);
	return r < 0 ? fail(level, "prepare the keys process", "", r, EXIT_FAILURE) : 0;
}

static int open_spawners(struct generation *g, enum log_level level)
{
	const char *subject;
	int r;

	g->spawners.is_daemon = g->is_daemon;
	r = spawners_open(&g->spawners, g->config, &g->identity, &subject);
	return r < 0 ? fail(level, "find the account of a command", subject, r,
			       status_of(r))
		     : 0;
}

static int start_spawners(struct generation *g, enum log_level level)
{
	int r = spawners_start(&g->spawners);

	return r < 0 ? fail(level, "start a spawner", "", r, EXIT_FAILURE) : 0;
}

/* Where the policy service is was found to be an address when it was read. */
static int open_connector(struct generation *g, enum log_level level)
{
	const struct service_settings *s = &g->config->service;
	const char *error;
	int r;

	if (s->socket == NULL)
		return 0;
	r = endpoint_parse(s->socket, g->service.endpoints, &error);
	if (r > 0) {
		g->service.endpoint_count = (size_t)r;
		g->service.timeout_ms = s->timeout_ms;
		r = connector_open(&g->connector, g->config->sandbox_level);
	}
	return r < 0 ? fail(level, "prepare the connector", s->socket, r, EXIT_FAILURE)
		     : 0;
}

static struct connector_env connector_env_of(const struct generation *g)
{
	return (struct connector_env){
		.targets = &g->service,
		.target_count = 1,
		.identity = &g->identity,
		.is_daemon = g->is_daemon,
	};
}

static int start_connector(struct generation *g, enum log_level level)
{
	const struct connector_env env = connector_env_of(g);
	int r;

	if (g->connector.asker_fd < 0)
		return 0;
	r = connector_start(&g->connector, &env);
	return r < 0 ? fail(level, "start the connector", "", r, EXIT_FAILURE) : 0;
}

/* In workers it would be too late to find out. */
static int check_modules(const struct generation *g, enum log_level level)
{
	char error[MODULE_ERROR_SIZE];

	if (generation_check_modules(g->config, &g->identity, error) == 0)
		return 0;
	log_event(level, EV_SERVER_FAILED, LOG_TEXT("step", "load a module"),
		LOG_TEXT("reason", error));
	return EX_CONFIG;
}

static struct keys_env keys_env_of(const struct generation *g)
{
	return (struct keys_env){
		.keyring = g->keyring,
		.identity = &g->identity,
		.is_daemon = g->is_daemon,
	};
}

/* Workers inherit the certificates; the keys are in a process of their own. */
static int prepare_tls(struct generation *g, enum log_level level)
{
	const char *wrong;
	int r;

	if (keyring_count(g->keyring) == 0)
		return 0;
	r = keyring_make_tls(g->keyring, g->keys.asker_fd, &g->tls, &wrong);
	return r < 0 ? fail(level, "prepare TLS", wrong, r, status_of(r)) : 0;
}

static int start_keys(struct generation *g, enum log_level level)
{
	const struct keys_env env = keys_env_of(g);
	int r;

	if (keyring_count(g->keyring) == 0)
		return 0;
	r = keys_start(&g->keys, &env);
	if (r < 0)
		return fail(level, "start the keys process", "", r, EXIT_FAILURE);
	keyring_log(g->keyring);
	return 0;
}

int generation_check_modules(
	const struct config *c, const struct identity *identity, char *error)
{
	struct module_env env;

	if (c->module_count == 0)
		return 0;
	deciders_fill_check_env(c, &env);
	for (size_t i = 0; i < c->module_count; i++) {
		char wrong[MODULE_ERROR_SIZE];
		int n;

		if (module_check(&c->modules[i], 1, &env, identity, MODULE_CHECK_MS,
			    wrong) == 0)
			continue;
		n = snprintf(
			error, MODULE_ERROR_SIZE, "%s:%u: ", c->file, c->module_lines[i]);
		if (n > 0 && n < MODULE_ERROR_SIZE)
			(void)strlcpy(error + n, wrong, MODULE_ERROR_SIZE - (size_t)n);
		return -1;
	}
	return 0;
}

struct generation *generation_new(
	uint32_t number, const struct config *config, struct keyring *keyring)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	*g = (struct generation){
		.rule_numbers = calloc(config->rules.count + 1, sizeof(*g->rule_numbers)),
		.number = number,
		.config = config,
		.keyring = keyring,
		.keys = KEYS_NONE,
		.connector = CONNECTOR_NONE,
		.quit_pipe = {-1, -1},
	};
	if (g->rule_numbers == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

int generation_open(struct generation *g, const struct listener *existing,
	size_t existing_count, enum log_level level)
{
	int status = choose_identity(g, level);

	return status == 0 ? open_listeners(g, existing, existing_count, level) : status;
}

/* What all workers need of the mechanisms, each in its copy. */
static int prepare_sasl(struct generation *g, enum log_level level)
{
	const struct config *c = g->config;
	int r = 0;

	for (size_t i = 0; i < c->listener_count && g->sasl == NULL && r == 0; i++)
		if (c->listeners[i].smtp.auth != LISTEN_AUTH_OFF)
			r = sasl_new(&c->auth, &g->sasl);
	return r < 0 ? fail(level, "prepare AUTH", "", r, EXIT_FAILURE) : 0;
}

/* The libraries have left holes in the heap.  A page that malloc touches to look for a
 * place is a page that each worker has for itself from then on: so give back what can be,
 * and have the rest sorted, as a request does for which no hole is large enough. */
static void settle_heap(void)
{
	/* The compiler would leave out a request that it sees nobody use. */
	void *volatile larger;

	(void)malloc_trim(0);
	larger = malloc(LARGER_THAN_HOLES);
	free(larger);
}

int generation_prepare(struct generation *g, enum log_level level)
{
	int status = open_keys(g, level);

	if (status == 0)
		status = open_spawners(g, level);
	if (status == 0)
		status = open_connector(g, level);
	if (status == 0)
		status = check_modules(g, level);
	if (status == 0)
		status = build_sandbox(g, level);
	if (status == 0)
		status = prepare_deliveries(g, level);
	if (status == 0)
		status = open_quit_pipe(g, level);
	if (status == 0)
		status = prepare_sasl(g, level);
	if (status == 0)
		status = prepare_tls(g, level);
	return status;
}

int generation_start_helpers(struct generation *g, enum log_level level)
{
	int status = start_keys(g, level);

	if (status == 0)
		status = start_spawners(g, level);
	if (status == 0)
		status = start_connector(g, level);
	settle_heap();
	return status;
}

void generation_free(struct generation *g)
{
	if (g == NULL)
		return;
	generation_close_listeners(g, g->listeners, g->listener_count);
	keys_done(&g->keys);
	spawners_done(&g->spawners);
	connector_done(&g->connector);
	tls_free(g->tls);
	sasl_free(g->sasl);
	keyring_unref(g->keyring);
	sandbox_done(&g->sandbox);
	for (int i = 0; i < 2; i++)
		(void)fdio_close(&g->quit_pipe[i]);
	free(g->rule_numbers);
	free(g);
}

void generation_close_listeners(
	struct generation *g, const struct listener *kept, size_t kept_count)
{
	listeners_close(g->listeners, g->listener_count, kept, kept_count);
	g->listeners = NULL;
	g->listener_count = 0;
}

bool generation_note_exit(struct generation *g, pid_t pid, int status, bool is_expected)
{
	return keys_note_exit(&g->keys, pid, status, is_expected) ||
	       spawners_note_exit(&g->spawners, pid, status, is_expected) ||
	       connector_note_exit(&g->connector, pid, status, is_expected);
}

uint64_t generation_tend_helpers(struct generation *g, uint64_t now_ms)
{
	const struct keys_env keys = keys_env_of(g);
	const struct connector_env connector = connector_env_of(g);
	uint64_t next_ms = number_min(
		keys_tend(&g->keys, &keys, now_ms), spawners_tend(&g->spawners, now_ms));

	if (g->connector.asker_fd < 0)
		return next_ms;
	return number_min(next_ms, connector_tend(&g->connector, &connector, now_ms));
}

void generation_dismiss(struct generation *g)
{
	(void)fdio_close(&g->quit_pipe[1]);
}

void generation_retire(struct generation *g, unsigned n)
{
	static const char bytes[64];

	if (n > sizeof(bytes))
		n = sizeof(bytes);
	/* A pipe that is full has more than enough in it. */
	if (n > 0 && write(g->quit_pipe[1], bytes, n) < 0)
		return;
}

void generation_unretire(struct generation *g, unsigned n)
{
	char byte;

	while (n-- > 0 && read(g->quit_pipe[0], &byte, 1) == 1)
		continue;
}

unsigned generation_count_retiring(const struct generation *g)
{
	int bytes = 0;

	return ioctl(g->quit_pipe[0], FIONREAD, &bytes) < 0 ? 0 : (unsigned)bytes;
}

unsigned generation_count_waiting(const struct generation *g)
{
	unsigned waiting = 0;

	for (size_t i = 0; i < g->listener_count; i++)
		waiting += listener_count_waiting(&g->listeners[i]);
	return waiting;
}

/* Who expects TLS would take our words for a part of it.  Returns 1, 0 when there is no
 * client, or a negative errno. */
static int refuse_one(const struct listener *l, struct str reply)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED
			       ? 0
			       : -errno;
	/* It fits into the buffer of a new connection; who does not take it has gone. */
	if (l->settings->smtp.tls != LISTEN_TLS_IMPLICIT)
		(void)send(fd, reply.p, reply.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	(void)fdio_close(&fd);
	return 1;
}

int generation_refuse_waiting(const struct generation *g, uint64_t *count)
{
	char text[REPLY_SIZE];
	int n = snprintf(text, sizeof(text),
		"421 4.3.2 %s All workers are busy, try again later\r\n",
		g->config->smtp.hostname);
	struct str reply = {
		text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1};
	int r = 0;

	for (size_t i = 0; i < g->listener_count && r >= 0; i++) {
		r = 1;
		for (unsigned k = 0; k < REFUSALS_AT_ONCE && r == 1; k++) {
			r = refuse_one(&g->listeners[i], reply);
			*count += r == 1;
		}
	}
	return r < 0 ? r : 0;
}
