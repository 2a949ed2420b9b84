/* t/stress/stress.h: how long, failure, dice. Stress programs only. */
#ifndef MARGAY_STRESS_STRESS_H
#define MARGAY_STRESS_STRESS_H
#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"

#define MUST(cond, ...)                                                                            \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline u64
stress_ns(u64 default_ms)
{
	const char *e = getenv("MARGAY_STRESS_MS");
	u64 ms;

	return (e != NULL && str_to_u64(e, &ms) == 0 ? ms : default_ms) * MS_NS;
}

/* xorshift64: each thread its own state, never 0. */
static inline u32
dice(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (u32)(*state >> 11);
}
#endif
