/* Unit tests of policy/service: the engine with a policy service, and what becomes of it
 * when that does not keep to the rules. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/service_answer.h"
#include "service_fixture.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org> SIZE=77\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define TEXT "DATA\r\ntext\r\n.\r\n"

static void test_a_message(void)
{
	static struct scene c;
	char instances[512], a[64], b[64], other[64];

	service_set_up(&c);
	service_start(&c);
	rig_say(&c.rig,
		EHLO MAIL RCPT "RCPT TO:<c@example.org>\r\n" TEXT MAIL "RSET\r\n");
	rig_end(&c.rig);
	service_start(&c);
	rig_say(&c.rig, "HELO again.example\r\nQUIT\r\n");
	service_check_values(&c, "protocol_state",
		"CONNECT EHLO MAIL RCPT RCPT DATA END-OF-MESSAGE MAIL CONNECT HELO ");
	service_check_values(&c, "helo_name",
		" client.example client.example client.example client.example "
		"client.example client.example client.example  again.example ");
	service_check_values(&c, "sender",
		"  a@example.org a@example.org a@example.org a@example.org a@example.org "
		"a@example.org   ");
	service_check_values(&c, "recipient", "   b@example.org c@example.org      ");
	service_check_values(&c, "recipient_count", "0 0 0 0 0 2 2 0 0 0 ");
	service_check_values(&c, "size", "0 0 77 77 77 77 6 77 0 0 ");
	service_values(&c, "instance", instances, sizeof(instances));
	CU_ASSERT_EQUAL(
		sscanf(instances, "%*s %*s %63s %63s %*s %*s %*s %63s", a, b, other), 3);
	CHECK("the same message", strcmp(a, b) == 0);
	CHECK("another message", strcmp(a, other) != 0);
	CU_ASSERT_EQUAL(c.connections, 1);
	CU_ASSERT_EQUAL(c.failures, 0);
	CU_ASSERT_EQUAL(c.rig.message_count, 1);
	service_tear_down(&c);
}

static void test_replies(void)
{
	static const struct {
		const char *state, *answer, *reply;
		int code; /* of the last command */
	} cases[] = {
		{"CONNECT", "action=REJECT\n\n", "554 5.7.1 ", 0},
		{"CONNECT", "action=421 4.7.0 Busy\n\n", "421 4.7.0 ", 0},
		{"EHLO", "action=550 5.7.9 Who?\n\n", "550 5.7.9 Who?\r\n", 503},
		{"MAIL", "action=DEFER Not now\n\n", "450 4.7.1 Not now\r\n", 503},
		{"RCPT", "action=REJECT No\tsuch\x01\xc3\xbc\n\n",
			"554 5.7.1 No such???\r\n", 503},
		{"RCPT", "action=DEFER_IF_PERMIT Greylisted\n\n",
			"450 4.7.1 Greylisted\r\n", 503},
		{"RCPT", "action=452 4.2.2 Mailbox full\n\n",
			"452 4.2.2 Mailbox full\r\n", 503},
		{"DATA", "action=550\n\n", "550 5.7.1 Message refused\r\n", 500},
		{"END-OF-MESSAGE", "action=554 5.6.0 Spam\n\n", "554 5.6.0 Spam\r\n",
			554},
		{"RCPT", "action=OK\n\n", "250 2.1.5 Ok\r\n", 250},
		{"RCPT", "action=HOLD it\n\n", "250 2.1.5 Ok\r\n", 250},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *name = cases[i].answer;
		const struct answer answers[] = {
			{cases[i].state, cases[i].answer}, {NULL, NULL}};
		static struct scene c;
		bool is_accepted = cases[i].code == 250;

		service_set_up(&c);
		c.answers = answers;
		service_start(&c);
		rig_say(&c.rig, EHLO);
		rig_say(&c.rig, MAIL);
		rig_say(&c.rig, RCPT);
		rig_say(&c.rig, "DATA\r\n");
		rig_say(&c.rig, "text\r\n.\r\n");
		CHECK(name, service_says(&c, cases[i].reply));
		CHECK(name, c.rig.message_count == is_accepted);
		CHECK(name, c.connections == 1 && c.failures == 0);
		CHECK(name, (strcmp(c.ignored, "HOLD it") == 0) ==
				    (strstr(cases[i].answer, "HOLD") != NULL));
		service_tear_down(&c);
	}
}

static void test_discard(void)
{
	static const char *const states[] = {
		"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"};

	for (size_t i = 0; i < COUNT_OF(states); i++) {
		const struct answer answers[] = {
			{states[i], "action=DISCARD quietly\n\n"}, {NULL, NULL}};
		static struct scene c;

		service_set_up(&c);
		c.answers = answers;
		service_start(&c);
		rig_say(&c.rig, EHLO MAIL RCPT);
		c.action = strcmp(states[i], "RCPT") == 0 ? SINKD_DECIDE : c.action;
		rig_say(&c.rig, TEXT);
		CHECK(states[i], c.action == SINKD_DISCARD);
		CHECK(states[i],
			service_says(&c, "250 2.1.5") && service_says(&c, "250 2.0.0"));
		service_tear_down(&c);
	}
}

/* For all recipients, but not for those of the next message. */
static void test_discard_ends(void)
{
	static const struct answer answers[] = {
		{"recipient=b@example.org", "action=DISCARD\n\n"}, {NULL, NULL}};
	static struct scene c;

	service_set_up(&c);
	c.answers = answers;
	service_start(&c);
	rig_say(&c.rig, EHLO MAIL RCPT "RSET\r\n");
	CU_ASSERT_EQUAL(c.action, SINKD_DISCARD);
	c.action = SINKD_DECIDE;
	rig_say(&c.rig, MAIL "RCPT TO:<c@example.org>\r\n" TEXT);
	CU_ASSERT_EQUAL(c.action, SINKD_DECIDE);
	CU_ASSERT_EQUAL(c.rig.message_count, 1);
	service_tear_down(&c);
}

static void test_discard_and_reject(void)
{
	static const struct answer answers[] = {{"EHLO", "action=DISCARD\n\n"},
		{"MAIL", "action=REJECT\n\n"}, {NULL, NULL}};
	static struct scene c;

	service_set_up(&c);
	c.answers = answers;
	service_start(&c);
	rig_say(&c.rig, EHLO MAIL);
	CU_ASSERT_EQUAL(c.action, SINKD_DECIDE);
	CU_ASSERT_TRUE(service_says(&c, "554 5.7.1 Sender refused\r\n"));
	service_tear_down(&c);
}

static void test_prepend(void)
{
	static const struct {
		const char *state, *answer, *prepended, *ignored;
	} cases[] = {
		{"CONNECT", "action=PREPEND X-A: b\n\n", "X-A: b\n", ""},
		{"EHLO", "action=PREPEND X-A: b\n\n", "X-A: b\n", ""},
		{"MAIL", "action=PREPEND X-A: b\n\n", "X-A: b\n", ""},
		{"RCPT", "action=PREPEND X-A: b\n\n", "X-A: b\nX-A: b\n", ""},
		{"DATA", "action=PREPEND X-A: b\n\n", "X-A: b\n", ""},
		{"END-OF-MESSAGE", "action=PREPEND X-A: b\n\n", "", "PREPEND X-A: b"},
		{"RCPT", "action=PREPEND no header\n\n", "", "PREPEND no header"},
		{"EHLO", "action=PREPEND no header\n\n", "", "no header"},
		{"RCPT", "action=PREPEND X: a\rY: b\n\n", "", "PREPEND X: a\rY: b"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct answer answers[] = {
			{cases[i].state, cases[i].answer}, {NULL, NULL}};
		static struct scene c;

		service_set_up(&c);
		c.answers = answers;
		service_start(&c);
		rig_say(&c.rig, EHLO MAIL RCPT RCPT TEXT);
		CHECK_STR(
			cases[i].state, str_of(c.prepended), str_of(cases[i].prepended));
		CHECK_STR(cases[i].state, str_of(c.ignored), str_of(cases[i].ignored));
		CHECK(cases[i].state, c.rig.message_count == 1);
		service_tear_down(&c);
	}
}

/* A connection that has gone is made anew, and the question is asked again. */
static void test_broken_connections(void)
{
	static const struct {
		const char *name;
		unsigned answers_max;
		unsigned connections;
	} cases[] = {
		{"after each answer", 1, 6},
		{"after two", 2, 3},
		{"never", 0, 1},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		static struct scene c;

		service_set_up(&c);
		c.answers_max = cases[i].answers_max;
		service_start(&c);
		rig_say(&c.rig, EHLO MAIL RCPT TEXT);
		CHECK(cases[i].name, c.failures == 0 && c.rig.message_count == 1);
		CHECK(cases[i].name, c.connections == cases[i].connections);
		service_tear_down(&c);
	}
}

/* It takes the question, and goes: once on a kept connection, then on a new one. */
static void test_closed_over_a_question(void)
{
	static const struct answer answers[] = {{"RCPT", CLOSE}, {NULL, NULL}};
	static struct scene c;

	service_set_up(&c);
	c.answers = answers;
	service_start(&c);
	rig_say(&c.rig, EHLO MAIL RCPT);
	CU_ASSERT_TRUE(service_says(&c, "451 4.3.5 Ask again\r\n"));
	CU_ASSERT_EQUAL(c.connections, 2);
	CU_ASSERT_EQUAL(c.failures, 1);
	service_check_values(&c, "protocol_state", "CONNECT EHLO MAIL RCPT RCPT ");
	rig_say(&c.rig, "RSET\r\n" MAIL);
	CU_ASSERT_EQUAL(c.failures, 1);
	CU_ASSERT_EQUAL(c.connections, 3);
	service_tear_down(&c);
}

static void test_bad_answers(void)
{
	static char flood[SERVICE_ANSWER_MAX + 1];
	const struct {
		const char *name, *text, *why;
	} cases[] = {
		{"no action", "actoin=OK\n\n", "the answer has no action 0"},
		{"no attribute", "OK\n", "a line of the answer is not name=value 0"},
		{"two", "action=OK\naction=OK\n\n", "the answer has several actions 0"},
		{"flood", flood, "the answer is too long 0"},
	};

	memset(flood, 'x', sizeof(flood) - 1);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct answer answers[] = {{"MAIL", cases[i].text}, {NULL, NULL}};
		static struct scene c;

		service_set_up(&c);
		c.answers = answers;
		service_start(&c);
		rig_say(&c.rig, EHLO MAIL);
		CHECK(cases[i].name, service_says(&c, "451 4.3.5 Ask again\r\n"));
		CHECK(cases[i].name, c.failures == 1 && c.connections == 1);
		CHECK_STR(cases[i].name, str_of(c.why), str_of(cases[i].why));
		service_tear_down(&c);
	}
}

/* What nobody asked for is not taken for the next answer. */
static void test_answers_ahead(void)
{
	static const struct answer answers[] = {
		{"EHLO", "action=OK\n\naction=REJECT\n\n"}, {NULL, NULL}};
	static struct scene c;

	service_set_up(&c);
	c.answers = answers;
	service_start(&c);
	rig_say(&c.rig, EHLO MAIL RCPT TEXT);
	CU_ASSERT_EQUAL(c.rig.message_count, 1);
	CU_ASSERT_EQUAL(c.connections, 2);
	CU_ASSERT_EQUAL(c.failures, 0);
	service_tear_down(&c);
}

static void test_late_answer(void)
{
	static const struct answer answers[] = {{"EHLO", LATE}, {NULL, NULL}};
	static struct scene c;
	struct pollfd p = {.events = POLLIN};

	service_set_up(&c);
	c.answers = answers;
	service_start(&c);
	rig_say(&c.rig, EHLO);
	CU_ASSERT(write(c.go[1], "", 1) == 1);
	p.fd = c.fd;
	CU_ASSERT(poll(&p, 1, PATIENCE_MS) == 1);
	rig_say(&c.rig, MAIL RCPT TEXT);
	CU_ASSERT_EQUAL(c.rig.message_count, 1);
	CU_ASSERT_EQUAL(c.connections, 2);
	CU_ASSERT_EQUAL(c.failures, 0);
	service_tear_down(&c);
}

static void test_silence(void)
{
	static const struct answer answers[] = {
		{"MAIL", SILENT}, {"EHLO", "action=DUN"}, {NULL, NULL}};
	static struct scene c;
	uint64_t start_ms;

	service_set_up(&c);
	c.answers = answers;
	c.settings.timeout_ms = SHORT_MS;
	service_start(&c);
	start_ms = clock_monotonic_ms();
	rig_say(&c.rig, "HELO client.example\r\n" MAIL);
	CU_ASSERT_TRUE(service_says(&c, "451 4.3.5 Ask again\r\n"));
	CU_ASSERT_EQUAL(c.failures, 1);
	CHECK("no longer than that", clock_monotonic_ms() - start_ms < PATIENCE_MS);
	rig_say(&c.rig, EHLO);
	CHECK("half an answer", c.failures == 2 && c.connections == 2);
	CHECK("why", strncmp(c.why, "the policy service does not answer", 34) == 0);
	service_tear_down(&c);
}

static void test_unreachable(void)
{
	static struct scene c;

	service_set_up(&c);
	c.connect_error = -ECONNREFUSED;
	service_start(&c);
	CU_ASSERT_TRUE(service_says(&c, "451 4.3.5 Ask again\r\n"));
	CU_ASSERT_EQUAL(c.failures, 1);
	service_tear_down(&c);

	service_set_up(&c);
	c.connect_error = -ECONNREFUSED;
	c.settings.failure_code = 0;
	service_start(&c);
	rig_say(&c.rig, EHLO MAIL RCPT TEXT);
	CHECK("accepted all the same", c.rig.message_count == 1 && c.failures == 6);
	service_tear_down(&c);
}

/* What was said at one stage is done at another, asked or not. */
static void test_stages(void)
{
	static const struct answer answers[] = {{"RCPT", "action=DISCARD\n\n"},
		{"HELO", "action=PREPEND X-A: b\n\n"}, {NULL, NULL}};
	static struct scene c;

	service_set_up(&c);
	c.answers = answers;
	c.settings.stages = 1U << SERVICE_RCPT | 1U << SERVICE_HELO;
	service_start(&c);
	rig_say(&c.rig, "HELO client.example\r\n" MAIL RCPT TEXT);
	service_check_values(&c, "protocol_state", "HELO RCPT ");
	CU_ASSERT_EQUAL(c.action, SINKD_DISCARD);
	CHECK_STR("prepended", str_of(c.prepended), STR("X-A: b\n"));
	CU_ASSERT_PTR_NULL(service_hooks(c.service)->connect);
	CU_ASSERT_PTR_NULL(service_hooks(c.service)->message);
	service_tear_down(&c);
}

void suite_service(void)
{
	CU_pSuite s = CU_add_suite("policy service", NULL, NULL);

	CU_add_test(s, "a message", test_a_message);
	CU_add_test(s, "replies", test_replies);
	CU_add_test(s, "DISCARD", test_discard);
	CU_add_test(s, "DISCARD is for one message", test_discard_ends);
	CU_add_test(s, "DISCARD, and then REJECT", test_discard_and_reject);
	CU_add_test(s, "PREPEND", test_prepend);
	CU_add_test(s, "broken connections", test_broken_connections);
	CU_add_test(s, "closed over a question", test_closed_over_a_question);
	CU_add_test(s, "answers that make no sense", test_bad_answers);
	CU_add_test(s, "answers nobody asked for", test_answers_ahead);
	CU_add_test(s, "a late answer", test_late_answer);
	CU_add_test(s, "silence", test_silence);
	CU_add_test(s, "nobody there", test_unreachable);
	CU_add_test(s, "some stages only", test_stages);
}
