/* conf/shards.h: sections [schema], [shard] and [table]: rules over several of them, and which shards a table lies on.
 * Pure; master and tools.
 */
#ifndef MARGAY_CONF_SHARDS_H
#define MARGAY_CONF_SHARDS_H
#include "conf/tree.h"

#define SHARDS_MAX 4096u /* [shard] sections; also what one table may lie on */

void shards_check(struct conf_tree *t);
/* Of a tree without errors: indices in of[OPT_IN_SHARD] of the shards that a table lies on, ranges and the default
 * resolved, in the order of the file; at least one. They live in t->mem. NULL: no memory. */
u32 *shards_of_table(const struct conf_tree *t, const struct conf_section *table, size_t *n_r);
/* The [schema] that the table's name begins with, or NULL. */
const struct conf_section *shards_schema_of(const struct conf_tree *t, const struct conf_section *table, size_t *index_r);
#endif
