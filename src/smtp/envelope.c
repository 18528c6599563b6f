/* Envelope and trace header; see envelope.h.
 *
 * Runs in workers; recipients and HELO come from a hostile client.  Text of the
 * client reaches the header only through add_word, so that it can neither end
 * the line nor open a comment or a quoted string. */
#include "smtp/envelope.h"

#include <inttypes.h>
#include <string.h>

#include "base/date.h"

#define RECIPIENTS_FIRST 8
#define WORD_MAX         255

const char *envelope_protocol(const struct envelope *e)
{
	const struct envelope_client *client = &e->client;
	static const char *const names[2][4] = {
		{"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
		{"LMTP", "LMTPA", "LMTPS", "LMTPSA"},
	};

	if (!client->is_lmtp && !client->is_esmtp)
		return "SMTP";
	return names[client->is_lmtp]
		    [2 * (client->tls.version.n > 0) + (client->user.n > 0)];
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

/* ([192.0.2.1]), ([IPv6:2001:db8::1]); nothing for a Unix socket */
static void add_client(const struct envelope_client *client, struct buf *out)
{
	bool is_v6 = client->address.n > 0 &&
		     memchr(client->address.p, ':', client->address.n) != NULL;

	if (client->port == 0 && !is_v6 && str_equal(client->address, STR("unix")))
		return;
	(void)buf_add_text(out, is_v6 ? " ([IPv6:" : " ([");
	(void)buf_add_str(out, client->address);
	(void)buf_add_text(out, "])");
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
		add_word(out, e->recipients[0].address.mailbox);
		(void)buf_add_text(out, ">");
	}
	(void)buf_add_text(out, ";");
	(void)buf_add_text(out, eol);
	(void)buf_add_text(out, "\t");
	add_date(e->stamp.unix_seconds, out);
	(void)buf_add_text(out, eol);
}
