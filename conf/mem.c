/* conf/mem.c: see mem.h. A block for each allocation, so that AddressSanitizer sees every overrun.
 */
#include "conf/mem.h"
#include "base/str.h"

struct mem_block {
	struct mem_block *next;
	size_t size;
	u8 bytes[];
};

void *
mem_alloc(struct mem *m, size_t n)
{
	struct mem_block *b = NULL;

	if (n < SIZE_MAX - sizeof *b)
		b = calloc(1, sizeof *b + n);
	if (b == NULL) {
		m->oom = true;
		return NULL;
	}
	b->size = n;
	b->next = m->blocks;
	m->blocks = b;
	return b->bytes;
}

char *
mem_dup(struct mem *m, const void *p, size_t len)
{
	char *s = mem_alloc(m, len + 1);

	if (s != NULL && len != 0)
		memcpy(s, p, len);
	return s;
}

void *
mem_append(struct mem *m, void **v_r, size_t *n, size_t *room, size_t size)
{
	if (*n == *room) {
		size_t more = *room == 0 ? 8 : *room * 2;
		void *v = mem_alloc(m, more * size);

		if (v == NULL)
			return NULL;
		if (*n != 0)
			memcpy(v, *v_r, *n * size);
		*v_r = v;
		*room = more;
	}
	return (u8 *)*v_r + (*n)++ * size;
}

void
mem_free(struct mem *m)
{
	struct mem_block *b, *next;

	for (b = m->blocks; b != NULL; b = next) {
		next = b->next;
		mem_wipe(b->bytes, b->size);
		free(b);
	}
	m->blocks = NULL;
}
