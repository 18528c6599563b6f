/* config/option: the values of single options, where a whole file has nothing to add. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "config/option.h"
#include "config/tables.h"
#include "conf_fixture.h"
#include "unit.h"

#define NOT_A_TARGET "\"stderr\", \"syslog\" or an absolute path is expected"
#define PATH_54      "/a234567890b234567890c234567890d234567890e234567890abc"
#define PATH_107     PATH_54 "/f234567890g234567890h234567890i234567890j234567890ab"

static const struct option *find_log_option(const char *name)
{
	const struct option_section *section = option_sections;
	const struct option *o;

	while (strcmp(section->name, "log") != 0)
		section++;
	o = section->options;
	while (strcmp(o->name, name) != 0)
		o++;
	return o;
}

static void test_log(void)
{
	static const struct {
		const char *option;
		const char *value;
		const char *error; /* behind the value; NULL: it is taken */
	} cases[] = {
		{"target", "stderr", NULL},
		{"target", "/var/log/sinkd.log", NULL},
		{"target", "syslog", NULL},
		{"target", "syslog:/run/log", NULL},
		{"target", "syslog:" PATH_107, NULL},
		{"target", "syslog:" PATH_107 "x",
			"the path of a socket has at most 107 octets"},
		{"target", "syslog:", NOT_A_TARGET},
		{"target", "syslog:log", NOT_A_TARGET},
		{"target", "syslogd", NOT_A_TARGET},
		{"target", "sinkd.log", NOT_A_TARGET},
		{"target", "", NOT_A_TARGET},
		{"format", "text", NULL},
		{"format", "json", NULL},
		{"format", "JSON", "must be \"text\" or \"json\""},
		{"level", "error", NULL},
		{"level", "fatal",
			"must be \"debug\" or \"info\" or \"warn\" or \"error\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct option *o = find_log_option(cases[i].option);
		struct config *c = calloc(1, sizeof(*c));
		char error[OPTION_ERROR_MAX] = "", expected[OPTION_ERROR_MAX] = "";
		int result;

		CU_ASSERT_FATAL(c != NULL);
		arena_init(&c->arena, 4096);
		if (cases[i].error != NULL)
			(void)snprintf(expected, sizeof(expected), "'%s': %s",
				cases[i].value, cases[i].error);
		result = option_set(o, cases[i].value, c, &c->arena, error);
		CHECK(cases[i].value, result == (cases[i].error != NULL ? -EINVAL : 0));
		CHECK_STR(cases[i].value, str_of(error), str_of(expected));
		arena_done(&c->arena);
		free(c);
	}
}

#define DIRECTORY_80 PATH_54 "/f234567890g234567890h2345"

static void test_runtime_dir(void)
{
	static const struct conf_mistake cases[] = {
		{"absolute", "runtime-dir = " DIRECTORY_80, ""},
		{"relative", "\nruntime-dir = run",
			"2: runtime-dir: 'run': an absolute path is expected\n"},
		{"empty", "runtime-dir = ''",
			"1: runtime-dir: '': an absolute path is expected\n"},
		{"too long", "runtime-dir = " DIRECTORY_80 "x",
			"1: runtime-dir: '" DIRECTORY_80 "x': longer than 80 octets, "
			"sockets in it would have no room\n"},
	};

	CU_ASSERT_EQUAL(strlen(DIRECTORY_80), CONFIG_RUNTIME_DIR_MAX);
	CHECK_CONF_MISTAKES(cases);
}

static void test_workers_that_contradict(void)
{
	static const struct conf_mistake cases[] = {
		{"start over max", "workers {\n\tstart = 3\n\tmax = 2\n}",
			"2: workers: start: '3': must not be more than max, which is "
			"2\n"},
		{"all over max",
			"workers {\nmax = 2\nstart = 3\nmin-spare = 4\nmax-spare = 5\n}",
			"3: workers: start: '3': must not be more than max, which is 2\n"
			"4: workers: min-spare: '4': must not be more than max, which is "
			"2\n"
			"5: workers: max-spare: '5': must not be more than max, which is "
			"2\n"},
		{"spares", "workers { max-spare = 8\nmin-spare = 9\n}",
			"2: workers: min-spare: '9': must not be more than max-spare, "
			"which is 8\n"},
		{"one mistake is told once", "workers { start = 3\nmax = 0\n}",
			"2: workers: max: '0': must be from 1 to 16384\n"},
		{"no spares", "workers { min-spare = 0 }",
			"1: workers: min-spare: '0': must be from 1 to 16384\n"},
		{"overflow", "workers { overflow = drop }",
			"1: workers: overflow: 'drop': must be \"queue\" or "
			"\"refuse\"\n"},
		{"sessions", "workers { max-sessions = 0 }", ""},
		{"sessions per client", "limits { sessions-per-client = 16385 }",
			"1: limits: sessions-per-client: '16385': must be from 0 to "
			"16384\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* What is not in the file, or is there under -w, gives way. */
static void test_workers_give_way(void)
{
	static const struct {
		const char *text;
		unsigned option; /* -w */
		unsigned start, min_spare, max_spare, max;
	} cases[] = {
		{"", 0, 4, 2, 8, 256},
		{"workers { max = 1 }", 0, 1, 1, 1, 1},
		{"workers { max = 6 }", 0, 4, 2, 6, 6},
		{"workers { start = 50 }", 0, 50, 2, 8, 256},
		{"workers { start = 500 }", 0, 500, 2, 8, 500},
		{"workers { min-spare = 20 }", 0, 4, 20, 20, 256},
		{"workers { min-spare = 300 }", 0, 4, 300, 300, 300},
		{"workers { max-spare = 1 }", 0, 4, 1, 1, 256},
		{"workers { max-spare = 300 }", 0, 4, 2, 300, 300},
		{"workers { min-spare = 20 max = 30 }", 0, 4, 20, 20, 30},
		{"workers { start = 3 min-spare = 3 max-spare = 3 max = 3 }", 0, 3, 3, 3,
			3},
		{"", 1, 1, 1, 1, 1},
		{"", 3, 3, 2, 3, 3},
		{"", 1000, 4, 2, 8, 1000},
		{"workers { start = 300 max-spare = 20 }", 10, 10, 2, 10, 10},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_overrides overrides = {.workers = cases[i].option};
		struct config *c = NULL;
		char *told;
		int result;

		CHECK(cases[i].text, write_conf(cases[i].text));
		told = load_conf(conf_file, &overrides, &result, &c);
		CHECK_STR(cases[i].text, str_of(told), STR(""));
		free(told);
		if (!CHECK(cases[i].text, result == 0))
			continue;
		CHECK(cases[i].text, c->workers.start == cases[i].start);
		CHECK(cases[i].text, c->workers.min_spare == cases[i].min_spare);
		CHECK(cases[i].text, c->workers.max_spare == cases[i].max_spare);
		CHECK(cases[i].text, c->workers.max == cases[i].max);
		config_free(c);
	}
}

static void test_busy_command(void)
{
	static const struct conf_mistake cases[] = {
		{"as long", "timeouts { command = 5s busy-command = 5s }", ""},
		{"only command", "timeouts { command = 5s }", ""},
		{"longer", "timeouts {\ncommand = 5s\nbusy-command = 6s\n}",
			"2: timeouts: command: busy-command must not be longer than "
			"command\n"},
		{"longer than the default", "timeouts {\nbusy-command = 6m\n}",
			"2: timeouts: busy-command: busy-command must not be longer than "
			"command\n"},
	};
	struct config *c = NULL;
	int result;

	CHECK_CONF_MISTAKES(cases);
	CHECK("write", write_conf("timeouts { command = 5s }"));
	free(load_conf(conf_file, NULL, &result, &c));
	CU_ASSERT_EQUAL_FATAL(result, 0);
	CHECK("gives way", c->timeouts.busy_command_ms == 5000);
	config_free(c);
}

void suite_option(void)
{
	CU_pSuite s = CU_add_suite("option", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "log", test_log);
	CU_add_test(s, "runtime directory", test_runtime_dir);
	CU_add_test(s, "workers that contradict", test_workers_that_contradict);
	CU_add_test(s, "workers give way", test_workers_give_way);
	CU_add_test(s, "busy command", test_busy_command);
}
