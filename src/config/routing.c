/* Where the mail of each listener goes, and what follows from that for its clients.
 *
 * Runs in the master; the input is the operator's own file, not a client's. */
#include "config/routing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/program.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/source.h"
#include "delivery/macro.h"
#include "delivery/spawn_request.h"

/* A reply 250 that no delivery has to stand for would be worth nothing. */
#define NOBODY_REQUIRED                                                                  \
	"no delivery of the listener is required, so that a 250 would mean nothing"

/* The index of a section deliver, or how many there are. */
static size_t find_delivery(const struct config *c, const char *name)
{
	size_t i = 0;

	while (i < c->delivery_count && strcmp(c->deliveries[i].name, name) != 0)
		i++;
	return i;
}

static bool has_delivery(const size_t *deliveries, size_t n, size_t delivery)
{
	for (size_t i = 0; i < n; i++)
		if (deliveries[i] == delivery)
			return true;
	return false;
}

static bool has_required(const struct config *c, const size_t *deliveries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c->deliveries[deliveries[i]].is_required)
			return true;
	return false;
}

/* The text up to the slashes at its end. */
static struct str trim_slashes(const char *path)
{
	struct str s = str_of(path);

	while (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

/* Of two that lead to the same Maildir the first would take the name that a message has
 * there, so that the second always failed. */
static void check_maildirs(
	struct reader *r, const struct section *s, const size_t *deliveries, size_t n)
{
	const struct delivery_settings *all = r->config->deliveries;

	for (size_t i = 0; i < n; i++) {
		struct str path = trim_slashes(all[deliveries[i]].path);
		char value[64];
		size_t k = 0;

		while (k < i && !str_equal(trim_slashes(all[deliveries[k]].path), path))
			k++;
		if (path.n == 0 || k == i)
			continue;
		(void)str_printable(
			value, sizeof(value), str_of(schema_item(s, "deliver", i)));
		reader_item_mistake(
			r, s, "deliver", i, "'%s': has the path of one before it", value);
	}
}

/* The first one, or the one that will be made. */
static bool is_default_required(const struct config *c)
{
	return c->delivery_count == 0 || c->deliveries[0].is_required;
}

/* The list of deliver sections.  Returns them, *ret_count, or NULL when something in it
 * is wrong, which is told. */
static const size_t *take_deliveries(
	struct reader *r, const struct section *s, size_t *ret_count)
{
	const struct config *c = r->config;
	size_t count = schema_item_count(s, "deliver"), n = 0;
	size_t *deliveries = reader_take_memory(r, (count + 1) * sizeof(*deliveries));

	for (size_t i = 0; deliveries != NULL && i < count; i++) {
		const char *name = schema_item(s, "deliver", i);
		size_t found = find_delivery(c, name);
		char value[64];

		(void)str_printable(value, sizeof(value), str_of(name));
		if (found == c->delivery_count)
			reader_item_mistake(r, s, "deliver", i,
				"there is no section deliver \"%s\"", value);
		else if (has_delivery(deliveries, n, found))
			reader_item_mistake(
				r, s, "deliver", i, "'%s': given twice", value);
		else
			deliveries[n++] = found;
	}
	if (deliveries == NULL || n < count)
		return NULL;
	*ret_count = n;
	check_maildirs(r, s, deliveries, n);
	return deliveries;
}

void routing_read(struct reader *r, const struct section *s, struct listen_settings *l)
{
	const struct config *c = r->config;

	l->deliveries = take_deliveries(r, s, &l->delivery_count);
	if (l->deliveries == NULL)
		return;
	if (l->delivery_count == 0 && schema_has(s, "deliver"))
		reader_mistake(r, s, "deliver", "at least one must be given");
	else if (l->delivery_count > 0
			 ? !has_required(c, l->deliveries, l->delivery_count)
			 : !is_default_required(c))
		reader_mistake(r, s, "deliver", NOBODY_REQUIRED);
}

void routing_read_rule(struct reader *r, const struct section *s, struct rule_text *t)
{
	t->deliveries = take_deliveries(r, s, &t->delivery_count);
	if (t->deliveries == NULL)
		return;
	if (t->delivery_count == 0)
		reader_mistake(r, s, "deliver", "at least one must be given");
	else if (!has_required(r->config, t->deliveries, t->delivery_count))
		reader_mistake(r, s, "deliver",
			"no delivery of the rule is required, so that a 250 would mean "
			"nothing");
}

void routing_check_default(struct reader *r, const struct section *file)
{
	const struct config *c = r->config;
	struct section s;

	if (is_default_required(c))
		return;
	s = schema_section(file, "deliver", 0);
	reader_mistake(r, &s, "required", NOBODY_REQUIRED);
}

/* "handler,inbox" */
static const char *join_names(struct config *c, const struct listen_settings *l)
{
	size_t size = 0;
	char *names;

	for (size_t i = 0; i < l->delivery_count; i++)
		size += strlen(c->deliveries[l->deliveries[i]].name) + 1;
	names = arena_alloc(&c->arena, size);
	for (size_t i = 0; names != NULL && i < l->delivery_count; i++) {
		if (i > 0)
			(void)strlcat(names, ",", size);
		(void)strlcat(names, c->deliveries[l->deliveries[i]].name, size);
	}
	return names;
}

/* What clients of a listener must not say, since this command could not be given it. */
static void bind_clients(struct smtp_listen_settings *l, const struct pipe_settings *p)
{
	uint32_t used = program_macros(p->command);

	if ((used & MACRO_BIT(MACRO_SENDER)) != 0)
		l->is_sender_argument = true;
	if ((used & (MACROS_OF_ONE_RECIPIENT | MACRO_BIT(MACRO_RECIPIENTS))) != 0)
		l->is_recipient_argument = true;
	if (!p->is_per_recipient) {
		l->recipient_text_max = SPAWN_RECIPIENTS_MAX;
		l->recipient_extra = SPAWN_RECIPIENT_EXTRA;
	}
}

static void bind_to_all(const struct config *c, const size_t *deliveries, size_t n,
	struct smtp_listen_settings *l)
{
	for (size_t i = 0; i < n; i++) {
		const struct delivery_settings *d = &c->deliveries[deliveries[i]];

		if (d->backend == &delivery_pipe)
			bind_clients(l, &d->pipe);
	}
}

static int settle_listener(struct config *c, struct listen_settings *l)
{
	if (l->delivery_count == 0) {
		size_t *first = arena_alloc(&c->arena, sizeof(*first));

		if (first == NULL)
			return -ENOMEM;
		l->deliveries = first;
		l->delivery_count = 1;
	}
	bind_to_all(c, l->deliveries, l->delivery_count, &l->smtp);
	/* A rule may send recipients of any listener there. */
	for (size_t i = 0; i < c->route_count; i++)
		bind_to_all(c, c->routes[i].sections, c->routes[i].count, &l->smtp);
	l->delivery_names = join_names(c, l);
	return l->delivery_names == NULL ? -ENOMEM : 0;
}

/* Which modules are to take messages. */
static void settle_modules(struct config *c)
{
	for (size_t i = 0; i < c->delivery_count; i++)
		if (c->deliveries[i].backend == &delivery_module)
			c->modules[c->deliveries[i].module_number].needs_backend = true;
}

/* Modules may send recipients to any section. */
static int add_section_routes(struct config *c)
{
	size_t n = c->route_count + c->delivery_count;
	struct delivery_route *routes = arena_alloc(&c->arena, n * sizeof(*routes));
	size_t *sections = arena_alloc(&c->arena, c->delivery_count * sizeof(*sections));

	if (routes == NULL || sections == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->route_count; i++)
		routes[i] = c->routes[i];
	for (size_t i = 0; i < c->delivery_count; i++) {
		sections[i] = i;
		routes[c->route_count + i] = (struct delivery_route){&sections[i], 1};
	}
	c->section_routes = c->route_count;
	c->routes = routes;
	c->route_count = n;
	return 0;
}

static bool is_on_a_route(const struct config *c, size_t section)
{
	for (size_t i = 0; i < c->route_count; i++)
		if (has_delivery(c->routes[i].sections, c->routes[i].count, section))
			return true;
	return false;
}

static bool is_of_a_listener(const struct config *c, size_t section)
{
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct listen_settings *l = &c->listeners[i];

		if (l->delivery_count == 0
				? section == 0
				: has_delivery(l->deliveries, l->delivery_count, section))
			return true;
	}
	return false;
}

/* As check_maildirs, of sections that a rule can bring together with others. */
static void check_routes(struct report *r, const struct config *c)
{
	const struct delivery_settings *all = c->deliveries;

	for (size_t i = 1; i < c->delivery_count; i++) {
		struct str path = trim_slashes(all[i].path);

		for (size_t k = 0; k < i && path.n > 0; k++) {
			bool i_on_route = is_on_a_route(c, i);
			bool k_on_route = is_on_a_route(c, k);

			if (str_equal(trim_slashes(all[k].path), path) &&
				(i_on_route || is_of_a_listener(c, i)) &&
				(k_on_route || is_of_a_listener(c, k)) &&
				(i_on_route || k_on_route))
				report_mistake(r, 0,
					"deliver \"%s\": has the path of \"%s\", and a "
					"rule may send one message to both",
					all[i].name, all[k].name);
		}
	}
}

int routing_settle(struct report *r, struct config *c)
{
	/* What was told may be the reason of more, or for NULL where a text should be. */
	if (r->mistakes > 0)
		return 0;
	settle_modules(c);
	check_routes(r, c);
	if (c->module_count > 0 && add_section_routes(c) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->listener_count; i++) {
		struct listen_settings *l = &c->listeners[i];
		int error = settle_listener(c, l);

		if (error < 0)
			return error;
		/* Those of the file were looked at where they are written. */
		if (!has_required(c, l->deliveries, l->delivery_count))
			report_mistake(
				r, 0, "listen \"%s\": %s", l->name, NOBODY_REQUIRED);
	}
	return 0;
}
