/* Certificates made for the occasion, a process that has their keys, and a client on a
 * wire of memory, so that each byte can come when a test wants it to. */
#ifndef SINKD_TESTS_TLS_FIXTURE_H
#define SINKD_TESTS_TLS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buf.h"
#include "net/tls.h"

/* A certificate and its key, PEM, terminated. */
struct test_pair {
	char certificate[8192];
	char key[8192];
};

/* What a certificate is to say. */
struct test_wish {
	/* Common name, and a name of a host if it has a dot; NULL: there is none. */
	const char *name;
	const char *mailbox;
	bool is_addressed; /* 192.0.2.1 is among its names */
	bool is_rsa, is_ca, is_expired;
	const struct test_pair *issuer; /* NULL: itself */
};

void make_pair(const struct test_wish *wish, struct test_pair *ret);

/* A process with these keys.  Returns its pid; *ret_fd is where to ask. */
int start_signer(const struct test_pair *const *pairs, size_t n, int *ret_fd);
void stop_signer(int pid, int fd);

/* Between client and server.  chunk: how many bytes may pass in one call, 0 for any
 * number; stutters: every other call is a tick. */
struct wire {
	struct buf to_server, to_client;
	size_t chunk;
	bool stutters;
	bool is_cut;     /* the client has gone */
	bool is_clogged; /* the client takes nothing any more */
	int read_error;  /* instead of bytes */
	unsigned calls;
	unsigned writes; /* of the server */
};

struct client_wish {
	const char *priorities; /* NULL: the default */
	const char *server_name;
	const char *alpn;
	const struct test_pair *pair;
	const gnutls_datum_t *resumed;
};

struct test_client {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	struct wire *wire;
};

extern const struct tls_transport wire_transport; /* without its user */

void wire_init(struct wire *w);
void wire_done(struct wire *w);

/* w NULL: the caller sets another transport. */
void client_open(struct test_client *c, struct wire *w, const struct client_wish *wish);
void client_close(struct test_client *c);
/* The common name of the server's certificate. */
void client_see(const struct test_client *c, char *name, size_t size);

/* Both sides until both are done, or one has failed.  Returns the server's result. */
int shake_hands(struct test_client *c, struct tls_session *s, int *ret_client);

/* ------------------------------------------------------------ a server for a test */

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

/* Its certificates: two for one.test, which is the server for any name, one for two.test,
 * and one for *.wild.test with the common name "wild". */
enum test_server { RSA, ECDSA, TWO, WILD, SERVERS };

/* Those of clients: the first two are from the CA that the server knows. */
struct test_world {
	struct test_pair servers[SERVERS], ca, mary, john, nameless, stranger, old;
	int signer_pid, signer_fd;
};
extern struct test_world world;
extern const unsigned char test_ticket_key[TLS_TICKET_KEY_BYTES];

/* For suites.  Return 0. */
int make_world(void);
int end_world(void);

struct scene {
	struct tls *context;
	struct tls_session *server;
	struct wire wire;
	struct test_client client;
};

/* What tls_new wants, from settings of which the priorities may be left out. */
struct tls *open_context(const struct tls_settings *settings);

/* A server and a client, which have not said anything. */
void scene_begin(struct scene *s, const struct tls_settings *settings,
	const struct client_wish *wish);
void scene_finish(struct scene *s);

/* What the client gets; a ticket is nothing to it. */
ssize_t scene_receive(struct scene *s, char *p, size_t n);
/* Text of the server arrives at the client, and the other way. */
bool scene_says(struct scene *s, const char *text);
bool scene_hears(struct scene *s, const char *text);

extern const struct tls_settings plain_settings, ticket_settings;

#endif
