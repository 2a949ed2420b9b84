/* Unit tests of shm/digest.c and of what shm_worker_reclaim does to its table: places, who goes first, a writer's death. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "shm/digest.h"
#include "shm/seq.h"

static const struct shm_caps caps = {.max_servers = 1, .max_workers = 1, .max_users = 1, .max_sessions = 1, .max_cells = 1,
    .max_digests = 20};
static struct shm_seg_worker *seg;

static void
make(u32 digests)
{
	struct shm_caps c = caps;

	c.max_digests = digests;
	seg = aligned_alloc(64, (shm_size_worker(&c) + 63) / 64 * 64);
	cr_assert_not_null(seg);
	memset(seg, 0, shm_size_worker(&c));
	seg->h.size = shm_size_worker(&c);
	shm_worker_setup(seg, &c);
}

static struct shm_digest *
begin(u64 key, u64 now, u32 *at)
{
	struct shm_digest *d = shm_digest_begin(seg, key, now, at);

	cr_assert_not_null(d);
	cr_assert(d->seq & 1);
	cr_assert(d->key == key && d->last == now && d->count == 0);
	d->hash = key * 3;
	d->count = 1;
	seq_write_end(&d->seq);
	return d;
}

Test(shm_digest, places)
{
	struct shm_digest *d;
	u32 at, found;

	make(20);
	cr_assert_eq(seg->max_digests, 32);
	cr_assert_null(shm_digest_find(seg, 7, &at));
	d = begin(7, 100, &at);
	cr_assert_eq(shm_digest_find(seg, 7, &found), d);
	cr_assert_eq(at, found);
	cr_assert_eq(shm_digest_at(seg, at, 7), d);
	cr_assert_null(shm_digest_at(seg, at, 8));
	/* keys of one set: eight have room, the ninth takes the place of the one not seen for the longest time */
	for (u32 i = 1; i < SHM_DIGEST_WAYS; i++)
		begin(7 + 32 * i, 100 + i, &at);
	cr_assert_eq(seg->stat.digests_evicted, 0);
	d->last = 1000;
	begin(7 + 32 * 100, 1001, &at);
	cr_assert_eq(seg->stat.digests_evicted, 1);
	cr_assert_not_null(shm_digest_find(seg, 7, &at));
	cr_assert_null(shm_digest_find(seg, 7 + 32, &at));
	cr_assert_not_null(shm_digest_find(seg, 7 + 32 * 2, &at));
	free(seg);
}

Test(shm_digest, no_room)
{
	u32 at;

	make(0);
	cr_assert_eq(seg->max_digests, 0);
	cr_assert_null(shm_digest_find(seg, 7, &at));
	cr_assert_null(shm_digest_begin(seg, 7, 1, &at));
	shm_worker_reclaim(seg);
	free(seg);
}

Test(shm_digest, death_of_the_writer)
{
	struct shm_digest *whole, *torn, copy;
	u32 at, at2;

	make(20);
	whole = begin(7, 1, &at);
	torn = shm_digest_begin(seg, 8, 2, &at2); /* it dies here */
	cr_assert_eq(seq_read(&torn->seq, &copy, torn, sizeof copy), ERR_STALE);
	shm_worker_reclaim(seg);
	cr_assert_null(shm_digest_find(seg, 8, &at2));
	cr_assert_eq(torn->key, 0);
	cr_assert_eq(seq_read(&torn->seq, &copy, torn, sizeof copy), 0);
	cr_assert_eq(shm_digest_find(seg, 7, &at), whole);
	cr_assert_eq(whole->count, 1);
	begin(8, 3, &at2);
	free(seg);
}

Test(shm_digest, buckets)
{
	cr_assert_eq(shm_digest_bucket(0), 0);
	cr_assert_eq(shm_digest_bucket(1023), 0);
	cr_assert_eq(shm_digest_bucket(1024), 1);
	cr_assert_eq(shm_digest_bucket(2047), 1);
	cr_assert_eq(shm_digest_bucket(2048), 2);
	cr_assert_eq(shm_digest_bucket(1ull << 40), 31);
	cr_assert_eq(shm_digest_bucket(UINT64_MAX), SHM_DIGEST_TIMES - 1);
}
