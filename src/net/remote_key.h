/* A private key that this process does not have: the keys process signs with it. */
#ifndef SINKD_NET_REMOTE_KEY_H
#define SINKD_NET_REMOTE_KEY_H

#include <gnutls/abstract.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether keys of this kind can be had in this way. */
bool remote_key_is_possible(gnutls_pk_algorithm_t kind, unsigned bits);

/* Make a key that signs by asking on keys_fd (the asker's end of a channel of
 * base/ipc.h, which must live as long) for the key with this number.  public: of the
 * same pair; not needed afterwards.  In any process that is forked later the key works
 * as well.  Returns 0, -ENOTSUP when keys of this kind cannot be used in this way,
 * -ENOMEM; *ret is the caller's to deinit.
 *
 * A signature blocks until the answer has come, for KEY_PATIENCE_MS (net/key_request.h)
 * at most; then the handshake fails with GNUTLS_E_PK_SIGN_FAILED. */
int remote_key_new(
	int keys_fd, uint32_t number, gnutls_pubkey_t public, gnutls_privkey_t *ret);

#endif
