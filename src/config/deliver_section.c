/* The sections deliver of the configuration file: where mail goes.
 *
 * Programs are looked for, and accounts looked up; nothing else is opened or made here.
 * Runs in the master; the input is the operator's own file, not a client's. */
#include "config/deliver_section.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/option.h"
#include "config/program.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/tables.h"
#include "delivery/macro.h"

#define ITEMS_MAX 1000 /* of a command line; execve(2) sets limits, too */

static const struct {
	const struct delivery_backend *backend;
	unsigned bit;
} types[] = {
	{&delivery_maildir, OPTION_OF_MAILDIR},
	{&delivery_pipe, OPTION_OF_PIPE},
	{&delivery_module, OPTION_OF_MODULE},
};

/* Of a type that is not known any option may be meant. */
bool deliver_section_has(const struct delivery_settings *d, const struct option *o)
{
	if (o->types == 0 || d->backend == NULL)
		return true;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].backend == d->backend)
			return (o->types & types[i].bit) != 0;
	return false;
}

static void report_foreign(
	struct reader *r, const struct section *s, const struct option *o)
{
	char names[64] = "";

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if ((o->types & types[i].bit) == 0)
			continue;
		(void)strlcat(names, *names == '\0' ? "\"" : " and \"", sizeof(names));
		(void)strlcat(names, types[i].backend->name, sizeof(names));
		(void)strlcat(names, "\"", sizeof(names));
	}
	reader_mistake(r, s, o->name, "only for type %s", names);
}

static void report_item(struct reader *r, const struct section *s, const char *option,
	size_t i, const char *wrong)
{
	char value[256];

	(void)str_printable(value, sizeof(value), str_of(schema_item(s, option, i)));
	reader_item_mistake(r, s, option, i, "'%s': %s", value, wrong);
}

/* How many items of a list are looked at. */
static size_t count_items(struct reader *r, const struct section *s, const char *option)
{
	size_t count = schema_item_count(s, option);

	if (count <= ITEMS_MAX)
		return count;
	report_item(r, s, option, ITEMS_MAX, "one more than there may be");
	return ITEMS_MAX;
}

static void read_type(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	const char *type = schema_text(s, "type");
	char value[64];

	if (type == NULL) {
		reader_mistake(r, s, "type", "must be given");
		return;
	}
	d->backend = delivery_backend_find(type);
	if (d->backend == NULL) {
		(void)str_printable(value, sizeof(value), str_of(type));
		reader_mistake(r, s, "type", "'%s': there is no such type", value);
	}
}

static void read_headers(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	size_t count = schema_item_count(s, "headers"), kept = 0;
	unsigned seen = 0;
	char error[OPTION_ERROR_MAX];

	if (!schema_has(s, "headers")) {
		if (d->backend == &delivery_maildir)
			option_default_headers(d->headers);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *text = schema_item(s, "headers", i);
		enum header_field header;

		if (option_parse_header(text, &header, error) < 0) {
			reader_item_mistake(r, s, "headers", i, "%s", error);
		} else if ((seen & header) != 0) {
			reader_item_mistake(
				r, s, "headers", i, "'%s': given twice", text);
		} else {
			seen |= header;
			d->headers[kept++] = header;
		}
	}
}

/* One item of the command; the first is the program. */
static const char *read_argument(
	struct reader *r, const struct section *s, size_t i, const char *text)
{
	char path[PATH_MAX];
	const char *wrong =
		i == 0 ? program_find(text, NULL, path) : macro_check_argument(text);

	if (wrong != NULL)
		report_item(r, s, "command", i, wrong);
	return reader_copy_text(r, i == 0 && wrong == NULL ? path : text);
}

static void read_command(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	size_t count = count_items(r, s, "command");
	const char **command = reader_take_memory(r, (count + 1) * sizeof(*command));

	if (count == 0)
		reader_mistake(r, s, "command", "must be given, a program at least");
	for (size_t i = 0; command != NULL && i < count; i++)
		command[i] = read_argument(r, s, i, schema_item(s, "command", i));
	d->pipe.command = command;
}

/* Who has one recipient in an argument means a run for each. */
static void settle_runs(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	if (d->pipe.is_per_recipient || r->is_out_of_memory ||
		(program_macros(d->pipe.command) & MACROS_OF_ONE_RECIPIENT) == 0)
		return;
	if (schema_has(s, "per-recipient"))
		reader_mistake(r, s, "per-recipient",
			"'false': a macro of command stands for one recipient; there is "
			"%%{recipients} for all of them");
	d->pipe.is_per_recipient = true;
}

/*
 * variable = name "=" *byte
 * name     = ( ALPHA / "_" ) *( ALPHA / DIGIT / "_" )
 *
 * The length of the name, or 0. */
static size_t variable_name_length(const char *text)
{
	size_t n = 0;

	while (str_is_alnum(text[n]) || text[n] == '_')
		n++;
	return text[n] == '=' && !str_is_digit(text[0]) ? n : 0;
}

static void read_environment(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	size_t count = count_items(r, s, "environment");
	const char **variables = reader_take_memory(r, (count + 1) * sizeof(*variables));

	for (size_t i = 0; variables != NULL && i < count; i++) {
		const char *text = schema_item(s, "environment", i);
		size_t length = variable_name_length(text);

		if (length == 0)
			report_item(r, s, "environment", i, "NAME=VALUE is expected");
		for (size_t j = 0; length > 0 && j < i; j++)
			if (strncmp(schema_item(s, "environment", j), text, length + 1) ==
				0) {
				report_item(r, s, "environment", i, "given twice");
				break;
			}
		variables[i] = reader_copy_text(r, text);
	}
	d->pipe.environment = variables;
}

/* Only root can become somebody else, and nobody becomes root. */
static void check_user(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	const char *name = d->pipe.user;
	const struct passwd *account;

	if (name == NULL || *name == '\0') {
		d->pipe.user = NULL;
		return;
	}
	account = getpwnam(name);
	if (account == NULL)
		reader_mistake(r, s, "user", "there is no account '%s'", name);
	else if (geteuid() != 0 && account->pw_uid != geteuid())
		reader_mistake(r, s, "user",
			"'%s': only if root starts it can commands run as somebody else",
			name);
	else if (geteuid() == 0 && (account->pw_uid == 0 || account->pw_gid == 0))
		reader_mistake(r, s, "user",
			"'%s' has the rights of root, which commands never have", name);
}

/* Which of the sections module it names. */
static void find_module(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	size_t count = schema_count(s->outer, "module"), i = 0;
	char value[256];

	if (!schema_has(s, "module")) {
		reader_mistake(r, s, "module", "must be given");
		return;
	}
	/* What was wrong with it has been told. */
	if (d->module == NULL)
		return;
	for (; i < count; i++) {
		const struct section module = schema_section(s->outer, "module", i);

		if (strcmp(schema_title(&module), d->module) == 0)
			break;
	}
	d->module_number = i;
	if (i < count)
		return;
	(void)str_printable(value, sizeof(value), str_of(d->module));
	reader_mistake(r, s, "module", "there is no section module \"%s\"", value);
}

void deliver_section_read(
	struct reader *r, const struct section *s, struct delivery_settings *d)
{
	/* So that a value that is wrong is told of once. */
	d->is_required = true;
	read_type(r, s, d);
	for (const struct option *o = option_deliver; o->name != NULL; o++) {
		if (deliver_section_has(d, o))
			reader_set_option(r, s, o, d);
		else if (schema_has(s, o->name))
			report_foreign(r, s, o);
	}
	if (d->backend == &delivery_maildir || d->backend == &delivery_pipe)
		read_headers(r, s, d);
	if (d->backend == &delivery_maildir && !schema_has(s, "path"))
		reader_mistake(r, s, "path", "must be given");
	if (d->backend == &delivery_pipe) {
		read_command(r, s, d);
		settle_runs(r, s, d);
		read_environment(r, s, d);
		check_user(r, s, d);
	}
	if (d->backend == &delivery_module)
		find_module(r, s, d);
}
