/* sinkctl passwd: lines for the users file. */
#ifndef SINKD_CTL_PASSWD_H
#define SINKD_CTL_PASSWD_H

#include "policy/users.h"

/* Ask for a password, twice and unseen, on a terminal, or read a line of standard input
 * that is none; write the line for the users file to standard output.  Says what goes
 * wrong.  Returns the exit status. */
int passwd_run(enum users_scheme scheme, const char *name);

#endif
