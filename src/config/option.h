/* An option of the configuration file as data: name, kind, range, default, and the
 * member of the settings that holds the value.  Reading and printing both walk the
 * tables of them (config/tables.h), so what is printed is what is read. */
#ifndef SINKD_CONFIG_OPTION_H
#define SINKD_CONFIG_OPTION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "delivery/delivery.h"

enum option_kind {
	OPTION_TEXT,  /* const char * */
	OPTION_COUNT, /* a whole number */
	OPTION_SIZE,  /* "20M", octets */
	OPTION_TIME,  /* "5m", milliseconds */
	OPTION_WORD,  /* one of words; its index */
	OPTION_MODE,  /* "0600", octal permission bits */
	OPTION_NAME,  /* a text that its section turns into something else; no member */
	OPTION_LIST,  /* the same for a list of texts */
};

struct option {
	const char *name; /* NULL ends a table */
	enum option_kind kind;
	const char *fallback; /* the default, as a user would write it, or NULL */
	size_t offset;        /* the member: where in its struct, */
	size_t width;         /* and how many bytes */
	uint64_t min;         /* smallest and largest number */
	uint64_t max;
	uint64_t zero;            /* "0" is fine as well and stands for this, if not 0 */
	const char *const *words; /* ends with NULL */
	/* For texts: NULL if usable, else what is wrong (static text).  No check: any is.
	 */
	const char *(*check)(const char *text);
	unsigned types; /* of deliver sections that have it, as bits; 0: all */
};

#define OPTION_ERROR_MAX 512

/* Parse text and put the value into the member of base; texts are copied into the
 * arena.  Returns 0, -ENOMEM, or -EINVAL and in error what is wrong, with the
 * value.  The kinds without a member do not come here. */
int option_set(const struct option *o, const char *text, void *base, struct arena *arena,
	char error[OPTION_ERROR_MAX]);

/* Set all members of a table that have a default.  Returns 0 or -ENOMEM. */
int option_set_defaults(const struct option *options, void *base, struct arena *arena);

/* The index of text in words, which end with NULL, or -EINVAL and in error which there
 * are. */
int option_find_word(
	const char *const *words, const char *text, char error[OPTION_ERROR_MAX]);

/* Header fields: one by its name (-EINVAL and in error which there are), the name of
 * one, and the default. */
int option_parse_header(
	const char *text, enum header_field *ret, char error[OPTION_ERROR_MAX]);
const char *option_header_name(enum header_field header);
void option_default_headers(enum header_field headers[DELIVERY_HEADERS_MAX]);

/* A terminated copy in the arena, or NULL when it is full. */
const char *option_copy_text(const char *text, struct arena *arena);

/* Write "name = value", as option_set reads it; nothing for a text that is NULL
 * and for the kinds without a member. */
void option_print(
	const struct option *o, const void *base, const char *indent, FILE *out);

/* Write text in double quotes, escaped so that the parser gives it back. */
void option_print_text(const char *text, FILE *out);

#endif
