/* load: many clients that send mail as fast as a server takes it.
 *
 *   load [-c CONNECTIONS] [-m MESSAGES] [-s SIZE] [-P] [-t SECONDS] [-n TOTAL] [-j]
 *        ADDRESS:PORT
 *
 * CONNECTIONS clients at once, each sending MESSAGES of SIZE octets on a connection
 * and then making a new one; -P sends MAIL, RCPT and DATA in one piece.  No message is
 * begun after SECONDS or once TOTAL were begun; those in flight are finished.  Prints
 * messages per second and how long one took from MAIL to the reply to its dot, as text
 * or (-j) as JSON.  Exit status: 0, 1 when anything went wrong, 2 for wrong options.
 *
 * One process and one epoll set, so that it costs less than what it measures.  The
 * server is ours or a known one; any reply but the one expected is an error. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/str.h"

#define SECOND_US   UINT64_C(1000000)
#define GRACE_US    (10 * SECOND_US) /* for messages in flight when the time is over */
#define ERRORS_MAX  100
#define INPUT_BYTES 4096
#define SIZE_MIN    32
#define LINE_BYTES  78

/* What a client waits for the reply to. */
enum step { GREETING, HELLO, SENDER, RECIPIENT, DATA, TEXT, QUIT, STEP_COUNT };

static const struct {
	struct str command;
	struct str code;
} steps[STEP_COUNT] = {
	[GREETING] = {STR(""), STR("220")},
	[HELLO] = {STR("EHLO load.example\r\n"), STR("250")},
	[SENDER] = {STR("MAIL FROM:<from@load.example>\r\n"), STR("250")},
	[RECIPIENT] = {STR("RCPT TO:<to@load.example>\r\n"), STR("250")},
	[DATA] = {STR("DATA\r\n"), STR("354")},
	[TEXT] = {STR(""), STR("250")},
	[QUIT] = {STR("QUIT\r\n"), STR("221")},
};

struct options {
	uint64_t connections;
	uint64_t messages; /* per connection */
	uint64_t size_bytes;
	uint64_t seconds;
	uint64_t total; /* 0: as many as there is time for */
	bool is_pipelined;
	bool is_json;
};

struct client {
	int fd;
	enum step step;
	bool is_stuck;  /* the server does not read: wait until it does */
	struct str out; /* what is left to send */
	char in[INPUT_BYTES];
	size_t in_len;
	uint64_t messages; /* begun on this connection */
	uint64_t begun_us;
};

struct load {
	const struct options *options;
	const struct addrinfo *server;
	struct str says[STEP_COUNT];
	struct client *clients;
	int epoll_fd;
	uint64_t open_count;
	uint64_t begun;
	uint64_t errors;
	uint64_t start_us;
	uint64_t last_us; /* when the last message was accepted */
	uint32_t *latencies_us;
	size_t accepted;
	size_t room; /* in latencies_us */
};

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_US + (uint64_t)now.tv_nsec / 1000;
}

/* Whether another message may begin. */
static bool wants_more(const struct load *l)
{
	return l->errors < ERRORS_MAX &&
	       (l->options->total == 0 || l->begun < l->options->total) &&
	       now_us() < l->start_us + l->options->seconds * SECOND_US;
}

static bool watch(const struct load *l, struct client *c, int operation)
{
	struct epoll_event event = {
		.events = c->is_stuck ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};

	return epoll_ctl(l->epoll_fd, operation, c->fd, &event) == 0;
}

static void hang_up(struct load *l, struct client *c)
{
	(void)fdio_close(&c->fd);
	l->open_count--;
}

/* Something went wrong; the first time it is told. */
static void fail(struct load *l, const char *what, const char *why)
{
	if (l->errors++ == 0)
		(void)fprintf(stderr, "load: %s: %s\n", what, why);
}

static bool begin_connection(const struct load *l, struct client *c)
{
	const struct addrinfo *server = l->server;
	const int on = 1;

	*c = (struct client){.step = GREETING};
	c->fd = socket(server->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	/* Waiting for acknowledgements would measure the kernel's timers. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, server->ai_addr, server->ai_addrlen) < 0 &&
		errno != EINPROGRESS)
		return false;
	return watch(l, c, EPOLL_CTL_ADD);
}

/* Make a connection, if there is something left to send on it. */
static void connect_client(struct load *l, struct client *c)
{
	while (wants_more(l)) {
		if (begin_connection(l, c)) {
			l->open_count++;
			return;
		}
		fail(l, "cannot connect", strerror(errno));
		(void)fdio_close(&c->fd);
	}
}

static void lose_client(
	struct load *l, struct client *c, const char *what, const char *why)
{
	fail(l, what, why);
	hang_up(l, c);
	connect_client(l, c);
}

/* Send what the socket takes.  Returns false when the connection is of no use. */
static bool send_some(struct load *l, struct client *c)
{
	ssize_t sent = 0;
	bool was_stuck = c->is_stuck;

	while (c->out.n > 0 && sent >= 0) {
		sent = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
		if (sent > 0)
			c->out = str_skip(c->out, (size_t)sent);
	}
	if (sent < 0 && errno != EAGAIN)
		return false;
	c->is_stuck = c->out.n > 0;
	return c->is_stuck == was_stuck || watch(l, c, EPOLL_CTL_MOD);
}

static void note_accepted(struct load *l, const struct client *c)
{
	l->last_us = now_us();
	if (l->accepted == l->room) {
		l->room = l->room == 0 ? 4096 : l->room * 2;
		l->latencies_us = reallocarray(
			l->latencies_us, l->room, sizeof(l->latencies_us[0]));
		if (l->latencies_us == NULL)
			abort();
	}
	l->latencies_us[l->accepted++] = (uint32_t)(l->last_us - c->begun_us);
}

/* The step after this one, once its reply has come. */
static enum step step_after(struct load *l, struct client *c)
{
	if (c->step != HELLO && c->step != TEXT)
		return c->step + 1;
	if (c->messages == l->options->messages || !wants_more(l))
		return QUIT;
	c->messages++;
	c->begun_us = now_us();
	l->begun++;
	return SENDER;
}

/* One line from the server.  Returns false when the connection has ended. */
static bool take_line(struct load *l, struct client *c, struct str line)
{
	if (line.n > 3 && line.p[3] == '-')
		return true;
	if (!str_starts_nocase(line, steps[c->step].code)) {
		char text[128];

		line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
		(void)str_printable(text, sizeof(text), line);
		lose_client(l, c, "unexpected reply", text);
		return false;
	}
	if (c->step == QUIT) {
		hang_up(l, c);
		connect_client(l, c);
		return false;
	}
	if (c->step == TEXT)
		note_accepted(l, c);
	c->step = step_after(l, c);
	c->out = l->says[c->step];
	if (send_some(l, c))
		return true;
	lose_client(l, c, "cannot send", strerror(errno));
	return false;
}

static void read_replies(struct load *l, struct client *c)
{
	ssize_t got = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
	size_t used = 0;
	const char *newline;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		lose_client(l, c, "connection lost",
			got == 0 ? "end of file" : strerror(errno));
		return;
	}
	c->in_len += (size_t)got;
	while ((newline = memchr(c->in + used, '\n', c->in_len - used)) != NULL) {
		struct str line = {c->in + used, (size_t)(newline - (c->in + used))};

		used += line.n + 1;
		if (!take_line(l, c, line))
			return;
	}
	c->in_len -= used;
	memmove(c->in, c->in + used, c->in_len);
	if (c->in_len == sizeof(c->in))
		lose_client(l, c, "unexpected reply", "line without end");
}

/* Until all clients have said QUIT; bounded, whatever the server does. */
static void run(struct load *l)
{
	uint64_t deadline_us;

	l->start_us = now_us();
	deadline_us = l->start_us + l->options->seconds * SECOND_US + GRACE_US;
	for (size_t i = 0; i < l->options->connections; i++)
		connect_client(l, &l->clients[i]);
	while (l->open_count > 0) {
		struct epoll_event events[64];
		int n = epoll_wait(l->epoll_fd, events, 64, 1000);

		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) != 0 && !send_some(l, c))
				lose_client(l, c, "cannot send", strerror(errno));
			else if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
				read_replies(l, c);
		}
		if (now_us() > deadline_us) {
			fail(l, "no reply", "a client still waits");
			return;
		}
	}
}

/* --------------------------------------------------------------- around it */

/* Exactly size octets of message, and its end. */
static void make_text(struct buf *text, uint64_t size)
{
	static const char line[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	buf_init(text, (size_t)size + SIZE_MIN);
	(void)buf_add_text(text, "Subject: load\r\n\r\n");
	while (text->len < size) {
		size_t left = (size_t)size - text->len;

		/* The last line may be longer, so that it never is one octet. */
		left = left > sizeof(line) ? LINE_BYTES : left;
		(void)buf_add(text, line, left - 2);
		(void)buf_add(text, "\r\n", 2);
	}
	(void)buf_add_text(text, ".\r\n");
}

/* With pipelining MAIL takes the commands behind it along. */
static void plan(struct load *l, const struct buf *text, struct buf *envelope)
{
	for (enum step i = 0; i < STEP_COUNT; i++)
		l->says[i] = steps[i].command;
	l->says[TEXT] = buf_str(text);
	buf_init(envelope, 1024);
	if (!l->options->is_pipelined)
		return;
	for (enum step i = SENDER; i <= DATA; i++) {
		(void)buf_add_str(envelope, l->says[i]);
		l->says[i] = (struct str){0};
	}
	l->says[SENDER] = buf_str(envelope);
}

static int compare_latencies(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double latency_ms(const struct load *l, size_t percent)
{
	return l->accepted == 0
		       ? 0
		       : l->latencies_us[(l->accepted - 1) * percent / 100] / 1e3;
}

static void report(const struct load *l)
{
	double seconds = l->accepted == 0 ? 0 : (double)(l->last_us - l->start_us) / 1e6;
	double rate = seconds > 0 ? (double)l->accepted / seconds : 0;

	if (l->accepted > 0)
		qsort(l->latencies_us, l->accepted, sizeof(l->latencies_us[0]),
			compare_latencies);
	if (l->options->is_json)
		(void)printf("{\"messages\": %zu, \"errors\": %" PRIu64
			     ", \"seconds\": %.6f, \"messages_per_second\": %.1f, "
			     "\"latency_ms\": {\"median\": %.3f, \"p90\": %.3f, "
			     "\"p99\": %.3f, \"max\": %.3f}}\n",
			l->accepted, l->errors, seconds, rate, latency_ms(l, 50),
			latency_ms(l, 90), latency_ms(l, 99), latency_ms(l, 100));
	else
		(void)printf("%zu messages in %.3f s, %" PRIu64 " errors\n"
			     "%.1f messages/s\n"
			     "latency: median %.3f ms, 90 %% %.3f ms, 99 %% %.3f ms, "
			     "maximum %.3f ms\n",
			l->accepted, seconds, l->errors, rate, latency_ms(l, 50),
			latency_ms(l, 90), latency_ms(l, 99), latency_ms(l, 100));
}

static void fail_usage(void)
{
	(void)fputs("usage: load [-c CONNECTIONS] [-m MESSAGES] [-s SIZE] [-P] "
		    "[-t SECONDS] [-n TOTAL] [-j] ADDRESS:PORT\n",
		stderr);
	exit(2);
}

static uint64_t take_number(
	int (*parse)(struct str s, uint64_t *ret), uint64_t min, uint64_t max)
{
	uint64_t value = 0;

	if (parse(str_of(optarg), &value) < 0 || value < min || value > max)
		fail_usage();
	return value;
}

static void take_options(int argc, char **argv, struct options *o)
{
	int option;

	while ((option = getopt(argc, argv, "c:m:s:Pt:n:j")) != -1) {
		if (option == 'c')
			o->connections = take_number(str_parse_u64, 1, 10000);
		else if (option == 'm')
			o->messages = take_number(str_parse_u64, 1, UINT32_MAX);
		else if (option == 's')
			o->size_bytes = take_number(str_parse_size, SIZE_MIN, 1 << 30);
		else if (option == 'P')
			o->is_pipelined = true;
		else if (option == 't')
			o->seconds = take_number(str_parse_u64, 1, 3600);
		else if (option == 'n')
			o->total = take_number(str_parse_u64, 1, UINT32_MAX);
		else if (option == 'j')
			o->is_json = true;
		else
			fail_usage();
	}
	if (optind != argc - 1)
		fail_usage();
}

/* "127.0.0.1:1025" or "[::1]:1025"; ends the program if it is neither. */
static struct addrinfo *find_server(char *text)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	char *port = strrchr(text, ':');
	struct addrinfo *found;

	if (port == NULL)
		fail_usage();
	*port++ = '\0';
	if (text[0] == '[' && port[-2] == ']') {
		port[-2] = '\0';
		text++;
	}
	if (getaddrinfo(text, port, &hints, &found) != 0)
		fail_usage();
	return found;
}

int main(int argc, char **argv)
{
	struct options options = {
		.connections = 50, .messages = 100, .size_bytes = 10240, .seconds = 2};
	struct load l = {.options = &options};
	struct addrinfo *server;
	struct buf text, envelope;

	take_options(argc, argv, &options);
	server = find_server(argv[optind]);
	l.server = server;
	make_text(&text, options.size_bytes);
	plan(&l, &text, &envelope);
	l.clients = calloc(options.connections, sizeof(*l.clients));
	l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l.clients == NULL || l.epoll_fd < 0 || text.has_overflowed) {
		(void)fprintf(stderr, "load: cannot start\n");
		return 1;
	}
	run(&l);
	report(&l);
	buf_done(&text);
	buf_done(&envelope);
	freeaddrinfo(server);
	free(l.clients);
	free(l.latencies_us);
	return l.errors > 0;
}
