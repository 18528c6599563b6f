/* The configuration as a whole: the file, the command line over it, and what
 * neither says.
 *
 * What a value may be is in option.c, what a file may be in schema.c; here is what
 * makes it complete.  Runs in the master, before any fork; must not change anything
 * outside the struct it builds.  No input from clients. */
#include "config/conf.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "config/option.h"
#include "config/schema.h"
#include "config/source.h"
#include "delivery/mailbox.h"
#include "smtp/address.h"

#define DEFAULT_ADDRESS "localhost:1025"
#define DEFAULT_PATH    "./Maildir"
#define HOSTNAME_SIZE   256
#define ARENA_MAX       (64 * 1024 * 1024) /* far above what a file of 1 MiB needs */

/* Replace all listeners by one with room for the endpoints of n addresses. */
static int replace_listeners(struct config *c, const char *name, size_t n)
{
	struct listen_settings *l = arena_alloc(&c->arena, sizeof(*l));
	struct endpoint *endpoints = arena_alloc(&c->arena, 2 * n * sizeof(*endpoints));

	if (l == NULL || endpoints == NULL)
		return -ENOMEM;
	l->name = name;
	l->endpoints = endpoints;
	c->listeners = l;
	c->listener_count = 1;
	return option_set_defaults(option_listen, l, &c->arena);
}

/* Replace all deliveries by one, which every listener then uses. */
static int replace_deliveries(struct config *c, const char *name,
	const struct delivery_backend *backend, const char *path)
{
	struct delivery_settings *d = arena_alloc(&c->arena, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->name = name;
	d->backend = backend;
	c->deliveries = d;
	c->delivery_count = 1;
	for (size_t i = 0; i < c->listener_count; i++)
		c->listeners[i].delivery = 0;
	if (path == NULL)
		return 0;
	d->path = option_copy_text(path, &c->arena);
	option_default_headers(d->headers);
	return d->path == NULL ? -ENOMEM
			       : option_set_defaults(option_deliver, d, &c->arena);
}

static int override_listeners(
	struct report *r, const struct config_overrides *o, struct config *c)
{
	char error[SCHEMA_ERROR_MAX];
	int result = replace_listeners(c, "command-line", o->listen_count);

	if (result < 0)
		return result;
	for (size_t i = 0; i < o->listen_count; i++)
		if (schema_add_address(c, c->listeners, o->listen[i], error) < 0)
			report_mistake(r, 0, "--listen: %s", error);
	return 0;
}

static int override_maildir(struct report *r, const char *path, struct config *c)
{
	const char *error = NULL;

	if (mailbox_template_check(path, &error) < 0)
		report_mistake(r, 0, "--maildir: '%s': %s", path, error);
	return replace_deliveries(c, "inbox", &delivery_maildir, path);
}

/* A new maximum; what was above it comes down to it. */
static void limit_workers(struct worker_settings *w, unsigned max)
{
	w->start = number_at_most(max, w->start);
	w->min_spare = number_at_most(max, w->min_spare);
	w->max_spare = number_at_most(max, w->max_spare);
	w->max = max;
}

static int apply_overrides(
	struct report *r, const struct config_overrides *o, struct config *c)
{
	int error = 0;

	if (o->workers > CONFIG_WORKERS_MAX)
		report_mistake(r, 0, "--workers: '%u': must be from 1 to %d", o->workers,
			CONFIG_WORKERS_MAX);
	else if (o->workers > 0)
		limit_workers(&c->workers, o->workers);
	if (o->is_daemon && c->log_target != NULL && strcmp(c->log_target, "stderr") == 0)
		c->log_target = "syslog";
	c->is_verbose = o->is_verbose;
	/* What is asked for on the command line is shown. */
	if (c->is_verbose && c->log_level > LOG_INFO)
		c->log_level = LOG_INFO;
	if (o->listen_count > 0)
		error = override_listeners(r, o, c);
	if (o->maildir != NULL && o->is_discard)
		report_mistake(r, 0, "--maildir and --discard exclude each other");
	if (error == 0 && o->maildir != NULL)
		error = override_maildir(r, o->maildir, c);
	else if (error == 0 && o->is_discard)
		error = replace_deliveries(c, "discard", &delivery_discard, NULL);
	return error;
}

/* Our own name if it is one to put into a greeting. */
static int complete_hostname(struct config *c)
{
	char name[HOSTNAME_SIZE];

	if (gethostname(name, sizeof(name)) < 0 ||
		memchr(name, '\0', sizeof(name)) == NULL ||
		!address_is_domain(str_of(name)))
		(void)strlcpy(name, "localhost", sizeof(name));
	c->smtp.hostname = option_copy_text(name, &c->arena);
	return c->smtp.hostname == NULL ? -ENOMEM : 0;
}

/* What neither file nor command line said. */
static int complete(struct report *r, struct config *c)
{
	char why[SCHEMA_ERROR_MAX];
	int error = 0;

	if (c->smtp.hostname == NULL)
		error = complete_hostname(c);
	if (error == 0 && c->listener_count == 0) {
		error = replace_listeners(c, "default", 1);
		if (error == 0 &&
			schema_add_address(c, c->listeners, DEFAULT_ADDRESS, why) < 0)
			report_mistake(r, 0, "default listener: %s", why);
	}
	if (error == 0 && c->delivery_count == 0)
		error = replace_deliveries(c, "inbox", &delivery_maildir, DEFAULT_PATH);
	for (size_t i = 0; i < c->delivery_count; i++)
		c->deliveries[i].hostname = c->smtp.hostname;
	return error;
}

/* Only root can become somebody else, so only root's configuration must name
 * accounts that this machine has, and not root's. */
static void check_accounts(struct report *r, const struct config *c)
{
	const struct passwd *user = c->user == NULL ? NULL : getpwnam(c->user);
	const struct group *group = c->group == NULL ? NULL : getgrnam(c->group);

	if (c->user != NULL && user == NULL)
		report_mistake(
			r, c->user_line, "user: there is no account '%s'", c->user);
	else if (user != NULL &&
		 (user->pw_uid == 0 || (c->group == NULL && user->pw_gid == 0)))
		report_mistake(r, c->user_line,
			"user: '%s' has the rights of root, which workers never have",
			c->user);
	if (c->group != NULL && group == NULL)
		report_mistake(
			r, c->group_line, "group: there is no group '%s'", c->group);
	else if (group != NULL && group->gr_gid == 0)
		report_mistake(r, c->group_line,
			"group: '%s' is root's, which workers never have", c->group);
}

static int build(struct report *r, const struct config_overrides *o, struct config *c)
{
	int error = schema_read(r, c);

	if (error == 0 && r->file != NULL) {
		c->file = option_copy_text(r->file, &c->arena);
		error = c->file == NULL ? -ENOMEM : 0;
	}
	if (error == 0 && o != NULL)
		error = apply_overrides(r, o, c);
	if (error == 0)
		error = complete(r, c);
	if (error == 0 && geteuid() == 0)
		check_accounts(r, c);
	if (error == -ENOMEM)
		report_mistake(r, 0, "not enough memory for the configuration");
	return error == 0 && r->mistakes > 0 ? -EINVAL : error;
}

int config_load(const char *file, const struct config_overrides *overrides, FILE *errors,
	struct config **ret)
{
	struct report report = {.errors = errors, .file = file};
	struct config *c = calloc(1, sizeof(*c));
	int error;

	if (c == NULL) {
		report_mistake(&report, 0, "not enough memory for the configuration");
		return -ENOMEM;
	}
	arena_init(&c->arena, ARENA_MAX);
	error = build(&report, overrides, c);
	if (error < 0) {
		config_free(c);
		return error;
	}
	*ret = c;
	return 0;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	arena_done(&c->arena);
	free(c);
}

static void print_options(
	const struct option *options, const void *base, const char *indent, FILE *out)
{
	for (const struct option *o = options; o->name != NULL; o++)
		option_print(o, base, indent, out);
}

static void print_title(const char *section, const char *title, FILE *out)
{
	(void)fprintf(out, "\n%s ", section);
	option_print_text(title, out);
	(void)fputs(" {\n", out);
}

/* The two endpoints of "localhost" are printed as that name again, so that a machine
 * without IPv6 can use what was printed on it. */
static void print_addresses(const struct listen_settings *l, FILE *out)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)fputs("\taddress = {", out);
	for (size_t i = 0; i < l->endpoint_count; i++) {
		const struct endpoint *e = &l->endpoints[i];
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;

		if (i + 1 < l->endpoint_count && e[1].is_optional)
			(void)snprintf(text, sizeof(text), "localhost:%u",
				(unsigned)ntohs(v4->sin_port));
		else
			endpoint_format(e, text);
		if (e->is_optional)
			continue;
		(void)fputs(i == 0 ? "" : ", ", out);
		option_print_text(text, out);
	}
	(void)fputs("}\n", out);
}

static void print_listener(
	const struct config *c, const struct listen_settings *l, FILE *out)
{
	print_title("listen", l->name, out);
	print_addresses(l, out);
	(void)fputs("\tdeliver = {", out);
	option_print_text(c->deliveries[l->delivery].name, out);
	(void)fputs("}\n", out);
	print_options(option_listen, l, "\t", out);
	(void)fputs("}\n", out);
}

static void print_headers(const struct delivery_settings *d, FILE *out)
{
	(void)fputs("\theaders = {", out);
	for (size_t i = 0; i < DELIVERY_HEADERS_MAX && d->headers[i] != 0; i++) {
		(void)fputs(i == 0 ? "" : ", ", out);
		option_print_text(option_header_name(d->headers[i]), out);
	}
	(void)fputs("}\n", out);
}

static void print_delivery(const struct delivery_settings *d, FILE *out)
{
	print_title("deliver", d->name, out);
	(void)fputs("\ttype = ", out);
	option_print_text(d->backend->name, out);
	(void)putc('\n', out);
	if (d->backend == &delivery_maildir) {
		print_options(option_deliver, d, "\t", out);
		print_headers(d, out);
	}
	(void)fputs("}\n", out);
}

void config_print(const struct config *c, FILE *out)
{
	print_options(option_root, c, "", out);
	for (const struct option_section *s = option_sections; s->name != NULL; s++) {
		(void)fprintf(out, "\n%s {\n", s->name);
		print_options(s->options, c, "\t", out);
		(void)fputs("}\n", out);
	}
	for (size_t i = 0; i < c->listener_count; i++)
		print_listener(c, &c->listeners[i], out);
	for (size_t i = 0; i < c->delivery_count; i++)
		print_delivery(&c->deliveries[i], out);
}
