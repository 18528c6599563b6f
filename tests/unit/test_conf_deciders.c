/* The configuration of those who decide: where rules lead, modules, the policy service,
 * and all of it printed. */
#include "conf_fixture.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "policy/service_request.h"

/* ------------------------------------------------------------------------- routes */

static const char with_routes[] =
	"deliver a { type = discard }\n"
	"deliver b { type = maildir path = /b }\n"
	"deliver h { type = pipe command = {/x, \"%{sender}\", \"%{recipients}\"} }\n"
	"rule r1 { on = rcpt action = deliver deliver = {b} recipient = \"b@*\" }\n"
	"rule r2 { on = rcpt reply = 450 recipient = \"c@*\" }\n"
	"rule r3 { on = rcpt action = deliver deliver = {h, a} }\n"
	"listen x { address = {\"unix:/x\"} }\n";

static void test_routes(void)
{
	struct config *c = load_right_conf(with_routes, NULL);
	const struct rules_entry *e = c->rules.entries;
	const struct smtp_listen_settings *l = &c->listeners[0].smtp;

	CHECK("two", c->route_count == 2);
	CHECK("numbers", e[0].route == 1 && e[1].route == 0 && e[2].route == 2);
	CHECK("one", c->routes[0].count == 1 && c->routes[0].sections[0] == 1);
	CHECK("in their order", c->routes[1].count == 2 &&
					c->routes[1].sections[0] == 2 &&
					c->routes[1].sections[1] == 0);
	CHECK("what its command may be given",
		l->is_sender_argument && l->is_recipient_argument);
	config_free(c);
}

static void check_overridden(const char *name, const struct config_overrides *o,
	const struct delivery_backend *backend)
{
	struct config *c = load_right_conf(with_routes, o);
	char *printed = print_conf(c), *printed_again;
	struct config *again;

	CHECK(name, c->delivery_count == 1 && c->deliveries[0].backend == backend);
	CHECK(name, c->route_count == 2);
	for (size_t i = 0; i < c->route_count; i++)
		CHECK(name, c->routes[i].count == 1 && c->routes[i].sections[0] == 0);
	CHECK(name, c->rules.entries[2].route == 2);
	again = load_right_conf(printed, NULL);
	printed_again = print_conf(again);
	CHECK_STR(name, str_of(printed_again), str_of(printed));
	free(printed);
	free(printed_again);
	config_free(c);
	config_free(again);
}

/* What the command line puts in the place of all deliveries is where rules lead, too. */
static void test_overrides(void)
{
	char program[] = "/x";
	char *command[] = {program, NULL};
	const struct config_overrides discard = {.is_discard = true},
				      maildir = {.maildir = "/m"},
				      pipe = {.pipe = command};

	check_overridden("--discard", &discard, &delivery_discard);
	check_overridden("--maildir", &maildir, &delivery_maildir);
	check_overridden("--pipe", &pipe, &delivery_pipe);
}

/* ------------------------------------------------------------- modules, and policy */

static void test_modules(void)
{
	static const struct conf_mistake cases[] = {
		{"some", "module /a.so { argument = \"x y\" }\nmodule \"/b c.so\" {}\n",
			""},
		{"relative", "module a.so {\n}",
			"2: module \"a.so\": an absolute path is expected\n"},
		{"control character", "module \"/a\\n\" {}",
			"1: module \"/a\\x0A\": a path with a control character is not "
			"supported\n"},
		{"argument", "module /a.so {\nargument = \"\\n\" }",
			"2: module \"/a.so\": argument: '\\x0A': control characters are "
			"not supported\n"},
		{"twice", "module /a.so {}\nmodule /a.so {}",
			"2: found duplicate title '/a.so'\n"},
		{"delivery",
			"deliver d { type = module module = /a.so }\nmodule /a.so {}",
			""},
		{"delivery without", "deliver d { type = module\n}\nmodule /a.so {}",
			"2: deliver \"d\": module: must be given\n"},
		{"delivery to nobody",
			"deliver d { type = module\nmodule = /b.so }\nmodule /a.so {}",
			"2: deliver \"d\": module: there is no section module "
			"\"/b.so\"\n"},
		{"delivery of another type",
			"deliver d { type = discard\nmodule = /a.so }",
			"2: deliver \"d\": module: only for type \"module\"\n"},
		{"options of other types",
			"deliver d { type = module module = /a.so\nheaders = "
			"{Received}\npath = "
			"x }\n"
			"module /a.so {}",
			"3: deliver \"d\": path: only for type \"maildir\"\n"
			"2: deliver \"d\": headers: only for type \"maildir\" and "
			"\"pipe\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_modules_kept(void)
{
	struct config *c = load_right_conf(
		"deliver n { type = discard }\n"
		"deliver d { type = module module = /b.so required = false }\n"
		"module /a.so { argument = x }\nmodule /b.so {}\n",
		NULL);
	CHECK("modules", c->module_count == 2);
	CHECK_STR("path", str_of(c->modules[0].path), STR("/a.so"));
	CHECK_STR("argument", str_of(c->modules[0].argument), STR("x"));
	CHECK_STR("no argument", str_of(c->modules[1].argument), STR(""));
	CHECK("its delivery", c->deliveries[1].backend == &delivery_module &&
				      c->deliveries[1].module_number == 1 &&
				      !c->deliveries[1].is_required);
	CHECK("routes of modules", c->section_routes == 0 && c->route_count == 2);
	CHECK("needs a backend",
		!c->modules[0].needs_backend && c->modules[1].needs_backend);
	for (size_t i = 0; i < c->route_count; i++)
		CHECK("routes of modules",
			c->routes[i].count == 1 && c->routes[i].sections[0] == i);
	config_free(c);

	c = load_right_conf(
		"deliver n { type = discard }\n"
		"rule r { on = rcpt action = deliver deliver = {n} }\nmodule /a.so {}\n",
		NULL);
	CHECK("behind those of rules", c->rules.entries[0].route == 1 &&
					       c->section_routes == 1 &&
					       c->route_count == 2);
	config_free(c);
}

static void test_policy(void)
{
#define STAGES_EXPECTED                                                                  \
	"must be \"connect\" or \"helo\" or \"mail\" or \"rcpt\" or \"data\" or "        \
	"\"message\"\n"
	static const struct conf_mistake cases[] = {
		{"Unix", "policy { socket = \"unix:/run/p\" }", ""},
		{"IPv4", "policy { socket = \"127.0.0.1:10023\" }", ""},
		{"IPv6", "policy { socket = \"[::1]:10023\" }", ""},
		{"this machine", "policy { socket = \"localhost:10023\" }", ""},
		{"any port", "policy {\nsocket = \"127.0.0.1:0\" }",
			"2: policy: socket: '127.0.0.1:0': a port of 1 to 65535 is "
			"expected\n"},
		{"timeout", "policy {\ntimeout = 99ms }",
			"2: policy: timeout: '99ms': must be from 100ms to 7d\n"},
		{"stages",
			"policy { socket = \"unix:/run/p\" stages = {message, connect, "
			"helo, mail, rcpt, data} }",
			""},
		{"no stages", "policy {\nstages = {} }",
			"2: policy: stages: at least one must be given\n"},
		{"another stage", "policy { stages = {rcpt,\nvrfy} }",
			"2: policy: stages: 'vrfy': " STAGES_EXPECTED},
		{"stage twice", "policy { stages = {rcpt,\nrcpt} }",
			"2: policy: stages: 'rcpt': given twice\n"},
		{"failure",
			"policy { socket = \"unix:/run/p\" "
			"on-failure = \"550 5.7.1 Not now\" }",
			""},
		{"no failure", "policy { socket = \"unix:/run/p\" on-failure = accept }",
			""},
		{"nobody asked", "policy { on-failure = accept }",
			"1: policy: socket: must be given\n"},
		{"nobody asked at these", "policy { stages = {rcpt} }",
			"1: policy: socket: must be given\n"},
		{"nobody asked for so long", "policy { timeout = 1s }",
			"1: policy: socket: must be given\n"},
		{"a failure that is none", "policy {\non-failure = defer }",
			"2: policy: on-failure: 'defer': a reply is expected, \"452 "
			"4.2.2 "
			"Mailbox full\"; or \"accept\"\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_policy_values(void)
{
	struct config *c = NULL;
	char *told;
	int result;

	CHECK("nowhere", write_conf("policy {\nsocket = policy }"));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK("nowhere", result == -EINVAL);
	CHECK("nowhere", strstr(told, "2: policy: socket: 'policy': ") == told);
	free(told);

	c = load_right_conf("", NULL);
	CHECK("none", c->service.socket == NULL);
	CHECK("at RCPT", c->service.stages == 1U << SERVICE_RCPT);
	CHECK("for 5 s", c->service.timeout_ms == 5000);
	CHECK("then", c->service.failure_code == 451);
	CHECK_STR("then", str_of(c->service.failure_enhanced), STR("4.3.0"));
	CHECK_STR("then", str_of(c->service.failure_text), STR("Try later"));
	config_free(c);

	c = load_right_conf("policy { socket = \"unix:/run/p\" stages = {helo, message}\n"
			    "on-failure = accept }",
		NULL);
	CHECK_STR("socket", str_of(c->service.socket), STR("unix:/run/p"));
	CHECK("stages", c->service.stages == (1U << SERVICE_HELO | 1U << SERVICE_EHLO |
						     1U << SERVICE_MESSAGE));
	CHECK("accept", c->service.failure_code == 0);
	config_free(c);
}

/* What is printed is the same when it is read again. */
static void test_print(void)
{
	struct config *c = load_right_conf(
		"deliver n { type = discard }\n"
		"deliver d { type = module module = \"/b c.so\" }\n"
		"rule \"a \\\"b\\\" \\${c}\" { on = message client = {\"10.0.0.0/8\", "
		"unix}\n"
		"helo = \"*\" sender = '~^a\\\\.b' recipient = \"?\" user = u\n"
		"listener = l tls = yes size = 1025 percent = 0 seed = 3 every = 2\n"
		"rate = \"0/1d\" first = 1 per = session enabled = false\n"
		"delay = 1s-5s reply = \"452  two blanks %% \\\"\" }\n"
		"rule b { on = bdat after = 64K action = reset }\n"
		"rule c { on = mail match-address = true }\n"
		"rule d { on = rcpt action = deliver deliver = {d, n} }\n"
		"module /a.so { argument = \"\\${x} \\\\\" }\nmodule \"/b c.so\" {}\n"
		"policy { socket = \"[::1]:1\" timeout = 1500ms\n"
		"stages = {message, helo} on-failure = \"550 5.7.1 100%\" }\n",
		NULL);
	char *printed = print_conf(c), *printed_again;
	struct config *again;

	CHECK("in the order in which they are asked",
		strstr(printed, "\nrule ") < strstr(printed, "\nmodule ") &&
			strstr(printed, "\nmodule ") < strstr(printed, "\npolicy "));
	CHECK("stages", strstr(printed, "\tstages = {\"helo\", \"message\"}\n") != NULL);
	CHECK("module", strstr(printed, "\tmodule = \"/b c.so\"\n") != NULL);
	CHECK("route", strstr(printed, "\tdeliver = {\"d\", \"n\"}\n") != NULL);
	again = load_right_conf(printed, NULL);
	printed_again = print_conf(again);
	CHECK_STR("the same", str_of(printed_again), str_of(printed));
	free(printed);
	free(printed_again);
	config_free(c);
	config_free(again);
}

/* ------------------------------------------------------------------------- documents */

static FILE *open_document(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", srcdir == NULL ? "." : srcdir, name);
	f = fopen(path, "r");
	CU_ASSERT_FATAL(f != NULL);
	return f;
}

/* What stands in a document between marks, or from the first to the end of its line,
 * loads.  Returns how many there were. */
static size_t check_examples(const char *document, const char *mark, char end)
{
	FILE *f = open_document(document);
	char *line = NULL;
	size_t size = 0, count = 0;

	while (getline(&line, &size, f) > 0) {
		char *text = strstr(line, mark);
		struct conf_mistake example = {NULL, NULL, ""};

		if (text == NULL)
			continue;
		text[strcspn(text, (const char[]){end, '\n', '\0'})] = '\0';
		example.name = text;
		example.text = text;
		check_conf_mistakes(&example, 1);
		count++;
	}
	free(line);
	(void)fclose(f);
	return count;
}

static void test_documents(void)
{
	CHECK("tables", check_examples("docs/SMTP-SINK.md", "rule \"", '`') > 15);
	CHECK("deliveries", check_examples("docs/SMTP-SINK.md", "deliver \"", '`') > 2);
	CHECK("README", check_examples("README.md", "rule \"", '`') > 5);
}

/* The sample has its examples as comments: sections, each up to its closing brace. */
static void test_sample_examples(void)
{
	FILE *f = open_document("etc/sinkd.conf"), *out;
	char *line = NULL, *text = NULL, *printed;
	size_t size = 0, text_size = 0;
	bool is_example = false;
	struct config *c;

	out = open_memstream(&text, &text_size);
	CU_ASSERT_FATAL(out != NULL);
	while (getline(&line, &size, f) > 0) {
		size_t n = strlen(line);
		bool is_last = strcmp(line, "# }\n") == 0;

		if (strncmp(line, "# ", 2) == 0 && n > 4 &&
			strcmp(line + n - 3, " {\n") == 0)
			is_example = true;
		(void)fputs(is_example ? line + 1 : line, out);
		is_example = is_example && !is_last;
	}
	(void)fclose(out);
	(void)fclose(f);
	c = load_right_conf(text, NULL);
	CHECK("rules", c->rules.count == 4 && c->section_routes == 1);
	CHECK("a module", c->module_count == 1 && c->deliveries[3].module_number == 0);
	CHECK("a service", c->service.socket != NULL);
	printed = print_conf(c);
	config_free(c);
	c = load_right_conf(printed, NULL);
	config_free(c);
	free(printed);
	free(text);
	free(line);
}

void suite_conf_deciders(void)
{
	CU_pSuite s =
		CU_add_suite("conf_deciders", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "routes", test_routes);
	CU_add_test(s, "routes after the command line", test_overrides);
	CU_add_test(s, "modules", test_modules);
	CU_add_test(s, "modules that are kept", test_modules_kept);
	CU_add_test(s, "policy service", test_policy);
	CU_add_test(s, "values of the policy service", test_policy_values);
	CU_add_test(s, "print", test_print);
	CU_add_test(s, "examples of documents", test_documents);
	CU_add_test(s, "examples of the sample", test_sample_examples);
}
