/* A configuration file in a directory of its own, for suites that load some. */
#ifndef SINKD_TESTS_CONF_FIXTURE_H
#define SINKD_TESTS_CONF_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"

/* There while the suite runs; the file as soon as it was written. */
extern char conf_directory[];
extern char conf_file[];

/* Initialization and clean-up of a suite. */
int make_conf_directory(void);
int remove_conf_directory(void);

bool write_conf(const char *text);

/* Load, and give what was told, without the name of our file before the lines; the
 * caller frees it. */
char *load_conf(const char *from, const struct config_overrides *overrides, int *ret,
	struct config **ret_config);

/* Load what must be right. */
struct config *load_right_conf(
	const char *text, const struct config_overrides *overrides);

/* As config_print does; the caller frees it. */
char *print_conf(const struct config *c);

struct conf_mistake {
	const char *name;
	const char *text;
	const char *told; /* after "FILE:" of each line; "": the file is fine */
};

/* Each file is told just these mistakes. */
void check_conf_mistakes(const struct conf_mistake *cases, size_t n);

#define CHECK_CONF_MISTAKES(cases)                                                       \
	check_conf_mistakes((cases), sizeof(cases) / sizeof((cases)[0]))

#endif
