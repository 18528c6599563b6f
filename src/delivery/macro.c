/* Macros in templates; see macro.h.
 *
 * Templates come from the configuration.  The master checks them; workers and the
 * spawner, which fill them in, meet only such as are right.  Pure. */
#include "delivery/macro.h"

#include <stddef.h>
#include <string.h>

static const struct {
	struct str name;
	enum macro macro;
} macros[] = {
#define MACRO_ROW(id, name) {STR(name), MACRO_##id},
	MACROS(MACRO_ROW)
#undef MACRO_ROW
};

static enum macro find(struct str name)
{
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++)
		if (str_equal(macros[i].name, name))
			return macros[i].macro;
	return MACRO_NONE;
}

static const char *unknown(uint32_t allowed)
{
	if (allowed == MACROS_OF_PATHS)
		return "unknown macro; there are %{recipient}, %{recipient.local} and "
		       "%{recipient.domain}";
#define MACRO_TEXT(id, name) " %{" name "}"
	return "unknown macro; there are" MACROS(MACRO_TEXT);
#undef MACRO_TEXT
}

const char *macro_take(struct str *s, uint32_t allowed, struct macro_token *ret)
{
	struct str name;
	const char *end;
	enum macro macro;

	if (s->p[0] != '%' || (s->n > 1 && s->p[1] == '%')) {
		*ret = (struct macro_token){MACRO_NONE, s->p[0]};
		*s = str_skip(*s, s->p[0] == '%' ? 2 : 1);
		return NULL;
	}
	if (s->n < 2 || s->p[1] != '{')
		return "a percent sign that begins no macro is written '%%'";
	end = memchr(s->p, '}', s->n);
	if (end == NULL)
		return "a macro has no closing brace";
	name = (struct str){s->p + 2, (size_t)(end - s->p) - 2};
	macro = find(name);
	if (macro == MACRO_NONE || (allowed & MACRO_BIT(macro)) == 0)
		return unknown(allowed);
	*ret = (struct macro_token){macro, '\0'};
	*s = str_skip(*s, name.n + 3);
	return NULL;
}

uint32_t macro_used(const char *template)
{
	struct str s = str_of(template);
	struct macro_token token;
	uint32_t used = 0;

	while (s.n > 0 && macro_take(&s, MACROS_OF_COMMANDS, &token) == NULL)
		if (token.macro != MACRO_NONE)
			used |= MACRO_BIT(token.macro);
	return used;
}

const char *macro_check_argument(const char *template)
{
	struct str s = str_of(template);
	struct macro_token token;
	uint32_t used = 0;
	size_t token_count = 0;

	for (; s.n > 0; token_count++) {
		const char *error = macro_take(&s, MACROS_OF_COMMANDS, &token);

		if (error != NULL)
			return error;
		used |= MACRO_BIT(token.macro);
	}
	if ((used & MACRO_BIT(MACRO_RECIPIENTS)) != 0 && token_count > 1)
		return "%{recipients} becomes an argument for each, and must stand alone";
	return NULL;
}

uint32_t macro_used_as_options(const char *const *command)
{
	uint32_t used = 0;

	if (command[0] == NULL)
		return 0;
	for (const char *const *p = command + 1; *p != NULL && strcmp(*p, "--") != 0;
		p++) {
		struct str s = str_of(*p);
		struct macro_token token;

		/* What comes first may be empty, and then the next one does. */
		while (s.n > 0 && macro_take(&s, MACROS_OF_COMMANDS, &token) == NULL &&
			token.macro != MACRO_NONE)
			used |= MACRO_BIT(token.macro);
	}
	return used;
}
