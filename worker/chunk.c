/* worker/chunk.c: see chunk.h. */
#include "worker/chunk.h"
#include <sys/mman.h>

#define SLAB_CHUNKS 64 /* one map of 1 MiB at a time */
#define KEEP_FREE   64 /* free chunks kept with their pages: what a busy worker turns over in a moment */

static bool
pool_grow(struct chunk_pool *cp)
{
	u8 *p = mmap(NULL, (size_t)SLAB_CHUNKS * CHUNK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	for (int i = SLAB_CHUNKS - 1; i >= 0; i--) {
		struct chunk *c = (struct chunk *)(void *)(p + (size_t)i * CHUNK_SIZE);

		c->next = cp->cold;
		cp->cold = c;
	}
	cp->ncold += SLAB_CHUNKS;
	return true;
}

struct chunk *
chunk_get(struct chunk_pool *cp)
{
	struct chunk *c;

	if (cp->free != NULL) {
		c = cp->free;
		cp->free = c->next;
		cp->nfree--;
	} else {
		if (cp->cold == NULL && !pool_grow(cp))
			return NULL;
		c = cp->cold;
		cp->cold = c->next;
		cp->ncold--;
	}
	cp->in_use++;
	c->next = NULL;
	c->start = c->end = 0;
	return c;
}

void
chunk_put(struct chunk_pool *cp, struct chunk *c)
{
	cp->in_use--;
	if (cp->nfree < KEEP_FREE) {
		c->next = cp->free;
		cp->free = c;
		cp->nfree++;
		return;
	}
	/* all but the page with the list's link goes back to the kernel */
	madvise((u8 *)c + 4096, CHUNK_SIZE - 4096, MADV_DONTNEED);
	c->next = cp->cold;
	cp->cold = c;
	cp->ncold++;
}

bool
outq_add(struct chunk_pool *cp, struct outq *q, const void *p, size_t len)
{
	const u8 *s = p;

	while (len > 0) {
		struct chunk *c = q->tail;

		if (c == NULL || c->end == sizeof c->data) {
			c = chunk_get(cp);
			if (c == NULL)
				return false;
			if (q->tail != NULL)
				q->tail->next = c;
			else
				q->head = c;
			q->tail = c;
		}
		size_t n = MIN(len, sizeof c->data - c->end);

		memcpy(c->data + c->end, s, n);
		c->end += (u32)n;
		s += n;
		len -= n;
		q->bytes += n;
	}
	return true;
}

int
outq_iov(const struct outq *q, struct iovec *iov, int max)
{
	int n = 0;

	for (struct chunk *c = q->head; c != NULL && n < max; c = c->next) {
		iov[n].iov_base = c->data + c->start;
		iov[n].iov_len = c->end - c->start;
		n++;
	}
	return n;
}

void
outq_drop(struct chunk_pool *cp, struct outq *q, size_t n)
{
	q->bytes -= n;
	while (n > 0) {
		struct chunk *c = q->head;
		size_t m = MIN(n, (size_t)(c->end - c->start));

		c->start += (u32)m;
		n -= m;
		if (c->start == c->end) {
			q->head = c->next;
			if (q->head == NULL)
				q->tail = NULL;
			chunk_put(cp, c);
		}
	}
}

void
outq_clear(struct chunk_pool *cp, struct outq *q)
{
	while (q->head != NULL) {
		struct chunk *c = q->head;

		q->head = c->next;
		chunk_put(cp, c);
	}
	q->tail = NULL;
	q->bytes = 0;
}
