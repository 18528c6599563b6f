/* A greylister: who comes for the first time is sent away, and welcome after a while.
 * Mail servers try again; much of what sends spam does not.
 *
 *   cc -shared -fPIC $(pkg-config --cflags sinkd) -o greylist.so greylist.c
 *
 * argument: after how many seconds, 300 without.
 *
 * What was seen is counted by the host, for all workers together; it is forgotten when
 * the server stops.  What is kept of a session is how many recipients were sent away, and
 * of a worker likewise. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sinkd_module.h>

#define DELAY_S     300
#define DELAY_MAX_S (24 * 60 * 60)

/* How long who came once may take to come again, and for how long it is welcome then. */
#define RETRY_MS   (UINT64_C(2) * 24 * 60 * 60 * 1000)
#define WELCOME_MS (UINT64_C(36) * 24 * 60 * 60 * 1000)

/* Longer keys are cut. */
#define KEY_MAX 1024

struct greylist {
	const struct sinkd_host *host;
	struct sinkd_hooks hooks;
	uint64_t delay_ms;
	unsigned long deferred; /* by this worker */
};

struct visit {
	unsigned deferred;
};

static size_t add(char *key, size_t used, struct sinkd_str s)
{
	size_t n = s.len < KEY_MAX - 1 - used ? s.len : KEY_MAX - 1 - used;

	if (n > 0)
		memcpy(key + used, s.data, n);
	key[used + n] = '\n';
	return used + n + 1 < KEY_MAX ? used + n + 1 : KEY_MAX - 1;
}

/* Whether client, sender and recipient are welcome together. */
static bool is_welcome(
	struct greylist *g, const struct sinkd_envelope *envelope, struct sinkd_str path)
{
	const struct sinkd_host *host = g->host;
	char key[KEY_MAX];
	size_t n = add(key, 0, host->text(envelope, SINKD_CLIENT_ADDRESS));
	bool is_first, is_early;

	n = add(key, n, host->text(envelope, SINKD_SENDER));
	n = add(key, n, path);
	/* With another window it is another key. */
	if (host->seen(host, key, n, WELCOME_MS) > 0)
		return true;
	is_first = host->count(host, key, n, RETRY_MS) == 1;
	is_early = host->count(host, key, n, g->delay_ms) > 1;
	if (is_first || is_early)
		return false;
	(void)host->count(host, key, n, WELCOME_MS);
	return true;
}

static void note_deferred(struct greylist *g, struct sinkd_session *session)
{
	struct visit *v = g->host->session_state(g->host, session);

	if (v == NULL && (v = calloc(1, sizeof(*v))) != NULL)
		g->host->set_session_state(g->host, session, v, free);
	if (v != NULL)
		v->deferred++;
	g->deferred++;
}

static void recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct greylist *g = user;
	const struct sinkd_envelope *envelope = g->host->envelope(session);

	/* What the layers below refuse for good need not come again. */
	SINKD_NEXT(g->host, recipient, session, path, parameters, verdict);
	if (verdict->code != 0 || verdict->action != SINKD_DECIDE ||
		g->host->text(envelope, SINKD_USER).len > 0 ||
		is_welcome(g, envelope, path))
		return;
	note_deferred(g, session);
	verdict->code = 450;
	(void)snprintf(verdict->enhanced, sizeof(verdict->enhanced), "4.7.1");
	(void)snprintf(verdict->text, sizeof(verdict->text),
		"Greylisted, please try again in %lu seconds",
		(unsigned long)(g->delay_ms / 1000));
}

static void data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	static const char line[] = "X-Greylist: passed";
	struct greylist *g = user;

	(void)g->host->prepend(session, (struct sinkd_str){line, sizeof(line) - 1});
	SINKD_NEXT(g->host, data_command, session, verdict);
}

static void connection_ended(void *user, struct sinkd_session *session)
{
	struct greylist *g = user;
	const struct visit *v = g->host->session_state(g->host, session);
	char text[100];

	if (v == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%u recipients deferred, %lu by this worker",
		v->deferred, g->deferred);
	g->host->log(g->host, SINKD_INFO, text);
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	char *end = NULL;
	unsigned long seconds = DELAY_S;
	struct greylist *g;

	errno = 0;
	if (argument[0] != '\0')
		seconds = strtoul(argument, &end, 10);
	if ((end != NULL && *end != '\0') || errno != 0 || argument[0] == '-' ||
		seconds < 1 || seconds > DELAY_MAX_S) {
		(void)snprintf(ret->error, sizeof(ret->error),
			"the argument must be a number of seconds from 1 to %d",
			DELAY_MAX_S);
		return -EINVAL;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->host = host;
	g->delay_ms = seconds * 1000;
	g->hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(g->hooks),
		.user = g,
		.recipient = recipient,
		.data_command = data_command,
		.connection_ended = connection_ended,
	};
	ret->abi = SINKD_ABI;
	ret->hooks = &g->hooks;
	ret->user = g;
	ret->close = free;
	return 0;
}
