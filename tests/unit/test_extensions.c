/* smtp/extensions: what EHLO offers, and what is left when a listener offers less. */
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define NAME    "sink.example.test"
#define EHLO    "EHLO client.example\r\n"
#define BIT(id) EXTENSION_BIT(EXTENSION_##id)

#define ALL_PLAIN                                                                        \
	"PIPELINING SIZE=20971520 8BITMIME SMTPUTF8 CHUNKING BINARYMIME DSN "            \
	"LIMITS=RCPTMAX=1000 NO-SOLICITING VRFY HELP ENHANCEDSTATUSCODES"

static bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* Check that s is one whole reply with this code and name, and give its other lines,
 * with "=" for blanks and a blank between them. */
static struct str offers_of(const char *name, struct str s, char out[1024])
{
	size_t len = 0;
	bool is_first = true;

	while (s.n > 0) {
		const char *end = memmem(s.p, s.n, "\r\n", 2);
		size_t n;

		CU_ASSERT_FATAL(end != NULL && end - s.p > 4 && len + s.n < 1024);
		n = (size_t)(end - s.p);
		CHECK(name, memcmp(s.p, "250", 3) == 0);
		CHECK(name, s.p[3] == (n + 2 == s.n ? ' ' : '-'));
		if (is_first)
			CHECK_STR(name, ((struct str){s.p + 4, n - 4}), STR(NAME));
		else if (len > 0)
			out[len++] = ' ';
		for (size_t i = 4; !is_first && i < n; i++)
			out[len++] = s.p[i] == ' ' ? '=' : s.p[i];
		is_first = false;
		s = str_skip(s, n + 2);
	}
	CHECK(name, !is_first);
	return (struct str){out, len};
}

static const struct {
	const char *name;
	uint32_t extensions;
	enum listen_tls tls;
	bool may_xclient;
	size_t recipients;
	unsigned messages;
	const char *hello;
	const char *offers;
} listeners[] = {
	{"all", EXTENSIONS_ALL, LISTEN_TLS_OFF, false, 1000, 0, EHLO, ALL_PLAIN},
	{"LMTP", EXTENSIONS_ALL, LISTEN_TLS_OFF, false, 1000, 0, "LHLO x\r\n", ALL_PLAIN},
	{"LMTP, nothing", 0, LISTEN_TLS_OFF, false, 1000, 0, "LHLO x\r\n", ""},
	{"LMTP, STARTTLS", 0, LISTEN_TLS_STARTTLS, false, 1000, 0, "LHLO x\r\n",
		"STARTTLS"},
	{"TLS may be had", EXTENSIONS_ALL, LISTEN_TLS_STARTTLS, false, 1000, 0, EHLO,
		"PIPELINING SIZE=20971520 8BITMIME STARTTLS SMTPUTF8 CHUNKING "
		"BINARYMIME DSN LIMITS=RCPTMAX=1000 NO-SOLICITING VRFY HELP "
		"ENHANCEDSTATUSCODES"},
	{"TLS is there", EXTENSIONS_ALL, LISTEN_TLS_IMPLICIT, false, 1000, 0, EHLO,
		"PIPELINING SIZE=20971520 8BITMIME SMTPUTF8 CHUNKING BINARYMIME "
		"DSN LIMITS=RCPTMAX=1000 NO-SOLICITING REQUIRETLS VRFY HELP "
		"ENHANCEDSTATUSCODES"},
	{"a proxy", BIT(SIZE) | BIT(HELP), LISTEN_TLS_OFF, true, 1000, 0, EHLO,
		"SIZE=20971520 XCLIENT=NAME=ADDR=PORT=PROTO=HELO=LOGIN=DESTADDR="
		"DESTPORT HELP"},
	{"a proxy, nothing else", 0, LISTEN_TLS_OFF, true, 1000, 0, "LHLO x\r\n",
		"XCLIENT=NAME=ADDR=PORT=PROTO=HELO=LOGIN=DESTADDR=DESTPORT"},
	{"one", BIT(PIPELINING), LISTEN_TLS_OFF, false, 1000, 0, EHLO, "PIPELINING"},
	{"never told", BIT(EXPN) | BIT(ETRN), LISTEN_TLS_OFF, false, 1000, 0, EHLO, ""},
	{"not without TLS", BIT(REQUIRETLS), LISTEN_TLS_OFF, false, 1000, 0, EHLO, ""},
	{"only under TLS", BIT(REQUIRETLS), LISTEN_TLS_IMPLICIT, false, 1000, 0, EHLO,
		"REQUIRETLS"},
	{"limits", BIT(LIMITS), LISTEN_TLS_OFF, false, 7, 3, EHLO,
		"LIMITS=RCPTMAX=7=MAILMAX=3"},
	{"two that are made", BIT(SIZE) | BIT(LIMITS), LISTEN_TLS_OFF, false, 7, 3, EHLO,
		"SIZE=20971520 LIMITS=RCPTMAX=7=MAILMAX=3"},
	{"as long as can be", BIT(LIMITS), LISTEN_TLS_OFF, false, 999999, 999999, EHLO,
		"LIMITS=RCPTMAX=999999=MAILMAX=999999"},
	{"a digit too many", BIT(LIMITS), LISTEN_TLS_OFF, false, 1000000, 5, EHLO,
		"LIMITS=MAILMAX=5"},
	{"two digits too many", BIT(LIMITS) | BIT(DSN), LISTEN_TLS_OFF, false, 1000000,
		1000000, EHLO, "DSN"},
};

static void test_offers(void)
{
	char text[1024];

	for (size_t i = 0; i < COUNT_OF(listeners); i++) {
		struct rig r;

		rig_init(&r);
		r.settings.recipients_max = listeners[i].recipients;
		r.settings.messages_max = listeners[i].messages;
		r.peer.settings.extensions = listeners[i].extensions;
		r.peer.settings.tls = listeners[i].tls;
		r.peer.may_xclient = listeners[i].may_xclient;
		r.tls = RIG_TLS_STARTS;
		if (listeners[i].hello[0] == 'L')
			r.peer.settings.protocol = LISTEN_LMTP;
		rig_start(&r);
		rig_forget(&r);
		rig_say(&r, listeners[i].hello);
		CHECK_STR(listeners[i].name,
			offers_of(listeners[i].name, rig_output(&r), text),
			str_of(listeners[i].offers));
		rig_end(&r);
		rig_done(&r);
	}
}

/* Each that is taken away is missing, and nothing else is. */
static void test_each_off(void)
{
	static const char *const lines[EXTENSIONS] = {
		[EXTENSION_PIPELINING] = "PIPELINING ",
		[EXTENSION_SIZE] = "SIZE=20971520 ",
		[EXTENSION_8BITMIME] = "8BITMIME ",
		[EXTENSION_ENHANCEDSTATUSCODES] = " ENHANCEDSTATUSCODES",
		[EXTENSION_CHUNKING] = "CHUNKING ",
		[EXTENSION_BINARYMIME] = "BINARYMIME ",
		[EXTENSION_SMTPUTF8] = "SMTPUTF8 ",
		[EXTENSION_DSN] = "DSN ",
		[EXTENSION_LIMITS] = "LIMITS=RCPTMAX=1000 ",
		[EXTENSION_NO_SOLICITING] = "NO-SOLICITING ",
		[EXTENSION_HELP] = "HELP ",
		[EXTENSION_VRFY] = "VRFY ",
	};

	for (unsigned e = 0; e < EXTENSIONS; e++) {
		char expected[] = ALL_PLAIN, text[1024], name[40];
		char *at = lines[e] == NULL ? NULL : strstr(expected, lines[e]);
		struct rig r;

		(void)snprintf(name, sizeof(name), "without %s",
			lines[e] == NULL ? "one that is not told" : lines[e]);
		if (at != NULL)
			memmove(at, at + strlen(lines[e]),
				strlen(at + strlen(lines[e])) + 1);
		rig_init(&r);
		r.peer.settings.extensions = EXTENSIONS_ALL & ~EXTENSION_BIT(e);
		rig_start(&r);
		rig_forget(&r);
		rig_say(&r, EHLO);
		CHECK_STR(name, offers_of(name, rig_output(&r), text), str_of(expected));
		rig_end(&r);
		rig_done(&r);
	}
}

/* EHLO is unknown, HELO is not, and the greeting says so. */
static void test_without_extensions(void)
{
	struct rig r;

	rig_init(&r);
	r.peer.settings.extensions = 0;
	r.peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r.hooks.server_greeting = NULL;
	rig_start(&r);
	CHECK_STR("greeting", rig_output(&r), STR("220 " NAME " SMTP sinkd\r\n"));
	rig_forget(&r);
	rig_say(&r, EHLO);
	CHECK_STR("EHLO", rig_output(&r), STR("502 EHLO is not offered here\r\n"));
	rig_forget(&r);
	rig_say(&r, "AUTH PLAIN\r\nHELO x\r\nMAIL FROM:<a@b.example> AUTH=<>\r\n");
	CHECK_STR("AUTH", rig_output(&r),
		STR("502 AUTH is not offered here\r\n250 " NAME
		    "\r\n555 Unknown parameter\r\n"));
	rig_forget(&r);
	rig_say(&r, "HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
		    "DATA\r\n");
	CHECK_STR("HELO", rig_output(&r),
		STR("250 " NAME "\r\n250 Ok\r\n250 Ok\r\n"
		    "354 End data with <CR><LF>.<CR><LF>\r\n"));
	rig_end(&r);
	rig_done(&r);
}

/* "2.1.0 " and the like, behind the code */
static bool has_enhanced_code(struct str line)
{
	line = str_skip(line, 4);
	return line.n > 5 && str_is_digit(line.p[0]) && line.p[1] == '.' &&
	       str_is_digit(line.p[2]) && line.p[3] == '.' && str_is_digit(line.p[4]);
}

/* Without ENHANCEDSTATUSCODES no reply has one, whoever makes it; with it most do. */
static void test_enhanced_codes(void)
{
	static const char talk[] =
		"NOOP\r\nFOO\r\nMAIL FROM:<a@b>\r\n" EHLO "HELP\r\nVRFY a\r\nEXPN a\r\n"
		"ETRN a\r\nXCLIENT A=B\r\nSTARTTLS\r\nAUTH FOO\r\n"
		"MAIL FROM:<a>\r\nMAIL FROM:<a@b> FOO\r\nMAIL FROM:<a@b> SIZE=x\r\n"
		"MAIL FROM:<a@b>\r\nRCPT TO:<full@b>\r\nRCPT TO:<\xc3\xbc@b>\r\n"
		"DATA\r\nx\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@b>\r\nDATA\r\nx\r\n.\r\n"
		"RSET\r\nQUIT\r\n";

	for (int is_on = 0; is_on < 2; is_on++) {
		size_t with = 0, without = 0;
		struct rig r;

		rig_init(&r);
		r.settings.errors_max = 100;
		r.peer.settings.auth = LISTEN_AUTH_OPTIONAL;
		if (!is_on)
			r.peer.settings.extensions &= ~BIT(ENHANCEDSTATUSCODES);
		rig_start(&r);
		rig_say(&r, talk);
		CHECK("to the end", r.is_over && has(rig_output(&r), "\r\n221 "));
		CHECK("a failure", has(rig_output(&r), "Mailbox full"));
		for (struct str s = rig_output(&r); s.n > 0;) {
			const char *end = memmem(s.p, s.n, "\r\n", 2);
			size_t n;

			CU_ASSERT_PTR_NOT_NULL_FATAL(end);
			n = (size_t)(end - s.p);
			if (has_enhanced_code((struct str){s.p, n}))
				with++;
			else
				without++;
			s = str_skip(s, n + 2);
		}
		CHECK("codes", is_on ? with > 20 : with == 0);
		CHECK("lines", without > 3);
		rig_end(&r);
		rig_done(&r);
	}
}

void suite_extensions(void)
{
	CU_pSuite s = CU_add_suite("extensions", NULL, NULL);

	CU_add_test(s, "offers", test_offers);
	CU_add_test(s, "each off", test_each_off);
	CU_add_test(s, "without extensions", test_without_extensions);
	CU_add_test(s, "enhanced codes", test_enhanced_codes);
}
