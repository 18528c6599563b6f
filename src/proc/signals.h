/* The signals of the master, as a descriptor. */
#ifndef SINKD_PROC_SIGNALS_H
#define SINKD_PROC_SIGNALS_H

/* From here on all signals that the program knows come through *ret_fd (non-blocking, of
 * struct signalfd_siginfo) and do nothing by themselves.  Called before anything else, so
 * that none is lost.  Returns 0 or a negative errno. */
int signals_open(int *ret_fd);

#endif
