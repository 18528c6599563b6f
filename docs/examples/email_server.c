/* A mail server that is one class, as it may be written for EventMachine's SmtpServer in
 * Ruby, hook for hook: each function here has the name of the method it takes the place
 * of.
 *
 *   cc -shared -fPIC $(pkg-config --cflags sinkd) -o email_server.so email_server.c
 *
 * It takes any mail from anyone, and logs what came.  At log level debug each call is
 * logged, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sinkd_module.h>

/* What is known of the message that is on its way; all of it may be NULL. */
struct current {
	char *sender;
	char *recipient;
	char *ehlo_domain;
	char *data;
	size_t data_len;
	bool received;
	time_t completed_at;
};

/* The instance of the class: one for each session. */
struct instance {
	struct current current;
	char *ehlo_domain;
};

/* The class: one for each worker. */
struct email_server {
	const struct sinkd_host *host;
	struct sinkd_hooks hooks;
};

static void forget_current(struct instance *i)
{
	free(i->current.sender);
	free(i->current.recipient);
	free(i->current.ehlo_domain);
	free(i->current.data);
	memset(&i->current, 0, sizeof(i->current));
}

static void free_instance(void *state)
{
	struct instance *i = state;

	forget_current(i);
	free(i->ehlo_domain);
	free(i);
}

/* The session's own; NULL without memory. */
static struct instance *instance_of(void *user, struct sinkd_session *session)
{
	const struct email_server *server = user;
	const struct sinkd_host *host = server->host;
	struct instance *i = host->session_state(host, session);

	if (i == NULL && (i = calloc(1, sizeof(*i))) != NULL)
		host->set_session_state(host, session, i, free_instance);
	return i;
}

/* Strings of the server live until the hook returns: keep a copy, or refuse. */
static void keep(char **place, struct sinkd_str s, struct sinkd_verdict *verdict)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL) {
		verdict->code = 451;
		return;
	}
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	free(*place);
	*place = copy;
}

static void called(void *user, const char *method, struct sinkd_str argument)
{
	const struct email_server *server = user;
	char text[300];

	(void)snprintf(text, sizeof(text), "%s(%.*s)", method, (int)argument.len,
		argument.len > 0 ? argument.data : "");
	server->host->log(server->host, SINKD_DEBUG, text);
}

static const struct sinkd_str nothing = {"", 0};

static void receive_plain_auth(void *user, struct sinkd_session *session,
	struct sinkd_str name, struct sinkd_str password, struct sinkd_verdict *verdict)
{
	(void)session;
	(void)password;
	(void)verdict; /* it comes in as yes */
	called(user, "receive_plain_auth", name);
}

static struct sinkd_str get_server_domain(void *user, struct sinkd_session *session)
{
	static const char domain[] = "mock.smtp.server.local";

	(void)session;
	called(user, "get_server_domain", nothing);
	return (struct sinkd_str){domain, sizeof(domain) - 1};
}

static struct sinkd_str get_server_greeting(void *user, struct sinkd_session *session)
{
	static const char greeting[] = "mock smtp server greets you with impunity";

	(void)session;
	called(user, "get_server_greeting", nothing);
	return (struct sinkd_str){greeting, sizeof(greeting) - 1};
}

static void receive_sender(void *user, struct sinkd_session *session,
	struct sinkd_str sender, struct sinkd_str parameters,
	struct sinkd_verdict *verdict)
{
	struct instance *i = instance_of(user, session);

	(void)parameters;
	called(user, "receive_sender", sender);
	if (i != NULL)
		keep(&i->current.sender, sender, verdict);
}

static void receive_recipient(void *user, struct sinkd_session *session,
	struct sinkd_str recipient, struct sinkd_str parameters,
	struct sinkd_verdict *verdict)
{
	struct instance *i = instance_of(user, session);

	(void)parameters;
	called(user, "receive_recipient", recipient);
	if (i != NULL)
		keep(&i->current.recipient, recipient, verdict);
}

static void receive_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	const struct email_server *server = user;
	struct instance *i = instance_of(user, session);
	char text[1000];

	called(user, "receive_message", nothing);
	if (i == NULL) {
		verdict->code = 451;
		return;
	}
	i->current.received = true;
	i->current.completed_at = time(NULL);
	(void)snprintf(text, sizeof(text),
		"received_email: sender %s, recipient %s, ehlo_domain %s, %zu octets",
		i->current.sender != NULL ? i->current.sender : "nil",
		i->current.recipient != NULL ? i->current.recipient : "nil",
		i->current.ehlo_domain != NULL ? i->current.ehlo_domain : "nil",
		i->current.data_len);
	server->host->log(server->host, SINKD_INFO, text);
	forget_current(i);
}

static void receive_ehlo_domain(void *user, struct sinkd_session *session,
	struct sinkd_str domain, struct sinkd_verdict *verdict)
{
	struct instance *i = instance_of(user, session);

	called(user, "receive_ehlo_domain", domain);
	if (i != NULL)
		keep(&i->ehlo_domain, domain, verdict);
}

static void receive_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct instance *i = instance_of(user, session);

	called(user, "receive_data_command", nothing);
	if (i == NULL)
		return;
	keep(&i->current.data, nothing, verdict);
	i->current.data_len = 0;
}

/* The server's limits.message-size bounds what comes. */
static void receive_data_chunk(void *user, struct sinkd_session *session,
	struct sinkd_str data, struct sinkd_verdict *verdict)
{
	struct instance *i = instance_of(user, session);
	char *grown = NULL;

	called(user, "receive_data_chunk", nothing);
	if (i != NULL)
		grown = realloc(i->current.data, i->current.data_len + data.len + 1);
	if (grown == NULL) {
		verdict->code = 451;
		return;
	}
	if (data.len > 0)
		memcpy(grown + i->current.data_len, data.data, data.len);
	i->current.data_len += data.len;
	grown[i->current.data_len] = '\0';
	i->current.data = grown;
}

static void receive_transaction(void *user, struct sinkd_session *session)
{
	struct instance *i = instance_of(user, session);

	called(user, "receive_transaction", nothing);
	if (i == NULL || i->ehlo_domain == NULL)
		return;
	free(i->current.ehlo_domain);
	i->current.ehlo_domain = i->ehlo_domain;
	i->ehlo_domain = NULL;
}

static void receive_reset(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, "receive_reset", nothing);
}

static void connection_ended(void *user, struct sinkd_session *session)
{
	(void)session;
	called(user, "connection_ended", nothing);
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	struct email_server *server = calloc(1, sizeof(*server));

	(void)argument;
	if (server == NULL)
		return -1;
	server->host = host;
	server->hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(server->hooks),
		.user = server,
		.server_domain = get_server_domain,
		.server_greeting = get_server_greeting,
		.ehlo_domain = receive_ehlo_domain,
		.sender = receive_sender,
		.recipient = receive_recipient,
		.data_command = receive_data_command,
		.data_chunk = receive_data_chunk,
		.message = receive_message,
		.reset = receive_reset,
		.transaction = receive_transaction,
		.connection_ended = connection_ended,
		.plain_auth = receive_plain_auth,
	};
	ret->abi = SINKD_ABI;
	ret->hooks = &server->hooks;
	ret->user = server;
	ret->close = free;
	return 0;
}
