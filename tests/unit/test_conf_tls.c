/* The configuration of TLS and AUTH: certificates and their keys, who may log in by what,
 * and what a server without a file does. */
#include "conf_fixture.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf.h"
#include "config/tables.h"

#define NOT_A_NAME "a domain name is expected, maybe with \"*.\" before it\n"
#define PAIR       "certificate = {c} key = {k}"

static void test_certificates(void)
{
	static const struct conf_mistake cases[] = {
		{"none", "tls { }", ""},
		{"one", "tls { " PAIR " }", ""},
		{"two", "tls { certificate = {a, b} key = {c, d} }", ""},
		{"added", "tls { " PAIR " certificate += {b} key += {d} }", ""},
		{"no key", "tls {\n\tcertificate = {a,\n\tb,\n\tc}\n\tkey = {k}\n}",
			"3: tls: certificate: 'b': there is no key for it\n"},
		{"no certificate", "tls {\n\tkey = {\"k\\n\"}\n}",
			"2: tls: key: 'k\\x0A': there is no certificate for it\n"},
		{"empty", "tls {\n\tcertificate = {\n\"\"}\n\tkey = {k,\n\"\"}\n}",
			"5: tls: key: '': there is no certificate for it\n"
			"3: tls: certificate: '': the path of a file is expected\n"},
		{"control character", "tls { certificate = {\"\\n\"} key = {k} }",
			"1: tls: certificate: '\\x0A': a path with a control character "
			"is "
			"not supported\n"},
		{"priorities", "tls { priorities = \"NORMAL:-VERS-TLS1.3\" }", ""},
		{"priorities wrong", "tls {\n\tpriorities = \"NORMAL:+SURELY\"\n}",
			"2: tls: priorities: 'NORMAL:+SURELY': not a GnuTLS priority "
			"string\n"},
		{"tickets", "tls { session-tickets = maybe }",
			"1: tls: session-tickets: 'maybe': must be \"false\" or "
			"\"true\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_names(void)
{
	static const struct conf_mistake cases[] = {
		{"two",
			"tls { " PAIR "\n sni a.test { " PAIR
			" }\n sni \"*.test\" { " PAIR " } }",
			""},
		{"no pair for others", "tls {\n\tsni a.test { " PAIR " }\n}",
			"3: tls: certificate: must be given besides sni, for clients "
			"that name no other\n"},
		{"no pair", "tls { " PAIR "\nsni a.test {\n}\n}",
			"3: tls: sni \"a.test\": certificate: at least one must be "
			"given\n"},
		{"no key",
			"tls { " PAIR "\nsni a.test {\n\tcertificate = {a,\nb}\n"
			"\tkey = {c}\n}\n}",
			"4: tls: sni \"a.test\": certificate: 'b': there is no key for "
			"it\n"},
		{"twice",
			"tls { " PAIR "\nsni a.test { " PAIR " }\nsni a.test { " PAIR
			" }\n}",
			"3: tls: found duplicate title 'a.test'\n"},
		{"twice in other letters",
			"tls { " PAIR "\nsni \"*.a.test\" { " PAIR
			" }\nsni \"*.A.Test\" { " PAIR " }\n}",
			"3: tls: sni \"*.A.Test\": there is a section for this name\n"},
		{"address", "tls { " PAIR "\nsni [192.0.2.1] { " PAIR " }\n}",
			"2: tls: sni \"[192.0.2.1]\": " NOT_A_NAME},
		{"star alone", "tls { " PAIR "\nsni \"*\" { " PAIR " }\n}",
			"2: tls: sni \"*\": " NOT_A_NAME},
		{"two stars", "tls { " PAIR "\nsni \"*.*.a\" { " PAIR " }\n}",
			"2: tls: sni \"*.*.a\": " NOT_A_NAME},
		{"star inside", "tls { " PAIR "\nsni \"a.*.b\" { " PAIR " }\n}",
			"2: tls: sni \"a.*.b\": " NOT_A_NAME},
		{"nothing", "tls { " PAIR "\nsni \"\" { " PAIR " }\n}",
			"2: tls: sni \"\": " NOT_A_NAME},
		{"unknown option", "tls { " PAIR "\nsni a {\nca-file = x\n}\n}",
			"3: tls: sni \"a\": no such option 'ca-file'\n"},
		{"not in a section", "sni a { }", "1: no such option 'sni'\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define NEEDS_CA "needs ca-file, to verify what clients show\n"

static void test_client_certificates(void)
{
	static const struct conf_mistake cases[] = {
		{"request", "tls { client-certificate = request ca-file = /ca }", ""},
		{"control character", "tls { ca-file = \"/\\x7f\" }",
			"1: tls: ca-file: '/\\x7F': a path with a control character is "
			"not supported\n"},
		{"file alone", "tls { ca-file = /ca }", ""},
		{"request without", "tls {\n\tclient-certificate = request\n}",
			"2: tls: client-certificate: 'request': " NEEDS_CA},
		{"require with nothing",
			"tls {\n\tca-file = \"\"\n\tclient-certificate = require\n}",
			"3: tls: client-certificate: 'require': " NEEDS_CA},
		{"unknown", "tls { client-certificate = on }",
			"1: tls: client-certificate: 'on': must be \"off\" or "
			"\"request\" or \"require\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_timeout(void)
{
	static const struct conf_mistake cases[] = {
		{"as long",
			"timeouts { session = 10s tls = 10s command = 1s data = 1s\n"
			"data-total = 1s busy-command = 1s }",
			""},
		{"gives way",
			"timeouts { session = 10s command = 1s data = 1s data-total = 1s "
			"}",
			""},
		{"longer", "timeouts {\n\ttls = 25h\n}",
			"2: timeouts: tls: tls must not be longer than session\n"},
		{"none", "timeouts { tls = 0 }",
			"1: timeouts: tls: '0': must be from 100ms to 7d\n"},
		{"failures", "limits { auth-failures = 0 }",
			"1: limits: auth-failures: '0': must be from 1 to 1000000\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define NO_MECHANISM                                                                     \
	"auth: 'required': no mechanism of section auth can work here, so that nobody "  \
	"could send mail\n"
#define ANY             "auth { accept-any = true }\n"
#define ONLY(mechanism) "auth { accept-any = true mechanisms = {" mechanism "} }\n"
#define LISTEN(address, option)                                                          \
	"listen a { address = {\"" address "\"} auth = " option " }"
#define REQUIRED(address, tls) LISTEN(address, "required tls = " tls)

static void test_auth(void)
{
	static const struct conf_mistake cases[] = {
		{"mechanisms", "auth { mechanisms = {PLAIN, EXTERNAL} }", ""},
		{"no mechanisms", "auth { mechanisms = {} }", ""},
		{"unknown mechanism", "auth {\n\tmechanisms = {PLAIN,\nNTLM,\nLOGIN}\n}",
			"3: auth: mechanisms: 'NTLM': must be \"PLAIN\" or \"LOGIN\" or "
			"\"CRAM-MD5\" or \"SCRAM-SHA-256\" or \"SCRAM-SHA-256-PLUS\" or "
			"\"EXTERNAL\"\n"},
		{"mechanism twice", "auth { mechanisms = {PLAIN,\nPLAIN,\nLOGIN} }",
			"2: auth: mechanisms: 'PLAIN': given twice\n"},
		{"plaintext unknown", "auth { plaintext-without-tls = no }",
			"1: auth: plaintext-without-tls: 'no': must be \"never\" or "
			"\"loopback\" or \"always\"\n"},
		{"no users file", "auth { users-file = \"\" }", ""},
		{"optional", LISTEN("0.0.0.0:25", "optional"), ""},
		{"auth unknown", LISTEN("0.0.0.0:25", "always"),
			"1: listen \"a\": auth: 'always': must be \"off\" or "
			"\"optional\" or \"required\"\n"},
		{"tls unknown", LISTEN("0.0.0.0:25", "off tls = on"),
			"1: listen \"a\": tls: 'on': must be \"off\" or \"starttls\" or "
			"\"required\" or \"implicit\"\n"},
		{"one mistake is told once",
			"auth { mechanisms = {PLAN} }\n" REQUIRED("unix:/s", "off"),
			"1: auth: mechanisms: 'PLAN': must be \"PLAIN\" or \"LOGIN\" or "
			"\"CRAM-MD5\" or \"SCRAM-SHA-256\" or \"SCRAM-SHA-256-PLUS\" or "
			"\"EXTERNAL\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_required(void)
{
	static const struct conf_mistake cases[] = {
		{"required", ANY REQUIRED("0.0.0.0:25", "starttls"), ""},
		{"required of nobody", REQUIRED("0.0.0.0:25", "starttls"),
			"1: listen \"a\": " NO_MECHANISM},
		{"required by no mechanism",
			ONLY("") "\n" REQUIRED("0.0.0.0:25", "starttls"),
			"3: listen \"a\": " NO_MECHANISM},
		{"without TLS, to all", ONLY("PLAIN") REQUIRED("0.0.0.0:25", "off"), ""},
		{"without TLS, on the loopback",
			ONLY("PLAIN") REQUIRED("127.1.2.3:25", "off"), ""},
		{"without TLS, on that of IPv6",
			ONLY("PLAIN") REQUIRED("[::1]:25", "off"), ""},
		{"without TLS, in the file system",
			ONLY("PLAIN") REQUIRED("unix:/s", "off"), ""},
		{"without TLS, elsewhere", ONLY("PLAIN") REQUIRED("192.0.2.1:25", "off"),
			"2: listen \"a\": " NO_MECHANISM},
		{"without TLS, elsewhere, by IPv6",
			ONLY("LOGIN") REQUIRED("[2001:db8::1]:25", "off"),
			"2: listen \"a\": " NO_MECHANISM},
		{"with TLS, elsewhere",
			ONLY("LOGIN") REQUIRED("[2001:db8::1]:25", "implicit"), ""},
		{"a challenge, elsewhere",
			ONLY("CRAM-MD5") REQUIRED("192.0.2.1:25", "off"), ""},
		{"always",
			"auth { accept-any = true plaintext-without-tls = always "
			"}\n" REQUIRED("192.0.2.1:25", "off"),
			""},
		{"never",
			"auth { accept-any = true plaintext-without-tls = never\n"
			"mechanisms = {PLAIN, LOGIN} }\n" REQUIRED("127.0.0.1:25", "off"),
			"3: listen \"a\": " NO_MECHANISM},
		{"SCRAM cannot take any",
			ONLY("SCRAM-SHA-256") REQUIRED("unix:/s", "off"),
			"2: listen \"a\": " NO_MECHANISM},
		{"no certificates of clients",
			ONLY("EXTERNAL") REQUIRED("unix:/s", "implicit"),
			"2: listen \"a\": " NO_MECHANISM},
		{"certificates of clients",
			"tls { client-certificate = request ca-file = /ca }\n" ONLY(
				"EXTERNAL") REQUIRED("unix:/s", "implicit"),
			""},
		{"certificates of clients without TLS",
			"tls { client-certificate = request ca-file = /ca }\n" ONLY(
				"EXTERNAL") REQUIRED("unix:/s", "off"),
			"3: listen \"a\": " NO_MECHANISM},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* The words are those of the mechanisms, bit by bit. */
static void test_mechanism_words(void)
{
	size_t i;

	for (i = 0; option_mechanism_words[i] != NULL; i++) {
		const char *name = sasl_mechanism_name((enum sasl_mechanism)(1U << i));

		CU_ASSERT_FATAL(name != NULL);
		CHECK_STR(name, str_of(option_mechanism_words[i]), str_of(name));
	}
	CHECK("no more", sasl_mechanism_name((enum sasl_mechanism)(1U << i)) == NULL);
}

/* Users beside the configuration; only for their owner, unless mode says otherwise. */
static bool write_users(const char *text, mode_t mode)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/users", conf_directory);
	f = fopen(path, "w");
	if (f == NULL)
		return false;
	(void)fputs(text, f);
	return fclose(f) == 0 && chmod(path, mode) == 0 &&
	       setenv("SINKD_TEST_USERS", path, 1) == 0;
}

static void remove_users(void)
{
	(void)unlink(getenv("SINKD_TEST_USERS"));
	(void)unsetenv("SINKD_TEST_USERS");
}

#define USERS "auth { users-file = \"${SINKD_TEST_USERS}\" }\n"
#define CRYPT                                                                            \
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4O"    \
	"TLiBFdcbYEdFCoEOfaS35inz1"

static void test_users(void)
{
	static const struct {
		const char *name;
		const char *users;
		const char *text;
		const char *told; /* of the file with the configuration */
	} cases[] = {
		{"none", "", USERS, NULL},
		{"none, but required", "# nobody\n", USERS REQUIRED("unix:/s", "off"),
			"2: listen \"a\": " NO_MECHANISM},
		{"no certificate is one of theirs", "# nobody\n",
			"tls { client-certificate = require ca-file = /ca }\n"
			"auth { users-file = \"${SINKD_TEST_USERS}\"\n"
			"mechanisms = {EXTERNAL} }\n" REQUIRED("[::1]:25", "implicit"),
			"4: listen \"a\": " NO_MECHANISM},
		{"any proof for a password", "a:" CRYPT "\n",
			USERS REQUIRED("unix:/s", "off"), NULL},
		{"a hash is not enough", "a:" CRYPT "\n",
			USERS "auth { users-file = \"${SINKD_TEST_USERS}\"\n"
			      "mechanisms = {CRAM-MD5, SCRAM-SHA-256} }\n" REQUIRED(
				      "unix:/s", "starttls"),
			"4: listen \"a\": " NO_MECHANISM},
		{"a password is enough", "a:{PLAIN}b\n",
			"auth { users-file = \"${SINKD_TEST_USERS}\"\n"
			"mechanisms = {SCRAM-SHA-256} }\n" REQUIRED(
				"192.0.2.1:25", "off"),
			NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *expected = cases[i].told == NULL ? "" : cases[i].told;
		struct config *c = NULL;
		char *told;
		int result;

		CHECK(cases[i].name, write_users(cases[i].users, 0600));
		CHECK(cases[i].name, write_conf(cases[i].text));
		told = load_conf(conf_file, NULL, &result, &c);
		CHECK(cases[i].name, result == (cases[i].told == NULL ? 0 : -EINVAL));
		CHECK_STR(cases[i].name, str_of(told), str_of(expected));
		free(told);
		config_free(c);
		remove_users();
	}
}

/* The reason comes first, and then the line that named the file. */
static void test_wrong_users(void)
{
	static const struct {
		const char *name;
		const char *users; /* NULL: there is no such file */
		mode_t mode;
		bool has_line;
	} cases[] = {
		{"proof", "a:{PLAIN}b\nc:secret\n", 0600, true},
		{"for others", "a:{PLAIN}b\n", 0644, false},
		{"missing", NULL, 0600, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *users = cases[i].users == NULL ? "" : cases[i].users, *path;
		char first[160], last[160];
		struct config *c = NULL;
		char *told;
		int result;

		CU_ASSERT_FATAL(write_users(users, cases[i].mode));
		path = getenv("SINKD_TEST_USERS");
		if (cases[i].users == NULL)
			(void)unlink(path);
		CHECK(cases[i].name, write_conf("\n" USERS));
		told = load_conf(conf_file, NULL, &result, &c);
		CHECK(cases[i].name, result == -EINVAL && c == NULL);
		(void)snprintf(first, sizeof(first),
			cases[i].has_line ? "%s:2: " : "sinkd: cannot read '%s': ", path);
		(void)snprintf(last, sizeof(last),
			"\n2: auth: users-file: '%s': cannot be used\n", path);
		CHECK(cases[i].name, strncmp(told, first, strlen(first)) == 0);
		CHECK(cases[i].name, strstr(told, last) != NULL);
		CHECK(cases[i].name, strstr(told, "secret\n") == NULL);
		free(told);
		remove_users();
	}
}

static void check_kept_identities(const struct tls_settings *t)
{
	const struct tls_identity *identity;

	CU_ASSERT_EQUAL_FATAL(t->identity_count, 2);
	identity = &t->identities[0];
	CHECK("no name", identity->name == NULL);
	CU_ASSERT_EQUAL_FATAL(identity->pair_count, 2);
	CHECK_STR("first", str_of(identity->pairs[0].certificate), STR("c1"));
	CHECK_STR("second", str_of(identity->pairs[1].certificate), STR("c2"));
	CHECK_STR("second", str_of(identity->pairs[1].key), STR("k2"));
	CHECK("lines", identity->pairs[0].certificate_line == 2 &&
			       identity->pairs[1].certificate_line == 3 &&
			       identity->pairs[1].key_line == 4);
	identity = &t->identities[1];
	CHECK_STR("name", str_of(identity->name), STR("*.a.test"));
	CU_ASSERT_EQUAL_FATAL(identity->pair_count, 1);
	CHECK_STR("third", str_of(identity->pairs[0].key), STR("k3"));
	CHECK("line", identity->pairs[0].key_line == 7);
}

static void test_everything_is_kept(void)
{
	static const char text[] =
		"tls {\n"
		"certificate = {c1,\n"
		"c2}\n"
		"key = {k1, k2}\n"
		"sni \"*.a.test\" {\n"
		"\tcertificate = {c3}\n"
		"\tkey = {k3}\n"
		"}\n"
		"session-tickets = false client-certificate = require\n"
		"ca-file = ca\n"
		"}\n"
		"auth { mechanisms = {EXTERNAL, CRAM-MD5} accept-any = true\n"
		"users-file = \"${SINKD_TEST_USERS}\" plaintext-without-tls = always }\n"
		"limits { auth-failures = 7 }\n"
		"timeouts { tls = 3s }\n"
		"hostname = mx.test\n"
		"listen a { address = {\"127.0.0.1:25\"} tls = implicit auth = required "
		"}\n"
		"listen b { address = {\"127.0.0.1:26\"} }\n";
	struct config *c = NULL;
	char *told;
	int result;

	CHECK("users", write_users("a:{PLAIN}b\n", 0600));
	CHECK("write", write_conf(text));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK_STR("told", str_of(told), STR(""));
	free(told);
	CU_ASSERT_EQUAL_FATAL(result, 0);
	check_kept_identities(&c->tls);
	CHECK("tickets", !c->tls.has_tickets);
	CHECK("clients", c->tls.client_certificate == CLIENT_CERTIFICATE_REQUIRE);
	CHECK_STR("ca", str_of(c->tls.ca_file), STR("ca"));
	CHECK("ca line", c->tls.ca_file_line == 10);
	CHECK("mechanisms", c->auth.mechanisms == (SASL_EXTERNAL | SASL_CRAM_MD5));
	CHECK("accept any", c->auth.accept_any);
	CHECK("users", users_count(c->users) == 1 && c->auth.users == c->users);
	CHECK("plaintext", c->smtp.plaintext_auth == PLAINTEXT_AUTH_ALWAYS);
	CHECK("failures", c->smtp.auth_failures_max == 7);
	CHECK("timeout", c->timeouts.tls_ms == 3000);
	CHECK("listener", c->listeners[0].smtp.tls == LISTEN_TLS_IMPLICIT &&
				  c->listeners[0].smtp.auth == LISTEN_AUTH_REQUIRED);
	CHECK("listener by default",
		c->listeners[1].smtp.tls == LISTEN_TLS_STARTTLS &&
			c->listeners[1].smtp.auth == LISTEN_AUTH_OFF);
	config_free(c);
	remove_users();
}

/* What an empty file leaves as it is, and what no file at all means. */
static void test_defaults(void)
{
	static const char *const addresses[] = {"127.0.0.1:25"};
	const struct config_overrides overrides = {
		.listen = addresses, .listen_count = 1};

	CHECK("write", write_conf(""));
	for (unsigned i = 0; i < 4; i++) {
		bool has_file = (i & 1) != 0, has_listen = (i & 2) != 0;
		struct config *c = NULL;
		int result;

		free(load_conf(has_file ? conf_file : NULL,
			has_listen ? &overrides : NULL, &result, &c));
		CU_ASSERT_EQUAL_FATAL(result, 0);
		CHECK("one identity", c->tls.identity_count == 1 &&
					      c->tls.identities[0].name == NULL &&
					      c->tls.identities[0].pair_count == 0);
		CHECK_STR("priorities", str_of(c->tls.priorities),
			STR(TLS_DEFAULT_PRIORITIES));
		CHECK("tickets", c->tls.has_tickets);
		CHECK("clients", c->tls.client_certificate == CLIENT_CERTIFICATE_OFF &&
					 c->tls.ca_file == NULL);
		CHECK("mechanisms",
			c->auth.mechanisms ==
				(SASL_PLAIN | SASL_LOGIN | SASL_CRAM_MD5 |
					SASL_SCRAM_SHA_256 | SASL_SCRAM_SHA_256_PLUS));
		CHECK("users", c->auth.users_file == NULL && c->users == NULL &&
				       c->auth.users == NULL);
		CHECK("plaintext", c->smtp.plaintext_auth == PLAINTEXT_AUTH_LOOPBACK);
		CHECK("failures", c->smtp.auth_failures_max == 3);
		CHECK("tls", c->listeners[0].smtp.tls == LISTEN_TLS_STARTTLS);
		CHECK("accept any", c->auth.accept_any == !has_file);
		CHECK("auth",
			c->listeners[0].smtp.auth ==
				(has_file ? LISTEN_AUTH_OFF : LISTEN_AUTH_OPTIONAL));
		config_free(c);
	}
}

void suite_conf_tls(void)
{
	CU_pSuite s =
		CU_add_suite("conf tls", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "certificates", test_certificates);
	CU_add_test(s, "names", test_names);
	CU_add_test(s, "client certificates", test_client_certificates);
	CU_add_test(s, "timeout", test_timeout);
	CU_add_test(s, "auth", test_auth);
	CU_add_test(s, "required", test_required);
	CU_add_test(s, "mechanism words", test_mechanism_words);
	CU_add_test(s, "users", test_users);
	CU_add_test(s, "wrong users", test_wrong_users);
	CU_add_test(s, "everything is kept", test_everything_is_kept);
	CU_add_test(s, "defaults", test_defaults);
}
