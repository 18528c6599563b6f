/* One message over SMTP, perhaps under TLS; see client.h. */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_TLS = 2, STEP_RECIPIENT = 9, STEP_DATA = 11, STEP_TEXT, STEP_QUIT };

enum who { ALL, PLAIN, SECURE };

/* What is said after the expected reply, and by whom. */
static const struct {
	enum who who;
	int code;
	const char *say;
} steps[] = {
	{ALL, 220, "EHLO client.example.test\r\n"},
	{SECURE, 250, "STARTTLS\r\n"},
	{SECURE, 220, "EHLO client.example.test\r\n"}, /* when hands are shaken */
	{SECURE, 250, "AUTH LOGIN\r\n"},
	{SECURE, 334, "am9l\r\n"},
	{SECURE, 334, "c2VjcmV0\r\n"},
	{SECURE, 235, "MAIL FROM:<from@example.test>\r\n"},
	{PLAIN, 250, "MAIL FROM:<from@example.test>\r\n"},
	{ALL, 250, "RCPT TO:<a@x.test>\r\n"},
	{ALL, 250, "RCPT TO:<b@x.test>\r\n"},
	{ALL, 250, "DATA\r\n"},
	{ALL, 354, NULL}, /* the text */
	{ALL, 250, "QUIT\r\n"},
};

void client_open(struct client *c, int fd, const char *text)
{
	*c = (struct client){.fd = fd, .text = text};
}

void client_close(struct client *c)
{
	if (c->tls != NULL)
		gnutls_deinit(c->tls);
	c->tls = NULL;
	(void)close(c->fd);
	c->fd = -1;
}

/* A server that has gone shows in the next read. */
static void say(struct client *c, const char *p, size_t n)
{
	if (c->tls != NULL)
		(void)gnutls_record_send(c->tls, p, n);
	else
		(void)send(c->fd, p, n, MSG_NOSIGNAL);
}

/* ------------------------------------------------------------------ under TLS */

static ssize_t pull(gnutls_transport_ptr_t user, void *p, size_t n)
{
	struct client *c = user;
	ssize_t got = recv(c->fd, p, n, c->waits ? 0 : MSG_DONTWAIT);

	if (got > 0)
		c->heard += (size_t)got;
	else if (got < 0)
		gnutls_transport_set_errno(c->tls, errno);
	return got;
}

static ssize_t push(gnutls_transport_ptr_t user, const void *p, size_t n)
{
	const struct client *c = user;
	ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

	if (sent < 0)
		gnutls_transport_set_errno(c->tls, errno);
	return sent;
}

/* Once for all clients; it trusts any server. */
static gnutls_certificate_credentials_t credentials(void)
{
	static gnutls_certificate_credentials_t known;

	if (known == NULL && gnutls_certificate_allocate_credentials(&known) < 0)
		abort();
	return known;
}

static void start_tls(struct client *c)
{
	if (gnutls_init(&c->tls, GNUTLS_CLIENT) < 0 ||
		gnutls_set_default_priority(c->tls) < 0 ||
		gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials()) < 0)
		abort();
	gnutls_transport_set_ptr(c->tls, c);
	gnutls_transport_set_pull_function(c->tls, pull);
	gnutls_transport_set_push_function(c->tls, push);
	c->is_shaking_hands = true;
}

/* In one piece: small ones would fill the socket before the server reads. */
static void repeat(struct client *c, const char *line)
{
	char all[8192];
	size_t length = strlen(line), n = 0;

	for (unsigned i = 0; i < c->repeats && n + length <= sizeof(all); i++) {
		memcpy(all + n, line, length);
		n += length;
	}
	say(c, all, n);
}

static void leave(struct client *c)
{
	c->is_over = true;
	(void)shutdown(c->fd, SHUT_WR);
}

/* As far as it goes now.  Returns whether it is done. */
static bool shake_hands(struct client *c)
{
	int r = gnutls_handshake(c->tls);

	if (r < 0 && gnutls_error_is_fatal(r) != 0)
		leave(c);
	if (r < 0)
		return false;
	c->is_shaking_hands = false;
	say(c, steps[STEP_TLS].say, strlen(steps[STEP_TLS].say));
	return true;
}

static bool is_for(const struct client *c, unsigned step)
{
	return step >= STEP_QUIT || steps[step].who == ALL ||
	       steps[step].who == (c->is_secure ? SECURE : PLAIN);
}

static void hear(struct client *c, int code)
{
	unsigned step = c->step;

	if (step >= STEP_QUIT || code != steps[step].code) {
		c->is_refused = c->is_refused || step <= STEP_TEXT;
		c->step = STEP_QUIT;
		if (step >= STEP_QUIT || code == 421)
			leave(c);
		else
			say(c, "QUIT\r\n", 6);
		return;
	}
	if (step > STEP_RECIPIENT && c->repeats > 0) {
		c->repeats--; /* one of its replies */
		return;
	}
	do
		c->step++;
	while (!is_for(c, c->step));
	c->is_accepted = step == STEP_TEXT;
	if (step == STEP_TLS) {
		start_tls(c);
	} else if (step != STEP_DATA) {
		say(c, steps[step].say, strlen(steps[step].say));
		if (step == STEP_RECIPIENT)
			repeat(c, steps[step].say);
	} else if (c->leaves_early) {
		say(c, c->text, strlen(c->text) / 2);
		leave(c);
	} else {
		say(c, c->text, strlen(c->text));
		say(c, ".\r\n", 3);
	}
}

/* Whether there was something, so that there may be more.  After a ticket GnuTLS says
 * that there is nothing. */
static bool hear_some(struct client *c)
{
	size_t heard = c->heard;
	char bytes[4096];
	ssize_t n;

	if (c->is_shaking_hands)
		return shake_hands(c);
	if (c->tls != NULL)
		n = gnutls_record_recv(c->tls, bytes, sizeof(bytes));
	else
		n = recv(c->fd, bytes, sizeof(bytes), c->waits ? 0 : MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++) {
		if (c->length < sizeof(c->line) - 1)
			c->line[c->length++] = bytes[i];
		if (bytes[i] != '\n')
			continue;
		c->line[c->length] = '\0';
		if (c->length > 4 && c->line[3] == ' ')
			hear(c, (int)strtol(c->line, NULL, 10));
		c->length = 0;
	}
	return n > 0 ||
	       (n < 0 && c->heard != heard && gnutls_error_is_fatal((int)n) == 0);
}

void client_take_turn(struct client *c)
{
	unsigned step = c->step, repeats = c->repeats;
	size_t heard = c->heard;

	c->waits = false;
	while (hear_some(c))
		;
	if (c->step == step && c->repeats == repeats && c->heard == heard && !c->is_over)
		leave(c);
}

void client_talk(struct client *c)
{
	c->waits = true;
	while (hear_some(c))
		;
	leave(c);
}
