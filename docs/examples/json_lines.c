/* A backend that appends each message to a file, as a line of JSON.
 *
 *   cc -shared -fPIC $(pkg-config --cflags sinkd) -o json_lines.so json_lines.c
 *
 * argument: the file, which is opened before the sandbox closes.
 *
 *   {"id":"...","section":"json","client":"192.0.2.7","sender":"a@example.org",
 *    "recipients":["b@example.org"],"text":"Subject: x\r\n\r\n..."}
 *
 * Every byte is one character of a string, whatever it was meant to be, so that nothing
 * is lost.  A line cannot be taken back when others may stand behind it: a second one,
 * {"id":"...","withdrawn":["b@example.org"]}, says for whom it does not count.  One that
 * could not be written, or made durable, is crossed out: a line of blanks is nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sinkd_module.h>

struct json_lines {
	const struct sinkd_host *host;
	struct sinkd_backend backend;
	int fd;       /* to append */
	int cross_fd; /* the same file, to write over what this worker has appended */
};

/* A text that grows. */
struct text {
	char *p;
	size_t n;
	size_t room;
	bool has_failed; /* there was no memory */
};

/* A message on its way. */
struct message {
	const struct sinkd_envelope *envelope;
	struct sinkd_str section;
	struct text text; /* the inside of the string */
	bool *stored;     /* for which recipients */
};

static void add(struct text *t, const char *p, size_t n)
{
	if (t->n + n > t->room) {
		size_t room = (t->n + n) * 2;
		char *grown = realloc(t->p, room);

		t->has_failed |= grown == NULL;
		if (grown == NULL)
			return;
		t->p = grown;
		t->room = room;
	}
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void add_text(struct text *t, const char *text)
{
	add(t, text, strlen(text));
}

static void add_escaped(struct text *t, struct sinkd_str s)
{
	char code[8];

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c == '"' || c == '\\')
			(void)snprintf(code, sizeof(code), "\\%c", c);
		else if (c == '\r' || c == '\n')
			(void)snprintf(code, sizeof(code), "\\%c", c == '\r' ? 'r' : 'n');
		else if (c < 0x20 || c > 0x7e)
			(void)snprintf(code, sizeof(code), "\\u%04x", c);
		else
			(void)snprintf(code, sizeof(code), "%c", c);
		add_text(t, code);
	}
}

static void add_field(struct text *t, const char *name, struct sinkd_str value)
{
	add_text(t, name);
	add_text(t, "\"");
	add_escaped(t, value);
	add_text(t, "\"");
}

/* The recipients with which[i]. */
static void add_recipients(struct text *t, const struct sinkd_host *host,
	const struct sinkd_envelope *envelope, const bool *which)
{
	uint64_t count = host->number(envelope, SINKD_RECIPIENT_COUNT);
	const char *before = "";

	add_text(t, "[");
	for (size_t i = 0; i < count; i++)
		if (which[i]) {
			add_field(t, before, host->recipient(envelope, i));
			before = ",";
		}
	add_text(t, "]");
}

/* The last n bytes that were appended here become a line of blanks.  That takes no new
 * room on the disk, and others may already stand behind them. */
static void cross_out(const struct json_lines *j, size_t n)
{
	off_t end = lseek(j->fd, 0, SEEK_CUR);
	char blanks[4096];
	bool is_done = end >= 0 && lseek(j->cross_fd, end - (off_t)n, SEEK_SET) >= 0;

	memset(blanks, ' ', sizeof(blanks));
	while (is_done && n > 0) {
		size_t piece = n < sizeof(blanks) ? n : sizeof(blanks);

		if (piece == n)
			blanks[piece - 1] = '\n';
		is_done = write(j->cross_fd, blanks, piece) == (ssize_t)piece;
		n -= piece;
	}
	if (!is_done)
		j->host->log(j->host, SINKD_ERROR, "cannot cross out a line");
}

/* All of it in one write, so that lines of other workers come before or behind it.
 * Returns 0 or a negative errno. */
static int append(const struct json_lines *j, const struct text *line)
{
	ssize_t n = -1;
	int error;

	if (line->has_failed)
		return -ENOMEM;
	n = write(j->fd, line->p, line->n);
	if (n < 0)
		return -errno;
	if ((size_t)n == line->n && fsync(j->fd) == 0)
		return 0;
	/* The disk is full, or fails. */
	error = (size_t)n < line->n ? ENOSPC : errno;
	if (n > 0)
		cross_out(j, (size_t)n);
	return -error;
}

static void fail(struct sinkd_result *result, int error)
{
	bool is_full = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;

	result->code = is_full ? 452 : 451;
	(void)snprintf(
		result->enhanced, sizeof(result->enhanced), is_full ? "4.3.1" : "4.3.0");
	(void)snprintf(result->text, sizeof(result->text),
		is_full ? "Insufficient system storage" : "Local error in processing");
}

static void free_message(struct message *m)
{
	free(m->text.p);
	free(m->stored);
	free(m);
}

static void *begin(void *user, struct sinkd_str section,
	const struct sinkd_envelope *envelope, struct sinkd_result *result)
{
	struct json_lines *j = user;
	uint64_t count = j->host->number(envelope, SINKD_RECIPIENT_COUNT);
	struct message *m = calloc(1, sizeof(*m));

	if (m != NULL)
		m->stored = calloc(count, sizeof(*m->stored));
	if (m == NULL || m->stored == NULL) {
		free(m);
		fail(result, -ENOMEM);
		return NULL;
	}
	m->envelope = envelope;
	m->section = section;
	return m;
}

static void chunk(
	void *user, void *message, struct sinkd_str bytes, struct sinkd_result *result)
{
	struct message *m = message;

	(void)user;
	add_escaped(&m->text, bytes);
	if (m->text.has_failed)
		fail(result, -ENOMEM);
}

static void commit(
	void *user, void *message, const bool *keep, struct sinkd_result *results)
{
	struct json_lines *j = user;
	struct message *m = message;
	const struct sinkd_host *host = j->host;
	uint64_t count = host->number(m->envelope, SINKD_RECIPIENT_COUNT);
	struct text line = {0};
	int r;

	add_field(&line, "{\"id\":", host->text(m->envelope, SINKD_MESSAGE_ID));
	add_field(&line, ",\"section\":", m->section);
	add_field(&line, ",\"client\":", host->text(m->envelope, SINKD_CLIENT_ADDRESS));
	add_field(&line, ",\"sender\":", host->text(m->envelope, SINKD_SENDER));
	add_text(&line, ",\"recipients\":");
	add_recipients(&line, host, m->envelope, keep);
	add_text(&line, ",\"text\":\"");
	add(&line, m->text.p != NULL ? m->text.p : "", m->text.n);
	add_text(&line, "\"}\n");
	r = append(j, &line);
	free(line.p);
	for (size_t i = 0; i < count; i++) {
		m->stored[i] |= keep[i] && r == 0;
		if (keep[i] && r < 0)
			fail(&results[i], r);
	}
}

static void end(void *user, void *message, const bool *keep)
{
	struct json_lines *j = user;
	struct message *m = message;
	uint64_t count = j->host->number(m->envelope, SINKD_RECIPIENT_COUNT);
	struct text line = {0};
	bool is_any = false;

	for (size_t i = 0; i < count; i++) {
		m->stored[i] &= keep == NULL || !keep[i];
		is_any |= m->stored[i];
	}
	if (is_any) {
		add_field(
			&line, "{\"id\":", j->host->text(m->envelope, SINKD_MESSAGE_ID));
		add_text(&line, ",\"withdrawn\":");
		add_recipients(&line, j->host, m->envelope, m->stored);
		add_text(&line, "}\n");
		if (append(j, &line) < 0)
			j->host->log(j->host, SINKD_ERROR, "cannot withdraw a message");
		free(line.p);
	}
	free_message(m);
}

static void close_file(void *user)
{
	struct json_lines *j = user;

	(void)close(j->fd);
	(void)close(j->cross_fd);
	free(j);
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	struct json_lines *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return -ENOMEM;
	j->host = host;
	j->fd = open(argument, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	j->cross_fd = j->fd < 0 ? -1 : open(argument, O_WRONLY | O_CLOEXEC);
	if (j->cross_fd < 0) {
		int error = errno;

		if (j->fd >= 0)
			(void)close(j->fd);
		(void)snprintf(ret->error, sizeof(ret->error), "cannot open '%s': %s",
			argument, strerror(error));
		free(j);
		return -error;
	}
	j->backend = (struct sinkd_backend){
		.abi = SINKD_ABI,
		.size = sizeof(j->backend),
		.user = j,
		.begin = begin,
		.chunk = chunk,
		.commit = commit,
		.end = end,
	};
	ret->abi = SINKD_ABI;
	ret->backend = &j->backend;
	ret->user = j;
	ret->close = close_file;
	return 0;
}
