/* config/option: the values of single options, where a whole file has nothing to add. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "config/option.h"
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

void suite_option(void)
{
	CU_pSuite s = CU_add_suite("option", NULL, NULL);

	CU_add_test(s, "log", test_log);
}
