/* Envelope and trace header; see envelope.h.
 *
 * Runs in workers; recipients and HELO come from a hostile client.  Text of the
 * client reaches the header only through add_word, so that it can neither end
 * the line nor open a comment or a quoted string. */
#include "smtp/envelope.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/utf8.h"

#define RECIPIENTS_FIRST 8
#define WORD_MAX         255

const char *envelope_protocol(const struct envelope *e)
{
	const struct envelope_client *client = &e->client;
	static const char *const names[2][2][4] = {
		{{"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
			{"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"}},
		{{"LMTP", "LMTPA", "LMTPS", "LMTPSA"},
			{"UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"}},
	};

	if (!client->is_lmtp && !client->is_esmtp && !e->is_smtputf8)
		return "SMTP";
	return names[client->is_lmtp][e->is_smtputf8]
		    [2 * (client->tls.version.n > 0) + (client->user.n > 0)];
}

struct str envelope_destination(
	struct str address, uint16_t port, char text[ENVELOPE_DESTINATION_MAX])
{
	bool is_v6 = address.n > 0 && memchr(address.p, ':', address.n) != NULL;
	char host[ENVELOPE_DESTINATION_MAX - sizeof("[]:65535")];

	if (address.n == 0 || port == 0)
		return address;
	(void)str_copy(host, sizeof(host), address);
	(void)snprintf(text, ENVELOPE_DESTINATION_MAX,
		is_v6 ? "[%s]:%" PRIu16 : "%s:%" PRIu16, host, port);
	return str_of(text);
}

struct recipient *envelope_add_recipient(struct envelope *e, struct arena *arena)
{
	if (e->recipient_count == e->recipient_size) {
		size_t size =
			e->recipient_size == 0 ? RECIPIENTS_FIRST : e->recipient_size * 2;
		struct recipient *more = arena_alloc(arena, size * sizeof(*more));

		if (more == NULL)
			return NULL;
		if (e->recipient_count > 0)
			memcpy(more, e->recipients, e->recipient_count * sizeof(*more));
		e->recipients = more;
		e->recipient_size = size;
	}
	return &e->recipients[e->recipient_count++];
}

/* Client text for a header; what is not printable ASCII, or special, becomes '?'. */
static void add_text(struct buf *out, struct str s, const char *special)
{
	if (s.n > WORD_MAX)
		s.n = WORD_MAX;
	for (size_t i = 0; i < s.n; i++) {
		bool is_safe =
			str_is_printable(s.p[i]) && strchr(special, s.p[i]) == NULL;

		(void)buf_add(out, is_safe ? &s.p[i] : "?", 1);
	}
}

static void add_word(struct buf *out, struct str s)
{
	add_text(out, s, " ()<>\\\"");
}

/* The same, with characters beyond ASCII as they are; none is cut in two. */
static void add_utf8_word(struct buf *out, struct str s)
{
	size_t start = out->len, n;

	for (; s.n > 0 && out->len - start < WORD_MAX; s = str_skip(s, n)) {
		n = utf8_printable(s);
		if (n <= 1)
			add_word(out, (struct str){s.p, n = 1});
		else if (out->len - start + n > WORD_MAX || !buf_add(out, s.p, n))
			break;
	}
}

/* A line of its own, with a comment of "what text"; not if text is empty. */
static void add_comment(
	struct buf *out, const char *eol, const char *what, struct str text)
{
	if (text.n == 0)
		return;
	(void)buf_add_text(out, eol);
	(void)buf_add_text(out, "\t(");
	(void)buf_add_text(out, what);
	(void)buf_add_text(out, " ");
	/* The last two mean nothing here, but not every reader knows. */
	add_text(out, text, "()\\\";");
	(void)buf_add_text(out, ")");
}

/* How sure we are of who it is, and that nobody else has heard. */
static void add_security(
	const struct envelope_client *client, const char *eol, struct buf *out)
{
	if (client->tls.version.n > 0) {
		(void)buf_add_text(out, eol);
		(void)buf_add_text(out, "\t(using ");
		add_word(out, client->tls.version);
		(void)buf_add_text(out, " with cipher ");
		add_word(out, client->tls.cipher);
		(void)buf_add_text(out, ")");
	}
	add_comment(out, eol, "client certificate", client->tls.subject);
	add_comment(out, eol, "authenticated as", client->user);
}

/* ([192.0.2.1]), ([IPv6:2001:db8::1]), (mail.example [192.0.2.1]).  A Unix socket, or an
 * address that a proxy does not know, has no literal (RFC 5321, 4.4): then
 * (mail.example), which is a comment, or nothing. */
static void add_client(const struct envelope_client *client, struct buf *out)
{
	struct str address = client->address;
	bool has_literal =
		!str_equal(address, STR("unix")) && !str_equal(address, STR("unknown"));
	bool is_v6 = address.n > 0 && memchr(address.p, ':', address.n) != NULL;

	if (client->name.n == 0 && !has_literal)
		return;
	(void)buf_add_text(out, " (");
	add_word(out, client->name);
	if (has_literal) {
		(void)buf_add_text(out, client->name.n > 0 ? " [" : "[");
		(void)buf_add_text(out, is_v6 ? "IPv6:" : "");
		(void)buf_add_str(out, address);
		(void)buf_add_text(out, "]");
	}
	(void)buf_add_text(out, ")");
}

/* RFC 5322, 3.3, in UTC */
static void add_date(uint64_t unix_seconds, struct buf *out)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec"};
	struct date d = date_of(unix_seconds);

	(void)buf_add_format(out, "%s, %u %s %u %02u:%02u:%02u +0000", days[d.weekday],
		d.day, months[d.month - 1], d.year, d.hour, d.minute, d.second);
}

void envelope_add_received(const struct envelope *e, const char *eol, struct buf *out)
{
	const struct envelope_client *client = &e->client;

	(void)buf_add_text(out, "Received: from ");
	add_word(out, client->helo);
	add_client(client, out);
	add_security(client, eol, out);
	(void)buf_add_text(out, eol);
	(void)buf_add_text(out, "\tby ");
	add_word(out, client->server);
	(void)buf_add_text(out, " (sinkd) with ");
	(void)buf_add_text(out, envelope_protocol(e));
	(void)buf_add_text(out, " id ");
	(void)buf_add_text(out, e->stamp.id);
	/* More than one recipient here would tell each of the others (RFC 5321, 7.2). */
	if (e->recipient_count == 1) {
		(void)buf_add_text(out, eol);
		(void)buf_add_text(out, "\tfor <");
		if (e->is_smtputf8)
			add_utf8_word(out, e->recipients[0].address.mailbox);
		else
			add_word(out, e->recipients[0].address.mailbox);
		(void)buf_add_text(out, ">");
	}
	(void)buf_add_text(out, ";");
	(void)buf_add_text(out, eol);
	(void)buf_add_text(out, "\t");
	add_date(e->stamp.unix_seconds, out);
	(void)buf_add_text(out, eol);
}
