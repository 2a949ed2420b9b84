/* worker/catalog.h: what health has read of tables and functions, as this worker may believe it; and the counters by which
 * a worker tells that a statement may change it (doc/catalog.md). Runs in a worker.
 */
#ifndef MARGAY_WORKER_CATALOG_H
#define MARGAY_WORKER_CATALOG_H
#include "worker/sess.h"

/* A configured table by the names that clients use. NULL: it is not configured, or nothing of it can be believed now: its
 * definition was not read on every shard, may have changed since, or was read too long ago. What is returned lives until the
 * event that is being handled ends; its parts are found with cat_def and its kin over *c_r. Whether shards agree: CAT_AGREES. */
const struct cat_table *wcat_table(struct worker *w, const char *schema, size_t schema_len, const char *name, size_t name_len,
    const struct cat **c_r);
/* A stored function of a cluster by its database and name, neither of them in quotes. NULL: unknown, for whatever reason: take
 * it for one that does anything. Else its verdict: ROUTINE_HARMLESS: it reads at most, leaves nothing on the connection, and
 * no loadable function hides it. */
const struct cat_routine *wcat_routine(struct worker *w, u32 cluster_id, const char *schema, size_t schema_len, const char *name,
    size_t name_len);

/* In the tick: takes what is new, so that looking up does not have to. */
void wcat_tick(struct worker *w);

/* The session's statement is about to be sent to b: if it may change definitions, nobody believes them from here on until
 * health has read them anew. */
void wcat_begin_slow(struct sess *s, struct bconn *b);
static inline void
wcat_begin(struct sess *s, struct bconn *b)
{
	/* what changes definitions commits first (DDL), or may do anything */
	const u64 opaque = 1ull << PIN_ROUTINE | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG;

	if (unlikely((s->cmd.st.flags & STMT_F_IMPLICIT_COMMIT) != 0 || (s->cmd.st.pins & opaque) != 0))
		wcat_begin_slow(s, b);
}
void wcat_result_slow(struct sess *s, bool last);
/* A result of it has ended, and the client has not seen its end yet. */
static inline void
wcat_result(struct sess *s, bool last)
{
	if (unlikely(s->cmd.ddl_slot != 0))
		wcat_result_slow(s, last);
}
void wcat_end_slow(struct sess *s);
/* The command ends, whatever has become of it: called for every one. */
static inline void
wcat_end(struct sess *s)
{
	if (unlikely(s->cmd.ddl_slot != 0))
		wcat_end_slow(s);
}
#endif
