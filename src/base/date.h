/* Calendar dates in UTC.  Pure, where gmtime_r(3) is not: the C library reads the
 * time zone file on its first call. */
#ifndef SINKD_BASE_DATE_H
#define SINKD_BASE_DATE_H

#include <stdint.h>

struct date {
	unsigned year;
	unsigned month; /* 1..12 */
	unsigned day;   /* 1..31 */
	unsigned hour;
	unsigned minute;
	unsigned second;
	unsigned weekday; /* 0 is Sunday */
};

/* The date of a number of seconds since 1970 (up to the year 9999). */
struct date date_of(uint64_t unix_seconds);

#endif
