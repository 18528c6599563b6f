/* Certificates, keys and clients for tests of TLS; see tls_fixture.h. */
#include "tls_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>

#include "base/fdio.h"
#include "base/ipc.h"
#include "keys/signer.h"

/* Without it there is nothing to test; and CUnit knows no checks before the first test.
 */
#define OK(call)                                                                         \
	do {                                                                             \
		int r_ = (call);                                                         \
		if (r_ < 0) {                                                            \
			(void)fprintf(stderr, "%s: %s\n", #call, gnutls_strerror(r_));   \
			abort();                                                         \
		}                                                                        \
	} while (0)

#define DAY_S 86400

/* ---------------------------------------------------------------- certificates */

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

static void load(const struct test_pair *p, gnutls_x509_crt_t *ret_certificate,
	gnutls_x509_privkey_t *ret_key)
{
	const gnutls_datum_t certificate = datum(p->certificate), key = datum(p->key);

	OK(gnutls_x509_crt_init(ret_certificate));
	OK(gnutls_x509_crt_import(*ret_certificate, &certificate, GNUTLS_X509_FMT_PEM));
	OK(gnutls_x509_privkey_init(ret_key));
	OK(gnutls_x509_privkey_import(*ret_key, &key, GNUTLS_X509_FMT_PEM));
}

static void fill(gnutls_x509_crt_t c, const struct test_wish *wish)
{
	time_t now = time(NULL);
	unsigned char serial[8];

	OK(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)));
	serial[0] = 1;
	OK(gnutls_x509_crt_set_version(c, 3));
	OK(gnutls_x509_crt_set_serial(c, serial, sizeof(serial)));
	OK(gnutls_x509_crt_set_activation_time(c, now - 3 * DAY_S));
	OK(gnutls_x509_crt_set_expiration_time(
		c, wish->is_expired ? now - DAY_S : now + 30 * DAY_S));
	if (wish->name != NULL)
		OK(gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0,
			wish->name, (unsigned)strlen(wish->name)));
	if (wish->is_addressed)
		OK(gnutls_x509_crt_set_subject_alt_name(
			c, GNUTLS_SAN_IPADDRESS, "\xc0\0\2\1", 4, GNUTLS_FSAN_SET));
	if (wish->name != NULL && strchr(wish->name, '.') != NULL)
		OK(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, wish->name,
			(unsigned)strlen(wish->name), GNUTLS_FSAN_SET));
	if (wish->mailbox != NULL)
		OK(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_RFC822NAME,
			wish->mailbox, (unsigned)strlen(wish->mailbox),
			GNUTLS_FSAN_APPEND));
	OK(gnutls_x509_crt_set_basic_constraints(c, wish->is_ca, wish->is_ca ? 1 : -1));
}

void make_pair(const struct test_wish *wish, struct test_pair *ret)
{
	gnutls_x509_crt_t certificate, issuer;
	gnutls_x509_privkey_t key, issuer_key;
	size_t n = sizeof(ret->certificate);

	OK(gnutls_x509_privkey_init(&key));
	OK(gnutls_x509_privkey_generate(key,
		wish->is_rsa ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
		wish->is_rsa ? 2048 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
		0));
	OK(gnutls_x509_crt_init(&certificate));
	fill(certificate, wish);
	OK(gnutls_x509_crt_set_key(certificate, key));
	if (wish->issuer != NULL)
		load(wish->issuer, &issuer, &issuer_key);
	OK(gnutls_x509_crt_sign2(certificate, wish->issuer == NULL ? certificate : issuer,
		wish->issuer == NULL ? key : issuer_key, GNUTLS_DIG_SHA256, 0));
	OK(gnutls_x509_crt_export(
		certificate, GNUTLS_X509_FMT_PEM, ret->certificate, &n));
	ret->certificate[n] = '\0';
	n = sizeof(ret->key);
	OK(gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, ret->key, &n));
	ret->key[n] = '\0';
	if (wish->issuer != NULL) {
		gnutls_x509_crt_deinit(issuer);
		gnutls_x509_privkey_deinit(issuer_key);
	}
	gnutls_x509_crt_deinit(certificate);
	gnutls_x509_privkey_deinit(key);
}

/* --------------------------------------------------------------------- the keys */

static _Noreturn void be_signer(const struct test_pair *const *pairs, size_t n, int fd)
{
	struct signer *signer;
	int fds[16];

	for (size_t i = 0; i < n; i++) {
		fds[i] = memfd_create("key", MFD_CLOEXEC);
		if (fdio_write_all(fds[i], pairs[i]->key, strlen(pairs[i]->key)) < 0 ||
			lseek(fds[i], 0, SEEK_SET) < 0)
			_exit(1);
	}
	if (signer_new(fds, n, &signer) < 0)
		_exit(2);
	(void)signer_serve(signer, fd);
	_exit(0);
}

int start_signer(const struct test_pair *const *pairs, size_t n, int *ret_fd)
{
	int fds[2];
	pid_t pid;

	OK(ipc_open(&fds[0], &fds[1]));
	pid = fork();
	OK(pid);
	if (pid == 0) {
		(void)close(fds[0]);
		be_signer(pairs, n, fds[1]);
	}
	(void)close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

void stop_signer(int pid, int fd)
{
	(void)close(fd);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* --------------------------------------------------------------------- the wire */

void wire_init(struct wire *w)
{
	*w = (struct wire){0};
	buf_init(&w->to_server, 1 << 20);
	buf_init(&w->to_client, 1 << 20);
}

void wire_done(struct wire *w)
{
	buf_done(&w->to_server);
	buf_done(&w->to_client);
}

static size_t share(const struct wire *w, size_t n)
{
	return w->chunk != 0 && n > w->chunk ? w->chunk : n;
}

static bool is_tick(struct wire *w)
{
	return w->stutters && w->calls++ % 2 == 0;
}

static ssize_t take(struct wire *w, struct buf *from, void *p, size_t n)
{
	n = share(w, n < from->len ? n : from->len);
	if (n == 0)
		return -EAGAIN;
	memcpy(p, from->p, n);
	buf_consume(from, n);
	return (ssize_t)n;
}

static ssize_t server_read(void *user, void *p, size_t n)
{
	struct wire *w = user;

	if (w->read_error != 0)
		return w->read_error;
	if (is_tick(w))
		return -EAGAIN;
	if (w->to_server.len == 0 && w->is_cut)
		return 0;
	return take(w, &w->to_server, p, n);
}

static ssize_t server_write(void *user, const void *p, size_t n)
{
	struct wire *w = user;

	if (w->is_clogged || is_tick(w))
		return -EAGAIN;
	n = share(w, n);
	w->writes++;
	return buf_add(&w->to_client, p, n) ? (ssize_t)n : -EPIPE;
}

const struct tls_transport wire_transport = {NULL, server_read, server_write};

/* ------------------------------------------------------------------- the client */

static ssize_t client_pull(gnutls_transport_ptr_t user, void *p, size_t n)
{
	struct test_client *c = user;
	ssize_t got = take(c->wire, &c->wire->to_client, p, n);

	if (got >= 0)
		return got;
	gnutls_transport_set_errno(c->session, EAGAIN);
	return -1;
}

static ssize_t client_push(gnutls_transport_ptr_t user, const void *p, size_t n)
{
	struct test_client *c = user;

	return buf_add(&c->wire->to_server, p, n) ? (ssize_t)n : -1;
}

void client_open(struct test_client *c, struct wire *w, const struct client_wish *wish)
{
	*c = (struct test_client){.wire = w};
	/* The certificate is sent even if the server names other issuers. */
	OK(gnutls_init(&c->session, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT));
	OK(gnutls_certificate_allocate_credentials(&c->credentials));
	if (wish->pair != NULL) {
		const gnutls_datum_t certificate = datum(wish->pair->certificate);
		const gnutls_datum_t key = datum(wish->pair->key);

		OK(gnutls_certificate_set_x509_key_mem(
			c->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM));
	}
	OK(gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->credentials));
	OK(gnutls_priority_set_direct(c->session,
		wish->priorities == NULL ? "NORMAL" : wish->priorities, NULL));
	if (wish->server_name != NULL)
		OK(gnutls_server_name_set(c->session, GNUTLS_NAME_DNS, wish->server_name,
			strlen(wish->server_name)));
	if (wish->alpn != NULL) {
		const gnutls_datum_t alpn = datum(wish->alpn);

		OK(gnutls_alpn_set_protocols(c->session, &alpn, 1, 0));
	}
	if (wish->resumed != NULL)
		OK(gnutls_session_set_data(
			c->session, wish->resumed->data, wish->resumed->size));
	if (w == NULL)
		return;
	gnutls_transport_set_ptr(c->session, c);
	gnutls_transport_set_pull_function(c->session, client_pull);
	gnutls_transport_set_push_function(c->session, client_push);
}

void client_close(struct test_client *c)
{
	gnutls_deinit(c->session);
	gnutls_certificate_free_credentials(c->credentials);
}

void client_see(const struct test_client *c, char *name, size_t size)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->session, &count);
	gnutls_x509_crt_t certificate;

	name[0] = '\0';
	if (chain == NULL)
		return;
	OK(gnutls_x509_crt_init(&certificate));
	OK(gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER));
	OK(gnutls_x509_crt_get_dn_by_oid(
		certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size));
	gnutls_x509_crt_deinit(certificate);
}

int shake_hands(struct test_client *c, struct tls_session *s, int *ret_client)
{
	int server = -EAGAIN, client = GNUTLS_E_AGAIN;

	/* A byte at a time is the most that it can take. */
	for (int i = 0; i < 100000; i++) {
		if (client < 0 && gnutls_error_is_fatal(client) == 0)
			client = gnutls_handshake(c->session);
		if (server == -EAGAIN)
			server = tls_session_handshake(s);
		if (server != -EAGAIN &&
			(client == 0 || gnutls_error_is_fatal(client) != 0))
			break;
		if (server < 0 && server != -EAGAIN && c->wire->to_client.len == 0)
			break;
	}
	if (ret_client != NULL)
		*ret_client = client;
	return server;
}
