/* Unit tests of shm/cfg.c: a valid snapshot opens; no change of any word of it leads an accessor outside;
 * only sealed memfds are taken; users and networks are found.
 */
#include "config.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/err.h"
#include "shm/cfg.h"
#include "shm/link.h"

enum { NSERVERS = 3, NCLUSTERS = 2, NUSERS = 5, NLISTENS = 2, NNETS = 4, ROOM = 32768 };
static const char *const user_names[NUSERS] = {"App", "app", "app2", "b", "zoe"};

static _Alignas(8) u8 blob[ROOM], secrets[1024];
static struct cfg_root *const root = (void *)blob;
static struct cfg_secrets *const sec = (void *)secrets;
static size_t blen, slen;

static u32
room(size_t n)
{
	u32 off = (u32)((blen + 7) / 8 * 8);

	blen = off + n;
	cr_assert_leq(blen, sizeof blob);
	return off;
}

static struct cfg_str
text(const char *s)
{
	struct cfg_str r = {.len = (u32)strlen(s)};

	r.off = room(r.len + 1);
	memcpy(blob + r.off, s, r.len + 1);
	return r;
}

static struct cfg_secret
secret(const char *s)
{
	struct cfg_secret r = {.off = (u32)slen, .len = (u32)strlen(s)};

	memcpy(secrets + slen, s, r.len + 1);
	slen += r.len + 1;
	return r;
}

static struct cfg_list
list(const char *one, const char *two)
{
	struct cfg_list l = {.off = room(2 * sizeof(struct cfg_str)), .n = 2};
	struct cfg_str *s = (void *)(blob + l.off);

	s[0] = text(one);
	s[1] = text(two);
	return l;
}

static void
users_build(void)
{
	struct cfg_user *u = (void *)(blob + root->users_off);
	struct cfg_net *n;

	for (u32 i = 0; i < NUSERS; i++) {
		u[i].section_name = text(user_names[i]);
		u[i].password = secret("secret of one");
		u[i].cluster = text("main");
		u[i].id = NUSERS - 1 - i;
		u[i].cluster_idx = i % NCLUSTERS;
	}
	u[2].allow_from = list("10.0.0.0/9", "unix");
	u[2].nnets = NNETS;
	u[2].nets_off = room(NNETS * sizeof *n);
	n = (void *)(blob + u[2].nets_off);
	n[0] = (struct cfg_net){.family = 4, .prefix = 9, .addr = {10, 128}};
	n[1] = (struct cfg_net){.family = 1};
	n[2] = (struct cfg_net){.family = 6, .prefix = 128, .addr = {[15] = 1}};
	n[3] = (struct cfg_net){.family = 4, .prefix = 32, .addr = {192, 0, 2, 7}};
	u[3].nnets = 1;
	u[3].nets_off = room(sizeof *n);
	*(struct cfg_net *)(void *)(blob + u[3].nets_off) = (struct cfg_net){.family = 6, .prefix = 0};
}

static void
build(void)
{
	struct cfg_server *s;
	struct cfg_cluster *k;
	struct cfg_listen *l;
	u32 *idx;

	memset(blob, 0, sizeof blob);
	memset(secrets, 0, sizeof secrets);
	blen = sizeof *root;
	slen = sizeof *sec;
	root->nservers = NSERVERS;
	root->servers_off = room(NSERVERS * sizeof *s);
	root->nclusters = NCLUSTERS;
	root->clusters_off = room(NCLUSTERS * sizeof *k);
	root->nusers = NUSERS;
	root->users_off = room(NUSERS * sizeof(struct cfg_user));
	root->nlistens = NLISTENS;
	root->listens_off = room(NLISTENS * sizeof *l);
	root->caps = (struct shm_caps){.max_servers = 4, .max_workers = 2, .max_users = 8, .max_sessions = 9,
	    .max_cells = 16};
	root->margay.nworkers = 2;
	root->margay.nproxy_nets = 1;
	root->margay.proxy_nets_off = room(sizeof(struct cfg_net));
	*(struct cfg_net *)(void *)(blob + root->margay.proxy_nets_off) = (struct cfg_net){.family = 4, .prefix = 8, .addr = {10}};
	root->margay.listen = list("127.0.0.1:3306", "/run/m.sock");
	root->margay.runtime_dir = text("/run/margay");
	root->margay.log_level = 2;
	root->margay.handover = 1;
	s = (void *)(blob + root->servers_off);
	for (u32 i = 0; i < NSERVERS; i++) {
		s[i].section_name = text("db");
		s[i].address = text("10.0.0.1:3306");
		s[i].id = i;
		s[i].pool_slot = NSERVERS - i;
		s[i].cluster = i == 2 ? UINT32_MAX : i;
	}
	k = (void *)(blob + root->clusters_off);
	for (u32 i = 0; i < NCLUSTERS; i++) {
		k[i].section_name = text("main");
		k[i].servers = list("db", "db");
		k[i].monitor_password = secret("monitor");
		k[i].id = i;
		k[i].nservers = 2;
		k[i].servers_off = room(2 * sizeof *idx);
		idx = (void *)(blob + k[i].servers_off);
		idx[0] = 1;
		idx[1] = 2;
	}
	users_build();
	l = (void *)(blob + root->listens_off);
	for (u32 i = 0; i < NLISTENS; i++)
		l[i] = (struct cfg_listen){.text = text("127.0.0.1:3306"), .kind = i == 0 ? 4 : 1, .fd_index = i};
	root->h = (struct shm_header){
	    .magic = SHM_MAGIC_CONFIG, .abi = shm_abi, .size = blen, .generation = 3};
	*sec = (struct cfg_secrets){
	    .magic = SHM_MAGIC_SECRET, .abi = shm_abi, .size = slen, .generation = 3};
}

/* Each visit asserts its bounds; under ASan the copy has no byte to spare either. */
static size_t visited;

static void
visit(const void *p, size_t n, const void *base, size_t size)
{
	cr_assert(n <= size && (const u8 *)p >= (const u8 *)base &&
	    (const u8 *)p + n <= (const u8 *)base + size);
	for (size_t i = 0; i < n; i++)
		visited += ((const u8 *)p)[i] != 0;
}

static void
visit_str(const struct cfg *c, struct cfg_str s)
{
	const char *t = cfg_text(c, s);

	cr_assert_eq(strlen(t), s.len);
	if (s.off != 0)
		visit(t, s.len + 1, c->r, c->size);
}

static void
visit_secret(const struct cfg *c, struct cfg_secret s)
{
	const char *t = cfg_secret_text(c, s);

	if (c->s != NULL)
		cr_assert_eq(strlen(t), s.len);
	if (c->s != NULL && s.off != 0)
		visit(t, s.len + 1, c->s, c->ssize);
}

static void
visit_list(const struct cfg *c, struct cfg_list l)
{
	for (u32 i = 0; i < l.n; i++) {
		const char *t = cfg_list_text(c, l, i);

		if (*t != '\0')
			visit(t, strlen(t) + 1, c->r, c->size);
	}
}

static void
visit_enum(u64 v, const char *words)
{
	u64 n = 1;

	for (; *words != '\0'; words++)
		n += *words == '|';
	cr_assert_lt(v, n);
}

#define WALK_BOOL(o, name, extra)   cr_assert_leq((o)->name, 1);
#define WALK_UINT(o, name, extra)   visited += (o)->name != 0;
#define WALK_MSEC(o, name, extra)   visited += (o)->name != 0;
#define WALK_BYTES(o, name, extra)  visited += (o)->name != 0;
#define WALK_ENUM(o, name, extra)   visit_enum((o)->name, extra);
#define WALK_STR(o, name, extra)    visit_str(c, (o)->name);
#define WALK_SECRET(o, name, extra) visit_secret(c, (o)->name);
#define WALK_LIST(o, name, extra)   visit_list(c, (o)->name);

static void
walk_servers(const struct cfg *c)
{
	const struct cfg_server *s = cfg_servers(c);

	for (u32 i = 0; i < c->r->nservers; i++) {
		visit(&s[i], sizeof s[i], c->r, c->size);
#define OPT_SERVER(type, name, def, min, max, reload, extra, summary, prose) WALK_##type(&s[i], name, extra)
#include "tbl/options.def"
		visit_str(c, s[i].section_name);
		cr_assert(s[i].cluster == UINT32_MAX || s[i].cluster < c->r->nclusters);
		cr_assert_lt(s[i].id, c->r->caps.max_servers);
		cr_assert_lt(s[i].pool_slot, c->r->caps.max_servers);
	}
}

static void
walk_clusters(const struct cfg *c)
{
	const struct cfg_cluster *k = cfg_clusters(c);

	for (u32 i = 0; i < c->r->nclusters; i++) {
		const u32 *idx = cfg_cluster_servers(c, &k[i]);

		visit(&k[i], sizeof k[i], c->r, c->size);
#define OPT_CLUSTER(type, name, def, min, max, reload, extra, summary, prose) WALK_##type(&k[i], name, extra)
#include "tbl/options.def"
		visit_str(c, k[i].section_name);
		cr_assert_lt(k[i].id, SHM_MAX_CLUSTERS);
		if (k[i].nservers > 0)
			visit(idx, k[i].nservers * sizeof *idx, c->r, c->size);
		for (u32 j = 0; j < k[i].nservers; j++)
			cr_assert_lt(idx[j], c->r->nservers);
	}
}

static void
walk_users(const struct cfg *c)
{
	static const u8 addr[16] = {10, 200};
	const struct cfg_user *u = cfg_users(c);

	for (u32 i = 0; i < c->r->nusers; i++) {
		visit(&u[i], sizeof u[i], c->r, c->size);
#define OPT_USER(type, name, def, min, max, reload, extra, summary, prose) WALK_##type(&u[i], name, extra)
#include "tbl/options.def"
		visit_str(c, u[i].section_name);
		cr_assert_lt(u[i].id, c->r->caps.max_users);
		cr_assert_lt(u[i].cluster_idx, c->r->nclusters);
		if (u[i].nnets > 0)
			visit(cfg_at(c, u[i].nets_off), u[i].nnets * sizeof(struct cfg_net), c->r, c->size);
		visited += cfg_net_allows(c, &u[i], 4, addr) + cfg_net_allows(c, &u[i], 6, addr) +
		    cfg_net_allows(c, &u[i], 1, addr);
		cr_assert_eq(
		    cfg_user_find(c, cfg_text(c, u[i].section_name), u[i].section_name.len), &u[i]);
	}
}

static void
walk(const struct cfg *c)
{
	const struct cfg_margay *m = &c->r->margay;

#define OPT_MARGAY(type, name, def, min, max, reload, extra, summary, prose) WALK_##type(m, name, extra)
#include "tbl/options.def"
	visit(cfg_at(c, m->proxy_nets_off), m->nproxy_nets * sizeof(struct cfg_net), c->r, c->size);
	visited += cfg_net_proxies(c, 4, (const u8 *)"\x0a\1\2\3");
	walk_servers(c);
	walk_clusters(c);
	walk_users(c);
	for (u32 i = 0; i < c->r->nlistens; i++) {
		visit(&cfg_listens(c)[i], sizeof(struct cfg_listen), c->r, c->size);
		visit_str(c, cfg_listens(c)[i].text);
		cr_assert_lt(cfg_listens(c)[i].fd_index, LINK_MAX_LISTEN);
	}
}

/* Opens changed bytes in a copy of exactly their size. Opened and walked: 1; refused: 0. */
static int
try_open(const u8 *p, size_t n, const u8 *sp, size_t sn)
{
	u8 *m = malloc(n), *s = sp != NULL ? malloc(sn) : NULL;
	struct cfg c;
	int rc;

	memcpy(m, p, n);
	if (s != NULL)
		memcpy(s, sp, sn);
	rc = cfg_open_mem(m, n, s, sn, &c);
	cr_assert(rc == 0 || rc == ERR_INVAL || rc == ERR_ABI);
	if (rc == 0)
		walk(&c);
	free(m);
	free(s);
	return rc == 0;
}

TestSuite(cfg, .init = build);

Test(cfg, valid_one_opens)
{
	struct cfg c;

	cr_assert_eq(cfg_open_mem(blob, blen, secrets, slen, &c), 0);
	walk(&c);
	cr_assert_gt(visited, 100);
	cr_assert_str_eq(cfg_secret_text(&c, cfg_users(&c)[0].password), "secret of one");
	cr_assert_str_eq(cfg_text(&c, c.r->margay.runtime_dir), "/run/margay");
	cr_assert_str_eq(cfg_list_text(&c, c.r->margay.listen, 1), "/run/m.sock");
	cr_assert_str_eq(cfg_text(&c, c.r->margay.key_file), "", "unset");
	cfg_close(&c);
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), 0);
	cr_assert_str_eq(cfg_secret_text(&c, cfg_users(&c)[0].password), "", "no secrets here");
}

Test(cfg, no_flipped_word_leads_outside)
{
	static const u32 with[] = {0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8};
	int opened = 0, refused = 0;

	for (size_t w = 0; w < blen / 4; w++) {
		u32 *p = (u32 *)(void *)blob + w, was = *p;

		for (size_t k = 0; k < 3 * ARRAY_LEN(with) + 2; k++) {
			if (k < ARRAY_LEN(with))
				*p = with[k];
			else if (k < 2 * ARRAY_LEN(with))
				*p = was ^ with[k - ARRAY_LEN(with)];
			else if (k < 3 * ARRAY_LEN(with))
				*p = was + with[k - 2 * ARRAY_LEN(with)];
			else
				*p = (u32)blen - (u32)(k & 1) * 4;
			if (try_open(blob, blen, secrets, slen))
				opened++;
			else
				refused++;
		}
		*p = was;
	}
	cr_assert_gt(opened, 1000, "numbers may be anything");
	cr_assert_gt(refused, 1000, "offsets may not");
}

Test(cfg, no_flipped_word_of_the_secrets_leads_outside)
{
	int refused = 0;

	for (size_t w = 0; w < slen / 4; w++) {
		u32 *p = (u32 *)(void *)secrets + w, was = *p;

		for (int bit = 0; bit < 32; bit++) {
			*p = was ^ 1u << bit;
			refused += !try_open(blob, blen, secrets, slen);
		}
		*p = 0;
		refused += !try_open(blob, blen, secrets, slen);
		*p = was;
	}
	cr_assert_gt(refused, 8 * 32 - 1, "its header at least");
}

Test(cfg, cut_short)
{
	for (size_t n = 0; n < blen; n += n < 64 ? 1 : 61) {
		cr_assert(!try_open(blob, n, NULL, 0), "%zu", n);
		root->h.size = n;
		if (n >= sizeof *root)
			try_open(blob, n, NULL, 0);
		root->h.size = blen;
	}
	for (size_t n = 0; n < slen; n++)
		cr_assert(!try_open(blob, blen, secrets, n), "%zu", n);
}

Test(cfg, what_is_refused)
{
	struct cfg_user *u = (void *)(blob + root->users_off);
	struct cfg_server *s = (void *)(blob + root->servers_off);
	struct cfg_str name;
	struct cfg c;

	root->h.abi ^= 1;
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), ERR_ABI);
	cr_assert_null(c.r);
	root->h.abi ^= 1;
	sec->generation++;
	cr_assert_eq(cfg_open_mem(blob, blen, secrets, slen, &c), ERR_INVAL, "secrets of another generation");
	sec->generation--;
	name = u[1].section_name;
	u[1].section_name = u[0].section_name;
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), ERR_INVAL, "a name twice");
	u[1].section_name = name;
	s[0].pool_slot = root->caps.max_servers;
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), ERR_INVAL);
	s[0].pool_slot = 0;
	root->margay.handover = 2;
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), ERR_INVAL, "no bool");
	root->margay.handover = 1;
	blob[root->margay.runtime_dir.off + 2] = '\0';
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), ERR_INVAL, "NUL inside a text");
	blob[root->margay.runtime_dir.off + 2] = 'u';
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), 0);
}

static int
memfd_of(const void *p, size_t n, int seals)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, p, n), (ssize_t)n);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

Test(cfg, sealed_memfds_alone)
{
	const int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int fd = memfd_of(blob, blen, all), sfd = memfd_of(secrets, slen, all), bad;
	char tmp[] = "/tmp/t_cfg.XXXXXX";
	struct cfg c;

	cr_assert_eq(cfg_open(fd, sfd, &c), 0);
	walk(&c);
	cr_assert_str_eq(cfg_secret_text(&c, cfg_users(&c)[0].password), "secret of one");
	cfg_close(&c);
	cr_assert_null(c.r);
	cr_assert_eq(cfg_open(fd, -1, &c), 0);
	cr_assert_null(c.s);
	cfg_close(&c);
	for (int s = 0; s < 3; s++) {
		static const int one[] = {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW};

		bad = memfd_of(blob, blen, all & ~one[s]);
		cr_assert_eq(cfg_open(bad, sfd, &c), ERR_INVAL);
		close(bad);
		bad = memfd_of(secrets, slen, all & ~one[s]);
		cr_assert_eq(cfg_open(fd, bad, &c), ERR_INVAL);
		close(bad);
	}
	bad = mkstemp(tmp);
	unlink(tmp);
	cr_assert_eq(write(bad, blob, blen), (ssize_t)blen);
	cr_assert_eq(cfg_open(bad, -1, &c), ERR_INVAL, "a plain file");
	cr_assert_eq(cfg_open(-1, -1, &c), ERR_INVAL);
}

Test(cfg, users_are_found)
{
	struct cfg c;

	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), 0);
	for (u32 i = 0; i < NUSERS; i++)
		cr_assert_eq(cfg_user_find(&c, user_names[i], strlen(user_names[i])), cfg_users(&c) + i);
	cr_assert_null(cfg_user_find(&c, "ap", 2));
	cr_assert_null(cfg_user_find(&c, "app", 0));
	cr_assert_null(cfg_user_find(&c, "app\0", 4));
	cr_assert_null(cfg_user_find(&c, "zz", 2));
	cr_assert_null(cfg_user_find(&c, "APP", 3), "names are case-sensitive");
	root->nusers = 0;
	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), 0);
	cr_assert_null(cfg_user_find(&c, "app", 3));
}

Test(cfg, networks)
{
	static const u8 in[16] = {10, 255, 1, 1}, out[16] = {10, 127, 1, 1}, one[16] = {192, 0, 2, 7},
			other[16] = {192, 0, 2, 6}, lo6[16] = {[15] = 1}, six[16] = {0x20, 1},
			mapped[16] = {[10] = 0xff, 0xff, 10, 128, 0, 1},
			mapped_out[16] = {[10] = 0xff, 0xff, 11, 128, 0, 1};
	const struct cfg_user *u;
	struct cfg c;

	cr_assert_eq(cfg_open_mem(blob, blen, NULL, 0, &c), 0);
	u = cfg_users(&c);
	cr_assert(cfg_net_allows(&c, &u[0], 4, in), "no networks: any");
	cr_assert(cfg_net_allows(&c, &u[2], 4, in));
	cr_assert(!cfg_net_allows(&c, &u[2], 4, out));
	cr_assert(cfg_net_allows(&c, &u[2], 4, one));
	cr_assert(!cfg_net_allows(&c, &u[2], 4, other));
	cr_assert(cfg_net_allows(&c, &u[2], 1, out));
	cr_assert(cfg_net_allows(&c, &u[2], 6, lo6));
	cr_assert(!cfg_net_allows(&c, &u[2], 6, six));
	cr_assert(cfg_net_allows(&c, &u[2], 6, mapped));
	cr_assert(!cfg_net_allows(&c, &u[2], 6, mapped_out));
	cr_assert(cfg_net_allows(&c, &u[3], 6, six), "::/0");
	cr_assert(!cfg_net_allows(&c, &u[3], 4, in));
	cr_assert(!cfg_net_allows(&c, &u[3], 1, in));
}

/* The enumerations in shm/cfg.h stand in the order of the words in tbl/options.def. */
Test(cfg, enums_match_their_words)
{
#define OPT_CLUSTER(type, name, def, min, max, reload, extra, summary, prose)                      \
	if (strcmp(#name, "topology") == 0)                                                        \
		cr_assert_str_eq(extra, "replication|galera|standalone");                          \
	if (strcmp(#name, "read_policy") == 0)                                                     \
		cr_assert_str_eq(extra, "replicas|all|primary");                                     \
	if (strcmp(#name, "causal_reads") == 0)                                                    \
		cr_assert_str_eq(extra, "session|cluster|off");
#define OPT_USER(type, name, def, min, max, reload, extra, summary, prose)                         \
	if (strcmp(#name, "auth_plugin") == 0)                                                     \
		cr_assert_str_eq(extra, "default|mysql_native_password|caching_sha2_password|client_ed25519");           \
	if (strcmp(#name, "read_split") == 0)                                                      \
		cr_assert_str_eq(extra, "yes|no");
#include "tbl/options.def"
	cr_assert(CFG_REPLICATION == 0 && CFG_GALERA == 1 && CFG_STANDALONE == 2);
	cr_assert(CFG_READ_REPLICAS == 0 && CFG_READ_ALL == 1 && CFG_READ_PRIMARY == 2);
	cr_assert(CFG_CAUSAL_SESSION == 0 && CFG_CAUSAL_CLUSTER == 1 && CFG_CAUSAL_OFF == 2);
	cr_assert(CFG_SPLIT_YES == 0 && CFG_SPLIT_NO == 1);
}

Test(cfg, kinds_of_secrets)
{
	cr_assert_eq(cfg_secret_kind("*0123456789abcdefABCDEF012345678901234567"), CFG_NATIVE_HASH);
	cr_assert_eq(cfg_secret_kind("*0123456789abcdefABCDEF01234567890123456"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("*0123456789abcdefABCDEF01234567890123456g"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"), CFG_ED25519_HASH);
	cr_assert_eq(cfg_secret_kind("ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJZ"), CFG_PLAIN, "257 bits");
	cr_assert_eq(cfg_secret_kind("ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY="), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("ED25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind(""), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("$A$005$saltsaltsaltsaltsalt0123456789012345678901234567890123456789./A"), CFG_SHA2_HASH);
	cr_assert_eq(cfg_secret_kind("$A$000$saltsaltsaltsaltsalt0123456789012345678901234567890123456789./A"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("$A$005$saltsaltsaltsaltsalt0123456789012345678901234567890123456789.+A"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("$A$005$saltsaltsaltsaltsalt0123456789012345678901234567890123456789./"), CFG_PLAIN);
	cr_assert_eq(cfg_secret_kind("0x2441243030352473616c7473616c7473616c7473616c743b22237a5968685670787968"
				     "527050365a3644715669737274594d4a74654f6e667764354861314d4f68754a4a3444"), CFG_SHA2_HASH);
}
