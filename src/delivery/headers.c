/* Header fields of a delivery; see headers.h (RFC 5321, 4.4, for Return-Path and
 * Received; RFC 5322, 2.1.1 and 2.2.3, for lines).
 *
 * Runs in workers.  What clients said is hostile, and so is what they said in the name of
 * others: all of it goes through add_text, so that none can begin a field of its own, or
 * the text of the message.
 *
 * Known limits: where a line has to be folded and has no blank, one is added.  And of
 * more blanks in a row than a line can hold some become '?': a line of nothing else would
 * be the end of the header to some readers. */
#include "delivery/headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "delivery/text.h"
#include "smtp/envelope.h"

/* Without its end. */
#define LINE_MAX_OCTETS 998

/* A command line has 64 KiB at most, which is the longest text here; with what is put
 * around it, and the same mailbox in other fields, it does not come to twice that. */
#define FACT_MAX (128 * 1024)
/* The arguments of MAIL, and all that is about the connection. */
#define FACTS_OF_MESSAGE 4

/* Where fields go, and how. */
struct writer {
	struct buf *out;
	const char *eol;
	bool is_utf8;
};

/* With all recipients, also those who are delivered elsewhere. */
static const struct envelope *whole_of(const struct envelope *e)
{
	return e->whole == NULL ? e : e->whole;
}

void headers_init(struct buf *out, const struct envelope *envelope)
{
	size_t facts = whole_of(envelope)->recipient_count + FACTS_OF_MESSAGE;

	/* At the most, what hooks have put in front is line ends. */
	buf_init(out, facts * FACT_MAX + 2 * envelope->prepended.n);
}

/* --------------------------------------------------------------------- text */

/* How much of the beginning of s may pass. */
static size_t passing(const struct writer *w, struct str s)
{
	size_t n = 0, step = 1;

	while (n < s.n && step > 0) {
		step = str_is_printable(s.p[n]) ? 1
		       : w->is_utf8             ? utf8_printable(str_skip(s, n))
						: 0;
		n += step;
	}
	return n;
}

static void add_text(const struct writer *w, struct str s)
{
	while (s.n > 0) {
		size_t n = passing(w, s);

		(void)buf_add(w->out, s.p, n);
		if (n < s.n)
			(void)buf_add_text(w->out, "?");
		s = str_skip(s, n + 1);
	}
}

static size_t leading_blanks(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] == ' ')
		n++;
	return n;
}

/* How much of s a line takes that has room for so many octets of it. */
static size_t take_line(const struct writer *w, struct str s, size_t room, bool is_first)
{
	/* What it begins with is no place to fold: before it would be an empty line, or
	 * one of blanks. */
	size_t start = is_first ? 0 : leading_blanks(s), n = room;

	if (s.n <= room)
		return s.n;
	while (n > start && s.p[n] != ' ')
		n--;
	if (n > start)
		return n;
	/* Not within a character, which has three octets more at most. */
	for (n = room; w->is_utf8 && n > room - 3 && ((uint8_t)s.p[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

/* A line that continues one before. */
static void add_continuation(const struct writer *w, struct str s)
{
	bool is_blank = leading_blanks(s) == s.n;

	(void)buf_add_text(w->out, w->eol);
	if (is_blank || s.p[0] != ' ')
		(void)buf_add_text(w->out, " ");
	add_text(w, is_blank ? (struct str){s.p, s.n - 1} : s);
	if (is_blank)
		(void)buf_add_text(w->out, "?");
}

/* Text of any length, where a line has so many octets besides it. */
static void add_folded(const struct writer *w, struct str s, size_t others)
{
	const size_t room = LINE_MAX_OCTETS - others;
	size_t n = take_line(w, s, room, true);

	add_text(w, (struct str){s.p, n});
	for (s = str_skip(s, n); s.n > 0; s = str_skip(s, n)) {
		n = take_line(w, s, room, false);
		add_continuation(w, (struct str){s.p, n});
	}
}

/* ------------------------------------------------------------------- fields */

static void add_mailbox(
	const struct writer *w, const char *before, struct str mailbox, const char *after)
{
	(void)buf_add_text(w->out, before);
	add_folded(w, mailbox, strlen(before) + strlen(after));
	(void)buf_add_text(w->out, after);
	(void)buf_add_text(w->out, w->eol);
}

static void add_delivered_to(
	const struct writer *w, const struct address *recipient, const char *hostname)
{
	(void)buf_add_text(w->out, "Delivered-To: ");
	add_folded(w, recipient->mailbox, strlen("Delivered-To: "));
	if (recipient->domain.n == 0) {
		(void)buf_add_text(w->out, "@");
		add_text(w, str_of(hostname));
	}
	(void)buf_add_text(w->out, w->eol);
}

/* Nothing is said of what is not known. */
static void add_fact(const struct writer *w, const char *key, struct str value)
{
	static const char name[] = "X-Sinkd-Envelope: ";

	if (value.n == 0)
		return;
	(void)buf_add_text(w->out, name);
	(void)buf_add_text(w->out, key);
	(void)buf_add_text(w->out, "=");
	add_folded(w, value, strlen(name) + strlen(key) + 1);
	(void)buf_add_text(w->out, w->eol);
}

static void add_port(const struct writer *w, uint16_t port)
{
	char text[8];

	(void)snprintf(text, sizeof(text), "%" PRIu16, port);
	add_fact(w, "port", port == 0 ? STR("") : str_of(text));
}

/* In an order that stays: readers may rely on it. */
static void add_envelope(const struct writer *w, const struct envelope *e)
{
	const struct envelope *whole = whole_of(e);
	const struct envelope_client *client = &e->client;
	bool is_known = !str_equal(client->address, STR("unknown"));
	char destination[ENVELOPE_DESTINATION_MAX];

	add_fact(w, "client", is_known ? client->address : STR(""));
	add_port(w, client->port);
	add_fact(w, "name", client->name);
	add_fact(w, "destination",
		envelope_destination(
			client->proxy_address, client->proxy_port, destination));
	add_fact(w, "listener", client->listener);
	add_fact(w, "helo", client->helo);
	add_fact(w, "protocol", str_of(envelope_protocol(e)));
	add_fact(w, "tls", client->tls.version);
	add_fact(w, "cipher", client->tls.cipher);
	add_fact(w, "certificate", client->tls.subject);
	add_fact(w, "user", client->user);
	add_fact(w, "id", str_of(e->stamp.id));
	add_fact(w, "mail", e->argument);
	/* All of them, whoever this copy is for: also those whom no other field names. */
	for (size_t i = 0; i < whole->recipient_count; i++)
		add_fact(w, "rcpt", whole->recipients[i].argument);
}

/* Lines of ours, or of a hook's who answers for them; only their ends are changed. */
static void add_prepended(const struct writer *w, struct str lines)
{
	while (lines.n > 0) {
		const char *lf = memchr(lines.p, '\n', lines.n);
		size_t n = lf == NULL ? lines.n : (size_t)(lf - lines.p);

		(void)buf_add(w->out, lines.p, n);
		(void)buf_add_text(w->out, w->eol);
		lines = str_skip(lines, n + 1);
	}
}

static void add_field(const struct writer *w, const struct delivery_settings *settings,
	enum header_field field, const struct envelope *envelope,
	const size_t *recipients, size_t n)
{
	switch (field) {
	case HEADER_RETURN_PATH:
		add_mailbox(w, "Return-Path: <", envelope->sender.mailbox, ">");
		break;
	case HEADER_DELIVERED_TO:
		for (size_t i = 0; i < n; i++)
			add_delivered_to(w, &envelope->recipients[recipients[i]].address,
				settings->hostname);
		break;
	case HEADER_ORIGINAL_TO:
		for (size_t i = 0; i < n; i++)
			add_mailbox(w, "X-Original-To: ",
				envelope->recipients[recipients[i]].address.mailbox, "");
		break;
	case HEADER_ENVELOPE:
		add_envelope(w, envelope);
		break;
	case HEADER_RECEIVED:
		envelope_add_received(envelope, w->eol, w->out);
		break;
	}
}

void headers_add(const struct delivery_settings *settings,
	const struct envelope *envelope, const size_t *recipients, size_t n,
	struct buf *out)
{
	const char *eol = text_eol(text_line_ending(settings, envelope));
	const struct writer w = {out, eol, envelope->is_smtputf8};

	for (size_t i = 0; i < DELIVERY_HEADERS_MAX && settings->headers[i] != 0; i++)
		add_field(&w, settings, settings->headers[i], envelope, recipients, n);
	add_prepended(&w, envelope->prepended);
}

bool headers_differ(const struct delivery_settings *settings)
{
	for (size_t i = 0; i < DELIVERY_HEADERS_MAX; i++)
		if (settings->headers[i] == HEADER_DELIVERED_TO ||
			settings->headers[i] == HEADER_ORIGINAL_TO)
			return true;
	return false;
}
