/* pipe: a command takes the message, and its verdict is the reply.
 *
 * A command that reads a stream could not tell a client that gave up from the end of the
 * message.  So the message is spooled, and when all of it is there the spawner is asked
 * to run the command, with the file for its standard input.
 *
 *   begin    make the file, put the headers
 *   chunk    through one buffer, line ends changed on the way
 *   prepare  write what is left; nothing is made durable: until the command has said that
 *            it has the message, the client has it
 *   run      ask, and wait: once for all recipients, or once for each
 *   commit   nothing: what a command has done is done
 *
 * Must never choose a command, or give it anything of a client's but as the values of
 * spawn_request.h.  An answer that does not come is a 451, and never asked for twice:
 * the command may have run.
 *
 * Runs in workers.  Text and addresses are hostile; what the spawner answers is looked
 * at as if it were.
 *
 * Known limit: where each recipient has header fields of its own, the message is copied
 * for each but the first when its turn has come.  On a disk that is full by then the
 * commands of those before have run, and the rest is refused. */
#include "delivery/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "delivery/headers.h"
#include "delivery/macro.h"
#include "delivery/spawn_request.h"
#include "delivery/spool.h"
#include "delivery/text.h"
#include "smtp/envelope.h"

/* For a message: the texts of its answers, and lists of its recipients.  100,000 of them
 * have room, however much their commands say. */
#define MEMORY_MAX (32 * 1024 * 1024)

/* The message in hand. */
struct message {
	const struct envelope *envelope; /* lives until end */
	struct buf headers;              /* in front of the text in fd */
	int fd;
	bool is_in_memory;
};

/* One per worker and deliver section. */
struct pipe {
	const struct delivery_settings *settings;
	uint32_t section;
	int spawn_fd; /* borrowed */
	/* Macros whose value must not begin with a hyphen. */
	uint32_t options;
	/* The text has headers that are not the same for each run. */
	bool has_own_headers;
	struct spool_settings spool;
	struct arena arena; /* until the next begin */
	struct arena_mark empty;
	struct buf question;
	struct message message;
	struct text_writer writer;
};

/* Make a failure known in the log.  Returns the result of it; err is negative. */
static struct smtp_result fail(const struct pipe *p, const char *step, int err)
{
	log_event(LOG_ERROR, EV_DELIVERY_FAILED, LOG_TEXT("delivery", p->settings->name),
		LOG_TEXT("step", step), LOG_ERRNO(err));
	return delivery_local_fault(err);
}

/* ----------------------------------------------------------------- spooling */

/* Whether a value of the client's would be taken for an option of the command.  (The
 * engine has refused such addresses already, by name.) */
static bool has_option(const struct pipe *p, const struct envelope *e)
{
	const struct {
		enum macro macro;
		struct str value;
	} values[] = {
		{MACRO_SENDER, e->sender.mailbox},
		{MACRO_HELO, e->client.helo},
		{MACRO_USER, e->client.user},
		{MACRO_ENVID, e->envid},
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if ((p->options & MACRO_BIT(values[i].macro)) != 0 &&
			str_starts_nocase(values[i].value, STR("-")))
			return true;
	if ((p->options & (MACROS_OF_ONE_RECIPIENT | MACRO_BIT(MACRO_RECIPIENTS))) == 0)
		return false;
	for (size_t i = 0; i < e->recipient_count; i++) {
		struct str local = e->recipients[i].address.local;

		if (str_starts_nocase(local, STR("-")) ||
			str_starts_nocase(address_extension(local), STR("-")))
			return true;
	}
	return false;
}

/* Whether one command line has room for all recipients. */
static bool fits(const struct pipe *p, const struct envelope *e)
{
	size_t total = 0;

	if (p->settings->pipe.is_per_recipient)
		return true;
	for (size_t i = 0; i < e->recipient_count; i++)
		total += address_full_length(
				 &e->recipients[i].address, p->settings->hostname) +
			 SPAWN_RECIPIENT_EXTRA;
	return total <= SPAWN_RECIPIENTS_MAX;
}

/* Header text for recipients first to first + n - 1. */
static int make_headers(struct pipe *p, size_t first, size_t n, struct buf *headers)
{
	size_t *recipients;

	if (p->settings->headers[0] == 0 && p->message.envelope->prepended.n == 0)
		return 0;
	recipients = arena_alloc(&p->arena, n * sizeof(*recipients));
	if (recipients == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		recipients[i] = first + i;
	headers_init(headers, p->message.envelope);
	headers_add(p->settings, p->message.envelope, recipients, n, headers);
	return headers->has_overflowed ? -ENOMEM : 0;
}

static void end_message(struct pipe *p)
{
	(void)fdio_close(&p->message.fd);
	buf_done(&p->message.headers);
	p->message = (struct message){.fd = -1};
}

static struct smtp_result pipe_begin(void *state, const struct envelope *envelope)
{
	struct pipe *p = state;
	struct message *msg = &p->message;
	uint64_t size_bytes;
	int err;

	if (has_option(p, envelope))
		return (struct smtp_result){RESULT_PERMANENT, 550, "5.7.1",
			"A value for the command begins with a hyphen"};
	if (!fits(p, envelope))
		return (struct smtp_result){
			RESULT_TEMPORARY, 452, "4.5.3", "Too many recipients"};
	arena_rewind(&p->arena, p->empty);
	msg->envelope = envelope;
	p->spool.id = envelope->stamp.id;
	err = make_headers(
		p, 0, p->has_own_headers ? 1 : envelope->recipient_count, &msg->headers);
	size_bytes = msg->headers.len + envelope->declared_size;
	if (err == 0) {
		msg->fd = spool_make(&p->spool, size_bytes);
		err = msg->fd < 0 ? msg->fd : 0;
	}
	if (err == 0) {
		msg->is_in_memory = size_bytes <= SPOOL_MEMORY_MAX;
		text_start(&p->writer, msg->fd, text_line_ending(p->settings, envelope));
		err = text_write_raw(&p->writer, msg->headers.p, msg->headers.len);
	}
	if (err < 0) {
		end_message(p);
		return fail(p, "spool", err);
	}
	return delivery_taken;
}

/* What a client declares is not what it sends. */
static int move_out(struct pipe *p)
{
	int fd = spool_move_out(&p->spool, &p->writer);

	if (fd < 0)
		return fd;
	(void)fdio_close(&p->message.fd);
	p->message.fd = fd;
	p->message.is_in_memory = false;
	return 0;
}

static struct smtp_result pipe_chunk(void *state, const void *text, size_t n)
{
	struct pipe *p = state;
	int err = 0;

	if (p->message.is_in_memory && p->writer.size_bytes + n > SPOOL_MEMORY_MAX)
		err = move_out(p);
	if (err == 0)
		err = text_write(&p->writer, text, n);
	return err < 0 ? fail(p, "spool", err) : delivery_taken;
}

static void pipe_prepare(void *state, struct smtp_result *results)
{
	struct pipe *p = state;
	size_t count = p->message.envelope->recipient_count;
	int err = text_finish(&p->writer);
	struct smtp_result result = delivery_taken;

	/* A command can open its input for writing, and the next one reads the same. */
	if (err == 0 && p->settings->pipe.is_per_recipient && count > 1 &&
		p->message.is_in_memory)
		err = spool_seal(p->message.fd);
	if (err < 0)
		result = fail(p, "spool", err);
	for (size_t i = 0; i < count; i++)
		results[i] = result;
}

/* ------------------------------------------------------------------- asking */

/* How long the command of one question may take, with all that is around it: its turn,
 * its time, its end. */
static uint64_t question_ms(const struct pipe *p)
{
	return 2 * p->settings->pipe.timeout_ms + SPAWN_KILL_AFTER_MS + SPAWN_PATIENCE_MS;
}

/* A text that ends with a NUL and lives until the next begin; NULL: no memory. */
static const char *keep_text(struct pipe *p, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = arena_alloc(&p->arena, n);

	if (copy != NULL)
		memcpy(copy, text, n);
	return copy;
}

static struct smtp_result result_of(struct pipe *p, const struct spawn_answer *answer)
{
	struct smtp_result result = {
		answer->code >= 500 ? RESULT_PERMANENT : RESULT_TEMPORARY, answer->code,
		NULL, NULL};

	if (answer->code == 250)
		return delivery_taken;
	result.enhanced = keep_text(p, answer->enhanced);
	result.text = keep_text(p, answer->text);
	if (result.enhanced == NULL || result.text == NULL)
		return fail(p, "read the answer", -ENOMEM);
	return result;
}

/* The mailbox of a recipient as commands see it; only that of <postmaster> has no domain.
 * p NULL: no memory. */
static struct str mailbox_of(struct pipe *p, size_t i)
{
	const struct address *a = &p->message.envelope->recipients[i].address;
	struct str host = str_of(p->settings->hostname);
	char *joined;

	if (a->domain.n > 0)
		return a->mailbox;
	joined = arena_alloc(&p->arena, a->mailbox.n + 1 + host.n);
	if (joined == NULL)
		return (struct str){0};
	memcpy(joined, a->mailbox.p, a->mailbox.n);
	joined[a->mailbox.n] = '@';
	memcpy(joined + a->mailbox.n + 1, host.p, host.n);
	return (struct str){joined, a->mailbox.n + 1 + host.n};
}

/* All that is not about recipients. */
static struct spawn_request make_request(const struct pipe *p)
{
	const struct envelope *e = p->message.envelope;
	const struct envelope_client *client = &e->client;

	return (struct spawn_request){
		.section = p->section,
		.client_port = client->port,
		.asked_ms = clock_monotonic_ms(),
		.size_bytes = e->size_bytes,
		.sender = e->sender.mailbox,
		.client_address = client->address,
		.helo = client->helo,
		.user = client->user,
		.listener = client->listener,
		.message_id = str_of(e->stamp.id),
		.envid = e->envid,
		.protocol = str_of(envelope_protocol(e)),
		.tls_version = client->tls.version,
		.tls_cipher = client->tls.cipher,
		.tls_subject = client->tls.subject,
	};
}

/* Have the command run for the n recipients with these indexes, and fd as its input. */
static struct smtp_result ask(struct pipe *p, int fd, const size_t *indexes, size_t n)
{
	struct spawn_request request = make_request(p);
	struct str *recipients = arena_alloc(&p->arena, n * sizeof(*recipients));
	struct spawn_answer answer;
	ssize_t length;

	if (recipients == NULL)
		return fail(p, "recipients", -ENOMEM);
	for (size_t i = 0; i < n; i++) {
		recipients[i] = mailbox_of(p, indexes[i]);
		if (recipients[i].p == NULL)
			return fail(p, "recipients", -ENOMEM);
	}
	request.recipients = recipients;
	request.recipient_count = n;
	if (n == 1) {
		const struct address *a =
			&p->message.envelope->recipients[indexes[0]].address;

		request.local = a->local;
		request.domain =
			a->domain.n > 0 ? a->domain : str_of(p->settings->hostname);
	}
	buf_reset(&p->question);
	spawn_request_encode(&request, &p->question);
	if (p->question.has_overflowed)
		return fail(p, "ask the spawner", -ENOBUFS);
	length = ipc_ask(p->spawn_fd, p->question.p, p->question.len, &fd, SPAWN_FDS,
		&answer, sizeof(answer), request.asked_ms + question_ms(p));
	if (length < 0)
		return fail(p, "ask the spawner", (int)length);
	if (length != sizeof(answer) || !spawn_answer_is_right(&answer))
		return fail(p, "read the answer", -EBADMSG);
	return result_of(p, &answer);
}

/* The message with the headers of recipient i. */
static int copy_message(struct pipe *p, const struct buf *headers)
{
	uint64_t skipped = p->message.headers.len;
	int err, fd;

	fd = spool_make(&p->spool, p->writer.size_bytes - skipped + headers->len);
	if (fd < 0)
		return fd;
	err = fdio_write_all(fd, headers->p, headers->len);
	if (err == 0)
		err = text_copy(&p->writer, skipped, fd);
	if (err < 0) {
		(void)fdio_close(&fd);
		return err;
	}
	return fd;
}

static struct smtp_result ask_for_one(struct pipe *p, size_t i)
{
	struct smtp_result result;
	struct buf headers = {0};
	int fd = -1, err = 0;

	if (p->has_own_headers && i > 0)
		err = make_headers(p, i, 1, &headers);
	if (err == 0 && headers.len > 0) {
		fd = copy_message(p, &headers);
		err = fd < 0 ? fd : 0;
	}
	if (err < 0)
		result = fail(p, "copy", err);
	else
		result = ask(p, fd < 0 ? p->message.fd : fd, &i, 1);
	(void)fdio_close(&fd);
	buf_done(&headers);
	return result;
}

/* With SMTP the first failure is that of the message: what would follow is not run. */
static void run_for_each(struct pipe *p, const bool *keep, struct smtp_result *results)
{
	const struct envelope *e = p->message.envelope;
	struct smtp_result result = delivery_taken;

	for (size_t i = 0; i < e->recipient_count; i++) {
		if (!keep[i])
			continue;
		if (result.kind == RESULT_OK || e->client.is_lmtp)
			result = ask_for_one(p, i);
		results[i] = result;
	}
}

static void run_for_all(struct pipe *p, const bool *keep, struct smtp_result *results)
{
	size_t count = p->message.envelope->recipient_count, n = 0;
	size_t *indexes = arena_alloc(&p->arena, count * sizeof(*indexes));
	struct smtp_result result = delivery_taken;

	for (size_t i = 0; indexes != NULL && i < count; i++)
		if (keep[i])
			indexes[n++] = i;
	if (indexes == NULL)
		result = fail(p, "recipients", -ENOMEM);
	else if (n > 0)
		result = ask(p, p->message.fd, indexes, n);
	for (size_t i = 0; i < count; i++)
		if (keep[i])
			results[i] = result;
}

static void pipe_run(void *state, const bool *keep, struct smtp_result *results)
{
	struct pipe *p = state;

	if (p->settings->pipe.is_per_recipient)
		run_for_each(p, keep, results);
	else
		run_for_all(p, keep, results);
}

static void pipe_commit(void *state, const bool *keep, struct smtp_result *results)
{
	const struct pipe *p = state;

	for (size_t i = 0; i < p->message.envelope->recipient_count; i++)
		if (keep[i])
			results[i] = delivery_taken;
}

static void pipe_end(void *state, const bool *keep)
{
	(void)keep;
	end_message(state);
}

/* ------------------------------------------------------------- the section */

static void pipe_close(void *state)
{
	struct pipe *p = state;

	if (p == NULL)
		return;
	end_message(p);
	(void)fdio_close(&p->spool.dir);
	buf_done(&p->question);
	arena_done(&p->arena);
	free(p);
}

static int pipe_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	struct pipe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->settings = settings;
	p->section = (uint32_t)section;
	p->spawn_fd = env->spawn_fds[section];
	p->options = macro_used_as_options(settings->pipe.command);
	p->has_own_headers = settings->pipe.is_per_recipient && headers_differ(settings);
	p->message.fd = -1;
	arena_init(&p->arena, MEMORY_MAX);
	p->empty = arena_mark(&p->arena);
	buf_init(&p->question, SPAWN_REQUEST_MAX);
	p->spool.is_read = p->has_own_headers;
	p->spool.dir = open(env->spool_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->spool.dir < 0) {
		int err = -errno;

		pipe_close(p);
		return err;
	}
	*ret_state = p;
	return 0;
}

static void pipe_root(const void *state, struct delivery_root *ret)
{
	const struct pipe *p = state;

	*ret = (struct delivery_root){p->spool.dir,
		p->spool.is_read ? DELIVERY_REACH_STORE_READ : DELIVERY_REACH_SPOOL};
}

static int pipe_check(void *state)
{
	struct pipe *p = state;
	int fd = spool_make(&p->spool, 0);

	if (fd < 0)
		return fd;
	(void)fdio_close(&fd);
	return faccessat(p->spool.dir, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static uint64_t pipe_patience_ms(const void *state, size_t recipient_count)
{
	const struct pipe *p = state;

	return (p->settings->pipe.is_per_recipient ? recipient_count : 1) *
	       question_ms(p);
}

const struct delivery_backend delivery_pipe = {
	.name = "pipe",
	.open = pipe_open,
	.root = pipe_root,
	.check = pipe_check,
	.patience_ms = pipe_patience_ms,
	.close = pipe_close,
	.begin = pipe_begin,
	.chunk = pipe_chunk,
	.prepare = pipe_prepare,
	.run = pipe_run,
	.commit = pipe_commit,
	.end = pipe_end,
};
