/* The users file: who may log in, and what proves it.
 *
 * Each line is "name:proof".  proof is a hash of crypt(3) ("$y$...", "$6$...",
 * "$2b$..."), "{PLAIN}password", or "{SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY"
 * (salt and keys in base64, RFC 5803 with commas for its other separators).  Empty lines
 * and lines that begin with # say nothing.  Names are compared byte by byte. */
#ifndef SINKD_POLICY_USERS_H
#define SINKD_POLICY_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/str.h"

enum user_proof { USER_CRYPT, USER_PLAIN, USER_SCRAM_SHA_256 };

#define SCRAM_KEY_BYTES 32

struct user {
	struct str name;
	enum user_proof kind;
	struct str secret; /* crypt: the hash; plain: the password; both terminated */
	/* scram */
	uint32_t iterations;
	struct str salt;
	unsigned char stored_key[SCRAM_KEY_BYTES];
	unsigned char server_key[SCRAM_KEY_BYTES];
};

struct users;

/* Read the file.  Each mistake is written to errors as "PATH:LINE: text", never with a
 * proof in it.  Returns 0, -EINVAL (mistakes), or another negative errno when it cannot
 * be read (told as well). */
int users_read(const char *path, FILE *errors, struct users **ret);

/* Wipes them.  NULL is fine. */
void users_free(struct users *u);

size_t users_count(const struct users *u);

/* Whether a proof of this kind is among them, so that a mechanism can work at all. */
bool users_have(const struct users *u, enum user_proof kind);

/* The user, or NULL; u may be NULL. */
const struct user *users_find(const struct users *u, struct str name);

/* Whether this is the password of that user.  Takes as long for a user that there is not
 * (user NULL) as for one of them.  Returns 1, 0, or a negative errno when it could not be
 * checked. */
int users_check(const struct users *u, const struct user *user, struct str password);

#endif
