/* Unit tests of shm/catalog.c: a blob built and looked up, room, hostile bytes, publishing and copying. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "base/err.h"
#include "base/reasons.h"
#include "shm/catalog.h"

/* A catalogue with one of everything. `names` tables, and as many functions. */
static size_t
build(u8 **p_r, size_t limit, u32 names)
{
	struct cat_build b;
	struct cat_root r = {.generation = 3};
	struct cat_cluster k = {.id = 5, .flags = CAT_TABLES | CAT_ROUTINES};
	struct cat_seen seen = {.ddl = 7, .pool_slot = 2};
	struct cat_place place = {.cluster = 5, .state = CAT_S_SAME};
	struct cat_diff diff = {.place = 0};
	struct cat_def d = {.ncolumns = 2, .nkeys = 1};
	struct cat_column col[2] = {{.flags = CAT_NULLABLE}, {.flags = CAT_AUTO_INC}};
	struct cat_key key = {.flags = CAT_UNIQUE | CAT_PRIMARY, .nparts = 1};
	struct cat_part part = {.column = 1};
	char name[32];

	cr_assert_eq(cat_build_init(&b, limit), 0);
	r.nclusters = 1;
	r.clusters_off = cat_keep(&b, 1, sizeof k);
	r.tables_off = cat_keep(&b, names, sizeof(struct cat_table));
	k.name = cat_put(&b, "main");
	k.nseen = 1;
	k.seen_off = cat_keep(&b, 1, sizeof seen);
	cat_set(&b, k.seen_off, &seen, sizeof seen);
	for (u32 i = 0; i < names; i++) {
		size_t mark = cat_build_mark(&b);
		struct cat_table t = {.nplaces = 1, .ndiffs = 1};

		snprintf(name, sizeof name, "T%05u", i);
		t.schema = cat_put(&b, "Shop");
		t.name = cat_put(&b, name);
		t.key = cat_put(&b, "id");
		t.flags = (i % 2 == 0 ? CAT_FOLD : 0) | CAT_KNOWN | CAT_AGREES;
		place.shard = cat_put(&b, "s0");
		place.database = cat_put(&b, "shop_0");
		t.places_off = cat_keep(&b, 1, sizeof place);
		cat_set(&b, t.places_off, &place, sizeof place);
		diff.text = cat_put(&b, "column x is missing");
		t.diffs_off = cat_keep(&b, 1, sizeof diff);
		cat_set(&b, t.diffs_off, &diff, sizeof diff);
		col[0].name = cat_put(&b, "word");
		col[0].data_type = cat_put(&b, "varchar");
		col[0].type = cat_put(&b, "varchar(20)");
		col[1].name = cat_put(&b, "id");
		d.columns_off = cat_keep(&b, 2, sizeof *col);
		cat_set(&b, d.columns_off, col, sizeof col);
		key.name = cat_put(&b, "PRIMARY");
		key.parts_off = cat_keep(&b, 1, sizeof part);
		cat_set(&b, key.parts_off, &part, sizeof part);
		d.keys_off = cat_keep(&b, 1, sizeof key);
		cat_set(&b, d.keys_off, &key, sizeof key);
		t.def_off = cat_keep(&b, 1, sizeof d);
		cat_set(&b, t.def_off, &d, sizeof d);
		if (b.full) {
			cat_build_back(&b, mark);
			r.omitted++;
			continue;
		}
		cat_set(&b, r.tables_off + r.ntables++ * (u32)sizeof t, &t, sizeof t);
	}
	k.routines_off = cat_keep(&b, names, sizeof(struct cat_routine));
	for (u32 i = 0; i < names && k.routines_off != 0; i++) {
		size_t mark = cat_build_mark(&b);
		struct cat_routine f = {.verdict = i % ROUTINE_VERDICTS};

		snprintf(name, sizeof name, "f%05u", i);
		f.schema = cat_put(&b, "Shop");
		f.name = cat_put(&b, name);
		if (b.full) {
			cat_build_back(&b, mark);
			r.omitted++;
			continue;
		}
		cat_set(&b, k.routines_off + k.nroutines++ * (u32)sizeof f, &f, sizeof f);
	}
	cat_set(&b, r.clusters_off, &k, sizeof k);
	r.size = b.len;
	memcpy(b.p, &r, sizeof r); /* the root is the one record at 0 */
	*p_r = b.p;
	return b.len;
}

static struct cat
opened(const u8 *p, size_t n)
{
	struct cat c;

	cr_assert_eq(cat_open(p, n, &c), 0);
	return c;
}

#define TABLE(c, s, n)      cat_table_find(&(c), s, strlen(s), n, strlen(n))
#define ROUTINE(c, k, s, n) cat_routine_find(&(c), k, s, strlen(s), n, strlen(n))

Test(shm_catalog, look_up)
{
	u8 *p;
	size_t n = build(&p, 1 << 20, 100);
	struct cat c = opened(p, n);
	const struct cat_cluster *k = cat_cluster_find(&c, 5);
	const struct cat_table *t = TABLE(c, "Shop", "T00042");
	const struct cat_def *d;

	cr_assert_not_null(k);
	cr_expect_null(cat_cluster_find(&c, 4));
	cr_assert_not_null(t);
	d = cat_def(&c, t);
	cr_expect_str_eq(cat_text(&c, cat_columns(&c, d)[0].type), "varchar(20)");
	cr_expect_str_eq(cat_text(&c, cat_columns(&c, d)[1].name), "id");
	cr_expect_str_eq(cat_text(&c, cat_columns(&c, d)[1].collation), "");
	cr_expect_eq(cat_parts(&c, &cat_keys(&c, d)[0])[0].column, 1);
	cr_expect_str_eq(cat_text(&c, cat_diffs(&c, t)[0].text), "column x is missing");
	cr_expect_eq(cat_seen(&c, k)[0].ddl, 7);
	for (u32 i = 0; i < 100; i++) {
		char name[16], other[16];

		snprintf(name, sizeof name, "T%05u", i);
		snprintf(other, sizeof other, "t%05u", i);
		cr_expect_not_null(TABLE(c, "Shop", name));
		cr_expect_eq(TABLE(c, "shop", other) != NULL, i % 2 == 0, "%s", other); /* CAT_FOLD */
		snprintf(name, sizeof name, "F%05u", i);
		cr_expect_eq(ROUTINE(c, k, "Shop", name)->verdict, i % ROUTINE_VERDICTS);
		cr_expect_null(ROUTINE(c, k, "shop", name)); /* names of databases differ by case there */
	}
	cr_expect_null(TABLE(c, "Shop", "T0004"));
	cr_expect_null(TABLE(c, "Shop", "T000421"));
	cr_expect_null(TABLE(c, "Sho", "T00042"));
	cr_expect_null(TABLE(c, "", ""));
	cr_expect_null(ROUTINE(c, k, "Shop", "f00100"));
	((struct cat_cluster *)(void *)(p + c.r->clusters_off))->lower_case = 1;
	cr_expect_not_null(ROUTINE(c, k, "shop", "f00001"));
	free(p);
}

Test(shm_catalog, room)
{
	u8 *p;
	size_t n = build(&p, 65536, 1000);
	struct cat c = opened(p, n);

	cr_expect_leq(n, 65536);
	cr_expect_lt(c.r->ntables, 1000);
	cr_expect_gt(c.r->omitted, 0);
	/* what is there is whole */
	cr_expect_not_null(TABLE(c, "Shop", "T00000"));
	for (u32 i = 0; i < c.r->ntables; i++)
		cr_expect_not_null(cat_def(&c, &cat_tables(&c)[i]));
	free(p);
}

/* Whatever the bytes are: refused, or every accessor stays inside. Sizes are exact, so that a sanitizer sees a read behind the end. */
static void
walk(const struct cat *c)
{
	size_t sum = 0;

	for (u32 i = 0; i < c->r->nclusters; i++) {
		const struct cat_cluster *k = &cat_clusters(c)[i];

		sum += strlen(cat_text(c, k->name));
		for (u32 s = 0; s < k->nseen; s++)
			sum += cat_seen(c, k)[s].ddl;
		for (u32 f = 0; f < k->nroutines; f++)
			sum += strlen(cat_text(c, cat_routines(c, k)[f].name)) + (cat_routines(c, k)[f].verdict < ROUTINE_VERDICTS);
		(void)ROUTINE(*c, k, "Shop", "f00001");
	}
	for (u32 i = 0; i < c->r->ntables; i++) {
		const struct cat_table *t = &cat_tables(c)[i];
		const struct cat_def *d = cat_def(c, t);

		for (u32 k = 0; k < t->nplaces; k++)
			sum += strlen(cat_text(c, cat_places(c, t)[k].shard));
		for (u32 k = 0; k < t->ndiffs; k++)
			sum += strlen(cat_text(c, cat_diffs(c, t)[k].text));
		for (u32 k = 0; d != NULL && k < d->ncolumns; k++)
			sum += strlen(cat_text(c, cat_columns(c, d)[k].name));
		for (u32 k = 0; d != NULL && k < d->nkeys; k++)
			for (u32 q = 0; q < cat_keys(c, d)[k].nparts; q++)
				sum += cat_parts(c, &cat_keys(c, d)[k])[q].column;
	}
	(void)TABLE(*c, "Shop", "T00001");
	cr_expect(sum != 1);
}

Test(shm_catalog, hostile)
{
	u8 *p, *q;
	size_t n = build(&p, 1 << 20, 3);
	u64 seed = 88172645463325252ull, taken = 0;
	struct cat c;

	for (size_t cut = 0; cut < n; cut += 8) {
		q = aligned_alloc(8, cut + 8);
		memcpy(q, p, cut);
		cr_expect_eq(cat_open(q, cut, &c), ERR_INVAL);
		if (cut >= sizeof(struct cat_root)) { /* it says so itself */
			((struct cat_root *)(void *)q)->size = cut;
			if (cat_open(q, cut, &c) == 0)
				walk(&c);
		}
		free(q);
	}
	for (int round = 0; round < 20000; round++) {
		q = aligned_alloc(8, n);
		memcpy(q, p, n);
		for (int k = 0; k < 3; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			if (seed & 1)
				q[seed / 16 % n] = (u8)(seed >> 40);
			else
				((u32 *)(void *)q)[seed / 16 % (n / 4)] = seed & 2 ? UINT32_MAX - (u32)(seed >> 60) : (u32)(seed >> 32) % (u32)n;
		}
		if (cat_open(q, n, &c) == 0) {
			walk(&c);
			taken++;
		}
		free(q);
	}
	cr_expect_gt(taken, 0);
	free(p);
}

static struct shm_seg_catalog *
segment(void)
{
	struct shm_caps caps = {.catalog_size = 65500};
	size_t size = shm_size_catalog(&caps);
	struct shm_seg_catalog *s = aligned_alloc(64, (size + 63) / 64 * 64);

	memset(s, 0, size);
	s->h.size = size;
	shm_catalog_setup(s, &caps);
	cr_assert_eq(s->room, 65536);
	cr_assert(shm_catalog_fits(s, size));
	cr_assert(!shm_catalog_fits(s, size - 1));
	return s;
}

Test(shm_catalog, publish)
{
	struct shm_seg_catalog *s = segment();
	struct cat_copy c = {0};
	u8 *a, *b;
	size_t na = build(&a, 65536, 3), nb = build(&b, 65536, 30);

	cr_expect_eq(cat_copy_take(s, &c), ERR_INVAL); /* nothing is there */
	cr_expect_null(c.cat.r);
	cat_publish(s, a, na);
	cr_expect(!cat_is_newest(s, &c));
	cr_assert_eq(cat_copy_take(s, &c), 0);
	cr_expect(cat_is_newest(s, &c));
	cr_expect_eq(c.cat.r->ntables, 3);
	cat_publish(s, b, nb);
	cr_expect(!cat_is_newest(s, &c));
	cr_expect_not_null(TABLE(c.cat, "Shop", "T00002")); /* the copy is its own */
	cr_assert_eq(cat_copy_take(s, &c), 0);
	cr_expect_eq(c.cat.r->ntables, 30);
	cat_publish(s, a, na);
	cr_assert_eq(cat_copy_take(s, &c), 0);
	cr_expect_eq(c.cat.r->ntables, 3);
	/* a writer that died in the middle: the other half is torn, what was published stands */
	memset((u8 *)s + sizeof *s + 64 + (s->version & 1 ? 0 : 1) * s->room, 0xff, 100);
	cr_assert_eq(cat_copy_take(s, &c), 0);
	walk(&c.cat);
	/* a size that cannot be */
	s->size[s->version & 1] = 1u << 31;
	cr_expect_eq(cat_copy_take(s, &c), ERR_INVAL);
	cr_expect_null(c.cat.r);
	cat_copy_fini(&c);
	free(a);
	free(b);
	free(s);
}
