/* Runs the unit suites of one program and prints CUnit's summary.
 *
 *
 *     unit [PART PARTS]      all suites, or those of one of so many parts, from 0 on
 *
 * Which suites is up to the file it is linked with: suites_proto.c for the
 * protocol engine, suites.c for everything else.  Exit status 0 only when every
 * check of every suite held. */
#include "unit.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

bool unit_check(
	bool holds, const char *name, const char *claim, const char *file, unsigned line)
{
	char text[900];

	(void)snprintf(text, sizeof(text), "[%s] %s", name, claim);
	(void)CU_assertImplementation(
		holds ? CU_TRUE : CU_FALSE, line, text, file, "", CU_FALSE);
	return holds;
}

bool unit_check_str(struct str got, struct str expected, const char *name,
	const char *claim, const char *file, unsigned line)
{
	size_t same = 0;
	bool is_equal;
	char text[600];
	char got_text[220];
	char expected_text[220];

	while (same < got.n && same < expected.n && got.p[same] == expected.p[same])
		same++;
	is_equal = same == got.n && same == expected.n;
	/* Of long texts the place where they part is what one wants to see. */
	same = same > 20 ? same - 20 : 0;
	(void)str_printable(got_text, sizeof(got_text), str_skip(got, same));
	(void)str_printable(
		expected_text, sizeof(expected_text), str_skip(expected, same));
	(void)snprintf(text, sizeof(text), "%s from octet %zu is '%s', expected '%s'",
		claim, same, got_text, expected_text);
	return unit_check(is_equal, name, text, file, line);
}

int main(int argc, char **argv)
{
	size_t part = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	size_t parts = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	unsigned failures;

	if (part >= parts || CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	for (size_t i = 0; unit_suites[i] != NULL; i++)
		if (i % parts == part)
			unit_suites[i]();
	/* A suite that could not be registered must not pass as one that is green. */
	if (CU_get_error() != CUE_SUCCESS) {
		(void)fprintf(stderr, "cannot register: %s\n", CU_get_error_msg());
		return 2;
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	(void)CU_basic_run_tests();
	failures = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	return failures == 0 ? 0 : 1;
}
