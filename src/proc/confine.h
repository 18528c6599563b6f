/* What of the file system and the network a process may still name: Landlock.
 *
 * All return 0 or a negative errno; none logs or blocks. */
#ifndef SINKD_PROC_CONFINE_H
#define SINKD_PROC_CONFINE_H

#include <netinet/in.h>

#include "delivery/delivery.h"

/* The version of Landlock that the kernel has, or 0 if there is none that we can
 * use. */
unsigned confine_version(void);

/* Begin a list of what is allowed, for a kernel of this version (not 0).  Returns a
 * descriptor, or a negative errno. */
int confine_create(unsigned version);

/* Below the directory root (O_PATH will do) what is reached for is allowed.  Never: run,
 * cut short, or made into anything but a file or directory. */
int confine_allow(int rules, int root, enum delivery_reach reach);

/* TCP sockets may connect to this port, in the order of the machine, of any address. */
int confine_allow_port(int rules, in_port_t port);

/* All of that for the roots of deliveries, and nothing else. */
int confine_to_deliveries(unsigned version, const struct delivery *d, size_t count);

/* Put the list into force, for this process and for good; rules is closed.  From here
 * on the process opens nothing else, binds no TCP socket, connects none but as allowed,
 * and neither signals nor traces a process outside.  Wants no_new_privs. */
int confine_enforce_take_fd(int rules);

#endif
