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

#include "base/buf.h"
#include "net/certificate.h"
#include "net/tls_context.h"
#include "net/tls_peer.h"

/* What is gathered for one write: a flight of the handshake with its certificates, a
 * ticket with those of the client and a record. */
#define HELD_MAX 262144

/* A record with an alert that is not encrypted (RFC 8446, 5.1 and 6). */
#define ALERT_BYTES 7

/* Found out when somebody asks. */
struct bindings {
	bool are_known;
	struct str unique, exporter; /* of GnuTLS's memory */
};

struct tls_session {
	const struct tls *context;
	gnutls_session_t gnutls;
	struct tls_transport transport;

	int failure;                     /* the result of all further calls, if not 0 */
	int transport_error;             /* why GnuTLS could not read or write */
	bool has_heard;                  /* the client has said something */
	bool is_plaintext;               /* and it was no TLS */
	unsigned char last[ALERT_BYTES]; /* of what it has said in the handshake */
	bool is_agreed;                  /* GnuTLS is done with the handshake */
	bool is_established;             /* and the client has been told */
	bool is_closed;                  /* the client has said close_notify */
	bool has_said_bye;
	bool has_pending; /* a record of ours is not yet wholly sent */
	bool is_ticket_due;
	bool is_holding; /* what GnuTLS writes waits in held */
	bool is_verified;
	struct buf held;  /* encrypted, to be written before anything else */
	size_t held_text; /* bytes of the caller's in it */

	char error[256];
	char server_name[256];
	char version[16];
	struct tls_peer peer; /* if verified */
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
static void look_at_input(struct tls_session *s, const unsigned char *p, size_t n)
{
	char first = str_lower((char)p[0]);
	size_t kept = n < ALERT_BYTES ? ALERT_BYTES - n : 0;

	if (!s->has_heard)
		s->is_plaintext = first >= 'a' && first <= 'z';
	s->has_heard = true;
	memmove(s->last, s->last + ALERT_BYTES - kept, kept);
	memcpy(s->last + kept, p + n - (ALERT_BYTES - kept), ALERT_BYTES - kept);
}

/* Write out what is held.  Returns 0, -EAGAIN on a tick, or another negative errno.  For
 * a client that takes little at a time we come again: the caller has a deadline. */
static int flush(struct tls_session *s)
{
	ssize_t sent;

	if (s->held.len == 0)
		return 0;
	sent = s->transport.write(s->transport.user, s->held.p, s->held.len);
	if (sent < 0)
		return (int)sent;
	buf_consume(&s->held, (size_t)sent);
	return s->held.len > 0 ? -EAGAIN : 0;
}

static ssize_t push(gnutls_transport_ptr_t user, const giovec_t *iov, int count)
{
	struct tls_session *s = user;
	bool is_held = s->is_holding || s->held.len > 0;
	ssize_t sent = 0, total = 0;

	for (int i = 0; i < count; i++) {
		struct str piece = {iov[i].iov_base, iov[i].iov_len};

		if (is_held)
			sent = buf_add_str(&s->held, piece) ? (ssize_t)piece.n : -ENOMEM;
		else
			sent = s->transport.write(s->transport.user, piece.p, piece.n);
		total += sent > 0 ? sent : 0;
		if (sent != (ssize_t)piece.n)
			break;
	}
	return sent < 0 && total == 0 ? report(s, sent) : total;
}

/* A flight of the handshake is one write: before we wait for what it leads to. */
static ssize_t pull(gnutls_transport_ptr_t user, void *p, size_t n)
{
	struct tls_session *s = user;
	ssize_t got = flush(s);

	if (got == 0)
		got = s->transport.read(s->transport.user, p, n);
	if (got < 0)
		return report(s, got);
	if (got > 0 && !s->is_established)
		look_at_input(s, p, (size_t)got);
	return got;
}

/* ------------------------------------------------------------------ beginning */

/* In the handshake, when the client has sent its certificate. */
static int judge_certificate(gnutls_session_t session)
{
	struct tls_session *s = gnutls_session_get_ptr(session);

	s->is_verified = tls_peer_is_good(s->gnutls, s->error, sizeof(s->error));
	if (s->is_verified ||
		s->context->client_certificate != CLIENT_CERTIFICATE_REQUIRE)
		return 0;
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

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
	/* SSLKEYLOGFILE is not for servers; and in a worker, which has closed what is
	 * not its own, its descriptor could be a client's by now. */
	gnutls_session_set_keylog_function(s->gnutls, NULL);
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

/* The alert that the client has sent; -1: none.  OpenSSL sends those about our
 * certificate without encryption, so that GnuTLS, which expects it by then, cannot read
 * them. */
static int find_alert(const struct tls_session *s, int r)
{
	static const unsigned char header[] = {21, 3, 3, 0, 2};

	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return (int)gnutls_alert_get(s->gnutls);
	if (!s->is_agreed && memcmp(s->last, header, sizeof(header)) == 0)
		return s->last[ALERT_BYTES - 1];
	return -1;
}

/* In GnuTLS's words; of certificates more has been said already. */
static void say_why(struct tls_session *s, int r)
{
	int alert = find_alert(s, r);
	const char *name = gnutls_alert_get_name((gnutls_alert_description_t)alert);

	if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && s->error[0] != '\0')
		return;
	if (alert >= 0)
		(void)snprintf(s->error, sizeof(s->error), "%s (%s)",
			gnutls_strerror(GNUTLS_E_FATAL_ALERT_RECEIVED),
			name == NULL ? "of an unknown kind" : name);
	else
		(void)snprintf(s->error, sizeof(s->error), "%s",
			s->transport_error != 0 ? strerror(-s->transport_error)
			: r == GNUTLS_E_NO_CERTIFICATE_FOUND ||
					r == GNUTLS_E_CERTIFICATE_REQUIRED
				? "the client has sent no certificate"
			: r == GNUTLS_E_PK_SIGN_FAILED
				? "the keys process has not signed, see keys.* in the log"
				: gnutls_strerror(r));
}

/* The session is over.  The client is told why, if it is there and speaks TLS. */
static int fail(struct tls_session *s, int r)
{
	bool is_heard = find_alert(s, r) < 0 && r != GNUTLS_E_PREMATURE_TERMINATION &&
			s->transport_error == 0 && s->has_heard && !s->is_plaintext &&
			!s->has_pending && flush(s) == 0;

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
		s->is_verified = tls_peer_is_good(s->gnutls, s->error, sizeof(s->error));
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
		tls_peer_read(s->gnutls, &s->peer);
	s->error[0] = '\0';
	s->is_ticket_due = s->context->has_tickets && version == GNUTLS_TLS1_3;
	s->is_established = true;
}

/* For a write that failed outside GnuTLS. */
static int judge_write(struct tls_session *s, int r)
{
	if (r == -EAGAIN)
		return r;
	(void)report(s, r);
	return fail(s, GNUTLS_E_PUSH_ERROR);
}

int tls_session_handshake(struct tls_session *s)
{
	int r = 0;

	if (s->failure != 0 || s->is_established)
		return s->failure;
	if (!s->is_agreed) {
		s->is_holding = true;
		r = gnutls_handshake(s->gnutls);
		s->is_holding = false;
		if (r < 0)
			return judge(s, r);
		s->is_agreed = true;
		if (!is_still_welcome(s))
			return fail(s, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
	}
	r = flush(s);
	if (r < 0)
		return judge_write(s, r);
	establish(s);
	return 0;
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

/* Encrypt the first words, with the ticket before them: the client may come back with it
 * and save both of us a signature.  That GnuTLS makes none is no failure. */
static ssize_t send_with_ticket(struct tls_session *s, struct str text)
{
	ssize_t sent;

	s->is_ticket_due = false;
	s->is_holding = true;
	(void)gnutls_session_ticket_send(s->gnutls, 1, 0);
	sent = gnutls_record_send(s->gnutls, text.p, text.n);
	s->is_holding = false;
	s->held_text = sent > 0 ? (size_t)sent : 0;
	return sent;
}

/* What is encrypted already goes out first, and counts then. */
ssize_t tls_session_write(struct tls_session *s, struct str text)
{
	ssize_t sent = 0;
	int r;

	if (s->failure != 0)
		return s->failure;
	if (!s->is_established)
		return -EPROTO;
	if (s->is_ticket_due)
		sent = send_with_ticket(s, text);
	if (sent < 0)
		return judge(s, (int)sent);
	r = flush(s);
	if (r < 0)
		return judge_write(s, r);
	if (s->held_text > 0)
		sent = (ssize_t)s->held_text;
	else if (sent == 0)
		sent = s->has_pending ? gnutls_record_send(s->gnutls, NULL, 0)
				      : gnutls_record_send(s->gnutls, text.p, text.n);
	s->held_text = 0;
	s->has_pending = sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED;
	return sent < 0 ? judge(s, (int)sent) : sent;
}

void tls_session_bye(struct tls_session *s)
{
	if (!s->is_established || s->failure != 0 || s->has_pending || s->held.len > 0 ||
		s->has_said_bye)
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
		.subject = str_of(s->peer.subject),
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
	ret->subject = str_of(s->peer.subject);
	ret->external = str_of(s->peer.external);
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
