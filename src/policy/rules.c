/* The rules of the configuration as a layer of hooks; see rules.h.
 *
 * Runs in workers on text of hostile clients, which gets no further than into patterns,
 * keys to count by, and replies, where it is printable and cut.  Each rule is asked at
 * one stage, in the order of the configuration; what it counts, all workers count
 * together.
 *
 * With LMTP a rule about messages that concerns itself with recipients is asked for each
 * of them, after those that do not: a reply to all cannot be taken back for one. */
#include "policy/rules.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "policy/fault.h"
#include "policy/rules_text.h"
#include "smtp/envelope.h"
#include "smtp/session.h"

/* Where rules are asked: at the stages, and after so many octets of text. */
enum {
	PLACE_AFTER_DATA = RULE_STAGE_COUNT,
	PLACE_AFTER_BDAT,
	PLACES,
};

/* Whom a rule about messages is asked for: all recipients, or each with LMTP. */
enum whom { FOR_ALL = 1, FOR_EACH = 2 };

struct item {
	const struct rules_entry *entry;
	enum whom whom;
};

/* Rules that are asked at one place: in the order of the configuration, after octets in
 * that of their numbers first. */
struct list {
	struct item *items;
	size_t count;
	bool needs_client; /* as an address */
};

struct rules {
	const struct rules_env *env;
	const struct sinkd_hooks *below;
	struct sinkd_hooks hooks;
	struct list lists[PLACES];
	struct sockaddr_storage client;
	/* the message in flight */
	unsigned text_place;
	size_t text_next;  /* the first of that place that was not asked yet */
	size_t decided_at; /* LMTP: the rule that accepts the message for all */
	struct item sorted[];
};

/* One question of the engine. */
struct asking {
	struct rules *rules;
	const struct envelope *envelope;
	struct rule_question q;
	bool has_recipient; /* it is about this one; else about all of the envelope */
	struct sinkd_verdict *verdict;
	uint32_t delay_ms;
};

/* ------------------------------------------------------------------ one rule */

static enum whom whom_of(const struct rules_entry *e)
{
	return e->rule.recipient != NULL || e->rule.per == RULE_PER_RECIPIENT ||
			       e->matches_address
		       ? FOR_EACH
		       : FOR_ALL;
}

/* What the rule does, or what the address has it do.  Returns false if the address does
 * not say. */
static bool find_fault(
	const struct rules_entry *e, const struct rule_question *q, struct fault *ret)
{
	struct fault f = {.action = e->rule.action, .code = e->code};

	if (e->matches_address)
		return fault_of_address(
			e->rule.stage == RULE_MAIL ? q->sender : q->recipient, ret);
	(void)str_copy(f.enhanced, sizeof(f.enhanced), str_of(e->enhanced));
	*ret = f;
	return true;
}

/* Whether the rule concerns this one of the recipients, or any of them: then the first
 * that it does is the one from now on. */
static bool concerns(struct asking *a, const struct item *item, struct fault *ret)
{
	const struct rules_entry *e = item->entry;
	size_t i = 0, count = a->has_recipient ? 0 : a->envelope->recipient_count;

	/* Who does not look at recipients need not be asked of each. */
	if (count > 1 && item->whom == FOR_ALL)
		count = 1;
	do {
		if (i < count)
			a->q.recipient = a->envelope->recipients[i].address.mailbox;
		else if (!a->has_recipient)
			a->q.recipient = (struct str){0};
		if (rule_concerns(&e->rule, &a->q) && find_fault(e, &a->q, ret))
			return true;
	} while (++i < count);
	return false;
}

static void add_delay(uint32_t *delay_ms, uint32_t more_ms)
{
	if (__builtin_add_overflow(*delay_ms, more_ms, delay_ms))
		*delay_ms = UINT32_MAX;
}

static void carry_out(
	const struct asking *a, const struct rules_entry *e, const struct fault *f)
{
	struct sinkd_verdict *v = a->verdict;

	switch (f->action) {
	case RULE_REPLY:
		v->code = f->code;
		(void)str_copy(v->enhanced, sizeof(v->enhanced), str_of(f->enhanced));
		rules_text_write(e->text, e->rule.name, &a->q, a->envelope->stamp.id,
			v->text, sizeof(v->text));
		break;
	case RULE_ACCEPT:
		break;
	case RULE_DISCONNECT:
		v->action = SINKD_DISCONNECT;
		break;
	case RULE_RESET:
		v->action = SINKD_RESET;
		break;
	case RULE_STALL:
		v->action = SINKD_STALL;
		break;
	case RULE_DELIVER:
		v->action = SINKD_ROUTE;
		v->route = e->route;
		break;
	case RULE_DROP:
		v->action = SINKD_DISCARD;
		break;
	}
}

/* Ask one rule.  Returns whether it has decided. */
static bool ask_rule(struct asking *a, const struct item *item)
{
	const struct rules_entry *e = item->entry;
	const struct rules_env *env = a->rules->env;
	uint32_t delay_ms = 0;
	struct fault f;

	if (!env->is_on(env->user, e) || !concerns(a, item, &f) ||
		!rule_fires(&e->rule, &a->q, &env->counting, &delay_ms))
		return false;
	add_delay(&delay_ms, f.delay_ms);
	add_delay(&a->delay_ms, delay_ms);
	env->fired(env->user, &(struct rules_firing){e, f.action, f.code, delay_ms,
				      a->q.sender, a->q.recipient});
	if (f.action == RULE_REPLY && f.code == 0)
		return false;
	carry_out(a, e, &f);
	return true;
}

/* ------------------------------------------------------------------ a stage */

/* The client as an address; a name for one that is not known leads to none. */
static void parse_client(struct str text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	char address[INET6_ADDRSTRLEN];

	*ret = (struct sockaddr_storage){0};
	(void)str_copy(address, sizeof(address), text);
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1)
		ret->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1)
		ret->ss_family = AF_INET6;
	else if (str_equal(text, STR("unix")))
		ret->ss_family = AF_UNIX;
}

static bool counts_octets(unsigned place)
{
	return place == PLACE_AFTER_DATA || place == PLACE_AFTER_BDAT ||
	       place == RULE_MESSAGE;
}

static struct asking begin(struct rules *r, struct sinkd_session *session, unsigned place,
	struct sinkd_verdict *verdict)
{
	const struct smtp *engine = (const struct smtp *)session;
	const struct envelope *e = smtp_envelope(engine);

	if (r->lists[place].needs_client)
		parse_client(e->client.address, &r->client);
	return (struct asking){
		.rules = r,
		.envelope = e,
		.q =
			{
				.client = &r->client,
				.session = smtp_session_number(engine),
				.client_text = e->client.address,
				.helo = e->client.helo,
				.sender = e->sender.mailbox,
				.user = e->client.user,
				.listener = e->client.listener,
				.is_tls = e->client.tls.version.n > 0,
				.size = counts_octets(place) ? e->size_bytes
							     : e->declared_size,
			},
		.verdict = verdict,
	};
}

/* Ask the rules of the place up to number end, of those that are for these.  Returns the
 * number of the one that has decided, or end. */
static size_t ask_some(struct asking *a, unsigned place, size_t end, unsigned whom)
{
	const struct list *l = &a->rules->lists[place];
	size_t i = 0;

	while (i < end && !((l->items[i].whom & whom) != 0 && ask_rule(a, &l->items[i])))
		i++;
	return i;
}

/* Ask all of the place.  Returns whether one has decided. */
static bool ask(struct asking *a, unsigned place)
{
	size_t count = a->rules->lists[place].count;

	return ask_some(a, place, count, FOR_ALL | FOR_EACH) < count;
}

/* The verdict is there, by a rule or by somebody below; its delay comes on top. */
static void finish(const struct asking *a)
{
	add_delay(&a->verdict->delay_ms, a->delay_ms);
}

/* -------------------------------------------------------------------- hooks */

/* Ask who lies below, if there is somebody. */
#define ASK_BELOW(r, member, ...)                                                        \
	do {                                                                             \
		if ((r)->below != NULL && (r)->below->member != NULL)                    \
			(r)->below->member((r)->below->user, __VA_ARGS__);               \
	} while (0)

static struct str str_of_api(struct sinkd_str s)
{
	return (struct str){s.data, s.len};
}

static void on_connect(void *user, struct sinkd_session *session,
	struct sinkd_str client_address, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	struct asking a = begin(r, session, RULE_CONNECT, verdict);

	if (!ask(&a, RULE_CONNECT))
		ASK_BELOW(r, connect, session, client_address, verdict);
	finish(&a);
}

static void on_ehlo_domain(void *user, struct sinkd_session *session,
	struct sinkd_str domain, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	struct asking a = begin(r, session, RULE_HELO, verdict);

	a.q.helo = str_of_api(domain);
	if (!ask(&a, RULE_HELO))
		ASK_BELOW(r, ehlo_domain, session, domain, verdict);
	finish(&a);
}

/* The stages of commands that have no hook of their own; PLACES: none of them. */
static unsigned place_of_command(enum smtp_verb verb)
{
	static const struct {
		enum smtp_verb verb;
		enum rule_stage stage;
	} commands[] = {
		{VERB_STARTTLS, RULE_STARTTLS},
		{VERB_AUTH, RULE_AUTH},
		{VERB_RSET, RULE_RSET},
		{VERB_NOOP, RULE_NOOP},
		{VERB_VRFY, RULE_VRFY},
		{VERB_QUIT, RULE_QUIT},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].verb == verb)
			return commands[i].stage;
	return PLACES;
}

static void on_command(void *user, struct sinkd_session *session, struct sinkd_str verb,
	struct sinkd_str argument, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	unsigned place = place_of_command(smtp_command((const struct smtp *)session));
	struct asking a;

	if (place == PLACES || r->lists[place].count == 0) {
		ASK_BELOW(r, command, session, verb, argument, verdict);
		return;
	}
	a = begin(r, session, place, verdict);
	if (!ask(&a, place))
		ASK_BELOW(r, command, session, verb, argument, verdict);
	finish(&a);
}

static void on_sender(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	struct asking a = begin(r, session, RULE_MAIL, verdict);

	a.q.sender = str_of_api(path);
	if (!ask(&a, RULE_MAIL))
		ASK_BELOW(r, sender, session, path, parameters, verdict);
	finish(&a);
}

static void on_recipient(void *user, struct sinkd_session *session, struct sinkd_str path,
	struct sinkd_str parameters, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	struct asking a = begin(r, session, RULE_RCPT, verdict);

	a.q.recipient = str_of_api(path);
	a.has_recipient = true;
	if (!ask(&a, RULE_RCPT))
		ASK_BELOW(r, recipient, session, path, parameters, verdict);
	finish(&a);
}

static void on_data_command(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	bool is_chunk = smtp_command((const struct smtp *)session) == VERB_BDAT;
	unsigned place = is_chunk ? RULE_BDAT : RULE_DATA;
	struct asking a = begin(r, session, place, verdict);

	r->text_place = is_chunk ? PLACE_AFTER_BDAT : PLACE_AFTER_DATA;
	r->text_next = 0;
	if (!ask(&a, place))
		ASK_BELOW(r, data_command, session, verdict);
	finish(&a);
}

/* Whether there is a rule that waits for no more octets than there were. */
static bool is_due(const struct rules *r, struct sinkd_session *session)
{
	const struct list *l = &r->lists[r->text_place];

	return r->text_next < l->count &&
	       l->items[r->text_next].entry->after <=
		       smtp_envelope((const struct smtp *)session)->size_bytes;
}

/* However the text is split, the rules are asked in the order of their octets. */
static void on_data_chunk(void *user, struct sinkd_session *session,
	struct sinkd_str bytes, struct sinkd_verdict *verdict)
{
	struct rules *r = user;
	bool has_decided = false;
	struct asking a;

	if (!is_due(r, session)) {
		ASK_BELOW(r, data_chunk, session, bytes, verdict);
		return;
	}
	a = begin(r, session, r->text_place, verdict);
	while (!has_decided && is_due(r, session))
		has_decided =
			ask_rule(&a, &r->lists[r->text_place].items[r->text_next++]);
	if (!has_decided)
		ASK_BELOW(r, data_chunk, session, bytes, verdict);
	finish(&a);
}

static void on_message(
	void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	const unsigned place = RULE_MESSAGE;
	struct rules *r = user;
	struct asking a = begin(r, session, place, verdict);
	size_t count = r->lists[place].count;
	unsigned whom = a.envelope->client.is_lmtp ? FOR_ALL : FOR_ALL | FOR_EACH;

	r->decided_at = ask_some(&a, place, count, whom);
	if (r->decided_at == count)
		ASK_BELOW(r, message, session, verdict);
	finish(&a);
}

/* If a rule has accepted the message for all, those before it may still think otherwise
 * of one recipient, but nobody behind it. */
static void on_message_recipient(void *user, struct sinkd_session *session,
	struct sinkd_str path, struct sinkd_verdict *verdict)
{
	const unsigned place = RULE_MESSAGE;
	struct rules *r = user;
	struct asking a = begin(r, session, place, verdict);

	a.q.recipient = str_of_api(path);
	a.has_recipient = true;
	if (ask_some(&a, place, r->decided_at, FOR_EACH) == r->lists[place].count)
		ASK_BELOW(r, message_recipient, session, path, verdict);
	finish(&a);
}

/* -------------------------------------------------------------------- layer */

static unsigned place_of(const struct rules_entry *e)
{
	if (e->after == 0)
		return e->rule.stage;
	return e->rule.stage == RULE_BDAT ? PLACE_AFTER_BDAT : PLACE_AFTER_DATA;
}

/* Behind all that are asked no later. */
static void insert(struct list *l, const struct rules_entry *e)
{
	size_t i = l->count++;

	for (; i > 0 && l->items[i - 1].entry->after > e->after; i--)
		l->items[i] = l->items[i - 1];
	l->items[i] = (struct item){e, whom_of(e)};
	l->needs_client |= e->rule.client_count > 0;
}

struct rules *rules_new(
	const struct rules_settings *settings, const struct rules_env *env)
{
	struct rules *r = calloc(1, sizeof(*r) + settings->count * sizeof(r->sorted[0]));
	size_t used = 0;

	if (r == NULL)
		return NULL;
	r->env = env;
	r->text_place = PLACE_AFTER_DATA;
	for (unsigned place = 0; place < PLACES; place++) {
		struct list *l = &r->lists[place];

		l->items = &r->sorted[used];
		for (size_t i = 0; i < settings->count; i++)
			if (place_of(&settings->entries[i]) == place)
				insert(l, &settings->entries[i]);
		used += l->count;
	}
	return r;
}

void rules_free(struct rules *r)
{
	free(r);
}

static bool has(const struct rules *r, enum rule_stage stage)
{
	return r->lists[stage].count > 0;
}

const struct sinkd_hooks *rules_hooks(struct rules *r, const struct sinkd_hooks *below)
{
	bool has_octets = r->lists[PLACE_AFTER_DATA].count > 0 ||
			  r->lists[PLACE_AFTER_BDAT].count > 0;
	bool has_command = false;

	for (enum smtp_verb verb = 0; verb < VERBS; verb++) {
		unsigned place = place_of_command(verb);

		has_command |= place != PLACES && r->lists[place].count > 0;
	}
	r->below = below;
	r->hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(r->hooks),
		.user = r,
		.connect = has(r, RULE_CONNECT) ? on_connect : NULL,
		.command = has_command ? on_command : NULL,
		.ehlo_domain = has(r, RULE_HELO) ? on_ehlo_domain : NULL,
		.sender = has(r, RULE_MAIL) ? on_sender : NULL,
		.recipient = has(r, RULE_RCPT) ? on_recipient : NULL,
		.data_command = has(r, RULE_DATA) || has(r, RULE_BDAT) || has_octets
					? on_data_command
					: NULL,
		.data_chunk = has_octets ? on_data_chunk : NULL,
		.message = has(r, RULE_MESSAGE) ? on_message : NULL,
		.message_recipient = has(r, RULE_MESSAGE) ? on_message_recipient : NULL,
	};
	return &r->hooks;
}
