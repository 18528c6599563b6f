/* What is asked of the keys process (see base/ipc.h), and what it answers.  The asker is
 * net/remote_key.c, in a worker; the answers come from room keys. */
#ifndef SINKD_NET_KEY_REQUEST_H
#define SINKD_NET_KEY_REQUEST_H

#include <stdint.h>

/* How long a worker waits for an answer: there may be many before it, or no keys process
 * for the moment. */
#define KEY_PATIENCE_MS 10000

/* Signatures have the size of the key: RSA with up to 8192 bits. */
#define KEY_SIGNATURE_MAX 1024

/* What is signed: a hash, or the DigestInfo (RFC 8017, 9.2) of one. */
#define KEY_HASH_MAX 96

/* One message; of hash only the first length bytes are sent. */
struct key_request {
	uint32_t key;       /* the number of the key in its configuration, from 0 */
	uint32_t algorithm; /* a gnutls_sign_algorithm_t */
	uint32_t length;
	unsigned char hash[KEY_HASH_MAX];
};

/* status is 0, and the signature follows; or what GnuTLS says, or KEY_REFUSED, and
 * nothing follows. */
struct key_answer {
	int32_t status;
	uint32_t length;
	unsigned char signature[KEY_SIGNATURE_MAX];
};

/* How long an answer is waited for.  It blocks the asker, so that who looks after it must
 * allow for that. */
#define KEY_PATIENCE_MS 10000

/* No such key, or nothing that it may sign. */
#define KEY_REFUSED 1

#endif
