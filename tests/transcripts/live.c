/* A real server over TCP, and TLS, as the other side of a transcript (live.h).
 *
 * Every wait ends: with the bytes it is for, with the end of the connection, or
 * after LIVE_DEADLINE_MS, which fails the transcript.  Reading goes on while
 * sending, so that neither side can block the other for good. */
#include "live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

/* Far more than a loaded machine needs; short enough for a stuck server. */
#define LIVE_DEADLINE_MS 30000

struct live {
	int fd;
	gnutls_session_t tls; /* NULL: plain text */
	gnutls_certificate_credentials_t credentials;
	const char *maildir;
	struct buf input;
	size_t read;   /* of input */
	bool is_ended; /* the server has closed, or broke the deadline */
	bool is_shut;
	struct buf message;
};

/* Like recv and send, without waiting.  Whatever breaks TLS ends the stream. */
static ssize_t receive(struct live *l, void *p, size_t n)
{
	ssize_t got;

	if (l->tls == NULL)
		return recv(l->fd, p, n, MSG_DONTWAIT);
	do
		got = gnutls_record_recv(l->tls, p, n);
	while (got == GNUTLS_E_INTERRUPTED);
	errno = EAGAIN;
	return got == GNUTLS_E_AGAIN ? -1 : got < 0 ? 0 : got;
}

static ssize_t transmit(struct live *l, struct str bytes)
{
	ssize_t sent;

	if (l->tls == NULL)
		return send(l->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	do
		sent = gnutls_record_send(l->tls, bytes.p, bytes.n);
	while (sent == GNUTLS_E_INTERRUPTED);
	errno = sent == GNUTLS_E_AGAIN ? EAGAIN : EPIPE;
	return sent < 0 ? -1 : sent;
}

/* Take what has arrived, without waiting. */
static void collect(struct live *l)
{
	char bytes[4096];

	while (!l->is_ended) {
		ssize_t got = receive(l, bytes, sizeof(bytes));

		if (got > 0)
			(void)buf_add(&l->input, bytes, (size_t)got);
		else if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else
			l->is_ended = true;
	}
}

/* Wait until something can be done. */
static void wait_for(struct live *l, short events)
{
	struct pollfd pollfd = {.fd = l->fd, .events = events};

	if (poll(&pollfd, 1, LIVE_DEADLINE_MS) == 0) {
		(void)fprintf(stderr, "no answer within %d ms\n", LIVE_DEADLINE_MS);
		l->is_ended = true;
	}
	collect(l);
}

static void live_send(void *user, struct str bytes)
{
	struct live *l = user;

	while (bytes.n > 0 && !l->is_ended) {
		ssize_t sent = transmit(l, bytes);

		if (sent > 0)
			bytes = str_skip(bytes, (size_t)sent);
		else if (errno == EAGAIN || errno == EINTR)
			wait_for(l, POLLIN | POLLOUT);
		else
			return; /* It has closed: its last words tell. */
	}
}

static bool live_line(void *user, struct str *ret)
{
	struct live *l = user;

	for (;;) {
		struct str rest = str_skip(buf_str(&l->input), l->read);
		const char *end = rest.n == 0 ? NULL : memmem(rest.p, rest.n, "\r\n", 2);

		if (end != NULL) {
			*ret = (struct str){rest.p, (size_t)(end - rest.p)};
			l->read += ret->n + 2;
			return true;
		}
		if (l->is_ended)
			return false;
		wait_for(l, POLLIN);
	}
}

/* A reply that comes later than this look is found by the next expectation. */
static bool live_is_silent(void *user)
{
	struct live *l = user;

	collect(l);
	return l->read == l->input.len && !l->is_ended;
}

static int shake_hands(struct live *l)
{
	struct pollfd pollfd = {.fd = l->fd};
	int r;

	while ((r = gnutls_handshake(l->tls)) == GNUTLS_E_AGAIN) {
		pollfd.events = gnutls_record_get_direction(l->tls) ? POLLOUT : POLLIN;
		if (poll(&pollfd, 1, LIVE_DEADLINE_MS) == 0)
			return GNUTLS_E_TIMEDOUT;
	}
	return r;
}

/* Any certificate will do: transcripts are about what is said. */
static bool live_start_tls(void *user)
{
	struct live *l = user;
	int r = fcntl(l->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : GNUTLS_E_PUSH_ERROR;

	if (r == 0)
		r = gnutls_certificate_allocate_credentials(&l->credentials);
	if (r == 0)
		r = gnutls_init(&l->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
	if (r == 0)
		r = gnutls_set_default_priority(l->tls);
	if (r == 0)
		r = gnutls_credentials_set(
			l->tls, GNUTLS_CRD_CERTIFICATE, l->credentials);
	if (r == 0) {
		gnutls_transport_set_int(l->tls, l->fd);
		r = shake_hands(l);
	}
	if (r != 0)
		(void)fprintf(stderr, "no TLS: %s\n", gnutls_strerror(r));
	return r == 0;
}

static void live_disconnect(void *user)
{
	struct live *l = user;

	if (!l->is_shut && l->tls != NULL)
		(void)gnutls_bye(l->tls, GNUTLS_SHUT_WR);
	if (!l->is_shut)
		(void)shutdown(l->fd, SHUT_WR);
	l->is_shut = true;
	while (!l->is_ended)
		wait_for(l, POLLIN);
}

static bool live_is_closed(void *user)
{
	struct live *l = user;

	while (l->read == l->input.len && !l->is_ended)
		wait_for(l, POLLIN);
	return l->read == l->input.len;
}

static int is_message(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void read_message(struct live *l, const char *name)
{
	char path[1024];
	char bytes[4096];
	FILE *file;
	size_t got;

	buf_reset(&l->message);
	(void)snprintf(path, sizeof(path), "%s/new/%s", l->maildir, name);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
		(void)buf_add(&l->message, bytes, got);
	(void)fclose(file);
}

/* The names of one worker's messages rise, and one worker has the session. */
static size_t live_stored(void *user, size_t index, struct str *ret)
{
	struct live *l = user;
	struct dirent **names = NULL;
	char path[1024];
	int count;

	(void)snprintf(path, sizeof(path), "%s/new", l->maildir);
	count = scandir(path, &names, is_message, alphasort);
	for (int i = 0; i < count; i++) {
		if (ret != NULL && (size_t)i == index) {
			read_message(l, names[i]->d_name);
			*ret = buf_str(&l->message);
		}
		free(names[i]);
	}
	free(names);
	return count < 0 ? 0 : (size_t)count;
}

static int connect_to(const char *endpoint)
{
	char host[256];
	const char *colon = strrchr(endpoint, ':');
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *address = NULL;
	size_t n;
	int fd = -1;

	if (colon == NULL || (size_t)(colon - endpoint) >= sizeof(host))
		return -1;
	n = (size_t)(colon - endpoint);
	if (n > 1 && endpoint[0] == '[' && endpoint[n - 1] == ']')
		(void)snprintf(host, sizeof(host), "%.*s", (int)n - 2, endpoint + 1);
	else
		(void)snprintf(host, sizeof(host), "%.*s", (int)n, endpoint);
	if (getaddrinfo(host, colon + 1, &hints, &address) != 0)
		return -1;
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
		(void)close(fd);
		fd = -1;
	}
	freeaddrinfo(address);
	return fd;
}

bool live_play(const struct script *s, const char *endpoint, const char *maildir)
{
	struct live l = {.fd = connect_to(endpoint), .maildir = maildir};
	const struct peer peer = {
		.user = &l,
		.send = live_send,
		.line = live_line,
		.is_silent = live_is_silent,
		.start_tls = live_start_tls,
		.disconnect = live_disconnect,
		.is_closed = live_is_closed,
		.stored = live_stored,
	};
	bool is_good;

	if (l.fd < 0) {
		(void)fprintf(stderr, "cannot connect to '%s'\n", endpoint);
		return false;
	}
	buf_init(&l.input, (size_t)64 << 20);
	buf_init(&l.message, (size_t)64 << 20);
	is_good = play(s, &peer, "live", false);
	if (l.tls != NULL)
		gnutls_deinit(l.tls);
	if (l.credentials != NULL)
		gnutls_certificate_free_credentials(l.credentials);
	(void)close(l.fd);
	buf_done(&l.input);
	buf_done(&l.message);
	return is_good;
}
