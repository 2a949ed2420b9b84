/* conf/diff.c: what changed between two generations, for the log of a reload (conf/snap.h). Pure.
 */
#include "base/str.h"
#include "conf/snap.h"

#define VALUE_SIZE                                                                                 \
	256 /* of a printed value; longer lists are cut in the log, not in the configuration */

struct differ {
	const struct cfg *before, *after;
	void (*emit)(void *arg, const struct conf_change *c);
	void *arg;
};
/* The records of one kind in one generation. */
struct table {
	const u8 *rows;
	u32 n;
	size_t size, name_off;
};

static struct table
table_of(const struct cfg *c, enum opt_section kind)
{
	switch (kind) {
	case OPT_IN_SERVER:
		return (struct table){(const u8 *)cfg_servers(c), c->r->nservers,
				      sizeof(struct cfg_server),
				      offsetof(struct cfg_server, section_name)};
	case OPT_IN_CLUSTER:
		return (struct table){(const u8 *)cfg_clusters(c), c->r->nclusters,
				      sizeof(struct cfg_cluster),
				      offsetof(struct cfg_cluster, section_name)};
	case OPT_IN_SCHEMA:
		return (struct table){(const u8 *)cfg_schemas(c), c->r->nschemas,
				      sizeof(struct cfg_schema),
				      offsetof(struct cfg_schema, section_name)};
	case OPT_IN_SHARD:
		return (struct table){(const u8 *)cfg_shards(c), c->r->nshards,
				      sizeof(struct cfg_shard),
				      offsetof(struct cfg_shard, section_name)};
	case OPT_IN_TABLE:
		return (struct table){(const u8 *)cfg_tables(c), c->r->ntables,
				      sizeof(struct cfg_table),
				      offsetof(struct cfg_table, section_name)};
	default:
		return (struct table){(const u8 *)cfg_users(c), c->r->nusers,
				      sizeof(struct cfg_user),
				      offsetof(struct cfg_user, section_name)};
	}
}

static const char *
row_name(const struct cfg *c, const struct table *t, u32 i)
{
	struct cfg_str s;

	memcpy(&s, t->rows + i * t->size + t->name_off, sizeof s);
	return cfg_text(c, s);
}

static void
list_print(const struct cfg *c, struct cfg_list l, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (u32 i = 0; i < l.n && n + 1 < size; i++) {
		int k =
		    snprintf(buf + n, size - n, "%s%s", i == 0 ? "" : ", ", cfg_list_text(c, l, i));

		n += (size_t)MAX(k, 0);
	}
}

static bool
lists_equal(const struct cfg *ca, struct cfg_list a, const struct cfg *cb, struct cfg_list b)
{
	if (a.n != b.n)
		return false;
	for (u32 i = 0; i < a.n; i++)
		if (strcmp(cfg_list_text(ca, a, i), cfg_list_text(cb, b, i)) != 0)
			return false;
	return true;
}

static bool
secrets_equal(const struct differ *d, struct cfg_secret a, struct cfg_secret b)
{
	if ((a.off == 0) != (b.off == 0))
		return false;
	if (d->before->s == NULL || d->after->s == NULL)
		return true; /* not known here */
	return strcmp(cfg_secret_text(d->before, a), cfg_secret_text(d->after, b)) == 0;
}

/* Compares one option of two records; prints both when they differ. */
static bool
option_differs(const struct differ *d, const struct opt *o, const u8 *ra, const u8 *rb, char *pa,
	       char *pb)
{
	union {
		u64 num;
		struct cfg_str str;
		struct cfg_secret secret;
		struct cfg_list list;
	} a, b;

	memcpy(&a, ra + o->off, sizeof a);
	memcpy(&b, rb + o->off, sizeof b);
	switch (o->type) {
	case OPT_TYPE_STR:
		(void)str_copy(pa, VALUE_SIZE, cfg_text(d->before, a.str));
		(void)str_copy(pb, VALUE_SIZE, cfg_text(d->after, b.str));
		return strcmp(cfg_text(d->before, a.str), cfg_text(d->after, b.str)) != 0;
	case OPT_TYPE_SECRET:
		(void)str_copy(pa, VALUE_SIZE, a.secret.off == 0 ? "" : "(secret)");
		(void)str_copy(pb, VALUE_SIZE, b.secret.off == 0 ? "" : "(secret)");
		return !secrets_equal(d, a.secret, b.secret);
	case OPT_TYPE_LIST:
		list_print(d->before, a.list, pa, VALUE_SIZE);
		list_print(d->after, b.list, pb, VALUE_SIZE);
		return !lists_equal(d->before, a.list, d->after, b.list);
	default:
		opt_num_print(o, a.num, pa, VALUE_SIZE);
		opt_num_print(o, b.num, pb, VALUE_SIZE);
		return a.num != b.num;
	}
}

static void
records_diff(const struct differ *d, enum opt_section kind, const char *name, const u8 *ra,
	     const u8 *rb)
{
	char pa[VALUE_SIZE], pb[VALUE_SIZE];
	const struct opt *o;
	size_t n;

	o = opt_rows(kind, &n);
	for (size_t i = 0; i < n; i++) {
		struct conf_change c = {
		    .section = kind, .name = name, .opt = &o[i], .before = pa, .after = pb};

		if (option_differs(d, &o[i], ra, rb, pa, pb))
			d->emit(d->arg, &c);
	}
}

/* Both tables are sorted by name (conf_tree sorts all sections): one pass. */
static void
tables_diff(const struct differ *d, enum opt_section kind)
{
	struct table a = table_of(d->before, kind), b = table_of(d->after, kind);
	u32 i = 0, k = 0;

	while (i < a.n || k < b.n) {
		const char *na = i < a.n ? row_name(d->before, &a, i) : NULL;
		const char *nb = k < b.n ? row_name(d->after, &b, k) : NULL;
		int order = na == NULL ? 1 : nb == NULL ? -1 : strcmp(na, nb);

		if (order < 0) {
			d->emit(d->arg,
				&(struct conf_change){.section = kind, .name = na, .before = na});
			i++;
		} else if (order > 0) {
			d->emit(d->arg,
				&(struct conf_change){.section = kind, .name = nb, .after = nb});
			k++;
		} else {
			records_diff(d, kind, na, a.rows + i++ * a.size, b.rows + k++ * b.size);
		}
	}
}

void
conf_diff(const struct cfg *before, const struct cfg *after,
	  void (*emit)(void *arg, const struct conf_change *c), void *arg)
{
	struct differ d = {.before = before, .after = after, .emit = emit, .arg = arg};

	records_diff(&d, OPT_IN_MARGAY, "", (const u8 *)&before->r->margay,
		     (const u8 *)&after->r->margay);
	for (int k = OPT_IN_SERVER; k < OPT_SECTIONS; k++)
		tables_diff(&d, (enum opt_section)k);
}
