/* shm/digest.c: see digest.h. Workers; the functions that write are for the segment's own one. */
#include "shm/digest.h"
#include "shm/seq.h"

static u32
first_way(const struct shm_seg_worker *s, u64 key)
{
	return (u32)key & (s->max_digests - 1) & ~(SHM_DIGEST_WAYS - 1);
}

struct shm_digest *
shm_digest_find(const struct shm_seg_worker *s, u64 key, u32 *index_r)
{
	const u64 *keys = shm_worker_digest_keys(s);
	u32 at = s->max_digests == 0 ? 0 : first_way(s, key), end = s->max_digests == 0 ? 0 : at + SHM_DIGEST_WAYS;

	for (; at < end; at++) {
		if (keys[at] == key) {
			*index_r = at;
			return &shm_worker_digests(s)[at];
		}
	}
	return NULL;
}

struct shm_digest *
shm_digest_at(const struct shm_seg_worker *s, u32 index, u64 key)
{
	return shm_worker_digest_keys(s)[index] == key ? &shm_worker_digests(s)[index] : NULL;
}

struct shm_digest *
shm_digest_begin(struct shm_seg_worker *s, u64 key, u64 now, u32 *index_r)
{
	u64 *keys = shm_worker_digest_keys(s);
	struct shm_digest *all = shm_worker_digests(s), *d;
	u32 at, pick;

	if (s->max_digests == 0)
		return NULL;
	at = pick = first_way(s, key);
	for (u32 i = at; i < at + SHM_DIGEST_WAYS && keys[pick] != 0; i++)
		if (keys[i] == 0 || all[i].last < all[pick].last)
			pick = i;
	if (keys[pick] != 0)
		STAT_ADD(s->stat.digests_evicted, 1);
	d = &all[pick];
	keys[pick] = key;
	seq_write_begin(&d->seq);
	for (size_t i = offsetof(struct shm_digest, key); i < offsetof(struct shm_digest, text); i += 8)
		__atomic_store_n((u64 *)(void *)((u8 *)d + i), 0, __ATOMIC_RELEASE);
	__atomic_store_n(&d->key, key, __ATOMIC_RELEASE);
	STAT_SET(d->last, now);
	*index_r = pick;
	return d;
}
