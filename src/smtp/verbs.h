/* The commands: a table of verbs, each with its order, syntax, hook and effect
 * (RFC 5321, 4.1). */
#ifndef SINKD_SMTP_VERBS_H
#define SINKD_SMTP_VERBS_H

#include <stdbool.h>

#include "base/str.h"
#include "smtp/session.h"

/* Carry out one command line, without its end.  Returns which it was. */
enum smtp_verb verbs_run(struct smtp *s, struct str line);

/* Refuse a line that is bad as a line, or what is left of one that is too long.  Of BDAT
 * the message has lost a chunk, whose octets, if it says how many, are no commands. */
void verbs_refuse_line(
	struct smtp *s, struct str line, const char *enhanced, const char *text);

/* Whether the line begins with the name of a command. */
bool verbs_know(struct str line);

#endif
