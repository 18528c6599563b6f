/* policy/rules: what is asked where, and what comes of it. */
#include "unit.h"

#include "base/network.h"
#include "policy/pattern.h"
#include "rules_fixture.h"

#include <stdio.h>
#include <string.h>

static struct tally tally;

static void begin(struct scene *s)
{
	memset(&tally, 0, sizeof(tally));
	scene_init(s, &tally);
}

static bool has(const struct scene *s, const char *text)
{
	struct str out = rig_output(&s->rig);

	return memmem(out.p, out.n, text, strlen(text)) != NULL;
}

static struct pattern *pattern(const char *text)
{
	struct pattern *p = NULL;

	CHECK(text, pattern_new(text, &p) == NULL);
	return p;
}

/* Each stage comes once at least; STARTTLS and AUTH are refused, but were asked for. */
static const char *const everything[] = {"EHLO c.test\r\n", "STARTTLS\r\n",
	"AUTH PLAIN\r\n", "NOOP\r\n", "VRFY b\r\n", "RSET\r\n",
	"MAIL FROM:<a@x.test>\r\n", "RCPT TO:<b@y.test>\r\n", "DATA\r\n", "text\r\n.\r\n",
	"MAIL FROM:<a@x.test>\r\n", "RCPT TO:<b@y.test>\r\n", "BDAT 4 LAST\r\nabcd",
	"QUIT\r\n", NULL};

static const char *const stage_hooks[RULE_STAGE_COUNT] = {
	[RULE_CONNECT] = "connect",
	[RULE_HELO] = "ehlo_domain",
	[RULE_STARTTLS] = "command",
	[RULE_AUTH] = "command",
	[RULE_MAIL] = "sender",
	[RULE_RCPT] = "recipient",
	[RULE_DATA] = "data_command",
	[RULE_BDAT] = "data_command",
	[RULE_MESSAGE] = "message",
	[RULE_RSET] = "command",
	[RULE_NOOP] = "command",
	[RULE_VRFY] = "command",
	[RULE_QUIT] = "command",
};

/* Rules that their stage cannot have are none. */
static bool is_possible(enum rule_stage stage, enum rule_action action)
{
	if (action == RULE_DELIVER)
		return stage == RULE_RCPT;
	if (action == RULE_DROP)
		return stage == RULE_MAIL || stage == RULE_RCPT || stage == RULE_DATA ||
		       stage == RULE_BDAT || stage == RULE_MESSAGE;
	return true;
}

/* What the client and the mailboxes see of it: two messages but for what went wrong. */
static void check_end(const char *name, const struct scene *s, enum rule_stage stage,
	enum rule_action action)
{
	bool is_accepted = action == RULE_ACCEPT || action == RULE_DELIVER ||
			   (action == RULE_REPLY && s->last.verdict.code == 0);

	CHECK(name, s->rig.is_dropped == (action == RULE_DISCONNECT));
	CHECK(name, s->rig.is_reset == (action == RULE_RESET));
	CHECK(name, s->rig.is_stalled == (action == RULE_STALL));
	if (is_accepted)
		CHECK(name, s->rig.message_count == 2 && has(s, "221 2.0.0 Bye"));
	if (action == RULE_DROP)
		CHECK(name, s->rig.message_count == 1 && has(s, "221 2.0.0 Bye"));
	if (action == RULE_STALL && stage == RULE_MESSAGE)
		CHECK(name, !has(s, "250 2.0.0 Ok: "));
}

static void stages_and_actions(void)
{
	static const struct {
		const char *name;
		enum rule_action action;
		int code;
		enum sinkd_action expected;
		bool asks_below;
	} cases[] = {
		{"reply", RULE_REPLY, 451, SINKD_DECIDE, false},
		{"nothing but a delay", RULE_REPLY, 0, SINKD_DECIDE, true},
		{"accept", RULE_ACCEPT, 0, SINKD_DECIDE, false},
		{"disconnect", RULE_DISCONNECT, 0, SINKD_DISCONNECT, false},
		{"reset", RULE_RESET, 0, SINKD_RESET, false},
		{"stall", RULE_STALL, 0, SINKD_STALL, false},
		{"deliver", RULE_DELIVER, 0, SINKD_ROUTE, false},
		{"drop", RULE_DROP, 0, SINKD_DISCARD, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (enum rule_stage stage = 0; stage < RULE_STAGE_COUNT; stage++) {
			struct scene s;
			struct rules_entry *e;
			const struct sinkd_verdict *v = &s.last.verdict;
			char name[64], expected[64];

			begin(&s);
			e = scene_add(&s, "r", stage);
			e->rule.action = cases[i].action;
			e->rule.first = 1;
			e->rule.delay = (struct rule_delay){7, 7, 0};
			e->code = cases[i].code;
			e->route = 3;
			(void)snprintf(name, sizeof(name), "%s: %s",
				rule_stage_name(stage), cases[i].name);
			(void)snprintf(
				expected, sizeof(expected), "r %s\n", stage_hooks[stage]);
			scene_start(&s);
			if (is_possible(stage, cases[i].action)) {
				CHECK(name, rules_check(e) == NULL);
				scene_say(&s, everything);
				CHECK_STR(name, str_of(s.fired), str_of(expected));
				CHECK(name, v->action == (int)cases[i].expected);
				CHECK(name, v->code == cases[i].code);
				CHECK(name, v->delay_ms == 7);
				CHECK(name,
					v->route == (v->action == SINKD_ROUTE ? 3 : 0));
				CHECK(name,
					s.last.was_asked_below == cases[i].asks_below);
				check_end(name, &s, stage, cases[i].action);
			} else {
				CHECK(name, rules_check(e) != NULL);
			}
			scene_done(&s);
		}
	}
}

/* Where each stage is, the client is told. */
static void replies(void)
{
	for (enum rule_stage stage = 0; stage < RULE_STAGE_COUNT; stage++) {
		struct scene s;
		struct rules_entry *e;

		begin(&s);
		e = scene_add(&s, "r", stage);
		e->code = 452;
		e->enhanced = "4.2.2";
		e->text = "Full, says %{rule}";
		scene_start(&s);
		scene_say(&s, everything);
		CHECK(rule_stage_name(stage), has(&s, "452 4.2.2 Full, says r\r\n"));
		CHECK(rule_stage_name(stage), !s.rig.is_dropped);
		scene_done(&s);

		begin(&s);
		e = scene_add(&s, "r", stage);
		e->code = 421;
		e->text = "Gone";
		scene_start(&s);
		scene_say(&s, everything);
		CHECK(rule_stage_name(stage), has(&s, "421 4.3.2 Gone\r\n"));
		CHECK(rule_stage_name(stage), s.rig.is_over && !s.rig.is_dropped);
		scene_done(&s);
	}
}

static void judge_below(struct rig *rig, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)rig;
	(void)argument;
	if (hook == RIG_RECIPIENT) {
		verdict->code = 554;
		verdict->delay_ms = 20;
	}
}

#define NONE -1

/* Of several rules on rcpt, each with a delay. */
static const struct {
	const char *name;
	struct {
		enum rule_action action;
		int code;
		bool is_disabled;
		bool is_off;
		bool is_stranger; /* it concerns somebody else */
	} rules[3];
	int decides; /* whose code it is */
	const char *fired;
	uint32_t delay_ms;
} order_cases[] = {
	{"the first decides",
		{{RULE_REPLY, 450, 0, 0, 0}, {RULE_REPLY, 451, 0, 0, 0},
			{RULE_REPLY, 452, 0, 0, 0}},
		0, "0 recipient\n", 1},
	{"delays add up",
		{{RULE_REPLY, 0, 0, 0, 0}, {RULE_REPLY, 0, 0, 0, 0},
			{RULE_REPLY, 452, 0, 0, 0}},
		2, "0 recipient\n1 recipient\n2 recipient\n", 111},
	{"nobody decides",
		{{RULE_REPLY, 0, 0, 0, 0}, {RULE_REPLY, 0, 0, 0, 0},
			{RULE_REPLY, 0, 0, 0, 0}},
		NONE, "0 recipient\n1 recipient\n2 recipient\n", 131},
	{"one that is disabled",
		{{RULE_REPLY, 450, 1, 0, 0}, {RULE_REPLY, 451, 0, 0, 0},
			{RULE_REPLY, 452, 0, 0, 0}},
		1, "1 recipient\n", 10},
	{"one that was switched off",
		{{RULE_REPLY, 450, 0, 1, 0}, {RULE_REPLY, 451, 0, 0, 0},
			{RULE_REPLY, 452, 0, 0, 0}},
		1, "1 recipient\n", 10},
	{"others are concerned",
		{{RULE_REPLY, 450, 0, 0, 1}, {RULE_STALL, 0, 0, 0, 1},
			{RULE_REPLY, 452, 0, 0, 0}},
		2, "2 recipient\n", 100},
	{"none concerned",
		{{RULE_REPLY, 450, 0, 0, 1}, {RULE_STALL, 0, 0, 0, 1},
			{RULE_ACCEPT, 0, 0, 0, 1}},
		NONE, "", 20},
	{"accepted",
		{{RULE_REPLY, 0, 0, 0, 0}, {RULE_ACCEPT, 0, 0, 0, 0},
			{RULE_REPLY, 452, 0, 0, 0}},
		1, "0 recipient\n1 recipient\n", 11},
};

static void order(void)
{
	static const char *const names[] = {"0", "1", "2"};
	struct pattern *other = pattern("other@*");

	for (size_t i = 0; i < sizeof(order_cases) / sizeof(order_cases[0]); i++) {
		struct scene s;
		uint32_t delay_ms = 1;
		int code = order_cases[i].decides == NONE
				   ? 554
				   : order_cases[i].rules[order_cases[i].decides].code;
		char reply[16];

		begin(&s);
		s.rig.judge = judge_below;
		for (size_t k = 0; k < 3; k++, delay_ms *= 10) {
			struct rules_entry *e = scene_add(&s, names[k], RULE_RCPT);

			e->rule.action = order_cases[i].rules[k].action;
			e->code = order_cases[i].rules[k].code;
			e->is_enabled = !order_cases[i].rules[k].is_disabled;
			s.is_switched_off[k] = order_cases[i].rules[k].is_off;
			e->rule.recipient =
				order_cases[i].rules[k].is_stranger ? other : NULL;
			e->rule.delay = (struct rule_delay){delay_ms, delay_ms, 0};
		}
		(void)snprintf(reply, sizeof(reply), "\r\n%d ", code == 0 ? 250 : code);
		scene_start(&s);
		scene_say(&s, scene_message);
		CHECK(order_cases[i].name, has(&s, reply));
		CHECK_STR(order_cases[i].name, str_of(s.fired),
			str_of(order_cases[i].fired));
		CHECK(order_cases[i].name, s.rig.paused_ms == order_cases[i].delay_ms);
		scene_done(&s);
	}
	pattern_free(other);
}

/* What no rule is about is not asked of rules. */
static void tables(void)
{
	for (enum rule_stage stage = 0; stage < RULE_STAGE_COUNT; stage++) {
		struct scene s;
		const struct sinkd_hooks *h;
		int count;

		begin(&s);
		(void)scene_add(&s, "r", stage);
		scene_start(&s);
		h = rules_hooks(s.rules, NULL);
		count = (h->connect != NULL) + (h->command != NULL) +
			(h->ehlo_domain != NULL) + (h->sender != NULL) +
			(h->recipient != NULL) + (h->data_command != NULL) +
			(h->data_chunk != NULL) + (h->message != NULL) +
			(h->message_recipient != NULL) + (h->plain_auth != NULL) +
			(h->reset != NULL) + (h->transaction != NULL) +
			(h->connection_ended != NULL) + (h->server_domain != NULL) +
			(h->server_greeting != NULL);
		CHECK(rule_stage_name(stage), count == (stage == RULE_MESSAGE ? 2 : 1));
		/* Nor has anybody to be there below. */
		scene_say(&s, everything);
		CHECK(rule_stage_name(stage), s.fired_count > 0);
		scene_done(&s);
	}
}

/* No rules, no layer. */
static void no_rules(void)
{
	struct scene s;

	begin(&s);
	scene_start(&s);
	CU_ASSERT_PTR_EQUAL(s.top, &s.below);
	scene_say(&s, everything);
	CU_ASSERT_EQUAL(s.fired_count, 0);
	CU_ASSERT_EQUAL(s.rig.message_count, 2);
	scene_done(&s);
}

/* Each condition, where it holds and where not. */
static const struct {
	const char *name;
	enum rule_stage stage;
	const char *client, *helo, *sender, *recipient, *user, *listener;
	uint64_t size_min;
	bool fires;
} condition_cases[] = {
	{"client", RULE_CONNECT, "192.0.2.0/24", 0, 0, 0, 0, 0, 0, true},
	{"client", RULE_RCPT, "192.0.2.7", 0, 0, 0, 0, 0, 0, true},
	{"other client", RULE_RCPT, "192.0.3.0/24", 0, 0, 0, 0, 0, 0, false},
	{"unix", RULE_RCPT, "unix", 0, 0, 0, 0, 0, 0, false},
	{"helo", RULE_HELO, 0, "c.*", 0, 0, 0, 0, 0, true},
	{"helo", RULE_QUIT, 0, "~^c[.]", 0, 0, 0, 0, 0, true},
	{"other helo", RULE_HELO, 0, "d.*", 0, 0, 0, 0, 0, false},
	{"sender", RULE_MAIL, 0, 0, "a@*", 0, 0, 0, 0, true},
	{"sender", RULE_RCPT, 0, 0, "a@*", 0, 0, 0, 0, true},
	{"sender", RULE_BDAT, 0, 0, "a@*", 0, 0, 0, 0, true},
	{"other sender", RULE_MAIL, 0, 0, "b@*", 0, 0, 0, 0, false},
	{"recipient", RULE_RCPT, 0, 0, 0, "b@*", 0, 0, 0, true},
	{"recipient", RULE_DATA, 0, 0, 0, "b@*", 0, 0, 0, true},
	{"recipient", RULE_MESSAGE, 0, 0, 0, "b@*", 0, 0, 0, true},
	{"other recipient", RULE_MESSAGE, 0, 0, 0, "a@*", 0, 0, 0, false},
	{"forgotten recipient", RULE_NOOP, 0, 0, 0, "b@*", 0, 0, 0, false},
	{"nobody", RULE_RCPT, 0, 0, 0, 0, "", 0, 0, true},
	{"somebody", RULE_RCPT, 0, 0, 0, 0, "?*", 0, 0, false},
	{"listener", RULE_CONNECT, 0, 0, 0, 0, 0, "m?", 0, true},
	{"other listener", RULE_CONNECT, 0, 0, 0, 0, 0, "lmtp", 0, false},
	{"declared size", RULE_MAIL, 0, 0, 0, 0, 0, 0, 1000, true},
	{"declared size", RULE_RCPT, 0, 0, 0, 0, 0, 0, 1000, true},
	{"larger than that", RULE_RCPT, 0, 0, 0, 0, 0, 0, 1001, false},
	{"size", RULE_MESSAGE, 0, 0, 0, 0, 0, 0, 6, true},
	{"larger", RULE_MESSAGE, 0, 0, 0, 0, 0, 0, 7, false},
};

static void conditions(void)
{
	static const char *const lines[] = {"EHLO c.test\r\n", "NOOP\r\n",
		"MAIL FROM:<a@x.test> SIZE=1000\r\n", "RCPT TO:<b@y.test>\r\n",
		"DATA\r\n", "text\r\n.\r\n", "NOOP\r\n",
		"MAIL FROM:<a@x.test> SIZE=1000\r\n", "RCPT TO:<b@y.test>\r\n",
		"BDAT 4 LAST\r\nabcd", "QUIT\r\n", NULL};

	for (size_t i = 0; i < sizeof(condition_cases) / sizeof(condition_cases[0]);
		i++) {
		struct scene s;
		struct rules_entry *e;
		struct network client;
		struct pattern *all[5] = {NULL};
		const char *texts[] = {condition_cases[i].helo, condition_cases[i].sender,
			condition_cases[i].recipient, condition_cases[i].user,
			condition_cases[i].listener};

		begin(&s);
		e = scene_add(&s, "r", condition_cases[i].stage);
		e->rule.first = 1;
		if (condition_cases[i].client != NULL) {
			CHECK(condition_cases[i].name,
				network_parse(condition_cases[i].client, &client) ==
					NULL);
			e->rule.clients = &client;
			e->rule.client_count = 1;
		}
		for (size_t k = 0; k < 5; k++)
			all[k] = texts[k] == NULL ? NULL : pattern(texts[k]);
		e->rule.helo = all[0];
		e->rule.sender = all[1];
		e->rule.recipient = all[2];
		e->rule.user = all[3];
		e->rule.listener = all[4];
		e->rule.size_min = condition_cases[i].size_min;
		scene_start(&s);
		scene_say(&s, lines);
		CHECK(condition_cases[i].name,
			(s.fired_count == 1) == condition_cases[i].fires);
		scene_done(&s);
		for (size_t k = 0; k < 5; k++)
			pattern_free(all[k]);
	}
}

/* Who it is, and whether TLS is there: in plain text, then under TLS with a user. */
static void users_and_tls(void)
{
	static const struct {
		const char *user;
		enum rule_tls tls;
		const char *fired;
	} cases[] = {
		{NULL, RULE_TLS_ANY, "r command\nr command\n"},
		{NULL, RULE_TLS_WITHOUT, "r command\n"},
		{"", RULE_TLS_WITHOUT, "r command\n"},
		{"joe", RULE_TLS_WITHOUT, ""},
		{NULL, RULE_TLS_WITH, "r command\n"},
		{"J*", RULE_TLS_WITH, "r command\n"},
		{"", RULE_TLS_WITH, ""},
	};
	static const char *const lines[] = {"EHLO c.test\r\n", "NOOP\r\n", "STARTTLS\r\n",
		"EHLO c.test\r\n", "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "NOOP\r\n", NULL};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].user == NULL ? "anybody" : cases[i].user;
		struct scene s;
		struct rules_entry *e;
		struct pattern *user =
			cases[i].user == NULL ? NULL : pattern(cases[i].user);

		begin(&s);
		s.rig.tls = RIG_TLS_STARTS;
		s.rig.peer.settings.tls = LISTEN_TLS_STARTTLS;
		s.rig.peer.settings.auth = LISTEN_AUTH_OPTIONAL;
		e = scene_add(&s, "r", RULE_NOOP);
		e->rule.user = user;
		e->rule.tls = cases[i].tls;
		scene_start(&s);
		scene_say(&s, lines);
		CHECK(name, has(&s, "235 2.7.0 "));
		CHECK_STR(name, str_of(s.fired), str_of(cases[i].fired));
		scene_done(&s);
		pattern_free(user);
	}
}

/* Clients of all kinds as addresses. */
static void clients(void)
{
	static const struct {
		const char *client, *network;
		bool fires;
	} cases[] = {
		{"192.0.2.7", "192.0.2.0/24", true},
		{"192.0.2.7", "2001:db8::/32", false},
		{"2001:db8::1", "2001:db8::/32", true},
		{"2001:db9::1", "2001:db8::/32", false},
		{"::ffff:192.0.2.7", "192.0.2.0/24", true},
		{"unix", "unix", true},
		{"unix", "0.0.0.0/0", false},
		{"unknown", "0.0.0.0/0", false},
		{"unknown", "unix", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;
		struct rules_entry *e;
		struct network network;

		begin(&s);
		s.rig.peer.address = str_of(cases[i].client);
		e = scene_add(&s, "r", RULE_CONNECT);
		CHECK(cases[i].network,
			network_parse(cases[i].network, &network) == NULL);
		e->rule.clients = &network;
		e->rule.client_count = 1;
		scene_start(&s);
		CHECK(cases[i].client, (s.fired_count == 1) == cases[i].fires);
		scene_done(&s);
	}
}

/* Of many recipients those beyond a number, of all sessions together or of each. */
static void counted(void)
{
	static const struct {
		const char *name;
		enum rule_per per;
		const char *replies; /* to two sessions with four recipients each */
	} cases[] = {
		{"of all", RULE_PER_ALL, "xxx. ...."},
		{"of a session", RULE_PER_SESSION, "xxx. xxx."},
		{"of a recipient", RULE_PER_RECIPIENT, "xxxx xx.."},
		{"of a sender", RULE_PER_SENDER, "xxx. ...."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;
		struct rules_entry *e;
		char got[16];
		size_t n = 0;

		begin(&s);
		e = scene_add(&s, "r", RULE_RCPT);
		e->rule.first = 3;
		e->rule.per = cases[i].per;
		for (size_t session = 0; session < 2; session++) {
			scene_start(&s);
			rig_say(&s.rig, "EHLO c.test\r\nMAIL FROM:<a@x.test>\r\n");
			for (size_t k = 0; k < 4; k++) {
				rig_forget(&s.rig);
				rig_say(&s.rig, k % 2 == 0 ? "RCPT TO:<b@y.test>\r\n"
							   : "RCPT TO:<c@y.test>\r\n");
				got[n++] = has(&s, "451") ? 'x' : '.';
			}
			got[n++] = session == 0 ? ' ' : '\0';
			rig_end(&s.rig);
		}
		CHECK_STR(cases[i].name, str_of(got), str_of(cases[i].replies));
		scene_done(&s);
	}
}

void suite_rules(void)
{
	CU_pSuite s = CU_add_suite("rules", NULL, NULL);

	CU_add_test(s, "stages and actions", stages_and_actions);
	CU_add_test(s, "replies", replies);
	CU_add_test(s, "order", order);
	CU_add_test(s, "tables", tables);
	CU_add_test(s, "no rules", no_rules);
	CU_add_test(s, "conditions", conditions);
	CU_add_test(s, "users and TLS", users_and_tls);
	CU_add_test(s, "clients", clients);
	CU_add_test(s, "counted", counted);
}
