/* tools/stat_catalog.c: the catalogue as tables of text: what is watched, where shards differ, and what is said of stored
 * functions. margay-stat only. Formats a copy of its own; decides nothing.
 */
#include "base/reasons.h"
#include "tools/stat.h"
#include <inttypes.h>

const char *const stat_table_kinds[3] = {"sharded", "global", "single"};
const char *const stat_place_states[CAT_STATES] = {"unknown", "same", "differs", "missing", "denied", "failed"};

bool
stat_catalog(const struct stat_inst *in, struct cat_copy *c)
{
	memset(c, 0, sizeof *c);
	return in->catalog.p != NULL && cat_copy_take(in->catalog.p, c) == 0;
}

bool
stat_catalog_current(const struct stat_inst *in, const struct cat *c, const struct cat_cluster *k)
{
	const struct shm_seg_pool *pool = in->pool.p;

	for (u32 i = 0; i < k->nseen; i++) {
		const struct cat_seen *s = &cat_seen(c, k)[i];

		if (pool == NULL || s->pool_slot >= pool->p.max_servers ||
		    __atomic_load_n(&shm_pool_srv(pool)[s->pool_slot].ddl, __ATOMIC_ACQUIRE) != s->ddl)
			return false;
	}
	return k->nseen > 0;
}

u64
stat_catalog_checked(const struct stat_inst *in, const struct cat_cluster *k)
{
	const struct shm_seg_catalog *s = in->catalog.p;

	return __atomic_load_n(&s->tables_checked[k->id], __ATOMIC_ACQUIRE);
}

static void
clusters(const struct stat_inst *in, const struct stat_sample *s, const struct cat *c, FILE *f)
{
	static const char *const head[] = {"CLUSTER", "READ-FROM", "STATE", "-AGE", "-FUNCTIONS"};
	struct stat_grid g;
	char a[32];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->nclusters; i++) {
		const struct cat_cluster *k = &cat_clusters(c)[i];
		u64 ns = stat_catalog_checked(in, k);

		grid_row(&g);
		grid_set(&g, 0, "%s", cat_text(c, k->name));
		grid_set(&g, 1, "%s", stat_server_name(s, k->server == UINT32_MAX ? -1 : (int)k->server));
		grid_set(&g, 2, "%s", k->nseen == 0 ? "unknown" : stat_catalog_current(in, c, k) ? "current" : "changing");
		grid_set(&g, 3, "%s", ns == 0 ? "-" : stat_age(a, sizeof a, stat_since_ms(s, ns)));
		grid_set(&g, 4, "%u", k->nroutines);
	}
	grid_print(&g, f, 0);
}

static void
tables(const struct cat *c, FILE *f)
{
	static const char *const head[] = {"TABLE", "KIND", "KEY", "SHARD", "DATABASE", "CLUSTER", "STATE", "-COLUMNS", "-KEYS", "ENGINE",
	    "COLLATION"};
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->ntables; i++) {
		const struct cat_table *t = &cat_tables(c)[i];
		const struct cat_def *d = cat_def(c, t);

		for (u32 p = 0; p < t->nplaces; p++) {
			const struct cat_place *at = &cat_places(c, t)[p];
			const struct cat_cluster *k = cat_cluster_find(c, at->cluster);

			grid_row(&g);
			grid_set(&g, 3, "%s", cat_text(c, at->shard));
			grid_set(&g, 4, "%s", cat_text(c, at->database));
			grid_set(&g, 5, "%s", k == NULL ? "-" : cat_text(c, k->name));
			grid_set(&g, 6, "%s", stat_place_states[at->state]);
			if (p > 0)
				continue;
			grid_set(&g, 0, "%s.%s", cat_text(c, t->schema), cat_text(c, t->name));
			grid_set(&g, 1, "%s", t->kind < ARRAY_LEN(stat_table_kinds) ? stat_table_kinds[t->kind] : "?");
			grid_set(&g, 2, "%s", t->key.off == 0 ? "-" : cat_text(c, t->key));
			if (d == NULL)
				continue;
			grid_set(&g, 7, "%u", d->ncolumns);
			grid_set(&g, 8, "%u", d->nkeys);
			grid_set(&g, 9, "%s", cat_text(c, d->engine));
			grid_set(&g, 10, "%s", cat_text(c, d->collation));
		}
	}
	grid_print(&g, f, 0);
}

static void
differences(const struct cat *c, FILE *f)
{
	static const char *const head[] = {"TABLE", "SHARD", "DIFFERENCE"};
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->ntables; i++) {
		const struct cat_table *t = &cat_tables(c)[i];

		for (u32 k = 0; k < t->ndiffs; k++) {
			const struct cat_diff *d = &cat_diffs(c, t)[k];

			grid_row(&g);
			grid_set(&g, 0, "%s.%s", cat_text(c, t->schema), cat_text(c, t->name));
			grid_set(&g, 1, "%s", cat_text(c, cat_places(c, t)[d->place].shard));
			grid_set(&g, 2, "%s", cat_text(c, d->text));
		}
	}
	if (g.nrows > 0)
		fputc('\n', f);
	grid_print(&g, f, 0);
}

void
stat_column_words(const struct cat_column *k, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s%s%s%s", (k->flags & CAT_NULLABLE) != 0 ? "null" : "not-null",
	    (k->flags & CAT_DEFAULT) != 0 ? " default" : "", (k->flags & CAT_AUTO_INC) != 0 ? " auto-increment" : "",
	    (k->flags & CAT_GENERATED) != 0 ? " generated" : "", (k->flags & CAT_INVISIBLE) != 0 ? " invisible" : "",
	    (k->flags & CAT_ON_UPDATE) != 0 ? " on-update" : "");
}

static void
columns(const struct cat *c, FILE *f)
{
	static const char *const head[] = {"TABLE", "-#", "COLUMN", "TYPE", "CHARSET", "COLLATION", "IS"};
	struct stat_grid g;
	char words[128];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->ntables; i++) {
		const struct cat_table *t = &cat_tables(c)[i];
		const struct cat_def *d = cat_def(c, t);

		for (u32 n = 0; d != NULL && n < d->ncolumns; n++) {
			const struct cat_column *k = &cat_columns(c, d)[n];

			stat_column_words(k, words, sizeof words);
			grid_row(&g);
			grid_set(&g, 0, "%s.%s", cat_text(c, t->schema), cat_text(c, t->name));
			grid_set(&g, 1, "%u", n + 1);
			grid_set(&g, 2, "%s", cat_text(c, k->name));
			grid_set(&g, 3, "%s", cat_text(c, k->type));
			grid_set(&g, 4, "%s", k->charset.off == 0 ? "-" : cat_text(c, k->charset));
			grid_set(&g, 5, "%s", k->collation.off == 0 ? "-" : cat_text(c, k->collation));
			grid_set(&g, 6, "%s", words);
		}
	}
	if (g.nrows > 0)
		fputc('\n', f);
	grid_print(&g, f, 0);
}

void
stat_key_parts(const struct cat *c, const struct cat_def *d, const struct cat_key *k, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (u32 i = 0; i < k->nparts && n < size; i++) {
		const struct cat_part *p = &cat_parts(c, k)[i];
		char length[16] = "";

		if (p->length != 0)
			(void)snprintf(length, sizeof length, "(%u)", p->length);
		n += (size_t)snprintf(buf + n, size - n, "%s%s%s%s", i > 0 ? ", " : "",
		    p->column == CAT_NO_COLUMN ? "expression" : cat_text(c, cat_columns(c, d)[p->column].name), length,
		    p->desc != 0 ? " desc" : "");
	}
}

static void
keys(const struct cat *c, FILE *f)
{
	static const char *const head[] = {"TABLE", "KEY", "UNIQUE", "TYPE", "COLUMNS"};
	struct stat_grid g;
	char parts[STAT_CELL];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->ntables; i++) {
		const struct cat_table *t = &cat_tables(c)[i];
		const struct cat_def *d = cat_def(c, t);

		for (u32 n = 0; d != NULL && n < d->nkeys; n++) {
			const struct cat_key *k = &cat_keys(c, d)[n];

			stat_key_parts(c, d, k, parts, sizeof parts);
			grid_row(&g);
			grid_set(&g, 0, "%s.%s", cat_text(c, t->schema), cat_text(c, t->name));
			grid_set(&g, 1, "%s", cat_text(c, k->name));
			grid_set(&g, 2, "%s", (k->flags & CAT_UNIQUE) != 0 ? "yes" : "no");
			grid_set(&g, 3, "%s", cat_text(c, k->type));
			grid_set(&g, 4, "%s", parts);
		}
	}
	if (g.nrows > 0)
		fputc('\n', f);
	grid_print(&g, f, 0);
}

static void
functions(const struct cat *c, FILE *f)
{
	static const char *const head[] = {"CLUSTER", "FUNCTION", "VERDICT", "BECAUSE"};
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < c->r->nclusters; i++) {
		const struct cat_cluster *k = &cat_clusters(c)[i];

		for (u32 n = 0; n < k->nroutines; n++) {
			const struct cat_routine *r = &cat_routines(c, k)[n];

			grid_row(&g);
			grid_set(&g, 0, "%s", cat_text(c, k->name));
			grid_set(&g, 1, "%s.%s", cat_text(c, r->schema), cat_text(c, r->name));
			grid_set(&g, 2, "%s", routine_words[(k->flags & CAT_ROUTINES) != 0 ? r->verdict : (u32)ROUTINE_UNKNOWN]);
			grid_set(&g, 3, "%s", routine_meanings[(k->flags & CAT_ROUTINES) != 0 ? r->verdict : (u32)ROUTINE_UNKNOWN]);
		}
	}
	if (g.nrows > 0)
		fputc('\n', f);
	grid_print(&g, f, 0);
}

void
stat_table_catalog(const struct stat_inst *in, const struct stat_sample *s, FILE *f)
{
	struct cat_copy copy;
	const struct cat *c = &copy.cat;

	if (!stat_catalog(in, &copy)) {
		fputs("no catalogue yet\n", f);
		return;
	}
	clusters(in, s, c, f);
	if (c->r->ntables > 0) {
		fputc('\n', f);
		tables(c, f);
	}
	differences(c, f);
	columns(c, f);
	keys(c, f);
	functions(c, f);
	if (c->r->omitted > 0)
		fprintf(f, "\n%u tables and functions do not fit (catalog_size)\n", c->r->omitted);
	cat_copy_fini(&copy);
}
