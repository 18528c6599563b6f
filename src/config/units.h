/* Units of sizes and times, in octets and in milliseconds. */
#ifndef SINKD_CONFIG_UNITS_H
#define SINKD_CONFIG_UNITS_H

#include <stdint.h>

#define K      UINT64_C(1024)
#define M      (1024 * K)
#define G      (1024 * M)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#endif
