/* base/arena.h: memory that is given back all at once: small pieces from chunks that grow up to a limit. Not for what
 * lives on by itself. One owner; no locks. Any process.
 */
#ifndef MARGAY_BASE_ARENA_H
#define MARGAY_BASE_ARENA_H
#include "base/base.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *chunk; /* newest first */
	u8 *cur, *end;
	size_t used;  /* bytes of all chunks */
	size_t limit; /* most bytes of all chunks */
};

/* Nothing is allocated until the first piece is asked for. */
void arena_init(struct arena *a, size_t limit);
/* Aligned for any object, contents undefined. NULL: over the limit, or no memory. */
void *arena_more(struct arena *a, size_t n);
/* Everything given out is gone; one chunk is kept for what comes. */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

/* What was given out since the mark was taken is gone. */
struct arena_mark {
	struct arena_chunk *chunk;
	u8 *cur;
};
static inline struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){a->chunk, a->cur};
}
void arena_back(struct arena *a, struct arena_mark m);

#define ARENA_ALIGN 8u

static inline void *
arena_get(struct arena *a, size_t n)
{
	u8 *p = a->cur;

	n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (unlikely((size_t)(a->end - p) < n))
		return arena_more(a, n);
	a->cur = p + n;
	return p;
}
#endif
