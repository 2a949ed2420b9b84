/* worker/chunk.h: memory lent to bytes in flight: fixed chunks from a few large maps, given back to the
 * kernel when many are free, so that a worker is as small after a storm of large results as before. Plus
 * struct outq, a queue of bytes in chunks. Runs in a worker.
 */
#ifndef MARGAY_WORKER_CHUNK_H
#define MARGAY_WORKER_CHUNK_H
#include <sys/uio.h>
#include "base/base.h"

#define CHUNK_SIZE 16384

struct chunk {
	struct chunk *next;
	u32 start, end; /* bytes in use: data[start..end) */
	u8 data[CHUNK_SIZE - 16];
};
_Static_assert(sizeof(struct chunk) == CHUNK_SIZE, "chunk size");

struct chunk_pool {
	struct chunk *free;
	u32 nfree;   /* with their pages in place */
	struct chunk *cold;
	u32 ncold;   /* given back to the kernel but for the first page */
	u64 in_use;  /* chunks lent */
};

struct outq {
	struct chunk *head, *tail;
	size_t bytes;
};

/* NULL when memory is out. */
struct chunk *chunk_get(struct chunk_pool *cp);
void chunk_put(struct chunk_pool *cp, struct chunk *c);

/* Appends; false when memory is out (what was appended stays). */
bool outq_add(struct chunk_pool *cp, struct outq *q, const void *p, size_t len);
/* First pieces as iovecs; returns how many. */
int outq_iov(const struct outq *q, struct iovec *iov, int max);
/* Drops the first n bytes. */
void outq_drop(struct chunk_pool *cp, struct outq *q, size_t n);
void outq_clear(struct chunk_pool *cp, struct outq *q);
#endif
