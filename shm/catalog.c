/* shm/catalog.c: see catalog.h. Any process. */
#include "shm/catalog.h"
#include "base/check.h"
#include "base/err.h"
#include "base/reasons.h"
#include "shm/seq.h"
#include <stdlib.h>

#define LINE      64u
#define COPY_TRIES 8 /* a write takes less than a copy, and there is one in a second at most, but after DDL */

/* ---- names ---- */

static u8
fold(char c)
{
	return (u8)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

int
cat_name_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	for (size_t i = 0; i < alen && i < blen; i++)
		if (fold(a[i]) != fold(b[i]))
			return fold(a[i]) < fold(b[i]) ? -1 : 1;
	return (alen > blen) - (alen < blen);
}

static bool
same(const char *a, size_t alen, const char *b, size_t blen)
{
	return alen == blen && memcmp(a, b, alen) == 0;
}

static int
pair_cmp(const struct cat *c, struct cat_str schema, struct cat_str name, const char *s, size_t slen, const char *n, size_t nlen)
{
	int d = cat_name_cmp(cat_text(c, schema), schema.len, s, slen);

	return d != 0 ? d : cat_name_cmp(cat_text(c, name), name.len, n, nlen);
}

const struct cat_cluster *
cat_cluster_find(const struct cat *c, u32 id)
{
	for (u32 i = 0; i < c->r->nclusters; i++)
		if (cat_clusters(c)[i].id == id)
			return &cat_clusters(c)[i];
	return NULL;
}

const struct cat_table *
cat_table_find(const struct cat *c, const char *schema, size_t slen, const char *name, size_t nlen)
{
	const struct cat_table *t = cat_tables(c);
	u32 lo = 0, hi = c->r->ntables;

	while (lo < hi) { /* the first of those that are the same but for case */
		u32 mid = lo + (hi - lo) / 2;

		if (pair_cmp(c, t[mid].schema, t[mid].name, schema, slen, name, nlen) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < c->r->ntables && pair_cmp(c, t[lo].schema, t[lo].name, schema, slen, name, nlen) == 0; lo++)
		if ((t[lo].flags & CAT_FOLD) != 0 || (same(cat_text(c, t[lo].schema), t[lo].schema.len, schema, slen) &&
		    same(cat_text(c, t[lo].name), t[lo].name.len, name, nlen)))
			return &t[lo];
	return NULL;
}

const struct cat_routine *
cat_routine_find(const struct cat *c, const struct cat_cluster *k, const char *schema, size_t slen, const char *name, size_t nlen)
{
	const struct cat_routine *v = cat_routines(c, k);
	u32 lo = 0, hi = k->nroutines;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (pair_cmp(c, v[mid].schema, v[mid].name, schema, slen, name, nlen) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < k->nroutines && pair_cmp(c, v[lo].schema, v[lo].name, schema, slen, name, nlen) == 0; lo++)
		if (k->lower_case != 0 || same(cat_text(c, v[lo].schema), v[lo].schema.len, schema, slen))
			return &v[lo];
	return NULL;
}

/* ---- checking: form, not meaning ---- */

static bool
range_ok(const struct cat *c, u32 off, u32 n, size_t each)
{
	return n == 0 || (off >= sizeof(struct cat_root) && off % 8 == 0 && off <= c->size && n <= (c->size - off) / each);
}

static bool
str_ok(const struct cat *c, struct cat_str s)
{
	if (s.off == 0)
		return s.len == 0;
	return s.off >= sizeof(struct cat_root) && s.off < c->size && s.len < c->size - s.off &&
	    cat_text(c, s)[s.len] == '\0' && memchr(cat_text(c, s), '\0', s.len) == NULL;
}

static bool
key_ok(const struct cat *c, const struct cat_def *d, const struct cat_key *k)
{
	if (!str_ok(c, k->name) || !str_ok(c, k->type) || !range_ok(c, k->parts_off, k->nparts, sizeof(struct cat_part)))
		return false;
	for (u32 i = 0; i < k->nparts; i++) {
		u32 column = cat_parts(c, k)[i].column;

		if (column >= d->ncolumns && column != CAT_NO_COLUMN)
			return false;
	}
	return true;
}

static bool
def_ok(const struct cat *c, u32 off)
{
	const struct cat_def *d = cat_at(c, off);

	if (off == 0)
		return true;
	if (!range_ok(c, off, 1, sizeof *d) || !str_ok(c, d->engine) || !str_ok(c, d->type) || !str_ok(c, d->collation) ||
	    !range_ok(c, d->columns_off, d->ncolumns, sizeof(struct cat_column)) ||
	    !range_ok(c, d->keys_off, d->nkeys, sizeof(struct cat_key)))
		return false;
	for (u32 i = 0; i < d->ncolumns; i++) {
		const struct cat_column *k = &cat_columns(c, d)[i];

		if (!str_ok(c, k->name) || !str_ok(c, k->data_type) || !str_ok(c, k->type) || !str_ok(c, k->charset) ||
		    !str_ok(c, k->collation))
			return false;
	}
	for (u32 i = 0; i < d->nkeys; i++)
		if (!key_ok(c, d, &cat_keys(c, d)[i]))
			return false;
	return true;
}

static bool
table_ok(const struct cat *c, const struct cat_table *t)
{
	if (!str_ok(c, t->schema) || !str_ok(c, t->name) || !str_ok(c, t->key) ||
	    !range_ok(c, t->places_off, t->nplaces, sizeof(struct cat_place)) ||
	    !range_ok(c, t->diffs_off, t->ndiffs, sizeof(struct cat_diff)) || !def_ok(c, t->def_off))
		return false;
	for (u32 i = 0; i < t->nplaces; i++) {
		const struct cat_place *p = &cat_places(c, t)[i];

		if (!str_ok(c, p->shard) || !str_ok(c, p->database) || p->state >= CAT_STATES || p->cluster >= SHM_MAX_CLUSTERS)
			return false;
	}
	for (u32 i = 0; i < t->ndiffs; i++) {
		const struct cat_diff *d = &cat_diffs(c, t)[i];

		if (!str_ok(c, d->text) || d->place >= t->nplaces)
			return false;
	}
	return true;
}

static bool
cluster_ok(const struct cat *c, const struct cat_cluster *k)
{
	if (!str_ok(c, k->name) || k->id >= SHM_MAX_CLUSTERS ||
	    !range_ok(c, k->seen_off, k->nseen, sizeof(struct cat_seen)) ||
	    !range_ok(c, k->routines_off, k->nroutines, sizeof(struct cat_routine)))
		return false;
	for (u32 i = 0; i < k->nroutines; i++) {
		const struct cat_routine *r = &cat_routines(c, k)[i];

		if (!str_ok(c, r->schema) || !str_ok(c, r->name) || r->verdict >= ROUTINE_VERDICTS)
			return false;
		/* the binary search needs the order */
		if (i > 0 && pair_cmp(c, r[-1].schema, r[-1].name, cat_text(c, r->schema), r->schema.len, cat_text(c, r->name),
		    r->name.len) > 0)
			return false;
	}
	return true;
}

static bool
all_ok(const struct cat *c)
{
	const struct cat_table *t = cat_tables(c);

	if (!range_ok(c, c->r->clusters_off, c->r->nclusters, sizeof(struct cat_cluster)) ||
	    !range_ok(c, c->r->tables_off, c->r->ntables, sizeof(struct cat_table)))
		return false;
	for (u32 i = 0; i < c->r->nclusters; i++)
		if (!cluster_ok(c, &cat_clusters(c)[i]))
			return false;
	for (u32 i = 0; i < c->r->ntables; i++)
		if (!table_ok(c, &t[i]) || (i > 0 && pair_cmp(c, t[i - 1].schema, t[i - 1].name, cat_text(c, t[i].schema),
		    t[i].schema.len, cat_text(c, t[i].name), t[i].name.len) > 0))
			return false;
	return true;
}

int
cat_open(const void *p, size_t size, struct cat *c)
{
	*c = (struct cat){.r = p, .size = size};
	if (size >= sizeof *c->r && size <= UINT32_MAX && (uintptr_t)p % 8 == 0 && c->r->size == size && all_ok(c))
		return 0;
	*c = (struct cat){0};
	return ERR_INVAL;
}

/* ---- building ---- */

int
cat_build_init(struct cat_build *b, size_t limit)
{
	memset(b, 0, sizeof *b);
	b->limit = limit & ~(size_t)7;
	return cat_keep(b, 1, sizeof(struct cat_root)) == 0 && b->len == sizeof(struct cat_root) ? 0 : ERR_NOMEM;
}

void
cat_build_fini(struct cat_build *b)
{
	free(b->p);
	memset(b, 0, sizeof *b);
}

/* n bytes more, zeroed; false: they do not fit. */
static bool
grow(struct cat_build *b, size_t n)
{
	size_t room;
	u8 *p;

	n = (n + 7) & ~(size_t)7;
	if (n > b->limit || b->len + n > b->limit) {
		b->full = true;
		return false;
	}
	if (b->len + n > b->room) {
		room = MIN(b->limit, MAX(2 * b->room, b->len + n + 4096));
		p = realloc(b->p, room);
		if (p == NULL) {
			b->full = b->nomem = true;
			return false;
		}
		b->p = p;
		b->room = room;
	}
	memset(b->p + b->len, 0, n);
	b->len += n;
	return true;
}

u32
cat_keep(struct cat_build *b, size_t n, size_t each)
{
	size_t at = b->len;

	if (n != 0 && each > UINT32_MAX / n) {
		b->full = true;
		return 0;
	}
	return grow(b, n * each) ? (u32)at : 0;
}

struct cat_str
cat_put(struct cat_build *b, const char *text)
{
	struct cat_str s = {0, 0};
	size_t len = text == NULL ? 0 : strlen(text);

	if (text == NULL || len >= UINT32_MAX || !grow(b, len + 1))
		return s;
	s.len = (u32)len;
	s.off = (u32)(b->len - ((len + 1 + 7) & ~(size_t)7));
	memcpy(b->p + s.off, text, len);
	return s;
}

void
cat_set(struct cat_build *b, u32 off, const void *rec, size_t size)
{
	if (off == 0 && b->full)
		return; /* there was no room for it */
	AN(off + size <= b->len);
	memcpy(b->p + off, rec, size);
}

void
cat_build_back(struct cat_build *b, size_t mark)
{
	b->len = mark;
	b->full = false;
}

/* ---- the segment ---- */

static size_t
half_off(u32 room, u32 half)
{
	size_t first = (sizeof(struct shm_seg_catalog) + LINE - 1) / LINE * LINE;

	return first + (size_t)half * room;
}

static u32
room_of(const struct shm_caps *c)
{
	return (c->catalog_size + LINE - 1) / LINE * LINE;
}

size_t
shm_size_catalog(const struct shm_caps *c)
{
	return half_off(room_of(c), 2);
}

void
shm_catalog_setup(struct shm_seg_catalog *s, const struct shm_caps *c)
{
	AN(s->h.size >= shm_size_catalog(c));
	s->room = room_of(c);
}

bool
shm_catalog_fits(const struct shm_seg_catalog *s, size_t size)
{
	return size >= sizeof *s && s->room % LINE == 0 && s->room <= 1u << 30 && size >= half_off(s->room, 2);
}

void
cat_publish(struct shm_seg_catalog *s, const void *blob, size_t size)
{
	u64 version = s->version + 1;
	u32 half = version & 1;

	AN(size % 8 == 0 && size <= s->room);
	__atomic_store_n(&s->size[half], size, __ATOMIC_RELEASE);
	seq_words_store((u8 *)s + half_off(s->room, half), blob, size);
	__atomic_store_n(&s->version, version, __ATOMIC_RELEASE);
}

static int
copy_once(const struct shm_seg_catalog *s, struct cat_copy *c)
{
	u64 version = __atomic_load_n(&s->version, __ATOMIC_ACQUIRE), size;
	u32 half = version & 1;

	if (version == 0)
		return ERR_INVAL;
	size = __atomic_load_n(&s->size[half], __ATOMIC_ACQUIRE);
	if (size % 8 != 0 || size > s->room)
		size = 0; /* being written, or not ours: told below */
	if (size > c->room) {
		free(c->mem);
		c->room = 0;
		c->mem = malloc(size);
		if (c->mem == NULL)
			return ERR_NOMEM;
		c->room = size;
	}
	seq_words_load(c->mem, (const u8 *)s + half_off(s->room, half), size);
	if (__atomic_load_n(&s->version, __ATOMIC_RELAXED) != version)
		return ERR_STALE;
	c->version = version;
	return cat_open(c->mem, size, &c->cat);
}

int
cat_copy_take(const struct shm_seg_catalog *s, struct cat_copy *c)
{
	int rc = ERR_STALE;

	c->cat = (struct cat){0};
	for (int i = 0; i < COPY_TRIES && rc == ERR_STALE; i++)
		rc = copy_once(s, c);
	return rc;
}

void
cat_copy_fini(struct cat_copy *c)
{
	free(c->mem);
	memset(c, 0, sizeof *c);
}
