/* Keys of SCRAM-SHA-256; see scram.h.
 *
 * PBKDF2 is that of GnuTLS and not that of GNU SASL, which leaves a copy of the password
 * in memory that it has given back; it is also the faster one.  Runs in workers, where
 * the password is a client's, and in sinkctl. */
#include "policy/scram.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gsasl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_printable(s.p[i]))
			return false;
	return true;
}

/* A copy that is terminated; the caller wipes and frees it. */
static char *copy_text(struct str s)
{
	char *copy = malloc(s.n + 1);

	if (copy != NULL)
		(void)str_copy(copy, s.n + 1, s);
	return copy;
}

static void wipe_text(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* *ret is wiped and freed by the caller. */
static int prepare(struct str password, char **ret)
{
	char *copy, *prepared = NULL;
	int r;

	if (memchr(password.p, '\0', password.n) != NULL)
		return -EINVAL;
	copy = copy_text(password);
	if (copy == NULL)
		return -ENOMEM;
	/* Which SASLprep leaves as it is. */
	if (is_plain_ascii(password)) {
		*ret = copy;
		return 0;
	}
	r = gsasl_saslprep(copy, GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
	wipe_text(copy);
	if (r != GSASL_OK)
		return r == GSASL_MALLOC_ERROR ? -ENOMEM : -EINVAL;
	*ret = prepared;
	return 0;
}

int scram_derive(
	struct str password, struct str salt, uint32_t iterations, struct scram_keys *ret)
{
	char salted[SCRAM_KEY_BYTES], client[SCRAM_KEY_BYTES];
	gnutls_datum_t key,
		salt_datum = {(unsigned char *)(uintptr_t)salt.p, (unsigned)salt.n};
	struct scram_keys keys;
	char *text = NULL;
	int r = prepare(password, &text);

	if (r < 0)
		return r;
	key = (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
	if (key.size == 0)
		r = -EINVAL;
	else if (gnutls_pbkdf2(GNUTLS_MAC_SHA256, &key, &salt_datum, iterations, salted,
			 sizeof(salted)) < 0 ||
		 gsasl_scram_secrets_from_salted_password(GSASL_HASH_SHA256, salted,
			 client, (char *)keys.server, (char *)keys.stored) != GSASL_OK)
		r = -ENOMEM;
	else
		*ret = keys;
	wipe_text(text);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	explicit_bzero(&keys, sizeof(keys));
	return r;
}
