/* One client's connection: bytes in through a buffer, bytes out in whole.
 *
 * The socket is blocking with a tick: reads and writes give up after a second, so that
 * the caller can look at its deadlines and at the world, and then go on.  A socket has
 * inherited the tick from its listener, or else is waited for so long before each call.
 */
#ifndef SINKD_NET_CONN_H
#define SINKD_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* The size that costs least per byte; pages that stay untouched cost nothing.  Half of
 * it has room for more than one TLS record. */
#define CONN_INPUT_BYTES 65536

/* How long a closing connection should be allowed to go on talking. */
#define CONN_LINGER_MS 2000

/* How long a read or a write waits. */
#define CONN_TICK_MS 1000

struct tls;
struct tls_session;

struct conn {
	int fd;
	bool has_tick;
	struct tls_session *tls; /* NULL: in plaintext */
	/* Under TLS the first half has what was decrypted and the second what was not
	 * yet, of which raw_used bytes have gone to the session. */
	char *input; /* CONN_INPUT_BYTES, kept from client to client */
	size_t input_len;
	size_t input_used;
	size_t raw_len;
	size_t raw_used;
	bool is_raw_enough;       /* take what is there, do not wait for more */
	uint64_t raw_deadline_ms; /* the tick of what GnuTLS does with many reads */
};

/* Returns 0 or -ENOMEM. */
int conn_init(struct conn *c);
void conn_done(struct conn *c);

/* Serve the client on fd, which the conn owns from here on.  has_tick: its reads and
 * writes give up by themselves, see listener_gives_tick. */
void conn_take_fd(struct conn *c, int fd, bool has_tick);

/* What was read and not yet used, and that n bytes of it have been used; wipe: and are
 * to be overwritten, with all before them. */
struct str conn_input(const struct conn *c);
void conn_use(struct conn *c, size_t n);
void conn_wipe(struct conn *c);

/* Before the first read, in plaintext: what the client has sent, n octets at most, which
 * stay where they are; waits for ms at most.  Returns as conn_read.  drop: n octets of
 * what was seen are taken and thrown away.  Returns 0 or a negative errno. */
ssize_t conn_peek(const struct conn *c, char *p, size_t n, uint32_t ms);
int conn_drop(struct conn *c, size_t n);

/* Wait, for ms at most, whether the client goes for good, so that nothing reaches it any
 * more.  One that has said its last word may still listen, and does not count. */
bool conn_loses_client(const struct conn *c, uint32_t ms);

/* The same for one of whom nothing more is heard: it counts as gone with its last
 * word. */
bool conn_ends(const struct conn *c, uint32_t ms);

/* Whether the client has closed the connection, with nothing left of it to be read: what
 * we say now it will probably not hear.  may_listen: it has taken its leave, and who then
 * closes one direction only may still wait for what we say. */
bool conn_has_lost_client(const struct conn *c, bool may_listen);

/* From here on speak TLS; only when all input has been used, so that nothing said in
 * plaintext is taken for what was said under it.  t must live as long as the connection.
 * Returns 0 or -ENOMEM. */
int conn_start_tls(struct conn *c, const struct tls *t);

/* Go on with the handshake, before anything is read or written.  Returns 0 when it is
 * done, -EAGAIN on a tick, -EPROTO when it failed (conn_tls_error tells why), -EIO when
 * the keys process did not sign (likewise), or another negative errno.  There is no way
 * back to plaintext. */
int conn_handshake(struct conn *c);
const char *conn_tls_error(const struct conn *c);

/* NULL: in plaintext. */
const struct tls_session *conn_tls(const struct conn *c);

/* Read once; only when all input has been used.  Returns the number of bytes, 0
 * at the end of the stream, -EAGAIN on a tick, or another negative errno; under TLS
 * -EPROTO when the client broke the protocol, or went without a word. */
ssize_t conn_read(struct conn *c);

/* Write s, or as much of it as the client takes within a tick.  Returns the number
 * of bytes, -EAGAIN for none, or another negative errno.  After -EAGAIN the next s must
 * begin with the same bytes. */
ssize_t conn_write(struct conn *c, struct str s);

/* Close.  A client that may still be sending gets linger_ms: closing at once would
 * reset the connection and could take our last reply with it, so what it sends is
 * read for so long, or until it has closed too.  0: at once.  A TLS session that did not
 * fail ends with close_notify first, and what is then read is read through it. */
void conn_close(struct conn *c, uint32_t linger_ms);

/* Close at once, and let the client see a reset, as far as its kind of socket has one;
 * under TLS without a word. */
void conn_reset(struct conn *c);

#endif
