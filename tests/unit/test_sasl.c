/* policy/sasl: what is offered, and what clients may say.  See test_sasl_clients.c too.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "sasl_fixture.h"

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ------------------------------------------------------------------ offered */

static void test_list(void)
{
	static const struct {
		const char *name, *users;
		bool accept_any, is_plaintext, unique, exporter;
		const char *external, *expected;
	} cases[] = {
		{"nothing can work", NULL, false, true, true, true, NULL, ""},
		{"accept any", NULL, true, true, false, false, NULL,
			" CRAM-MD5 PLAIN LOGIN"},
		{"accept any, no plaintext", NULL, true, false, false, false, NULL,
			" CRAM-MD5"},
		{"users", sasl_users_both, false, true, false, false, NULL,
			" SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"},
		{"users, no plaintext", sasl_users_both, false, false, false, false, NULL,
			" SCRAM-SHA-256 CRAM-MD5"},
		{"tls-unique", sasl_users_both, false, true, true, false, NULL,
			" SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"},
		{"tls-exporter", sasl_users_scram, false, true, false, true, NULL,
			" SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
		{"hashes", sasl_users_crypt, false, true, true, true, NULL,
			" PLAIN LOGIN"},
		{"hashes, no plaintext", sasl_users_crypt, false, false, true, true, NULL,
			""},
		{"no users in it", "#\n", false, true, true, true, NULL, ""},
		{"certificate, no users in it", "#\n", false, true, true, true, "joe",
			""},
		{"certificate", NULL, false, true, true, true, "joe", " EXTERNAL"},
		{"all", sasl_users_both, true, true, true, true, "joe",
			" SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN "
			"EXTERNAL"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sasl_scene s;

		sasl_scene_init(&s, cases[i].users, cases[i].accept_any);
		sasl_scene_session(&s, cases[i].is_plaintext, cases[i].external,
			cases[i].unique, cases[i].exporter);
		sasl_engine.list(s.sasl, &s.session, &s.out);
		CHECK_STR(cases[i].name, buf_str(&s.out), str_of(cases[i].expected));
		/* What is not offered cannot be begun. */
		for (unsigned bit = 1; bit < SASL_ALL; bit <<= 1) {
			const char *name = sasl_mechanism_name(bit);
			char text[32];

			(void)snprintf(text, sizeof(text), " %s ", name);
			buf_reset(&s.out);
			sasl_engine.list(s.sasl, &s.session, &s.out);
			(void)buf_add(&s.out, " ", 2);
			CHECK(cases[i].name,
				sasl_engine.start(s.sasl, &s.session, str_of(name)) ==
					(strstr(s.out.p, text) != NULL));
		}
		sasl_scene_done(&s);
	}
}

/* A hook can judge passwords where there are no users; but not without seeing them. */
static void test_list_with_judge(void)
{
	struct sasl_scene s;

	sasl_scene_init(&s, NULL, false);
	for (int i = 0; i < 2; i++) {
		sasl_scene_session(&s, i == 0, NULL, false, false);
		s.session.has_judge = true;
		buf_reset(&s.out);
		sasl_engine.list(s.sasl, &s.session, &s.out);
		CHECK_STR("list", buf_str(&s.out), str_of(i == 0 ? " PLAIN LOGIN" : ""));
	}
	sasl_scene_done(&s);
}

static void test_settings_choose(void)
{
	struct sasl_scene s;

	sasl_scene_init(&s, sasl_users_both, true);
	sasl_scene_session(&s, true, "joe", true, true);
	s.settings.mechanisms = SASL_LOGIN | SASL_SCRAM_SHA_256;
	sasl_engine.list(s.sasl, &s.session, &s.out);
	CHECK_STR("list", buf_str(&s.out), STR(" SCRAM-SHA-256 LOGIN"));
	CU_ASSERT(!sasl_engine.start(s.sasl, &s.session, STR("PLAIN")));
	CU_ASSERT(!sasl_engine.start(s.sasl, &s.session, STR("SCRAM-SHA-1")));
	CU_ASSERT(!sasl_engine.start(s.sasl, &s.session, STR("")));
	CU_ASSERT(sasl_engine.start(s.sasl, &s.session, STR("login")));
	sasl_scene_done(&s);
}

static void test_names(void)
{
	for (unsigned bit = 1; bit < SASL_ALL; bit <<= 1) {
		const char *name = sasl_mechanism_name(bit);

		CHECK(name, sasl_mechanism_find(str_of(name)) == bit);
	}
	CU_ASSERT(sasl_mechanism_find(STR("plain")) == SASL_PLAIN);
	CU_ASSERT(sasl_mechanism_find(STR("PLAIN ")) == 0);
	CU_ASSERT(sasl_mechanism_name(64) == NULL);
}

/* ------------------------------------------------------- what clients may say */

#define NOTHING                                                                          \
	{                                                                                \
		NULL, 0                                                                  \
	}
#define DIGEST "0123456789abcdef0123456789abcdef"

struct turn {
	struct str in;
	enum sasl_outcome expected;
	const char *out; /* NULL: whatever it is */
};

static const struct said {
	const char *name, *mechanism;
	bool accept_any;
	struct turn turns[4];        /* up to the first with an outcome but SASL_MORE */
	enum sasl_outcome judgement; /* after SASL_PASSWORD */
} said[] = {
	{"plain", "PLAIN", false, {{STR("\0joe\0secret"), SASL_PASSWORD, ""}}, SASL_DONE},
	{"plain, second", "PLAIN", false,
		{{NOTHING, SASL_MORE, ""}, {STR("\0joe\0secret"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"plain, for oneself", "PLAIN", false,
		{{STR("joe\0joe\0secret"), SASL_PASSWORD, ""}}, SASL_DONE},
	{"plain, for another", "PLAIN", false,
		{{STR("ann\0joe\0secret"), SASL_REFUSED, ""}}, 0},
	{"plain, for another, any", "PLAIN", true,
		{{STR("ann\0joe\0secret"), SASL_REFUSED, ""}}, 0},
	{"plain, hash", "PLAIN", false, {{STR("\0ann\0secret"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"plain, scram", "PLAIN", false, {{STR("\0user\0pencil"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"plain, wrong", "PLAIN", false, {{STR("\0joe\0Secret"), SASL_PASSWORD, ""}},
		SASL_REFUSED},
	{"plain, nobody", "PLAIN", false, {{STR("\0zoe\0secret"), SASL_PASSWORD, ""}},
		SASL_REFUSED},
	{"plain, not ASCII", "PLAIN", false,
		{{STR("\0j\xc3\xb6\0s\xc3\xb6"), SASL_PASSWORD, ""}}, SASL_DONE},
	{"plain, any", "PLAIN", true, {{STR("\0zoe\0x"), SASL_PASSWORD, ""}}, SASL_DONE},
	{"plain, one NUL", "PLAIN", true, {{STR("joe\0secret"), SASL_BROKEN, ""}}, 0},
	{"plain, three NULs", "PLAIN", true, {{STR("\0joe\0secret\0"), SASL_BROKEN, ""}},
		0},
	{"plain, empty", "PLAIN", true, {{STR(""), SASL_BROKEN, ""}}, 0},
	{"plain, NULs alone", "PLAIN", true, {{STR("\0\0"), SASL_REFUSED, ""}}, 0},
	{"plain, no name", "PLAIN", true, {{STR("\0\0secret"), SASL_REFUSED, ""}}, 0},
	{"plain, no password", "PLAIN", true, {{STR("\0joe\0"), SASL_REFUSED, ""}}, 0},
	{"plain, long name", "PLAIN", true,
		{{STR("\0" A50 A50 A50 A50 A50 "aaaaaa\0x"), SASL_REFUSED, ""}}, 0},
	{"login", "LOGIN", false,
		{{NOTHING, SASL_MORE, "Username:"}, {STR("joe"), SASL_MORE, "Password:"},
			{STR("secret"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"login, name at once", "LOGIN", false,
		{{STR("joe"), SASL_MORE, "Password:"},
			{STR("secret"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"login, wrong", "LOGIN", false,
		{{STR("joe"), SASL_MORE, "Password:"}, {STR("x"), SASL_PASSWORD, ""}},
		SASL_REFUSED},
	{"login, nothing twice", "LOGIN", false,
		{{NOTHING, SASL_MORE, "Username:"}, {NOTHING, SASL_BROKEN, ""}}, 0},
	{"login, any", "LOGIN", true,
		{{STR("zoe"), SASL_MORE, "Password:"}, {STR("x"), SASL_PASSWORD, ""}},
		SASL_DONE},
	{"login, no name", "LOGIN", true, {{STR(""), SASL_REFUSED, ""}}, 0},
	{"login, no password", "LOGIN", true,
		{{STR("joe"), SASL_MORE, NULL}, {STR(""), SASL_REFUSED, ""}}, 0},
	{"login, NUL in the name", "LOGIN", true, {{STR("joe\0"), SASL_REFUSED, ""}}, 0},
	{"login, NUL in the password", "LOGIN", true,
		{{STR("joe"), SASL_MORE, NULL}, {STR("a\0b"), SASL_REFUSED, ""}}, 0},
	{"cram, at once", "CRAM-MD5", true, {{STR("joe " DIGEST), SASL_EARLY, ""}}, 0},
	{"cram, any", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL}, {STR("zoe doe " DIGEST), SASL_DONE, ""}}, 0},
	{"cram, wrong", "CRAM-MD5", false,
		{{NOTHING, SASL_MORE, NULL}, {STR("joe " DIGEST), SASL_REFUSED, ""}}, 0},
	{"cram, nobody", "CRAM-MD5", false,
		{{NOTHING, SASL_MORE, NULL}, {STR("zoe " DIGEST), SASL_REFUSED, ""}}, 0},
	{"cram, hash", "CRAM-MD5", false,
		{{NOTHING, SASL_MORE, NULL}, {STR("ann " DIGEST), SASL_REFUSED, ""}}, 0},
	{"cram, empty", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL}, {STR(""), SASL_BROKEN, ""}}, 0},
	{"cram, no name", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL}, {STR(" " DIGEST), SASL_BROKEN, ""}}, 0},
	{"cram, no blank", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL}, {STR("joe" DIGEST), SASL_BROKEN, ""}}, 0},
	{"cram, upper case", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL},
			{STR("joe 0123456789ABCDEF0123456789ABCDEF"), SASL_BROKEN, ""}},
		0},
	{"cram, NUL", "CRAM-MD5", true,
		{{NOTHING, SASL_MORE, NULL}, {STR("joe\0 " DIGEST), SASL_REFUSED, ""}},
		0},
	{"external", "EXTERNAL", true, {{STR(""), SASL_DONE, ""}}, 0},
	{"external, second", "EXTERNAL", false,
		{{NOTHING, SASL_MORE, ""}, {STR(""), SASL_DONE, ""}}, 0},
	{"external, named", "EXTERNAL", false, {{STR("joe"), SASL_DONE, ""}}, 0},
	{"external, another", "EXTERNAL", true, {{STR("ann"), SASL_REFUSED, ""}}, 0},
	{"external, NUL", "EXTERNAL", true, {{STR("joe\0"), SASL_BROKEN, ""}}, 0},
	{"scram, empty", "SCRAM-SHA-256", false, {{STR(""), SASL_BROKEN, ""}}, 0},
	{"scram, empty second", "SCRAM-SHA-256", false,
		{{STR("n,,n=joe,r=abcdef"), SASL_MORE, NULL}, {STR(""), SASL_BROKEN, ""}},
		0},
	{"scram, empty after empty", "SCRAM-SHA-256", false,
		{{NOTHING, SASL_MORE, ""}, {STR(""), SASL_BROKEN, ""}}, 0},
	{"scram, no commas", "SCRAM-SHA-256", false, {{STR("abc"), SASL_BROKEN, ""}}, 0},
	{"scram, no name", "SCRAM-SHA-256", false,
		{{STR("n,,n=,r=abcdef"), SASL_BROKEN, ""}}, 0},
	{"scram, no nonce", "SCRAM-SHA-256", false,
		{{STR("n,,n=joe,r="), SASL_BROKEN, ""}}, 0},
	{"scram, NUL", "SCRAM-SHA-256", false,
		{{STR("n,,n=jo\0e,r=abcdef"), SASL_BROKEN, ""}}, 0},
	{"scram, unknown extension", "SCRAM-SHA-256", false,
		{{STR("n,,m=x,n=joe,r=abcdef"), SASL_BROKEN, ""}}, 0},
	{"scram, bad escape", "SCRAM-SHA-256", false,
		{{STR("n,,n=jo=2De,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, escape cut", "SCRAM-SHA-256", false,
		{{STR("n,,n=joe=2,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, for another", "SCRAM-SHA-256", false,
		{{STR("n,a=ann,n=joe,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, name of nothing", "SCRAM-SHA-256", false,
		{{STR("n,,n=\xc2\xad,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, name not UTF-8", "SCRAM-SHA-256", false,
		{{STR("n,,n=\xff,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, binding where there is none", "SCRAM-SHA-256", false,
		{{STR("p=tls-unique,,n=joe,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"scram, other nonce", "SCRAM-SHA-256", false,
		{{STR("n,,n=joe,r=abcdef"), SASL_MORE, NULL},
			{STR("c=biws,r=abcdefghijklmnop,p=AAAA"), SASL_REFUSED, ""}},
		0},
	{"scram, other garbage", "SCRAM-SHA-256", false,
		{{STR("n,,n=joe,r=abcdef"), SASL_MORE, NULL},
			{STR("c=biws,r=\0,p=AAAA"), SASL_BROKEN, ""}},
		0},
	{"plus, without binding", "SCRAM-SHA-256-PLUS", false,
		{{STR("n,,n=joe,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"plus, unknown binding", "SCRAM-SHA-256-PLUS", false,
		{{STR("p=tls-server-end-point,,n=joe,r=abcdef"), SASL_REFUSED, ""}}, 0},
	{"plus, a binding that is not there", "SCRAM-SHA-256-PLUS", false,
		{{STR("p=tls-exporter,,n=joe,r=abcdef"), SASL_REFUSED, ""}}, 0},
};

/* Say it all.  Twice in one sasl, so that the first time must leave nothing behind. */
static void check_said(struct sasl_scene *s, const struct said *c)
{
	enum sasl_outcome outcome = SASL_MORE;

	CHECK(c->name, sasl_engine.start(s->sasl, &s->session, str_of(c->mechanism)));
	for (size_t i = 0; i < 4 && outcome == SASL_MORE; i++) {
		const struct turn *turn = &c->turns[i];

		outcome = sasl_scene_step(s, turn->in);
		CHECK(c->name, outcome == turn->expected);
		if (turn->out != NULL)
			CHECK_STR(c->name, buf_str(&s->out), str_of(turn->out));
	}
	if (outcome == SASL_PASSWORD)
		CHECK(c->name, sasl_engine.judge(s->sasl) == c->judgement);
	/* It is over. */
	CHECK(c->name, sasl_scene_step(s, STR("n,,n=joe,r=abcdef")) == SASL_BROKEN);
	sasl_engine.end(s->sasl);
	CHECK(c->name, sasl_engine.name(s->sasl).n == 0);
}

static void test_said(void)
{
	struct sasl_scene s[2];

	sasl_scene_init(&s[0], sasl_users_both, false);
	sasl_scene_init(&s[1], sasl_users_both, true);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct sasl_scene *scene = &s[said[i].accept_any];

		sasl_scene_session(scene, true, "joe", true, false);
		check_said(scene, &said[i]);
		check_said(scene, &said[i]);
	}
	/* Without an exchange. */
	CU_ASSERT(sasl_scene_step(&s[0], STR("x")) == SASL_BROKEN);
	sasl_scene_done(&s[0]);
	sasl_scene_done(&s[1]);
}

/* "y": I could bind, but -PLUS was not offered to me. */
static void test_downgrade(void)
{
	static const struct {
		const char *name;
		unsigned mechanisms;
		bool has_binding;
		enum sasl_outcome expected;
	} cases[] = {
		{"it was offered", SASL_ALL, true, SASL_REFUSED},
		{"it cannot be", SASL_ALL, false, SASL_MORE},
		{"it is not wanted", SASL_SCRAM_SHA_256, true, SASL_MORE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sasl_scene s;

		for (int kind = 0; kind < 2; kind++) {
			sasl_scene_init(&s, sasl_users_both, false);
			s.settings.mechanisms = cases[i].mechanisms;
			sasl_scene_session(&s, true, NULL,
				cases[i].has_binding && kind == 0,
				cases[i].has_binding && kind == 1);
			CU_ASSERT(sasl_engine.start(
				s.sasl, &s.session, STR("SCRAM-SHA-256")));
			CHECK(cases[i].name,
				sasl_scene_step(&s, STR("y,,n=joe,r=abcdef")) ==
					cases[i].expected);
			sasl_scene_done(&s);
		}
	}
}

static void test_password_and_name(void)
{
	struct sasl_scene s;
	struct str name, password;

	sasl_scene_init(&s, sasl_users_both, false);
	sasl_scene_session(&s, true, NULL, false, false);
	CU_ASSERT(sasl_engine.start(s.sasl, &s.session, STR("PLAIN")));
	CU_ASSERT(sasl_scene_step(&s, STR("\0zoe\0a password")) == SASL_PASSWORD);
	sasl_engine.password(s.sasl, &name, &password);
	CHECK_STR("name", name, STR("zoe"));
	CHECK_STR("password", password, STR("a password"));
	CHECK_STR("name", sasl_engine.name(s.sasl), STR("zoe"));
	sasl_engine.end(s.sasl);
	/* Wiped, where it was. */
	CU_ASSERT(memcmp(password.p, "\0\0\0\0\0\0\0\0\0\0", 10) == 0);
	CU_ASSERT(memcmp(name.p, "\0\0\0", 3) == 0);
	sasl_scene_done(&s);
}

/* A name that is no user's, of one whose certificate is fine all the same. */
static void test_external(void)
{
	static const struct {
		const char *name, *users, *external;
		bool accept_any;
		enum sasl_outcome expected;
	} cases[] = {
		{"no file", NULL, "zoe", false, SASL_DONE},
		{"in the file", sasl_users_both, "ann", false, SASL_DONE},
		{"not in the file", sasl_users_both, "zoe", false, SASL_REFUSED},
		{"any", sasl_users_both, "zoe", true, SASL_DONE},
		{"too long", NULL, A50 A50 A50 A50 A50 A50, true, SASL_REFUSED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sasl_scene s;

		sasl_scene_init(&s, cases[i].users, cases[i].accept_any);
		sasl_scene_session(&s, false, cases[i].external, false, false);
		CHECK(cases[i].name,
			sasl_engine.start(s.sasl, &s.session, STR("EXTERNAL")));
		CHECK(cases[i].name, sasl_scene_step(&s, STR("")) == cases[i].expected);
		if (cases[i].expected == SASL_DONE)
			CHECK_STR(cases[i].name, sasl_engine.name(s.sasl),
				str_of(cases[i].external));
		sasl_scene_done(&s);
	}
}

void suite_sasl(void)
{
	CU_pSuite suite = CU_add_suite("sasl", NULL, NULL);

	(void)CU_add_test(suite, "what is offered", test_list);
	(void)CU_add_test(suite, "what is offered with a hook", test_list_with_judge);
	(void)CU_add_test(suite, "what the settings allow", test_settings_choose);
	(void)CU_add_test(suite, "names of mechanisms", test_names);
	(void)CU_add_test(suite, "what clients say", test_said);
	(void)CU_add_test(suite, "downgrade", test_downgrade);
	(void)CU_add_test(suite, "name and password", test_password_and_name);
	(void)CU_add_test(suite, "certificates", test_external);
}
