/* t/unit/proto_util.h: helpers of the unit tests of proto/. Bytes under test are copied into heap
 * blocks of their exact size, so that ASan sees a read of one byte too many.
 */
#ifndef MARGAY_T_UNIT_PROTO_UTIL_H
#define MARGAY_T_UNIT_PROTO_UTIL_H
#include <criterion/criterion.h>
#include <stdlib.h>
#include "base/err.h"
#include "proto/wire.h"

#define BYTES(lit) (const u8 *)(lit), sizeof(lit) - 1
#define SLICE(lit) ((struct slice){(const u8 *)(lit), sizeof(lit) - 1})

static inline bool
slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

static inline u8 *
exact_copy(const u8 *p, size_t len)
{
	u8 *q = malloc(len);

	cr_assert(q != NULL);
	if (len > 0)
		memcpy(q, p, len);
	return q;
}

/* Runs parse on each proper beginning of body. For the lengths in fine (ended by SIZE_MAX), which
 * are whole packets themselves, it must return 0; for all others an error. */
static inline void
cut_everywhere(const u8 *body, size_t len, int (*parse)(const u8 *body, size_t len),
	       const size_t *fine)
{
	for (size_t n = 0; n <= len; n++) {
		u8 *copy = exact_copy(body, n);
		bool whole = n == len;
		int rc;

		for (const size_t *f = fine; f != NULL && *f != SIZE_MAX; f++)
			whole |= n == *f;
		rc = parse(copy, n);
		cr_assert(whole ? rc == 0 : rc < 0, "cut at %zu of %zu: rc %d", n, len, rc);
		free(copy);
	}
}

/* Runs write into buffers of every size up to the one that it needs: it must say so and stay
 * inside. */
static inline void
overflow_everywhere(void (*write)(struct wr *w))
{
	u8 big[4096];
	struct wr w = wr_init(big, sizeof big);
	size_t need;

	write(&w);
	cr_assert(!w.bad);
	need = w.len;
	for (size_t cap = 0; cap <= need; cap++) {
		u8 *copy = exact_copy(big, cap);

		w = wr_init(copy, cap);
		write(&w);
		cr_assert_eq(w.bad, cap < need, "cap %zu of %zu", cap, need);
		free(copy);
	}
}
#endif
