/* smtp/host: what hooks may look at while they are asked, and what they may put in front
 * of a message. */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org> SIZE=100\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define DATA "DATA\r\n"
#define TEXT "text\r\n.\r\n"

/* --- what can be seen -------------------------------------------------------------- */

static const char *const verb_names[] = {
#define VERB_NAME(name) #name,
	SMTP_VERBS(VERB_NAME)
#undef VERB_NAME
};

static const char *const hook_names[] = {
#define HOOK_NAME(id, name) name,
	RIG_HOOKS(HOOK_NAME)
#undef HOOK_NAME
};

/* One line for each hook: who is there, and what is going on. */
static void look(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	const struct envelope *e = smtp_envelope(r->engine);
	struct buf *seen = r->user;

	(void)argument;
	(void)verdict;
	(void)buf_add_format(seen, "%s %s '%.*s' '%.*s' %u %zu %u\n", hook_names[hook],
		verb_names[smtp_command(r->engine)], STR_ARG(e->client.helo),
		STR_ARG(e->sender.mailbox), (unsigned)e->declared_size,
		e->recipient_count, (unsigned)e->size_bytes);
}

static const char whole_session[] =
	"connect OTHER '' '' 0 0 0\n"
	"server_domain OTHER '' '' 0 0 0\n"
	"server_greeting OTHER '' '' 0 0 0\n"
	"command EHLO '' '' 0 0 0\n"
	"ehlo_domain EHLO '' '' 0 0 0\n"
	"server_domain EHLO '' '' 0 0 0\n"
	"transaction EHLO '' '' 0 0 0\n"
	"command MAIL 'client.example' '' 0 0 0\n"
	"sender MAIL 'client.example' 'a@example.org' 100 0 0\n"
	"command RCPT 'client.example' 'a@example.org' 100 0 0\n"
	"recipient RCPT 'client.example' 'a@example.org' 100 0 0\n"
	"command OTHER 'client.example' 'a@example.org' 100 1 0\n"
	"command DATA 'client.example' 'a@example.org' 100 1 0\n"
	"data_command DATA 'client.example' 'a@example.org' 100 1 0\n"
	"server_domain DATA 'client.example' 'a@example.org' 100 1 0\n"
	"data_chunk DATA 'client.example' 'a@example.org' 100 1 6\n"
	"message DATA 'client.example' 'a@example.org' 100 1 6\n"
	"transaction DATA 'client.example' '' 0 0 0\n"
	"command QUIT 'client.example' '' 0 0 0\n"
	"connection_ended QUIT 'client.example' '' 0 0 0\n";

static void test_look(void)
{
	struct buf seen;
	struct rig r;

	buf_init(&seen, 1 << 16);
	rig_init(&r);
	r.judge = look;
	r.user = &seen;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT "FOO\r\n" DATA TEXT "QUIT\r\n");
	rig_end(&r);
	CHECK_STR("seen", buf_str(&seen), str_of(whole_session));
	rig_done(&r);
	buf_done(&seen);
}

static void refuse_sender(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)r;
	(void)argument;
	if (hook == RIG_SENDER)
		verdict->code = SINKD_REFUSE;
}

/* A sender that was refused is not there. */
static void test_refused_sender(void)
{
	const struct envelope *e;
	struct rig r;

	rig_init(&r);
	r.judge = refuse_sender;
	rig_start(&r);
	rig_say(&r, EHLO MAIL);
	e = smtp_envelope(r.engine);
	CHECK("nobody", e->sender.mailbox.n == 0 && e->argument.n == 0);
	CHECK("no size", e->declared_size == 0);
	CHECK_STR("client", e->client.helo, STR("client.example"));
	rig_end(&r);
	rig_done(&r);
}

static void test_session_number(void)
{
	uint64_t first;
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	first = smtp_session_number(r.engine);
	rig_say(&r, EHLO MAIL RCPT DATA TEXT);
	CHECK("same", smtp_session_number(r.engine) == first);
	rig_end(&r);
	rig_start(&r);
	CHECK("other", smtp_session_number(r.engine) == first + 1);
	r.env.session_base = 1000;
	CHECK("base", smtp_session_number(r.engine) == first + 1001);
	rig_end(&r);
	rig_done(&r);
}

/* --- prepending -------------------------------------------------------------------- */

/* Prepend lines (each ended by '|') at a hook, so many times; then give a verdict. */
struct wish {
	enum rig_hook hook;
	const char *lines;
	unsigned times; /* that it is asked; the verdict is for the first */
	struct sinkd_verdict verdict;
	unsigned done;
	unsigned refused; /* lines that were not taken */
};

static void prepend(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	struct wish *wish = r->user;
	const char *line = wish->lines;

	(void)argument;
	if (hook != wish->hook || wish->done == wish->times)
		return;
	for (const char *end; (end = strchr(line, '|')) != NULL; line = end + 1)
		wish->refused += !smtp_prepend(
			r->engine, (struct str){line, (size_t)(end - line)});
	if (verdict != NULL && wish->done == 0)
		*verdict = wish->verdict;
	wish->done++;
}

#define ALL EHLO MAIL RCPT RCPT DATA TEXT
#define TWO "begin a@example.org b@example.org b@example.org"

static const struct prepend_case {
	const char *name;
	const char *say;
	struct wish wish;
	const char *begin; /* that the trace has */
} prepend_cases[] = {
	{"sender", ALL, {.hook = RIG_SENDER, .lines = "X-A: 1|X-B:2|", .times = 1},
		TWO "|X-A: 1|X-B:2|\n"},
	{"each recipient", ALL, {.hook = RIG_RECIPIENT, .lines = "X-A: 1|", .times = 9},
		TWO "|X-A: 1|X-A: 1|\n"},
	{"data", ALL, {.hook = RIG_DATA_COMMAND, .lines = "X-A: 1|", .times = 1},
		TWO "|X-A: 1|\n"},
	{"BDAT", EHLO MAIL RCPT RCPT "BDAT 0 LAST\r\n",
		{.hook = RIG_DATA_COMMAND, .lines = "X-A: 1|", .times = 1},
		TWO "|X-A: 1|\n"},
	{"command", ALL,
		{.hook = RIG_COMMAND, .lines = "X-A: 1|", .times = 9, .refused = 0},
		TWO "|X-A: 1|X-A: 1|X-A: 1|\n"},
	{"sender refused", EHLO MAIL ALL,
		{.hook = RIG_SENDER,
			.lines = "X-A: 1|",
			.times = 1,
			.verdict = {.code = 450}},
		TWO "\n"},
	{"first recipient refused", EHLO MAIL RCPT RCPT RCPT DATA TEXT,
		{.hook = RIG_RECIPIENT,
			.lines = "X-A: 1|",
			.times = 1,
			.verdict = {.code = 450}},
		TWO "\n"},
	{"but not the second", EHLO MAIL RCPT RCPT RCPT DATA TEXT,
		{.hook = RIG_RECIPIENT,
			.lines = "X-A: 1|",
			.times = 2,
			.verdict = {.code = 450}},
		TWO "|X-A: 1|\n"},
	{"data refused", EHLO MAIL RCPT RCPT DATA DATA TEXT,
		{.hook = RIG_DATA_COMMAND,
			.lines = "X-A: 1|",
			.times = 2,
			.verdict = {.code = 450}},
		TWO "|X-A: 1|\n"},
	{"RSET forgets", EHLO MAIL RCPT "RSET\r\n" MAIL RCPT RCPT DATA TEXT,
		{.hook = RIG_SENDER, .lines = "X-A: 1|", .times = 1}, TWO "\n"},
	{"too early", ALL,
		{.hook = RIG_EHLO_DOMAIN, .lines = "X-A: 1|", .times = 1, .refused = 1},
		TWO "\n"},
	{"too late", ALL,
		{.hook = RIG_DATA_CHUNK, .lines = "X-A: 1|", .times = 1, .refused = 1},
		TWO "\n"},
	{"far too late", ALL,
		{.hook = RIG_MESSAGE, .lines = "X-A: 1|", .times = 1, .refused = 1},
		TWO "\n"},
	{"BDAT, too late", EHLO MAIL RCPT RCPT "BDAT 0\r\nBDAT 0 LAST\r\n",
		{.hook = RIG_MESSAGE, .lines = "X-A: 1|", .times = 1, .refused = 1},
		TWO "\n"},
	{"no header lines", ALL,
		{.hook = RIG_SENDER,
			.lines = "|X|:|: 1|X Y: 1| X: 1|X: \r|X: \t|\xc3\xa4: 1|X: "
				 "\xc3\xa4|",
			.times = 1,
			.refused = 10},
		TWO "\n"},
	{"UTF-8 where it may be",
		EHLO "MAIL FROM:<a@example.org> SMTPUTF8\r\n" RCPT RCPT DATA TEXT,
		{.hook = RIG_SENDER,
			.lines = "X: \xc3\xa4|X: \xc3|\xc3\xa4: 1|",
			.times = 1,
			.refused = 2},
		TWO "|X: \xc3\xa4|\n"},
};

static void test_prepend(void)
{
	for (size_t i = 0; i < COUNT_OF(prepend_cases); i++) {
		const struct prepend_case *c = &prepend_cases[i];
		struct wish wish = c->wish;
		struct str trace;
		struct rig r;

		wish.refused = 0;
		rig_init(&r);
		r.judge = prepend;
		r.user = &wish;
		rig_start(&r);
		rig_say(&r, c->say);
		/* Of each command there is one that has no transaction yet. */
		if (wish.hook == RIG_COMMAND)
			wish.refused -= 2;
		CHECK(c->name, wish.done > 0 && wish.refused == c->wish.refused);
		trace = rig_trace(&r);
		CHECK(c->name,
			memmem(trace.p, trace.n, c->begin, strlen(c->begin)) != NULL);
		CHECK(c->name, r.message_count == 1);
		rig_end(&r);
		rig_done(&r);
	}
}

static void prepend_longest(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	size_t *taken = r->user;
	char line[1000] = "X: ";

	(void)argument;
	(void)verdict;
	if (hook != RIG_RECIPIENT)
		return;
	memset(line + 3, 'x', sizeof(line) - 3);
	CHECK("too long", !smtp_prepend(r->engine, (struct str){line, 999}));
	*taken += smtp_prepend(r->engine, (struct str){line, 998});
}

/* However much it is, the session's memory is the limit; what fits, stays. */
static void test_prepend_much(void)
{
	size_t taken = 0;
	struct rig r;

	rig_init(&r);
	r.settings.memory_max = 100000;
	r.judge = prepend_longest;
	r.user = &taken;
	rig_start(&r);
	rig_say(&r, EHLO MAIL);
	for (size_t i = 0; i < 200; i++)
		rig_say(&r, RCPT);
	CHECK("some", taken > 20 && taken < 100);
	CHECK("all of them", smtp_envelope(r.engine)->prepended.n == taken * (998 + 1));
	rig_say(&r, DATA TEXT);
	CHECK("stored", r.message_count == 1);
	rig_end(&r);
	rig_done(&r);
}

static void prepend_and_refuse(struct rig *r, enum rig_hook hook,
	struct sinkd_str argument, struct sinkd_verdict *verdict)
{
	char line[998] = "X: ";
	size_t *asked = r->user;

	(void)argument;
	if (hook != RIG_DATA_COMMAND)
		return;
	memset(line + 3, 'x', sizeof(line) - 3);
	CHECK("there is room", smtp_prepend(r->engine, (struct str){line, sizeof(line)}));
	if (++*asked < 200)
		verdict->code = 450;
}

/* Of a DATA that was refused nothing stays, nor takes memory. */
static void test_refused_data(void)
{
	size_t asked = 0;
	struct rig r;

	rig_init(&r);
	r.settings.memory_max = 65536;
	r.judge = prepend_and_refuse;
	r.user = &asked;
	rig_start(&r);
	rig_say(&r, EHLO MAIL RCPT);
	for (size_t i = 1; i < 200; i++)
		rig_say(&r, DATA);
	rig_say(&r, RCPT DATA);
	CHECK("one line", asked == 200 && smtp_envelope(r.engine)->prepended.n == 999);
	rig_say(&r, TEXT);
	CHECK("stored", r.message_count == 1);
	rig_end(&r);
	rig_done(&r);
}

void suite_host(void)
{
	CU_pSuite s = CU_add_suite("host", NULL, NULL);

	CU_add_test(s, "look", test_look);
	CU_add_test(s, "refused sender", test_refused_sender);
	CU_add_test(s, "session number", test_session_number);
	CU_add_test(s, "prepend", test_prepend);
	CU_add_test(s, "prepend much", test_prepend_much);
	CU_add_test(s, "refused DATA", test_refused_data);
}
