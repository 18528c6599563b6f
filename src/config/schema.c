/* The configuration file, read with libconfuse; the only module that knows it.
 *
 * The tables of option.c become those of libconfuse; each value is taken as text
 * and handed to option_set, so that one wrong value does not end the search for
 * others.  Everything is copied out and the parser's tree freed before return.
 * Runs in the master; the input is the operator's own file, not a client's.
 *
 * What libconfuse 3.3 does and what is done about it here:
 *  - It keeps no line per option.  A callback after each value notes the line in
 *    def.number, the numeric default, which options that are texts do not use.
 *  - It has no pointer for us in its error callback.  The message waits in the
 *    `comment` of the section at fault, which is free as comments are not kept.
 *  - It ends the process when a read fails, miscounts lines after comments, and
 *    takes the end of the file for a closing brace; source.c sees to these. */
#include "config/schema.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "config/conf.h"
#include "config/option.h"
#include "config/source.h"

#define SECTION_OPTION_MAX 8 /* options of the largest section */
#define SECTION_MAX        10

/* What the reading functions share. */
struct reader {
	struct report *report;
	struct config *config;
	bool is_out_of_memory;
};

/* Places in the file */

static int note_line(cfg_t *section, cfg_opt_t *option)
{
	option->def.number = section->line;
	return 0;
}

static bool is_given(cfg_t *section, const char *name)
{
	return (cfg_getopt(section, name)->flags & CFGF_MODIFIED) != 0;
}

/* The line of an option, or of its section's closing brace if it was not given. */
static unsigned line_of(cfg_t *section, const char *name)
{
	long line = cfg_getopt(section, name)->def.number;

	return (unsigned)(line != 0 ? line : section->line);
}

/* "limits: ", "listen "mx": ", or nothing for the top level */
static void describe_section(cfg_t *section, char text[128])
{
	const char *title = cfg_title(section);
	char printable[96];

	text[0] = '\0';
	if (title != NULL) {
		(void)str_printable(printable, sizeof(printable), str_of(title));
		(void)snprintf(text, 128, "%s \"%s\": ", cfg_name(section), printable);
	} else if (strcmp(cfg_name(section), "root") != 0) {
		(void)snprintf(text, 128, "%s: ", cfg_name(section));
	}
}

__attribute__((format(printf, 4, 5))) static void mistake(
	struct reader *r, cfg_t *section, const char *option, const char *format, ...)
{
	char where[128], text[OPTION_ERROR_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	describe_section(section, where);
	report_mistake(
		r->report, line_of(section, option), "%s%s: %s", where, option, text);
}

static void *take_memory(struct reader *r, size_t n)
{
	void *p = arena_alloc(&r->config->arena, n);

	if (p == NULL)
		r->is_out_of_memory = true;
	return p;
}

/* Sections */

static void read_options(
	struct reader *r, cfg_t *section, const struct option *options, void *base)
{
	char error[OPTION_ERROR_MAX];

	for (const struct option *o = options; o->name != NULL; o++) {
		const char *text;
		int result;

		if (o->kind == OPTION_NAME || o->kind == OPTION_LIST)
			continue;
		text = cfg_getstr(section, o->name);
		if (text == NULL)
			continue;
		result = option_set(o, text, base, &r->config->arena, error);
		if (result == -ENOMEM)
			r->is_out_of_memory = true;
		else if (result < 0)
			mistake(r, section, o->name, "%s", error);
	}
}

/* An option that was not written gives way to one that was; two that were written
 * and contradict each other are a mistake. */
static void settle_workers(struct reader *r, cfg_t *section)
{
	struct worker_settings *w = &r->config->workers;
	const struct {
		const char *less, *more;
		unsigned *less_value, *more_value;
	} pairs[] = {
		{"start", "max", &w->start, &w->max},
		{"min-spare", "max", &w->min_spare, &w->max},
		{"max-spare", "max", &w->max_spare, &w->max},
		/* The last: max has its final value now, and is above both. */
		{"min-spare", "max-spare", &w->min_spare, &w->max_spare},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		unsigned *less = pairs[i].less_value, *more = pairs[i].more_value;

		/* 0 is what a value that was not taken leaves behind. */
		if (*more == 0 || *less <= *more)
			continue;
		if (!is_given(section, pairs[i].more))
			*more = *less;
		else if (!is_given(section, pairs[i].less))
			*less = *more;
		else
			mistake(r, section, pairs[i].less,
				"'%u': must not be more than %s, which is %u", *less,
				pairs[i].more, *more);
	}
}

/* Who only makes command short need not know of busy-command. */
static void settle_timeouts(struct reader *r, cfg_t *section)
{
	struct timeout_settings *t = &r->config->timeouts;

	if (!is_given(section, "busy-command") && t->busy_command_ms > t->command_ms)
		t->busy_command_ms = t->command_ms;
}

/* A deadline that lies inside another one must be the shorter of the two, else it
 * could never strike. */
static void check_timeouts(struct reader *r, cfg_t *section)
{
	const struct timeout_settings *t = &r->config->timeouts;
	const struct {
		const char *inner, *outer;
		uint64_t inner_ms, outer_ms;
	} pairs[] = {
		{"data", "data-total", t->data_ms, t->data_total_ms},
		{"command", "session", t->command_ms, t->session_ms},
		{"data-total", "session", t->data_total_ms, t->session_ms},
		{"busy-command", "command", t->busy_command_ms, t->command_ms},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *option = is_given(section, pairs[i].outer) ? pairs[i].outer
								       : pairs[i].inner;

		/* 0 is what a value that was not taken leaves behind. */
		if (pairs[i].outer_ms != 0 && pairs[i].inner_ms > pairs[i].outer_ms)
			mistake(r, section, option, "%s must not be longer than %s",
				pairs[i].inner, pairs[i].outer);
	}
}

static void read_headers(struct reader *r, cfg_t *section, struct delivery_settings *d)
{
	unsigned count = cfg_size(section, "headers");
	unsigned seen = 0, kept = 0;
	char error[OPTION_ERROR_MAX];

	if (!is_given(section, "headers")) {
		option_default_headers(d->headers);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		const char *text = cfg_getnstr(section, "headers", i);
		enum header_field header;

		if (option_parse_header(text, &header, error) < 0) {
			mistake(r, section, "headers", "%s", error);
		} else if ((seen & header) != 0) {
			mistake(r, section, "headers", "'%s': given twice", text);
		} else {
			seen |= header;
			d->headers[kept++] = header;
		}
	}
}

static void read_type(struct reader *r, cfg_t *section, struct delivery_settings *d)
{
	const char *type = cfg_getstr(section, "type");
	char value[64];

	if (type == NULL) {
		mistake(r, section, "type", "must be given");
		return;
	}
	d->backend = delivery_backend_find(type);
	if (d->backend == NULL) {
		(void)str_printable(value, sizeof(value), str_of(type));
		mistake(r, section, "type", "'%s': there is no such type", value);
	}
}

static void read_deliver(struct reader *r, cfg_t *section, struct delivery_settings *d)
{
	read_type(r, section, d);
	if (d->backend != NULL && d->backend != &delivery_maildir) {
		for (const struct option *o = option_deliver; o->name != NULL; o++)
			if (strcmp(o->name, "type") != 0 && is_given(section, o->name))
				mistake(r, section, o->name, "only for type \"maildir\"");
		return;
	}
	read_options(r, section, option_deliver, d);
	read_headers(r, section, d);
	if (d->backend == &delivery_maildir && !is_given(section, "path"))
		mistake(r, section, "path", "must be given");
}

static bool is_wildcard(const struct endpoint *e)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

	if (e->address.ss_family == AF_INET)
		return v4->sin_addr.s_addr == htonl(INADDR_ANY);
	return e->address.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* 0 for a Unix socket, and for "any free port" */
static in_port_t port_of(const struct endpoint *e)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

	if (e->address.ss_family == AF_INET)
		return v4->sin_port;
	return e->address.ss_family == AF_INET6 ? v6->sin6_port : 0;
}

/* Whether the two cannot both be bound.  v4 and v6 never meet: listeners are v6 only. */
static bool endpoints_collide(const struct endpoint *a, const struct endpoint *b)
{
	if (a->address.ss_family != b->address.ss_family)
		return false;
	if (a->address.ss_family == AF_UNIX)
		return endpoint_equal(a, b);
	return port_of(a) != 0 && port_of(a) == port_of(b) &&
	       (is_wildcard(a) || is_wildcard(b) || endpoint_equal(a, b));
}

static const struct listen_settings *find_collision(
	const struct config *c, const struct endpoint *e)
{
	for (size_t i = 0; i < c->listener_count; i++)
		for (size_t j = 0; j < c->listeners[i].endpoint_count; j++)
			if (endpoints_collide(e, &c->listeners[i].endpoints[j]))
				return &c->listeners[i];
	return NULL;
}

static size_t count_endpoints(const struct config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->listener_count; i++)
		n += c->listeners[i].endpoint_count;
	return n;
}

int schema_add_address(struct config *c, struct listen_settings *l, const char *text,
	char error[SCHEMA_ERROR_MAX])
{
	const char *why = NULL;
	struct endpoint found[2];
	char value[160];
	int count = endpoint_parse(text, found, &why);

	(void)str_printable(value, sizeof(value), str_of(text));
	if (count < 0) {
		(void)snprintf(error, SCHEMA_ERROR_MAX, "'%s': %s", value, why);
		return -EINVAL;
	}
	if (count_endpoints(c) + (size_t)count > LISTENERS_MAX) {
		(void)snprintf(error, SCHEMA_ERROR_MAX, "'%s': more than %d addresses",
			value, LISTENERS_MAX);
		return -EINVAL;
	}
	for (int i = 0; i < count; i++) {
		const struct listen_settings *other = find_collision(c, &found[i]);

		if (other != NULL) {
			char name[96];

			(void)str_printable(name, sizeof(name), str_of(other->name));
			(void)snprintf(error, SCHEMA_ERROR_MAX,
				"'%s': listen \"%s\" has this address already", value,
				name);
			return -EINVAL;
		}
	}
	for (int i = 0; i < count; i++)
		l->endpoints[l->endpoint_count++] = found[i];
	return 0;
}

static void read_addresses(struct reader *r, cfg_t *section, struct listen_settings *l)
{
	unsigned count = cfg_size(section, "address");
	char error[SCHEMA_ERROR_MAX];

	if (count == 0)
		mistake(r, section, "address", "at least one must be given");
	l->endpoints = take_memory(r, 2 * count * sizeof(*l->endpoints));
	for (unsigned i = 0; i < count && l->endpoints != NULL; i++)
		if (schema_add_address(
			    r->config, l, cfg_getnstr(section, "address", i), error) < 0)
			mistake(r, section, "address", "%s", error);
}

static void read_delivery_of(struct reader *r, cfg_t *section, struct listen_settings *l)
{
	const struct config *c = r->config;
	unsigned count = cfg_size(section, "deliver");
	char value[64];
	const char *name;

	if (count == 0)
		return;
	if (count > 1) {
		mistake(r, section, "deliver", "more than one is not supported");
		return;
	}
	name = cfg_getnstr(section, "deliver", 0);
	for (size_t i = 0; i < c->delivery_count; i++) {
		if (strcmp(c->deliveries[i].name, name) == 0) {
			l->delivery = i;
			return;
		}
	}
	(void)str_printable(value, sizeof(value), str_of(name));
	mistake(r, section, "deliver", "there is no section deliver \"%s\"", value);
}

static const char *copy_title(struct reader *r, cfg_t *section)
{
	const char *title = option_copy_text(cfg_title(section), &r->config->arena);

	if (title == NULL)
		r->is_out_of_memory = true;
	return title;
}

static void read_deliveries(struct reader *r, cfg_t *root)
{
	struct config *c = r->config;
	unsigned count = cfg_size(root, "deliver");

	c->deliveries = take_memory(r, count * sizeof(*c->deliveries));
	for (unsigned i = 0; i < count && !r->is_out_of_memory; i++) {
		cfg_t *section = cfg_getnsec(root, "deliver", i);

		c->deliveries[i].name = copy_title(r, section);
		read_deliver(r, section, &c->deliveries[i]);
		c->delivery_count++;
	}
}

static void read_listeners(struct reader *r, cfg_t *root)
{
	struct config *c = r->config;
	unsigned count = cfg_size(root, "listen");

	c->listeners = take_memory(r, count * sizeof(*c->listeners));
	for (unsigned i = 0; i < count && !r->is_out_of_memory; i++) {
		cfg_t *section = cfg_getnsec(root, "listen", i);

		c->listeners[i].name = copy_title(r, section);
		c->listener_count++; /* counted first: its own addresses collide too */
		read_addresses(r, section, &c->listeners[i]);
		read_delivery_of(r, section, &c->listeners[i]);
		read_options(r, section, option_listen, &c->listeners[i]);
	}
}

static void read_root(struct reader *r, cfg_t *root)
{
	struct config *c = r->config;

	read_options(r, root, option_root, c);
	c->user_line = line_of(root, "user");
	c->group_line = line_of(root, "group");
	for (const struct option_section *s = option_sections; s->name != NULL; s++)
		read_options(r, cfg_getsec(root, s->name), s->options, c);
	settle_workers(r, cfg_getsec(root, "workers"));
	settle_timeouts(r, cfg_getsec(root, "timeouts"));
	check_timeouts(r, cfg_getsec(root, "timeouts"));
	read_deliveries(r, root);
	if (!r->is_out_of_memory)
		read_listeners(r, root);
}

/* The parser */

__attribute__((format(printf, 2, 0))) static void keep_message(
	cfg_t *section, const char *format, va_list arguments)
{
	free(section->comment);
	if (vasprintf(&section->comment, format, arguments) < 0)
		section->comment = NULL;
}

/* The section whose parsing failed: the one that holds a message, else the root. */
static cfg_t *failed_section(cfg_t *root)
{
	for (const cfg_opt_t *o = root->opts; o->name != NULL; o++) {
		if (o->type != CFGT_SEC)
			continue;
		for (unsigned i = 0; i < o->nvalues; i++)
			if (o->values[i]->section->comment != NULL)
				return o->values[i]->section;
	}
	return root;
}

static void report_syntax(struct report *r, cfg_t *root)
{
	cfg_t *section = failed_section(root);
	const char *text = section->comment;
	char where[128], printable[OPTION_ERROR_MAX];

	/* The parser's messages quote the file as it is, line ends included. */
	(void)str_printable(printable, sizeof(printable),
		str_of(text != NULL ? text : "an option name is expected"));
	describe_section(section, where);
	report_mistake(r, (unsigned)section->line, "%s%s", where, printable);
}

static void add_options(const struct option *options, cfg_opt_t *out)
{
	const cfg_opt_t *first = out;

	for (; options->name != NULL; options++, out++) {
		assert(out - first < SECTION_OPTION_MAX);
		if (options->kind == OPTION_LIST)
			*out = (cfg_opt_t)CFG_STR_LIST(options->name, NULL, CFGF_NONE);
		else
			*out = (cfg_opt_t)CFG_STR(
				options->name, options->fallback, CFGF_NONE);
		out->validcb = note_line;
	}
	*out = (cfg_opt_t)CFG_END();
}

/* libconfuse copies the tables, so they need not outlive this function. */
static cfg_t *new_parser(void)
{
	const cfg_flag_t titled = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	cfg_opt_t root[SECTION_OPTION_MAX + SECTION_MAX + 1];
	cfg_opt_t options[SECTION_MAX][SECTION_OPTION_MAX + 1];
	cfg_opt_t *next = root;
	size_t i = 0;

	add_options(option_root, root);
	while (next->name != NULL)
		next++;
	for (const struct option_section *s = option_sections; s->name != NULL; s++) {
		assert(i < SECTION_MAX - 2); /* listen and deliver come after these */
		add_options(s->options, options[i]);
		*next++ = (cfg_opt_t)CFG_SEC(s->name, options[i++], CFGF_NONE);
	}
	add_options(option_listen, options[i]);
	*next++ = (cfg_opt_t)CFG_SEC("listen", options[i++], titled);
	add_options(option_deliver, options[i]);
	*next++ = (cfg_opt_t)CFG_SEC("deliver", options[i], titled);
	*next = (cfg_opt_t)CFG_END();
	return cfg_init(root, CFGF_NONE);
}

static int parse(struct report *r, const char *text, struct config *c)
{
	struct reader reader = {.report = r, .config = c};
	cfg_t *root = new_parser();

	if (root == NULL) {
		reader.is_out_of_memory = true;
	} else {
		(void)cfg_set_error_function(root, keep_message);
		if (cfg_parse_buf(root, text) == CFG_SUCCESS)
			read_root(&reader, root);
		else
			report_syntax(r, root);
		(void)cfg_free(root);
	}
	return reader.is_out_of_memory ? -ENOMEM : 0;
}

int schema_read(struct report *r, struct config *c)
{
	struct buf text;
	int error = source_read(r, &text);

	if (error == 0)
		error = parse(r, text.p, c);
	buf_done(&text);
	return error;
}
