/* A client that hands in one message and remembers what it was told. */
#ifndef SINKD_TESTS_CLIENT_H
#define SINKD_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

struct client {
	int fd;
	const char *text;  /* with line ends CR LF */
	bool leaves_early; /* in the middle of the text */
	unsigned repeats;  /* how often the last recipient is named again */
	bool is_secure;    /* STARTTLS and AUTH come first */

	unsigned step;
	gnutls_session_t tls;
	bool is_shaking_hands;
	bool waits;      /* for bytes of the server */
	size_t heard;    /* bytes under TLS */
	char line[1024]; /* a reply that has begun */
	size_t length;
	bool is_accepted; /* 250 after the dot */
	bool is_refused;  /* another reply after the dot, or before the text */
	bool is_over;
};

/* fd is connected, and is closed by client_close. */
void client_open(struct client *c, int fd, const char *text);
void client_close(struct client *c);

/* Read what there is without waiting, and answer it.  When there is nothing to
 * answer the client leaves: who waits for it then would wait for ever. */
void client_take_turn(struct client *c);

/* Read and answer until the server closes. */
void client_talk(struct client *c);

#endif
