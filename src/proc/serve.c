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

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "net/conn.h"
#include "net/key_request.h"
#include "proc/arrival.h"
#include "proc/notices.h"
#include "proc/recorder.h"
#include "smtp/session.h"

/* Longest wait between two looks at the notice board. */
#define PAUSE_SLICE_MS 1000

/* Who has to wait so long for the answers to commands that came together gets those that
 * are there. */
#define ANSWERS_HELD_MS 100

/* How long a message may go on before its rate is looked at. */
#define MIN_RATE_GRACE_MS 2000

struct server {
	const struct serve_env *env;
	struct smtp *engine;
	struct smtp_env engine_env;
	struct conn conn;
	struct notices notices;
	struct recorder recorder;
	struct arrival arrival;

	/* the client being served */
	int failure; /* why the connection broke, a negative errno */
	uint64_t session_deadline_ms;
	uint64_t input_ms; /* when what is at hand came, or its last answers went out */
	uint64_t message_start_ms; /* 0: the message has not begun */
	uint64_t rate_start_ms;    /* later by the waits between its chunks */
	uint64_t chunk_wait_ms;    /* when the last of them began */
	uint64_t message_bytes;
	uint64_t data_deadline_ms;
	uint64_t command_start_ms; /* of the wait for a whole command line */
	uint64_t line_count;       /* at that moment */
	bool was_in_data;
	bool has_timed_out;
	bool is_refused; /* it was never let in */
	bool is_reset;   /* it is to see a reset in the end */
};

struct server *serve_new(const struct serve_env *env)
{
	struct server *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->env = env;
	v->notices = (struct notices){
		.board = env->board,
		.config = env->config,
		.generation = env->generation,
		.leave = env->leave,
		.log_level = -1,
	};
	v->arrival =
		(struct arrival){.env = env, .conn = &v->conn, .notices = &v->notices};
	recorder_attach(&v->recorder, &v->engine_env);
	v->engine_env.hooks = env->hooks;
	if (env->sasl != NULL)
		v->engine_env.sasl = &sasl_engine;
	v->engine_env.sasl_user = env->sasl;
	v->engine = smtp_new(&env->config->smtp, &v->engine_env);
	if (v->engine == NULL || getrandom(&v->engine_env.session_base, 8, 0) != 8 ||
		conn_init(&v->conn) < 0 ||
		recorder_init(&v->recorder, env->slot, env->delivery,
			env->config->timeouts.data_ms) < 0) {
		serve_free(v);
		return NULL;
	}
	v->recorder.engine = v->engine;
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

static void end_late_session(struct server *v, enum smtp_event event)
{
	v->has_timed_out = true;
	smtp_notify(v->engine, event);
}

/* What the master has to say, and the session's own end. */
static void look_at_notices(struct server *v, uint64_t now_ms)
{
	recorder_set_verbose(&v->engine_env, notices_is_verbose(&v->notices));
	switch (notices_look(&v->notices, now_ms)) {
	case NOTICE_NONE:
		break;
	case NOTICE_RETIRE:
		smtp_notify(v->engine, SMTP_RETIRE);
		break;
	case NOTICE_DRAIN:
		smtp_notify(v->engine, SMTP_DRAIN);
		break;
	case NOTICE_DRAIN_NOW:
		smtp_notify(v->engine, SMTP_DRAIN_NOW);
		break;
	}
	if (now_ms >= v->session_deadline_ms)
		end_late_session(v, SMTP_SESSION_EXPIRED);
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
	const uint64_t data_ms = v->env->config->timeouts.data_ms;
	uint64_t deadline_ms = 0, now_ms;
	struct str out;
	size_t owed = 0; /* of what there was when the deadline was set */

	while (smtp_next(v->engine) != SMTP_DROP &&
		(out = smtp_output(v->engine)).n > 0) {
		ssize_t sent = conn_write(&v->conn, out);

		if (sent > 0) {
			smtp_sent(v->engine, (size_t)sent);
			out = str_skip(out, (size_t)sent);
			owed -= number_min(owed, (size_t)sent);
		}
		if (out.n == 0) {
			/* With LMTP there may be far more. */
			if (smtp_next(v->engine) == SMTP_FLUSH)
				slot_set_deadline(
					v->env->slot, clock_monotonic_ms() + data_ms);
			continue;
		}
		/* While it does not take our last words it has not gone. */
		arrival_count(&v->arrival, !v->is_refused);
		now_ms = clock_monotonic_ms();
		if (owed == 0) {
			owed = out.n;
			deadline_ms = now_ms + data_ms;
		}
		slot_set_deadline(v->env->slot, deadline_ms);
		look_at_notices(v, now_ms);
		if (sent < 0 && sent != -EAGAIN) {
			lose_client(v, (int)sent);
		} else if (now_ms >= number_min(deadline_ms, v->session_deadline_ms)) {
			v->has_timed_out = true;
			lose_client(v, -ETIMEDOUT);
		}
	}
}

/* When a message that has not gone on since would have become too slow.  The first
 * moments do not count, or every message would begin too slow. */
static uint64_t rate_deadline(const struct server *v, uint64_t min_rate)
{
	if (min_rate == 0)
		return UINT64_MAX;
	return v->rate_start_ms + MIN_RATE_GRACE_MS + v->message_bytes * 1000 / min_rate;
}

/* From now on the client has to say what comes next: a whole command line, or some
 * bytes of a message.  A line that has begun keeps its time. */
static void start_wait(struct server *v, uint64_t now_ms)
{
	const struct timeout_settings *t = &v->env->config->timeouts;
	bool is_in_data = smtp_is_in_data(v->engine);
	bool is_in_message = is_in_data || smtp_is_in_message(v->engine);

	if (v->recorder.has_new_message || !is_in_message)
		v->message_start_ms = 0;
	v->recorder.has_new_message = false;
	if (is_in_message && v->message_start_ms == 0) {
		v->message_start_ms = v->rate_start_ms = v->chunk_wait_ms = now_ms;
		v->message_bytes = 0;
	} else if (is_in_data && !v->was_in_data) {
		v->rate_start_ms += now_ms - v->chunk_wait_ms;
	}
	if (!is_in_data && v->was_in_data)
		v->chunk_wait_ms = now_ms;
	/* Chunks may be so small that none is ever waited for. */
	v->data_deadline_ms =
		is_in_message ? v->message_start_ms + t->data_total_ms : UINT64_MAX;
	if (is_in_data)
		v->data_deadline_ms = number_min(v->data_deadline_ms,
			number_min(now_ms + t->data_ms, rate_deadline(v, t->min_rate)));
	else if (v->was_in_data || !smtp_is_mid_line(v->engine) ||
		 v->line_count != smtp_line_count(v->engine)) {
		v->line_count = smtp_line_count(v->engine);
		v->command_start_ms = now_ms;
	}
	slot_set_state(v->env->slot, is_in_data ? SLOT_DATA : SLOT_COMMAND);
	v->was_in_data = is_in_data;
}

/* When this wait ends.  Stress may come and go while it lasts. */
static uint64_t wait_deadline(const struct server *v)
{
	uint64_t deadline_ms = v->data_deadline_ms;

	if (!v->was_in_data)
		deadline_ms = number_min(deadline_ms,
			v->command_start_ms + notices_command_ms(&v->notices));
	slot_set_deadline(v->env->slot, deadline_ms);
	return deadline_ms;
}

/* For ps(1): what a client has kept us waiting in for a tick.  Clients that are
 * faster are not worth the time it takes to say so. */
static void set_title(const struct server *v)
{
	setproctitle("worker %u [%s %s]", v->env->worker_number, v->arrival.address,
		smtp_is_in_data(v->engine) ? "DATA" : "COMMAND");
}

/* The time for what is done with the input begins: it may have to go to a disk. */
static void take_note_of_input(struct server *v, uint64_t bytes, uint64_t now_ms)
{
	v->input_ms = now_ms;
	v->message_bytes += bytes;
	slot_count_input(v->env->slot, bytes);
	slot_set_deadline(v->env->slot, now_ms + v->env->config->timeouts.data_ms);
}

/* Wait for bytes from the client, until its deadline or a notice.  What has come
 * is judged before the next read, when it counts towards the deadline. */
static void read_client(struct server *v)
{
	uint64_t now_ms = clock_monotonic_ms();
	ssize_t got = -EAGAIN;

	start_wait(v, now_ms);
	while (got == -EAGAIN && smtp_next(v->engine) == SMTP_FEED) {
		if (now_ms >= wait_deadline(v)) {
			end_late_session(v, SMTP_TIMED_OUT);
			return;
		}
		got = conn_read(&v->conn);
		if (got == 0 || (got < 0 && got != -EAGAIN)) {
			lose_client(v, (int)got);
			return;
		}
		now_ms = clock_monotonic_ms();
		if (got > 0)
			take_note_of_input(v, (uint64_t)got, now_ms);
		else
			set_title(v);
		look_at_notices(v, now_ms);
	}
}

/* A command may take long, and the client may not have waited.  It has the message all
 * the same. */
static void note_hearing(struct server *v)
{
	v->recorder.has_run_commands = false;
	if (conn_has_lost_client(&v->conn, smtp_next(v->engine) == SMTP_CLOSE))
		recorder_note_unheard(&v->recorder);
}

/* Hooks may take their time over each of the commands that came together: the notices do
 * not wait for the last of them, nor does the client for its first answers. */
static void look_up_from_input(struct server *v)
{
	uint64_t now_ms = clock_monotonic_ms();

	look_at_notices(v, now_ms);
	if (now_ms - v->input_ms < ANSWERS_HELD_MS || smtp_next(v->engine) != SMTP_FEED)
		return;
	flush_output(v);
	v->input_ms = clock_monotonic_ms();
	slot_set_deadline(v->env->slot, v->input_ms + v->env->config->timeouts.data_ms);
}

/* Give the engine bytes: those at hand, or else the next ones from the client,
 * which gets all our replies before we wait for it. */
static void feed_engine(struct server *v)
{
	struct str input = conn_input(&v->conn);

	if (input.n > 0) {
		conn_use(&v->conn, smtp_feed(v->engine, input.p, input.n));
		if (v->recorder.has_run_commands)
			note_hearing(v);
		if (smtp_has_secret(v->engine))
			conn_wipe(&v->conn);
		if (v->env->hooks != NULL)
			look_up_from_input(v);
		return;
	}
	flush_output(v);
	if (smtp_next(v->engine) == SMTP_FEED)
		read_client(v);
}

/* When a handshake that began then must have ended. */
static uint64_t handshake_deadline(const struct server *v, uint64_t start_ms)
{
	uint64_t deadline_ms = number_min(
		start_ms + notices_handshake_ms(&v->notices), v->session_deadline_ms);

	/* It may be spent on a signature that does not come. */
	slot_set_deadline(v->env->slot, deadline_ms + KEY_PATIENCE_MS);
	return deadline_ms;
}

/* A handshake, for no longer than timeouts.tls.  Returns 0, or a negative errno. */
static int shake_hands(struct server *v)
{
	uint64_t start_ms = clock_monotonic_ms(), now_ms;
	int r = conn_start_tls(&v->conn, v->env->tls);

	if (r < 0)
		return r;
	slot_set_state(v->env->slot, SLOT_HANDSHAKE);
	(void)handshake_deadline(v, start_ms);
	while ((r = conn_handshake(&v->conn)) == -EAGAIN) {
		now_ms = clock_monotonic_ms();
		look_at_notices(v, now_ms);
		if (smtp_next(v->engine) != SMTP_STARTTLS)
			return -ECANCELED;
		if (now_ms >= handshake_deadline(v, start_ms)) {
			v->has_timed_out = true;
			return -ETIMEDOUT;
		}
	}
	return r;
}

/* Why a handshake failed, for who reads the log. */
static const char *tls_failure(const struct server *v, int error)
{
	const struct tls_session *tls = conn_tls(&v->conn);

	if (tls != NULL && tls_session_saw_plaintext(tls))
		return "the client speaks plaintext where TLS is expected";
	if (error == -ECANCELED)
		return "the server ends the session";
	return error == -EPROTO || error == -EIO ? conn_tls_error(&v->conn)
						 : strerror(-error);
}

/* From here on TLS, or nothing: what has been read already was not protected by it, and
 * what follows is never taken for plaintext again. */
static void start_tls(struct server *v)
{
	struct sasl_session binding = {0};
	struct envelope_tls tls;
	int r;

	if (!smtp_begin_tls(v->engine, conn_input(&v->conn).n > 0))
		return;
	flush_output(v);
	if (smtp_next(v->engine) != SMTP_STARTTLS)
		return;
	r = shake_hands(v);
	if (r < 0) {
		/* Without a signature it is our fault. */
		recorder_note_tls_failure(&v->recorder, r == -EIO ? LOG_ERROR : LOG_INFO,
			tls_failure(v, r));
		smtp_notify(v->engine, SMTP_TLS_FAILED);
		return;
	}
	recorder_note_tls(&v->recorder, conn_tls(&v->conn));
	tls_session_describe(conn_tls(&v->conn), &tls);
	if (v->env->sasl != NULL)
		tls_session_bind(conn_tls(&v->conn), &binding);
	smtp_tls_started(v->engine, &tls, &binding);
}

/* A delay that a hook or a wrong password asked for, in slices that notice a drain.  Who
 * does not stay for the answer is not to keep the next one waiting.  Who has closed looks
 * like one that has no more to say and listens: that may be silent for as long as one of
 * whom a command is expected. */
static void wait_pause(struct server *v)
{
	uint64_t start_ms = clock_monotonic_ms(), now_ms = start_ms, open_ms = start_ms;
	uint64_t end_ms = start_ms + smtp_pause_ms(v->engine);
	bool is_lost;

	flush_output(v);
	slot_set_deadline(v->env->slot, end_ms);
	while (smtp_next(v->engine) == SMTP_PAUSE && now_ms < end_ms) {
		is_lost = conn_loses_client(
			&v->conn, (uint32_t)number_min(end_ms - now_ms, PAUSE_SLICE_MS));
		now_ms = clock_monotonic_ms();
		if (is_lost)
			lose_client(v, -ECONNRESET);
		else if (!conn_ends(&v->conn, 0))
			open_ms = now_ms;
		else if (now_ms - open_ms >= notices_command_ms(&v->notices))
			lose_client(v, 0);
		look_at_notices(v, now_ms);
	}
	/* In the middle of a text it is not the client who is slow. */
	if (v->was_in_data)
		v->rate_start_ms += now_ms - start_ms;
	slot_set_deadline(v->env->slot, now_ms + v->env->config->timeouts.data_ms);
	smtp_notify(v->engine, SMTP_RESUMED);
}

/* Nothing is said or read, until the client has had enough of it, or there is no more
 * time. */
static void stall(struct server *v)
{
	uint64_t now_ms = clock_monotonic_ms(), deadline_ms;

	start_wait(v, now_ms);
	while (smtp_next(v->engine) == SMTP_STALL) {
		deadline_ms = wait_deadline(v);
		if (now_ms >= deadline_ms)
			end_late_session(v, SMTP_TIMED_OUT);
		else if (conn_ends(&v->conn, (uint32_t)number_min(deadline_ms - now_ms,
						     PAUSE_SLICE_MS)))
			lose_client(v, 0);
		set_title(v);
		now_ms = clock_monotonic_ms();
		look_at_notices(v, now_ms);
	}
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
		case SMTP_STARTTLS:
			start_tls(v);
			break;
		case SMTP_FLUSH:
			flush_output(v);
			break;
		case SMTP_PAUSE:
			wait_pause(v);
			break;
		case SMTP_CLOSE:
			/* First: who comes again as soon as it has our last words is
			 * not two clients. */
			arrival_count(&v->arrival, false);
			flush_output(v);
			return;
		case SMTP_STALL:
			stall(v);
			break;
		case SMTP_RESET:
			v->is_reset = true;
			return;
		case SMTP_DROP:
			return;
		}
	}
}

/* After QUIT a client sends nothing more, and one that was refused has not begun.  One
 * that let its time pass, or whom we never heard, is not to hold us longer than it must
 * while others wait.  In all other cases it may be in the middle of something, and should
 * not lose our last words; unless there is no time left. */
static uint32_t linger_ms(struct server *v)
{
	bool is_over = v->is_refused ||
		       ((v->has_timed_out || smtp_line_count(v->engine) == 0) &&
			       notices_is_stressed(&v->notices)) ||
		       (smtp_has_quit(v->engine) && conn_input(&v->conn).n == 0);

	bool is_orderly = smtp_next(v->engine) == SMTP_CLOSE ||
			  (smtp_is_cut(v->engine) && !v->has_timed_out);

	if (is_over || !is_orderly ||
		notices_look(&v->notices, clock_monotonic_ms()) == NOTICE_DRAIN_NOW)
		return 0;
	return CONN_LINGER_MS;
}

/* Forget the last client. */
static void begin_session(
	struct server *v, const struct listen_settings *settings, uint64_t now_ms)
{
	const struct config *config = v->env->config;

	/* What is said of the level has to be heard before the first line. */
	(void)notices_look(&v->notices, now_ms);
	recorder_set_verbose(&v->engine_env, notices_is_verbose(&v->notices));
	recorder_begin(&v->recorder, settings->delivery_names);
	delivery_select(v->env->delivery, settings->deliveries, settings->delivery_count);
	v->failure = 0;
	v->line_count = 0;
	v->was_in_data = false;
	v->has_timed_out = false;
	v->is_refused = false;
	v->is_reset = false;
	slot_begin_session(v->env->slot, now_ms);
	slot_set_deadline(v->env->slot, now_ms + config->timeouts.data_ms);
	v->session_deadline_ms = now_ms + config->timeouts.session_ms;
}

/* What broke the connection, or NULL. */
static const char *describe_failure(const struct server *v)
{
	if (v->failure == -EPROTO && conn_tls(&v->conn) != NULL)
		return conn_tls_error(&v->conn);
	return v->failure == 0 ? NULL : strerror(-v->failure);
}

/* Someone whom we know.  Returns how long the connection is to linger. */
static uint32_t serve(struct server *v)
{
	v->is_refused = !arrival_admit(&v->arrival, v->engine);
	converse(v);
	smtp_end(v->engine);
	recorder_end(&v->recorder, describe_failure(v));
	return linger_ms(v);
}

void serve_client_take_fd(struct server *v, const struct listener *listener, int fd,
	const struct sockaddr_storage *from)
{
	uint64_t start_ms = clock_monotonic_ms();
	uint32_t linger = 0;
	int r;

	begin_session(v, listener->settings, start_ms);
	conn_take_fd(&v->conn, fd, listener_gives_tick(listener));
	r = arrival_meet(&v->arrival, listener, from, start_ms);
	v->has_timed_out = r == -ETIMEDOUT;
	if (r == 0)
		linger = serve(v);
	else
		log_set_session((struct str){0});
	arrival_count(&v->arrival, false);
	/* The wait before it may have lasted longer than it should. */
	slot_set_deadline(v->env->slot, clock_monotonic_ms() + linger);
	if (v->is_reset)
		conn_reset(&v->conn);
	else
		conn_close(&v->conn, linger);
	slot_end_session(v->env->slot, v->has_timed_out);
}
