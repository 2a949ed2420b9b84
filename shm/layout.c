/* shm/layout.c: descriptor tables expanded from tbl/, for tools. Any process. */
#include "shm/layout.h"

#define FIELD_DESC(rec) #rec
#define D(t, f, n, doc) {REC, #f, #t, doc, (u32)offsetof(REC_T, f), (u32)sizeof(((REC_T *)0)->f), n},

const struct shm_field shm_fields[] = {
#define REC   "header"
#define REC_T struct shm_header
    LAYOUT_header(D)
#undef REC
#undef REC_T
#define REC   "master"
#define REC_T struct shm_master
    LAYOUT_master(D)
#undef REC
#undef REC_T
#define REC   "slot"
#define REC_T struct shm_slot
    LAYOUT_slot(D)
#undef REC
#undef REC_T
#define REC   "srvname"
#define REC_T struct shm_srvname
    LAYOUT_srvname(D)
#undef REC
#undef REC_T
#define REC   "cluname"
#define REC_T struct shm_cluname
    LAYOUT_cluname(D)
#undef REC
#undef REC_T
#define REC   "srvhealth"
#define REC_T struct shm_srvhealth
    LAYOUT_srvhealth(D)
#undef REC
#undef REC_T
#define REC   "cluhealth"
#define REC_T struct shm_cluhealth
    LAYOUT_cluhealth(D)
#undef REC
#undef REC_T
#define REC   "session"
#define REC_T struct shm_session
    LAYOUT_session(D)
#undef REC
#undef REC_T
#define REC   "usergtid"
#define REC_T struct shm_usergtid
    LAYOUT_usergtid(D)
#undef REC
#undef REC_T
#define REC   "addrcount"
#define REC_T struct shm_addrcount
    LAYOUT_addrcount(D)
#undef REC
#undef REC_T
#define REC   "digest"
#define REC_T struct shm_digest
    LAYOUT_digest(D)
#undef REC
#undef REC_T
#define REC   "pool"
#define REC_T struct shm_pool
    LAYOUT_pool(D)
#undef REC
#undef REC_T
#define REC   "poolsrv"
#define REC_T struct shm_poolsrv
    LAYOUT_poolsrv(D)
#undef REC
#undef REC_T
#define REC   "poolcell"
#define REC_T struct shm_poolcell
    LAYOUT_poolcell(D)
#undef REC
#undef REC_T
#define REC   "auth"
#define REC_T struct shm_auth
    LAYOUT_auth(D)
#undef REC
#undef REC_T
#define REC   "autent"
#define REC_T struct shm_autent
    LAYOUT_autent(D)
};
const size_t shm_nfields = ARRAY_LEN(shm_fields);

#define CTR_WORKER(name, kind, unit, summary)                                                      \
	{#name, #kind[0], #unit, summary, (u32)offsetof(struct shm_wstat, name)},
const struct shm_counter shm_worker_counters[] = {
#include "tbl/counters.def"
};
const size_t shm_nworker_counters = ARRAY_LEN(shm_worker_counters);
#define CTR_SERVER(name, kind, unit, summary)                                                      \
	{#name, #kind[0], #unit, summary, (u32)offsetof(struct shm_sstat, name)},
const struct shm_counter shm_server_counters[] = {
#include "tbl/counters.def"
};
const size_t shm_nserver_counters = ARRAY_LEN(shm_server_counters);
#define CTR_MASTER(name, kind, unit, summary)                                                      \
	{#name, #kind[0], #unit, summary, (u32)offsetof(struct shm_mstat, name)},
const struct shm_counter shm_master_counters[] = {
#include "tbl/counters.def"
};
const size_t shm_nmaster_counters = ARRAY_LEN(shm_master_counters);
#define CTR_HEALTH(name, kind, unit, summary)                                                      \
	{#name, #kind[0], #unit, summary, (u32)offsetof(struct shm_hstat, name)},
const struct shm_counter shm_health_counters[] = {
#include "tbl/counters.def"
};
const size_t shm_nhealth_counters = ARRAY_LEN(shm_health_counters);

#define HIST(name, summary) #name,
const char *const shm_hist_names[] = {
#include "tbl/counters.def"
};
#define HIST(name, summary) summary,
const char *const shm_hist_summaries[] = {
#include "tbl/counters.def"
};
