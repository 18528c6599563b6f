/* What tls.c makes and tls_session.c uses; nobody else's business. */
#ifndef SINKD_NET_TLS_CONTEXT_H
#define SINKD_NET_TLS_CONTEXT_H

#include <gnutls/gnutls.h>

#include "net/tls.h"

/* The certificates for one server name. */
struct tls_credentials {
	char *name; /* NULL for the first: any */
	gnutls_certificate_credentials_t certificates;
};

struct tls {
	gnutls_priority_t priorities;
	struct tls_credentials *credentials;
	size_t count;
	enum client_certificate client_certificate;
	bool has_tickets;
	unsigned char ticket_key[TLS_TICKET_KEY_BYTES];
};

#endif
