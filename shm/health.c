/* shm/health.c: the detail records of the health segment, and the words for what they say. Health's
 * publishing thread writes; workers and tools read, without waiting.
 */
#include "shm/health.h"

#define SRV_STATE(sym, word, takes, meaning) word,
const char *const srv_state_words[SRV_STATES] = {
#include "tbl/server_states.def"
};
#define SRV_STATE(sym, word, takes, meaning) meaning,
const char *const srv_state_meanings[SRV_STATES] = {
#include "tbl/server_states.def"
};
#define SRV_CAUSE(sym, word, meaning) word,
const char *const srv_cause_words[SRV_CAUSES] = {
#include "tbl/server_states.def"
};
#define SRV_CAUSE(sym, word, meaning) meaning,
const char *const srv_cause_meanings[SRV_CAUSES] = {
#include "tbl/server_states.def"
};
#define SRV_ROLE(sym, word, meaning) word,
const char *const srv_role_words[SRV_ROLES] = {
#include "tbl/server_states.def"
};

/* The word and the sequence counter come first; all behind them is guarded. */
#define DETAIL_OFF  offsetof(struct shm_srvhealth, probed)
#define DETAIL_SIZE (sizeof(struct shm_srvhealth) - DETAIL_OFF)
_Static_assert(offsetof(struct shm_srvhealth, word) == 0, "word is first");
_Static_assert(offsetof(struct shm_srvhealth, seq) + sizeof(u64) == DETAIL_OFF, "then seq");
_Static_assert(DETAIL_SIZE % 8 == 0, "whole words");

void
srv_detail_publish(struct shm_srvhealth *dst, const struct shm_srvhealth *src)
{
	/* A predecessor may have died in the middle of this record. */
	seq_repair(&dst->seq);
	seq_write_begin(&dst->seq);
	seq_words_store(&dst->probed, &src->probed, DETAIL_SIZE);
	seq_write_end(&dst->seq);
	__atomic_store_n(&dst->word, src->word, __ATOMIC_RELEASE);
}

int
srv_detail_read(const struct shm_srvhealth *src, struct shm_srvhealth *dst_r)
{
	/* The word first: the details are then at least as new as it is. */
	dst_r->word = __atomic_load_n(&src->word, __ATOMIC_ACQUIRE);
	dst_r->seq = 0;
	return seq_read(&src->seq, &dst_r->probed, &src->probed, DETAIL_SIZE);
}
