/* Replies; see reply.h.
 *
 * Runs in workers.  Text may come from user code and may echo a client: this is
 * the one place all of it passes, and no CR, LF or 8-bit byte gets through. */
#include "smtp/reply.h"

#include <stdio.h>

#define REPLY_TEXT_MAX 480

void reply_add(struct buf *out, enum reply_position position, int code,
	const char *enhanced, struct str text)
{
	size_t start;

	(void)buf_add_format(out, "%03d%c%s%s", code, position == REPLY_MORE ? '-' : ' ',
		enhanced, enhanced[0] == '\0' ? "" : " ");
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
	(void)snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced);
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
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
