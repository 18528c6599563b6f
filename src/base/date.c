/* Calendar dates; see date.h.  Runs in every process. */
#include "base/date.h"

/* Days from 1 March of the year 0 to 1 January 1970.  Years that begin in March
 * end with their leap day, so that the months before it never move. */
#define DAYS_TO_1970    719468
#define DAYS_OF_400Y    146097
#define SECONDS_OF_DAY  86400
#define THURSDAY        4 /* 1 January 1970 */
#define DAYS_OF_5MONTHS 153

struct date date_of(uint64_t unix_seconds)
{
	uint64_t days = unix_seconds / SECONDS_OF_DAY;
	unsigned seconds = (unsigned)(unix_seconds % SECONDS_OF_DAY);
	uint64_t from_march = days + DAYS_TO_1970;
	unsigned era = (unsigned)(from_march / DAYS_OF_400Y);
	unsigned day = (unsigned)(from_march % DAYS_OF_400Y);
	/* Leap days of the era so far are taken off before dividing by 365. */
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned month;

	day -= 365 * year + year / 4 - year / 100;
	/* March to July have 153 days, August to December too. */
	month = (5 * day + 2) / DAYS_OF_5MONTHS;
	day -= (DAYS_OF_5MONTHS * month + 2) / 5;
	month = month < 10 ? month + 3 : month - 9;
	return (struct date){
		.year = era * 400 + year + (month <= 2),
		.month = month,
		.day = day + 1,
		.hour = seconds / 3600,
		.minute = seconds / 60 % 60,
		.second = seconds % 60,
		.weekday = (unsigned)((days + THURSDAY) % 7),
	};
}
