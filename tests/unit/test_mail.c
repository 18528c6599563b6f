/* smtp/mail: what MAIL and RCPT refuse where addresses go to commands, how many there may
 * be, and what is kept of them. */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "smtp/engine.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"

/* An address that could be taken for an option, or that could not; or an extension,
 * which is an argument of recipients alone. */
static void test_hyphens(void)
{
	static const struct {
		const char *path;
		bool is_bad;
		bool is_extension;
	} cases[] = {
		{"<-a@example.org>", true, false},
		{"<--@example.org>", true, false},
		{"<-@example.org>", true, false},
		{"<\"-a\"@example.org>", true, false},
		{"<\"\\-a\"@example.org>", true, false},
		{"<@relay.example:-a@example.org>", true, false},
		{"<a+-b@example.org>", true, true},
		{"<\"a+-b\"@example.org>", true, true},
		{"<\"a\"@example.org>", false, false},
		{"<a-b@example.org>", false, false},
		{"<a-@example.org>", false, false},
		{"<a+b-c@example.org>", false, false},
		{"<a+b+-c@example.org>", false, false},
		{"<a+@example.org>", false, false},
		{"<+@example.org>", false, false},
		{"<\" -a\"@example.org>", false, false},
		{"<postmaster@example.org>", false, false},
	};
	static const char *const verbs[] = {"MAIL FROM:", "RCPT TO:"};

	/* For each command: where only its own addresses, or only those of the other
	 * one, go to a command. */
	for (size_t i = 0; i < COUNT_OF(cases) * 4; i++) {
		bool is_rcpt = (i & 1) != 0, is_own = (i & 2) != 0;
		const char *path = cases[i / 4].path;
		bool is_bad = cases[i / 4].is_bad && is_own &&
			      (is_rcpt || !cases[i / 4].is_extension);
		char name[80];
		struct rig r;

		(void)snprintf(name, sizeof(name), "%s%s", verbs[is_rcpt], path);
		rig_init(&r);
		r.peer.settings.is_sender_argument = is_rcpt != is_own;
		r.peer.settings.is_recipient_argument = is_rcpt == is_own;
		rig_start(&r);
		rig_say(&r, is_rcpt ? EHLO MAIL : EHLO);
		rig_forget(&r);
		rig_say(&r, name);
		rig_say(&r, "\r\n");
		CHECK_STR(name, rig_output(&r),
			is_bad ? STR("553 5.1.3 Address must not begin with a hyphen\r\n")
			: is_rcpt ? STR("250 2.1.5 Ok\r\n")
				  : STR("250 2.1.0 Ok\r\n"));
		/* Which nobody else is asked about. */
		CHECK(name, (memmem(r.trace.p, r.trace.len, "\nrecipient ", 11) != NULL ||
				    memmem(r.trace.p, r.trace.len, "\nsender ", 8) !=
					    NULL) == !is_bad);
		rig_end(&r);
		rig_done(&r);
	}
}

/* The null sender and the postmaster are no options. */
static void test_no_hyphens(void)
{
	struct rig r;

	rig_init(&r);
	r.peer.settings.is_sender_argument = r.peer.settings.is_recipient_argument = true;
	rig_start(&r);
	rig_say(&r, EHLO);
	rig_forget(&r);
	rig_say(&r, "MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n");
	CHECK_STR("both", rig_output(&r), STR("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* What is counted: the mailboxes, each with what a command line adds. */
static void test_recipient_text(void)
{
	static const struct {
		const char *name;
		size_t max;
		size_t extra;
		const char *replies;
	} cases[] = {
		{"any number", 0, 9, "250 250 250 250 250 "},
		{"all fit", 3 * 3 + 2 * 9 + 5 * 9, 9, "250 250 250 250 250 "},
		{"one octet short", 3 * 3 + 2 * 9 + 5 * 9 - 1, 9, "250 250 250 250 452 "},
		{"nothing is added", 9 + 2 * 9, 0, "250 250 250 250 250 "},
		/* A shorter one may still fit. */
		{"the long ones do not fit", 3 * 3, 0, "250 452 250 452 250 "},
		{"not one fits", 2, 0, "452 452 452 452 452 "},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rig r;

		rig_init(&r);
		r.peer.settings.recipient_text_max = cases[i].max;
		r.peer.settings.recipient_extra = cases[i].extra;
		rig_start(&r);
		rig_say(&r, EHLO);
		for (int round = 0; round < 3; round++) {
			char codes[32] = "";

			rig_say(&r, MAIL);
			rig_forget(&r);
			rig_say(&r, "RCPT TO:<a@b>\r\nRCPT TO:<long@bbbb>\r\n"
				    "RCPT TO:<a@b>\r\nRCPT TO:<long@bbbb>\r\n"
				    "RCPT TO:<a@b>\r\n");
			for (struct str s = rig_output(&r); s.n > 0;) {
				const char *end = memmem(s.p, s.n, "\r\n", 2);

				CU_ASSERT_PTR_NOT_NULL_FATAL(end);
				(void)strncat(codes, s.p, 4);
				CHECK(cases[i].name,
					s.p[0] == '2' ||
						memcmp(s.p + 4, "4.5.3 ", 6) == 0);
				s = str_skip(s, (size_t)(end + 2 - s.p));
			}
			CHECK_STR(cases[i].name, str_of(codes), str_of(cases[i].replies));
			rig_say(&r, round == 0 ? "RSET\r\n" : EHLO);
		}
		rig_end(&r);
		rig_done(&r);
	}
}

/* <postmaster> is longer in a command line: with the name of the server. */
static void test_postmaster_text(void)
{
	const size_t full = sizeof("postmaster@") - 1 + strlen("mx.example");
	struct rig r;

	rig_init(&r);
	r.settings.hostname = "mx.example";
	r.peer.settings.recipient_text_max = 2 * full + 2 * 9;
	r.peer.settings.recipient_extra = 9;
	rig_start(&r);
	rig_say(&r, EHLO MAIL);
	rig_forget(&r);
	rig_say(&r, "RCPT TO:<postmaster>\r\nRCPT TO:<postmaster>\r\n"
		    "RCPT TO:<postmaster>\r\n");
	CHECK_STR("third", rig_output(&r),
		STR("250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"
		    "452 4.5.3 Too many recipients\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* As many as EHLO says (RFC 9422): MAIL that was refused is none, that was given up is
 * one. */
static void test_messages(void)
{
	struct rig r;

	rig_init(&r);
	r.settings.messages_max = 2;
	rig_start(&r);
	rig_say(&r, EHLO);
	rig_forget(&r);
	rig_say(&r, "MAIL FROM:<a@b> FOO\r\n" MAIL "RSET\r\nMAIL FROM:<>\r\nRSET\r\n");
	CHECK_STR("two", rig_output(&r),
		STR("555 5.5.4 Unknown parameter\r\n250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n"
		    "250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n"));
	rig_forget(&r);
	rig_say(&r, MAIL);
	CHECK_STR("one too many", rig_output(&r),
		STR("421 4.7.0 sink.example.test Too many messages in one session\r\n"));
	CHECK("closed", r.is_over);
	rig_end(&r);
	/* The next session has its own. */
	rig_start(&r);
	rig_say(&r, EHLO);
	rig_forget(&r);
	rig_say(&r, MAIL);
	CHECK_STR("again", rig_output(&r), STR("250 2.1.0 Ok\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* What is kept of a command is what was sent, but for the blanks around. */
static void test_arguments(void)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r);
	rig_say(&r, EHLO
		"MAIL  From: <@r:a@b>  SIZE=1  BODY=7BIT \r\n"
		"RCPT TO:<c@d> FOO\r\nrcpt\tTO:<e@f>\t\r\nRCPT TO:<g@h> NOTIFY=NEVER\r\n"
		"DATA\r\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.envelope);
	CHECK_STR("MAIL", r.envelope->argument, STR("From: <@r:a@b>  SIZE=1  BODY=7BIT"));
	CHECK_STR("parameters", r.envelope->sender_parameters, STR("SIZE=1  BODY=7BIT"));
	CU_ASSERT_FATAL(r.envelope->recipient_count == 2);
	CHECK_STR("RCPT", r.envelope->recipients[0].argument, STR("TO:<e@f>"));
	CHECK_STR(
		"RCPT", r.envelope->recipients[1].argument, STR("TO:<g@h> NOTIFY=NEVER"));
	CHECK("not the other's", r.envelope->recipients[0].notify == 0);
	rig_say(&r, ".\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	CHECK_STR("none", r.envelope->sender_parameters, STR(""));
	CHECK_STR("next MAIL", r.envelope->argument, STR("FROM:<>"));
	rig_end(&r);
	rig_done(&r);
}

/* Say a line; true for 250.  Else it is 452, and has taken nothing. */
static bool is_taken(struct rig *r, const char *name, const char *line)
{
	size_t used = r->engine->arena.used, count = r->engine->envelope.recipient_count;
	bool has_sender = r->engine->has_sender;

	rig_forget(r);
	rig_say(r, line);
	if (str_starts_nocase(rig_output(r), STR("250 ")))
		return true;
	CHECK_STR(name, rig_output(r), STR("452 4.3.1 Too much for one session\r\n"));
	CHECK(name, r->engine->arena.used == used);
	CHECK(name, r->engine->envelope.recipient_count == count);
	CHECK(name, r->engine->has_sender == has_sender);
	return false;
}

/* Memory may end anywhere, with each of the things that are kept. */
static void test_memory(void)
{
	static const char mail[] =
		"MAIL FROM:<\"a b\"@\xc3\xbc.example> BODY=8BITMIME SMTPUTF8 RET=HDRS "
		"ENVID=x+2By SOLICIT=org.example:ADV AUTH=c@example.org\r\n";
	static const char *const rcpts[] = {
		"RCPT TO:<c@example.org> NOTIFY=NEVER ORCPT=rfc822;c+2Bd@example.org\r\n",
		"RCPT TO:<\"c d\"@example.org> ORCPT=utf-8;\xc3\xbc@example.org\r\n",
	};
	size_t most = 0;

	for (size_t max = 64; max <= 8192; max += 16) {
		char name[40];
		size_t count = 0;
		struct rig r;

		(void)snprintf(name, sizeof(name), "%zu octets", max);
		rig_init(&r);
		r.settings.memory_max = max;
		r.peer.settings.auth = LISTEN_AUTH_OPTIONAL;
		rig_start(&r);
		rig_say(&r, EHLO);
		if (is_taken(&r, name, mail))
			for (size_t i = 0; i < 20; i++)
				count += is_taken(&r, name, rcpts[i % 2]);
		rig_forget(&r);
		if (count > 0) {
			rig_say(&r, "DATA\r\nx\r\n.\r\nRSET\r\n");
			CU_ASSERT_FATAL(r.message_count == 1);
			CHECK(name, r.messages[0].recipients == count);
		}
		if (count > most)
			most = count;
		rig_end(&r);
		rig_done(&r);
	}
	CHECK("some", most > 8 && most < 20);
}

void suite_mail(void)
{
	CU_pSuite s = CU_add_suite("mail", NULL, NULL);

	CU_add_test(s, "hyphens", test_hyphens);
	CU_add_test(s, "no hyphens", test_no_hyphens);
	CU_add_test(s, "recipient text", test_recipient_text);
	CU_add_test(s, "postmaster text", test_postmaster_text);
	CU_add_test(s, "messages", test_messages);
	CU_add_test(s, "arguments", test_arguments);
	CU_add_test(s, "memory", test_memory);
}
