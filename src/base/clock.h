/* Time for deadlines: milliseconds on the monotonic clock. */
#ifndef SINKD_BASE_CLOCK_H
#define SINKD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Same clock in every process, so a deadline may be handed to another one.  The coarse
 * one: it is read several times a message, costs a third, and lags by some ms at most. */
static inline uint64_t clock_monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The same clock, exactly; for durations. */
static inline uint64_t clock_monotonic_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Microseconds since 1970, for names and logs; it may jump. */
static inline uint64_t clock_wall_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
