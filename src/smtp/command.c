/* Command lines taken apart; see command.h.
 *
 * Runs in workers on hostile text.  Nothing is copied and nothing is judged but
 * the form: which verbs and parameters exist is the business of verbs.c. */
#include "smtp/command.h"

#include "base/utf8.h"

bool command_split(struct str line, struct command *ret)
{
	size_t verb = 0;

	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < 0x20 ? line.p[i] != '\t'
						    : line.p[i] == 0x7f)
			return false;
	line = str_trim_end(line);
	while (verb < line.n && !str_is_blank(line.p[verb]))
		verb++;
	if (verb == 0)
		return false;
	ret->verb = (struct str){line.p, verb};
	ret->argument = str_trim_start(str_skip(line, verb));
	return true;
}

/* esmtp-value = 1*(%d33-60 / %d62-126 / UTF8-non-ascii); returns how many octets. */
static size_t value_length(struct str s)
{
	size_t n = 0, step;

	do {
		while (n < s.n && s.p[n] > 0x20 && s.p[n] < 0x7f && s.p[n] != '=')
			n++;
		step = n < s.n && (unsigned char)s.p[n] > 0x7f
			       ? utf8_printable(str_skip(s, n))
			       : 0;
		n += step;
	} while (step > 0);
	return n;
}

/*
 * esmtp-param   = esmtp-keyword ["=" esmtp-value]
 * esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 */
enum parameter_outcome parameter_next(struct str *rest, struct parameter *ret)
{
	struct str s = str_trim_start(*rest);
	struct parameter found = {.is_ascii = true};
	size_t n = 0;

	if (s.n == 0)
		return PARAMETER_END;
	while (n < s.n && (str_is_alnum(s.p[n]) || (n > 0 && s.p[n] == '-')))
		n++;
	found.keyword = (struct str){s.p, n};
	s = str_skip(s, n);
	if (s.n > 0 && s.p[0] == '=') {
		found.has_value = true;
		s = str_skip(s, 1);
		n = value_length(s);
		found.value = (struct str){s.p, n};
		found.is_ascii = str_is_ascii(found.value);
		s = str_skip(s, n);
	}
	if (found.keyword.n == 0 || (found.has_value && found.value.n == 0) ||
		(s.n > 0 && !str_is_blank(s.p[0])))
		return PARAMETER_BAD;
	*rest = s;
	*ret = found;
	return PARAMETER_READY;
}

static int hex_digit(char c)
{
	if (str_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * xtext   = *( xchar / hexchar )
 * xchar   = any ASCII CHAR between "!" (33) and "~" (126) inclusive,
 *           except for "+" and "="
 * hexchar = "+" 2(%x30-39 / %x41-46)
 */
bool xtext_decode(struct str in, char *out, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '+') {
			int high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_digit(in.p[i + 2]);

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (!str_is_printable(c) || c == ' ' || c == '=') {
			return false;
		}
		out[n++] = c;
	}
	*ret_n = n;
	return true;
}
