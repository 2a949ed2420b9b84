/* conf/mem.h: memory of one load of the configuration, given back as a whole and wiped first, since
 * passwords pass through it. Master and tools; nothing of it may outlive conf_load.
 */
#ifndef MARGAY_CONF_MEM_H
#define MARGAY_CONF_MEM_H
#include "base/base.h"

struct mem_block;
struct mem {
	struct mem_block *blocks;
	bool oom; /* sticky: one look at the end of a load is enough */
};

/* n zeroed bytes, or NULL (and m->oom). */
void *mem_alloc(struct mem *m, size_t n);
/* A NUL-terminated copy of len bytes. */
char *mem_dup(struct mem *m, const void *p, size_t len);
/* Room for one more element behind n of them: *v_r grows by doubling. Returns the new element,
 * zeroed. */
void *mem_append(struct mem *m, void **v_r, size_t *n, size_t *room, size_t size);
void mem_free(struct mem *m);
#endif
