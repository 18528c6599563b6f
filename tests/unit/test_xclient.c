/* smtp/xclient: what may be told, what becomes of it, and what stays as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_fixture.h"
#include "rig.h"
#include "unit.h"

#define GREETING    "220 sink.example.test ESMTP sinkd\r\n"
#define NOT_YOURS   "550 5.7.0 XCLIENT is not for you\r\n"
#define NOT_IN      "503 5.5.1 Not within a mail transaction\r\n"
#define NOT_GREETED "503 5.5.1 EHLO or HELO comes first\r\n"

/* What the engine said of the client last: ADDRESS PORT NAME HELO USER DESTINATION PORT,
 * and ESMTP; "-" for what is not known. */
static char told[2048];
static unsigned told_count;

static const char *or_dash(struct str s, char out[300])
{
	(void)str_copy(out, 300, s.n > 0 ? s : STR("-"));
	return out;
}

static void introduced(void *user, const struct envelope_client *c)
{
	char address[300], name[300], helo[300], login[300], destination[300];

	(void)user;
	told_count++;
	(void)snprintf(told, sizeof(told), "%s %u %s %s %s %s %u %s",
		or_dash(c->address, address), c->port, or_dash(c->name, name),
		or_dash(c->helo, helo), or_dash(c->user, login),
		or_dash(c->proxy_address, destination), c->proxy_port,
		c->is_esmtp ? "ESMTP" : "SMTP");
}

static void begin_trusted(struct rig *r)
{
	r->peer.may_xclient = true;
	rig_start(r);
	r->env.introduced = introduced;
	rig_forget(r);
	told[0] = '\0';
	told_count = 0;
}

static const struct {
	const char *line; /* without the command; more lines after a "|" */
	const char *told;
} attributes[] = {
	{"ADDR=198.51.100.9", "198.51.100.9 0 - - - - 0 SMTP"},
	{"addr=198.51.100.9 port=99", "198.51.100.9 99 - - - - 0 SMTP"},
	{"PORT=99", "192.0.2.7 99 - - - - 0 SMTP"},
	{"ADDR=IPV6:2001:DB8::0:1", "2001:db8::1 0 - - - - 0 SMTP"},
	{"ADDR=ipv6:2001:db8::1", "2001:db8::1 0 - - - - 0 SMTP"},
	{"ADDR=IPV6:::ffff:198.51.100.9", "198.51.100.9 0 - - - - 0 SMTP"},
	{"ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]", "unknown 0 - - - - 0 SMTP"},
	{"ADDR=[tempunavail]", "unknown 0 - - - - 0 SMTP"},
	{"NAME=mail.example", "192.0.2.7 2525 mail.example - - - 0 SMTP"},
	{"NAME=[UNAVAILABLE]", "192.0.2.7 2525 - - - - 0 SMTP"},
	{"NAME=[TEMPUNAVAIL]", "192.0.2.7 2525 - - - - 0 SMTP"},
	{"HELO=there", "192.0.2.7 2525 - there - - 0 SMTP"},
	{"HELO=there PROTO=SMTP", "192.0.2.7 2525 - there - - 0 SMTP"},
	{"PROTO=esmtp HELO=there", "192.0.2.7 2525 - there - - 0 ESMTP"},
	{"PROTO=ESMTP", "192.0.2.7 2525 - - - - 0 SMTP"},
	{"PROTO=ESMTP|HELO=there", "192.0.2.7 2525 - there - - 0 SMTP"},
	{"LOGIN=joe", "192.0.2.7 2525 - - joe - 0 SMTP"},
	{"LOGIN=j+2Bo+20e", "192.0.2.7 2525 - - j+o e - 0 SMTP"},
	{"HELO=+5BUNAVAILABLE]", "192.0.2.7 2525 - [UNAVAILABLE] - - 0 SMTP"},
	{"DESTADDR=203.0.113.1 DESTPORT=25", "192.0.2.7 2525 - - - 203.0.113.1 25 SMTP"},
	{"DESTADDR=IPV6:::1", "192.0.2.7 2525 - - - ::1 0 SMTP"},
	{"DESTADDR=203.0.113.1|DESTADDR=[UNAVAILABLE]", "192.0.2.7 2525 - - - - 0 SMTP"},
	{"PORT=0 DESTPORT=65535", "192.0.2.7 0 - - - - 65535 SMTP"},
	/* Where the client is stays as it was told, but a port belongs to its address;
	 * and what it did is not the next one's. */
	{"NAME=a.example LOGIN=joe HELO=there PROTO=ESMTP|ADDR=198.51.100.9",
		"198.51.100.9 0 a.example - - - 0 SMTP"},
	{"LOGIN=joe HELO=there|LOGIN=ann", "192.0.2.7 2525 - - ann - 0 SMTP"},
	{"ADDR=198.51.100.9 PORT=99|NAME=a.example",
		"198.51.100.9 99 a.example - - - 0 SMTP"},
	{"LOGIN=joe NAME=a.example|LOGIN=[UNAVAILABLE]",
		"192.0.2.7 2525 a.example - - - 0 SMTP"},
	{"  ADDR=198.51.100.9 \t PORT=99 ", "198.51.100.9 99 - - - - 0 SMTP"},
};

static void test_attributes(void)
{
	for (size_t i = 0; i < COUNT_OF(attributes); i++) {
		const char *line = attributes[i].line;
		struct rig r;

		rig_init(&r);
		begin_trusted(&r);
		for (size_t n; *line != '\0'; line += n + (line[n] == '|')) {
			n = strcspn(line, "|");
			rig_forget(&r);
			rig_say(&r, "xclient ");
			rig_feed(&r, line, n);
			rig_say(&r, "\r\n");
			CHECK_STR(attributes[i].line, rig_output(&r), STR(GREETING));
			CHECK_STR(attributes[i].line, buf_str(&r.answers),
				STR("XCLIENT 220\n"));
		}
		CHECK_STR(attributes[i].line, str_of(told), str_of(attributes[i].told));
		rig_end(&r);
		rig_done(&r);
	}
}

static const char *const mistakes[] = {
	"ADDR",
	"ADDR=",
	"=198.51.100.9",
	"WHO=me",
	"XADDR=198.51.100.9",
	"ADDR=198.51.100.256",
	"ADDR=198.51.100",
	"ADDR=mail.example",
	"ADDR=2001:db8::1",
	"ADDR=IPV6:198.51.100.9",
	"ADDR=IPV6:",
	"ADDR=IPV6:2001:db8::g",
	"ADDR=[198.51.100.9]",
	"ADDR=unix",
	"ADDR=IPV6:1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
	"PORT=65536",
	"PORT=-1",
	"PORT=+31x",
	"PORT=18446744073709551616",
	"DESTPORT=70000",
	"DESTADDR=there",
	"PROTO=UUCP",
	"PROTO=LMTP",
	"NAME=a..example",
	"NAME=a+20b",
	"NAME=<a>",
	"NAME=caf\xc3\xa9",
	"HELO=a+0D+0Ab",
	"HELO=a+00",
	"HELO=a+C3+A9",
	"HELO=a+7F",
	"HELO=a+4",
	"HELO=a+4g",
	"HELO=a=b",
	"LOGIN=a+0Ab",
	"LOGIN=a\x01",
	"NAME=a.example ADDR=1.2.3",
	"NAME=a.example NAME=b.example",
	"NAME=a.example,ADDR=198.51.100.9",
	"NAME=a.example ADDR",
};

static void test_mistakes(void)
{
	for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
		bool is_control = strchr(mistakes[i], 1) != NULL;
		struct rig r;

		rig_init(&r);
		begin_trusted(&r);
		rig_say(&r, "XCLIENT NAME=before.example HELO=before\r\n");
		rig_forget(&r);
		rig_say(&r, "XCLIENT ");
		rig_say(&r, mistakes[i]);
		rig_say(&r, "\r\n");
		CHECK(mistakes[i],
			has(rig_output(&r),
				is_control ? "500 5.5.2 Bad command" : "501 5.5.4 "));
		CHECK(mistakes[i], told_count == 1);
		/* Nothing has changed, so MAIL may come. */
		rig_forget(&r);
		rig_say(&r, MAIL);
		CHECK(mistakes[i], has(rig_output(&r), "250 2.1.0"));
		rig_end(&r);
		rig_done(&r);
	}
}

/* A value may be as long as its place, and not longer. */
static void test_lengths(void)
{
	static const struct {
		const char *name;
		size_t longest;
		const char *refusal;
	} cases[] = {{"HELO", 255, "501 5.5.4 Bad value of HELO\r\n"},
		{"LOGIN", 255, "501 5.5.4 Bad value of LOGIN\r\n"},
		{"NAME", 251, "501 5.5.4 Bad value of NAME\r\n"}};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (size_t extra = 0; extra < 600; extra += extra < 10 ? 1 : 99) {
			char value[900] = "";
			struct rig r;
			size_t n = cases[i].longest + extra;

			for (size_t at = 0; at < n; at++)
				value[at] = at % 63 == 62 && at != n - 1 ? '.' : 'a';
			rig_init(&r);
			begin_trusted(&r);
			rig_say(&r, "XCLIENT ");
			rig_say(&r, cases[i].name);
			rig_say(&r, "=");
			rig_say(&r, value);
			rig_say(&r, "\r\n");
			if (extra == 0) {
				CHECK_STR(cases[i].name, rig_output(&r), STR(GREETING));
				CHECK(cases[i].name, strstr(told, value) != NULL);
			} else if (extra > 4) {
				CHECK(cases[i].name,
					has(rig_output(&r), cases[i].refusal));
			}
			rig_end(&r);
			rig_done(&r);
		}
	}
}

static void test_who_and_when(void)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	r.env.introduced = introduced;
	told_count = 0;
	rig_forget(&r);
	rig_say(&r, "XCLIENT ADDR=198.51.100.9\r\nXCLIENT ADDR=x\r\n" EHLO MAIL);
	CHECK("not listed", has(rig_output(&r), NOT_YOURS NOT_YOURS "250"));
	CHECK("goes on", has(rig_output(&r), "250 2.1.0") && told_count == 0);
	rig_end(&r);

	begin_trusted(&r);
	rig_say(&r, EHLO MAIL);
	rig_forget(&r);
	rig_say(&r, "XCLIENT ADDR=198.51.100.9\r\n" RCPT);
	CHECK("in a transaction", has(rig_output(&r), NOT_IN "250 2.1.5"));
	rig_forget(&r);
	rig_say(&r, "XCLIENT\r\n");
	CHECK_STR("no attribute", rig_output(&r),
		STR("501 5.5.4 Syntax: XCLIENT name=value...\r\n"));
	rig_forget(&r);
	rig_say(&r, "RSET\r\nXCLIENT ADDR=198.51.100.9\r\nMAIL FROM:<a@b>\r\n");
	CHECK_STR("after RSET, and afresh", rig_output(&r),
		STR("250 2.0.0 Ok\r\n" GREETING NOT_GREETED));
	rig_forget(&r);
	rig_say(&r, "XCLIENT HELO=there\r\n" MAIL);
	CHECK("HELO is a greeting", has(rig_output(&r), "250 2.1.0"));
	rig_end(&r);
	rig_done(&r);
}

/* Hooks in their order, pipelined in one piece and byte by byte. */
static void test_hooks(void)
{
	static const char text[] =
		EHLO "XCLIENT ADDR=198.51.100.9 HELO=there\r\n" MAIL RCPT
		     "DATA\r\nHi\r\n.\r\n";
	static const char trace[] =
		"command XCLIENT\ntransaction\nconnect 198.51.100.9\nserver_domain\n"
		"server_greeting\nehlo_domain there\ncommand MAIL\n";

	for (size_t piece = 1; piece <= sizeof(text); piece += sizeof(text) - 1) {
		struct rig r;

		rig_init(&r);
		begin_trusted(&r);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece)
			rig_feed(&r, text + at,
				piece < sizeof(text) - 1 - at ? piece
							      : sizeof(text) - 1 - at);
		CHECK("order", has(rig_trace(&r), trace));
		CHECK("message", r.message_count == 1);
		rig_end(&r);
		rig_done(&r);
	}
}

static void refuse_stranger(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	(void)r;
	if ((hook == RIG_CONNECT && argument.len == 12) ||
		(hook == RIG_EHLO_DOMAIN && argument.len == 3))
		verdict->code = 554;
}

static void test_refusals(void)
{
	struct rig r;

	rig_init(&r);
	r.judge = refuse_stranger;
	begin_trusted(&r);
	rig_say(&r, "XCLIENT ADDR=198.51.100.9\r\n" EHLO);
	CHECK_STR("connect", rig_output(&r), STR("554 5.7.1 Connection refused\r\n"));
	CHECK("closes", r.is_over && told_count == 1);
	rig_end(&r);

	begin_trusted(&r);
	rig_say(&r, "XCLIENT ADDR=198.51.100.8\r\n");
	CHECK("one more", has(rig_output(&r), "554") && r.is_over);
	rig_end(&r);

	begin_trusted(&r);
	rig_say(&r, "XCLIENT HELO=bad\r\n" MAIL "EHLO bad\r\n");
	CHECK_STR("ehlo_domain", rig_output(&r),
		STR(GREETING NOT_GREETED "554 5.7.1 Requested action not taken\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* Passwords are shown in plain text only if client and proxy are both on this machine. */
static void test_loopback(void)
{
	static const struct {
		const char *address;
		bool is_here, is_plain_offered;
	} cases[] = {
		{"198.51.100.9", true, false},
		{"127.0.0.1", true, true},
		{"127.255.0.9", true, true},
		{"127.0.0.1", false, false},
		{"128.0.0.1", true, false},
		{"IPV6:::1", true, true},
		{"IPV6:::1", false, false},
		{"IPV6:::ffff:127.0.0.1", true, true},
		{"IPV6:::2", true, false},
		{"[UNAVAILABLE]", true, false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		init(&r);
		r.peer.is_loopback = cases[i].is_here;
		begin_trusted(&r);
		rig_say(&r, "XCLIENT ADDR=");
		rig_say(&r, cases[i].address);
		rig_say(&r, "\r\n" EHLO);
		CHECK(cases[i].address,
			has(rig_output(&r), " PLAIN") == cases[i].is_plain_offered);
		rig_end(&r);
		/* The next session is with whom we see. */
		rig_forget(&r);
		rig_start(&r);
		rig_say(&r, EHLO);
		CHECK(cases[i].address,
			has(rig_output(&r), " PLAIN") == cases[i].is_here);
		rig_end(&r);
		rig_done(&r);
	}
}

static void test_login(void)
{
	struct rig r;

	init(&r);
	r.peer.settings.auth = LISTEN_AUTH_REQUIRED;
	begin_trusted(&r);
	rig_say(&r, EHLO "AUTH PLAIN " PLAIN_RIGHT "\r\n");
	CHECK("logged in", has(rig_output(&r), OK235));
	rig_forget(&r);
	rig_say(&r, "XCLIENT NAME=a.example\r\n" EHLO MAIL);
	CHECK("forgotten", has(rig_output(&r), "530 5.7.0"));
	rig_forget(&r);
	rig_say(&r, "XCLIENT LOGIN=jane\r\n" EHLO "AUTH PLAIN " PLAIN_RIGHT "\r\n" MAIL);
	CHECK("by the proxy", has(rig_output(&r), AGAIN "250 2.1.0"));
	CHECK("who", strstr(told, " jane ") != NULL);
	rig_end(&r);
	rig_done(&r);
}

/* RFC 3207, 4.2: it may have been somebody in the middle who told it. */
static void test_tls(void)
{
	struct rig r;

	init(&r);
	r.peer.settings.tls = LISTEN_TLS_STARTTLS;
	r.peer.is_loopback = false;
	r.tls = RIG_TLS_STARTS;
	r.binding.external = STR("proxy");
	r.binding.subject = STR("CN=proxy");
	begin_trusted(&r);
	rig_say(&r, "XCLIENT ADDR=127.0.0.1 NAME=a.example LOGIN=joe HELO=there\r\n"
		    "STARTTLS\r\n");
	rig_say(&r, MAIL EHLO);
	CHECK("not greeted", has(rig_output(&r), NOT_GREETED));
	CHECK("nobody", has(rig_output(&r), " EXTERNAL"));
	rig_forget(&r);
	rig_say(&r, "XCLIENT PROTO=ESMTP\r\n" EHLO);
	CHECK_STR("all is forgotten", str_of(told), STR("192.0.2.7 2525 - - - - 0 SMTP"));
	CHECK("still under TLS",
		has(rig_output(&r), " PLAIN") && !has(rig_output(&r), "STARTTLS"));
	CHECK("a proxy's certificate is the proxy's", !has(rig_output(&r), "EXTERNAL"));
	rig_end(&r);
	rig_done(&r);
}

/* What is told outlives the memory of transactions. */
static void test_messages(void)
{
	static const char mail[] = MAIL RCPT "DATA\r\nHi\r\n.\r\n";
	struct rig r;

	rig_init(&r);
	begin_trusted(&r);
	rig_say(&r, "XCLIENT ADDR=198.51.100.9 HELO=there.example PROTO=ESMTP\r\n");
	for (int i = 0; i < 3; i++)
		rig_say(&r, mail);
	CHECK("messages", r.message_count == 3);
	rig_say(&r, EHLO);
	rig_say(&r, mail);
	rig_say(&r, "XCLIENT NAME=a.example\r\n");
	CHECK_STR("as before EHLO", str_of(told),
		STR("198.51.100.9 0 a.example - - - 0 SMTP"));
	rig_end(&r);
	rig_done(&r);
}

static void test_lmtp(void)
{
	struct rig r;

	rig_init(&r);
	r.peer.settings.protocol = LISTEN_LMTP;
	begin_trusted(&r);
	rig_say(&r, "XCLIENT PROTO=LMTP HELO=there\r\n" MAIL);
	CHECK("greeted", has(rig_output(&r), "220 sink.example.test LMTP sinkd\r\n250 "));
	CHECK("extended", strstr(told, "ESMTP") != NULL);
	rig_end(&r);
	rig_done(&r);
}

void suite_xclient(void)
{
	CU_pSuite s = CU_add_suite("xclient", NULL, NULL);

	CU_add_test(s, "attributes", test_attributes);
	CU_add_test(s, "mistakes change nothing", test_mistakes);
	CU_add_test(s, "lengths", test_lengths);
	CU_add_test(s, "for whom, and when", test_who_and_when);
	CU_add_test(s, "hooks in their order", test_hooks);
	CU_add_test(s, "hooks refuse", test_refusals);
	CU_add_test(s, "on this machine or not", test_loopback);
	CU_add_test(s, "AUTH is forgotten", test_login);
	CU_add_test(s, "and all of it with TLS", test_tls);
	CU_add_test(s, "several messages", test_messages);
	CU_add_test(s, "LMTP", test_lmtp);
}
