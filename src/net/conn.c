/* One client's connection; see conn.h.
 *
 * Runs in workers; bytes are hostile and are only moved here, never looked at.
 * Never logs. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fdio.h"

int conn_init(struct conn *c)
{
	*c = (struct conn){.fd = -1};
	c->input = malloc(CONN_INPUT_BYTES);
	return c->input == NULL ? -ENOMEM : 0;
}

void conn_done(struct conn *c)
{
	(void)fdio_close(&c->fd);
	free(c->input);
	*c = (struct conn){.fd = -1};
}

void conn_take_fd(struct conn *c, int fd, bool has_tick)
{
	assert(c->fd == -1);
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

ssize_t conn_read(struct conn *c)
{
	ssize_t got;
	int r;

	assert(c->input_used == c->input_len);
	c->input_used = 0;
	c->input_len = 0;
	r = await(c, POLLIN);
	if (r < 0)
		return r;
	got = recv(c->fd, c->input, CONN_INPUT_BYTES, c->has_tick ? 0 : MSG_DONTWAIT);
	if (got < 0)
		return failure();
	c->input_len = (size_t)got;
	return got;
}

ssize_t conn_write(struct conn *c, struct str s)
{
	int flags = MSG_NOSIGNAL | (c->has_tick ? 0 : MSG_DONTWAIT);
	int r = await(c, POLLOUT);
	ssize_t sent;

	if (r < 0)
		return r;
	sent = send(c->fd, s.p, s.n, flags);
	return sent < 0 ? failure() : sent;
}

void conn_close(struct conn *c, uint32_t linger_ms)
{
	uint64_t deadline_ms = clock_monotonic_ms() + linger_ms;
	ssize_t got = linger_ms > 0 && shutdown(c->fd, SHUT_WR) == 0;

	while ((got > 0 || got == -EAGAIN) && clock_monotonic_ms() < deadline_ms) {
		c->input_used = c->input_len;
		got = conn_read(c);
	}
	(void)fdio_close(&c->fd);
}
