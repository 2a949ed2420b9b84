/* shm/cfg.c: opens a configuration snapshot and checks all of it once, so that no accessor of shm/cfg.h can
 * be led outside it, whatever the bytes are. Workers, health and the master's store run it. It judges form,
 * not meaning: what values make sense was decided in conf/ before the snapshot was made.
 */
#include "config.h"
#include "shm/cfg.h"
#include "base/err.h"
#include "base/str.h"
#include "shm/link.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Digits of base64 whose bits behind the 256th are zero: the last one of a key of 32 bytes. */
#define BASE64      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define BASE64_LAST "AEIMQUYcgkosw048"

/* "$A$", three hex digits, "$", 20 bytes of salt, 43 digits of crypt(3); or all of it in hex. */
#define SHA2_LEN 70
#define CRYPT64  "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HEX      "0123456789abcdefABCDEF"

static bool
is_sha2_hash(const char *t, size_t n)
{
	char raw[SHA2_LEN + 1];

	if (n == 2 + 2 * SHA2_LEN && strncmp(t, "0x", 2) == 0) {
		if (hex_decode(raw, SHA2_LEN, t + 2, n - 2) != 0)
			return false;
		raw[SHA2_LEN] = '\0';
		t = raw;
		n = strlen(raw);
	}
	return n == SHA2_LEN && strncmp(t, "$A$", 3) == 0 && strspn(t + 3, HEX) == 3 && strncmp(t + 3, "000", 3) != 0 &&
	    t[6] == '$' && strspn(t + 27, CRYPT64) == 43;
}

const char *
cfg_ed25519_key(const char *text)
{
	return text + strlen(CFG_ED25519_PREFIX);
}

enum cfg_secret_kind
cfg_secret_kind(const char *text)
{
	if (text[0] == '*' && strlen(text) == 41 && strspn(text + 1, HEX) == 40)
		return CFG_NATIVE_HASH;
	if (is_sha2_hash(text, strlen(text)))
		return CFG_SHA2_HASH;
	if (strncmp(text, CFG_ED25519_PREFIX, strlen(CFG_ED25519_PREFIX)) == 0) {
		const char *b = cfg_ed25519_key(text);

		if (strlen(b) == 43 && strspn(b, BASE64) == 43 && strchr(BASE64_LAST, b[42]) != NULL)
			return CFG_ED25519_HASH;
	}
	return CFG_PLAIN;
}

/* A range of n records of `each` bytes: inside the snapshot, behind its root, aligned. */
static bool
range_ok(const struct cfg *c, u32 off, u64 n, size_t each, size_t align)
{
	return n == 0 || (off >= sizeof(struct cfg_root) && off % align == 0 && off <= c->size &&
			     n <= (c->size - off) / each);
}

/* A NUL-terminated text of exactly len bytes, or unset. */
static bool
text_ok(const u8 *base, size_t size, size_t fixed, u32 off, u32 len)
{
	if (off == 0)
		return len == 0;
	return off >= fixed && off < size && len < size - off && base[off + len] == '\0' &&
	    memchr(base + off, '\0', len) == NULL;
}

static bool
str_ok(const struct cfg *c, struct cfg_str s)
{
	return text_ok((const u8 *)c->r, c->size, sizeof(struct cfg_root), s.off, s.len);
}

static bool
secret_ok(const struct cfg *c, struct cfg_secret s)
{
	/* Without the secrets the offset is never followed. */
	if (c->s == NULL)
		return true;
	return text_ok((const u8 *)c->s, c->ssize, sizeof(struct cfg_secrets), s.off, s.len);
}

static bool
pem_ok(const struct cfg *c, const struct cfg_pem *p)
{
	return secret_ok(c, p->cert) && secret_ok(c, p->key) && secret_ok(c, p->ca) && secret_ok(c, p->crl) &&
	    secret_ok(c, p->rsa);
}

static bool
list_ok(const struct cfg *c, struct cfg_list l)
{
	if (!range_ok(c, l.off, l.n, sizeof(struct cfg_str), sizeof(u32)))
		return false;
	for (u32 i = 0; i < l.n; i++) {
		if (!str_ok(c, ((const struct cfg_str *)cfg_at(c, l.off))[i]))
			return false;
	}
	return true;
}

/* Words of an enumeration as tbl/options.def lists them: "a|b|c". */
static bool
enum_ok(u64 v, const char *words)
{
	u64 n = 1;

	for (; *words != '\0'; words++)
		n += *words == '|';
	return v < n;
}

static bool
net_ok(const struct cfg_net *n)
{
	switch (n->family) {
	case 4:
		return n->prefix <= 32;
	case 6:
		return n->prefix <= 128;
	case 1:
		return true;
	default:
		return false;
	}
}

static bool
nets_ok(const struct cfg *c, u32 off, u32 n)
{
	if (!range_ok(c, off, n, sizeof(struct cfg_net), sizeof(u32)))
		return false;
	for (u32 i = 0; i < n; i++)
		if (!net_ok((const struct cfg_net *)cfg_at(c, off) + i))
			return false;
	return true;
}

#define OK_BOOL(name, extra)   (o->name <= 1)
#define OK_UINT(name, extra)   true
#define OK_MSEC(name, extra)   true
#define OK_BYTES(name, extra)  true
#define OK_ENUM(name, extra)   enum_ok(o->name, extra)
#define OK_STR(name, extra)    str_ok(c, o->name)
#define OK_SECRET(name, extra) secret_ok(c, o->name)
#define OK_LIST(name, extra)   list_ok(c, o->name)

static bool
margay_ok(const struct cfg *c)
{
	const struct cfg_margay *o = &c->r->margay;

#define OPT_MARGAY(type, name, def, min, max, reload, extra, summary, prose)                       \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	return o->nworkers <= c->r->caps.max_workers && o->nworkers <= LINK_MAX_WORKERS && pem_ok(c, &o->pem) &&
	    secret_ok(c, o->tls_ticket) && secret_ok(c, o->rsa_key) &&
	    nets_ok(c, o->proxy_nets_off, o->nproxy_nets);
}

static bool
server_ok(const struct cfg *c, const struct cfg_server *o)
{
#define OPT_SERVER(type, name, def, min, max, reload, extra, summary, prose)                       \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	return str_ok(c, o->section_name) && pem_ok(c, &o->pem) && o->id < c->r->caps.max_servers &&
	    o->pool_slot < c->r->caps.max_servers &&
	    (o->cluster < c->r->nclusters || o->cluster == UINT32_MAX);
}

static bool
cluster_ok(const struct cfg *c, const struct cfg_cluster *o)
{
	const u32 *idx;

#define OPT_CLUSTER(type, name, def, min, max, reload, extra, summary, prose)                      \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	if (!str_ok(c, o->section_name) || o->id >= SHM_MAX_CLUSTERS ||
	    o->nservers > c->r->nservers ||
	    !range_ok(c, o->servers_off, o->nservers, sizeof(u32), sizeof(u32)))
		return false;
	idx = cfg_cluster_servers(c, o);
	for (u32 i = 0; i < o->nservers; i++) {
		if (idx[i] >= c->r->nservers)
			return false;
	}
	return true;
}

static bool
user_ok(const struct cfg *c, const struct cfg_user *o)
{
#define OPT_USER(type, name, def, min, max, reload, extra, summary, prose)                         \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	return str_ok(c, o->section_name) && o->id < c->r->caps.max_users && o->cluster_idx < c->r->nclusters &&
	    nets_ok(c, o->nets_off, o->nnets);
}

static bool
schema_ok(const struct cfg *c, const struct cfg_schema *o)
{
#define OPT_SCHEMA(type, name, def, min, max, reload, extra, summary, prose)                       \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	return str_ok(c, o->section_name) && o->shard_idx < c->r->nshards;
}

static bool
shard_ok(const struct cfg *c, const struct cfg_shard *o)
{
#define OPT_SHARD(type, name, def, min, max, reload, extra, summary, prose)                        \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	return str_ok(c, o->section_name) && o->cluster_idx < c->r->nclusters;
}

static bool
table_ok(const struct cfg *c, const struct cfg_table *o)
{
#define OPT_TABLE(type, name, def, min, max, reload, extra, summary, prose)                        \
	if (!OK_##type(name, extra))                                                               \
		return false;
#include "tbl/options.def"
	if (!str_ok(c, o->section_name) || !str_ok(c, o->name) || o->schema_idx >= c->r->nschemas ||
	    !range_ok(c, o->places_off, o->nplaces, sizeof(u32), sizeof(u32)))
		return false;
	for (u32 i = 0; i < o->nplaces; i++) {
		if (cfg_table_places(c, o)[i] >= c->r->nshards)
			return false;
	}
	return true;
}

static bool
listen_ok(const struct cfg *c, const struct cfg_listen *l)
{
	return str_ok(c, l->text) && (l->kind == 4 || l->kind == 6 || l->kind == 1) &&
	    l->fd_index < LINK_MAX_LISTEN && l->tls <= 1 + CFG_TLS_REQUIRED;
}

static bool
arrays_ok(const struct cfg *c)
{
	const struct cfg_root *r = c->r;

	return r->caps.max_workers <= LINK_MAX_WORKERS && r->nservers <= r->caps.max_servers &&
	    r->nclusters <= SHM_MAX_CLUSTERS && r->nusers <= r->caps.max_users &&
	    r->nlistens <= LINK_MAX_LISTEN &&
	    range_ok(c, r->servers_off, r->nservers, sizeof(struct cfg_server), sizeof(u64)) &&
	    range_ok(c, r->clusters_off, r->nclusters, sizeof(struct cfg_cluster), sizeof(u64)) &&
	    range_ok(c, r->users_off, r->nusers, sizeof(struct cfg_user), sizeof(u64)) &&
	    range_ok(c, r->listens_off, r->nlistens, sizeof(struct cfg_listen), sizeof(u32)) &&
	    range_ok(c, r->schemas_off, r->nschemas, sizeof(struct cfg_schema), sizeof(u64)) &&
	    range_ok(c, r->shards_off, r->nshards, sizeof(struct cfg_shard), sizeof(u64)) &&
	    range_ok(c, r->tables_off, r->ntables, sizeof(struct cfg_table), sizeof(u64));
}

static bool
sharding_ok(const struct cfg *c)
{
	for (u32 i = 0; i < c->r->nschemas; i++) {
		if (!schema_ok(c, &cfg_schemas(c)[i]))
			return false;
	}
	for (u32 i = 0; i < c->r->nshards; i++) {
		if (!shard_ok(c, &cfg_shards(c)[i]))
			return false;
	}
	for (u32 i = 0; i < c->r->ntables; i++) {
		if (!table_ok(c, &cfg_tables(c)[i]))
			return false;
	}
	return true;
}

static bool
records_ok(const struct cfg *c)
{
	const struct cfg_user *u = cfg_users(c);

	for (u32 i = 0; i < c->r->nservers; i++) {
		if (!server_ok(c, &cfg_servers(c)[i]))
			return false;
	}
	for (u32 i = 0; i < c->r->nclusters; i++) {
		if (!cluster_ok(c, &cfg_clusters(c)[i]))
			return false;
	}
	for (u32 i = 0; i < c->r->nlistens; i++) {
		if (!listen_ok(c, &cfg_listens(c)[i]))
			return false;
	}
	for (u32 i = 0; i < c->r->nusers; i++) {
		if (!user_ok(c, &u[i]))
			return false;
		/* The binary search needs the order; a name twice would make it a matter of luck. */
		if (i > 0 &&
		    cfg_name_cmp(cfg_text(c, u[i - 1].section_name), u[i - 1].section_name.len,
			cfg_text(c, u[i].section_name), u[i].section_name.len) >= 0)
			return false;
	}
	return true;
}

static int
headers_check(const struct cfg *c)
{
	if (c->size < sizeof(struct cfg_root) || (uintptr_t)c->r % sizeof(u64) != 0 ||
	    c->r->h.magic != SHM_MAGIC_CONFIG)
		return ERR_INVAL;
	if (c->r->h.abi != shm_abi)
		return ERR_ABI;
	if (c->r->h.size != c->size || c->size > UINT32_MAX)
		return ERR_INVAL;
	if (c->s == NULL)
		return 0;
	if (c->ssize < sizeof(struct cfg_secrets) || (uintptr_t)c->s % sizeof(u64) != 0 ||
	    c->s->magic != SHM_MAGIC_SECRET)
		return ERR_INVAL;
	if (c->s->abi != shm_abi)
		return ERR_ABI;
	return c->s->size != c->ssize || c->ssize > UINT32_MAX ||
		c->s->generation != c->r->h.generation
	    ? ERR_INVAL
	    : 0;
}

int
cfg_open_mem(const void *p, size_t size, const void *sp, size_t ssize, struct cfg *c)
{
	int rc;

	*c = (struct cfg){.r = p, .s = sp, .size = size, .ssize = sp != NULL ? ssize : 0};
	rc = headers_check(c);
	if (rc == 0 && (!arrays_ok(c) || !margay_ok(c) || !records_ok(c) || !sharding_ok(c)))
		rc = ERR_INVAL;
	if (rc != 0)
		*c = (struct cfg){0};
	return rc;
}

/* Only a memfd whose bytes and size can change no more is worth checking once. Mapped private: before Linux
 * 6.7 a write-sealed file cannot be mapped shared, not even to read; pages are shared all the same. */
static int
sealed_map(int fd, const void **p_r, size_t *size_r)
{
	const int want = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & want) != want || fstat(fd, &st) != 0 || st.st_size <= 0)
		return ERR_INVAL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return ERR_SYSTEM;
	*p_r = p;
	*size_r = (size_t)st.st_size;
	return 0;
}

static void
unmap(const void *p, size_t size)
{
	if (p != NULL)
		munmap((void *)(uintptr_t)p, size);
}

int
cfg_open(int fd, int sfd, struct cfg *c)
{
	const void *p = NULL, *sp = NULL;
	size_t size = 0, ssize = 0;
	int rc;

	*c = (struct cfg){0};
	rc = sealed_map(fd, &p, &size);
	if (rc == 0 && sfd >= 0)
		rc = sealed_map(sfd, &sp, &ssize);
	if (rc == 0)
		rc = cfg_open_mem(p, size, sp, ssize, c);
	if (rc == 0) {
		c->mapped = true;
		return 0;
	}
	unmap(p, size);
	unmap(sp, ssize);
	return rc;
}

void
cfg_close(struct cfg *c)
{
	if (c->mapped) {
		unmap(c->r, c->size);
		unmap(c->s, c->ssize);
	}
	*c = (struct cfg){0};
}

int
cfg_name_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	int d = memcmp(a, b, MIN(alen, blen));

	return d != 0 ? d : (alen > blen) - (alen < blen);
}

const struct cfg_user *
cfg_user_find(const struct cfg *c, const char *name, size_t len)
{
	const struct cfg_user *u = cfg_users(c);
	u32 lo = 0, hi = c->r->nusers;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		int d = cfg_name_cmp(
		    name, len, cfg_text(c, u[mid].section_name), u[mid].section_name.len);

		if (d == 0)
			return &u[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static bool
prefix_eq(const u8 *a, const u8 *b, u32 bits)
{
	u32 whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (u8)((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool
nets_have(const struct cfg *c, u32 off, u32 nnets, u8 family, const u8 *addr)
{
	static const u8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const struct cfg_net *n = cfg_at(c, off);

	if (family == 6 && memcmp(addr, mapped, sizeof mapped) == 0) {
		family = 4;
		addr += sizeof mapped;
	}
	for (u32 i = 0; i < nnets; i++) {
		if (n[i].family == family && (family == 1 || prefix_eq(n[i].addr, addr, n[i].prefix)))
			return true;
	}
	return false;
}

bool
cfg_net_allows(const struct cfg *c, const struct cfg_user *u, u8 family, const u8 *addr)
{
	return u->nnets == 0 || nets_have(c, u->nets_off, u->nnets, family, addr);
}

bool
cfg_net_proxies(const struct cfg *c, u8 family, const u8 *addr)
{
	return nets_have(c, c->r->margay.proxy_nets_off, c->r->margay.nproxy_nets, family, addr);
}
