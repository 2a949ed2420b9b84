/* t/fuzz/fuzz_util.h: what the fuzz targets share. A target is one LLVMFuzzerTestOneInput;
 * libFuzzer drives it
 * (--enable-fuzz), and replay.c runs it over its corpus in `make check`. A broken expectation
 * aborts.
 */
#ifndef MARGAY_T_FUZZ_FUZZ_UTIL_H
#define MARGAY_T_FUZZ_FUZZ_UTIL_H
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A slice that a parser gave must lie inside what it was given. */
static inline void
must_be_inside(struct slice s, const u8 *body, size_t len)
{
	MUST(s.len == 0 || (s.p >= body && s.p + s.len <= body + len));
}

static inline void
must_be_same(struct slice a, struct slice b)
{
	MUST(a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
}
#endif
