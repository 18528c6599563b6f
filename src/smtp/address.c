/* Mailboxes and paths; see address.h (RFC 5321, 4.1.2 and 4.1.3; RFC 6531, 3.3).
 *
 * Runs in workers on hostile text.  Each parser takes the text at *s, moves *s
 * behind what it took, and has one way to say yes, at its end: a shortcut to
 * "valid" in a function like these was CVE-2020-7247.
 *
 * Lenient on purpose: underscores in domain names (container host names have
 * them) and local parts longer than 64 octets (VERP makes them),
 * as long as the mailbox fits a header line.  Of IDNA (RFC 5890) only the length of
 * labels is checked, in octets as they are sent. */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/utf8.h"

#define DOMAIN_MAX 255

/* A header line with the mailbox in it keeps to the 998 octets of RFC 5322, 2.1.1. */
#define MAILBOX_MAX 900

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* The bytes between two positions of the same text. */
static struct str between(struct str from, struct str to)
{
	return (struct str){from.p, from.n - to.n};
}

/* atext of RFC 5322, 3.2.3 */
static bool is_atext(char c)
{
	return c != '\0' && (str_is_alnum(c) || strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* UTF8-non-ascii = UTF8-2 / UTF8-3 / UTF8-4; returns how many octets, or 0. */
static size_t beyond_ascii(struct str s, bool is_utf8)
{
	return is_utf8 && s.n > 0 && (unsigned char)s.p[0] > 0x7f ? utf8_printable(s) : 0;
}

/* 1*( atext / UTF8-non-ascii ); returns how many octets. */
static size_t atom_length(struct str s, bool is_utf8)
{
	size_t n = 0, step;

	do {
		while (n < s.n && is_atext(s.p[n]))
			n++;
		step = beyond_ascii(str_skip(s, n), is_utf8);
		n += step;
	} while (step > 0);
	return n;
}

bool address_is_atom(struct str s)
{
	return s.n > 0 && atom_length(s, false) == s.n;
}

/* Dot-string = Atom *("."  Atom) */
static bool take_dot_string(struct str *s, bool is_utf8)
{
	do {
		size_t n = atom_length(*s, is_utf8);

		if (n == 0)
			return false;
		*s = str_skip(*s, n);
	} while (take_char(s, '.'));
	return true;
}

/*
 * Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP  = qtextSMTP / quoted-pairSMTP / UTF8-non-ascii
 * The first two stand for printable ASCII, in which a quote and a backslash are special.
 */
static bool take_quoted_string(struct str *s, bool is_utf8)
{
	if (!take_char(s, '"'))
		return false;
	while (s->n > 0 && s->p[0] != '"') {
		size_t n = beyond_ascii(*s, is_utf8);

		if (n == 0) {
			n = s->p[0] == '\\' ? 2 : 1;
			if (n > s->n || !str_is_printable(s->p[0]) ||
				!str_is_printable(s->p[n - 1]))
				return false;
		}
		*s = str_skip(*s, n);
	}
	return take_char(s, '"');
}

/* sub-domain = Let-dig [Ldh-str] / U-label, and the underscore anywhere */
static bool take_sub_domain(struct str *s, bool is_utf8)
{
	size_t n = 0, step;

	do {
		while (n < s->n &&
			(str_is_alnum(s->p[n]) || s->p[n] == '-' || s->p[n] == '_'))
			n++;
		step = beyond_ascii(str_skip(*s, n), is_utf8);
		n += step;
	} while (step > 0);
	if (n == 0 || n > 63 || s->p[0] == '-' || s->p[n - 1] == '-')
		return false;
	*s = str_skip(*s, n);
	return true;
}

/* Domain = sub-domain *("." sub-domain) */
static bool take_domain_name(struct str *s, bool is_utf8)
{
	struct str start = *s;

	do {
		if (!take_sub_domain(s, is_utf8))
			return false;
	} while (take_char(s, '.'));
	return between(start, *s).n <= DOMAIN_MAX;
}

/*
 * address-literal = "[" ( IPv4-address-literal / IPv6-address-literal /
 *                   General-address-literal ) "]"
 * The general form is only for tags that IANA has registered; IPv6 is the one.
 */
static bool take_literal(struct str *s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char address[16];
	struct str content;
	size_t n = 0;
	int family = AF_INET;

	if (!take_char(s, '['))
		return false;
	while (n < s->n && s->p[n] != ']')
		n++;
	content = (struct str){s->p, n};
	*s = str_skip(*s, n);
	if (str_starts_nocase(content, STR("IPv6:"))) {
		content = str_skip(content, 5);
		family = AF_INET6;
	}
	if (content.n == 0 || content.n >= sizeof(text))
		return false;
	memcpy(text, content.p, content.n);
	text[content.n] = '\0';
	return strlen(text) == content.n && inet_pton(family, text, address) == 1 &&
	       take_char(s, ']');
}

static bool take_domain(struct str *s, bool is_utf8)
{
	return s->n > 0 && s->p[0] == '[' ? take_literal(s)
					  : take_domain_name(s, is_utf8);
}

bool address_is_domain(struct str s)
{
	return take_domain(&s, false) && s.n == 0;
}

/* A-d-l = At-domain *( "," At-domain ), then ":"; none is fine too. */
static bool take_source_route(struct str *s, bool is_utf8)
{
	if (s->n == 0 || s->p[0] != '@')
		return true;
	do {
		if (!take_char(s, '@') || !take_domain(s, is_utf8))
			return false;
	} while (take_char(s, ','));
	return take_char(s, ':');
}

/* Mailbox = Local-part "@" ( Domain / address-literal ); the domain may be
 * missing, which is for the caller to judge. */
static bool take_mailbox(struct str *s, bool is_utf8, struct address *ret)
{
	struct str start = *s, domain;
	bool is_quoted = s->n > 0 && s->p[0] == '"';

	if (!(is_quoted ? take_quoted_string(s, is_utf8) : take_dot_string(s, is_utf8)))
		return false;
	ret->local = between(start, *s);
	domain = (struct str){s->p, 0};
	if (take_char(s, '@')) {
		struct str at = *s;

		if (!take_domain(s, is_utf8))
			return false;
		domain = between(at, *s);
	}
	ret->domain = domain;
	ret->mailbox = between(start, *s);
	return ret->mailbox.n <= MAILBOX_MAX;
}

/* What a quoted string means, in place: no quotes, no backslashes. */
static struct str unquote(char *p, size_t n)
{
	size_t len = 0;

	for (size_t i = 1; i + 1 < n; i++) {
		if (p[i] == '\\')
			i++;
		p[len++] = p[i];
	}
	return (struct str){p, len};
}

/* Move the slices of a into the arena. */
static bool keep_address(struct arena *arena, struct address *a)
{
	struct str mailbox = arena_copy(arena, a->mailbox);
	struct str local = {mailbox.p, a->local.n};

	if (mailbox.p == NULL)
		return false;
	if (local.n > 0 && local.p[0] == '"') {
		char *p = arena_alloc(arena, local.n);

		if (p == NULL)
			return false;
		memcpy(p, local.p, local.n);
		local = unquote(p, local.n);
	}
	a->domain = str_skip(mailbox, mailbox.n - a->domain.n);
	a->local = local;
	a->mailbox = mailbox;
	return true;
}

/*
 * Reverse-path = Path / "<>"
 * Forward-path = Path, or <postmaster> without a domain
 * Path         = "<" [ A-d-l ":" ] Mailbox ">"
 */
enum address_outcome address_parse_path(struct str in, enum path_kind kind,
	bool may_be_utf8, struct arena *arena, struct address *ret, struct str *ret_rest)
{
	struct str s = in;
	struct address found = {0};
	bool is_null = kind == PATH_REVERSE && str_starts_nocase(in, STR("<>"));

	if (!take_char(&s, '<') ||
		(!is_null && (!take_source_route(&s, may_be_utf8) ||
				     !take_mailbox(&s, may_be_utf8, &found))) ||
		!take_char(&s, '>'))
		return may_be_utf8 || str_is_ascii(in) ? ADDRESS_BAD_SYNTAX
						       : ADDRESS_NOT_ASCII;
	if (!is_null && found.domain.n == 0 &&
		!(kind == PATH_FORWARD &&
			str_equal_nocase(found.local, STR("postmaster"))))
		return ADDRESS_NO_DOMAIN;
	if (!keep_address(arena, &found))
		return ADDRESS_NO_MEMORY;
	/* One mailbox, however it is written (RFC 5321, 4.5.1). */
	if (!is_null && found.domain.n == 0)
		found.local = STR("postmaster");
	*ret = found;
	*ret_rest = s;
	return ADDRESS_OK;
}

size_t address_full_length(const struct address *a, const char *hostname)
{
	return a->mailbox.n + (a->domain.n > 0 ? 0 : 1 + strlen(hostname));
}

struct str address_extension(struct str local)
{
	const char *plus = local.n > 0 ? memchr(local.p, '+', local.n) : NULL;

	return plus == NULL ? STR("") : str_skip(local, (size_t)(plus - local.p) + 1);
}
