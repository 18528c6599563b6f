/* Parameters of MAIL and RCPT; see parameters.h.
 *
 * Runs in workers on hostile text.  What was encoded is judged after it has been decoded,
 * too: xtext can stand for any octet, line ends among them (CVE-2020-28026). */
#include "smtp/parameters.h"

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "smtp/address.h"
#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/engine.h"
#include "smtp/extensions.h"

/* What every server has to take (RFC 3461; RFC 3865), and we no more. */
#define ENVID_MAX   100
#define ORCPT_MAX   500
#define SOLICIT_MAX 1000

/* What the parameters of one command fill in. */
struct target {
	struct envelope *envelope;   /* of MAIL */
	struct recipient *recipient; /* of RCPT */
	bool is_utf8;
};

enum taken {
	TAKEN,
	TAKEN_BAD,       /* the value is wrong */
	TAKEN_UNKNOWN,   /* it is not offered */
	TAKEN_TOO_LARGE, /* the message would be */
	TAKEN_NO_MEMORY,
};

/* One of the words, or how many there are. */
static size_t find_word(struct str value, const struct str *words, size_t n)
{
	size_t i = 0;

	while (i < n && !str_equal_nocase(value, words[i]))
		i++;
	return i;
}

/* SIZE=1*20DIGIT (RFC 1870, 3) */
static enum taken take_size(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	uint64_t size = UINT64_MAX;

	if (p->value.n > 20 || str_parse_u64(p->value, &size) == -EINVAL)
		return TAKEN_BAD;
	if (size > s->settings->message_size_max)
		return TAKEN_TOO_LARGE;
	t->envelope->declared_size = size;
	return TAKEN;
}

/* BODY=7BIT / 8BITMIME (RFC 6152, 3) / BINARYMIME (RFC 3030, 3).  That text which was
 * announced as 7BIT is so is not checked: a sink takes it. */
static enum taken take_body(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	static const struct str words[] = {
		STR("7BIT"), STR("8BITMIME"), STR("BINARYMIME")};
	static const enum body_type types[] = {BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME};
	size_t i = find_word(p->value, words, 3);

	if (i == 3)
		return TAKEN_BAD;
	if (!extensions_has(s, types[i] == BODY_BINARYMIME ? EXTENSION_BINARYMIME
							   : EXTENSION_8BITMIME))
		return TAKEN_UNKNOWN;
	t->envelope->body = types[i];
	return TAKEN;
}

/* AUTH=xtext of a mailbox, or <> (RFC 4954, 5).  Of a client that nobody knows it is
 * not believed. */
static enum taken take_auth_sender(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	char *path = arena_alloc(&s->arena, p->value.n + 2);
	struct str rest = {0};
	struct address address = {0};
	enum address_outcome outcome = ADDRESS_BAD_SYNTAX;
	size_t n = 0;

	if (path == NULL)
		return TAKEN_NO_MEMORY;
	path[0] = '<';
	if (str_equal(p->value, STR("<>"))) {
		outcome = ADDRESS_OK;
	} else if (p->value.n > 0 && xtext_decode(p->value, path + 1, &n)) {
		path[n + 1] = '>';
		outcome = address_parse_path((struct str){path, n + 2}, PATH_REVERSE,
			t->is_utf8, &s->arena, &address, &rest);
	}
	if (outcome != ADDRESS_OK || rest.n > 0)
		return outcome == ADDRESS_NO_MEMORY ? TAKEN_NO_MEMORY : TAKEN_BAD;
	t->envelope->auth_sender = STR("");
	if (s->envelope.client.user.n > 0 && address.mailbox.n > 0)
		t->envelope->auth_sender = address.mailbox;
	return TAKEN;
}

static enum taken take_smtputf8(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	(void)s;
	(void)p;
	t->envelope->is_smtputf8 = true;
	return TAKEN;
}

/* RET=FULL / HDRS (RFC 3461, 4.3) */
static enum taken take_ret(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	static const struct str words[] = {STR("FULL"), STR("HDRS")};
	size_t i = find_word(p->value, words, 2);

	(void)s;
	if (i == 2)
		return TAKEN_BAD;
	t->envelope->dsn_return = i == 0 ? DSN_RETURN_FULL : DSN_RETURN_HEADERS;
	return TAKEN;
}

/* The meaning of xtext, which has to be printable ASCII and no longer than max. */
static enum taken decode_xtext(
	struct smtp *s, struct str value, size_t max, struct str *ret)
{
	char *text = arena_alloc(&s->arena, value.n + 1);
	size_t n;

	if (text == NULL)
		return TAKEN_NO_MEMORY;
	if (value.n == 0 || !xtext_decode(value, text, &n) || n > max)
		return TAKEN_BAD;
	for (size_t i = 0; i < n; i++)
		if (!str_is_printable(text[i]))
			return TAKEN_BAD;
	*ret = (struct str){text, n};
	return TAKEN;
}

/* ENVID=xtext (RFC 3461, 4.4) */
static enum taken take_envid(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	return decode_xtext(s, p->value, ENVID_MAX, &t->envelope->envid);
}

/*
 * Solicitation-keywords = word 0*("," word)                        (RFC 3865)
 * word                  = ALPHA 0*(wordchar)
 * wordchar              = ("." / "-" / "_" / ":" / ALPHA / DIGIT)
 */
static bool are_solicitation_keywords(struct str s)
{
	static const char others[] = {'.', '-', '_', ':', ','};
	bool is_first = true;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (is_first ? !str_is_alnum(c) || str_is_digit(c)
			     : !str_is_alnum(c) &&
					memchr(others, c, sizeof(others)) == NULL)
			return false;
		is_first = c == ',';
	}
	return !is_first;
}

static enum taken take_solicit(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	struct str keywords;

	if (p->value.n > SOLICIT_MAX || !are_solicitation_keywords(p->value))
		return TAKEN_BAD;
	keywords = arena_copy(&s->arena, p->value);
	if (keywords.p == NULL)
		return TAKEN_NO_MEMORY;
	t->envelope->solicit = keywords;
	return TAKEN;
}

/* RFC 8689, 2: only where it was offered, which is under TLS. */
static enum taken take_requiretls(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	(void)p;
	if (!extensions_has(s, EXTENSION_REQUIRETLS))
		return TAKEN_UNKNOWN;
	t->envelope->requires_tls = true;
	return TAKEN;
}

/* NOTIFY=NEVER, or SUCCESS / FAILURE / DELAY with commas between (RFC 3461, 4.1) */
static enum taken take_notify(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	static const struct str words[] = {
		STR("NEVER"), STR("SUCCESS"), STR("FAILURE"), STR("DELAY")};
	struct str rest = p->value;
	unsigned notify = 0;
	bool is_last;

	(void)s;
	do {
		const char *comma = rest.n > 0 ? memchr(rest.p, ',', rest.n) : NULL;
		size_t n = comma == NULL ? rest.n : (size_t)(comma - rest.p);
		size_t i = find_word((struct str){rest.p, n}, words, 4);

		if (i == 4 || (notify & 1U << i) != 0)
			return TAKEN_BAD;
		notify |= 1U << i;
		is_last = comma == NULL;
		rest = str_skip(rest, n + 1);
	} while (!is_last);
	if ((notify & DSN_NOTIFY_NEVER) != 0 && notify != DSN_NOTIFY_NEVER)
		return TAKEN_BAD;
	t->recipient->notify = notify;
	return TAKEN;
}

static int hex_value(char c)
{
	if (str_is_digit(c))
		return c - '0';
	c = str_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"               (RFC 6533, 3)
 * HEXPOINT is the shortest form, and of ASCII only for what cannot stand for itself.
 * Returns the length of the form, or 0.
 */
static size_t embedded_char(struct str s, uint32_t *ret)
{
	uint32_t c = 0;
	size_t n = 3;

	if (s.n < 3 || memcmp(s.p, "\\x{", 3) != 0)
		return 0;
	for (; n < s.n && hex_value(s.p[n]) >= 0 && n < 3 + 6; n++)
		c = c << 4 | (uint32_t)hex_value(s.p[n]);
	if (n < 3 + 2 || n == s.n || s.p[n] != '}' || s.p[3] == '0')
		return 0;
	if (c < 0x80 && c != ' ' && c != '+' && c != '=' && c != '\\')
		return 0;
	*ret = c;
	return n + 1;
}

/*
 * utf-8-addr-xtext   = 1*(QCHAR / EmbeddedUnicodeChar)         (RFC 6533, 3)
 * utf-8-addr-unitext = 1*(QUCHAR / EmbeddedUnicodeChar)
 * QCHAR: printable ASCII but for the blank, the backslash, "+" and "="
 * The second form is for SMTPUTF8.  No character gets longer by decoding.
 */
static enum taken decode_utf8_address(
	struct smtp *s, struct str value, bool is_utf8, struct str *ret)
{
	static const char special[] = {'\\', '+', '=', ' '};
	char *text = arena_alloc(&s->arena, value.n + 1);
	size_t len = 0, n, put;

	if (text == NULL)
		return TAKEN_NO_MEMORY;
	for (; value.n > 0; value = str_skip(value, n)) {
		uint32_t c = 0;
		bool is_plain = memchr(special, value.p[0], sizeof(special)) == NULL &&
				(is_utf8 || str_is_printable(value.p[0]));

		n = is_plain ? utf8_printable(value) : embedded_char(value, &c);
		if (is_plain)
			memcpy(text + len, value.p, n);
		put = is_plain ? n : utf8_encode(c, text + len);
		if (n == 0 || put == 0)
			return TAKEN_BAD;
		len += put;
	}
	*ret = (struct str){text, len};
	return len > 0 && len <= ORCPT_MAX && utf8_is_printable(*ret) ? TAKEN : TAKEN_BAD;
}

/* ORCPT=atom;xtext (RFC 3461, 4.2), or utf-8;address (RFC 6533, 3) */
static enum taken take_orcpt(
	struct smtp *s, const struct parameter *p, const struct target *t)
{
	const char *end = p->value.n > 0 ? memchr(p->value.p, ';', p->value.n) : NULL;
	struct str type, value;
	enum taken taken;

	if (end == NULL)
		return TAKEN_BAD;
	type = (struct str){p->value.p, (size_t)(end - p->value.p)};
	value = str_skip(p->value, type.n + 1);
	if (!address_is_atom(type))
		return TAKEN_BAD;
	if (str_equal_nocase(type, STR("utf-8")))
		taken = decode_utf8_address(
			s, value, t->is_utf8, &t->recipient->original);
	else
		taken = decode_xtext(s, value, ORCPT_MAX, &t->recipient->original);
	if (taken != TAKEN)
		return taken;
	t->recipient->original_type = arena_copy(&s->arena, type);
	return t->recipient->original_type.p == NULL ? TAKEN_NO_MEMORY : TAKEN;
}

/* AUTH comes and goes with an option of its own. */
#define ANY_OF_AUTH 0

struct kind {
	struct str keyword;
	bool is_of_rcpt;
	bool has_value;
	uint32_t any_of; /* extensions that bring it */
	const char *mistake;
	enum taken (*take)(
		struct smtp *s, const struct parameter *p, const struct target *t);
};

#define BIT(id) EXTENSION_BIT(EXTENSION_##id)

static const struct kind kinds[] = {
	{STR("SIZE"), false, true, BIT(SIZE), "SIZE takes a number", take_size},
	{STR("BODY"), false, true, BIT(8BITMIME) | BIT(BINARYMIME),
		"BODY takes 7BIT, 8BITMIME or BINARYMIME", take_body},
	{STR("AUTH"), false, true, ANY_OF_AUTH, "AUTH takes an address as xtext, or <>",
		take_auth_sender},
	{STR("SMTPUTF8"), false, false, BIT(SMTPUTF8), "SMTPUTF8 takes no value",
		take_smtputf8},
	{STR("RET"), false, true, BIT(DSN), "RET takes FULL or HDRS", take_ret},
	{STR("ENVID"), false, true, BIT(DSN),
		"ENVID takes printable text as xtext, at most 100 octets", take_envid},
	{STR("SOLICIT"), false, true, BIT(NO_SOLICITING),
		"SOLICIT takes keywords with commas between", take_solicit},
	{STR("REQUIRETLS"), false, false, BIT(REQUIRETLS), "REQUIRETLS takes no value",
		take_requiretls},
	{STR("NOTIFY"), true, true, BIT(DSN),
		"NOTIFY takes NEVER, or some of SUCCESS,FAILURE,DELAY", take_notify},
	{STR("ORCPT"), true, true, BIT(DSN),
		"ORCPT takes type;address as xtext, at most 500 octets", take_orcpt},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* The kind of that name, if it is offered, or KIND_COUNT. */
static size_t find_kind(const struct smtp *s, bool is_of_rcpt, struct str keyword)
{
	size_t i = 0;

	while (i < KIND_COUNT && (kinds[i].is_of_rcpt != is_of_rcpt ||
					 !str_equal_nocase(keyword, kinds[i].keyword)))
		i++;
	if (i == KIND_COUNT)
		return i;
	return kinds[i].any_of == ANY_OF_AUTH ? (auth_is_on(s) ? i : KIND_COUNT)
	       : (s->listen.extensions & kinds[i].any_of) != 0 ? i
							       : KIND_COUNT;
}

/* Replies on failure; mistake is what TAKEN_BAD is called. */
static bool is_taken(struct smtp *s, enum taken taken, const char *mistake)
{
	switch (taken) {
	case TAKEN:
		break;
	case TAKEN_BAD:
		engine_error(s, 501, "5.5.4", mistake);
		break;
	case TAKEN_UNKNOWN:
		engine_error(s, 555, "5.5.4", "Unknown parameter");
		break;
	case TAKEN_TOO_LARGE:
		engine_reply(s, 552, "5.3.4", "Message is larger than the limit");
		break;
	case TAKEN_NO_MEMORY:
		engine_reply(s, 452, "4.3.1", "Too much for one session");
		break;
	}
	return taken == TAKEN;
}

/* One parameter; *given are the kinds that there were before. */
static bool take(struct smtp *s, const struct target *t, const struct parameter *p,
	unsigned *given)
{
	size_t i = find_kind(s, t->recipient != NULL, p->keyword);
	enum taken taken = TAKEN_BAD;

	if (i == KIND_COUNT)
		return is_taken(s, TAKEN_UNKNOWN, NULL);
	if ((*given & 1U << i) != 0)
		return is_taken(s, TAKEN_BAD, "Parameter given twice");
	*given |= 1U << i;
	if (p->has_value == kinds[i].has_value)
		taken = kinds[i].take(s, p, t);
	return is_taken(s, taken, kinds[i].mistake);
}

static bool take_all(struct smtp *s, struct str rest, const struct target *t)
{
	struct parameter p;
	enum parameter_outcome outcome;
	unsigned given = 0;

	while ((outcome = parameter_next(&rest, &p)) == PARAMETER_READY &&
		(p.is_ascii || t->is_utf8))
		if (!take(s, t, &p, &given))
			return false;
	return is_taken(
		s, outcome == PARAMETER_END ? TAKEN : TAKEN_BAD, "Bad parameter syntax");
}

bool parameters_take_mail(
	struct smtp *s, struct str text, bool is_utf8, struct envelope *ret)
{
	return take_all(s, text, &(struct target){.envelope = ret, .is_utf8 = is_utf8});
}

bool parameters_take_rcpt(
	struct smtp *s, struct str text, bool is_utf8, struct recipient *ret)
{
	return take_all(s, text, &(struct target){.recipient = ret, .is_utf8 = is_utf8});
}
