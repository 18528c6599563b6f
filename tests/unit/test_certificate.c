/* Unit tests of net/certificate, and of which priority strings are taken. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include <gnutls/abstract.h>

#include "net/certificate.h"
#include "net/tls.h"
#include "tls_fixture.h"
#include "unit.h"

static void test_names(void)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{"one.test", "one.test", true},
		{"one.test", "ONE.Test", true},
		{"one.test", "two.test", false},
		{"one.test", "one.test.", false},
		{"one.test", "a.one.test", false},
		{"one.test", "", false},
		{"", "", false},
		{"*.one.test", "a.one.test", true},
		{"*.One.test", "a.one.TEST", true},
		{"*.one.test", "one.test", false},
		{"*.one.test", ".one.test", false},
		{"*.one.test", "a.b.one.test", false},
		{"*.one.test", "a.one.tes", false},
		{"*.one.test", "", false},
		{"*.one.test", "nodot", false},
		{"*one.test", "xone.test", false},
		{"*", "one", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].name, certificate_name_matches(str_of(cases[i].pattern),
					     str_of(cases[i].name)) == cases[i].matches);
}

static void test_facts(void)
{
	static struct test_pair ca, server, nobody;
	struct certificate_info info;
	const char *error = NULL;
	int64_t now_s = time(NULL);
	static char chain[sizeof(ca.certificate) * 2 + 1];

	make_pair(&(struct test_wish){.name = "CA", .is_ca = true}, &ca);
	make_pair(&(struct test_wish){.name = "a,b.test", .issuer = &ca}, &server);
	make_pair(&(struct test_wish){.name = "rsa", .is_rsa = true, .is_expired = true},
		&nobody);
	(void)snprintf(chain, sizeof(chain), "%s%s", server.certificate, ca.certificate);

	CHECK("chain", certificate_read(str_of(chain), &info, &error) == 0);
	CHECK_STR("subject", str_of(info.subject), STR("CN=a\\,b.test"));
	CHECK_STR("key", str_of(info.key), STR("ECDSA 256"));
	CHECK("not before", info.not_before_s < now_s);
	CHECK("not after", info.not_after_s > now_s + 29 * 86400);
	CHECK("fingerprint", strlen(info.fingerprint) == 32 * 3 - 1);
	CHECK("fingerprint", strspn(info.fingerprint, "0123456789ABCDEF:") ==
				     strlen(info.fingerprint));
	CHECK("fingerprint", info.fingerprint[2] == ':' && info.fingerprint[92] == ':');

	make_pair(&(struct test_wish){.is_addressed = true}, &server);
	CHECK("address",
		certificate_read(str_of(server.certificate), &info, &error) == 0);
	CHECK_STR("address", str_of(info.subject), STR("192.0.2.1"));
	make_pair(&(struct test_wish){.mailbox = "a@b.test"}, &server);
	CHECK("mailbox",
		certificate_read(str_of(server.certificate), &info, &error) == 0);
	CHECK_STR("mailbox", str_of(info.subject), STR("a@b.test"));
	make_pair(&(struct test_wish){0}, &server);
	CHECK("nobody", certificate_read(str_of(server.certificate), &info, &error) == 0);
	CHECK_STR("nobody", str_of(info.subject), STR(""));

	CHECK("RSA", certificate_read(str_of(nobody.certificate), &info, &error) == 0);
	CHECK_STR("RSA", str_of(info.key), STR("RSA 2048"));
	CHECK("expired", info.not_after_s < now_s);
}

static void test_not_a_certificate(void)
{
	static struct test_pair pair;
	static const struct {
		const char *name, *text;
	} cases[] = {
		{"nothing", ""},
		{"text", "hello\n"},
		{"DER missing",
			"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
		{"not DER",
			"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		{"a key", pair.key},
	};
	struct certificate_info info = {.subject = "untouched"};
	gnutls_pubkey_t key = NULL;

	make_pair(&(struct test_wish){.name = "x"}, &pair);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *error = NULL;

		CHECK(cases[i].name, certificate_read(str_of(cases[i].text), &info,
					     &error) == -EINVAL);
		CHECK(cases[i].name, error != NULL && *error != '\0');
		error = NULL;
		CHECK(cases[i].name, certificate_public_key(str_of(cases[i].text), &key,
					     &error) == -EINVAL);
		CHECK(cases[i].name, key == NULL && error != NULL);
	}
	CHECK_STR("untouched", str_of(info.subject), STR("untouched"));
	CHECK("a key with its certificate",
		certificate_public_key(
			str_of(pair.certificate), &key, &(const char *){NULL}) == 0);
	CHECK("kind", gnutls_pubkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_ECDSA);
	gnutls_pubkey_deinit(key);
}

static void test_priorities(void)
{
	CHECK("default", tls_check_priorities(TLS_DEFAULT_PRIORITIES) == NULL);
	CHECK("NORMAL", tls_check_priorities("NORMAL") == NULL);
	CHECK("empty set", tls_check_priorities("NONE") != NULL);
	CHECK("unknown", tls_check_priorities("NORMAL:+HONEY") != NULL);
	CHECK("text", tls_check_priorities("TLSv1.2+HIGH") != NULL);
}

void suite_certificate(void)
{
	CU_pSuite suite = CU_add_suite("certificate", NULL, NULL);

	CU_add_test(suite, "names", test_names);
	CU_add_test(suite, "facts", test_facts);
	CU_add_test(suite, "not a certificate", test_not_a_certificate);
	CU_add_test(suite, "priorities", test_priorities);
}
