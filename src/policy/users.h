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
#include "policy/scram.h"

enum user_proof { USER_CRYPT, USER_PLAIN, USER_SCRAM_SHA_256, USER_PROOFS };

#define USERS_NAME_MAX     255
#define USERS_PASSWORD_MAX 511 /* crypt(3) takes no more */

#define USERS_PLAIN_PREFIX "{PLAIN}"
#define USERS_SCRAM_PREFIX "{SCRAM-SHA-256}"

struct user {
	struct str name;
	enum user_proof kind;
	struct str secret; /* crypt: the hash; plain: the password; both terminated */
	/* scram */
	uint32_t iterations;
	char salt[SCRAM_SALT_MAX];
	size_t salt_n;
	struct scram_keys keys;
};

struct users;

/* Read the file.  Each mistake is written to errors as "PATH:LINE: text", never with a
 * proof in it.  That others may read the file, or write it, is a mistake too.
 * Returns 0, -EINVAL (mistakes), or another negative errno when it cannot be read (told
 * as well). */
int users_read(const char *path, FILE *errors, struct users **ret);

/* The same of text that is there already; path is for the messages. */
int users_parse(struct str text, const char *path, FILE *errors, struct users **ret);

/* Wipes them.  NULL is fine. */
void users_free(struct users *u);

/* In all that follows u may be NULL: there are none. */

size_t users_count(const struct users *u);

/* Whether a proof of this kind is among them, so that a mechanism can work at all. */
bool users_have(const struct users *u, enum user_proof kind);

/* The user, or NULL. */
const struct user *users_find(const struct users *u, struct str name);

/* Whether this is the password of that user.  Takes as long for a user that there is not
 * (user NULL) as for one of them.  Returns 1, 0, or a negative errno when it could not be
 * checked. */
int users_check(const struct users *u, const struct user *user, struct str password);

/* Salt and iterations of SCRAM for a name that has none of its own, because its proof is
 * of another kind or because it does not exist: the same at each call of all processes
 * that one sinkd has forked, and like those of the file.  Returns the length of the
 * salt. */
size_t users_make_salt(const struct users *u, struct str name, char salt[SCRAM_SALT_MAX]);
uint32_t users_iterations(const struct users *u);

/* What is wrong with a name or a password for the file, or NULL. */
const char *users_check_name(struct str name);
const char *users_check_password(struct str password);

/* How a line of the file can be made. */
enum users_scheme {
	USERS_YESCRYPT,
	USERS_SHA512,
	USERS_BCRYPT,
	USERS_SCRAM_SHA_256,
	USERS_PLAIN,
	USERS_SCHEMES,
};

/* The scheme's name on the command line; and the other way round: USERS_SCHEMES if
 * unknown. */
const char *users_scheme_name(enum users_scheme scheme);
enum users_scheme users_scheme_find(struct str name);

#define USERS_LINE_SIZE 1024

/* Make the line of a user, terminated and without a line end.  Works for as long as the
 * scheme wants to.  The line may be a secret: the caller wipes it.
 * Returns 0; -EINVAL with *ret_error, what is wrong with name or password; or another
 * negative errno. */
int users_make_line(enum users_scheme scheme, struct str name, struct str password,
	char line[USERS_LINE_SIZE], const char **ret_error);

#endif
