/* base/clock.h: time. Monotonic nanoseconds for durations, wall milliseconds for people. Any process.
 * Pure code (proto, parser, router) never calls this: it is given the time.
 */
#ifndef MARGAY_BASE_CLOCK_H
#define MARGAY_BASE_CLOCK_H
#include "base/base.h"
#include <time.h>

static inline u64
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}
static inline u64
clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * 1000u + (u64)ts.tv_nsec / 1000000u;
}
#define MS_NS 1000000ull
#define US_NS 1000ull
#endif
