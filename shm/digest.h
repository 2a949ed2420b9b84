/* shm/digest.h: the table of statement statistics in a worker's segment: one record for each shape and schema. Its worker alone
 * writes it; readers copy records and add up those of all workers. Nothing waits.
 */
#ifndef MARGAY_SHM_DIGEST_H
#define MARGAY_SHM_DIGEST_H
#include "shm/map.h"

#define SHM_DIGEST_TIMES 32 /* buckets of times */

/* The record of key (not 0), NULL: there is none. index_r: where it is, for shm_digest_at. */
struct shm_digest *shm_digest_find(const struct shm_seg_worker *s, u64 key, u32 *index_r);
/* A record for a key that has none: a free one, or the one that was not seen for the longest time. All but seq and key is 0;
 * the caller fills the rest in and ends the write with seq_write_end. NULL: the table has no room at all. */
struct shm_digest *shm_digest_begin(struct shm_seg_worker *s, u64 key, u64 now, u32 *index_r);
/* The record at index, if it is that of key still. */
struct shm_digest *shm_digest_at(const struct shm_seg_worker *s, u32 index, u64 key);

static inline u32
shm_digest_bucket(u64 ns)
{
	u32 bits = 64 - (u32)__builtin_clzll(ns | 1);

	return bits <= 10 ? 0 : MIN(bits - 10, SHM_DIGEST_TIMES - 1u);
}
#endif
