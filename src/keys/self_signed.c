/* A self-signed certificate; see self_signed.h.
 *
 * ECDSA with P-256, which every client knows and which costs least.  Clients that are to
 * trust it are given the certificate itself, so it is no authority for others. */
#include "keys/self_signed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <string.h>

#include "base/fdio.h"

/* Some systems trust no certificate for longer than 825 days, whoever says they should; a
 * server that runs so long makes a new one at the next reload. */
#define LIFE_S (820 * INT64_C(86400))

/* Clocks of clients may be behind ours. */
#define EARLY_S INT64_C(86400)

#define SERIAL_BYTES    16
#define COMMON_NAME_MAX 64 /* RFC 5280, appendix A: ub-common-name-length */

struct making {
	const struct config *config;
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
};

static int set_subject(struct making *m)
{
	const char *name = m->config->smtp.hostname;
	size_t n = strlen(name);

	if (n > COMMON_NAME_MAX) {
		name = "sinkd";
		n = strlen(name);
	}
	return gnutls_x509_crt_set_dn_by_oid(
		m->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)n);
}

static int add_name(struct making *m, const char *name)
{
	return gnutls_x509_crt_set_subject_alt_name(m->certificate, GNUTLS_SAN_DNSNAME,
		name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int add_address(struct making *m, int family, const void *address)
{
	return gnutls_x509_crt_set_subject_alt_name(m->certificate, GNUTLS_SAN_IPADDRESS,
		address, family == AF_INET ? 4 : 16, GNUTLS_FSAN_APPEND);
}

/* An address that is given twice is there twice, which does no harm.  Who listens on all
 * addresses is certainly reached at that of the machine for itself; which others it has
 * today is not worth to be written down. */
static int add_endpoint(struct making *m, const struct endpoint *e)
{
	const struct in_addr local4 = {htonl(INADDR_LOOPBACK)};
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (e->address.ss_family == AF_INET) {
		memcpy(&v4, &e->address, sizeof(v4));
		if (v4.sin_addr.s_addr == htonl(INADDR_ANY))
			v4.sin_addr = local4;
		return add_address(m, AF_INET, &v4.sin_addr);
	}
	if (e->address.ss_family == AF_INET6) {
		memcpy(&v6, &e->address, sizeof(v6));
		if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
			v6.sin6_addr = in6addr_loopback;
		return add_address(m, AF_INET6, &v6.sin6_addr);
	}
	return 0;
}

static int add_names(struct making *m)
{
	const struct config *c = m->config;
	int r = add_name(m, c->smtp.hostname);

	if (r == 0 && strcmp(c->smtp.hostname, "localhost") != 0)
		r = add_name(m, "localhost");
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct listen_settings *l = &c->listeners[i];

		for (size_t k = 0; k < l->endpoint_count && r == 0; k++)
			if (l->smtp.tls != LISTEN_TLS_OFF)
				r = add_endpoint(m, &l->endpoints[k]);
	}
	return r;
}

static int set_serial(struct making *m)
{
	unsigned char serial[SERIAL_BYTES];
	int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	/* Positive, and not 0. */
	serial[0] = (serial[0] & 0x7f) | 0x40;
	return r != 0 ? r
		      : gnutls_x509_crt_set_serial(
				m->certificate, serial, sizeof(serial));
}

static int set_key_id(struct making *m)
{
	unsigned char id[64];
	size_t n = sizeof(id);
	int r = gnutls_x509_crt_get_key_id(m->certificate, 0, id, &n);

	return r != 0 ? r : gnutls_x509_crt_set_subject_key_id(m->certificate, id, n);
}

static int sign(struct making *m, int64_t now_s)
{
	int r;

	if ((r = gnutls_x509_privkey_generate(m->key, GNUTLS_PK_ECDSA,
		     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0)) != 0 ||
		(r = gnutls_x509_crt_set_version(m->certificate, 3)) != 0 ||
		(r = gnutls_x509_crt_set_key(m->certificate, m->key)) != 0 ||
		(r = set_serial(m)) != 0 || (r = set_subject(m)) != 0 ||
		(r = add_names(m)) != 0 ||
		(r = gnutls_x509_crt_set_activation_time(
			 m->certificate, now_s - EARLY_S)) != 0 ||
		(r = gnutls_x509_crt_set_expiration_time(
			 m->certificate, now_s - EARLY_S + LIFE_S)) != 0 ||
		(r = gnutls_x509_crt_set_basic_constraints(m->certificate, 0, -1)) != 0 ||
		(r = gnutls_x509_crt_set_key_usage(
			 m->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE)) != 0 ||
		(r = gnutls_x509_crt_set_key_purpose_oid(
			 m->certificate, GNUTLS_KP_TLS_WWW_SERVER, 0)) != 0 ||
		(r = set_key_id(m)) != 0)
		return r;
	return gnutls_x509_crt_sign2(
		m->certificate, m->certificate, m->key, GNUTLS_DIG_SHA256, 0);
}

/* The key to the file, the certificate into the report. */
static int export(const struct making *m, int out, struct buf *report)
{
	gnutls_datum_t text = {NULL, 0};
	int r = gnutls_x509_privkey_export2(m->key, GNUTLS_X509_FMT_PEM, &text);

	if (r == 0 && fdio_write_all(out, text.data, text.size) < 0)
		r = GNUTLS_E_FILE_ERROR;
	if (text.data != NULL)
		explicit_bzero(text.data, text.size);
	gnutls_free(text.data);
	if (r != 0)
		return r;
	text = (gnutls_datum_t){NULL, 0};
	r = gnutls_x509_crt_export2(m->certificate, GNUTLS_X509_FMT_PEM, &text);
	if (r == 0 && !buf_add(report, text.data, text.size))
		r = GNUTLS_E_MEMORY_ERROR;
	gnutls_free(text.data);
	return r;
}

bool self_signed_make(const void *user, struct buf *report)
{
	const struct self_signed_order *order = user;
	struct making m = {.config = order->config};
	int r = gnutls_x509_privkey_init(&m.key);

	if (r == 0)
		r = gnutls_x509_crt_init(&m.certificate);
	if (r == 0)
		r = sign(&m, order->now_s);
	if (r == 0)
		r = export(&m, order->out, report);
	gnutls_x509_crt_deinit(m.certificate);
	gnutls_x509_privkey_deinit(m.key);
	if (r != 0)
		(void)buf_add_text(report, gnutls_strerror(r));
	return r == 0;
}
