/* sinkd with a clock that is 40 hours ahead: what was made just now is old to it.  (The
 * time at which a file was last changed cannot be set.)  Linked with
 * --wrap=clock_gettime. */
#include <time.h>

#define AHEAD_SECONDS (40 * 3600)

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int result = __real_clock_gettime(clock, ret);

	if (clock == CLOCK_REALTIME)
		ret->tv_sec += AHEAD_SECONDS;
	return result;
}
