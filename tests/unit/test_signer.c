/* Unit tests of keys/signer and net/remote_key: a key that another process has signs as
 * if it were here, and only what it should. */
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/fdio.h"
#include "base/ipc.h"
#include "keys/signer.h"
#include "net/remote_key.h"
#include "unit.h"

/* A new pair: the private key in a file of memory, the public one here. */
static int make_pair(
	gnutls_pk_algorithm_t kind, unsigned bits, gnutls_pubkey_t *ret_public)
{
	gnutls_x509_privkey_t key;
	gnutls_privkey_t abstract;
	gnutls_datum_t text;
	int fd = memfd_create("sinkd-unit", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(gnutls_x509_privkey_init(&key) == 0);
	CU_ASSERT_FATAL(gnutls_x509_privkey_generate(key, kind, bits, 0) == 0);
	CU_ASSERT_FATAL(
		gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text) == 0);
	CU_ASSERT_FATAL(fdio_write_all(fd, text.data, text.size) == 0);
	gnutls_free(text.data);
	CU_ASSERT_FATAL(gnutls_privkey_init(&abstract) == 0);
	CU_ASSERT_FATAL(gnutls_privkey_import_x509(
				abstract, key, GNUTLS_PRIVKEY_IMPORT_COPY) == 0);
	CU_ASSERT_FATAL(gnutls_pubkey_init(ret_public) == 0);
	CU_ASSERT_FATAL(gnutls_pubkey_import_privkey(*ret_public, abstract, 0, 0) == 0);
	gnutls_privkey_deinit(abstract);
	gnutls_x509_privkey_deinit(key);
	return fd;
}

static const struct pair_kind {
	const char *name;
	gnutls_pk_algorithm_t kind;
	unsigned bits;
	gnutls_sign_algorithm_t algorithm;
	unsigned hash_length;
} kinds[] = {
	{"P-256", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
		GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 32},
	{"P-384", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1),
		GNUTLS_SIGN_ECDSA_SHA384, 48},
	{"P-521", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1),
		GNUTLS_SIGN_ECDSA_SHA512, 64},
	{"RSA-PSS", GNUTLS_PK_RSA, 2048, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 32},
	{"RSA", GNUTLS_PK_RSA, 2048, GNUTLS_SIGN_RSA_SHA256, 32},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static pid_t start_helper(const int *fds, size_t n, int asker, int helper)
{
	pid_t pid = fork();
	struct signer *s;

	if (pid == 0) {
		(void)close(asker);
		if (signer_new(fds, n, &s) != 0)
			_exit(1);
		(void)signer_serve(s, helper);
		signer_free(s);
		_exit(0);
	}
	return pid;
}

/* Sign all that there is by asking, and let the public key judge. */
static void test_remote(void)
{
	gnutls_pubkey_t public[KINDS];
	unsigned char bytes[64];
	const gnutls_datum_t no_hash = {bytes, 7};
	int fds[KINDS], asker, helper, status;
	gnutls_datum_t signature;
	gnutls_privkey_t key;
	pid_t pid;

	for (size_t i = 0; i < KINDS; i++)
		fds[i] = make_pair(kinds[i].kind, kinds[i].bits, &public[i]);
	memset(bytes, 'h', sizeof(bytes));
	CU_ASSERT_FATAL(ipc_open(&asker, &helper) == 0);
	pid = start_helper(fds, KINDS, asker, helper);
	for (size_t i = 0; i < KINDS; i++) {
		const struct pair_kind *k = &kinds[i];
		const gnutls_datum_t hash = {bytes, k->hash_length};

		CU_ASSERT_FATAL(remote_key_new(asker, (uint32_t)i, public[i], &key) == 0);
		CHECK(k->name, gnutls_privkey_sign_hash2(
				       key, k->algorithm, 0, &hash, &signature) == 0);
		CHECK(k->name, gnutls_pubkey_verify_hash2(public[i], k -> algorithm, 0,
				       &hash, &signature) >= 0);
		gnutls_free(signature.data);
		CHECK(k->name, gnutls_privkey_sign_hash2(
				       key, k->algorithm, 0, &no_hash, &signature) != 0);
		gnutls_privkey_deinit(key);
	}
	/* Another key's place: the answer is a signature, but not of this key. */
	CU_ASSERT_FATAL(remote_key_new(asker, KINDS, public[0], &key) == 0);
	CHECK("no such key", gnutls_privkey_sign_hash2(key, kinds[0].algorithm, 0,
				     &(gnutls_datum_t){bytes, 32},
				     &signature) == GNUTLS_E_PK_SIGN_FAILED);
	(void)close(helper);
	CU_ASSERT(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	CHECK("nobody there", gnutls_privkey_sign_hash2(key, kinds[0].algorithm, 0,
				      &(gnutls_datum_t){bytes, 32},
				      &signature) == GNUTLS_E_PK_SIGN_FAILED);
	gnutls_privkey_deinit(key);
	for (size_t i = 0; i < KINDS; i++) {
		gnutls_pubkey_deinit(public[i]);
		(void)close(fds[i]);
	}
	(void)close(asker);
}

static void test_unsupported(void)
{
	gnutls_pubkey_t public;
	gnutls_privkey_t key;
	int fd = make_pair(GNUTLS_PK_EDDSA_ED25519, 0, &public);

	CU_ASSERT_EQUAL(remote_key_new(-1, 0, public, &key), -ENOTSUP);
	CU_ASSERT(!remote_key_is_possible(GNUTLS_PK_RSA, 16384));
	gnutls_pubkey_deinit(public);
	(void)close(fd);
}

enum { EC, RSA };

static const struct {
	const char *name;
	uint32_t key, algorithm, length;
	size_t sent; /* of the hash */
	bool is_signed;
} requests[] = {
	{"ECDSA", EC, GNUTLS_SIGN_ECDSA_SHA256, 32, 32, true},
	{"ECDSA, SHA-384", EC, GNUTLS_SIGN_ECDSA_SHA384, 48, 48, true},
	{"RSA-PSS", RSA, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, 64, 64, true},
	{"DigestInfo", RSA, GNUTLS_SIGN_RSA_RAW, 51, 51, true},
	{"DigestInfo, SHA-512", RSA, GNUTLS_SIGN_RSA_RAW, 83, 83, true},
	{"MD5 and SHA-1", RSA, GNUTLS_SIGN_RSA_RAW, 36, 36, true},
	{"no such key", 2, GNUTLS_SIGN_ECDSA_SHA256, 32, 32, false},
	{"far from any key", UINT32_MAX, GNUTLS_SIGN_ECDSA_SHA256, 32, 32, false},
	{"hash too short", EC, GNUTLS_SIGN_ECDSA_SHA256, 31, 31, false},
	{"hash too long", EC, GNUTLS_SIGN_ECDSA_SHA256, 48, 48, false},
	{"no hash", EC, GNUTLS_SIGN_ECDSA_SHA256, 0, 0, false},
	{"more than was sent", EC, GNUTLS_SIGN_ECDSA_SHA256, 32, 31, false},
	{"less than was sent", EC, GNUTLS_SIGN_ECDSA_SHA256, 32, 33, false},
	{"length beyond all", EC, GNUTLS_SIGN_ECDSA_SHA256, UINT32_MAX, 32, false},
	{"RSA with an EC key", EC, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 32, 32, false},
	{"raw RSA with an EC key", EC, GNUTLS_SIGN_RSA_RAW, 51, 51, false},
	{"ECDSA with an RSA key", RSA, GNUTLS_SIGN_ECDSA_SHA256, 32, 32, false},
	{"a bare hash for raw RSA", RSA, GNUTLS_SIGN_RSA_RAW, 32, 32, false},
	{"any bytes for raw RSA", RSA, GNUTLS_SIGN_RSA_RAW, 96, 96, false},
	{"RSA by the hash", RSA, GNUTLS_SIGN_RSA_SHA256, 32, 32, false},
	{"no algorithm", EC, 0, 32, 32, false},
	{"unknown algorithm", EC, 4711, 32, 32, false},
	{"negative algorithm", EC, UINT32_MAX, 32, 32, false},
};

static void test_requests(void)
{
	gnutls_pubkey_t public[2];
	int fds[] = {
		make_pair(kinds[0].kind, kinds[0].bits, &public[0]),
		make_pair(GNUTLS_PK_RSA, 2048, &public[1]),
	};
	const size_t header = offsetof(struct key_request, hash);
	struct key_answer answer;
	struct signer *s;

	CU_ASSERT_FATAL(signer_new(fds, 2, &s) == 0);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct key_request q = {.key = requests[i].key,
			.algorithm = requests[i].algorithm,
			.length = requests[i].length};
		size_t n = signer_answer(s, &q, header + requests[i].sent, &answer);

		CHECK(requests[i].name,
			answer.status == (requests[i].is_signed ? 0 : KEY_REFUSED));
		CHECK(requests[i].name, (answer.length > 0) == requests[i].is_signed);
		CHECK(requests[i].name,
			n == offsetof(struct key_answer, signature) + answer.length);
	}
	for (size_t n = 0; n < header; n++) {
		struct key_request q = {0};

		(void)signer_answer(s, &q, n, &answer);
		CHECK("cut off", answer.status == KEY_REFUSED && answer.length == 0);
	}
	signer_free(s);
	for (size_t i = 0; i < 2; i++) {
		gnutls_pubkey_deinit(public[i]);
		(void)close(fds[i]);
	}
}

static void test_no_key(void)
{
	int fd = memfd_create("sinkd-unit", MFD_CLOEXEC);
	struct signer *s = NULL;

	CHECK("empty", signer_new(&fd, 1, &s) == -EINVAL);
	CU_ASSERT(write(fd, "no key", 6) == 6);
	CHECK("text", signer_new(&fd, 1, &s) == -EINVAL);
	(void)close(fd);
	CHECK("no file", signer_new(&fd, 1, &s) == -EBADF);
	CU_ASSERT_PTR_NULL(s);
}

void suite_signer(void)
{
	CU_pSuite s = CU_add_suite("signer", NULL, NULL);

	CU_add_test(s, "a key of another process signs", test_remote);
	CU_add_test(s, "kinds of keys that cannot", test_unsupported);
	CU_add_test(s, "requests, hostile ones too", test_requests);
	CU_add_test(s, "what is no key", test_no_key);
}
