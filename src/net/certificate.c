/* Facts about certificates; see certificate.h.
 *
 * Runs in the master, which reads what the configuration names, and in workers, which
 * compare names that clients send; those are hostile.  Private keys never come here.
 * Limits: a name with labels of another script is compared as the A-label it is sent as
 * (RFC 5890). */
#include "net/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define SHA256_BYTES 32

int certificate_errno(int gnutls_error)
{
	return gnutls_error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

/* What is wrong with a PEM file that cannot be imported; r is 0 for an empty list. */
static const char *import_error(int r)
{
	switch (r) {
	case GNUTLS_E_SHORT_MEMORY_BUFFER:
		return "too many certificates in one file";
	case GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR:
	case GNUTLS_E_NO_CERTIFICATE_FOUND:
	case 0:
		return "no certificate in PEM form";
	default:
		return gnutls_strerror(r);
	}
}

/* The first certificate of the file; the caller frees it. */
static int read_first(struct str pem, gnutls_x509_crt_t *ret, const char **ret_error)
{
	/* GnuTLS does not write to it. */
	const gnutls_datum_t file = {(unsigned char *)(uintptr_t)pem.p, (unsigned)pem.n};
	gnutls_x509_crt_t chain[CERTIFICATE_CHAIN_MAX];
	unsigned count = CERTIFICATE_CHAIN_MAX;
	int r = gnutls_x509_crt_list_import(chain, &count, &file, GNUTLS_X509_FMT_PEM,
		GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);

	if (r < 0 || count == 0) {
		*ret_error = import_error(r);
		return certificate_errno(r);
	}
	for (unsigned i = 1; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	*ret = chain[0];
	return 0;
}

/* Of n bytes. */
static void format_address(char *out, size_t size, size_t n)
{
	char bytes[16];
	bool is_known = n == 4 || n == sizeof(bytes);

	if (is_known)
		memcpy(bytes, out, n);
	if (!is_known || inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, out,
				 (socklen_t)size) == NULL)
		out[0] = '\0';
}

int certificate_subject(gnutls_x509_crt_t certificate, char *out, size_t size)
{
	gnutls_datum_t name = {NULL, 0};
	int r = gnutls_x509_crt_get_dn3(certificate, &name, 0);

	if (r >= 0 && name.size > 0) {
		(void)str_copy(
			out, size, (struct str){(const char *)name.data, name.size});
	} else if (r >= 0 || r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
		size_t n = size - 1;

		out[0] = '\0';
		r = gnutls_x509_crt_get_subject_alt_name(certificate, 0, out, &n, NULL);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
			r == GNUTLS_E_SHORT_MEMORY_BUFFER)
			r = 0;
		out[r > 0 && n < size ? n : strnlen(out, size - 1)] = '\0';
		if (r == GNUTLS_SAN_IPADDRESS)
			format_address(out, size, n);
		else if (r > GNUTLS_SAN_URI) /* No text. */
			out[0] = '\0';
	}
	gnutls_free(name.data);
	return r < 0 ? r : 0;
}

static int describe_fingerprint(gnutls_x509_crt_t certificate, char *out, size_t size)
{
	unsigned char digest[SHA256_BYTES];
	size_t n = sizeof(digest);
	int r = gnutls_x509_crt_get_fingerprint(
		certificate, GNUTLS_DIG_SHA256, digest, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		size_t at = i == 0 ? 0 : i * 3 - 1;

		(void)snprintf(
			out + at, size - at, "%s%02X", i == 0 ? "" : ":", digest[i]);
	}
	return r;
}

static const char *name_of(int algorithm)
{
	switch (algorithm) {
	case GNUTLS_PK_RSA:
		return "RSA";
	case GNUTLS_PK_ECDSA:
		return "ECDSA";
	default:
		return gnutls_pk_algorithm_get_name((gnutls_pk_algorithm_t)algorithm);
	}
}

static int describe(gnutls_x509_crt_t certificate, struct certificate_info *ret)
{
	unsigned bits = 0;
	int algorithm = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
	int r = certificate_subject(certificate, ret->subject, sizeof(ret->subject));

	if (algorithm < 0)
		return algorithm;
	if (r >= 0)
		r = describe_fingerprint(
			certificate, ret->fingerprint, sizeof(ret->fingerprint));
	(void)snprintf(ret->key, sizeof(ret->key), "%s %u", name_of(algorithm), bits);
	ret->not_before_s = gnutls_x509_crt_get_activation_time(certificate);
	ret->not_after_s = gnutls_x509_crt_get_expiration_time(certificate);
	return r;
}

int certificate_read(struct str pem, struct certificate_info *ret, const char **ret_error)
{
	struct certificate_info info;
	gnutls_x509_crt_t certificate;
	int r = read_first(pem, &certificate, ret_error);

	if (r < 0)
		return r;
	r = describe(certificate, &info);
	gnutls_x509_crt_deinit(certificate);
	if (r < 0) {
		*ret_error = gnutls_strerror(r);
		return certificate_errno(r);
	}
	*ret = info;
	return 0;
}

int certificate_check_list(struct str pem, const char **ret_error)
{
	const gnutls_datum_t file = {(unsigned char *)(uintptr_t)pem.p, (unsigned)pem.n};
	gnutls_x509_crt_t *list = NULL;
	unsigned count = 0;
	int r = gnutls_x509_crt_list_import2(
		&list, &count, &file, GNUTLS_X509_FMT_PEM, 0);

	if (r < 0) {
		*ret_error = import_error(r);
		return certificate_errno(r);
	}
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return 0;
}

int certificate_public_key(
	struct str pem, struct gnutls_pubkey_st **ret, const char **ret_error)
{
	gnutls_x509_crt_t certificate;
	gnutls_pubkey_t key = NULL;
	int r = read_first(pem, &certificate, ret_error);

	if (r < 0)
		return r;
	r = gnutls_pubkey_init(&key);
	if (r >= 0)
		r = gnutls_pubkey_import_x509(key, certificate, 0);
	gnutls_x509_crt_deinit(certificate);
	if (r < 0) {
		gnutls_pubkey_deinit(key);
		*ret_error = gnutls_strerror(r);
		return certificate_errno(r);
	}
	*ret = key;
	return 0;
}

bool certificate_name_matches(struct str pattern, struct str name)
{
	const char *dot;

	if (pattern.n < 2 || pattern.p[0] != '*' || pattern.p[1] != '.')
		return name.n > 0 && str_equal_nocase(pattern, name);
	dot = name.n == 0 ? NULL : memchr(name.p, '.', name.n);
	/* The label may not be empty. */
	return dot != NULL && dot != name.p &&
	       str_equal_nocase(
		       str_skip(pattern, 1), str_skip(name, (size_t)(dot - name.p)));
}
