/* docs/examples: what they are said to do. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delivery/delivery.h"
#include "module_fixture.h"
#include "smtp/envelope.h"

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* --------------------------------------------------------------- email_server */

/* The calls that the same class gets from EventMachine, in their order; but here the
 * domain is asked for the greeting and the trace header, too, and paths come without
 * brackets. */
static void test_email_server(void)
{
	static const char calls[] =
		"get_server_domain()\n"
		"get_server_greeting()\n"
		"receive_ehlo_domain(client.example)\n"
		"get_server_domain()\n"
		"receive_transaction()\n"
		"receive_plain_auth(me)\n"
		"receive_sender(a@example.org)\n"
		"receive_recipient(b@example.org)\n"
		"receive_recipient(c@example.org)\n"
		"receive_data_command()\n"
		"get_server_domain()\n"
		"receive_data_chunk()\n"
		"receive_data_chunk()\n"
		"receive_message()\n"
		"received_email: sender a@example.org, recipient c@example.org, "
		"ehlo_domain client.example, 10 octets\n"
		"receive_transaction()\n"
		"receive_sender()\n"
		"receive_transaction()\n"
		"receive_reset()\n"
		"connection_ended()\n";
	static const char before[] = "EHLO client.example\r\n"
				     "AUTH PLAIN AG1lAHNlY3JldA==\r\n"
				     "MAIL FROM:<a@example.org>\r\n"
				     "RCPT TO:<b@example.org>\r\n"
				     "RCPT TO:<c@example.org>\r\n"
				     "DATA\r\n";
	const struct module_settings settings = {
		.path = module_file("docs/examples/email_server.so"), .argument = ""};
	struct module_bench b;
	const char *said;
	struct str output;

	module_bench_init(&b, &settings, 1);
	b.rig.peer.is_loopback = true;
	b.rig.peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	rig_start(&b.rig);
	rig_say(&b.rig, before);
	rig_say(&b.rig, "Hi\r\n..dot\r\n.\r\n");
	rig_say(&b.rig, "MAIL FROM:<>\r\nRSET\r\nQUIT\r\n");
	rig_end(&b.rig);
	said = module_said();
	CHECK_STR("calls", str_of(said), str_of(calls));
	output = rig_output(&b.rig);
	CHECK("greeting",
		output.n > 50 &&
			memcmp(output.p, "220 mock smtp server greets you", 31) == 0);
	CHECK("taken", b.rig.message_count == 1);
	module_bench_done(&b);
}

/* ------------------------------------------------------------------- greylist */

static const char knock[] = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

static void test_greylist(void)
{
	const struct module_settings settings = {
		.path = module_file("docs/examples/greylist.so"), .argument = "60"};
	const uint64_t start_ms = 1 << 30, day_ms = 24 * 60 * 60 * 1000;
	const char *output;
	struct module_bench b[2];

	module_bench_init(&b[0], &settings, 1);
	module_bench_init(&b[1], &settings, 1);
	module_set_time(start_ms);
	output = module_bench_talk(&b[0], knock);
	CHECK("the first time",
		has(output, "450 4.7.1 Greylisted, please try again in 60 seconds"));
	CHECK("the first time",
		has(module_said(), "1 recipients deferred, 1 by this worker\n"));
	module_set_time(start_ms + 59000);
	CHECK("too early", has(module_bench_talk(&b[1], knock), "450 4.7.1"));
	CHECK("too early",
		has(module_said(), "1 recipients deferred, 1 by this worker\n"));
	CHECK("still too early", has(module_bench_talk(&b[1], knock), "450 4.7.1"));
	CHECK("still too early",
		has(module_said(), "1 recipients deferred, 2 by this worker\n"));
	module_set_time(start_ms + 60000);
	CHECK("after a while", !has(module_bench_talk(&b[1], knock), "450"));
	CHECK_STR("after a while", str_of(module_said()), STR(""));
	CHECK("at once again, elsewhere", !has(module_bench_talk(&b[0], knock), "450"));
	module_set_time(start_ms + 30 * day_ms);
	CHECK("for weeks", !has(module_bench_talk(&b[1], knock), "450"));
	module_set_time(start_ms + 60000 + 36 * day_ms);
	CHECK("not for ever", has(module_bench_talk(&b[1], knock), "450"));
	CHECK("somebody else",
		has(module_bench_talk(
			    &b[0], "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<e@d>\r\n"),
			"450"));
	b[0].rig.peer.address = STR("192.0.2.8");
	CHECK("from elsewhere", has(module_bench_talk(&b[0], knock), "450"));
	module_bench_done(&b[0]);
	module_bench_done(&b[1]);
	(void)module_said();
}

static void test_greylist_argument(void)
{
	static const struct {
		const char *argument;
		bool is_good;
	} cases[] = {
		{"", true},
		{"1", true},
		{"86400", true},
		{"0", false},
		{"86401", false},
		{"-1", false},
		{"5m", false},
		{"99999999999999999999", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct module_settings settings = {
			.path = module_file("docs/examples/greylist.so"),
			.argument = cases[i].argument};

		CHECK(cases[i].argument,
			module_load_error(&settings)[0] == '\0' || !cases[i].is_good);
		CHECK(cases[i].argument,
			cases[i].is_good || has(module_load_error(&settings),
						    "a number of seconds from 1"));
	}
}

/* It puts its header in front of the message, wherever that goes. */
static void test_greylist_header(void)
{
	const struct module_settings settings = {
		.path = module_file("docs/examples/greylist.so"), .argument = "60"};
	struct module_bench b;

	module_bench_init(&b, &settings, 1);
	module_set_time(UINT64_C(1) << 36);
	(void)module_bench_talk(&b, knock);
	module_set_time((UINT64_C(1) << 36) + 60000);
	rig_start(&b.rig);
	rig_say(&b.rig, knock);
	rig_say(&b.rig, "DATA\r\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(b.rig.envelope);
	CHECK_STR("header", b.rig.envelope->prepended, STR("X-Greylist: passed\n"));
	rig_end(&b.rig);
	module_bench_done(&b);
	(void)module_said();
}

/* ----------------------------------------------------------------- json_lines */

/* A section of another kind that fails for some recipients when it publishes. */
static bool fails[3];

static struct smtp_result failing_begin(void *state, const struct envelope *envelope)
{
	(void)state;
	(void)envelope;
	return delivery_taken;
}

static struct smtp_result failing_chunk(void *state, const void *p, size_t n)
{
	(void)state;
	(void)p;
	(void)n;
	return delivery_taken;
}

static void failing_prepare(void *state, struct smtp_result *results)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		results[i] = delivery_taken;
}

static void failing_commit(void *state, const bool *keep, struct smtp_result *results)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		if (keep[i])
			results[i] = fails[i] ? delivery_local_fault(5) : delivery_taken;
}

static void failing_end(void *state, const bool *keep)
{
	(void)state;
	(void)keep;
}

static int failing_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	(void)settings;
	(void)section;
	(void)env;
	*ret_state = NULL;
	return 0;
}

static void failing_close(void *state)
{
	(void)state;
}

static const struct delivery_backend failing = {
	.name = "failing",
	.open = failing_open,
	.close = failing_close,
	.begin = failing_begin,
	.chunk = failing_chunk,
	.prepare = failing_prepare,
	.commit = failing_commit,
	.end = failing_end,
};

static const struct delivery_settings sections[] = {
	{.name = "json", .backend = &delivery_module, .is_required = true},
	{.name = "failing", .backend = &failing, .is_required = true},
};

static const char hello[] = "LHLO client.example\r\n"
			    "MAIL FROM:<a@example.org>\r\n"
			    "RCPT TO:<b@example.org>\r\n"
			    "RCPT TO:<c@example.org>\r\n"
			    "DATA\r\n";

static char json_file[] = "/tmp/sinkd-json-XXXXXX";

/* What the file has, and nothing any more. */
static const char *taken_lines(void)
{
	static char text[4096];
	FILE *file = fopen(json_file, "r+e");
	size_t n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	CU_ASSERT(ftruncate(fileno(file), 0) == 0);
	(void)fclose(file);
	return text;
}

static void test_json_lines(void)
{
	static const size_t both[] = {0, 1};
	const struct module_settings settings = {
		.path = module_file("docs/examples/json_lines.so"),
		.argument = json_file};
	const struct sinkd_backend *modules[2] = {NULL, NULL};
	const struct delivery_env env = {.modules = modules};
	struct delivery *d = NULL;
	struct module_bench b;
	size_t failed = 0;
	int fd = mkstemp(json_file);

	CU_ASSERT_FATAL(fd >= 0);
	(void)close(fd);
	/* Deliveries are opened first. */
	CU_ASSERT_FATAL(delivery_open(sections, 2, &env, &d, &failed) == 0);
	module_bench_init(&b, &settings, 1);
	modules[0] = modules_backend(b.modules, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(modules[0]);
	delivery_select(d, both, 2);
	b.rig.env.sink = &delivery_sink;
	b.rig.env.sink_user = d;
	b.rig.env.outcome = NULL;
	b.rig.peer.settings.protocol = LISTEN_LMTP;

	rig_start(&b.rig);
	rig_say(&b.rig, hello);
	rig_say(&b.rig, "Subject: \"x\\\"\r\n\r\n\xc3\xa4\t\r\n.\r\n");
	CHECK_STR("stored", str_of(taken_lines()),
		STR("{\"id\":\"00000000000001-000001-0000\",\"section\":\"json\","
		    "\"client\":\"192.0.2.7\",\"sender\":\"a@example.org\","
		    "\"recipients\":[\"b@example.org\",\"c@example.org\"],"
		    "\"text\":\"Subject: \\\"x\\\\\\\"\\r\\n\\r\\n"
		    "\\u00c3\\u00a4\\u0009\\r\\n\"}\n"));

	fails[1] = true;
	rig_say(&b.rig, hello);
	rig_say(&b.rig, ".\r\n");
	CHECK("for one", has(taken_lines(), ",\"text\":\"\"}\n"
					    "{\"id\":\"00000000000002-000001-0000\","
					    "\"withdrawn\":[\"c@example.org\"]}\n"));
	rig_say(&b.rig, hello);
	rig_say(&b.rig, "given up\r\n");
	rig_end(&b.rig);
	CHECK_STR("given up", str_of(taken_lines()), STR(""));
	module_bench_done(&b);
	delivery_close(d);
	(void)unlink(json_file);
	(void)module_said();
}

static void test_json_lines_argument(void)
{
	const struct module_settings settings = {
		.path = module_file("docs/examples/json_lines.so"),
		.argument = "/nowhere/at/all"};

	CHECK("argument",
		has(module_load_error(&settings), "does not start: cannot open "
						  "'/nowhere/at/all': No such file"));
}

void suite_module_examples(void)
{
	CU_pSuite suite = CU_add_suite("module examples", module_begin, module_end);

	CU_add_test(suite, "email_server", test_email_server);
	CU_add_test(suite, "greylist", test_greylist);
	CU_add_test(suite, "greylist: argument", test_greylist_argument);
	CU_add_test(suite, "greylist: header", test_greylist_header);
	CU_add_test(suite, "json_lines", test_json_lines);
	CU_add_test(suite, "json_lines: argument", test_json_lines_argument);
}
