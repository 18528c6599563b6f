/* Configuration files for unit tests; see conf_fixture.h. */
#include "conf_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

char conf_directory[32];
char conf_file[64];

int make_conf_directory(void)
{
	(void)strlcpy(conf_directory, "/tmp/sinkd-conf-XXXXXX", sizeof(conf_directory));
	if (mkdtemp(conf_directory) == NULL)
		return 1;
	(void)snprintf(conf_file, sizeof(conf_file), "%s/sinkd.conf", conf_directory);
	return 0;
}

int remove_conf_directory(void)
{
	(void)unlink(conf_file);
	return rmdir(conf_directory);
}

bool write_conf(const char *text)
{
	FILE *f = fopen(conf_file, "w");

	if (f == NULL)
		return false;
	(void)fputs(text, f);
	return fclose(f) == 0;
}

char *load_conf(const char *from, const struct config_overrides *overrides, int *ret,
	struct config **ret_config)
{
	char *told = NULL, *next;
	size_t size = 0, prefix = strlen(conf_file) + 1;
	FILE *errors = open_memstream(&told, &size);

	*ret = config_load(from, overrides, errors, ret_config);
	(void)fclose(errors);
	for (char *p = told; p != NULL; p = next == NULL ? NULL : next + 1) {
		next = strchr(p, '\n');
		if (strncmp(p, conf_file, prefix - 1) != 0)
			continue;
		memmove(p, p + prefix, strlen(p + prefix) + 1);
		next = strchr(p, '\n');
	}
	return told;
}

struct config *load_right_conf(const char *text, const struct config_overrides *overrides)
{
	struct config *c = NULL;
	char *told;
	int result;

	CHECK("write", write_conf(text));
	told = load_conf(conf_file, overrides, &result, &c);
	CHECK_STR("told", str_of(told), STR(""));
	CU_ASSERT_EQUAL_FATAL(result, 0);
	free(told);
	return c;
}

char *print_conf(const struct config *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	config_print(c, out);
	(void)fclose(out);
	return text;
}

void check_conf_mistakes(const struct conf_mistake *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *c = NULL;
		char *told;
		int result;

		if (!CHECK(cases[i].name, write_conf(cases[i].text)))
			continue;
		told = load_conf(conf_file, NULL, &result, &c);
		CHECK(cases[i].name, result == (*cases[i].told == '\0' ? 0 : -EINVAL));
		CHECK_STR(cases[i].name, str_of(told), str_of(cases[i].told));
		free(told);
		config_free(c);
	}
}
