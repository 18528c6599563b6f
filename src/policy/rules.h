/* The rules of the configuration, as a layer of hooks.
 *
 * Each rule is asked at its stage, in the order of the configuration.  The first that
 * fires and has something to say decides, and nobody below is asked; one without a reply
 * only delays.  Its delay comes on top of what is decided behind it.
 *
 * Stage and hook: connect, helo, mail, rcpt, message are the hooks of that meaning; data
 * and bdat are data_command, with bdat the first BDAT of a message; starttls, auth, rset,
 * noop, vrfy and quit are the hook `command`, before anybody has looked whether the
 * command may come now.
 *
 * Recipients: on rcpt it is the one that is asked for.  A rule of a later stage looks at
 * all that were accepted, and concerns itself with the first that it matches; without a
 * condition on it, with the first of all.  But with LMTP a rule on message that goes by
 * recipients (recipient, per, match-address) is asked for each of them, after those rules
 * that do not. */
#ifndef SINKD_POLICY_RULES_H
#define SINKD_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/sinkd_module.h"
#include "policy/rule.h"

/* One rule and what belongs to it; strings belong to the configuration, and none is
 * NULL.
 *
 * after: the rule, on data or bdat, takes place when so many octets of text have come:
 * a refusal is told behind the text, all else happens at once.  Of shorter messages it
 * knows nothing, and counts nothing.
 * matches_address: the rule concerns only addresses that name a fault (policy/fault.h),
 * which then takes the place of code and enhanced; on mail it is the sender's, else a
 * recipient's. */
struct rules_entry {
	struct rule_settings rule;
	bool is_enabled;      /* for env->is_on: unless somebody has switched it */
	int code;             /* of the reply; 0: none was given */
	const char *enhanced; /* "4.2.2", or "" */
	const char *text;     /* with macros, see policy/rules_text.h; or "" */
	unsigned route;       /* for RULE_DELIVER */
	uint64_t after;       /* octets of text; 0: at once */
	bool matches_address; /* the address names the fault */
};

struct rules_settings {
	const struct rules_entry *entries;
	size_t count;
};

/* A rule that fires.  Its texts are valid during the call. */
struct rules_firing {
	const struct rules_entry *entry;
	enum rule_action action; /* the rule's, or that of the address */
	int code;                /* of a reply; 0: it goes on to the next rule */
	uint32_t delay_ms;       /* what it waits before */
	struct str sender;       /* what is known of them at this stage */
	struct str recipient;
};

/* What rules cannot know by themselves; all of it has to be there. */
struct rules_env {
	void *user;
	struct rule_counting counting;
	bool (*is_on)(void *user, const struct rules_entry *entry);
	void (*fired)(void *user, const struct rules_firing *firing);
};

struct rules;

/* The rules of one worker, for one session at a time.  settings and env are kept by
 * reference.  Returns NULL without memory. */
struct rules *rules_new(
	const struct rules_settings *settings, const struct rules_env *env);
void rules_free(struct rules *r);

/* The layer, valid as long as the rules: with hooks for those stages only that have
 * rules.  below: what is asked when no rule decides, as stack_add gives it; NULL: nobody.
 */
const struct sinkd_hooks *rules_hooks(struct rules *r, const struct sinkd_hooks *below);

/* What is wrong with a rule as a whole (static text), or NULL: an action, a condition or
 * octets that its stage cannot have, a reply that is none. */
const char *rules_check(const struct rules_entry *entry);

/* The same for the text of a reply alone. */
const char *rules_check_text(const char *text);

#endif
