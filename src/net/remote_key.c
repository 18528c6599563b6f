/* A private key elsewhere; see remote_key.h.
 *
 * Made in the master, used in workers.  GnuTLS hands over what is to be signed as a hash;
 * for RSA with PKCS #1 padding, which is all that TLS 1.2 has, as the DigestInfo of one,
 * and then calls the algorithm "raw RSA".
 *
 * Known limits: no Ed25519 or Ed448, which sign the text itself and not a hash; no
 * certificate for RSA-PSS alone; and no key exchange that would decrypt with the key. */
#include "net/remote_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "net/key_request.h"

#define TRIES 4

struct remote_key {
	int keys_fd;
	uint32_t number;
	gnutls_pk_algorithm_t kind;
	gnutls_sign_algorithm_t own; /* what it signs with if nothing else is said */
	unsigned bits;
};

bool remote_key_is_possible(gnutls_pk_algorithm_t kind, unsigned bits)
{
	if (kind == GNUTLS_PK_RSA)
		return bits <= KEY_SIGNATURE_MAX * 8;
	return kind == GNUTLS_PK_ECDSA;
}

/* One that died over the question has others beside it, or a successor soon.  When they
 * are all killed it may be taken by some that are about to die; but if it is the question
 * that kills them, they shall not all have it. */
static ssize_t ask(const struct remote_key *k, const struct key_request *request,
	struct key_answer *ret)
{
	uint64_t deadline_ms = clock_monotonic_ms() + KEY_PATIENCE_MS;
	size_t n = offsetof(struct key_request, hash) + request->length;
	ssize_t r = -EPIPE;

	for (int i = 0; i < TRIES && r == -EPIPE; i++)
		r = ipc_ask(
			k->keys_fd, request, n, NULL, 0, ret, sizeof(*ret), deadline_ms);
	return r;
}

static int sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user,
	unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *ret)
{
	const struct remote_key *k = user;
	struct key_request request = {.key = k->number, .algorithm = algorithm};
	struct key_answer answer;
	ssize_t n;

	(void)key;
	(void)flags;
	if (hash->size > sizeof(request.hash))
		return GNUTLS_E_PK_SIGN_FAILED;
	request.length = hash->size;
	memcpy(request.hash, hash->data, hash->size);
	n = ask(k, &request, &answer);
	if (n < (ssize_t)offsetof(struct key_answer, signature) || answer.status != 0 ||
		answer.length != (size_t)n - offsetof(struct key_answer, signature))
		return GNUTLS_E_PK_SIGN_FAILED;
	/* GnuTLS frees it. */
	ret->data = gnutls_malloc(answer.length);
	if (ret->data == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(ret->data, answer.signature, answer.length);
	ret->size = answer.length;
	return 0;
}

static int describe(gnutls_privkey_t key, unsigned flags, void *user)
{
	const struct remote_key *k = user;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)k->kind;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)k->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_SIGN_ALGO)
		return (int)k->own;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return (int)gnutls_sign_supports_pk_algorithm(
			GNUTLS_FLAGS_TO_SIGN_ALGO(flags), k->kind);
	return -1;
}

static void forget(gnutls_privkey_t key, void *user)
{
	(void)key;
	free(user);
}

int remote_key_new(
	int keys_fd, uint32_t number, gnutls_pubkey_t public, gnutls_privkey_t *ret)
{
	unsigned bits = 0;
	int kind = gnutls_pubkey_get_pk_algorithm(public, &bits);
	gnutls_privkey_t key = NULL;
	struct remote_key *k;

	if (kind < 0 || !remote_key_is_possible((gnutls_pk_algorithm_t)kind, bits))
		return -ENOTSUP;
	k = malloc(sizeof(*k));
	if (k == NULL)
		return -ENOMEM;
	*k = (struct remote_key){
		.keys_fd = keys_fd,
		.number = number,
		.kind = (gnutls_pk_algorithm_t)kind,
		.own = gnutls_pk_to_sign((gnutls_pk_algorithm_t)kind, GNUTLS_DIG_SHA256),
		.bits = bits,
	};
	if (gnutls_privkey_init(&key) == 0 &&
		gnutls_privkey_import_ext4(
			key, k, NULL, sign_hash, NULL, forget, describe, 0) == 0) {
		*ret = key;
		return 0;
	}
	/* Without the import nobody calls forget. */
	free(k);
	gnutls_privkey_deinit(key);
	return -ENOMEM;
}
