/* X.509 certificates: what there is to tell of one, and which names it is for. */
#ifndef SINKD_NET_CERTIFICATE_H
#define SINKD_NET_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct gnutls_pubkey_st;
struct gnutls_x509_crt_int;

/* Certificates in one chain. */
#define CERTIFICATE_CHAIN_MAX 16

/* All text is terminated. */
struct certificate_info {
	char subject[256]; /* RFC 4514, or its first name when it has none; cut to fit */
	char fingerprint[96]; /* SHA-256 as "0A:1B:..." */
	char key[32];         /* kind of key: "ECDSA 256", "RSA 2048", ... */
	int64_t not_before_s; /* Unix time */
	int64_t not_after_s;
};

/* Read the first certificate of a PEM file, the one of the server itself.  Returns 0 or
 * a negative errno (-EINVAL: not to be understood); *ret_error, which may not be NULL, is
 * then what is wrong, static text.  Never blocks. */
int certificate_read(
	struct str pem, struct certificate_info *ret, const char **ret_error);

/* Check a PEM file of any number of certificates, one at least.  The same results. */
int certificate_check_list(struct str pem, const char **ret_error);

/* The public key of the first, which the caller frees with gnutls_pubkey_deinit.  The
 * same results. */
int certificate_public_key(
	struct str pem, struct gnutls_pubkey_st **ret, const char **ret_error);

/* Its distinguished name as terminated text, cut to fit; certificates of today may have
 * none, and then it is the first of their names.  Returns 0, or what GnuTLS says. */
int certificate_subject(struct gnutls_x509_crt_int *certificate, char *out, size_t size);

/* Whether a client that asks for name (SNI) means pattern: the same name, or any one
 * label in the place of a leading "*".  Names are compared as ASCII. */
bool certificate_name_matches(struct str pattern, struct str name);

/* For what GnuTLS reports: the errno that stands for it. */
int certificate_errno(int gnutls_error);

#endif
