/* One rule; see rule.h.  Runs in workers on text of hostile clients. */
#include "policy/rule.h"

#include <string.h>

#include "base/siphash.h"
#include "policy/pattern.h"

/* Text of a client that is part of a key; what is longer is cut. */
#define KEY_TEXT_MAX 1024

/* What keys of one rule are for. */
enum key_kind { KEY_DRAW, KEY_EVERY, KEY_RATE, KEY_FIRST, KEY_DELAY };

const char *rule_stage_name(enum rule_stage stage)
{
	static const char *const names[] = {
#define STAGE_NAME(id, name) [RULE_##id] = name,
		RULE_STAGES(STAGE_NAME)
#undef STAGE_NAME
	};

	return names[stage];
}

const char *rule_action_name(enum rule_action action)
{
	static const char *const names[] = {
#define ACTION_NAME(id, name) [RULE_##id] = name,
		RULE_ACTIONS(ACTION_NAME)
#undef ACTION_NAME
	};

	return names[action];
}

bool rule_stage_has_mail(enum rule_stage stage)
{
	return stage == RULE_MAIL || stage == RULE_RCPT || stage == RULE_DATA ||
	       stage == RULE_BDAT || stage == RULE_MESSAGE;
}

static bool matches(const struct pattern *p, struct str subject)
{
	return p == NULL || pattern_matches(p, subject);
}

bool rule_concerns(const struct rule_settings *r, const struct rule_question *q)
{
	return (r->tls == RULE_TLS_ANY || (r->tls == RULE_TLS_WITH) == q->is_tls) &&
	       q->size >= r->size_min &&
	       (r->client_count == 0 ||
		       networks_have(r->clients, r->client_count, q->client)) &&
	       matches(r->listener, q->listener) && matches(r->helo, q->helo) &&
	       matches(r->user, q->user) && matches(r->sender, q->sender) &&
	       matches(r->recipient, q->recipient);
}

/* -------------------------------------------------------------------- when */

static uint64_t hash_text(uint64_t before, struct str s)
{
	const uint64_t secret[2] = {before, s.n};

	return siphash(secret, s.p, s.n < KEY_TEXT_MAX ? s.n : KEY_TEXT_MAX);
}

static uint64_t hash_number(uint64_t before, uint64_t n)
{
	const uint64_t secret[2] = {before, 0};

	return siphash(secret, &n, sizeof(n));
}

static uint64_t key_of_rule(const struct rule_settings *r, enum key_kind kind)
{
	return hash_number(hash_text(r->seed, str_of(r->name)), kind);
}

/* What the rule counts by. */
static uint64_t key_of(
	const struct rule_settings *r, const struct rule_question *q, enum key_kind kind)
{
	uint64_t key = key_of_rule(r, kind);

	switch (r->per) {
	case RULE_PER_ALL:
		break;
	case RULE_PER_CLIENT:
		return hash_text(key, q->client_text);
	case RULE_PER_SENDER:
		return hash_text(key, q->sender);
	case RULE_PER_RECIPIENT:
		return hash_text(key, q->recipient);
	case RULE_PER_SESSION:
		return hash_number(key, q->session);
	}
	return key;
}

static uint64_t count(
	const struct rule_counting *counting, uint64_t key, uint64_t window_ms)
{
	return counting->count(counting->user, key, window_ms);
}

/* A number that is the same for the same mail in every run, whoever serves it; but the
 * second time that mail comes it is another one. */
static uint64_t draw(const struct rule_settings *r, const struct rule_question *q,
	const struct rule_counting *counting)
{
	uint64_t key = key_of_rule(r, KEY_DRAW);

	key = hash_text(hash_text(hash_text(key, q->helo), q->sender), q->recipient);
	return hash_number(key, count(counting, key, 0));
}

static uint32_t delay_of(const struct rule_settings *r, const struct rule_question *q,
	const struct rule_counting *counting, uint64_t drawn)
{
	const struct rule_delay *d = &r->delay;
	uint64_t ms = d->least_ms;

	if (d->step_ms > 0)
		ms += d->step_ms * (count(counting, key_of(r, q, KEY_DELAY), 0) - 1);
	else if (d->most_ms > d->least_ms)
		ms += hash_number(drawn, KEY_DELAY) % (d->most_ms - d->least_ms + 1);
	return ms < d->most_ms ? (uint32_t)ms : d->most_ms;
}

bool rule_fires(const struct rule_settings *r, const struct rule_question *q,
	const struct rule_counting *counting, uint32_t *ret_delay_ms)
{
	bool needs_draw = r->percent < 100 ||
			  (r->delay.step_ms == 0 && r->delay.most_ms > r->delay.least_ms);
	uint64_t drawn = needs_draw ? draw(r, q, counting) : 0;

	if (r->percent < 100 && drawn % 100 >= r->percent)
		return false;
	if (r->every > 0 && count(counting, key_of(r, q, KEY_EVERY), 0) % r->every != 0)
		return false;
	if (r->rate_ms > 0 &&
		count(counting, key_of(r, q, KEY_RATE), r->rate_ms) <= r->rate)
		return false;
	if (r->first > 0 && count(counting, key_of(r, q, KEY_FIRST), 0) > r->first)
		return false;
	*ret_delay_ms = delay_of(r, q, counting, drawn);
	return true;
}

/* ----------------------------------------------------------------- settings */

/* A time up to one of the separators, or to the end; *s goes on with what follows it,
 * and *ret_separator is which it was, or NUL.  Returns false if it is none. */
static bool take_time(
	struct str *s, const char *separators, uint32_t *ret_ms, char *ret_separator)
{
	size_t n = 0;
	uint64_t ms;

	while (n < s->n && strchr(separators, s->p[n]) == NULL)
		n++;
	if (str_parse_duration((struct str){s->p, n}, &ms) < 0 || ms > RULE_DELAY_MAX_MS)
		return false;
	*ret_separator = n < s->n ? s->p[n] : '\0';
	*s = str_skip(*s, n + (n < s->n));
	*ret_ms = (uint32_t)ms;
	return true;
}

const char *rule_parse_delay(const char *text, struct rule_delay *ret)
{
	static const char wrong[] =
		"times up to 1h are expected: \"2s\", \"1s-5s\", \"1s+500ms\" or "
		"\"1s+500ms-30s\"";
	struct rule_delay d = {0};
	struct str s = str_of(text);
	char separator;

	if (!take_time(&s, "+-", &d.least_ms, &separator))
		return wrong;
	d.most_ms = d.least_ms;
	if (separator == '+') {
		if (!take_time(&s, "-", &d.step_ms, &separator) || d.step_ms == 0)
			return wrong;
		d.most_ms = RULE_DELAY_MAX_MS;
	}
	if (separator == '-' && !take_time(&s, "", &d.most_ms, &separator))
		return wrong;
	if (d.most_ms < d.least_ms)
		return "the longest time must not be shorter than the shortest";
	*ret = d;
	return NULL;
}

const char *rule_parse_rate(const char *text, uint64_t *ret_rate, uint64_t *ret_ms)
{
	static const char wrong[] =
		"so many, up to 10000000, in a time are expected: \"10/1m\"";
	const char *slash = strchr(text, '/');
	uint64_t rate, ms;

	if (slash == NULL ||
		str_parse_u64((struct str){text, (size_t)(slash - text)}, &rate) < 0 ||
		rate > RULE_RATE_MAX || str_parse_duration(str_of(slash + 1), &ms) < 0 ||
		ms == 0)
		return wrong;
	*ret_rate = rate;
	*ret_ms = ms;
	return NULL;
}
