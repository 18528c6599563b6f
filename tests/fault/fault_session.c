/* Each call of a whole session fails, one after the other: engine, connection,
 * delivery and log, as a worker runs them.
 *
 * Then: a client that was told 250 has whole, durable files in new; one that was told
 * anything else has none; one that was told nothing has all or none.  Nothing is left
 * in tmp, no descriptor is lost, and the next client of this worker is served. */
#include "client.h"
#include "disk.h"
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keys/keyring.h"
#include "policy/sasl.h"
#include "proc/keys.h"
#include "proc/serve.h"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

#define CALLS                                                                            \
	(BITS3(malloc, calloc, realloc) | BITS3(write, log_write, fsync) |               \
		BITS3(recv, send, close) | BITS3(poll, openat, renameat2) |              \
		FAULT_BIT(CALL_socketpair) | FAULT_BIT(CALL_sendmsg))

struct session_case {
	const char *name;
	struct scene_settings settings;
	unsigned mailboxes;
	bool leaves_early; /* the client goes away in the middle of the text */
	bool is_unix;      /* the socket has no tick */
	unsigned repeats;  /* so many recipients more than the others, all the same */
	bool is_secure;    /* STARTTLS, and AUTH */
};

static const struct session_case cases[] = {
	{"session, one mailbox",
		.settings = {.path = "inbox", .headers = "\"Received\"", .sync = "full"},
		.mailboxes = 1},
	{"session, Unix socket",
		.settings = {.path = "inbox", .headers = "", .sync = "full"},
		.mailboxes = 1, .is_unix = true},
	{"session, several mailboxes",
		.settings = {.path = "%{recipient}", .headers = "", .sync = "full"},
		.mailboxes = 2},
	{"session, client leaves",
		.settings = {.path = "inbox", .headers = "", .sync = "full"},
		.mailboxes = 1, .leaves_early = true},
	{"session, many recipients",
		.settings = {.path = "inbox", .headers = "", .sync = "full"},
		.mailboxes = 1, .repeats = 300},
	{"session, discard", .settings = {.is_discard = true}},
	{"session, STARTTLS and AUTH",
		.settings = {.path = "inbox",
			.headers = "\"Received\"",
			.sync = "full",
			.has_auth = true},
		.mailboxes = 1, .is_secure = true},
	{"session, STARTTLS and AUTH on a Unix socket",
		.settings = {.path = "inbox",
			.headers = "",
			.sync = "full",
			.has_auth = true},
		.mailboxes = 1, .is_secure = true, .is_unix = true},
};

struct bench {
	const struct session_case *c;
	struct scene scene;
	struct server *server;
	struct listener listener;
	struct mail_text text, next;
	unsigned descriptors; /* of a worker that is idle */

	/* Of a secure one.  The keys process has a process of its own, as ever. */
	struct keyring *keyring;
	struct keys keys;
	struct tls *tls;
	struct sasl *sasl;
};

/* For the client that sits behind recv. */
static struct client *talking;
static int served_fd;
static struct counters *counters;
static const struct sockaddr_storage from = {.ss_family = AF_INET};
static const uint64_t secret[2] = {1, 2};

static unsigned count_client(void)
{
	return counters_count_client(counters, 1, counters_client_key(secret, &from));
}

static void take_turn(int fd)
{
	if (fd != served_fd) /* the answer of the keys process */
		return;
	faults_pause(true);
	faults_before_recv = NULL;
	CHECK(count_client() == 1);
	client_take_turn(talking);
	faults_before_recv = take_turn;
	faults_pause(false);
}

/* One client; its view of it is what counts.  fault NULL: none, and what has struck
 * is remembered. */
static struct client serve(struct bench *b, const struct mail_text *text,
	bool leaves_early, const struct fault *fault)
{
	static const struct fault none;
	struct client client;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		FAIL("socketpair");
	client_open(&client, sockets[0], text->sent);
	client.leaves_early = leaves_early;
	client.repeats = b->c->repeats;
	client.is_secure = b->c->is_secure;
	served_fd = sockets[1];
	talking = &client;
	faults_before_recv = take_turn;
	if (fault != NULL)
		faults_arm(fault, &none);
	serve_client_take_fd(b->server, &b->listener, sockets[1], &from);
	faults_disarm();
	faults_before_recv = NULL;
	CHECK(count_client() == 0);
	client_talk(&client); /* what it has not read yet */
	client_close(&client);
	return client;
}

static void check_session(
	const struct bench *b, const struct fault *fault, const struct client *client)
{
	const struct scene *s = &b->scene;
	struct tally found = scene_count(s, b->text.stored);
	unsigned mailboxes = b->c->mailboxes;

	if (!faults_has_struck() || fault->is_harmless)
		CHECK(client->is_accepted == !b->c->leaves_early);
	CHECK(!client->is_accepted || !client->is_refused);
	CHECK(found.tmp == 0);
	CHECK(found.whole == found.delivered);
	if (client->is_accepted) {
		CHECK(found.whole == mailboxes);
		CHECK(scene_is_durable(s, b->text.stored, mailboxes));
	} else {
		CHECK(found.delivered == 0 ||
			(!client->is_refused && !b->c->leaves_early &&
				found.delivered == mailboxes));
	}
}

static void run_case(void *user, const struct fault *fault)
{
	struct bench *b = user;
	char root[sizeof(b->scene.dir) + 8];
	struct client client;

	scene_clear(&b->scene, false);
	(void)snprintf(root, sizeof(root), "%s/mail", b->scene.dir);
	disk_start(root);
	client = serve(b, &b->text, b->c->leaves_early, fault);
	check_session(b, fault, &client);
	disk_stop();
	client = serve(b, &b->next, false, NULL);
	CHECK(client.is_accepted);
	CHECK(scene_count(&b->scene, b->next.stored).whole == b->c->mailboxes);
	if (b->descriptors == 0)
		b->descriptors = scene_descriptors();
	CHECK(scene_descriptors() == b->descriptors);
}

static void leave(void)
{
	FAIL("a notice that nobody gave");
}

static void open_secure(struct bench *b)
{
	static const struct identity nobody_else;
	const struct config *c = b->scene.config;
	struct keys_env env = {.identity = &nobody_else};
	const char *wrong;

	if (!b->c->is_secure)
		return;
	CHECK(keyring_load(c, NULL, stderr, &b->keyring) == 0);
	env.keyring = b->keyring;
	CHECK(keys_open(&b->keys, SANDBOX_OFF) == 0);
	CHECK(keyring_make_tls(b->keyring, b->keys.asker_fd, &b->tls, &wrong) == 0);
	CHECK(keys_start(&b->keys, &env) == 0);
	CHECK(sasl_new(&c->auth, &b->sasl) == 0);
}

static void close_secure(struct bench *b)
{
	sasl_free(b->sasl);
	tls_free(b->tls);
	keys_done(&b->keys);
	keyring_unref(b->keyring);
}

static void sweep_case(const struct session_case *c)
{
	static const struct fault none;
	static const struct board board = {.log_level = -1, .verbose = -1};
	static const struct delivery_env no_delivery_env;
	static struct slot slot;
	size_t failed;
	struct delivery *delivery = NULL;
	struct serve_env env = {
		.board = &board,
		.slot = &slot,
		.counters = counters,
		.client_key_secret = {secret[0], secret[1]},
		.worker_number = 1,
		.leave = leave,
	};
	struct bench b = {
		.c = c,
		.text = mail_text_make("the first", 40),
		.next = mail_text_make("the next", 1),
		.listener = {.fd = -1},
		.keys = KEYS_NONE,
	};

	scene_open(&b.scene, &c->settings);
	(void)log_open(b.scene.config->log_target, LOG_FORMAT_TEXT, LOG_INFO);
	CHECK(delivery_open(b.scene.config->deliveries, 1, &no_delivery_env, &delivery,
		      &failed) == 0);
	open_secure(&b);
	env.tls = b.tls;
	env.sasl = b.sasl;
	env.config = b.scene.config;
	env.delivery = delivery;
	b.listener.settings = &b.scene.config->listeners[0];
	b.listener.endpoint.address.ss_family = c->is_unix ? AF_UNIX : AF_INET;
	b.server = serve_new(&env);
	CHECK(b.server != NULL);
	run_case(&b, &none);
	faults_sweep(c->name, CALLS, run_case, &b);
	serve_free(b.server);
	close_secure(&b);
	delivery_close(delivery);
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	scene_close(&b.scene);
	mail_text_free(&b.text);
	mail_text_free(&b.next);
}

int main(int argc, char **argv, char **envp)
{
	int fd = -1;

	setproctitle_init(argc, argv, envp);
	(void)alarm(120); /* whoever hangs is found by this */
	faults_init();
	CHECK(counters_create(&counters, &fd) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		sweep_case(&cases[i]);
	(void)close(fd);
	return faults_conclude(CALLS);
}
