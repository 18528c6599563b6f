/* The sections of the configuration file, each in itself and against the others.
 *
 * Everything is copied out of the file.  Runs in the master; the input is the operator's
 * own file, not a client's. */
#include "config/sections.h"

#include <errno.h>

#include "config/auth_section.h"
#include "config/conf.h"
#include "config/deliver_section.h"
#include "config/listen_section.h"
#include "config/option.h"
#include "config/reader.h"
#include "config/routing.h"
#include "config/rule_section.h"
#include "config/schema.h"
#include "config/source.h"
#include "config/tables.h"
#include "config/tls_section.h"

/* An option that was not written gives way to one that was; two that were written
 * and contradict each other are a mistake. */
static void settle_workers(struct reader *r, const struct section *s)
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
		if (!schema_has(s, pairs[i].more))
			*more = *less;
		else if (!schema_has(s, pairs[i].less))
			*less = *more;
		else
			reader_mistake(r, s, pairs[i].less,
				"'%u': must not be more than %s, which is %u", *less,
				pairs[i].more, *more);
	}
}

/* Who only makes command or session short need not know of those inside. */
static void settle_timeouts(struct reader *r, const struct section *s)
{
	struct timeout_settings *t = &r->config->timeouts;

	if (!schema_has(s, "busy-command") && t->busy_command_ms > t->command_ms)
		t->busy_command_ms = t->command_ms;
	if (!schema_has(s, "tls") && t->session_ms != 0 && t->tls_ms > t->session_ms)
		t->tls_ms = t->session_ms;
}

/* A deadline that lies inside another one must be the shorter of the two, else it
 * could never strike. */
static void check_timeouts(struct reader *r, const struct section *s)
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
		{"tls", "session", t->tls_ms, t->session_ms},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *option =
			schema_has(s, pairs[i].outer) ? pairs[i].outer : pairs[i].inner;

		/* 0 is what a value that was not taken leaves behind. */
		if (pairs[i].outer_ms != 0 && pairs[i].inner_ms > pairs[i].outer_ms)
			reader_mistake(r, s, option, "%s must not be longer than %s",
				pairs[i].inner, pairs[i].outer);
	}
}

static void read_deliveries(struct reader *r, const struct section *file)
{
	struct config *c = r->config;
	size_t count = schema_count(file, "deliver");

	c->deliveries = reader_take_memory(r, count * sizeof(*c->deliveries));
	for (size_t i = 0; i < count && !r->is_out_of_memory; i++) {
		const struct section s = schema_section(file, "deliver", i);

		c->deliveries[i].name = reader_copy_text(r, schema_title(&s));
		deliver_section_read(r, &s, &c->deliveries[i]);
		c->delivery_count++;
	}
}

static void read_listeners(struct reader *r, const struct section *file)
{
	struct config *c = r->config;
	size_t count = schema_count(file, "listen");

	c->listeners = reader_take_memory(r, count * sizeof(*c->listeners));
	for (size_t i = 0; i < count && !r->is_out_of_memory; i++) {
		const struct section s = schema_section(file, "listen", i);
		struct listen_settings *l = &c->listeners[i];

		l->name = reader_copy_text(r, schema_title(&s));
		c->listener_count++; /* counted first: its own addresses collide too */
		listen_section_read(r, &s, l);
		routing_read(r, &s, l);
		if (l->smtp.auth == LISTEN_AUTH_REQUIRED)
			auth_section_check(r, &s, l);
	}
}

static void read_file(struct reader *r, const struct section *file)
{
	struct config *c = r->config;
	struct section s;

	reader_set_options(r, file, option_root, c);
	c->user_line = schema_line(file, "user");
	c->group_line = schema_line(file, "group");
	for (const struct option_section *o = option_sections; o->name != NULL; o++) {
		s = schema_section(file, o->name, 0);
		reader_set_options(r, &s, o->options, c);
	}
	s = schema_section(file, "workers", 0);
	settle_workers(r, &s);
	s = schema_section(file, "timeouts", 0);
	settle_timeouts(r, &s);
	check_timeouts(r, &s);
	s = schema_section(file, "tls", 0);
	tls_section_read(r, &s);
	s = schema_section(file, "auth", 0);
	auth_section_read(r, &s);
	if (!r->is_out_of_memory)
		read_deliveries(r, file);
	if (!r->is_out_of_memory)
		rule_section_read_all(r, file);
	if (!r->is_out_of_memory)
		read_listeners(r, file);
	if (c->listener_count == 0)
		routing_check_default(r, file);
}

int sections_read(struct report *report, struct config *c)
{
	struct reader r = {.report = report, .config = c};
	struct section file;
	int error = schema_parse(report, &file);

	/* What is no configuration has been told; the command line may have more. */
	if (error < 0)
		return error == -EINVAL ? 0 : error;
	read_file(&r, &file);
	schema_free(&file);
	return r.is_out_of_memory ? -ENOMEM : 0;
}
