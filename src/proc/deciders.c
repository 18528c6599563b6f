/* Who decides; see deciders.h.  Runs in workers; what it hands to rules, modules and the
 * policy service comes from hostile clients. */
#include "proc/deciders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/siphash.h"
#include "policy/connect_request.h"
#include "policy/module.h"
#include "policy/rules.h"
#include "policy/service.h"
#include "policy/stack.h"
#include "proc/rulebook.h"

struct deciders {
	const struct deciders_env *env;
	struct stack *stack;
	struct rules *rules;
	struct modules *modules;
	struct service *service;
	struct rules_env rules_env;
	struct module_env module_env;
	struct service_env service_env;
	struct stack_watch watch;
};

_Static_assert(RULE_RATE_MAX < COUNTERS_COUNT_MAX, "a rate is never exceeded");

static uint64_t count_key(void *user, uint64_t key, uint64_t window_ms)
{
	const struct deciders *d = user;

	return counters_count_key(d->env->counters, key, clock_monotonic_ms(), window_ms);
}

static uint64_t look_at_key(void *user, uint64_t key, uint64_t window_ms)
{
	const struct deciders *d = user;

	return counters_seen_key(d->env->counters, key, clock_monotonic_ms(), window_ms);
}

/* ------------------------------------------------------------------------- rules */

/* A rule's own key can be computed by anybody; where it is counted is nobody's business,
 * or clients could push it out of the table. */
static uint64_t count_for_rule(void *user, uint64_t key, uint64_t window_ms)
{
	const struct deciders *d = user;

	return count_key(user, siphash(d->env->secret, &key, sizeof(key)), window_ms);
}

static uint16_t number_of(const struct deciders *d, const struct rules_entry *entry)
{
	return d->env->rule_numbers[entry - d->env->config->rules.entries];
}

static bool is_on(void *user, const struct rules_entry *entry)
{
	const struct deciders *d = user;
	bool is_on = entry->is_enabled;

	(void)rulebook_is_switched(d->env->board, number_of(d, entry), &is_on);
	return is_on;
}

static void note_fired(void *user, const struct rules_firing *f)
{
	const struct deciders *d = user;
	const struct rule_settings *rule = &f->entry->rule;
	bool is_wait = f->action == RULE_REPLY && f->code == 0;

	(void)counters_add_rule(d->env->counters, number_of(d, f->entry));
	log_event(LOG_INFO, EV_RULE_FIRED, LOG_TEXT("rule", rule->name),
		LOG_TEXT("stage", rule_stage_name(rule->stage)),
		LOG_TEXT("action", is_wait ? "delay" : rule_action_name(f->action)),
		LOG_NUM("code", f->code), LOG_NUM("delay_ms", f->delay_ms),
		LOG_STR("from", f->sender), LOG_STR("to", f->recipient));
}

/* ------------------------------------------------------------------------ modules */

/* Only of a section that has to succeed: a reply 250 has to mean something. */
static uint32_t find_route(const struct config *c, struct str name)
{
	for (size_t i = 0; i < c->delivery_count; i++)
		if (c->deliveries[i].is_required &&
			str_equal(str_of(c->deliveries[i].name), name))
			return (uint32_t)(c->section_routes + i + 1);
	return 0;
}

static uint32_t find_own_route(void *user, struct str name)
{
	const struct deciders *d = user;

	return find_route(d->env->config, name);
}

/* A module that is only looked at has nobody to count for. */
static uint64_t count_nothing(void *user, uint64_t key, uint64_t window_ms)
{
	(void)user;
	(void)key;
	(void)window_ms;
	return 0;
}

static uint32_t find_config_route(void *user, struct str name)
{
	return find_route(user, name);
}

void deciders_fill_check_env(const struct config *config, struct module_env *ret)
{
	/* It is only read. */
	union {
		const struct config *in;
		void *out;
	} user = {.in = config};

	*ret = (struct module_env){.user = user.out,
		.count = count_nothing,
		.seen = count_nothing,
		.find_route = find_config_route};
}

/* ----------------------------------------------------------------- policy service */

static int connect_to_service(void *user, uint64_t deadline_ms)
{
	const struct deciders *d = user;

	return connect_request_ask(d->env->connector_fd, 0, deadline_ms);
}

/* Several questions may come of one read, and each of them takes its time. */
static void note_wait(void *user, uint64_t deadline_ms)
{
	const struct deciders *d = user;

	if (deadline_ms == 0)
		deadline_ms = clock_monotonic_ms() + d->env->config->timeouts.data_ms;
	slot_set_deadline(d->env->slot, deadline_ms);
}

static void note_failure(void *user, const char *why, int error)
{
	const struct deciders *d = user;

	log_event(LOG_WARN, EV_POLICY_FAILED,
		LOG_TEXT("socket", d->env->config->service.socket),
		LOG_TEXT("error", why),
		LOG_TEXT("reason", error != 0 ? strerror(-error) : ""));
}

static void note_ignored(void *user, struct str action)
{
	(void)user;
	log_event(LOG_INFO, EV_POLICY_IGNORED, LOG_STR("action", action));
}

/* --------------------------------------------------------------------- debug log */

static bool is_debugging(void *user)
{
	(void)user;
	return log_is_on(LOG_DEBUG);
}

/* As it is written in the log: who it is, as -p shows it. */
static struct log_field name_of_layer(const struct deciders *d, size_t layer)
{
	const struct config *c = d->env->config;
	size_t rules = c->rules.count > 0;

	if (layer < rules)
		return LOG_TEXT("layer", "rules");
	if (layer - rules < c->module_count)
		return LOG_TEXT("layer", c->modules[layer - rules].path);
	return LOG_TEXT("layer", "policy");
}

static void log_question(void *user, size_t layer, const char *hook)
{
	const struct deciders *d = user;

	log_event(LOG_DEBUG, EV_LAYER_ASKED, name_of_layer(d, layer),
		LOG_TEXT("hook", hook));
}

static void log_answer(
	void *user, size_t layer, const char *hook, const struct sinkd_verdict *v)
{
	static const char *const actions[] = {
		[SINKD_DECIDE] = "decide",
		[SINKD_DISCONNECT] = "disconnect",
		[SINKD_RESET] = "reset",
		[SINKD_STALL] = "stall",
		[SINKD_DISCARD] = "discard",
		[SINKD_ROUTE] = "route",
	};
	const size_t count = sizeof(actions) / sizeof(actions[0]);
	const struct deciders *d = user;

	log_event(LOG_DEBUG, EV_LAYER_DECIDED, name_of_layer(d, layer),
		LOG_TEXT("hook", hook),
		LOG_TEXT("action", (size_t)v->action < count ? actions[v->action] : "?"),
		LOG_NUM("code", v->code), LOG_NUM("delay_ms", v->delay_ms),
		LOG_STR("reply",
			((struct str){v->text, strnlen(v->text, sizeof(v->text))})));
}

/* ---------------------------------------------------------------------------- all */

static int add_rules(struct deciders *d)
{
	const struct config *c = d->env->config;
	const struct sinkd_hooks *below;

	if (c->rules.count == 0)
		return 0;
	d->rules_env = (struct rules_env){.user = d,
		.counting = {d, count_for_rule},
		.is_on = is_on,
		.fired = note_fired};
	d->rules = rules_new(&c->rules, &d->rules_env);
	if (d->rules == NULL)
		return -ENOMEM;
	below = stack_add(d->stack, NULL);
	stack_set(d->stack, 0, rules_hooks(d->rules, below));
	return 0;
}

static int add_modules(struct deciders *d)
{
	const struct config *c = d->env->config;
	char error[MODULE_ERROR_SIZE];

	if (c->module_count == 0)
		return 0;
	d->module_env = (struct module_env){.user = d,
		.secret = {d->env->secret[0], d->env->secret[1]},
		.count = count_key,
		.seen = look_at_key,
		.find_route = find_own_route};
	if (modules_load(c->modules, c->module_count, &d->module_env, d->stack,
		    d->rules != NULL, error, &d->modules) == 0)
		return 0;
	log_event(LOG_FATAL, EV_WORKER_FAILED, LOG_TEXT("step", "load modules"),
		LOG_TEXT("reason", error));
	return -ENOEXEC;
}

static int add_service(struct deciders *d)
{
	const struct config *c = d->env->config;

	if (c->service.socket == NULL)
		return 0;
	d->service_env = (struct service_env){.user = d,
		.connect = connect_to_service,
		.waits = note_wait,
		.failed = note_failure,
		.ignored = note_ignored};
	d->service = service_new(&c->service, &d->service_env);
	if (d->service == NULL)
		return -ENOMEM;
	(void)stack_add(d->stack, service_hooks(d->service));
	return 0;
}

int deciders_new(const struct deciders_env *env, struct deciders **ret)
{
	const struct config *c = env->config;
	size_t layers = (c->rules.count > 0) + MODULES_LAYERS(c->module_count) +
			(c->service.socket != NULL);
	struct deciders *d;
	int r = -ENOMEM;

	*ret = NULL;
	if (layers == 0)
		return 0;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return r;
	d->env = env;
	d->watch = (struct stack_watch){d, is_debugging, log_question, log_answer};
	d->stack = stack_new(layers);
	if (d->stack != NULL) {
		stack_set_watch(d->stack, &d->watch);
		r = add_rules(d);
	}
	if (r == 0)
		r = add_modules(d);
	if (r == 0)
		r = add_service(d);
	if (r < 0)
		deciders_free(d);
	else
		*ret = d;
	return r;
}

void deciders_free(struct deciders *d)
{
	if (d == NULL)
		return;
	modules_free(d->modules);
	service_free(d->service);
	rules_free(d->rules);
	stack_free(d->stack);
	free(d);
}

const struct sinkd_hooks *deciders_hooks(const struct deciders *d)
{
	return d == NULL ? NULL : stack_top(d->stack);
}

const struct sinkd_backend *deciders_backend(const struct deciders *d, size_t module)
{
	return d == NULL || d->modules == NULL ? NULL
					       : modules_backend(d->modules, module);
}
