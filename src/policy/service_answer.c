/* Answers of a policy service; see service_answer.h.
 *
 * Runs in workers.  The service is the administrator's, but what it says may echo
 * clients, or come from whoever has taken its place.  Pure. */
#include "policy/service_answer.h"

#include <string.h>

#include "smtp/reply.h"

/* What the words of access(5) come to, in any case of letters.  "permit" and what follows
 * are names of restrictions, which an action may be as well.  What would decide only
 * together with later restrictions decides at once: there are none. */
static const struct {
	const char *word;
	enum service_action action;
	int code;
} words[] = {
	{"OK", SERVICE_ACCEPT, 0},
	{"DUNNO", SERVICE_ACCEPT, 0},
	{"REJECT", SERVICE_REFUSE, 554},
	{"DEFER", SERVICE_REFUSE, 450},
	{"DEFER_IF_PERMIT", SERVICE_REFUSE, 450},
	{"DEFER_IF_REJECT", SERVICE_ACCEPT, 0},
	{"DISCARD", SERVICE_DISCARD, 0},
	{"PREPEND", SERVICE_PREPEND, 0},
	{"permit", SERVICE_ACCEPT, 0},
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Take what stands before the next blank off *s, and the blanks too. */
static struct str take_word(struct str *s)
{
	struct str word = *s;

	for (size_t i = 0; i < word.n; i++)
		if (is_blank(word.p[i]))
			word.n = i;
	*s = str_trim_start(str_skip(*s, word.n));
	return word;
}

/* An enhanced code in front of the text is taken off it; one of another class than the
 * reply is no use. */
static void take_enhanced(struct service_answer *a)
{
	struct str rest = a->text;
	struct str word = take_word(&rest);
	char enhanced[sizeof(a->enhanced)];

	if (word.n >= sizeof(enhanced) || memchr(word.p, '\0', word.n) != NULL)
		return;
	(void)str_copy(enhanced, sizeof(enhanced), word);
	if (reply_enhanced_fits(enhanced, a->code))
		(void)str_copy(a->enhanced, sizeof(a->enhanced), word);
	else if (!reply_enhanced_fits(enhanced, 250) &&
		 !reply_enhanced_fits(enhanced, a->code < 500 ? 550 : 450))
		return;
	a->text = rest;
}

static bool is_number(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_digit(s.p[i]))
			return false;
	return s.n > 0;
}

/* A code of a reply, or any other number, which counts as OK. */
static void judge_number(struct str word, struct service_answer *a)
{
	a->action = SERVICE_ACCEPT;
	if (word.n != 3 || (word.p[0] != '4' && word.p[0] != '5'))
		return;
	a->action = SERVICE_REFUSE;
	a->code = (word.p[0] - '0') * 100 + (word.p[1] - '0') * 10 + (word.p[2] - '0');
}

static void judge(struct str said, struct service_answer *a)
{
	struct str word;

	a->said = said;
	a->text = said;
	word = take_word(&a->text);
	a->action = SERVICE_OTHER;
	if (is_number(word))
		judge_number(word, a);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_equal_nocase(word, str_of(words[i].word))) {
			a->action = words[i].action;
			a->code = words[i].code;
		}
	if (a->action == SERVICE_REFUSE)
		take_enhanced(a);
}

/* Take a line off *s, without its end, LF or CR LF. */
static bool take_line(struct str *s, struct str *ret)
{
	const char *end = s->n > 0 ? memchr(s->p, '\n', s->n) : NULL;
	struct str line = *s;

	if (end == NULL)
		return false;
	line.n = (size_t)(end - s->p);
	*s = str_skip(*s, line.n + 1);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	*ret = line;
	return true;
}

enum service_outcome service_answer_parse(
	struct str bytes, struct service_answer *ret, const char **ret_error)
{
	struct str rest = bytes, line, said = {0};

	if (rest.n > SERVICE_ANSWER_MAX)
		rest.n = SERVICE_ANSWER_MAX;
	while (take_line(&rest, &line)) {
		struct service_answer a = {0};

		if (line.n > 0 && memchr(line.p, '=', line.n) == NULL) {
			*ret_error = "a line of the answer is not name=value";
			return SERVICE_BAD;
		}
		if (str_starts_nocase(line, STR("action="))) {
			if (said.p != NULL) {
				*ret_error = "the answer has several actions";
				return SERVICE_BAD;
			}
			said = str_trim_end(
				str_trim_start(str_skip(line, sizeof("action=") - 1)));
		}
		if (line.n > 0)
			continue;
		if (said.n == 0) {
			*ret_error = "the answer has no action";
			return SERVICE_BAD;
		}
		judge(said, &a);
		a.length = (size_t)(rest.p - bytes.p);
		*ret = a;
		return SERVICE_DONE;
	}
	if (bytes.n < SERVICE_ANSWER_MAX)
		return SERVICE_MORE;
	*ret_error = "the answer is too long";
	return SERVICE_BAD;
}
