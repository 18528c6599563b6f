/* The text of a rule's reply, with macros: %{rule}, %{client}, %{helo}, %{sender},
 * %{recipient}, %{id}; %% is a percent sign.  Pure. */
#ifndef SINKD_POLICY_RULES_TEXT_H
#define SINKD_POLICY_RULES_TEXT_H

#include <stddef.h>

struct rule_question;

/* What is wrong with a text (static text), or NULL. */
const char *rules_text_check(const char *text);

/* Write the text with what its macros stand for: what is not known yet is empty, what is
 * not printable ASCII becomes "?", and all that does not fit is cut.  id: of the
 * message. */
void rules_text_write(const char *text, const char *rule_name,
	const struct rule_question *q, const char *id, char *out, size_t size);

#endif
