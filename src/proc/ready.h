/* Telling others that the server is ready, or stops. */
#ifndef SINKD_PROC_READY_H
#define SINKD_PROC_READY_H

#include <stddef.h>
#include <sys/types.h>

#include "config/conf.h"
#include "keys/keyring.h"
#include "net/listener.h"

/* The event server.start, for each listener. */
void ready_log(const struct config *c, const struct listener *listeners, size_t n);

/* Write "ready ADDR:PORT ..." with a newline to fd, and close it unless it is one of
 * the standard descriptors.  -1: nothing. */
void ready_write_fd(int fd, const struct listener *listeners, size_t n);

/* Send state ("READY=1") to the socket named by $NOTIFY_SOCKET, if any, as
 * sd_notify(3) does.  Never fails: whoever started us may not be listening. */
void ready_notify(const char *state);

/* "RELOADING=1", with the time that systemd compares with that of its signal; READY=1
 * ends it. */
void ready_notify_reloading(void);

/* "STATUS=17 busy, 5 idle": a line that systemctl status shows.  The caller sees to it
 * that this is not sent too often. */
void ready_notify_status(unsigned busy, unsigned idle);

/* "MAINPID=...": another process is the server from now on. */
void ready_notify_main_pid(pid_t pid);

/* Tell a person where we listen, where mail goes, which certificate clients are shown,
 * and what to try. */
void ready_greet(const struct config *c, const struct keyring *keyring,
	const struct listener *listeners, size_t n);

#endif
