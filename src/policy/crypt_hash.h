/* Hashes of crypt(3); the only module that knows it. */
#ifndef SINKD_POLICY_CRYPT_HASH_H
#define SINKD_POLICY_CRYPT_HASH_H

#include "base/str.h"

#define CRYPT_HASH_SIZE         384 /* of a hash, terminated */
#define CRYPT_HASH_PASSWORD_MAX 511

/* What a hash may cost, of the methods that say so in numbers: seconds. */
#define CRYPT_HASH_ROUNDS_MAX 10000000
#define CRYPT_HASH_BCRYPT_MAX 17

/* What is wrong with a hash, which is terminated; NULL if it is one that a password can
 * fit. */
const char *crypt_hash_check(struct str hash);

/* Whether password (at most CRYPT_HASH_PASSWORD_MAX bytes, no NUL) fits the hash, which
 * is terminated.  Works as long as the hash wants to; leaves nothing of the password.
 * Returns 1, 0 or -ENOMEM. */
int crypt_hash_fits(struct str hash, struct str password);

/* Make one, by the method that prefix names ("$y$") and with its usual cost for count 0.
 * Returns 0, -ENOTSUP (crypt(3) of this machine cannot) or -ENOMEM. */
int crypt_hash_make(const char *prefix, unsigned long count, struct str password,
	char hash[CRYPT_HASH_SIZE]);

#endif
