/* Sockets that we were started with; see inherit.h.
 *
 * Runs in the master before anything else; input is the environment, which is that of
 * whoever starts the server. */
#include "proc/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/str.h"

/* SD_LISTEN_FDS_START */
#define FIRST_FD 3

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
	"LISTEN_PIDFDID", INHERIT_UPGRADE_VARIABLE};

static int fail(char error[INHERIT_ERROR_MAX], const char *subject, const char *what)
{
	(void)snprintf(error, INHERIT_ERROR_MAX, "%s %s", subject, what);
	return -EINVAL;
}

static bool has_option(int fd, int name, int expected)
{
	int value;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 &&
	       value == expected;
}

static int add_socket(
	struct inherit *i, int fd, bool is_foreign, char error[INHERIT_ERROR_MAX])
{
	struct listener *l = &i->sockets[i->count];
	char text[ENDPOINT_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "descriptor %d", fd);
	if (i->count == LISTENERS_MAX)
		return fail(error, text, "is one socket too many");
	if (!has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1))
		return fail(error, text, "is not a listening stream socket");
	*l = (struct listener){.fd = fd, .is_foreign = is_foreign};
	if (endpoint_of_socket(fd, &l->endpoint) < 0)
		return fail(error, text, "has no address that sinkd could listen on");
	endpoint_format(&l->endpoint, text);
	if (listeners_find(i->sockets, i->count, &l->endpoint) != NULL)
		return fail(error, text, "was handed over twice");
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	i->count++;
	return 0;
}

/* A number at the start of *text, which moves behind it. */
static bool take_number(const char **text, int *ret)
{
	size_t n = strspn(*text, "0123456789");
	uint64_t value;

	if (str_parse_u64((struct str){*text, n}, &value) < 0 || value > INT32_MAX)
		return false;
	*text += n;
	*ret = (int)value;
	return true;
}

static int read_systemd(struct inherit *i, char error[INHERIT_ERROR_MAX])
{
	const char *pid_text = getenv("LISTEN_PID"), *text = getenv("LISTEN_FDS");
	int pid, count;

	if (pid_text == NULL || text == NULL)
		return 0;
	/* Meant for the process that started us, say. */
	if (!take_number(&pid_text, &pid) || *pid_text != '\0' || pid != getpid())
		return 0;
	if (!take_number(&text, &count) || *text != '\0' || count > LISTENERS_MAX)
		return fail(error, "LISTEN_FDS", "is not a number of sockets");
	for (int fd = FIRST_FD; fd < FIRST_FD + count; fd++) {
		int r = add_socket(i, fd, true, error);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_upgrade(
	struct inherit *i, const char *text, char error[INHERIT_ERROR_MAX])
{
	int fd;

	if (!take_number(&text, &i->tell_fd) || *text++ != ':' ||
		fcntl(i->tell_fd, F_SETFD, FD_CLOEXEC) < 0)
		return fail(error, INHERIT_UPGRADE_VARIABLE, "is wrong");
	while (take_number(&text, &fd)) {
		bool is_foreign = *text == '*';
		int r = add_socket(i, fd, is_foreign, error);

		if (r < 0)
			return r;
		text += is_foreign;
		if (*text == ',')
			text++;
	}
	return *text == '\0' ? 0 : fail(error, INHERIT_UPGRADE_VARIABLE, "is wrong");
}

int inherit_read(struct inherit *ret, char error[INHERIT_ERROR_MAX])
{
	const char *upgrade = getenv(INHERIT_UPGRADE_VARIABLE);
	struct inherit i = {.tell_fd = -1, .is_upgrade = upgrade != NULL};
	int r;

	i.sockets = calloc(LISTENERS_MAX + 1, sizeof(*i.sockets));
	if (i.sockets == NULL)
		return fail(error, "inherited sockets:", "out of memory");
	r = upgrade != NULL ? read_upgrade(&i, upgrade, error) : read_systemd(&i, error);
	for (size_t n = 0; n < sizeof(variables) / sizeof(variables[0]); n++)
		(void)unsetenv(variables[n]);
	if (r < 0) {
		inherit_done(&i, i.sockets, i.count);
		return r;
	}
	*ret = i;
	return 0;
}

int inherit_check(const struct inherit *i, const struct listener *l, size_t n,
	struct endpoint *ret_failed)
{
	for (size_t k = 0; k < i->count && !i->is_upgrade; k++)
		if (listeners_find(l, n, &i->sockets[k].endpoint) == NULL) {
			*ret_failed = i->sockets[k].endpoint;
			return -EINVAL;
		}
	return 0;
}

void inherit_done(struct inherit *i, const struct listener *l, size_t n)
{
	listeners_close(i->sockets, i->count, l, n);
	i->sockets = NULL;
	i->count = 0;
}

static void tell(struct inherit *i, const char *text, size_t n)
{
	if (i->tell_fd < 0)
		return;
	(void)fdio_write_all(i->tell_fd, text, n);
	(void)fdio_close(&i->tell_fd);
}

void inherit_tell_ready(struct inherit *i)
{
	tell(i, "", 1);
}

void inherit_tell_failure(struct inherit *i, const char *text)
{
	tell(i, text, strlen(text));
}

int inherit_format(
	int tell_fd, const struct listener *l, size_t n, char text[INHERIT_UPGRADE_MAX])
{
	struct buf value;
	bool has_overflowed;

	buf_init(&value, INHERIT_UPGRADE_MAX);
	(void)buf_add_format(&value, "%d:", tell_fd);
	for (size_t k = 0; k < n; k++)
		(void)buf_add_format(&value, "%s%d%s", k > 0 ? "," : "", l[k].fd,
			l[k].is_foreign ? "*" : "");
	has_overflowed = value.has_overflowed;
	if (!has_overflowed) {
		memcpy(text, value.p, value.len);
		text[value.len] = '\0';
	}
	buf_done(&value);
	return has_overflowed ? -ENOSPC : 0;
}
