/* shm/layout.h: expands tbl/layout.def and tbl/counters.def into the structs of all segments. The contract
 * (who writes what, how it is read) is in shm/README. Any process.
 */
#ifndef MARGAY_SHM_LAYOUT_H
#define MARGAY_SHM_LAYOUT_H
#include "base/base.h"
#include "tbl/layout.def"

/* A row's count picks the declarator: 0 is a scalar. A new array length needs its line here. */
#define SHM_DECL(t, f, n, doc) SHM_DECL_IF_##n(t, f)
#define SHM_DECL_IF_0(t, f)    t f;
#define SHM_DECL_IF_8(t, f)    t f[8];
#define SHM_DECL_IF_16(t, f)   t f[16];
#define SHM_DECL_IF_32(t, f)   t f[32];
#define SHM_DECL_IF_48(t, f)   t f[48];
#define SHM_DECL_IF_56(t, f)   t f[56];
#define SHM_DECL_IF_64(t, f)   t f[64];
#define SHM_DECL_IF_128(t, f)  t f[128];
#define SHM_DECL_IF_192(t, f)  t f[192];
#define SHM_DECL_IF_256(t, f)  t f[256];
#define SHM_DECL_IF_448(t, f)  t f[448];
#define SHM_DECL_IF_1024(t, f) t f[1024];

#define SHM_STRUCT(rec)                                                                            \
	struct shm_##rec {                                                                         \
		LAYOUT_##rec(SHM_DECL)                                                             \
	};                                                                                         \
	_Static_assert(sizeof(struct shm_##rec) % 8 == 0, #rec " is not a multiple of 8 bytes")

SHM_STRUCT(header);
SHM_STRUCT(master);
SHM_STRUCT(slot);
SHM_STRUCT(srvname);
SHM_STRUCT(cluname);
SHM_STRUCT(srvhealth);
SHM_STRUCT(cluhealth);
SHM_STRUCT(session);
SHM_STRUCT(usergtid);
SHM_STRUCT(addrcount);
SHM_STRUCT(digest);
SHM_STRUCT(pool);
SHM_STRUCT(poolsrv);
SHM_STRUCT(poolcell);
SHM_STRUCT(auth);
SHM_STRUCT(autent);

#define SHM_MAX_CLUSTERS 64  /* as many as a [user] can name; a cluster is a few words */
#define SHM_PANIC_SIZE   2048
#define SHM_ADDR_SIZE    112 /* u32 length + the largest sockaddr kept (sockaddr_un: 110) rounded */
#define SHM_ADDR_MAX     4
_Static_assert(SHM_ADDR_SIZE * SHM_ADDR_MAX == sizeof(((struct shm_srvhealth *)0)->addr), "addr room");

#define SHM_MAGIC(a, b, c, d, e, f, g, h)                                                          \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |             \
	    (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)
#define SHM_MAGIC_MASTER SHM_MAGIC('M', 'A', 'R', 'G', 'n', 'a', 'm', 'e')
#define SHM_MAGIC_HEALTH SHM_MAGIC('M', 'A', 'R', 'G', 'h', 'l', 't', 'h')
#define SHM_MAGIC_WORKER SHM_MAGIC('M', 'A', 'R', 'G', 'w', 'o', 'r', 'k')
#define SHM_MAGIC_POOL   SHM_MAGIC('M', 'A', 'R', 'G', 'p', 'o', 'o', 'l')
#define SHM_MAGIC_AUTH   SHM_MAGIC('M', 'A', 'R', 'G', 'a', 'u', 't', 'h')
#define SHM_MAGIC_CATALOG SHM_MAGIC('M', 'A', 'R', 'G', 'c', 'a', 't', 'a')
#define SHM_MAGIC_CONFIG SHM_MAGIC('M', 'A', 'R', 'G', 'c', 'o', 'n', 'f')
#define SHM_MAGIC_SECRET SHM_MAGIC('M', 'A', 'R', 'G', 's', 'e', 'c', 'r') /* struct cfg_secrets */

enum shm_master_state { SHM_MASTER_STARTING, SHM_MASTER_SERVING, SHM_MASTER_STOPPING };
enum shm_slot_state { SHM_SLOT_EMPTY, SHM_SLOT_STARTING, SHM_SLOT_SERVING, SHM_SLOT_THROTTLED };
enum shm_admin { SHM_ADMIN_ONLINE, SHM_ADMIN_DRAIN };

/* Counters: one struct per scope, u64 each. */
#define CTR_WORKER(name, kind, unit, summary) u64 name;
struct shm_wstat {
#include "tbl/counters.def"
};
#define CTR_SERVER(name, kind, unit, summary) u64 name;
struct shm_sstat {
#include "tbl/counters.def"
};
#define CTR_MASTER(name, kind, unit, summary) u64 name;
struct shm_mstat {
#include "tbl/counters.def"
};
#define CTR_HEALTH(name, kind, unit, summary) u64 name;
struct shm_hstat {
#include "tbl/counters.def"
};
#define HIST(name, summary) SHM_HIST_##name,
enum shm_hist_id {
#include "tbl/counters.def"
	SHM_HISTS
};

/* A histogram of nanoseconds: 8 linear sub-buckets in each power of two (at most 12.5% off), from 1 us to
 * about 120 s; bucket 0 is less than 1,024 ns, the last one all above. */
#define SHM_HIST_BUCKETS 216
struct shm_hist {
	u64 n[SHM_HIST_BUCKETS];
	u64 sum;
};

/* Segments. Arrays follow the fixed part; shm/map.h finds them from the capacities that each one holds. */
struct shm_seg_master {
	struct shm_header h;
	struct shm_master m;
	struct shm_mstat stat;
	struct shm_slot health;
	struct shm_cluname clusters[SHM_MAX_CLUSTERS];
	/* struct shm_slot workers[max_workers]; struct shm_srvname servers[max_servers]; */
	u8 rest[];
};
struct shm_seg_health {
	struct shm_header h;
	struct shm_hstat stat;
	char panic[SHM_PANIC_SIZE];
	struct shm_cluhealth clusters[SHM_MAX_CLUSTERS];
	struct shm_srvhealth servers[]; /* max_servers */
};
struct shm_seg_worker {
	struct shm_header h;
	u32 max_servers, max_users, max_sessions, max_addrs;
	u32 max_digests, pad; /* a power of two, or 0 */
	char panic[SHM_PANIC_SIZE];
	struct shm_wstat stat;
	struct shm_hist hist[SHM_HISTS];
	/* struct shm_sstat servers[max_servers]; u64 users[max_users] (clients of each, atomic);
	 * struct shm_usergtid gtids[max_users]; struct shm_session sessions[max_sessions]; struct shm_addrcount addrs[max_addrs];
	 * u64 digest_keys[max_digests]; struct shm_digest digests[max_digests]; */
	u8 rest[];
};
struct shm_seg_pool {
	struct shm_header h;
	struct shm_pool p;
	/* struct shm_poolsrv srv[max_servers]; struct shm_poolcell cells[max_servers][max_cells]; */
	u8 rest[];
};

struct shm_seg_auth {
	struct shm_header h;
	struct shm_auth a;
	/* struct shm_autent entries[entries]; */
	u8 rest[];
};

#define SHM_DIGEST_WAYS  8u /* places that a digest may stand in: their keys are one line of the cache */
#define SHM_DIGESTS_MOST 65536u

/* One field of a record, for tools that print what they do not know by name. */
struct shm_field {
	const char *record, *name, *ctype, *doc;
	u32 off, size, count;
};
extern const struct shm_field shm_fields[];
extern const size_t shm_nfields;

/* One counter. */
struct shm_counter {
	const char *name;
	char kind; /* 'C' or 'G' */
	const char *unit, *summary;
	u32 off;
};
extern const struct shm_counter shm_worker_counters[], shm_server_counters[], shm_master_counters[],
    shm_health_counters[];
extern const size_t shm_nworker_counters, shm_nserver_counters, shm_nmaster_counters,
    shm_nhealth_counters;
extern const char *const shm_hist_names[SHM_HISTS], *const shm_hist_summaries[SHM_HISTS];
#endif
