/* Fuzz target: SASL exchanges.
 *
 * The first byte chooses mechanism and settings, the second what the session is good for
 * and whether the client begins; the rest is what it says, one response after the other,
 * parted by bytes 0xfe.  A response of one byte 0xfc is what an honest client would say
 * there; in others a byte 0xfd stands for the nonce of the server.
 *
 * Who is let in must be somebody, and must have known the secret: without honest
 * responses nobody gets through SCRAM or CRAM-MD5.  Said once more, all goes the same
 * way. */
#include <assert.h>
#include <gsasl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "fuzz.h"
#include "policy/sasl.h"

#define PART   '\xfe'
#define NONCE  '\xfd'
#define HONEST '\xfc'

#define NAME    "joe"
#define SECRET  "secret"
#define BINDING "a binding"

/* More than an input has. */
#define PASSWORD_SIZE 8192

static const char users_text[] = NAME ":{PLAIN}" SECRET "\n"
				      "user:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ=="
				      ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
				      ",wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

/* Made once; memory that is lost shows as growth. */
static struct {
	struct users *users;
	struct sasl_settings settings[4];
	struct sasl *sasl[4];
	Gsasl *client;
} world;

/* One exchange. */
struct exchange {
	const struct sasl_settings *settings;
	struct sasl *sasl;
	struct sasl_session session;
	enum sasl_mechanism mechanism;
	Gsasl_session *client;
	struct buf out;
	size_t honest, rounds;
	enum sasl_outcome outcome, judgement;
};

static void make_world(void)
{
	if (world.users != NULL)
		return;
	assert(users_parse(str_of(users_text), "users", stderr, &world.users) == 0);
	for (unsigned i = 0; i < 4; i++) {
		world.settings[i] = (struct sasl_settings){
			.mechanisms = 63,
			.accept_any = (i & 1) != 0,
			.users = (i & 2) != 0 ? NULL : world.users,
		};
		assert(sasl_new(&world.settings[i], &world.sasl[i]) == 0);
	}
	assert(gsasl_init(&world.client) == GSASL_OK);
}

static void start_client(struct exchange *e)
{
	char binding[32] = "";

	if (gsasl_client_start(world.client, sasl_mechanism_name(e->mechanism),
		    &e->client) != GSASL_OK)
		abort();
	(void)gsasl_property_set(e->client, GSASL_AUTHID, NAME);
	(void)gsasl_property_set(e->client, GSASL_PASSWORD, SECRET);
	if (e->mechanism != SASL_SCRAM_SHA_256_PLUS)
		return;
	(void)base64_encode(STR(BINDING), binding);
	(void)gsasl_property_set(e->client,
		e->session.binding_unique.n > 0 ? GSASL_CB_TLS_UNIQUE
						: GSASL_CB_TLS_EXPORTER,
		binding);
}

/* Append what an honest client answers to the last words; false if it has no answer. */
static bool add_honest(struct exchange *e, struct buf *response)
{
	char *said = NULL;
	size_t n = 0;
	int r = gsasl_step(e->client, e->out.p, e->out.len, &said, &n);

	if (r == GSASL_OK || r == GSASL_NEEDS_MORE)
		(void)buf_add(response, said, n);
	gsasl_free(said);
	e->honest++;
	return r == GSASL_OK || r == GSASL_NEEDS_MORE;
}

/* "r=NONCE,..." */
static void add_nonce(const struct exchange *e, struct buf *response)
{
	struct str last = buf_str(&e->out);
	const char *end = last.n < 2 ? NULL : memchr(last.p, ',', last.n);

	if (end != NULL && last.p[0] == 'r')
		(void)buf_add(response, last.p + 2, (size_t)(end - last.p) - 2);
}

static bool make_response(struct exchange *e, struct str part, struct buf *response)
{
	if (part.n == 1 && part.p[0] == HONEST)
		return add_honest(e, response);
	for (size_t i = 0; i < part.n; i++)
		if (part.p[i] == NONCE)
			add_nonce(e, response);
		else
			(void)buf_add(response, part.p + i, 1);
	return true;
}

/* Of what keys of SCRAM were made there is more than one way to write it (RFC 4013): a
 * soft hyphen means nothing. */
static bool is_prepared_as(struct str password, const char *secret)
{
	char copy[PASSWORD_SIZE], *prepared = NULL;
	bool is_same;

	if (str_copy(copy, sizeof(copy), password) < password.n ||
		gsasl_saslprep(copy, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK)
		return false;
	is_same = strcmp(prepared, secret) == 0;
	gsasl_free(prepared);
	return is_same;
}

static void check_password(struct exchange *e)
{
	struct str name, password;
	bool is_right;

	sasl_engine.password(e->sasl, &name, &password);
	assert(name.n > 0 && name.n <= USERS_NAME_MAX && password.n > 0);
	assert(memchr(name.p, '\0', name.n) == NULL);
	assert(memchr(password.p, '\0', password.n) == NULL);
	is_right = e->settings->accept_any ||
		   (e->settings->users != NULL &&
			   ((str_equal(name, STR(NAME)) &&
				    str_equal(password, STR(SECRET))) ||
				   (str_equal(name, STR("user")) &&
					   is_prepared_as(password, "pencil"))));
	e->judgement = sasl_engine.judge(e->sasl);
	assert(e->judgement == (is_right ? SASL_DONE : SASL_REFUSED));
}

static void check_done(const struct exchange *e)
{
	struct str name = sasl_engine.name(e->sasl);

	assert(name.n > 0 && name.n <= USERS_NAME_MAX);
	assert(e->mechanism != SASL_PLAIN && e->mechanism != SASL_LOGIN);
	if (e->mechanism == SASL_EXTERNAL) {
		assert(str_equal(name, e->session.external));
		return;
	}
	if (e->mechanism == SASL_CRAM_MD5 && e->settings->accept_any)
		return;
	assert(e->honest > 0 && str_equal(name, STR(NAME)));
}

static void take_step(struct exchange *e, struct str in)
{
	buf_reset(&e->out);
	e->outcome = sasl_engine.step(e->sasl, in, &e->out);
	e->rounds++;
	assert(!e->out.has_overflowed && e->outcome <= SASL_EARLY);
	assert(e->out.len == 0 || e->outcome == SASL_MORE || e->outcome == SASL_DONE);
	/* No mechanism takes longer. */
	assert(e->outcome != SASL_MORE || e->rounds <= 2 ||
		(e->rounds == 3 && e->mechanism == SASL_LOGIN));
	if (e->outcome == SASL_PASSWORD)
		check_password(e);
	else if (e->outcome == SASL_DONE)
		check_done(e);
}

/* Say all the rest. */
static void talk(struct exchange *e, struct str rest)
{
	bool is_last = false;

	while (e->outcome == SASL_MORE && !is_last) {
		const char *end = rest.n == 0 ? NULL : memchr(rest.p, PART, rest.n);
		struct str part = {rest.p, end == NULL ? rest.n : (size_t)(end - rest.p)};
		struct buf response;

		is_last = end == NULL;
		rest = str_skip(rest, part.n + 1);
		buf_init(&response, 1 << 20);
		if (make_response(e, part, &response)) {
			char *copy = fuzz_exact_copy(buf_str(&response));

			take_step(
				e, (struct str){copy == NULL ? "" : copy, response.len});
			free(copy);
		}
		buf_done(&response);
	}
}

/* The whole of it; false if the mechanism is not there. */
static bool run(struct exchange *e, struct str input)
{
	static const enum sasl_mechanism mechanisms[8] = {SASL_PLAIN, SASL_LOGIN,
		SASL_CRAM_MD5, SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256_PLUS, SASL_EXTERNAL,
		SASL_SCRAM_SHA_256, SASL_CRAM_MD5};
	unsigned chosen = (unsigned char)input.p[0], session = (unsigned char)input.p[1];
	unsigned world_number = chosen >> 3 & 3;

	*e = (struct exchange){
		.settings = &world.settings[world_number],
		.sasl = world.sasl[world_number],
		.mechanism = mechanisms[chosen & 7],
		.session = {.is_plaintext_allowed = (session & 1) != 0,
			.is_tls = true,
			.external = str_of((session & 2) != 0 ? NAME : ""),
			.binding_unique = str_of((session & 4) != 0 ? BINDING : ""),
			.binding_exporter = str_of((session & 8) != 0 ? BINDING : "")},
	};
	if (!sasl_engine.start(
		    e->sasl, &e->session, str_of(sasl_mechanism_name(e->mechanism))))
		return false;
	buf_init(&e->out, 1 << 16);
	start_client(e);
	if ((session & 16) == 0)
		take_step(e, (struct str){NULL, 0});
	talk(e, str_skip(input, 2));
	if (e->outcome != SASL_MORE)
		assert(sasl_engine.step(e->sasl, STR("x"), &e->out) == SASL_BROKEN);
	gsasl_finish(e->client);
	buf_done(&e->out);
	sasl_engine.end(e->sasl);
	assert(sasl_engine.name(e->sasl).n == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str input = {(const char *)p, n};
	struct exchange first, again;

	if (n < 2)
		return 0;
	make_world();
	if (!run(&first, input))
		return 0;
	assert(run(&again, input));
	assert(again.outcome == first.outcome && again.judgement == first.judgement);
	assert(again.rounds == first.rounds);
	return 0;
}
