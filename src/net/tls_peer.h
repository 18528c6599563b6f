/* Who a client is by its certificate.  For tls_session.c alone. */
#ifndef SINKD_NET_TLS_PEER_H
#define SINKD_NET_TLS_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

/* Terminated text, cut to fit. */
struct tls_peer {
	char subject[256];  /* RFC 4514, or its first name when it has none */
	char external[256]; /* the first mailbox that it names, or else its common name */
};

/* Whether the client has a certificate of one of our CAs, in the session's handshake or
 * after it.  If not, what is wrong goes to out. */
bool tls_peer_is_good(gnutls_session_t session, char *out, size_t size);

/* What the certificate says; only for a good one. */
void tls_peer_read(gnutls_session_t session, struct tls_peer *ret);

#endif
