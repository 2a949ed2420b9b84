/* shm/cfg.h: a configuration generation as workers and health see it: one immutable sealed memfd with
 * offsets only, and a second one with the secrets. Built by conf/ in the master; read through here.
 * No pointer into a snapshot may outlive the event in which it was taken: sessions keep ids and generation.
 */
#ifndef MARGAY_SHM_CFG_H
#define MARGAY_SHM_CFG_H
#include "shm/map.h"

struct cfg_str { /* NUL-terminated; off 0: unset */
	u32 off, len;
};
struct cfg_secret { /* in the secrets blob, NUL-terminated; off 0: unset */
	u32 off, len;
};
struct cfg_list { /* n struct cfg_str at off */
	u32 off, n;
};

#define CFG_BOOL(name)   u64 name;
#define CFG_UINT(name)   u64 name;
#define CFG_MSEC(name)   u64 name;
#define CFG_BYTES(name)  u64 name;
#define CFG_ENUM(name)   u64 name;
#define CFG_STR(name)    struct cfg_str name;
#define CFG_SECRET(name) struct cfg_secret name;
#define CFG_LIST(name)   struct cfg_list name;

/* What stood in the files of tls_ options when they were read: PEM texts, in the secrets blob. */
struct cfg_pem {
	struct cfg_secret cert, key, ca, crl;
	struct cfg_secret rsa; /* auth_rsa_key of [server] */
};

struct cfg_margay {
#define OPT_MARGAY(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	/* computed */
	u32 nworkers; /* workers, resolved */
	u32 nproxy_nets; /* proxy_protocol_networks */
	u32 proxy_nets_off; /* struct cfg_net[nproxy_nets] */
	u32 pad;
	struct cfg_pem pem;
	struct cfg_secret tls_ticket; /* hex digits: what the keys of session tickets are made from, and what is asked of users that nobody knows */
	struct cfg_secret rsa_key;    /* PEM: passwords of caching_sha2_password come encrypted for it; unset: no user needs it */
};
struct cfg_server {
#define OPT_SERVER(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name;
	u32 id;        /* index in shared memory; kept over reloads while the name stays */
	u32 pool_slot; /* index in the pool segment; the same address gets the same one */
	u32 cluster;   /* index in clusters of this generation, ~0 if in none */
	u32 pad;
	struct cfg_pem pem;
};
struct cfg_cluster {
#define OPT_CLUSTER(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name;
	u32 id;          /* index in shared memory; kept over reloads while the name stays */
	u32 nservers;    /* indices into servers of this generation */
	u32 servers_off; /* u32[nservers] */
	u32 pad;
};
/* A network: family 4, 6 or 1 (unix sockets), the first `prefix` bits of addr. */
struct cfg_net {
	u8 family, prefix, pad[6];
	u8 addr[16];
};
struct cfg_user {
#define OPT_USER(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name; /* user name, case-sensitive as in MySQL */
	u32 id;          /* index of the per-user counters; kept over reloads while the name stays */
	u32 cluster_idx; /* index in clusters of this generation */
	u32 nnets;
	u32 nets_off; /* struct cfg_net[nnets] */
};
struct cfg_shard {
#define OPT_SHARD(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name;
	u32 cluster_idx; /* index in clusters of this generation */
	u32 pad;
};
struct cfg_schema {
#define OPT_SCHEMA(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name; /* name of the schema, as clients write it */
	u32 shard_idx; /* index in shards of this generation */
	u32 pad;
};
struct cfg_table {
#define OPT_TABLE(type, name, def, min, max, reload, extra, summary, prose) CFG_##type(name)
#include "tbl/options.def"
	struct cfg_str section_name; /* schema.name */
	struct cfg_str name;
	u32 schema_idx;
	u32 nplaces;    /* its shards, ranges and defaults resolved: indices in shards of this generation */
	u32 places_off; /* u32[nplaces] */
	u32 pad;
};
struct cfg_listen { /* kind: 4, 6 or 1 (unix); text: the address, as bound by the master */
	struct cfg_str text;
	u32 kind;
	u32 fd_index; /* which of the fds that came with the LISTEN message */
	u32 tls;      /* 0: as [margay] tls says; else 1 + enum cfg_tls_front */
	u32 pad;
};

/* Enumerations whose order is that of `extra` in tbl/options.def (a unit test compares them). */
enum cfg_topology { CFG_REPLICATION, CFG_GALERA, CFG_STANDALONE };
enum cfg_read_policy { CFG_READ_REPLICAS, CFG_READ_ALL, CFG_READ_PRIMARY };
enum cfg_tls_front { CFG_TLS_OFF, CFG_TLS_PREFERRED, CFG_TLS_REQUIRED };
enum cfg_tls_server { CFG_STLS_OFF, CFG_STLS_PREFERRED, CFG_STLS_REQUIRED, CFG_STLS_CA, CFG_STLS_FULL };
enum cfg_proxy_protocol { CFG_PROXY_OFF, CFG_PROXY_V2 };
enum cfg_compression { CFG_ZIP_OFF, CFG_ZIP_ZLIB, CFG_ZIP_ZSTD, CFG_ZIP_ANY }; /* ANY: towards clients only */
enum cfg_tls_user { CFG_UTLS_ANY, CFG_UTLS_REQUIRED, CFG_UTLS_CERT };
enum cfg_causal { CFG_CAUSAL_SESSION, CFG_CAUSAL_CLUSTER, CFG_CAUSAL_OFF };
enum cfg_table_kind { CFG_SHARDED, CFG_GLOBAL, CFG_SINGLE };
enum cfg_read_split { CFG_SPLIT_YES, CFG_SPLIT_NO };
enum cfg_auth { CFG_AUTH_NATIVE, CFG_AUTH_SHA2, CFG_AUTH_ED25519 }; /* [margay] default_auth_plugin; [user] auth_plugin has "default" before them */

/* What the secret of a user is, by its looks. */
enum cfg_secret_kind {
	CFG_PLAIN,
	CFG_NATIVE_HASH,  /* "*" and 40 hex digits */
	CFG_SHA2_HASH,    /* of caching_sha2_password, as auth_sha2_hash_parse (proto/auth.h) takes it */
	CFG_ED25519_HASH, /* CFG_ED25519_PREFIX and 43 digits of base64 */
};
#define CFG_ED25519_PREFIX "ed25519:"
enum cfg_secret_kind cfg_secret_kind(const char *text);
const char *cfg_ed25519_key(const char *text); /* the digits in a CFG_ED25519_HASH */

struct cfg_root {
	struct shm_header h; /* SHM_MAGIC_CONFIG; generation in h.generation */
	u32 nservers, nclusters, nusers, nlistens;
	u32 servers_off, clusters_off, users_off, listens_off;
	u32 nschemas, nshards, ntables, pad;
	u32 schemas_off, shards_off, tables_off, pad3;
	/* users sorted by name (memcmp) for binary search */
	struct cfg_margay margay;
	struct shm_caps caps;
	u32 pad2;
};
struct cfg_secrets {
	u64 magic, abi, size, generation; /* SHM_MAGIC_SECRET; size of all; generation of its snapshot */
	/* bytes */
};

/* Reading. Everything is checked against the mapped size once, in cfg_open; see shm/README. */
struct cfg {
	const struct cfg_root *r;
	const struct cfg_secrets *s; /* NULL in programs that get no secrets */
	size_t size, ssize;
	bool mapped; /* by cfg_open: cfg_close unmaps */
};
/* Maps both fds (sfd -1: none), verifies magic, ABI, seals and every offset. 0, ERR_ABI or ERR_INVAL. */
MUST_CHECK int cfg_open(int fd, int sfd, struct cfg *c);
/* The same over memory (unit tests, the store). The memory stays the caller's. */
MUST_CHECK int cfg_open_mem(const void *p, size_t size, const void *sp, size_t ssize, struct cfg *c);
void cfg_close(struct cfg *c);

static inline const void *
cfg_at(const struct cfg *c, u32 off)
{
	return (const u8 *)c->r + off;
}
static inline const char *
cfg_text(const struct cfg *c, struct cfg_str s)
{
	return s.off == 0 ? "" : (const char *)cfg_at(c, s.off);
}
/* "" when unset or when this process got no secrets. */
static inline const char *
cfg_secret_text(const struct cfg *c, struct cfg_secret s)
{
	return s.off == 0 || c->s == NULL ? "" : (const char *)c->s + s.off;
}
static inline const struct cfg_server *
cfg_servers(const struct cfg *c)
{
	return cfg_at(c, c->r->servers_off);
}
static inline const struct cfg_cluster *
cfg_clusters(const struct cfg *c)
{
	return cfg_at(c, c->r->clusters_off);
}
static inline const struct cfg_user *
cfg_users(const struct cfg *c)
{
	return cfg_at(c, c->r->users_off);
}
static inline const struct cfg_listen *
cfg_listens(const struct cfg *c)
{
	return cfg_at(c, c->r->listens_off);
}
static inline const struct cfg_schema *
cfg_schemas(const struct cfg *c)
{
	return cfg_at(c, c->r->schemas_off);
}
static inline const struct cfg_shard *
cfg_shards(const struct cfg *c)
{
	return cfg_at(c, c->r->shards_off);
}
static inline const struct cfg_table *
cfg_tables(const struct cfg *c)
{
	return cfg_at(c, c->r->tables_off);
}
static inline const u32 *
cfg_table_places(const struct cfg *c, const struct cfg_table *t)
{
	return cfg_at(c, t->places_off);
}
static inline const u32 *
cfg_cluster_servers(const struct cfg *c, const struct cfg_cluster *k)
{
	return cfg_at(c, k->servers_off);
}
static inline const char *
cfg_list_text(const struct cfg *c, struct cfg_list l, u32 i)
{
	return cfg_text(c, ((const struct cfg_str *)cfg_at(c, l.off))[i]);
}
/* The order of users: memcmp, then the shorter first. */
int cfg_name_cmp(const char *a, size_t alen, const char *b, size_t blen);
/* How the user's clients prove who they are. */
static inline enum cfg_auth
cfg_user_auth(const struct cfg *c, const struct cfg_user *u)
{
	return (enum cfg_auth)(u->auth_plugin == 0 ? c->r->margay.default_auth_plugin : u->auth_plugin - 1);
}
/* By name, or NULL. */
const struct cfg_user *cfg_user_find(const struct cfg *c, const char *name, size_t len);
/* Is the address (family 4, 6, 1; addr in network order) inside one of the user's networks? None: yes.
 * An IPv4 address mapped into IPv6 (::ffff:a.b.c.d, from a dual-stack listener) counts as IPv4. */
bool cfg_net_allows(const struct cfg *c, const struct cfg_user *u, u8 family, const u8 *addr);
/* The same for networks whose PROXY headers are taken; none: no. */
bool cfg_net_proxies(const struct cfg *c, u8 family, const u8 *addr);
#endif
