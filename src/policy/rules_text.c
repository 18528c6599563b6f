/* The text of a rule's reply; see rules_text.h.
 *
 * The text is the operator's, and is checked when the configuration is read.  What the
 * macros stand for is the client's: hostile, and only ever copied. */
#include "policy/rules_text.h"

#include <string.h>

#include "api/sinkd_module.h"
#include "policy/rule.h"

#define TEXT_SIZE sizeof(((struct sinkd_verdict *)NULL)->text)
_Static_assert(TEXT_SIZE == 256, "the message below tells another length");

#define MACROS(X)                                                                        \
	X(RULE, "rule")                                                                  \
	X(CLIENT, "client")                                                              \
	X(HELO, "helo")                                                                  \
	X(SENDER, "sender")                                                              \
	X(RECIPIENT, "recipient")                                                        \
	X(ID, "id")

enum macro {
#define MACRO_ENUM(id, name) MACRO_##id,
	MACROS(MACRO_ENUM)
#undef MACRO_ENUM
		MACRO_NONE
};

/* Take a macro, or (MACRO_NONE) one literal character, off *text, which is not empty.
 * Returns NULL, or what is wrong. */
static const char *take(const char **text, enum macro *ret, char *ret_literal)
{
#define MACRO_TEXT(id, name) "%{" name "}",
	static const char *const names[] = {MACROS(MACRO_TEXT)};
#undef MACRO_TEXT

	*ret = MACRO_NONE;
	*ret_literal = **text;
	if (**text != '%' || (*text)[1] == '%') {
		*text += **text == '%' ? 2 : 1;
		return NULL;
	}
	for (enum macro m = 0; m < MACRO_NONE; m++) {
		if (strncmp(*text, names[m], strlen(names[m])) != 0)
			continue;
		*ret = m;
		*text += strlen(names[m]);
		return NULL;
	}
	if ((*text)[1] != '{')
		return "a percent sign that begins no macro is written '%%'";
#define MACRO_TEXT(id, name) " %{" name "}"
	return "unknown macro; there are" MACROS(MACRO_TEXT);
#undef MACRO_TEXT
}

const char *rules_text_check(const char *text)
{
	const char *wrong = NULL;
	enum macro macro;
	char literal;

	if (strlen(text) >= TEXT_SIZE)
		return "the text has more than 255 characters";
	while (*text != '\0' && wrong == NULL) {
		if (!str_is_printable(*text))
			wrong = "printable ASCII is expected";
		else
			wrong = take(&text, &macro, &literal);
	}
	return wrong;
}

static struct str value_of(enum macro macro, const char *rule_name,
	const struct rule_question *q, const char *id)
{
	switch (macro) {
	case MACRO_RULE:
		return str_of(rule_name);
	case MACRO_CLIENT:
		return q->client_text;
	case MACRO_HELO:
		return q->helo;
	case MACRO_SENDER:
		return q->sender;
	case MACRO_RECIPIENT:
		return q->recipient;
	case MACRO_ID:
		return str_of(id);
	case MACRO_NONE:
		break;
	}
	return (struct str){0};
}

void rules_text_write(const char *text, const char *rule_name,
	const struct rule_question *q, const char *id, char *out, size_t size)
{
	enum macro macro;
	char literal;
	size_t n = 0;

	while (*text != '\0' && take(&text, &macro, &literal) == NULL) {
		struct str value = {&literal, 1};

		if (macro != MACRO_NONE)
			value = value_of(macro, rule_name, q, id);
		for (size_t i = 0; i < value.n && n + 1 < size; i++)
			out[n++] = str_is_printable(value.p[i]) ? value.p[i] : '?';
	}
	out[n] = '\0';
}
