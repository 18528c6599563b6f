/* The configuration as a whole: the file, the command line over it, and what
 * neither says.
 *
 * What a value may be is in tables.c, what a file may be in sections.c; here is what
 * makes it complete.  Runs in the master, before any fork; must not change anything
 * outside the struct it builds.  No input from clients. */
#include "config/conf.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "config/endpoints.h"
#include "config/option.h"
#include "config/program.h"
#include "config/routing.h"
#include "config/rule_section.h"
#include "config/sections.h"
#include "config/source.h"
#include "config/tables.h"
#include "delivery/macro.h"
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
	l->smtp.extensions = EXTENSIONS_ALL;
	return option_set_defaults(option_listen, l, &c->arena);
}

/* Replace all deliveries by one, which every listener then uses; NULL without memory. */
static struct delivery_settings *replace_deliveries(
	struct config *c, const char *name, const struct delivery_backend *backend)
{
	static const size_t only;
	struct delivery_settings *d = arena_alloc(&c->arena, sizeof(*d));

	if (d == NULL || option_set_defaults(option_deliver, d, &c->arena) < 0)
		return NULL;
	d->name = name;
	d->backend = backend;
	c->deliveries = d;
	c->delivery_count = 1;
	for (size_t i = 0; i < c->listener_count; i++)
		c->listeners[i].delivery_count = 0;
	for (size_t i = 0; i < c->rules.count; i++) {
		struct rule_text *t = &c->rule_texts[i];

		if (t->delivery_count == 0)
			continue;
		t->deliveries = &only;
		t->delivery_count = 1;
		c->routes[t->entry.route - 1] = (struct delivery_route){&only, 1};
	}
	return d;
}

static int replace_by_maildir(struct config *c, const char *path)
{
	struct delivery_settings *d = replace_deliveries(c, "inbox", &delivery_maildir);

	if (d == NULL)
		return -ENOMEM;
	d->path = option_copy_text(path, &c->arena);
	option_default_headers(d->headers);
	return d->path == NULL ? -ENOMEM : 0;
}

static int override_listeners(
	struct report *r, const struct config_overrides *o, struct config *c)
{
	char error[ENDPOINTS_ERROR_MAX];
	int result = replace_listeners(c, "command-line", o->listen_count);

	if (result < 0)
		return result;
	for (size_t i = 0; i < o->listen_count; i++)
		if (endpoints_add(c, c->listeners, o->listen[i], error) < 0)
			report_mistake(r, 0, "--listen: %s", error);
	return 0;
}

static int override_maildir(struct report *r, const char *path, struct config *c)
{
	const char *error = NULL;

	if (mailbox_template_check(path, &error) < 0)
		report_mistake(r, 0, "--maildir: '%s': %s", path, error);
	return replace_by_maildir(c, path);
}

static void report_argument(struct report *r, const char *text, const char *wrong)
{
	char value[256];

	(void)str_printable(value, sizeof(value), str_of(text));
	report_mistake(r, 0, "--pipe: '%s': %s", value, wrong);
}

/* Whoever writes a command line means the directory where it is written. */
static int override_pipe(struct report *r, char *const *command, struct config *c)
{
	static const char *const none[] = {NULL};
	struct delivery_settings *d = replace_deliveries(c, "handler", &delivery_pipe);
	char directory[PATH_MAX], program[PATH_MAX];
	const char **copy, *wrong;
	size_t n = 0;

	while (command[n] != NULL)
		n++;
	copy = arena_alloc(&c->arena, (n + 1) * sizeof(*copy));
	if (d == NULL || copy == NULL)
		return -ENOMEM;
	if (getcwd(directory, sizeof(directory)) == NULL || directory[0] != '/') {
		report_mistake(r, 0, "--pipe: cannot find the current directory");
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		wrong = i == 0 ? program_find(command[0], directory, program)
			       : macro_check_argument(command[i]);
		if (wrong != NULL)
			report_argument(r, command[i], wrong);
		copy[i] = option_copy_text(
			i == 0 && wrong == NULL ? program : command[i], &c->arena);
		if (copy[i] == NULL)
			return -ENOMEM;
	}
	d->pipe.command = copy;
	d->pipe.environment = none;
	d->pipe.directory = option_copy_text(directory, &c->arena);
	d->pipe.is_per_recipient = (program_macros(copy) & MACROS_OF_ONE_RECIPIENT) != 0;
	return d->pipe.directory == NULL ? -ENOMEM : 0;
}

static int override_deliveries(
	struct report *r, const struct config_overrides *o, struct config *c)
{
	if ((o->maildir != NULL) + o->is_discard + (o->pipe != NULL) > 1)
		report_mistake(
			r, 0, "--maildir, --discard and --pipe exclude each other");
	if (o->maildir != NULL)
		return override_maildir(r, o->maildir, c);
	if (o->pipe != NULL)
		return override_pipe(r, o->pipe, c);
	if (o->is_discard && replace_deliveries(c, "discard", &delivery_discard) == NULL)
		return -ENOMEM;
	return 0;
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
	return error < 0 ? error : override_deliveries(r, o, c);
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

/* Without a file it is the server of somebody who wants to try one: whatever a client
 * knows as its password is right. */
static void open_auth(struct config *c)
{
	c->auth.accept_any = true;
	for (size_t i = 0; i < c->listener_count; i++)
		c->listeners[i].smtp.auth = LISTEN_AUTH_OPTIONAL;
}

/* What neither file nor command line said. */
static int complete(struct report *r, struct config *c)
{
	char why[ENDPOINTS_ERROR_MAX];
	int error = 0;

	if (c->smtp.hostname == NULL)
		error = complete_hostname(c);
	if (error == 0 && c->listener_count == 0) {
		error = replace_listeners(c, "default", 1);
		if (error == 0 &&
			endpoints_add(c, c->listeners, DEFAULT_ADDRESS, why) < 0)
			report_mistake(r, 0, "default listener: %s", why);
	}
	if (error == 0 && c->delivery_count == 0)
		error = replace_by_maildir(c, DEFAULT_PATH);
	if (error == 0)
		error = routing_settle(r, c);
	if (r->file == NULL)
		open_auth(c);
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
	int error = sections_read(r, c);

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
	users_free(c->users);
	rule_section_free_patterns(c);
	arena_done(&c->arena);
	free(c);
}
