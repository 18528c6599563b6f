/* TLS by GnuTLS: what the master prepares, and the session of one client.
 *
 * A context is made in the master and shared by all workers forked after that: it has
 * certificates but no private key.  Where one is needed, the keys process is asked (see
 * net/remote_key.h). */
#ifndef SINKD_NET_TLS_H
#define SINKD_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "smtp/envelope.h"
#include "smtp/sasl.h"

enum client_certificate {
	CLIENT_CERTIFICATE_OFF,
	CLIENT_CERTIFICATE_REQUEST,
	CLIENT_CERTIFICATE_REQUIRE
};

/* A certificate chain and its key, both PEM files, and the lines that named them. */
struct tls_pair {
	const char *certificate;
	const char *key;
	unsigned certificate_line;
	unsigned key_line;
};

/* The pairs for one server name; NULL: for clients that name none of the others. */
struct tls_identity {
	const char *name;
	struct tls_pair *pairs;
	size_t pair_count;
};

/* The section tls.  Strings and arrays belong to the configuration. */
struct tls_settings {
	struct tls_identity *identities; /* the first is the one without name */
	size_t identity_count;
	const char *priorities;
	bool has_tickets;
	enum client_certificate client_certificate;
	const char *ca_file; /* NULL: none */
	unsigned ca_file_line;
};

/* A certificate for tls_new: PEM, the name it is for (NULL: any), the number of its key
 * in the keys process. */
struct tls_certificate {
	const char *name;
	struct str chain;
	uint32_t key;
};

/* TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers.  The order is ours;
 * X25519 comes first, since that is the key most clients send unasked, and with another
 * choice they would have to begin anew. */
#define TLS_DEFAULT_PRIORITIES                                                           \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"    \
	"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:"       \
	"-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-GROUP-DH-ALL:-GROUP-X448:-GROUP-SECP256R1:"    \
	"-GROUP-SECP384R1:-GROUP-SECP521R1:+GROUP-SECP256R1:+GROUP-SECP384R1:"           \
	"+GROUP-SECP521R1:%SERVER_PRECEDENCE"

/* Whether GnuTLS takes this priority string; NULL if so, else what is wrong (static). */
const char *tls_check_priorities(const char *text);

struct tls;

/* A secret from which session tickets are made; the same for all workers. */
#define TLS_TICKET_KEY_BYTES 64

/* Make a context.  keys_fd: where the keys process is asked; stays the caller's and must
 * live as long.  ca: PEM, empty for none.  Copies what it needs.  Returns 0 or a negative
 * errno; *ret_error is then what GnuTLS says (static text). */
int tls_new(const struct tls_settings *settings,
	const struct tls_certificate *certificates, size_t count, struct str ca,
	const unsigned char ticket_key[TLS_TICKET_KEY_BYTES], int keys_fd,
	struct tls **ret, const char **ret_error);
void tls_free(struct tls *t);

struct tls_session;

/* How the session gets at its bytes: like recv(2) and send(2), -EAGAIN on a tick. */
struct tls_transport {
	void *user;
	ssize_t (*read)(void *user, void *p, size_t n);
	ssize_t (*write)(void *user, const void *p, size_t n);
};

/* Begin a session as a server.  NULL without memory. */
struct tls_session *tls_session_new(
	const struct tls *t, const struct tls_transport *transport);
/* No byte is sent.  NULL is fine. */
void tls_session_free(struct tls_session *s);

/* Go on with the handshake.  Returns 0 when it is done, -EAGAIN on a tick, -EPROTO when
 * it failed (see tls_session_error), -EIO when that is for want of a signature, -ENOMEM,
 * or another negative errno of the transport. */
int tls_session_handshake(struct tls_session *s);
/* What GnuTLS said last; valid as long as the session. */
const char *tls_session_error(const struct tls_session *s);
/* Whether the client began with letters, as in EHLO, so that it takes us for a server
 * without TLS. */
bool tls_session_saw_plaintext(const struct tls_session *s);

/* As conn_read and conn_write; after -EAGAIN from a write the next
 * one must begin with the same bytes.  Reading gives 0 after close_notify, -EPROTO when
 * the peer broke the protocol, a stream that was cut off included. */
ssize_t tls_session_read(struct tls_session *s, void *p, size_t n);
ssize_t tls_session_write(struct tls_session *s, struct str text);
/* Say close_notify, once, without waiting for the other side's.  Nothing is said in a
 * session that failed, or whose last write was not taken in whole. */
void tls_session_bye(struct tls_session *s);

/* What others want to know, after the handshake; of the sasl_session all but
 * is_plaintext_allowed is set.  Strings live as long as the session. */
void tls_session_describe(const struct tls_session *s, struct envelope_tls *ret);
void tls_session_bind(const struct tls_session *s, struct sasl_session *ret);
bool tls_session_is_resumed(const struct tls_session *s);
struct str tls_session_server_name(const struct tls_session *s); /* SNI; empty: none */

#endif
