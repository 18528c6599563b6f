/* What EHLO offers; see extensions.h.
 *
 * Runs in workers.  Nothing of the client is in these lines. */
#include "smtp/extensions.h"

#include "smtp/auth.h"
#include "smtp/engine.h"

/* The longest that is made here; AUTH has a place of its own. */
#define OFFER_MAX 64

/* RFC 9422: a limit has one to six digits, and is not 0. */
#define LIMIT_MAX 999999

bool extensions_has(const struct smtp *s, enum smtp_extension extension)
{
	if ((s->listen.extensions & EXTENSION_BIT(extension)) == 0)
		return false;
	/* RFC 8689, 2 */
	return extension != EXTENSION_REQUIRETLS || s->is_tls;
}

bool extensions_may_start_tls(const struct smtp *s)
{
	return s->listen.tls != LISTEN_TLS_OFF && !s->is_tls;
}

/* Functions for what is more than a word; out is a place for the line.  Empty: it is not
 * offered. */

static struct str offer_size(struct smtp *s, char out[OFFER_MAX])
{
	uint64_t max = s->settings->message_size_max;

	size_t n = str_copy(out, OFFER_MAX, STR("SIZE "));

	/* RFC 1870, 3: zero stands for no limit. */
	n += str_decimal(out + n, max == UINT64_MAX ? 0 : max);
	return (struct str){out, n};
}

static struct str offer_starttls(struct smtp *s, char out[OFFER_MAX])
{
	(void)out;
	return extensions_may_start_tls(s) ? STR("STARTTLS") : STR("");
}

static struct str offer_auth(struct smtp *s, char out[OFFER_MAX])
{
	(void)out;
	return auth_offer(s);
}

/* Nothing, where there is no limit, or RFC 9422 has no digits for it. */
static size_t put_limit(char out[OFFER_MAX], size_t n, struct str name, size_t limit)
{
	if (limit == 0 || limit > LIMIT_MAX)
		return n;
	n += str_copy(out + n, OFFER_MAX - n, name);
	return n + str_decimal(out + n, limit);
}

static struct str offer_limits(struct smtp *s, char out[OFFER_MAX])
{
	size_t word = str_copy(out, OFFER_MAX, STR("LIMITS")), n = word;

	n = put_limit(out, n, STR(" RCPTMAX="), s->settings->recipients_max);
	n = put_limit(out, n, STR(" MAILMAX="), s->settings->messages_max);
	return n > word ? (struct str){out, n} : STR("");
}

static struct str offer_xclient(struct smtp *s, char out[OFFER_MAX])
{
	(void)out;
	return s->may_xclient
		       ? STR("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
		       : STR("");
}

/* In the order of the reply.  EXPN and ETRN are there for nobody to be invited. */
static const struct {
	enum smtp_extension extension; /* EXTENSIONS: the function decides alone */
	struct str line;
	struct str (*make)(struct smtp *s, char out[OFFER_MAX]);
} offers[] = {
	{EXTENSION_PIPELINING, STR("PIPELINING"), NULL},
	{EXTENSION_SIZE, STR(""), offer_size},
	{EXTENSION_8BITMIME, STR("8BITMIME"), NULL},
	{EXTENSIONS, STR(""), offer_starttls},
	{EXTENSIONS, STR(""), offer_auth},
	{EXTENSION_SMTPUTF8, STR("SMTPUTF8"), NULL},
	{EXTENSION_CHUNKING, STR("CHUNKING"), NULL},
	{EXTENSION_BINARYMIME, STR("BINARYMIME"), NULL},
	{EXTENSION_DSN, STR("DSN"), NULL},
	{EXTENSION_LIMITS, STR(""), offer_limits},
	{EXTENSION_NO_SOLICITING, STR("NO-SOLICITING"), NULL},
	{EXTENSION_REQUIRETLS, STR("REQUIRETLS"), NULL},
	{EXTENSION_VRFY, STR("VRFY"), NULL},
	{EXTENSIONS, STR(""), offer_xclient},
	{EXTENSION_HELP, STR("HELP"), NULL},
	{EXTENSION_ENHANCEDSTATUSCODES, STR("ENHANCEDSTATUSCODES"), NULL},
};

#define OFFER_COUNT (sizeof(offers) / sizeof(offers[0]))

/* The line for offer i, or nothing. */
static struct str make_offer(struct smtp *s, size_t i, char out[OFFER_MAX])
{
	if (offers[i].extension != EXTENSIONS && !extensions_has(s, offers[i].extension))
		return STR("");
	return offers[i].make != NULL ? offers[i].make(s, out) : offers[i].line;
}

void extensions_answer(struct smtp *s, struct str name)
{
	/* Each line waits for the next one, since the last looks different. */
	char text[2][OFFER_MAX];
	struct str waiting = name;
	size_t lines = 0;

	for (size_t i = 0; i < OFFER_COUNT; i++) {
		struct str line = make_offer(s, i, text[lines % 2]);

		if (line.n == 0)
			continue;
		engine_reply_line(s, REPLY_MORE, 250, "", waiting);
		waiting = line;
		lines++;
	}
	engine_reply_line(s, REPLY_LAST, 250, "", waiting);
}
