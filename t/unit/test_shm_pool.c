/* Unit tests of shm/pool.c: budgets, reserved cells, waiting lines, grants, what the dead leave. */
#include <criterion/criterion.h>
#include <unistd.h>
#include "base/err.h"
#include "shm/pool.h"

enum { SERVERS = 3, CELLS = 32, LIMIT = 10 };

static u64 mem[100000 / 8];
static struct shm_seg_pool *const pool = (void *)mem;
static const u64 w0 = 0x0000006500007001ull; /* checked against pool_owner below */
static u64 a, b, c, old, hlt;

static void
setup(void)
{
	struct shm_caps k = {.max_servers = SERVERS, .max_cells = CELLS, .max_workers = 4};

	cr_assert_leq(shm_size_pool(&k), sizeof mem);
	pool->h.size = shm_size_pool(&k);
	shm_pool_setup(pool, &k);
	a = pool_owner(POOL_WORKER, 0, 7, 100);
	b = pool_owner(POOL_WORKER, 1, 7, 101);
	c = pool_owner(POOL_WORKER, 2, 7, 102);
	old = pool_owner(POOL_WORKER, 0, 6, 50);
	hlt = pool_owner(POOL_HEALTH, 255, 7, 103);
	pool_limit_set(pool, 1, LIMIT);
}

static u32
take_all(u64 me, bool control)
{
	u32 n = 0;

	while (pool_take(pool, 1, me, control) >= 0)
		n++;
	return n;
}

TestSuite(pool, .init = setup);

Test(pool, owner_word)
{
	cr_assert_eq(pool_owner(POOL_WORKER, 0, 7, 101), w0);
	cr_assert_eq(pool_owner_kind(b), POOL_WORKER);
	cr_assert_eq(pool_owner_slot(b), 1);
	cr_assert_eq(pool_owner_epoch(b), 7);
	cr_assert_eq(pool_owner_pid(b), 101);
}

Test(pool, limit_and_reserve)
{
	int first;

	cr_assert_eq(pool_take(pool, 0, a, false), ERR_BUDGET, "no limit set: nothing to take");
	cr_assert_eq(take_all(a, false), LIMIT - POOL_RESERVED);
	first = pool_take(pool, 1, hlt, true);
	cr_assert_eq(first, LIMIT - POOL_RESERVED, "control has cells of its own");
	cr_assert_eq(take_all(hlt, true), POOL_RESERVED - 1);
	cr_assert_eq(pool_used(pool, 1), LIMIT);
	cr_assert_eq(pool_used_by(pool, 1, a), LIMIT - POOL_RESERVED);
	pool_free(pool, 1, 2);
	cr_assert_eq(pool_take(pool, 1, hlt, true), 2, "and the ordinary ones");
	pool_free(pool, 1, (u32)first);
	cr_assert_eq(pool_take(pool, 1, b, false), ERR_BUDGET, "but not the other way round");
	cr_assert_eq(pool_used(pool, 0), 0);
}

Test(pool, thread_id_is_cleared)
{
	int i = pool_take(pool, 1, a, false);

	cr_assert_geq(i, 0);
	shm_pool_cells(pool, 1)[i].thread_id = 4711;
	pool_free(pool, 1, (u32)i);
	cr_assert_eq(shm_pool_cells(pool, 1)[i].thread_id, 0);
	i = pool_take(pool, 1, a, false);
	shm_pool_cells(pool, 1)[i].thread_id = 4711;
	pool_wait_set(pool, 1, 1, 7, 1000);
	cr_assert(pool_grant(pool, 1, (u32)i, 1, 7));
	cr_assert_eq(shm_pool_cells(pool, 1)[i].thread_id, 0);
}

Test(pool, limit_lowered_below_use)
{
	int i;

	cr_assert_eq(take_all(a, false), 7);
	pool_limit_set(pool, 1, 5);
	pool_free(pool, 1, 0);
	cr_assert_eq(pool_take(pool, 1, b, false), ERR_BUDGET, "six are still open, two allowed");
	pool_free(pool, 1, 1);
	cr_assert_eq(pool_take(pool, 1, b, false), ERR_BUDGET);
	i = pool_take(pool, 1, hlt, true);
	cr_assert_geq(i, 0, "control is not refused");
	pool_free(pool, 1, (u32)i);
	/* Cells above the limit are found by the walks. */
	cr_assert_eq(pool_used_by(pool, 1, a), 5);
	cr_assert_eq(pool_used(pool, 1), 5);
	pool_wait_set(pool, 1, 1, 7, 1000);
	cr_assert(!pool_grant(pool, 1, 6, 1, 7), "above the limit: freed");
	cr_assert_eq(pool_used_by(pool, 1, a), 4);
	pool_free(pool, 1, 5);
	pool_free(pool, 1, 2);
	pool_free(pool, 1, 3);
	pool_free(pool, 1, 4);
	cr_assert_eq(take_all(b, false), 2);
	pool_limit_set(pool, 1, CELLS + 100);
	cr_assert_eq(take_all(b, false) + 2, CELLS - POOL_RESERVED, "cut to max_cells");
}

Test(pool, waiting_in_order)
{
	u32 slot;
	u64 epoch, since;

	cr_assert(!pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since));
	pool_wait_set(pool, 1, 0, 7, 1000);
	cr_assert(!pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since), "not oneself");
	pool_wait_set(pool, 1, 2, 7, 3200);
	pool_wait_set(pool, 1, 1, 7, 1600);
	cr_assert(pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since));
	cr_assert_eq(slot, 1);
	cr_assert_eq(epoch, 7);
	cr_assert_eq(since, 1600);
	pool_wait_set(pool, 1, 0, 6, 800);
	cr_assert(pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since));
	cr_assert_eq(slot, 0);
	cr_assert_eq(epoch, 6, "the same slot of the epoch before");
	pool_wait_set(pool, 1, 0, 8, 0);
	cr_assert(pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since));
	cr_assert_eq(epoch, 6, "an epoch of the same parity does not clear it");
	pool_wait_set(pool, 1, 0, 6, 0);
	cr_assert(pool_wait_longest(pool, 1, 0, 7, &slot, &epoch, &since));
	cr_assert_eq(slot, 1);
	cr_assert(!pool_wait_longest(pool, 0, 0, 7, &slot, &epoch, &since), "other servers, other lines");
}

Test(pool, epoch_of_a_mark)
{
	u32 slot;
	u64 epoch, since;

	for (u64 e = 0; e < 40; e++) {
		for (int d = -3; d <= 3; d++) {
			if ((i64)e + d < 0 || d == 0)
				continue;
			pool_wait_set(pool, 1, 5, e + (u64)d, 1);
			cr_assert(pool_wait_longest(pool, 1, 5, e, &slot, &epoch, &since));
			cr_assert_eq(epoch, e + (u64)d, "%lu %d", e, d);
			pool_wait_set(pool, 1, 5, e + (u64)d, 0);
			cr_assert(!pool_wait_longest(pool, 1, 5, e, &slot, &epoch, &since));
		}
	}
}

Test(pool, grant)
{
	int i = pool_take(pool, 1, a, false), j;

	cr_assert_eq(pool_take_granted(pool, 1, b), ERR_NOTFOUND);
	cr_assert(!pool_grant(pool, 1, (u32)i, 1, 7), "nobody waits there: freed");
	cr_assert_eq(pool_used(pool, 1), 0);
	i = pool_take(pool, 1, a, false);
	pool_wait_set(pool, 1, 1, 7, 1000);
	cr_assert(pool_grant(pool, 1, (u32)i, 1, 7));
	cr_assert_eq(pool_take_granted(pool, 1, c), ERR_NOTFOUND, "not for this worker");
	cr_assert_eq(pool_take_granted(pool, 1, pool_owner(POOL_WORKER, 1, 8, 9)), ERR_NOTFOUND);
	cr_assert_eq(pool_used(pool, 1), 1, "a grant counts");
	j = pool_take_granted(pool, 1, b);
	cr_assert_eq(j, i);
	cr_assert_eq(pool_take_granted(pool, 1, b), ERR_NOTFOUND);
	cr_assert_eq(pool_used_by(pool, 1, b), 1);
	/* A cell for control does not go to clients. */
	i = pool_take(pool, 1, hlt, true);
	cr_assert(!pool_grant(pool, 1, (u32)i, 1, 7));
	cr_assert_eq(pool_used(pool, 1), 1);
}

Test(pool, give)
{
	u32 slot = 99;
	int i;

	i = pool_take(pool, 1, a, false);
	cr_assert(!pool_give(pool, 1, (u32)i, a, &slot));
	cr_assert_eq(pool_used(pool, 1), 0);
	i = pool_take(pool, 1, a, false);
	pool_wait_set(pool, 1, 0, 7, 100);
	pool_wait_set(pool, 1, 0, 6, 200);
	cr_assert(!pool_give(pool, 1, (u32)i, a, &slot), "not to oneself, not to whom one cannot ring");
	cr_assert_eq(pool_used(pool, 1), 0);
	i = pool_take(pool, 1, a, false);
	pool_wait_set(pool, 1, 2, 7, 3000);
	pool_wait_set(pool, 1, 1, 7, 2000);
	cr_assert(pool_give(pool, 1, (u32)i, a, &slot));
	cr_assert_eq(slot, 1);
	cr_assert_eq(pool_take_granted(pool, 1, b), i);
	/* One above a lowered limit is freed; another below it goes to the waiter instead. */
	pool_free(pool, 1, (u32)i);
	cr_assert_eq(take_all(a, false), 7);
	for (u32 k = 0; k < 6; k++)
		pool_free(pool, 1, k);
	pool_limit_set(pool, 1, 8);
	cr_assert(pool_give(pool, 1, 6, a, &slot));
	cr_assert_eq(slot, 1);
	cr_assert_eq(pool_take_granted(pool, 1, b), 0);
	/* Health has slot 0 waiting before all others in its sight. */
	i = pool_take(pool, 1, hlt, false);
	cr_assert(pool_give(pool, 1, (u32)i, pool_owner(POOL_HEALTH, 0, 7, 103), &slot));
	cr_assert_eq(slot, 0);
}

Test(pool, orphans)
{
	int i, t;
	u32 slot;
	u64 epoch, since;

	i = pool_take(pool, 1, a, false);
	shm_pool_cells(pool, 1)[i].thread_id = 4711;
	t = pool_take(pool, 1, b, false);
	cr_assert_geq(pool_take(pool, 1, old, false), 0);
	pool_wait_set(pool, 1, 0, 7, 1000);
	pool_wait_set(pool, 1, 0, 6, 1000);
	cr_assert_eq(pool_orphan(pool, 0, 7, 99), 0, "another process of that slot");
	pool_wait_set(pool, 1, 0, 7, 1000);
	cr_assert_eq(pool_orphan(pool, 0, 7, 100), 1);
	cr_assert(pool_wait_longest(pool, 1, 1, 7, &slot, &epoch, &since));
	cr_assert_eq(epoch, 6, "its own mark is gone, that of the other epoch stays");
	cr_assert_eq(pool_next_orphan(pool, 1, 0), i);
	cr_assert_eq(pool_next_orphan(pool, 1, (u32)i + 1), -1);
	cr_assert_eq(shm_pool_cells(pool, 1)[i].thread_id, 4711, "what health has to end");
	cr_assert_eq(pool_used(pool, 1), 3, "an orphan counts until it is recovered");
	cr_assert(pool_orphan_take(pool, 1, (u32)i, hlt));
	cr_assert(!pool_orphan_take(pool, 1, (u32)i, hlt), "once");
	cr_assert_eq(pool_next_orphan(pool, 1, 0), -1);
	cr_assert_eq(pool_orphan(pool, 255, 7, 103), 1, "health died over it");
	cr_assert_eq(pool_next_orphan(pool, 1, 0), i);
	cr_assert_eq(shm_pool_cells(pool, 1)[i].thread_id, 4711);
	pool_free(pool, 1, (u32)i);
	cr_assert_eq(pool_used(pool, 1), 2);
	cr_assert_eq(pool_used_by(pool, 1, b), 1);
	cr_assert_eq(shm_pool_cells(pool, 1)[t].owner, b);
}

Test(pool, orphaned_grants)
{
	int i = pool_take(pool, 1, a, false), j = pool_take(pool, 1, c, false);

	pool_wait_set(pool, 1, 1, 7, 1000);
	cr_assert(pool_grant(pool, 1, (u32)i, 1, 7));
	cr_assert_eq(pool_orphan(pool, 0, 7, 100), 1, "the giver died before it could ring");
	cr_assert_eq(pool_take_granted(pool, 1, b), ERR_NOTFOUND);
	cr_assert(pool_orphan_take(pool, 1, (u32)i, hlt));
	pool_free(pool, 1, (u32)i);
	cr_assert(pool_grant(pool, 1, (u32)j, 1, 7));
	cr_assert_eq(pool_orphan(pool, 1, 7, 101), 1, "who was to get it died");
	pool_free(pool, 1, (u32)pool_next_orphan(pool, 1, 0));
	cr_assert_eq(pool_used(pool, 1), 0);
}

static bool
dead_50(u32 pid)
{
	return pid == 50;
}

Test(pool, orphan_dead)
{
	cr_assert_geq(pool_take(pool, 1, old, false), 0);
	cr_assert_geq(pool_take(pool, 1, a, false), 0);
	cr_assert_eq(pool_orphan_dead(pool, dead_50), 1);
	cr_assert_eq(pool_orphan_dead(pool, dead_50), 0);
	cr_assert_eq(pool_next_orphan(pool, 1, 0), 0);
	cr_assert_eq(pool_used_by(pool, 1, a), 1);
}

Test(pool, slots_of_servers)
{
	u32 use[2];
	int s1, s2;

	memset(shm_pool_srv(pool), 0, SERVERS * sizeof(struct shm_poolsrv));
	s1 = pool_slot_claim(pool, "db1:3306", NULL, 0);
	s2 = pool_slot_claim(pool, "db2:3306", NULL, 0);
	cr_assert_geq(s1, 0);
	cr_assert_geq(s2, 0);
	cr_assert_neq(s1, s2);
	cr_assert_eq(pool_slot_claim(pool, "db1:3306", NULL, 0), s1, "the same address, the same one");
	cr_assert_geq(pool_slot_claim(pool, "db3:3306", NULL, 0), 0);
	use[0] = (u32)s1;
	pool_limit_set(pool, (u32)s2, 8);
	cr_assert_geq(pool_take(pool, (u32)s2, a, false), 0);
	pool_limit_set(pool, 3 - (u32)s1 - (u32)s2, 8);
	cr_assert_geq(pool_take(pool, 3 - (u32)s1 - (u32)s2, a, false), 0);
	cr_assert_eq(pool_slot_claim(pool, "db4:3306", use, 1), ERR_LIMIT, "in use or connections open");
	pool_free(pool, (u32)s2, 0);
	cr_assert_eq(pool_slot_claim(pool, "db4:3306", use, 1), s2);
	cr_assert_eq(pool_take(pool, (u32)s2, a, false), ERR_BUDGET, "the old limit is gone");
}
