/* Who a client is by its certificate; see tls_peer.h.
 *
 * Runs in workers; certificates are hostile, and GnuTLS takes them apart.  Known limit:
 * lists of revoked certificates are not looked at. */
#include "net/tls_peer.h"

#include <stdio.h>
#include <string.h>

#include <gnutls/x509.h>

#include "base/str.h"
#include "net/certificate.h"

static void explain(const char *what, unsigned status, char *out, size_t size)
{
	gnutls_datum_t text = {NULL, 0};

	(void)gnutls_certificate_verification_status_print(
		status, GNUTLS_CRT_X509, &text, 0);
	(void)snprintf(out, size, "%s: %.*s", what,
		STR_ARG(str_trim_end(str_of((const char *)text.data))));
	gnutls_free(text.data);
}

bool tls_peer_is_good(gnutls_session_t session, char *out, size_t size)
{
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = 0;
	int r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);

	if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
		(void)snprintf(out, size, "%s", "the client has sent no certificate");
	else if (r < 0)
		(void)snprintf(out, size,
			"the client's certificate cannot be checked: %s",
			gnutls_strerror(r));
	else if (status != 0)
		explain("the client's certificate is not good", status, out, size);
	return r >= 0 && status == 0;
}

/* A name with a NUL in it is meant to look like another one. */
static bool is_name(const char *p, size_t n)
{
	return n > 0 && memchr(p, '\0', n) == NULL;
}

/* The first mailbox that it names, or else its common name. */
static void read_external(gnutls_x509_crt_t certificate, char *out, size_t size)
{
	int kind = 0;
	size_t n;

	for (unsigned i = 0; kind >= 0 || kind == GNUTLS_E_SHORT_MEMORY_BUFFER; i++) {
		n = size - 1;
		kind = gnutls_x509_crt_get_subject_alt_name(
			certificate, i, out, &n, NULL);
		if (kind == GNUTLS_SAN_RFC822NAME && is_name(out, n)) {
			out[n] = '\0';
			return;
		}
	}
	n = size - 1;
	if (gnutls_x509_crt_get_dn_by_oid(
		    certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &n) < 0 ||
		!is_name(out, n))
		n = 0;
	out[n] = '\0';
}

void tls_peer_read(gnutls_session_t session, struct tls_peer *ret)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t certificate;

	if (chain == NULL || count == 0 || gnutls_x509_crt_init(&certificate) < 0)
		return;
	if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
		certificate_subject(certificate, ret->subject, sizeof(ret->subject)) >= 0)
		read_external(certificate, ret->external, sizeof(ret->external));
	gnutls_x509_crt_deinit(certificate);
}
