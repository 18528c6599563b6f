/* A module that does as clients want it to, for test_modules.py and others.
 *
 * argument: its name, for the log; or "open-FAULT", "close-FAULT": what it does when it
 * is opened or closed; "late-FAULT" when it is closed and has had a session by then,
 * "worker-FAULT" when it is opened, but not if that is only to check it.
 *
 * RCPT TO:<FAULT@...> does it there; RCPT TO:<FAULT.HOOK@...> later, in that hook of the
 * same session.  Other recipients, and what is logged: see below. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sinkd_module.h>

struct wilful {
	const struct sinkd_host *host;
	const char *name;
	unsigned long sessions; /* of this worker */
	struct sinkd_hooks hooks;
	struct sinkd_backend backend;
};

/* What is kept of a session. */
struct session {
	unsigned long number;
	char fault[16];
	char hook[24];
};

/* ------------------------------------------------------------------------- faults */

static void segv(void)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

/* Without an end, but for that of the stack. */
static unsigned recurse(volatile unsigned depth)
{
	volatile char frame[4096];

	frame[depth % sizeof(frame)] = 1;
	return depth == 0 ? 0 : recurse(depth + 1) + (unsigned)frame[0];
}

static void hang(void)
{
	for (;;)
		(void)poll(NULL, 0, -1);
}

static void print(void)
{
	(void)printf("printed\n");
	(void)fflush(stdout);
}

static void commit_fault(const char *fault)
{
	if (strcmp(fault, "segv") == 0)
		segv();
	else if (strcmp(fault, "abort") == 0)
		abort();
	else if (strcmp(fault, "exit0") == 0)
		exit(0);
	else if (strcmp(fault, "exit9") == 0)
		exit(9);
	else if (strcmp(fault, "recurse") == 0)
		(void)recurse(1);
	else if (strcmp(fault, "hang") == 0)
		hang();
	else if (strcmp(fault, "print") == 0)
		print();
	else if (strcmp(fault, "fork") == 0)
		(void)!fork();
	else if (strcmp(fault, "socket") == 0)
		(void)socket(AF_INET, SOCK_STREAM, 0);
}

/* ---------------------------------------------------------------------- sessions */

static void say(const struct wilful *w, const char *what, struct sinkd_str text)
{
	char line[300];

	(void)snprintf(line, sizeof(line), "%s %s%.*s", w->name, what, (int)text.len,
		text.len > 0 ? text.data : "");
	w->host->log(w->host, SINKD_INFO, line);
}

static void say_number(const struct wilful *w, const char *what, long long number)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld", number);

	say(w, what, (struct sinkd_str){text, (size_t)n});
}

static struct session *session_of(struct wilful *w, struct sinkd_session *session)
{
	struct session *s = w->host->session_state(w->host, session);

	if (s == NULL && (s = calloc(1, sizeof(*s))) != NULL) {
		s->number = ++w->sessions;
		w->host->set_session_state(w->host, session, s, free);
	}
	if (s == NULL)
		abort();
	return s;
}

/* A hook has been reached: maybe it is the one. */
static void reach(struct wilful *w, struct sinkd_session *session, const char *hook)
{
	struct session *s = session_of(w, session);

	if (strcmp(s->hook, hook) == 0)
		commit_fault(s->fault);
}

static bool is_called(struct sinkd_str path, const char *local)
{
	size_t n = strlen(local);

	return path.len > n && memcmp(path.data, local, n) == 0 && path.data[n] == '@';
}

static void set_text(
	struct sinkd_verdict *verdict, int code, const char *what, long number)
{
	verdict->code = code;
	(void)snprintf(verdict->text, sizeof(verdict->text), "%s %ld", what, number);
}

/* --------------------------------------------------------------------------- hooks */

/* Each hook that decides asks on, and tells what it has heard from below. */
#define ASK_ON(w, hook, ...)                                                             \
	do {                                                                             \
		SINKD_NEXT((w)->host, hook, __VA_ARGS__);                                \
		say_number((w), #hook " heard ", verdict->code);                         \
	} while (0)

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str address, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;

	say(w, "connect ", address);
	say_number(w, "session ", (long long)session_of(w, session)->number);
	ASK_ON(w, connect, session, address, verdict);
}

static struct sinkd_str on_server_greeting(void *user, struct sinkd_session *session)
{
	struct wilful *w = user;
	struct sinkd_str below = {"", 0};

	if (w->host->next->server_greeting != NULL)
		below = w->host->next->server_greeting(w->host->next->user, session);
	say(w, "server_greeting heard ", below);
	return (struct sinkd_str){w->name, strlen(w->name)};
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;

	say(w, "sender ", path);
	if (is_called(path, w->name))
		set_text(verdict, 550, w->name, 0);
	else
		ASK_ON(w, sender, session, path, parameters, verdict);
}

/* FAULT or FAULT.HOOK. */
static void note_fault(struct session *s, struct sinkd_str path)
{
	const char *at = memchr(path.data, '@', path.len);
	size_t n = at != NULL ? (size_t)(at - path.data) : path.len;
	char local[sizeof(s->fault) + sizeof(s->hook)] = "";
	char *dot;

	if (n >= sizeof(local))
		return;
	memcpy(local, path.data, n);
	dot = strchr(local, '.');
	(void)snprintf(
		s->hook, sizeof(s->hook), "%s", dot != NULL ? dot + 1 : "recipient");
	if (dot != NULL)
		*dot = '\0';
	(void)snprintf(
		s->fault, sizeof(s->fault), "%.*s", (int)sizeof(s->fault) - 1, local);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;
	struct session *s = session_of(w, session);

	if (path.len == 0)
		return;
	note_fault(s, path);
	reach(w, session, "recipient");
	if (is_called(path, "away")) {
		verdict->action = SINKD_ROUTE;
		verdict->route = w->host->find_route(w->host, "away");
	} else if (is_called(path, "nowhere")) {
		verdict->action = SINKD_DISCARD;
	} else if (is_called(path, "count")) {
		set_text(verdict, 450, "count",
			(long)w->host->count(w->host, "key", 3, 0));
	} else if (is_called(path, "session")) {
		set_text(verdict, 450, "session", (long)s->number);
	} else if (is_called(path, "open")) {
		int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

		set_text(verdict, 450, "open", fd < 0 ? errno : 0);
	} else {
		ASK_ON(w, recipient, session, path, parameters, verdict);
	}
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;
	char line[100];
	int n = snprintf(line, sizeof(line), "X-Wilful: %s", w->name);

	reach(w, session, "data_command");
	(void)w->host->prepend(session, (struct sinkd_str){line, (size_t)n});
	ASK_ON(w, data_command, session, verdict);
}

static void on_data_chunk(void *user, struct sinkd_session *session,
	struct sinkd_str bytes, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;

	reach(w, session, "data_chunk");
	SINKD_NEXT(w->host, data_chunk, session, bytes, verdict);
}

static void on_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;

	reach(w, session, "message");
	ASK_ON(w, message, session, verdict);
}

static void on_message_recipient(void *user, struct sinkd_session *session,
	struct sinkd_str path, struct sinkd_verdict *verdict)
{
	struct wilful *w = user;

	if (is_called(path, "late"))
		set_text(verdict, 452, w->name, 0);
	else
		ASK_ON(w, message_recipient, session, path, verdict);
}

static void on_transaction(void *user, struct sinkd_session *session)
{
	reach(user, session, "transaction");
	say(user, "transaction", (struct sinkd_str){"", 0});
}

static void on_connection_ended(void *user, struct sinkd_session *session)
{
	reach(user, session, "connection_ended");
	say(user, "connection_ended", (struct sinkd_str){"", 0});
}

/* ----------------------------------------------------------- backend and opening */

/* It takes all, and keeps nothing. */
static void commit(
	void *user, void *message, const bool *keep, struct sinkd_result *results)
{
	(void)message;
	(void)keep;
	(void)results;
	say(user, "commit", (struct sinkd_str){"", 0});
}

static void close_wilful(void *user)
{
	struct wilful *w = user;

	if (strncmp(w->name, "close-", 6) == 0)
		commit_fault(w->name + 6);
	if (strncmp(w->name, "late-", 5) == 0 && w->sessions > 0)
		commit_fault(w->name + 5);
	free(w);
}

/* The signal that a worker gets when its master dies. */
static bool is_in_worker(void)
{
	int number = 0;

	return prctl(PR_GET_PDEATHSIG, &number) == 0 && number == SIGTERM;
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	struct wilful *w;

	if (strncmp(argument, "open-", 5) == 0)
		commit_fault(argument + 5);
	if (strncmp(argument, "worker-", 7) == 0 && is_in_worker())
		commit_fault(argument + 7);
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->host = host;
	w->name = argument;
	w->hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(w->hooks),
		.user = w,
		.connect = on_connect,
		.server_greeting = on_server_greeting,
		.sender = on_sender,
		.recipient = on_recipient,
		.data_command = on_data_command,
		.data_chunk = on_data_chunk,
		.message = on_message,
		.transaction = on_transaction,
		.connection_ended = on_connection_ended,
		.message_recipient = on_message_recipient,
	};
	w->backend = (struct sinkd_backend){
		.abi = SINKD_ABI,
		.size = sizeof(w->backend),
		.user = w,
		.commit = commit,
	};
	ret->abi = SINKD_ABI;
	ret->hooks = &w->hooks;
	ret->backend = &w->backend;
	ret->user = w;
	ret->close = close_wilful;
	return 0;
}
