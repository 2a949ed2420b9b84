/* shm/pool.h: connection budgets. One cell for each connection that may be open to a server, over all
 * workers and epochs; a cell's owner word is the truth, there is no counter beside it that could drift.
 * Workers take and free cells; the master marks those of a dead worker ORPHAN; health ends the server
 * thread recorded in an orphan and frees it. All by compare-and-swap: a process may die at any point.
 */
#ifndef MARGAY_SHM_POOL_H
#define MARGAY_SHM_POOL_H
#include "shm/map.h"

/* The last POOL_RESERVED cells below `limit` are for control: KILL, health, recovery. */
#define POOL_RESERVED 3

enum pool_kind { POOL_FREE, POOL_WORKER, POOL_GRANTED, POOL_ORPHAN, POOL_HEALTH };
/* owner word: bits 0-3 kind, 4-11 slot, 12-27 epoch (low 16 bits), 32-63 pid */
static inline u64
pool_owner(enum pool_kind k, u32 slot, u64 epoch, u32 pid)
{
	return (u64)k | (u64)(slot & 255) << 4 | (epoch & 0xffff) << 12 | (u64)pid << 32;
}
static inline enum pool_kind
pool_owner_kind(u64 w)
{
	return (enum pool_kind)(w & 15);
}
static inline u32
pool_owner_slot(u64 w)
{
	return (u32)(w >> 4 & 255);
}
static inline u32
pool_owner_epoch(u64 w)
{
	return (u32)(w >> 12 & 0xffff);
}
static inline u32
pool_owner_pid(u64 w)
{
	return (u32)(w >> 32);
}

/* Room for waiting marks: slots of each epoch parity. Index: (epoch & 1) * POOL_SLOTS + slot. */
#define POOL_SLOTS 64

/* Master: index for a server's address, claimed if new; ERR_LIMIT when all are taken. Entries whose server
 * is gone (not among in_use: the pool slots of every generation that still lives) are given up when none of
 * their cells is owned. */
MUST_CHECK int pool_slot_claim(struct shm_seg_pool *s, const char *address, const u32 *in_use, size_t n_in_use);
/* Cut to max_cells. Cells above a lowered limit stay with their owners until these free them. */
void pool_limit_set(struct shm_seg_pool *s, u32 pool_slot, u32 limit);
/* Takes a cell (its thread_id is 0). Index, or ERR_BUDGET when the limit is reached. `me` is
 * pool_owner(POOL_WORKER | POOL_HEALTH, ...). control: may use the reserved cells too. */
MUST_CHECK int pool_take(struct shm_seg_pool *s, u32 pool_slot, u64 me, bool control);
/* Gives a cell back to nobody. For its owner, after the connection was closed; health also for an orphan. */
void pool_free(struct shm_seg_pool *s, u32 pool_slot, u32 cell);
/* Hands a cell that the caller owns to a waiting worker: the owner word becomes GRANTED for it. The caller
 * rings that worker's eventfd. false: the cell was freed instead, as it is above the limit or as that worker
 * has stopped waiting meanwhile. */
bool pool_grant(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u32 to_slot, u64 to_epoch);
/* Gives back a cell that the caller owns (its connection is closed): grants it to the worker of the caller's
 * epoch that waits longest, or frees it; no waiter is missed that comes in between. true: *slot_r was granted
 * it, ring its eventfd. Workers of another epoch cannot be rung: while they wait they try again by a timer. */
bool pool_give(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u64 me, u32 *slot_r);
/* Worker: takes a cell granted to (slot, epoch); index or ERR_NOTFOUND. There may be several. After
 * pool_wait_set(0) call it until ERR_NOTFOUND: grants may have crossed; what is not wanted goes to pool_give. */
MUST_CHECK int pool_take_granted(struct shm_seg_pool *s, u32 pool_slot, u64 me);
/* Waiting lines: since (0 = nobody waits any more) of this worker's longest waiter. A worker that is refused
 * a cell marks itself first and then tries pool_take once more: a cell freed in between wakes nobody. */
void pool_wait_set(struct shm_seg_pool *s, u32 pool_slot, u32 slot, u64 epoch, u64 since);
/* The worker that waits longest (times are kept to 16 ns); false if none. Skips (slot, epoch) itself. */
bool pool_wait_longest(struct shm_seg_pool *s, u32 pool_slot, u32 my_slot, u64 my_epoch, u32 *slot_r,
    u64 *epoch_r, u64 *since_r);
/* Master: all cells of (slot, epoch, pid), and grants to it or by it that nobody took, become ORPHAN; its
 * waiting marks are cleared. The process must be dead. Returns how many; ring health if any. Health too is
 * an owner: its slot is what it put in `me`. */
u32 pool_orphan(struct shm_seg_pool *s, u32 slot, u64 epoch, u32 pid);
/* The same for every owner whom dead(pid) says to be dead: what an earlier master's death left. */
u32 pool_orphan_dead(struct shm_seg_pool *s, bool (*dead)(u32 pid));
/* Health: next ORPHAN cell at or after `from`, or -1. */
int pool_next_orphan(struct shm_seg_pool *s, u32 pool_slot, u32 from);
/* Health: makes an orphan its own, thread_id kept, so that no second health process (of another epoch) ends
 * and frees it too. false: no orphan any more. Then: end the thread, pool_give (or pool_free). */
bool pool_orphan_take(struct shm_seg_pool *s, u32 pool_slot, u32 cell, u64 me);
/* Cells owned now (all kinds) / by this owner; for status and tests. */
u32 pool_used(const struct shm_seg_pool *s, u32 pool_slot);
u32 pool_used_by(const struct shm_seg_pool *s, u32 pool_slot, u64 me);
#endif
