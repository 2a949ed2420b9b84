/* Unit tests of conf/snap and conf/diff: what a snapshot holds, ids over reloads, options that need
 * a restart. */
#include "t/unit/test_conf.h"

static struct conf_test t, old;

static void
init(void)
{
	test_begin(&t);
}
static void
fini(void)
{
	conf_result_free(&old.r);
	test_end(&t);
}
TestSuite(snap, .init = init, .fini = fini);

/* Loads text with what was loaded last as the generation in force. */
static int
reload(const char *text)
{
	struct conf_args a = {.cpus = 2};
	int rc;

	conf_result_free(&old.r);
	old = t;
	memset(&t.r, 0, sizeof t.r);
	a.previous = &old.cfg;
	a.generation = old.cfg.r->h.generation + 1;
	a.epoch = old.cfg.r->h.epoch;
	test_file(&t, "margay.conf", text);
	rc = test_load_as(&t, &a);
	return rc;
}

Test(snap, whole)
{
	const struct cfg *c = &t.cfg;
	const struct cfg_user *u;
	const struct cfg_cluster *k;
	static const u8 ten[16] = {10, 1, 2, 3}, eleven[16] = {11};
	struct conf_args a = {.generation = 7, .epoch = 3, .cpus = 5};

	test_file(
	    &t, "margay.conf",
	    "[margay]\nmax_clients = 100\nmax_workers = 4\nmax_servers = 8\n"
	    "proxy_protocol_networks = 10.1.0.0/16, ::1\n"
	    "[server zz]\naddress = a:1\nweight = 0\n"
	    "[server aa]\naddress = a:2\n"
	    "[server mm]\naddress = /run/m.sock\nmax_connections = 20\n"
	    "[cluster c2]\nmonitor_user = m\nservers = zz\ntopology = standalone\n"
	    "[cluster c1]\nmonitor_user = m\nservers = mm, aa\nmax_lag = 250ms\nread_policy = all\n"
	    "monitor_password = monpw\n"
	    "[user zoe]\npassword = zpw\ncluster = c2\n"
	    "[user Zoe]\npassword = \"\"\ncluster = c1\nallow_from = 10.0.0.0/8, unix\nread_split "
	    "= no\n"
	    "[user ann]\npassword = *0123456789abcdef0123456789abcdef01234567\ncluster = "
	    "c1\nmax_connections = 9\n");
	cr_assert_eq(test_load_as(&t, &a), 0, "%s", test_messages(&t));
	EXPECT_MESSAGES(&t, "");
	cr_expect_eq(c->r->h.generation, 7);
	cr_expect_eq(c->r->h.epoch, 3);
	cr_expect_eq(c->s->generation, 7);
	cr_expect_eq(c->r->margay.nworkers, 4, "auto is bounded by max_workers");
	cr_expect_eq(c->r->caps.max_servers, 8);
	cr_expect_eq(c->r->caps.max_sessions, 200);
	cr_expect_eq(c->r->caps.max_cells, 2048);
	cr_expect_eq(c->r->nservers, 3);
	cr_expect_eq(c->r->nusers, 3);

	k = &cfg_clusters(c)[0];
	cr_expect_str_eq(cfg_text(c, k->section_name), "c1");
	cr_expect_eq(k->max_lag, 250);
	cr_expect_eq(k->read_policy, CFG_READ_ALL);
	cr_expect_eq(k->nservers, 2);
	cr_expect_str_eq(cfg_text(c, cfg_servers(c)[cfg_cluster_servers(c, k)[0]].section_name),
			 "mm");
	cr_expect_str_eq(cfg_text(c, cfg_servers(c)[cfg_cluster_servers(c, k)[1]].section_name),
			 "aa");
	cr_expect_str_eq(cfg_secret_text(c, k->monitor_password), "monpw");
	for (u32 i = 0; i < 3; i++) {
		const struct cfg_server *s = &cfg_servers(c)[i];
		bool zz = strcmp(cfg_text(c, s->section_name), "zz") == 0;

		cr_expect_eq(s->cluster, zz ? 1 : 0);
		cr_expect_eq(s->weight, zz ? 0 : 1);
		cr_expect_eq(s->pool_slot, s->id);
	}
	u = cfg_user_find(c, "Zoe", 3);
	cr_assert_not_null(u);
	cr_expect_neq(u->password.off, 0, "an empty password is set");
	cr_expect_eq(u->password.len, 0);
	cr_expect_eq(u->backend_password.off, 0);
	cr_expect_eq(u->read_split, CFG_SPLIT_NO);
	cr_expect(cfg_net_allows(c, u, 4, ten));
	cr_expect(cfg_net_allows(c, u, 1, ten));
	cr_expect(!cfg_net_allows(c, u, 4, eleven));
	cr_expect(cfg_net_proxies(c, 4, ten));
	cr_expect(!cfg_net_proxies(c, 4, eleven));
	cr_expect(!cfg_net_proxies(c, 1, ten));
	u = cfg_user_find(c, "ann", 3);
	cr_assert_not_null(u);
	cr_expect_eq(u->max_connections, 9);
	cr_expect_eq(u->cluster_idx, 0);
	cr_expect_not_null(cfg_user_find(c, "zoe", 3));
	cr_expect_null(cfg_user_find(c, "zo", 2));
	cr_expect_null(memmem(t.r.snap.cfg, t.r.snap.cfg_size, "monpw", 5),
		       "a secret in the open snapshot");
	cr_expect_null(memmem(t.r.snap.cfg, t.r.snap.cfg_size, "zpw", 3),
		       "a secret in the open snapshot");
}

static u32
server_id(const char *name)
{
	for (u32 i = 0; i < t.cfg.r->nservers; i++)
		if (strcmp(cfg_text(&t.cfg, cfg_servers(&t.cfg)[i].section_name), name) == 0)
			return cfg_servers(&t.cfg)[i].id;
	return UINT32_MAX;
}
static u32
cluster_id(const char *name)
{
	for (u32 i = 0; i < t.cfg.r->nclusters; i++)
		if (strcmp(cfg_text(&t.cfg, cfg_clusters(&t.cfg)[i].section_name), name) == 0)
			return cfg_clusters(&t.cfg)[i].id;
	return UINT32_MAX;
}
static u32
user_id(const char *name)
{
	const struct cfg_user *u = cfg_user_find(&t.cfg, name, strlen(name));

	return u == NULL ? UINT32_MAX : u->id;
}

#define SERVER(n) "[server " n "]\naddress = " n ":1\n"
#define ROOM3     "[margay]\nmax_servers = 3\nmax_users = 2\n"
#define CLUSTER   "[cluster c]\nmonitor_user = m\nservers = "
#define USER(n)   "[user " n "]\npassword = x\ncluster = c\n"

Test(snap, ids_stay_with_the_names)
{
	u32 a, b, bob;

	cr_assert_eq(test_load(&t, ROOM3 SERVER("b") SERVER("c") CLUSTER "b, c\n" USER("bob")), 0);
	a = server_id("b");
	b = server_id("c");
	bob = user_id("bob");
	cr_expect_neq(a, b);

	/* names that sort before and between, and one that goes */
	cr_assert_eq(reload(ROOM3 SERVER("a") SERVER("c") SERVER("b") CLUSTER "a, b, c\n" USER("al")
				USER("bob")),
		     0);
	cr_expect_eq(server_id("b"), a);
	cr_expect_eq(server_id("c"), b);
	cr_expect_eq(server_id("a"), 3 - a - b);
	cr_expect_eq(user_id("bob"), bob);
	cr_expect_eq(user_id("al"), 1 - bob);

	/* full: the id of one that goes now is all there is */
	cr_assert_eq(
	    reload(ROOM3 SERVER("a") SERVER("c") SERVER("d") CLUSTER "a, c, d\n" USER("al")), 0);
	cr_expect_eq(server_id("d"), a);
	cr_expect_eq(server_id("c"), b);
	cr_expect_eq(user_id("al"), 1 - bob);

	/* room again: a new name does not get the id that the generation before used */
	cr_assert_eq(reload(ROOM3 SERVER("c") CLUSTER "c\n" USER("cy")), 0);
	cr_expect_eq(user_id("cy"), bob);
	cr_assert_eq(reload(ROOM3 SERVER("c") SERVER("x") CLUSTER "c, x\n" USER("cy")), 0);
	cr_assert_eq(reload(ROOM3 SERVER("c") SERVER("y") CLUSTER "c, y\n" USER("cy")), 0);
	cr_expect_eq(server_id("c"), b);
	cr_expect_eq(cluster_id("c"), 0);
	for (u32 i = 0; i < old.cfg.r->nservers; i++)
		if (cfg_servers(&old.cfg)[i].id != b)
			cr_expect_neq(server_id("y"), cfg_servers(&old.cfg)[i].id);
}

Test(snap, cluster_ids_stay)
{
	cr_assert_eq(test_load(&t, SERVER("a")
				       SERVER("b") "[cluster m]\nmonitor_user = m\nservers = a\n"
						   "[cluster x]\nmonitor_user = m\nservers = b\n"),
		     0);
	cr_expect_eq(cluster_id("m"), 0);
	cr_expect_eq(cluster_id("x"), 1);
	cr_assert_eq(reload(SERVER("a") SERVER("b") "[cluster a]\nmonitor_user = m\nservers = a\n"
						    "[cluster x]\nmonitor_user = m\nservers = b\n"),
		     0);
	cr_expect_eq(cluster_id("x"), 1);
	cr_expect_eq(cluster_id("a"), 2);
}

Test(snap, restart_options_are_kept)
{
	const struct cfg_margay *m;

	cr_assert_eq(test_load(&t, "[margay]\nworkers = 3\nruntime_dir = /r\nmax_servers = "
				   "2\nidle_timeout = 1h\n" GOOD),
		     0);
	cr_assert_eq(
	    reload("[margay]\nruntime_dir = /other\nmax_servers = 90\nidle_timeout = 2h\n" GOOD
		   "[margay2]\n"),
	    ERR_CONFIG);
	conf_result_free(&t.r);
	t = old;
	memset(&old, 0, sizeof old);
	cr_assert_eq(reload("[margay]\nruntime_dir = /other\nmax_servers = 90\nidle_timeout = "
			    "2h\nuser = nobody\n" GOOD),
		     0);
	EXPECT_MESSAGES(&t,
			"D/margay.conf:1: warning: changed workers needs a restart, kept 3\n"
			"D/margay.conf:2: warning: changed runtime_dir needs a restart, kept /r\n"
			"D/margay.conf:3: warning: changed max_servers needs a restart, kept 2\n"
			"D/margay.conf:5: warning: changed user needs a restart, kept \"\"\n");
	m = &t.cfg.r->margay;
	cr_expect_str_eq(cfg_text(&t.cfg, m->runtime_dir), "/r");
	cr_expect_str_eq(cfg_text(&t.cfg, m->workers), "3");
	cr_expect_str_eq(cfg_text(&t.cfg, m->user), "");
	cr_expect_eq(m->user.off, 0);
	cr_expect_eq(m->nworkers, 3);
	cr_expect_eq(m->max_servers, 2);
	cr_expect_eq(t.cfg.r->caps.max_servers, 2);
	cr_expect_eq(m->idle_timeout, 2 * 3600 * 1000);

	/* what is kept bounds the file, with its reason */
	cr_assert_eq(reload("[margay]\nworkers = 3\nruntime_dir = /r\nmax_servers = "
			    "90\nmax_server_connections = 9000\n" GOOD SERVER("b")
				SERVER("c") "max_connections = 8000\n"),
		     ERR_CONFIG);
	EXPECT_MESSAGES(
	    &t,
	    "D/margay.conf:4: warning: changed max_servers needs a restart, kept 2\n"
	    "D/margay.conf:5: warning: changed max_server_connections needs a restart, kept 2048\n"
	    "D/margay.conf:14: warning: [server b] is in no cluster: nothing uses it\n"
	    "D/margay.conf:14: error: 3 [server] sections; max_servers (until a restart) is 2\n"
	    "D/margay.conf:16: warning: [server c] is in no cluster: nothing uses it\n"
	    "D/margay.conf:18: error: [server c] max_connections is 8000; max_server_connections "
	    "(until a restart) is 2048\n");
}

Test(snap, what_a_start_would_refuse_a_reload_refuses)
{
	cr_assert_eq(test_load(&t, GOOD), 0);
	cr_expect_eq(reload("[margay]\nmax_server_connections = 100\n" GOOD), ERR_CONFIG);
	EXPECT_MESSAGES(&t, "D/margay.conf:3: error: [server db1] max_connections is 500; "
			    "max_server_connections is 100\n");
}

Test(snap, max_clients_beyond_the_room)
{
	cr_assert_eq(test_load(&t, "[margay]\nmax_clients = 100\n" GOOD), 0);
	cr_assert_eq(reload("[margay]\nmax_clients = 200\n" GOOD), 0);
	EXPECT_MESSAGES(&t, "");
	cr_expect_eq(t.cfg.r->margay.max_clients, 200);
	cr_assert_eq(reload("[margay]\nmax_clients = 201\n" GOOD), 0);
	EXPECT_MESSAGES(&t, "D/margay.conf:2: warning: max_clients: room for 200 was made at "
			    "start; that many until a restart\n");
	cr_expect_eq(t.cfg.r->margay.max_clients, 200);
	cr_assert_eq(test_load(&t, "[margay]\nmax_clients = 1000000\n" GOOD), 0);
	cr_expect_eq(t.cfg.r->caps.max_sessions, 1000000);
	cr_assert_eq(test_load(&t, "[margay]\nmax_clients = 200000\n" GOOD), 0);
	cr_expect_eq(t.cfg.r->caps.max_sessions, 262144);
}

/* The callback: slots by address, from 5 downwards; none left after two. */
struct slots {
	int calls, room;
	char last[64];
};
static int
on_slot_wanted(void *arg, const char *address)
{
	struct slots *s = arg;

	if (s->calls == s->room)
		return ERR_LIMIT;
	(void)snprintf(s->last, sizeof s->last, "%s", address);
	return 5 - s->calls++;
}

Test(snap, pool_slots)
{
	struct slots s = {.room = 2};
	struct conf_args a = {.cpus = 1, .pool_slot = on_slot_wanted, .arg = &s};

	test_file(&t, "margay.conf", GOOD SERVER("db2"));
	cr_assert_eq(test_load_as(&t, &a), 0);
	cr_expect_eq(cfg_servers(&t.cfg)[0].pool_slot, 5);
	cr_expect_eq(cfg_servers(&t.cfg)[1].pool_slot, 4);
	cr_expect_str_eq(s.last, "db2:1");
	cr_assert_eq(test_load_as(&t, &a), ERR_LIMIT);
	cr_expect_null(t.r.snap.cfg);
	cr_expect_null(t.r.snap.secrets);

	/* nothing is claimed for a file with errors */
	s = (struct slots){.room = 9};
	test_file(&t, "margay.conf", GOOD "oops\n");
	cr_assert_eq(test_load_as(&t, &a), ERR_CONFIG);
	cr_expect_eq(s.calls, 0);
}

static char diff_text[4096];
static void
on_change(void *arg, const struct conf_change *c)
{
	size_t n = strlen(diff_text);

	cr_expect_eq(arg, &t);
	(void)snprintf(diff_text + n, sizeof diff_text - n, "%s %s %s %s: %s -> %s\n",
		       opt_section_words[c->section], c->name, c->opt == NULL ? "-" : c->opt->name,
		       c->opt == NULL ? "-" : opt_reload_words[c->opt->reload],
		       c->before == NULL ? "none" : c->before,
		       c->after == NULL ? "none" : c->after);
}

Test(snap, differences)
{
	cr_assert_eq(test_load(&t, "[margay]\nlog_level = info\nworkers = 2\n" SERVER("a")
				       SERVER("b") CLUSTER "a, b\n" USER("u") USER("v")),
		     0);
	cr_assert_eq(
	    reload(
		"[margay]\nidle_timeout = 90s\nworkers = 3\nlisten = 127.0.0.1:1, [::1]:1\n" SERVER(
		    "a") "weight = 5\n" SERVER("c") CLUSTER
		"a, c\n"
		"[user u]\npassword = hunter2\ncluster = c\nread_split = no\n"
		"[user w]\npassword = x\ncluster = c\n"),
	    0);
	conf_diff(&old.cfg, &t.cfg, on_change, &t);
	cr_expect_str_eq(diff_text,
			 "margay  listen LISTEN: 127.0.0.1:3306 -> 127.0.0.1:1, [::1]:1\n"
			 "margay  log_level LIVE: info -> notice\n"
			 "margay  idle_timeout LIVE: 8h -> 90s\n"
			 "server a weight LIVE: 1 -> 5\n"
			 "server b - -: b -> none\n"
			 "server c - -: none -> c\n"
			 "cluster c servers LIVE: a, b -> a, c\n"
			 "user u password SESSION: (secret) -> (secret)\n"
			 "user u read_split LIVE: yes -> no\n"
			 "user v - -: v -> none\n"
			 "user w - -: none -> w\n",
			 "%s", diff_text);
	diff_text[0] = '\0';
	conf_diff(&t.cfg, &t.cfg, on_change, &t);
	cr_expect_str_eq(diff_text, "");
}

Test(snap, many)
{
	size_t size = 4 << 20, n;
	char *text = malloc(size), name[32];

	cr_assert_not_null(text);
	n = (size_t)snprintf(text, size, "[margay]\nmax_users = 20000\n" GOOD);
	for (int i = 0; i < 19999; i++)
		n += (size_t)snprintf(text + n, size - n,
				      "[user u%d]\npassword = pw%d\ncluster = main\n", i, i);
	cr_assert_eq(test_load(&t, text), 0, "%s", test_messages(&t));
	for (int i = 0; i < 19999; i++) {
		const struct cfg_user *u;

		(void)snprintf(name, sizeof name, "u%d", i);
		u = cfg_user_find(&t.cfg, name, strlen(name));
		cr_assert_not_null(u);
		name[0] = 'w';
		cr_assert_str_eq(cfg_secret_text(&t.cfg, u->password) + 1, name);
	}
	free(text);
}
