/* The rules of the configuration, as a layer of hooks. */
#ifndef SINKD_POLICY_RULES_H
#define SINKD_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/sinkd_module.h"
#include "policy/rule.h"

/* One rule and what belongs to it; strings belong to the configuration. */
struct rules_entry {
	struct rule_settings rule;
	bool is_enabled;      /* unless somebody has switched it */
	unsigned number;      /* the rule's, for as long as the server lives; see env */
	int code;             /* of the reply; 0: none was given */
	const char *enhanced; /* "4.2.2", or "" */
	const char *text;     /* with macros: %{rule}, %{client}, %{helo}, %{sender},
			       * %{recipient}, %{id}, %% */
	unsigned route;       /* for RULE_DELIVER */
	uint64_t after;       /* octets of text; 0: at once */
	bool matches_address; /* the address may name the fault */
};

struct rules_settings {
	const struct rules_entry *entries;
	size_t count;
};

/* What rules cannot know by themselves. */
struct rules_env {
	void *user;
	struct rule_counting counting;
	/* Whether the rule of that number is switched on; and that it fired. */
	bool (*is_on)(void *user, const struct rules_entry *entry);
	void (*fired)(void *user, const struct rules_entry *entry,
		struct sinkd_session *session);
};

struct rules;

/* settings and env are kept by reference.  Returns NULL without memory. */
struct rules *rules_new(
	const struct rules_settings *settings, const struct rules_env *env);
void rules_free(struct rules *r);

/* The layer.  below: what is asked when no rule decides. */
const struct sinkd_hooks *rules_hooks(struct rules *r, const struct sinkd_hooks *below);

/* Text of a reply: NULL if its macros are known, else what is wrong (static text). */
const char *rules_check_text(const char *text);

#endif
