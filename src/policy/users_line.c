/* Making lines of the users file; see users.h.  Runs in sinkctl: all input is that of
 * whoever started it. */
#include "policy/users.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/buf.h"
#include "policy/crypt_hash.h"

_Static_assert(USERS_LINE_SIZE > USERS_NAME_MAX + 1 + CRYPT_HASH_SIZE &&
		       USERS_LINE_SIZE > USERS_NAME_MAX + 16 + USERS_PASSWORD_MAX,
	"lines are longer");

#define BCRYPT_PASSWORD_MAX 72

/* count 0: as crypt(3) likes it; for bcrypt that is too little. */
static const struct {
	const char *name;
	const char *prefix; /* NULL: not of crypt(3) */
	unsigned long count;
} schemes[USERS_SCHEMES] = {
	[USERS_YESCRYPT] = {"yescrypt", "$y$", 0},
	[USERS_SHA512] = {"sha512", "$6$", 0},
	[USERS_BCRYPT] = {"bcrypt", "$2b$", 10},
	[USERS_SCRAM_SHA_256] = {"scram-sha-256", NULL, 0},
	[USERS_PLAIN] = {"plain", NULL, 0},
};

const char *users_scheme_name(enum users_scheme scheme)
{
	return schemes[scheme].name;
}

enum users_scheme users_scheme_find(struct str name)
{
	int i = 0;

	while (i < USERS_SCHEMES && !str_equal_nocase(str_of(schemes[i].name), name))
		i++;
	return (enum users_scheme)i;
}

static size_t add_base64(char *line, size_t n, const void *p, size_t count)
{
	line[n] = ',';
	return n + 1 + base64_encode((struct str){p, count}, line + n + 1);
}

static int make_scram(
	struct str password, char proof[CRYPT_HASH_SIZE], const char **ret_error)
{
	char salt[SCRAM_SALT_BYTES];
	struct scram_keys keys = {0};
	size_t n;
	int r;

	if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return -EIO;
	r = scram_derive(
		password, (struct str){salt, sizeof(salt)}, SCRAM_ITERATIONS, &keys);
	if (r == -EINVAL)
		*ret_error = "the password has characters that SCRAM forbids (RFC 4013)";
	if (r < 0)
		return r;
	n = (size_t)snprintf(
		proof, CRYPT_HASH_SIZE, "%s%d", USERS_SCRAM_PREFIX, SCRAM_ITERATIONS);
	n = add_base64(proof, n, salt, sizeof(salt));
	n = add_base64(proof, n, keys.stored, sizeof(keys.stored));
	n = add_base64(proof, n, keys.server, sizeof(keys.server));
	proof[n] = '\0';
	explicit_bzero(&keys, sizeof(keys));
	return 0;
}

int users_make_line(enum users_scheme scheme, struct str name, struct str password,
	char line[USERS_LINE_SIZE], const char **ret_error)
{
	char proof[CRYPT_HASH_SIZE] = "";
	struct buf out = {.p = line, .size = USERS_LINE_SIZE, .max = USERS_LINE_SIZE};
	const char *error = users_check_name(name);
	int r = 0;

	if (error == NULL)
		error = users_check_password(password);
	if (error == NULL && scheme == USERS_BCRYPT && password.n > BCRYPT_PASSWORD_MAX)
		error = "bcrypt looks at the first 72 bytes of a password only";
	if (error != NULL) {
		*ret_error = error;
		return -EINVAL;
	}
	if (scheme == USERS_SCRAM_SHA_256)
		r = make_scram(password, proof, ret_error);
	else if (scheme != USERS_PLAIN)
		r = crypt_hash_make(
			schemes[scheme].prefix, schemes[scheme].count, password, proof);
	if (r == -ENOTSUP)
		*ret_error = "crypt(3) of this machine cannot make this kind of hash";
	if (r < 0)
		return r == -ENOTSUP ? -EINVAL : r;
	/* It has room for the longest of all; see the assertions above. */
	(void)buf_add_str(&out, name);
	(void)buf_add_text(&out, ":");
	if (scheme == USERS_PLAIN) {
		(void)buf_add_text(&out, USERS_PLAIN_PREFIX);
		(void)buf_add_str(&out, password);
	} else {
		(void)buf_add_text(&out, proof);
	}
	(void)buf_add(&out, "", 1);
	explicit_bzero(proof, sizeof(proof));
	return 0;
}
