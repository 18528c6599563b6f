/* policy/rules: faults after octets, for recipients, named by addresses, drawn; and
 * what they are told. */
#include "unit.h"

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

/* ------------------------------------------------------------------- octets */

#define LINE_OF_10 "12345678\r\n"

static const char *const long_message[] = {"EHLO c.test\r\n", "MAIL FROM:<a@x.test>\r\n",
	"RCPT TO:<b@y.test>\r\n", "DATA\r\n",
	LINE_OF_10 LINE_OF_10 LINE_OF_10 ".\r\nQUIT\r\n", NULL};
static const char *const long_chunk[] = {"EHLO c.test\r\n", "MAIL FROM:<a@x.test>\r\n",
	"RCPT TO:<b@y.test>\r\n", "BDAT 30 LAST\r\n" LINE_OF_10 LINE_OF_10 LINE_OF_10,
	"QUIT\r\n", NULL};

static void say(struct scene *s, const char *const *lines, bool is_split)
{
	if (!is_split)
		scene_say(s, lines);
	for (; is_split && *lines != NULL; lines++)
		for (const char *p = *lines; *p != '\0'; p++)
			rig_feed(&s->rig, p, 1);
}

static const struct {
	const char *name;
	enum rule_stage stage;
	struct {
		uint64_t after;
		enum rule_action action;
		int code;
	} rules[2];
	const char *fired;
	const char *reply;    /* at the end; NULL: dropped without one */
	size_t message_count; /* that are stored */
} octet_cases[] = {
	{"refused", RULE_DATA, {{10, RULE_REPLY, 451}, {10, RULE_REPLY, 452}},
		"0 data_chunk\n", "\r\n451 4.7.1 ", 0},
	{"exactly", RULE_DATA, {{30, RULE_REPLY, 451}, {31, RULE_REPLY, 452}},
		"0 data_chunk\n", "\r\n451 4.7.1 ", 0},
	{"too short", RULE_DATA, {{31, RULE_REPLY, 451}, {99, RULE_REPLY, 452}}, "",
		"\r\n250 2.0.0 Ok: ", 1},
	{"in the order of octets", RULE_DATA,
		{{20, RULE_REPLY, 451}, {10, RULE_REPLY, 452}}, "1 data_chunk\n",
		"\r\n452 4.7.1 ", 0},
	{"delay first", RULE_DATA, {{20, RULE_REPLY, 451}, {10, RULE_REPLY, 0}},
		"1 data_chunk\n0 data_chunk\n", "\r\n451 4.7.1 ", 0},
	{"delays only", RULE_DATA, {{10, RULE_REPLY, 0}, {20, RULE_REPLY, 0}},
		"0 data_chunk\n1 data_chunk\n", "\r\n250 2.0.0 Ok: ", 1},
	{"disconnected", RULE_DATA, {{20, RULE_DISCONNECT, 0}, {25, RULE_REPLY, 451}},
		"0 data_chunk\n", NULL, 0},
	{"of a chunk", RULE_BDAT, {{10, RULE_REPLY, 451}, {10, RULE_REPLY, 452}},
		"0 data_chunk\n", "\r\n451 4.7.1 ", 0},
	{"chunk disconnected", RULE_BDAT,
		{{20, RULE_DISCONNECT, 0}, {25, RULE_REPLY, 451}}, "0 data_chunk\n", NULL,
		0},
	{"not by DATA", RULE_BDAT, {{20, RULE_REPLY, 451}, {25, RULE_REPLY, 451}},
		"0 data_chunk\n", "\r\n451 4.7.1 ", 0},
};

static void after_octets(void)
{
	static const char *const names[] = {"0", "1"};

	for (size_t i = 0; i < 2 * sizeof(octet_cases) / sizeof(octet_cases[0]); i++) {
		bool is_chunk = octet_cases[i / 2].stage == RULE_BDAT;
		struct scene s;

		begin(&s);
		for (size_t k = 0; k < 2; k++) {
			struct rules_entry *e =
				scene_add(&s, names[k], octet_cases[i / 2].stage);

			e->after = octet_cases[i / 2].rules[k].after;
			e->code = octet_cases[i / 2].rules[k].code;
			e->rule.action = octet_cases[i / 2].rules[k].action;
			CHECK(octet_cases[i / 2].name, rules_check(e) == NULL);
		}
		scene_start(&s);
		say(&s, is_chunk ? long_chunk : long_message, i % 2 == 1);
		CHECK_STR(octet_cases[i / 2].name, str_of(s.fired),
			str_of(octet_cases[i / 2].fired));
		CHECK(octet_cases[i / 2].name,
			octet_cases[i / 2].reply == NULL
				? s.rig.is_dropped
				: has(&s, octet_cases[i / 2].reply));
		CHECK(octet_cases[i / 2].name,
			s.rig.message_count == octet_cases[i / 2].message_count);
		scene_done(&s);
	}
}

/* A rule that waits for octets starts anew with each message, knows DATA from BDAT, and
 * does not count what was too short for it. */
static void after_octets_again(void)
{
	struct scene s;
	struct rules_entry *e;

	begin(&s);
	e = scene_add(&s, "r", RULE_DATA);
	e->after = 30;
	e->rule.every = 2;
	scene_start(&s);
	rig_say(&s.rig, "EHLO c.test\r\n");
	for (size_t i = 0; i < 4; i++) {
		rig_say(&s.rig, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n");
		if (i == 2)
			rig_say(&s.rig, long_chunk[3]);
		else
			rig_say(&s.rig,
				i == 1 ? "DATA\r\nshort\r\n.\r\n"
				       : "DATA\r\n" LINE_OF_10 LINE_OF_10 LINE_OF_10
					 ".\r\n");
	}
	CU_ASSERT_STRING_EQUAL(s.fired, "r data_chunk\n");
	CU_ASSERT_EQUAL(s.rig.message_count, 3);
	CU_ASSERT_TRUE(has(&s, "451 4.7.1 "));
	scene_done(&s);
}

/* --------------------------------------------------------------- recipients */

/* Of up to three rules on message; all letters: "r" refuses, "a" accepts, "d" only
 * delays, in capitals if only for the recipient full-1; "p" refuses once per recipient,
 * "m" does what the address says. */
static void add_message_rules(
	struct scene *s, const char *rules, const struct pattern *full)
{
	static const char *const names[] = {"0", "1", "2"};

	for (size_t i = 0; rules[i] != '\0'; i++) {
		struct rules_entry *e = scene_add(s, names[i], RULE_MESSAGE);
		char what = str_lower(rules[i]);

		e->rule.recipient = rules[i] == what ? NULL : full;
		e->rule.action = what == 'a' ? RULE_ACCEPT : RULE_REPLY;
		e->code = what == 'r' || what == 'p' ? 450 + (int)i : 0;
		e->text = e->code != 0 ? "No %{recipient}" : "";
		e->rule.per = what == 'p' ? RULE_PER_RECIPIENT : RULE_PER_ALL;
		e->rule.first = what == 'p' ? 1 : 0;
		e->matches_address = what == 'm';
	}
}

static const char *const three_recipients[] = {"MAIL FROM:<a@x.test>\r\n",
	"RCPT TO:<b@y.test>\r\n", "RCPT TO:<full-1@y.test>\r\n",
	"RCPT TO:<550@y.test>\r\n", "DATA\r\n", "text\r\n.\r\n", NULL};

static void refuse_below(struct rig *rig, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	bool is_lmtp = rig->peer.settings.protocol == LISTEN_LMTP;

	(void)argument;
	if (hook == (is_lmtp ? RIG_MESSAGE_RECIPIENT : RIG_MESSAGE))
		verdict->code = 554;
}

/* The codes of the replies behind 354. */
static void find_codes(const struct scene *s, char *out, size_t size)
{
	struct str rest = rig_output(&s->rig);
	const char *start = memmem(rest.p, rest.n, "354 ", 4);

	out[0] = '\0';
	CU_ASSERT_PTR_NOT_NULL_FATAL(start);
	for (const char *p = start; p + 5 < rest.p + rest.n; p++)
		if (*p == '\n')
			(void)snprintf(out + strlen(out), size - strlen(out), "%s%.3s",
				out[0] == '\0' ? "" : " ", p + 1);
}

/* The fate of a message for b, full-1 and 550; in SMTP they share one.  Who is asked
 * below refuses. */
static const struct {
	bool is_lmtp;
	const char *rules;
	const char *fired;
	const char *codes; /* of the replies */
	const char *text;  /* of one of them */
} recipient_cases[] = {
	{false, "", "", "554", "554 5.7.1 Message refused"},
	{false, "r", "0 message\n", "450", "450 4.7.1 No b@y.test\r\n"},
	{false, "R", "0 message\n", "450", "450 4.7.1 No full-1@y.test\r\n"},
	{false, "Ar", "0 message\n", "250", "250 2.0.0 Ok: "},
	{false, "DR", "0 message\n1 message\n", "451", "No full-1@y.test\r\n"},
	{false, "D", "0 message\n", "554", "554 5.7.1 Message refused"},
	{false, "p", "0 message\n", "450", "450 4.7.1 No b@y.test\r\n"},
	{false, "m", "0 message\n", "550", "550 5.7.1 Message refused\r\n"},
	{true, "", "", "554 554 554", "554 5.7.1 "},
	{true, "r", "0 message\n", "450 450 450", "450 4.7.1 No b@y.test\r\n"},
	{true, "a", "0 message\n", "250 250 250", "250 2.0.0 Ok: "},
	{true, "d", "0 message\n", "554 554 554", "554 5.7.1 "},
	{true, "D", "0 message_recipient\n", "554 554 554", "554 5.7.1 "},
	{true, "aR", "0 message\n", "250 250 250", "250 2.0.0 Ok: "},
	{true, "Ra", "1 message\n0 message_recipient\n", "250 450 250",
		"450 4.7.1 No full-1@y.test\r\n"},
	{true, "Aar", "1 message\n0 message_recipient\n", "250 250 250",
		"250 2.0.0 Ok: "},
	{true, "A", "0 message_recipient\n", "554 250 554", "554 5.7.1 "},
	{true, "DRa", "2 message\n0 message_recipient\n1 message_recipient\n",
		"250 451 250", "451 4.7.1 No full-1@y.test\r\n"},
	{true, "p", "0 message_recipient\n0 message_recipient\n0 message_recipient\n",
		"450 450 450", "450 4.7.1 No full-1@y.test\r\n"},
	{true, "ma", "1 message\n0 message_recipient\n", "250 250 550", "550 5.7.1 "},
};

static void recipients(void)
{
	struct pattern *full = NULL;

	CU_ASSERT_PTR_NULL(pattern_new("full-1@*", &full));
	for (size_t i = 0; i < sizeof(recipient_cases) / sizeof(recipient_cases[0]);
		i++) {
		bool is_lmtp = recipient_cases[i].is_lmtp;
		char name[32], codes[32];
		struct scene s;

		(void)snprintf(name, sizeof(name), "%s: '%s'", is_lmtp ? "LMTP" : "SMTP",
			recipient_cases[i].rules);
		begin(&s);
		s.rig.judge = refuse_below;
		if (is_lmtp)
			s.rig.peer.settings.protocol = LISTEN_LMTP;
		add_message_rules(&s, recipient_cases[i].rules, full);
		scene_start(&s);
		rig_say(&s.rig, is_lmtp ? "LHLO c.test\r\n" : "EHLO c.test\r\n");
		scene_say(&s, three_recipients);
		find_codes(&s, codes, sizeof(codes));
		CHECK_STR(name, str_of(codes), str_of(recipient_cases[i].codes));
		CHECK_STR(name, str_of(s.fired), str_of(recipient_cases[i].fired));
		CHECK(name, has(&s, recipient_cases[i].text));
		scene_done(&s);
	}
	pattern_free(full);
}

/* -------------------------------------------------------------------- texts */

static void texts(void)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{"plain", "451 4.7.1 plain\r\n"},
		{"%{rule} for %{client}", "451 4.7.1 r for 192.0.2.7\r\n"},
		{"%{helo}/%{sender}/%{recipient}",
			"451 4.7.1 c.test/a@x.test/\"b ?\"@y.test\r\n"},
		{"<%{id}>", "451 4.7.1 <00000000000001-000001-0000>\r\n"},
		{"100%%{rule}", "451 4.7.1 100%{rule}\r\n"},
		{"", "451 4.7.1 Recipient refused\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;
		struct rules_entry *e;

		begin(&s);
		e = scene_add(&s, "r", RULE_RCPT);
		e->text = cases[i].text;
		CHECK(cases[i].text, rules_check(e) == NULL);
		scene_start(&s);
		rig_say(&s.rig, "EHLO c.test\r\nMAIL FROM:<a@x.test> SMTPUTF8\r\n"
				"RCPT TO:<\"b \x7f\"@y.test>\r\n"
				"RCPT TO:<\"b ?\"@y.test>\r\n");
		CHECK(cases[i].text, has(&s, cases[i].expected));
		scene_done(&s);
	}
}

/* What a client says is cut, and cannot begin a line of its own. */
static void hostile_texts(void)
{
	char line[600], address[300];
	struct scene s;
	struct rules_entry *e;
	const char *start, *end;

	memset(address, 'x', sizeof(address));
	(void)snprintf(line, sizeof(line),
		"EHLO c.test\r\nMAIL FROM:<a@x.test> SMTPUTF8\r\n"
		"RCPT TO:<\xc3\xbc\xe2\x80\xa6@%.60s.%.60s.%.60s.%.60s>\r\n",
		address, address, address, address);
	begin(&s);
	e = scene_add(&s, "r", RULE_RCPT);
	e->text = "<%{recipient}> <%{recipient}>";
	scene_start(&s);
	rig_say(&s.rig, line);
	start = memmem(s.rig.output.p, s.rig.output.len, "451 4.7.1 <", 11);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start);
	end = memchr(start, '\r', s.rig.output.len - (size_t)(start - s.rig.output.p));
	CU_ASSERT_EQUAL(end - start, 10 + 255);
	CU_ASSERT_EQUAL(strncmp(start, "451 4.7.1 <?????@xxx", 20), 0);
	scene_done(&s);
}

/* --------------------------------------------------------------- addresses */

/* Addresses that name a fault, where a rule lets them. */
static void named_faults(void)
{
	static const struct {
		const char *name;
		enum rule_stage stage;
		const char *sender, *recipient;
		const char *text;
		const char *reply;
		uint64_t paused_ms;
	} cases[] = {
		{"recipient", RULE_RCPT, "a", "452-4.2.2", "",
			"452 4.2.2 Recipient refused\r\n", 7},
		{"its text", RULE_RCPT, "a", "452-4.2.2", "No room for %{recipient}",
			"452 4.2.2 No room for 452-4.2.2@y.test\r\n", 7},
		{"nobody's", RULE_RCPT, "452", "b", "", "\r\n250 2.0.0 Ok: ", 0},
		{"delay", RULE_RCPT, "a", "delay20ms", "", "\r\n250 2.0.0 Ok: ", 27},
		{"both", RULE_RCPT, "a", "delay20ms-550", "",
			"550 5.7.1 Recipient refused\r\n", 27},
		{"sender", RULE_MAIL, "550-5.1.8", "452", "",
			"550 5.1.8 Sender refused\r\n", 7},
		{"on data", RULE_DATA, "a", "452-4.2.2", "",
			"452 4.2.2 Message refused\r\n", 7},
		{"after the dot", RULE_MESSAGE, "a", "452-4.2.2", "",
			"452 4.2.2 Message refused\r\n", 7},
		{"421", RULE_RCPT, "a", "421", "", "421 4.3.2 Recipient refused\r\n", 7},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;
		struct rules_entry *e;
		char line[128];

		begin(&s);
		e = scene_add(&s, "r", cases[i].stage);
		e->matches_address = true;
		e->code = 451;
		e->text = cases[i].text;
		e->rule.delay = (struct rule_delay){7, 7, 0};
		CHECK(cases[i].name, rules_check(e) == NULL);
		scene_start(&s);
		rig_say(&s.rig, "EHLO c.test\r\n");
		(void)snprintf(
			line, sizeof(line), "MAIL FROM:<%s@x.test>\r\n", cases[i].sender);
		rig_say(&s.rig, line);
		(void)snprintf(line, sizeof(line), "RCPT TO:<%s@y.test>\r\n",
			cases[i].recipient);
		rig_say(&s.rig, line);
		rig_say(&s.rig, "DATA\r\n");
		rig_say(&s.rig, "text\r\n.\r\n");
		CHECK(cases[i].name, has(&s, cases[i].reply));
		CHECK(cases[i].name, s.rig.paused_ms == cases[i].paused_ms);
		scene_done(&s);
	}
}

/* -------------------------------------------------------------------- fates */

#define MESSAGES 1000
#define SESSIONS 20

/* One message on that session; returns whether it was refused. */
static bool is_refused(struct scene *s, size_t i)
{
	char line[128];

	rig_forget(&s->rig);
	(void)snprintf(line, sizeof(line),
		"MAIL FROM:<a@x.test>\r\nRCPT TO:<user%zu@y.test>\r\n", i);
	rig_say(&s->rig, line);
	if (!has(s, "451 "))
		rig_say(&s->rig, "DATA\r\ntext\r\n.\r\n");
	if (!has(s, "451 "))
		return false;
	rig_say(&s->rig, "RSET\r\n");
	return true;
}

/* Send all messages over so many sessions, in some order; write what came of each. */
static void send_all(enum rule_stage stage, size_t session_count, size_t step,
	char fates[MESSAGES + 1])
{
	static struct scene scenes[SESSIONS];

	memset(&tally, 0, sizeof(tally));
	for (size_t i = 0; i < session_count; i++) {
		struct rules_entry *e;

		scene_init(&scenes[i], &tally);
		e = scene_add(&scenes[i], "r", stage);
		e->rule.percent = 30;
		scene_start(&scenes[i]);
		rig_say(&scenes[i].rig, "EHLO c.test\r\n");
	}
	for (size_t i = 0; i < MESSAGES; i++) {
		size_t k = i * step % MESSAGES;

		fates[k] = is_refused(&scenes[(i * 7 + i / 100) % session_count], k)
				   ? 'x'
				   : '.';
	}
	fates[MESSAGES] = '\0';
	for (size_t i = 0; i < session_count; i++)
		scene_done(&scenes[i]);
}

/* The same mail meets the same fate, whoever serves it and in whatever order. */
static void fates(void)
{
	static const enum rule_stage stages[] = {RULE_RCPT, RULE_DATA, RULE_MESSAGE};
	static char one[MESSAGES + 1], other[MESSAGES + 1];

	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		size_t refused = 0;

		send_all(stages[i], 1, 1, one);
		send_all(stages[i], SESSIONS, 1, other);
		CU_ASSERT_STRING_EQUAL(one, other);
		send_all(stages[i], SESSIONS, 333, other);
		CU_ASSERT_STRING_EQUAL(one, other);
		for (const char *p = one; *p != '\0'; p++)
			refused += *p == 'x';
		CU_ASSERT_TRUE(refused > 240 && refused < 360);
	}
}

/* ----------------------------------------------------------------- settings */

static const struct {
	const char *name;
	enum rule_stage stage;
	enum rule_action action;
	int code;
	const char *enhanced;
	const char *text;
	uint64_t after;
	bool matches_address;
	bool has_sender, has_recipient, has_helo;
	enum rule_per per;
	bool is_right;
} check_cases[] = {
	{"a reply", RULE_RCPT, 0, 452, "4.2.2", "Full", 0, 0, 1, 1, 1, 0, true},
	{"code 399", RULE_RCPT, 0, 399, "", "", 0, 0, 0, 0, 0, 0, false},
	{"code 600", RULE_RCPT, 0, 600, "", "", 0, 0, 0, 0, 0, 0, false},
	{"class", RULE_RCPT, 0, 452, "5.2.2", "", 0, 0, 0, 0, 0, 0, false},
	{"enhanced alone", RULE_RCPT, 0, 0, "4.2.2", "", 0, 0, 0, 0, 0, 0, false},
	{"text", RULE_RCPT, 0, 452, "", "%{id", 0, 0, 0, 0, 0, 0, false},
	{"two answers", RULE_RCPT, RULE_STALL, 452, "", "", 0, 0, 0, 0, 0, 0, false},
	{"octets", RULE_DATA, RULE_RESET, 0, "", "", 9, 0, 0, 0, 0, 0, true},
	{"octets of rcpt", RULE_RCPT, 0, 452, "", "", 9, 0, 0, 0, 0, 0, false},
	{"octets of message", RULE_MESSAGE, 0, 452, "", "", 9, 0, 0, 0, 0, 0, false},
	{"accept octets", RULE_DATA, RULE_ACCEPT, 0, "", "", 9, 0, 0, 0, 0, 0, false},
	{"address", RULE_MAIL, 0, 0, "", "", 0, 1, 0, 0, 0, 0, true},
	{"no address", RULE_HELO, 0, 0, "", "", 0, 1, 0, 0, 0, 0, false},
	{"address and action", RULE_RCPT, RULE_DROP, 0, "", "", 0, 1, 0, 0, 0, 0, false},
	{"helo, connect", RULE_CONNECT, 0, 451, "", "", 0, 0, 0, 0, 1, 0, false},
	{"helo, helo", RULE_HELO, 0, 451, "", "", 0, 0, 0, 0, 1, 0, true},
	{"sender, helo", RULE_HELO, 0, 451, "", "", 0, 0, 1, 0, 0, 0, false},
	{"sender, mail", RULE_MAIL, 0, 451, "", "", 0, 0, 1, 0, 0, 0, true},
	{"recipient, mail", RULE_MAIL, 0, 451, "", "", 0, 0, 0, 1, 0, 0, false},
	{"recipient, quit", RULE_QUIT, 0, 451, "", "", 0, 0, 0, 1, 0, 0, true},
	{"per sender", RULE_AUTH, 0, 451, "", "", 0, 0, 0, 0, 0, RULE_PER_SENDER, false},
	{"per recipient", RULE_MAIL, 0, 451, "", "", 0, 0, 0, 0, 0, RULE_PER_RECIPIENT,
		false},
	{"per client", RULE_CONNECT, 0, 451, "", "", 0, 0, 0, 0, 0, RULE_PER_CLIENT,
		true},
};

static void checks(void)
{
	struct pattern *any = NULL;

	CU_ASSERT_PTR_NULL(pattern_new("*", &any));
	for (size_t i = 0; i < sizeof(check_cases) / sizeof(check_cases[0]); i++) {
		const struct rules_entry e = {
			.rule = {.name = "r",
				.stage = check_cases[i].stage,
				.action = check_cases[i].action,
				.sender = check_cases[i].has_sender ? any : NULL,
				.recipient = check_cases[i].has_recipient ? any : NULL,
				.helo = check_cases[i].has_helo ? any : NULL,
				.per = check_cases[i].per},
			.code = check_cases[i].code,
			.enhanced = check_cases[i].enhanced,
			.text = check_cases[i].text,
			.after = check_cases[i].after,
			.matches_address = check_cases[i].matches_address};

		CHECK(check_cases[i].name,
			(rules_check(&e) == NULL) == check_cases[i].is_right);
	}
	pattern_free(any);
}

static void text_checks(void)
{
	static const struct {
		const char *text;
		bool is_right;
	} cases[] = {
		{"", true},
		{"Mailbox full", true},
		{"100%% %{rule}%{client}%{helo}%{sender}%{recipient}%{id}", true},
		{"%%{nothing}", true},
		{"%", false},
		{"100%", false},
		{"% d", false},
		{"%{", false},
		{"%{}", false},
		{"%{rule", false},
		{"%{Rule}", false},
		{"%{rules}", false},
		{"%{recipients}", false},
		{"two\nlines", false},
		{"caf\xc3\xa9", false},
		{"tab\t", false},
	};
	char text[257];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].text,
			(rules_check_text(cases[i].text) == NULL) == cases[i].is_right);
	memset(text, 'x', 256);
	text[256] = '\0';
	CU_ASSERT_PTR_NOT_NULL(rules_check_text(text));
	text[255] = '\0';
	CU_ASSERT_PTR_NULL(rules_check_text(text));
}

void suite_rules_faults(void)
{
	CU_pSuite s = CU_add_suite("rules_faults", NULL, NULL);

	CU_add_test(s, "after octets", after_octets);
	CU_add_test(s, "after octets again", after_octets_again);
	CU_add_test(s, "recipients", recipients);
	CU_add_test(s, "texts", texts);
	CU_add_test(s, "hostile texts", hostile_texts);
	CU_add_test(s, "named faults", named_faults);
	CU_add_test(s, "fates", fates);
	CU_add_test(s, "checks", checks);
	CU_add_test(s, "text checks", text_checks);
}
