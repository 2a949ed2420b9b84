/* worker/catalog.c: see catalog.h. Runs in a worker. */
#include "worker/catalog.h"
#include <errno.h>
#include <unistd.h>

/* ---- looking up ---- */

static bool
refresh(struct worker *w)
{
	int rc;

	if (cat_is_newest(w->catalog, &w->cat))
		return w->cat.cat.r != NULL;
	rc = cat_copy_take(w->catalog, &w->cat);
	if (rc == ERR_STALE)
		STAT_ADD(w->stat->seqlock_stale, 1);
	else if (rc != 0 && w->cat.version != 0)
		log_limited(LOG_WARN_, "catalogue: %s", err_text(rc));
	plan_stamp(w);
	return rc == 0;
}

void
wcat_tick(struct worker *w)
{
	if (__atomic_load_n(&w->catalog->version, __ATOMIC_ACQUIRE) != 0)
		(void)refresh(w);
}

/* Was it found to be true lately? A cluster is looked at every catalog_interval; health may be late or dead for a while. */
static bool
is_recent(struct worker *w, u32 cluster, u64 checked)
{
	u64 now = ev_now(&w->loop), stale = w->cfg.r->margay.health_stale;

	for (u32 i = 0; i < w->cfg.r->nclusters; i++) {
		const struct cfg_cluster *k = &cfg_clusters(&w->cfg)[i];

		if (k->id == cluster)
			return k->catalog_interval != 0 && checked != 0 &&
			    (checked >= now || now - checked <= (k->catalog_interval + stale) * MS_NS);
	}
	return false;
}

/* Nothing was sent since that may have changed it? */
static bool
is_current(const struct worker *w, const struct cat_cluster *k)
{
	const struct cat_seen *seen = cat_seen(&w->cat.cat, k);

	for (u32 i = 0; i < k->nseen; i++)
		if (seen[i].pool_slot >= w->pool->p.max_servers ||
		    __atomic_load_n(&shm_pool_srv(w->pool)[seen[i].pool_slot].ddl, __ATOMIC_SEQ_CST) != seen[i].ddl)
			return false;
	return k->nseen != 0;
}

const struct cat_table *
wcat_table(struct worker *w, const char *schema, size_t schema_len, const char *name, size_t name_len, const struct cat **c_r)
{
	const struct cat *c = &w->cat.cat;
	const struct cat_table *t = refresh(w) ? cat_table_find(c, schema, schema_len, name, name_len) : NULL;

	if (t == NULL || (t->flags & CAT_KNOWN) == 0)
		return NULL;
	for (u32 i = 0; i < t->nplaces; i++) {
		u32 id = cat_places(c, t)[i].cluster;
		const struct cat_cluster *k = cat_cluster_find(c, id);

		if (i > 0 && cat_places(c, t)[i - 1].cluster == id)
			continue;
		if (k == NULL || (k->flags & CAT_TABLES) == 0 || !is_current(w, k) ||
		    !is_recent(w, id, __atomic_load_n(&w->catalog->tables_checked[id], __ATOMIC_ACQUIRE)))
			return NULL;
	}
	*c_r = c;
	return t;
}

const struct cat_routine *
wcat_routine(struct worker *w, u32 cluster_id, const char *schema, size_t schema_len, const char *name, size_t name_len)
{
	const struct cat_cluster *k;

	if (cluster_id >= SHM_MAX_CLUSTERS || !refresh(w))
		return NULL;
	k = cat_cluster_find(&w->cat.cat, cluster_id);
	if (k == NULL || (k->flags & CAT_ROUTINES) == 0 || !is_current(w, k) ||
	    !is_recent(w, cluster_id, __atomic_load_n(&w->catalog->routines_checked[cluster_id], __ATOMIC_ACQUIRE)))
		return NULL;
	return cat_routine_find(&w->cat.cat, k, schema, schema_len, name, name_len);
}

/* ---- telling ---- */

/* The counter first: health notes it before it reads. */
static void
raise_ddl(struct worker *w, u32 pool_slot)
{
	u64 ddl = LINK_BELL_DDL;

	__atomic_fetch_add(&shm_pool_srv(w->pool)[pool_slot].ddl, 1, __ATOMIC_SEQ_CST);
	if (write(w->health_bell, &ddl, sizeof ddl) < 0 && errno != EAGAIN)
		log_limited(LOG_WARN_, "bell of health: %m");
}

/* What a text that is not looked at to its end may hold besides is no concern if it can be one statement only. */
static bool
may_change(const struct sess *s)
{
	const struct stmt *st = &s->cmd.st;

	switch (st->kind) {
	case STMT_DDL:
		return (st->flags & (STMT_F_TEMP | STMT_F_MULTI)) != STMT_F_TEMP;
	case STMT_CALL:
	case STMT_EXECUTE:
	case STMT_OTHER:
		return true;
	default: /* a stored function cannot change a definition, but for those of temporary tables */
		return (st->flags & STMT_F_MULTI) != 0 || (st->pins & 1ull << PIN_UNKNOWN) != 0 ||
		    ((st->pins & 1ull << PIN_LONG) != 0 && (s->caps & CAP_MULTI_STATEMENTS) != 0);
	}
}

void
wcat_begin_slow(struct sess *s, struct bconn *b)
{
	if (!may_change(s))
		return;
	s->cmd.ddl_slot = b->srv->pool_slot + 1;
	raise_ddl(s->w, b->srv->pool_slot);
}

void
wcat_result_slow(struct sess *s, bool last)
{
	raise_ddl(s->w, s->cmd.ddl_slot - 1);
	if (last)
		s->cmd.ddl_slot = 0;
}

void
wcat_end_slow(struct sess *s)
{
	raise_ddl(s->w, s->cmd.ddl_slot - 1);
	s->cmd.ddl_slot = 0;
}
