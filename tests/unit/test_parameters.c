/* smtp/parameters: what MAIL and RCPT take behind the address, what becomes of it in the
 * envelope, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define HELLO       "EHLO client.example\r\n"
#define MAIL_OK     "250 2.1.0 Ok\r\n"
#define RCPT_OK     "250 2.1.5 Ok\r\n"
#define UNKNOWN     "555 5.5.4 Unknown parameter\r\n"
#define TWICE       "501 5.5.4 Parameter given twice\r\n"
#define BAD_SYNTAX  "501 5.5.4 Bad parameter syntax\r\n"
#define BAD_SIZE    "501 5.5.4 SIZE takes a number\r\n"
#define BAD_BODY    "501 5.5.4 BODY takes 7BIT, 8BITMIME or BINARYMIME\r\n"
#define BAD_AUTH    "501 5.5.4 AUTH takes an address as xtext, or <>\r\n"
#define BAD_UTF8    "501 5.5.4 SMTPUTF8 takes no value\r\n"
#define BAD_RET     "501 5.5.4 RET takes FULL or HDRS\r\n"
#define BAD_ENVID   "501 5.5.4 ENVID takes printable text as xtext, at most 100 octets\r\n"
#define BAD_SOLICIT "501 5.5.4 SOLICIT takes keywords with commas between\r\n"
#define BAD_TLS     "501 5.5.4 REQUIRETLS takes no value\r\n"
#define BAD_NOTIFY  "501 5.5.4 NOTIFY takes NEVER, or some of SUCCESS,FAILURE,DELAY\r\n"
#define BAD_ORCPT   "501 5.5.4 ORCPT takes type;address as xtext, at most 500 octets\r\n"
#define NOT_ASCII   "553 5.6.7 Address is not ASCII, and SMTPUTF8 not asked for\r\n"
#define BAD_PATH    "501 5.1.7 Bad address syntax, <user@domain> expected\r\n"
#define BAD_RPATH   "501 5.1.3 Bad address syntax, <user@domain> expected\r\n"

#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define UE      "\xc3\xbc"

static void begin(struct rig *r)
{
	rig_init(r);
	r->settings.errors_max = 1000;
	r->peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r->hooks.sender = NULL;
	r->hooks.recipient = NULL;
}

static void say_line(struct rig *r, const char *verb, struct str argument)
{
	rig_say(r, verb);
	rig_feed(r, argument.p, argument.n);
	rig_say(r, "\r\n");
}

/* What test_envelope says of them. */
static void check_recipients(const struct recipient *to)
{
	CHECK("never",
		to[0].notify == DSN_NOTIFY_NEVER && to[3].notify == DSN_NOTIFY_FAILURE);
	CHECK_STR("type", to[0].original_type, STR("rfc822"));
	CHECK_STR("original", to[0].original, STR("c+x@d.example"));
	CHECK("all", to[1].notify == (DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE |
					     DSN_NOTIFY_DELAY));
	CHECK_STR("type", to[1].original_type, STR("UTF-8"));
	CHECK_STR(
		"original", to[1].original, STR("j" UE UE "+\xf0\x9f\x93\xa7@d.example"));
	CHECK("nothing",
		to[2].notify == 0 && to[2].original_type.n == 0 && to[2].original.n == 0);
	CHECK_STR("original", to[4].original, STR("/I=a b/"));
}

/* All of them at once, and what the sink finds in the envelope. */
static void test_envelope(void)
{
	struct rig r;
	const struct envelope *e;
	static const char mail[] =
		"FROM:<a@b.example> size=10 BODY=8BitMime RET=HDRS ENVID=QQ+2B+3D+20x "
		"SOLICIT=net.example:ADV,org.example:X-1_2 REQUIRETLS SMTPUTF8 AUTH=<>";
	static const char *const rcpts[] = {
		"TO:<c@d.example> NOTIFY=NEVER ORCPT=rfc822;c+2Bx@d.example",
		"TO:<j" UE "@d.example>  notify=delay,Success,FAILURE "
		"ORCPT=UTF-8;j" UE "\\x{fc}\\x{2B}\\x{1F4E7}@d.example",
		"to: <e@f.example>",
		"TO:<g@h.example> NOTIFY=FAILURE",
		"TO:<i@j.example> ORCPT=x400;/I+3Da+20b/",
	};

	begin(&r);
	r.peer.settings.tls = LISTEN_TLS_IMPLICIT;
	r.tls = RIG_TLS_STARTS;
	rig_start(&r);
	rig_say(&r, HELLO);
	rig_forget(&r);
	say_line(&r, "MAIL ", str_of(mail));
	CHECK_STR("mail", rig_output(&r), STR(MAIL_OK));
	for (size_t i = 0; i < COUNT_OF(rcpts); i++) {
		rig_forget(&r);
		say_line(&r, "RCPT \t", str_of(rcpts[i]));
		CHECK_STR(rcpts[i], rig_output(&r), STR(RCPT_OK));
	}
	rig_say(&r, "DATA\r\n");
	e = r.envelope;
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CHECK_STR("sender", e->sender.mailbox, STR("a@b.example"));
	CHECK_STR("argument", e->argument, str_of(mail));
	CHECK_STR("parameters", e->sender_parameters, str_of(strstr(mail, "size=10")));
	CHECK("size", e->declared_size == 10);
	CHECK("body", e->body == BODY_8BITMIME);
	CHECK("ret", e->dsn_return == DSN_RETURN_HEADERS);
	CHECK_STR("envid", e->envid, STR("QQ+= x"));
	CHECK_STR("solicit", e->solicit, STR("net.example:ADV,org.example:X-1_2"));
	CHECK("flags", e->requires_tls && e->is_smtputf8);
	CHECK("auth", e->auth_sender.p != NULL && e->auth_sender.n == 0);
	CU_ASSERT_FATAL(e->recipient_count == COUNT_OF(rcpts));
	for (size_t i = 0; i < COUNT_OF(rcpts); i++)
		CHECK_STR("argument", e->recipients[i].argument, str_of(rcpts[i]));
	check_recipients(e->recipients);
	rig_end(&r);
	rig_done(&r);
}

/* MAIL with these parameters: the reply. */
static const struct {
	struct str parameters;
	const char *reply;
} mail_cases[] = {
	{STR(""), MAIL_OK},
	{STR(" SIZE=0"), MAIL_OK},
	{STR(" SIZE"), BAD_SIZE},
	{STR(" SIZE=-1"), BAD_SIZE},
	{STR(" SIZE=20971521"), "552 5.3.4 Message is larger than the limit\r\n"},
	{STR(" SIZE=1 size=1"), TWICE},
	{STR(" BODY=7bit"), MAIL_OK},
	{STR(" BODY=8BITMIME"), MAIL_OK},
	{STR(" BODY=BINARYMIME"), MAIL_OK},
	{STR(" BODY"), BAD_BODY},
	{STR(" BODY=BINARY"), BAD_BODY},
	{STR(" SMTPUTF8"), MAIL_OK},
	{STR(" smtputf8 SIZE=1"), MAIL_OK},
	{STR(" SMTPUTF8=1"), BAD_UTF8},
	{STR(" SMTPUTF8 SMTPUTF8"), TWICE},
	{STR(" RET=full"), MAIL_OK},
	{STR(" RET=HDRS"), MAIL_OK},
	{STR(" RET=HEADERS"), BAD_RET},
	{STR(" RET"), BAD_RET},
	{STR(" RET=FULL RET=HDRS"), TWICE},
	{STR(" ENVID=" HUNDRED), MAIL_OK},
	{STR(" ENVID=" HUNDRED "1"), BAD_ENVID},
	{STR(" ENVID"), BAD_ENVID},
	{STR(" ENVID=a+0D+0AX:+20y"), BAD_ENVID},
	{STR(" ENVID=a+00"), BAD_ENVID},
	{STR(" ENVID=a+7F"), BAD_ENVID},
	{STR(" ENVID=a+C3+BC"), BAD_ENVID},
	{STR(" ENVID=a+2b"), BAD_ENVID},
	{STR(" ENVID=a+2"), BAD_ENVID},
	{STR(" ENVID=a ENVID=a"), TWICE},
	{STR(" SOLICIT=org.example:ADV:ADLT"), MAIL_OK},
	{STR(" SOLICIT=a"), MAIL_OK},
	{STR(" SOLICIT"), BAD_SOLICIT},
	{STR(" SOLICIT=1a"), BAD_SOLICIT},
	{STR(" SOLICIT=a,"), BAD_SOLICIT},
	{STR(" SOLICIT=,a"), BAD_SOLICIT},
	{STR(" SOLICIT=a,,b"), BAD_SOLICIT},
	{STR(" SOLICIT=a,.b"), BAD_SOLICIT},
	{STR(" SOLICIT=a+20"), BAD_SOLICIT},
	{STR(" SOLICIT=a/b"), BAD_SOLICIT},
	/* REQUIRETLS is there under TLS alone. */
	{STR(" REQUIRETLS"), UNKNOWN},
	{STR(" AUTH=<>"), MAIL_OK},
	{STR(" AUTH=a+2Bb@c.example"), MAIL_OK},
	{STR(" AUTH=a@b@c"), BAD_AUTH},
	{STR(" AUTH=a+0D@c"), BAD_AUTH},
	{STR(" AUTH"), BAD_AUTH},
	{STR(" AUTH=<> AUTH=<>"), TWICE},
	{STR(" AUTH=j+C3+BC@c"), BAD_AUTH},
	{STR(" AUTH=j+C3+BC@c SMTPUTF8"), MAIL_OK},
	{STR(" SMTPUTF8 AUTH=j+C3@c"), BAD_AUTH},
	{STR(" AUTH=j" UE "@c SMTPUTF8"), BAD_AUTH},
	{STR(" NOTIFY=NEVER"), UNKNOWN},
	{STR(" ORCPT=rfc822;a@b"), UNKNOWN},
	{STR(" XFOO"), UNKNOWN},
	{STR(" XFOO=" UE), BAD_SYNTAX},
	{STR(" XFOO=" UE " SMTPUTF8"), UNKNOWN},
	{STR(" XFOO=\xc3 SMTPUTF8"), BAD_SYNTAX},
	{STR(" XFOO=\xc2\x85 SMTPUTF8"), BAD_SYNTAX},
	{STR(" " UE), BAD_SYNTAX},
	{STR(" " UE " SMTPUTF8"), BAD_SYNTAX},
	{STR(" ENVID=" UE " SMTPUTF8"), BAD_ENVID},
	{STR(" ENVID=" UE), BAD_SYNTAX},
};

static void test_mail(void)
{
	for (size_t i = 0; i < COUNT_OF(mail_cases); i++) {
		struct rig r;
		char name[200];

		(void)str_printable(name, sizeof(name), mail_cases[i].parameters);
		begin(&r);
		rig_start(&r);
		rig_say(&r, HELLO);
		rig_forget(&r);
		rig_say(&r, "MAIL FROM:<a@b.example>");
		say_line(&r, "", mail_cases[i].parameters);
		CHECK_STR(name, rig_output(&r), str_of(mail_cases[i].reply));
		rig_forget(&r);
		rig_say(&r, "MAIL FROM:<c@d.example>\r\n");
		CHECK(name, (memcmp(r.output.p, "250", 3) == 0) ==
				    (memcmp(mail_cases[i].reply, "250", 3) != 0));
		rig_end(&r);
		rig_done(&r);
	}
}

static const struct {
	struct str parameters;
	const char *reply;
	bool is_smtputf8;
} rcpt_cases[] = {
	{STR(""), RCPT_OK, false},
	{STR(" NOTIFY=NEVER"), RCPT_OK, false},
	{STR(" NOTIFY=success,delay"), RCPT_OK, false},
	{STR(" NOTIFY"), BAD_NOTIFY, false},
	{STR(" NOTIFY=NEVER,NEVER"), BAD_NOTIFY, false},
	{STR(" NOTIFY=NEVER,DELAY"), BAD_NOTIFY, false},
	{STR(" NOTIFY=DELAY,NEVER"), BAD_NOTIFY, false},
	{STR(" NOTIFY=DELAY,DELAY"), BAD_NOTIFY, false},
	{STR(" NOTIFY=DELAY,"), BAD_NOTIFY, false},
	{STR(" NOTIFY=,DELAY"), BAD_NOTIFY, false},
	{STR(" NOTIFY=,"), BAD_NOTIFY, false},
	{STR(" NOTIFY=ALWAYS"), BAD_NOTIFY, false},
	{STR(" NOTIFY=NEVER NOTIFY=NEVER"), TWICE, false},
	{STR(" ORCPT=rfc822;a@b"), RCPT_OK, false},
	{STR(" ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED), RCPT_OK, false},
	{STR(" ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "1"), BAD_ORCPT,
		false},
	{STR(" ORCPT"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822;"), BAD_ORCPT, false},
	{STR(" ORCPT=;a@b"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc.822;a@b"), BAD_ORCPT, false},
	{STR(" ORCPT=<rfc822>;a@b"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822;a+0D+0AX:y"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822;a+C3+BC@b"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822;a+b"), BAD_ORCPT, false},
	{STR(" ORCPT=rfc822;" UE), BAD_SYNTAX, false},
	{STR(" ORCPT=rfc822;" UE), BAD_ORCPT, true},
	{STR(" ORCPT=" UE ";a"), BAD_ORCPT, true},
	{STR(" ORCPT=rfc822;a ORCPT=rfc822;a"), TWICE, false},
	{STR(" ORCPT=utf-8;a@b"), RCPT_OK, false},
	{STR(" ORCPT=utf-8;a\\x{FC}@b"), RCPT_OK, false},
	{STR(" ORCPT=utf-8;\\x{5C}\\x{20}\\x{3d}\\x{10FFFD}"), RCPT_OK, false},
	{STR(" ORCPT=utf-8;" UE "\\x{FC}"), RCPT_OK, true},
	{STR(" ORCPT=utf-8;" UE), BAD_SYNTAX, false},
	{STR(" ORCPT=utf-8;"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a+20"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{FC"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{C}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{0A}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{10}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{00FC}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{41}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{7F}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{85}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{2028}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{D800}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{110000}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;a\\x{1000000}"), BAD_ORCPT, true},
	{STR(" ORCPT=utf-8;" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "\\x{FC}"),
		BAD_ORCPT, true},
	{STR(" SIZE=1"), UNKNOWN, true},
	{STR(" SMTPUTF8"), UNKNOWN, true},
	{STR(" RET=FULL"), UNKNOWN, true},
	{STR(" FOO"), UNKNOWN, true},
	{STR(" FOO="), BAD_SYNTAX, true},
};

static void test_rcpt(void)
{
	for (size_t i = 0; i < COUNT_OF(rcpt_cases); i++) {
		struct rig r;
		char name[200];

		(void)str_printable(name, sizeof(name), rcpt_cases[i].parameters);
		begin(&r);
		rig_start(&r);
		rig_say(&r, HELLO);
		rig_say(&r, rcpt_cases[i].is_smtputf8 ? "MAIL FROM:<> SMTPUTF8\r\n"
						      : "MAIL FROM:<>\r\n");
		rig_forget(&r);
		rig_say(&r, "RCPT TO:<a@b.example>");
		say_line(&r, "", rcpt_cases[i].parameters);
		CHECK_STR(name, rig_output(&r), str_of(rcpt_cases[i].reply));
		rig_end(&r);
		rig_done(&r);
	}
}

/* What was not offered has no parameters. */
static void test_not_offered(void)
{
	static const struct {
		const char *parameter;
		bool is_of_rcpt;
		uint32_t extensions; /* that bring it */
	} cases[] = {
		{"SIZE=1", false, EXTENSION_BIT(EXTENSION_SIZE)},
		{"BODY=7BIT", false, EXTENSION_BIT(EXTENSION_8BITMIME)},
		{"BODY=8BITMIME", false, EXTENSION_BIT(EXTENSION_8BITMIME)},
		{"BODY=BINARYMIME", false, EXTENSION_BIT(EXTENSION_BINARYMIME)},
		{"SMTPUTF8", false, EXTENSION_BIT(EXTENSION_SMTPUTF8)},
		{"RET=FULL", false, EXTENSION_BIT(EXTENSION_DSN)},
		{"ENVID=x", false, EXTENSION_BIT(EXTENSION_DSN)},
		{"SOLICIT=x", false, EXTENSION_BIT(EXTENSION_NO_SOLICITING)},
		{"REQUIRETLS", false, EXTENSION_BIT(EXTENSION_REQUIRETLS)},
		{"NOTIFY=NEVER", true, EXTENSION_BIT(EXTENSION_DSN)},
		{"ORCPT=rfc822;x", true, EXTENSION_BIT(EXTENSION_DSN)},
	};

	for (size_t k = 0; k < 3 * COUNT_OF(cases); k++) {
		size_t i = k / 3;
		uint32_t codes = EXTENSION_BIT(EXTENSION_ENHANCEDSTATUSCODES);
		/* All but those, those alone, and all. */
		uint32_t sets[] = {EXTENSIONS_ALL & ~cases[i].extensions,
			cases[i].extensions | codes, EXTENSIONS_ALL};
		char line[80], name[100];
		struct rig r;

		(void)snprintf(line, sizeof(line), "%s<a@b> %s\r\n",
			cases[i].is_of_rcpt ? "RCPT TO:" : "MAIL FROM:",
			cases[i].parameter);
		(void)snprintf(name, sizeof(name), "%s, %zu", cases[i].parameter, k % 3);
		begin(&r);
		r.peer.settings.extensions = sets[k % 3];
		r.peer.settings.tls = LISTEN_TLS_IMPLICIT;
		r.tls = RIG_TLS_STARTS;
		rig_start(&r);
		rig_say(&r, HELLO);
		if (cases[i].is_of_rcpt)
			rig_say(&r, "MAIL FROM:<>\r\n");
		rig_forget(&r);
		rig_say(&r, line);
		CHECK_STR(name, rig_output(&r),
			k % 3 == 0            ? STR(UNKNOWN)
			: cases[i].is_of_rcpt ? STR(RCPT_OK)
					      : STR(MAIL_OK));
		rig_end(&r);
		rig_done(&r);
	}
}

/* Addresses beyond ASCII, in MAIL, or in RCPT where mail is said before it. */
static const struct {
	const char *mail;
	struct str line;
	const char *reply;
	bool is_off;
} utf8_cases[] = {
	{NULL, STR("MAIL FROM:<j" UE "@b" UE ".example> SMTPUTF8"), MAIL_OK, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> SIZE=1\tsmtputf8 BODY=8BITMIME"), MAIL_OK,
		false},
	{NULL, STR("MAIL FROM:<j" UE "@x>"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> SIZE=1"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> XSMTPUTF8"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> SMTPUTF8X"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<j" UE "@x>SMTPUTF8"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<\xff@x>"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<\xff@x> SMTPUTF8"), BAD_PATH, false},
	{NULL, STR("MAIL FROM:<a\xe2\x80\xa8@x> SMTPUTF8"), BAD_PATH, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> SMTPUTF8=1"), NOT_ASCII, false},
	/* The word in quotes is not the parameter. */
	{NULL, STR("MAIL FROM:<\"" UE " SMTPUTF8 \"@x>"), NOT_ASCII, false},
	{NULL, STR("MAIL FROM:<\"a SMTPUTF8 \"@x>"), MAIL_OK, false},
	{NULL, STR("MAIL FROM:<\"a SMTPUTF8 \"@x> AUTH=" UE "@x"), BAD_AUTH, false},
	{NULL, STR("MAIL FROM:<\"a SMTPUTF8 \"@x> AUTH=+C3+BC@x"), BAD_AUTH, false},
	{NULL, STR("MAIL FROM:<\"" UE " SMTPUTF8 \"@x> SMTPUTF8"), MAIL_OK, false},
	{NULL, STR("MAIL FROM:<j" UE "@x> SMTPUTF8"), NOT_ASCII, true},
	{NULL, STR("MAIL FROM:<j@x> SMTPUTF8"), UNKNOWN, true},
	{"MAIL FROM:<> SMTPUTF8\r\n", STR("RCPT TO:<j" UE "@b" UE ".example>"), RCPT_OK,
		false},
	{"MAIL FROM:<> SMTPUTF8\r\n", STR("RCPT TO:<\"" UE "\"@x>"), RCPT_OK, false},
	{"MAIL FROM:<> SMTPUTF8\r\n", STR("RCPT TO:<\xc3@x>"), BAD_RPATH, false},
	{"MAIL FROM:<>\r\n", STR("RCPT TO:<j" UE "@x>"), NOT_ASCII, false},
	{"MAIL FROM:<>\r\n", STR("RCPT TO:<j" UE "@x> SMTPUTF8"), NOT_ASCII, false},
	{"MAIL FROM:<>\r\n", STR("RCPT TO:<j" UE "@x>"), NOT_ASCII, true},
	/* It lasts for one transaction. */
	{"MAIL FROM:<> SMTPUTF8\r\nRSET\r\nMAIL FROM:<>\r\n", STR("RCPT TO:<j" UE "@x>"),
		NOT_ASCII, false},
	{NULL, STR("VRFY j" UE " SMTPUTF8"),
		"252 2.5.0 Cannot verify, but send some mail and see\r\n", false},
	{NULL, STR("EXPN j" UE " SMTPUTF8"), "502 5.5.1 Lists are not expanded here\r\n",
		false},
};

static void test_utf8_addresses(void)
{
	for (size_t i = 0; i < COUNT_OF(utf8_cases); i++) {
		struct rig r;
		char name[200];

		(void)str_printable(name, sizeof(name), utf8_cases[i].line);
		begin(&r);
		if (utf8_cases[i].is_off)
			r.peer.settings.extensions &= ~EXTENSION_BIT(EXTENSION_SMTPUTF8);
		rig_start(&r);
		rig_say(&r, HELLO);
		if (utf8_cases[i].mail != NULL)
			rig_say(&r, utf8_cases[i].mail);
		rig_forget(&r);
		say_line(&r, "", utf8_cases[i].line);
		CHECK_STR(name, rig_output(&r), str_of(utf8_cases[i].reply));
		rig_end(&r);
		rig_done(&r);
	}
}

/* As long as can be, but not longer. */
static void test_solicit_length(void)
{
	for (size_t n = 1000; n <= 1001; n++) {
		char line[1100] = "MAIL FROM:<> SOLICIT=";
		size_t start = strlen(line);
		struct rig r;

		memset(line + start, 'a', n);
		memcpy(line + start + n, "\r\n", 3);
		begin(&r);
		rig_start(&r);
		rig_say(&r, HELLO);
		rig_forget(&r);
		rig_say(&r, line);
		CHECK_STR("length", rig_output(&r),
			n == 1000 ? STR(MAIL_OK) : STR(BAD_SOLICIT));
		rig_end(&r);
		rig_done(&r);
	}
}

/* RFC 3030, 3 */
static void test_binary(void)
{
	struct rig r;

	begin(&r);
	rig_start(&r);
	rig_say(&r, HELLO "MAIL FROM:<> BODY=BinaryMime\r\nRCPT TO:<a@b>\r\n");
	rig_forget(&r);
	rig_say(&r, "DATA\r\n");
	CHECK_STR(
		"DATA", rig_output(&r), STR("503 5.5.1 BODY=BINARYMIME needs BDAT\r\n"));
	rig_end(&r);
	rig_done(&r);
}

static void test_value_of_none(void)
{
	struct rig r;

	begin(&r);
	r.peer.settings.tls = LISTEN_TLS_IMPLICIT;
	r.tls = RIG_TLS_STARTS;
	rig_start(&r);
	rig_say(&r, HELLO);
	rig_forget(&r);
	rig_say(&r, "MAIL FROM:<> REQUIRETLS=1\r\n");
	CHECK_STR("REQUIRETLS", rig_output(&r), STR(BAD_TLS));
	rig_end(&r);
	rig_done(&r);
}

/* Memory that runs out, at whatever piece, is 452; and then all of it is there again. */
static void test_memory(void)
{
	static const char mail[] = "MAIL FROM:<a@b> ENVID=" HUNDRED " AUTH=c@d SOLICIT="
				   "x" HUNDRED HUNDRED "\r\n";
	static const char rcpt[] = "RCPT TO:<a@b> ORCPT=rfc822;" HUNDRED HUNDRED "\r\n";
	struct rig r;
	size_t counts[3] = {0};

	begin(&r);
	r.settings.memory_max = 65536;
	r.settings.recipients_max = 100000;
	rig_start(&r);
	for (size_t round = 0; round < COUNT_OF(counts); round++) {
		rig_say(&r, HELLO);
		rig_forget(&r);
		rig_say(&r, mail);
		CHECK_STR("MAIL", rig_output(&r), STR(MAIL_OK));
		do {
			rig_forget(&r);
			rig_say(&r, rcpt);
		} while (memcmp(r.output.p, "250", 3) == 0 && ++counts[round] < 1000);
		CHECK_STR("RCPT", rig_output(&r),
			STR("452 4.3.1 Too much for one session\r\n"));
	}
	CHECK("the same", counts[0] == counts[1] && counts[1] == counts[2]);
	CHECK("some", counts[0] > 50 && counts[0] < 200);
	rig_end(&r);
	rig_done(&r);
}

void suite_parameters(void)
{
	CU_pSuite s = CU_add_suite("parameters", NULL, NULL);

	CU_add_test(s, "envelope", test_envelope);
	CU_add_test(s, "MAIL", test_mail);
	CU_add_test(s, "RCPT", test_rcpt);
	CU_add_test(s, "not offered", test_not_offered);
	CU_add_test(s, "UTF-8 addresses", test_utf8_addresses);
	CU_add_test(s, "length of SOLICIT", test_solicit_length);
	CU_add_test(s, "binary", test_binary);
	CU_add_test(s, "value of none", test_value_of_none);
	CU_add_test(s, "memory", test_memory);
}
