/* A policy service; see service.h.
 *
 * Runs in workers, in their cage: the connection is made elsewhere, see env.  The service
 * is waited for by one deadline over all that a question needs.  What it says is bounded,
 * and nothing of it reaches a client but printable text in a reply, or a header line.
 *
 * An answer belongs to the question before it, and nothing else tells which: so a
 * connection on which anything was odd is not used again. */
#include "policy/service.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "policy/service_answer.h"
#include "smtp/envelope.h"
#include "smtp/session.h"

/* What an answer at CONNECT or HELO wants of each message. */
struct wish {
	bool is_discard;
	size_t line_length;
	char line[SERVICE_ANSWER_MAX];
};

enum wish_stage { WISH_CONNECT, WISH_HELO, WISHES };

struct service {
	const struct service_settings *settings;
	const struct service_env *env;
	struct sinkd_hooks hooks;
	int fd; /* -1: none */
	struct buf request;
	size_t answer_length;
	char answer[SERVICE_ANSWER_MAX];

	/* the session, and what was wished for it */
	uint64_t session;
	struct wish wishes[WISHES];

	/* the message: its part of "instance", and its id from RCPT on */
	uint64_t number;
	bool was_asked_at_mail;
	bool is_discarded;
	char id[MESSAGE_ID_SIZE];
	char birth[32]; /* of this process, in "instance" */
};

/* --------------------------------------------------------------- connection */

static void drop_connection(struct service *s)
{
	(void)fdio_close(&s->fd);
}

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	int r = poll(&p, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);

	if (r == 0 && left_ms < INT_MAX)
		return -ETIME;
	return r < 0 && errno != EINTR ? -errno : 0;
}

/* Nothing can have come since the last answer but the end, or what nobody asked for. */
static bool is_quiet(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static int send_request(struct service *s, uint64_t deadline_ms)
{
	struct str rest = buf_str(&s->request);
	int r = 0;

	while (rest.n > 0 && r == 0) {
		ssize_t n = send(s->fd, rest.p, rest.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			rest = str_skip(rest, (size_t)n);
		else if (errno == EAGAIN)
			r = wait_for(s->fd, POLLOUT, deadline_ms);
		else if (errno != EINTR)
			r = -errno;
	}
	return r;
}

/* Returns 0 and *ret; -EPIPE and the like; -EBADMSG and *ret_why. */
static int receive_answer(struct service *s, uint64_t deadline_ms,
	struct service_answer *ret, const char **ret_why)
{
	enum service_outcome outcome = SERVICE_MORE;

	s->answer_length = 0;
	while (outcome == SERVICE_MORE) {
		int r = wait_for(s->fd, POLLIN, deadline_ms);
		ssize_t n;

		if (r < 0)
			return r;
		n = recv(s->fd, s->answer + s->answer_length,
			sizeof(s->answer) - s->answer_length, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		s->answer_length += (size_t)n;
		outcome = service_answer_parse(
			(struct str){s->answer, s->answer_length}, ret, ret_why);
	}
	return outcome == SERVICE_DONE ? 0 : -EBADMSG;
}

/* Whether the service may have closed the connection before it saw the request. */
static bool is_broken(const struct service *s, int error)
{
	return (error == -EPIPE || error == -ECONNRESET) && s->answer_length == 0;
}

/* On the connection that is kept, if there is one, and if need be on a new one. */
static int exchange(struct service *s, uint64_t deadline_ms, struct service_answer *ret,
	const char **ret_why)
{
	bool was_kept;
	int r;

	if (s->fd >= 0 && !is_quiet(s->fd))
		drop_connection(s);
	do {
		was_kept = s->fd >= 0;
		*ret_why = "the policy service cannot be reached";
		if (!was_kept)
			s->fd = s->env->connect(s->env->user, deadline_ms);
		if (s->fd < 0) {
			r = s->fd;
			s->fd = -1;
			return r;
		}
		*ret_why = "the policy service does not answer";
		s->answer_length = 0;
		*ret = (struct service_answer){0};
		r = send_request(s, deadline_ms);
		if (r == 0)
			r = receive_answer(s, deadline_ms, ret, ret_why);
		if (r < 0 || ret->length != s->answer_length)
			drop_connection(s);
	} while (r < 0 && was_kept && is_broken(s, r));
	return r;
}

/* ------------------------------------------------------------------ answers */

static void refuse(
	struct sinkd_verdict *v, int code, const char *enhanced, struct str text)
{
	size_t n;

	v->code = code;
	v->action = SINKD_DECIDE;
	(void)str_copy(v->enhanced, sizeof(v->enhanced), str_of(enhanced));
	n = str_copy(v->text, sizeof(v->text), text);
	for (size_t i = 0; i < n; i++)
		if (!str_is_printable(v->text[i]))
			v->text[i] = v->text[i] == '\t' ? ' ' : '?';
}

static void add_wish(struct wish *w, const struct service_answer *a)
{
	w->is_discard = a->action == SERVICE_DISCARD;
	w->line_length = 0;
	if (a->action != SERVICE_PREPEND)
		return;
	memcpy(w->line, a->text.p, a->text.n);
	w->line_length = a->text.n;
}

static bool is_asked_at(const struct service *s, unsigned stages)
{
	return s->settings->stages == 0 || (s->settings->stages & stages) != 0;
}

/* Ask, if it is to be asked at this stage, and do what the answer says.  Returns whether
 * it may be looked at further: *ret is valid until the next question. */
static bool ask(struct service *s, const struct service_question *q,
	struct sinkd_verdict *v, struct service_answer *ret)
{
	const struct service_settings *settings = s->settings;
	const char *why = "the request is too long";
	uint64_t deadline_ms = clock_monotonic_ms() + settings->timeout_ms;
	int r = -EMSGSIZE;

	if (!is_asked_at(s, 1U << q->stage))
		return false;
	buf_reset(&s->request);
	service_request_add(q, &s->request);
	if (!s->request.has_overflowed) {
		s->env->waits(s->env->user, deadline_ms);
		r = exchange(s, deadline_ms, ret, &why);
		s->env->waits(s->env->user, 0);
	}
	if (r < 0) {
		s->env->failed(s->env->user, why, r == -EBADMSG ? 0 : r);
		if (settings->failure_code != 0)
			refuse(v, settings->failure_code, settings->failure_enhanced,
				str_of(settings->failure_text));
		return false;
	}
	if (ret->action == SERVICE_REFUSE)
		refuse(v, ret->code, ret->enhanced, ret->text);
	else if (ret->action == SERVICE_OTHER)
		s->env->ignored(s->env->user, ret->said);
	return true;
}

/* ----------------------------------------------------------- what it is about */

/* Hooks of layers above may decide alone: of a session or a message that is new to us
 * anything may be the first that we hear. */
static void begin_question(struct service *s, const struct smtp *session,
	enum service_stage stage, char instance[64], struct service_question *ret)
{
	const struct envelope *e = smtp_envelope(session);
	bool is_new = s->session != smtp_session_number(session);

	if (is_new) {
		s->session = smtp_session_number(session);
		s->was_asked_at_mail = false;
		for (size_t i = 0; i < WISHES; i++)
			add_wish(&s->wishes[i], &(struct service_answer){0});
	}
	if (stage > SERVICE_MAIL && strcmp(s->id, e->stamp.id) != 0) {
		is_new = !s->was_asked_at_mail;
		s->was_asked_at_mail = false;
		s->is_discarded = false;
		memcpy(s->id, e->stamp.id, sizeof(s->id));
	}
	if (is_new || stage == SERVICE_MAIL)
		s->number++;
	(void)snprintf(instance, 64, "%s.%llx", s->birth, (unsigned long long)s->number);
	*ret = (struct service_question){
		.stage = stage, .envelope = e, .instance = str_of(instance)};
}

/* At the stage of a session. */
static void ask_session(struct service *s, const struct service_question *q,
	enum wish_stage stage, struct sinkd_verdict *v)
{
	struct service_answer a = {0};

	(void)ask(s, q, v, &a);
	add_wish(&s->wishes[stage], &a);
}

/* At a stage of a message.  v has what it is to be if nothing is said against it. */
static void ask_message(struct service *s, struct smtp *session,
	const struct service_question *q, struct sinkd_verdict *v)
{
	struct service_answer a;

	if (!ask(s, q, v, &a))
		return;
	if (a.action == SERVICE_DISCARD)
		v->action = SINKD_DISCARD;
	else if (a.action == SERVICE_PREPEND && !smtp_prepend(session, a.text))
		s->env->ignored(s->env->user, a.said);
}

/* -------------------------------------------------------------------- hooks */

/* The session of a hook is the engine. */
static struct smtp *engine_of(struct sinkd_session *session)
{
	return (struct smtp *)session;
}

static struct str base_str(struct sinkd_str s)
{
	return (struct str){s.data, s.len};
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str client_address, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];

	(void)client_address;
	begin_question(s, engine_of(session), SERVICE_CONNECT, instance, &q);
	/* After XCLIENT it is another client. */
	add_wish(&s->wishes[WISH_HELO], &(struct service_answer){0});
	ask_session(s, &q, WISH_CONNECT, verdict);
}

static void on_ehlo_domain(void *user, struct sinkd_session *session,
	struct sinkd_str domain, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];
	enum service_stage stage = smtp_command(engine_of(session)) == VERB_HELO
					   ? SERVICE_HELO
					   : SERVICE_EHLO;

	begin_question(s, engine_of(session), stage, instance, &q);
	q.helo = base_str(domain);
	ask_session(s, &q, WISH_HELO, verdict);
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];

	(void)path;
	(void)parameters;
	begin_question(s, engine_of(session), SERVICE_MAIL, instance, &q);
	s->was_asked_at_mail = true;
	for (size_t i = 0; i < WISHES; i++) {
		const struct wish *w = &s->wishes[i];
		struct str line = {w->line, w->line_length};

		if (w->is_discard)
			verdict->action = SINKD_DISCARD;
		if (line.n > 0 && !smtp_prepend(engine_of(session), line))
			s->env->ignored(s->env->user, line);
	}
	ask_message(s, engine_of(session), &q, verdict);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];

	(void)parameters;
	begin_question(s, engine_of(session), SERVICE_RCPT, instance, &q);
	q.recipient = base_str(path);
	ask_message(s, engine_of(session), &q, verdict);
	/* The others are told at DATA. */
	s->is_discarded = s->is_discarded || verdict->action == SINKD_DISCARD;
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];

	begin_question(s, engine_of(session), SERVICE_DATA, instance, &q);
	if (s->is_discarded)
		verdict->action = SINKD_DISCARD;
	ask_message(s, engine_of(session), &q, verdict);
}

static void on_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct service *s = user;
	struct service_question q;
	char instance[64];

	begin_question(s, engine_of(session), SERVICE_MESSAGE, instance, &q);
	ask_message(s, engine_of(session), &q, verdict);
}

/* ------------------------------------------------------------------- public */

#define STAGE(name) (1U << SERVICE_##name)

/* What was said at a stage may have to be done at a later one. */
static void set_hooks(struct service *s)
{
	const unsigned session = STAGE(CONNECT) | STAGE(HELO) | STAGE(EHLO);
	struct sinkd_hooks *h = &s->hooks;

	*h = (struct sinkd_hooks){.abi = SINKD_ABI, .size = sizeof(*h), .user = s};
	if (is_asked_at(s, STAGE(CONNECT)))
		h->connect = on_connect;
	if (is_asked_at(s, STAGE(HELO) | STAGE(EHLO)))
		h->ehlo_domain = on_ehlo_domain;
	if (is_asked_at(s, session | STAGE(MAIL)))
		h->sender = on_sender;
	if (is_asked_at(s, STAGE(RCPT)))
		h->recipient = on_recipient;
	if (is_asked_at(s, STAGE(RCPT) | STAGE(DATA)))
		h->data_command = on_data_command;
	if (is_asked_at(s, STAGE(MESSAGE)))
		h->message = on_message;
}

struct service *service_new(
	const struct service_settings *settings, const struct service_env *env)
{
	struct service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->settings = settings;
	s->env = env;
	s->fd = -1;
	buf_init(&s->request, SERVICE_REQUEST_MAX);
	(void)snprintf(s->birth, sizeof(s->birth), "%lx.%llx", (unsigned long)getpid(),
		(unsigned long long)clock_wall_us());
	set_hooks(s);
	return s;
}

void service_free(struct service *s)
{
	if (s == NULL)
		return;
	drop_connection(s);
	buf_done(&s->request);
	free(s);
}

const struct sinkd_hooks *service_hooks(struct service *s)
{
	return &s->hooks;
}
