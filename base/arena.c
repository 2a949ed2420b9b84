/* base/arena.c: see arena.h. */
#include "base/arena.h"
#include <stdlib.h>

#define CHUNK_FIRST 8192u             /* a statement of everyday size */
#define CHUNK_MOST  (1024u * 1024u)   /* chunks double up to here */

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
};

void
arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){.limit = limit};
}

static void
open_chunk(struct arena *a, struct arena_chunk *c)
{
	a->cur = (u8 *)(c + 1);
	a->end = (u8 *)c + c->size;
}

void *
arena_more(struct arena *a, size_t n)
{
	size_t size = a->chunk == NULL ? CHUNK_FIRST : MIN(a->chunk->size * 2, (size_t)CHUNK_MOST);

	size = MAX(size, n + sizeof(struct arena_chunk));
	if (a->used > a->limit || size > a->limit - a->used)
		return NULL;
	struct arena_chunk *c = malloc(size);

	if (c == NULL)
		return NULL;
	*c = (struct arena_chunk){.next = a->chunk, .size = size};
	a->chunk = c;
	a->used += size;
	open_chunk(a, c);
	a->cur += n;
	return a->cur - n;
}

void
arena_back(struct arena *a, struct arena_mark m)
{
	bool opened = a->chunk != m.chunk;

	while (a->chunk != m.chunk) {
		struct arena_chunk *c = a->chunk;

		a->chunk = c->next;
		a->used -= c->size;
		free(c);
	}
	if (opened && m.chunk != NULL)
		open_chunk(a, m.chunk);
	if (m.chunk == NULL)
		a->end = NULL;
	a->cur = m.cur;
}

void
arena_reset(struct arena *a)
{
	while (a->chunk != NULL && a->chunk->next != NULL) {
		struct arena_chunk *c = a->chunk;

		a->chunk = c->next;
		a->used -= c->size;
		free(c);
	}
	if (a->chunk != NULL)
		open_chunk(a, a->chunk);
}

void
arena_fini(struct arena *a)
{
	arena_reset(a);
	free(a->chunk);
	arena_init(a, a->limit);
}
