/* Patterns; see pattern.h.  Runs in workers on hostile text; the patterns are the
 * operator's. */
#include "policy/pattern.h"

#include <regex.h>
#include <stdlib.h>

struct pattern {
	struct str glob; /* p NULL: a regular expression */
	regex_t regex;
};

/* glibc has them in extended expressions, too. */
static bool has_back_reference(const char *text)
{
	for (; *text != '\0'; text++) {
		if (text[0] != '\\')
			continue;
		if (text[1] >= '1' && text[1] <= '9')
			return true;
		if (text[1] != '\0')
			text++;
	}
	return false;
}

static const char *compile(const char *text, struct pattern *p)
{
	int error;

	if (*text == '\0')
		return "a regular expression is expected behind ~";
	if (has_back_reference(text))
		return "back-references are not supported";
	error = regcomp(&p->regex, text, REG_EXTENDED | REG_ICASE | REG_NOSUB);
	switch (error) {
	case 0:
		return NULL;
	case REG_EBRACK:
		return "a [ has no ]";
	case REG_EPAREN:
		return "a ( has no )";
	case REG_EBRACE:
	case REG_BADBR:
		return "a { has no }, or no number in it";
	case REG_BADRPT:
		return "there is nothing to repeat";
	case REG_ESPACE:
		return "the regular expression is too large";
	default:
		return "not a regular expression";
	}
}

const char *pattern_new(const char *text, struct pattern **ret)
{
	struct pattern *p = calloc(1, sizeof(*p));
	const char *wrong = NULL;

	if (p == NULL)
		return "out of memory";
	if (*text == '~')
		wrong = compile(text + 1, p);
	else
		p->glob = str_of(text);
	if (wrong == NULL)
		*ret = p;
	else
		free(p);
	return wrong;
}

void pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	if (p->glob.p == NULL)
		regfree(&p->regex);
	free(p);
}

/* Of several stars only the last one that was met may have to take more: what those
 * before it have let through needs no second look. */
static bool glob_matches(struct str glob, struct str s)
{
	size_t g = 0, i = 0, star = SIZE_MAX, taken = 0;

	while (i < s.n) {
		if (g < glob.n && glob.p[g] == '*') {
			star = g++;
			taken = i;
		} else if (g < glob.n &&
			   (glob.p[g] == '?' ||
				   str_lower(glob.p[g]) == str_lower(s.p[i]))) {
			g++;
			i++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			i = ++taken;
		} else {
			return false;
		}
	}
	while (g < glob.n && glob.p[g] == '*')
		g++;
	return g == glob.n;
}

bool pattern_matches(const struct pattern *p, struct str subject)
{
	char text[PATTERN_SUBJECT_MAX + 1];

	if (p->glob.p != NULL)
		return glob_matches(p->glob, subject);
	(void)str_copy(text, sizeof(text), subject);
	return regexec(&p->regex, text, 0, NULL, 0) == 0;
}
