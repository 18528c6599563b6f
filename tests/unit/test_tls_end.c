/* Unit tests of net/tls: how sessions end, and those that never begin. */
#include <errno.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "tls_fixture.h"
#include "unit.h"

static void test_close_notify(void)
{
	static const char *const versions[] = {TLS12, TLS13};
	char got[16];

	for (size_t i = 0; i < 2; i++) {
		const char *name = versions[i];
		struct scene s;

		scene_begin(
			&s, &ticket_settings, &(struct client_wish){.priorities = name});
		CHECK(name, shake_hands(&s.client, s.server, NULL) == 0);
		CHECK(name, scene_hears(&s, "DATA"));
		CHECK(name, gnutls_bye(s.client.session, GNUTLS_SHUT_WR) == 0);
		/* What comes in plaintext after it is never seen (CVE-2026-45185). */
		CHECK(name, buf_add_text(&s.wire.to_server, "x\r\n.\r\n"));
		CHECK(name, tls_session_read(s.server, got, sizeof(got)) == 0);
		CHECK(name, tls_session_read(s.server, got, sizeof(got)) == 0);
		CHECK(name, s.wire.to_server.len == 6);
		tls_session_bye(s.server);
		tls_session_bye(s.server);
		CHECK(name, gnutls_record_recv(s.client.session, got, sizeof(got)) == 0);
		CHECK(name, s.wire.to_client.len == 0);
		scene_finish(&s);
	}
}

/* Things that happen to a session, and what it comes to. */
static void test_broken(void)
{
	enum what { CUT, RESET, GARBAGE, PLAINTEXT, FORGED, RENEGOTIATED };
	static const struct {
		const char *name, *priorities;
		enum what what;
		int result;
	} cases[] = {
		{"cut off", TLS12, CUT, -EPROTO},
		{"cut off", TLS13, CUT, -EPROTO},
		{"reset", TLS13, RESET, -ECONNRESET},
		{"garbage", TLS13, GARBAGE, -EPROTO},
		{"garbage", TLS12, GARBAGE, -EPROTO},
		{"plaintext", TLS13, PLAINTEXT, -EPROTO},
		{"plaintext", TLS12, PLAINTEXT, -EPROTO},
		{"forged", TLS13, FORGED, -EPROTO},
		{"forged", TLS12, FORGED, -EPROTO},
		{"renegotiated", TLS12, RENEGOTIATED, -EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		char got[64];
		struct scene s;

		scene_begin(&s, &ticket_settings,
			&(struct client_wish){.priorities = cases[i].priorities});
		CHECK(name, shake_hands(&s.client, s.server, NULL) == 0);
		CHECK(name, scene_hears(&s, "EHLO x\r\n"));
		s.wire.is_cut = cases[i].what == CUT;
		if (cases[i].what == RESET)
			s.wire.read_error = -ECONNRESET;
		if (cases[i].what == GARBAGE)
			CHECK(name, buf_add(&s.wire.to_server, "\x17\3\3\0\5abcde", 10));
		if (cases[i].what == PLAINTEXT)
			CHECK(name, buf_add_text(&s.wire.to_server, "QUIT\r\nQUIT\r\n"));
		if (cases[i].what == FORGED) {
			CHECK(name, gnutls_record_send(s.client.session, "QUIT", 4) == 4);
			s.wire.to_server.p[s.wire.to_server.len - 1] ^= 1;
		}
		if (cases[i].what == RENEGOTIATED)
			(void)gnutls_handshake(s.client.session);
		CHECK(name,
			tls_session_read(s.server, got, sizeof(got)) == cases[i].result);
		CHECK(name, *tls_session_error(s.server) != '\0');

		/* It stays so, and nothing more is said but why. */
		s.wire.read_error = 0;
		s.wire.to_client.len = 0;
		CHECK(name,
			tls_session_read(s.server, got, sizeof(got)) == cases[i].result);
		CHECK(name, tls_session_write(s.server, STR("250 ok\r\n")) ==
				    cases[i].result);
		tls_session_bye(s.server);
		CHECK(name, s.wire.to_client.len == 0);
		scene_finish(&s);
	}
}

/* What a client may send instead of a ClientHello. */
static void test_no_hello(void)
{
	static const struct {
		const char *name;
		struct str sent;
		bool is_plaintext, is_answered;
	} cases[] = {
		{"EHLO", STR("EHLO client.example.test\r\n"), true, false},
		{"helo", STR("helo x\r\n"), true, false},
		{"two letters", STR("EH"), true, false},
		{"nothing", STR(""), false, false},
		{"SSL 2", STR("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"), false,
			true},
		{"not a hello", STR("\x16\x03\x01\x00\x05\x0b\x00\x00\x01\x00"), false,
			true},
		{"cut off", STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), false,
			true},
		{"alert", STR("\x15\x03\x01\x00\x02\x02\x28"), false, false},
		{"application data", STR("\x17\x03\x03\x00\x02hi"), false, true},
		{"zeros", STR("\0\0\0\0\0\0\0\0\0\0"), false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		int r = -EAGAIN;
		struct scene s;

		scene_begin(&s, &plain_settings, &(struct client_wish){0});
		CHECK(name, tls_session_handshake(s.server) == -EAGAIN);
		CHECK(name, buf_add_str(&s.wire.to_server, cases[i].sent));
		s.wire.is_cut = true;
		for (int k = 0; k < 100 && r == -EAGAIN; k++)
			r = tls_session_handshake(s.server);
		CHECK(name, r == -EPROTO);
		CHECK(name, *tls_session_error(s.server) != '\0');
		CHECK(name, tls_session_saw_plaintext(s.server) == cases[i].is_plaintext);
		CHECK(name, (s.wire.to_client.len > 0) == cases[i].is_answered);
		scene_finish(&s);
	}
}

/* What OpenSSL says, in its way, when it does not trust our certificate. */
static void test_alert(void)
{
	static const char alert[] = {21, 3, 3, 0, 2, 2, 48};
	struct scene s;
	int r = -EAGAIN;

	scene_begin(&s, &plain_settings, &(struct client_wish){.priorities = TLS13});
	CHECK("hello", gnutls_handshake(s.client.session) == GNUTLS_E_AGAIN);
	CHECK("flight", tls_session_handshake(s.server) == -EAGAIN);
	CHECK("flight", s.wire.to_client.len > 0);
	s.wire.to_client.len = 0;
	s.wire.chunk = 3;
	CHECK("alert", buf_add(&s.wire.to_server, alert, sizeof(alert)));
	for (int i = 0; i < 10 && r == -EAGAIN; i++)
		r = tls_session_handshake(s.server);
	CHECK("result", r == -EPROTO);
	CHECK_STR("reason", str_of(tls_session_error(s.server)),
		STR("A TLS fatal alert has been received. (CA is unknown)"));
	CHECK("silence", s.wire.to_client.len == 0);
	scene_finish(&s);
}

/* A record that was not taken in whole is not written anew; and the client that does not
 * take it hears nothing else. */
static void test_clogged(void)
{
	static const char longer[] = "250 one\r\n421 two\r\n";
	char got[64];
	struct scene s;

	scene_begin(&s, &ticket_settings, &(struct client_wish){.priorities = TLS13});
	CHECK("handshake", shake_hands(&s.client, s.server, NULL) == 0);
	/* Once with the ticket, once without. */
	for (int i = 0; i < 2; i++) {
		for (int calls = 0; calls < 2; calls++) {
			s.wire.is_clogged = true;
			CHECK("tick", tls_session_write(s.server, STR("250 one\r\n")) ==
					      -EAGAIN);
			CHECK("tick",
				tls_session_write(s.server, str_of(longer)) == -EAGAIN);
			tls_session_bye(s.server);
			s.wire.is_clogged = false;
			CHECK("the first",
				tls_session_write(s.server, str_of(longer)) == 9);
		}
		CHECK("the rest", tls_session_write(s.server, STR("421 two\r\n")) == 9);
		for (int k = 0; k < 3; k++) {
			CHECK("got", scene_receive(&s, got, sizeof(got)) == 9);
			CHECK("got", memcmp(got, k == 2 ? longer + 9 : longer, 9) == 0);
		}
	}
	CHECK("nothing else", s.wire.to_client.len == 0);
	scene_finish(&s);
}

/* The client may ask for new keys at any time (RFC 8446, 4.6.3): they come before our
 * next words, and may not get through at once either. */
static void test_new_keys(void)
{
	char got[64];
	struct scene s;

	scene_begin(&s, &ticket_settings, &(struct client_wish){.priorities = TLS13});
	CHECK("handshake", shake_hands(&s.client, s.server, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		/* The first time the ticket is due, too. */
		CHECK("asked",
			gnutls_session_key_update(s.client.session, GNUTLS_KU_PEER) == 0);
		CHECK("heard", tls_session_read(s.server, got, sizeof(got)) == -EAGAIN);
		CHECK("no words", s.wire.to_client.len == 0);
		s.wire.is_clogged = true;
		CHECK("tick", tls_session_write(s.server, STR("250 a\r\n")) == -EAGAIN);
		CHECK("tick",
			tls_session_write(s.server, STR("250 a\r\n250")) == -EAGAIN);
		s.wire.is_clogged = false;
		s.wire.chunk = (size_t)i;
		while (tls_session_write(s.server, STR("250 a\r\n250")) == -EAGAIN)
			continue;
		CHECK("words", scene_receive(&s, got, sizeof(got)) == 7);
		CHECK("words", memcmp(got, "250 a\r\n", 7) == 0);
		CHECK("both ways", scene_hears(&s, "NOOP\r\n"));
	}
	scene_finish(&s);
}

/* Who takes a flight in small pieces does not keep us from looking at the time. */
static void test_small_pieces(void)
{
	struct scene s;
	int r = -EAGAIN;

	scene_begin(&s, &ticket_settings, &(struct client_wish){.priorities = TLS13});
	s.wire.chunk = 100;
	CHECK("hello", gnutls_handshake(s.client.session) == GNUTLS_E_AGAIN);
	for (unsigned i = 1; i <= 5; i++) {
		CHECK("flight", tls_session_handshake(s.server) == -EAGAIN);
		CHECK("one piece", s.wire.writes == i);
	}
	CHECK("handshake", shake_hands(&s.client, s.server, NULL) == 0);
	s.wire.writes = 0;
	for (unsigned i = 1; r == -EAGAIN && i < 100; i++) {
		r = (int)tls_session_write(s.server, STR("250 fine\r\n"));
		CHECK("one piece", s.wire.writes == i);
	}
	CHECK("words", r == 10);
	scene_finish(&s);
}

static void test_no_keys(void)
{
	const struct tls_certificate certificates[] = {
		{NULL, str_of(world.servers[ECDSA].certificate), SERVERS}};
	struct tls_settings settings = {.priorities = TLS_DEFAULT_PRIORITIES};
	const char *error = NULL;
	struct scene s;

	scene_begin(&s, &plain_settings, &(struct client_wish){0});
	tls_session_free(s.server);
	tls_free(s.context);
	s.context = NULL;
	CHECK("number",
		tls_new(&settings, certificates, 1, (struct str){NULL, 0},
			test_ticket_key, world.signer_fd, &s.context, &error) == 0);
	s.server = tls_session_new(
		s.context, &(struct tls_transport){
				   &s.wire, wire_transport.read, wire_transport.write});
	CHECK("no such key", shake_hands(&s.client, s.server, NULL) == -EPROTO);
	CHECK(tls_session_error(s.server),
		strstr(tls_session_error(s.server), "keys process") != NULL);
	scene_finish(&s);
}

static void test_bad_context(void)
{
	const struct {
		const char *name, *priorities, *chain, *ca;
	} cases[] = {
		{"priorities", "HONEY", world.servers[RSA].certificate, ""},
		{"no certificate", "NORMAL", "", ""},
		{"a key", "NORMAL", world.servers[RSA].key, ""},
		{"CA", "NORMAL", world.servers[RSA].certificate, "-----BEGIN nothing"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_settings settings = {.priorities = cases[i].priorities};
		struct tls_certificate c = {NULL, str_of(cases[i].chain), 0};
		const char *error = NULL;
		struct tls *t = NULL;

		CHECK(cases[i].name,
			tls_new(&settings, &c, 1, str_of(cases[i].ca), test_ticket_key,
				world.signer_fd, &t, &error) == -EINVAL);
		CHECK(cases[i].name, t == NULL && error != NULL);
	}
}

void suite_tls_end(void)
{
	CU_pSuite suite = CU_add_suite("tls_end", make_world, end_world);

	CU_add_test(suite, "close_notify", test_close_notify);
	CU_add_test(suite, "broken sessions", test_broken);
	CU_add_test(suite, "no hello", test_no_hello);
	CU_add_test(suite, "alert", test_alert);
	CU_add_test(suite, "clogged", test_clogged);
	CU_add_test(suite, "new keys", test_new_keys);
	CU_add_test(suite, "small pieces", test_small_pieces);
	CU_add_test(suite, "no such key", test_no_keys);
	CU_add_test(suite, "bad contexts", test_bad_context);
}
