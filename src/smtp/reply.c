/* Replies; see reply.h.
 *
 * Runs in workers.  Text may come from user code and may echo a client: this is
 * the one place all of it passes, and no CR, LF or 8-bit byte gets through. */
#include "smtp/reply.h"

#define REPLY_TEXT_MAX 480

void reply_add(struct buf *out, enum reply_position position, int code,
	const char *enhanced, struct str text)
{
	/* Not by printf, which took two fifths of all instructions of a message. */
	const char start_of_line[] = {(char)('0' + code / 100),
		(char)('0' + code / 10 % 10), (char)('0' + code % 10),
		position == REPLY_MORE ? '-' : ' '};
	size_t start;

	(void)buf_add(out, start_of_line, sizeof(start_of_line));
	if (enhanced[0] != '\0') {
		(void)buf_add_text(out, enhanced);
		(void)buf_add(out, " ", 1);
	}
	if (text.n > REPLY_TEXT_MAX)
		text.n = REPLY_TEXT_MAX;
	start = out->len;
	(void)buf_add_str(out, text);
	for (size_t i = start; i < out->len; i++)
		if (!str_is_printable(out->p[i]))
			out->p[i] = '?';
	(void)buf_add(out, "\r\n", 2);
}

void reply_set(struct reply *r, int code, const char *enhanced, const char *text)
{
	r->code = code;
	(void)str_copy(r->enhanced, sizeof(r->enhanced), str_of(enhanced));
	(void)str_copy(r->text, sizeof(r->text), str_of(text));
}

/* RFC 3463, 2: one digit, then twice one to three digits. */
bool reply_enhanced_fits(const char *enhanced, int code)
{
	const char *p = enhanced;

	if (*p++ != '0' + code / 100)
		return false;
	for (int part = 0; part < 2; part++) {
		int digits = 0;

		if (*p++ != '.')
			return false;
		for (; str_is_digit(*p) && digits < 3; p++)
			digits++;
		if (digits == 0)
			return false;
	}
	return *p == '\0';
}
