/* Sections [schema], [shard] and [table]: what is refused, and what the snapshot says of them. */
#include "t/unit/test_conf.h"

static struct conf_test t;

static void
begin(void)
{
	test_begin(&t);
}

static void
end(void)
{
	test_end(&t);
}

TestSuite(shards, .init = begin, .fini = end);

#define SHARDS                                                                                     \
	"[schema shop]\nshard = s0\n"                                                              \
	"[shard s0]\ncluster = main\ndatabase = shop_0\n"                                          \
	"[shard s1]\ncluster = main\ndatabase = shop_1\n"                                          \
	"[shard s2]\ncluster = main\ndatabase = shop_2\n"                                          \
	"[shard s10]\ncluster = main\ndatabase = shop_10\n" /* 9 to 22 */

/* Names of the shards that a table lies on, as the snapshot has them. */
static const char *
places(const char *table)
{
	static char out[256];
	size_t n = 0;

	out[0] = '\0';
	for (u32 i = 0; i < t.cfg.r->ntables; i++) {
		const struct cfg_table *k = &cfg_tables(&t.cfg)[i];

		if (strcmp(cfg_text(&t.cfg, k->section_name), table) != 0)
			continue;
		for (u32 p = 0; p < k->nplaces; p++)
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", p ? " " : "",
			    cfg_text(&t.cfg, cfg_shards(&t.cfg)[cfg_table_places(&t.cfg, k)[p]].section_name));
	}
	return out;
}

Test(shards, snapshot)
{
	const struct cfg_table *k;

	EXPECT_LOAD(&t,
	    GOOD SHARDS "[table shop.orders]\nshards = s2, s0..s1, s10\nkey = customer_id\n"
			"[table shop.country]\nkind = global\nshards = s0..s2\n"
			"[table shop.settings]\nkind = single\n"
			"[table shop.other]\nkind = single\nshards = s1\n",
	    "");
	cr_assert_eq(t.cfg.r->nschemas, 1);
	cr_assert_eq(t.cfg.r->nshards, 4);
	cr_assert_eq(t.cfg.r->ntables, 4);
	cr_expect_str_eq(places("shop.orders"), "s2 s0 s1 s10");
	cr_expect_str_eq(places("shop.country"), "s0 s1 s2");
	cr_expect_str_eq(places("shop.settings"), "s0");
	cr_expect_str_eq(places("shop.other"), "s1");
	k = &cfg_tables(&t.cfg)[1];
	cr_expect_str_eq(cfg_text(&t.cfg, k->name), "orders");
	cr_expect_str_eq(cfg_text(&t.cfg, k->key), "customer_id");
	cr_expect_eq(k->kind, CFG_SHARDED);
	cr_expect_str_eq(cfg_text(&t.cfg, cfg_schemas(&t.cfg)[k->schema_idx].section_name), "shop");
	cr_expect_str_eq(cfg_text(&t.cfg, cfg_shards(&t.cfg)[0].database), "shop_0");
	cr_expect_eq(cfg_shards(&t.cfg)[0].cluster_idx, 0);
}

Test(shards, refused)
{
	EXPECT_LOAD(&t,
	    GOOD SHARDS "[table shop.a]\nshards = s0, s3\nkey = x\n"   /* 23 */
			"[table shop.b]\nshards = s0..s1, s1\nkey = x\n" /* 26 */
			"[table shop.c]\nshards = s0\n"                  /* 29 */
			"[table shop.d]\nkind = global\nshards = s0\nkey = x\n"
			"[table shop.e]\nkind = global\n"                /* 35 */
			"[table shop.f]\nkind = single\nshards = s0..s1\n"
			"[table shpo.g]\nkind = single\n"                /* 40 */
			"[table orders]\nkind = single\n"                /* 42 */
			"[table shop.h]\nshards = s2..s1, s0..t1, s..s1, s0..s9999\nkey = x\n"
			"[schema a.b]\nshard = s00\n"                    /* 47 */
			"[shard x]\ncluster = mian\ndatabase = d\n"      /* 49 */
			"[shard y]\ncluster = main\ndatabase = shop_0\n" /* 52 */
			"[shard z]\ncluster = main\ndatabase = a`b\n"    /* 55 */
			"[shard w]\n",
	    "D/margay.conf:24: error: shards: there is no [shard s3]; did you mean s0?\n"
	    "D/margay.conf:27: error: shards: s1 stands twice\n"
	    "D/margay.conf:29: error: [table shop.c] is sharded and needs the option key\n"
	    "D/margay.conf:34: error: key: only sharded tables have one\n"
	    "D/margay.conf:35: error: [table shop.e] needs the option shards\n"
	    "D/margay.conf:39: error: shards: a single table lies on one shard\n"
	    "D/margay.conf:40: error: the table's schema: there is no [schema shpo]; did you mean shop?\n"
	    "D/margay.conf:42: error: the table's name is not of the form schema.table\n"
	    "D/margay.conf:45: error: shards: s2..s1: the range ends before it begins\n"
	    "D/margay.conf:45: error: shards: s0..t1: a range is written NAME1..NAME2, of two names that differ in the number at their end only\n"
	    "D/margay.conf:45: error: shards: s..s1: a range is written NAME1..NAME2, of two names that differ in the number at their end only\n"
	    "D/margay.conf:45: error: shards: s0..s9999: the range is too long\n"
	    "D/margay.conf:47: error: the schema's name has a point in it\n"
	    "D/margay.conf:48: error: shard: there is no [shard s00]; did you mean s0?\n"
	    "D/margay.conf:50: error: cluster: there is no [cluster mian]; did you mean main?\n"
	    "D/margay.conf:52: error: [shard s0] has the same cluster and database\n"
	    "D/margay.conf:57: error: database: the name has a character that no name may have here\n"
	    "D/margay.conf:58: error: [shard w] needs the option cluster\n"
	    "D/margay.conf:58: error: [shard w] needs the option database\n");
}
