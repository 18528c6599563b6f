/* Options and the report of the limits; see limit.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "limit.h"

#define LINE_BYTES 78

static _Noreturn void fail_usage(const char *usage)
{
	(void)fprintf(stderr, "usage: %s\n", usage);
	exit(2);
}

static bool take_option(int option, struct limit_options *o)
{
	struct str text = str_of(optarg == NULL ? "" : optarg);

	switch (option) {
	case 'c':
		return str_parse_u64(text, &o->at_once) == 0 && o->at_once > 0 &&
		       o->at_once <= 1000;
	case 's':
		return str_parse_size(text, &o->size_bytes) == 0 && o->size_bytes > 0 &&
		       o->size_bytes <= 1 << 30;
	case 't':
		return str_parse_u64(text, &o->seconds) == 0 && o->seconds > 0 &&
		       o->seconds <= 3600;
	case 'n':
		return str_parse_u64(text, &o->total) == 0;
	default:
		return false;
	}
}

void limit_take_options(int argc, char **argv, const char *usage, struct limit_options *o)
{
	int option;

	/* "+": what follows the first word may be the options of a command. */
	while ((option = getopt(argc, argv, "+c:s:t:n:")) != -1)
		if (!take_option(option, o))
			fail_usage(usage);
	if (optind == argc)
		fail_usage(usage);
	o->rest = argv + optind;
}

bool limit_allows(const struct limit_options *o, uint64_t begun, uint64_t start_us)
{
	return (o->total == 0 || begun < o->total) &&
	       clock_monotonic_us() - start_us < o->seconds * 1000000;
}

char *limit_make_message(uint64_t size_bytes)
{
	char *text = malloc(size_bytes);

	if (text == NULL)
		limit_fail("malloc");
	for (uint64_t i = 0; i < size_bytes; i++)
		text[i] = i % LINE_BYTES == LINE_BYTES - 1 ? '\n' : 'x';
	return text;
}

void limit_report(uint64_t messages, uint64_t took_us)
{
	double seconds = (double)took_us / 1e6;

	(void)printf("{\"messages\": %" PRIu64 ", \"seconds\": %.6f, "
		     "\"messages_per_second\": %.1f}\n",
		messages, seconds, messages == 0 ? 0 : (double)messages / seconds);
}

_Noreturn void limit_fail(const char *what)
{
	(void)fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}
