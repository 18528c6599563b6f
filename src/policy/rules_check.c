/* The settings of rules; see rules.h.  Runs in whoever reads the configuration. */
#include "policy/rules.h"

#include "policy/rules_text.h"
#include "smtp/reply.h"

/* A rule that waits for octets of text. */
static const char *check_after(const struct rules_entry *e)
{
	if (e->rule.stage != RULE_DATA && e->rule.stage != RULE_BDAT)
		return "only on \"data\" and \"bdat\" octets can be waited for";
	if (e->rule.action == RULE_ACCEPT)
		return "there is nothing to accept after octets of text";
	return NULL;
}

/* What is not known where the rule is asked, it can never match. */
static const char *check_conditions(const struct rules_entry *e)
{
	enum rule_stage stage = e->rule.stage;
	bool is_early = stage == RULE_CONNECT || stage == RULE_HELO ||
			stage == RULE_STARTTLS || stage == RULE_AUTH;

	if ((is_early || stage == RULE_MAIL) &&
		(e->rule.recipient != NULL || e->rule.per == RULE_PER_RECIPIENT))
		return "no recipient is known where this rule is asked";
	if (is_early && (e->rule.sender != NULL || e->rule.per == RULE_PER_SENDER))
		return "no sender is known where this rule is asked";
	if (stage == RULE_CONNECT && e->rule.helo != NULL)
		return "no name is known where this rule is asked";
	return NULL;
}

const char *rules_check(const struct rules_entry *e)
{
	enum rule_action action = e->rule.action;

	if (action == RULE_DELIVER && e->rule.stage != RULE_RCPT)
		return "only on \"rcpt\" a recipient can be delivered elsewhere";
	if (action == RULE_DROP && !rule_stage_has_mail(e->rule.stage))
		return "there is no message to drop where this rule is asked";
	if (action != RULE_REPLY && e->code != 0)
		return "a reply is given by the action \"reply\" only";
	if (e->code != 0 && (e->code < 400 || e->code > 599))
		return "a reply has a code from 400 to 599";
	if (e->enhanced[0] != '\0' && !reply_enhanced_fits(e->enhanced, e->code))
		return "the enhanced code does not fit the code";
	if (e->matches_address && !rule_stage_has_mail(e->rule.stage))
		return "no address is known where this rule is asked";
	if (e->matches_address && action != RULE_REPLY)
		return "the address says what to do, and not the action";
	if (e->after > 0 && check_after(e) != NULL)
		return check_after(e);
	if (check_conditions(e) != NULL)
		return check_conditions(e);
	return rules_text_check(e->text);
}

const char *rules_check_text(const char *text)
{
	return rules_text_check(text);
}
