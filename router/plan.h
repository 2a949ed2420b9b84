/* router/plan.h: plans that are kept: what was worked out for a statement, under its plan key (parser/plankey.h). So far a plan is
 * the verdict of the classifier and the facts; what the router makes of it comes in here too. Pure: no clock; memory by malloc,
 * bounded by the number of plans and the length of a key. One owner: a worker.
 */
#ifndef MARGAY_ROUTER_PLAN_H
#define MARGAY_ROUTER_PLAN_H
#include "parser/facts.h"
#include "parser/plankey.h"

#define PLAN_WAYS 8u /* plans whose keys' hashes end alike, of which the one used longest ago goes first */

/* A name as the statement writes it, quotes and all; the plan owns it. */
struct plan_name {
	const char *schema, *name;
	u32 schema_len, len;
};

struct plan_table {
	struct plan_name name;
	u32 access; /* STMT_T_* */
};

struct plan {
	u64 hash;
	u64 stamp;
	u64 used;
	u32 key_len;
	u32 facts; /* STMT_K_* */
	u32 ntables, ncalls;
	struct stmt st;
	struct plan_table *tables;
	struct plan_name *calls;
	u8 key[];
};

struct plan_cache {
	struct plan **way; /* sets of PLAN_WAYS; NULL: off */
	u32 sets;          /* a power of two */
	u32 n;             /* plans there are */
	u64 turn;
	u64 stamp;         /* of what plans depend on beside their text */
	size_t bytes;
};

/* max: most plans, 0 turns it off; rounded up to a power of two. False: no memory, and the cache is off. */
bool plan_cache_init(struct plan_cache *c, u32 max);
void plan_cache_fini(struct plan_cache *c);
/* What plans depend on has changed (the configuration, a definition): those made before are found no more. */
void plan_cache_stamp(struct plan_cache *c, u64 stamp);
/* NULL: none is kept. Valid until the next plan_add or plan_cache_fini. */
const struct plan *plan_find(struct plan_cache *c, const struct plankey *k);
/* May this verdict be kept? It must not depend on what literals say, and hold no secret. */
bool plan_may_keep(const struct stmt *st);
/* Keeps a copy. NULL: no memory, or the cache is off. */
const struct plan *plan_add(struct plan_cache *c, const struct plankey *k, const void *text, const struct stmt *st,
    const struct stmt_facts *f);
#endif
