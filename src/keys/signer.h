/* The signer: private keys in memory, and what they sign.  For the keys process alone. */
#ifndef SINKD_KEYS_SIGNER_H
#define SINKD_KEYS_SIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "net/key_request.h"

struct signer;

/* Read the keys, a PEM text in each of the files fds[0..n), and let each sign something,
 * so that the first client does not wait for what GnuTLS puts off until then.  The number
 * of a key is its place.  Returns 0, -EINVAL for what is no key that can sign, or another
 * negative errno. */
int signer_new(const int *fds, size_t n, struct signer **ret);
void signer_free(struct signer *s);

/* Answer the question p[0..n), a struct key_request whatever a taken worker made of it.
 * Returns how many bytes of the answer are to be sent; its status says whether there is a
 * signature. */
size_t signer_answer(
	const struct signer *s, const void *p, size_t n, struct key_answer *ret);

/* Answer the questions of a channel (its helper's end, see base/ipc.h) for as long as
 * there are any.  What is refused is logged.  Returns a negative errno: -EPIPE when
 * nobody can ask any more. */
int signer_serve(const struct signer *s, int fd);

#endif
