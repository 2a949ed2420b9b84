/* conf/shards.c: see shards.h. Pure; master and tools. */
#include "conf/shards.h"
#include "base/check.h"
#include "base/str.h"
#include "conf/check.h"
#include <inttypes.h>

#define IDENT_CHARS 64  /* of a name in SQL */
#define NAME_ROOM   128 /* of a shard's name; conf/check.c allows less */

/* ---- names ---- */

/* What a server takes as the name of a database, table or column. NULL, or what is wrong. */
static const char *
ident_wrong(const char *p, size_t len)
{
	size_t chars = 0;

	for (size_t i = 0; i < len; i++) {
		if ((u8)p[i] < ' ' || p[i] == 0x7f || p[i] == '`' || p[i] == '/' || p[i] == '\\')
			return "has a character that no name may have here";
		chars += ((u8)p[i] & 0xc0) != 0x80;
	}
	if (len == 0)
		return "is empty";
	if (chars > IDENT_CHARS)
		return "is longer than 64 characters";
	return p[len - 1] == ' ' ? "ends in a blank" : NULL;
}

static void
check_schema_name(struct conf_tree *t, const struct conf_section *s)
{
	const char *why = ident_wrong(s->name, strlen(s->name));

	if (why == NULL && strchr(s->name, '.') != NULL)
		why = "has a point in it";
	if (why != NULL)
		msg_error(t->msgs, s->pos, "the schema's name %s", why);
}

static bool
check_table_name(struct conf_tree *t, const struct conf_section *s)
{
	const char *point = strchr(s->name, '.'), *why = NULL;

	if (point == NULL || strchr(point + 1, '.') != NULL)
		why = "is not of the form schema.table";
	if (why == NULL)
		why = ident_wrong(s->name, (size_t)(point - s->name));
	if (why == NULL)
		why = ident_wrong(point + 1, strlen(point + 1));
	if (why != NULL)
		msg_error(t->msgs, s->pos, "the table's name %s", why);
	return why == NULL;
}

const struct conf_section *
shards_schema_of(const struct conf_tree *t, const struct conf_section *table, size_t *index_r)
{
	const char *point = strchr(table->name, '.');
	char *name = mem_dup(t->mem, table->name, point == NULL ? 0 : (size_t)(point - table->name));

	return name == NULL || point == NULL ? NULL : tree_find(t, OPT_IN_SCHEMA, name, index_r);
}

/* ---- lists of shards ---- */

/* "s0..s3": the names in it one after the other. */
struct range {
	char prefix[NAME_ROOM];
	u64 from, to;
	int width; /* digits, if the first number begins with a zero; else 0 */
};

static size_t
digits_at_end(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[len - 1 - n] >= '0' && p[len - 1 - n] <= '9')
		n++;
	return n;
}

/* NULL, or what is wrong with the item. A plain name is a range of one without a number: *is_range_r is false. */
static const char *
range_parse(const char *item, struct range *r, bool *is_range_r)
{
	const char *two = strstr(item, ".."), *last;
	size_t len, plen, d1, d2;
	char num[32];

	*is_range_r = two != NULL;
	if (two == NULL)
		return NULL;
	last = two + 2;
	len = (size_t)(two - item);
	d1 = digits_at_end(item, len);
	d2 = digits_at_end(last, strlen(last));
	plen = len - d1;
	if (d1 == 0 || d2 == 0 || d1 > 9 || d2 > 9 || plen >= sizeof r->prefix || strlen(last) - d2 != plen ||
	    memcmp(item, last, plen) != 0)
		return "a range is written NAME1..NAME2, of two names that differ in the number at their end only";
	(void)str_copy_slice(r->prefix, sizeof r->prefix, item, plen);
	(void)str_copy_slice(num, sizeof num, item + plen, d1);
	AZ(str_to_u64(num, &r->from));
	AZ(str_to_u64(last + plen, &r->to));
	r->width = item[plen] == '0' && d1 > 1 ? (int)d1 : 0;
	if (r->width != 0 && d2 != d1)
		return "the numbers of a range with leading zeros have the same length";
	if (r->to < r->from)
		return "the range ends before it begins";
	return r->to - r->from >= SHARDS_MAX ? "the range is too long" : NULL;
}

static const char *
range_name(const struct range *r, u64 i, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%0*" PRIu64, r->prefix, r->width, i);
	return buf;
}

static struct conf_pos
item_pos(const struct opt_value *v, u32 i)
{
	return (struct conf_pos){.file = v->pos.file, .line = v->items[i].line};
}

struct places {
	struct conf_tree *t;
	const struct opt_value *v;
	const struct conf_section **owner; /* by shard: the table that has it, to find what stands twice */
	const struct conf_section *table;
	size_t n;
};

static void
place_check(struct places *p, u32 item, const char *name)
{
	size_t k;

	p->n++;
	if (tree_find(p->t, OPT_IN_SHARD, name, &k) == NULL)
		check_unknown_name(p->t, item_pos(p->v, item), OPT_IN_SHARD, "shards", name);
	else if (p->owner[k] == p->table)
		msg_error(p->t->msgs, item_pos(p->v, item), "shards: %s stands twice", name);
	else
		p->owner[k] = p->table;
}

static void
check_places(struct places *p)
{
	char name[NAME_ROOM + 32];

	for (u32 i = 0; i < p->v->nitems; i++) {
		struct range r;
		bool is_range;
		const char *why = range_parse(p->v->items[i].p, &r, &is_range);

		if (why != NULL)
			msg_error(p->t->msgs, item_pos(p->v, i), "shards: %s: %s", p->v->items[i].p, why);
		else if (!is_range)
			place_check(p, i, p->v->items[i].p);
		else
			for (u64 k = r.from; k <= r.to; k++)
				place_check(p, i, range_name(&r, k, name, sizeof name));
	}
}

/* The shard of a schema whose sections are right. */
static u32
home_of(const struct conf_tree *t, const struct conf_section *table)
{
	const struct conf_section *schema = shards_schema_of(t, table, NULL);
	size_t k;

	AN(schema != NULL && tree_find(t, OPT_IN_SHARD, schema->v[SCHEMA_shard].text, &k) != NULL);
	return (u32)k;
}

u32 *
shards_of_table(const struct conf_tree *t, const struct conf_section *table, size_t *n_r)
{
	const struct opt_value *v = &table->v[TABLE_shards];
	u32 *places = mem_alloc(t->mem, (t->of[OPT_IN_SHARD].n + 1) * sizeof *places);
	char name[NAME_ROOM + 32];
	size_t k;

	*n_r = 0;
	if (places == NULL)
		return NULL;
	if (v->nitems == 0)
		places[(*n_r)++] = home_of(t, table);
	for (u32 i = 0; i < v->nitems; i++) {
		struct range r = {.from = 0, .to = 0};
		bool is_range;

		AZ(range_parse(v->items[i].p, &r, &is_range));
		for (u64 no = r.from; no <= r.to; no++) {
			const char *one = is_range ? range_name(&r, no, name, sizeof name) : v->items[i].p;

			AN(tree_find(t, OPT_IN_SHARD, one, &k));
			places[(*n_r)++] = (u32)k;
		}
	}
	return places;
}

/* ---- sections ---- */

struct home {
	const char *cluster, *database;
	const struct conf_section *s;
};

static int
by_home(const void *x, const void *y)
{
	const struct home *a = x, *b = y;
	int d = strcmp(a->cluster, b->cluster);

	if (d == 0)
		d = strcmp(a->database, b->database);
	return d != 0 ? d : strcmp(a->s->name, b->s->name);
}

static void
check_shard(struct conf_tree *t, const struct conf_section *s)
{
	const struct opt_value *cluster = &s->v[SHARD_cluster], *database = &s->v[SHARD_database];
	const char *why = database->set && !database->bad ? ident_wrong(database->text, database->len) : NULL;

	if (strstr(s->name, "..") != NULL)
		msg_error(t->msgs, s->pos, "a shard's name has no two points in a row: they stand for a range");
	if (cluster->set && !cluster->bad && tree_find(t, OPT_IN_CLUSTER, cluster->text, NULL) == NULL)
		check_unknown_name(t, cluster->pos, OPT_IN_CLUSTER, "cluster", cluster->text);
	if (why != NULL)
		msg_error(t->msgs, database->pos, "database: the name %s", why);
}

/* Two names for one database: rows in it would count twice. */
static void
check_shards(struct conf_tree *t)
{
	const struct conf_sections *of = &t->of[OPT_IN_SHARD];
	struct home *list = mem_alloc(t->mem, (of->n + 1) * sizeof *list);
	size_t n = 0;

	if (of->n > SHARDS_MAX)
		msg_error(t->msgs, of->v[0]->pos, "%zu [shard] sections; the most is %u", of->n, SHARDS_MAX);
	for (size_t i = 0; list != NULL && i < of->n; i++) {
		const struct opt_value *v = of->v[i]->v;

		check_shard(t, of->v[i]);
		if (v[SHARD_cluster].set && v[SHARD_database].set)
			list[n++] = (struct home){v[SHARD_cluster].text, v[SHARD_database].text, of->v[i]};
	}
	if (n > 1)
		qsort(list, n, sizeof *list, by_home);
	for (size_t i = 1; i < n; i++)
		if (strcmp(list[i - 1].cluster, list[i].cluster) == 0 &&
		    strcmp(list[i - 1].database, list[i].database) == 0 &&
		    strcmp(list[i - 1].s->name, list[i].s->name) != 0)
			msg_error(t->msgs, list[i].s->pos, "[shard %s] has the same cluster and database",
				  list[i - 1].s->name);
}

static void
check_schema(struct conf_tree *t, const struct conf_section *s)
{
	const struct opt_value *shard = &s->v[SCHEMA_shard];

	check_schema_name(t, s);
	if (shard->set && !shard->bad && tree_find(t, OPT_IN_SHARD, shard->text, NULL) == NULL)
		check_unknown_name(t, shard->pos, OPT_IN_SHARD, "shard", shard->text);
}

static void
check_key(struct conf_tree *t, const struct conf_section *s)
{
	const struct opt_value *key = &s->v[TABLE_key];
	const char *why = key->set && !key->bad ? ident_wrong(key->text, key->len) : NULL;

	if (why != NULL)
		msg_error(t->msgs, key->pos, "key: the name %s", why);
	else if (s->v[TABLE_kind].bad || key->bad)
		return;
	else if (s->v[TABLE_kind].num == CFG_SHARDED && !key->set)
		msg_error(t->msgs, s->pos, "[table %s] is sharded and needs the option key", s->name);
	else if (s->v[TABLE_kind].num != CFG_SHARDED && key->set)
		msg_error(t->msgs, key->pos, "key: only sharded tables have one");
}

static void
check_table(struct conf_tree *t, const struct conf_section *s, const struct conf_section **owner)
{
	struct places p = {.t = t, .v = &s->v[TABLE_shards], .owner = owner, .table = s};
	size_t dot = strcspn(s->name, ".");

	if (check_table_name(t, s) && shards_schema_of(t, s, NULL) == NULL) {
		char *schema = mem_dup(t->mem, s->name, dot);

		if (schema != NULL)
			check_unknown_name(t, s->pos, OPT_IN_SCHEMA, "the table's schema", schema);
	}
	check_key(t, s);
	if (p.v->bad || s->v[TABLE_kind].bad)
		return;
	check_places(&p);
	if (p.v->nitems == 0 && s->v[TABLE_kind].num != CFG_SINGLE)
		msg_error(t->msgs, s->pos, "[table %s] needs the option shards", s->name);
	else if (p.n > 1 && s->v[TABLE_kind].num == CFG_SINGLE)
		msg_error(t->msgs, p.v->pos, "shards: a single table lies on one shard");
}

void
shards_check(struct conf_tree *t)
{
	const struct conf_section **owner = mem_alloc(t->mem, (t->of[OPT_IN_SHARD].n + 1) * sizeof *owner);

	check_shards(t);
	for (size_t i = 0; i < t->of[OPT_IN_SCHEMA].n; i++)
		check_schema(t, t->of[OPT_IN_SCHEMA].v[i]);
	for (size_t i = 0; owner != NULL && i < t->of[OPT_IN_TABLE].n; i++)
		check_table(t, t->of[OPT_IN_TABLE].v[i], owner);
}
