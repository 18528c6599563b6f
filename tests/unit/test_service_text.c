/* Unit tests of policy/service_request and policy/service_answer: what is asked and what
 * is understood, as bytes. */
#include <string.h>

#include "policy/service_answer.h"
#include "policy/service_request.h"
#include "smtp/envelope.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* ------------------------------------------------------------------ answers */

static void test_actions(void)
{
	static const struct {
		const char *bytes;
		enum service_action action;
		int code;
		const char *enhanced, *text;
	} cases[] = {
		{"action=OK\n\n", SERVICE_ACCEPT, 0, "", ""},
		{"action=DUNNO\n\n", SERVICE_ACCEPT, 0, "", ""},
		{"action= dunno \r\n\r\n", SERVICE_ACCEPT, 0, "", ""},
		{"action=permit\n\n", SERVICE_ACCEPT, 0, "", ""},
		{"action=DEFER_IF_REJECT later\n\n", SERVICE_ACCEPT, 0, "", "later"},
		{"action=250 fine\n\n", SERVICE_ACCEPT, 0, "", "fine"},
		{"action=1234\n\n", SERVICE_ACCEPT, 0, "", ""},
		{"action=4501 no code\n\n", SERVICE_ACCEPT, 0, "", "no code"},
		{"action=REJECT\n\n", SERVICE_REFUSE, 554, "", ""},
		{"action=REJECT go away\n\n", SERVICE_REFUSE, 554, "", "go away"},
		{"action=reject 5.7.2 no\n\n", SERVICE_REFUSE, 554, "5.7.2", "no"},
		{"action=REJECT 4.7.2 no\n\n", SERVICE_REFUSE, 554, "", "no"},
		{"action=REJECT 2.0.0 no\n\n", SERVICE_REFUSE, 554, "", "no"},
		{"action=REJECT 5.7 no\n\n", SERVICE_REFUSE, 554, "", "5.7 no"},
		{"action=DEFER\n\n", SERVICE_REFUSE, 450, "", ""},
		{"action=DEFER_IF_PERMIT 4.2.0 Greylisted, see x\n\n", SERVICE_REFUSE,
			450, "4.2.0", "Greylisted, see x"},
		{"action=421 4.3.2\tclosing\n\n", SERVICE_REFUSE, 421, "4.3.2",
			"closing"},
		{"action=452   full  \n\n", SERVICE_REFUSE, 452, "", "full"},
		{"action=599\n\n", SERVICE_REFUSE, 599, "", ""},
		{"action=DISCARD spam\n\n", SERVICE_DISCARD, 0, "", "spam"},
		{"action=PREPEND X-A: b\n\n", SERVICE_PREPEND, 0, "", "X-A: b"},
		{"action=HOLD\n\n", SERVICE_OTHER, 0, "", ""},
		{"action=FILTER smtp:[::1]\n\n", SERVICE_OTHER, 0, "", "smtp:[::1]"},
		{"action=reject_unauth_destination\n\n", SERVICE_OTHER, 0, "", ""},
		{"other=1\nACTION=OK\nmore=\n\n", SERVICE_ACCEPT, 0, "", ""},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str s = str_of(cases[i].bytes);
		struct service_answer a = {0};
		const char *name = cases[i].bytes, *error = NULL;

		CHECK(name, service_answer_parse(s, &a, &error) == SERVICE_DONE);
		CHECK(name, a.action == cases[i].action && a.code == cases[i].code);
		CHECK(name, a.length == s.n);
		CHECK_STR(name, str_of(a.enhanced), str_of(cases[i].enhanced));
		CHECK_STR(name, a.text, str_of(cases[i].text));
		for (size_t n = 0; n < s.n; n++)
			CHECK(name, service_answer_parse((struct str){s.p, n}, &a,
					    &error) == SERVICE_MORE);
	}
}

static void test_no_answers(void)
{
	static const char *const cases[] = {
		"\n",
		"action\n\n",
		"action=\n\n",
		"action=  \n\n",
		"other=OK\n\n",
		"action=OK\naction=OK\n\n",
		"action=\naction=OK\n\n",
		"HTTP/1.0 200\n",
	};
	static char flood[SERVICE_ANSWER_MAX];
	struct service_answer a = {.code = 1};
	const char *error = NULL;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		error = NULL;
		CHECK(cases[i], service_answer_parse(str_of(cases[i]), &a, &error) ==
					SERVICE_BAD);
		CHECK(cases[i], error != NULL && a.code == 1);
	}
	memset(flood, 'x', sizeof(flood));
	CHECK("nearly too long",
		service_answer_parse((struct str){flood, sizeof(flood) - 1}, &a,
			&error) == SERVICE_MORE);
	CHECK("too long", service_answer_parse((struct str){flood, sizeof(flood)}, &a,
				  &error) == SERVICE_BAD);
}

/* What comes behind an answer is not its own. */
static void test_more_than_an_answer(void)
{
	struct service_answer a = {0};
	const char *error;

	CHECK("two", service_answer_parse(STR("action=OK\n\naction=REJECT\n\n"), &a,
			     &error) == SERVICE_DONE);
	CU_ASSERT_EQUAL(a.length, sizeof("action=OK\n\n") - 1);
	CU_ASSERT_EQUAL(a.action, SERVICE_ACCEPT);
}

/* ----------------------------------------------------------------- requests */

static struct buf made;

static struct str request(const struct service_question *q)
{
	buf_reset(&made);
	made.max = SERVICE_REQUEST_MAX;
	service_request_add(q, &made);
	CU_ASSERT_FALSE(made.has_overflowed);
	return buf_str(&made);
}

/* Whether the line is there, once. */
static bool has(struct str s, const char *line)
{
	const size_t n = strlen(line);
	unsigned found = 0;

	for (size_t i = 0; i + n < s.n; i++)
		found += (i == 0 || s.p[i - 1] == '\n') &&
			 memcmp(s.p + i, line, n) == 0 && s.p[i + n] == '\n';
	return found == 1;
}

static struct recipient recipients[] = {
	{.address = {.mailbox = STR("r@example.org")}},
	{.address = {.mailbox = STR("s@example.org")}},
};

static struct envelope envelope_of_all(void)
{
	return (struct envelope){
		.client = {.address = STR("2001:db8::7"),
			.port = 12345,
			.name = STR("client.example"),
			.proxy_address = STR("192.0.2.1"),
			.proxy_port = 25,
			.listener = STR("submission"),
			.helo = STR("helo.example"),
			.is_esmtp = true,
			.user = STR("joe"),
			.tls = {.version = STR("TLSv1.3"),
				.cipher = STR("TLS_AES_128_GCM_SHA256"),
				.subject = STR("O=x\\,CN=y,CN=A B\\+\\C3\\BC,C=Z")}},
		.stamp = {.id = "ID"},
		.sender = {.mailbox = STR("a@example.org")},
		.auth_sender = STR("first@example.org"),
		.declared_size = 100,
		.size_bytes = 4321,
		.recipients = recipients,
		.recipient_count = 1,
	};
}

static void test_request(void)
{
	static const char golden[] = "request=smtpd_access_policy\n"
				     "protocol_state=END-OF-MESSAGE\n"
				     "protocol_name=ESMTP\n"
				     "client_address=2001:db8::7\n"
				     "client_name=client.example\n"
				     "reverse_client_name=client.example\n"
				     "client_port=12345\n"
				     "server_address=192.0.2.1\n"
				     "server_port=25\n"
				     "helo_name=helo.example\n"
				     "queue_id=ID\n"
				     "sender=a@example.org\n"
				     "recipient=r@example.org\n"
				     "recipient_count=1\n"
				     "sasl_sender=first@example.org\n"
				     "size=4321\n"
				     "instance=1.2\n"
				     "etrn_domain=\n"
				     "stress=\n"
				     "sasl_method=\n"
				     "sasl_username=joe\n"
				     "ccert_subject=A+20B+2B+C3+BC\n"
				     "ccert_issuer=\n"
				     "ccert_fingerprint=\n"
				     "ccert_pubkey_fingerprint=\n"
				     "encryption_protocol=TLSv1.3\n"
				     "encryption_cipher=TLS_AES_128_GCM_SHA256\n"
				     "encryption_keysize=128\n"
				     "policy_context=submission\n"
				     "\n";
	struct envelope e = envelope_of_all();
	const struct service_question q = {
		.stage = SERVICE_MESSAGE, .envelope = &e, .instance = STR("1.2")};

	CHECK_STR("all", request(&q), str_of(golden));
}

/* What is told depends on how far the session has come. */
static void test_stages(void)
{
	struct envelope e = envelope_of_all();
	struct service_question q = {.stage = SERVICE_RCPT,
		.envelope = &e,
		.recipient = STR("new@example.org")};
	struct str s = request(&q);

	CHECK("rcpt", has(s, "protocol_state=RCPT"));
	CHECK("rcpt", has(s, "recipient=new@example.org") && has(s, "recipient_count=0"));
	CHECK("rcpt", has(s, "size=100"));
	e.recipient_count = 2;
	q = (struct service_question){.stage = SERVICE_DATA, .envelope = &e};
	s = request(&q);
	CHECK("data of two", has(s, "recipient=") && has(s, "recipient_count=2"));
	CHECK("data of two", has(s, "protocol_state=DATA") && has(s, "size=100"));
	e = (struct envelope){.client = {.address = STR("unix"), .is_esmtp = true}};
	q = (struct service_question){
		.stage = SERVICE_HELO, .envelope = &e, .helo = STR("there")};
	s = request(&q);
	CHECK("helo", has(s, "protocol_state=HELO") && has(s, "protocol_name=SMTP"));
	CHECK("helo", has(s, "helo_name=there") && has(s, "queue_id="));
	CHECK("unix", has(s, "client_address=127.0.0.1") && has(s, "client_port=0"));
	CHECK("unix", has(s, "client_name=localhost"));
	e.client.address = STR("unknown");
	e.client.is_lmtp = true;
	q.stage = SERVICE_EHLO;
	s = request(&q);
	CHECK("lmtp", has(s, "protocol_state=EHLO") && has(s, "protocol_name=LMTP"));
	CHECK("unknown",
		has(s, "client_address=unknown") && has(s, "client_name=unknown"));
	CHECK("plain", has(s, "encryption_keysize=0") && has(s, "ccert_subject="));
}

static void test_hostile(void)
{
	static char longest[SERVICE_VALUE_MAX + 100];
	struct envelope e = envelope_of_all();
	struct service_question q = {.stage = SERVICE_RCPT, .envelope = &e};
	struct str s;

	e.client.helo = (struct str){"a\nsasl_username=root\n\n\0b\x7f", 25};
	e.sender.mailbox = STR("\"a\r\n\"@\xc3\xbc.example");
	e.client.user = STR("\xff\xfe\xc2\x85");
	e.client.tls.subject = STR("CN=x\\0Ay=\\");
	q.recipient = STR("a=b@example.org");
	s = request(&q);
	CHECK("line ends", has(s, "helo_name=a?sasl_username=root???b?"));
	CHECK("UTF-8", has(s, "sender=\"a\?\?\"@\xc3\xbc.example"));
	CHECK("no UTF-8", has(s, "sasl_username=????"));
	CHECK("xtext", has(s, "ccert_subject=x+0Ay+3D\\"));
	CHECK("equal", has(s, "recipient=a=b@example.org"));
	memset(longest, 'x', sizeof(longest));
	e = (struct envelope){0};
	e.client.helo = e.client.name = e.client.user = e.client.listener =
		e.sender.mailbox = e.auth_sender = e.client.address =
			e.client.tls.subject = e.client.tls.version =
				e.client.tls.cipher = q.recipient = q.instance =
					(struct str){longest, sizeof(longest)};
	s = request(&q);
	CHECK("cut", s.n < (size_t)20 * SERVICE_VALUE_MAX);
	buf_done(&made);
}

void suite_service_text(void)
{
	CU_pSuite s = CU_add_suite("policy service, its text", NULL, NULL);

	CU_add_test(s, "actions", test_actions);
	CU_add_test(s, "what is no answer", test_no_answers);
	CU_add_test(s, "more than an answer", test_more_than_an_answer);
	CU_add_test(s, "a request", test_request);
	CU_add_test(s, "requests at several stages", test_stages);
	CU_add_test(s, "hostile values", test_hostile);
}
