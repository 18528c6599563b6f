/* Patterns; see pattern.h.  Runs in workers on hostile text; the patterns are the
 * operator's. */
#include "policy/pattern.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* While it matches, an expression makes itself a state for all that it meets, of some
 * KiB each, and never forgets one; there may be millions.  After so many octets it is
 * made anew. */
#define WORN_BYTES 8192

/* Of one process, however many look at the pattern. */
struct machine {
	const char *text;
	regex_t *regex;
	size_t bytes; /* met so far */
};

struct pattern {
	struct str glob;         /* p NULL: a regular expression */
	struct machine *machine; /* which that is; else NULL */
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

/* --- how large an expression is -------------------------------------------- */

/* The C library writes repetitions out, those in others as often as these; of some
 * hundred octets each.  That many parts may come of one expression, */
#define WEIGHT_MAX 10000

/* and so deep it may be. */
#define DEPTH_MAX 32

static uint64_t weigh_most(uint64_t a, uint64_t times)
{
	return a > WEIGHT_MAX || times > WEIGHT_MAX || a * times > WEIGHT_MAX
		       ? WEIGHT_MAX + 1
		       : a * times;
}

/* Behind the "[": up to the "]" that ends the list. */
static const char *skip_list(const char *p)
{
	p += *p == '^';
	p += *p == ']';
	while (*p != '\0' && *p != ']') {
		char class = p[0] == '[' && strchr(".:=", p[1]) != NULL ? p[1] : '\0';

		p++;
		if (class == '\0')
			continue;
		for (p++; *p != '\0' && (p[0] != class || p[1] != ']');)
			p++;
		p += *p == '\0' ? 0 : 2;
	}
	return p + (*p == ']');
}

/* Behind the "{": the larger of the numbers. */
static const char *take_times(const char *p, uint64_t *ret)
{
	uint64_t number = 0;

	*ret = 1;
	for (; *p != '\0' && *p != '}'; p++) {
		if (*p == ',')
			number = 0;
		else if (*p >= '0' && *p <= '9' && number <= WEIGHT_MAX)
			number = number * 10 + (uint64_t)(*p - '0');
		if (number > *ret)
			*ret = number;
	}
	return p + (*p == '}');
}

/* How many parts come of it, WEIGHT_MAX + 1 at the most.  Groups are looked into, up to
 * the ")" that ends the one around. */
static uint64_t weigh(const char **text, unsigned depth)
{
	uint64_t total = 0, last = 0, times;
	const char *p = *text;

	while (*p != '\0' && (*p != ')' || depth == 0) && total <= WEIGHT_MAX) {
		char c = *p++;

		if (strchr("{+*?", c) != NULL) {
			times = c == '+' ? 2 : 1; /* a+ is aa* there. */
			if (c == '{')
				p = take_times(p, &times);
			last = weigh_most(last, times);
			continue;
		}
		total += last;
		last = 1;
		if (c == '\\') {
			p += *p != '\0';
		} else if (c == '[') {
			p = skip_list(p);
		} else if (c == '(') {
			if (depth == DEPTH_MAX)
				return WEIGHT_MAX + 1;
			last = weigh(&p, depth + 1);
			p += *p == ')';
		}
	}
	*text = p;
	total += last;
	return total > WEIGHT_MAX ? WEIGHT_MAX + 1 : total;
}

static bool is_too_large(const char *text)
{
	return weigh(&text, 0) > WEIGHT_MAX;
}

/* --- one that is made ------------------------------------------------------- */

static void free_machine(struct machine *m)
{
	if (m == NULL)
		return;
	if (m->regex != NULL)
		regfree(m->regex);
	free(m->regex);
	free(m);
}

/* Make it, or make it anew; what there was stays if that fails.  Returns 0, or what
 * regcomp says. */
static int make(struct machine *m)
{
	regex_t *regex = malloc(sizeof(*regex));
	int error = REG_ESPACE;

	if (regex != NULL)
		error = regcomp(regex, m->text, REG_EXTENDED | REG_ICASE | REG_NOSUB);
	if (error != 0) {
		free(regex);
		return error;
	}
	if (m->regex != NULL)
		regfree(m->regex);
	free(m->regex);
	m->regex = regex;
	return 0;
}

static const char *compile(const char *text, struct machine *m)
{
	if (*text == '\0')
		return "a regular expression is expected behind ~";
	if (has_back_reference(text))
		return "back-references are not supported";
	if (is_too_large(text))
		return "the regular expression is too large";
	m->text = text;
	switch (make(m)) {
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
	const char *wrong = p == NULL ? "out of memory" : NULL;

	if (wrong == NULL && *text != '~') {
		p->glob = str_of(text);
	} else if (wrong == NULL) {
		p->machine = calloc(1, sizeof(*p->machine));
		wrong = p->machine == NULL ? "out of memory"
					   : compile(text + 1, p->machine);
	}
	if (wrong == NULL)
		*ret = p;
	else
		pattern_free(p);
	return wrong;
}

void pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	free_machine(p->machine);
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
	p->machine->bytes += str_copy(text, sizeof(text), subject) + 1;
	if (p->machine->bytes > WORN_BYTES) {
		p->machine->bytes = 0;
		(void)make(p->machine);
	}
	return regexec(p->machine->regex, text, 0, NULL, 0) == 0;
}
