/* The configuration file as the parser understood it: sections, and the options in
 * them as texts with the lines where they are written. */
#ifndef SINKD_CONFIG_SCHEMA_H
#define SINKD_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

struct cfg_t;
struct report;

/* A section, or the file itself.  What it gives lives as long as the file. */
struct section {
	struct cfg_t *tree;
	const struct section *outer; /* NULL: it is the file */
};

/* Parse r->file (NULL: everything is as by default) into *ret_file, to be freed by
 * schema_free.  Returns 0, -EINVAL when it is not in the form of a configuration, or
 * another negative errno when it could not be read; all told, but for -ENOMEM. */
int schema_parse(struct report *r, struct section *ret_file);
void schema_free(struct section *file);

/* Sections with this name inside another one; a section without title is there even if
 * the file has none. */
size_t schema_count(const struct section *outer, const char *name);
struct section schema_section(const struct section *outer, const char *name, size_t i);
/* NULL: it has none. */
const char *schema_title(const struct section *s);

#define SCHEMA_WHERE_MAX 256
/* "limits: ", "listen "mx": ", "tls: sni "a.test": ", or nothing for the file. */
void schema_describe(const struct section *s, char text[SCHEMA_WHERE_MAX]);

/* Whether the file gives the option, maybe an empty list. */
bool schema_has(const struct section *s, const char *option);
/* The value as it is written, or by default; NULL: neither. */
const char *schema_text(const struct section *s, const char *option);
/* The same for a list. */
size_t schema_item_count(const struct section *s, const char *option);
const char *schema_item(const struct section *s, const char *option, size_t i);

/* The line of a value, that of the last one in a list, that of one in a list, and that
 * of the closing brace of a section; where there is no value it is the last. */
unsigned schema_line(const struct section *s, const char *option);
unsigned schema_item_line(const struct section *s, const char *option, size_t i);
unsigned schema_end_line(const struct section *s);

#endif
