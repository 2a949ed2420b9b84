/* shm/pool.c: connection budgets in cells; atomics only. Workers, health and the master run it, of two epochs
 * at once; each of them may die between any two instructions. Nothing may count cells anywhere but in their
 * owner words.
 *
 * Two rules carry the proofs:
 *   - A FREE or GRANTED cell has thread_id 0: it is cleared before the owner word leaves its owner. So a cell
 *     whose new owner dies at once never shows the thread of an earlier connection.
 *   - Mark, then look; put back, then look: who waits marks itself before it tries again, who frees or grants
 *     looks at the marks again afterwards, both sequentially consistent. One of the two sees the other.
 */
#include "shm/pool.h"
#include "base/check.h"
#include "base/err.h"
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MARK_EPOCH 15u /* low bits of a waiting mark */
#define GIVE_TRIES 16  /* each further try needs a waiter that came and went in between */

_Static_assert(sizeof(((struct shm_poolsrv *)0)->waiting) == 2 * POOL_SLOTS * sizeof(u64), "marks");

static u64
word_load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void
word_store(u64 *p, u64 v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static bool
word_swap(u64 *p, u64 from, u64 to)
{
	return __atomic_compare_exchange_n(
	    p, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static u64
with_kind(u64 w, enum pool_kind k)
{
	return (w & ~15ull) | (u64)k;
}

static struct shm_poolsrv *
srv_at(const struct shm_seg_pool *s, u32 pool_slot)
{
	AN(pool_slot < s->p.max_servers);
	return shm_pool_srv(s) + pool_slot;
}

static struct shm_poolcell *
cell_at(const struct shm_seg_pool *s, u32 pool_slot, u32 cell)
{
	AN(pool_slot < s->p.max_servers);
	AN(cell < s->p.max_cells);
	return shm_pool_cells(s, pool_slot) + cell;
}

static u32
limit_load(const struct shm_seg_pool *s, const struct shm_poolsrv *srv)
{
	return MIN(__atomic_load_n(&srv->limit, __ATOMIC_SEQ_CST), s->p.max_cells);
}

static u32
high_load(const struct shm_seg_pool *s, const struct shm_poolsrv *srv)
{
	return MIN(__atomic_load_n(&srv->high, __ATOMIC_SEQ_CST), s->p.max_cells);
}

static u32
owned_count(const struct shm_poolcell *c, u32 from, u32 to)
{
	u32 n = 0;

	for (u32 i = from; i < to; i++)
		n += word_load(&c[i].owner) != 0;
	return n;
}

/* Where the cells for control begin. */
static u32
reserve_from(u32 limit)
{
	return limit > POOL_RESERVED ? limit - POOL_RESERVED : 0;
}

/* Ordinary connections beyond the budget: only while cells above a lowered limit are still owned. Two takers
 * may both see the last place then; at an unchanged limit the number of cells alone bounds them. */
static bool
over_budget(const struct shm_poolcell *c, u32 limit, u32 high, u32 mine)
{
	u32 above = limit < high ? owned_count(c, limit, high) : 0, ordinary = reserve_from(limit);

	return above > 0 && owned_count(c, 0, ordinary) + above >= ordinary + mine;
}

static int
range_take(struct shm_poolcell *c, u32 from, u32 to, u64 me)
{
	for (u32 i = from; i < to; i++) {
		if (word_load(&c[i].owner) == 0 && word_swap(&c[i].owner, 0, me))
			return (int)i;
	}
	return -1;
}

int
pool_take(struct shm_seg_pool *s, u32 pool_slot, u64 me, bool control)
{
	struct shm_poolsrv *srv = srv_at(s, pool_slot);
	struct shm_poolcell *c = shm_pool_cells(s, pool_slot);
	u32 limit = limit_load(s, srv);
	int i;

	/* Reserved cells first, so that control takes nothing from clients while it can help it. */
	if (control && (i = range_take(c, reserve_from(limit), limit, me)) >= 0)
		return i;
	if (!control && over_budget(c, limit, high_load(s, srv), 0))
		return ERR_BUDGET;
	i = range_take(c, 0, reserve_from(limit), me);
	return i >= 0 ? i : ERR_BUDGET;
}

void
pool_free(struct shm_seg_pool *s, u32 pool_slot, u32 cell)
{
	struct shm_poolcell *c = cell_at(s, pool_slot, cell);
	u64 w = word_load(&c->owner);

	/* Another process may recover the same orphan: only one of them gets beyond this. */
	if (pool_owner_kind(w) == POOL_ORPHAN &&
	    !word_swap(&c->owner, w, pool_owner(POOL_HEALTH, 0, 0, (u32)getpid())))
		return;
	word_store(&c->thread_id, 0);
	word_store(&c->owner, 0);
}

static u64 *
mark_at(struct shm_seg_pool *s, u32 pool_slot, u32 slot, u64 epoch)
{
	AN(slot < POOL_SLOTS);
	return &srv_at(s, pool_slot)->waiting[(epoch & 1) * POOL_SLOTS + slot];
}

static bool
mark_is_of(u64 mark, u64 epoch)
{
	return mark != 0 && (mark & MARK_EPOCH) == (epoch & MARK_EPOCH);
}

void
pool_wait_set(struct shm_seg_pool *s, u32 pool_slot, u32 slot, u64 epoch, u64 since)
{
	u64 *m = mark_at(s, pool_slot, slot, epoch), old;

	if (since != 0) {
		word_store(m, MAX(since & ~(u64)MARK_EPOCH, MARK_EPOCH + 1) | (epoch & MARK_EPOCH));
		return;
	}
	/* The mark may be that of a worker two epochs away. */
	old = word_load(m);
	if (mark_is_of(old, epoch))
		word_swap(m, old, 0);
}

/* A mark holds four bits of its epoch; workers live that are at most a few epochs old. */
static u64
mark_epoch(u64 mark, u64 near)
{
	u64 ahead = ((mark & MARK_EPOCH) - near) & MARK_EPOCH;

	return ahead <= 3 || near + ahead < MARK_EPOCH + 1 ? near + ahead : near + ahead - MARK_EPOCH - 1;
}

/* The longest waiter but (my_slot, my_epoch); only_mine: of my epoch alone. */
static bool
longest(struct shm_seg_pool *s, u32 pool_slot, u32 my_slot, u64 my_epoch, bool only_mine, u32 *slot_r,
    u64 *epoch_r, u64 *since_r)
{
	struct shm_poolsrv *srv = srv_at(s, pool_slot);
	u64 best = 0;

	for (u32 i = 0; i < 2 * POOL_SLOTS; i++) {
		u64 m = word_load(&srv->waiting[i]);

		if (m == 0 || (only_mine && !mark_is_of(m, my_epoch)))
			continue;
		if (i % POOL_SLOTS == my_slot && mark_is_of(m, my_epoch))
			continue;
		if (best != 0 && (m | MARK_EPOCH) >= (best | MARK_EPOCH))
			continue;
		best = m;
		*slot_r = i % POOL_SLOTS;
	}
	if (best == 0)
		return false;
	*epoch_r = mark_epoch(best, my_epoch);
	*since_r = best & ~(u64)MARK_EPOCH;
	return true;
}

bool
pool_wait_longest(struct shm_seg_pool *s, u32 pool_slot, u32 my_slot, u64 my_epoch, u32 *slot_r,
    u64 *epoch_r, u64 *since_r)
{
	return longest(s, pool_slot, my_slot, my_epoch, false, slot_r, epoch_r, since_r);
}

bool
pool_grant(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u32 to_slot, u64 to_epoch)
{
	struct shm_poolsrv *srv = srv_at(s, pool_slot);
	struct shm_poolcell *c = shm_pool_cells(s, pool_slot), *mine = cell_at(s, pool_slot, cell);
	u32 limit = limit_load(s, srv);
	u64 w = word_load(&mine->owner), g;

	/* Cells for control are not for those who wait. */
	if (cell >= reserve_from(limit) || over_budget(c, limit, high_load(s, srv), 1)) {
		pool_free(s, pool_slot, cell);
		return false;
	}
	g = pool_owner(POOL_GRANTED, to_slot, to_epoch, pool_owner_pid(w));
	word_store(&mine->thread_id, 0);
	word_store(&mine->owner, g);
	if (mark_is_of(word_load(mark_at(s, pool_slot, to_slot, to_epoch)), to_epoch))
		return true;
	/* It waits no more, or is dead and its cells were looked through before ours came. */
	return !word_swap(&mine->owner, g, 0);
}

bool
pool_give(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u64 me, u32 *slot_r)
{
	u32 my_slot = pool_owner_slot(me);
	u64 epoch = pool_owner_epoch(me), e, since;
	int i = (int)cell;

	/* Health has no mark of its own to be skipped. */
	if (pool_owner_kind(me) != POOL_WORKER)
		my_slot = POOL_SLOTS;
	for (int t = 0; t < GIVE_TRIES; t++) {
		if (!longest(s, pool_slot, my_slot, epoch, true, slot_r, &e, &since))
			pool_free(s, pool_slot, (u32)i);
		else if (pool_grant(s, pool_slot, (u32)i, *slot_r, e))
			return true;
		if (!longest(s, pool_slot, my_slot, epoch, true, slot_r, &e, &since))
			return false;
		i = pool_take(s, pool_slot, me, false);
		if (i < 0)
			return false;
	}
	pool_free(s, pool_slot, (u32)i);
	return false;
}

int
pool_take_granted(struct shm_seg_pool *s, u32 pool_slot, u64 me)
{
	struct shm_poolcell *c = shm_pool_cells(s, pool_slot);
	u32 high = high_load(s, srv_at(s, pool_slot));

	for (u32 i = 0; i < high; i++) {
		u64 w = word_load(&c[i].owner);

		if (pool_owner_kind(w) == POOL_GRANTED && pool_owner_slot(w) == pool_owner_slot(me) &&
		    pool_owner_epoch(w) == pool_owner_epoch(me) && word_swap(&c[i].owner, w, me))
			return (int)i;
	}
	return ERR_NOTFOUND;
}

/* Applies `is_gone` to every owned cell; those become orphans. */
static u32
orphan_where(struct shm_seg_pool *s, bool (*is_gone)(u64 w, const void *arg), const void *arg)
{
	u32 n = 0;

	for (u32 p = 0; p < s->p.max_servers; p++) {
		struct shm_poolcell *c = shm_pool_cells(s, p);
		u32 high = high_load(s, srv_at(s, p));

		for (u32 i = 0; i < high; i++) {
			u64 w = word_load(&c[i].owner);

			if (w == 0 || pool_owner_kind(w) == POOL_ORPHAN || !is_gone(w, arg))
				continue;
			n += word_swap(&c[i].owner, w, with_kind(w, POOL_ORPHAN));
		}
	}
	return n;
}

struct gone {
	u32 slot, epoch, pid;
};

static bool
is_of(u64 w, const void *arg)
{
	const struct gone *g = arg;
	bool same = pool_owner_slot(w) == g->slot && pool_owner_epoch(w) == g->epoch;

	/* The pid of a grant is that of the giver, who can no longer ring. */
	if (pool_owner_kind(w) == POOL_GRANTED)
		return same || pool_owner_pid(w) == g->pid;
	return same && pool_owner_pid(w) == g->pid;
}

u32
pool_orphan(struct shm_seg_pool *s, u32 slot, u64 epoch, u32 pid)
{
	struct gone g = {.slot = slot, .epoch = (u32)(epoch & 0xffff), .pid = pid};

	/* Marks first: a grant that comes after the walk over the cells sees that they are gone. */
	for (u32 p = 0; p < s->p.max_servers && slot < POOL_SLOTS; p++)
		pool_wait_set(s, p, slot, epoch, 0);
	return orphan_where(s, is_of, &g);
}

struct dead_fn {
	bool (*dead)(u32 pid);
};

static bool
is_dead(u64 w, const void *arg)
{
	const struct dead_fn *f = arg;

	return f->dead(pool_owner_pid(w));
}

u32
pool_orphan_dead(struct shm_seg_pool *s, bool (*dead)(u32 pid))
{
	struct dead_fn f = {dead};

	return orphan_where(s, is_dead, &f);
}

int
pool_next_orphan(struct shm_seg_pool *s, u32 pool_slot, u32 from)
{
	struct shm_poolcell *c = shm_pool_cells(s, pool_slot);
	u32 high = high_load(s, srv_at(s, pool_slot));

	for (u32 i = from; i < high; i++) {
		if (pool_owner_kind(word_load(&c[i].owner)) == POOL_ORPHAN)
			return (int)i;
	}
	return -1;
}

bool
pool_orphan_take(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u64 me)
{
	struct shm_poolcell *c = cell_at(s, pool_slot, cell);
	u64 w = word_load(&c->owner);

	return pool_owner_kind(w) == POOL_ORPHAN && word_swap(&c->owner, w, me);
}

u32
pool_used(const struct shm_seg_pool *s, u32 pool_slot)
{
	return owned_count(
	    shm_pool_cells(s, pool_slot), 0, high_load(s, srv_at(s, pool_slot)));
}

u32
pool_used_by(const struct shm_seg_pool *s, u32 pool_slot, u64 me)
{
	struct shm_poolcell *c = shm_pool_cells(s, pool_slot);
	u32 high = high_load(s, srv_at(s, pool_slot)), n = 0;

	for (u32 i = 0; i < high; i++)
		n += word_load(&c[i].owner) == me;
	return n;
}

void
pool_limit_set(struct shm_seg_pool *s, u32 pool_slot, u32 limit)
{
	struct shm_poolsrv *srv = srv_at(s, pool_slot);

	limit = MIN(limit, s->p.max_cells);
	/* `high` before `limit`: a cell is never taken where the walks over the cells do not look. It never
	 * shrinks: a taker that has read the old limit may still be about to take. */
	if (limit > high_load(s, srv))
		__atomic_store_n(&srv->high, limit, __ATOMIC_SEQ_CST);
	__atomic_store_n(&srv->limit, limit, __ATOMIC_SEQ_CST);
}

static bool
is_listed(u32 v, const u32 *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == v)
			return true;
	}
	return false;
}

int
pool_slot_claim(struct shm_seg_pool *s, const char *address, const u32 *in_use, size_t n_in_use)
{
	struct shm_poolsrv *srv = shm_pool_srv(s);
	u64 key = XXH3_64bits(address, strlen(address)), k;

	key += key == 0;
	for (u32 i = 0; i < s->p.max_servers; i++) {
		if (word_load(&srv[i].key) == key)
			return (int)i;
	}
	for (u32 i = 0; i < s->p.max_servers; i++) {
		if (word_load(&srv[i].key) == 0 && word_swap(&srv[i].key, 0, key))
			return (int)i;
	}
	for (u32 i = 0; i < s->p.max_servers; i++) {
		k = word_load(&srv[i].key);
		if (is_listed(i, in_use, n_in_use) || pool_used(s, i) > 0 ||
		    !word_swap(&srv[i].key, k, key))
			continue;
		pool_limit_set(s, i, 0);
		for (u32 w = 0; w < 2 * POOL_SLOTS; w++)
			word_store(&srv[i].waiting[w], 0);
		return (int)i;
	}
	return ERR_LIMIT;
}
