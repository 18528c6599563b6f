/* Modules; see module.h.
 *
 * Runs in workers, between the change of identity and the sandbox, and in a child that
 * checks a configuration; never in the master.  Modules are the user's code, trusted to
 * be well meant: of their tables all is checked that can be without believing them.  What
 * they crash is this process, and so the session that it serves. */
#include "policy/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/sinkd_module.h"
#include "base/log.h"
#include "base/number.h"
#include "base/siphash.h"
#include "policy/stack.h"
#include "smtp/envelope.h"
#include "smtp/session.h"

/* More than any table will have: a size beyond it is none. */
#define TABLE_MAX 4096

struct module {
	const struct module_settings *settings;
	const struct module_env *env;
	struct sinkd_host host;
	void *object; /* NULL: not loaded */
	bool is_open;
	struct sinkd_module self;
	/* Copies of its tables; what these do not have is NULL. */
	struct sinkd_hooks hooks;
	struct sinkd_backend backend;
	/* What it keeps of the session. */
	uint64_t session;
	void *state;
	void (*free_state)(void *);
};

struct modules {
	struct sinkd_hooks end; /* of the layer below them */
	size_t count;
	struct module modules[];
};

/* --------------------------------------------------- what modules may ask: reading */

static struct smtp *session_of(struct sinkd_session *session)
{
	return (struct smtp *)session;
}

static const struct envelope *envelope_of(const struct sinkd_envelope *envelope)
{
	return (const struct envelope *)envelope;
}

static struct str str_in(struct sinkd_str s)
{
	return (struct str){s.data, s.len};
}

static struct sinkd_str str_out(struct str s)
{
	return (struct sinkd_str){s.p, s.n};
}

static const struct sinkd_envelope *host_envelope(struct sinkd_session *session)
{
	return (const struct sinkd_envelope *)smtp_envelope(session_of(session));
}

static struct str text_of(const struct envelope *e, enum sinkd_text which)
{
	const struct envelope_client *c = &e->client;

	switch (which) {
	case SINKD_CLIENT_ADDRESS:
		return c->address;
	case SINKD_CLIENT_NAME:
		return c->name;
	case SINKD_PROXY_ADDRESS:
		return c->proxy_address;
	case SINKD_LISTENER:
		return c->listener;
	case SINKD_SERVER:
		return c->server;
	case SINKD_HELO:
		return c->helo;
	case SINKD_PROTOCOL:
		return str_of(envelope_protocol(e));
	case SINKD_TLS_VERSION:
		return c->tls.version;
	case SINKD_TLS_CIPHER:
		return c->tls.cipher;
	case SINKD_TLS_SUBJECT:
		return c->tls.subject;
	case SINKD_USER:
		return c->user;
	case SINKD_SENDER:
		return e->sender.mailbox;
	case SINKD_SENDER_PARAMETERS:
		return e->sender_parameters;
	case SINKD_MESSAGE_ID:
		return str_of(e->stamp.id);
	}
	return (struct str){0};
}

static struct sinkd_str host_text(
	const struct sinkd_envelope *envelope, enum sinkd_text which)
{
	return str_out(text_of(envelope_of(envelope), which));
}

static uint64_t host_number(
	const struct sinkd_envelope *envelope, enum sinkd_number which)
{
	const struct envelope *e = envelope_of(envelope);

	switch (which) {
	case SINKD_CLIENT_PORT:
		return e->client.port;
	case SINKD_PROXY_PORT:
		return e->client.proxy_port;
	case SINKD_RECIPIENT_COUNT:
		return e->recipient_count;
	case SINKD_DECLARED_SIZE:
		return e->declared_size;
	case SINKD_SIZE:
		return e->size_bytes;
	case SINKD_IS_LMTP:
		return e->client.is_lmtp;
	case SINKD_IS_SMTPUTF8:
		return e->is_smtputf8;
	}
	return 0;
}

static const struct recipient *recipient_at(
	const struct sinkd_envelope *envelope, size_t i)
{
	static const struct recipient none;
	const struct envelope *e = envelope_of(envelope);

	return i < e->recipient_count ? &e->recipients[i] : &none;
}

static struct sinkd_str host_recipient(const struct sinkd_envelope *envelope, size_t i)
{
	return str_out(recipient_at(envelope, i)->address.mailbox);
}

/* What follows the path, whose end is the first bracket outside of quotes. */
static struct sinkd_str host_recipient_parameters(
	const struct sinkd_envelope *envelope, size_t i)
{
	struct str rest = recipient_at(envelope, i)->argument;
	bool is_quoted = false;

	for (; rest.n > 0 && (is_quoted || rest.p[0] != '>'); rest = str_skip(rest, 1)) {
		if (rest.p[0] == '"')
			is_quoted = !is_quoted;
		else if (rest.p[0] == '\\')
			rest = str_skip(rest, 1);
	}
	return str_out(str_trim_start(str_skip(rest, 1)));
}

/* ------------------------------------------------------- what modules may ask: the rest
 */

static void drop_state(struct module *m)
{
	void *state = m->state;
	void (*free_state)(void *) = m->free_state;

	m->state = NULL;
	m->free_state = NULL;
	if (state != NULL && free_state != NULL)
		free_state(state);
}

/* What a module keeps of one session is nobody else's, whatever was or was not told at
 * the end of it. */
static struct module *turn_to_session(
	const struct sinkd_host *host, struct sinkd_session *session)
{
	struct module *m = host->user;
	uint64_t number = smtp_session_number(session_of(session));

	if (m->session != number)
		drop_state(m);
	m->session = number;
	return m;
}

static void *host_session_state(
	const struct sinkd_host *host, struct sinkd_session *session)
{
	return turn_to_session(host, session)->state;
}

static void host_set_session_state(const struct sinkd_host *host,
	struct sinkd_session *session, void *state, void (*free_state)(void *))
{
	struct module *m = turn_to_session(host, session);

	if (m->state != state)
		drop_state(m);
	m->state = state;
	m->free_state = free_state;
}

/* Modules and windows have keys of their own. */
static uint64_t key_of(
	const struct module *m, const void *bytes, size_t n, uint64_t window_ms)
{
	const struct str path = str_of(m->settings->path);
	const uint64_t of_module[2] = {
		siphash(m->env->secret, path.p, path.n), window_ms};

	return siphash(of_module, bytes, n);
}

static uint64_t host_count(
	const struct sinkd_host *host, const void *key, size_t n, uint64_t window_ms)
{
	const struct module *m = host->user;

	return m->env->count(m->env->user, key_of(m, key, n, window_ms), window_ms);
}

static uint64_t host_seen(
	const struct sinkd_host *host, const void *key, size_t n, uint64_t window_ms)
{
	const struct module *m = host->user;

	return m->env->seen(m->env->user, key_of(m, key, n, window_ms), window_ms);
}

static uint32_t host_find_route(const struct sinkd_host *host, const char *name)
{
	const struct module *m = host->user;

	return m->env->find_route(m->env->user, str_of(name));
}

static bool host_prepend(struct sinkd_session *session, struct sinkd_str line)
{
	return smtp_prepend(session_of(session), str_in(line));
}

static void host_log(
	const struct sinkd_host *host, enum sinkd_level level, const char *text)
{
	static const enum log_level levels[] = {
		[SINKD_DEBUG] = LOG_DEBUG,
		[SINKD_INFO] = LOG_INFO,
		[SINKD_WARN] = LOG_WARN,
		[SINKD_ERROR] = LOG_ERROR,
	};
	const size_t count = sizeof(levels) / sizeof(levels[0]);
	const struct module *m = host->user;

	log_event((size_t)level < count ? levels[level] : LOG_ERROR, EV_MODULE_NOTE,
		LOG_TEXT("module", m->settings->path), LOG_TEXT("text", text));
}

static const struct sinkd_host host_functions = {
	.abi = SINKD_ABI,
	.size = sizeof(struct sinkd_host),
	.envelope = host_envelope,
	.text = host_text,
	.number = host_number,
	.recipient = host_recipient,
	.recipient_parameters = host_recipient_parameters,
	.session_state = host_session_state,
	.set_session_state = host_set_session_state,
	.count = host_count,
	.seen = host_seen,
	.find_route = host_find_route,
	.prepend = host_prepend,
	.log = host_log,
};

/* ----------------------------------------------------------------------- loading */

/* "MODULE: what", and maybe ": why". */
static int fail(char *error, const struct module *m, const char *what, const char *why)
{
	(void)snprintf(error, MODULE_ERROR_SIZE, "module '%s' %s%s%s", m->settings->path,
		what, why[0] != '\0' ? ": " : "", why);
	return -1;
}

/* Copy a table of the module, which begins with abi and size, to ret; least: without so
 * much it is no table.  What is longer than ours is from a newer header; unless that is
 * zero the module counts on something that is not here. */
static const char *take_table(const void *table, void *ret, size_t size, size_t least)
{
	const uint32_t *head = table;
	const char *bytes = table;

	if (head[0] != SINKD_ABI)
		return "has a table for another ABI";
	if (head[1] < least || head[1] > TABLE_MAX || head[1] % sizeof(void *) != 0)
		return "has a table of a wrong size";
	for (size_t i = size; i < head[1]; i++)
		if (bytes[i] != 0)
			return "needs a newer sinkd";
	memset(ret, 0, size);
	memcpy(ret, table, number_min(head[1], size));
	return NULL;
}

static const char *take_tables(struct module *m)
{
	const char *wrong = NULL;

	if (m->self.abi != SINKD_ABI)
		return "is built for another ABI";
	if (m->self.hooks == NULL && m->self.backend == NULL)
		return "has neither hooks nor a backend";
	if (m->self.hooks != NULL)
		wrong = take_table(m->self.hooks, &m->hooks, sizeof(m->hooks),
			offsetof(struct sinkd_hooks, connect));
	if (wrong == NULL && m->self.backend != NULL)
		wrong = take_table(m->self.backend, &m->backend, sizeof(m->backend),
			sizeof(m->backend));
	if (wrong == NULL && m->self.backend != NULL && m->backend.commit == NULL)
		wrong = "has a backend without commit";
	if (wrong == NULL && m->self.backend == NULL && m->settings->needs_backend)
		wrong = "has no backend, and a section deliver names it";
	m->hooks.size = sizeof(m->hooks);
	m->backend.size = sizeof(m->backend);
	return wrong;
}

static int load(struct module *m, char *error)
{
	/* dlsym gives functions as data. */
	union {
		void *symbol;
		int (*open)(
			const struct sinkd_host *, const char *, struct sinkd_module *);
	} entry;
	const char *wrong;

	if (m->settings->path[0] != '/')
		return fail(error, m, "is not named by an absolute path", "");
	m->object = dlopen(m->settings->path, RTLD_NOW | RTLD_LOCAL);
	if (m->object == NULL)
		return fail(error, m, "cannot be loaded", dlerror());
	entry.symbol = dlsym(m->object, "sinkd_module_open");
	if (entry.symbol == NULL)
		return fail(error, m, "has no function sinkd_module_open", "");
	m->self.size = sizeof(m->self);
	if (entry.open(&m->host, m->settings->argument, &m->self) != 0) {
		m->self.error[sizeof(m->self.error) - 1] = '\0';
		return fail(error, m, "does not start", m->self.error);
	}
	/* Of another ABI nothing is known but its number. */
	m->is_open = m->self.abi == SINKD_ABI;
	wrong = take_tables(m);
	return wrong == NULL ? 0 : fail(error, m, wrong, "");
}

/* The last layer that is told of the end of a session. */
static void end_session(void *user, struct sinkd_session *session)
{
	struct modules *all = user;

	(void)session;
	for (size_t i = 0; i < all->count; i++)
		drop_state(&all->modules[i]);
}

int modules_load(const struct module_settings *settings, size_t n,
	const struct module_env *env, struct stack *stack, size_t first_layer,
	char *error, struct modules **ret)
{
	struct modules *all = calloc(1, sizeof(*all) + n * sizeof(all->modules[0]));

	if (all == NULL) {
		(void)snprintf(error, MODULE_ERROR_SIZE, "no memory for modules");
		return -1;
	}
	for (; all->count < n; all->count++) {
		struct module *m = &all->modules[all->count];

		m->settings = &settings[all->count];
		m->env = env;
		m->host = host_functions;
		m->host.user = m;
		m->host.next = stack_add(stack, NULL);
		if (load(m, error) < 0) {
			all->count++;
			modules_free(all);
			return -1;
		}
		if (m->self.hooks != NULL)
			stack_set(stack, first_layer + all->count, &m->hooks);
	}
	all->end = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(all->end),
		.user = all,
		.connection_ended = end_session,
	};
	if (n > 0)
		(void)stack_add(stack, &all->end);
	*ret = all;
	return 0;
}

const struct sinkd_backend *modules_backend(const struct modules *m, size_t module)
{
	if (module >= m->count || m->modules[module].self.backend == NULL)
		return NULL;
	return &m->modules[module].backend;
}

void modules_free(struct modules *m)
{
	if (m == NULL)
		return;
	for (size_t i = m->count; i-- > 0;) {
		struct module *one = &m->modules[i];

		drop_state(one);
		if (one->is_open && one->self.close != NULL)
			one->self.close(one->self.user);
		if (one->object != NULL)
			(void)dlclose(one->object);
	}
	free(m);
}
