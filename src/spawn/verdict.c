/* Verdicts; see verdict.h.
 *
 * Runs in the spawner.  Output of commands may echo what clients sent: only printable
 * ASCII of it goes on.  Pure.
 *
 * Statuses of <sysexits.h> mean what they mean to other mail servers.  Whatever nobody
 * has given a meaning is temporary: the client tries again, and nothing is lost. */
#include "spawn/verdict.h"

#include <stddef.h>
#include <string.h>

#include "smtp/reply.h"

#define STATUS_FIRST 64

/* From STATUS_FIRST on. */
static const struct meaning {
	const char *enhanced;
	const char *text;
} meanings[] = {
	{"5.3.0", "Command line usage error"},
	{"5.6.0", "Data format error"},
	{"5.3.0", "Cannot open input"},
	{"5.1.1", "User unknown"},
	{"5.1.2", "Host name unknown"},
	{"5.3.0", "Service unavailable"},
	{"5.3.0", "Internal software error"},
	{"4.3.0", "System resource problem"},
	{"5.3.0", "Critical system file missing"},
	{"5.2.0", "Cannot create output file"},
	{"5.3.0", "Input/output error"},
	{"4.3.0", "Temporary failure"},
	{"5.5.0", "Remote error in protocol"},
	{"5.7.0", "Permission denied"},
	{"5.3.5", "Local configuration error"},
};

/* ------------------------------------------------------------------- output */

/* Take 1*3DIGIT off *s. */
static bool take_number(struct str *s)
{
	size_t n = 0;

	while (n < 3 && n < s->n && str_is_digit(s->p[n]))
		n++;
	*s = str_skip(*s, n);
	return n > 0;
}

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* Take "4.2.2" off *s, and put it into ret. */
static bool take_enhanced(struct str *s, char *ret, size_t size)
{
	struct str rest = *s;

	if (!take_char(&rest, '4') && !take_char(&rest, '5'))
		return false;
	if (!take_char(&rest, '.') || !take_number(&rest) || !take_char(&rest, '.') ||
		!take_number(&rest))
		return false;
	if (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')
		return false;
	(void)str_copy(ret, size, (struct str){s->p, s->n - rest.n});
	*s = rest;
	return true;
}

/* Take "452 " off *s; 0 if it does not begin with such a code. */
static int take_code(struct str *s)
{
	struct str rest = *s;
	int code;

	if (!take_number(&rest) || s->n - rest.n != 3 || !take_char(&rest, ' '))
		return 0;
	code = (s->p[0] - '0') * 100 + (s->p[1] - '0') * 10 + (s->p[2] - '0');
	*s = rest;
	return code;
}

static void put_text(struct str text, char *out, size_t size)
{
	text = str_trim_end(str_trim_start(text));
	if (text.n > VERDICT_TEXT_MAX)
		text.n = VERDICT_TEXT_MAX;
	if (text.n == 0)
		text = STR("The command refused the message");
	(void)str_copy(out, size, text);
	for (size_t i = 0; i < text.n; i++)
		if (!str_is_printable(out[i]))
			out[i] = out[i] == '\t' ? ' ' : '?';
}

bool verdict_parse_line(struct str line, struct spawn_answer *ret)
{
	struct spawn_answer a = {0};
	int code = take_code(&line);

	/* A code alone is one of mail systems (RFC 5321, 4.2.1: the second digit is 5);
	 * what begins with 404 or 500 may be anybody's. */
	if (!take_enhanced(&line, a.enhanced, sizeof(a.enhanced))) {
		if ((code / 10 != 45 && code / 10 != 55) || str_trim_end(line).n == 0)
			return false;
		(void)str_copy(a.enhanced, sizeof(a.enhanced),
			code < 500 ? STR("4.0.0") : STR("5.0.0"));
	}
	if (code == 0)
		code = a.enhanced[0] == '4' ? 451 : 550;
	if (!reply_enhanced_fits(a.enhanced, code))
		return false;
	a.code = code;
	put_text(line, a.text, sizeof(a.text));
	*ret = a;
	return true;
}

/* ------------------------------------------------------------------ verdict */

static void set(struct spawn_answer *a, int code, const char *enhanced, const char *text)
{
	*a = (struct spawn_answer){.code = code};
	(void)str_copy(a->enhanced, sizeof(a->enhanced), str_of(enhanced));
	(void)str_copy(a->text, sizeof(a->text), str_of(text));
}

static void judge_status(
	int status, const struct spawn_answer *said, struct spawn_answer *ret)
{
	const size_t count = sizeof(meanings) / sizeof(meanings[0]);
	size_t i = (size_t)(status - STATUS_FIRST);

	if (status == 0)
		set(ret, 250, "2.0.0", "Ok");
	else if (said != NULL)
		*ret = *said;
	else if (status >= STATUS_FIRST && i < count)
		set(ret, meanings[i].enhanced[0] == '4' ? 451 : 550, meanings[i].enhanced,
			meanings[i].text);
	else
		set(ret, 451, "4.3.0", "The command failed");
}

void verdict_make(enum command_end how, int number, const struct spawn_answer *said,
	struct spawn_answer *ret)
{
	switch (how) {
	case COMMAND_EXIT:
		judge_status(number, said, ret);
		break;
	case COMMAND_SIGNAL:
		set(ret, 451, "4.3.0", "The command was killed");
		break;
	case COMMAND_TIMEOUT:
		set(ret, 451, "4.3.0", "The command took too long");
		break;
	case COMMAND_START:
		set(ret, 451, "4.3.0", "The command cannot be started");
		break;
	}
}
