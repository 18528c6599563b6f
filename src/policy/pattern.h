/* Patterns of the configuration against text of clients: "*@example.com", or a regular
 * expression behind a tilde, "~^(a|b)@".  Case of ASCII letters does not matter. */
#ifndef SINKD_POLICY_PATTERN_H
#define SINKD_POLICY_PATTERN_H

#include <stdbool.h>

#include "base/str.h"

/* Longer text is cut for regular expressions. */
#define PATTERN_SUBJECT_MAX 1024

struct pattern;

/* Compile text, which is kept by reference: "*" stands for anything, "?" for one byte;
 * or "~" and an extended regular expression (POSIX) without back-references, which could
 * cost any time.  Returns NULL and *ret, or static text that says what is wrong. */
const char *pattern_new(const char *text, struct pattern **ret);
void pattern_free(struct pattern *p);

/* Takes no more time than the product of both lengths, and of memory some MiB, whatever
 * was met before. */
bool pattern_matches(const struct pattern *p, struct str subject);

#endif
