/* The configuration file, read with libconfuse; the only module that knows it.
 *
 * The tables of options become those of libconfuse; each value is kept as text, so that
 * one wrong value does not end the search for others.  Runs in the master; the input is
 * the operator's own file, not a client's.
 *
 * What libconfuse 3.3 does and what is done about it here:
 *  - It keeps no line per value.  A callback after each value puts the line behind the
 *    end of its text.
 *  - It has no pointer for us in its error callback.  The message waits in the
 *    `comment` of the section at fault, which is free as comments are not kept.
 *  - It ends the process when a read fails, miscounts lines after comments, and
 *    takes the end of the file for a closing brace; source.c sees to these. */
#include "config/schema.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "config/source.h"
#include "config/tables.h"

#define SECTION_OPTION_MAX 24 /* options and sections of the largest section */
#define SECTION_MAX        16 /* sections, of all levels together */

/* Reading the tree */

size_t schema_count(const struct section *outer, const char *name)
{
	return cfg_size(outer->tree, name);
}

struct section schema_section(const struct section *outer, const char *name, size_t i)
{
	return (struct section){cfg_getnsec(outer->tree, name, (unsigned)i), outer};
}

const char *schema_title(const struct section *s)
{
	return cfg_title(s->tree);
}

static size_t describe(const struct section *s, char *text, size_t size)
{
	const char *title;
	char printable[96];
	size_t used;
	int n;

	if (s->outer == NULL)
		return 0;
	used = describe(s->outer, text, size);
	title = schema_title(s);
	if (title == NULL) {
		n = snprintf(text + used, size - used, "%s: ", cfg_name(s->tree));
	} else {
		(void)str_printable(printable, sizeof(printable), str_of(title));
		n = snprintf(text + used, size - used, "%s \"%s\": ", cfg_name(s->tree),
			printable);
	}
	/* Two levels of names from our tables, and one cut title, have room. */
	assert(n > 0 && (size_t)n < size - used);
	return used + (size_t)n;
}

void schema_describe(const struct section *s, char text[SCHEMA_WHERE_MAX])
{
	text[0] = '\0';
	(void)describe(s, text, SCHEMA_WHERE_MAX);
}

bool schema_has(const struct section *s, const char *option)
{
	return (cfg_getopt(s->tree, option)->flags & CFGF_MODIFIED) != 0;
}

const char *schema_text(const struct section *s, const char *option)
{
	return cfg_getstr(s->tree, option);
}

size_t schema_item_count(const struct section *s, const char *option)
{
	return cfg_size(s->tree, option);
}

const char *schema_item(const struct section *s, const char *option, size_t i)
{
	return cfg_getnstr(s->tree, option, (unsigned)i);
}

unsigned schema_end_line(const struct section *s)
{
	return (unsigned)s->tree->line;
}

unsigned schema_item_line(const struct section *s, const char *option, size_t i)
{
	const char *text;
	int line;

	if (!schema_has(s, option) || i >= schema_item_count(s, option))
		return schema_end_line(s);
	text = schema_item(s, option, i);
	memcpy(&line, text + strlen(text) + 1, sizeof(line));
	return (unsigned)line;
}

unsigned schema_line(const struct section *s, const char *option)
{
	size_t count = schema_item_count(s, option);

	return schema_item_line(s, option, count == 0 ? 0 : count - 1);
}

/* Parsing */

/* After a value of the file: its line, behind its text. */
static int note_line(cfg_t *section, cfg_opt_t *option)
{
	char **text = &option->values[option->nvalues - 1]->string;
	size_t size = strlen(*text) + 1;
	char *longer = realloc(*text, size + sizeof(section->line));

	if (longer == NULL) {
		cfg_error(section, "not enough memory");
		return -1;
	}
	memcpy(longer + size, &section->line, sizeof(section->line));
	*text = longer;
	return 0;
}

__attribute__((format(printf, 2, 0))) static void keep_message(
	cfg_t *section, const char *format, va_list arguments)
{
	free(section->comment);
	if (vasprintf(&section->comment, format, arguments) < 0)
		section->comment = NULL;
}

/* Tell why parsing failed: of the section that holds a message, else of the file. */
static bool report_syntax(struct report *r, const struct section *s)
{
	const char *text = s->tree->comment;
	char where[SCHEMA_WHERE_MAX], printable[OPTION_ERROR_MAX];

	for (const cfg_opt_t *o = s->tree->opts; o->name != NULL; o++) {
		for (unsigned i = 0; o->type == CFGT_SEC && i < o->nvalues; i++) {
			const struct section inner = {o->values[i]->section, s};

			if (report_syntax(r, &inner))
				return true;
		}
	}
	if (text == NULL && s->outer != NULL)
		return false;
	/* The parser's messages quote the file as it is, line ends included. */
	(void)str_printable(printable, sizeof(printable),
		str_of(text != NULL ? text : "an option name is expected"));
	schema_describe(s, where);
	report_mistake(r, schema_end_line(s), "%s%s", where, printable);
	return true;
}

/* Room for the tables that the parser is made from. */
struct tables {
	cfg_opt_t options[SECTION_MAX][SECTION_OPTION_MAX + 1];
	cfg_opt_t root[SECTION_OPTION_MAX + SECTION_MAX + 1];
	size_t used;
};

static cfg_opt_t *add_options(
	const struct option *options, cfg_opt_t *out, const cfg_opt_t *end)
{
	for (; options->name != NULL; options++, out++) {
		assert(out < end);
		if (options->kind == OPTION_LIST)
			*out = (cfg_opt_t)CFG_STR_LIST(options->name, NULL, CFGF_NONE);
		else
			*out = (cfg_opt_t)CFG_STR(
				options->name, options->fallback, CFGF_NONE);
		out->validcb = note_line;
	}
	return out;
}

static cfg_opt_t new_section(
	struct tables *t, const struct option_section *s, bool is_titled)
{
	const cfg_flag_t titled = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	cfg_opt_t *options = t->options[t->used++], *next;

	assert(t->used <= SECTION_MAX);
	next = add_options(s->options, options, options + SECTION_OPTION_MAX);
	for (const struct option_section *i = s->inner; i != NULL && i->name != NULL;
		i++) {
		assert(next < options + SECTION_OPTION_MAX);
		*next++ = new_section(t, i, true);
	}
	*next = (cfg_opt_t)CFG_END();
	return (cfg_opt_t)CFG_SEC(s->name, options, is_titled ? titled : CFGF_NONE);
}

/* libconfuse copies the tables, so they need not outlive this function. */
static cfg_t *new_parser(void)
{
	struct tables *t = calloc(1, sizeof(*t));
	cfg_opt_t *next;
	cfg_t *parser;

	if (t == NULL)
		return NULL;
	next = add_options(option_root, t->root, t->root + SECTION_OPTION_MAX);
	for (const struct option_section *s = option_sections; s->name != NULL; s++)
		*next++ = new_section(t, s, false);
	for (const struct option_section *s = option_titled; s->name != NULL; s++)
		*next++ = new_section(t, s, true);
	*next = (cfg_opt_t)CFG_END();
	parser = cfg_init(t->root, CFGF_NONE);
	free(t);
	return parser;
}

static int parse(struct report *r, const char *text, struct section *ret_file)
{
	struct section file = {new_parser(), NULL};

	if (file.tree == NULL)
		return -ENOMEM;
	(void)cfg_set_error_function(file.tree, keep_message);
	if (cfg_parse_buf(file.tree, text) != CFG_SUCCESS) {
		(void)report_syntax(r, &file);
		schema_free(&file);
		return -EINVAL;
	}
	*ret_file = file;
	return 0;
}

int schema_parse(struct report *r, struct section *ret_file)
{
	struct buf text;
	int error = source_read(r, &text);

	if (error == 0)
		error = parse(r, text.p, ret_file);
	buf_done(&text);
	return error;
}

void schema_free(struct section *file)
{
	(void)cfg_free(file->tree);
	file->tree = NULL;
}
