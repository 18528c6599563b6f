/* A module for test_module.c: what it does, and what is wrong with it, is its argument.
 * With WITHOUT_ENTRY it is none at all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sinkd_module.h>

extern const char odd_name[];
const char odd_name[] = "odd";

#ifndef WITHOUT_ENTRY
struct odd {
	const struct sinkd_host *host;
	const char *name;
	unsigned long sessions;
	/* The last member is one that this sinkd does not know. */
	struct {
		struct sinkd_hooks known;
		void (*unknown)(void);
	} hooks;
	struct sinkd_backend backend;
};

/* What is kept of a session: who keeps it, for the day it is freed. */
struct kept {
	const struct odd *odd;
	unsigned long number;
};

static void say(const struct odd *o, const char *what, const char *p, size_t n)
{
	char text[400];

	(void)snprintf(
		text, sizeof(text), "%s %s%.*s", o->name, what, (int)n, n > 0 ? p : "");
	o->host->log(o->host, SINKD_INFO, text);
}

static void say_str(const struct odd *o, const char *what, struct sinkd_str s)
{
	say(o, what, s.data, s.len);
}

static void say_number(const struct odd *o, const char *what, uint64_t number)
{
	char text[32];

	say(o, what, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, number));
}

static void free_kept(void *state)
{
	struct kept *k = state;

	say_number(k->odd, "frees ", k->number);
	free(k);
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str address, struct sinkd_verdict *verdict)
{
	struct odd *o = user;
	struct kept *k = calloc(1, sizeof(*k));

	(void)address;
	(void)verdict;
	if (k == NULL)
		abort();
	*k = (struct kept){o, ++o->sessions};
	say(o, o->host->session_state(o->host, session) == NULL ? "new" : "old", "", 0);
	o->host->set_session_state(o->host, session, k, free_kept);
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct odd *o = user;
	const struct kept *k = o->host->session_state(o->host, session);

	say_str(o, "sender ", path);
	say_number(o, "has ", k != NULL ? k->number : 0);
	if (path.len > 4 && memcmp(path.data, "next", 4) == 0)
		SINKD_NEXT(o->host, sender, session, path, parameters, verdict);
	if (path.len > 3 && memcmp(path.data, "end", 3) == 0)
		o->host->set_session_state(o->host, session, NULL, NULL);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct odd *o = user;

	(void)session;
	say_str(o, "parameters ", parameters);
	if (path.len < 4 || memcmp(path.data, "away", 4) != 0)
		return;
	verdict->action = SINKD_ROUTE;
	verdict->route = o->host->find_route(o->host, "away");
	say_number(o, "route ", verdict->route);
	say_number(o, "no route ", o->host->find_route(o->host, "nowhere"));
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	static const char *const texts[] = {"client_address", "client_name",
		"proxy_address", "listener", "server", "helo", "protocol", "tls_version",
		"tls_cipher", "tls_subject", "user", "sender", "sender_parameters",
		"message_id"};
	static const char *const numbers[] = {"client_port", "proxy_port",
		"recipient_count", "declared_size", "size", "is_lmtp", "is_smtputf8"};
	struct odd *o = user;
	const struct sinkd_host *h = o->host;
	const struct sinkd_envelope *e = h->envelope(session);
	char what[64];

	(void)verdict;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)snprintf(what, sizeof(what), "%s=", texts[i]);
		say_str(o, what, h->text(e, (enum sinkd_text)i));
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		(void)snprintf(what, sizeof(what), "%s=", numbers[i]);
		say_number(o, what, h->number(e, (enum sinkd_number)i));
	}
	for (size_t i = 0; i <= h->number(e, SINKD_RECIPIENT_COUNT); i++) {
		say_str(o, "recipient=", h->recipient(e, i));
		say_str(o, "recipient_parameters=", h->recipient_parameters(e, i));
	}
	say_str(o, "unknown=", h->text(e, (enum sinkd_text)99));
	say_number(o, "unknown=", h->number(e, (enum sinkd_number)99));
	say_number(o,
		"prepend=", h->prepend(session, (struct sinkd_str){"X-Odd: very", 11}));
	say_number(o, "prepend=", h->prepend(session, (struct sinkd_str){"X\n", 2}));
}

static void on_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct odd *o = user;
	const struct sinkd_host *h = o->host;

	(void)session;
	(void)verdict;
	say_number(o, "seen=", h->seen(h, "key", 3, 1000));
	say_number(o, "count=", h->count(h, "key", 3, 1000));
	say_number(o, "count=", h->count(h, "key", 3, 1000));
	say_number(o, "seen=", h->seen(h, "key", 3, 1000));
	say_number(o, "other window=", h->count(h, "key", 3, 0));
	say_number(o, "other key=", h->count(h, "ke", 2, 1000));
	h->log(h, SINKD_DEBUG, "debug");
	h->log(h, SINKD_WARN, "line\nfeed");
	h->log(h, (enum sinkd_level)77, "unknown level");
}

static void on_connection_ended(void *user, struct sinkd_session *session)
{
	(void)session;
	say(user, "ended", "", 0);
}

static void commit(
	void *user, void *message, const bool *keep, struct sinkd_result *results)
{
	(void)user;
	(void)message;
	(void)keep;
	(void)results;
}

static void fill(struct odd *o)
{
	o->hooks.known = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(o->hooks.known),
		.user = o,
		.connect = on_connect,
		.sender = on_sender,
		.recipient = on_recipient,
		.data_command = on_data_command,
		.message = on_message,
		.connection_ended = on_connection_ended,
	};
	o->backend = (struct sinkd_backend){
		.abi = SINKD_ABI,
		.size = sizeof(o->backend),
		.user = o,
		.commit = commit,
	};
}

static void close_odd(void *user)
{
	struct odd *o = user;

	say(o, "closed", "", 0);
	free(o);
}

/* Of another ABI, and so it is not closed. */
static void *stray;

__attribute__((destructor)) static void free_stray(void)
{
	free(stray);
}

/* As the argument has it. */
static void spoil(struct odd *o, struct sinkd_module *m, const char *how)
{
	struct sinkd_hooks *h = &o->hooks.known;

	if (strcmp(how, "abi") == 0)
		m->abi = 99, stray = o;
	else if (strcmp(how, "nothing") == 0)
		m->hooks = NULL, m->backend = NULL;
	else if (strcmp(how, "hooks abi") == 0)
		h->abi = 99;
	else if (strcmp(how, "hooks short") == 0)
		h->size = 8;
	else if (strcmp(how, "hooks long") == 0)
		h->size = 1 << 30;
	else if (strcmp(how, "hooks uneven") == 0)
		h->size--;
	else if (strncmp(how, "newer", 5) == 0)
		h->size = sizeof(o->hooks);
	else if (strcmp(how, "older") == 0)
		h->size = offsetof(struct sinkd_hooks, recipient);
	else if (strcmp(how, "backend abi") == 0)
		o->backend.abi = 0;
	else if (strcmp(how, "backend short") == 0)
		o->backend.size = offsetof(struct sinkd_backend, end);
	else if (strcmp(how, "no commit") == 0)
		o->backend.commit = NULL;
	if (strcmp(how, "newer and needed") == 0)
		o->hooks.unknown = abort;
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	struct odd *o;

	if (strcmp(argument, "crash") == 0)
		abort();
	if (strcmp(argument, "exit") == 0)
		_exit(0);
	while (strcmp(argument, "hang") == 0)
		(void)pause();
	if (strcmp(argument, "refuse") == 0) {
		memset(ret->error, 'x', sizeof(ret->error));
		return 1;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL || host->abi != SINKD_ABI || host->size < sizeof(*host) ||
		ret->size < sizeof(*ret))
		abort();
	o->host = host;
	o->name = argument;
	fill(o);
	ret->abi = SINKD_ABI;
	ret->hooks = &o->hooks.known;
	ret->backend = &o->backend;
	ret->user = o;
	ret->close = close_odd;
	spoil(o, ret, argument);
	return 0;
}
#endif
