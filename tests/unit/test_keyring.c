/* Unit tests of keys/keyring: each mistake has its line, a certificate of our own making
 * has what it should, and the private keys are nowhere but in their files. */
#include "conf_fixture.h"
#include "tls_fixture.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fdio.h"
#include "keys/keyring.h"
#include "keys/pair.h"
#include "keys/signer.h"

#define LISTEN "listen a { address = {\"127.0.0.1:0\"} }\n"
#define NO_TLS "listen a { address = {\"127.0.0.1:0\"} tls = off }\n"

/* Files that configurations name; the directory is put in for '@'. */
static const char *const names[] = {"a.crt", "a.key", "b.crt", "b.key", "old.crt",
	"old.key", "open.key", "text", "cut.key", "ed.key", "locked.key", "cut.crt",
	"key-first", "key-last", "many", "pipe"};

/* CUnit counts no claims before the first test. */
#define MUST(claim)                                                                      \
	do {                                                                             \
		if (!(claim)) {                                                          \
			perror(#claim);                                                  \
			abort();                                                         \
		}                                                                        \
	} while (0)

static void make_pipe(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", conf_directory, name);
	MUST(mkfifo(path, 0600) == 0);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", conf_directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	MUST(fd >= 0);
	MUST(fdio_write_all(fd, text, strlen(text)) == 0);
	(void)close(fd);
}

static void write_key(const char *name, gnutls_pk_algorithm_t kind, const char *password)
{
	gnutls_x509_privkey_t key;
	char text[4096];
	size_t n = sizeof(text) - 1;

	MUST(gnutls_x509_privkey_init(&key) == 0);
	MUST(gnutls_x509_privkey_generate(key, kind,
		     kind == GNUTLS_PK_ECDSA
			     ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
			     : 0,
		     0) == 0);
	MUST(gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, password,
		     password == NULL ? GNUTLS_PKCS_PLAIN : GNUTLS_PKCS_PBES2_AES_256,
		     text, &n) == 0);
	text[n] = '\0';
	write_file(name, text, 0600);
	gnutls_x509_privkey_deinit(key);
}

static void write_both(const char *name, const char *one, const char *other)
{
	static char text[2 * sizeof(((struct test_pair *)NULL)->key)];

	(void)snprintf(text, sizeof(text), "%s%s", one, other);
	write_file(name, text, 0600);
}

/* A bundle. */
static void write_many(const char *name, const char *certificate)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i <= CERTIFICATE_CHAIN_MAX; i++)
		MUST(buf_add_text(&b, certificate));
	MUST(buf_add(&b, "", 1));
	write_file(name, b.p, 0644);
	buf_done(&b);
}

static int make_files(void)
{
	static struct test_pair a, b, old;

	if (make_conf_directory() != 0)
		return 1;
	make_pair(&(struct test_wish){.name = "a.test"}, &a);
	make_pair(&(struct test_wish){.name = "b.test", .is_rsa = true}, &b);
	make_pair(&(struct test_wish){.name = "old.test", .is_expired = true}, &old);
	write_file("a.crt", a.certificate, 0644);
	write_file("a.key", a.key, 0600);
	write_file("open.key", a.key, 0604);
	write_file("b.crt", b.certificate, 0644);
	write_file("b.key", b.key, 0640);
	write_file("old.crt", old.certificate, 0644);
	write_file("old.key", old.key, 0600);
	write_file("text", "no PEM\n", 0600);
	write_many("many", a.certificate);
	write_both("key-first", b.key, b.certificate);
	write_both("key-last", b.certificate, b.key);
	a.key[strlen(a.key) / 2] = '\0';
	write_file("cut.key", a.key, 0600);
	a.certificate[strlen(a.certificate) / 2] = '\0';
	write_file("cut.crt", a.certificate, 0600);
	make_pipe("pipe");
	write_key("ed.key", GNUTLS_PK_EDDSA_ED25519, NULL);
	write_key("locked.key", GNUTLS_PK_ECDSA, "secret");
	return 0;
}

static int remove_files(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%s", conf_directory, names[i]);
		(void)unlink(path);
	}
	return remove_conf_directory();
}

/* text with the directory in the place of each '@'; the caller frees it. */
static char *expand(const char *text)
{
	struct buf b;

	buf_init(&b, 65536);
	for (; *text != '\0'; text++)
		(void)(*text == '@' ? buf_add_text(&b, conf_directory)
				    : buf_add(&b, text, 1));
	(void)buf_add(&b, "", 1);
	return b.p;
}

static struct config *load(const char *text)
{
	char *expanded = expand(text);
	struct config *c = NULL;
	int r;

	CU_ASSERT_FATAL(write_conf(expanded));
	free(expanded);
	expanded = load_conf(conf_file, NULL, &r, &c);
	CHECK_STR("configuration", str_of(expanded), STR(""));
	free(expanded);
	CU_ASSERT_FATAL(r == 0);
	return c;
}

/* What is told; the caller frees it. */
static char *try_keyring(const struct config *c, const struct keyring *before, int *ret,
	struct keyring **ret_keyring)
{
	char *told = NULL;
	size_t n = 0;
	FILE *errors = open_memstream(&told, &n);

	*ret = keyring_load(c, before, errors, ret_keyring);
	(void)fclose(errors);
	return told;
}

static struct keyring *get_keyring(const struct config *c, const struct keyring *before)
{
	struct keyring *k = NULL;
	char *told;
	int r;

	told = try_keyring(c, before, &r, &k);
	CHECK_STR("keyring", str_of(told), STR(""));
	free(told);
	CU_ASSERT_FATAL(r == 0);
	return k;
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

#define PAIR(c, k) "tls {\n certificate = {\"@/" c "\"}\n key = {\"@/" k "\"}\n}\n"

static const struct {
	const char *name, *text, *told;
} mistakes[] = {
	{"fine", PAIR("a.crt", "a.key"), ""},
	{"RSA", PAIR("b.crt", "b.key"), ""},
	{"no such key", PAIR("a.crt", "none"),
		"@/sinkd.conf:3: tls: key: '@/none': cannot read: No such file "
		"or directory\n"},
	{"no such certificate", PAIR("none", "a.key"),
		"@/sinkd.conf:2: tls: certificate: '@/none': cannot read: No "
		"such file or directory\n"},
	{"directories", PAIR(".", "."),
		"@/sinkd.conf:2: tls: certificate: '@/.': is not a file\n"},
	{"a pipe", PAIR("pipe", "a.key"),
		"@/sinkd.conf:2: tls: certificate: '@/pipe': is not a file\n"},
	{"a directory for a key", PAIR("a.crt", "."),
		"@/sinkd.conf:3: tls: key: '@/.': is not a file\n"},
	{"no fit", PAIR("a.crt", "b.key"),
		"@/sinkd.conf:3: tls: key: '@/b.key': does not fit the "
		"certificate\n"},
	{"for all to read", PAIR("a.crt", "open.key"),
		"@/sinkd.conf:3: tls: key: '@/open.key': everybody may get at "
		"it: it should be readable for its owner alone (chmod 600)\n"},
	{"no PEM", PAIR("a.crt", "text"),
		"@/sinkd.conf:3: tls: key: '@/text': no private key in PEM "
		"form\n"},
	{"a certificate for a key", PAIR("a.crt", "cut.crt"),
		"@/sinkd.conf:3: tls: key: '@/cut.crt': no private key in PEM "
		"form\n"},
	{"half a key", PAIR("a.crt", "cut.key"),
		"@/sinkd.conf:3: tls: key: '@/cut.key': no private key in PEM "
		"form\n"},
	{"locked", PAIR("a.crt", "locked.key"),
		"@/sinkd.conf:3: tls: key: '@/locked.key': is encrypted: sinkd "
		"has nobody to ask for the password; remove it\n"},
	{"Ed25519", PAIR("a.crt", "ed.key"),
		"@/sinkd.conf:3: tls: key: '@/ed.key': this kind of key is not "
		"supported (EdDSA (Ed25519), 256 bits): take ECDSA, or RSA up "
		"to 8192 bits\n"},
	{"no certificate", PAIR("text", "a.key"),
		"@/sinkd.conf:2: tls: certificate: '@/text': no certificate in "
		"PEM form\n"},
	{"a key for a certificate", PAIR("a.key", "a.key"),
		"@/sinkd.conf:2: tls: certificate: '@/a.key': no certificate in "
		"PEM form\n"},
	{"both pairs",
		"tls {\n certificate = {\"@/a.crt\",\n \"@/none\"}\n key = "
		"{\"@/b.key\",\n \"@/b.key\"}\n}\n",
		"@/sinkd.conf:4: tls: key: '@/b.key': does not fit the "
		"certificate\n"
		"@/sinkd.conf:3: tls: certificate: '@/none': cannot read: No "
		"such file or directory\n"},
	{"of a name",
		"tls {\n certificate = {\"@/a.crt\"} key = {\"@/a.key\"}\n"
		" sni \"b.test\" {\n certificate = {\"@/b.crt\"}\n"
		" key = {\"@/a.key\"}\n }\n}\n",
		"@/sinkd.conf:5: tls: sni \"b.test\": key: '@/a.key': does not "
		"fit the certificate\n"},
	{"CA that is not there",
		"tls {\n ca-file = \"@/none\"\n client-certificate = "
		"request\n}\n",
		"@/sinkd.conf:2: tls: ca-file: '@/none': cannot read: No such "
		"file or directory\n"},
	{"CA that is none",
		"tls {\n ca-file = \"@/text\"\n client-certificate = "
		"request\n}\n",
		"@/sinkd.conf:2: tls: ca-file: '@/text': no certificate in PEM "
		"form\n"},
	{"CA", "tls {\n ca-file = \"@/a.crt\"\n}\n", ""},
	{"many CAs", "tls {\n ca-file = \"@/many\"\n}\n", ""},
	{"many certificates", PAIR("many", "a.key"),
		"@/sinkd.conf:2: tls: certificate: '@/many': too many certificates in "
		"one file\n"},
};

static void test_mistakes(void)
{
	unsigned before = count_fds();

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char text[1024];
		struct keyring *k = NULL;
		struct config *c;
		char *told, *expected = expand(mistakes[i].told);
		int r;

		(void)snprintf(text, sizeof(text), "%s%s", mistakes[i].text, LISTEN);
		c = load(text);
		told = try_keyring(c, NULL, &r, &k);
		CHECK_STR(mistakes[i].name, str_of(told), str_of(expected));
		CHECK(mistakes[i].name, r == (mistakes[i].told[0] == '\0' ? 0 : -EINVAL));
		CHECK(mistakes[i].name, r < 0 || keyring_count(k) == 1);
		keyring_unref(k);
		config_free(c);
		free(expected);
		free(told);
		CHECK(mistakes[i].name, count_fds() == before);
	}
}

static void test_dates(void)
{
	struct certificate_info info;
	struct config *c = load(PAIR("a.crt", "a.key") LISTEN);
	struct keyring *k = get_keyring(c, NULL);
	char path[2][64], date[PAIR_DATE_SIZE], text[PAIR_ERROR_MAX];
	const char *name, *file;
	enum pair_part part = PAIR_KEY;
	struct pair p;

	keyring_get(k, 0, &info, &name, &file);
	CHECK("not soon", !keyring_expires_soon(&info));
	info.not_after_s = time(NULL) + 13 * 86400;
	CHECK("soon", keyring_expires_soon(&info));
	keyring_get(k, 0, &info, &name, &file);
	(void)snprintf(path[0], sizeof(path[0]), "%s/a.crt", conf_directory);
	(void)snprintf(path[1], sizeof(path[1]), "%s/a.key", conf_directory);
	CHECK_STR("file", str_of(file), str_of(path[0]));
	CHECK("for all", name == NULL);
	CHECK("at its end",
		pair_read(path[0], path[1], info.not_after_s, &p, text, &part) == 0);
	pair_done(&p);
	CHECK("too late", pair_read(path[0], path[1], info.not_after_s + 1, &p, text,
				  &part) == -EINVAL);
	pair_format_date(info.not_after_s, date);
	CHECK("date",
		strncmp(text, "expired on ", 11) == 0 && strcmp(text + 11, date) == 0);
	CHECK("part", part == PAIR_CERTIFICATE);
	CHECK("too early", pair_read(path[0], path[1], info.not_before_s - 1, &p, text,
				   &part) == -EINVAL);
	pair_format_date(info.not_before_s, date);
	CHECK("date", strncmp(text, "not valid before ", 17) == 0 &&
			      strcmp(text + 17, date) == 0);
	pair_format_date(1767323045, date);
	CHECK_STR("form", str_of(date), STR("2026-01-02T03:04:05Z"));
	keyring_unref(k);
	config_free(c);
}

/* What is ours of the file must not have the key: workers inherit it. */
static void test_in_one_file(void)
{
	static const char *const files[] = {"key-first", "key-last"};

	for (size_t i = 0; i < 2; i++) {
		char path[64], error[PAIR_ERROR_MAX] = "", line[65] = "";
		struct signer *s = NULL;
		enum pair_part part;
		struct pair p;
		char text[8192];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "%s/%s", conf_directory, files[i]);
		CU_ASSERT_FATAL(pair_read(path, path, time(NULL), &p, error, &part) == 0);
		CHECK("signs", signer_new(&p.key_fd, 1, &s) == 0);
		n = pread(p.key_fd, text, sizeof(text) - 1, 0);
		CU_ASSERT_FATAL(n > 0);
		text[n] = '\0';
		for (const char *at = strstr(text, "PRIVATE KEY-----\n") + 17;
			*at != '-' && at[64] == '\n'; at += 65) {
			memcpy(line, at, 64);
			CHECK(files[i],
				memmem(p.chain, p.chain_length, line, 64) == NULL);
		}
		CHECK("there was something to find", line[0] != '\0');
		signer_free(s);
		pair_done(&p);
	}
}

/* The date is that of the certificate, which was made today. */
static void test_expired(void)
{
	struct config *c = load(PAIR("old.crt", "old.key") LISTEN);
	char *expected =
		expand("@/sinkd.conf:2: tls: certificate: '@/old.crt': expired on 20");
	struct keyring *k = NULL;
	int r;
	char *told = try_keyring(c, NULL, &r, &k);

	CHECK("refused", r == -EINVAL && k == NULL);
	CHECK("told", strncmp(told, expected, strlen(expected)) == 0);
	free(told);
	free(expected);
	config_free(c);
}

static gnutls_x509_crt_t import(const struct pair *p)
{
	const gnutls_datum_t text = {
		(unsigned char *)p->chain, (unsigned)p->chain_length};
	gnutls_x509_crt_t crt;

	CU_ASSERT_FATAL(gnutls_x509_crt_init(&crt) == 0);
	CU_ASSERT_FATAL(gnutls_x509_crt_import(crt, &text, GNUTLS_X509_FMT_PEM) == 0);
	return crt;
}

static void test_made(void)
{
	static const struct {
		const char *name, *text;
		const char *good[5], *bad[5];
	} cases[] = {
		{"one address",
			"hostname = \"mx.example.test\"\n"
			"listen a { address = {\"192.0.2.1:25\"} }\n",
			{"mx.example.test", "localhost", "192.0.2.1"},
			{"192.0.2.2", "127.0.0.1", "::1", "example.test"}},
		{"all addresses",
			"hostname = \"mx.example.test\"\n"
			"listen a { address = {\"0.0.0.0:25\", \"[::]:25\"} }\n",
			{"mx.example.test", "127.0.0.1", "::1"}, {"0.0.0.0"}},
		{"only where TLS is",
			"hostname = \"localhost\"\n"
			"listen a { address = {\"192.0.2.1:25\"} tls = off }\n"
			"listen b { address = {\"unix:/tmp/x\", \"192.0.2.2:25\"} }\n",
			{"localhost", "192.0.2.2"}, {"192.0.2.1"}},
	};
	const int64_t now_s = time(NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c = load(cases[i].text);
		char error[PAIR_ERROR_MAX] = "";
		struct signer *s = NULL;
		gnutls_x509_crt_t crt;
		struct pair p;

		CU_ASSERT_FATAL(pair_make(c, now_s, &p, error) == 0);
		crt = import(&p);
		for (size_t n = 0; n < 5 && cases[i].good[n] != NULL; n++)
			CHECK(cases[i].good[n],
				gnutls_x509_crt_check_hostname(crt, cases[i].good[n]));
		for (size_t n = 0; n < 5 && cases[i].bad[n] != NULL; n++)
			CHECK(cases[i].bad[n],
				!gnutls_x509_crt_check_hostname(crt, cases[i].bad[n]));
		CHECK(cases[i].name, gnutls_x509_crt_check_issuer(crt, crt));
		CHECK(cases[i].name,
			p.info.not_after_s - p.info.not_before_s <= 825 * 86400);
		CHECK(cases[i].name, p.info.not_before_s < now_s);
		CHECK_STR(cases[i].name, str_of(p.info.key), STR("ECDSA 256"));
		CHECK("the key is one", signer_new(&p.key_fd, 1, &s) == 0);
		CHECK("sealed", write(p.key_fd, "x", 1) < 0 && errno == EPERM);
		signer_free(s);
		gnutls_x509_crt_deinit(crt);
		pair_done(&p);
		config_free(c);
	}
}

static void check_fingerprint(
	const char *name, const struct keyring *a, const struct keyring *b, bool is_same)
{
	struct certificate_info x, y;
	const char *whose, *file;

	keyring_get(a, 0, &x, &whose, &file);
	CHECK(name, whose == NULL && file == NULL);
	keyring_get(b, 0, &y, &whose, &file);
	CHECK(name, (strcmp(x.fingerprint, y.fingerprint) == 0) == is_same);
}

/* What was made lives as long as the master, even while it is not needed. */
static void test_taken_over(void)
{
	struct config *self = load(LISTEN), *own = load(PAIR("a.crt", "a.key") LISTEN);
	struct config *none = load(NO_TLS);
	unsigned before = count_fds();
	struct keyring *k[5];

	k[0] = get_keyring(self, NULL);
	CHECK("one", keyring_count(k[0]) == 1 && keyring_key_fds(k[0])[0] > 2);
	k[1] = get_keyring(own, k[0]);
	check_fingerprint("our own", k[0], k[1], false);
	k[2] = get_keyring(none, k[1]);
	CHECK("none", keyring_count(k[2]) == 0);
	k[3] = get_keyring(self, k[2]);
	check_fingerprint("again", k[0], k[3], true);
	k[4] = get_keyring(self, NULL);
	check_fingerprint("another master", k[0], k[4], false);
	CHECK("shared", keyring_ref(k[0]) == k[0]);
	keyring_unref(k[0]);
	CHECK("still there", keyring_count(k[0]) == 1);
	for (size_t i = 0; i < 5; i++)
		keyring_unref(k[i]);
	CHECK("no keyring", keyring_ref(NULL) == NULL && keyring_count(NULL) == 0);
	CU_ASSERT_EQUAL(count_fds(), before);
	config_free(self);
	config_free(own);
	config_free(none);
}

static void test_context(void)
{
	struct config *c =
		load("tls {\n certificate = {\"@/a.crt\", \"@/b.crt\"}\n key = "
		     "{\"@/a.key\", \"@/b.key\"}\n ca-file = \"@/a.crt\"\n}\n" LISTEN);
	struct keyring *k = get_keyring(c, NULL);
	const char *wrong = NULL;
	struct tls *t = NULL;

	CHECK("two", keyring_count(k) == 2);
	CHECK("made", keyring_make_tls(k, -1, &t, &wrong) == 0 && t != NULL);
	tls_free(t);
	keyring_unref(k);
	config_free(c);
}

void suite_keyring(void)
{
	CU_pSuite s = CU_add_suite("keyring", make_files, remove_files);

	CU_add_test(s, "each mistake has its line", test_mistakes);
	CU_add_test(s, "too early, too late, soon too late", test_dates);
	CU_add_test(s, "key and certificate in one file", test_in_one_file);
	CU_add_test(s, "expired", test_expired);
	CU_add_test(s, "self-signed", test_made);
	CU_add_test(s, "kept as long as the master", test_taken_over);
	CU_add_test(s, "a context of TLS", test_context);
}
