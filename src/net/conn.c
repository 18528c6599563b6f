/* One client's connection; see conn.h.
 *
 * Runs in workers; bytes are hostile and are only moved here, never looked at.
 * Never logs. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/number.h"
#include "net/tls.h"

/* Of the input under TLS. */
#define HALF (CONN_INPUT_BYTES / 2)

/* RFC 8446, 5.1 */
#define RECORD_HEADER_BYTES 5
#define RECORD_TEXT_MAX     16384

int conn_init(struct conn *c)
{
	*c = (struct conn){.fd = -1};
	c->input = malloc(CONN_INPUT_BYTES);
	return c->input == NULL ? -ENOMEM : 0;
}

void conn_done(struct conn *c)
{
	tls_session_free(c->tls);
	(void)fdio_close(&c->fd);
	free(c->input);
	*c = (struct conn){.fd = -1};
}

void conn_take_fd(struct conn *c, int fd, bool has_tick)
{
	assert(c->fd == -1 && c->tls == NULL);
	c->fd = fd;
	c->has_tick = has_tick;
	c->input_len = 0;
	c->input_used = 0;
}

struct str conn_input(const struct conn *c)
{
	return (struct str){c->input + c->input_used, c->input_len - c->input_used};
}

void conn_use(struct conn *c, size_t n)
{
	assert(n <= c->input_len - c->input_used);
	c->input_used += n;
}

void conn_wipe(struct conn *c)
{
	explicit_bzero(c->input, c->input_used);
}

/* An interrupted wait is a tick that came early. */
static int failure(void)
{
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* The tick of a socket that has none: returns 0 when it is ready for events, or else
 * -EAGAIN or another negative errno. */
static int await(const struct conn *c, short events)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int n = c->has_tick ? 1 : poll(&p, 1, CONN_TICK_MS);

	if (n < 0)
		return failure();
	return n == 0 ? -EAGAIN : 0;
}

static ssize_t receive(const struct conn *c, char *p, size_t n)
{
	int r = await(c, POLLIN);
	ssize_t got;

	if (r < 0)
		return r;
	got = recv(c->fd, p, n, c->has_tick ? 0 : MSG_DONTWAIT);
	return got < 0 ? failure() : got;
}

static ssize_t transmit(const struct conn *c, const char *p, size_t n)
{
	int flags = MSG_NOSIGNAL | (c->has_tick ? 0 : MSG_DONTWAIT);
	int r = await(c, POLLOUT);
	ssize_t sent;

	if (r < 0)
		return r;
	sent = send(c->fd, p, n, flags);
	return sent < 0 ? failure() : sent;
}

ssize_t conn_peek(const struct conn *c, char *p, size_t n, uint32_t ms)
{
	struct pollfd ready = {.fd = c->fd, .events = POLLIN};
	ssize_t got;

	assert(c->tls == NULL && c->input_used == c->input_len);
	if (ms > 0 && poll(&ready, 1, (int)ms) < 0)
		return failure();
	got = recv(c->fd, p, n, MSG_PEEK | MSG_DONTWAIT);
	return got < 0 ? failure() : got;
}

int conn_drop(struct conn *c, size_t n)
{
	ssize_t got;

	assert(c->tls == NULL && c->input_used == c->input_len && n <= CONN_INPUT_BYTES);
	got = recv(c->fd, c->input, n, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	return (size_t)got == n ? 0 : -EIO;
}

bool conn_loses_client(const struct conn *c, uint32_t ms)
{
	struct pollfd p = {.fd = c->fd}; /* POLLERR and POLLHUP are told unasked */

	return poll(&p, 1, (int)ms) > 0;
}

bool conn_ends(const struct conn *c, uint32_t ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return poll(&p, 1, (int)ms) > 0;
}

bool conn_has_lost_client(const struct conn *c, bool may_listen)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
	char byte;
	ssize_t n;

	/* Who has more to say, and then no more, may still listen. */
	if (conn_input(c).n > 0)
		return false;
	/* What there is to read may be the end in words of TLS. */
	if (c->tls != NULL)
		return poll(&p, 1, 0) > 0 &&
		       (!may_listen || (p.revents & (POLLERR | POLLHUP)) != 0);
	n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return (n == 0 && !may_listen) || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* -------------------------------------------------------------------- under TLS */

/* GnuTLS reads the header of a record, then the rest.  As much as there is is read at
 * once, which saves more calls than the copy costs.  It goes on until it has a record, or
 * a whole flight: a client that drips must not keep it so for longer than a tick. */
static ssize_t read_raw(void *user, void *p, size_t n)
{
	struct conn *c = user;
	const char *raw = c->input + HALF;

	if (c->raw_used == c->raw_len) {
		bool is_over =
			c->is_raw_enough || clock_monotonic_ms() >= c->raw_deadline_ms;
		ssize_t got = is_over ? -EAGAIN : receive(c, c->input + HALF, HALF);

		if (got <= 0)
			return got;
		c->raw_len = (size_t)got;
		c->raw_used = 0;
	}
	n = number_min(n, c->raw_len - c->raw_used);
	memcpy(p, raw + c->raw_used, n);
	c->raw_used += n;
	return (ssize_t)n;
}

static ssize_t write_raw(void *user, const void *p, size_t n)
{
	return transmit(user, p, n);
}

int conn_start_tls(struct conn *c, const struct tls *t)
{
	const struct tls_transport transport = {c, read_raw, write_raw};

	assert(c->tls == NULL && c->input_used == c->input_len);
	c->raw_len = 0;
	c->raw_used = 0;
	c->tls = tls_session_new(t, &transport);
	return c->tls == NULL ? -ENOMEM : 0;
}

static void begin_tick(struct conn *c)
{
	c->raw_deadline_ms = clock_monotonic_ms() + CONN_TICK_MS;
}

int conn_handshake(struct conn *c)
{
	begin_tick(c);
	return tls_session_handshake(c->tls);
}

const char *conn_tls_error(const struct conn *c)
{
	return tls_session_error(c->tls);
}

const struct tls_session *conn_tls(const struct conn *c)
{
	return c->tls;
}

/* Whether the next record is all here. */
static bool has_record(const struct conn *c)
{
	const unsigned char *p = (const unsigned char *)c->input + HALF + c->raw_used;
	size_t n = c->raw_len - c->raw_used;

	return n >= RECORD_HEADER_BYTES &&
	       n - RECORD_HEADER_BYTES >= ((size_t)p[3] << 8 | p[4]);
}

/* One record, and those that came with it; how the session ended is told when there is
 * nothing else to tell. */
static ssize_t read_records(struct conn *c)
{
	ssize_t got;

	begin_tick(c);
	got = tls_session_read(c->tls, c->input, HALF);
	if (got <= 0)
		return got;
	c->is_raw_enough = true;
	while (got > 0) {
		c->input_len += (size_t)got;
		if (!has_record(c) || HALF - c->input_len < RECORD_TEXT_MAX)
			break;
		got = tls_session_read(
			c->tls, c->input + c->input_len, HALF - c->input_len);
	}
	c->is_raw_enough = false;
	return (ssize_t)c->input_len;
}

/* ------------------------------------------------------------------------ both */

ssize_t conn_read(struct conn *c)
{
	ssize_t got;

	assert(c->input_used == c->input_len);
	c->input_used = 0;
	c->input_len = 0;
	if (c->tls != NULL)
		return read_records(c);
	got = receive(c, c->input, CONN_INPUT_BYTES);
	if (got > 0)
		c->input_len = (size_t)got;
	return got;
}

ssize_t conn_write(struct conn *c, struct str s)
{
	if (c->tls != NULL)
		return tls_session_write(c->tls, s);
	return transmit(c, s.p, s.n);
}

/* What nobody has looked at may be anything, a password too. */
static void throw_away(struct conn *c)
{
	explicit_bzero(c->input + c->input_used, c->input_len - c->input_used);
	c->input_used = c->input_len;
}

static void end(struct conn *c)
{
	tls_session_free(c->tls);
	c->tls = NULL;
	(void)fdio_close(&c->fd);
}

void conn_close(struct conn *c, uint32_t linger_ms)
{
	uint64_t deadline_ms;
	ssize_t got;

	if (c->tls != NULL)
		tls_session_bye(c->tls);
	throw_away(c);
	deadline_ms = clock_monotonic_ms() + linger_ms;
	got = linger_ms > 0 && shutdown(c->fd, SHUT_WR) == 0;
	while ((got > 0 || got == -EAGAIN) && clock_monotonic_ms() < deadline_ms) {
		got = conn_read(c);
		throw_away(c);
	}
	end(c);
}

void conn_reset(struct conn *c)
{
	const struct linger at_once = {.l_onoff = 1};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	throw_away(c);
	end(c);
}
