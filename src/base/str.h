/* Slices of text that somebody else owns, and small parsers over them.
 *
 * A struct str never owns and need not be terminated; NUL is a byte like any
 * other.  Nothing here allocates, blocks, or depends on the locale. */
#ifndef SINKD_BASE_STR_H
#define SINKD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

/* A slice of a string literal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* The two arguments of "%.*s".  For text of ours, never for a client's. */
#define STR_ARG(s) (int)(s).n, (s).p

/* The slice of a terminated string; NULL gives the empty slice. */
struct str str_of(const char *text);

bool str_equal(struct str a, struct str b);
/* ASCII only; bytes over 127 compare as they are. */
bool str_equal_nocase(struct str a, struct str b);
/* In a time that tells the length of given, and nothing else; an empty secret equals
 * nothing. */
bool str_equal_secret(struct str given, struct str secret);
bool str_starts_nocase(struct str s, struct str prefix);

/* No byte is over 127. */
bool str_is_ascii(struct str s);

/* s without its first n bytes (all of them, if it has fewer). */
struct str str_skip(struct str s, size_t n);
/* s without spaces and tabs at its end / beginning. */
struct str str_trim_end(struct str s);
struct str str_trim_start(struct str s);

/* What stands before the next blank, or all of *rest; which goes on behind the blank. */
struct str str_take_word(struct str *rest);

/* Classes of characters.  <ctype.h> depends on the locale and is undefined for
 * negative chars; and a call for every byte of commands and replies would show. */
static inline char str_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool str_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool str_is_alnum(char c)
{
	return str_is_digit(c) || (str_lower(c) >= 'a' && str_lower(c) <= 'z');
}

/* SP or HTAB, which stand between words (RFC 5234, B.1: WSP). */
static inline bool str_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* 0x20..0x7e */
static inline bool str_is_printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* Decimal digits and nothing else.
 * Returns 0, -EINVAL (empty, or a byte that is no digit) or -ERANGE. */
int str_parse_u64(struct str s, uint64_t *ret);

/* "20M": octets, with K, M, G as powers of 1024 or no unit; "0" is fine.
 * Returns 0, -EINVAL or -ERANGE. */
int str_parse_size(struct str s, uint64_t *ret);

/* "90s", "5m", "250ms", "24h", "1d": milliseconds.  A bare "0" needs no unit,
 * any other number does.  Returns 0, -EINVAL or -ERANGE. */
int str_parse_duration(struct str s, uint64_t *ret_ms);

/* The last n decimal digits of number, with zeros in front.  Not by printf(3), which
 * takes many times as long. */
void str_digits(char *out, size_t n, uint64_t number);

/* The number in decimal, as long as it is; no NUL.  Returns the length. */
#define STR_DECIMAL_MAX 20
size_t str_decimal(char *out, uint64_t number);

/* Copy s into out as a terminated string, cut to size - 1 bytes; size must be at
 * least 1.  Returns the length written. */
size_t str_copy(char *out, size_t size, struct str s);

/* Copy s into out as printable ASCII for a log or a terminal: a backslash,
 * a double quote and every byte outside 0x20..0x7e become \\, \" and \xNN.
 * Writes at most size bytes with the terminating NUL; what does not fit is cut
 * at a whole escape and marked with "...".  Returns the length written.
 * size must be at least 4. */
size_t str_printable(char *out, size_t size, struct str s);

/* The same for the inside of a JSON string (RFC 8259): \\, \" and, for each other
 * byte outside 0x20..0x7e, \u00NN.  So each byte is one character of the value that
 * a reader gets, whatever encoding it was meant in, and nothing is lost.
 * size must be at least 4. */
size_t str_json(char *out, size_t size, struct str s);

#endif
