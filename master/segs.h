/* master/segs.h: the segments of an epoch and what each worker slot owns besides: its eventfd and inbox. All
 * are made before the first child starts and outlive every child. Master only.
 */
#ifndef MARGAY_MASTER_SEGS_H
#define MARGAY_MASTER_SEGS_H
#include "master/runtime.h"
#include "shm/cfg.h"
#include "shm/link.h"
#include "shm/map.h"

struct seg {
	struct shm_map map;
	int rw, ro; /* descriptors of the file */
};
#define SEGS_OTHER_POOLS 8 /* pool files of other builds or capacities that living workers may map */
struct segs {
	struct shm_caps caps;
	u64 epoch;
	u32 nworkers;
	u32 instance;
	struct seg names, health, pool, auth, catalog, worker[LINK_MAX_WORKERS];
	int event[LINK_MAX_WORKERS], inbox_rx[LINK_MAX_WORKERS], inbox_tx[LINK_MAX_WORKERS];
	int health_event;
	int other_pool[SEGS_OTHER_POOLS];
	u32 nother;
};

void segs_init(struct segs *s);
/* Makes everything for caps and nworkers in rt's epoch directory; the pool is taken over from an earlier epoch
 * where it fits. 0; else every cause is logged: ERR_LIMIT (file system full), ERR_SYSTEM. */
MUST_CHECK int segs_make(struct segs *s, const struct runtime *rt, const struct shm_caps *caps, u32 nworkers);
void segs_fini(struct segs *s);

static inline struct shm_seg_master *
segs_names(const struct segs *s)
{
	return s->names.map.p;
}
static inline struct shm_seg_health *
segs_health(const struct segs *s)
{
	return s->health.map.p;
}
static inline struct shm_seg_pool *
segs_pool(const struct segs *s)
{
	return s->pool.map.p;
}
static inline struct shm_seg_worker *
segs_worker(const struct segs *s, u32 slot)
{
	return s->worker[slot].map.p;
}
void segs_ring(int event_fd);
/* Descriptors of LINK_START for worker `slot`, or for health (slot < 0), in the order of shm/link.h; they stay
 * ours. fds_r: LINK_MAX_FDS. Returns how many. */
size_t segs_start_fds(const struct segs *s, int slot, int *fds_r);

/* This epoch's workers accept clients: those of earlier epochs stop accepting and drain. */
void segs_serve(struct segs *s);
/* Pool files that no living process maps any more. */
void segs_forget_other_pools(struct segs *s, const struct runtime *rt);

/* Names and labels of a generation, for people and margay-stat. drained: what margayctl drain has left; asked
 * before anything is changed. */
void segs_names_update(struct segs *s, const struct cfg *c, bool (*drained)(void *arg, const char *name),
    void *arg);
/* Index of a configured server, -1 if there is none. */
int segs_server_find(const struct segs *s, const char *name);
#endif
