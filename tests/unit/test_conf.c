/* The configuration: every mistake is told with file and line, what is printed
 * loads again as the same, and the command line wins over the file. */
#include "conf_fixture.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"

#define NOT_A_DOMAIN "a domain name, or an address in brackets, is expected\n"
#define DOMAIN_63    "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.abc"

static void test_texts(void)
{
	static const struct conf_mistake cases[] = {
		{"empty file", "", ""},
		{"hostname", "hostname = mx.example.test", ""},
		{"hostname with a blank", "\nhostname = \"a b\"",
			"2: hostname: 'a b': " NOT_A_DOMAIN},
		{"escaped in messages", "hostname = \"a\\n\"",
			"1: hostname: 'a\\x0A': " NOT_A_DOMAIN},
		{"environment", "hostname = \"${SINKD_TEST_NAME}\"", ""},
		{"greeting macros", "greeting = \"%{hostname} %{protocol} 100%% ready\"",
			""},
		{"greeting unknown macro", "greeting = \"%{host}\"",
			"1: greeting: '%{host}': the only macros are %{hostname}, "
			"%{protocol} and %%\n"},
		{"greeting lone percent", "greeting = \"100%\"",
			"1: greeting: '100%': the only macros are %{hostname}, "
			"%{protocol} and %%\n"},
		{"greeting with a line end", "greeting = \"a\\r\\n250 b\"",
			"1: greeting: 'a\\x0D\\x0A250 b': only printable ASCII "
			"characters can be sent\n"},
		{"greeting empty", "greeting = \"\"",
			"1: greeting: '': the greeting is empty\n"},
		{"greeting as long as can be",
			"greeting = \"%{hostname}" DOMAIN_63 DOMAIN_63 DOMAIN_63
			"12345678901234567890123456789012345678901234567890123456789012"
			"\"",
			""},
		{"greeting too long", "greeting = \"%{hostname} %{hostname}\"",
			"1: greeting: '%{hostname} %{hostname}': longer than 506 octets, "
			"%{hostname} counted as 255\n"},
	};

	CU_ASSERT_EQUAL_FATAL(setenv("SINKD_TEST_NAME", "mx.example.test", 1), 0);
	CHECK_CONF_MISTAKES(cases);
	(void)unsetenv("SINKD_TEST_NAME");
}

static void test_numbers_and_words(void)
{
	static const struct conf_mistake cases[] = {
		{"workers", "workers { start = 16384 }", ""},
		{"workers none", "workers {\n\tstart = 0\n}",
			"2: workers: start: '0': must be from 1 to 16384\n"},
		{"count with unit", "limits { recipients = 1K }",
			"1: limits: recipients: '1K': a whole number is expected\n"},
		{"count negative", "limits { errors = -1 }",
			"1: limits: errors: '-1': a whole number is expected\n"},
		{"count huge", "limits { errors = 99999999999999999999 }",
			"1: limits: errors: '99999999999999999999': must be from 1 to "
			"1000000\n"},
		{"size without limit", "limits { message-size = 0 }", ""},
		{"size too small", "limits { message-size = \"1023\" }",
			"1: limits: message-size: '1023': must be from 1K to 1024G, or 0 "
			"for no limit\n"},
		{"size no size", "limits { memory-per-session = \"much\" }",
			"1: limits: memory-per-session: 'much': a size such as \"20M\" "
			"(units K, M, G) is expected\n"},
		{"any number", "limits { commands-without-mail = 0 }", ""},
		{"more commands than that", "limits { commands-without-mail = 1000001 }",
			"1: limits: commands-without-mail: '1000001': must be from 0 to "
			"1000000\n"},
		{"messages in words", "limits { messages-per-session = none }",
			"1: limits: messages-per-session: 'none': a whole number is "
			"expected\n"},
		{"early talker unknown", "limits {\nearly-talker = log }",
			"2: limits: early-talker: 'log': must be \"allow\" or "
			"\"refuse\"\n"},
		{"word unknown", "limits { bare-newline = strict }",
			"1: limits: bare-newline: 'strict': must be \"normalize\" or "
			"\"reject\" or \"preserve\"\n"},
		{"time without unit", "timeouts { command = 5 }",
			"1: timeouts: command: '5': a time such as \"90s\" (units ms, s, "
			"m, h, d) is expected\n"},
		{"time too long", "timeouts { session = 8d }",
			"1: timeouts: session: '8d': must be from 100ms to 7d\n"},
		{"grace none", "timeouts { grace = 0 }", ""},
		{"several",
			"hostname = \"?\"\nlimits {\n\trecipients = 0\n\terrors = 0\n}",
			"1: hostname: '?': " NOT_A_DOMAIN
			"3: limits: recipients: '0': must be from 1 to 100000\n"
			"4: limits: errors: '0': must be from 1 to 1000000\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_timeouts(void)
{
	static const struct conf_mistake cases[] = {
		{"all equal", "timeouts { data = 1h data-total = 1h session = 1h }", ""},
		{"data over total", "timeouts {\n\tdata = 2h\n}",
			"2: timeouts: data: data must not be longer than data-total\n"},
		{"total under data", "timeouts {\n\n\tdata-total = 1m\n}",
			"3: timeouts: data-total: data must not be longer than "
			"data-total\n"},
		{"session under all", "timeouts {\n\tsession = 1m\n}",
			"2: timeouts: session: command must not be longer than session\n"
			"2: timeouts: session: data-total must not be longer than "
			"session\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_syntax(void)
{
	static const struct conf_mistake cases[] = {
		{"unknown option", "\n\nhost = a", "3: no such option 'host'\n"},
		{"unknown section", "tles {\n}", "1: no such option 'tles'\n"},
		{"unknown in a section", "workers {\n\tmaximum = 3\n}",
			"2: workers: no such option 'maximum'\n"},
		{"unknown in a titled one", "listen \"mx\" {\n\tprotocols = smtp\n}",
			"2: listen \"mx\": no such option 'protocols'\n"},
		{"no title", "listen {\n}", "1: missing title for section 'listen'\n"},
		{"no value", "hostname\nuser = a",
			"2: missing equal sign after option 'hostname'\n"},
		{"nothing before =", "\"\" = a", "1: an option name is expected\n"},
		{"open brace", "\nlimits {\n\trecipients = 1\n",
			"2: this brace is never closed\n"},
		{"open comment", "\n/* limits", "2: this comment is never closed\n"},
		{"open quote", "hostname = \"a", "1: premature end of file\n"},
		{"brace too many", "}", "1: unexpected closing brace\n"},
		{"lines after comments",
			"# one\n// two {\n/* three\n{ */ hostname = mx # \"\n'/*' = a",
			"5: no such option '/*'\n"},
		{"slashes in a word", "log { target = /var//log/x }\nx = 1",
			"2: no such option 'x'\n"},
		{"star", "log {\n\ttarget = /a*\n}", "2: a '*' must stand in quotes\n"},
		{"stars in quotes and comments", "/* * */ log { target = '/a*' } # *",
			""},
		{"no comment in quotes",
			"greeting = \"# // /* { \\\" \"\nlog { target = '/#' }", ""},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_unreadable(void)
{
	static const char nul[] = "hostname = \"a\0b\"\n";
	struct config *c = NULL;
	FILE *f = fopen(conf_file, "w");
	char expected[128], *told;
	int result;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fwrite(nul, 1, sizeof(nul) - 1, f);
	(void)fclose(f);
	told = load_conf(conf_file, NULL, &result, &c);
	(void)snprintf(expected, sizeof(expected),
		"sinkd: cannot read '%s': not a text file\n", conf_file);
	CHECK("NUL", result == -EILSEQ);
	CHECK_STR("NUL", str_of(told), str_of(expected));
	free(told);

	told = load_conf(conf_directory, NULL, &result, &c);
	CHECK("directory", result == -EISDIR);
	free(told);

	(void)unlink(conf_file);
	told = load_conf(conf_file, NULL, &result, &c);
	(void)snprintf(expected, sizeof(expected),
		"sinkd: cannot read '%s': No such file or directory\n", conf_file);
	CHECK("missing", result == -ENOENT);
	CHECK_STR("missing", str_of(told), str_of(expected));
	free(told);
}

static void test_accounts(void)
{
	static const struct conf_mistake as_root[] = {
		{"nobody", "user = nobody", ""},
		{"no such user", "\nuser = no-such-account",
			"2: user: there is no account 'no-such-account'\n"},
		{"root", "user = root",
			"1: user: 'root' has the rights of root, which workers never "
			"have\n"},
		{"group of root", "group = root",
			"1: group: 'root' is root's, which workers never have\n"},
		{"no such group", "group = no-such-group",
			"1: group: there is no group 'no-such-group'\n"},
	};
	static const struct conf_mistake as_other[] = {
		{"not looked up", "user = no-such-account group = no-such-group", ""},
		{"empty", "user = \"\"", "1: user: '': an account name is expected\n"},
	};

	if (geteuid() == 0)
		CHECK_CONF_MISTAKES(as_root);
	else
		CHECK_CONF_MISTAKES(as_other);
}

static void check_default_limits(const struct config *c)
{
	CHECK("sessions per client", c->sessions_per_client == 0);
	CHECK("message size", c->smtp.message_size_max == 20 * 1024 * 1024);
	CHECK("recipients", c->smtp.recipients_max == 1000);
	CHECK("line length", c->smtp.line_length_max == 4096);
	CHECK("errors", c->smtp.errors_max == 20);
	CHECK("commands without mail", c->smtp.idle_commands_max == 200);
	CHECK("messages per session", c->smtp.messages_max == 0);
	CHECK("early talker", c->early_talker == EARLY_TALKER_ALLOW);
	CHECK("memory", c->smtp.memory_max == 1024 * 1024);
	CHECK("bare newline", c->smtp.bare_newline == BARE_NEWLINE_NORMALIZE);
}

static void test_defaults(void)
{
	struct config *c = NULL;
	int result;
	char *told = load_conf(NULL, NULL, &result, &c);

	CU_ASSERT_EQUAL_FATAL(result, 0);
	CHECK_STR("told", str_of(told), STR(""));
	CHECK("file", c->file == NULL && c->user == NULL && c->group == NULL);
	CHECK("workers", c->workers.start == 4 && c->workers.min_spare == 2 &&
				 c->workers.max_spare == 8 && c->workers.max == 256 &&
				 c->workers.max_sessions == 10000 &&
				 c->workers.overflow == OVERFLOW_QUEUE);
	CHECK("runtime directory", c->runtime_dir == NULL);
	check_default_limits(c);
	CHECK("timeouts",
		c->timeouts.command_ms == 300000 && c->timeouts.data_ms == 180000 &&
			c->timeouts.data_total_ms == 3600000 &&
			c->timeouts.session_ms == 86400000 && c->timeouts.min_rate == 0 &&
			c->timeouts.grace_ms == 30000 &&
			c->timeouts.busy_command_ms == 10000);
	CHECK("log", c->log_level == LOG_INFO && c->log_format == LOG_FORMAT_TEXT &&
			     !c->is_verbose);
	CHECK("timeout of TLS", c->timeouts.tls_ms == 30000);
	CHECK("sandbox", c->sandbox_level == SANDBOX_KILL);
	CHECK_STR("log", str_of(c->log_target), STR("stderr"));
	CHECK("one listener", c->listener_count == 1);
	CHECK_STR("listener", str_of(c->listeners[0].name), STR("default"));
	CHECK("v4 and v6", c->listeners[0].endpoint_count == 2 &&
				   c->listeners[0].endpoints[1].is_optional);
	CHECK("backlog", c->listeners[0].backlog == 4096);
	CHECK("extensions", c->listeners[0].smtp.extensions == EXTENSIONS_ALL);
	CHECK("peers",
		c->listeners[0].proxy_count == 0 && c->listeners[0].xclient_count == 0);
	CHECK("one delivery", c->delivery_count == 1);
	CHECK("maildir", c->deliveries[0].backend == &delivery_maildir);
	CHECK_STR("delivery", str_of(c->deliveries[0].name), STR("inbox"));
	CHECK_STR("path", str_of(c->deliveries[0].path), STR("./Maildir"));
	CHECK("sync", c->deliveries[0].has_sync);
	CHECK("mode", c->deliveries[0].file_mode == 0600);
	CHECK("required", c->deliveries[0].is_required);
	CHECK("protocol", c->listeners[0].smtp.protocol == LISTEN_SMTP);
	CHECK("its delivery", c->listeners[0].delivery_count == 1 &&
				      c->listeners[0].deliveries[0] == 0);
	CHECK_STR("names", str_of(c->listeners[0].delivery_names), STR("inbox"));
	CHECK("clients are free", !c->listeners[0].smtp.is_sender_argument &&
					  !c->listeners[0].smtp.is_recipient_argument &&
					  c->listeners[0].smtp.recipient_text_max == 0);
	CHECK_STR("spool", str_of(c->spool_dir), STR("/var/tmp"));
	CHECK("headers", c->deliveries[0].headers[0] == HEADER_RETURN_PATH &&
				 c->deliveries[0].headers[1] == HEADER_DELIVERED_TO &&
				 c->deliveries[0].headers[2] == HEADER_RECEIVED);
	CHECK("hostname", c->deliveries[0].hostname == c->smtp.hostname);
	free(told);
	config_free(c);
}

/* Load, print, load what was printed, print: the same. */
static void check_round_trip(const char *name, const char *from)
{
	struct config *c = NULL, *again = NULL;
	char *told, *printed, *printed_again;
	int result;

	told = load_conf(from, NULL, &result, &c);
	CHECK_STR(name, str_of(told), STR(""));
	free(told);
	if (!CHECK(name, result == 0))
		return;
	printed = print_conf(c);
	CHECK(name, write_conf(printed));
	told = load_conf(conf_file, NULL, &result, &again);
	CHECK_STR(name, str_of(told), STR(""));
	free(told);
	if (CHECK(name, result == 0)) {
		printed_again = print_conf(again);
		CHECK_STR(name, str_of(printed_again), str_of(printed));
		free(printed_again);
	}
	free(printed);
	config_free(c);
	config_free(again);
}

static void test_print(void)
{
	static const char everything[] =
		"hostname = \"[192.0.2.1]\"  greeting = \"%{hostname} \\\"a\\\\b\\\" "
		"\\${HOME} $5 100%%\"\n"
		"runtime-dir = /run/x spool-dir = /s\n"
		"workers { start = 3 min-spare = 1 max-spare = 5 max = 9 max-sessions = "
		"0\n"
		"overflow = refuse }\n"
		"limits { message-size = 0 recipients = 7 line-length = 512 errors = 9\n"
		"auth-failures = 8 commands-without-mail = 0 messages-per-session = 4\n"
		"early-talker = refuse\n"
		"sessions-per-client = 6 memory-per-session = 1000K bare-newline = "
		"preserve }\n"
		"timeouts { command = 1500ms data = 90s data-total = 2h session = 2d\n"
		"min-rate = 100K grace = 0 busy-command = 1s tls = 7s }\n"
		"tls { certificate = {a, \"/b c\"} key = {c, d} session-tickets = false\n"
		"sni a.test { certificate = {e} key = {f} }\n"
		"sni \"*.a.test\" { certificate = {g, h} key = {i, \"\\${j}\"} }\n"
		"priorities = NORMAL client-certificate = request ca-file = /ca }\n"
		"auth { mechanisms = {EXTERNAL, LOGIN} accept-any = true\n"
		"plaintext-without-tls = never }\n"
		"deliver \"\\${a}\\\"\\n\" { type = discard }\n"
		"deliver b { type = maildir path = \"/m/%{recipient}/\\x01%%\"\n"
		"sync = none line-ending = crlf headers = {X-Sinkd-Envelope, Received, "
		"Delivered-To, X-Original-To, Return-Path}\n"
		"file-mode = 0644 }\n"
		"deliver c { type = maildir path = /c headers = {} required = false }\n"
		"deliver d { type = pipe command = {/x, \"%{recipients}\", \"\\${a}\"}\n"
		"timeout = 1500ms max-running = 3 per-recipient = true directory = /d\n"
		"environment = {\"A=\\x01\", \"_9=\"} headers = {Received}\n"
		"line-ending = crlf required = false }\n"
		"deliver e { type = pipe command = {sh, \"%{recipient}\"} user = \"\" }\n"
		"deliver f { type = discard required = false }\n"
		"listen x { address = {\"localhost:25\", \"[::1]:0\", \"unix:/a b\"}\n"
		"deliver = {d, b, f} tls = implicit auth = required backlog = 5 }\n"
		"listen y { address = {\"localhost:26\"} tls = off protocol = lmtp\n"
		"extensions = {} xclient = {unix} }\n"
		"listen z { address = {\"unix:/z\"} extensions = {VRFY, BINARYMIME, "
		"CHUNKING, SIZE}\n"
		"proxy-protocol = {\"10.0.0.0/8\", \"2001:DB8::/32\", \"::1\"}\n"
		"xclient = {\"127.0.0.1\", \"0.0.0.0/0\"} }\n"
		"log { target = '/a\"b' format = json level = error }\n"
		"sandbox { level = trap }\n";

	check_round_trip("built in", NULL);
	CHECK("everything", write_conf(everything));
	check_round_trip("everything", conf_file);
}

static void test_everything_is_kept(void)
{
	static const char text[] =
		"deliver a { type = discard }\n"
		"deliver b { type = maildir path = \"/\\${x}\" sync = none headers = {}\n"
		"line-ending = crlf file-mode = 0640 }\n"
		"listen x { address = {\"127.0.0.1:25\"} deliver = {b} }\n"
		"listen y { address = {\"127.0.0.1:26\"} }\n"
		"user = nobody\n";
	struct config *c = NULL;
	char *told;
	int result;

	CHECK("write", write_conf(text));
	told = load_conf(conf_file, NULL, &result, &c);
	CU_ASSERT_EQUAL_FATAL(result, 0);
	CHECK_STR("file", str_of(c->file), str_of(conf_file));
	CHECK_STR("user", str_of(c->user), STR("nobody"));
	CHECK("user line", c->user_line == 6);
	CHECK("sections", c->delivery_count == 2 && c->listener_count == 2);
	CHECK("discard", c->deliveries[0].backend == &delivery_discard);
	CHECK_STR("no environment", str_of(c->deliveries[1].path), STR("/${x}"));
	CHECK("sync", !c->deliveries[1].has_sync);
	CHECK("line ending", c->deliveries[1].line_ending == LINE_ENDING_CRLF);
	CHECK("no headers", c->deliveries[1].headers[0] == 0);
	CHECK("mode", c->deliveries[1].file_mode == 0640);
	CHECK("named", c->listeners[0].deliveries[0] == 1);
	CHECK("first", c->listeners[1].deliveries[0] == 0);
	free(told);
	config_free(c);
}

static void test_sample(void)
{
	const char *srcdir = getenv("srcdir");
	char sample[512];

	(void)snprintf(sample, sizeof(sample), "%s/etc/sinkd.conf",
		srcdir == NULL ? "." : srcdir);
	check_round_trip("sample", sample);
}

static void test_overrides(void)
{
	static const char text[] =
		"deliver a { type = discard }\n"
		"deliver b { type = maildir path = /b }\n"
		"listen x { address = {\"127.0.0.1:25\"} deliver = {b} }\n"
		"listen y { address = {\"127.0.0.1:26\"} }\n";
	static const char *const addresses[] = {"127.0.0.1:25", "[::1]:0"};
	struct config_overrides overrides = {.listen = addresses,
		.listen_count = 2,
		.maildir = "/m/%{recipient.local}",
		.workers = 3,
		.is_verbose = true};
	struct config *c = NULL;
	char *told;
	int result;

	CHECK("write", write_conf(text));
	told = load_conf(conf_file, &overrides, &result, &c);
	CU_ASSERT_EQUAL_FATAL(result, 0);
	CHECK("listener", c->listener_count == 1 && c->listeners[0].endpoint_count == 2);
	CHECK_STR("listener", str_of(c->listeners[0].name), STR("command-line"));
	CHECK("extensions", c->listeners[0].smtp.extensions == EXTENSIONS_ALL);
	CHECK("delivery", c->delivery_count == 1 && c->listeners[0].deliveries[0] == 0);
	CHECK_STR("delivery", str_of(c->deliveries[0].name), STR("inbox"));
	CHECK_STR("path", str_of(c->deliveries[0].path), STR("/m/%{recipient.local}"));
	CHECK("sync", c->deliveries[0].has_sync);
	CHECK("workers", c->workers.start == 3 && c->workers.max == 3);
	CHECK("verbose", c->is_verbose);
	free(told);
	config_free(c);

	overrides = (struct config_overrides){.is_discard = true};
	told = load_conf(conf_file, &overrides, &result, &c);
	CU_ASSERT_EQUAL_FATAL(result, 0);
	CHECK("listeners of the file", c->listener_count == 2);
	CHECK("all to the one", c->listeners[0].deliveries[0] == 0 &&
					c->listeners[0].delivery_count == 1);
	CHECK_STR(
		"all to the one", str_of(c->listeners[0].delivery_names), STR("discard"));
	CHECK("discard",
		c->delivery_count == 1 && c->deliveries[0].backend == &delivery_discard);
	CHECK_STR("discard", str_of(c->deliveries[0].name), STR("discard"));
	free(told);
	config_free(c);
}

static void test_wrong_overrides(void)
{
	static const char *const addresses[] = {"nowhere", "0.0.0.0:25", "127.0.0.1:25"};
	const struct config_overrides overrides = {.listen = addresses,
		.listen_count = 3,
		.maildir = "",
		.is_discard = true,
		.workers = CONFIG_WORKERS_MAX + 1};
	static const struct str second =
		STR("sinkd: --listen: '127.0.0.1:25': listen \"command-line\" has this "
		    "address already\n");
	struct config *c = NULL;
	int result;
	char *told = load_conf(NULL, &overrides, &result, &c);

	CHECK("result", result == -EINVAL && c == NULL);
	CHECK("workers",
		strstr(told, "sinkd: --workers: '16385': must be from 1 to 16384\n") !=
			NULL);
	CHECK("no address", strstr(told, "sinkd: --listen: 'nowhere': ") != NULL);
	CHECK("twice", strstr(told, second.p) != NULL);
	CHECK("maildir",
		strstr(told, "sinkd: --maildir: '': the path is empty\n") != NULL);
	CHECK("both",
		strstr(told,
			"sinkd: --maildir, --discard and --pipe exclude each other\n") !=
			NULL);
	free(told);
}

void suite_conf(void)
{
	CU_pSuite s = CU_add_suite("conf", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "texts", test_texts);
	CU_add_test(s, "numbers and words", test_numbers_and_words);
	CU_add_test(s, "timeouts", test_timeouts);
	CU_add_test(s, "syntax", test_syntax);
	CU_add_test(s, "unreadable", test_unreadable);
	CU_add_test(s, "accounts", test_accounts);
	CU_add_test(s, "defaults", test_defaults);
	CU_add_test(s, "print", test_print);
	CU_add_test(s, "everything is kept", test_everything_is_kept);
	CU_add_test(s, "sample", test_sample);
	CU_add_test(s, "overrides", test_overrides);
	CU_add_test(s, "wrong overrides", test_wrong_overrides);
}
