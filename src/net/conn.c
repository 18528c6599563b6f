/* One client's connection; see conn.h.
 *
 * Runs in workers; bytes are hostile and are only moved here, never looked at.
 * Never logs. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
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

void conn_take_fd(struct conn *c, int fd)
{
	assert(c->fd == -1);
	c->fd = fd;
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

ssize_t conn_read(struct conn *c)
{
	ssize_t got;

	assert(c->input_used == c->input_len);
	c->input_used = 0;
	c->input_len = 0;
	got = recv(c->fd, c->input, CONN_INPUT_BYTES, 0);
	/* An interrupted read is a tick that came early. */
	if (got < 0)
		return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
	c->input_len = (size_t)got;
	return got;
}

ssize_t conn_write(struct conn *c, struct str s)
{
	ssize_t sent = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return sent;
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
