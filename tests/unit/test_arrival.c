/* Unit tests of proc/arrival: who is taken for the client, what becomes of PROXY headers
 * and of those who do not wait for the greeting.  The connection is a socket pair; where
 * it comes from is said. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "net/conn.h"
#include "proc/arrival.h"
#include "proc/notices.h"
#include "proc/serve.h"
#include "unit.h"

#define V1      "PROXY TCP4 198.51.100.9 203.0.113.1 4711 25\r\n"
#define V1_HERE "PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n"
#define V1_SIX  "PROXY TCP6 2001:db8::9 ::1 4711 465\r\n"
#define V2      "\r\n\r\n\0\r\nQUIT\n"
#define V2_FOUR V2 "\x21\x11\0\x0c\xc6\x33\x64\x09\xcb\0\x71\1\x12\x67\0\x19"
#define LOCAL   V2 "\x20\0\0\0"

static char log_file[] = "/tmp/sinkd-arrival-XXXXXX";
static char logged[4096];

struct scene {
	struct config config;
	struct listen_settings settings;
	struct network proxies[2], xclients[3];
	struct listener listener;
	struct board board;
	struct slot slot;
	struct counters *counters;
	int counters_fd;
	struct serve_env env;
	struct notices notices;
	struct smtp_env engine_env;
	struct smtp *engine;
	struct conn conn;
	struct arrival arrival;
	int fd; /* of the client */
};

static void do_nothing(void)
{
}

static struct network network(const char *text)
{
	struct network n = {0};

	CU_ASSERT_FATAL(network_parse(text, &n) == NULL);
	return n;
}

static void set_up_settings(struct scene *s)
{
	s->config.timeouts.tls_ms = 60000;
	s->config.timeouts.command_ms = 60000;
	s->config.timeouts.data_ms = 60000;
	s->config.log_level = LOG_INFO;
	s->config.smtp.hostname = "mx.example.test";
	s->config.smtp.greeting = "%{hostname}";
	s->config.smtp.line_length_max = 4096;
	s->config.smtp.memory_max = 1 << 20;
	s->proxies[0] = network("10.0.0.0/8");
	s->proxies[1] = network("127.0.0.1");
	s->xclients[0] = network("127.0.0.0/8");
	s->xclients[1] = network("198.51.100.9");
	s->xclients[2] = network("10.0.0.9");
	s->settings = (struct listen_settings){
		.name = "mx",
		.smtp.extensions = EXTENSIONS_ALL,
		.proxies = s->proxies,
		.proxy_count = 2,
		.xclients = s->xclients,
		.xclient_count = 3,
	};
	s->listener.settings = &s->settings;
	s->board = (struct board){.log_level = -1, .verbose = -1, .slot_count = 1};
}

static void set_up(struct scene *s)
{
	int fds[2];

	*s = (struct scene){.fd = -1};
	set_up_settings(s);
	CU_ASSERT_FATAL(counters_create(&s->counters, &s->counters_fd) == 0);
	s->env = (struct serve_env){
		.config = &s->config,
		.board = &s->board,
		.slot = &s->slot,
		.counters = s->counters,
		.client_key_secret = {1, 2},
		.worker_number = 1,
	};
	s->notices = (struct notices){.board = &s->board,
		.config = &s->config,
		.leave = do_nothing,
		.log_level = -1};
	s->engine = smtp_new(&s->config.smtp, &s->engine_env);
	CU_ASSERT_FATAL(s->engine != NULL && conn_init(&s->conn) == 0);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	conn_take_fd(&s->conn, fds[0], false);
	s->fd = fds[1];
	s->arrival = (struct arrival){
		.env = &s->env, .conn = &s->conn, .notices = &s->notices};
	CU_ASSERT_FATAL(truncate(log_file, 0) == 0);
	CU_ASSERT_FATAL(log_open(log_file, LOG_FORMAT_TEXT, LOG_INFO) == 0);
}

static void tear_down(struct scene *s)
{
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	smtp_end(s->engine);
	smtp_free(s->engine);
	conn_done(&s->conn);
	(void)fdio_close(&s->fd);
	(void)fdio_close(&s->counters_fd);
}

static void say(const struct scene *s, struct str text)
{
	CU_ASSERT_FATAL(send(s->fd, text.p, text.n, MSG_NOSIGNAL) == (ssize_t)text.n);
}

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNIX};
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	in->sin_port = htons(2525); /* at the same place in both */
	return ss;
}

static int meet(struct scene *s, const char *from)
{
	const struct sockaddr_storage ss = address_of(from);

	return arrival_meet(&s->arrival, &s->listener, &ss, clock_monotonic_ms());
}

static const char *read_log(void)
{
	FILE *f = fopen(log_file, "r");

	CU_ASSERT_FATAL(f != NULL);
	logged[fread(logged, 1, sizeof(logged) - 1, f)] = '\0';
	(void)fclose(f);
	return logged;
}

/* What is left on the socket. */
static struct str rest(struct scene *s, char text[64])
{
	ssize_t n = recv(s->conn.fd, text, 64, MSG_DONTWAIT);

	return (struct str){text, n > 0 ? (size_t)n : 0};
}

/* --- who is there
 * ----------------------------------------------------------------------- */

static const struct {
	const char *name, *from;
	struct str sent;
	const char *client; /* ADDRESS PORT DESTINATION PORT; NULL: it is closed */
	bool is_loopback, may_xclient;
	const char *log; /* what it says of it; NULL: nothing */
} arrivals[] = {
	{"nobody listed", "192.0.2.7", STR("EHLO"), "192.0.2.7 2525  0", false, false,
		NULL},
	{"not listed, and a header", "192.0.2.7", STR(V1 "EHLO"), "192.0.2.7 2525  0",
		false, false, NULL},
	{"XCLIENT", "198.51.100.9", STR("EHLO"), "198.51.100.9 2525  0", false, true,
		NULL},
	{"here", "127.0.0.2", STR("EHLO"), "127.0.0.2 2525  0", true, true, NULL},
	{"here, six", "::1", STR("EHLO"), "::1 2525  0", true, false, NULL},
	{"Unix", "unix", STR("EHLO"), "unix 0  0", true, false, NULL},
	{"v1", "10.0.0.5", STR(V1 "EHLO"), "198.51.100.9 4711 203.0.113.1 25", false,
		true,
		"session.proxy peer=10.0.0.5 client=198.51.100.9 "
		"port=4711 "
		"destination=203.0.113.1:25"},
	{"v1, six", "10.0.0.5", STR(V1_SIX "EHLO"), "2001:db8::9 4711 ::1 465", false,
		false,
		"peer=10.0.0.5 client=2001:db8::9 port=4711 destination=[::1]:465"},
	{"v2", "10.0.0.5", STR(V2_FOUR "EHLO"), "198.51.100.9 4711 203.0.113.1 25", false,
		true, "peer=10.0.0.5 client=198.51.100.9 port=4711"},
	{"one header is all", "10.0.0.5", STR(V1 V1), "198.51.100.9 4711 203.0.113.1 25",
		false, true, "client=198.51.100.9"},
	{"a client on the proxy's machine", "10.0.0.5", STR(V1_HERE "EHLO"),
		"127.0.0.1 4711 127.0.0.1 25", false, false, "client=127.0.0.1"},
	{"a client on this machine", "127.0.0.1", STR(V1_HERE "EHLO"),
		"127.0.0.1 4711 127.0.0.1 25", true, true, "client=127.0.0.1"},
	{"a proxy on this machine", "127.0.0.1", STR(V1 "EHLO"),
		"198.51.100.9 4711 203.0.113.1 25", false, true, "client=198.51.100.9"},
	{"the proxy itself", "127.0.0.1", STR(LOCAL "EHLO"), "127.0.0.1 2525  0", true,
		true, "peer=127.0.0.1 client=127.0.0.1 port=2525 destination=\"\""},
	{"somebody", "127.0.0.1", STR("PROXY UNKNOWN\r\nEHLO"), "127.0.0.1 2525  0",
		false, false, "client=127.0.0.1"},
	{"somebody, six", "10.0.0.9", STR("PROXY UNKNOWN\r\nEHLO"), "10.0.0.9 2525  0",
		false, false, "client=10.0.0.9"},
	{"no header", "10.0.0.5", STR("EHLO there\r\n"), NULL, false, false,
		"session.proxy client=10.0.0.5 error=\"no PROXY "
		"header\""},
	{"ClientHello", "10.0.0.5", STR("\x16\3\1\0\xff"), NULL, false, false,
		"error=\"no PROXY header\""},
	{"a bad line", "10.0.0.5", STR("PROXY TCP4 x\r\n"), NULL, false, false,
		"error=\"not a PROXY line\""},
	{"a bad header", "10.0.0.5", STR(V2 "\x21\x11\0\x0b"), NULL, false, false,
		"error=\"bad PROXY header of version 2\""},
};

static void test_arrivals(void)
{
	for (size_t i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++) {
		const char *name = arrivals[i].name;
		char text[200], left[64];
		struct scene s;
		int r;

		set_up(&s);
		say(&s, arrivals[i].sent);
		r = meet(&s, arrivals[i].from);
		CHECK(name, r == (arrivals[i].client != NULL ? 0 : -EBADMSG));
		if (arrivals[i].log == NULL)
			CHECK(name, *read_log() == '\0');
		else
			CHECK(name, strstr(read_log(), arrivals[i].log) != NULL);
		CHECK(name, (strstr(logged, "level=warn") != NULL) == (r != 0));
		if (r == 0) {
			const struct smtp_peer *p = &s.arrival.peer;

			(void)snprintf(text, sizeof(text), "%.*s %u %.*s %u",
				STR_ARG(p->address), p->port, STR_ARG(p->proxy_address),
				p->proxy_port);
			CHECK_STR(name, str_of(text), str_of(arrivals[i].client));
			CHECK(name, p->is_loopback == arrivals[i].is_loopback);
			CHECK(name, p->may_xclient == arrivals[i].may_xclient);
			if (strcmp(name, "one header is all") == 0)
				CHECK_STR(name, rest(&s, left), STR(V1));
			else if (arrivals[i].log != NULL)
				CHECK_STR(name, rest(&s, left), STR("EHLO"));
		}
		tear_down(&s);
	}
}

/* What the slot says, and whom the limit counts. */
static void test_everywhere(void)
{
	const struct sockaddr_storage told = address_of("198.51.100.9");
	struct slot_report report;
	struct scene s;

	set_up(&s);
	say(&s, STR(V1));
	CHECK("header", meet(&s, "10.0.0.5") == 0);
	slot_set_state(&s.slot, SLOT_COMMAND);
	slot_read(&s.slot, &report);
	CHECK_STR("slot", str_of(report.client), STR("198.51.100.9"));
	CHECK("port", report.port == 4711);
	CHECK("admitted", arrival_admit(&s.arrival, s.engine));
	CHECK("counted",
		counters_count_client(s.counters, 1,
			counters_client_key(s.env.client_key_secret, &told)) == 1);
	CHECK("start", strstr(read_log(), "session.start client=198.51.100.9 port=4711 "
					  "listener=mx") != NULL);
	arrival_count(&s.arrival, false);
	CHECK("gone", counters_count_client(s.counters, 1, s.arrival.client_key) == 0);
	tear_down(&s);
}

/* However the header comes; nothing but its last octet ends it. */
static void test_pieces(void)
{
	static const struct str headers[] = {STR(V1 "EHLO"), STR(V2_FOUR "EHLO")};

	for (size_t i = 0; i < 2; i++) {
		char left[64];
		struct scene s;
		int status;
		pid_t pid;

		set_up(&s);
		pid = fork();
		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0) {
			for (size_t n = 0; n < headers[i].n; n++)
				if (send(s.fd, headers[i].p + n, 1, MSG_NOSIGNAL) != 1)
					_exit(1);
			_exit(0);
		}
		CHECK("pieces", meet(&s, "10.0.0.5") == 0);
		CU_ASSERT_FATAL(waitpid(pid, &status, 0) == pid && status == 0);
		CHECK_STR("client", s.arrival.peer.address, STR("198.51.100.9"));
		CHECK_STR("rest", rest(&s, left), STR("EHLO"));
		tear_down(&s);
	}
}

/* A header that has begun is off the socket, so that waiting for more is no busy loop. */
static void test_in_vain(void)
{
	static const struct {
		const char *name;
		uint64_t tls_ms;
		uint32_t stress_ms;
		uint64_t drain_ms;
		bool closes;
		int result;
		const char *error;
	} cases[] = {
		{"late", 30, 0, 0, false, -ETIMEDOUT, "\"no PROXY header in time\""},
		{"late under stress", 60000, 30, 0, false, -ETIMEDOUT,
			"\"no PROXY header in time\""},
		{"gone", 60000, 0, 0, true, -ECONNRESET, "\"the peer has gone\""},
		{"stop", 60000, 0, UINT64_MAX - 1, false, -ECANCELED,
			"\"the server ends the session\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char left[64], want[100];
		struct scene s;

		set_up(&s);
		s.config.timeouts.tls_ms = cases[i].tls_ms;
		s.board.command_ms = cases[i].stress_ms;
		s.board.drain_deadline_ms = cases[i].drain_ms;
		say(&s, STR("PROXY TCP4 198.51"));
		if (cases[i].closes)
			CU_ASSERT_FATAL(shutdown(s.fd, SHUT_WR) == 0);
		CHECK(cases[i].name, meet(&s, "10.0.0.5") == cases[i].result);
		(void)snprintf(
			want, sizeof(want), "client=10.0.0.5 error=%s", cases[i].error);
		CHECK(cases[i].name, strstr(read_log(), want) != NULL);
		CHECK(cases[i].name, rest(&s, left).n == 0);
		tear_down(&s);
	}
}

/* --- who is let in
 * ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum early_talker early_talker;
	enum listen_tls tls;
	enum log_level level;
	bool speaks, is_stressed;
	const char *reply; /* its beginning */
	const char *log;   /* NULL: no session.early */
} talkers[] = {
	{"allow, silent", EARLY_TALKER_ALLOW, LISTEN_TLS_OFF, LOG_INFO, false, false,
		"220 ", NULL},
	{"allow", EARLY_TALKER_ALLOW, LISTEN_TLS_OFF, LOG_INFO, true, false, "220 ",
		"input=\"EHLO xxxx"},
	{"allow, nobody listens", EARLY_TALKER_ALLOW, LISTEN_TLS_OFF, LOG_WARN, true,
		false, "220 ", NULL},
	{"refuse", EARLY_TALKER_REFUSE, LISTEN_TLS_STARTTLS, LOG_INFO, true, false,
		"554 5.5.1 You spoke before the greeting\r\n", " code=554\n"},
	{"refuse, nobody listens", EARLY_TALKER_REFUSE, LISTEN_TLS_OFF, LOG_WARN, true,
		false, "554 5.5.1", NULL},
	{"refuse, stressed", EARLY_TALKER_REFUSE, LISTEN_TLS_OFF, LOG_INFO, true, true,
		"554 5.5.1", "code=554"},
	{"refuse, silent", EARLY_TALKER_REFUSE, LISTEN_TLS_OFF, LOG_INFO, false, false,
		"220 ", NULL},
	{"implicit TLS", EARLY_TALKER_REFUSE, LISTEN_TLS_IMPLICIT, LOG_INFO, true, false,
		"", NULL},
};

static void test_early(void)
{
	static char words[200];

	memset(words, 'x', sizeof(words));
	memcpy(words, "EHLO ", 5);
	for (size_t i = 0; i < sizeof(talkers) / sizeof(talkers[0]); i++) {
		const char *name = talkers[i].name;
		uint64_t start_ms, took_ms;
		struct str out;
		struct scene s;

		set_up(&s);
		s.config.early_talker = talkers[i].early_talker;
		s.settings.smtp.tls = talkers[i].tls;
		s.board.command_ms = talkers[i].is_stressed ? 10000 : 0;
		log_set_level(talkers[i].level);
		if (talkers[i].speaks)
			say(&s, (struct str){words, sizeof(words)});
		CHECK(name, meet(&s, "192.0.2.7") == 0);
		start_ms = clock_monotonic_ms();
		CHECK(name, arrival_admit(&s.arrival, s.engine));
		took_ms = clock_monotonic_ms() - start_ms;
		out = smtp_output(s.engine);
		CHECK(name, str_starts_nocase(out, str_of(talkers[i].reply)));
		CHECK(name, (smtp_next(s.engine) == SMTP_CLOSE) ==
				    (talkers[i].reply[0] == '5'));
		/* The wait is a second, and only for those who are silent. */
		CHECK(name, (took_ms >= 900) == (strcmp(name, "refuse, silent") == 0));
		CHECK(name, (strstr(read_log(), "session.early") != NULL) ==
				    (talkers[i].log != NULL));
		CHECK(name,
			talkers[i].log == NULL || strstr(logged, talkers[i].log) != NULL);
		/* 64 octets of the line. */
		CHECK(name,
			strstr(logged, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				       "xxxxxxxxxxxxx") == NULL);
		tear_down(&s);
	}
}

static void test_limit(void)
{
	struct scene s;

	set_up(&s);
	s.config.sessions_per_client = 1;
	s.board.slot_count = 2;
	CHECK("first", meet(&s, "192.0.2.7") == 0);
	counters_set_client(s.counters, 1, s.arrival.client_key);
	CHECK("one too many", !arrival_admit(&s.arrival, s.engine));
	CHECK("reply", str_starts_nocase(smtp_output(s.engine),
			       STR("421 4.7.0 mx.example.test Too many sessions")));
	CHECK("log", strstr(read_log(), "session.refused client=192.0.2.7 sessions=2 "
					"limit=1") != NULL);
	CHECK("not counted",
		counters_count_client(s.counters, 2, s.arrival.client_key) == 1);
	tear_down(&s);
}

static int make_log_file(void)
{
	int fd = mkstemp(log_file);

	return fd < 0 || close(fd) < 0;
}

static int remove_log_file(void)
{
	return unlink(log_file);
}

void suite_arrival(void)
{
	CU_pSuite s = CU_add_suite("arrival", make_log_file, remove_log_file);

	CU_add_test(s, "who it is", test_arrivals);
	CU_add_test(s, "told everywhere", test_everywhere);
	CU_add_test(s, "headers in pieces", test_pieces);
	CU_add_test(s, "no header", test_in_vain);
	CU_add_test(s, "early talkers", test_early);
	CU_add_test(s, "too many sessions", test_limit);
}
