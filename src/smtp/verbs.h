/* The commands: a table of verbs, each with its order, syntax, hook and effect
 * (RFC 5321, 4.1). */
#ifndef SINKD_SMTP_VERBS_H
#define SINKD_SMTP_VERBS_H

#include <stdbool.h>

#include "base/str.h"
#include "smtp/session.h"

/* Carry out one command line, without its end.  Returns which it was. */
enum smtp_verb verbs_run(struct smtp *s, struct str line);

/* A command line, or the beginning of one that is too long, that was refused as a line,
 * which has been said.  If it is BDAT the message has lost a chunk, and its octets, if it
 * says how many, come all the same.  Returns which it was. */
enum smtp_verb verbs_refuse(struct smtp *s, struct str line);

/* Whether the line begins with the name of a command. */
bool verbs_know(struct str line);

#endif
