/* Command lines taken apart (RFC 5321, 4.1.1 and 4.1.2).  Pure; slices only. */
#ifndef SINKD_SMTP_COMMAND_H
#define SINKD_SMTP_COMMAND_H

#include <stdbool.h>

#include "base/str.h"

/* verb: up to the first blank.  argument: what follows, without blanks around. */
struct command {
	struct str verb;
	struct str argument;
};

/* Returns false when the line is empty or holds a control character other than
 * a tab. */
bool command_split(struct str line, struct command *ret);

/* One "KEYWORD[=value]" of MAIL or RCPT. */
struct parameter {
	struct str keyword;
	struct str value; /* printable ASCII, or UTF-8 beyond it (RFC 6531, 3.3) */
	bool has_value;
	bool is_ascii;
};

enum parameter_outcome { PARAMETER_END, PARAMETER_READY, PARAMETER_BAD };

/* Take the next parameter off the front of *rest. */
enum parameter_outcome parameter_next(struct str *rest, struct parameter *ret);

/* Decode xtext (RFC 3461, 4), in.n bytes at most, to out.  Returns false when it is
 * none. */
bool xtext_decode(struct str in, char *out, size_t *ret_n);

#endif
