/* The log; see log.h.
 *
 * Runs in every process; values may come from a client and are escaped here and
 * nowhere else.  A line is built on the stack and leaves in one write, so lines
 * of several processes do not mix (files are opened with O_APPEND). */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/fdio.h"

#define LINE_MAX_BYTES 2048
#define VALUE_MAX      512 /* so that no value crowds out the keys behind it */
#define SESSION_MAX    64

static const char *const event_names[] = {
#define LOG_EVENT_NAME(id, name) [id] = name,
	LOG_EVENTS(LOG_EVENT_NAME)
#undef LOG_EVENT_NAME
};

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
	[LOG_FATAL] = "fatal",
};

static int log_target_fd = STDERR_FILENO;
static enum log_level log_level_min = LOG_INFO;
static pid_t log_pid;
static char log_session[SESSION_MAX];

int log_open(const char *target, enum log_level level)
{
	int fd = STDERR_FILENO;

	if (target != NULL && strcmp(target, "stderr") != 0) {
		fd = open(target,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY |
				O_NOFOLLOW | O_NONBLOCK,
			0640);
		if (fd < 0)
			return -errno;
		/* A pipe that nobody reads must fail here, not hang; but lines are
		 * written whole, however long it takes. */
		(void)fcntl(fd, F_SETFL, O_APPEND);
	}
	if (log_target_fd != STDERR_FILENO)
		(void)fdio_close(&log_target_fd);
	log_target_fd = fd;
	log_level_min = level;
	return 0;
}

void log_note_process(void)
{
	log_pid = getpid();
}

int log_fd(void)
{
	return log_target_fd;
}

bool log_is_on(enum log_level level)
{
	return level >= log_level_min;
}

void log_set_session(struct str id)
{
	if (id.n >= sizeof(log_session))
		id.n = sizeof(log_session) - 1;
	if (id.n > 0)
		memcpy(log_session, id.p, id.n);
	log_session[id.n] = '\0';
}

struct str log_error_text(int error)
{
	const char *text = strerrordesc_np(error < 0 ? -error : error);

	return str_of(text == NULL ? "unknown error" : text);
}

/* Whether a value may stand without quotes. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_printable(s.p[i]) || s.p[i] == ' ' || s.p[i] == '"' ||
			s.p[i] == '\\' || s.p[i] == '=')
			return false;
	return s.n > 0;
}

/* Append " key=value" at line + len; returns the new length.  The value is cut
 * when it does not fit, so each later key is missing rather than half there. */
static size_t add_field(char *line, size_t len, size_t size, const struct log_field *f)
{
	size_t room = size - len, key_len = strlen(f->key), value_max;

	/* Blank, key, equals sign, two quotes, a number or a mark of a cut. */
	if (room < key_len + 32)
		return len;
	line[len++] = ' ';
	memcpy(line + len, f->key, key_len);
	len += key_len;
	line[len++] = '=';
	if (f->is_number)
		return len +
		       (size_t)snprintf(line + len, size - len, "%" PRIu64, f->number);
	value_max = size - len - 2 < VALUE_MAX ? size - len - 2 : VALUE_MAX;
	if (f->text.n < value_max && is_plain(f->text)) {
		memcpy(line + len, f->text.p, f->text.n);
		return len + f->text.n;
	}
	line[len++] = '"';
	len += str_printable(line + len, value_max, f->text);
	line[len++] = '"';
	return len;
}

static size_t add_time(char *line, size_t size)
{
	uint64_t now_us = clock_wall_us();
	struct date d = date_of(now_us / 1000000);

	return (size_t)snprintf(line, size, "time=%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		d.year, d.month, d.day, d.hour, d.minute, d.second,
		(unsigned)(now_us / 1000 % 1000));
}

void log_write(enum log_level level, enum log_event event, const struct log_field *fields)
{
	/* One byte is kept for the newline. */
	char line[LINE_MAX_BYTES];
	const size_t size = sizeof(line) - 1;
	size_t len = add_time(line, size);

	len = add_field(line, len, size, &LOG_TEXT("level", level_names[level]));
	len = add_field(line, len, size, &LOG_NUM("pid", log_pid));
	len = add_field(line, len, size, &LOG_TEXT("event", event_names[event]));
	if (log_session[0] != '\0')
		len = add_field(line, len, size, &LOG_TEXT("session", log_session));
	for (; fields->key != NULL; fields++)
		len = add_field(line, len, size, fields);
	line[len++] = '\n';
	/* There is nobody left to tell when the log itself fails. */
	(void)fdio_write_all(log_target_fd, line, len);
}
