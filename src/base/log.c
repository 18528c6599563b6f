/* The log; see log.h.
 *
 * Runs in every process; values may come from a client and are escaped here and
 * nowhere else.  A line is built on the stack and leaves in one write, so lines
 * of several processes do not mix (files are opened with O_APPEND).
 *
 * When a disk is full a line may stop midway.  The next one, of whatever process,
 * then begins with a newline, so that only the line that was cut is lost. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/fdio.h"
#include "base/syslogd.h"

#define LINE_MAX_BYTES 2048
#define VALUE_MAX      512 /* so that no value crowds out the keys behind it */
#define SESSION_MAX    64

/* How long to wait for a reader that was not there, the first time. */
#define PATIENCE_MS 100

/* What a field takes besides key and value text: the signs around them, and room for
 * any number or the mark of a cut. */
#define FIELD_OVERHEAD 32

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

/* RFC 3164, 4.1.1: debug, informational, warning, error, critical. */
static const unsigned severities[] = {
	[LOG_DEBUG] = 7,
	[LOG_INFO] = 6,
	[LOG_WARN] = 4,
	[LOG_ERROR] = 3,
	[LOG_FATAL] = 2,
};

/* What stands around the keys and values of a line. */
static const struct syntax {
	const char *before_first;
	const char *before_next;
	const char *after_key;
	const char *end;
} syntaxes[] = {
	[LOG_FORMAT_TEXT] = {"", " ", "=", "\n"},
	[LOG_FORMAT_JSON] = {"{\"", ",\"", "\":", "}\n"},
};

/* A line on its way.  It begins behind one byte of its own, for the newline that ends
 * the torn line before it. */
struct line {
	const char *before_key;
	size_t len;
	char text[1 + LINE_MAX_BYTES];
};

static int log_target_fd = STDERR_FILENO;
static struct sockaddr_un log_syslogd; /* family AF_UNSPEC: the target is a file */
static enum log_format log_format;
static enum log_level log_level_min = LOG_INFO;
static pid_t log_pid;
static char log_session[SESSION_MAX];

/* Of a target that somebody reads, and may stop to. */
static bool has_reader;
static bool is_stderr = true;
static bool is_stalled;
static uint64_t lines_lost;

/* Whether the target ends in the middle of a line.  All processes share it once the
 * log is open; what a hostile worker makes of it is a blank line. */
static atomic_bool own_torn;
static atomic_bool *is_torn = &own_torn;

/* ------------------------------------------------------------------ target */

static int open_file(const char *path)
{
	int fd = open(path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW |
			O_NONBLOCK,
		0640);

	if (fd < 0)
		return -errno;
	/* A pipe that nobody reads must fail here, not hang; but lines are written
	 * whole, however long it takes. */
	(void)fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

/* A terminal says that it has room when it has room for one byte, so there the write
 * itself must not wait.  Opened anew, the flag is ours; where that is not allowed,
 * standard error is used as it is. */
static int open_stderr(void)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDERR_FILENO, &st) == 0 && S_ISCHR(st.st_mode))
		fd = open(
			"/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? STDERR_FILENO : fd;
}

/* What a server before us left at the end of a file, when its disk was full. */
static bool ends_mid_line(const char *path, int fd)
{
	struct stat st;
	char last = '\n';
	int in;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	in = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
	if (in < 0)
		return false;
	if (pread(in, &last, 1, st.st_size - 1) != 1)
		last = '\n';
	(void)fdio_close(&in);
	return last != '\n';
}

/* Without memory to share, each process ends the lines that it has torn itself. */
static void share_torn(void)
{
	void *page;

	if (is_torn != &own_torn)
		return;
	page = mmap(NULL, sizeof(*is_torn), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED)
		is_torn = page;
}

int log_open(const char *target, enum log_format format, enum log_level level)
{
	struct sockaddr_un syslogd = {0};
	bool ends_torn = false, to_stderr = false;
	struct stat st;
	int fd;

	if (target != NULL && syslogd_path(target) != NULL) {
		fd = syslogd_open(syslogd_path(target), &syslogd);
	} else if (target != NULL && strcmp(target, "stderr") != 0) {
		fd = open_file(target);
		ends_torn = fd >= 0 && ends_mid_line(target, fd);
	} else {
		fd = open_stderr();
		to_stderr = true;
	}
	if (fd < 0)
		return fd;
	if (log_target_fd != STDERR_FILENO)
		(void)fdio_close(&log_target_fd);
	share_torn();
	atomic_store(is_torn, ends_torn);
	has_reader = fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
	is_stalled = false;
	is_stderr = to_stderr;
	log_target_fd = fd;
	log_syslogd = syslogd;
	log_format = format;
	log_level_min = level;
	return 0;
}

void log_note_process(void)
{
	log_pid = getpid();
	lines_lost = 0; /* what the master lost is not ours to tell */
}

bool log_is_stderr(void)
{
	return is_stderr;
}

int log_fd(void)
{
	return log_target_fd;
}

void log_set_level(enum log_level level)
{
	log_level_min = level;
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

/* ------------------------------------------------------------------- lines */

/* Whether a value may stand without quotes. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_printable(s.p[i]) || s.p[i] == ' ' || s.p[i] == '"' ||
			s.p[i] == '\\' || s.p[i] == '=')
			return false;
	return s.n > 0;
}

static void append(struct line *line, struct str s)
{
	memcpy(line->text + line->len, s.p, s.n);
	line->len += s.n;
}

static void append_number(struct line *line, uint64_t number)
{
	line->len += str_decimal(line->text + line->len, number);
}

static void append_value(struct line *line, struct str value, size_t value_max)
{
	char *out;

	if (log_format == LOG_FORMAT_TEXT && value.n < value_max && is_plain(value)) {
		append(line, value);
		return;
	}
	append(line, STR("\""));
	out = line->text + line->len;
	line->len += log_format == LOG_FORMAT_JSON ? str_json(out, value_max, value)
						   : str_printable(out, value_max, value);
	append(line, STR("\""));
}

/* Append a key and its value.  A long value is cut; when there is no room for a key,
 * it is missing rather than half there. */
static void add_field(struct line *line, const struct log_field *f)
{
	const struct syntax *syntax = &syntaxes[log_format];
	struct str key = str_of(f->key);
	size_t room = sizeof(line->text) - strlen(syntax->end) - line->len;

	if (room < key.n + FIELD_OVERHEAD)
		return;
	append(line, str_of(line->before_key));
	append(line, key);
	append(line, str_of(syntax->after_key));
	line->before_key = syntax->before_next;
	room = sizeof(line->text) - strlen(syntax->end) - line->len;
	if (f->is_number)
		append_number(line, f->number);
	else
		append_value(line, f->text, room - 2 < VALUE_MAX ? room - 2 : VALUE_MAX);
}

static void add_time(struct line *line, uint64_t now_us)
{
	struct date d = date_of(now_us / 1000000);
	char text[] = "0000-00-00T00:00:00.000Z";

	str_digits(text, 4, d.year);
	str_digits(text + 5, 2, d.month);
	str_digits(text + 8, 2, d.day);
	str_digits(text + 11, 2, d.hour);
	str_digits(text + 14, 2, d.minute);
	str_digits(text + 17, 2, d.second);
	str_digits(text + 20, 3, now_us / 1000 % 1000);
	add_field(line, &LOG_TEXT("time", text));
}

/* ----------------------------------------------------------------- writing */

/* Whether a line can be written without waiting for ever.  Only the first one that
 * finds no room waits at all.  (Between this look and the write another process may
 * take the room of a pipe, and we wait after all; a flag on the descriptor would prevent
 * that, but a pipe that we were given is not ours alone to set flags on.) */
static bool has_room(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (!has_reader)
		return true;
	is_stalled = poll(&p, 1, is_stalled ? 0 : PATIENCE_MS) < 1;
	lines_lost += is_stalled;
	return !is_stalled;
}

/* Say how many lines are missing.  Whether there is still room for the next one. */
static bool tell_lost(void)
{
	uint64_t lost = lines_lost;

	if (lost == 0)
		return true;
	lines_lost = 0;
	log_event(LOG_WARN, EV_LOG_LOST, LOG_NUM("lines", lost));
	if (lines_lost == 0 && has_room(log_target_fd))
		return true;
	lines_lost = lost + 1;
	return false;
}

static void write_file(int fd, struct line *line)
{
	bool was_torn = atomic_load_explicit(is_torn, memory_order_relaxed) &&
			atomic_exchange(is_torn, false);
	size_t from = was_torn ? 0 : 1;
	ssize_t written = fdio_write(fd, line->text + from, line->len - from);

	lines_lost += written < 0 && has_reader;
	/* There is nobody left to tell when the log itself fails. */
	if (written > 0 ? (size_t)written < line->len - from : was_torn)
		atomic_store(is_torn, true);
}

/* header: how long the one for syslogd is. */
static void write_syslogd(enum log_level level, const struct line *line, size_t header)
{
	const char *text = line->text + 1;
	size_t len = line->len - 1;

	/* syslogd does not want the newline. */
	if (syslogd_send(log_target_fd, &log_syslogd, text, len - 1) < 0 &&
		level == LOG_FATAL)
		(void)fdio_write(STDERR_FILENO, text + header, len - header);
}

void log_write(enum log_level level, enum log_event event, const struct log_field *fields)
{
	struct line line = {.before_key = syntaxes[log_format].before_first, .len = 1};
	bool is_syslogd = log_syslogd.sun_family != AF_UNSPEC;
	uint64_t now_us = clock_wall_us();
	size_t header = 0;

	line.text[0] = '\n';
	if (is_syslogd)
		header = syslogd_header(
			line.text + 1, severities[level], log_pid, now_us / 1000000);
	line.len += header;
	add_time(&line, now_us);
	add_field(&line, &LOG_TEXT("level", level_names[level]));
	add_field(&line, &LOG_NUM("pid", log_pid));
	add_field(&line, &LOG_TEXT("event", event_names[event]));
	if (log_session[0] != '\0')
		add_field(&line, &LOG_TEXT("session", log_session));
	for (; fields->key != NULL; fields++)
		add_field(&line, fields);
	append(&line, str_of(syntaxes[log_format].end));
	if (is_syslogd)
		write_syslogd(level, &line, header);
	else if (has_room(log_target_fd) && tell_lost())
		write_file(log_target_fd, &line);
}
