/* The signer; see signer.h.
 *
 * Runs in the keys process.  Questions come from workers, which may have been taken over:
 * a signature is made only with a key that there is, by an algorithm that fits it, over
 * as many bytes as that algorithm takes.  That such a worker can have any signature while
 * it lives cannot be helped; that it has the key, can. */
#include "keys/signer.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/log.h"

struct signer_key {
	gnutls_privkey_t key;
	gnutls_pk_algorithm_t kind;
};

struct signer {
	struct signer_key *keys;
	size_t count;
};

/* -------------------------------------------------------------------- keys */

static int import(gnutls_privkey_t key, const unsigned char *p, size_t n)
{
	gnutls_datum_t text = {.size = (unsigned)n};
	/* GnuTLS wants a pointer that it may write through; it does not. */
	union {
		const unsigned char *in;
		unsigned char *out;
	} data = {.in = p};

	text.data = data.out;
	return gnutls_privkey_import_x509_raw(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0) ==
			       0
		       ? 0
		       : -EINVAL;
}

/* The offset of the descriptor is shared with the process that comes after this one. */
static int read_key(int fd, gnutls_privkey_t key)
{
	struct stat st;
	unsigned char *p;
	size_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	n = (size_t)st.st_size;
	p = malloc(n + 1);
	if (p == NULL)
		return -ENOMEM;
	r = pread(fd, p, n, 0) == (ssize_t)n ? import(key, p, n) : -EIO;
	explicit_bzero(p, n);
	free(p);
	return r;
}

static gnutls_sign_algorithm_t usual_algorithm(gnutls_pk_algorithm_t kind)
{
	return kind == GNUTLS_PK_RSA ? GNUTLS_SIGN_RSA_PSS_RSAE_SHA256
				     : GNUTLS_SIGN_ECDSA_SHA256;
}

static int try_key(gnutls_privkey_t key, gnutls_pk_algorithm_t kind)
{
	unsigned char zeros[32] = {0};
	const gnutls_datum_t hash = {zeros, sizeof(zeros)};
	gnutls_datum_t signature = {NULL, 0};

	if (gnutls_privkey_sign_hash2(key, usual_algorithm(kind), 0, &hash, &signature) !=
			0 ||
		signature.size > KEY_SIGNATURE_MAX) {
		gnutls_free(signature.data);
		return -EINVAL;
	}
	gnutls_free(signature.data);
	return 0;
}

static int load_key(int fd, struct signer_key *k)
{
	int r;

	if (gnutls_privkey_init(&k->key) != 0)
		return -ENOMEM;
	if ((r = read_key(fd, k->key)) < 0)
		return r;
	k->kind = (gnutls_pk_algorithm_t)gnutls_privkey_get_pk_algorithm(k->key, NULL);
	return try_key(k->key, k->kind);
}

int signer_new(const int *fds, size_t n, struct signer **ret)
{
	struct signer *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return -ENOMEM;
	s->keys = calloc(n > 0 ? n : 1, sizeof(*s->keys));
	if (s->keys == NULL)
		r = -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		s->count++;
		r = load_key(fds[i], &s->keys[i]);
	}
	if (r < 0)
		signer_free(s);
	else
		*ret = s;
	return r;
}

void signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		gnutls_privkey_deinit(s->keys[i].key);
	free(s->keys);
	free(s);
}

/* ----------------------------------------------------------------- requests */

/* Whether n bytes can be the DigestInfo of a hash that TLS signs, or, before TLS 1.2, MD5
 * and SHA-1 of the same. */
static bool is_digest_info(size_t n)
{
	static const size_t lengths[] = {
		16 + 20, /* MD5, SHA-1 */
		15 + 20, /* SHA-1 */
		19 + 32, /* SHA-256 */
		19 + 48, /* SHA-384 */
		19 + 64, /* SHA-512 */
	};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		if (n == lengths[i])
			return true;
	return false;
}

/* algorithm is a number from elsewhere: GnuTLS compares it with those it knows. */
static bool may_sign(
	const struct signer_key *k, gnutls_sign_algorithm_t algorithm, size_t length)
{
	gnutls_pk_algorithm_t kind;
	gnutls_digest_algorithm_t hash;

	if (k->kind == GNUTLS_PK_RSA && algorithm == GNUTLS_SIGN_RSA_RAW)
		return is_digest_info(length);
	kind = gnutls_sign_get_pk_algorithm(algorithm);
	hash = (gnutls_digest_algorithm_t)gnutls_sign_get_hash_algorithm(algorithm);
	if (kind == GNUTLS_PK_UNKNOWN ||
		!gnutls_sign_supports_pk_algorithm(algorithm, k->kind))
		return false;
	if (k->kind == GNUTLS_PK_RSA ? kind != GNUTLS_PK_RSA_PSS : kind != k->kind)
		return false;
	return length > 0 && length == gnutls_hash_get_len(hash);
}

static bool parse(const struct signer *s, const void *p, size_t n, struct key_request *q)
{
	const size_t header = offsetof(struct key_request, hash);

	if (n < header || n > sizeof(*q))
		return false;
	memcpy(q, p, n);
	return q->length == n - header && q->key < s->count &&
	       may_sign(&s->keys[q->key], (gnutls_sign_algorithm_t)q->algorithm,
		       q->length);
}

static int sign(const struct signer_key *k, struct key_request *q, struct key_answer *ret)
{
	const gnutls_datum_t hash = {q->hash, q->length};
	gnutls_sign_algorithm_t algorithm = (gnutls_sign_algorithm_t)q->algorithm;
	gnutls_datum_t signature = {NULL, 0};
	int r;

	if (algorithm == GNUTLS_SIGN_RSA_RAW)
		r = gnutls_privkey_sign_hash(k->key, GNUTLS_DIG_UNKNOWN,
			GNUTLS_PRIVKEY_SIGN_FLAG_TLS1_RSA, &hash, &signature);
	else
		r = gnutls_privkey_sign_hash2(k->key, algorithm, 0, &hash, &signature);
	if (r == 0 && signature.size > sizeof(ret->signature))
		r = GNUTLS_E_INTERNAL_ERROR;
	if (r == 0) {
		memcpy(ret->signature, signature.data, signature.size);
		ret->length = signature.size;
	}
	gnutls_free(signature.data);
	return r;
}

size_t signer_answer(
	const struct signer *s, const void *p, size_t n, struct key_answer *ret)
{
	struct key_request q;

	ret->status = KEY_REFUSED;
	ret->length = 0;
	if (parse(s, p, n, &q))
		ret->status = sign(&s->keys[q.key], &q, ret);
	return offsetof(struct key_answer, signature) + ret->length;
}

int signer_serve(const struct signer *s, int fd)
{
	unsigned char bytes[sizeof(struct key_request)];
	struct ipc_question q = {.p = bytes, .size = sizeof(bytes)};
	struct key_answer answer;
	int r;

	while ((r = ipc_receive(fd, &q)) == 0 || r == -EBADMSG) {
		const char *reason = "no question that can be answered";
		size_t n;

		answer.status = KEY_REFUSED;
		if (r == 0) {
			n = signer_answer(s, bytes, q.n, &answer);
			/* Who is not there any more does not need it. */
			(void)ipc_answer(&q, &answer, n);
			reason = answer.status == KEY_REFUSED
					 ? "no such key, or not for this"
					 : gnutls_strerror(answer.status);
		}
		if (answer.status != 0)
			log_event(LOG_WARN, EV_KEYS_REFUSED, LOG_TEXT("reason", reason));
	}
	return r;
}
