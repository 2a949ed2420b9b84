/* health/catalog.c: see catalog.h. Health's main thread only. */
#include "health/publish.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include <stdlib.h>

#define SETTLE_MS     20   /* DDL is told of when it begins and when it ends: mostly both within this */
#define PAUSE_MS      50   /* between an answer and a question that DDL made urgent, when there were */
#define PAUSE_AFTER   2    /* so many in a row; not more than a fifth of the time is spent reading, however often definitions */
#define PAUSE_TIMES   4    /* change */
#define RETRY_MS      1000 /* after a reading that failed */
#define ANSWER_MS     120000 /* a question that has not been answered by then is lost */
#define DIFFS_MAX     64   /* of one table: more are counted */
#define SHOWN_MAX     8    /* lines of the log for one table */

/* ---- configuration ---- */

void
catalog_server_forget(struct cat_server *s)
{
	free(s->seen);
	free(s->asked_seen);
	def_result_free(s->result);
	memset(s, 0, sizeof *s); /* an answer that is under way is known by its number to be for nobody */
}

void
catalog_watch_end(struct cat_watch *w)
{
	def_list_put(w->list);
	memset(w, 0, sizeof *w);
	w->server = -1;
}

static void
tables_free(struct catalog *c)
{
	for (u32 i = 0; i < c->ntables; i++)
		free(c->tables[i].shown);
	arena_fini(&c->a);
	c->tables = NULL;
	c->ntables = 0;
}

static int
conf_cmp(const void *x, const void *y)
{
	const struct cat_conf *a = x, *b = y;
	int d = cat_name_cmp(a->schema, strlen(a->schema), b->schema, strlen(b->schema));

	return d != 0 ? d : cat_name_cmp(a->name, strlen(a->name), b->name, strlen(b->name));
}

/* What the log has told of a table is not told again after a reload. */
static char *
shown_of(struct catalog *old, const struct cat_conf *t)
{
	for (u32 i = 0; i < old->ntables; i++)
		if (strcmp(old->tables[i].schema, t->schema) == 0 && strcmp(old->tables[i].name, t->name) == 0) {
			char *shown = old->tables[i].shown;

			old->tables[i].shown = NULL;
			return shown;
		}
	return NULL;
}

/* Room for all places of all tables in each cluster is more than is needed, and little. */
static u32
places_all(const struct cfg *cfg)
{
	u32 n = 0;

	for (u32 i = 0; i < cfg->r->ntables; i++)
		n += cfg_tables(cfg)[i].nplaces;
	return n;
}

static int
table_adopt_one(struct catalog *n, const struct cfg *cfg, const struct cfg_table *k, struct def_list **lists)
{
	struct cat_conf *c = &n->tables[n->ntables];

	c->schema = def_text(&n->a, cfg_text(cfg, cfg_schemas(cfg)[k->schema_idx].section_name));
	c->name = def_text(&n->a, cfg_text(cfg, k->name));
	c->key = def_text(&n->a, cfg_text(cfg, k->key));
	c->kind = (u32)k->kind;
	c->place = arena_get(&n->a, (k->nplaces + 1) * sizeof *c->place);
	if (c->schema == NULL || c->name == NULL || c->key == NULL || c->place == NULL)
		return ERR_NOMEM;
	for (u32 i = 0; i < k->nplaces; i++) {
		const struct cfg_shard *s = &cfg_shards(cfg)[cfg_table_places(cfg, k)[i]];
		struct cat_conf_place *p = &c->place[i];

		p->shard = def_text(&n->a, cfg_text(cfg, s->section_name));
		p->database = def_text(&n->a, cfg_text(cfg, s->database));
		p->cluster = cfg_clusters(cfg)[s->cluster_idx].id;
		if (p->shard == NULL || p->database == NULL || def_list_add(lists[p->cluster], p->database, c->name) != 0)
			return ERR_NOMEM;
	}
	c->nplaces = k->nplaces;
	n->ntables++;
	return 0;
}

static int
tables_adopt(struct catalog *n, const struct cfg *cfg, struct def_list **lists)
{
	int rc = 0;

	arena_init(&n->a, DEFS_TABLE_LIMIT);
	n->tables = arena_get(&n->a, (cfg->r->ntables + 1) * sizeof *n->tables);
	if (n->tables == NULL)
		return ERR_NOMEM;
	memset(n->tables, 0, (cfg->r->ntables + 1) * sizeof *n->tables);
	for (u32 i = 0; i < cfg->r->ntables && rc == 0; i++)
		rc = table_adopt_one(n, cfg, &cfg_tables(cfg)[i], lists);
	return rc;
}

int
catalog_adopt(struct table *t, const struct cfg *cfg)
{
	struct def_list *lists[SHM_MAX_CLUSTERS] = {NULL};
	struct catalog n = {.seg = t->cat.seg};
	u32 room = places_all(cfg);
	int rc = 0;

	for (u32 i = 0; i < cfg->r->nclusters && rc == 0; i++) {
		lists[cfg_clusters(cfg)[i].id] = def_list_new(room);
		rc = lists[cfg_clusters(cfg)[i].id] == NULL ? ERR_NOMEM : 0;
	}
	if (rc == 0)
		rc = tables_adopt(&n, cfg, lists);
	if (rc != 0) {
		arena_fini(&n.a);
		for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
			def_list_put(lists[i]);
		return rc;
	}
	for (u32 i = 0; i < n.ntables; i++)
		n.tables[i].shown = shown_of(&t->cat, &n.tables[i]);
	if (n.ntables > 1)
		qsort(n.tables, n.ntables, sizeof *n.tables, conf_cmp);
	tables_free(&t->cat);
	t->cat.a = n.a;
	t->cat.tables = n.tables;
	t->cat.ntables = n.ntables;
	t->cat.dirty = true;
	for (u32 i = 0; i < cfg->r->nclusters; i++) {
		const struct cfg_cluster *k = &cfg_clusters(cfg)[i];
		struct cat_watch *w = &t->clusters[k->id].cat;

		def_list_put(w->list);
		def_list_sort(lists[k->id]);
		w->list = lists[k->id];
		w->interval_ns = k->catalog_interval * MS_NS;
	}
	STAT_SET(t->seg->stat.catalog_tables, t->cat.ntables);
	return 0;
}

/* ---- asking ---- */

static bool
takes(const struct hserver *h)
{
	return h->used && h->j.known && h->j.v.state == SRV_UP;
}

/* Whose tables are read: the primary's, else the first that takes statements. */
static int
chosen(const struct table *t, const struct hcluster *c)
{
	if (c->j.primary >= 0 && takes(&t->servers[c->j.primary]))
		return c->j.primary;
	for (u32 k = 0; k < c->j.n; k++)
		if (takes(&t->servers[c->j.srv[k]->id]))
			return (int)c->j.srv[k]->id;
	return -1;
}

static u64
ddl_of(const struct table *t, u32 pool_slot)
{
	return __atomic_load_n(&shm_pool_srv(t->env.pool)[pool_slot].ddl, __ATOMIC_SEQ_CST);
}

/* Has a counter of the cluster grown since the server was asked for what is known of it? */
static bool
is_outdated(const struct table *t, const struct hcluster *c, const struct cat_server *s)
{
	if (s->result == NULL || s->nseen != c->j.n)
		return true;
	for (u32 i = 0; i < s->nseen; i++)
		if (s->seen[i].pool_slot != t->servers[c->j.srv[i]->id].conf.pool_slot || s->seen[i].ddl != ddl_of(t, s->seen[i].pool_slot))
			return true;
	return false;
}

/* The counters are noted first: what they do not count yet is in what is read afterwards. */
static void
ask(struct table *t, struct hcluster *c, struct hserver *h, bool tables)
{
	struct cat_server *s = &h->cat;

	free(s->asked_seen);
	s->nasked = c->j.n;
	s->asked_seen = calloc(c->j.n, sizeof *s->asked_seen);
	AN(s->asked_seen != NULL);
	for (u32 i = 0; i < c->j.n; i++) {
		s->asked_seen[i].pool_slot = t->servers[c->j.srv[i]->id].conf.pool_slot;
		s->asked_seen[i].ddl = ddl_of(t, s->asked_seen[i].pool_slot);
	}
	s->asked = ++t->cat.questions;
	s->asked_ns = clock_ns();
	s->urgent_ns = 0;
	prober_catalog_ask(h->prober, tables ? c->cat.list : NULL, s->asked);
}

/* Returns when it is to be looked at again, if that is soon. */
static u64
look_at(struct table *t, struct hcluster *c, struct hserver *h, u64 now)
{
	struct cat_server *s = &h->cat;
	bool tables = c->cat.server == (int)h->j.id, urgent;

	if (s->asked != 0 && now - s->asked_ns < ANSWER_MS * MS_NS)
		return UINT64_MAX;
	urgent = s->result == NULL || (tables && (s->result->list != c->cat.list || is_outdated(t, c, s)));
	if (!urgent)
		s->in_a_row = 0;
	if (!urgent && now < s->due_ns)
		return s->due_ns;
	if (urgent && s->urgent_ns == 0)
		s->urgent_ns = now;
	if (s->result != NULL && urgent && now < s->urgent_ns + SETTLE_MS * MS_NS)
		return s->urgent_ns + SETTLE_MS * MS_NS;
	if (now < s->not_before_ns)
		return s->not_before_ns;
	s->in_a_row += urgent;
	if (urgent && tables && s->result != NULL) /* replicas follow */
		for (u32 k = 0; k < c->j.n; k++)
			t->servers[c->j.srv[k]->id].cat.due_ns = 0;
	ask(t, c, h, tables);
	return UINT64_MAX;
}

u64
catalog_look(struct table *t)
{
	u64 now = clock_ns(), next = UINT64_MAX;

	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++) {
		struct hcluster *c = &t->clusters[i];

		if (!c->used || c->cat.interval_ns == 0)
			continue;
		for (u32 k = 0; k < c->j.n; k++)
			if (takes(&t->servers[c->j.srv[k]->id]))
				next = MIN(next, look_at(t, c, &t->servers[c->j.srv[k]->id], now));
	}
	catalog_publish(t);
	return next;
}

void
catalog_servers(struct table *t, struct hcluster *c)
{
	int server = c->cat.interval_ns == 0 ? -1 : chosen(t, c);

	if (c->cat.server != server)
		t->cat.dirty = true;
	c->cat.server = server;
	for (u32 k = 0; k < c->j.n; k++) {
		struct hserver *h = &t->servers[c->j.srv[k]->id];
		bool on = takes(h) && c->cat.interval_ns != 0;

		if (on == h->cat.took)
			continue;
		catalog_server_forget(&h->cat); /* what it has when it comes back may be something else */
		h->cat.took = on;
		t->cat.dirty = true;
	}
	catalog_publish(t);
}

void
catalog_take(struct table *t, struct hserver *h)
{
	struct def_result *r = prober_catalog_take(h->prober);
	struct cat_server *s = &h->cat;
	u64 now = clock_ns();

	if (r == NULL)
		return;
	if (r->asked != s->asked) { /* of a server that was forgotten meanwhile */
		def_result_free(r);
		return;
	}
	s->asked = 0;
	STAT_ADD(t->seg->stat.catalog_reads, 1);
	if (!r->ok) {
		STAT_ADD(t->seg->stat.catalog_errors, 1);
		if (!s->complained)
			log_warn("server %s: definitions of tables and functions cannot be read: %s", h->conf.name, r->error);
		s->complained = true;
		s->not_before_ns = now + RETRY_MS * MS_NS;
		s->due_ns = s->not_before_ns;
		def_result_free(r);
		return;
	}
	if (s->complained)
		log_notice("server %s: definitions of tables and functions are read again", h->conf.name);
	s->complained = false;
	def_result_free(s->result);
	s->result = r;
	free(s->seen);
	s->seen = s->asked_seen;
	s->nseen = s->nasked;
	s->asked_seen = NULL;
	s->due_ns = r->began_ns + t->clusters[h->cluster].cat.interval_ns;
	s->not_before_ns =
	    s->in_a_row < PAUSE_AFTER ? now : now + MAX(PAUSE_MS * MS_NS, PAUSE_TIMES * (r->ended_ns - r->began_ns));
	t->cat.dirty = true;
}

/* ---- functions of a cluster ---- */

/* Those of the server that was chosen, as far as all others that take statements agree. */
static enum routine_verdict
verdict_of(const struct table *t, const struct hcluster *c, const struct def_routine *f)
{
	for (u32 k = 0; k < c->j.n; k++) {
		const struct hserver *h = &t->servers[c->j.srv[k]->id];
		const struct def_routine *other;

		if (!takes(h) || (int)h->j.id == c->cat.server || h->cat.result == NULL)
			continue;
		other = def_routine_find(h->cat.result, f->schema, f->name);
		if (f->verdict == ROUTINE_HARMLESS && (other == NULL || other->verdict != ROUTINE_HARMLESS))
			return other == NULL ? ROUTINE_UNKNOWN : other->verdict;
	}
	return f->verdict;
}

static bool
all_read(const struct table *t, const struct hcluster *c)
{
	for (u32 k = 0; k < c->j.n; k++)
		if (takes(&t->servers[c->j.srv[k]->id]) && t->servers[c->j.srv[k]->id].cat.result == NULL)
			return false;
	return true;
}

/* Returns how much did not fit. */
static u32
put_routines(const struct table *t, struct cat_build *b, struct cat_cluster *rec)
{
	const struct hcluster *c = &t->clusters[rec->id];
	const struct def_result *r = c->cat.server < 0 ? NULL : t->servers[c->cat.server].cat.result;
	size_t mark = cat_build_mark(b);

	if (r == NULL)
		return 0;
	rec->routines_off = cat_keep(b, r->nroutines, sizeof(struct cat_routine));
	if (b->full) {
		cat_build_back(b, mark);
		rec->routines_off = 0;
		return r->nroutines;
	}
	for (u32 i = 0; i < r->nroutines; i++) {
		struct cat_routine f = {.verdict = (u32)verdict_of(t, c, &r->routine[i])};

		mark = cat_build_mark(b);
		f.schema = cat_put(b, r->routine[i].schema);
		f.name = cat_put(b, r->routine[i].name);
		if (b->full) {
			cat_build_back(b, mark);
			return r->nroutines - i;
		}
		cat_set(b, rec->routines_off + rec->nroutines++ * (u32)sizeof f, &f, sizeof f);
	}
	return 0;
}

/* All of it but its functions. */
static void
put_cluster(const struct table *t, u32 id, struct cat_build *b, struct cat_cluster *rec)
{
	const struct hcluster *c = &t->clusters[id];
	const struct cat_server *s = c->cat.server < 0 ? NULL : &t->servers[c->cat.server].cat;

	*rec = (struct cat_cluster){.id = id, .server = c->cat.server < 0 ? UINT32_MAX : (u32)c->cat.server};
	rec->name = cat_put(b, c->name);
	if (s == NULL || s->result == NULL)
		return;
	rec->lower_case = s->result->lower_case;
	rec->nseen = s->nseen;
	rec->seen_off = cat_keep(b, s->nseen, sizeof *s->seen);
	cat_set(b, rec->seen_off, s->seen, s->nseen * sizeof *s->seen);
	rec->flags = (s->result->list != NULL ? CAT_TABLES : 0) | (all_read(t, c) ? CAT_ROUTINES : 0);
}

/* ---- tables ---- */

/* What a shard has; NULL: not known. */
static const struct def_table *
place_def(const struct table *t, const struct cat_conf_place *p, const char *name)
{
	const struct hcluster *c = &t->clusters[p->cluster];
	const struct def_result *r = !c->used || c->cat.server < 0 ? NULL : t->servers[c->cat.server].cat.result;

	int at = r == NULL || r->list == NULL ? -1 : def_list_find(r->list, p->database, name);

	return at < 0 ? NULL : &r->table[at]; /* what was read before a reload is still so */
}

static bool
place_folds(const struct table *t, const struct cat_conf_place *p)
{
	const struct hcluster *c = &t->clusters[p->cluster];

	return c->used && c->cat.server >= 0 && t->servers[c->cat.server].cat.result != NULL &&
	    t->servers[c->cat.server].cat.result->lower_case != 0;
}

struct diffs {
	u32 n, place;
	struct {
		u32 place;
		char text[400];
	} v[DIFFS_MAX];
};

static void
on_diff(void *arg, const char *text)
{
	struct diffs *d = arg;

	if (d->n == DIFFS_MAX)
		return;
	d->v[d->n].place = d->place;
	(void)str_copy(d->v[d->n++].text, sizeof d->v[0].text, text);
}

static enum cat_state
place_state(const struct def_table *ref, const char *ref_name, const struct def_table *d, struct diffs *diffs)
{
	u32 before = diffs->n;
	char text[400];

	if (d == NULL)
		return CAT_S_UNKNOWN;
	switch (d->state) {
	case DEF_MISSING:
		on_diff(diffs, "the table is missing");
		return CAT_S_MISSING;
	case DEF_DENIED:
		on_diff(diffs, "monitor_user may not see it: it needs SELECT there");
		return CAT_S_DENIED;
	case DEF_FAILED:
		(void)snprintf(text, sizeof text, "cannot be read: %.300s", d->error == NULL ? "" : d->error);
		on_diff(diffs, text);
		return CAT_S_FAILED;
	case DEF_READ:
		break;
	}
	if (d != ref)
		def_diff(ref, ref_name, d, on_diff, diffs);
	return diffs->n == before ? CAT_S_SAME : CAT_S_DIFFERS;
}

struct compared {
	const struct def_table *ref; /* NULL: no shard has it */
	u32 flags;
	enum cat_state *state; /* of each place */
	struct diffs diffs;
};

static void
compare(const struct table *t, const struct cat_conf *c, struct compared *k)
{
	u32 ref = 0;

	k->ref = NULL;
	k->diffs.n = 0;
	k->flags = CAT_FOLD | CAT_KNOWN | CAT_AGREES;
	for (u32 i = 0; i < c->nplaces && k->ref == NULL; i++) {
		const struct def_table *d = place_def(t, &c->place[i], c->name);

		if (d != NULL && d->state == DEF_READ) {
			k->ref = d;
			ref = i;
		}
	}
	for (u32 i = 0; i < c->nplaces; i++) {
		k->diffs.place = i;
		k->state[i] = place_state(k->ref, c->place[ref].shard, place_def(t, &c->place[i], c->name), &k->diffs);
		if (!place_folds(t, &c->place[i]))
			k->flags &= ~CAT_FOLD;
		if (k->state[i] == CAT_S_UNKNOWN)
			k->flags &= ~(CAT_KNOWN | CAT_AGREES);
		else if (k->state[i] != CAT_S_SAME)
			k->flags &= ~CAT_AGREES;
	}
	if (k->ref != NULL && c->key[0] != '\0' && !def_has_column(k->ref, c->key)) {
		char text[300];

		(void)snprintf(text, sizeof text, "its key, the column %.200s, is missing", c->key);
		k->diffs.place = ref;
		on_diff(&k->diffs, text);
		k->state[ref] = CAT_S_DIFFERS;
		k->flags &= ~CAT_AGREES;
	}
}

static u32
put_places(const struct cat_conf *c, const struct compared *k, struct cat_build *b)
{
	u32 off = cat_keep(b, c->nplaces, sizeof(struct cat_place));

	for (u32 i = 0; i < c->nplaces; i++) {
		struct cat_place p = {.shard = cat_put(b, c->place[i].shard),
		    .database = cat_put(b, c->place[i].database),
		    .cluster = c->place[i].cluster,
		    .state = (u32)k->state[i]};

		cat_set(b, off == 0 ? 0 : off + i * (u32)sizeof p, &p, sizeof p);
	}
	return off;
}

static u32
put_diffs(const struct compared *k, struct cat_build *b)
{
	u32 off = cat_keep(b, k->diffs.n, sizeof(struct cat_diff));

	for (u32 i = 0; i < k->diffs.n; i++) {
		struct cat_diff d = {.text = cat_put(b, k->diffs.v[i].text), .place = k->diffs.v[i].place};

		cat_set(b, off == 0 ? 0 : off + i * (u32)sizeof d, &d, sizeof d);
	}
	return off;
}

/* false: it did not fit, and nothing of it is there. */
static bool
put_table(const struct cat_conf *c, const struct compared *k, struct cat_build *b, u32 at)
{
	size_t mark = cat_build_mark(b);
	struct cat_table rec = {.schema = cat_put(b, c->schema),
	    .name = cat_put(b, c->name),
	    .key = c->key[0] == '\0' ? (struct cat_str){0, 0} : cat_put(b, c->key),
	    .kind = c->kind,
	    .flags = k->flags,
	    .nplaces = c->nplaces,
	    .places_off = put_places(c, k, b),
	    .ndiffs = k->diffs.n,
	    .diffs_off = put_diffs(k, b),
	    .def_off = k->ref == NULL ? 0 : def_put(b, k->ref)};

	if (b->full) {
		cat_build_back(b, mark);
		return false;
	}
	cat_set(b, at, &rec, sizeof rec);
	return true;
}

/* Says what has changed since it was said last. While a shard is not known, it is not known either whether it still differs. */
static void
tell(struct cat_conf *c, const struct compared *k)
{
	char all[DIFFS_MAX * 64 + 64] = "";
	size_t n = 0;

	if ((k->flags & CAT_KNOWN) == 0)
		return;
	for (u32 i = 0; i < k->diffs.n && n + 1 < sizeof all; i++)
		n += (size_t)snprintf(all + n, sizeof all - n, "%u %.60s;", k->diffs.v[i].place, k->diffs.v[i].text);
	if (strcmp(c->shown == NULL ? "" : c->shown, all) == 0)
		return;
	for (u32 i = 0; i < k->diffs.n && i < SHOWN_MAX; i++)
		log_warn("table %s.%s: shard %s: %s", c->schema, c->name, c->place[k->diffs.v[i].place].shard, k->diffs.v[i].text);
	if (k->diffs.n > SHOWN_MAX)
		log_warn("table %s.%s: %u more differences between its shards", c->schema, c->name, k->diffs.n - SHOWN_MAX);
	if (k->diffs.n == 0)
		log_notice("table %s.%s: its shards agree again", c->schema, c->name);
	free(c->shown);
	c->shown = k->diffs.n == 0 ? NULL : strdup(all);
}

/* ---- publishing ---- */

static u32
put_tables(struct table *t, struct cat_build *b, struct cat_root *r)
{
	u32 omitted = 0, differ = 0, most = 1;
	size_t mark;
	struct compared *k = calloc(1, sizeof *k);

	for (u32 i = 0; i < t->cat.ntables; i++)
		most = MAX(most, t->cat.tables[i].nplaces);
	AN(k != NULL);
	k->state = calloc(most, sizeof *k->state);
	AN(k->state != NULL);
	mark = cat_build_mark(b);
	r->tables_off = cat_keep(b, t->cat.ntables, sizeof(struct cat_table));
	for (u32 i = 0; i < t->cat.ntables; i++) {
		struct cat_conf *c = &t->cat.tables[i];

		compare(t, c, k);
		tell(c, k);
		differ += k->diffs.n != 0;
		if ((r->tables_off == 0) || !put_table(c, k, b, r->tables_off + r->ntables * (u32)sizeof(struct cat_table)))
			omitted++;
		else
			r->ntables++;
	}
	if (r->ntables == 0) {
		cat_build_back(b, mark);
		r->tables_off = 0;
	}
	STAT_SET(t->seg->stat.catalog_differing, differ);
	free(k->state);
	free(k);
	return omitted;
}

/* Records of clusters; without all of them nothing else is of use. */
static u32
put_clusters(struct table *t, struct cat_build *b, struct cat_root *r, struct cat_cluster *rec)
{
	u32 n = 0;

	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
		n += t->clusters[i].used;
	(void)cat_build_mark(b);
	r->clusters_off = cat_keep(b, n, sizeof *rec);
	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
		if (t->clusters[i].used)
			put_cluster(t, i, b, &rec[r->nclusters++]);
	return b->full ? 1 : 0;
}

static void
tell_omitted(struct table *t, u32 omitted)
{
	STAT_SET(t->seg->stat.catalog_omitted, omitted);
	if (omitted != 0 && t->cat.omitted == 0)
		log_warn("catalogue: %u tables and functions do not fit: they count as unknown (catalog_size)", omitted);
	t->cat.omitted = omitted;
}

/* When what is published of each cluster was true: its tables, and its functions on all servers. */
static void
store_checked(struct table *t)
{
	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++) {
		const struct hcluster *c = &t->clusters[i];
		const struct def_result *r = !c->used || c->cat.server < 0 ? NULL : t->servers[c->cat.server].cat.result;
		u64 tables = r == NULL ? 0 : r->began_ns, routines = tables;

		for (u32 k = 0; k < c->j.n && routines != 0; k++) {
			const struct hserver *h = &t->servers[c->j.srv[k]->id];

			if (takes(h) && h->cat.result != NULL)
				routines = MIN(routines, h->cat.result->began_ns);
		}
		__atomic_store_n(&t->cat.seg->tables_checked[i], tables, __ATOMIC_RELEASE);
		__atomic_store_n(&t->cat.seg->routines_checked[i], routines, __ATOMIC_RELEASE);
	}
}

/* Tables come before functions, which may be many; to take one for unknown costs little. */
static u32
build(struct table *t, struct cat_build *b)
{
	static struct cat_cluster rec[SHM_MAX_CLUSTERS];
	struct cat_root r = {.generation = t->generation};

	AZ(cat_build_init(b, t->cat.seg->room));
	if (put_clusters(t, b, &r, rec) != 0) {
		cat_build_back(b, sizeof r);
		r = (struct cat_root){.generation = t->generation, .omitted = t->cat.ntables};
	} else {
		r.omitted = put_tables(t, b, &r);
		for (u32 i = 0; i < r.nclusters; i++)
			r.omitted += put_routines(t, b, &rec[i]);
		for (u32 i = 0; i < r.nclusters; i++)
			cat_set(b, r.clusters_off + i * (u32)sizeof *rec, &rec[i], sizeof *rec);
	}
	AZ(b->nomem);
	r.size = b->len;
	memcpy(b->p, &r, sizeof r);
	return r.omitted;
}

void
catalog_publish(struct table *t)
{
	struct cat_build b;

	if (!t->cat.dirty)
		return;
	t->cat.dirty = false;
	tell_omitted(t, build(t, &b));
	if (t->cat.blob == NULL || t->cat.size != b.len || memcmp(t->cat.blob, b.p, b.len) != 0) {
		cat_publish(t->cat.seg, b.p, b.len);
		STAT_ADD(t->seg->stat.catalog_changes, 1);
		free(t->cat.blob);
		t->cat.blob = b.p;
		t->cat.size = b.len;
		b.p = NULL;
	}
	cat_build_fini(&b);
	store_checked(t);
}
