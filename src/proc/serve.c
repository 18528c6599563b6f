/* One client; see serve.h.
 *
 * Runs in workers.  This is where the engine meets the world: its bytes go to
 * and from the connection, its messages into the delivery, its events into the
 * log.  What a client sends is never looked at here.
 *
 * Time: every wait has an absolute deadline.  A read gives up after a second at
 * most, so deadlines and the notice board are looked at that often even when the
 * client says nothing, and after every read when it does. */
#include "proc/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/conn.h"
#include "smtp/session.h"

/* Longest wait between two looks at the notice board. */
#define PAUSE_SLICE_MS 1000

/* How long a message may go on before its rate is looked at. */
#define MIN_RATE_GRACE_MS 2000

struct server {
	const struct serve_env *env;
	struct smtp *engine;
	struct smtp_env engine_env;
	struct conn conn;
	unsigned pid; /* cached: getpid(2) would be a call per message */
	uint64_t last_stamp_us;
	uint64_t random;

	/* the client being served */
	char address[INET6_ADDRSTRLEN];
	char session_id[MESSAGE_ID_SIZE];
	unsigned messages;
	const char *delivery_name;
	int failure; /* why the connection broke, a negative errno */
	uint64_t session_deadline_ms;
	uint64_t message_start_ms; /* 0: the message has not begun */
	uint64_t message_bytes;
	uint64_t deadline_ms; /* the one for the next bytes */
	uint64_t line_count;  /* when the deadline was set */
	bool was_in_data;
	bool is_drain_told;
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* xorshift64: tells names of one microsecond apart, no secret depends on it. */
static unsigned next_random(struct server *v)
{
	v->random ^= v->random << 13;
	v->random ^= v->random >> 7;
	v->random ^= v->random << 17;
	return (unsigned)v->random;
}

/* The low digits of value in hexadecimal; returns the place behind them. */
static char *add_hex(char *p, unsigned digits, uint64_t value)
{
	for (unsigned i = digits; i > 0; value >>= 4)
		p[--i] = "0123456789abcdef"[value & 15];
	return p + digits;
}

/* An id that no other has: microseconds that rise strictly within a worker, the
 * worker's pid, and chance for the case that both come again after a reboot. */
static void mint_stamp(void *user, struct message_stamp *ret)
{
	struct server *v = user;
	uint64_t now_us = clock_wall_us();
	char *p = ret->id;

	if (now_us <= v->last_stamp_us)
		now_us = v->last_stamp_us + 1;
	v->last_stamp_us = now_us;
	p = add_hex(p, 14, now_us);
	*p++ = '-';
	p = add_hex(p, 6, v->pid);
	*p++ = '-';
	p = add_hex(p, 4, next_random(v));
	*p = '\0';
	ret->unix_seconds = now_us / 1000000;
	v->message_start_ms = 0;
}

static void log_command(void *user, struct str line)
{
	(void)user;
	log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", line));
}

static void log_reply(void *user, struct str line)
{
	(void)user;
	log_event(LOG_INFO, EV_SESSION_REPLY, LOG_STR("line", line));
}

/* What became of a message, with its envelope; one recipient stands for all. */
static void log_outcome(void *user, const struct smtp_outcome *o)
{
	struct server *v = user;
	const struct envelope *e = o->envelope;
	enum log_event event = o->code == 250 ? EV_MESSAGE_ACCEPTED
			       : o->code == 0 ? EV_MESSAGE_ABORTED
					      : EV_MESSAGE_REFUSED;

	v->messages += o->code == 250;
	slot_count_message(v->env->slot, o->code, e->size_bytes);
	log_event(LOG_INFO, event, LOG_TEXT("id", e->stamp.id),
		LOG_STR("from", e->sender.mailbox),
		LOG_STR("to", e->recipients[0].address.mailbox),
		LOG_NUM("recipients", e->recipient_count), LOG_NUM("size", e->size_bytes),
		LOG_TEXT("delivery", v->delivery_name), LOG_NUM("code", o->code),
		LOG_STR("reply", o->reply));
}

struct server *serve_new(const struct serve_env *env)
{
	struct server *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->env = env;
	v->engine_env = (struct smtp_env){
		.sink = &delivery_sink,
		.sink_user = env->delivery,
		.user = v,
		.stamp = mint_stamp,
		.command = env->config->is_verbose ? log_command : NULL,
		.reply = env->config->is_verbose ? log_reply : NULL,
		.outcome = log_outcome,
	};
	v->engine = smtp_new(&env->config->smtp, &v->engine_env);
	if (v->engine == NULL || conn_init(&v->conn) < 0 ||
		getrandom(&v->random, sizeof(v->random), 0) != sizeof(v->random)) {
		serve_free(v);
		return NULL;
	}
	v->random |= 1;
	v->pid = (unsigned)getpid();
	return v;
}

void serve_free(struct server *v)
{
	if (v == NULL)
		return;
	smtp_free(v->engine);
	conn_done(&v->conn);
	free(v);
}

/* ------------------------------------------------------------ one client */

/* 0 while the server is not stopping. */
static uint64_t drain_deadline_ms(const struct server *v)
{
	return atomic_load_explicit(
		&v->env->board->drain_deadline_ms, memory_order_relaxed);
}

/* What the master has to say, and the session's own end. */
static void look_at_notices(struct server *v, uint64_t now_ms)
{
	uint64_t drain_ms = drain_deadline_ms(v);

	if (drain_ms != 0 && !v->is_drain_told) {
		v->env->hear_drain();
		/* Without an end of it this client may stay as long as it likes. */
		v->is_drain_told = drain_ms != UINT64_MAX;
		if (v->is_drain_told)
			smtp_notify(v->engine, SMTP_DRAIN);
	}
	if (now_ms >= v->session_deadline_ms)
		smtp_notify(v->engine, SMTP_SESSION_EXPIRED);
	else if (drain_ms != 0 && now_ms >= drain_ms)
		smtp_notify(v->engine, SMTP_DRAIN_NOW);
}

/* The connection is of no more use. */
static void lose_client(struct server *v, int error)
{
	v->failure = error;
	smtp_notify(v->engine, SMTP_END_OF_STREAM);
}

/* Send what the engine has to say.  A client that does not read is given up, and
 * while it does not, the notices are looked at as ever. */
static void flush_output(struct server *v)
{
	uint64_t deadline_ms = 0, now_ms;
	struct str out;

	while (smtp_next(v->engine) != SMTP_DROP &&
		(out = smtp_output(v->engine)).n > 0) {
		ssize_t sent = conn_write(&v->conn, out);

		if (sent > 0)
			smtp_sent(v->engine, (size_t)sent);
		if (sent == (ssize_t)out.n)
			continue;
		now_ms = clock_monotonic_ms();
		if (deadline_ms == 0)
			deadline_ms = now_ms + v->env->config->timeouts.data_ms;
		look_at_notices(v, now_ms);
		if (sent < 0 && sent != -EAGAIN)
			lose_client(v, (int)sent);
		else if (now_ms >= earlier(deadline_ms, v->session_deadline_ms))
			lose_client(v, -ETIMEDOUT);
	}
}

/* When a message that has not gone on since would have become too slow.  The first
 * moments do not count, or every message would begin too slow. */
static uint64_t rate_deadline(const struct server *v, uint64_t min_rate)
{
	if (min_rate == 0)
		return UINT64_MAX;
	return v->message_start_ms + MIN_RATE_GRACE_MS +
	       v->message_bytes * 1000 / min_rate;
}

/* Set the deadline for what the client has to say next: a whole command line, or
 * some bytes of a message; a line that has begun keeps its deadline. */
static void set_deadline(struct server *v, uint64_t now_ms)
{
	const struct timeout_settings *t = &v->env->config->timeouts;
	bool is_in_data = smtp_is_in_data(v->engine);

	if (is_in_data) {
		if (v->message_start_ms == 0) {
			v->message_start_ms = now_ms;
			v->message_bytes = 0;
		}
		v->deadline_ms = earlier(now_ms + t->data_ms,
			earlier(v->message_start_ms + t->data_total_ms,
				rate_deadline(v, t->min_rate)));
	} else if (v->was_in_data || !smtp_is_mid_line(v->engine) ||
		   v->line_count != smtp_line_count(v->engine)) {
		v->line_count = smtp_line_count(v->engine);
		v->deadline_ms = now_ms + t->command_ms;
	}
	if (is_in_data != v->was_in_data)
		slot_set_state(v->env->slot, is_in_data ? SLOT_DATA : SLOT_COMMAND);
	v->was_in_data = is_in_data;
}

/* For ps(1): what a client has kept us waiting in for a tick.  Clients that are
 * faster are not worth the time it takes to say so. */
static void set_title(const struct server *v)
{
	setproctitle("worker %u [%s %s]", v->env->worker_number, v->address,
		smtp_is_in_data(v->engine) ? "DATA" : "COMMAND");
}

/* Wait for bytes from the client, until its deadline or a notice.  What has come
 * is judged before the next read, when it counts towards the deadline. */
static void read_client(struct server *v)
{
	uint64_t now_ms = clock_monotonic_ms();
	ssize_t got = -EAGAIN;

	set_deadline(v, now_ms);
	while (got == -EAGAIN && smtp_next(v->engine) == SMTP_FEED) {
		if (now_ms >= v->deadline_ms) {
			smtp_notify(v->engine, SMTP_TIMED_OUT);
			return;
		}
		got = conn_read(&v->conn);
		if (got == 0 || (got < 0 && got != -EAGAIN)) {
			lose_client(v, (int)got);
			return;
		}
		if (got > 0)
			v->message_bytes += (uint64_t)got;
		else
			set_title(v);
		now_ms = clock_monotonic_ms();
		look_at_notices(v, now_ms);
	}
}

/* Give the engine bytes: those at hand, or else the next ones from the client,
 * which gets all our replies before we wait for it. */
static void feed_engine(struct server *v)
{
	struct str input = conn_input(&v->conn);

	if (input.n > 0) {
		conn_use(&v->conn, smtp_feed(v->engine, input.p, input.n));
		return;
	}
	flush_output(v);
	if (smtp_next(v->engine) == SMTP_FEED)
		read_client(v);
}

/* A delay that a hook asked for, in slices that notice a drain. */
static void wait_pause(struct server *v)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t end_ms = now_ms + smtp_pause_ms(v->engine);

	flush_output(v);
	while (smtp_next(v->engine) == SMTP_PAUSE && now_ms < end_ms) {
		(void)poll(NULL, 0, (int)earlier(end_ms - now_ms, PAUSE_SLICE_MS));
		now_ms = clock_monotonic_ms();
		look_at_notices(v, now_ms);
	}
	smtp_notify(v->engine, SMTP_RESUMED);
}

/* The session itself: whatever the engine wants next. */
static void converse(struct server *v)
{
	look_at_notices(v, clock_monotonic_ms());
	for (;;) {
		switch (smtp_next(v->engine)) {
		case SMTP_FEED:
			feed_engine(v);
			break;
		case SMTP_FLUSH:
			flush_output(v);
			break;
		case SMTP_PAUSE:
			wait_pause(v);
			break;
		case SMTP_CLOSE:
			flush_output(v);
			return;
		case SMTP_DROP:
			return;
		}
	}
}

static struct smtp_peer describe_peer(struct server *v, const struct listener *listener,
	const struct sockaddr_storage *from)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	struct smtp_peer peer = {.listener = str_of(listener->settings->name)};

	(void)snprintf(v->address, sizeof(v->address), "unix");
	if (from->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in->sin_addr, v->address, sizeof(v->address));
		peer.port = ntohs(in->sin_port);
	} else if (from->ss_family == AF_INET6) {
		(void)inet_ntop(
			AF_INET6, &in6->sin6_addr, v->address, sizeof(v->address));
		peer.port = ntohs(in6->sin6_port);
	}
	peer.address = str_of(v->address);
	return peer;
}

static void log_end(struct server *v)
{
	const char *how = smtp_has_quit(v->engine)             ? "quit"
			  : v->failure != 0                    ? "broken"
			  : smtp_next(v->engine) == SMTP_CLOSE ? "closed"
							       : "gone";

	if (v->failure != 0)
		log_event(LOG_INFO, EV_SESSION_END, LOG_TEXT("how", how),
			LOG_ERRNO(v->failure), LOG_NUM("messages", v->messages));
	else
		log_event(LOG_INFO, EV_SESSION_END, LOG_TEXT("how", how),
			LOG_NUM("messages", v->messages));
}

/* After QUIT a client sends nothing more.  In all other cases it may be in the middle
 * of something, and should not lose our last words; unless there is no time left. */
static uint32_t linger_ms(const struct server *v)
{
	bool is_over = smtp_has_quit(v->engine) && conn_input(&v->conn).n == 0;
	uint64_t drain_ms = drain_deadline_ms(v);

	if (is_over || smtp_next(v->engine) != SMTP_CLOSE ||
		(drain_ms != 0 && clock_monotonic_ms() >= drain_ms))
		return 0;
	return CONN_LINGER_MS;
}

void serve_client_take_fd(struct server *v, const struct listener *listener, int fd,
	const struct sockaddr_storage *from)
{
	const struct config *config = v->env->config;
	struct message_stamp stamp;
	struct smtp_peer peer = describe_peer(v, listener, from);
	uint64_t now_ms = clock_monotonic_ms();

	mint_stamp(v, &stamp);
	memcpy(v->session_id, stamp.id, sizeof(v->session_id));
	log_set_session(str_of(v->session_id));
	v->delivery_name = config->deliveries[listener->settings->delivery].name;
	delivery_select(v->env->delivery, listener->settings->delivery);
	v->messages = 0;
	v->failure = 0;
	v->line_count = 0;
	v->was_in_data = false;
	v->is_drain_told = false;
	slot_begin_session(v->env->slot, from);
	v->session_deadline_ms = now_ms + config->timeouts.session_ms;
	conn_take_fd(&v->conn, fd);
	setproctitle("worker %u [%s]", v->env->worker_number, v->address);
	log_event(LOG_INFO, EV_SESSION_START, LOG_STR("client", peer.address),
		LOG_NUM("port", peer.port), LOG_STR("listener", peer.listener));

	smtp_start(v->engine, &peer);
	converse(v);
	smtp_end(v->engine);

	log_end(v);
	log_set_session((struct str){0});
	conn_close(&v->conn, linger_ms(v));
	slot_set_state(v->env->slot, SLOT_IDLE);
}
