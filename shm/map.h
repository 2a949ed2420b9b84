/* shm/map.h: creating, opening and finding one's way in segments. Files live in runtime_dir:
 *   auth.<abi8>             shared by epochs; for the service account alone
 *   pool.<abi8>             shared by epochs         margay.ctl   control socket of the living master
 *   e<epoch>/names          master segment           current      text: newest epoch ("3\n"), renamed into place
 *   e<epoch>/health         e<epoch>/worker.<slot>   lock         flock held by the living master
 *   e<epoch>/unix           text: device and inode of each Unix socket that clients connect to
 * abi8: the upper 32 bits of shm_abi in hex. Across versions nothing may be read but the header and, behind it in
 * a pool, serving_epoch: a master tells workers of another version through it to stop accepting. These two never
 * move. Any process; the master creates, the others open what they are handed or (margay-stat) by path.
 */
#ifndef MARGAY_SHM_MAP_H
#define MARGAY_SHM_MAP_H
#include "shm/layout.h"

extern const u64 shm_abi; /* of this build, from shm/abi.h */

struct shm_caps { /* capacities; from the options max_*; the same for all segments of an epoch */
	u32 max_servers, max_workers, max_users, max_sessions, max_cells, max_digests, catalog_size, pad;
};

struct shm_map {
	void *p; /* NULL: not mapped */
	size_t size;
};

size_t shm_size_master(const struct shm_caps *c);
size_t shm_size_health(const struct shm_caps *c);
size_t shm_size_worker(const struct shm_caps *c);
size_t shm_size_pool(const struct shm_caps *c);
size_t shm_size_auth(const struct shm_caps *c);

/* Creates path (mode; an existing file is replaced by rename), allocates `size` bytes with
 * posix_fallocate (a sparse tmpfs file ends in SIGBUS when the file system is full), zeroes it, writes the
 * header and maps it shared. fd_r stays open for the caller (close-on-exec). Errors: ERR_LIMIT when the
 * file system is full, ERR_SYSTEM otherwise (errno set). */
MUST_CHECK int shm_create(const char *path, u64 magic, size_t size, u64 epoch, unsigned mode,
    struct shm_map *m, int *fd_r);
/* Maps an open segment. 0; ERR_ABI: header of another build; ERR_INVAL: not such a segment or cut short, or
 * its arrays do not fit in it. By path also ERR_NOTFOUND (no such file) and ERR_SYSTEM (errno). */
MUST_CHECK int shm_map_fd(int fd, u64 magic, bool writable, struct shm_map *m);
MUST_CHECK int shm_map_path(const char *path, u64 magic, bool writable, struct shm_map *m, int *fd_r);
void shm_unmap(struct shm_map *m);
/* Capacities into the fixed part of a segment just created: its arrays are found through them. The mapped
 * size must be shm_size_*(c). */
void shm_master_setup(struct shm_seg_master *s, const struct shm_caps *c);
void shm_worker_setup(struct shm_seg_worker *s, const struct shm_caps *c);
void shm_pool_setup(struct shm_seg_pool *s, const struct shm_caps *c);
void shm_auth_setup(struct shm_seg_auth *s, const struct shm_caps *c);
/* What a dead worker left is undone before its successor writes (by the successor, or by the master while
 * there is none): gauges, clients of users and addresses to 0, sessions free, odd sequence counters even.
 * Counters, histograms and the panic text stay. */
void shm_worker_reclaim(struct shm_seg_worker *s);
/* The writer announces itself: pid, slot, started, heartbeat. Counters stay, so that they survive a crash. */
void shm_writer_enter(struct shm_header *h, u32 slot);
static inline void
shm_heartbeat(struct shm_header *h, u64 now_ns)
{
	__atomic_store_n(&h->heartbeat, now_ns, __ATOMIC_RELAXED);
}

/* Arrays behind the fixed parts. Writers may cast the const away from what they map writable. */
struct shm_slot *shm_master_workers(const struct shm_seg_master *s);
struct shm_srvname *shm_master_servers(const struct shm_seg_master *s);
struct shm_sstat *shm_worker_servers(const struct shm_seg_worker *s);
u64 *shm_worker_users(const struct shm_seg_worker *s);
struct shm_usergtid *shm_worker_gtids(const struct shm_seg_worker *s);
struct shm_session *shm_worker_sessions(const struct shm_seg_worker *s);
struct shm_addrcount *shm_worker_addrs(const struct shm_seg_worker *s);
u64 *shm_worker_digest_keys(const struct shm_seg_worker *s);
struct shm_digest *shm_worker_digests(const struct shm_seg_worker *s);
struct shm_poolsrv *shm_pool_srv(const struct shm_seg_pool *s);
struct shm_autent *shm_auth_entries(const struct shm_seg_auth *s);
/* Cells of one server: max_cells of them. */
struct shm_poolcell *shm_pool_cells(const struct shm_seg_pool *s, u32 pool_slot);

/* Histogram arithmetic (pure). */
u32 shm_hist_bucket(u64 ns);
u64 shm_hist_upper(u32 bucket); /* exclusive upper bound, ns; UINT64_MAX for the last */
static inline void
shm_hist_add(struct shm_hist *h, u64 ns)
{
	u32 b = shm_hist_bucket(ns);

	__atomic_store_n(&h->n[b], h->n[b] + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&h->sum, h->sum + ns, __ATOMIC_RELAXED);
}
/* Value at quantile q (0..1) of summed histograms, ns, interpolated inside its bucket; 0 when empty. */
u64 shm_hist_quantile(const struct shm_hist *h, double q);
/* Adds a live histogram of another process to a private one. */
void shm_hist_sum(struct shm_hist *to, const struct shm_hist *from);
#endif
