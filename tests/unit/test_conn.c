/* Unit tests of net/conn under TLS, over a socket pair. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "net/conn.h"
#include "tls_fixture.h"
#include "unit.h"

/* More than one read of a connection takes. */
#define MUCH 200000

struct line {
	struct tls *context;
	struct conn server;
	struct test_client client;
	int fd; /* of the client */
};

/* A server whose ticks are short; has_tick false: one that has to be waited for. */
static void connect_both(struct line *l, bool has_tick)
{
	const struct timeval tick = {.tv_usec = 1000};
	int fds[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CU_ASSERT_FATAL(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
	if (has_tick) {
		CU_ASSERT_FATAL(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tick,
					sizeof(tick)) == 0);
		CU_ASSERT_FATAL(setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &tick,
					sizeof(tick)) == 0);
	}
	conn_take_fd(&l->server, fds[0], has_tick);
	l->fd = fds[1];
}

static void begin_line(struct line *l, const char *priorities, bool has_tick)
{
	*l = (struct line){.context = open_context(&ticket_settings)};
	CU_ASSERT_FATAL(conn_init(&l->server) == 0);
	connect_both(l, has_tick);
	client_open(&l->client, NULL, &(struct client_wish){.priorities = priorities});
	gnutls_transport_set_int(l->client.session, l->fd);
}

static void end_line(struct line *l)
{
	client_close(&l->client);
	if (l->fd >= 0)
		(void)close(l->fd);
	conn_done(&l->server);
	tls_free(l->context);
}

/* Returns the server's result. */
static int shake(struct line *l)
{
	int server = -EAGAIN, client = GNUTLS_E_AGAIN;

	CU_ASSERT_FATAL(conn_start_tls(&l->server, l->context) == 0);
	while (server == -EAGAIN || (server == 0 && client == GNUTLS_E_AGAIN)) {
		if (client == GNUTLS_E_AGAIN)
			client = gnutls_handshake(l->client.session);
		if (server == -EAGAIN)
			server = conn_handshake(&l->server);
	}
	return client == 0 ? server : -EBADE;
}

static struct str take_input(struct line *l)
{
	struct str s = conn_input(&l->server);

	conn_use(&l->server, s.n);
	return s;
}

static ssize_t hear(struct line *l, char *p, size_t n)
{
	ssize_t got = GNUTLS_E_AGAIN;

	for (int i = 0; i < 10 && got == GNUTLS_E_AGAIN; i++)
		got = gnutls_record_recv(l->client.session, p, n);
	return got;
}

static void test_talk(void)
{
	static const char *const versions[] = {TLS12, TLS13};

	/* The third has no tick of its own. */
	for (size_t i = 0; i < 3; i++) {
		const char *name = versions[(i + 1) % 2];
		struct envelope_tls facts;
		char got[64];
		struct line l;

		begin_line(&l, name, i < 2);
		CHECK(name, conn_tls(&l.server) == NULL);
		CHECK(name, shake(&l) == 0);
		tls_session_describe(conn_tls(&l.server), &facts);
		CHECK_STR(name, facts.version, i % 2 ? STR("TLSv1.2") : STR("TLSv1.3"));
		CHECK(name, gnutls_record_send(l.client.session, "EHLO x\r\n", 8) == 8);
		CHECK(name, conn_read(&l.server) == 8);
		CHECK_STR(name, take_input(&l), STR("EHLO x\r\n"));
		CHECK(name, conn_write(&l.server, STR("250 fine\r\n")) == 10);
		CHECK(name, hear(&l, got, sizeof(got)) == 10);
		CHECK(name, memcmp(got, "250 fine\r\n", 10) == 0);
		/* The next client is as in the beginning. */
		conn_close(&l.server, 0);
		CHECK(name, gnutls_record_recv(l.client.session, got, 1) == 0);
		(void)close(l.fd);
		connect_both(&l, true);
		CHECK(name, conn_tls(&l.server) == NULL);
		CHECK(name, send(l.fd, "HELO", 4, MSG_NOSIGNAL) == 4);
		CHECK(name, conn_read(&l.server) == 4);
		CHECK_STR(name, take_input(&l), STR("HELO"));
		conn_close(&l.server, 0);
		end_line(&l);
	}
}

/* What came together is read together; and what came with the end of the handshake is
 * not waited for. */
static void test_together(void)
{
	int client = GNUTLS_E_AGAIN;
	struct line l;

	begin_line(&l, TLS13, true);
	CHECK("start", conn_start_tls(&l.server, l.context) == 0);
	while (client == GNUTLS_E_AGAIN) {
		(void)conn_handshake(&l.server);
		client = gnutls_handshake(l.client.session);
	}
	CHECK("client", client == 0);
	for (int i = 0; i < 3; i++)
		CHECK("send", gnutls_record_send(l.client.session, "NOOP\r\n", 6) == 6);
	CHECK("server", conn_handshake(&l.server) == 0);
	CHECK("three records", conn_read(&l.server) == 18);
	CHECK_STR("text", take_input(&l), STR("NOOP\r\nNOOP\r\nNOOP\r\n"));
	CHECK("tick", conn_read(&l.server) == -EAGAIN);

	/* The end comes after what was said before it. */
	CHECK("send", gnutls_record_send(l.client.session, "QUIT\r\n", 6) == 6);
	CHECK("bye", gnutls_bye(l.client.session, GNUTLS_SHUT_WR) == 0);
	CHECK("plaintext", send(l.fd, "RSET\r\n", 6, MSG_NOSIGNAL) == 6);
	CHECK("QUIT", conn_read(&l.server) == 6);
	CHECK_STR("QUIT", take_input(&l), STR("QUIT\r\n"));
	CHECK("end", conn_read(&l.server) == 0);
	CHECK("end", conn_read(&l.server) == 0);
	conn_close(&l.server, CONN_LINGER_MS);
	end_line(&l);
}

static void test_much(void)
{
	static char sent[MUCH];
	size_t out = 0, in = 0;
	struct line l;

	for (size_t i = 0; i < MUCH; i++)
		sent[i] = (char)(i * 7 + i / 251);
	begin_line(&l, TLS13, true);
	CHECK("handshake", shake(&l) == 0);
	for (int i = 0; i < 10000 && in < MUCH; i++) {
		ssize_t n = out == MUCH ? 0
					: gnutls_record_send(l.client.session, sent + out,
						  MUCH - out);
		struct str got;

		if (n > 0)
			out += (size_t)n;
		n = conn_read(&l.server);
		if (n == -EAGAIN)
			continue;
		CU_ASSERT_FATAL(n > 0);
		got = take_input(&l);
		CHECK("length", got.n == (size_t)n && got.n <= MUCH - in);
		CHECK("bytes", memcmp(got.p, sent + in, got.n) == 0);
		in += got.n;
	}
	CHECK("all", in == MUCH);
	/* A record at a time, and no less. */
	CHECK("write", conn_write(&l.server, (struct str){sent, MUCH}) == 16384);
	conn_close(&l.server, 0);
	end_line(&l);
}

/* Who breaks off is not listened to any more, and there is no way to wait for long. */
static void test_broken_off(void)
{
	enum what { CLOSED, GARBAGE, PLAINTEXT_HELLO, SILENT, HALF_HELLO };
	static const struct {
		const char *name;
		enum what what;
		int result;
	} cases[] = {
		{"closed", CLOSED, -EPROTO},
		{"garbage", GARBAGE, -EPROTO},
		{"plaintext", PLAINTEXT_HELLO, -EPROTO},
		{"silent", SILENT, -EAGAIN},
		{"half a hello", HALF_HELLO, -EAGAIN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		uint64_t start_ms;
		struct line l;
		int r = -EAGAIN;

		begin_line(&l, TLS13, true);
		if (cases[i].what <= GARBAGE) {
			CHECK(name, shake(&l) == 0);
			if (cases[i].what == GARBAGE)
				CHECK(name, send(l.fd, "QUIT\r\nQUIT\r\n", 12,
						    MSG_NOSIGNAL) == 12);
			else
				CHECK(name, shutdown(l.fd, SHUT_WR) == 0);
			CHECK(name, conn_read(&l.server) == cases[i].result);
		} else {
			CHECK(name, conn_start_tls(&l.server, l.context) == 0);
			if (cases[i].what == PLAINTEXT_HELLO)
				CHECK(name,
					send(l.fd, "EHLO x\r\n", 8, MSG_NOSIGNAL) == 8);
			if (cases[i].what == HALF_HELLO)
				CHECK(name, send(l.fd, "\x16\3\1\2\0\1", 6,
						    MSG_NOSIGNAL) == 6);
			for (int k = 0; k < 3 && r == -EAGAIN; k++)
				r = conn_handshake(&l.server);
			CHECK(name, r == cases[i].result);
			CHECK(name, tls_session_saw_plaintext(conn_tls(&l.server)) ==
					    (cases[i].what == PLAINTEXT_HELLO));
		}
		if (cases[i].result == -EPROTO)
			CHECK(name, *conn_tls_error(&l.server) != '\0');
		CHECK(name, send(l.fd, "QUIT\r\n", 6, MSG_NOSIGNAL) == 6 ||
				    cases[i].what == CLOSED);
		CHECK(name, conn_read(&l.server) == -EPROTO);
		CHECK(name, conn_input(&l.server).n == 0);
		CHECK(name, conn_write(&l.server, STR("250 ok\r\n")) == -EPROTO);
		start_ms = clock_monotonic_ms();
		conn_close(&l.server, CONN_LINGER_MS);
		CHECK(name, clock_monotonic_ms() - start_ms < CONN_LINGER_MS / 2);
		end_line(&l);
	}
}

/* Who is still talking gets our last words, and close_notify behind them. */
static void test_linger(void)
{
	char got[64];
	struct line l;

	begin_line(&l, TLS13, true);
	CHECK("handshake", shake(&l) == 0);
	CHECK("send", gnutls_record_send(l.client.session, "DATA\r\n", 6) == 6);
	CHECK("last words", conn_write(&l.server, STR("421 bye\r\n")) == 9);
	CHECK("bye", gnutls_bye(l.client.session, GNUTLS_SHUT_WR) == 0);
	conn_close(&l.server, CONN_LINGER_MS);
	CHECK("closed", l.server.fd == -1 && conn_tls(&l.server) == NULL);
	CHECK("last words", hear(&l, got, sizeof(got)) == 9);
	CHECK("close_notify", gnutls_record_recv(l.client.session, got, 1) == 0);
	CHECK("end", read(l.fd, got, sizeof(got)) == 0);
	end_line(&l);
}

/* It ends without a word of TLS, and the connection is free for the next one. */
static void test_reset(void)
{
	char got[64];
	struct line l;

	begin_line(&l, TLS13, true);
	CHECK("handshake", shake(&l) == 0);
	CHECK("replies", conn_write(&l.server, STR("250 ok\r\n")) == 8);
	conn_reset(&l.server);
	CHECK("closed", l.server.fd == -1 && conn_tls(&l.server) == NULL);
	CHECK("replies", hear(&l, got, sizeof(got)) == 8);
	CHECK("no close_notify", gnutls_record_recv(l.client.session, got, 1) ==
					 GNUTLS_E_PREMATURE_TERMINATION);
	end_line(&l);
}

/* Who has said all may still listen, but no more is heard of it; who is gone is gone at
 * once. */
static void test_loses_client(void)
{
	struct line l;

	begin_line(&l, NULL, true);
	CU_ASSERT(!conn_loses_client(&l.server, 0) && !conn_ends(&l.server, 0));
	CU_ASSERT(send(l.fd, "NOOP\r\n", 6, 0) == 6);
	CU_ASSERT(!conn_loses_client(&l.server, 0) && !conn_ends(&l.server, 0));
	CU_ASSERT(shutdown(l.fd, SHUT_WR) == 0);
	CU_ASSERT(!conn_loses_client(&l.server, 0) && conn_ends(&l.server, 0));
	CU_ASSERT(close(l.fd) == 0);
	l.fd = -1;
	CU_ASSERT(conn_loses_client(&l.server, 10000));
	end_line(&l);
}

void suite_conn(void)
{
	CU_pSuite suite = CU_add_suite("conn", make_world, end_world);

	CU_add_test(suite, "talk", test_talk);
	CU_add_test(suite, "together", test_together);
	CU_add_test(suite, "much", test_much);
	CU_add_test(suite, "broken off", test_broken_off);
	CU_add_test(suite, "linger", test_linger);
	CU_add_test(suite, "reset", test_reset);
	CU_add_test(suite, "loses client", test_loses_client);
}
