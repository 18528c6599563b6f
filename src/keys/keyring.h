/* The keyring: the certificates of one configuration and their private keys, checked; and
 * what a TLS context is made from.  Shared by generations with the same configuration. */
#ifndef SINKD_KEYS_KEYRING_H
#define SINKD_KEYS_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "config/conf.h"
#include "net/certificate.h"
#include "net/tls.h"

struct keyring;

/* Certificates of one configuration: each key is a descriptor. */
#define KEYRING_MAX 400

/* Read what the section tls names, or without that make a self-signed certificate;
 * nothing if no listener has TLS.  before: the keyring of the configuration that is in
 * use, NULL at the start; what was made for it is taken over.  Every mistake is written
 * to errors, as config_load does.
 *
 * Returns 0 and *ret, which is for keyring_unref; -EINVAL, or another negative errno when
 * the machine has not what it takes (also told). */
int keyring_load(const struct config *c, const struct keyring *before, FILE *errors,
	struct keyring **ret);

/* One user more, and one less.  NULL is fine. */
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);

/* Certificates in use, and so keys: none without TLS, or for NULL. */
size_t keyring_count(const struct keyring *k);

/* The certificate i; ret_name is the server name that it is for (NULL: all others),
 * ret_file where it came from (NULL: we made it).  Both live as long as the
 * configuration. */
void keyring_get(const struct keyring *k, size_t i, struct certificate_info *ret,
	const char **ret_name, const char **ret_file);

/* Files with the private keys, in the order of their numbers; of the keyring.  For the
 * keys process; nobody else may read them. */
const int *keyring_key_fds(const struct keyring *k);

/* Make a TLS context whose keys are at keys_fd; see tls_new. */
int keyring_make_tls(
	const struct keyring *k, int keys_fd, struct tls **ret, const char **ret_error);

/* Whether it is time to renew it: it expires within 14 days. */
bool keyring_expires_soon(const struct certificate_info *info);

/* Tell the log about each certificate: the event server.certificate. */
void keyring_log(const struct keyring *k);

#endif
