/* The system's log daemon, spoken to directly: one datagram per line, in the form of
 * RFC 3164 that syslog(3) of glibc sends.
 *
 * syslog(3) itself is of no use here: it connects, and a sandboxed process could not
 * connect again after syslogd was restarted; and it blocks when syslogd is slow. */
#ifndef SINKD_BASE_SYSLOGD_H
#define SINKD_BASE_SYSLOGD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

/* Octets of a header at most, and of the path of a socket. */
#define SYSLOGD_HEADER_MAX 96
#define SYSLOGD_PATH_MAX   (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* The path of the socket that a log target means: "/dev/log" for "syslog", "/path" for
 * "syslog:/path", and NULL for a target that is no syslogd. */
const char *syslogd_path(const char *target);

/* A socket to send from; it is not connected, so it finds a syslogd that comes later.
 * Returns the descriptor and *ret_to, or a negative errno. */
int syslogd_open(const char *path, struct sockaddr_un *ret_to);

/* Write "<PRI>Mmm dd hh:mm:ss sinkd[pid]: " to out (local time, not terminated).
 * severity is that of RFC 3164, 4.1.1.  Returns the length. */
size_t syslogd_header(char out[SYSLOGD_HEADER_MAX], unsigned severity, pid_t pid,
	uint64_t unix_seconds);

/* Send one line, without newline.  Never blocks.  Returns 0 or a negative errno: there
 * is no syslogd, or its queue is full. */
int syslogd_send(int fd, const struct sockaddr_un *to, const char *line, size_t n);

#endif
