/* shm/catalog.h: the catalogue: definitions of configured tables, as their shards have them, and of stored functions.
 * Health writes it (health/catalog.c), workers copy it and look up there (worker/catalog.c), margay-stat shows it.
 *
 * The segment holds two halves; the lowest bit of `version` says which one is published. The writer fills the other half
 * and then raises version: a death in the middle leaves what was published as it was. A reader copies a half and has it
 * whole if version is still the same; what it then has is checked once (cat_open), whatever the bytes are.
 * How the two counters work together that tell whether it is still true is in doc/catalog.md.
 */
#ifndef MARGAY_SHM_CATALOG_H
#define MARGAY_SHM_CATALOG_H
#include "shm/map.h"

/* ---- the blob: offsets from its beginning; NUL-terminated texts ---- */

struct cat_str { /* off 0: none */
	u32 off, len;
};
/* State of the `ddl` of a server in the pool segment when definitions were read: if it has grown, they may be others now. */
struct cat_seen {
	u64 ddl;
	u32 pool_slot, pad;
};
#define CAT_TABLES   1u /* its tables were read */
#define CAT_ROUTINES 2u /* its functions were read, on all servers that take statements */
struct cat_cluster {
	struct cat_str name;
	u32 id;
	u32 flags;
	u32 lower_case; /* lower_case_table_names: 0: names of databases and tables differ by case */
	u32 server;     /* id of the server that was read */
	u32 nseen, seen_off;
	u32 nroutines, routines_off; /* sorted by cat_name_cmp of schema, then name */
};
struct cat_routine {
	struct cat_str schema, name;
	u32 verdict; /* enum routine_verdict */
	u32 pad;
};
#define CAT_FOLD   1u /* its name is found in any case of letters */
#define CAT_KNOWN  2u /* every shard was read */
#define CAT_AGREES 4u /* known, and all shards have the same definition */
struct cat_table { /* sorted by cat_name_cmp of schema, then name */
	struct cat_str schema, name, key;
	u32 kind;  /* enum cfg_table_kind */
	u32 flags;
	u32 nplaces, places_off;
	u32 ndiffs, diffs_off;
	u32 def_off; /* of the first shard that has it; 0: none */
	u32 pad;
};
enum cat_state { CAT_S_UNKNOWN, CAT_S_SAME, CAT_S_DIFFERS, CAT_S_MISSING, CAT_S_DENIED, CAT_S_FAILED, CAT_STATES };
struct cat_place {
	struct cat_str shard, database;
	u32 cluster; /* id */
	u32 state;   /* enum cat_state */
};
struct cat_diff {
	struct cat_str text;
	u32 place; /* index of the shard that differs */
	u32 pad;
};
struct cat_def {
	struct cat_str engine, type, collation; /* type: as information_schema has it, "BASE TABLE" */
	u32 ncolumns, columns_off;
	u32 nkeys, keys_off;
};
#define CAT_NULLABLE  0x01u
#define CAT_DEFAULT   0x02u /* has a default that is written down */
#define CAT_AUTO_INC  0x04u
#define CAT_GENERATED 0x08u
#define CAT_INVISIBLE 0x10u
#define CAT_ON_UPDATE 0x20u /* ON UPDATE CURRENT_TIMESTAMP */
struct cat_column { /* in the order of the table */
	struct cat_str name, data_type, type, charset, collation; /* data_type: "int"; type: "int(10) unsigned" */
	u32 flags;
	u32 pad;
};
#define CAT_UNIQUE  1u
#define CAT_PRIMARY 2u
struct cat_key {
	struct cat_str name, type; /* "BTREE" */
	u32 flags;
	u32 nparts, parts_off;
	u32 pad;
};
#define CAT_NO_COLUMN UINT32_MAX /* an expression */
struct cat_part {
	u32 column; /* index in the table's columns, or CAT_NO_COLUMN */
	u32 length; /* characters of a prefix; 0: all of it */
	u32 desc;
	u32 pad;
};
struct cat_root {
	u64 size; /* of the blob */
	u64 generation;
	u32 nclusters, clusters_off;
	u32 ntables, tables_off;
	u32 omitted; /* tables and functions that did not fit */
	u32 pad;
};

/* ---- reading ---- */

struct cat {
	const struct cat_root *r;
	size_t size;
};
/* Checks all of it. 0 or ERR_INVAL. The memory stays the caller's and must not change. */
MUST_CHECK int cat_open(const void *p, size_t size, struct cat *c);

static inline const void *
cat_at(const struct cat *c, u32 off)
{
	return (const u8 *)c->r + off;
}
static inline const char *
cat_text(const struct cat *c, struct cat_str s)
{
	return s.off == 0 ? "" : (const char *)cat_at(c, s.off);
}
static inline const struct cat_cluster *
cat_clusters(const struct cat *c)
{
	return cat_at(c, c->r->clusters_off);
}
static inline const struct cat_table *
cat_tables(const struct cat *c)
{
	return cat_at(c, c->r->tables_off);
}
static inline const struct cat_seen *
cat_seen(const struct cat *c, const struct cat_cluster *k)
{
	return cat_at(c, k->seen_off);
}
static inline const struct cat_routine *
cat_routines(const struct cat *c, const struct cat_cluster *k)
{
	return cat_at(c, k->routines_off);
}
static inline const struct cat_place *
cat_places(const struct cat *c, const struct cat_table *t)
{
	return cat_at(c, t->places_off);
}
static inline const struct cat_diff *
cat_diffs(const struct cat *c, const struct cat_table *t)
{
	return cat_at(c, t->diffs_off);
}
/* NULL if no shard has it. */
static inline const struct cat_def *
cat_def(const struct cat *c, const struct cat_table *t)
{
	return t->def_off == 0 ? NULL : cat_at(c, t->def_off);
}
static inline const struct cat_column *
cat_columns(const struct cat *c, const struct cat_def *d)
{
	return cat_at(c, d->columns_off);
}
static inline const struct cat_key *
cat_keys(const struct cat *c, const struct cat_def *d)
{
	return cat_at(c, d->keys_off);
}
static inline const struct cat_part *
cat_parts(const struct cat *c, const struct cat_key *k)
{
	return cat_at(c, k->parts_off);
}
/* The order of names: letters of ASCII in any case are the same. */
int cat_name_cmp(const char *a, size_t alen, const char *b, size_t blen);
/* NULL: there is none. */
const struct cat_cluster *cat_cluster_find(const struct cat *c, u32 id);
const struct cat_table *cat_table_find(const struct cat *c, const char *schema, size_t slen, const char *name, size_t nlen);
/* Databases are compared as the cluster's servers do, functions in any case. */
const struct cat_routine *cat_routine_find(const struct cat *c, const struct cat_cluster *k, const char *schema, size_t slen,
    const char *name, size_t nlen);

/* ---- building: in memory of its own, of at most `limit` bytes ---- */

struct cat_build {
	u8 *p;
	size_t len, room, limit;
	bool full;  /* something did not fit, since the last cat_build_mark */
	bool nomem;
};
/* 0 or ERR_NOMEM. */
MUST_CHECK int cat_build_init(struct cat_build *b, size_t limit);
void cat_build_fini(struct cat_build *b);
/* Zeroed room for n records, aligned; its offset. 0 if it does not fit. */
u32 cat_keep(struct cat_build *b, size_t n, size_t each);
struct cat_str cat_put(struct cat_build *b, const char *text); /* NULL: none */
void cat_set(struct cat_build *b, u32 off, const void *rec, size_t size);
/* To give back what was put since, when not all of an entry fits. */
static inline size_t
cat_build_mark(struct cat_build *b)
{
	b->full = false;
	return b->len;
}
void cat_build_back(struct cat_build *b, size_t mark);

/* ---- the segment ---- */

struct shm_seg_catalog {
	struct shm_header h;
	u64 version;     /* atomic; 0: nothing was published yet */
	u64 size[2];     /* bytes used of each half; atomic */
	/* when what is published of a cluster was found to be true last; 0: never; atomic */
	u64 tables_checked[SHM_MAX_CLUSTERS], routines_checked[SHM_MAX_CLUSTERS];
	u32 room;        /* bytes of each half */
	u32 pad;
	/* u8 half[2][room] */
	u8 rest[];
};
size_t shm_size_catalog(const struct shm_caps *c);
/* Do the halves that it tells of lie within `size` bytes? */
bool shm_catalog_fits(const struct shm_seg_catalog *s, size_t size);
void shm_catalog_setup(struct shm_seg_catalog *s, const struct shm_caps *c);
/* By the single writer: size is a multiple of 8 and at most room. */
void cat_publish(struct shm_seg_catalog *s, const void *blob, size_t size);

/* A private copy. */
struct cat_copy {
	struct cat cat; /* .r NULL: none */
	u64 version;
	u64 *mem;
	size_t room;
};
static inline bool
cat_is_newest(const struct shm_seg_catalog *s, const struct cat_copy *c)
{
	return __atomic_load_n(&s->version, __ATOMIC_ACQUIRE) == c->version;
}
/* Takes what is published now. 0; ERR_STALE: it changed all the time, ERR_INVAL: it is not well formed, ERR_NOMEM: then
 * there is no copy. */
MUST_CHECK int cat_copy_take(const struct shm_seg_catalog *s, struct cat_copy *c);
void cat_copy_fini(struct cat_copy *c);
#endif
