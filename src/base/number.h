/* The smaller of two numbers. */
#ifndef SINKD_BASE_NUMBER_H
#define SINKD_BASE_NUMBER_H

#include <stdint.h>

static inline uint64_t number_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* At most max, which the result fits in. */
static inline unsigned number_at_most(unsigned max, uint64_t n)
{
	return (unsigned)number_min(max, n);
}

#endif
