/* The configuration of rules: each of their options, good and bad. */
#include "conf_fixture.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"

/* The options begin in line 2. */
#define RULE_ON(stage, options) "rule r { on = " stage "\n" options "\n}\n"
#define RULE(options)           RULE_ON("rcpt", options)
#define REFUSAL(options)        RULE("reply = 450 " options)

#define FLAG_EXPECTED "must be \"false\" or \"true\"\n"

static void test_stages(void)
{
#define STAGES                                                                           \
	"must be \"connect\" or \"helo\" or \"starttls\" or \"auth\" or \"mail\" or "    \
	"\"rcpt\" or \"data\" or \"bdat\" or \"message\" or \"rset\" or \"noop\" or "    \
	"\"vrfy\" or \"quit\"\n"
	static const struct conf_mistake cases[] = {
		{"connect", RULE_ON("connect", "reply = 421"), ""},
		{"helo", RULE_ON("helo", "reply = 450"), ""},
		{"starttls", RULE_ON("starttls", "reply = 450"), ""},
		{"auth", RULE_ON("auth", "reply = 450"), ""},
		{"mail", RULE_ON("mail", "reply = 450"), ""},
		{"rcpt", RULE_ON("rcpt", "reply = 450"), ""},
		{"data", RULE_ON("data", "reply = 450"), ""},
		{"bdat", RULE_ON("bdat", "reply = 450"), ""},
		{"message", RULE_ON("message", "reply = 450"), ""},
		{"rset", RULE_ON("rset", "reply = 450"), ""},
		{"noop", RULE_ON("noop", "reply = 450"), ""},
		{"vrfy", RULE_ON("vrfy", "reply = 450"), ""},
		{"quit", RULE_ON("quit", "reply = 450"), ""},
		{"none", "rule r {\nreply = 450\n}",
			"3: rule \"r\": on: must be given\n"},
		{"another", RULE_ON("ehlo", "reply = 450"),
			"1: rule \"r\": on: 'ehlo': " STAGES},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* What is not known yet is no condition, and nothing to count by. */
static void test_knowledge(void)
{
	static const struct conf_mistake cases[] = {
		{"all of it, at the end",
			RULE_ON("message",
				"reply = 450 helo = \"*\" user = \"*\" sender = \"*\"\n"
				"recipient = \"*\" size = 1 per = recipient"),
			""},
		{"what a client is, at once",
			RULE_ON("connect",
				"reply = 450 client = {unix} listener = \"*\" tls = yes\n"
				"per = client"),
			""},
		{"sessions", RULE_ON("connect", "reply = 450 per = session"), ""},
		{"on connect",
			RULE_ON("connect", "reply = 450\nhelo = a\nuser = a\nsender = a\n"
					   "recipient = a\nsize = 1"),
			"3: rule \"r\": helo: not known yet on \"connect\"\n"
			"4: rule \"r\": user: not known yet on \"connect\"\n"
			"5: rule \"r\": sender: not known yet on \"connect\"\n"
			"7: rule \"r\": size: not known yet on \"connect\"\n"
			"6: rule \"r\": recipient: not known yet on \"connect\"\n"},
		{"on helo", RULE_ON("helo", "reply = 450 helo = a user = a\nsender = a"),
			"3: rule \"r\": sender: not known yet on \"helo\"\n"},
		{"on starttls", RULE_ON("starttls", "reply = 450 helo = a\nsender = a"),
			"3: rule \"r\": sender: not known yet on \"starttls\"\n"},
		{"on auth", RULE_ON("auth", "reply = 450\nsize = 1"),
			"3: rule \"r\": size: not known yet on \"auth\"\n"},
		{"on mail", RULE_ON("mail", "reply = 450 size = 1\nrecipient = a"),
			"3: rule \"r\": recipient: not known yet on \"mail\"\n"},
		{"counted by sender",
			RULE_ON("helo", "reply = 450 first = 1\nper = sender"),
			"3: rule \"r\": per: not known yet on \"helo\"\n"},
		{"counted by recipient",
			RULE_ON("mail", "reply = 450 first = 1\nper = recipient"),
			"3: rule \"r\": per: not known yet on \"mail\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_conditions(void)
{
	static const struct conf_mistake cases[] = {
		{"clients", REFUSAL("client = {\"10.0.0.0/8\", \"2001:db8::/32\", unix}"),
			""},
		{"no clients", REFUSAL("client = {}"), ""},
		{"a client that is none",
			REFUSAL("client = {\"10.0.0.0/8\",\n\"10.0.0.1/8\"}"),
			"3: rule \"r\": client: '10.0.0.1/8': bits behind the prefix "
			"must "
			"be zero, as in 10.0.0.0/8\n"},
		{"globs",
			REFUSAL("helo = \"*\" sender = \"*@a.test\" recipient = \"?@*\"\n"
				"user = joe listener = \"m*\""),
			""},
		{"expressions", REFUSAL("helo = '~^(a|b)' sender = \"~x{2}\""), ""},
		{"an empty expression", REFUSAL("\nhelo = \"~\""),
			"3: rule \"r\": helo: '~': a regular expression is expected "
			"behind ~\n"},
		{"each at its line",
			REFUSAL("\nhelo = \"~(\"\nsender = \"~[a\"\nrecipient = "
				"'~(a)\\\\1'\n"
				"user = \"~a{\"\nlistener = \"~\""),
			"3: rule \"r\": helo: '~(': a ( has no )\n"
			"4: rule \"r\": sender: '~[a': a [ has no ]\n"
			"5: rule \"r\": recipient: '~(a)\\\\1': back-references are not "
			"supported\n"
			"6: rule \"r\": user: '~a{': a { has no }, or no number in it\n"
			"7: rule \"r\": listener: '~': a regular expression is expected "
			"behind ~\n"},
		{"control characters", REFUSAL("\nrecipient = \"a\\n\""),
			"3: rule \"r\": recipient: 'a\\x0A': control characters are not "
			"supported\n"},
		{"without TLS", REFUSAL("tls = no"), ""},
		{"TLS", REFUSAL("tls = maybe"),
			"2: rule \"r\": tls: 'maybe': must be \"any\" or \"no\" or "
			"\"yes\"\n"},
		{"size", REFUSAL("size = 20M"), ""},
		{"largest size", REFUSAL("size = 1024G"), ""},
		{"a size that is none", REFUSAL("size = 20X"),
			"2: rule \"r\": size: '20X': a size such as \"20M\" (units K, M, "
			"G) "
			"is expected\n"},
		{"size too large", REFUSAL("size = 1025G"),
			"2: rule \"r\": size: '1025G': must be from 0 to 1024G\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_times(void)
{
#define DELAY_EXPECTED                                                                   \
	"times up to 1h are expected: \"2s\", \"1s-5s\", \"1s+500ms\" or "               \
	"\"1s+500ms-30s\"\n"
#define RATE_EXPECTED "so many, up to 10000000, in a time are expected: \"10/1m\"\n"
	static const struct conf_mistake cases[] = {
		{"percent and seed", REFUSAL("percent = 0 seed = 1000000000"), ""},
		{"percent", REFUSAL("percent = 101"),
			"2: rule \"r\": percent: '101': must be from 0 to 100\n"},
		{"half a percent", REFUSAL("percent = 0.5"),
			"2: rule \"r\": percent: '0.5': a whole number is expected\n"},
		{"seed", REFUSAL("seed = x"),
			"2: rule \"r\": seed: 'x': a whole number is expected\n"},
		{"every", REFUSAL("every = 3"), ""},
		{"every too much", REFUSAL("every = 1000000001"),
			"2: rule \"r\": every: '1000000001': must be from 0 to "
			"1000000000\n"},
		{"first", REFUSAL("first = 3 per = session"), ""},
		{"first of less than none", REFUSAL("first = -1"),
			"2: rule \"r\": first: '-1': a whole number is expected\n"},
		{"rate", REFUSAL("rate = \"10/1m\""), ""},
		{"each of them", REFUSAL("rate = \"0/1s\""), ""},
		{"no rate", REFUSAL("rate = \"\""), ""},
		{"rate without a time", REFUSAL("rate = 10"),
			"2: rule \"r\": rate: '10': " RATE_EXPECTED},
		{"rate in no time", REFUSAL("rate = \"10/0s\""),
			"2: rule \"r\": rate: '10/0s': " RATE_EXPECTED},
		{"per", REFUSAL("per = helo"),
			"2: rule \"r\": per: 'helo': must be \"all\" or \"client\" or "
			"\"sender\" or \"recipient\" or \"session\"\n"},
		{"enabled", REFUSAL("enabled = false"), ""},
		{"enabled or not", REFUSAL("enabled = maybe"),
			"2: rule \"r\": enabled: 'maybe': " FLAG_EXPECTED},
		{"delay", RULE("delay = 1h"), ""},
		{"delay that is drawn", RULE("delay = 1s-5s"), ""},
		{"delay that grows", RULE("delay = \"1s+500ms-30s\""), ""},
		{"delay too long", RULE("delay = 61m"),
			"2: rule \"r\": delay: '61m': " DELAY_EXPECTED},
		{"delay that is none", RULE("delay = soon"),
			"2: rule \"r\": delay: 'soon': " DELAY_EXPECTED},
		{"delay backwards", RULE("delay = 5s-1s"),
			"2: rule \"r\": delay: '5s-1s': the longest time must not be "
			"shorter than the shortest\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_replies(void)
{
#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"
	static const struct conf_mistake cases[] = {
		{"code alone", RULE("reply = 450"), ""},
		{"code and text", RULE("reply = \"550 Nobody of that name\""), ""},
		{"both codes", RULE("reply = \"550 5.1.1\""), ""},
		{"all of it", RULE("reply = \"452 4.2.2 Mailbox full\""), ""},
		{"macros",
			RULE("reply = \"452 4.2.2 100%% %{rule} %{client} %{helo} "
			     "%{sender} "
			     "%{recipient} %{id}\""),
			""},
		{"text like a code", RULE("reply = \"450 4.2 is no enhanced code\""), ""},
		{"no code", RULE("reply = \"Mailbox full\""),
			"2: rule \"r\": reply: 'Mailbox full': a reply is expected, "
			"\"452 "
			"4.2.2 Mailbox full\"\n"},
		{"nothing", RULE("reply = \"\""),
			"2: rule \"r\": reply: '': a reply is expected, \"452 4.2.2 "
			"Mailbox full\"\n"},
		{"no refusal", RULE("reply = \"250 Fine\""),
			"2: rule \"r\": reply: '250 Fine': the code of a refusal is from "
			"400 to 599\n"},
		{"codes that differ", RULE("reply = \"550 4.2.2 Mailbox full\""),
			"2: rule \"r\": reply: '550 4.2.2 Mailbox full': the enhanced "
			"code "
			"is not of the class of the code\n"},
		{"unknown macro", RULE("reply = \"450 %{size}\""),
			"2: rule \"r\": reply: '450 %{size}': unknown macro; there are "
			"%{rule} %{client} %{helo} %{sender} %{recipient} %{id}\n"},
		{"percent sign", RULE("reply = \"450 100%\""),
			"2: rule \"r\": reply: '450 100%': a percent sign that begins no "
			"macro is written '%%'\n"},
		{"not ASCII", RULE("reply = \"450 \\xe9\""),
			"2: rule \"r\": reply: '450 \\xE9': only printable ASCII "
			"characters can be sent\n"},
		{"control character", RULE("reply = \"450 a\\r\\nb\""),
			"2: rule \"r\": reply: '450 a\\x0D\\x0Ab': control characters "
			"are "
			"not supported\n"},
		{"longest",
			RULE("reply = \"450 " LONG_64 LONG_64 LONG_64
			     "01234567890123456789012345678901234567890123456789012345678"
			     "9012"
			     "\""),
			""},
	};
	struct config *c = NULL;
	char *told;
	int result;

	CHECK_CONF_MISTAKES(cases);
	CHECK("too long",
		write_conf(RULE("reply = \"450 " LONG_64 LONG_64 LONG_64 LONG_64 "\"")));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK("too long", result == -EINVAL);
	CHECK("too long", strstr(told, "the text is longer than 255 octets\n") != NULL);
	free(told);
}

#define NULL_TOO "deliver null { type = discard }\n"
#define OPTIONAL "deliver o { type = discard required = false }\n"

static void test_actions(void)
{
	static const struct conf_mistake cases[] = {
		{"accept", RULE("action = accept"), ""},
		{"disconnect", RULE("action = disconnect"), ""},
		{"reset", RULE("action = reset"), ""},
		{"stall", RULE("action = stall"), ""},
		{"drop", RULE("action = drop"), ""},
		{"drop of a message", RULE_ON("message", "action = drop"), ""},
		{"deliver", NULL_TOO RULE("action = deliver deliver = {null}"), ""},
		{"another", RULE("action = refuse"),
			"2: rule \"r\": action: 'refuse': must be \"reply\" or "
			"\"accept\" "
			"or \"disconnect\" or \"reset\" or \"stall\" or \"deliver\" or "
			"\"drop\"\n"},
		{"nothing at all", RULE("percent = 50"),
			"3: rule \"r\": it does nothing: no reply, no delay, no other "
			"action\n"},
		{"two in one", RULE("action = drop\nreply = 450"),
			"3: rule \"r\": reply: only with action \"reply\"\n"},
		{"nothing to drop", RULE_ON("helo", "action = drop"),
			"2: rule \"r\": action: 'drop': there is no mail yet to drop\n"},
		{"nowhere to deliver",
			NULL_TOO "rule r { on = data\naction = deliver\n"
				 "deliver = {null} }",
			"3: rule \"r\": action: 'deliver': only on \"rcpt\"\n"},
		{"deliver as well",
			NULL_TOO "rule r { on = rcpt reply = 450\n"
				 "deliver = {null} }",
			"3: rule \"r\": deliver: only with action \"deliver\"\n"},
		{"deliver to nobody", RULE("action = deliver deliver = {}"),
			"3: rule \"r\": deliver: at least one must be given\n"},
		{"deliver to nobody known",
			RULE("action = deliver deliver = {null,\nnull}"),
			"2: rule \"r\": deliver: there is no section deliver \"null\"\n"
			"3: rule \"r\": deliver: there is no section deliver \"null\"\n"},
		{"deliver twice",
			NULL_TOO RULE("action = deliver deliver = {null,\nnull}"),
			"4: rule \"r\": deliver: 'null': given twice\n"},
		{"deliver to nobody required",
			NULL_TOO OPTIONAL RULE("action = deliver deliver = {o}"),
			"4: rule \"r\": deliver: no delivery of the rule is required, so "
			"that a 250 would mean nothing\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_octets_and_addresses(void)
{
	static const struct conf_mistake cases[] = {
		{"after", RULE_ON("data", "reply = 450 after = 64K"), ""},
		{"after, of chunks", RULE_ON("bdat", "action = stall after = 1"), ""},
		{"after no octets", REFUSAL("after = 0"), ""},
		{"after, elsewhere", RULE_ON("message", "reply = 450\nafter = 64K"),
			"3: rule \"r\": after: only on \"data\" and \"bdat\"\n"},
		{"after, accepted", RULE_ON("data", "action = accept\nafter = 64K"),
			"3: rule \"r\": after: not with action \"accept\": nobody is "
			"asked "
			"there\n"},
		{"after how many", RULE_ON("data", "reply = 450 after = some"),
			"2: rule \"r\": after: 'some': a size such as \"20M\" (units K, "
			"M, "
			"G) is expected\n"},
		{"address", RULE("match-address = true"), ""},
		{"address, and a text",
			RULE("match-address = true reply = \"450 %{rule}\""), ""},
		{"address of a sender", RULE_ON("mail", "match-address = true"), ""},
		{"address, for each of LMTP", RULE_ON("message", "match-address = true"),
			""},
		{"no address", RULE_ON("helo", "match-address = true"),
			"2: rule \"r\": match-address: only on \"mail\", \"rcpt\", "
			"\"data\", "
			"\"bdat\" and \"message\"\n"},
		{"address and action", RULE("match-address = true\naction = drop"),
			"3: rule \"r\": action: the address says it, by match-address\n"},
		{"address or not", RULE("match-address = maybe"),
			"2: rule \"r\": match-address: 'maybe': " FLAG_EXPECTED},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define NAME_EXPECTED "a name of 1 to 63 printable characters is expected\n"
#define NAME_63       "012345678901234567890123456789012345678901234567890123456789012"

static void test_names(void)
{
	static const struct conf_mistake cases[] = {
		{"longest", "rule " NAME_63 " { on = rcpt reply = 450 }", ""},
		{"any characters", "rule \"a b/%{c}\" { on = rcpt reply = 450 }", ""},
		{"empty", "rule \"\" { on = rcpt reply = 450\n}",
			"2: rule \"\": " NAME_EXPECTED},
		{"too long", "rule " NAME_63 "3 { on = rcpt reply = 450 }",
			"1: rule \"" NAME_63 "3\": " NAME_EXPECTED},
		{"not printable", "rule \"a\\n\" { on = rcpt reply = 450 }",
			"1: rule \"a\\x0A\": " NAME_EXPECTED},
		{"twice", RULE("delay = 1s") RULE("delay = 1s"),
			"4: found duplicate title 'r'\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* Mistakes in one rule do not hide those of the next. */
static void test_several(void)
{
	static const struct conf_mistake cases[] = {
		{"both",
			"rule a { on = rcpt\nreply = 250 }\n"
			"rule b { on = mail\nrecipient = x reply = 450 }\n"
			"rule c { on = rcpt delay = 1s }\n",
			"2: rule \"a\": reply: '250': the code of a refusal is from 400 "
			"to "
			"599\n"
			"4: rule \"b\": recipient: not known yet on \"mail\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* n rules, each in a line. */
static void check_count(size_t n, const char *expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	struct conf_mistake all = {"rules", NULL, expected};

	CU_ASSERT_FATAL(f != NULL);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(f, "rule r%zu { on = rcpt delay = 1s }\n", i);
	(void)fclose(f);
	all.text = text;
	check_conf_mistakes(&all, 1);
	free(text);
}

static void test_many(void)
{
	check_count(CONFIG_RULES_MAX, "");
	check_count(CONFIG_RULES_MAX + 2,
		"1025: rule \"r1024\": one rule more than there may be\n");
}

static const struct str recipient_kept = STR("*@b.test");

static void test_kept(void)
{
	struct config *c = load_right_conf(
		"rule a { on = message client = {\"10.0.0.0/8\"} tls = no size = 2K\n"
		"recipient = \"*@b.test\" percent = 7 seed = 9 every = 3\n"
		"rate = \"10/1m\" first = 5 per = sender enabled = false\n"
		"delay = \"1s+500ms-30s\" reply = \"452 4.2.2 Full %{id}\" }\n"
		"rule b { on = bdat after = 64K action = stall }\n"
		"rule c { on = rcpt match-address = true }\n"
		"rule d { on = rcpt reply = 550 }\n",
		NULL);
	const struct rules_entry *a = c->rules.entries, *b = a + 1;
	const struct rule_settings *r = &a->rule;

	CHECK("all", c->rules.count == 4);
	CHECK_STR("name", str_of(r->name), STR("a"));
	CHECK("stage", r->stage == RULE_MESSAGE && b->rule.stage == RULE_BDAT);
	CHECK("client", r->client_count == 1 && r->clients[0].family == AF_INET);
	CHECK("conditions", r->tls == RULE_TLS_WITHOUT && r->size_min == 2048);
	CHECK("patterns", r->recipient != NULL && r->sender == NULL && r->helo == NULL);
	CHECK_STR("recipient", str_of(c->rule_texts[0].recipient), recipient_kept);
	CHECK("when", r->percent == 7 && r->seed == 9 && r->every == 3 && r->first == 5);
	CHECK("rate", r->rate == 10 && r->rate_ms == 60000);
	CHECK("per", r->per == RULE_PER_SENDER);
	CHECK("off", !a->is_enabled && b->is_enabled);
	CHECK("delay", r->delay.least_ms == 1000 && r->delay.step_ms == 500 &&
			       r->delay.most_ms == 30000);
	CHECK("reply", r->action == RULE_REPLY && a->code == 452);
	CHECK_STR("enhanced", str_of(a->enhanced), STR("4.2.2"));
	CHECK_STR("text", str_of(a->text), STR("Full %{id}"));
	CHECK("octets", b->after == 65536 && b->rule.action == RULE_STALL);
	CHECK("addresses", a[2].matches_address && !a[3].matches_address);
	CHECK("defaults", b->rule.percent == 100 && b->rule.per == RULE_PER_ALL &&
				  b->rule.rate_ms == 0 && b->rule.delay.most_ms == 0);
	for (size_t i = 0; i < c->rules.count; i++)
		CHECK(a[i].rule.name, a[i].text != NULL && a[i].enhanced != NULL &&
					      rules_check(&a[i]) == NULL);
	CHECK_STR("no text", str_of(a[3].text), STR(""));
	config_free(c);
}

void suite_conf_rules(void)
{
	CU_pSuite s =
		CU_add_suite("conf_rules", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "stages", test_stages);
	CU_add_test(s, "what is known when", test_knowledge);
	CU_add_test(s, "conditions", test_conditions);
	CU_add_test(s, "when they fire", test_times);
	CU_add_test(s, "replies", test_replies);
	CU_add_test(s, "actions", test_actions);
	CU_add_test(s, "octets and addresses", test_octets_and_addresses);
	CU_add_test(s, "names", test_names);
	CU_add_test(s, "several", test_several);
	CU_add_test(s, "very many", test_many);
	CU_add_test(s, "what is kept", test_kept);
}
