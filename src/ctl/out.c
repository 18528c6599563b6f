/* How sinkctl writes; see out.h.
 *
 * Texts come from clients of the server, and may hold what a terminal obeys: they leave
 * through str_printable or str_json only. */
#include "ctl/out.h"

#include <inttypes.h>

#include "base/str.h"

/* Six characters for a byte, of the longest text field. */
#define JSON_TEXT_MAX 1600

void out_printable(char out[OUT_TEXT_MAX], const char *text)
{
	(void)str_printable(out, OUT_TEXT_MAX, str_of(text[0] == '\0' ? "-" : text));
}

void out_words(char out[OUT_TEXT_MAX], const char *text)
{
	size_t n = 0;

	if (*text == '\0')
		out[n++] = '-';
	for (; *text != '\0' && n + sizeof("\\x00") <= OUT_TEXT_MAX; text++)
		if (*text == '"' || *text == '\\')
			out[n++] = *text;
		else
			n += str_printable(
				out + n, OUT_TEXT_MAX - n, (struct str){text, 1});
	out[n] = '\0';
}

void out_seconds(char out[OUT_NUMBER_MAX], uint64_t ms)
{
	(void)snprintf(
		out, OUT_NUMBER_MAX, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

static void begin_member(struct out_json *j, const char *key)
{
	if (j->needs_comma)
		(void)fputc(',', j->file);
	j->needs_comma = true;
	if (key != NULL)
		(void)fprintf(j->file, "\"%s\":", key);
}

void out_json_open(struct out_json *j, const char *key, char bracket)
{
	begin_member(j, key);
	(void)fputc(bracket, j->file);
	j->needs_comma = false;
}

void out_json_close(struct out_json *j, char bracket)
{
	(void)fputc(bracket, j->file);
	j->needs_comma = true;
}

void out_json_text(struct out_json *j, const char *key, const char *text)
{
	char escaped[JSON_TEXT_MAX];

	begin_member(j, key);
	(void)str_json(escaped, sizeof(escaped), str_of(text));
	(void)fprintf(j->file, "\"%s\"", escaped);
}

void out_json_literal(struct out_json *j, const char *key, const char *literal)
{
	begin_member(j, key);
	(void)fputs(literal, j->file);
}

void out_json_number(struct out_json *j, const char *key, uint64_t number)
{
	begin_member(j, key);
	(void)fprintf(j->file, "%" PRIu64, number);
}

void out_json_bool(struct out_json *j, const char *key, bool value)
{
	out_json_literal(j, key, value ? "true" : "false");
}
