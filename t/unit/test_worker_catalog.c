/* t/unit/test_worker_catalog.c: what a worker believes of the catalogue and for how long, and which statements raise the
 * counter of DDL, before they are sent and before the client hears of their end. */
#include "config.h"
#include "base/str.h"
#include "t/unit/worker_rig.h"
#include "worker/catalog.h"

/* Publishes one table and two functions of cluster 0, as they were when both servers' counters were as they are now. */
static void
publish(u32 flags, u32 table_flags)
{
	union {
		const struct shm_seg_catalog *c;
		struct shm_seg_catalog *v;
	} seg = {R.w.catalog};
	struct cat_build b;
	struct cat_root r = {.nclusters = 1, .ntables = 1};
	struct cat_cluster k = {.id = cfg_clusters(&R.w.cfg)[0].id, .flags = flags, .nseen = 2, .nroutines = 2};
	struct cat_table t = {.flags = table_flags, .nplaces = 1};
	struct cat_place p = {.cluster = k.id, .state = CAT_S_SAME};
	struct cat_seen seen[2];
	struct cat_routine f[2] = {{.verdict = ROUTINE_HARMLESS}, {.verdict = ROUTINE_VARIABLE}};

	cr_assert_eq(cat_build_init(&b, 65536), 0);
	for (u32 i = 0; i < 2; i++)
		seen[i] = (struct cat_seen){.ddl = shm_pool_srv(R.w.pool)[R.w.srv[i].pool_slot].ddl, .pool_slot = R.w.srv[i].pool_slot};
	k.seen_off = cat_keep(&b, 2, sizeof *seen);
	cat_set(&b, k.seen_off, seen, sizeof seen);
	for (u32 i = 0; i < 2; i++) {
		f[i].schema = cat_put(&b, "shop");
		f[i].name = cat_put(&b, i == 0 ? "calm" : "wild");
	}
	k.routines_off = cat_keep(&b, 2, sizeof *f);
	cat_set(&b, k.routines_off, f, sizeof f);
	p.shard = cat_put(&b, "s0");
	t.places_off = cat_keep(&b, 1, sizeof p);
	cat_set(&b, t.places_off, &p, sizeof p);
	t.schema = cat_put(&b, "shop");
	t.name = cat_put(&b, "orders");
	r.tables_off = cat_keep(&b, 1, sizeof t);
	cat_set(&b, r.tables_off, &t, sizeof t);
	r.clusters_off = cat_keep(&b, 1, sizeof k);
	cat_set(&b, r.clusters_off, &k, sizeof k);
	r.size = b.len;
	memcpy(b.p, &r, sizeof r);
	cat_publish(seg.v, b.p, b.len);
	seg.v->tables_checked[k.id] = seg.v->routines_checked[k.id] = ev_now(&R.w.loop);
	cat_build_fini(&b);
}

static bool
knows_table(const char *name)
{
	const struct cat *c;

	return wcat_table(&R.w, "shop", 4, name, strlen(name), &c) != NULL;
}

static int
verdict(const char *name)
{
	const struct cat_routine *f = wcat_routine(&R.w, cfg_clusters(&R.w.cfg)[0].id, "shop", 4, name, strlen(name));

	return f == NULL ? -1 : (int)f->verdict;
}

static u64
raised(u32 server)
{
	return shm_pool_srv(R.w.pool)[R.w.srv[server].pool_slot].ddl;
}

#define ALL CAT_TABLES | CAT_ROUTINES

TEST_WORKER(catalog_is_believed)
{
	rig_start(NULL);
	cr_expect(!knows_table("orders"));
	cr_expect_eq(verdict("calm"), -1);
	publish(ALL, CAT_KNOWN | CAT_AGREES);
	cr_expect(knows_table("orders"));
	cr_expect(!knows_table("order"));
	cr_expect_eq(verdict("CALM"), ROUTINE_HARMLESS);
	cr_expect_eq(verdict("wild"), ROUTINE_VARIABLE);
	cr_expect_eq(verdict("none"), -1);
	/* anybody's counter, of any server of the cluster */
	for (u32 i = 0; i < 2; i++) {
		shm_pool_srv(R.w.pool)[R.w.srv[i].pool_slot].ddl++;
		cr_expect(!knows_table("orders"));
		cr_expect_eq(verdict("calm"), -1);
		publish(ALL, CAT_KNOWN);
		cr_expect(knows_table("orders"));
		cr_expect_eq(verdict("calm"), ROUTINE_HARMLESS);
	}
	/* not all of it was read */
	publish(CAT_TABLES, CAT_KNOWN);
	cr_expect(knows_table("orders"));
	cr_expect_eq(verdict("calm"), -1);
	publish(CAT_ROUTINES, CAT_KNOWN);
	cr_expect(!knows_table("orders"));
	cr_expect_eq(verdict("calm"), ROUTINE_HARMLESS);
	publish(ALL, 0);
	cr_expect(!knows_table("orders"));
	rig_stop();
}

TEST_WORKER(catalog_grows_old)
{
	struct rig_conf conf = {.cluster = "catalog_interval = 2s\n", .margay = "health_stale = 3s\n"};
	struct rig_conf off = {.cluster = "catalog_interval = 0\n", .margay = "health_stale = 3s\n"};

	rig_start(&conf);
	publish(ALL, CAT_KNOWN);
	rig_pass(4000);
	cr_expect(knows_table("orders"));
	cr_expect_eq(verdict("calm"), ROUTINE_HARMLESS);
	rig_pass(2000);
	cr_expect(!knows_table("orders"));
	cr_expect_eq(verdict("calm"), -1);
	publish(ALL, CAT_KNOWN);
	cr_expect(knows_table("orders"));
	rig_reload(&off);
	cr_expect(!knows_table("orders"));
	rig_stop();
}

TEST_WORKER(catalog_of_nonsense)
{
	union {
		const struct shm_seg_catalog *c;
		struct shm_seg_catalog *v;
	} seg;
	u64 junk[32];

	rig_start(NULL);
	seg.c = R.w.catalog;
	memset(junk, 0xff, sizeof junk);
	cat_publish(seg.v, junk, sizeof junk);
	cr_expect(!knows_table("orders"));
	publish(ALL, CAT_KNOWN);
	cr_expect(knows_table("orders"));
	cat_publish(seg.v, junk, sizeof junk);
	rig_pass(200); /* ticks */
	cr_expect(!knows_table("orders"));
	cr_expect_eq(verdict("calm"), -1);
	rig_stop();
}

static u64
bell(void)
{
	u64 n = 0;

	return read(R.w.health_bell, &n, sizeof n) == sizeof n ? n : 0;
}

/* The statement, and what may go ahead of it when nobody knows what it asks for. */
static void
expect_statement(struct peer *s, const char *sql)
{
	static const char ahead[] = "SET last_insert_id=0";
	size_t len;
	const u8 *p = peer_packet(s, &len);

	if (slice_eq(p + PKT_HDR + 1, len - PKT_HDR - 1, ahead, sizeof ahead - 1)) {
		server_ok(s);
		p = peer_packet(s, &len);
	}
	cr_assert(slice_eq(p + PKT_HDR + 1, len - PKT_HDR - 1, sql, strlen(sql)), "%.*s, not %s", (int)(len - PKT_HDR - 1), p + PKT_HDR + 1,
	    sql);
}

TEST_WORKER(catalog_ddl_is_told)
{
	static const char *const changes[] = {"ALTER TABLE t ADD COLUMN a INT", "CREATE TABLE t (a INT)", "DROP TABLE t",
	    "CREATE FUNCTION f() RETURNS INT NO SQL RETURN 1", "RENAME TABLE a TO b", "CALL p()", "EXECUTE IMMEDIATE 'DROP TABLE t'",
	    "TRUNCATE t", "INSERT INTO t VALUES (1); DROP TABLE t", "CREATE TEMPORARY TABLE x (a INT); CREATE TABLE y (a INT)",
	    "BEGIN NOT ATOMIC DROP TABLE t; END", "SET STATEMENT max_statement_time = 1 FOR DROP TABLE t", "INSTALL SONAME 'x'",
	    "GIBBERISH 1"};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = NULL;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		u64 before = raised(0), other = raised(1);

		(void)bell();
		publish(ALL, CAT_KNOWN);
		client_query(c, changes[i]);
		if (s == NULL)
			s = server_ready(0);
		expect_statement(s, changes[i]);
		cr_expect_eq(raised(0), before + 1, "%s", changes[i]);
		cr_expect_eq(bell(), LINK_BELL_DDL, "%s", changes[i]);
		cr_expect(!knows_table("orders"), "%s", changes[i]);
		publish(ALL, CAT_KNOWN); /* health has read in the middle of it */
		cr_expect(knows_table("orders"));
		server_ok(s);
		client_expect_ok(c);
		cr_expect_eq(raised(0), before + 2, "%s", changes[i]);
		cr_expect(!knows_table("orders"), "%s", changes[i]);
		cr_expect_eq(raised(1), other);
		if (client_sess(c)->b == NULL) { /* it went back to the pool */
			client_query(c, "SET @keep = 1");
			expect_statement(s, "SET @keep = 1");
			server_ok(s);
			client_expect_ok(c);
		}
	}
	/* an error may have left some of it done; a lost connection too */
	u64 before = raised(0);

	client_query(c, "DROP TABLE a, b");
	server_expect_query(s, "DROP TABLE a, b");
	server_err(s, 1051, "b");
	client_expect_err(c, 1051, "b");
	cr_expect_eq(raised(0), before + 2);
	client_query(c, "DROP TABLE a, b");
	server_expect_query(s, "DROP TABLE a, b");
	cr_expect_eq(raised(0), before + 3);
	server_gone(s);
	rig_run();
	cr_expect_eq(raised(0), before + 4);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(catalog_others_are_not_told)
{
	static const char *const others[] = {"INSERT INTO t VALUES (1)", "UPDATE t SET a = f(1)", "BEGIN", "COMMIT", "SET @x = 1", "SET autocommit = 1",
	    "CREATE TEMPORARY TABLE x (a INT)", "DROP TEMPORARY TABLE x", "SELECT f(1) INTO @x", "LOCK TABLES t WRITE", "UNLOCK TABLES",
	    "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "DO SLEEP(1)", "PREPARE p FROM 'DROP TABLE t'"};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, "SET @keep = 1", NULL);

	publish(ALL, CAT_KNOWN);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		client_query(c, others[i]);
		expect_statement(s, others[i]);
		server_ok(s);
		client_expect_ok(c);
		cr_expect_eq(raised(0), 0, "%s", others[i]);
	}
	cr_expect(knows_table("orders"));
	cr_expect_eq(bell(), 0);
	peer_close(c);
	rig_stop();
}
