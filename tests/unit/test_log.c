/* base/log: one line per event whatever a client sent, in one write. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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
	(void)log_open(NULL, LOG_INFO);
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

	CU_ASSERT_FATAL(log_open(file, LOG_INFO) == 0);
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
	CU_ASSERT_FATAL(log_open(file, LOG_WARN) == 0);
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", 1));
	log_event(LOG_DEBUG, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("below", said().n == 0);
	log_event(LOG_WARN, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("at", is_one_line(said()));
	log_event(LOG_FATAL, EV_SERVER_FAILED, LOG_NUM("n", 1));
	CHECK("above", is_one_line(said()));
	CHECK("is on", log_is_on(LOG_ERROR) && !log_is_on(LOG_INFO));
}

/* Nobody but us begins a line or a key. */
static void test_hostile(void)
{
	static const struct str values[] = {
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

	CU_ASSERT_FATAL(log_open(file, LOG_INFO) == 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char name[80];
		struct str line;
		bool is_quoted = false;

		(void)str_printable(name, sizeof(name), values[i]);
		log_event(LOG_INFO, EV_SESSION_COMMAND, LOG_STR("line", values[i]),
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
	CU_ASSERT_FATAL(log_open(file, LOG_INFO) == 0);
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

	CU_ASSERT_FATAL(log_open(file, LOG_INFO) == 0);
	CHECK("not there", log_open("/nonexistent/log", LOG_INFO) == -ENOENT);
	log_event(LOG_INFO, EV_SERVER_START, LOG_NUM("n", 1));
	CHECK("the old one stays", is_one_line(said()));
	CU_ASSERT_FATAL(fstat(log_fd(), &before) == 0 && stat(file, &after) == 0);
	CHECK("log_fd", before.st_ino == after.st_ino);
	CHECK("closes on exec", (fcntl(log_fd(), F_GETFD) & FD_CLOEXEC) != 0);
	CHECK("appends", (fcntl(log_fd(), F_GETFL) & O_APPEND) != 0);
	CU_ASSERT(log_open("stderr", LOG_INFO) == 0);
	CHECK("stderr", log_fd() == STDERR_FILENO);
}

void suite_log(void)
{
	CU_pSuite s = CU_add_suite("log", make_directory, remove_directory);

	CU_add_test(s, "line", test_line);
	CU_add_test(s, "levels", test_levels);
	CU_add_test(s, "hostile values", test_hostile);
	CU_add_test(s, "length", test_length);
	CU_add_test(s, "target", test_target);
}
