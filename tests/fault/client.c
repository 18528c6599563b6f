/* One message over SMTP; see client.h. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_RECIPIENT = 3, STEP_DATA = 5, STEP_TEXT, STEP_QUIT };

/* What is said after the expected reply. */
static const struct {
	int code;
	const char *say;
} steps[] = {
	{220, "EHLO client.example.test\r\n"},
	{250, "MAIL FROM:<from@example.test>\r\n"},
	{250, "RCPT TO:<a@x.test>\r\n"},
	{250, "RCPT TO:<b@x.test>\r\n"},
	{250, "DATA\r\n"},
	{354, NULL}, /* the text */
	{250, "QUIT\r\n"},
};

void client_open(struct client *c, int fd, const char *text)
{
	*c = (struct client){.fd = fd, .text = text};
}

void client_close(struct client *c)
{
	(void)close(c->fd);
	c->fd = -1;
}

/* A server that has gone shows in the next read. */
static void say(struct client *c, const char *p, size_t n)
{
	(void)send(c->fd, p, n, MSG_NOSIGNAL);
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
	c->step++;
	c->is_accepted = step == STEP_TEXT;
	if (step != STEP_DATA) {
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

/* Returns what recv did. */
static ssize_t hear_some(struct client *c, int flags)
{
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), flags);

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
	return n;
}

void client_take_turn(struct client *c)
{
	unsigned step = c->step, repeats = c->repeats;

	while (hear_some(c, MSG_DONTWAIT) > 0)
		;
	if (c->step == step && c->repeats == repeats && !c->is_over)
		leave(c);
}

void client_talk(struct client *c)
{
	while (hear_some(c, 0) > 0)
		;
	leave(c);
}
