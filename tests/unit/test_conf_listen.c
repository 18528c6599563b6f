/* The sections listen of the configuration. */
#include "conf_fixture.h"
#include "unit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"

#define TAKEN_BY(name) "listen \"" name "\" has this address already\n"

static void test_addresses(void)
{
	static const struct conf_mistake cases[] = {
		{"two families", "listen mx { address = {\"0.0.0.0:25\", \"[::]:25\"} }",
			""},
		{"ports differ",
			"listen a { address = {\"127.0.0.1:1\", \"127.0.0.1:2\"} }", ""},
		{"any free port",
			"listen a { address = {\"127.0.0.1:0\", \"127.0.0.1:0\"} }", ""},
		{"unix", "listen a { address = {\"unix:/a\", \"unix:/b\"} }", ""},
		{"no address", "listen mx {\n\tbacklog = 1\n}",
			"3: listen \"mx\": address: at least one must be given\n"},
		{"backlog", "listen mx { address = {\"[::1]:25\"} backlog = 0 }",
			"1: listen \"mx\": backlog: '0': must be from 1 to 65535\n"},
		{"twice in one section",
			"listen mx {\n\taddress = {\"[::1]:25\",\n\t\"[::1]:25\"}\n}",
			"3: listen \"mx\": address: '[::1]:25': " TAKEN_BY("mx")},
		{"twice in two sections",
			"listen a { address = {\"unix:/s\"} }\n"
			"listen b { address = {\"unix:/s\"} }",
			"2: listen \"b\": address: 'unix:/s': " TAKEN_BY("a")},
		{"under a wildcard",
			"listen a { address = {\"0.0.0.0:25\"} }\n"
			"listen b { address = {\"127.0.0.1:25\"} }",
			"2: listen \"b\": address: '127.0.0.1:25': " TAKEN_BY("a")},
		{"wildcard over localhost",
			"listen a { address = {\"localhost:25\"} }\n"
			"listen b { address = {\"[::]:25\"} }",
			"2: listen \"b\": address: '[::]:25': " TAKEN_BY("a")},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define MAILDIR "deliver inbox { type = maildir path = ./M }\n"
static void test_protocol_and_deliver(void)
{
	static const struct conf_mistake cases[] = {
		{"deliver",
			MAILDIR "listen a { address = {\"[::1]:25\"} deliver = {inbox} }",
			""},
		{"deliver not defined",
			MAILDIR "listen a { address = {\"[::1]:25\"}\ndeliver = {x}\n}",
			"3: listen \"a\": deliver: there is no section deliver \"x\"\n"},
		{"deliver to none",
			MAILDIR "listen a { address = {\"[::1]:25\"}\ndeliver = {}\n}",
			"4: listen \"a\": deliver: at least one must be given\n"},
		{"deliver to one twice",
			MAILDIR "listen a { address = {\"[::1]:25\"}\ndeliver = {inbox,\n"
				"inbox} }",
			"4: listen \"a\": deliver: 'inbox': given twice\n"},
		{"lmtp",
			"listen a { address = {\"[::1]:24\", \"unix:/s\"} protocol = "
			"lmtp }",
			""},
		{"lmtp at any port",
			"listen a { address = {\"[::1]:0\"} protocol = lmtp }", ""},
		{"lmtp at port 25",
			"listen a {\naddress = {\"[::1]:24\",\n\"127.0.0.1:25\",\n"
			"\"localhost:25\"}\nprotocol = lmtp\n}",
			"3: listen \"a\": address: '127.0.0.1:25': LMTP must not be used "
			"at port 25\n"
			"4: listen \"a\": address: 'localhost:25': listen \"a\" has this "
			"address already\n"},
		{"lmtp at port 25 of localhost",
			"listen a { address = {\"localhost:25\"} protocol = lmtp }",
			"1: listen \"a\": address: 'localhost:25': LMTP must not be used "
			"at port 25\n"},
		{"protocol unknown",
			"listen a { address = {\"[::1]:25\"} protocol = uucp }",
			"1: listen \"a\": protocol: 'uucp': must be \"smtp\" or "
			"\"lmtp\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define IN_A(options) "listen a { address = {\"[::1]:25\"}\n" options " }"
#define CHOICES                                                                          \
	"must be \"PIPELINING\" or \"SIZE\" or \"8BITMIME\" or \"ENHANCEDSTATUSCODES\" " \
	"or \"CHUNKING\" or \"BINARYMIME\" or \"SMTPUTF8\" or \"DSN\" or \"LIMITS\" or " \
	"\"NO-SOLICITING\" or \"REQUIRETLS\" or \"HELP\" or \"VRFY\" or \"EXPN\" or "    \
	"\"ETRN\"\n"

static void test_extensions(void)
{
	static const struct conf_mistake cases[] = {
		{"some", IN_A("extensions = {SIZE, NO-SOLICITING, HELP}"), ""},
		{"none", IN_A("extensions = {}"), ""},
		{"unknown", IN_A("extensions = {SIZE,\n\"BDAT\"}"),
			"3: listen \"a\": extensions: 'BDAT': " CHOICES},
		{"options of their own", IN_A("extensions = {STARTTLS, AUTH,\nXCLIENT}"),
			"2: listen \"a\": extensions: 'STARTTLS': is offered as the "
			"option tls says\n"
			"2: listen \"a\": extensions: 'AUTH': is offered as the "
			"option auth says\n"
			"3: listen \"a\": extensions: 'XCLIENT': is offered as the "
			"option xclient says\n"},
		{"two in one", IN_A("extensions = {\"SIZE DSN\"}"),
			"2: listen \"a\": extensions: 'SIZE DSN': " CHOICES},
		{"in small letters", IN_A("extensions = {size}"),
			"2: listen \"a\": extensions: 'size': " CHOICES},
		{"empty", IN_A("extensions = {\"\"}"),
			"2: listen \"a\": extensions: '': " CHOICES},
		{"twice", IN_A("extensions = {SIZE, DSN,\nSIZE}"),
			"3: listen \"a\": extensions: 'SIZE': given twice\n"},
		{"BINARYMIME alone", IN_A("extensions = {SIZE,\nBINARYMIME,\nDSN}"),
			"3: listen \"a\": extensions: 'BINARYMIME': \"CHUNKING\" must be "
			"given as well\n"},
		{"SMTPUTF8 alone", IN_A("extensions = {SMTPUTF8, BINARYMIME}"),
			"2: listen \"a\": extensions: 'SMTPUTF8': \"8BITMIME\" must be "
			"given as well\n"
			"2: listen \"a\": extensions: 'BINARYMIME': \"CHUNKING\" must be "
			"given as well\n"},
		{"misspelt, not missing", IN_A("extensions = {BINARYMIME, CHUNKIN}"),
			"2: listen \"a\": extensions: 'CHUNKIN': " CHOICES},
		{"all that need others",
			IN_A("extensions = {BINARYMIME, SMTPUTF8, CHUNKING, 8BITMIME}"),
			""},
		{"no EHLO, but AUTH", IN_A("extensions = {}\nauth = required"),
			"3: listen \"a\": auth: 'required': without extensions there is "
			"no "
			"EHLO and no AUTH, so that nobody could send mail\n"},
		{"LHLO and AUTH",
			"auth { accept-any = true }\n"
			"listen a { address = {\"[::1]:24\"} extensions = {} protocol = "
			"lmtp auth = required }",
			""},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_peers(void)
{
	static const struct conf_mistake cases[] = {
		{"networks",
			IN_A("proxy-protocol = {\"10.0.0.0/8\", \"2001:db8::/32\", "
			     "\"192.0.2.1\", \"::1\", unix, \"0.0.0.0/0\"}\n"
			     "xclient = {\"127.0.0.1\"}"),
			""},
		{"none", IN_A("proxy-protocol = {} xclient = {}"), ""},
		{"each at its line",
			IN_A("proxy-protocol = {\"10.0.0.0/8\",\n\"10.0.0.1/8\"}\n"
			     "xclient = {\"10.0.0.0/33\",\n\"a\\nb\"}"),
			"3: listen \"a\": proxy-protocol: '10.0.0.1/8': bits behind the "
			"prefix must be zero, as in 10.0.0.0/8\n"
			"4: listen \"a\": xclient: '10.0.0.0/33': expected a prefix of 0 "
			"to "
			"32\n"
			"5: listen \"a\": xclient: 'a\\x0Ab': expected an address or a "
			"network as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32, or "
			"unix\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static bool has(const struct network *networks, size_t n, const char *address)
{
	struct sockaddr_storage peer = {.ss_family = AF_INET};

	CU_ASSERT_FATAL(inet_pton(AF_INET, address,
				&((struct sockaddr_in *)&peer)->sin_addr) == 1);
	return networks_have(networks, n, &peer);
}

/* What is read is what the server gets, for each section its own. */
static void test_kept(void)
{
	struct config *c = NULL;
	const struct listen_settings *l;
	int result;
	char *told;

	CHECK("write",
		write_conf(
			"limits { commands-without-mail = 7 messages-per-session = 8\n"
			"early-talker = refuse }\n"
			"listen a { address = {\"[::1]:25\"} extensions = {DSN, SIZE}\n"
			"proxy-protocol = {\"192.0.2.1\", \"10.0.0.0/8\"} }\n"
			"listen b { address = {\"[::1]:26\"} extensions = {}\n"
			"xclient = {\"192.0.2.1\"} }\n"
			"listen c { address = {\"[::1]:27\"} }\n"));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK_STR("told", str_of(told), STR(""));
	free(told);
	CU_ASSERT_EQUAL_FATAL(result, 0);
	l = c->listeners;
	CHECK("limits", c->smtp.idle_commands_max == 7 && c->smtp.messages_max == 8 &&
				c->early_talker == EARLY_TALKER_REFUSE);
	CHECK("two", l[0].smtp.extensions == (EXTENSION_BIT(EXTENSION_DSN) |
						     EXTENSION_BIT(EXTENSION_SIZE)));
	CHECK("none", l[1].smtp.extensions == 0);
	CHECK("all", l[2].smtp.extensions == EXTENSIONS_ALL);
	CHECK("counts", l[0].proxy_count == 2 && l[0].xclient_count == 0 &&
				l[1].proxy_count == 0 && l[1].xclient_count == 1 &&
				l[2].proxy_count == 0 && l[2].xclient_count == 0);
	CHECK("a proxy", has(l[0].proxies, l[0].proxy_count, "10.255.0.1"));
	CHECK("no proxy", !has(l[0].proxies, l[0].proxy_count, "192.0.2.2"));
	CHECK("xclient", has(l[1].xclients, l[1].xclient_count, "192.0.2.1"));
	config_free(c);
}

void suite_conf_listen(void)
{
	CU_pSuite s =
		CU_add_suite("conf listen", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "addresses", test_addresses);
	CU_add_test(s, "protocol and deliver", test_protocol_and_deliver);
	CU_add_test(s, "extensions", test_extensions);
	CU_add_test(s, "peers", test_peers);
	CU_add_test(s, "what is kept", test_kept);
}
