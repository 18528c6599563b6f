/* What the fuzz targets share; see fuzz.h. */
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_compare(const char *what, const char *a_name, struct str a, const char *b_name,
	struct str b)
{
	size_t same = 0;
	char text[2][200];

	if (str_equal(a, b))
		return;
	while (same < a.n && same < b.n && a.p[same] == b.p[same])
		same++;
	(void)str_printable(text[0], sizeof(text[0]), str_skip(a, same));
	(void)str_printable(text[1], sizeof(text[1]), str_skip(b, same));
	(void)fprintf(stderr, "%s differs at %zu:\n\t%s '%s'\n\t%s '%s'\n", what, same,
		a_name, text[0], b_name, text[1]);
	abort();
}

void fuzz_check_mistake(struct str line, struct str file, size_t line_count)
{
	struct str number;
	const char *colon;
	uint64_t value;

	for (size_t i = 0; i < line.n; i++)
		assert(str_is_printable(line.p[i]));
	assert(line.n > file.n && memcmp(line.p, file.p, file.n) == 0);
	line = str_skip(line, file.n);
	assert(line.n > 1 && line.p[0] == ':');
	line = str_skip(line, 1);
	colon = memchr(line.p, ':', line.n);
	assert(colon != NULL);
	number = (struct str){line.p, (size_t)(colon - line.p)};
	assert(str_parse_u64(number, &value) == 0);
	assert(value >= 1 && value <= line_count);
	line = str_skip(line, number.n);
	assert(line.n > 2 && line.p[1] == ' ');
}

char *fuzz_exact_copy(struct str s)
{
	char *copy = malloc(s.n);

	assert(copy != NULL || s.n == 0);
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return copy;
}
