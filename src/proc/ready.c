/* Readiness; see ready.h.  Runs in the master; input is the environment. */
#include "proc/ready.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/log.h"

void ready_log(const struct config *c, const struct listener *listeners, size_t n)
{
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		endpoint_format(&listeners[i].endpoint, text);
		log_event(LOG_INFO, EV_SERVER_START, LOG_TEXT("version", PACKAGE_VERSION),
			LOG_TEXT("listen", text), LOG_NUM("workers", c->workers.start),
			LOG_TEXT("config", c->file != NULL ? c->file : "built-in"));
	}
}

void ready_write_fd(int fd, const struct listener *listeners, size_t n)
{
	char text[ENDPOINT_TEXT_MAX];
	struct buf line;

	if (fd < 0)
		return;
	buf_init(&line, LISTENERS_MAX * (ENDPOINT_TEXT_MAX + 2));
	(void)buf_add_text(&line, "ready");
	for (size_t i = 0; i < n; i++) {
		endpoint_format(&listeners[i].endpoint, text);
		(void)buf_add_format(&line, " %s", text);
	}
	(void)buf_add_text(&line, "\n");
	/* In one write, for readers that read once. */
	(void)fdio_write_all(fd, line.p, line.len);
	buf_done(&line);
	if (fd > STDERR_FILENO)
		(void)fdio_close(&fd);
}

void ready_notify(const char *state)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	socklen_t length;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
		strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	/* A leading '@' stands for the NUL of an abstract name. */
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		(const struct sockaddr *)&to, length);
	(void)fdio_close(&fd);
}

void ready_notify_reloading(void)
{
	struct timespec now;
	char text[64];

	/* Not the coarse clock, which may be behind the signal. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)now.tv_sec * 1000000 +
			(unsigned long long)now.tv_nsec / 1000);
	ready_notify(text);
}

void ready_notify_status(unsigned busy, unsigned idle)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "STATUS=%u busy, %u idle", busy, idle);
	ready_notify(text);
}

void ready_notify_main_pid(pid_t pid)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "MAINPID=%ld", (long)pid);
	ready_notify(text);
}

static void greet_delivery(const struct delivery_settings *d)
{
	char *full;

	if (d->backend == &delivery_pipe) {
		printf("  mail goes to  the command %s\n", d->pipe.command[0]);
		return;
	}
	if (d->backend != &delivery_maildir) {
		printf("  mail goes     nowhere: it is accepted and thrown away\n");
		return;
	}
	full = realpath(d->path, NULL);
	printf("  mail goes to  %s (a Maildir: look into new/)\n",
		full != NULL ? full : d->path);
	free(full);
}

/* Where the mail of the first listener goes. */
static void greet_deliveries(const struct config *c)
{
	const struct listen_settings *l = &c->listeners[0];

	for (size_t i = 0; i < l->delivery_count; i++)
		greet_delivery(&c->deliveries[l->deliveries[i]]);
}

/* By its fingerprint a person knows it again.  Those that were configured they know. */
static void greet_certificate(const struct keyring *keyring)
{
	for (size_t i = 0; i < keyring_count(keyring); i++) {
		struct certificate_info info;
		const char *name, *file;

		keyring_get(keyring, i, &info, &name, &file);
		if (file == NULL)
			printf("  certificate   self-signed, SHA-256 %s\n",
				info.fingerprint);
	}
}

void ready_greet(const struct config *c, const struct keyring *keyring,
	const struct listener *listeners, size_t n)
{
	char text[ENDPOINT_TEXT_MAX];

	printf("sinkd %s is ready.\n", PACKAGE_VERSION);
	for (size_t i = 0; i < n; i++) {
		endpoint_format(&listeners[i].endpoint, text);
		printf("  %s  %s\n", i == 0 ? "listens on  " : "            ", text);
	}
	greet_deliveries(c);
	greet_certificate(keyring);
	endpoint_format(&listeners[0].endpoint, text);
	if (listeners[0].endpoint.address.ss_family != AF_UNIX)
		printf("  try it        printf 'Subject: hello\\n\\nIt works.\\n' | curl "
		       "-sS "
		       "smtp://%s --mail-from me@example.com --mail-rcpt you@example.com "
		       "-T -\n",
			text);
	printf("  to stop       press Ctrl-C, or kill -TERM %ld\n", (long)getpid());
	(void)fflush(stdout);
}
