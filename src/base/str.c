/* Slices and small parsers; see str.h.
 *
 * Runs in every process; input may be hostile.  No locale, no allocation. */
#include "base/str.h"

#include <errno.h>
#include <string.h>

static const char hex_digits[] = "0123456789ABCDEF";

struct str str_of(const char *text)
{
	return (struct str){text, text == NULL ? 0 : strlen(text)};
}

bool str_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_equal_secret(struct str given, struct str secret)
{
	unsigned differences = given.n != secret.n || secret.n == 0;

	for (size_t i = 0; secret.n > 0 && i < given.n; i++)
		differences |= (unsigned char)(given.p[i] ^ secret.p[i % secret.n]);
	return differences == 0;
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	if (s.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (str_lower(s.p[i]) != str_lower(prefix.p[i]))
			return false;
	return true;
}

bool str_equal_nocase(struct str a, struct str b)
{
	return a.n == b.n && str_starts_nocase(a, b);
}

bool str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7f)
			return false;
	return true;
}

struct str str_skip(struct str s, size_t n)
{
	if (n > s.n)
		n = s.n;
	/* A NULL slice has nothing to skip, and NULL + 0 is not ours to compute. */
	if (n == 0)
		return s;
	return (struct str){s.p + n, s.n - n};
}

struct str str_take_word(struct str *rest)
{
	const char *blank = rest->n == 0 ? NULL : memchr(rest->p, ' ', rest->n);
	struct str word = *rest;

	if (blank != NULL)
		word.n = (size_t)(blank - rest->p);
	*rest = str_skip(*rest, word.n + 1);
	return word;
}

struct str str_trim_end(struct str s)
{
	while (s.n > 0 && str_is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_trim_start(struct str s)
{
	while (s.n > 0 && str_is_blank(s.p[0]))
		s = str_skip(s, 1);
	return s;
}

int str_parse_u64(struct str s, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_digit(s.p[i]))
			return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
			return -ERANGE;
	*ret = value;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number directly followed by one of the units; names[0] may be "". */
static int parse_with_unit(
	struct str s, const struct unit *units, size_t unit_count, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t value;
	int r;

	while (digits < s.n && str_is_digit(s.p[digits]))
		digits++;
	r = str_parse_u64((struct str){s.p, digits}, &value);
	if (r < 0)
		return r;
	for (size_t i = 0; i < unit_count; i++)
		if (str_equal(str_skip(s, digits), str_of(units[i].name))) {
			if (__builtin_mul_overflow(value, units[i].factor, &value))
				return -ERANGE;
			*ret = value;
			return 0;
		}
	return -EINVAL;
}

int str_parse_size(struct str s, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};

	return parse_with_unit(s, units, sizeof(units) / sizeof(units[0]), ret);
}

int str_parse_duration(struct str s, uint64_t *ret_ms)
{
	static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000},
		{"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}};

	if (str_equal(s, STR("0"))) {
		*ret_ms = 0;
		return 0;
	}
	return parse_with_unit(s, units, sizeof(units) / sizeof(units[0]), ret_ms);
}

void str_digits(char *out, size_t n, uint64_t number)
{
	while (n-- > 0) {
		out[n] = (char)('0' + number % 10);
		number /= 10;
	}
}

size_t str_decimal(char *out, uint64_t number)
{
	size_t n = 1;

	for (uint64_t rest = number / 10; rest > 0; rest /= 10)
		n++;
	str_digits(out, n, number);
	return n;
}

size_t str_copy(char *out, size_t size, struct str s)
{
	size_t n = s.n < size ? s.n : size - 1;

	if (n > 0)
		memcpy(out, s.p, n);
	out[n] = '\0';
	return n;
}

#define ESCAPE_MAX 6 /* \u00NN */

/* The printable form of a byte; prefix introduces its hexadecimal form.  Returns its
 * length, at most ESCAPE_MAX. */
static size_t escape_byte(char out[ESCAPE_MAX], struct str prefix, char c)
{
	if (c == '\\' || c == '"') {
		out[0] = '\\';
		out[1] = c;
		return 2;
	}
	if (str_is_printable(c)) {
		out[0] = c;
		return 1;
	}
	memcpy(out, prefix.p, prefix.n);
	out[prefix.n] = hex_digits[(unsigned char)c >> 4];
	out[prefix.n + 1] = hex_digits[(unsigned char)c & 15];
	return prefix.n + 2;
}

static size_t escape(char *out, size_t size, struct str prefix, struct str s)
{
	/* Room for the mark of a cut is kept free until the last byte is in. */
	size_t len = 0, cut = 0;
	char piece[ESCAPE_MAX];

	for (size_t i = 0; i < s.n; i++) {
		size_t n = escape_byte(piece, prefix, s.p[i]);

		if (len + n + 1 > size) {
			memcpy(out + cut, "...", 3);
			len = cut + 3;
			break;
		}
		/* Nearly all are one byte, and that needs no call. */
		if (n == 1)
			out[len] = piece[0];
		else
			memcpy(out + len, piece, n);
		len += n;
		if (len + 3 + 1 <= size)
			cut = len;
	}
	out[len] = '\0';
	return len;
}

size_t str_printable(char *out, size_t size, struct str s)
{
	return escape(out, size, STR("\\x"), s);
}

size_t str_json(char *out, size_t size, struct str s)
{
	return escape(out, size, STR("\\u00"), s);
}
