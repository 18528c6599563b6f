/* How the value of an option is read and written, for each kind.
 *
 * This module knows neither files nor the parser: it turns the text of one value
 * into a member of a struct and back.  It must never accept a value that its
 * printed form would not give again.  Runs in the master; the input is the
 * operator's own, not a client's. */
#include "config/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "config/units.h"

#define MODE_OWNER 0600 /* bits that a mode must have */

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: a number is printed in the largest unit that divides it. */
static const struct unit size_units[] = {{"G", G}, {"M", M}, {"K", K}, {"", 1}};
static const struct unit time_units[] = {
	{"d", DAY}, {"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1}};

static const char *const header_words[] = {"Return-Path", "Delivered-To", "Received",
	"X-Original-To", "X-Sinkd-Envelope", NULL};

/* Members that hold numbers are unsigned, int, enum, bool, size_t or uint64_t. */
static void store_number(const struct option *o, uint64_t number, void *base)
{
	char *member = (char *)base + o->offset;
	uint32_t number32 = (uint32_t)number;
	uint8_t number8 = (uint8_t)number;

	if (o->width == sizeof(number))
		memcpy(member, &number, sizeof(number));
	else if (o->width == sizeof(number32))
		memcpy(member, &number32, sizeof(number32));
	else
		memcpy(member, &number8, sizeof(number8));
}

static uint64_t load_number(const struct option *o, const void *base)
{
	const char *member = (const char *)base + o->offset;
	uint64_t number = 0;
	uint32_t number32 = 0;
	uint8_t number8 = 0;

	if (o->width == sizeof(number)) {
		memcpy(&number, member, sizeof(number));
		return number;
	}
	if (o->width == sizeof(number32)) {
		memcpy(&number32, member, sizeof(number32));
		return number32;
	}
	memcpy(&number8, member, sizeof(number8));
	return number8;
}

static const char *load_text(const struct option *o, const void *base)
{
	const char *text;

	memcpy(&text, (const char *)base + o->offset, sizeof(text));
	return text;
}

static const struct unit *unit_of(const struct unit *units, uint64_t number)
{
	while (number % units->factor != 0)
		units++;
	return units;
}

/* The text of a number as a user would write it, without quotes. */
static void format_number(const struct option *o, uint64_t number, char text[32])
{
	const struct unit *unit;

	if (o->kind == OPTION_MODE) {
		(void)snprintf(text, 32, "%04" PRIo64, number);
	} else if (o->kind == OPTION_COUNT || number == 0) {
		(void)snprintf(text, 32, "%" PRIu64, number);
	} else {
		unit = unit_of(o->kind == OPTION_SIZE ? size_units : time_units, number);
		(void)snprintf(
			text, 32, "%" PRIu64 "%s", number / unit->factor, unit->name);
	}
}

/* Up to four octal digits: permission bits only, and the owner can read and write,
 * since the file is written before it has its final name. */
static int parse_mode(const struct option *o, struct str text, uint64_t *ret)
{
	uint64_t mode = 0;

	if (text.n == 0 || text.n > 4)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '7')
			return -EINVAL;
		mode = mode * 8 + (uint64_t)(text.p[i] - '0');
	}
	*ret = mode;
	return (mode & ~o->max) != 0 || (mode & MODE_OWNER) != MODE_OWNER ? -ERANGE : 0;
}

/* 0, -EINVAL (not of this kind) or -ERANGE */
static int parse_number(const struct option *o, struct str text, uint64_t *ret)
{
	uint64_t number;
	int error;

	if (o->kind == OPTION_MODE)
		return parse_mode(o, text, ret);
	if (o->kind == OPTION_SIZE)
		error = str_parse_size(text, &number);
	else if (o->kind == OPTION_TIME)
		error = str_parse_duration(text, &number);
	else
		error = str_parse_u64(text, &number);
	if (error < 0)
		return error;
	if (number == 0 && o->zero != 0)
		number = o->zero;
	else if (number < o->min || number > o->max)
		return -ERANGE;
	*ret = number;
	return 0;
}

static void explain_number(
	const struct option *o, int error, const char *value, char text[OPTION_ERROR_MAX])
{
	static const char *const forms[] = {
		[OPTION_COUNT] = "a whole number",
		[OPTION_SIZE] = "a size such as \"20M\" (units K, M, G)",
		[OPTION_TIME] = "a time such as \"90s\" (units ms, s, m, h, d)",
		[OPTION_MODE] = "an octal mode such as \"0600\"",
	};
	char min[32], max[32];

	if (error == -EINVAL) {
		(void)snprintf(text, OPTION_ERROR_MAX, "'%s': %s is expected", value,
			forms[o->kind]);
		return;
	}
	if (o->kind == OPTION_MODE) {
		(void)snprintf(text, OPTION_ERROR_MAX,
			"'%s': the owner must be able to read and write, and nobody to "
			"execute",
			value);
		return;
	}
	format_number(o, o->min, min);
	format_number(o, o->max, max);
	(void)snprintf(text, OPTION_ERROR_MAX, "'%s': must be from %s to %s%s", value,
		min, max, o->zero != 0 ? ", or 0 for no limit" : "");
}

int option_find_word(
	const char *const *words, const char *text, char error[OPTION_ERROR_MAX])
{
	char value[64];
	int used;

	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	(void)str_printable(value, sizeof(value), str_of(text));
	used = snprintf(error, OPTION_ERROR_MAX, "'%s': must be", value);
	for (size_t i = 0; words[i] != NULL && used < OPTION_ERROR_MAX; i++)
		used += snprintf(error + used, OPTION_ERROR_MAX - (size_t)used,
			"%s \"%s\"", i == 0 ? "" : " or", words[i]);
	return -EINVAL;
}

const char *option_copy_text(const char *text, struct arena *arena)
{
	size_t size = strlen(text) + 1;
	char *copy = arena_alloc(arena, size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

static int set_text(const struct option *o, const char *text, void *base,
	struct arena *arena, char error[OPTION_ERROR_MAX])
{
	char value[256];
	const char *wrong = o->check(text);
	const char *copy;

	if (wrong != NULL) {
		(void)str_printable(value, sizeof(value), str_of(text));
		(void)snprintf(error, OPTION_ERROR_MAX, "'%s': %s", value, wrong);
		return -EINVAL;
	}
	copy = option_copy_text(text, arena);
	if (copy == NULL)
		return -ENOMEM;
	memcpy((char *)base + o->offset, &copy, sizeof(copy));
	return 0;
}

int option_set(const struct option *o, const char *text, void *base, struct arena *arena,
	char error[OPTION_ERROR_MAX])
{
	char value[64];
	uint64_t number;
	int result;

	if (o->kind == OPTION_TEXT)
		return set_text(o, text, base, arena, error);
	if (o->kind == OPTION_WORD) {
		result = option_find_word(o->words, text, error);
		if (result < 0)
			return result;
		store_number(o, (uint64_t)result, base);
		return 0;
	}
	result = parse_number(o, str_of(text), &number);
	if (result < 0) {
		(void)str_printable(value, sizeof(value), str_of(text));
		explain_number(o, result, value, error);
		return -EINVAL;
	}
	store_number(o, number, base);
	return 0;
}

int option_set_defaults(const struct option *options, void *base, struct arena *arena)
{
	char error[OPTION_ERROR_MAX];
	int result = 0;

	for (const struct option *o = options; o->name != NULL && result == 0; o++)
		if (o->fallback != NULL)
			result = option_set(o, o->fallback, base, arena, error);
	return result;
}

/* The words are in the order of the bits of enum header_field. */
int option_parse_header(
	const char *text, enum header_field *ret, char error[OPTION_ERROR_MAX])
{
	int word = option_find_word(header_words, text, error);

	if (word < 0)
		return word;
	*ret = (enum header_field)(1U << word);
	return 0;
}

const char *option_header_name(enum header_field header)
{
	size_t word = 0;

	while (1U << word != (unsigned)header)
		word++;
	return header_words[word];
}

void option_default_headers(enum header_field headers[DELIVERY_HEADERS_MAX])
{
	static const enum header_field fields[] = {
		HEADER_RETURN_PATH, HEADER_DELIVERED_TO, HEADER_RECEIVED};

	for (size_t i = 0; i < DELIVERY_HEADERS_MAX; i++)
		headers[i] = i < sizeof(fields) / sizeof(fields[0]) ? fields[i] : 0;
}

/* The quote, the backslash and "${" (the environment) mean something inside
 * quotes; control characters would be taken, but nobody could read them. */
void option_print_text(const char *text, FILE *out)
{
	(void)putc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\' || (*p == '$' && p[1] == '{'))
			(void)fprintf(out, "\\%c", *p);
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			(void)fprintf(out, "\\x%02x", (unsigned)*p);
		else
			(void)putc(*p, out);
	}
	(void)putc('"', out);
}

void option_print(const struct option *o, const void *base, const char *indent, FILE *out)
{
	char number_text[32];
	const char *text = number_text;
	uint64_t number;

	switch (o->kind) {
	case OPTION_NAME:
	case OPTION_LIST:
		return;
	case OPTION_TEXT:
		text = load_text(o, base);
		if (text == NULL)
			return;
		break;
	case OPTION_WORD:
		text = o->words[load_number(o, base)];
		break;
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_TIME:
	case OPTION_MODE:
		number = load_number(o, base);
		format_number(o, number == o->zero ? 0 : number, number_text);
		break;
	}
	(void)fprintf(out, "%s%s = ", indent, o->name);
	if (o->kind == OPTION_COUNT)
		(void)fputs(text, out);
	else
		option_print_text(text, out);
	(void)putc('\n', out);
}
