/* shm/health.h: the hot words of the health segment and its detail records. Written by health's publishing
 * thread alone; read lock-free by workers and tools.
 */
#ifndef MARGAY_SHM_HEALTH_H
#define MARGAY_SHM_HEALTH_H
#include "shm/layout.h"
#include "shm/seq.h"

enum srv_state {
#define SRV_STATE(sym, word, takes, meaning) SRV_##sym,
#include "tbl/server_states.def"
	SRV_STATES
};
enum srv_cause {
#define SRV_CAUSE(sym, word, meaning) SRV_CAUSE_##sym,
#include "tbl/server_states.def"
	SRV_CAUSES
};
enum srv_role {
#define SRV_ROLE(sym, word, meaning) SRV_ROLE_##sym,
#include "tbl/server_states.def"
	SRV_ROLES
};
extern const char *const srv_state_words[SRV_STATES], *const srv_cause_words[SRV_CAUSES],
    *const srv_role_words[SRV_ROLES];
extern const char *const srv_state_meanings[SRV_STATES], *const srv_cause_meanings[SRV_CAUSES];

/* word: bits 0-3 state, 4-7 role, 8-15 cause, 16-39 lag in ms (SRV_LAG_UNKNOWN: not known), 40-63 epoch
 * (counts changes of state or role). */
#define SRV_LAG_UNKNOWN 0xffffffu
struct srv_verdict {
	enum srv_state state;
	enum srv_role role;
	enum srv_cause cause;
	u32 lag_ms;
	u32 epoch;
};
static inline u64
srv_word_pack(const struct srv_verdict *v)
{
	return (u64)v->state | (u64)v->role << 4 | (u64)v->cause << 8 |
	    (u64)MIN(v->lag_ms, SRV_LAG_UNKNOWN) << 16 | (u64)(v->epoch & 0xffffff) << 40;
}
static inline struct srv_verdict
srv_word_unpack(u64 w)
{
	return (struct srv_verdict){.state = (enum srv_state)(w & 15),
	    .role = (enum srv_role)(w >> 4 & 15), .cause = (enum srv_cause)(w >> 8 & 255),
	    .lag_ms = (u32)(w >> 16 & 0xffffff), .epoch = (u32)(w >> 40)};
}
static inline struct srv_verdict
srv_verdict_load(const struct shm_seg_health *h, u32 server)
{
	return srv_word_unpack(__atomic_load_n(&h->servers[server].word, __ATOMIC_ACQUIRE));
}
/* Primary of a cluster: server id, or -1. */
static inline int
clu_primary_load(const struct shm_seg_health *h, u32 cluster, u32 *epoch_r)
{
	u64 w = __atomic_load_n(&h->clusters[cluster].word, __ATOMIC_ACQUIRE);

	if (epoch_r != NULL)
		*epoch_r = (u32)(w >> 32);
	return (int)(u32)w - 1;
}
/* Publishes all of *src but `word` and `seq` under seq, then the word. */
void srv_detail_publish(struct shm_srvhealth *dst, const struct shm_srvhealth *src);
/* Copies the record; 0 or ERR_STALE. */
MUST_CHECK int srv_detail_read(const struct shm_srvhealth *src, struct shm_srvhealth *dst_r);
#endif
