/* Unit tests of net/tls: what client and server agree on, with a client of GnuTLS over a
 * wire of memory and keys in a process of their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "tls_fixture.h"
#include "unit.h"

/* -------------------------------------------------------------- what comes about */

static void test_versions(void)
{
	static const struct {
		const char *name, *priorities, *version, *cipher;
		int server_key;
	} cases[] = {
		{"anything", "NORMAL", "TLSv1.3", "TLS_AES_128_GCM_SHA256", ECDSA},
		{"1.3", TLS13, "TLSv1.3", "TLS_AES_128_GCM_SHA256", ECDSA},
		{"1.3 RSA", TLS13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256", "TLSv1.3",
			"TLS_AES_128_GCM_SHA256", RSA},
		{"1.2", TLS12, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
			ECDSA},
		{"1.2 RSA", TLS12 ":-KX-ALL:+ECDHE-RSA", "TLSv1.2",
			"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", RSA},
		{"1.2 RSA PKCS #1",
			TLS12 ":-KX-ALL:+ECDHE-RSA:-SIGN-ALL:+SIGN-RSA-SHA256", "TLSv1.2",
			"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", RSA},
		{"1.2 AES-256", TLS12 ":-CIPHER-ALL:+AES-256-GCM", "TLSv1.2",
			"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ECDSA},
		{"what Java 8 may have at the least",
			TLS12 ":-KX-ALL:+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:"
			      "+GROUP-SECP256R1:-SIGN-ALL:+SIGN-RSA-SHA256:%NO_ETM",
			"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", RSA},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope_tls facts;
		unsigned size = 0;
		struct scene s;

		scene_begin(&s, &plain_settings,
			&(struct client_wish){.priorities = cases[i].priorities});
		if (CHECK(cases[i].name, shake_hands(&s.client, s.server, NULL) == 0)) {
			const gnutls_datum_t *got =
				gnutls_certificate_get_peers(s.client.session, &size);
			gnutls_datum_t expected = {
				(unsigned char *)world.servers[cases[i].server_key]
					.certificate,
				(unsigned)strlen(
					world.servers[cases[i].server_key].certificate)};
			gnutls_datum_t der = {NULL, 0};

			CHECK(cases[i].name, gnutls_pem_base64_decode2("CERTIFICATE",
						     &expected, &der) == 0);
			CHECK(cases[i].name,
				got->size == der.size &&
					memcmp(got->data, der.data, der.size) == 0);
			gnutls_free(der.data);
			tls_session_describe(s.server, &facts);
			CHECK_STR(cases[i].name, facts.version, str_of(cases[i].version));
			CHECK_STR(cases[i].name, facts.cipher, str_of(cases[i].cipher));
			CHECK(cases[i].name, facts.subject.n == 0);
			CHECK(cases[i].name, scene_hears(&s, "EHLO x\r\n"));
			CHECK(cases[i].name, scene_says(&s, "250 fine\r\n"));
			CHECK(cases[i].name, !tls_session_is_resumed(s.server));
		}
		scene_finish(&s);
	}
}

static void test_no_agreement(void)
{
	static const struct {
		const char *name, *priorities, *alpn, *error;
	} cases[] = {
		{"1.1", "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", NULL,
			"packet with illegal or unsupported version"},
		{"CBC", TLS12 ":-CIPHER-ALL:+AES-128-CBC", NULL, "cipher suites"},
		{"plain RSA", TLS12 ":-KX-ALL:+RSA", NULL, "cipher suites"},
		{"SHA-1", TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA1:+SIGN-ECDSA-SHA1", NULL, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int client = 0;
		struct scene s;

		scene_begin(&s, &plain_settings,
			&(struct client_wish){.priorities = cases[i].priorities});
		CHECK(cases[i].name,
			shake_hands(&s.client, s.server, &client) == -EPROTO);
		CHECK(cases[i].name, client == GNUTLS_E_FATAL_ALERT_RECEIVED);
		CHECK(tls_session_error(s.server),
			*tls_session_error(s.server) != '\0' &&
				strstr(tls_session_error(s.server), cases[i].error) !=
					NULL);
		CHECK(cases[i].name, !tls_session_saw_plaintext(s.server));
		CHECK(cases[i].name, tls_session_handshake(s.server) == -EPROTO);
		CHECK(cases[i].name, tls_session_write(s.server, STR("x")) == -EPROTO);
		CHECK(cases[i].name, tls_session_read(s.server, &client, 1) == -EPROTO);
		scene_finish(&s);
	}
}

static void test_names(void)
{
	static const struct {
		const char *asked, *seen;
	} cases[] = {
		{NULL, "one.test"},
		{"one.test", "one.test"},
		{"two.test", "two.test"},
		{"TWO.test", "two.test"},
		{"a.two.test", "one.test"},
		{"a.wild.test", "wild"},
		{"a.b.wild.test", "one.test"},
		{"wild.test", "one.test"},
		{"unknown.test", "one.test"},
		{"127.0.0.1", "one.test"},
		{"x", "one.test"},
		/* Not for GnuTLS. */
		{"my_host.test", NULL},
		{"\\x\\.%n", NULL},
	};
	static const char *const versions[] = {TLS12, TLS13};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) * 2; i++) {
		const char *asked = cases[i / 2].asked;
		const char *seen = cases[i / 2].seen;
		char name[64];
		struct scene s;
		int r;

		scene_begin(&s, &ticket_settings,
			&(struct client_wish){
				.server_name = asked, .priorities = versions[i % 2]});
		r = shake_hands(&s.client, s.server, NULL);
		if (seen == NULL) {
			CHECK(asked, r == -EPROTO);
			CHECK_STR(asked, str_of(tls_session_error(s.server)),
				STR("A disallowed SNI server name has been received."));
		} else if (CHECK(seen, r == 0)) {
			client_see(&s.client, name, sizeof(name));
			CHECK_STR(seen, str_of(name), str_of(seen));
			CHECK_STR(seen, tls_session_server_name(s.server), str_of(asked));
		}
		scene_finish(&s);
	}
}

static void test_alpn(void)
{
	static const struct {
		const char *offered, *chosen;
	} cases[] = {{"smtp", "smtp"}, {"http/1.1", ""}, {"SMTP", ""}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		gnutls_datum_t got = {NULL, 0};
		struct scene s;

		scene_begin(&s, &plain_settings,
			&(struct client_wish){.alpn = cases[i].offered});
		CHECK(cases[i].offered, shake_hands(&s.client, s.server, NULL) == 0);
		(void)gnutls_alpn_get_selected_protocol(s.client.session, &got);
		CHECK_STR(cases[i].offered,
			((struct str){(const char *)got.data, got.size}),
			str_of(cases[i].chosen));
		scene_finish(&s);
	}
}

/* One byte at a time, with ticks in every place. */
static void test_slow_wire(void)
{
	static const char *const versions[] = {TLS12, TLS13};
	static const size_t chunks[] = {1, 2, 5, 100, 0};

	for (size_t i = 0; i < 2 * sizeof(chunks) / sizeof(chunks[0]); i++) {
		const char *name = versions[i % 2];
		struct scene s;

		scene_begin(
			&s, &ticket_settings, &(struct client_wish){.priorities = name});
		s.wire.chunk = chunks[i / 2];
		s.wire.stutters = true;
		CHECK(name, shake_hands(&s.client, s.server, NULL) == 0);
		CHECK(name, scene_hears(&s, "EHLO x\r\n"));
		CHECK(name, scene_says(&s, "250-fine\r\n250 too\r\n"));
		CHECK(name, scene_hears(&s, "QUIT\r\n"));
		CHECK(name, scene_says(&s, "221 bye\r\n"));
		scene_finish(&s);
	}
}

/* ------------------------------------------------------------------- resumption */

/* A session and what the client may come back with. */
static void get_ticket(const struct tls_settings *settings, const char *priorities,
	const struct test_pair *pair, gnutls_datum_t *ret)
{
	struct scene s;

	scene_begin(&s, settings,
		&(struct client_wish){.priorities = priorities, .pair = pair});
	CHECK(priorities, shake_hands(&s.client, s.server, NULL) == 0);
	CHECK(priorities, scene_says(&s, "250 fine\r\n"));
	CHECK(priorities, gnutls_session_get_data2(s.client.session, ret) == 0);
	scene_finish(&s);
}

/* Whether it helps. */
static bool is_resumed(const struct tls_settings *settings, const char *priorities,
	const struct test_pair *pair, const gnutls_datum_t *ticket, char subject[256])
{
	struct envelope_tls facts = {0};
	bool is;
	struct scene s;

	scene_begin(&s, settings,
		&(struct client_wish){
			.priorities = priorities, .pair = pair, .resumed = ticket});
	CHECK(priorities, shake_hands(&s.client, s.server, NULL) == 0);
	CHECK(priorities, scene_says(&s, "250 fine\r\n"));
	CHECK(priorities, scene_hears(&s, "QUIT\r\n"));
	is = tls_session_is_resumed(s.server);
	CHECK(priorities, is == (gnutls_session_is_resumed(s.client.session) != 0));
	tls_session_describe(s.server, &facts);
	if (subject != NULL)
		(void)str_copy(subject, 256, facts.subject);
	scene_finish(&s);
	return is;
}

static void test_tickets(void)
{
	static const char *const versions[] = {TLS12, TLS13};

	for (size_t i = 0; i < 2; i++) {
		gnutls_datum_t ticket;
		int status = 1;
		pid_t pid;

		get_ticket(&ticket_settings, versions[i], NULL, &ticket);
		CHECK(versions[i],
			is_resumed(&ticket_settings, versions[i], NULL, &ticket, NULL));
		CHECK(versions[i],
			!is_resumed(&plain_settings, versions[i], NULL, &ticket, NULL));
		/* As in another worker. */
		pid = fork();
		if (pid == 0)
			_exit(!is_resumed(
				&ticket_settings, versions[i], NULL, &ticket, NULL));
		CHECK(versions[i], waitpid(pid, &status, 0) == pid && status == 0);
		gnutls_free(ticket.data);

		get_ticket(&plain_settings, versions[i], NULL, &ticket);
		CHECK("without tickets",
			!is_resumed(&ticket_settings, versions[i], NULL, &ticket, NULL));
		gnutls_free(ticket.data);
	}
}

static time_t pretended_s;

static time_t pretend_time(time_t *ret)
{
	if (ret != NULL)
		*ret = pretended_s;
	return pretended_s;
}

/* GnuTLS makes the keys for tickets from ours and the time, a new one every 18 hours; a
 * ticket is good for six, also when the key has changed. */
static void test_ticket_keys(void)
{
	enum { HOUR = 3600, PERIOD = 18 * HOUR };
	static const struct {
		const char *name;
		long made_s, used_s;
		bool is_good;
	} cases[] = {
		{"at once", HOUR, HOUR + 1, true},
		{"five hours later", HOUR, 6 * HOUR, true},
		{"seven hours later", HOUR, 8 * HOUR, false},
		{"another key", -HOUR, HOUR, true},
		{"another key, five hours later", -HOUR, 4 * HOUR, true},
		{"another key, seven hours later", -HOUR, 6 * HOUR + 1, false},
		{"two keys later", -HOUR, PERIOD + 1, false},
	};
	static const char *const versions[] = {TLS12, TLS13};
	time_t change_s = time(NULL) / PERIOD * PERIOD;

	gnutls_global_set_time_function(pretend_time);
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const char *version = versions[i % 2];
		gnutls_datum_t ticket;

		pretended_s = change_s + cases[i / 2].made_s;
		get_ticket(&ticket_settings, version, NULL, &ticket);
		pretended_s = change_s + cases[i / 2].used_s;
		CHECK(cases[i / 2].name, is_resumed(&ticket_settings, version, NULL,
						 &ticket, NULL) == cases[i / 2].is_good);
		gnutls_free(ticket.data);
	}
	gnutls_global_set_time_function(time);
}

/* Nothing of ours leaves between the handshake and our first words, and those are one
 * write with the ticket before them. */
static void test_one_write(void)
{
	struct scene s;

	scene_begin(&s, &ticket_settings, &(struct client_wish){.priorities = TLS13});
	CHECK("handshake", shake_hands(&s.client, s.server, NULL) == 0);
	CHECK("a flight is one write", s.wire.writes == 1);
	CHECK("no ticket yet", s.wire.to_client.len == 0);
	CHECK("read", scene_hears(&s, "EHLO x\r\n"));
	CHECK("no ticket yet", s.wire.to_client.len == 0);
	CHECK("write", tls_session_write(s.server, STR("250 fine\r\n")) == 10);
	CHECK("one write", s.wire.writes == 2);
	CHECK("with a ticket", s.wire.to_client.len > 100);
	s.wire.to_client.len = 0;
	CHECK("write", tls_session_write(s.server, STR("250 fine\r\n")) == 10);
	CHECK("one write", s.wire.writes == 3);
	CHECK("one record", s.wire.to_client.len == 5 + 10 + 1 + 16);
	scene_finish(&s);
}

/* ----------------------------------------------------------- clients' certificates */

static void test_client_certificates(void)
{
	static const struct {
		const char *name;
		enum client_certificate wish;
		const struct test_pair *pair;
		const char *subject, *external, *error;
	} cases[] = {
		{"off", CLIENT_CERTIFICATE_OFF, &world.mary, "", "", NULL},
		{"none", CLIENT_CERTIFICATE_REQUEST, NULL, "", "", NULL},
		{"mailbox", CLIENT_CERTIFICATE_REQUEST, &world.mary, "CN=Mary (M.)",
			"mary@example.test", NULL},
		{"common name", CLIENT_CERTIFICATE_REQUEST, &world.john, "CN=john",
			"john", NULL},
		{"no common name", CLIENT_CERTIFICATE_REQUEST, &world.nameless,
			"sue@example.test", "sue@example.test", NULL},
		{"unknown CA", CLIENT_CERTIFICATE_REQUEST, &world.stranger, "", "", NULL},
		{"expired", CLIENT_CERTIFICATE_REQUEST, &world.old, "", "", NULL},
		{"good", CLIENT_CERTIFICATE_REQUIRE, &world.john, "CN=john", "john",
			NULL},
		{"none, required", CLIENT_CERTIFICATE_REQUIRE, NULL, "", "",
			"the client has sent no certificate"},
		{"unknown CA, required", CLIENT_CERTIFICATE_REQUIRE, &world.stranger, "",
			"", "the client's certificate is not good: "},
		{"expired, required", CLIENT_CERTIFICATE_REQUIRE, &world.old, "", "",
			"expired"},
	};
	static const char *const versions[] = {TLS12, TLS13};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_settings settings = {
			.has_tickets = true, .client_certificate = cases[i / 2].wish};
		const char *name = cases[i / 2].name;
		struct sasl_session sasl = {0};
		struct envelope_tls facts;
		struct scene s;
		int r;

		scene_begin(&s, &settings,
			&(struct client_wish){.priorities = versions[i % 2],
				.pair = cases[i / 2].pair});
		r = shake_hands(&s.client, s.server, NULL);
		if (cases[i / 2].error != NULL) {
			CHECK(name, r == -EPROTO);
			CHECK(tls_session_error(s.server),
				strstr(tls_session_error(s.server), cases[i / 2].error) !=
					NULL);
		} else if (CHECK(name, r == 0)) {
			tls_session_describe(s.server, &facts);
			tls_session_bind(s.server, &sasl);
			CHECK_STR(name, facts.subject, str_of(cases[i / 2].subject));
			CHECK_STR(name, sasl.subject, str_of(cases[i / 2].subject));
			CHECK_STR(name, sasl.external, str_of(cases[i / 2].external));
			CHECK(name, *tls_session_error(s.server) == '\0');
			CHECK(name, scene_says(&s, "250 fine\r\n"));
		}
		scene_finish(&s);
	}
}

/* Who comes back with a ticket is still known; but a ticket does not get around what a
 * configuration asks for that the one before did not. */
static void test_client_certificates_resumed(void)
{
	static const char *const versions[] = {TLS12, TLS13};
	const struct tls_settings require = {
		.has_tickets = true, .client_certificate = CLIENT_CERTIFICATE_REQUIRE};
	const struct tls_settings request = {
		.has_tickets = true, .client_certificate = CLIENT_CERTIFICATE_REQUEST};

	for (size_t i = 0; i < 2; i++) {
		gnutls_datum_t ticket;
		char subject[256];

		get_ticket(&require, versions[i], &world.john, &ticket);
		CHECK(versions[i],
			is_resumed(&require, versions[i], NULL, &ticket, subject));
		CHECK_STR(versions[i], str_of(subject), STR("CN=john"));
		CHECK(versions[i], !is_resumed(&request, versions[i], &world.mary,
					   &ticket, subject));
		CHECK_STR(versions[i], str_of(subject), STR("CN=Mary (M.)"));
		gnutls_free(ticket.data);

		get_ticket(&request, versions[i], &world.stranger, &ticket);
		CHECK(versions[i],
			is_resumed(&request, versions[i], NULL, &ticket, subject));
		CHECK_STR(versions[i], str_of(subject), STR(""));
		CHECK(versions[i], !is_resumed(&require, versions[i], &world.john,
					   &ticket, subject));
		gnutls_free(ticket.data);
	}
}

static void test_bindings(void)
{
	static const struct {
		const char *priorities;
		bool has_unique, has_exporter;
	} cases[] = {
		{TLS12, true, true},
		{TLS13, false, true},
		{TLS12 ":%NO_SESSION_HASH", false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].priorities;
		struct sasl_session sasl = {.is_plaintext_allowed = true};
		gnutls_datum_t unique = {NULL, 0}, exporter = {NULL, 0};
		struct scene s;

		scene_begin(
			&s, &plain_settings, &(struct client_wish){.priorities = name});
		CHECK(name, shake_hands(&s.client, s.server, NULL) == 0);
		tls_session_bind(s.server, &sasl);
		tls_session_bind(s.server, &sasl);
		CHECK(name, sasl.is_tls && sasl.is_plaintext_allowed);
		if (cases[i].has_unique)
			(void)gnutls_session_channel_binding(
				s.client.session, GNUTLS_CB_TLS_UNIQUE, &unique);
		if (cases[i].has_exporter)
			(void)gnutls_session_channel_binding(
				s.client.session, GNUTLS_CB_TLS_EXPORTER, &exporter);
		CHECK(name, (unique.size > 0) == cases[i].has_unique);
		CHECK(name, (exporter.size > 0) == cases[i].has_exporter);
		CHECK_STR(name, sasl.binding_unique,
			((struct str){(const char *)unique.data, unique.size}));
		CHECK_STR(name, sasl.binding_exporter,
			((struct str){(const char *)exporter.data, exporter.size}));
		gnutls_free(unique.data);
		gnutls_free(exporter.data);
		scene_finish(&s);
	}
}

void suite_tls(void)
{
	CU_pSuite suite = CU_add_suite("tls", make_world, end_world);

	CU_add_test(suite, "versions", test_versions);
	CU_add_test(suite, "no agreement", test_no_agreement);
	CU_add_test(suite, "names of servers", test_names);
	CU_add_test(suite, "ALPN", test_alpn);
	CU_add_test(suite, "slow wire", test_slow_wire);
	CU_add_test(suite, "tickets", test_tickets);
	CU_add_test(suite, "keys of tickets", test_ticket_keys);
	CU_add_test(suite, "one write", test_one_write);
	CU_add_test(suite, "clients' certificates", test_client_certificates);
	CU_add_test(suite, "resumed with certificate", test_client_certificates_resumed);
	CU_add_test(suite, "channel bindings", test_bindings);
}
