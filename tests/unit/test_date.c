/* Unit tests of base/date: the calendar's corners, and the C library's opinion. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include "base/date.h"
#include "unit.h"

static void test_known(void)
{
	static const struct {
		const char *name;
		uint64_t seconds;
		struct date date;
	} cases[] = {
		{"the beginning", 0, {1970, 1, 1, 0, 0, 0, 4}},
		{"last second of a day", 86399, {1970, 1, 1, 23, 59, 59, 4}},
		{"leap day of a century", 951782400, {2000, 2, 29, 0, 0, 0, 2}},
		{"day after it", 951868800, {2000, 3, 1, 0, 0, 0, 3}},
		{"no leap day in 2100", 4107542400, {2100, 3, 1, 0, 0, 0, 1}},
		{"end of a year", 1798761599, {2026, 12, 31, 23, 59, 59, 4}},
		{"past 32 bits", 4294967296, {2106, 2, 7, 6, 28, 16, 0}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct date *want = &cases[i].date;
		struct date got = date_of(cases[i].seconds);
		bool is_right = got.year == want->year && got.month == want->month &&
				got.day == want->day && got.hour == want->hour &&
				got.minute == want->minute &&
				got.second == want->second &&
				got.weekday == want->weekday;

		CHECK(cases[i].name, is_right);
	}
}

/* Every day until the year 2400, at an hour that moves. */
static void test_against_libc(void)
{
	for (uint64_t t = 0; t < 13569465600; t += 86400 + 61) {
		time_t seconds = (time_t)t;
		struct date got = date_of(t);
		struct tm tm;

		CU_ASSERT_FATAL(gmtime_r(&seconds, &tm) != NULL);
		CU_ASSERT_FATAL(got.year == (unsigned)tm.tm_year + 1900 &&
				got.month == (unsigned)tm.tm_mon + 1 &&
				got.day == (unsigned)tm.tm_mday &&
				got.hour == (unsigned)tm.tm_hour &&
				got.minute == (unsigned)tm.tm_min &&
				got.second == (unsigned)tm.tm_sec &&
				got.weekday == (unsigned)tm.tm_wday);
	}
}

void suite_date(void)
{
	CU_pSuite s = CU_add_suite("date", NULL, NULL);

	CU_add_test(s, "known dates", test_known);
	CU_add_test(s, "the same as gmtime", test_against_libc);
}
