/* Lines for the system's log daemon; see syslogd.h.
 *
 * Runs in every process, before and after it has given up its rights: the socket and
 * the time zone are got ready in syslogd_open, and sending needs nothing but sendto(2).
 * The text of a line is hostile but escaped already. */
#include "base/syslogd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FACILITY_MAIL 2 /* RFC 3164, 4.1.1 */

const char *syslogd_path(const char *target)
{
	static const char prefix[] = "syslog:";

	if (strcmp(target, "syslog") == 0)
		return "/dev/log";
	if (strncmp(target, prefix, sizeof(prefix) - 1) == 0 &&
		target[sizeof(prefix) - 1] == '/')
		return target + sizeof(prefix) - 1;
	return NULL;
}

int syslogd_open(const char *path, struct sockaddr_un *ret_to)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) > SYSLOGD_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* From here on localtime_r needs no file. */
	tzset();
	*ret_to = to;
	return fd;
}

size_t syslogd_header(
	char out[SYSLOGD_HEADER_MAX], unsigned severity, pid_t pid, uint64_t unix_seconds)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)unix_seconds;
	struct tm now = {0};

	(void)localtime_r(&seconds, &now);
	return (size_t)snprintf(out, SYSLOGD_HEADER_MAX,
		"<%u>%.3s %2d %02d:%02d:%02d sinkd[%d]: ", FACILITY_MAIL << 3 | severity,
		months + (size_t)now.tm_mon * 3, now.tm_mday, now.tm_hour, now.tm_min,
		now.tm_sec, (int)pid);
}

int syslogd_send(int fd, const struct sockaddr_un *to, const char *line, size_t n)
{
	ssize_t sent = sendto(fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)to, sizeof(*to));

	return sent < 0 ? -errno : 0;
}
