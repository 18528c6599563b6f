/* Running detached (--daemon): who started us gets the terminal back when the server
 * is ready. */
#ifndef SINKD_PROC_DAEMON_H
#define SINKD_PROC_DAEMON_H

/* Go on in a new process with a session of its own.  The one that was started waits for
 * that: it ends with 0 when daemon_ready is called, or else with the exit status of the
 * server; so this returns in the new process only.  The working directory stays, and so
 * do, until daemon_ready, the standard descriptors: whoever waits reads there what is
 * wrong.  Called before there are other processes.  Returns 0 and *ret_fd, for
 * daemon_ready, or a negative errno when there is no process to be had. */
int daemon_start(int *ret_fd);

/* Point standard input, output and error to /dev/null, and let the one that waits go;
 * *fd is closed.  -1: nobody waits, nothing is done. */
void daemon_ready(int *fd);

#endif
