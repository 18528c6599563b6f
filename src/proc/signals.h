/* The signals of the master, as a descriptor. */
#ifndef SINKD_PROC_SIGNALS_H
#define SINKD_PROC_SIGNALS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* From here on all signals that the program knows come through *ret_fd (non-blocking, of
 * struct signalfd_siginfo) and do nothing by themselves.  Called before anything else, so
 * that none is lost.  Returns 0 or a negative errno. */
int signals_open(int *ret_fd);

/* Wait until one of these has something, or until then (monotonic; UINT64_MAX: for ever).
 * The caller looks at all of them: what the kernel says of each is not returned. */
void signals_wait(struct pollfd *p, size_t n, uint64_t until_ms);

#endif
