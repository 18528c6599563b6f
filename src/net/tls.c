/* What all sessions share; see tls.h.
 *
 * Runs in the master, before the workers that will use it are forked, so that they have
 * its pages in common; its input is the configuration, read already.  There is no private
 * key in it and no way to one but the question that net/remote_key asks. */
#include "net/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "net/certificate.h"
#include "net/remote_key.h"
#include "net/tls_context.h"

const char *tls_check_priorities(const char *text)
{
	gnutls_priority_t priorities;
	int r = gnutls_priority_init(&priorities, text, NULL);

	if (r < 0)
		return r == GNUTLS_E_INVALID_REQUEST ? "not a GnuTLS priority string"
						     : gnutls_strerror(r);
	gnutls_priority_deinit(priorities);
	return NULL;
}

/* GnuTLS does not write to what it is given. */
static gnutls_datum_t datum_of(struct str s)
{
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)s.p, (unsigned)s.n};
}

/* ------------------------------------------------------- one name's certificates */

/* The chain goes to credentials together with a key that others have.  Returns what
 * GnuTLS returns. */
static int add_chain(gnutls_certificate_credentials_t credentials, gnutls_pcert_st *chain,
	unsigned count, uint32_t key_number, int keys_fd)
{
	gnutls_privkey_t key;
	int r = remote_key_new(keys_fd, key_number, chain[0].pubkey, &key);

	if (r < 0)
		return r == -ENOMEM ? GNUTLS_E_MEMORY_ERROR
				    : GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	/* No names: which certificates are for which name is for the configuration. */
	r = gnutls_certificate_set_key(credentials, NULL, 0, chain, (int)count, key);
	if (r < 0)
		gnutls_privkey_deinit(key);
	return r;
}

static int add_certificate(gnutls_certificate_credentials_t credentials,
	const struct tls_certificate *certificate, bool is_rsa, int keys_fd)
{
	const gnutls_datum_t pem = datum_of(certificate->chain);
	gnutls_pcert_st chain[CERTIFICATE_CHAIN_MAX];
	unsigned count = CERTIFICATE_CHAIN_MAX;
	bool is_kept = false;
	int r = gnutls_pcert_list_import_x509_raw(
		chain, &count, &pem, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT);

	if (r < 0)
		return r;
	if (is_rsa == (gnutls_pubkey_get_pk_algorithm(chain[0].pubkey, NULL) ==
			      GNUTLS_PK_RSA)) {
		r = add_chain(credentials, chain, count, certificate->key, keys_fd);
		is_kept = r >= 0;
	}
	for (unsigned i = 0; i < count && !is_kept; i++)
		gnutls_pcert_deinit(&chain[i]);
	return r;
}

static bool is_for(const struct tls_certificate *certificate, const char *name)
{
	return name == NULL ? certificate->name == NULL
			    : certificate->name != NULL &&
				      strcmp(certificate->name, name) == 0;
}

/* Of several kinds of key those that are cheaper for us come first, and RSA last: under
 * TLS 1.3 the first that the client can check is taken. */
static int add_certificates(struct tls_credentials *c,
	const struct tls_certificate *certificates, size_t count, int keys_fd)
{
	int r = 0;

	for (int is_rsa = 0; is_rsa <= 1; is_rsa++)
		for (size_t i = 0; i < count && r >= 0; i++)
			if (is_for(&certificates[i], c->name))
				r = add_certificate(c->certificates, &certificates[i],
					is_rsa != 0, keys_fd);
	return r;
}

/* Returns what GnuTLS returns. */
static int open_credentials(struct tls_credentials *c, const char *name,
	const struct tls_certificate *certificates, size_t count, struct str ca,
	int keys_fd)
{
	const gnutls_datum_t pem = datum_of(ca);
	int r;

	c->name = name == NULL ? NULL : strdup(name);
	if (name != NULL && c->name == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	r = gnutls_certificate_allocate_credentials(&c->certificates);
	if (r < 0)
		return r;
	/* It would sign something to see, and nobody answers yet. */
	gnutls_certificate_set_flags(
		c->certificates, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	r = add_certificates(c, certificates, count, keys_fd);
	if (r >= 0 && ca.n > 0) {
		r = gnutls_certificate_set_x509_trust_mem(
			c->certificates, &pem, GNUTLS_X509_FMT_PEM);
		if (r == 0)
			r = GNUTLS_E_NO_CERTIFICATE_FOUND;
	}
	return r;
}

/* One for each name; the first is the one without. */
static int open_all(struct tls *t, const struct tls_certificate *certificates,
	size_t count, struct str ca, int keys_fd)
{
	const char *name = NULL;
	size_t next = 0;
	int r;

	/* One more than there can be names. */
	t->credentials = calloc(count + 1, sizeof(*t->credentials));
	if (t->credentials == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	for (;;) {
		struct tls_credentials *c = &t->credentials[t->count++];
		bool is_known = true;

		r = open_credentials(c, name, certificates, count, ca, keys_fd);
		while (r >= 0 && is_known && next < count) {
			name = certificates[next++].name;
			is_known = name == NULL;
			for (size_t i = 1; i < t->count && !is_known; i++)
				is_known = strcmp(t->credentials[i].name, name) == 0;
		}
		if (r < 0 || is_known)
			return r;
	}
}

/* ------------------------------------------------------------------ the context */

/* Tickets of a configuration that asks clients for something else are not taken: they
 * would get around what it asks. */
static int derive_ticket_key(struct tls *t, struct str ca, const unsigned char *secret)
{
	const unsigned char what = (unsigned char)t->client_certificate;
	gnutls_hmac_hd_t mac;
	int r = gnutls_hmac_init(&mac, GNUTLS_MAC_SHA512, secret, TLS_TICKET_KEY_BYTES);

	if (r < 0)
		return r;
	r = gnutls_hmac(mac, &what, sizeof(what));
	if (r >= 0 && ca.n > 0)
		r = gnutls_hmac(mac, ca.p, ca.n);
	gnutls_hmac_deinit(mac, t->ticket_key);
	return r;
}

int tls_new(const struct tls_settings *settings,
	const struct tls_certificate *certificates, size_t count, struct str ca,
	const unsigned char ticket_key[TLS_TICKET_KEY_BYTES], int keys_fd,
	struct tls **ret, const char **ret_error)
{
	struct tls *t = calloc(1, sizeof(*t));
	int r;

	if (t == NULL) {
		*ret_error = gnutls_strerror(GNUTLS_E_MEMORY_ERROR);
		return -ENOMEM;
	}
	t->client_certificate = settings->client_certificate;
	t->has_tickets = settings->has_tickets;
	r = gnutls_priority_init(&t->priorities, settings->priorities, NULL);
	if (r >= 0)
		r = derive_ticket_key(t, ca, ticket_key);
	if (r >= 0)
		r = open_all(t, certificates, count, ca, keys_fd);
	if (r < 0) {
		tls_free(t);
		*ret_error = gnutls_strerror(r);
		return certificate_errno(r);
	}
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++) {
		free(t->credentials[i].name);
		if (t->credentials[i].certificates != NULL)
			gnutls_certificate_free_credentials(
				t->credentials[i].certificates);
	}
	free(t->credentials);
	if (t->priorities != NULL)
		gnutls_priority_deinit(t->priorities);
	explicit_bzero(t->ticket_key, sizeof(t->ticket_key));
	free(t);
}
