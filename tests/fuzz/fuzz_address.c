/* Fuzz target: paths of MAIL and RCPT, and the directories they lead to.
 *
 * The first byte chooses the kind of path, whether it may be UTF-8, and whether memory
 * is short; the rest is the argument.  It is judged a second time by the grammar of RFC
 * 5321 as a regular expression, UTF-8 as the letters it may stand among.  What is
 * accepted must come out the same when it is parsed again, as it was sent and with its
 * local part quoted anew, and must not lead anywhere but to a component of its own.  What
 * is refused must leave everything alone. */
#include <assert.h>
#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "delivery/mailbox.h"
#include "fuzz.h"
#include "smtp/address.h"

#define ARENA_CAP 65536
/* Up to here nothing is too long for the limits on domain and mailbox. */
#define GRAMMAR_MAX 255

/* RFC 5321, 4.1.2, with underscores in domains.  Of IPv6 only the alphabet. */
#define DOT     "[[:alnum:]!#$%&'*+/=?^_`{|}~-]+([.][[:alnum:]!#$%&'*+/=?^_`{|}~-]+)*"
#define QUOTED  "\"([] !#-[^-~]|[\\][ -~])*\""
#define LABEL   "[[:alnum:]_]([[:alnum:]_-]{0,61}[[:alnum:]_])?"
#define NAME    LABEL "([.]" LABEL ")*"
#define OCTET   "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4    OCTET "[.]" OCTET "[.]" OCTET "[.]" OCTET
#define IPV6    "[Ii][Pp][Vv]6:[[:xdigit:]:.]+"
#define DOMAIN  "(" NAME "|\\[(" IPV4 "|" IPV6 ")\\])"
#define ROUTE   "(@" DOMAIN "(,@" DOMAIN ")*:)?"
#define MAILBOX "(" DOT "|" QUOTED ")"

static const char grammar_text[] = "^<" ROUTE MAILBOX "(@" DOMAIN ")?>";

/* The parts of the configuration that an address fills in. */
static const char *const templates[] = {
	"%{recipient}",
	"%{recipient.domain}/%{recipient.local}",
	"m.%{recipient.local}/new%%/%{recipient}.d",
};

/* Whether in begins with a path, and where the path ends. */
static bool matches_grammar(struct str in, size_t *ret_end)
{
	static regex_t grammar;
	static bool has_grammar;
	char text[GRAMMAR_MAX + 1];
	regmatch_t match = {.rm_so = 0, .rm_eo = (regoff_t)in.n};
	bool is_match;

	if (!has_grammar)
		assert(regcomp(&grammar, grammar_text, REG_EXTENDED) == 0);
	has_grammar = true;
	/* AddressSanitizer wants the end marked, though with REG_STARTEND nobody looks.
	 */
	memcpy(text, in.p, in.n);
	text[in.n] = '\0';
	is_match = regexec(&grammar, text, 1, &match, REG_STARTEND) == 0;
	if (is_match)
		*ret_end = (size_t)match.rm_eo;
	return is_match;
}

static bool has_ipv6(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (str_starts_nocase(str_skip(s, i), STR("[IPv6:")))
			return true;
	return false;
}

/* RFC 6531, 3.3: beyond ASCII a character can stand where a letter can, but not behind a
 * backslash.  Gives as many letters as it has octets, and a control character for each
 * octet that is not of a printable character. */
static struct str to_letters(struct str in, bool may_be_utf8, char out[GRAMMAR_MAX])
{
	bool is_escaped = false;

	for (size_t i = 0; i < in.n;) {
		struct str rest = str_skip(in, i);
		bool is_high = (unsigned char)in.p[i] > 0x7f;
		size_t n =
			is_high && may_be_utf8 && !is_escaped ? utf8_printable(rest) : 0;

		memset(out + i, n > 0 ? 'x' : is_high ? 1 : in.p[i], n > 0 ? n : 1);
		is_escaped = in.p[i] == '\\' && !is_escaped;
		i += n > 0 ? n : 1;
	}
	return (struct str){out, in.n};
}

static void check_grammar(struct str in, enum path_kind kind, bool may_be_utf8,
	enum address_outcome outcome, const struct address *a, struct str rest)
{
	bool is_null =
		kind == PATH_REVERSE && in.n >= 2 && in.p[0] == '<' && in.p[1] == '>';
	size_t end = 2;
	char letters[GRAMMAR_MAX];

	assert(outcome != ADDRESS_NOT_ASCII || !(may_be_utf8 || str_is_ascii(in)));
	if (in.n > GRAMMAR_MAX)
		return;
	/* What it would have been said to be, had it been ASCII. */
	if (outcome == ADDRESS_NOT_ASCII)
		outcome = ADDRESS_BAD_SYNTAX;
	if (!is_null && !matches_grammar(to_letters(in, may_be_utf8, letters), &end)) {
		assert(outcome == ADDRESS_BAD_SYNTAX);
	} else if (outcome == ADDRESS_BAD_SYNTAX) {
		assert(has_ipv6(in));
	} else if (outcome == ADDRESS_OK) {
		assert(rest.n == in.n - end);
		assert(is_null || a->domain.n > 0 ||
			(kind == PATH_FORWARD &&
				str_equal_nocase(a->mailbox, STR("postmaster"))));
	} else {
		assert(outcome == ADDRESS_NO_DOMAIN);
	}
}

/* Parse text and expect the parts of a. */
static void check_again(
	struct str text, const char *how, enum path_kind kind, const struct address *a)
{
	bool is_utf8 = !str_is_ascii(text);
	struct arena arena;
	struct address again;
	struct str rest;
	char *copy = fuzz_exact_copy(text);

	arena_init(&arena, ARENA_CAP);
	assert(address_parse_path((struct str){copy, text.n}, kind, is_utf8, &arena,
		       &again, &rest) == ADDRESS_OK);
	assert(rest.n == 0);
	free(copy);
	fuzz_compare("local", "first", a->local, how, again.local);
	fuzz_compare("domain", "first", a->domain, how, again.domain);
	arena_done(&arena);
}

/* As it was sent, and quoted with no backslash more than it needs. */
static void check_reparse(const struct address *a, enum path_kind kind)
{
	struct buf text;

	buf_init(&text, 4096);
	(void)buf_add_text(&text, "<");
	(void)buf_add_str(&text, a->mailbox);
	(void)buf_add_text(&text, ">");
	check_again(buf_str(&text), "again", kind, a);
	if (a->domain.n > 0) {
		assert(address_is_domain(a->domain) == str_is_ascii(a->domain));
		buf_reset(&text);
		(void)buf_add_text(&text, "<\"");
		for (size_t i = 0; i < a->local.n; i++) {
			if (a->local.p[i] == '"' || a->local.p[i] == '\\')
				(void)buf_add_text(&text, "\\");
			(void)buf_add(&text, a->local.p + i, 1);
		}
		(void)buf_add_text(&text, "\"@");
		(void)buf_add_str(&text, a->domain);
		(void)buf_add_text(&text, ">");
		/* The quotes may be too much for a mailbox that is as long as can be. */
		if (text.len <= 900)
			check_again(buf_str(&text), "quoted", kind, a);
	}
	assert(!text.has_overflowed);
	buf_done(&text);
}

static void check_component(struct str s)
{
	assert(s.n > 0 && s.n <= NAME_MAX);
	assert(!str_equal(s, STR(".")) && !str_equal(s, STR("..")));
	for (size_t i = 0; i < s.n; i++)
		assert(str_is_printable(s.p[i]) && s.p[i] != '/' && s.p[i] != ' ');
}

static unsigned hex_value(char c)
{
	const char *digits = "0123456789ABCDEF";
	const char *found = c == '\0' ? NULL : strchr(digits, c);

	assert(found != NULL);
	return (unsigned)(found - digits);
}

static void decode_piece(struct str s, struct buf *out)
{
	while (s.n > 0) {
		char c = s.p[0];

		if (c == '%') {
			assert(s.n >= 3);
			c = (char)(hex_value(s.p[1]) << 4 | hex_value(s.p[2]));
			s = str_skip(s, 2);
		}
		(void)buf_add(out, &c, 1);
		s = str_skip(s, 1);
	}
}

/* One component, and unless it was cut it gives its text back. */
static void check_piece(struct str raw)
{
	struct buf piece, back;
	struct str s;

	buf_init(&piece, 256);
	buf_init(&back, 256);
	assert(mailbox_path_piece(raw, &piece));
	s = buf_str(&piece);
	check_component(s);
	assert(s.p[0] != '.' && s.p[0] != '-');
	if (raw.n == 0) {
		assert(str_equal(s, STR("%")));
	} else if (s.n > 200) {
		/* Cut before the octet that would have been too much, then the hash. */
		assert(s.n >= 198 + 17 && s.n <= 200 + 17);
	} else {
		decode_piece(s, &back);
		fuzz_compare("piece", "raw", raw, "decoded", buf_str(&back));
	}
	buf_done(&piece);
	buf_done(&back);
}

/* As many components as the template has, each one good. */
static void check_expansion(const char *template, const struct address *a)
{
	struct buf out;
	struct str s;
	size_t slashes = 0;

	for (const char *p = template; *p != '\0'; p++)
		slashes += *p == '/';
	buf_init(&out, PATH_MAX);
	assert(mailbox_expand(str_of(template), a, "MX.example.test", &out));
	for (s = buf_str(&out);;) {
		const char *slash = memchr(s.p, '/', s.n);
		size_t n = slash == NULL ? s.n : (size_t)(slash - s.p);

		check_component((struct str){s.p, n});
		if (slash == NULL)
			break;
		assert(slashes-- > 0);
		s = str_skip(s, n + 1);
	}
	assert(slashes == 0);
	buf_done(&out);
}

static void check_accepted(struct str in, enum path_kind kind, bool may_be_utf8,
	const struct address *a, struct str rest)
{
	assert(rest.n < in.n && in.p[in.n - rest.n - 1] == '>');
	assert(rest.n == 0 || memcmp(rest.p, in.p + in.n - rest.n, rest.n) == 0);
	assert(utf8_is_printable(a->mailbox) && utf8_is_printable(a->local));
	assert(may_be_utf8 || str_is_ascii(a->mailbox));
	check_reparse(a, kind);
	check_piece(a->local);
	check_piece(a->domain);
	check_piece(a->mailbox);
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
		check_expansion(templates[i], a);
}

/* Parse with so much memory. */
static enum address_outcome parse(
	struct str in, enum path_kind kind, bool may_be_utf8, size_t cap)
{
	static const struct address untouched = {
		.mailbox = STR("m"), .local = STR("l"), .domain = STR("d")};
	struct arena arena;
	struct address a = untouched;
	struct str rest = {0};
	enum address_outcome outcome;
	char *copy = fuzz_exact_copy(in);

	arena_init(&arena, cap);
	outcome = address_parse_path(
		(struct str){copy, in.n}, kind, may_be_utf8, &arena, &a, &rest);
	if (outcome == ADDRESS_OK) {
		rest = (struct str){in.p + in.n - rest.n, rest.n};
	} else {
		assert(memcmp(&a, &untouched, sizeof(a)) == 0);
		assert(rest.p == NULL);
	}
	/* What is kept must not point into the line, which goes away. */
	free(copy);
	if (outcome == ADDRESS_OK)
		check_accepted(in, kind, may_be_utf8, &a, rest);
	if (outcome != ADDRESS_NO_MEMORY)
		check_grammar(in, kind, may_be_utf8, outcome, &a, rest);
	arena_done(&arena);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	enum path_kind kind;
	bool may_be_utf8;
	enum address_outcome outcome, with_less;
	struct str in;

	if (n < 1)
		return 0;
	kind = (p[0] & 1) != 0 ? PATH_FORWARD : PATH_REVERSE;
	may_be_utf8 = (p[0] & 2) == 0;
	in = (struct str){(const char *)p + 1, n - 1};
	outcome = parse(in, kind, may_be_utf8, ARENA_CAP);
	assert(outcome != ADDRESS_NO_MEMORY);
	with_less = parse(in, kind, may_be_utf8, (size_t)(p[0] >> 2) << 1);
	assert(with_less == outcome ||
		(outcome == ADDRESS_OK && with_less == ADDRESS_NO_MEMORY));
	/* Pieces are made from other text too: any bytes are fine. */
	check_piece(in);
	return 0;
}
