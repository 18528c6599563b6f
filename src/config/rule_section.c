/* The sections of those who decide: rule, module and policy.
 *
 * Runs in the master; the input is the operator's own file, not a client's. */
#include "config/rule_section.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/option.h"
#include "config/reader.h"
#include "config/routing.h"
#include "config/schema.h"
#include "config/source.h"
#include "config/tables.h"
#include "policy/pattern.h"
#include "smtp/reply.h"

/* Tell what is wrong with a text. */
static void report_text(struct reader *r, const struct section *s, const char *option,
	const char *text, const char *wrong)
{
	char value[160];

	(void)str_printable(value, sizeof(value), str_of(text));
	reader_mistake(r, s, option, "'%s': %s", value, wrong);
}

/* "452 4.2.2 Mailbox full": the enhanced code and the text may be missing.  Returns NULL,
 * or what is wrong. */
static const char *parse_reply(struct reader *r, const char *written, int *ret_code,
	const char **ret_enhanced, const char **ret_text)
{
	static const char wrong[] = "a reply is expected, \"452 4.2.2 Mailbox full\"";
	const char *copy = reader_copy_text(r, written);
	char enhanced[sizeof(((struct reply *)NULL)->enhanced)];
	struct str rest, word;
	uint64_t code;

	if (copy == NULL)
		return NULL;
	rest = str_of(copy);
	word = str_take_word(&rest);
	if (word.n != 3 || str_parse_u64(word, &code) < 0)
		return wrong;
	if (code < 400 || code > 599)
		return "the code of a refusal is from 400 to 599";
	*ret_code = (int)code;
	*ret_enhanced = "";
	*ret_text = rest.p;
	word = str_take_word(&rest);
	if (word.n > 0 && word.n < sizeof(enhanced)) {
		(void)str_copy(enhanced, sizeof(enhanced), word);
		if (reply_enhanced_fits(enhanced, (int)code)) {
			*ret_enhanced = reader_copy_text(r, enhanced);
			*ret_text = rest.p;
		} else if (reply_enhanced_fits(enhanced, code < 500 ? 500 : 400)) {
			return "the enhanced code is not of the class of the code";
		}
	}
	for (const char *p = *ret_text; *p != '\0'; p++)
		if (!str_is_printable(*p))
			return "only printable ASCII characters can be sent";
	return strlen(*ret_text) >= sizeof(((struct reply *)NULL)->text)
		       ? "the text is longer than 255 octets"
		       : NULL;
}

/* ----------------------------------------------------------------------- rules */

static void read_pattern(struct reader *r, const struct section *s, const char *option,
	const char *text, struct pattern **ret)
{
	/* What matches anything is no condition. */
	bool is_any = text == NULL || strcmp(text, "*") == 0;
	const char *wrong = is_any ? NULL : pattern_new(text, ret);

	if (wrong != NULL)
		report_text(r, s, option, text, wrong);
}

static void read_patterns(struct reader *r, const struct section *s, struct rule_text *t)
{
	struct rule_settings *rule = &t->entry.rule;
	const struct {
		const char *option, *text;
		const struct pattern **member;
	} all[] = {
		{"helo", t->helo, &rule->helo},
		{"sender", t->sender, &rule->sender},
		{"recipient", t->recipient, &rule->recipient},
		{"user", t->user, &rule->user},
		{"listener", t->listener, &rule->listener},
	};

	_Static_assert(sizeof(all) / sizeof(all[0]) ==
			       sizeof(t->patterns) / sizeof(t->patterns[0]),
		"a pattern has no place");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		read_pattern(r, s, all[i].option, all[i].text, &t->patterns[i]);
		*all[i].member = t->patterns[i];
	}
}

/* How much may be known at a stage. */
enum knowledge { KNOWS_CLIENT, KNOWS_HELO, KNOWS_SENDER, KNOWS_ALL };

static enum knowledge known_at(enum rule_stage stage)
{
	if (stage == RULE_CONNECT)
		return KNOWS_CLIENT;
	if (stage == RULE_HELO || stage == RULE_STARTTLS || stage == RULE_AUTH)
		return KNOWS_HELO;
	return stage == RULE_MAIL ? KNOWS_SENDER : KNOWS_ALL;
}

/* What is not known at a stage cannot be a condition there, nor be counted by. */
static void check_known(
	struct reader *r, const struct section *s, const struct rule_settings *rule)
{
	const struct {
		const char *option;
		enum knowledge needed;
		bool is_used;
	} uses[] = {
		{"helo", KNOWS_HELO, schema_has(s, "helo")},
		{"user", KNOWS_HELO, schema_has(s, "user")},
		{"sender", KNOWS_SENDER, schema_has(s, "sender")},
		{"size", KNOWS_SENDER, rule->size_min > 0},
		{"recipient", KNOWS_ALL, schema_has(s, "recipient")},
		{"per", KNOWS_SENDER, rule->per == RULE_PER_SENDER},
		{"per", KNOWS_ALL, rule->per == RULE_PER_RECIPIENT},
	};

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if (uses[i].is_used && uses[i].needed > known_at(rule->stage))
			reader_mistake(r, s, uses[i].option, "not known yet on \"%s\"",
				rule_stage_name(rule->stage));
}

static void read_reply(struct reader *r, const struct section *s, struct rule_text *t)
{
	struct rules_entry *e = &t->entry;
	const char *wrong;

	if (t->reply == NULL)
		return;
	wrong = parse_reply(r, t->reply, &e->code, &e->enhanced, &e->text);
	if (wrong == NULL && !r->is_out_of_memory)
		wrong = rules_check_text(e->text);
	if (wrong != NULL)
		report_text(r, s, "reply", t->reply, wrong);
}

/* Options that contradict each other, or a rule that could never do anything. */
static void check_effect(struct reader *r, const struct section *s, struct rule_text *t)
{
	const struct rules_entry *e = &t->entry;
	enum rule_stage stage = e->rule.stage;
	enum rule_action action = e->rule.action;

	if (action == RULE_REPLY && t->reply == NULL && e->rule.delay.most_ms == 0 &&
		!e->matches_address)
		reader_section_mistake(
			r, s, "it does nothing: no reply, no delay, no other action");
	if (action != RULE_REPLY && t->reply != NULL)
		reader_mistake(r, s, "reply", "only with action \"reply\"");
	if (action == RULE_DELIVER && stage != RULE_RCPT)
		reader_mistake(r, s, "action", "'deliver': only on \"rcpt\"");
	if (action == RULE_DROP && !rule_stage_has_mail(stage))
		reader_mistake(r, s, "action", "'drop': there is no mail yet to drop");
	if (action != RULE_DELIVER && schema_has(s, "deliver"))
		reader_mistake(r, s, "deliver", "only with action \"deliver\"");
	if (e->after > 0 && stage != RULE_DATA && stage != RULE_BDAT)
		reader_mistake(r, s, "after", "only on \"data\" and \"bdat\"");
	else if (e->after > 0 && action == RULE_ACCEPT)
		reader_mistake(r, s, "after",
			"not with action \"accept\": nobody is asked there");
	if (e->matches_address && !rule_stage_has_mail(stage))
		reader_mistake(r, s, "match-address",
			"only on \"mail\", \"rcpt\", \"data\", \"bdat\" and \"message\"");
	if (e->matches_address && action != RULE_REPLY)
		reader_mistake(r, s, "action", "the address says it, by match-address");
}

static void read_times(struct reader *r, const struct section *s, struct rule_text *t)
{
	struct rule_settings *rule = &t->entry.rule;
	const char *wrong =
		t->delay == NULL ? NULL : rule_parse_delay(t->delay, &rule->delay);

	if (wrong != NULL)
		report_text(r, s, "delay", t->delay, wrong);
	if (t->rate == NULL || *t->rate == '\0')
		return;
	wrong = rule_parse_rate(t->rate, &rule->rate, &rule->rate_ms);
	if (wrong != NULL)
		report_text(r, s, "rate", t->rate, wrong);
}

/* It is shown, and asked for by name. */
static void check_name(struct reader *r, const struct section *s)
{
	const char *name = schema_title(s);
	size_t n = 0;

	while (str_is_printable(name[n]))
		n++;
	if (n == 0 || name[n] != '\0' || n > CONFIG_RULE_NAME_MAX)
		reader_section_mistake(
			r, s, "a name of 1 to 63 printable characters is expected");
}

static void read_rule(struct reader *r, const struct section *s, struct rule_text *t)
{
	struct rule_settings *rule = &t->entry.rule;
	size_t mistakes = r->report->mistakes;
	const char *wrong = NULL;

	rule->name = reader_copy_text(r, schema_title(s));
	t->entry.enhanced = t->entry.text = "";
	reader_set_options(r, s, option_rule, t);
	check_name(r, s);
	if (!schema_has(s, "on"))
		reader_mistake(r, s, "on", "must be given");
	rule->clients = reader_take_networks(r, s, "client", &rule->client_count);
	read_patterns(r, s, t);
	read_times(r, s, t);
	read_reply(r, s, t);
	/* What was told may be the reason of more. */
	if (r->report->mistakes > mistakes || r->is_out_of_memory)
		return;
	check_known(r, s, rule);
	check_effect(r, s, t);
	if (rule->action == RULE_DELIVER)
		routing_read_rule(r, s, t);
	/* Whoever carries it out knows best. */
	if (r->report->mistakes == mistakes)
		wrong = rules_check(&t->entry);
	if (wrong != NULL)
		reader_section_mistake(r, s, wrong);
}

static void read_rules(struct reader *r, const struct section *file)
{
	struct config *c = r->config;
	size_t count = schema_count(file, "rule");
	struct rules_entry *entries = reader_take_memory(r, count * sizeof(*entries));

	c->rule_texts = reader_take_memory(r, count * sizeof(*c->rule_texts));
	c->routes = reader_take_memory(r, count * sizeof(*c->routes));
	if (count > CONFIG_RULES_MAX) {
		const struct section s = schema_section(file, "rule", CONFIG_RULES_MAX);

		reader_section_mistake(r, &s, "one rule more than there may be");
		count = CONFIG_RULES_MAX;
	}
	for (size_t i = 0; i < count && !r->is_out_of_memory; i++) {
		const struct section s = schema_section(file, "rule", i);
		struct rule_text *t = &c->rule_texts[i];

		/* Counted first: what it has on the heap is freed in any case. */
		c->rules.count++;
		read_rule(r, &s, t);
		if (t->delivery_count > 0) {
			c->routes[c->route_count++] =
				(struct delivery_route){t->deliveries, t->delivery_count};
			t->entry.route = (unsigned)c->route_count;
		}
		entries[i] = t->entry;
	}
	c->rules.entries = entries;
}

void rule_section_free_patterns(struct config *c)
{
	for (size_t i = 0; i < c->rules.count; i++)
		for (size_t k = 0; k < 5; k++)
			pattern_free(c->rule_texts[i].patterns[k]);
}

/* ----------------------------------------------------------- modules, and policy */

static void read_modules(struct reader *r, const struct section *file)
{
	struct config *c = r->config;
	size_t count = schema_count(file, "module");

	c->modules = reader_take_memory(r, count * sizeof(*c->modules));
	c->module_lines = reader_take_memory(r, count * sizeof(*c->module_lines));
	for (size_t i = 0; i < count && !r->is_out_of_memory; i++) {
		const struct section s = schema_section(file, "module", i);
		struct module_settings *m = &c->modules[i];
		const char *wrong;

		m->path = reader_copy_text(r, schema_title(&s));
		c->module_lines[i] = schema_end_line(&s);
		reader_set_options(r, &s, option_module, m);
		if (m->path == NULL)
			return;
		wrong = m->path[0] == '/' ? option_check_file(m->path)
					  : "an absolute path is expected";
		if (wrong != NULL)
			reader_section_mistake(r, &s, wrong);
		c->module_count++;
	}
}

/* In the order of option_policy_stage_words. */
static const unsigned policy_stages[] = {
	1U << SERVICE_CONNECT,
	1U << SERVICE_HELO | 1U << SERVICE_EHLO,
	1U << SERVICE_MAIL,
	1U << SERVICE_RCPT,
	1U << SERVICE_DATA,
	1U << SERVICE_MESSAGE,
};

bool rule_section_has_stage(unsigned stages, unsigned word)
{
	return (stages & policy_stages[word]) != 0;
}

/* By default it is asked where most services expect it.  None at all, which
 * service_settings takes for everywhere, there is not. */
static unsigned read_stages(struct reader *r, const struct section *s)
{
	unsigned words, stages = 0;

	if (!schema_has(s, "stages"))
		return 1U << SERVICE_RCPT;
	if (schema_item_count(s, "stages") == 0)
		reader_mistake(r, s, "stages", "at least one must be given");
	words = reader_take_words(r, s, "stages", option_policy_stage_words);
	for (size_t i = 0; i < sizeof(policy_stages) / sizeof(policy_stages[0]); i++)
		if ((words & 1U << i) != 0)
			stages |= policy_stages[i];
	return stages;
}

/* Who writes the rest wants to have somebody asked. */
static void check_asked(struct reader *r, const struct section *file)
{
	const struct section s = schema_section(file, "policy", 0);

	if (r->config->service.socket == NULL && r->report->mistakes == 0 &&
		(schema_has(&s, "stages") || schema_has(&s, "timeout") ||
			schema_has(&s, "on-failure")))
		reader_mistake(r, &s, "socket", "must be given");
}

static void read_policy(struct reader *r, const struct section *file)
{
	const struct section s = schema_section(file, "policy", 0);
	struct config *c = r->config;
	const char *wrong;
	char text[160];

	c->service.stages = read_stages(r, &s);
	if (c->service_failure == NULL)
		return;
	c->service.failure_enhanced = "";
	c->service.failure_text = "";
	/* Its code stays 0. */
	if (strcmp(c->service_failure, "accept") == 0)
		return;
	wrong = parse_reply(r, c->service_failure, &c->service.failure_code,
		&c->service.failure_enhanced, &c->service.failure_text);
	if (wrong == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s; or \"accept\"", wrong);
	report_text(r, &s, "on-failure", c->service_failure, text);
}

void rule_section_read_all(struct reader *r, const struct section *file)
{
	read_rules(r, file);
	if (!r->is_out_of_memory)
		read_modules(r, file);
	if (!r->is_out_of_memory)
		read_policy(r, file);
	if (!r->is_out_of_memory)
		check_asked(r, file);
}
