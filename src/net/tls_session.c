/* One client's TLS session; see tls.h.
 *
 * Runs in workers, inside the sandbox; all bytes are hostile until GnuTLS has checked
 * them.  Never logs.  Once a session has failed it stays so: every further call has the
 * same result, and nothing is sent or read again.
 *
 * Renegotiation is refused (RFC 5746 makes it safe, nothing makes it useful here), there
 * is no early data, and under TLS 1.3 the one session ticket leaves together with our
 * first words: there are clients that hang on one that comes alone. */
#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buf.h"
#include "net/certificate.h"
#include "net/tls_context.h"

/* A ticket may hold the client's certificates. */
#define HELD_MAX 65536

/* What is gathered for one write; a flight of the handshake with a usual chain. */
#define GATHER_BYTES 8192

/* Found out when somebody asks. */
struct bindings {
	bool are_known;
	struct str unique, exporter; /* of GnuTLS's memory */
};

struct tls_session {
	const struct tls *context;
	gnutls_session_t gnutls;
	struct tls_transport transport;

	int failure;         /* the result of all further calls, if not 0 */
	int transport_error; /* why GnuTLS could not read or write */
	bool has_heard;      /* the client has said something */
	bool is_plaintext;   /* and it was no TLS */
	bool is_agreed;      /* GnuTLS is done with the handshake */
	bool is_established; /* and the client has been told */
	bool is_closed;      /* the client has said close_notify */
	bool has_said_bye;
	bool has_pending; /* a record of ours is not yet wholly sent */
	bool is_ticket_due;
	bool is_holding; /* what GnuTLS writes waits in held */
	bool is_verified;
	struct buf held;

	char error[256];
	char server_name[256];
	char version[16];
	char subject[256];
	char external[256];
	struct bindings *bindings;
};

/* ------------------------------------------------------------- the transport */

/* For GnuTLS: remember the error of the transport, and tell. */
static ssize_t report(struct tls_session *s, ssize_t error)
{
	if (error != -EAGAIN)
		s->transport_error = (int)error;
	gnutls_transport_set_errno(s->gnutls, (int)-error);
	return -1;
}

/* The first byte of a record is its type, and none is a letter. */
static void look_at_first(struct tls_session *s, char first)
{
	char c = str_lower(first);

	s->has_heard = true;
	s->is_plaintext = c >= 'a' && c <= 'z';
}

/* The next bytes to write from held and iov, of which taken bytes have gone already: in
 * one piece, through gathered where they are not. */
static struct str next_piece(const struct tls_session *s, const giovec_t *iov, int count,
	size_t taken, char gathered[GATHER_BYTES])
{
	size_t n = s->held.len < GATHER_BYTES ? s->held.len : GATHER_BYTES;

	if (n > 0)
		memcpy(gathered, s->held.p, n);
	for (int i = 0; i < count && n < GATHER_BYTES; i++) {
		const char *p = iov[i].iov_base;
		size_t skipped = taken < iov[i].iov_len ? taken : iov[i].iov_len;
		size_t rest = iov[i].iov_len - skipped;

		taken -= skipped;
		if (n == 0 && (i == count - 1 || rest >= GATHER_BYTES))
			return (struct str){p + skipped, rest};
		if (rest > GATHER_BYTES - n)
			rest = GATHER_BYTES - n;
		memcpy(gathered + n, p + skipped, rest);
		n += rest;
	}
	return (struct str){gathered, n};
}

/* Write held, and then iov; returns how much of the latter was taken, if it was not
 * nothing at all. */
static ssize_t write_out(struct tls_session *s, const giovec_t *iov, int count, size_t n)
{
	char gathered[GATHER_BYTES];
	size_t taken = 0;

	while (s->held.len > 0 || taken < n) {
		struct str piece = next_piece(s, iov, count, taken, gathered);
		ssize_t sent = s->transport.write(s->transport.user, piece.p, piece.n);
		size_t of_held = sent > (ssize_t)s->held.len ? s->held.len : (size_t)sent;

		if (sent <= 0)
			return taken > 0 ? (ssize_t)taken : sent == 0 ? -EAGAIN : sent;
		if (of_held > 0)
			buf_consume(&s->held, of_held);
		taken += (size_t)sent - of_held;
	}
	return (ssize_t)taken;
}

static ssize_t push(gnutls_transport_ptr_t user, const giovec_t *iov, int count)
{
	struct tls_session *s = user;
	size_t total = 0;
	ssize_t sent;

	for (int i = 0; i < count; i++) {
		total += iov[i].iov_len;
		if (s->is_holding && !buf_add(&s->held, iov[i].iov_base, iov[i].iov_len))
			return report(s, -ENOMEM);
	}
	if (s->is_holding)
		return (ssize_t)total;
	sent = write_out(s, iov, count, total);
	return sent < 0 ? report(s, sent) : sent;
}

/* A flight of the handshake is one write: before we wait for what it leads to. */
static ssize_t pull(gnutls_transport_ptr_t user, void *p, size_t n)
{
	struct tls_session *s = user;
	ssize_t got = write_out(s, NULL, 0, 0);

	if (got >= 0)
		got = s->transport.read(s->transport.user, p, n);
	if (got < 0)
		return report(s, got);
	if (got > 0 && !s->has_heard)
		look_at_first(s, *(const char *)p);
	return got;
}

/* ------------------------------------------------------- certificates of clients */

static void explain(struct tls_session *s, const char *what, unsigned status)
{
	gnutls_datum_t text = {NULL, 0};

	(void)gnutls_certificate_verification_status_print(
		status, GNUTLS_CRT_X509, &text, 0);
	(void)snprintf(s->error, sizeof(s->error), "%s: %s", what,
		text.data == NULL ? "" : (const char *)text.data);
	gnutls_free(text.data);
}

/* Whether the client's certificate is one of our CA's. */
static bool is_certificate_good(struct tls_session *s)
{
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = 0;
	int r = gnutls_certificate_verify_peers(s->gnutls, &purpose, 1, &status);

	if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
		(void)snprintf(s->error, sizeof(s->error), "%s",
			"the client has sent no certificate");
	else if (r < 0)
		(void)snprintf(s->error, sizeof(s->error),
			"the client's certificate cannot be checked: %s",
			gnutls_strerror(r));
	else if (status != 0)
		explain(s, "the client's certificate is not good", status);
	return r >= 0 && status == 0;
}

/* In the handshake, when the client has sent its certificate. */
static int judge_certificate(gnutls_session_t session)
{
	struct tls_session *s = gnutls_session_get_ptr(session);

	s->is_verified = is_certificate_good(s);
	if (s->is_verified ||
		s->context->client_certificate != CLIENT_CERTIFICATE_REQUIRE)
		return 0;
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
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

static void read_certificate(struct tls_session *s)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->gnutls, &count);
	gnutls_datum_t name = {NULL, 0};
	gnutls_x509_crt_t certificate;

	if (chain == NULL || count == 0 || gnutls_x509_crt_init(&certificate) < 0)
		return;
	if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
		gnutls_x509_crt_get_dn3(certificate, &name, 0) >= 0) {
		(void)str_copy(s->subject, sizeof(s->subject),
			(struct str){(const char *)name.data, name.size});
		read_external(certificate, s->external, sizeof(s->external));
	}
	gnutls_free(name.data);
	gnutls_x509_crt_deinit(certificate);
}

/* ------------------------------------------------------------------ beginning */

static void read_server_name(struct tls_session *s)
{
	size_t n = sizeof(s->server_name) - 1;
	unsigned type;

	if (gnutls_server_name_get(s->gnutls, s->server_name, &n, &type, 0) < 0)
		n = 0;
	s->server_name[n] = '\0';
}

/* The client has said which server it means.  What we do not know gets the first. */
static int choose_credentials(gnutls_session_t session)
{
	struct tls_session *s = gnutls_session_get_ptr(session);
	const struct tls *t = s->context;
	struct str name;

	read_server_name(s);
	name = str_of(s->server_name);
	for (size_t i = 1; i < t->count; i++)
		if (certificate_name_matches(str_of(t->credentials[i].name), name))
			return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
				t->credentials[i].certificates);
	return 0;
}

static int set_up(struct tls_session *s)
{
	static const unsigned char smtp[] = "smtp";
	const gnutls_datum_t alpn = {(unsigned char *)(uintptr_t)smtp, sizeof(smtp) - 1};
	const gnutls_datum_t ticket_key = {
		(unsigned char *)(uintptr_t)s->context->ticket_key, TLS_TICKET_KEY_BYTES};
	static const gnutls_certificate_request_t requests[] = {
		[CLIENT_CERTIFICATE_OFF] = GNUTLS_CERT_IGNORE,
		[CLIENT_CERTIFICATE_REQUEST] = GNUTLS_CERT_REQUEST,
		[CLIENT_CERTIFICATE_REQUIRE] = GNUTLS_CERT_REQUIRE,
	};
	int r = gnutls_priority_set(s->gnutls, s->context->priorities);

	if (r >= 0)
		r = gnutls_credentials_set(s->gnutls, GNUTLS_CRD_CERTIFICATE,
			s->context->credentials[0].certificates);
	/* A client that offers only others goes on without (RFC 7301 would end it): SMTP
	 * is all there is, whatever they call it. */
	if (r >= 0)
		r = gnutls_alpn_set_protocols(s->gnutls, &alpn, 1, 0);
	if (r >= 0 && s->context->has_tickets)
		r = gnutls_session_ticket_enable_server(s->gnutls, &ticket_key);
	gnutls_certificate_server_set_request(
		s->gnutls, requests[s->context->client_certificate]);
	if (s->context->count > 1)
		gnutls_handshake_set_post_client_hello_function(
			s->gnutls, choose_credentials);
	if (s->context->client_certificate != CLIENT_CERTIFICATE_OFF)
		gnutls_session_set_verify_function(s->gnutls, judge_certificate);
	gnutls_session_set_ptr(s->gnutls, s);
	gnutls_transport_set_ptr(s->gnutls, s);
	gnutls_transport_set_pull_function(s->gnutls, pull);
	gnutls_transport_set_vec_push_function(s->gnutls, push);
	return r;
}

struct tls_session *tls_session_new(
	const struct tls *t, const struct tls_transport *transport)
{
	struct tls_session *s = calloc(1, sizeof(*s));
	unsigned flags = GNUTLS_SERVER | GNUTLS_NO_SIGNAL | GNUTLS_NO_AUTO_SEND_TICKET;

	if (s == NULL)
		return NULL;
	s->context = t;
	s->transport = *transport;
	buf_init(&s->held, HELD_MAX);
	if (!t->has_tickets)
		flags |= GNUTLS_NO_TICKETS;
	s->bindings = calloc(1, sizeof(*s->bindings));
	if (s->bindings == NULL || gnutls_init(&s->gnutls, flags) < 0 || set_up(s) < 0) {
		tls_session_free(s);
		return NULL;
	}
	return s;
}

/* What binds an exchange is a secret of the two sides. */
static void forget(struct str binding)
{
	char *p = (char *)(uintptr_t)binding.p;

	if (p != NULL)
		explicit_bzero(p, binding.n);
	gnutls_free(p);
}

void tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	if (s->gnutls != NULL)
		gnutls_deinit(s->gnutls);
	if (s->bindings != NULL) {
		forget(s->bindings->unique);
		forget(s->bindings->exporter);
	}
	free(s->bindings);
	buf_done(&s->held);
	free(s);
}

/* --------------------------------------------------------------------- failing */

/* In GnuTLS's words; of certificates more has been said already. */
static void say_why(struct tls_session *s, int r)
{
	if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && s->error[0] != '\0')
		return;
	(void)snprintf(s->error, sizeof(s->error), "%s",
		s->transport_error != 0 ? strerror(-s->transport_error)
		: r == GNUTLS_E_NO_CERTIFICATE_FOUND || r == GNUTLS_E_CERTIFICATE_REQUIRED
			? "the client has sent no certificate"
			: gnutls_strerror(r));
	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
		(void)snprintf(s->error, sizeof(s->error), "%s (%s)", gnutls_strerror(r),
			gnutls_alert_get_name(gnutls_alert_get(s->gnutls)));
}

/* The session is over.  The client is told why, if it is there and speaks TLS. */
static int fail(struct tls_session *s, int r)
{
	bool is_heard = r != GNUTLS_E_FATAL_ALERT_RECEIVED &&
			r != GNUTLS_E_PREMATURE_TERMINATION && s->transport_error == 0 &&
			s->has_heard && !s->is_plaintext && !s->has_pending;

	say_why(s, r);
	if (is_heard)
		(void)gnutls_alert_send_appropriate(s->gnutls, r);
	s->failure = s->transport_error != 0      ? s->transport_error
		     : r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM
						  : -EPROTO;
	return s->failure;
}

/* For a call of GnuTLS that did not do what it should.  Warnings are no reason to go on
 * at once: the caller may want to look at its deadline. */
static int judge(struct tls_session *s, int r)
{
	if (r != GNUTLS_E_REHANDSHAKE && gnutls_error_is_fatal(r) == 0)
		return -EAGAIN;
	return fail(s, r);
}

/* ------------------------------------------------------------------- the session */

/* With the ticket of a session in which the client showed its certificate it shows it
 * again; the certificate, or our CAs, may have changed their minds since then. */
static bool is_still_welcome(struct tls_session *s)
{
	enum client_certificate wish = s->context->client_certificate;

	if (wish != CLIENT_CERTIFICATE_OFF && gnutls_session_is_resumed(s->gnutls) != 0)
		s->is_verified = is_certificate_good(s);
	return s->is_verified || wish != CLIENT_CERTIFICATE_REQUIRE;
}

static void establish(struct tls_session *s)
{
	gnutls_protocol_t version = gnutls_protocol_get_version(s->gnutls);
	const char *name = gnutls_protocol_get_name(version);

	/* "TLS1.3" is TLSv1.3 to everybody else. */
	(void)snprintf(s->version, sizeof(s->version), "TLSv%s",
		name == NULL || strlen(name) < 3 ? "?" : name + 3);
	read_server_name(s);
	if (s->is_verified)
		read_certificate(s);
	s->error[0] = '\0';
	s->is_ticket_due = s->context->has_tickets && version == GNUTLS_TLS1_3;
	s->is_established = true;
}

int tls_session_handshake(struct tls_session *s)
{
	ssize_t r = 0;

	if (s->failure != 0 || s->is_established)
		return s->failure;
	if (!s->is_agreed) {
		s->is_holding = true;
		r = gnutls_handshake(s->gnutls);
		s->is_holding = false;
		s->is_agreed = r >= 0;
		if (r < 0)
			return judge(s, (int)r);
		if (!is_still_welcome(s))
			return fail(s, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
	}
	r = write_out(s, NULL, 0, 0);
	if (r < 0 && r != -EAGAIN) {
		(void)report(s, r);
		return fail(s, GNUTLS_E_PUSH_ERROR);
	}
	if (r == 0)
		establish(s);
	return (int)r;
}

const char *tls_session_error(const struct tls_session *s)
{
	return s->error;
}

bool tls_session_saw_plaintext(const struct tls_session *s)
{
	return s->is_plaintext;
}

ssize_t tls_session_read(struct tls_session *s, void *p, size_t n)
{
	ssize_t got;

	if (s->failure != 0 || s->is_closed)
		return s->failure;
	if (!s->is_established)
		return -EPROTO;
	got = gnutls_record_recv(s->gnutls, p, n);
	s->is_closed = got == 0;
	return got < 0 ? judge(s, (int)got) : got;
}

/* The client may come back with it and save both of us a signature.  That GnuTLS makes
 * none is no failure, unless it lost what it had made. */
static int prepare_ticket(struct tls_session *s)
{
	int r;

	s->is_ticket_due = false;
	s->is_holding = true;
	r = gnutls_session_ticket_send(s->gnutls, 1, 0);
	s->is_holding = false;
	return r < 0 && s->transport_error != 0 ? fail(s, r) : 0;
}

ssize_t tls_session_write(struct tls_session *s, struct str text)
{
	ssize_t sent;

	if (s->failure != 0)
		return s->failure;
	if (!s->is_established)
		return -EPROTO;
	if (s->is_ticket_due && prepare_ticket(s) < 0)
		return s->failure;
	/* What is encrypted already goes out first, and counts then. */
	sent = s->has_pending ? gnutls_record_send(s->gnutls, NULL, 0)
			      : gnutls_record_send(s->gnutls, text.p, text.n);
	s->has_pending = sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED;
	return sent < 0 ? judge(s, (int)sent) : sent;
}

void tls_session_bye(struct tls_session *s)
{
	if (!s->is_established || s->failure != 0 || s->has_pending || s->has_said_bye)
		return;
	s->has_said_bye = true;
	(void)gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
}

/* ------------------------------------------------------------- what it is like */

void tls_session_describe(const struct tls_session *s, struct envelope_tls *ret)
{
	assert(s->is_established);
	*ret = (struct envelope_tls){
		.version = str_of(s->version),
		.cipher = str_of(gnutls_ciphersuite_get(s->gnutls)),
		.subject = str_of(s->subject),
	};
}

/* Both are of use only where they stand for one session: from TLS 1.3 on tls-unique is
 * none (RFC 8446, C.5), before it needs the extended master secret (RFC 7627). */
static struct str bind_to(const struct tls_session *s, gnutls_channel_binding_t kind)
{
	bool is_new = gnutls_protocol_get_version(s->gnutls) == GNUTLS_TLS1_3;
	bool is_safe = is_new || (gnutls_session_get_flags(s->gnutls) &
					 GNUTLS_SFLAGS_EXT_MASTER_SECRET) != 0;
	gnutls_datum_t binding = {NULL, 0};

	if (!is_safe || (is_new && kind == GNUTLS_CB_TLS_UNIQUE) ||
		gnutls_session_channel_binding(s->gnutls, kind, &binding) < 0)
		return (struct str){NULL, 0};
	return (struct str){(char *)binding.data, binding.size};
}

void tls_session_bind(const struct tls_session *s, struct sasl_session *ret)
{
	assert(s->is_established);
	if (!s->bindings->are_known) {
		s->bindings->are_known = true;
		s->bindings->unique = bind_to(s, GNUTLS_CB_TLS_UNIQUE);
		s->bindings->exporter = bind_to(s, GNUTLS_CB_TLS_EXPORTER);
	}
	ret->is_tls = true;
	ret->subject = str_of(s->subject);
	ret->external = str_of(s->external);
	ret->binding_unique = s->bindings->unique;
	ret->binding_exporter = s->bindings->exporter;
}

bool tls_session_is_resumed(const struct tls_session *s)
{
	return s->is_established && gnutls_session_is_resumed(s->gnutls) != 0;
}

struct str tls_session_server_name(const struct tls_session *s)
{
	return str_of(s->server_name);
}
