/* policy/module and proc/module_check: what is loaded and what is not, and what modules
 * may ask. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "module_fixture.h"
#include "policy/stack.h"
#include "proc/identity.h"
#include "proc/module_check.h"

#define ODD  "tests/unit/odd_module.so"
#define NONE "tests/unit/no_module.so"

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static const struct {
	const char *name;
	const char *file; /* of the build */
	const char *argument;
	const char *error; /* a part; NULL: it loads */
} loadings[] = {
	{"good", ODD, "good", NULL},
	{"an older table", ODD, "older", NULL},
	{"a newer table that needs nothing new", ODD, "newer", NULL},
	{"a newer table", ODD, "newer and needed", "needs a newer sinkd"},
	{"no file", "nothing.so", "", "cannot be loaded: "},
	{"no object", "Makefile", "", "cannot be loaded: "},
	{"no module", NONE, "", "has no function sinkd_module_open"},
	{"another ABI", ODD, "abi", "is built for another ABI"},
	{"empty", ODD, "nothing", "has neither hooks nor a backend"},
	{"hooks of another ABI", ODD, "hooks abi", "has a table for another ABI"},
	{"hooks too short", ODD, "hooks short", "has a table of a wrong size"},
	{"hooks too long", ODD, "hooks long", "has a table of a wrong size"},
	{"hooks uneven", ODD, "hooks uneven", "has a table of a wrong size"},
	{"backend of another ABI", ODD, "backend abi", "has a table for another ABI"},
	{"backend too short", ODD, "backend short", "has a table of a wrong size"},
	{"backend without commit", ODD, "no commit", "has a backend without commit"},
	{"it does not want", ODD, "refuse", "does not start: xxx"},
};

static void test_load(void)
{
	for (size_t i = 0; i < sizeof(loadings) / sizeof(loadings[0]); i++) {
		const char *name = loadings[i].name;
		const struct module_settings settings = {
			.path = module_file(loadings[i].file),
			.argument = loadings[i].argument};
		struct stack *stack = stack_new(MODULES_LAYERS(1));
		struct modules *modules = NULL;
		char error[MODULE_ERROR_SIZE] = "";
		int r = modules_load(
			&settings, 1, module_env(), stack, 0, error, &modules);

		CHECK(name, (r == 0) == (loadings[i].error == NULL));
		CHECK(name, (modules != NULL) == (r == 0));
		if (r == 0) {
			CHECK(name, modules_backend(modules, 0) != NULL);
			CHECK(name, modules_backend(modules, 1) == NULL);
		} else if (loadings[i].error != NULL) {
			CHECK(name, has(error, settings.path));
			CHECK(name, has(error, loadings[i].error));
		}
		modules_free(modules);
		stack_free(stack);
		(void)module_said();
	}
}

/* Messages cannot go where nobody takes them. */
static void test_load_without_backend(void)
{
	struct module_settings settings = {
		module_file("docs/examples/greylist.so"), "60", false};

	CHECK_STR("hooks alone", str_of(module_load_error(&settings)), STR(""));
	settings.needs_backend = true;
	CHECK("no backend", has(module_load_error(&settings),
				    "has no backend, and a section deliver names it"));
	settings = (struct module_settings){module_file(ODD), "good", true};
	CHECK_STR("a backend", str_of(module_load_error(&settings)), STR(""));
	(void)module_said();
}

static void test_load_relative(void)
{
	const struct module_settings settings = {.path = "odd_module.so", .argument = ""};
	struct stack *stack = stack_new(MODULES_LAYERS(1));
	struct modules *modules = NULL;
	char error[MODULE_ERROR_SIZE] = "";

	CU_ASSERT(
		modules_load(&settings, 1, module_env(), stack, 0, error, &modules) < 0);
	CHECK_STR("relative", str_of(error),
		STR("module 'odd_module.so' is not named by an absolute path"));
	stack_free(stack);
}

static void test_load_none(void)
{
	struct stack *stack = stack_new(MODULES_LAYERS(0));
	struct modules *modules = NULL;
	char error[MODULE_ERROR_SIZE];

	CU_ASSERT_FATAL(
		modules_load(NULL, 0, module_env(), stack, 0, error, &modules) == 0);
	CHECK("nothing is asked", stack_top(stack) == NULL);
	modules_free(modules);
	stack_free(stack);
}

/* In a child; timeouts that are to be reached are short. */
static const struct {
	const char *name;
	const char *argument;
	uint64_t timeout_ms;
	const char *error;
} checks[] = {
	{"good", "good", 60000, NULL},
	{"refuse", "refuse", 60000, "does not start: xxx"},
	{"abi", "abi", 60000, "is built for another ABI"},
	{"crash", "crash", 60000, "does not start: it crashes, or ends its process"},
	{"exit", "exit", 60000, "does not start: it crashes, or ends its process"},
	{"hang", "hang", 50, "does not start: it takes too long"},
};

static void test_check(void)
{
	struct identity identity = {.uid = getuid(), .gid = getgid()};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *name = checks[i].name;
		const struct module_settings settings[] = {
			{.path = module_file(ODD), .argument = "good"},
			{.path = module_file(ODD), .argument = checks[i].argument},
		};
		char error[MODULE_ERROR_SIZE] = "";
		int r = module_check(settings, 2, module_env(), &identity,
			checks[i].timeout_ms, error);

		CHECK(name, (r == 0) == (checks[i].error == NULL));
		if (checks[i].error != NULL) {
			CHECK(name, has(error, settings[1].path));
			CHECK(name, has(error, checks[i].error));
		}
		CHECK(name, waitpid(-1, NULL, WNOHANG) < 0);
	}
	(void)module_said();
}

static void test_reading(void)
{
	static const char expected[] = "odd new\n"
				       "odd sender a@example.org\n"
				       "odd has 1\n"
				       "odd parameters NOTIFY=NEVER\n"
				       "odd parameters \n"
				       "odd client_address=192.0.2.7\n"
				       "odd client_name=\n"
				       "odd proxy_address=192.0.2.99\n"
				       "odd listener=mx\n"
				       "odd server=\n"
				       "odd helo=client.example\n"
				       "odd protocol=ESMTP\n"
				       "odd tls_version=\n"
				       "odd tls_cipher=\n"
				       "odd tls_subject=\n"
				       "odd user=\n"
				       "odd sender=a@example.org\n"
				       "odd sender_parameters=SIZE=100\n"
				       "odd message_id=00000000000001-000001-0000\n"
				       "odd client_port=2525\n"
				       "odd proxy_port=25\n"
				       "odd recipient_count=2\n"
				       "odd declared_size=100\n"
				       "odd size=0\n"
				       "odd is_lmtp=0\n"
				       "odd is_smtputf8=0\n"
				       "odd recipient=\\\"b>\\\\\\\" \\\"@example.org\n"
				       "odd recipient_parameters=NOTIFY=NEVER\n"
				       "odd recipient=c@example.org\n"
				       "odd recipient_parameters=\n"
				       "odd recipient=\n"
				       "odd recipient_parameters=\n"
				       "odd unknown=\n"
				       "odd unknown=0\n"
				       "odd prepend=1\n"
				       "odd prepend=0\n"
				       "odd ended\n"
				       "odd frees 1\n";
	const struct module_settings odd = {.path = module_file(ODD), .argument = "odd"};
	struct module_bench b;

	module_bench_init(&b, &odd, 1);
	b.rig.peer.proxy_address = STR("192.0.2.99");
	b.rig.peer.proxy_port = 25;
	(void)module_bench_talk(&b, "EHLO client.example\r\n"
				    "MAIL FROM:<a@example.org> SIZE=100\r\n"
				    "RCPT TO:<\"b>\\\" \"@example.org> NOTIFY=NEVER\r\n"
				    "RCPT TO:<c@example.org>\r\n"
				    "DATA\r\n");
	CHECK_STR("said", str_of(module_said()), str_of(expected));
	module_bench_done(&b);
	CHECK_STR("closed", str_of(module_said()), STR("odd closed\n"));
}

static void test_stacked(void)
{
	const struct module_settings both[] = {
		{.path = module_file(ODD), .argument = "upper"},
		{.path = module_file(ODD), .argument = "lower"}};
	struct module_bench b;

	module_bench_init(&b, both, 2);
	(void)module_bench_talk(&b, "EHLO x\r\nMAIL FROM:<a@b>\r\n");
	/* Who does not ask on decides alone; but the end is told to all, and only then
	 * what was kept goes. */
	CHECK_STR("alone", str_of(module_said()),
		STR("upper new\nupper sender a@b\nupper has 1\nupper ended\n"
		    "lower ended\nupper frees 1\n"));
	(void)module_bench_talk(&b, "EHLO x\r\nMAIL FROM:<next@b>\r\n");
	CHECK_STR("both", str_of(module_said()),
		STR("upper new\nupper sender next@b\nupper has 2\n"
		    "lower sender next@b\nlower has 0\n"
		    "upper ended\nlower ended\nupper frees 2\n"));
	(void)module_bench_talk(&b, "EHLO x\r\nMAIL FROM:<end@b>\r\n");
	CHECK_STR("given up early", str_of(module_said()),
		STR("upper new\nupper sender end@b\nupper has 3\nupper frees 3\n"
		    "upper ended\nlower ended\n"));
	module_bench_done(&b);
	CHECK_STR(
		"from below", str_of(module_said()), STR("lower closed\nupper closed\n"));
}

/* Whatever has kept the end of a session from the modules: the next client finds nothing
 * of the last one. */
static void test_end_untold(void)
{
	const struct module_settings odd = {.path = module_file(ODD), .argument = "odd"};
	const struct sinkd_hooks *hooks;
	struct module_bench b;

	module_bench_init(&b, &odd, 1);
	hooks = b.rig.env.hooks;
	rig_start(&b.rig);
	b.rig.env.hooks = NULL;
	rig_end(&b.rig);
	CHECK_STR("untold", str_of(module_said()), STR("odd new\n"));
	b.rig.env.hooks = hooks;
	(void)module_bench_talk(&b, "QUIT\r\n");
	CHECK_STR("the next", str_of(module_said()),
		STR("odd frees 1\nodd new\nodd ended\nodd frees 2\n"));
	module_bench_done(&b);
	(void)module_said();
}

static void test_counting(void)
{
	const struct module_settings odd = {.path = module_file(ODD), .argument = "odd"};
	const struct module_settings other = {
		.path = module_file("tests/unit/../unit/odd_module.so"),
		.argument = "odd"};
	static const char message[] = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
				      "DATA\r\n.\r\n";
	const char *said;
	struct module_bench b[2];

	/* Two workers, which count together. */
	module_set_time(1 << 30);
	module_bench_init(&b[0], &odd, 1);
	module_bench_init(&b[1], &odd, 1);
	(void)module_bench_talk(&b[0], message);
	said = module_said();
	CHECK("one", has(said, "odd seen=0\nodd count=1\nodd count=2\nodd seen=2\n"
			       "odd other window=1\nodd other key=1\ndebug\n"
			       "line\\x0Afeed\nunknown level\n"));
	module_set_time((1 << 30) + 999);
	(void)module_bench_talk(&b[1], message);
	CHECK("another worker",
		has(module_said(), "odd seen=2\nodd count=3\nodd count=4\nodd seen=4\n"
				   "odd other window=2\nodd other key=2\n"));
	module_set_time((1 << 30) + 1000);
	(void)module_bench_talk(&b[0], message);
	CHECK("another window",
		has(module_said(), "odd seen=0\nodd count=1\nodd count=2\nodd seen=2\n"
				   "odd other window=3\nodd other key=1\n"));
	module_bench_done(&b[1]);
	module_bench_init(&b[1], &other, 1);
	(void)module_bench_talk(&b[1], message);
	CHECK("another module", has(module_said(), "odd seen=0\nodd count=1\n"));
	module_bench_done(&b[0]);
	module_bench_done(&b[1]);
	(void)module_said();
}

static void test_route(void)
{
	const struct module_settings odd = {.path = module_file(ODD), .argument = "odd"};
	struct module_bench b;

	module_bench_init(&b, &odd, 1);
	(void)module_bench_talk(&b, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<away@d>\r\n");
	CHECK("route", has(module_said(), "odd route 7\nodd no route 0\n"));
	module_bench_done(&b);
	(void)module_said();
}

void suite_module(void)
{
	CU_pSuite suite = CU_add_suite("module", module_begin, module_end);

	CU_add_test(suite, "load", test_load);
	CU_add_test(suite, "load without backend", test_load_without_backend);
	CU_add_test(suite, "load by a relative path", test_load_relative);
	CU_add_test(suite, "load none", test_load_none);
	CU_add_test(suite, "check in a child", test_check);
	CU_add_test(suite, "reading", test_reading);
	CU_add_test(suite, "stacked", test_stacked);
	CU_add_test(suite, "an end that was not told", test_end_untold);
	CU_add_test(suite, "counting", test_counting);
	CU_add_test(suite, "route", test_route);
}
