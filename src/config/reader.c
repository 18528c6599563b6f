/* What the functions share that turn sections of the file into a struct config.
 * Runs in the master; the input is the operator's own file, not a client's. */
#include "config/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/network.h"
#include "base/str.h"
#include "config/conf.h"
#include "config/option.h"
#include "config/schema.h"
#include "config/source.h"

__attribute__((format(printf, 5, 0))) static void report_option(struct reader *r,
	const struct section *s, const char *option, unsigned line, const char *format,
	va_list arguments)
{
	char where[SCHEMA_WHERE_MAX], text[OPTION_ERROR_MAX];

	(void)vsnprintf(text, sizeof(text), format, arguments);
	schema_describe(s, where);
	report_mistake(r->report, line, "%s%s: %s", where, option, text);
}

void reader_mistake(struct reader *r, const struct section *s, const char *option,
	const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_option(r, s, option, schema_line(s, option), format, arguments);
	va_end(arguments);
}

void reader_item_mistake(struct reader *r, const struct section *s, const char *option,
	size_t i, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_option(r, s, option, schema_item_line(s, option, i), format, arguments);
	va_end(arguments);
}

void reader_section_mistake(struct reader *r, const struct section *s, const char *what)
{
	char where[SCHEMA_WHERE_MAX];

	schema_describe(s, where);
	report_mistake(r->report, schema_end_line(s), "%s%s", where, what);
}

void *reader_take_memory(struct reader *r, size_t n)
{
	void *p = arena_alloc(&r->config->arena, n);

	if (p == NULL)
		r->is_out_of_memory = true;
	return p;
}

const char *reader_copy_text(struct reader *r, const char *text)
{
	const char *copy = option_copy_text(text, &r->config->arena);

	if (copy == NULL)
		r->is_out_of_memory = true;
	return copy;
}

unsigned reader_take_words(struct reader *r, const struct section *s, const char *option,
	const char *const *words)
{
	char error[OPTION_ERROR_MAX];
	unsigned set = 0;

	for (size_t i = 0; i < schema_item_count(s, option); i++) {
		const char *text = schema_item(s, option, i);
		int word = option_find_word(words, text, error);

		if (word < 0)
			reader_item_mistake(r, s, option, i, "%s", error);
		else if ((set & 1U << word) != 0)
			reader_item_mistake(r, s, option, i, "'%s': given twice", text);
		else
			set |= 1U << word;
	}
	return set;
}

const struct network *reader_take_networks(
	struct reader *r, const struct section *s, const char *option, size_t *ret_count)
{
	size_t count = schema_item_count(s, option);
	struct network *networks = reader_take_memory(r, count * sizeof(*networks));
	char value[160];

	if (networks == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *text = schema_item(s, option, i);
		const char *wrong = network_parse(text, &networks[i]);

		if (wrong == NULL)
			continue;
		(void)str_printable(value, sizeof(value), str_of(text));
		reader_item_mistake(r, s, option, i, "'%s': %s", value, wrong);
	}
	*ret_count = count;
	return networks;
}

void reader_set_option(
	struct reader *r, const struct section *s, const struct option *o, void *base)
{
	char error[OPTION_ERROR_MAX];
	const char *text;
	int result;

	if (o->kind == OPTION_NAME || o->kind == OPTION_LIST)
		return;
	text = schema_text(s, o->name);
	if (text == NULL)
		return;
	result = option_set(o, text, base, &r->config->arena, error);
	if (result == -ENOMEM)
		r->is_out_of_memory = true;
	else if (result < 0)
		reader_mistake(r, s, o->name, "%s", error);
}

void reader_set_options(struct reader *r, const struct section *s,
	const struct option *options, void *base)
{
	for (const struct option *o = options; o->name != NULL; o++)
		reader_set_option(r, s, o, base);
}
