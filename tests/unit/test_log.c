/* base/log: one line per event whatever a client sent, in one write. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "json.h"
#include "unit.h"

static char directory[] = "/tmp/sinkd-log-XXXXXX";
static char file[64];

static int make_directory(void)
{
	if (mkdtemp(directory) == NULL)
		return 1;
	(void)snprintf(file, sizeof(file), "%s/log", directory);
	log_note_process();
	return 0;
}

static int remove_directory(void)
{
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	(void)unlink(file);
	return rmdir(directory);
}

/* What the log has said since the last call. */
static struct str said(void)
{
	static char text[16384];
	int fd = open(file, O_RDWR | O_CLOEXEC);
	ssize_t n;

	CU_ASSERT_FATAL(fd >= 0);
	n = read(fd, text, sizeof(text));
	CU_ASSERT(ftruncate(fd, 0) == 0);
	(void)close(fd);
	return (struct str){text, n < 0 ? 0 : (size_t)n};
}

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* One line, of printable ASCII. */
static bool is_one_line(struct str s)
{
	if (s.n == 0 || s.p[s.n - 1] != '\n')
		return false;
	for (size_t i = 0; i + 1 < s.n; i++)
		if (!str_is_printable(s.p[i]))
			return false;
	return true;
}

static void test_line(void)
{
	char pid[32];
	struct str line;

	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	log_set_session(STR("s-1"));
	log_event(LOG_WARN, EV_MESSAGE_ACCEPTED, LOG_TEXT("from", "a@example.org"),
		LOG_NUM("size", UINT64_MAX), LOG_STR("to", STR("b c")),
		LOG_TEXT("empty", ""), LOG_ERRNO(-ENOENT));
	line = said();
	(void)snprintf(pid, sizeof(pid), " pid=%d ", (int)getpid());
	CHECK("line", is_one_line(line));
	CHECK("time", line.n > 30 && memcmp(line.p, "time=2", 6) == 0);
	CHECK("level", has(line, " level=warn "));
	CHECK("pid", has(line, pid));
	CHECK("event", has(line, " event=message.accepted "));
	CHECK("session", has(line, " session=s-1 "));
	CHECK("text", has(line, " from=a@example.org "));
	CHECK("number", has(line, " size=18446744073709551615 "));
	CHECK("quoted", has(line, " to=\"b c\" "));
	CHECK("empty", has(line, " empty=\"\" "));
	CHECK("reason", has(line, " reason=\"No such file or directory\"\n"));
	log_set_session((struct str){0});
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", 0));
	line = said();
	CHECK("no session", is_one_line(line) && !has(line, "session="));
	CHECK("zero is a number", has(line, " n=0\n"));
}

static void test_levels(void)
{
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_WARN) == 0);
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", 1));
	log_event(LOG_DEBUG, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("below", said().n == 0);
	log_event(LOG_WARN, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("at", is_one_line(said()));
	log_event(LOG_FATAL, EV_SERVER_FAILED, LOG_NUM("n", 1));
	CHECK("above", is_one_line(said()));
	CHECK("is on", log_is_on(LOG_ERROR) && !log_is_on(LOG_INFO));
}

static const struct str hostile[] = {
	STR("a\ntime=2026 event=forged"),
	STR("a\r\nb"),
	STR("x event=forged"),
	STR("\"; event=forged"),
	STR("\" event=forged x=\""),
	STR("\\"),
	STR("\\\" event=forged"),
	STR("a=b"),
	STR("\0\x1b[2J\x7f\xff"),
	STR("\xe2\x80\xa8"),
};
#define HOSTILE_COUNT (sizeof(hostile) / sizeof(hostile[0]))

/* Nobody but us begins a line or a key. */
static void test_hostile(void)
{
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	for (size_t i = 0; i < HOSTILE_COUNT; i++) {
		char name[80];
		struct str line;
		bool is_quoted = false;

		(void)str_printable(name, sizeof(name), hostile[i]);
		log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", hostile[i]),
			LOG_NUM("after", 1));
		line = said();
		CHECK(name, is_one_line(line));
		CHECK(name, has(line, " after=1\n"));
		/* Outside of quotes, whatever was sent, there is no forged key. */
		for (size_t k = 0; k < line.n; k++) {
			if (is_quoted && line.p[k] == '\\')
				k++;
			else if (line.p[k] == '"')
				is_quoted = !is_quoted;
			else if (!is_quoted && line.p[k] == ' ')
				CHECK(name, !has((struct str){line.p + k, 14},
						    " event=forged"));
		}
		CHECK(name, !is_quoted);
	}
}

static void test_length(void)
{
	static char endless[100000];
	struct str line;

	memset(endless, 'x', sizeof(endless));
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	log_event(LOG_INFO, EV_SESSION_COMMAND,
		LOG_STR("a", ((struct str){endless, sizeof(endless)})), LOG_NUM("b", 2));
	line = said();
	CHECK("bounded", is_one_line(line) && line.n <= 2048);
	CHECK("what follows is there", has(line, " b=2\n"));
	memset(endless, '\xff', sizeof(endless));
	log_event(LOG_INFO, EV_SESSION_COMMAND,
		LOG_STR("a", ((struct str){endless, sizeof(endless)})),
		LOG_STR("b", ((struct str){endless, sizeof(endless)})),
		LOG_STR("c", ((struct str){endless, sizeof(endless)})),
		LOG_STR("d", ((struct str){endless, sizeof(endless)})),
		LOG_STR("e", ((struct str){endless, sizeof(endless)})));
	line = said();
	CHECK("bounded", is_one_line(line) && line.n <= 2048);
}

static void test_target(void)
{
	struct stat before;
	struct stat after;

	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	CHECK("not there",
		log_open("/proc/nonexistent/log", LOG_FORMAT_TEXT, LOG_INFO) == -ENOENT);
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("the old one stays", is_one_line(said()));
	CU_ASSERT_FATAL(fstat(log_fd(), &before) == 0 && stat(file, &after) == 0);
	CHECK("log_fd", before.st_ino == after.st_ino);
	CHECK("closes on exec", (fcntl(log_fd(), F_GETFD) & FD_CLOEXEC) != 0);
	CHECK("appends", (fcntl(log_fd(), F_GETFL) & O_APPEND) != 0);
	CU_ASSERT(log_open("stderr", LOG_FORMAT_TEXT, LOG_INFO) == 0);
	CHECK("stderr", log_fd() == STDERR_FILENO);
}

/* ------------------------------------------------------------------ as JSON */

/* What the log has said, as one object. */
static const struct json_object *said_json(const char *name)
{
	static struct json_object object;

	CHECK(name, json_read(said(), &object));
	return &object;
}

static struct str member(
	const struct json_object *object, const char *key, bool is_number)
{
	const struct json_member *m = json_find(object, key);

	if (m == NULL || m->is_number != is_number)
		return STR("(missing, or of the wrong type)");
	return (struct str){m->value, m->value_len};
}

static void test_json_line(void)
{
	const struct json_object *o;
	char pid[32];

	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_JSON, LOG_INFO) == 0);
	log_set_session(STR("s-1"));
	log_event(LOG_WARN, EV_MESSAGE_ACCEPTED, LOG_TEXT("from", "a@example.org"),
		LOG_NUM("size", UINT64_MAX), LOG_NUM("zero", 0), LOG_TEXT("empty", ""),
		LOG_ERRNO(-ENOENT));
	log_set_session((struct str){0});
	o = said_json("line");
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	CHECK("all keys", o->count == 10);
	CHECK("time", member(o, "time", false).n == strlen("2026-01-02T03:04:05.678Z"));
	CHECK_STR("level", member(o, "level", false), STR("warn"));
	CHECK_STR("pid", member(o, "pid", true), str_of(pid));
	CHECK_STR("event", member(o, "event", false), STR("message.accepted"));
	CHECK_STR("session", member(o, "session", false), STR("s-1"));
	CHECK_STR("text", member(o, "from", false), STR("a@example.org"));
	CHECK_STR("number", member(o, "size", true), STR("18446744073709551615"));
	CHECK_STR("zero", member(o, "zero", true), STR("0"));
	CHECK_STR("empty", member(o, "empty", false), STR(""));
	CHECK_STR("reason", member(o, "reason", false), STR("No such file or directory"));
}

/* A reader gets each byte that was sent, and it is in its place. */
static void test_json_hostile(void)
{
	static const struct str json[] = {
		STR("\",\"event\":\"forged\",\"x\":\""),
		STR("\"}\n{\"event\":\"forged\"}"),
		STR("\\u0022"),
	};
	char all[256];

	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_JSON, LOG_INFO) == 0);
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	for (size_t i = 0; i < HOSTILE_COUNT + sizeof(json) / sizeof(json[0]); i++) {
		struct str value =
			i < HOSTILE_COUNT ? hostile[i] : json[i - HOSTILE_COUNT];
		char name[80];
		const struct json_object *o;

		(void)str_printable(name, sizeof(name), value);
		log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", value),
			LOG_NUM("after", 1));
		o = said_json(name);
		CHECK_STR(name, member(o, "line", false), value);
		CHECK_STR(name, member(o, "event", false), STR("session.command"));
		CHECK_STR(name, member(o, "after", true), STR("1"));
	}
	/* Few at a time, so that none is cut. */
	for (size_t i = 0; i < sizeof(all); i += 64) {
		struct str value = {all + i, 64};

		log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", value));
		CHECK_STR("each byte", member(said_json("each byte"), "line", false),
			value);
	}
}

/* However much is said, it is one whole object. */
static void test_json_length(void)
{
	static char endless[4096];
	struct str value = {endless, 0};

	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_JSON, LOG_INFO) == 0);
	for (size_t n = 0; n < sizeof(endless); n += n < 600 ? 1 : 97) {
		struct str line;
		static struct json_object o;

		memset(endless, n % 2 == 0 ? 'x' : '\xff', n);
		value.n = n;
		log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("a", value),
			LOG_STR("b", value), LOG_NUM("number", UINT64_MAX),
			LOG_STR("c", value), LOG_STR("d", value), LOG_STR("e", value),
			LOG_NUM("last", UINT64_MAX));
		line = said();
		CHECK("whole", line.n <= 2048 && json_read(line, &o));
		CHECK("the first are there", json_find(&o, "number") != NULL);
	}
}

/* -------------------------------------------------------------- a full disk */

/* Let files grow to this size only.  Returns the limit that was there. */
static rlim_t limit_file(rlim_t size)
{
	struct rlimit limit;
	rlim_t before;

	CU_ASSERT_FATAL(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	before = limit.rlim_cur;
	limit.rlim_cur = size;
	CU_ASSERT_FATAL(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	return before;
}

static void log_number(uint64_t n)
{
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", n));
}

/* Log the numbers 1 to 3 where only the first line and a half fit. */
static void log_to_full_disk(enum log_format format)
{
	rlim_t before;
	off_t size;

	CU_ASSERT_FATAL(log_open(file, format, LOG_INFO) == 0);
	log_number(1);
	size = lseek(log_fd(), 0, SEEK_END);
	before = limit_file((rlim_t)size + 20);
	log_number(2);
	log_number(3);
	(void)limit_file(before);
}

/* The lines 1 and 4, the beginning of 2 between them, and nothing else. */
static bool is_mended(enum log_format format, struct str s)
{
	const char *first = memchr(s.p, '\n', s.n), *second;
	const char *begin = format == LOG_FORMAT_JSON ? "{\"time\":" : "time=";
	size_t rest;

	if (first == NULL)
		return false;
	second = first + 1 + 20;
	if (second >= s.p + s.n || *second != '\n')
		return false;
	rest = (size_t)(s.p + s.n - (second + 1));
	return memchr(first + 1, '\n', 20) == NULL &&
	       has((struct str){s.p, (size_t)(first - s.p)},
		       format == LOG_FORMAT_JSON ? "\"n\":1}" : " n=1") &&
	       rest > strlen(begin) && memcmp(second + 1, begin, strlen(begin)) == 0 &&
	       is_one_line((struct str){second + 1, rest}) &&
	       has((struct str){second + 1, rest},
		       format == LOG_FORMAT_JSON ? "\"n\":4}\n" : " n=4\n");
}

/* After a line that stopped midway the next one begins a line, without a blank one. */
static void test_torn_line(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

	CU_ASSERT_FATAL(sigaction(SIGXFSZ, &ignore, &before) == 0);
	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		const char *name = format == LOG_FORMAT_JSON ? "json" : "text";
		struct str line;

		log_to_full_disk((enum log_format)format);
		log_number(4);
		CHECK(name, is_mended((enum log_format)format, said()));
		log_number(5);
		line = said();
		CHECK(name, is_one_line(line) && line.p[0] != '\n');
	}
	CU_ASSERT(sigaction(SIGXFSZ, &before, NULL) == 0);
}

/* A line of which nothing was written leaves no trace. */
static void test_lost_line(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	struct str both;
	const char *end;
	rlim_t limit;

	CU_ASSERT_FATAL(sigaction(SIGXFSZ, &ignore, &before) == 0);
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	log_number(1);
	limit = limit_file((rlim_t)lseek(log_fd(), 0, SEEK_END));
	log_number(2);
	(void)limit_file(limit);
	log_number(3);
	both = said();
	end = memmem(both.p, both.n, " n=1\n", 5);
	CU_ASSERT_FATAL(end != NULL);
	end += 5;
	CHECK("first", is_one_line((struct str){both.p, (size_t)(end - both.p)}));
	both = str_skip(both, (size_t)(end - both.p));
	CHECK("next", is_one_line(both) && has(both, " n=3\n"));
	CU_ASSERT(sigaction(SIGXFSZ, &before, NULL) == 0);
}

/* Another process than the one that could not finish ends the line. */
static void test_torn_by_another(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int status;
	pid_t pid;

	CU_ASSERT_FATAL(sigaction(SIGXFSZ, &ignore, &before) == 0);
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_JSON, LOG_INFO) == 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		log_to_full_disk(LOG_FORMAT_JSON);
		_exit(0);
	}
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	log_number(4);
	CHECK("another", is_mended(LOG_FORMAT_JSON, said()));
	CU_ASSERT(sigaction(SIGXFSZ, &before, NULL) == 0);
}

/* So does the server that is started once the disk has room again. */
static void test_torn_before_start(void)
{
	static const char half[] = "time=2026-01-";
	struct str text;
	int fd;

	CU_ASSERT_FATAL(log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && write(fd, half, strlen(half)) == (int)strlen(half));
	(void)close(fd);
	CU_ASSERT_FATAL(log_open(file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	log_number(4);
	text = said();
	CHECK("half", text.n > sizeof(half) && memcmp(text.p, half, strlen(half)) == 0);
	CHECK("its end", text.p[strlen(half)] == '\n');
	CHECK("next", is_one_line(str_skip(text, sizeof(half))));
}

/* ----------------------------------------------------------------- syslogd */

/* A datagram socket at file. */
static int start_syslogd(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)unlink(file);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", file);
	CU_ASSERT_FATAL(
		fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

/* Each level has its severity, and the longest line is not longer than elsewhere. */
static void test_syslogd(void)
{
	static const char *const priorities[] = {"<23>", "<22>", "<20>", "<19>", "<18>"};
	static char endless[100000], got[4096];
	struct str value = {endless, sizeof(endless)};
	char target[80];
	int fd = start_syslogd();
	ssize_t n;

	(void)snprintf(target, sizeof(target), "syslog:%s", file);
	CU_ASSERT_FATAL(log_open(target, LOG_FORMAT_TEXT, LOG_DEBUG) == 0);
	CHECK("log_fd", log_fd() != STDERR_FILENO);
	CHECK("closes on exec", (fcntl(log_fd(), F_GETFD) & FD_CLOEXEC) != 0);
	for (int level = LOG_DEBUG; level <= LOG_FATAL; level++) {
		log_event((enum log_level)level, EV_SERVER_START, LOG_NUM("n", 1));
		n = recv(fd, got, sizeof(got), 0);
		CHECK(priorities[level], n > 50 &&
						 memcmp(got, priorities[level], 4) == 0 &&
						 memcmp(got + n - 4, " n=1", 4) == 0);
	}
	memset(endless, 'x', sizeof(endless));
	log_event(LOG_INFO, EV_SERVER_START, LOG_STR("a", value), LOG_STR("b", value),
		LOG_STR("c", value), LOG_STR("d", value), LOG_STR("e", value));
	n = recv(fd, got, sizeof(got), 0);
	CHECK("bounded", n > 1500 && n < 2048);
	CHECK("too long a path",
		log_open("syslog:/"
			 "0123456789012345678901234567890123456789012345678901234567890"
			 "0123456789012345678901234567890123456789012345678901234567890",
			LOG_FORMAT_TEXT, LOG_INFO) == -ENAMETOOLONG);
	CU_ASSERT(log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	(void)close(fd);
	(void)unlink(file);
}

void suite_log(void)
{
	CU_pSuite s = CU_add_suite("log", make_directory, remove_directory);

	CU_add_test(s, "line", test_line);
	CU_add_test(s, "levels", test_levels);
	CU_add_test(s, "hostile values", test_hostile);
	CU_add_test(s, "length", test_length);
	CU_add_test(s, "target", test_target);
	CU_add_test(s, "JSON line", test_json_line);
	CU_add_test(s, "JSON hostile values", test_json_hostile);
	CU_add_test(s, "JSON length", test_json_length);
	CU_add_test(s, "torn line", test_torn_line);
	CU_add_test(s, "lost line", test_lost_line);
	CU_add_test(s, "torn by another process", test_torn_by_another);
	CU_add_test(s, "torn before the start", test_torn_before_start);
	CU_add_test(s, "syslogd", test_syslogd);
}
