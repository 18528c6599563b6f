/* policy/sasl: whole exchanges, with GNU SASL as the client. */
#include "unit.h"

#include <gnutls/crypto.h>
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "sasl_fixture.h"

static const struct client {
	const char *name, *mechanism, *users, *user, *password;
	bool server_unique, server_exporter; /* what the server has to bind to */
	bool client_unique, client_exporter;
	enum sasl_outcome expected;
} clients[] = {
	{"plain", "PLAIN", sasl_users_both, "joe", "secret", 0, 0, 0, 0, SASL_DONE},
	{"plain, hash", "PLAIN", sasl_users_both, "ann", "secret", 0, 0, 0, 0, SASL_DONE},
	{"login", "LOGIN", sasl_users_both, "joe", "secret", 0, 0, 0, 0, SASL_DONE},
	{"login, wrong", "LOGIN", sasl_users_both, "joe", "x", 0, 0, 0, 0, SASL_REFUSED},
	{"cram", "CRAM-MD5", sasl_users_both, "joe", "secret", 0, 0, 0, 0, SASL_DONE},
	{"cram, not ASCII", "CRAM-MD5", sasl_users_both, "j\xc3\xb6", "s\xc3\xb6", 0, 0,
		0, 0, SASL_DONE},
	{"cram, wrong", "CRAM-MD5", sasl_users_both, "joe", "x", 0, 0, 0, 0,
		SASL_REFUSED},
	{"cram, nobody", "CRAM-MD5", sasl_users_both, "zoe", "a password", 0, 0, 0, 0,
		SASL_REFUSED},
	{"scram", "SCRAM-SHA-256", sasl_users_both, "joe", "secret", 0, 0, 0, 0,
		SASL_DONE},
	{"scram, keys", "SCRAM-SHA-256", sasl_users_both, "user", "pencil", 0, 0, 0, 0,
		SASL_DONE},
	{"scram, keys alone", "SCRAM-SHA-256", sasl_users_scram, "user", "pencil", 0, 0,
		0, 0, SASL_DONE},
	{"scram, not ASCII", "SCRAM-SHA-256", sasl_users_both, "j\xc3\xb6", "s\xc3\xb6",
		0, 0, 0, 0, SASL_DONE},
	{"scram, escaped", "SCRAM-SHA-256", sasl_users_both, "a,b=c", "secret", 0, 0, 0,
		0, SASL_DONE},
	{"scram, wrong", "SCRAM-SHA-256", sasl_users_both, "joe", "x", 0, 0, 0, 0,
		SASL_REFUSED},
	{"scram, wrong keys", "SCRAM-SHA-256", sasl_users_scram, "user", "x", 0, 0, 0, 0,
		SASL_REFUSED},
	{"scram, nobody", "SCRAM-SHA-256", sasl_users_both, "zoe", "a password", 0, 0, 0,
		0, SASL_REFUSED},
	{"scram, nobody, keys alone", "SCRAM-SHA-256", sasl_users_scram, "zoe", "x", 0, 0,
		0, 0, SASL_REFUSED},
	{"scram, hash", "SCRAM-SHA-256", sasl_users_both, "ann", "a password", 0, 0, 0, 0,
		SASL_REFUSED},
	{"scram, no binding in the client", "SCRAM-SHA-256", sasl_users_both, "joe",
		"secret", 1, 1, 0, 0, SASL_DONE},
	{"plus", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "secret", 1, 0, 1, 0,
		SASL_DONE},
	{"plus, exporter", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "secret", 0, 1,
		0, 1, SASL_DONE},
	{"plus, keys", "SCRAM-SHA-256-PLUS", sasl_users_scram, "user", "pencil", 0, 1, 0,
		1, SASL_DONE},
	{"plus, either", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "secret", 1, 1, 1,
		1, SASL_DONE},
	{"plus, the first", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "secret", 1, 1,
		1, 0, SASL_DONE},
	{"plus, wrong", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "x", 1, 0, 1, 0,
		SASL_REFUSED},
	{"plus, of another kind", "SCRAM-SHA-256-PLUS", sasl_users_both, "joe", "secret",
		1, 0, 0, 1, SASL_REFUSED},
};

static void set_binding(Gsasl_session *client, Gsasl_property property, struct str s)
{
	char text[64] = "";

	CU_ASSERT_FATAL(BASE64_ENCODED_SIZE(s.n) < sizeof(text));
	text[base64_encode(s, text)] = '\0';
	(void)gsasl_property_set(client, property, text);
}

static Gsasl_session *new_client(Gsasl *library, const struct client *c, bool is_deceived)
{
	Gsasl_session *client = NULL;
	struct sasl_scene bound = {.out = {0}};

	sasl_scene_session(&bound, true, NULL, c->client_unique, c->client_exporter);
	CU_ASSERT_FATAL(gsasl_client_start(library, c->mechanism, &client) == GSASL_OK);
	(void)gsasl_property_set(client, GSASL_AUTHID, c->user);
	(void)gsasl_property_set(client, GSASL_PASSWORD, c->password);
	if (c->client_unique)
		set_binding(client, GSASL_CB_TLS_UNIQUE,
			is_deceived ? STR("another one") : bound.session.binding_unique);
	if (c->client_exporter)
		set_binding(client, GSASL_CB_TLS_EXPORTER,
			is_deceived ? STR("another one")
				    : bound.session.binding_exporter);
	return client;
}

/* Let the two talk until the server has decided.  The client must then be content. */
static enum sasl_outcome talk(
	struct sasl_scene *s, Gsasl_session *client, const char *name)
{
	enum sasl_outcome outcome = SASL_MORE;
	struct str in = {NULL, 0};
	int r = GSASL_NEEDS_MORE;

	while (outcome == SASL_MORE) {
		char *answer = NULL;
		size_t n = 0;

		outcome = sasl_scene_step(s, in);
		if (outcome == SASL_PASSWORD)
			outcome = sasl_engine.judge(s->sasl);
		if (outcome == SASL_MORE || s->out.len > 0) {
			CHECK(name, r == GSASL_NEEDS_MORE);
			r = gsasl_step(client, s->out.p, s->out.len, &answer, &n);
		}
		gsasl_free((char *)(uintptr_t)in.p);
		in = (struct str){answer, n};
		CHECK(name, r == GSASL_OK || r == GSASL_NEEDS_MORE);
		if (r != GSASL_OK && r != GSASL_NEEDS_MORE)
			break;
	}
	gsasl_free((char *)(uintptr_t)in.p);
	if (outcome == SASL_DONE)
		CHECK(name, r == GSASL_OK);
	return outcome;
}

static void test_clients(void)
{
	Gsasl *library = NULL;

	CU_ASSERT_FATAL(gsasl_init(&library) == GSASL_OK);
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		const struct client *c = &clients[i];
		bool is_plus = strstr(c->mechanism, "PLUS") != NULL;
		Gsasl_session *client = new_client(library, c, false);
		struct sasl_scene s;

		sasl_scene_init(&s, c->users, false);
		sasl_scene_session(&s, true, NULL, c->server_unique, c->server_exporter);
		CHECK(c->name,
			sasl_engine.start(s.sasl, &s.session, str_of(c->mechanism)));
		CHECK(c->name, talk(&s, client, c->name) == c->expected);
		if (c->expected == SASL_DONE)
			CHECK_STR(c->name, sasl_engine.name(s.sasl), str_of(c->user));
		gsasl_finish(client);
		/* Somebody in between, with a TLS session of his own to either side. */
		client = new_client(library, c, true);
		CHECK(c->name,
			sasl_engine.start(s.sasl, &s.session, str_of(c->mechanism)));
		CHECK(c->name, talk(&s, client, c->name) ==
				       (is_plus ? SASL_REFUSED : c->expected));
		gsasl_finish(client);
		sasl_scene_done(&s);
	}
	gsasl_done(library);
}

/* RFC 2195, 2; then the same for a challenge of ours. */
static void digest_of(struct str challenge, struct str secret, char out[33])
{
	unsigned char digest[16];

	(void)gnutls_hmac_fast(
		GNUTLS_MAC_MD5, secret.p, secret.n, challenge.p, challenge.n, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void test_cram_vector(void)
{
	char digest[33], response[64];
	struct sasl_scene s;

	digest_of(STR("<1896.697170952@postoffice.reston.mci.net>"),
		STR("tanstaaftanstaaf"), digest);
	CHECK_STR("RFC 2195", str_of(digest), STR("b913a602c7eda7a495b4e6e7334d3890"));
	sasl_scene_init(&s, sasl_users_both, false);
	sasl_scene_session(&s, false, NULL, false, false);
	CU_ASSERT(sasl_engine.start(s.sasl, &s.session, STR("CRAM-MD5")));
	CU_ASSERT(sasl_scene_step(&s, (struct str){NULL, 0}) == SASL_MORE);
	CU_ASSERT(s.out.len > 10 && s.out.p[0] == '<');
	digest_of(buf_str(&s.out), STR("secret"), digest);
	(void)snprintf(response, sizeof(response), "joe %s", digest);
	CU_ASSERT(sasl_scene_step(&s, str_of(response)) == SASL_DONE);
	sasl_scene_done(&s);
}

/* The first answer of SCRAM to a name; the nonce, of 24 bytes after ours, is left out. */
static void first_answer(struct sasl_scene *s, const char *name, char *out, size_t size)
{
	char first[64];

	(void)snprintf(first, sizeof(first), "n,,n=%s,r=abcdef", name);
	CU_ASSERT(sasl_engine.start(s->sasl, &s->session, STR("SCRAM-SHA-256")));
	CU_ASSERT(sasl_scene_step(s, str_of(first)) == SASL_MORE);
	CU_ASSERT_FATAL(s->out.len > 32);
	(void)str_copy(out, size, str_skip(buf_str(&s->out), 32));
	sasl_engine.end(s->sasl);
}

static void test_nobody_can_be_told(void)
{
	static const char *const names[] = {"joe", "ann", "zoe", "user"};
	struct sasl_scene s[2];

	sasl_scene_init(&s[0], sasl_users_both, false);
	sasl_scene_init(&s[1], sasl_users_both, false);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char answer[2][64];

		for (size_t j = 0; j < 2; j++)
			first_answer(&s[j], names[i], answer[j], sizeof(answer[j]));
		CHECK_STR(names[i], str_of(answer[0]), str_of(answer[1]));
		CHECK(names[i], str_starts_nocase(str_of(answer[0]), STR("s=")) ||
					str_starts_nocase(str_of(answer[0]), STR(",s=")));
		CHECK(names[i], strstr(answer[0], "==,i=4096") != NULL);
	}
	sasl_scene_done(&s[0]);
	sasl_scene_done(&s[1]);
}

void suite_sasl_clients(void)
{
	CU_pSuite suite = CU_add_suite("sasl, clients", NULL, NULL);

	(void)CU_add_test(suite, "whole exchanges", test_clients);
	(void)CU_add_test(suite, "digest of RFC 2195", test_cram_vector);
	(void)CU_add_test(suite, "who does not exist", test_nobody_can_be_told);
}
